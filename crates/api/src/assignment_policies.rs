//! Assignment policies, and the inboxes that go by them (`resources.md §20`).

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use chatwarden_core::assignment::{self, Draft, Policy, Priority};
use chatwarden_core::ids::{AssignmentPolicyId, InboxId};
use http::StatusCode;
use serde_json::{Value, json};

use crate::actors::Admin;
use crate::app::App;
use crate::error::{Answer, ApiError, done};
use crate::inboxes::inbox_json;
use crate::params::Params;
use crate::routes::Routes;

pub(crate) fn routes() -> Routes {
    Routes::new("/api/v1/accounts/{account_id}")
        .get("/assignment_policies", index)
        .post("/assignment_policies", create)
        .get("/assignment_policies/{id}", show)
        .patch("/assignment_policies/{id}", update)
        .delete("/assignment_policies/{id}", destroy)
        .get("/assignment_policies/{id}/inboxes", inboxes)
        .get("/inboxes/{inbox_id}/assignment_policy", of_inbox)
        .post("/inboxes/{inbox_id}/assignment_policy", tie)
        .delete("/inboxes/{inbox_id}/assignment_policy", untie)
}

/// What may be sent without being wrapped in `assignment_policy`.
const FIELDS: &[&str] = &[
    "name",
    "description",
    "assignment_order",
    "conversation_priority",
    "fair_distribution_limit",
    "fair_distribution_window",
    "exclude_older_than_hours",
    "enabled",
];

fn draft(params: &Params) -> Answer<Draft> {
    let sent = params.record("assignment_policy", FIELDS)?;
    let odd = |field: &str, name: &str| {
        ApiError::unprocessable(format!("'{name}' is not a valid {field}"))
    };
    if let Some(order) = sent.present("assignment_order").filter(|it| it != "round_robin") {
        return Err(odd("assignment_order", &order));
    }
    let conversation_priority = match sent.present("conversation_priority") {
        Some(name) => {
            Some(Priority::named(&name).ok_or_else(|| odd("conversation_priority", &name))?)
        }
        None => None,
    };
    let number = |key: &str| sent.has(key).then(|| sent.integer(key).unwrap_or(0));
    let none = |key: &str| match sent.get(key) {
        Some(Value::String(text)) => text.trim().is_empty(),
        value => value == Some(&Value::Null),
    };
    const HOURS: &str = "exclude_older_than_hours";
    Ok(Draft {
        name: sent.has("name").then(|| sent.text("name").unwrap_or_default()),
        description: sent.has("description").then(|| sent.text("description")),
        conversation_priority,
        fair_distribution_limit: number("fair_distribution_limit"),
        fair_distribution_window: number("fair_distribution_window"),
        exclude_older_than_hours: if none(HOURS) { Some(None) } else { number(HOURS).map(Some) },
        enabled: sent.flag("enabled"),
    })
}

fn id(params: &Params) -> Answer<AssignmentPolicyId> {
    params.id("id").map(AssignmentPolicyId)
}

fn inbox_id(params: &Params) -> Answer<InboxId> {
    params.id("inbox_id").map(InboxId)
}

fn policy_json(policy: &Policy) -> Value {
    json!({
        "id": policy.id,
        "name": policy.name,
        "description": policy.description,
        "assignment_order": "round_robin",
        "conversation_priority": policy.conversation_priority,
        "fair_distribution_limit": policy.fair_distribution_limit,
        "fair_distribution_window": policy.fair_distribution_window,
        "exclude_older_than_hours": policy.exclude_older_than_hours,
        "enabled": policy.enabled,
        "assigned_inbox_count": policy.inboxes,
        "created_at": policy.created_at.unix(),
        "updated_at": policy.updated_at.unix(),
    })
}

/// The refusal of an inbox that goes by no policy.
fn none() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "Assignment policy not found")
}

async fn index(Admin(scope, _): Admin, State(app): State<App>) -> Answer<Json<Value>> {
    app.read(async move |tx| {
        let found = assignment::list(tx, &scope).await?;
        Ok(Json(found.iter().map(policy_json).collect()))
    })
    .await
}

async fn show(
    Admin(scope, _): Admin,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let id = id(&params)?;
    app.read(async move |tx| Ok(Json(policy_json(&assignment::find(tx, &scope, id).await?)))).await
}

async fn create(
    Admin(scope, _): Admin,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let draft = draft(&params)?;
    app.write(async move |tx| Ok(Json(policy_json(&assignment::create(tx, &scope, draft).await?))))
        .await
}

async fn update(
    Admin(scope, _): Admin,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let (id, draft) = (id(&params)?, draft(&params)?);
    app.write(async move |tx| {
        Ok(Json(policy_json(&assignment::update(tx, &scope, id, draft).await?)))
    })
    .await
}

async fn destroy(
    Admin(scope, _): Admin,
    State(app): State<App>,
    params: Params,
) -> Answer<Response> {
    let id = id(&params)?;
    app.write(async move |tx| assignment::delete(tx, &scope, id).await).await?;
    Ok(done())
}

/// The inboxes that go by a policy.
async fn inboxes(
    Admin(scope, _): Admin,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let id = id(&params)?;
    app.read(async move |tx| {
        let found = assignment::inboxes_of(tx, &scope, id).await?;
        let rows: Vec<Value> = found.iter().map(|inbox| inbox_json(tx, inbox, true)).collect();
        Ok(Json(json!({"inboxes": rows})))
    })
    .await
}

/// The policy of an inbox.
async fn of_inbox(
    Admin(scope, _): Admin,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let inbox = inbox_id(&params)?;
    app.read(async move |tx| {
        let policy = assignment::of_inbox(tx, &scope, inbox).await?.ok_or_else(none)?;
        Ok(Json(policy_json(&policy)))
    })
    .await
}

/// Has an inbox go by a policy.
async fn tie(
    Admin(scope, _): Admin,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let inbox = inbox_id(&params)?;
    let policy = params.integer("assignment_policy_id").ok_or_else(ApiError::not_found)?;
    app.write(async move |tx| {
        let policy = assignment::tie(tx, &scope, inbox, AssignmentPolicyId(policy)).await?;
        Ok(Json(policy_json(&policy)))
    })
    .await
}

/// Has an inbox go by no policy.
async fn untie(Admin(scope, _): Admin, State(app): State<App>, params: Params) -> Answer<Response> {
    let inbox = inbox_id(&params)?;
    app.write(
        async move |tx| {
            if assignment::untie(tx, &scope, inbox).await? { Ok(done()) } else { Err(none()) }
        },
    )
    .await
}
