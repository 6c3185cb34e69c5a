//! New messages, and what they do to their conversation (`behaviours.md §9.2`, §9.3).

use chatwarden_db::WriteTx;
use serde_json::{Map, Value, json};

use super::{
    ContentType, DeliveryStatus, Message, MessagePush, MessageType, SenderBot, SenderUser, Sent,
    content, liquid, mentions, sql, templates, variables,
};
use crate::agent_bots::AgentBot;
use crate::contacts::{self, Contact};
use crate::conversations::{self, Conversation, Status, push, unread};
use crate::desk::desk;
use crate::error::{Error, Result};
use crate::events::{self, Audience, Event, Performer};
use crate::ids::{MessageId, UserId};
use crate::inboxes::EMAIL;
use crate::markdown;
use crate::scope::Scope;
use crate::storage::{self, NewAttachment};
use crate::users::Member;

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
    /// What its mail shows in place of the content.
    pub email_html: Option<String>,
    /// What it carries.
    pub attachments: Vec<NewAttachment>,
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
            email_html: None,
            attachments: Vec::new(),
            sender,
        }
    }

    /// Whether a person answers the contact: no note, no rule, no campaign (`behaviours.md §9.3`).
    fn is_human_reply(&self) -> bool {
        let said = |attributes: &Value, key: &str| {
            attributes.get(key).is_some_and(|value| !matches!(value, Value::Null))
        };
        self.message_type == MessageType::Outgoing
            && !self.private
            && !said(&self.content_attributes, "automation_rule_id")
            && !said(&self.additional_attributes, "campaign_id")
            && (matches!(self.sender, Sender::User(_))
                || said(&self.content_attributes, "external_echo"))
    }

    /// Whether a bot answers the contact.
    fn is_bot_reply(&self) -> bool {
        self.message_type == MessageType::Outgoing
            && !self.private
            && matches!(self.sender, Sender::Bot(_))
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

/// Fills in what the new message says of others: the message it replies to, and its placeholders.
async fn prepare(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    c: &Conversation,
    new: &mut NewMessage,
) -> Result<()> {
    if let Some(attributes) = new.content_attributes.as_object_mut() {
        let id = attributes.get("in_reply_to").and_then(|id| match id {
            Value::String(id) => id.trim().parse().ok(),
            id => id.as_i64(),
        });
        let given = |key: &str| attributes.get(key).is_some_and(|v| !v.is_null() && v != "");
        let by_id = given("in_reply_to");
        let external = attributes.get("in_reply_to_external_id").and_then(Value::as_str);
        let external = external.filter(|id| !id.is_empty());
        if by_id || external.is_some() {
            let found = match (by_id, id, external) {
                (true, Some(id), _) => sql::reference(tx, scope, c.row.id, MessageId(id)).await?,
                (true, None, _) | (_, _, None) => None,
                (false, _, Some(external)) => {
                    sql::reference_by_source(tx, scope, c.row.id, external).await?
                }
            };
            let (id, source_id) = found.unzip();
            attributes.insert("in_reply_to".to_owned(), json!(id));
            attributes.insert("in_reply_to_external_id".to_owned(), json!(source_id.flatten()));
        }
    }
    if matches!(new.message_type, MessageType::Outgoing | MessageType::Template)
        && let Some(text) = new.content.as_deref().filter(|text| liquid::has_placeholders(text))
    {
        let variables = variables::of(tx, scope, c, &new.sender).await?;
        if let Some(filled) = liquid::render(text, &variables) {
            new.content = Some(filled);
        }
    }
    Ok(())
}

/// Notes what the mail of a message to a mailbox says, as text and as HTML; what else the client said of the mail
/// stays.
fn note_mail(c: &Conversation, new: &mut NewMessage) {
    if c.inbox.channel_type != EMAIL || new.message_type != MessageType::Outgoing || new.private {
        return;
    }
    let content = new.content.as_deref().filter(|content| !content.trim().is_empty());
    let (Some(content), Some(attributes)) = (content, new.content_attributes.as_object_mut())
    else {
        return;
    };
    let object = |value: Option<Value>| match value {
        Some(Value::Object(object)) => object,
        _ => Map::new(),
    };
    let text = content.replace("\r\n", "\n");
    let html = new.email_html.take().unwrap_or_else(|| markdown::to_html(&text));
    let mut mail = object(attributes.remove("email"));
    for (key, body) in [("html_content", html), ("text_content", text)] {
        let mut said = object(mail.remove(key));
        said.insert("full".to_owned(), json!(body));
        said.insert("reply".to_owned(), json!(body));
        mail.insert(key.to_owned(), Value::Object(said));
    }
    attributes.insert("email".to_owned(), Value::Object(mail));
}

/// Inserts a message and notes it in the conversation in hand; the row is not written yet.
async fn insert(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    c: &mut Conversation,
    mut new: NewMessage,
) -> Result<Sent> {
    prepare(tx, scope, c, &mut new).await?;
    note_mail(c, &mut new);
    let carried = std::mem::take(&mut new.attachments);
    let id = sql::insert(tx, scope, c.row.id, c.row.inbox_id, &new).await?;
    let mut sent = new.stored(tx, id, c);
    sent.message.attachments.0 = storage::attach(tx, scope, c.row.id, id, carried).await?;
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
        c.beside.heard_at = Some(message.created_at);
    }
    crate::meters::message(tx, c, message.message_type);
    Ok(sent)
}

/// Whether the contact hears of a message: of what is meant for it.
pub(super) fn contact_hears(message: &Message) -> bool {
    !message.private && message.message_type != MessageType::Activity
}

