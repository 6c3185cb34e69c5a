//! What the member is told of (`resources.md §14`).

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use chatwarden_core::ids::{ConversationId, NotificationId};
use chatwarden_core::notifications::{self, Filter, Notification};
use chatwarden_db::Timestamp;
use serde_json::{Value, json};

use crate::actors::Agent;
use crate::app::App;
use crate::error::{Answer, ApiError, done};
use crate::params::Params;
use crate::routes::Routes;

pub(crate) fn routes() -> Routes {
    Routes::new("/api/v1/accounts/{account_id}/notifications")
        .get("", index)
        .get("/unread_count", unread_count)
        .post("/read_all", read_all)
        .post("/destroy_all", destroy_all)
        .patch("/{notification_id}", read)
        .delete("/{notification_id}", destroy)
        .post("/{notification_id}/unread", unread)
        .post("/{notification_id}/snooze", snooze)
}

fn id(params: &Params) -> Result<NotificationId, ApiError> {
    params.id("notification_id").map(NotificationId)
}

/// The row itself.
fn raw_json(n: &Notification) -> Value {
    json!({
        "id": n.id,
        "account_id": n.account_id,
        "user_id": n.user_id,
        "notification_type": n.notification_type,
        "primary_actor_type": "Conversation",
        "primary_actor_id": n.primary_actor_id,
        "secondary_actor_type": n.secondary_actor_type,
        "secondary_actor_id": n.secondary_actor_id,
        "read_at": n.read_at.map(Timestamp::iso),
        "snoozed_until": n.snoozed_until.map(Timestamp::iso),
        "last_activity_at": n.last_activity_at.iso(),
        "created_at": n.created_at.iso(),
        "updated_at": n.updated_at.iso(),
        "meta": n.meta(),
    })
}

/// Which notifications are meant: the unread that are not snoozed, and what is included besides.
fn filter(params: &Params) -> Filter {
    let includes = params.one_or_more("includes").unwrap_or_default();
    Filter {
        read: includes.iter().any(|kind| kind == "read"),
        snoozed: includes.iter().any(|kind| kind == "snoozed"),
        oldest_first: false,
    }
}

/// Whether the oldest come first.
fn oldest_first(params: &Params) -> Answer<bool> {
    match params.text("sort_order").as_deref() {
        None | Some("desc" | "DESC") => Ok(false),
        Some("asc" | "ASC") => Ok(true),
        Some(odd) => Err(ApiError::unprocessable(format!("'{odd}' is not a valid sort_order"))),
    }
}

/// A page of the member's notifications.
async fn index(
    Agent(scope, _): Agent,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let filter = Filter { oldest_first: oldest_first(&params)?, ..filter(&params) };
    let (page, echo) = (params.page(), params.page_echo());
    app.read(async move |tx| {
        let found = notifications::page(tx, &scope, filter, page).await?;
        Ok(Json(json!({"data": {
            "meta": {"unread_count": found.unread, "count": found.count, "current_page": echo},
            "payload": notifications::forms(tx, &found.listed, scope.member()),
        }})))
    })
    .await
}

/// How many of those that the list shows are unread: a bare number.
async fn unread_count(
    Agent(scope, _): Agent,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<i64>> {
    let filter = filter(&params);
    app.read(async move |tx| Ok(Json(notifications::count_unread(tx, &scope, filter).await?))).await
}

async fn read(
    Agent(scope, _): Agent,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let id = id(&params)?;
    app.write(async move |tx| Ok(Json(raw_json(&notifications::read(tx, &scope, id).await?)))).await
}

async fn unread(
    Agent(scope, _): Agent,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let id = id(&params)?;
    app.write(async move |tx| Ok(Json(raw_json(&notifications::unread(tx, &scope, id).await?))))
        .await
}

/// Hides a notification until a time: unix seconds, or an ISO text.
async fn snooze(
    Agent(scope, _): Agent,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let id = id(&params)?;
    let until = match params.text("snoozed_until") {
        None => None,
        Some(text) => {
            let at = match text.trim().parse::<i64>() {
                // What a clock can show: more is no time, and can't be stored.
                Ok(seconds) => {
                    (0..=253_402_300_799).contains(&seconds).then(|| Timestamp::from_unix(seconds))
                }
                Err(_) => Timestamp::parse_iso(&text),
            };
            Some(at.ok_or_else(|| ApiError::unprocessable("snoozed_until is no time"))?)
        }
    };
    app.write(async move |tx| {
        Ok(Json(raw_json(&notifications::snooze(tx, &scope, id, until).await?)))
    })
    .await
}

async fn destroy(
    Agent(scope, _): Agent,
    State(app): State<App>,
    params: Params,
) -> Answer<Response> {
    let id = id(&params)?;
    app.write(async move |tx| {
        notifications::destroy(tx, &scope, id).await?;
        Ok(done())
    })
    .await
}

/// Notes that all were read, or all of a conversation.
async fn read_all(
    Agent(scope, _): Agent,
    State(app): State<App>,
    params: Params,
) -> Answer<Response> {
    let of = match params.text("primary_actor_type").as_deref() {
        Some("Conversation") => Some(ConversationId(params.id("primary_actor_id")?)),
        _ => None,
    };
    app.write(async move |tx| {
        notifications::read_all(tx, &scope, of).await?;
        Ok(done())
    })
    .await
}

/// Has all removed, or those that were read; in the background.
async fn destroy_all(
    Agent(scope, _): Agent,
    State(app): State<App>,
    params: Params,
) -> Answer<Response> {
    let read_only = params.text("type").as_deref() == Some("read");
    app.write(async move |tx| {
        notifications::destroy_all(tx, &scope, read_only).await?;
        Ok(done())
    })
    .await
}
