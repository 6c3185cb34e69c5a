//! Conversations: lists, one of them, its status, its assignee (`resources.md §6`).

use axum::Json;
use axum::extract::State;
use chatwarden_core::conversations::{
    self, Assigned, Conversation, Counts, Filter, NewConversation, Page, Place, Status,
};
use chatwarden_core::ids::{ContactId, DisplayId, InboxId, TeamId, UserId};
use chatwarden_core::messages::{self, MessagePush, Sent};
use chatwarden_core::storage::avatar_url;
use chatwarden_core::{Error, teams, users};
use chatwarden_db::{Timestamp, Tx};
use serde_json::{Map, Value, json};

use crate::actors::{Agent, AgentOrBot, performer};
use crate::app::App;
use crate::contacts::contact_json;
use crate::error::{Answer, ApiError};
use crate::messages::Draft;
use crate::params::Params;
use crate::routes::Routes;
use crate::teams::{raw_team_json, team_json};

pub(crate) fn routes() -> Routes {
    Routes::new("/api/v1/accounts/{account_id}/conversations")
        .get("", index)
        .post("", create)
        .get("/meta", meta)
        .get("/{conversation_id}", show)
        .post("/{conversation_id}/toggle_status", toggle_status)
        .post("/{conversation_id}/assignments", assign)
        .post("/{conversation_id}/update_last_seen", update_last_seen)
}

/// The number of the conversation in the path; what is no number names no conversation.
pub(crate) fn display_id(params: &Params) -> Result<DisplayId, ApiError> {
    params
        .text("conversation_id")
        .and_then(|id| id.parse().ok())
        .map(DisplayId)
        .ok_or_else(ApiError::not_found)
}

fn filter(params: &Params) -> Filter {
    let status = params.present("status");
    Filter {
        status: match status.as_deref() {
            None => Some(Status::Open),
            Some("all") => None,
            Some(name) => Some(Status::named(name).unwrap_or(Status::Open)),
        },
        inbox: params.integer("inbox_id").map(InboxId),
        assignee: match params.text("assignee_type").as_deref() {
            Some("me") => Assigned::Me,
            Some("unassigned") => Assigned::Unassigned,
            Some("assigned") => Assigned::Assigned,
            _ => Assigned::All,
        },
    }
}

fn counts_json(counts: Counts) -> Value {
    json!({
        "mine_count": counts.mine,
        "assigned_count": counts.all - counts.unassigned,
        "unassigned_count": counts.unassigned,
        "all_count": counts.all,
    })
}

/// The conversations that the member may see, a page at a time.
async fn index(
    Agent(scope, _): Agent,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let filter = filter(&params);
    let page = params.page();
    app.read(async move |tx| {
        let counts = conversations::counts(tx, &scope, &filter).await?;
        let found = conversations::page(tx, &scope, &filter, page).await?;
        let payload: Vec<Value> = found.iter().map(|page| conversation_json(tx, page)).collect();
        Ok(Json(json!({"data": {"meta": counts_json(counts), "payload": payload}})))
    })
    .await
}

/// A moment, as unix seconds or as an ISO text.
fn moment(params: &Params, key: &str) -> Option<Timestamp> {
    match params.text(key)? {
        text if text.contains('-') => Timestamp::parse_iso(&text),
        text => text.parse().ok().map(Timestamp::from_unix),
    }
}

/// Opens a conversation with a contact in an inbox, or with whoever has the source id
/// (`behaviours.md §8`, create).
async fn create(
    Agent(scope, account): Agent,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let who = AgentOrBot::Agent(scope.clone(), account);
    let status = match params.present("status").as_deref() {
        None => Status::Open,
        Some(name) => Status::named(name)
            .ok_or_else(|| ApiError::unprocessable(format!("'{name}' is not a valid status")))?,
    };
    let object = |key: &str| Value::Object(params.object(key).unwrap_or_default());
    let new = NewConversation {
        status,
        assignee: None,
        agent_bot: None,
        team: None,
        snoozed_until: moment(&params, "snoozed_until"),
        additional_attributes: object("additional_attributes"),
        custom_attributes: object("custom_attributes"),
    };
    let assignee = params.integer("assignee_id").filter(|id| *id > 0).map(UserId);
    let first = params.inner("message").map(|message| Draft::of(&message)).transpose()?;
    let place = Place {
        inbox: params.integer("inbox_id").map(InboxId),
        contact: params.integer("contact_id").map(ContactId),
        source_id: params.present("source_id"),
    };
    app.write(async move |tx| {
        let (inbox, contact_inbox, contact) = conversations::place(tx, &scope, &place).await?;
        let by = performer(tx, &scope);
        let new = match assignee {
            Some(user) => {
                let member = users::sql::member(tx, &scope, user).await.map_err(Error::from)?;
                NewConversation { assignee: member.map(|m| m.id), ..new }
            }
            None => new,
        };
        let (mut c, fresh) =
            conversations::create(tx, &scope, &inbox, &contact_inbox, contact.blocked, new).await?;
        if fresh {
            conversations::announce_created(tx, &scope, &c, &by).await?;
        }
        if let Some(first) = first {
            let new = first.message(tx, &who, &c).await?;
            messages::create(tx, &scope, &mut c, new, &by).await?;
        }
        let page = conversations::show(tx, &scope, c).await?;
        Ok(Json(conversation_json(tx, &page)))
    })
    .await
}

