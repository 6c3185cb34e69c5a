//! A notification as it is shown, in lists and in cable frames (`resources.md §14`).

use std::collections::HashMap;

use chatwarden_db::{Timestamp, Tx, args};
use serde_json::{Value, json};

use super::{Kind, Notification, sql};
use crate::conversations::{Conversation, ConversationPush};
use crate::error::Result;
use crate::ids::{ConversationId, MessageId};
use crate::markdown;
use crate::messages::{self, MessagePush, MessageType, Sent};
use crate::scope::Scope;
use crate::users::{Member, UserPush};

/// The words of a text that a notification quotes.
const WORDS: usize = 10;

/// What the title of a notification says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Titles {
    /// What happened.
    OfLists,
    /// The body again, as Chatwoot's sockets have it.
    OfSockets,
}

/// The messages that notifications show and quote.
#[derive(Debug, Default)]
pub struct Quotes {
    messages: HashMap<MessageId, Sent>,
    quoted: HashMap<ConversationId, Quoted>,
}

/// What is quoted of a conversation where it is not a message that caused the notification.
#[derive(Debug, Clone, Copy, Default)]
struct Quoted {
    first: Option<MessageId>,
    newest: Option<MessageId>,
}

/// Looks up what notifications of these conversations show; `known` is in hand already.
pub(super) async fn quotes(
    tx: &mut Tx<'_>,
    scope: &Scope,
    notifications: &[Notification],
    conversations: &[&Conversation],
    known: Option<&Sent>,
) -> Result<Quotes> {
    let mut out = Quotes::default();
    let of_conversations: Vec<i64> = notifications
        .iter()
        .filter(|n| secondary(n).is_none())
        .map(|n| n.primary_actor_id.0)
        .collect();
    if !of_conversations.is_empty() {
        let rows = tx.all(&sql::QUOTES, args![scope.account_id(), of_conversations]).await?;
        for (id, first, incoming, outgoing) in rows {
            out.quoted.insert(id, Quoted { first, newest: incoming.or(outgoing) });
        }
    }
    if let Some(sent) = known {
        out.messages.insert(sent.message.id, sent.clone());
    }
    let mut ids: Vec<i64> = notifications
        .iter()
        .filter_map(secondary)
        .chain(conversations.iter().filter_map(|c| c.row.last_public_message_id))
        .chain(out.quoted.values().flat_map(|q| q.first.into_iter().chain(q.newest)))
        .filter(|id| !out.messages.contains_key(id))
        .map(|id| id.0)
        .collect();
    ids.sort_unstable();
    ids.dedup();
    if !ids.is_empty() {
        let found = messages::by_ids(tx, scope, &ids).await?;
        out.messages.extend(found.into_iter().map(|sent| (sent.message.id, sent)));
    }
    Ok(out)
}

/// The message that caused a notification.
fn secondary(notification: &Notification) -> Option<MessageId> {
    match notification.secondary_actor_type.as_deref() {
        Some("Message") => notification.secondary_actor_id.map(MessageId),
        _ => None,
    }
}

impl Quotes {
    /// The message that a notification quotes.
    fn of(&self, notification: &Notification) -> Option<&Sent> {
        let quoted = self.quoted.get(&notification.primary_actor_id).copied().unwrap_or_default();
        let id = match notification.notification_type {
            Kind::ConversationCreation => quoted.first,
            Kind::ConversationAssignment => quoted.newest,
            Kind::AssignedConversationNewMessage
            | Kind::ConversationMention
            | Kind::ParticipatingConversationNewMessage => secondary(notification),
        };
        self.messages.get(&id?)
    }

    /// The newest public message of a conversation.
    pub fn newest_of(&self, c: &Conversation) -> Option<&Sent> {
        self.messages.get(&c.row.last_public_message_id?)
    }
}

