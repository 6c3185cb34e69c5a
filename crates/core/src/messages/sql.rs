//! Statements on messages.

use chatwarden_db::{DbError, Json, Tx, WriteTx, args, statements};

use super::templates::Answered;
use super::variables::Place;
use super::{Message, NewMessage, Sent};
use crate::ids::{ConversationId, InboxId, MessageId};
use crate::scope::Scope;

/// What is read of messages `m` of the account $1, and of who sent them.
macro_rules! sent_select {
    () => {
        sent_select!("messages")
    };
    // Of a stretch of them. It is cut before who sent them is joined: PostgreSQL plans a prepared statement for a
    // conversation of few messages, where it may join all of a long one and sort them.
    ($messages:expr) => {
        concat!(
            "select m.id, m.account_id, m.conversation_id, m.inbox_id, m.message_type, m.content_type, m.content, \
             m.processed_content, m.private, m.status, m.sender_type, m.sender_id, m.source_id, \
             m.content_attributes, m.additional_attributes, m.attachments, m.created_at, m.updated_at, ",
            $crate::contact_columns!(),
            ", su.id, su.name, su.display_name, sau.availability, sau.auto_offline, su.avatar, sb.id, sb.name, sb.avatar \
             from ", $messages, " m \
             left join contacts ct on m.sender_type = 'Contact' and ct.account_id = $1 and ct.id = m.sender_id \
             left join users su on m.sender_type = 'User' and su.id = m.sender_id \
             left join account_users sau on sau.account_id = $1 and sau.user_id = su.id \
             left join agent_bots sb on m.sender_type = 'AgentBot' and sb.id = m.sender_id "
        )
    };
}

