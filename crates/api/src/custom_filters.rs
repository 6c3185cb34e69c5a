//! Saved filters of a member (`resources.md §11`).

use axum::Json;
use axum::extract::State;
use chatwarden_core::Error;
use chatwarden_core::custom_filters::{self, CustomFilter, Draft, FilterType};
use chatwarden_core::ids::CustomFilterId;
use http::StatusCode;
use serde_json::{Value, json};

use crate::actors::Agent;
use crate::app::App;
use crate::error::{Answer, sent_to};
use crate::params::Params;
use crate::routes::Routes;

pub(crate) fn routes() -> Routes {
    Routes::new("/api/v1/accounts/{account_id}/custom_filters")
        .get("", index)
        .post("", create)
        .get("/{id}", show)
        .patch("/{id}", update)
        .delete("/{id}", destroy)
}

/// What may be sent without being wrapped in `custom_filter`.
const FIELDS: &[&str] = &["name", "filter_type", "query"];

fn id(params: &Params) -> Answer<CustomFilterId> {
    params.id("id").map(CustomFilterId)
}

/// A kind by its name or its number.
fn kind_named(sent: &str) -> Option<FilterType> {
    let known = FilterType::ALL.iter().find(|kind| kind.integer().to_string() == sent);
    known.copied().or_else(|| FilterType::named(sent))
}

fn draft(params: &Params) -> Answer<Draft> {
    let sent = params.record("custom_filter", FIELDS)?;
    let query = sent.object("query").map(Value::Object);
    if query.is_none() && sent.get("query").is_some_and(|query| !query.is_null()) {
        return Err(Error::invalid("query", "must be an object").into());
    }
    let filter_type = sent.has("filter_type").then(|| {
        sent.one_of("filter_type", FilterType::ALL, FilterType::name, FilterType::integer)
    });
    Ok(Draft {
        name: sent.has("name").then(|| sent.text("name")),
        filter_type: filter_type.transpose()?,
        query,
    })
}

fn filter_json(filter: &CustomFilter) -> Value {
    json!({
        "id": filter.id,
        "name": filter.name,
        "filter_type": filter.filter_type,
        "query": filter.query.0,
        "created_at": filter.created_at.iso(),
        "updated_at": filter.updated_at.iso(),
    })
}

/// The member's own, of one kind.
async fn index(
    Agent(scope, _): Agent,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let of = match params.text("filter_type") {
        Some(sent) => kind_named(&sent),
        None => Some(FilterType::Conversation),
    };
    // Nobody has filters of a kind that there isn't.
    let Some(of) = of else { return Ok(Json(json!([]))) };
    app.read(async move |tx| {
        let found = custom_filters::list(tx, &scope, of).await?;
        Ok(Json(found.iter().map(filter_json).collect()))
    })
    .await
}

async fn show(
    Agent(scope, _): Agent,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let id = id(&params)?;
    app.read(async move |tx| {
        let found = custom_filters::find(tx, &scope, id).await?;
        Ok(Json(filter_json(&found)))
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
        let made = custom_filters::create(tx, &scope, draft).await?;
        Ok(Json(filter_json(&made)))
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
        let draft = sent_to(draft, custom_filters::find(tx, &scope, id)).await?;
        let changed = custom_filters::update(tx, &scope, id, draft).await?;
        Ok(Json(filter_json(&changed)))
    })
    .await
}

async fn destroy(
    Agent(scope, _): Agent,
    State(app): State<App>,
    params: Params,
) -> Answer<StatusCode> {
    let id = id(&params)?;
    app.write(async move |tx| custom_filters::delete(tx, &scope, id).await).await?;
    Ok(StatusCode::NO_CONTENT)
}