/// What happened, in a line.
fn title(notification: &Notification, c: &Conversation) -> String {
    let number = c.row.display_id;
    match notification.notification_type {
        Kind::ConversationCreation => {
            format!("A conversation (#{number}) has been created in {}", c.inbox.name)
        }
        Kind::ConversationAssignment => {
            format!("A conversation (#{number}) has been assigned to you")
        }
        Kind::AssignedConversationNewMessage | Kind::ParticipatingConversationNewMessage => {
            format!("A new message is created in conversation (#{number})")
        }
        Kind::ConversationMention => {
            format!("You have been mentioned in conversation (#{number})")
        }
    }
}

/// Who wrote what, in a few words.
fn body(c: &Conversation, quoted: Option<&Sent>) -> String {
    let Some(sent) = quoted else { return ": No content".to_owned() };
    let name = match (&sent.user, &sent.contact, &sent.bot) {
        (Some(user), ..) => user.name.as_str(),
        (_, Some(contact), _) => contact.name.as_str(),
        (.., Some(bot)) => bot.name.as_str(),
        _ if sent.message.message_type == MessageType::Incoming => c.contact.name.as_str(),
        _ => "",
    };
    let content = sent.message.content.as_deref().unwrap_or_default();
    let text = match content.trim() {
        "" if sent.message.attachments.0.is_empty() => "No content".to_owned(),
        "" => "Attachment".to_owned(),
        _ => markdown::plain(&beginning(content)),
    };
    format!("{name}: {text}")
}

/// The first words of a text.
fn beginning(text: &str) -> String {
    let mut words = text.split_whitespace();
    let Some(last) = words.by_ref().take(WORDS).last() else { return String::new() };
    if words.next().is_none() {
        return text.to_owned();
    }
    let end = last.as_ptr().addr() + last.len() - text.as_ptr().addr();
    format!("{}...", text.get(..end).unwrap_or(text).trim_start())
}

/// The form of a notification for its owner.
pub(super) fn form(
    tx: &Tx<'_>,
    notification: &Notification,
    c: &Conversation,
    quotes: &Quotes,
    owner: &Member,
    titles: Titles,
) -> Value {
    let body = body(c, quotes.of(notification));
    let title = match titles {
        Titles::OfLists => title(notification, c),
        Titles::OfSockets => body.clone(),
    };
    let actor = secondary(notification).and_then(|id| quotes.messages.get(&id));
    let mut out = json!({
        "id": notification.id,
        "notification_type": notification.notification_type,
        "push_message_title": title,
        "push_message_body": body,
        "primary_actor_type": "Conversation",
        "primary_actor_id": notification.primary_actor_id,
        "primary_actor": ConversationPush::of(tx, c, quotes.newest_of(c)),
        "secondary_actor": actor.map(|sent| MessagePush::of(tx, c, sent)),
        "user": UserPush::of(tx, owner),
        "read_at": notification.read_at.map(Timestamp::iso),
        "snoozed_until": notification.snoozed_until.map(Timestamp::iso),
        "created_at": notification.created_at.unix(),
        "last_activity_at": notification.last_activity_at.unix(),
        "meta": notification.meta(),
    });
    if let (Titles::OfSockets, Some(object)) = (titles, out.as_object_mut()) {
        object.insert("account_id".to_owned(), json!(notification.account_id));
    }
    out
}

/// Notifications with their conversations and messages.
#[derive(Debug)]
pub struct Listed {
    pub(super) rows: Vec<(Notification, Conversation)>,
    pub(super) quotes: Quotes,
}

/// The forms of a list, for its owner.
pub fn forms(tx: &Tx<'_>, listed: &Listed, owner: &Member) -> Vec<Value> {
    let form = |(n, c): &(Notification, Conversation)| {
        form(tx, n, c, &listed.quotes, owner, Titles::OfLists)
    };
    listed.rows.iter().map(form).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_ten_words() {
        let check = |text: &str, expected: &str| assert_eq!(beginning(text), expected);
        check("one two", "one two");
        check("1 2 3 4 5 6 7 8 9 10", "1 2 3 4 5 6 7 8 9 10");
        check(" 1 2  3 4 5 6 7 8 9 zehn elf", "1 2  3 4 5 6 7 8 9 zehn...");
        check("", "");
    }
}
