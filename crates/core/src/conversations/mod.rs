//! Conversations: one contact's thread in one inbox.

mod attributes;
pub mod counts;
mod create;
pub mod destroy;
pub mod drafts;
pub mod lists;
pub mod live;
mod mute;
pub mod participants;
mod priority;
pub mod push;
pub mod release;
pub mod seen;
pub mod snooze;
pub mod sql;
mod status;
mod team;
pub(crate) mod unread;

pub use attributes::set_custom_attributes;
pub use create::{NewConversation, Place, announce_created, create, place, say_given};
pub use destroy::{PURGE, destroy, purge};
pub use lists::{Assigned, Counts, Filter, Kind, Page, Sort, counts_of, page, show};
pub use mute::{mute, unmute};
pub use priority::set_priority;
pub use push::ConversationPush;
pub use release::{Holder, RELEASE, release, release_all};
pub use seen::{mark_seen, mark_unread};
pub use snooze::{REOPEN, SNOOZES, reopen};
pub(crate) use status::events_of;
pub use status::{assign, assign_bot, hand_off, save, set_status};
pub use team::assign_team;

use chatwarden_db::{Json, Timestamp, Tx, WriteTx};
use serde_json::{Value, json};

use crate::agent_bots::AgentBot;
use crate::contacts::{Contact, ContactInbox};
use crate::error::{Error, Result};
use crate::ids::{
    AccountId, AgentBotId, ContactId, ContactInboxId, ConversationId, DisplayId, InboxId,
    MessageId, TeamId, UserId,
};
use crate::scope::{Agent, Bot, Scope};
use crate::storage::{Avatar, avatar_url};
use crate::teams::Team;
use crate::users::{Member, MemberRow};

/// Where a conversation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Somebody is to answer.
    Open,
    /// Done.
    Resolved,
    /// With a bot.
    Pending,
    /// Hidden until a time, or until the contact writes.
    Snoozed,
}

/// How urgent a conversation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// Can wait.
    Low,
    /// Ordinary.
    Medium,
    /// Before others.
    High,
    /// Now.
    Urgent,
}

crate::integer_enum! { Status { Open = 0 "open", Resolved = 1 "resolved", Pending = 2 "pending", Snoozed = 3 "snoozed" } }
crate::integer_enum! { Priority { Low = 0 "low", Medium = 1 "medium", High = 2 "high", Urgent = 3 "urgent" } }

chatwarden_db::row! {
    /// A conversation's own columns.
    pub struct ConversationRow {
        pub id: ConversationId,
        pub account_id: AccountId,
        pub display_id: DisplayId,
        pub uuid: String,
        pub inbox_id: InboxId,
        pub contact_id: ContactId,
        pub contact_inbox_id: ContactInboxId,
        pub status: Status,
        pub priority: Option<Priority>,
        pub assignee_id: Option<UserId>,
        pub assignee_agent_bot_id: Option<AgentBotId>,
        pub team_id: Option<TeamId>,
        pub additional_attributes: Json<Value>,
        pub custom_attributes: Json<Value>,
        pub labels: Json<Vec<String>>,
        pub snoozed_until: Option<Timestamp>,
        pub waiting_since: Option<Timestamp>,
        pub first_reply_created_at: Option<Timestamp>,
        pub agent_last_seen_at: Option<Timestamp>,
        pub assignee_last_seen_at: Option<Timestamp>,
        pub contact_last_seen_at: Option<Timestamp>,
        pub last_activity_at: Timestamp,
        pub unread_count: i64,
        pub burst_began_at: Timestamp,
        pub burst_count: i64,
        pub last_message_id: Option<MessageId>,
        pub last_non_activity_message_id: Option<MessageId>,
        pub last_public_message_id: Option<MessageId>,
        pub created_at: Timestamp,
        pub updated_at: Timestamp,
    }
}

chatwarden_db::row! {
    /// What a conversation needs to know of its inbox.
    pub struct InboxOf {
        pub id: InboxId,
        pub name: String,
        pub channel_type: String,
        /// Whether its conversations are handed out.
        pub hands_out: bool,
        /// Whether it may answer a message by itself.
        pub answers: bool,
        /// Whether it asks how a conversation was.
        pub surveys: bool,
        /// How many microseconds after a contact's message agents may answer; ever, where it says nothing.
        pub reply_window: Option<i64>,
        /// Of its account's flags those that say which counts of unread conversations it shows.
        pub counts: i64,
    }
}

/// `conversation_unread_counts` among an account's flags.
const UNREAD: i64 = 1 << 3;
/// `unread_count_for_filters`.
const FILTERS: i64 = 1 << 56;

impl InboxOf {
    /// Whether its account shows how many conversations are unread.
    pub fn counts_unread(&self) -> bool {
        self.counts & UNREAD != 0
    }

