//! Dashboard apps (`resources.md §11`).

use axum::Json;
use axum::extract::State;
use chatwarden_core::dashboard_apps::{self, DashboardApp, Draft};
use chatwarden_core::ids::DashboardAppId;
use http::StatusCode;
use serde_json::{Value, json};

use crate::actors::{Admin, Agent};
use crate::app::App;
use crate::error::Answer;
use crate::params::Params;
use crate::routes::Routes;

pub(crate) fn routes() -> Routes {
    Routes::new("/api/v1/accounts/{account_id}/dashboard_apps")
        .get("", index)
        .post("", create)
        .get("/{id}", show)
        .patch("/{id}", update)
        .delete("/{id}", destroy)
}

/// What may be sent without being wrapped in `dashboard_app`.
const FIELDS: &[&str] = &["title", "content"];

fn id(params: &Params) -> Answer<DashboardAppId> {
    params.id("id").map(DashboardAppId)
}

fn draft(params: &Params) -> Answer<Draft> {
    let sent = params.record("dashboard_app", FIELDS)?;
    let pages = sent.list("content").map(Value::Array).or_else(|| sent.get("content").cloned());
    Ok(Draft {
        title: sent.has("title").then(|| sent.text("title").unwrap_or_default()),
        content: pages,
    })
}

fn app_json(app: &DashboardApp) -> Value {
    json!({
        "id": app.id,
        "title": app.title,
        "content": app.content.0,
        "created_at": app.created_at.iso(),
    })
}

async fn index(Agent(scope, _): Agent, State(app): State<App>) -> Answer<Json<Value>> {
    app.read(async move |tx| {
        let found = dashboard_apps::list(tx, &scope).await?;
        Ok(Json(found.iter().map(app_json).collect()))
    })
    .await
}

async fn show(
    Agent(scope, _): Agent,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let id = id(&params)?;
    app.read(async move |tx| Ok(Json(app_json(&dashboard_apps::find(tx, &scope, id).await?)))).await
}

async fn create(
    Admin(scope, _): Admin,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let draft = draft(&params)?;
    app.write(async move |tx| {
        let made = dashboard_apps::create(tx, &scope, draft).await?;
        Ok(Json(app_json(&made)))
    })
    .await
}

async fn update(
    Admin(scope, _): Admin,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let (id, draft) = (id(&params)?, draft(&params)?);
    app.write(async move |tx| {
        let changed = dashboard_apps::update(tx, &scope, id, draft).await?;
        Ok(Json(app_json(&changed)))
    })
    .await
}

async fn destroy(
    Admin(scope, _): Admin,
    State(app): State<App>,
    params: Params,
) -> Answer<StatusCode> {
    let id = id(&params)?;
    app.write(async move |tx| dashboard_apps::delete(tx, &scope, id).await).await?;
    Ok(StatusCode::NO_CONTENT)
}
