//! New conversations.

use chatwarden_db::{Timestamp, WriteTx};
use serde_json::{Value, json};

use super::{Conversation, Status, push, sql};
use crate::contacts::ContactInbox;
use crate::error::{Error, Result};
use crate::events::Performer;
use crate::ids::{AgentBotId, TeamId, UserId};
use crate::inboxes::Inbox;
use crate::scope::Scope;

/// What a new conversation starts with.
#[derive(Debug, Clone)]
pub struct NewConversation {
    /// Open, but for bots, blocked contacts and callers who say otherwise.
    pub status: Status,
    /// The assignee.
    pub assignee: Option<UserId>,
    /// The bot that has it.
    pub agent_bot: Option<AgentBotId>,
    /// The team.
    pub team: Option<TeamId>,
    /// Until when it is snoozed.
    pub snoozed_until: Option<Timestamp>,
    /// Browser, referer, …
    pub additional_attributes: Value,
    /// The account's own attributes.
    pub custom_attributes: Value,
}

impl Default for NewConversation {
    fn default() -> Self {
        Self {
            status: Status::Open,
            assignee: None,
            agent_bot: None,
            team: None,
            snoozed_until: None,
            additional_attributes: json!({}),
            custom_attributes: json!({}),
        }
    }
}

/// Opens a conversation of a contact inbox. Where the inbox keeps one conversation a contact, the
/// latest is given back instead.
///
/// Nobody hears of it yet: [`announce_created`] does that once its first message stands.
///
/// # Errors
/// What the database says.
pub async fn create(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    inbox: &Inbox,
    of: &ContactInbox,
    blocked: bool,
    mut new: NewConversation,
) -> Result<(Conversation, bool)> {
    if inbox.lock_to_single_conversation
        && let Some(latest) = sql::latest_of_contact_inbox(tx, scope, of.id, inbox.id).await?
    {
        return Ok((latest, false));
    }
    if blocked {
        new.status = Status::Resolved;
    }
    let display_id = sql::next_display_id(tx, scope).await?;
    let id = sql::insert(tx, scope, display_id, inbox.id, of, &new).await?;
    let conversation = sql::get(tx, scope, id).await?.ok_or(Error::NotFound)?;
    Ok((conversation, true))
}

/// Tells of a new conversation.
///
/// # Errors
/// What the database says.
pub async fn announce_created(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    c: &Conversation,
    by: &Performer,
) -> Result<()> {
    push::announce(tx, scope, c, &["conversation.created"], by).await?;
    if c.row.assignee_id.is_some() {
        push::announce(tx, scope, c, &["assignee.changed"], by).await?;
    }
    Ok(())
}
