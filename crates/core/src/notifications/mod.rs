//! Notifications: what a member is told of (`behaviours.md §23`). A job makes them of events.

mod dispatch;
mod push;
pub mod sql;

pub use dispatch::{JOB, dispatch, jobs_for};

use chatwarden_db::{Json, Timestamp};
use serde_json::Value;

use crate::ids::{AccountId, ConversationId, NotificationId, UserId};

/// Why somebody is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// There is a new conversation.
    ConversationCreation,
    /// A conversation is theirs now.
    ConversationAssignment,
    /// Somebody wrote in a conversation of theirs.
    AssignedConversationNewMessage,
    /// A note names them.
    ConversationMention,
    /// Somebody wrote in a conversation they take part in.
    ParticipatingConversationNewMessage,
}

crate::integer_enum! { Kind {
    ConversationCreation = 1 "conversation_creation", ConversationAssignment = 2 "conversation_assignment",
    AssignedConversationNewMessage = 3 "assigned_conversation_new_message",
    ConversationMention = 4 "conversation_mention",
    ParticipatingConversationNewMessage = 5 "participating_conversation_new_message",
} }

chatwarden_db::row! {
    /// A notification.
    pub struct Notification {
        pub id: NotificationId,
        pub account_id: AccountId,
        pub user_id: UserId,
        pub notification_type: Kind,
        pub primary_actor_id: ConversationId,
        pub secondary_actor_type: Option<String>,
        pub secondary_actor_id: Option<i64>,
        pub meta: Json<Value>,
        pub read_at: Option<Timestamp>,
        pub snoozed_until: Option<Timestamp>,
        pub last_activity_at: Timestamp,
        pub created_at: Timestamp,
        pub updated_at: Timestamp,
    }
}
