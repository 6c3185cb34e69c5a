//! What a member does with their own notifications.

use std::collections::HashMap;

use chatwarden_db::{Timestamp, Tx, WriteTx, args};
use chatwarden_jobs::{NewJob, enqueue};
use serde_json::json;

use super::dispatch::{announce, announce_deleted};
use super::{Listed, Notification, push, sql};
use crate::conversations::Conversation;
use crate::error::{Error, Result};
use crate::ids::{ConversationId, NotificationId};
use crate::scope::{Agent, Scope};
use crate::users::Member;

/// Notifications on a page.
const PAGE: i64 = 15;

/// Which notifications a list shows besides those that are unread and not snoozed, and how.
#[derive(Debug, Clone, Copy, Default)]
pub struct Filter {
    /// Those that were read.
    pub read: bool,
    /// Those that are snoozed.
    pub snoozed: bool,
    /// The oldest first.
    pub oldest_first: bool,
}

/// A page of a member's notifications.
#[derive(Debug)]
pub struct Page {
    /// How many the filter lets through.
    pub count: i64,
    /// How many of them are unread.
    pub unread: i64,
    /// The page.
    pub listed: Listed,
}

/// A page of the member's notifications.
///
/// # Errors
/// What the database says.
pub async fn page(
    tx: &mut Tx<'_>,
    scope: &Scope<Agent>,
    filter: Filter,
    page: i64,
) -> Result<Page> {
    let (account, user) = (scope.account_id(), scope.user_id());
    let Filter { read, snoozed, .. } = filter;
    let (count, unread) = counts(tx, scope, filter).await?;
    let offset = page.max(1).saturating_sub(1).saturating_mul(PAGE);
    let statement = if filter.oldest_first { &sql::OLDEST } else { &sql::NEWEST };
    let found = tx.all(statement, args![account, user, read, snoozed, PAGE, offset]).await?;
    Ok(Page { count, unread, listed: listed(tx, scope, found).await? })
}

/// Notifications with what they show; those of conversations that are gone, or that their member may not see any
/// more, are left out.
pub(super) async fn listed(
    tx: &mut Tx<'_>,
    scope: &Scope,
    found: Vec<Notification>,
) -> Result<Listed> {
    if found.is_empty() {
        return Ok(Listed { rows: Vec::new(), quotes: push::Quotes::default() });
    }
    let mut of: HashMap<NotificationId, Conversation> = sql::conversations(tx, scope, &found)
        .await?
        .into_iter()
        .map(|shown| (shown.of.id, shown.conversation))
        .collect();
    let all: Vec<&Conversation> = of.values().collect();
    let quotes = push::quotes(tx, scope, &found, &all, None).await?;
    let rows = found.into_iter().filter_map(|n| of.remove(&n.id).map(|c| (n, c)));
    Ok(Listed { rows: rows.collect(), quotes })
}

/// How many the filter lets through that the member has not read.
///
/// # Errors
/// What the database says.
pub async fn count_unread(tx: &mut Tx<'_>, scope: &Scope<Agent>, filter: Filter) -> Result<i64> {
    Ok(counts(tx, scope, filter).await?.1)
}

/// How many the filter lets through, and how many of them are unread.
async fn counts(tx: &mut Tx<'_>, scope: &Scope<Agent>, filter: Filter) -> Result<(i64, i64)> {
    let args = args![scope.account_id(), scope.user_id(), filter.read, filter.snoozed];
    Ok(tx.one(&sql::COUNTS, args).await?)
}

/// Tells the member's sockets of changes to their notifications.
pub(super) async fn announce_updated(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    member: &Member,
    changed: Vec<Notification>,
) -> Result<()> {
    if changed.is_empty() {
        return Ok(());
    }
    let listed = listed(tx, scope, changed).await?;
    let unread = sql::unread(tx, scope, &[member.id.0]).await?.first().map_or(0, |(_, n)| *n);
    for (notification, c) in &listed.rows {
        let quotes = &listed.quotes;
        announce(tx, scope, "notification.updated", notification, c, quotes, member, unread);
    }
    Ok(())
}

