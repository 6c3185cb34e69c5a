//! Statements on conversations.

use chatwarden_db::{DbError, Json, Tx, WriteTx, args, statements};

use super::{Conversation, Found};
use crate::ids::{
    AgentBotId, ContactId, ContactInboxId, ConversationId, DisplayId, InboxId, UserId,
};
use crate::scope::Scope;

/// The columns of [`Conversation`], joined as [`conversation_from!`] joins them. Of an account's flags,
/// 72057594037927944 are `conversation_unread_counts` and `unread_count_for_filters`.
macro_rules! conversation_columns {
    () => {
        concat!(
            "c.id, c.account_id, c.display_id, c.uuid, c.inbox_id, c.contact_id, c.contact_inbox_id, c.status, \
             c.priority, c.assignee_id, c.assignee_agent_bot_id, c.team_id, c.additional_attributes, \
             c.custom_attributes, c.labels, c.snoozed_until, c.waiting_since, c.first_reply_created_at, \
             c.agent_last_seen_at, c.assignee_last_seen_at, c.contact_last_seen_at, c.last_activity_at, \
             c.unread_count, c.burst_began_at, c.burst_count, c.last_message_id, c.last_non_activity_message_id, c.last_public_message_id, \
             c.created_at, c.updated_at, ",
            $crate::contact_columns!(),
            ", ci.id, ci.contact_id, ci.inbox_id, ci.source_id, ci.hmac_verified, ci.absorbed, ci.pubsub_token, \
             ci.created_at, ci.updated_at, ib.id, ib.name, ib.channel_type, ib.enable_auto_assignment, \
             (ib.greeting_enabled or ib.working_hours_enabled or ib.enable_email_collect), ib.csat_survey_enabled, \
             ib.reply_window, \
             (select ac.feature_flags & 72057594037927944 from accounts ac where ac.id = c.account_id), \
             exists (select 1 from conversation_participants cp where cp.account_id = c.account_id \
                and cp.conversation_id = c.id and cp.user_id <> coalesce(c.assignee_id, 0)), \
             case when ib.reply_window is not null then (select m.created_at from messages m \
                where m.account_id = c.account_id and m.conversation_id = c.id and m.message_type = 0 \
                order by m.created_at desc limit 1) end, ",
            $crate::member_columns!(),
            ", ",
            $crate::team_columns!(),
            ", ab.id, ab.account_id, ab.name, ab.description, ab.outgoing_url, ab.avatar"
        )
    };
}

macro_rules! conversation_from {
    () => {
        "from conversations c \
         join contacts ct on ct.account_id = c.account_id and ct.id = c.contact_id \
         join contact_inboxes ci on ci.account_id = c.account_id and ci.id = c.contact_inbox_id \
         join inboxes ib on ib.account_id = c.account_id and ib.id = c.inbox_id \
         left join account_users au on au.account_id = c.account_id and au.user_id = c.assignee_id \
         left join users u on u.id = au.user_id \
         left join teams t on t.account_id = c.account_id and t.id = c.team_id \
         left join agent_bots ab on ab.id = c.assignee_agent_bot_id "
    };
}

macro_rules! access_column {
    () => {
        ", (exists (select 1 from inbox_members im where im.account_id = c.account_id and im.inbox_id = c.inbox_id \
         and im.user_id = $3) or exists (select 1 from team_members tm where tm.account_id = c.account_id \
         and tm.team_id = c.team_id and tm.user_id = $3)) "
    };
}

/// Whether member `au` may be given the conversations of an inbox: administrators, and who sits there.
macro_rules! sits {
    ($inbox:literal) => {
        concat!(
            "(au.role = 1 or exists (select 1 from inbox_members im where im.account_id = au.account_id \
             and im.inbox_id = ",
            $inbox,
            " and im.user_id = au.user_id))"
        )
    };
}

/// Whether member `au` may see a conversation of an inbox and a team (`behaviours.md §3`).
macro_rules! sees {
    ($inbox:literal, $team:literal) => {
        concat!(
            "(",
            $crate::conversations::sql::sits!($inbox),
            " or exists (select 1 from team_members tm where tm.account_id = au.account_id and tm.team_id = ",
            $team,
            " and tm.user_id = au.user_id))"
        )
    };
}

