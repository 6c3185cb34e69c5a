//! Statements on inboxes and channels.

use chatwarden_db::{DbError, Tx, WriteTx, args, statements};

use super::InboxWithChannel;
use crate::ids::{InboxId, UserId};
use crate::scope::{Agent, Scope};
use crate::users::MemberRow;

/// The columns of [`InboxWithChannel`], for `inboxes i` and `channels ch`.
macro_rules! inbox_columns {
    () => {
        "i.id, i.account_id, i.name, i.channel_type, i.greeting_enabled, i.greeting_message, i.enable_email_collect, \
         i.csat_survey_enabled, i.csat_config, i.enable_auto_assignment, i.auto_assignment_config, \
         i.working_hours_enabled, i.working_hours, i.out_of_office_message, i.timezone, \
         i.allow_messages_after_resolved, i.lock_to_single_conversation, i.sender_name_type, i.business_name, \
         i.portal_id, i.avatar, i.created_at, i.updated_at, \
         ch.id, ch.inbox_id, ch.channel_type, ch.token, ch.hmac_token, ch.secret, ch.hmac_mandatory, ch.address, \
         ch.settings \
         from inboxes i join channels ch on ch.account_id = i.account_id and ch.inbox_id = i.id "
    };
}

pub(crate) use inbox_columns;

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
    /// $1 account, $2 inbox, $3 users
    REMOVE_MEMBERS: () = "inboxes.remove_members",
        "delete from inbox_members where account_id = $1 and inbox_id = $2 and user_id @in($3)";
    /// $1 account, $2 inboxes, $3 user: those there are, and whether the user is in them
    KNOWN: (i64, bool) = "inboxes.known",
        "select i.id, case when im.user_id is null then false else true end from inboxes i
         join channels ch on ch.account_id = i.account_id and ch.inbox_id = i.id
         left join inbox_members im on im.account_id = i.account_id and im.inbox_id = i.id and im.user_id = $3
         where i.account_id = $1 and i.id @in($2)";
    /// $1 account, $2 inboxes, $3 how many: who is in all of them, then the other administrators
    ASSIGNABLE: MemberRow = "inboxes.assignable", (concat!("select ", crate::member_columns!(),
        " from account_users au join users u on u.id = au.user_id
          left join (select im.user_id, count(*) as seats from inbox_members im
            where im.account_id = $1 and im.inbox_id @in($2) group by im.user_id) s on s.user_id = au.user_id
          where au.account_id = $1 and (au.role = 1 or ($3 > 0 and s.seats = $3))
          order by case when $3 > 0 and s.seats = $3 then 0 else 1 end, u.id"));
    /// $1 account, $2 name, $3 channel type, $4 greeting enabled, $5 greeting, $6 e-mail collect, $7 csat, $8 its
    /// settings, $9 auto assignment, $10 its settings, $11 hours enabled, $12 hours, $13 out of office, $14 time zone,
    /// $15 messages after resolved, $16 one conversation, $17 sender name, $18 business name, $19 now,
    /// $20 how long agents may answer
    INSERT: (i64,) = "inboxes.insert",
        "insert into inboxes (account_id, name, channel_type, greeting_enabled, greeting_message, enable_email_collect,
            csat_survey_enabled, csat_config, enable_auto_assignment, auto_assignment_config, working_hours_enabled,
            working_hours, out_of_office_message, timezone, allow_messages_after_resolved, lock_to_single_conversation,
            sender_name_type, business_name, created_at, updated_at, reply_window)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $19, $20) returning id";
    /// $1 account, $2 inbox, $3 channel type, $4 token, $5 hmac token, $6 secret, $7 hmac mandatory, $8 settings,
    /// $9 address, $10 now
    INSERT_CHANNEL: (i64,) = "inboxes.insert_channel",
        "insert into channels (account_id, inbox_id, channel_type, token, hmac_token, secret, hmac_mandatory, settings,
            address, created_at, updated_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10) returning id";
    /// $1 account, $2 inbox; for changing: nobody else changes the rows until the transaction ends
    LOCK: InboxWithChannel = "inboxes.lock", (concat!("select ", inbox_columns!(),
        "where i.account_id = $1 and i.id = $2 @lock(i, ch)"));
    /// Everything that may change but the picture, from the row in hand: it is locked.
    UPDATE: () = "inboxes.update",
        "update inboxes set name = $3, greeting_enabled = $4, greeting_message = $5, enable_email_collect = $6,
            csat_survey_enabled = $7, csat_config = $8, enable_auto_assignment = $9, working_hours_enabled = $10,
            working_hours = $11, out_of_office_message = $12, timezone = $13, allow_messages_after_resolved = $14,
            lock_to_single_conversation = $15, sender_name_type = $16, business_name = $17, updated_at = $18,
            reply_window = $19
         where account_id = $1 and id = $2";
    /// $1 account, $2 inbox, $3 hmac mandatory, $4 settings, $5 address, $6 now
    UPDATE_CHANNEL: () = "inboxes.update_channel",
        "update channels set hmac_mandatory = $3, settings = $4, address = $5, updated_at = $6
         where account_id = $1 and inbox_id = $2";
    /// $1 account, $2 inbox, $3 secret, $4 now
    SET_SECRET: () = "inboxes.set_secret",
        "update channels set secret = $3, updated_at = $4 where account_id = $1 and inbox_id = $2";
    /// $1 account, $2 inbox, $3 bot, $4 now
    CONNECT_BOT: () = "inboxes.connect_bot",
        "insert into agent_bot_inboxes (account_id, inbox_id, agent_bot_id, status, created_at, updated_at)
         values ($1, $2, $3, 0, $4, $4)
         on conflict (account_id, inbox_id) do update set agent_bot_id = excluded.agent_bot_id, status = 0,
            updated_at = excluded.updated_at";
    /// $1 account, $2 inbox
    DISCONNECT_BOT: () = "inboxes.disconnect_bot",
        "delete from agent_bot_inboxes where account_id = $1 and inbox_id = $2";
    /// $1 account, $2 inbox
    DELETE_CHANNEL: () = "inboxes.delete_channel", "delete from channels where account_id = $1 and inbox_id = $2";
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
    users: &[UserId],
) -> Result<u64, DbError> {
    let now = tx.now();
    let users: Vec<i64> = users.iter().map(|user| user.0).collect();
    tx.run(&ADD_MEMBERS, args![scope.account_id(), inbox, users, now]).await
}

/// Takes members out.
pub async fn remove_members(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    inbox: InboxId,
    users: &[UserId],
) -> Result<u64, DbError> {
    let users: Vec<i64> = users.iter().map(|user| user.0).collect();
    tx.run(&REMOVE_MEMBERS, args![scope.account_id(), inbox, users]).await
}