/// The counts beside the list.
async fn meta(
    Agent(scope, _): Agent,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let filter = filter(&params);
    app.read(async move |tx| {
        Ok(Json(json!({"meta": counts_json(conversations::counts(tx, &scope, &filter).await?)})))
    })
    .await
}

/// One conversation.
async fn show(
    Agent(scope, _): Agent,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let id = display_id(&params)?;
    app.read(async move |tx| {
        let found = conversations::find(tx, &scope, id).await?;
        let page = conversations::show(tx, &scope, found).await?;
        Ok(Json(conversation_json(tx, &page)))
    })
    .await
}

/// Moves a conversation to a status; without one, open and resolved change places
/// (`behaviours.md §8`, toggle_status).
async fn toggle_status(
    Agent(scope, _): Agent,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let id = display_id(&params)?;
    let wanted = params.present("status");
    let until = params.integer("snoozed_until").map(Timestamp::from_unix);
    app.write(async move |tx| {
        let mut c = conversations::lock(tx, &scope, id).await?;
        let by = performer(tx, &scope);
        let status = match wanted.as_deref() {
            Some(name) => Status::named(name).ok_or_else(|| {
                ApiError::unprocessable(format!("'{name}' is not a valid status"))
            })?,
            None if c.row.status == Status::Open => Status::Resolved,
            None => Status::Open,
        };
        conversations::set_status(tx, &scope, &mut c, status, until, &by).await?;
        // Whoever reopens a conversation as an agent takes it.
        if status == Status::Open && !scope.is_admin() && c.row.assignee_id != Some(scope.user_id())
        {
            let me = scope.member().clone();
            conversations::assign(tx, &scope, &mut c, Some(&me), &by).await?;
        }
        Ok(Json(json!({"payload": {
            "success": true,
            "conversation_id": c.row.display_id,
            "current_status": c.row.status,
            "snoozed_until": c.row.snoozed_until.map(Timestamp::iso),
        }})))
    })
    .await
}

/// Assigns a conversation to a member, or to nobody; where no assignee is named, to a team or none.
async fn assign(
    Agent(scope, _): Agent,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let id = display_id(&params)?;
    let assignee = params.integer("assignee_id").filter(|id| *id > 0).map(UserId);
    let to_team = !params.has("assignee_id") && params.has("team_id");
    let team = params.integer("team_id").map(TeamId);
    app.write(async move |tx| {
        let mut c = conversations::lock(tx, &scope, id).await?;
        if to_team {
            let team = match team {
                Some(team) => teams::get(tx, &scope, team).await?,
                None => None,
            };
            let by = performer(tx, &scope);
            conversations::assign_team(tx, &scope, &mut c, team, &by).await?;
            return Ok(Json(c.team.as_ref().map_or(Value::Null, raw_team_json)));
        }
        let member = match assignee {
            Some(user) => users::sql::member(tx, &scope, user).await.map_err(Error::from)?,
            None => None,
        };
        let by = performer(tx, &scope);
        conversations::assign(tx, &scope, &mut c, member.as_ref(), &by).await?;
        Ok(Json(member.map_or(Value::Null, |member| agent_json(tx, &member))))
    })
    .await
}

/// Notes that the member looked.
async fn update_last_seen(
    Agent(scope, _): Agent,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let id = display_id(&params)?;
    app.write(async move |tx| {
        let mut c = conversations::lock(tx, &scope, id).await?;
        let me = scope.member().clone();
        conversations::mark_seen(tx, &scope, &mut c, &me).await?;
        let page = conversations::show(tx, &scope, c).await?;
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
        "can_reply": c.can_reply(),
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
