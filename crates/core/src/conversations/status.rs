//! What changes a conversation: its status, its assignee, who has seen it.

use chatwarden_db::{Timestamp, WriteTx};
use serde_json::json;

use super::{AssigneeBot, Conversation, ConversationRow, Status, participants, push, sql, unread};
use crate::agent_bots::AgentBot;
use crate::error::Result;
use crate::events::{self, Audience, Event, Performer};
use crate::messages::{self, capitalised};
use crate::scope::Scope;
use crate::users::Member;

/// The events that a change of the row causes (`realtime.md §6`).
pub(crate) fn events_of(before: &ConversationRow, after: &ConversationRow) -> Vec<&'static str> {
    let mut out = Vec::new();
    let language =
        |row: &ConversationRow| row.additional_attributes.0.get("conversation_language").cloned();
    if before.status != after.status {
        out.push("conversation.status_changed");
    }
    if before.assignee_id != after.assignee_id {
        out.push("assignee.changed");
    }
    if before.team_id != after.team_id {
        out.push("team.changed");
    }
    if before.status != after.status
        || before.assignee_id != after.assignee_id
        || before.assignee_agent_bot_id != after.assignee_agent_bot_id
        || before.team_id != after.team_id
        || before.snoozed_until != after.snoozed_until
        || before.custom_attributes != after.custom_attributes
        || before.labels != after.labels
        || before.waiting_since != after.waiting_since
        || before.first_reply_created_at != after.first_reply_created_at
        || before.priority != after.priority
        || (before.additional_attributes != after.additional_attributes
            && (language(before).is_some() || language(after).is_some()))
    {
        out.push("conversation.updated");
    }
    if before.contact_last_seen_at != after.contact_last_seen_at {
        out.push("conversation.read");
    }
    out
}

/// Writes the row in hand and tells of what changed since `before`.
///
/// # Errors
/// What the database says.
pub async fn save(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    c: &mut Conversation,
    before: &ConversationRow,
    by: &Performer,
) -> Result<()> {
    let events = events_of(before, &c.row);
    c.row.updated_at = tx.now();
    sql::update(tx, scope, &c.row).await?;
    // Not by whoever acts: what follows from a change names nobody.
    unread::tell_changed(tx, scope, c, before, &Performer::System);
    if let Some(assignee) = c.row.assignee_id.filter(|_| before.assignee_id != c.row.assignee_id) {
        participants::add(tx, scope, c, &[assignee]).await?;
    }
    push::announce(tx, scope, c, &events, by).await
}

/// Moves a conversation to `status`; `snoozed_until` matters for snoozing alone (`behaviours.md §8`), and says nothing
/// where one that is snoozed stays so until when it was.
///
/// # Errors
/// What the database says.
pub async fn set_status(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    c: &mut Conversation,
    status: Status,
    snoozed_until: Option<Timestamp>,
    by: &Performer,
) -> Result<()> {
    let before = c.row.clone();
    // What a person opens is no bot's any more.
    if status == Status::Open && matches!(by, Performer::User(_)) {
        c.row.assignee_agent_bot_id = None;
        c.assignee_bot = None;
    }
    move_to(tx, scope, c, before, status, snoozed_until, by).await
}

async fn move_to(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    c: &mut Conversation,
    before: ConversationRow,
    status: Status,
    snoozed_until: Option<Timestamp>,
    by: &Performer,
) -> Result<()> {
    c.row.status = status;
    c.row.snoozed_until = match status {
        Status::Snoozed => snoozed_until.or(c.row.snoozed_until),
        Status::Open | Status::Resolved | Status::Pending => None,
    };
    if status == Status::Resolved {
        c.row.waiting_since = None;
    }
    if before.status != status
        && let Some(text) = status_text(status, by)
    {
        let attributes =
            json!({"activity": {"type": "conversation_status_changed", "status": status}});
        messages::activity(tx, scope, c, &text, attributes).await?;
    }
    if before.status != status && status == Status::Resolved {
        messages::survey(tx, scope, c).await?;
    }
    save(tx, scope, c, &before, by).await
}

/// What is said of a new status (`behaviours.md §10`); nothing where nobody acted.
fn status_text(status: Status, by: &Performer) -> Option<String> {
    let name = by.name()?;
    Some(match (status, by) {
        (Status::Resolved, Performer::Contact(_)) => {
            format!("Conversation was resolved by {}", capitalised(name))
        }
        (Status::Resolved, _) => format!("Conversation was marked resolved by {name}"),
        (Status::Open, _) => format!("Conversation was reopened by {name}"),
        (Status::Pending, _) => format!("Conversation was marked as pending by {name}"),
        (Status::Snoozed, _) => format!("Conversation was snoozed by {name}"),
    })
}

/// Assigns a conversation to a member, or to nobody. Either takes it from the bot that has it.
///
/// # Errors
/// What the database says.
pub async fn assign(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    c: &mut Conversation,
    assignee: Option<&Member>,
    by: &Performer,
) -> Result<()> {
    let before = c.row.clone();
    c.row.assignee_id = assignee.map(|member| member.id);
    c.row.assignee_agent_bot_id = None;
    c.assignee_bot = None;
    if before.assignee_id == c.row.assignee_id && before.assignee_agent_bot_id.is_none() {
        return Ok(());
    }
    c.assignee_row = match c.row.assignee_id {
        Some(user) => crate::users::sql::member_row(tx, scope, user).await?,
        None => None,
    };
    if before.assignee_id != c.row.assignee_id
        && let Some(text) = assignee_text(assignee, by)
    {
        messages::activity(tx, scope, c, &text, json!({})).await?;
    }
    save(tx, scope, c, &before, by).await
}

/// Gives a conversation to a bot, and takes it from the member who has it.
///
/// # Errors
/// What the database says.
pub async fn assign_bot(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    c: &mut Conversation,
    bot: &AgentBot,
    by: &Performer,
) -> Result<()> {
    let before = c.row.clone();
    c.row.assignee_id = None;
    c.row.assignee_agent_bot_id = Some(bot.id);
    if before.assignee_id.is_none() && before.assignee_agent_bot_id == Some(bot.id) {
        return Ok(());
    }
    c.assignee_row = None;
    c.assignee_bot = Some(AssigneeBot::from(bot));
    if before.assignee_id.is_some()
        && let Some(text) = assignee_text(None, by)
    {
        messages::activity(tx, scope, c, &text, json!({})).await?;
    }
    save(tx, scope, c, &before, by).await
}

/// A bot hands a pending conversation to people: it is open, no bot has it, and its contact waits.
///
/// # Errors
/// What the database says.
pub async fn hand_off(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    c: &mut Conversation,
    by: &Performer,
) -> Result<()> {
    let now = tx.now();
    let before = c.row.clone();
    c.row.assignee_agent_bot_id = None;
    c.assignee_bot = None;
    c.row.waiting_since.get_or_insert(now);
    move_to(tx, scope, c, before, Status::Open, None, by).await?;
    // No socket hears of it: it is news to those who want to know of new conversations.
    let context = json!({"conversation_id": c.row.id});
    let event = Event::new("conversation.bot_handoff", Audience::default()).context(context);
    events::emit(tx, scope, &event, &json!({}));
    Ok(())
}

fn assignee_text(assignee: Option<&Member>, by: &Performer) -> Option<String> {
    let name = by.name()?;
    Some(match assignee {
        None => format!("Conversation unassigned by {name}"),
        Some(member) if matches!(by, Performer::User(push) if push.id == member.id) => {
            format!("{name} self-assigned this conversation")
        }
        Some(member) => format!("Assigned to {} by {name}", member.name),
    })
}
