//! Conversations: lists, one of them, its status, its assignee (`resources.md §6`).

mod actions;
mod lists;

pub(crate) use actions::{find, lock};
pub(crate) use lists::conditions;

use axum::Json;
use axum::extract::State;
use chatwarden_core::conversations::{
    self, AssigneeBot, Conversation, NewConversation, Page, Place, Status,
};
use chatwarden_core::events;
use chatwarden_core::ids::{ContactId, DisplayId, InboxId, TeamId, UserId};
use chatwarden_core::messages::{self, MessagePush, Sent};
use chatwarden_core::storage::avatar_url;
use chatwarden_core::{Error, teams, users, values};
use chatwarden_db::{Timestamp, Tx};
use serde_json::{Map, Value, json};

use crate::actors::AgentOrBot;
use crate::app::App;
use crate::attachments::Carried;
use crate::contacts::contact_json;
use crate::error::{Answer, ApiError};
use crate::messages::Draft;
use crate::params::Params;
use crate::routes::Routes;
use crate::teams::team_json;

pub(crate) fn routes() -> Routes {
    Routes::new("/api/v1/accounts/{account_id}/conversations")
        .get("", lists::index)
        .post("", create)
        .get("/meta", lists::meta)
        .get("/search", lists::search)
        .post("/filter", lists::find)
        .get("/unread_counts", lists::unread_counts)
        .get("/{conversation_id}", show)
        .patch("/{conversation_id}", actions::update)
        .delete("/{conversation_id}", actions::destroy)
        .post("/{conversation_id}/toggle_status", actions::toggle_status)
        .post("/{conversation_id}/toggle_priority", actions::toggle_priority)
        .post("/{conversation_id}/toggle_typing_status", actions::toggle_typing_status)
        .post("/{conversation_id}/mute", actions::mute)
        .post("/{conversation_id}/unmute", actions::unmute)
        .post("/{conversation_id}/assignments", actions::assign)
        .post("/{conversation_id}/transcript", actions::transcript)
        .post("/{conversation_id}/update_last_seen", actions::update_last_seen)
        .post("/{conversation_id}/unread", actions::unread)
        .post("/{conversation_id}/custom_attributes", actions::custom_attributes)
        .get("/{conversation_id}/participants", actions::list_participants)
        .post("/{conversation_id}/participants", actions::add_participants)
        .patch("/{conversation_id}/participants", actions::set_participants)
        .delete("/{conversation_id}/participants", actions::remove_participants)
        .get("/{conversation_id}/draft_messages", actions::show_draft)
        .patch("/{conversation_id}/draft_messages", actions::put_draft)
        .delete("/{conversation_id}/draft_messages", actions::delete_draft)
}

/// The number of the conversation in the path; what is no number names no conversation.
pub(crate) fn display_id(params: &Params) -> Result<DisplayId, ApiError> {
    params
        .text("conversation_id")
        .and_then(|id| id.parse().ok())
        .map(DisplayId)
        .ok_or_else(ApiError::not_found)
}

/// The status that the parameters say; none where they say nothing.
fn status(params: &Params) -> Answer<Option<Status>> {
    params.one_of("status", Status::ALL, Status::name, Status::integer)
}

/// A moment as an ISO text, or a day, which begins at midnight; what is neither says nothing.
fn moment(params: &Params, key: &str) -> Option<Timestamp> {
    let text = params.text(key)?;
    Timestamp::parse_iso(&text).or_else(|| Timestamp::parse_iso(&format!("{text}T00:00:00Z")))
}

/// Opens a conversation with a contact in an inbox, or with whoever has the source id
/// (`behaviours.md §8`, create).
async fn create(who: AgentOrBot, State(app): State<App>, params: Params) -> Answer<Json<Value>> {
    let object = |key: &str| -> Answer<Value> {
        Ok(Value::Object(params.object_or_none(key)?.unwrap_or_default()))
    };
    let new = NewConversation {
        status: status(&params)?.unwrap_or(Status::Open),
        assignee: None,
        agent_bot: None,
        team: None,
        snoozed_until: moment(&params, "snoozed_until"),
        additional_attributes: object("additional_attributes")?,
        custom_attributes: object("custom_attributes")?,
    };
    let assignee = params.integer("assignee_id").filter(|id| *id > 0).map(UserId);
    let team = params.integer("team_id").filter(|id| *id > 0).map(TeamId);
    if params.get("message").is_some_and(values::present) {
        params.object_or_none("message")?;
    }
    let message = params.inner("message").filter(|message| !message.is_empty());
    let first = message.as_ref().map(Draft::of).transpose()?;
    let place = Place {
        inbox: params.integer("inbox_id").map(InboxId),
        contact: params.integer("contact_id").map(ContactId),
        source_id: params.present("source_id"),
    };
    let message = message.unwrap_or_default();
    let carried = Carried::of(&app, who.tenant().account_id(), &message).await?;
    let received = carried.received();
    let made = app.write(async move |tx| {
        let (scope, by) = (who.tenant(), who.performer(tx));
        let member = match &who {
            AgentOrBot::Agent(scope, _) if !scope.is_admin() => Some(scope.user_id()),
            _ => None,
        };
        let (inbox, contact_inbox, contact) =
            conversations::place(tx, scope, &place, member).await?;
        let mut new = new;
        if let Some(user) = assignee {
            let member = users::sql::member(tx, scope, user).await.map_err(Error::from)?;
            new.assignee = member.map(|member| member.id);
        }
        if let Some(team) = team {
            new.team = teams::get(tx, scope, team).await?;
        }
        let (mut c, fresh) =
            conversations::create(tx, scope, &inbox, &contact_inbox, contact.blocked, new).await?;
        let opened = events::position(tx);
        if let Some(first) = first {
            let mut new = first.message(tx, &who, &c).await?;
            new.attachments = carried.attachments(tx, scope).await?;
            messages::create(tx, scope, &mut c, new, &by).await?;
        }
        if fresh {
            conversations::announce_created(tx, scope, &c, &by, opened).await?;
            conversations::say_given(tx, scope, &mut c, &by).await?;
        }
        let page = conversations::show(tx, scope, c).await?;
        Ok(Json(conversation_json(tx, &page)))
    });
    received.kept_if(&app, made).await
}

