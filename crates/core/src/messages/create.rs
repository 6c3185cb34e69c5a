//! New messages, and what they do to their conversation (`behaviours.md §9.2`, §9.3).

use chatwarden_db::WriteTx;
use serde_json::{Value, json};

use super::{
    ContentType, DeliveryStatus, Message, MessagePush, MessageType, SenderBot, SenderUser, Sent,
    sql,
};
use crate::agent_bots::AgentBot;
use crate::contacts::{self, Contact};
use crate::conversations::{self, Conversation, Status, push};
use crate::desk::desk;
use crate::error::{Error, Result};
use crate::events::{self, Event, Performer};
use crate::ids::MessageId;
use crate::scope::Scope;
use crate::users::Member;

/// The longest content, in characters (`behaviours.md §18`).
const CONTENT_LIMIT: usize = 150_000;

/// Who sends a message.
#[derive(Debug, Clone)]
pub enum Sender {
    /// A member.
    User(Box<Member>),
    /// The conversation's contact.
    Contact(Box<Contact>),
    /// A bot.
    Bot(Box<AgentBot>),
    /// Nobody: activities, templates.
    Nobody,
}

impl Sender {
    pub(crate) fn kind(&self) -> Option<&'static str> {
        match self {
            Self::User(_) => Some("User"),
            Self::Contact(_) => Some("Contact"),
            Self::Bot(_) => Some("AgentBot"),
            Self::Nobody => None,
        }
    }

    pub(crate) fn id(&self) -> Option<i64> {
        match self {
            Self::User(member) => Some(member.id.0),
            Self::Contact(contact) => Some(contact.id.0),
            Self::Bot(bot) => Some(bot.id.0),
            Self::Nobody => None,
        }
    }
}

/// What a new message holds.
#[derive(Debug, Clone)]
pub struct NewMessage {
    /// Markdown.
    pub content: Option<String>,
    /// Which way it goes.
    pub message_type: MessageType,
    /// How it is shown.
    pub content_type: ContentType,
    /// A note that the contact never sees.
    pub private: bool,
    /// How far it got.
    pub status: DeliveryStatus,
    /// Items, replies, …
    pub content_attributes: Value,
    /// Campaign, template parameters, …
    pub additional_attributes: Value,
    /// The channel's id of it.
    pub source_id: Option<String>,
    /// What the sender's client knows it by until it is stored; given back unchanged.
    pub echo_id: Option<Value>,
    /// Who sends it.
    pub sender: Sender,
}

impl NewMessage {
    /// A text.
    pub fn text(message_type: MessageType, content: Option<String>, sender: Sender) -> Self {
        Self {
            content,
            message_type,
            content_type: ContentType::Text,
            private: false,
            status: DeliveryStatus::Sent,
            content_attributes: json!({}),
            additional_attributes: json!({}),
            source_id: None,
            echo_id: None,
            sender,
        }
    }

    fn check(&self) -> Result<()> {
        if self.content.as_deref().is_some_and(|c| c.chars().nth(CONTENT_LIMIT).is_some()) {
            return Err(Error::Unprocessable(format!(
                "Validation failed: Content is too long (maximum is {CONTENT_LIMIT} characters)"
            )));
        }
        Ok(())
    }

    /// The message as it stands once inserted.
    fn stored(self, tx: &WriteTx<'_>, id: MessageId, c: &Conversation) -> Sent {
        let now = tx.now();
        let (contact, user, bot) = match &self.sender {
            Sender::User(member) => (
                None,
                Some(SenderUser {
                    id: member.id,
                    name: member.name.clone(),
                    display_name: member.display_name.clone(),
                    availability: Some(member.availability),
                    auto_offline: Some(member.auto_offline),
                    avatar: member.avatar.clone(),
                }),
                None,
            ),
            Sender::Contact(contact) => (Some((**contact).clone()), None, None),
            Sender::Bot(bot) => (
                None,
                None,
                Some(SenderBot { id: bot.id, name: bot.name.clone(), avatar: bot.avatar.clone() }),
            ),
            Sender::Nobody => (None, None, None),
        };
        Sent {
            message: Message {
                id,
                account_id: c.row.account_id,
                conversation_id: c.row.id,
                inbox_id: c.row.inbox_id,
                message_type: self.message_type,
                content_type: self.content_type,
                processed_content: self.content.clone(),
                content: self.content,
                private: self.private,
                status: self.status,
                sender_type: self.sender.kind().map(str::to_owned),
                sender_id: self.sender.id(),
                source_id: self.source_id,
                content_attributes: chatwarden_db::Json(self.content_attributes),
                additional_attributes: chatwarden_db::Json(self.additional_attributes),
                attachments: chatwarden_db::Json(Vec::new()),
                created_at: now,
                updated_at: now,
            },
            contact,
            user,
            bot,
        }
    }
}

/// Inserts a message and notes it in the conversation in hand; the row is not written yet.
async fn insert(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    c: &mut Conversation,
    new: NewMessage,
) -> Result<Sent> {
    let id = sql::insert(tx, scope, c.row.id, c.row.inbox_id, &new).await?;
    let sent = new.stored(tx, id, c);
    let message = &sent.message;
    c.row.last_message_id = Some(id);
    c.row.last_activity_at = message.created_at;
    if message.message_type != MessageType::Activity {
        c.row.last_non_activity_message_id = Some(id);
        if !message.private {
            c.row.last_public_message_id = Some(id);
        }
    }
    if message.message_type == MessageType::Incoming {
        c.row.unread_count += 1;
    }
    crate::meters::message(tx, c, message.message_type);
    Ok(sent)
}

