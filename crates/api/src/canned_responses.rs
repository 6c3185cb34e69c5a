//! Canned responses (`resources.md §8`).

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use chatwarden_core::canned_responses::{self, CannedResponse, Draft};
use chatwarden_core::ids::CannedResponseId;
use serde_json::{Value, json};

use crate::actors::Agent;
use crate::app::App;
use crate::error::{Answer, done, sent_to};
use crate::params::Params;
use crate::routes::Routes;

pub(crate) fn routes() -> Routes {
    Routes::new("/api/v1/accounts/{account_id}/canned_responses")
        .get("", index)
        .post("", create)
        .patch("/{id}", update)
        .delete("/{id}", destroy)
}

/// What may be sent without being wrapped in `canned_response`.
const FIELDS: &[&str] = &["short_code", "content"];

fn draft(params: &Params) -> Answer<Draft> {
    let sent = params.record("canned_response", FIELDS)?;
    let text = |key: &str| sent.has(key).then(|| sent.text(key).unwrap_or_default());
    Ok(Draft { short_code: text("short_code"), content: text("content") })
}

fn id(params: &Params) -> Answer<CannedResponseId> {
    params.id("id").map(CannedResponseId)
}

fn canned_response_json(of: &CannedResponse) -> Value {
    json!({
        "id": of.id,
        "account_id": of.account_id,
        "short_code": of.short_code,
        "content": of.content,
        "created_at": of.created_at.iso(),
        "updated_at": of.updated_at.iso(),
    })
}

/// All of them, or those that a search finds.
async fn index(
    Agent(scope, _): Agent,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let search = params.present("search");
    app.read(async move |tx| {
        let found = canned_responses::list(tx, &scope, search.as_deref()).await?;
        Ok(Json(found.iter().map(canned_response_json).collect()))
    })
    .await
}

async fn create(
    Agent(scope, _): Agent,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let draft = draft(&params)?;
    app.write(async move |tx| {
        let made = canned_responses::create(tx, &scope, draft).await?;
        Ok(Json(canned_response_json(&made)))
    })
    .await
}

async fn update(
    Agent(scope, _): Agent,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let (id, draft) = (id(&params)?, draft(&params));
    app.write(async move |tx| {
        let draft = sent_to(draft, canned_responses::lock(tx, &scope, id)).await?;
        let changed = canned_responses::update(tx, &scope, id, draft).await?;
        Ok(Json(canned_response_json(&changed)))
    })
    .await
}

async fn destroy(
    Agent(scope, _): Agent,
    State(app): State<App>,
    params: Params,
) -> Answer<Response> {
    let id = id(&params)?;
    app.write(async move |tx| canned_responses::delete(tx, &scope, id).await).await?;
    Ok(done())
}
