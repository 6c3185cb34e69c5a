//! Who sits at an inbox, and who may be given its conversations.

use chatwarden_db::{Tx, WriteTx, args};

use super::{changed, sql};
use crate::error::{Error, Result, TAKEN};
use crate::events;
use crate::ids::{InboxId, UserId};
use crate::scope::{Admin, Agent, Scope};
use crate::users::{self, Member};

/// Makes `users` members of an inbox; those who are already stay. Every one must be a member of the account.
///
/// # Errors
/// [`Error::NotFound`] for an inbox the account lacks, [`Error::Invalid`] for a user it lacks, and for one who comes
/// twice.
pub async fn add(
    tx: &mut WriteTx<'_>,
    admin: &Scope<Admin>,
    inbox: InboxId,
    users: &[UserId],
) -> Result<()> {
    tx.opt(&sql::LOCK, args![admin.account_id(), inbox]).await?.ok_or(Error::NotFound)?;
    let present = sql::member_ids(tx, admin, inbox).await?;
    seat(tx, admin, inbox, &without(users, &present)).await?;
    changed(tx, admin).await
}

/// Makes exactly `users` the members of an inbox: some come, then others go, and dashboards are told of both, even
/// where nobody did.
///
/// # Errors
/// As [`add`].
pub async fn replace(
    tx: &mut WriteTx<'_>,
    admin: &Scope<Admin>,
    inbox: InboxId,
    users: &[UserId],
) -> Result<()> {
    tx.opt(&sql::LOCK, args![admin.account_id(), inbox]).await?.ok_or(Error::NotFound)?;
    let present = sql::member_ids(tx, admin, inbox).await?;
    seat(tx, admin, inbox, &without(users, &present)).await?;
    changed(tx, admin).await?;
    unseat(tx, admin, inbox, &without(&present, users)).await?;
    changed(tx, admin).await
}

/// Takes `users` out of an inbox.
///
/// # Errors
/// [`Error::NotFound`] for an inbox the account lacks.
pub async fn remove(
    tx: &mut WriteTx<'_>,
    admin: &Scope<Admin>,
    inbox: InboxId,
    users: &[UserId],
) -> Result<()> {
    tx.opt(&sql::LOCK, args![admin.account_id(), inbox]).await?.ok_or(Error::NotFound)?;
    unseat(tx, admin, inbox, users).await?;
    changed(tx, admin).await
}

fn without(these: &[UserId], those: &[UserId]) -> Vec<UserId> {
    these.iter().filter(|id| !those.contains(id)).copied().collect()
}

async fn seat(
    tx: &mut WriteTx<'_>,
    admin: &Scope<Admin>,
    inbox: InboxId,
    users: &[UserId],
) -> Result<()> {
    if users.is_empty() {
        return Ok(());
    }
    let members = users::sql::members(tx, admin, users).await?;
    if users.iter().any(|id| !members.iter().any(|member| member.id == *id)) {
        return Err(Error::invalid("user", "must exist"));
    }
    // Each once, as they are.
    if members.len() < users.len() {
        return Err(Error::invalid("user_id", TAKEN));
    }
    sql::add_members(tx, admin, inbox, users).await?;
    refresh(tx, members);
    Ok(())
}

async fn unseat(
    tx: &mut WriteTx<'_>,
    admin: &Scope<Admin>,
    inbox: InboxId,
    users: &[UserId],
) -> Result<()> {
    if users.is_empty() {
        return Ok(());
    }
    let members = users::sql::members(tx, admin, users).await?;
    sql::remove_members(tx, admin, inbox, users).await?;
    refresh(tx, members);
    Ok(())
}

/// What their sockets hear has changed.
fn refresh(tx: &mut WriteTx<'_>, members: Vec<Member>) {
    for member in members {
        events::refresh(tx, member.pubsub_token);
    }
}

/// An inbox that the caller may look at.
///
/// # Errors
/// [`Error::NotFound`] for an inbox the account lacks, [`Error::Unauthorized`] for one that is not theirs.
pub async fn visible(
    tx: &mut Tx<'_>,
    scope: &Scope<Agent>,
    inbox: InboxId,
) -> Result<super::InboxWithChannel> {
    let found = sql::get(tx, scope, inbox).await?.ok_or(Error::NotFound)?;
    if !scope.is_admin() && !sql::is_member(tx, scope, inbox, scope.user_id()).await? {
        return Err(Error::not_authorized());
    }
    Ok(found)
}

/// Who may be given the conversations of any of `inboxes`: who sits at all of them, and the
/// administrators.
///
/// # Errors
/// [`Error::NotFound`] for an inbox the account lacks, [`Error::Unauthorized`] for one that is not theirs.
pub async fn assignable(
    tx: &mut Tx<'_>,
    scope: &Scope<Agent>,
    inboxes: &[InboxId],
) -> Result<Vec<Member>> {
    let mut ids: Vec<i64> = inboxes.iter().map(|inbox| inbox.0).collect();
    ids.sort_unstable();
    ids.dedup();
    let account = scope.account_id();
    let known = tx.all(&sql::KNOWN, args![account, ids, scope.user_id()]).await?;
    if known.len() < ids.len() {
        return Err(Error::NotFound);
    }
    if !scope.is_admin() && known.iter().any(|(_, own)| !own) {
        return Err(Error::not_authorized());
    }
    let count = i64::try_from(ids.len()).unwrap_or(i64::MAX);
    let rows = tx.all(&sql::ASSIGNABLE, args![account, ids, count]).await?;
    Ok(rows.into_iter().map(Member::from).collect())
}
