//! Statements on messages.

use chatwarden_db::{DbError, Json, Tx, WriteTx, args, statements};

use super::{Message, NewMessage, Sent};
use crate::ids::{ConversationId, InboxId, MessageId};
use crate::scope::Scope;

macro_rules! sent_select {
    () => {
        concat!(
            "select m.id, m.account_id, m.conversation_id, m.inbox_id, m.message_type, m.content_type, m.content, \
             m.processed_content, m.private, m.status, m.sender_type, m.sender_id, m.source_id, \
             m.content_attributes, m.additional_attributes, m.attachments, m.created_at, m.updated_at, ",
            $crate::contact_columns!(),
            ", su.id, su.name, su.display_name, sau.availability, sau.auto_offline, su.avatar, sb.id, sb.name, sb.avatar \
             from messages m \
             left join contacts ct on m.sender_type = 'Contact' and ct.account_id = m.account_id and ct.id = m.sender_id \
             left join users su on m.sender_type = 'User' and su.id = m.sender_id \
             left join account_users sau on sau.account_id = m.account_id and sau.user_id = su.id \
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
    /// $1 account, $2 conversation, $3 before, $4 limit; newest first
    BEFORE: Sent = "messages.before", (concat!(sent_select!(),
        "where m.account_id = $1 and m.conversation_id = $2 and m.id < $3 order by m.id desc limit $4"));
    /// $1 account, $2 conversation, $3 from, $4 before, $5 limit; oldest first
    BETWEEN: Sent = "messages.between", (concat!(sent_select!(),
        "where m.account_id = $1 and m.conversation_id = $2 and m.id >= $3 and m.id < $4 order by m.id limit $5"));
    /// $1 account, $2 conversation, $3 before, $4 limit; newest first, without notes and activities
    PUBLIC_BEFORE: Sent = "messages.public_before", (concat!(sent_select!(),
        "where m.account_id = $1 and m.conversation_id = $2 and m.id < $3 and not m.private and m.message_type <> 2
         order by m.id desc limit $4"));
    /// $1 account, $2 conversation, $3 from, $4 limit; oldest first, without notes and activities
    PUBLIC_FROM: Sent = "messages.public_from", (concat!(sent_select!(),
        "where m.account_id = $1 and m.conversation_id = $2 and m.id >= $3 and not m.private and m.message_type <> 2
         order by m.id limit $4"));
    /// $1 account, $2 conversations: their public messages, newest first
    PUBLIC_OF: Sent = "messages.public_of", (concat!(sent_select!(),
        "where m.account_id = $1 and m.conversation_id @in($2) and not m.private and m.message_type <> 2
         order by m.id desc limit 5000"));
    /// $1 account, $2 message, $3 content, $4 content attributes, $5 status, $6 now, $7 content type
    UPDATE: () = "messages.update",
        "update messages set content = $3, processed_content = $3, content_attributes = $4, status = $5, updated_at = $6,
            content_type = $7
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
/// up to 100 after one; up to 1,000 between two.
pub async fn list(
    tx: &mut Tx<'_>,
    scope: &Scope,
    conversation: ConversationId,
    after: Option<i64>,
    before: Option<i64>,
) -> Result<Vec<Sent>, DbError> {
    let account = scope.account_id();
    match (after, before) {
        (Some(after), None) => {
            tx.all(
                &BETWEEN,
                args![account, conversation, after.saturating_add(1), i64::MAX, 100_i64],
            )
            .await
        }
        (Some(after), Some(before)) => {
            tx.all(&BETWEEN, args![account, conversation, after, before, 1000_i64]).await
        }
        (None, before) => {
            let mut found = tx
                .all(&BEFORE, args![account, conversation, before.unwrap_or(i64::MAX), 20_i64])
                .await?;
            found.reverse();
            Ok(found)
        }
    }
}

/// The same for the contact: no private notes, no activities (`widget.md §7.4`).
pub async fn list_public(
    tx: &mut Tx<'_>,
    scope: &Scope,
    conversation: ConversationId,
    after: Option<i64>,
    before: Option<i64>,
) -> Result<Vec<Sent>, DbError> {
    let account = scope.account_id();
    if let Some(after) = after {
        return tx
            .all(&PUBLIC_FROM, args![account, conversation, after.saturating_add(1), 100_i64])
            .await;
    }
    let mut found = tx
        .all(&PUBLIC_BEFORE, args![account, conversation, before.unwrap_or(i64::MAX), 20_i64])
        .await?;
    found.reverse();
    Ok(found)
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
            message.content_attributes,
            message.status,
            message.updated_at,
            message.content_type
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
