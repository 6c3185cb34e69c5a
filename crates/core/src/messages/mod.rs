//! Messages: what is said in a conversation.

mod content;
mod create;
mod liquid;
pub mod mentions;
pub mod push;
pub mod sql;
mod templates;
mod update;
mod variables;

pub use create::{NewMessage, Sender, activity, create};
pub use push::{MessagePush, SenderPush};
pub use sql::{by_ids, get, list, public_of};
pub use templates::survey;
pub use update::{delete, mark_read, retry, save, set_status, translated};
pub(crate) use variables::capitalised;

use chatwarden_db::{Json, Timestamp};
use serde_json::Value;

use crate::contacts::Contact;
use crate::ids::{AccountId, AgentBotId, ConversationId, InboxId, MessageId, UserId};
use crate::storage::{Attachment, Avatar};
use crate::users::Availability;

/// Which way a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageType {
    /// From the contact.
    Incoming,
    /// To the contact, or a private note.
    Outgoing,
    /// What happened to the conversation.
    Activity,
    /// Sent by the product: greeting, survey, …
    Template,
}

/// How a message is to be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContentType {
    /// Markdown.
    Text,
    /// Asks for a text.
    InputText,
    /// Asks for a longer text.
    InputTextarea,
    /// Asks for an address.
    InputEmail,
    /// Offers a choice.
    InputSelect,
    /// Cards.
    Cards,
    /// A form.
    Form,
    /// Articles.
    Article,
    /// A mail that came in.
    IncomingEmail,
    /// A satisfaction survey.
    InputCsat,
    /// A third party's.
    Integrations,
    /// A sticker.
    Sticker,
    /// A call.
    VoiceCall,
}

/// How far a message got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryStatus {
    /// On its way.
    Sent,
    /// There.
    Delivered,
    /// Seen.
    Read,
    /// Refused.
    Failed,
}

crate::integer_enum! { MessageType { Incoming = 0 "incoming", Outgoing = 1 "outgoing", Activity = 2 "activity", Template = 3 "template" } }
crate::integer_enum! { DeliveryStatus { Sent = 0 "sent", Delivered = 1 "delivered", Read = 2 "read", Failed = 3 "failed" } }
crate::integer_enum! { ContentType {
    Text = 0 "text", InputText = 1 "input_text", InputTextarea = 2 "input_textarea", InputEmail = 3 "input_email",
    InputSelect = 4 "input_select", Cards = 5 "cards", Form = 6 "form", Article = 7 "article",
    IncomingEmail = 8 "incoming_email", InputCsat = 9 "input_csat", Integrations = 10 "integrations",
    Sticker = 11 "sticker", VoiceCall = 12 "voice_call",
} }

chatwarden_db::row! {
    /// A message's own columns.
    pub struct Message {
        pub id: MessageId,
        pub account_id: AccountId,
        pub conversation_id: ConversationId,
        pub inbox_id: InboxId,
        pub message_type: MessageType,
        pub content_type: ContentType,
        pub content: Option<String>,
        pub processed_content: Option<String>,
        pub private: bool,
        pub status: DeliveryStatus,
        pub sender_type: Option<String>,
        pub sender_id: Option<i64>,
        pub source_id: Option<String>,
        pub content_attributes: Json<Value>,
        pub additional_attributes: Json<Value>,
        pub attachments: Json<Vec<Attachment>>,
        pub created_at: Timestamp,
        pub updated_at: Timestamp,
    }
}

chatwarden_db::row! {
    /// A user as the sender of a message; the membership may be gone.
    pub struct SenderUser {
        pub id: UserId,
        pub name: String,
        pub display_name: Option<String>,
        pub availability: Option<Availability>,
        pub auto_offline: Option<bool>,
        pub avatar: Option<Avatar>,
    }
}

chatwarden_db::row! {
    /// A bot as the sender of a message.
    pub struct SenderBot {
        pub id: AgentBotId,
        pub name: String,
        pub avatar: Option<Avatar>,
    }
}

chatwarden_db::joined! {
    /// A message with its sender.
    pub struct Sent {
        pub message: Message,
        pub contact: ? Contact,
        pub user: ? SenderUser,
        pub bot: ? SenderBot,
    }
}
