//! A conversation in cable frames, webhooks and notifications (`resources.md §6.3`).

use chatwarden_db::{Tx, WriteTx};
use serde::Serialize;
use serde_json::{Value, json};

use super::Conversation;
use crate::contacts::push::{ContactInboxPush, ContactPush};
use crate::error::Result;
use crate::events::{self, Audience, Event, Performer};
use crate::ids::{DisplayId, InboxId};
use crate::messages::{self, MessagePush, Sent};
use crate::scope::Scope;
use crate::teams::TeamPush;
use crate::users::UserPush;

/// The push form of a conversation.
#[derive(Debug, Clone, Serialize)]
pub struct ConversationPush<'a> {
    additional_attributes: &'a Value,
    can_reply: bool,
    channel: &'a str,
    contact_inbox: ContactInboxPush<'a>,
    id: DisplayId,
    inbox_id: InboxId,
    messages: Vec<MessagePush<'a>>,
    labels: &'a [String],
    meta: Meta<'a>,
    status: super::Status,
    custom_attributes: &'a Value,
    snoozed_until: Option<String>,
    unread_count: i64,
    first_reply_created_at: Option<String>,
    priority: Option<super::Priority>,
    waiting_since: i64,
    agent_last_seen_at: i64,
    contact_last_seen_at: i64,
    last_activity_at: i64,
    timestamp: i64,
    created_at: i64,
    updated_at: f64,
}

#[derive(Debug, Clone, Serialize)]
struct Meta<'a> {
    sender: ContactPush<'a>,
    assignee: Option<Value>,
    assignee_type: Option<&'static str>,
    team: Option<TeamPush<'a>>,
    hmac_verified: bool,
}

impl<'a> ConversationPush<'a> {
    /// Of a conversation and the newest of its public messages.
    pub fn of(tx: &Tx<'_>, c: &'a Conversation, last: Option<&'a Sent>) -> Self {
        let row = &c.row;
        let unix0 =
            |t: Option<chatwarden_db::Timestamp>| t.map_or(0, chatwarden_db::Timestamp::unix);
        let user = c.assignee().map(|member| json!(UserPush::of(tx, &member)));
        let (assignee, assignee_type) = match (user, &c.assignee_bot) {
            (Some(user), _) => (Some(user), Some("User")),
            (None, Some(bot)) => (Some(bot.push(tx)), Some("AgentBot")),
            (None, None) => (None, None),
        };
        Self {
            additional_attributes: &row.additional_attributes.0,
            can_reply: c.can_reply(tx.now()),
            channel: &c.inbox.channel_type,
            contact_inbox: ContactInboxPush::of(&c.contact_inbox),
            id: row.display_id,
            inbox_id: row.inbox_id,
            messages: last.iter().map(|sent| MessagePush::of(tx, c, sent)).collect(),
            labels: &row.labels.0,
            meta: Meta {
                sender: ContactPush::of(tx, &c.contact),
                assignee,
                assignee_type,
                team: c.team.as_ref().map(TeamPush::of),
                hmac_verified: c.contact_inbox.hmac_verified,
            },
            status: row.status,
            custom_attributes: &row.custom_attributes.0,
            snoozed_until: row.snoozed_until.map(chatwarden_db::Timestamp::iso),
            unread_count: c.unread(),
            first_reply_created_at: row.first_reply_created_at.map(chatwarden_db::Timestamp::iso),
            priority: row.priority,
            waiting_since: unix0(row.waiting_since),
            agent_last_seen_at: unix0(row.agent_last_seen_at),
            contact_last_seen_at: unix0(row.contact_last_seen_at),
            last_activity_at: row.last_activity_at.unix(),
            timestamp: row.last_activity_at.unix(),
            created_at: row.created_at.unix(),
            updated_at: row.updated_at.unix_f64(),
        }
    }
}

/// Those who hear of a conversation: its inbox's members, the administrators, and, for what the
/// contact may see, the contact's socket.
pub async fn audience(
    tx: &mut Tx<'_>,
    scope: &Scope,
    c: &Conversation,
    contact_too: bool,
) -> Result<Audience> {
    let agents = Audience::inbox(scope, c.row.inbox_id);
    if !contact_too {
        return Ok(agents);
    }
    if !c.contact_inbox.hmac_verified {
        return Ok(agents.and_visitor(&c.contact_inbox));
    }
    // A proved identity sees its conversations on every device.
    Ok(agents.and(crate::contacts::sql::verified_tokens(tx, scope, c.row.contact_id).await?))
}

/// Tells of changes to a conversation: `events` in order, one payload for all.
///
/// # Errors
/// What the database says.
pub async fn announce(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    c: &Conversation,
    what: &[&'static str],
    by: &Performer,
) -> Result<()> {
    announce_with(tx, scope, c, what, by, None).await
}

/// The same, with the newest public message in hand where it is.
///
/// # Errors
/// What the database says.
pub async fn announce_with(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    c: &Conversation,
    what: &[&'static str],
    by: &Performer,
    last: Option<&Sent>,
) -> Result<()> {
    if what.is_empty() {
        return Ok(());
    }
    let loaded = match c.row.last_public_message_id {
        Some(id) if last.is_none() => messages::get(tx, scope, id).await?,
        _ => None,
    };
    let last = last.or(loaded.as_ref());
    let contact_hears = |event: &str| {
        matches!(
            event,
            "conversation.created" | "conversation.updated" | "conversation.status_changed"
        )
    };
    let agents = Audience::inbox(scope, c.row.inbox_id);
    let everybody = if what.iter().any(|event| contact_hears(event)) {
        audience(tx, scope, c, true).await?
    } else {
        agents.clone()
    };
    let payload = ConversationPush::of(tx, c, last);
    for &event in what {
        let audience = if contact_hears(event) { everybody.clone() } else { agents.clone() };
        // Recomputed events never carry who acted (`realtime.md §5`).
        let recomputed = !matches!(event, "conversation.created" | "conversation.contact_changed");
        let mut announced = Event::new(event, audience).context(serde_json::json!({
            "conversation_id": c.row.id, "assignee_id": c.row.assignee_id, "by": performer_id(by),
            "status": c.row.status, "hands_out": c.inbox.hands_out.then_some(c.row.inbox_id),
        }));
        if !recomputed {
            announced = announced.by(by);
        }
        if event == "conversation.status_changed" && c.row.status == super::Status::Resolved {
            crate::meters::resolved(tx, c);
        }
        events::emit(tx, scope, &announced, &payload);
    }
    Ok(())
}

/// The user who acted, for jobs that must not notify of one's own doings.
fn performer_id(by: &Performer) -> Option<crate::ids::UserId> {
    match by {
        Performer::User(push) => Some(push.id),
        _ => None,
    }
}
