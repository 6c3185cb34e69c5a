//! A message in cable frames and conversation pushes (`resources.md §7.2`).

use chatwarden_db::Tx;
use serde::Serialize;
use serde_json::{Map, Value};

use super::{ContentType, DeliveryStatus, SenderUser, Sent};
use crate::contacts::ContactPush;
use crate::conversations::Conversation;
use crate::desk::desk;
use crate::ids::{AccountId, AgentBotId, DisplayId, InboxId, MessageId, UserId};
use crate::storage::{self, avatar_url};
use crate::users::{Availability, UserPush};

/// The push form of a message.
#[derive(Debug, Clone, Serialize)]
pub struct MessagePush<'a> {
    id: MessageId,
    content: Option<&'a str>,
    account_id: AccountId,
    inbox_id: InboxId,
    conversation_id: DisplayId,
    message_type: i64,
    created_at: i64,
    updated_at: String,
    private: bool,
    status: DeliveryStatus,
    source_id: Option<&'a str>,
    content_type: ContentType,
    content_attributes: &'a Value,
    sender_type: Option<&'a str>,
    sender_id: Option<i64>,
    external_source_ids: Map<String, Value>,
    additional_attributes: &'a Value,
    processed_message_content: Option<&'a str>,
    sentiment: Map<String, Value>,
    conversation: ConversationOf<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    echo_id: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    previous_changes: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sender: Option<SenderPush<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    attachments: Vec<Value>,
}

/// What a message tells of its conversation.
#[derive(Debug, Clone, Serialize)]
struct ConversationOf<'a> {
    assignee_id: Option<UserId>,
    unread_count: i64,
    last_activity_at: i64,
    contact_inbox: ContactInboxOf<'a>,
}

#[derive(Debug, Clone, Serialize)]
struct ContactInboxOf<'a> {
    source_id: &'a str,
}

/// Who sent a message.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum SenderPush<'a> {
    /// A member.
    User(UserPush),
    /// A contact.
    Contact(ContactPush<'a>),
    /// A bot.
    Bot {
        /// The bot.
        id: AgentBotId,
        /// Its name.
        name: &'a str,
        /// Its picture.
        avatar_url: String,
        /// `agent_bot`
        #[serde(rename = "type")]
        kind: &'static str,
    },
}

impl SenderUser {
    /// The push form; the availability is null for those who are no members any more.
    pub fn push(&self, tx: &Tx<'_>, account: AccountId) -> UserPush {
        let status = match (self.availability, self.auto_offline) {
            (Some(availability), Some(auto_offline)) => {
                let present =
                    !auto_offline || desk(tx).presence.user_online(account, self.id, tx.now());
                Some(if present { availability } else { Availability::Offline })
            }
            _ => None,
        };
        self.form(tx, status)
    }

    fn form(&self, tx: &Tx<'_>, availability_status: Option<Availability>) -> UserPush {
        let avatar = avatar_url(tx, self.avatar.as_ref());
        let shown = self.display_name.clone().filter(|name| !name.is_empty());
        UserPush {
            id: self.id,
            name: self.name.clone(),
            available_name: shown.unwrap_or_else(|| self.name.clone()),
            avatar_url: avatar.clone(),
            kind: "user",
            availability_status,
            thumbnail: avatar,
        }
    }
}

impl<'a> SenderPush<'a> {
    /// The sender's push form where the account is not known: nobody's presence is told.
    pub fn without_presence(tx: &Tx<'_>, sent: &'a Sent) -> Option<Self> {
        match &sent.user {
            Some(user) => Some(Self::User(user.form(tx, None))),
            None => Self::of_others(tx, sent),
        }
    }

    /// Of a sender who is no user.
    fn of_others(tx: &Tx<'_>, sent: &'a Sent) -> Option<Self> {
        if let Some(contact) = &sent.contact {
            return Some(Self::Contact(ContactPush::of(tx, contact)));
        }
        sent.bot.as_ref().map(|bot| Self::Bot {
            id: bot.id,
            name: &bot.name,
            avatar_url: avatar_url(tx, bot.avatar.as_ref()),
            kind: "agent_bot",
        })
    }
}

impl Sent {
    /// The sender's push form.
    pub fn sender_push<'a>(&'a self, tx: &Tx<'_>) -> Option<SenderPush<'a>> {
        match &self.user {
            Some(user) => Some(SenderPush::User(user.push(tx, self.message.account_id))),
            None => SenderPush::of_others(tx, self),
        }
    }

    /// The forms of what the message carries; `None` where that is nothing.
    pub fn attachment_pushes(&self, tx: &Tx<'_>) -> Option<Vec<Value>> {
        let m = &self.message;
        (!m.attachments.0.is_empty())
            .then(|| storage::pushes(tx, m.account_id, m.id, &m.attachments.0))
    }
}

impl<'a> MessagePush<'a> {
    /// Of a message in its conversation.
    pub fn of(tx: &Tx<'_>, c: &'a Conversation, sent: &'a Sent) -> Self {
        let m = &sent.message;
        Self {
            id: m.id,
            content: m.content.as_deref(),
            account_id: m.account_id,
            inbox_id: m.inbox_id,
            conversation_id: c.row.display_id,
            message_type: m.message_type.integer(),
            created_at: m.created_at.unix(),
            updated_at: m.updated_at.iso(),
            private: m.private,
            status: m.status,
            source_id: m.source_id.as_deref(),
            content_type: m.content_type,
            content_attributes: &m.content_attributes.0,
            sender_type: m.sender_type.as_deref(),
            sender_id: m.sender_id,
            external_source_ids: Map::new(),
            additional_attributes: &m.additional_attributes.0,
            processed_message_content: m.processed_content.as_deref(),
            sentiment: Map::new(),
            conversation: ConversationOf {
                assignee_id: c.row.assignee_id,
                unread_count: c.unread(),
                last_activity_at: c.row.last_activity_at.unix(),
                contact_inbox: ContactInboxOf { source_id: &c.contact_inbox.source_id },
            },
            echo_id: None,
            previous_changes: None,
            sender: sent.sender_push(tx),
            attachments: sent.attachment_pushes(tx).unwrap_or_default(),
        }
    }

    /// With the echo id that the sender's client waits for.
    #[must_use]
    pub fn echo(mut self, echo_id: Option<&'a Value>) -> Self {
        self.echo_id = echo_id;
        self
    }

    /// With what changed: columns with their old and new values.
    #[must_use]
    pub(super) fn changes(mut self, changes: &'a Value) -> Self {
        self.previous_changes = Some(changes);
        self
    }
}