statements! {
    /// $1 account, $2 conversation, $3 inbox, $4 type, $5 content type, $6 content, $7 processed content, $8 private,
    /// $9 status, $10 sender type, $11 sender, $12 source id, $13 content attributes, $14 additional attributes, $15 now
    INSERT: (i64,) = "messages.insert",
        "insert into messages (account_id, conversation_id, inbox_id, message_type, content_type, content,
            processed_content, private, status, sender_type, sender_id, source_id, content_attributes,
            additional_attributes, attachments, created_at, updated_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, '[]', $15, $15) returning id";
    /// $1 account, $2 ids
    BY_IDS: Sent = "messages.by_ids", (concat!(sent_select!(), "where m.account_id = $1 and m.id @in($2)"));
    /// $1 account, $2 id
    GET: Sent = "messages.get", (concat!(sent_select!(), "where m.account_id = $1 and m.id = $2"));
    /// $1 account, $2 conversation, $3 id
    FIND: Sent = "messages.find", (concat!(sent_select!(), "where m.account_id = $1 and m.conversation_id = $2 and m.id = $3"));
    /// $1 account, $2 conversation, $3 before, $4 limit, $5 without notes and activities; newest first
    BEFORE: Sent = "messages.before", (concat!(
        sent_select!("(select * from messages where account_id = $1 and conversation_id = $2 and id < $3
            and not ($5 and (private or message_type = 2)) order by id desc limit $4)"),
        "order by m.id desc"));
    /// $1 account, $2 conversation, $3 from, $4 before, $5 limit, $6 without notes and activities; oldest first
    BETWEEN: Sent = "messages.between", (concat!(
        sent_select!("(select * from messages where account_id = $1 and conversation_id = $2 and id >= $3 and id < $4
            and not ($6 and (private or message_type = 2)) order by id limit $5)"),
        "order by m.id"));
    /// $1 account, $2 conversation, $3 id
    REFERENCE: (MessageId, Option<String>) = "messages.reference",
        "select id, source_id from messages where account_id = $1 and conversation_id = $2 and id = $3";
    /// $1 account, $2 conversation, $3 source id
    REFERENCE_BY_SOURCE: (MessageId, Option<String>) = "messages.reference_by_source",
        "select id, source_id from messages where account_id = $1 and conversation_id = $2 and source_id = $3
         order by id limit 1";
    /// $1 account, $2 inbox
    PLACE: Place = "messages.place",
        "select a.name, i.name, i.business_name, i.avatar, ch.settings
         from accounts a join inboxes i on i.account_id = a.id
            join channels ch on ch.account_id = i.account_id and ch.inbox_id = i.id
         where i.account_id = $1 and i.id = $2";
    /// $1 account, $2 conversation, $3 today, $4 lately: whether the conversation has an outgoing or a
    /// template message, a template of today, a public answer of lately, and a question for the address, by whomever
    ANSWERED: Answered = "messages.answered",
        "select
            exists (select 1 from messages where account_id = $1 and conversation_id = $2 and message_type in (1, 3)),
            exists (select 1 from messages where account_id = $1 and conversation_id = $2 and message_type in (1, 3)
                and message_type = 3 and created_at >= $3),
            exists (select 1 from messages where account_id = $1 and conversation_id = $2 and message_type in (1, 3)
                and message_type = 1 and not private and created_at > $4),
            exists (select 1 from messages where account_id = $1 and conversation_id = $2 and message_type in (1, 3)
                and content_type = 3)";
    /// $1 account, $2 conversation
    SURVEYED: (i64,) = "messages.surveyed",
        "select count(*) from messages where account_id = $1 and conversation_id = $2
            and message_type in (1, 3) and message_type = 3 and content_type = 9";
    /// $1 account, $2 conversation: what its contact has not read, of the newest messages
    UNREAD: Sent = "messages.unread", (concat!(sent_select!(),
        "where m.account_id = $1 and m.conversation_id = $2 and m.status in (0, 1) and m.message_type <> 0
            and m.id in (select id from messages where account_id = $1 and conversation_id = $2
                order by id desc limit 200)
         order by m.id"));
    /// $1 account, $2 ids, $3 now
    MARK_READ: () = "messages.mark_read",
        "update messages set status = 2, updated_at = $3 where account_id = $1 and id @in($2)";
    /// $1 account, $2 conversations: their public messages, newest first
    PUBLIC_OF: Sent = "messages.public_of", (concat!(sent_select!(),
        "where m.account_id = $1 and m.conversation_id @in($2) and not m.private and m.message_type <> 2
         order by m.id desc limit 5000"));
    /// $1 account, $2 message, $3 content, $4 processed content, $5 content attributes, $6 status, $7 now,
    /// $8 content type, $9 source id, $10 attachments
    UPDATE: () = "messages.update",
        "update messages set content = $3, processed_content = $4, content_attributes = $5, status = $6,
            updated_at = $7, content_type = $8, source_id = $9, attachments = $10
         where account_id = $1 and id = $2";
}

/// Adds a message; its id.
pub async fn insert(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    conversation: ConversationId,
    inbox: InboxId,
    new: &NewMessage,
) -> Result<MessageId, DbError> {
    let now = tx.now();
    tx.one(
        &INSERT,
        args![
            scope.account_id(),
            conversation,
            inbox,
            new.message_type,
            new.content_type,
            new.content,
            new.content,
            new.private,
            new.status,
            new.sender.kind(),
            new.sender.id(),
            new.source_id,
            Json(&new.content_attributes),
            Json(&new.additional_attributes),
            now
        ],
    )
    .await
    .map(|(id,)| MessageId(id))
}

/// Messages by their ids, in no order.
pub async fn by_ids(tx: &mut Tx<'_>, scope: &Scope, ids: &[i64]) -> Result<Vec<Sent>, DbError> {
    tx.all(&BY_IDS, args![scope.account_id(), ids]).await
}

/// A message of the account.
pub async fn get(tx: &mut Tx<'_>, scope: &Scope, id: MessageId) -> Result<Option<Sent>, DbError> {
    tx.opt(&GET, args![scope.account_id(), id]).await
}

/// A message of a conversation.
pub async fn find(
    tx: &mut Tx<'_>,
    scope: &Scope,
    conversation: ConversationId,
    id: MessageId,
) -> Result<Option<Sent>, DbError> {
    tx.opt(&FIND, args![scope.account_id(), conversation, id]).await
}

/// A stretch of a conversation, oldest first (`behaviours.md §9.1`): the latest 20; 20 before an id;
/// up to 100 after one; up to 1,000 between two. `shared` leaves out private notes and activities.
pub async fn list(
    tx: &mut Tx<'_>,
    scope: &Scope,
    conversation: ConversationId,
    after: Option<i64>,
    before: Option<i64>,
    shared: bool,
) -> Result<Vec<Sent>, DbError> {
    let account = scope.account_id();
    let (from, limit) = match (after, before) {
        (Some(after), Some(_)) => (after, 1000_i64),
        (Some(after), None) => (after.saturating_add(1), 100),
        (None, before) => {
            let before = before.unwrap_or(i64::MAX);
            let mut found =
                tx.all(&BEFORE, args![account, conversation, before, 20_i64, shared]).await?;
            found.reverse();
            return Ok(found);
        }
    };
    let before = before.unwrap_or(i64::MAX);
    tx.all(&BETWEEN, args![account, conversation, from, before, limit, shared]).await
}

/// A message that another refers to: its id and its channel's.
pub async fn reference(
    tx: &mut Tx<'_>,
    scope: &Scope,
    conversation: ConversationId,
    id: MessageId,
) -> Result<Option<(MessageId, Option<String>)>, DbError> {
    tx.opt(&REFERENCE, args![scope.account_id(), conversation, id]).await
}

/// The same, by the channel's id.
pub async fn reference_by_source(
    tx: &mut Tx<'_>,
    scope: &Scope,
    conversation: ConversationId,
    source_id: &str,
) -> Result<Option<(MessageId, Option<String>)>, DbError> {
    tx.opt(&REFERENCE_BY_SOURCE, args![scope.account_id(), conversation, source_id]).await
}

/// Writes what may change of a message.
pub async fn update(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    message: &Message,
) -> Result<u64, DbError> {
    tx.run(
        &UPDATE,
        args![
            scope.account_id(),
            message.id,
            message.content,
            message.processed_content,
            message.content_attributes,
            message.status,
            message.updated_at,
            message.content_type,
            message.source_id,
            message.attachments
        ],
    )
    .await
}

/// The public messages of conversations, oldest first.
pub async fn public_of(
    tx: &mut Tx<'_>,
    scope: &Scope,
    conversations: &[i64],
) -> Result<Vec<Sent>, DbError> {
    tx.all(&PUBLIC_OF, args![scope.account_id(), conversations]).await
}
