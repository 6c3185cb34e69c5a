//! Statements on notifications.

use chatwarden_db::{DbError, Tx, WriteTx, args, statements};

use super::{Kind, Notification};
use crate::ids::{ConversationId, UserId};
use crate::scope::Scope;

macro_rules! notification_columns {
    () => {
        "id, account_id, user_id, notification_type, primary_actor_id, secondary_actor_type, secondary_actor_id, meta, \
         read_at, snoozed_until, last_activity_at, created_at, updated_at"
    };
}

statements! {
    /// $1 account, $2 user, $3 kind, $4 conversation, $5 secondary type, $6 secondary, $7 now
    INSERT: Notification = "notifications.insert", (concat!(
        "insert into notifications (account_id, user_id, notification_type, primary_actor_id, secondary_actor_type,
            secondary_actor_id, meta, last_activity_at, created_at, updated_at)
         values ($1, $2, $3, $4, $5, $6, '{}', $7, $7, $7) returning ", notification_columns!()));
    /// $1 account, $2 user, $3 conversation: the newest takes the place of the others
    DELETE_OLDER: () = "notifications.delete_older",
        "delete from notifications where account_id = $1 and user_id = $2 and primary_actor_id = $3";
    /// $1 account, $2 user, $3 now
    UNREAD: (i64,) = "notifications.unread",
        "select count(*) from notifications where account_id = $1 and user_id = $2 and read_at is null
         and (snoozed_until is null or snoozed_until <= $3)";
    /// $1 account, $2 inbox: members who are told of new conversations, by mail or push
    WANT_CREATION: (UserId,) = "notifications.want_creation",
        "select im.user_id from inbox_members im join notification_settings ns
            on ns.account_id = im.account_id and ns.user_id = im.user_id
         where im.account_id = $1 and im.inbox_id = $2 and (ns.email_flags & 1 = 1 or ns.push_flags & 1 = 1)";
}

/// Tells a user, in the place of what they were told of the conversation before.
pub async fn replace(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    user: UserId,
    kind: Kind,
    conversation: ConversationId,
    secondary: Option<(&str, i64)>,
) -> Result<Notification, DbError> {
    tx.run(&DELETE_OLDER, args![scope.account_id(), user, conversation]).await?;
    let now = tx.now();
    let (secondary_type, secondary_id) = secondary.unzip();
    tx.one(
        &INSERT,
        args![scope.account_id(), user, kind, conversation, secondary_type, secondary_id, now],
    )
    .await
}

/// What a user has not read, and is not to be reminded of later.
pub async fn unread(tx: &mut Tx<'_>, scope: &Scope, user: UserId) -> Result<i64, DbError> {
    let now = tx.now();
    tx.one(&UNREAD, args![scope.account_id(), user, now]).await.map(|(n,)| n)
}

/// The members of an inbox who want to be told of its new conversations.
pub async fn want_creation(
    tx: &mut Tx<'_>,
    scope: &Scope,
    inbox: crate::ids::InboxId,
) -> Result<Vec<UserId>, DbError> {
    Ok(tx
        .all(&WANT_CREATION, args![scope.account_id(), inbox])
        .await?
        .into_iter()
        .map(|(u,)| u)
        .collect())
}