pub(crate) use {conversation_columns, conversation_from, sees, sits};

statements! {
    /// $1 account, $2 display id, $3 user
    FIND: Found = "conversations.find", (concat!("select ", conversation_columns!(), access_column!(),
        conversation_from!(), "where c.account_id = $1 and c.display_id = $2"));
    /// $1 account, $2 display id
    LOCK: (i64,) = "conversations.lock",
        "select c.id from conversations c where c.account_id = $1 and c.display_id = $2 @lock(c)";
    /// $1 account, $2 row id
    LOCK_ROW: (i64,) = "conversations.lock_row",
        "select c.id from conversations c where c.account_id = $1 and c.id = $2 @lock(c)";
    /// $1 account, $2 contact inbox, $3 inbox
    LOCK_LATEST: (i64,) = "conversations.lock_latest",
        "select c.id from conversations c
         where c.account_id = $1 and c.contact_inbox_id = $2 and c.inbox_id = $3 order by c.id desc limit 1 @lock(c)";
    /// $1 account, $2 contact inbox: who opens a conversation of it does so alone; whose it is now
    LOCK_CONTACT_INBOX: (ContactId,) = "conversations.lock_contact_inbox",
        "select ci.contact_id from contact_inboxes ci where ci.account_id = $1 and ci.id = $2 @lock(ci)";
    /// $1 account, $2 inbox
    ACTIVE_BOT: (AgentBotId,) = "conversations.active_bot",
        "select agent_bot_id from agent_bot_inboxes where account_id = $1 and inbox_id = $2 and status = 0";
    /// $1 account, $2 row ids
    BY_IDS: Conversation = "conversations.by_ids", (concat!("select ", conversation_columns!(), " ",
        conversation_from!(), "where c.account_id = $1 and c.id @in($2) order by c.id"));
    /// $1 account, $2 row id
    GET: Conversation = "conversations.get", (concat!("select ", conversation_columns!(), " ", conversation_from!(),
        "where c.account_id = $1 and c.id = $2"));
    /// $1 account
    NEXT_DISPLAY_ID: (i64,) = "conversations.next_display_id",
        "update account_sequences set conversations = conversations + 1 where account_id = $1 returning conversations";
    /// $1 account, $2 display id, $3 uuid, $4 inbox, $5 contact, $6 contact inbox, $7 status, $8 assignee,
    /// $9 additional, $10 custom attributes, $11 snoozed until, $12 now, $13 bot, $14 team
    INSERT: (i64,) = "conversations.insert",
        "insert into conversations (account_id, display_id, uuid, inbox_id, contact_id, contact_inbox_id, status,
            assignee_id, additional_attributes, custom_attributes, labels, snoozed_until, waiting_since,
            last_activity_at, unread_count, burst_began_at, burst_count, created_at, updated_at, assignee_agent_bot_id, team_id)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, '[]', $11, $12, $12, 0, $12, 0, $12, $12, $13, $14) returning id";
    /// Everything that may change, from the row in hand: it is locked.
    UPDATE: () = "conversations.update",
        "update conversations set status = $3, priority = $4, assignee_id = $5, assignee_agent_bot_id = $6, team_id = $7,
            additional_attributes = $8, custom_attributes = $9, labels = $10, snoozed_until = $11,
            waiting_since = $12, first_reply_created_at = $13, agent_last_seen_at = $14,
            assignee_last_seen_at = $15, contact_last_seen_at = $16, last_activity_at = $17, unread_count = $18,
            last_message_id = $19, last_non_activity_message_id = $20, last_public_message_id = $21, updated_at = $22,
            burst_began_at = $23, burst_count = $24
         where account_id = $1 and id = $2";
}

/// A conversation by the number its account gave it, and whether `user` is in its inbox.
pub async fn find(
    tx: &mut Tx<'_>,
    scope: &Scope,
    id: DisplayId,
    user: UserId,
) -> Result<Option<Found>, DbError> {
    tx.opt(&FIND, args![scope.account_id(), id, user]).await
}

/// The bot that answers in an inbox.
pub async fn active_bot(
    tx: &mut Tx<'_>,
    scope: &Scope,
    inbox: InboxId,
) -> Result<Option<AgentBotId>, DbError> {
    Ok(tx.opt(&ACTIVE_BOT, args![scope.account_id(), inbox]).await?.map(|(bot,)| bot))
}