async fn change(
    tx: &mut WriteTx<'_>,
    scope: &Scope<Agent>,
    id: NotificationId,
    apply: impl FnOnce(&mut Notification),
) -> Result<Notification> {
    let found = sql::lock(tx, scope, scope.user_id(), id).await?;
    let mut notification = found.ok_or(Error::NotFound)?;
    apply(&mut notification);
    notification.updated_at = tx.now();
    sql::update(tx, scope, &notification).await?;
    let member = scope.member().clone();
    announce_updated(tx, scope, &member, vec![notification.clone()]).await?;
    Ok(notification)
}

/// Notes that the member read a notification.
///
/// # Errors
/// [`Error::NotFound`] where the member has none of that number.
pub async fn read(
    tx: &mut WriteTx<'_>,
    scope: &Scope<Agent>,
    id: NotificationId,
) -> Result<Notification> {
    let now = tx.now();
    change(tx, scope, id, |n| n.read_at = Some(now)).await
}

/// Makes a notification unread again.
///
/// # Errors
/// As [`read`].
pub async fn unread(
    tx: &mut WriteTx<'_>,
    scope: &Scope<Agent>,
    id: NotificationId,
) -> Result<Notification> {
    change(tx, scope, id, |n| n.read_at = None).await
}

/// Hides a notification until a time; without one it stays as it is.
///
/// # Errors
/// As [`read`].
pub async fn snooze(
    tx: &mut WriteTx<'_>,
    scope: &Scope<Agent>,
    id: NotificationId,
    until: Option<Timestamp>,
) -> Result<Notification> {
    let Some(until) = until else {
        return sql::lock(tx, scope, scope.user_id(), id).await?.ok_or(Error::NotFound);
    };
    change(tx, scope, id, |n| {
        n.snoozed_until = Some(until);
        n.last_snoozed_at = None;
    })
    .await
}

/// Notes that the member read all notifications, or all of one conversation.
///
/// # Errors
/// [`Error::NotFound`] for a conversation that the account lacks.
pub async fn read_all(
    tx: &mut WriteTx<'_>,
    scope: &Scope<Agent>,
    of: Option<ConversationId>,
) -> Result<()> {
    let (account, user, now) = (scope.account_id(), scope.user_id(), tx.now());
    let Some(conversation) = of else {
        tx.run(&sql::READ_ALL, args![account, user, now]).await?;
        return Ok(());
    };
    let (known,) = tx.one(&sql::HAS_CONVERSATION, args![account, conversation]).await?;
    if known == 0 {
        return Err(Error::NotFound);
    }
    sql::read_of(tx, scope, user, conversation, now).await?;
    Ok(())
}

/// Notes that the member opened a conversation: what they were told of it is read.
///
/// # Errors
/// What the database says.
pub async fn seen(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    member: &Member,
    conversation: ConversationId,
) -> Result<()> {
    let now = tx.now();
    let changed = sql::read_of(tx, scope, member.id, conversation, now).await?;
    announce_updated(tx, scope, member, changed).await
}

/// Removes a notification.
///
/// # Errors
/// As [`read`].
pub async fn destroy(tx: &mut WriteTx<'_>, scope: &Scope<Agent>, id: NotificationId) -> Result<()> {
    let (account, user) = (scope.account_id(), scope.user_id());
    if tx.run(&sql::DELETE, args![account, user, id]).await? == 0 {
        return Err(Error::NotFound);
    }
    let unread = count_unread(tx, scope, Filter::default()).await?;
    let token = scope.member().pubsub_token.clone();
    announce_deleted(tx, scope, id, &token, unread);
    Ok(())
}

/// Has all notifications removed that the member has now, or those that were read.
///
/// # Errors
/// What the database says.
pub async fn destroy_all(
    tx: &mut WriteTx<'_>,
    scope: &Scope<Agent>,
    read_only: bool,
) -> Result<()> {
    let (account, user) = (scope.account_id(), scope.user_id());
    let (Some(last),) = tx.one(&sql::LAST, args![account, user]).await? else { return Ok(()) };
    let payload = json!({"user_id": user, "read": read_only, "last": last});
    enqueue(tx, &NewJob::new(account.0, super::DESTROY, payload)).await?;
    Ok(())
}