/// One conversation.
async fn show(who: AgentOrBot, State(app): State<App>, params: Params) -> Answer<Json<Value>> {
    let id = display_id(&params)?;
    app.read(async move |tx| {
        let found = find(tx, &who, id).await?;
        let page = conversations::show(tx, who.tenant(), found).await?;
        Ok(Json(conversation_json(tx, &page)))
    })
    .await
}

/// A member as lists show it (`resources.md §3`).
pub(crate) fn agent_json(tx: &Tx<'_>, member: &users::Member) -> Value {
    let mut out = json!({
        "id": member.id,
        "account_id": member.account_id,
        "availability_status": member.availability_status(tx),
        "auto_offline": member.auto_offline,
        "confirmed": member.confirmed,
        "email": member.email,
        "provider": member.provider,
        "available_name": member.available_name(),
        "name": member.name,
        "role": member.role,
        "thumbnail": avatar_url(tx, member.avatar.as_ref()),
    });
    let attributes = member.custom_attributes.as_object().filter(|a| !a.is_empty());
    if let (Some(attributes), Some(object)) = (attributes, out.as_object_mut()) {
        object.insert("custom_attributes".to_owned(), Value::Object(attributes.clone()));
    }
    out
}

/// A bot that has a conversation (`resources.md §6.1`).
pub(crate) fn slim_bot_json(tx: &Tx<'_>, bot: &AssigneeBot) -> Value {
    let mut out = json!({
        "id": bot.id,
        "name": bot.name,
        "description": bot.description,
        "thumbnail": avatar_url(tx, bot.avatar.as_ref()),
        "bot_type": "webhook",
    });
    // Where a bot of the installation listens is not the account's business.
    if let (Some(_), Some(object)) = (bot.account_id, out.as_object_mut()) {
        object.insert("outgoing_url".to_owned(), json!(bot.outgoing_url));
    }
    out
}

fn message_push(tx: &Tx<'_>, c: &Conversation, sent: &Sent) -> Value {
    json!(MessagePush::of(tx, c, sent))
}

/// A conversation as lists and its own page show it (`resources.md §6.1`).
pub(crate) fn conversation_json(tx: &Tx<'_>, page: &Page) -> Value {
    let c = &page.conversation;
    let row = &c.row;
    let unix0 = |t: Option<Timestamp>| t.map_or(0, Timestamp::unix);
    let mut meta = Map::new();
    meta.insert("sender".to_owned(), contact_json(tx, &c.contact));
    meta.insert("channel".to_owned(), json!(c.inbox.channel_type));
    if let Some(team) = &c.team {
        meta.insert("team".to_owned(), team_json(team, page.in_team));
    }
    if let Some(assignee) = c.assignee() {
        meta.insert("assignee".to_owned(), agent_json(tx, &assignee));
        meta.insert("assignee_type".to_owned(), json!("User"));
    } else if let Some(bot) = &c.assignee_bot {
        meta.insert("assignee".to_owned(), slim_bot_json(tx, bot));
        meta.insert("assignee_type".to_owned(), json!("AgentBot"));
    }
    meta.insert("hmac_verified".to_owned(), json!(c.contact_inbox.hmac_verified));
    json!({
        "meta": meta,
        "id": row.display_id,
        "messages": page.last.iter().map(|sent| message_push(tx, c, sent)).collect::<Vec<_>>(),
        "account_id": row.account_id,
        "uuid": row.uuid,
        "additional_attributes": row.additional_attributes.0,
        "agent_last_seen_at": unix0(row.agent_last_seen_at),
        "assignee_last_seen_at": unix0(row.assignee_last_seen_at),
        "can_reply": c.can_reply(tx.now()),
        "contact_last_seen_at": unix0(row.contact_last_seen_at),
        "custom_attributes": row.custom_attributes.0,
        "inbox_id": row.inbox_id,
        "labels": row.labels.0,
        "muted": c.contact.blocked,
        "snoozed_until": row.snoozed_until.map(Timestamp::iso),
        "status": row.status,
        "created_at": row.created_at.unix(),
        "updated_at": row.updated_at.unix_f64(),
        "timestamp": row.last_activity_at.unix(),
        "first_reply_created_at": unix0(row.first_reply_created_at),
        "unread_count": c.unread(),
        "last_non_activity_message": page.last_non_activity.as_ref().map(|sent| message_push(tx, c, sent)),
        "last_activity_at": row.last_activity_at.unix(),
        "priority": row.priority,
        "waiting_since": unix0(row.waiting_since),
        "sla_policy_id": null,
    })
}