/// The same, locked until the transaction ends. What is joined is read once the lock is held: on PostgreSQL,
/// a statement that waits for a row goes on with what it read of the others before.
pub async fn lock(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    id: DisplayId,
    user: UserId,
) -> Result<Option<Found>, DbError> {
    if tx.opt(&LOCK, args![scope.account_id(), id]).await?.is_none() {
        return Ok(None);
    }
    find(tx, scope, id, user).await
}

/// A conversation by its row's id, locked.
pub async fn lock_row(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    id: ConversationId,
) -> Result<Option<Conversation>, DbError> {
    if tx.opt(&LOCK_ROW, args![scope.account_id(), id]).await?.is_none() {
        return Ok(None);
    }
    get(tx, scope, id).await
}

/// Conversations by their rows' ids.
pub async fn by_ids(
    tx: &mut Tx<'_>,
    scope: &Scope,
    ids: &[i64],
) -> Result<Vec<Conversation>, DbError> {
    tx.all(&BY_IDS, args![scope.account_id(), ids]).await
}

/// The newest conversation of a contact inbox, locked.
pub async fn latest_of_contact_inbox(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    contact_inbox: ContactInboxId,
    inbox: InboxId,
) -> Result<Option<Conversation>, DbError> {
    match tx.opt(&LOCK_LATEST, args![scope.account_id(), contact_inbox, inbox]).await? {
        Some((id,)) => get(tx, scope, ConversationId(id)).await,
        None => Ok(None),
    }
}

/// Keeps everybody else from opening a conversation of a contact inbox, and from giving it to another
/// contact, until the transaction ends. Whose it is now; `None` where it is gone.
pub async fn lock_contact_inbox(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    contact_inbox: ContactInboxId,
) -> Result<Option<ContactId>, DbError> {
    let args = args![scope.account_id(), contact_inbox];
    Ok(tx.opt(&LOCK_CONTACT_INBOX, args).await?.map(|(contact,)| contact))
}

/// A conversation by its row's id.
pub async fn get(
    tx: &mut Tx<'_>,
    scope: &Scope,
    id: ConversationId,
) -> Result<Option<Conversation>, DbError> {
    tx.opt(&GET, args![scope.account_id(), id]).await
}

/// The next number of the account; the account's row is locked until the transaction ends, so this
/// comes last.
pub async fn next_display_id(tx: &mut WriteTx<'_>, scope: &Scope) -> Result<DisplayId, DbError> {
    tx.one(&NEXT_DISPLAY_ID, args![scope.account_id()]).await.map(|(n,)| DisplayId(n))
}

/// Adds a conversation.
pub async fn insert(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    display_id: DisplayId,
    inbox: InboxId,
    (contact, contact_inbox): (ContactId, ContactInboxId),
    new: &super::NewConversation,
) -> Result<ConversationId, DbError> {
    let (now, uuid) = (tx.now(), tx.ambient().uuid());
    tx.one(
        &INSERT,
        args![
            scope.account_id(),
            display_id,
            uuid,
            inbox,
            contact,
            contact_inbox,
            new.status,
            new.assignee,
            Json(&new.additional_attributes),
            Json(&new.custom_attributes),
            new.snoozed_until,
            now,
            new.agent_bot,
            new.team.as_ref().map(|team| team.id)
        ],
    )
    .await
    .map(|(id,)| ConversationId(id))
}

/// Writes what may have changed.
pub async fn update(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    c: &super::ConversationRow,
) -> Result<u64, DbError> {
    tx.run(
        &UPDATE,
        args![
            scope.account_id(),
            c.id,
            c.status,
            c.priority,
            c.assignee_id,
            c.assignee_agent_bot_id,
            c.team_id,
            c.additional_attributes,
            c.custom_attributes,
            c.labels,
            c.snoozed_until,
            c.waiting_since,
            c.first_reply_created_at,
            c.agent_last_seen_at,
            c.assignee_last_seen_at,
            c.contact_last_seen_at,
            c.last_activity_at,
            c.unread_count,
            c.last_message_id,
            c.last_non_activity_message_id,
            c.last_public_message_id,
            c.updated_at,
            c.burst_began_at,
            c.burst_count
        ],
    )
    .await
}