/// Tells of a message: the agents, and the contact of what is meant for it.
async fn announce(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    c: &Conversation,
    event: &'static str,
    sent: &Sent,
    echo_id: Option<&Value>,
    by: &Performer,
) -> Result<()> {
    let message = &sent.message;
    let contact_too = !message.private
        && message.message_type != MessageType::Activity
        && event != "first.reply.created";
    let audience = push::audience(tx, scope, c, contact_too).await?;
    let user = sent.user.as_ref().map(|user| user.id);
    let announced = Event::new(event, audience).by(by).context(json!({
        "message_id": message.id, "conversation_id": c.row.id, "assignee_id": c.row.assignee_id,
        "user_id": user, "public": contact_too,
    }));
    let payload = MessagePush::of(tx, c, sent).echo(echo_id);
    events::emit(tx, scope, &announced, &payload);
    Ok(())
}

/// Sends a message in a conversation that the transaction holds locked.
///
/// The conversation is reopened, its clocks and counters move, and everybody who must hear of it
/// does; all of it in the caller's transaction.
///
/// # Errors
/// [`Error::Unprocessable`] for a content that is too long or a conversation that is flooded.
pub async fn create(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    c: &mut Conversation,
    new: NewMessage,
    by: &Performer,
) -> Result<Sent> {
    new.check()?;
    guard_against_floods(tx, c)?;
    let now = tx.now();
    let echo_id = new.echo_id.clone();
    let (incoming, outgoing) =
        (new.message_type == MessageType::Incoming, new.message_type == MessageType::Outgoing);
    let human = matches!(new.sender, Sender::User(_));
    let public = !new.private;
    let sent = insert(tx, scope, c, new).await?;

    // Each step below is a save of its own to those who listen (`realtime.md §6.1`), and one write
    // to the database.
    let mut saves: Vec<Vec<&'static str>> = Vec::new();
    let before = c.row.clone();
    let mut reopened = false;
    if incoming && !c.contact.blocked {
        match c.row.status {
            Status::Snoozed | Status::Resolved => {
                reopened = c.row.status == Status::Resolved;
                c.row.status = Status::Open;
                c.row.snoozed_until = None;
            }
            Status::Open | Status::Pending => {}
        }
    }
    saves.push(conversations::events_of(&before, &c.row));

    let before = c.row.clone();
    let mut first_reply = false;
    if incoming {
        c.row.waiting_since.get_or_insert(now);
    } else if outgoing
        && public
        && !matches!(sent.message.sender_type.as_deref(), None | Some("Contact"))
    {
        first_reply = human && c.row.first_reply_created_at.is_none();
        if first_reply {
            c.row.first_reply_created_at = Some(now);
        }
        c.row.waiting_since = None;
    }
    let clocks = conversations::events_of(&before, &c.row);

    if reopened && c.inbox.channel_type == "Channel::Api" {
        let attributes =
            json!({"activity": {"type": "conversation_status_changed", "status": Status::Open}});
        activity(
            tx,
            scope,
            c,
            "System reopened the conversation due to a new incoming message.",
            attributes,
        )
        .await?;
    }
    c.row.updated_at = now;
    crate::conversations::sql::update(tx, scope, &c.row).await?;

    announce(tx, scope, c, "message.created", &sent, echo_id.as_ref(), by).await?;
    if first_reply {
        announce(tx, scope, c, "first.reply.created", &sent, None, by).await?;
    }
    saves.push(clocks);
    let last = (public && sent.message.message_type != MessageType::Activity).then_some(&sent);
    for events in &saves {
        push::announce_with(tx, scope, c, events, by, last).await?;
    }
    if incoming {
        let mut contact = c.contact.clone();
        contacts::touch(tx, scope, &mut contact).await?;
        c.contact = contact;
    }
    Ok(sent)
}

/// Counts the messages of a minute in the conversation's own row: no statement, and no row but the one
/// that is locked.
fn guard_against_floods(tx: &WriteTx<'_>, c: &mut Conversation) -> Result<()> {
    let now = tx.now();
    if c.row.burst_began_at.plus_seconds(60) <= now {
        c.row.burst_began_at = now;
        c.row.burst_count = 0;
    }
    if c.row.burst_count >= desk(tx).messages_per_minute {
        return Err(Error::Unprocessable("Validation failed: Too many messages".to_owned()));
    }
    c.row.burst_count += 1;
    Ok(())
}

/// Says what happened to a conversation, among its messages (`behaviours.md §10`). The caller
/// writes the conversation's row afterwards.
///
/// # Errors
/// What the database says.
pub async fn activity(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    c: &mut Conversation,
    text: &str,
    attributes: Value,
) -> Result<()> {
    let mut new = NewMessage::text(MessageType::Activity, Some(text.to_owned()), Sender::Nobody);
    new.content_attributes = attributes;
    let sent = insert(tx, scope, c, new).await?;
    announce(tx, scope, c, "message.created", &sent, None, &Performer::System).await
}

/// Takes a message's content away; the message stays as a mark that there was one.
///
/// # Errors
/// [`Error::NotFound`] where the conversation has no such message.
pub async fn delete(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    c: &Conversation,
    id: MessageId,
    by: &Performer,
) -> Result<Sent> {
    let mut sent = sql::find(tx, scope, c.row.id, id).await?.ok_or(Error::NotFound)?;
    let message = &mut sent.message;
    message.content = Some("This message was deleted".to_owned());
    message.processed_content.clone_from(&message.content);
    message.content_type = ContentType::Text;
    message.content_attributes.0 = json!({"deleted": true});
    message.updated_at = tx.now();
    sql::update(tx, scope, message).await?;
    announce(tx, scope, c, "message.updated", &sent, None, by).await?;
    Ok(sent)
}
