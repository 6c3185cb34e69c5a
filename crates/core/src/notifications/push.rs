//! A notification in cable frames (`resources.md §14`).

use chatwarden_db::{Timestamp, Tx};
use serde_json::{Value, json};

use super::Notification;
use crate::conversations::{Conversation, ConversationPush};
use crate::messages::{MessagePush, MessageType, Sent};
use crate::users::{Member, UserPush};

/// The words of a text that a notification quotes.
const WORDS: usize = 10;

/// What is said besides the kind: who wrote what, in a few words.
pub(super) fn body(conversation: &Conversation, quoted: Option<&Sent>) -> String {
    let Some(sent) = quoted else { return ": No content".to_owned() };
    let name = match (&sent.user, &sent.contact, &sent.bot) {
        (Some(user), ..) => user.name.as_str(),
        (_, Some(contact), _) => contact.name.as_str(),
        (.., Some(bot)) => bot.name.as_str(),
        _ if sent.message.message_type == MessageType::Incoming => {
            conversation.contact.name.as_str()
        }
        _ => "",
    };
    let plain: String = sent
        .message
        .content
        .as_deref()
        .unwrap_or_default()
        .chars()
        .filter(|c| !matches!(c, '*' | '_' | '`'))
        .collect();
    let mut words = plain.split_whitespace();
    let mut text = words.by_ref().take(WORDS).collect::<Vec<_>>().join(" ");
    if words.next().is_some() {
        text.push_str("...");
    }
    if text.is_empty() { format!("{name}: No content") } else { format!("{name}: {text}") }
}

/// The push form; its title repeats the body, as Chatwoot's does.
pub(super) fn form(
    tx: &Tx<'_>,
    notification: &Notification,
    conversation: &Conversation,
    last: Option<&Sent>,
    secondary: Option<&Sent>,
    user: &Member,
) -> Value {
    let body = body(conversation, secondary.or(last));
    let actor = match notification.secondary_actor_type.as_deref() {
        Some("Message") => secondary.map(|sent| json!(MessagePush::of(tx, conversation, sent))),
        _ => None,
    };
    json!({
        "id": notification.id,
        "notification_type": notification.notification_type,
        "push_message_title": body,
        "push_message_body": body,
        "primary_actor_type": "Conversation",
        "primary_actor_id": notification.primary_actor_id,
        "primary_actor": ConversationPush::of(tx, conversation, last),
        "secondary_actor": actor,
        "user": UserPush::of(tx, user),
        "read_at": notification.read_at.map(Timestamp::iso),
        "snoozed_until": notification.snoozed_until.map(Timestamp::iso),
        "created_at": notification.created_at.unix(),
        "last_activity_at": notification.last_activity_at.unix(),
        "meta": notification.meta.0,
        "account_id": notification.account_id,
    })
}