    /// Whether it shows that of saved filters and of what a member has to do with, too.
    pub fn counts_filters(&self) -> bool {
        self.counts_unread() && self.counts & FILTERS != 0
    }
}

chatwarden_db::row! {
    /// What is known of a conversation besides its row.
    pub struct Beside {
        /// Whether somebody follows it besides its assignee.
        pub followed: bool,
        /// When the contact wrote last, where it matters.
        pub heard_at: Option<Timestamp>,
    }
}

chatwarden_db::joined! {
    /// A conversation with those who take part in it.
    pub struct Conversation {
        pub row: ConversationRow,
        pub contact: Contact,
        pub contact_inbox: ContactInbox,
        pub inbox: InboxOf,
        pub beside: Beside,
        pub assignee_row: ? MemberRow,
        pub team: ? Team,
        pub assignee_bot: ? AssigneeBot,
    }
}

chatwarden_db::row! {
    /// The bot that has a conversation, as its forms show it.
    pub struct AssigneeBot {
        pub id: AgentBotId,
        pub account_id: Option<AccountId>,
        pub name: String,
        pub description: Option<String>,
        pub outgoing_url: Option<String>,
        pub avatar: Option<Avatar>,
    }
}

impl AssigneeBot {
    /// The bot in cable frames.
    pub fn push(&self, tx: &Tx<'_>) -> Value {
        let avatar = avatar_url(tx, self.avatar.as_ref());
        json!({"id": self.id, "name": self.name, "avatar_url": avatar, "type": "agent_bot"})
    }
}

impl From<&AgentBot> for AssigneeBot {
    fn from(bot: &AgentBot) -> Self {
        Self {
            id: bot.id,
            account_id: bot.account_id,
            name: bot.name.clone(),
            description: bot.description.clone(),
            outgoing_url: bot.outgoing_url.clone(),
            avatar: bot.avatar.clone(),
        }
    }
}

chatwarden_db::row! {
    /// Whether a member takes part in a conversation's inbox or team.
    pub struct Access {
        pub takes_part: bool,
    }
}

chatwarden_db::joined! {
    /// A conversation as one member finds it.
    pub struct Found {
        pub conversation: Conversation,
        pub access: Access,
    }
}

impl Conversation {
    /// The assignee, while a member of the account.
    pub fn assignee(&self) -> Option<Member> {
        self.assignee_row.clone().map(Member::from)
    }

    /// Whether an agent may still answer (`behaviours.md §8`, can_reply): ever, but for API inboxes that say how
    /// long.
    pub fn can_reply(&self, now: Timestamp) -> bool {
        let Some(window) = self.inbox.reply_window else { return true };
        self.beside.heard_at.is_some_and(|at| now.micros().saturating_sub(at.micros()) < window)
    }

    /// Incoming messages since an agent looked, ten at most (`resources.md §6.1`).
    pub fn unread(&self) -> i64 {
        self.row.unread_count.min(10)
    }
}

/// A conversation that the member may see.
///
/// # Errors
/// [`Error::NotFound`] where the account has none of that number, [`Error::Unauthorized`] where the member
/// is neither administrator nor in its inbox or team (`behaviours.md §3`).
pub async fn find(tx: &mut Tx<'_>, scope: &Scope<Agent>, id: DisplayId) -> Result<Conversation> {
    let found = sql::find(tx, scope, id, scope.user_id()).await?.ok_or(Error::NotFound)?;
    if scope.is_admin() || found.access.takes_part {
        Ok(found.conversation)
    } else {
        Err(Error::not_authorized())
    }
}

/// The same, locked: what changes a conversation goes through its row, one after the other. The
/// order of its messages is the order of these locks.
///
/// # Errors
/// As [`find`].
pub async fn lock(
    tx: &mut WriteTx<'_>,
    scope: &Scope<Agent>,
    id: DisplayId,
) -> Result<Conversation> {
    let found = sql::lock(tx, scope, id, scope.user_id()).await?.ok_or(Error::NotFound)?;
    if scope.is_admin() || found.access.takes_part {
        Ok(found.conversation)
    } else {
        Err(Error::not_authorized())
    }
}

/// A conversation of the account, for bots: they see them all.
///
/// # Errors
/// [`Error::NotFound`] where the account has none of that number.
pub async fn find_for_bot(
    tx: &mut Tx<'_>,
    scope: &Scope<Bot>,
    id: DisplayId,
) -> Result<Conversation> {
    let found = sql::find(tx, scope, id, UserId(0)).await?.ok_or(Error::NotFound)?;
    Ok(found.conversation)
}

/// The same, locked.
///
/// # Errors
/// As [`find_for_bot`].
pub async fn lock_for_bot(
    tx: &mut WriteTx<'_>,
    scope: &Scope<Bot>,
    id: DisplayId,
) -> Result<Conversation> {
    let found = sql::lock(tx, scope, id, UserId(0)).await?.ok_or(Error::NotFound)?;
    Ok(found.conversation)
}
