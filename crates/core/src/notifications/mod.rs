//! Notifications: what a member is told of (`behaviours.md §23`). Jobs make them of events.

mod dispatch;
mod letter;
mod own;
mod push;
pub mod sql;
mod upkeep;

pub use dispatch::{JOB, dispatch, jobs_for};
pub(crate) use letter::letter;
pub use own::{
    Filter, Page, count_unread, destroy, destroy_all, page, read, read_all, seen, snooze, unread,
};
pub use push::{Listed, Titles, forms};
use upkeep::DESTROY;
pub use upkeep::{PRUNING, WAKING, upkeep};

use chatwarden_db::Timestamp;
use serde_json::{Value, json};

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

impl Kind {
    /// The bit of the kind in the flags of a member's settings.
    pub const fn flag(self) -> i64 {
        1 << (self.integer() - 1)
    }
}

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
        pub read_at: Option<Timestamp>,
        pub snoozed_until: Option<Timestamp>,
        pub last_snoozed_at: Option<Timestamp>,
        pub last_activity_at: Timestamp,
        pub created_at: Timestamp,
        pub updated_at: Timestamp,
    }
}

impl Notification {
    /// What else is known of it: until when it had been snoozed, once it ever was.
    pub fn meta(&self) -> Value {
        match (self.last_snoozed_at, self.snoozed_until) {
            (None, None) => json!({}),
            (at, _) => json!({"last_snoozed_at": at.map(Timestamp::iso)}),
        }
    }
}
