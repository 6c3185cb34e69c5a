//! New conversations.

use chatwarden_db::{Timestamp, Tx, WriteTx};
use chatwarden_jobs::outbox::{self, Position};
use serde_json::{Value, json};

use super::{Conversation, Status, attributes, participants, push, sql, team};
use crate::contacts::{self, Contact, ContactInbox};
use crate::error::{Error, Result};
use crate::events::Performer;
use crate::ids::{AgentBotId, ContactId, InboxId, UserId};
use crate::inboxes::{self, Inbox};
use crate::messages;
use crate::scope::Scope;
use crate::teams::Team;

/// What a new conversation starts with.
#[derive(Debug, Clone)]
pub struct NewConversation {
    /// Open, but for bots, blocked contacts and callers who say otherwise.
    pub status: Status,
    /// The assignee.
    pub assignee: Option<UserId>,
    /// The bot that has it.
    pub agent_bot: Option<AgentBotId>,
    /// The team. An assignee who is not in it is none, and it may choose one itself.
    pub team: Option<Team>,
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

/// Where a conversation is to be opened.
#[derive(Debug, Clone, Default)]
pub struct Place {
    /// The inbox.
    pub inbox: Option<InboxId>,
    /// The contact.
    pub contact: Option<ContactId>,
    /// What the inbox's channel calls the contact.
    pub source_id: Option<String>,
}

/// The inbox, the contact inbox (made where it is missing) and the contact that a place means. Inbox and contact come
/// before a source id alone, which may be of any inbox.
///
/// # Errors
/// [`Error::NotFound`] where the account lacks one of them, [`Error::Unauthorized`] where a `member` is given who is
/// not in an inbox that is meant, [`Error::Unprocessable`] where the source id is another contact's, or the contact
/// lacks what the channel writes to.
pub async fn place(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    place: &Place,
    member: Option<UserId>,
) -> Result<(Inbox, ContactInbox, Contact)> {
    let named = match place.inbox {
        Some(inbox) => Some(entered(tx, scope, inbox, member).await?),
        None => None,
    };
    let contact = match place.contact {
        Some(contact) => {
            Some(contacts::sql::get(tx, scope, contact).await?.ok_or(Error::NotFound)?)
        }
        None => None,
    };
    match (named, contact, &place.source_id) {
        (Some(inbox), Some(contact), source_id) => {
            let joined = contacts::join_inbox(tx, scope, &contact, &inbox, source_id.clone()).await;
            let joined = joined.map_err(|error| match error {
                Error::Invalid(_) => Error::Unprocessable("source_id should be unique".to_owned()),
                other => other,
            })?;
            Ok((inbox, joined, contact))
        }
        (named, _, Some(source_id)) => {
            let known = contacts::sql::contact_inbox_anywhere(tx, scope, source_id).await?;
            let known = known.ok_or(Error::NotFound)?;
            let inbox = match named.filter(|inbox| inbox.id == known.inbox_id) {
                Some(inbox) => inbox,
                None => entered(tx, scope, known.inbox_id, member).await?,
            };
            let contact = contacts::sql::get(tx, scope, known.contact_id).await?;
            Ok((inbox, known, contact.ok_or(Error::NotFound)?))
        }
        _ => Err(Error::NotFound),
    }
}

/// An inbox, if `member` sits there, where one is given.
async fn entered(
    tx: &mut Tx<'_>,
    scope: &Scope,
    id: InboxId,
    member: Option<UserId>,
) -> Result<Inbox> {
    let inbox = inboxes::sql::get(tx, scope, id).await?.ok_or(Error::NotFound)?.inbox;
    match member {
        Some(member) if !inboxes::sql::is_member(tx, scope, id, member).await? => {
            Err(Error::not_authorized())
        }
        _ => Ok(inbox),
    }
}

/// Opens a conversation of a contact inbox. Where the inbox keeps one conversation a contact, the
/// latest is given back instead.
///
/// Nobody hears of it yet: [`announce_created`] does that once its first message stands.
///
/// # Errors
/// [`Error::Invalid`] for attributes beyond the limits, [`Error::NotFound`] where the contact inbox was
/// removed meanwhile.
pub async fn create(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    inbox: &Inbox,
    of: &ContactInbox,
    blocked: bool,
    mut new: NewConversation,
) -> Result<(Conversation, bool)> {
    // Its contact may have been merged into another since it was read.
    let contact = sql::lock_contact_inbox(tx, scope, of.id).await?.ok_or(Error::NotFound)?;
    if inbox.lock_to_single_conversation
        && let Some(latest) = sql::latest_of_contact_inbox(tx, scope, of.id, inbox.id).await?
    {
        return Ok((latest, false));
    }
    attributes::check_new(&mut new)?;
    if let Some(team) = &new.team {
        new.assignee = team::assignee_in(tx, scope, team, new.assignee, inbox.id).await?;
    }
    if blocked {
        new.status = Status::Resolved;
    } else if let Some(bot) = sql::active_bot(tx, scope, inbox.id).await? {
        new.status = Status::Pending;
        if new.assignee.is_none() {
            new.agent_bot = Some(bot);
        }
    }
    if new.status != Status::Snoozed {
        new.snoozed_until = None;
    }
    let display_id = sql::next_display_id(tx, scope).await?;
    let id = sql::insert(tx, scope, display_id, inbox.id, (contact, of.id), &new).await?;
    let conversation = sql::get(tx, scope, id).await?.ok_or(Error::NotFound)?;
    Ok((conversation, true))
}

/// Tells of a new conversation, with its first message where that stands (`realtime.md §5`): before anything that
/// was emitted since `opened`.
///
/// # Errors
/// What the database says.
pub async fn announce_created(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    c: &Conversation,
    by: &Performer,
    opened: Position,
) -> Result<()> {
    let filled = outbox::position(tx);
    crate::meters::conversation(tx, c);
    push::announce(tx, scope, c, &["conversation.created"], by).await?;
    if let Some(assignee) = c.row.assignee_id {
        participants::add(tx, scope, c, &[assignee]).await?;
        push::announce(tx, scope, c, &["assignee.changed"], by).await?;
    }
    if c.row.team_id.is_some() {
        push::announce(tx, scope, c, &["team.changed"], by).await?;
    }
    outbox::bring_forward(tx, opened, filled);
    Ok(())
}

/// Says among the messages of a new conversation whom it was given to.
///
/// # Errors
/// What the database says.
pub async fn say_given(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    c: &mut Conversation,
    by: &Performer,
) -> Result<()> {
    let Some(name) = by.name() else { return Ok(()) };
    let text = match (c.assignee(), &c.team) {
        (None, None) => return Ok(()),
        (Some(assignee), Some(team)) => {
            format!("Assigned to {} via {} by {name}", assignee.name, team.name)
        }
        (None, Some(team)) => format!("Assigned to {} by {name}", team.name),
        (Some(assignee), None) => match by {
            Performer::User(push) if push.id == assignee.id => {
                format!("{name} self-assigned this conversation")
            }
            _ => format!("Assigned to {} by {name}", assignee.name),
        },
    };
    messages::activity(tx, scope, c, &text, json!({})).await?;
    sql::update(tx, scope, &c.row).await?;
    Ok(())
}