/// Tells of a message.
#[expect(clippy::too_many_arguments, reason = "the one place where an event of a message is made")]
fn announce(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    c: &Conversation,
    event: &'static str,
    audience: Audience,
    push: &MessagePush<'_>,
    sent: &Sent,
    mentioned: &[UserId],
    by: &Performer,
) {
    let message = &sent.message;
    let contact_too = contact_hears(message) && event != "first.reply.created";
    let notifiable = !message.private
        && matches!(message.message_type, MessageType::Incoming | MessageType::Outgoing);
    let user = sent.user.as_ref().map(|user| user.id);
    let announced = Event::new(event, audience).by(by).context(json!({
        "message_id": message.id, "conversation_id": c.row.id, "assignee_id": c.row.assignee_id,
        "user_id": user, "public": contact_too, "notifiable": notifiable, "mentioned": mentioned,
        "followed": c.beside.followed,
    }));
    events::emit(tx, scope, &announced, push);
}

/// Tells that a message is there.
async fn announce_created(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    c: &Conversation,
    sent: &Sent,
    echo_id: Option<&Value>,
    by: &Performer,
) -> Result<()> {
    let mentioned = mentions::note(tx, scope, c, &sent.message, by).await?;
    let audience = push::audience(tx, scope, c, contact_hears(&sent.message)).await?;
    let push = MessagePush::of(tx, c, sent).echo(echo_id);
    announce(tx, scope, c, "message.created", audience, &push, sent, &mentioned, by);
    Ok(())
}

/// Tells an audience that a message changed, and what of it.
pub(super) fn announce_updated(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    c: &Conversation,
    audience: Audience,
    sent: &Sent,
    changes: &Value,
    by: &Performer,
) {
    let push = MessagePush::of(tx, c, sent).changes(changes);
    announce(tx, scope, c, "message.updated", audience, &push, sent, &[], by);
}

/// Sends a message in a conversation that the transaction holds locked.
///
/// The conversation is reopened, its clocks and counters move, the inbox answers by itself where it
/// is to, and everybody who must hear of it does; all of it in the caller's transaction.
///
/// # Errors
/// [`Error::Invalid`] for what a message may not hold, or a conversation that is flooded.
pub async fn create(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    c: &mut Conversation,
    new: NewMessage,
    by: &Performer,
) -> Result<Sent> {
    content::check(&new)?;
    storage::check(&c.inbox.channel_type, &new.attachments)?;
    guard_against_floods(tx, c)?;
    let now = tx.now();
    let echo_id = new.echo_id.clone();
    let counted = c.inbox.counts_unread().then(|| c.row.clone());
    let incoming = new.message_type == MessageType::Incoming;
    let (human_reply, bot_reply) = (new.is_human_reply(), new.is_bot_reply());
    let sent = insert(tx, scope, c, new).await?;
    c.row.updated_at = now;

    // Each step below is a save of its own to those who listen (`realtime.md §6.1`), and one write
    // to the database.
    let mut saves: Vec<Vec<&'static str>> = Vec::new();
    let before = c.row.clone();
    let mut reopened = false;
    if incoming && !c.contact.blocked {
        match c.row.status {
            Status::Snoozed => {
                c.row.status = Status::Open;
                c.row.snoozed_until = None;
            }
            Status::Resolved
                if conversations::sql::active_bot(tx, scope, c.row.inbox_id).await?.is_some() =>
            {
                c.row.status = Status::Pending;
            }
            Status::Resolved => {
                reopened = true;
                c.row.status = Status::Open;
            }
            Status::Open | Status::Pending => {}
        }
    }
    saves.push(conversations::events_of(&before, &c.row));

    let before = c.row.clone();
    let first_reply = human_reply && c.row.first_reply_created_at.is_none();
    if first_reply {
        c.row.first_reply_created_at = Some(now);
    }
    if human_reply || bot_reply {
        c.row.waiting_since = None;
    } else if incoming {
        c.row.waiting_since.get_or_insert(now);
    }
    saves.push(conversations::events_of(&before, &c.row));

    announce_created(tx, scope, c, &sent, echo_id.as_ref(), by).await?;
    if first_reply {
        let audience = push::audience(tx, scope, c, false).await?;
        let push = MessagePush::of(tx, c, &sent);
        announce(tx, scope, c, "first.reply.created", audience, &push, &sent, &[], by);
    }
    if reopened && c.inbox.channel_type == crate::inboxes::API {
        let attributes =
            json!({"activity": {"type": "conversation_status_changed", "status": Status::Open}});
        let text = "System reopened the conversation due to a new incoming message.";
        activity(tx, scope, c, text, attributes).await?;
    }
    let public = !sent.message.private && sent.message.message_type != MessageType::Activity;
    for events in &saves {
        push::announce_with(tx, scope, c, events, by, public.then_some(&sent)).await?;
    }
    if incoming {
        templates::answer(tx, scope, c).await?;
        let mut contact = c.contact.clone();
        contacts::touch(tx, scope, &mut contact).await?;
        c.contact = contact;
    }
    conversations::sql::update(tx, scope, &c.row).await?;
    match counted {
        Some(_) if c.inbox.counts_filters() => unread::tell_filtered(tx, scope, c),
        Some(before) => unread::tell_changed(tx, scope, c, &before, &Performer::System),
        None => {}
    }
    Ok(sent)
}

/// Adds a message that the product itself sends, and tells of it. The caller writes the
/// conversation's row afterwards.
pub(super) async fn send_template(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    c: &mut Conversation,
    new: NewMessage,
) -> Result<()> {
    let sent = insert(tx, scope, c, new).await?;
    announce_created(tx, scope, c, &sent, None, &Performer::System).await
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
        return Err(Error::invalid("base", "Too many messages"));
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
    send_template(tx, scope, c, new).await
}
