//! Statements on inboxes and channels.

use chatwarden_db::{DbError, Json, Tx, WriteTx, args, statements};

use super::InboxWithChannel;
use super::create::{NewInbox, working_hours};
use crate::ids::{InboxId, UserId};
use crate::scope::{Agent, Scope};

/// The columns of [`InboxWithChannel`], for `inboxes i` and `channels ch`.
macro_rules! inbox_columns {
    () => {
        "i.id, i.account_id, i.name, i.channel_type, i.greeting_enabled, i.greeting_message, i.enable_email_collect, \
         i.csat_survey_enabled, i.csat_config, i.enable_auto_assignment, i.auto_assignment_config, \
         i.working_hours_enabled, i.working_hours, i.out_of_office_message, i.timezone, \
         i.allow_messages_after_resolved, i.lock_to_single_conversation, i.sender_name_type, i.business_name, \
         i.portal_id, i.avatar, i.created_at, i.updated_at, \
         ch.id, ch.inbox_id, ch.channel_type, ch.token, ch.hmac_token, ch.secret, ch.hmac_mandatory, ch.settings \
         from inboxes i join channels ch on ch.account_id = i.account_id and ch.inbox_id = i.id "
    };
}

statements! {
    /// $1 channel type, $2 token: the account is what is looked for
    BY_TOKEN: InboxWithChannel = "inboxes.by_token", (concat!("select ", inbox_columns!(),
        "where ch.token = $2 and ch.channel_type = $1"));
    /// $1 account, $2 user, $3 is administrator
    LIST: InboxWithChannel = "inboxes.list", (concat!("select ", inbox_columns!(), "where i.account_id = $1 and ($3 or exists (
        select 1 from inbox_members im where im.account_id = $1 and im.inbox_id = i.id and im.user_id = $2)) order by i.name, i.id"));
    /// $1 account, $2 inbox, $3 user
    IS_MEMBER: (i64,) = "inboxes.is_member",
        "select count(*) from inbox_members where account_id = $1 and inbox_id = $2 and user_id = $3";
    /// $1 account, $2 inbox
    MEMBER_IDS: (i64,) = "inboxes.member_ids", "select user_id from inbox_members where account_id = $1 and inbox_id = $2";
    /// $1 account, $2 user
    IDS_OF_USER: (i64,) = "inboxes.ids_of_user", "select inbox_id from inbox_members where account_id = $1 and user_id = $2";
    /// $1 account, $2 inbox, $3 users, $4 now
    ADD_MEMBERS: () = "inboxes.add_members",
        "insert into inbox_members (account_id, inbox_id, user_id, created_at)
         select $1, $2, au.user_id, $4 from account_users au where au.account_id = $1 and au.user_id @in($3)
         on conflict do nothing";
    /// $1 account, $2 name, $3 channel type, $4 greeting enabled, $5 greeting, $6 e-mail collect, $7 csat, $8 auto assignment,
    /// $9 working hours, $10 messages after resolved, $11 one conversation, $12 now
    INSERT: (i64,) = "inboxes.insert",
        "insert into inboxes (account_id, name, channel_type, greeting_enabled, greeting_message, enable_email_collect,
            csat_survey_enabled, csat_config, enable_auto_assignment, auto_assignment_config, working_hours_enabled,
            working_hours, timezone, allow_messages_after_resolved, lock_to_single_conversation, sender_name_type,
            created_at, updated_at)
         values ($1, $2, $3, $4, $5, $6, $7, '{}', $8, '{}', false, $9, 'UTC', $10, $11, 0, $12, $12) returning id";
    /// $1 account, $2 inbox, $3 channel type, $4 token, $5 hmac token, $6 secret, $7 hmac mandatory, $8 settings, $9 now
    INSERT_CHANNEL: () = "inboxes.insert_channel",
        "insert into channels (account_id, inbox_id, channel_type, token, hmac_token, secret, hmac_mandatory, settings,
            created_at, updated_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)";
    /// $1 account, $2 inbox
    GET: InboxWithChannel = "inboxes.get", (concat!("select ", inbox_columns!(), "where i.account_id = $1 and i.id = $2"));
}

/// An inbox of the account.
pub async fn get(
    tx: &mut Tx<'_>,
    scope: &Scope,
    id: InboxId,
) -> Result<Option<InboxWithChannel>, DbError> {
    tx.opt(&GET, args![scope.account_id(), id]).await
}

/// The inboxes that a member sees: all for administrators, else their own.
pub async fn list(tx: &mut Tx<'_>, scope: &Scope<Agent>) -> Result<Vec<InboxWithChannel>, DbError> {
    tx.all(&LIST, args![scope.account_id(), scope.user_id(), scope.is_admin()]).await
}

/// Whether a user is in an inbox.
pub async fn is_member(
    tx: &mut Tx<'_>,
    scope: &Scope,
    inbox: InboxId,
    user: UserId,
) -> Result<bool, DbError> {
    tx.one(&IS_MEMBER, args![scope.account_id(), inbox, user]).await.map(|(n,)| n > 0)
}

/// The members of an inbox.
pub async fn member_ids(
    tx: &mut Tx<'_>,
    scope: &Scope,
    inbox: InboxId,
) -> Result<Vec<UserId>, DbError> {
    Ok(tx
        .all(&MEMBER_IDS, args![scope.account_id(), inbox])
        .await?
        .into_iter()
        .map(|(id,)| UserId(id))
        .collect())
}

/// The inboxes that a user is in.
pub async fn ids_of_user(
    tx: &mut Tx<'_>,
    scope: &Scope,
    user: UserId,
) -> Result<Vec<InboxId>, DbError> {
    Ok(tx
        .all(&IDS_OF_USER, args![scope.account_id(), user])
        .await?
        .into_iter()
        .map(|(id,)| InboxId(id))
        .collect())
}

/// Adds members; those who are already stay.
pub async fn add_members(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    inbox: InboxId,
    users: &[i64],
) -> Result<u64, DbError> {
    let now = tx.now();
    tx.run(&ADD_MEMBERS, args![scope.account_id(), inbox, users, now]).await
}

/// Adds an inbox.
pub async fn insert(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    new: &NewInbox,
) -> Result<InboxId, DbError> {
    let now = tx.now();
    tx.one(
        &INSERT,
        args![
            scope.account_id(),
            new.name,
            new.channel_type,
            new.greeting_enabled,
            new.greeting_message,
            new.enable_email_collect,
            new.csat_survey_enabled,
            new.enable_auto_assignment,
            Json(working_hours()),
            new.allow_messages_after_resolved,
            new.lock_to_single_conversation,
            now
        ],
    )
    .await
    .map(|(id,)| InboxId(id))
}

/// Adds an inbox's channel, with tokens of its own.
pub async fn insert_channel(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    inbox: InboxId,
    new: &NewInbox,
) -> Result<u64, DbError> {
    let (now, token) = (tx.now(), tx.ambient().token(24));
    let (hmac, secret) = (tx.ambient().token(24), tx.ambient().token(24));
    tx.run(
        &INSERT_CHANNEL,
        args![
            scope.account_id(),
            inbox,
            new.channel_type,
            token,
            hmac,
            secret,
            new.hmac_mandatory,
            Json(&new.settings),
            now
        ],
    )
    .await
}
