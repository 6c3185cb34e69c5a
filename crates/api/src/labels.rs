//! Labels, and what bears them (`resources.md §8`).

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use chatwarden_core::ids::LabelId;
use chatwarden_core::labels::{self, Draft, Label};
use serde_json::{Value, json};

use crate::actors::{Admin, Agent, AgentOrBot};
use crate::app::App;
use crate::contacts::contact_id;
use crate::conversations::{self, display_id};
use crate::error::{Answer, done, sent_to};
use crate::params::Params;
use crate::routes::Routes;

pub(crate) fn routes() -> Routes {
    Routes::new("/api/v1/accounts/{account_id}")
        .get("/labels", index)
        .post("/labels", create)
        .get("/labels/{id}", show)
        .patch("/labels/{id}", update)
        .delete("/labels/{id}", destroy)
        .get("/conversations/{conversation_id}/labels", of_conversation)
        .post("/conversations/{conversation_id}/labels", tag_conversation)
        .get("/contacts/{contact_id}/labels", of_contact)
        .post("/contacts/{contact_id}/labels", tag_contact)
}

/// What may be sent without being wrapped in `label`.
const FIELDS: &[&str] = &["title", "description", "color", "show_on_sidebar"];

fn draft(params: &Params) -> Answer<Draft> {
    let sent = params.record("label", FIELDS)?;
    Ok(Draft {
        title: sent.has("title").then(|| sent.text("title").unwrap_or_default()),
        description: sent.has("description").then(|| sent.text("description")),
        color: sent.has("color").then(|| sent.text("color")),
        show_on_sidebar: sent.has("show_on_sidebar").then(|| sent.flag("show_on_sidebar")),
    })
}

fn id(params: &Params) -> Answer<LabelId> {
    params.id("id").map(LabelId)
}

fn titles(params: &Params) -> Answer<Vec<String>> {
    Ok(labels::tidy(&params.texts("labels").unwrap_or_default())?)
}

fn label_json(label: &Label) -> Value {
    json!({
        "id": label.id,
        "title": label.title,
        "description": label.description,
        "color": label.color,
        "show_on_sidebar": label.show_on_sidebar,
    })
}

fn titles_json(titles: &[String]) -> Json<Value> {
    Json(json!({"payload": titles}))
}

async fn index(Agent(scope, _): Agent, State(app): State<App>) -> Answer<Json<Value>> {
    app.read(async move |tx| {
        let found = labels::list(tx, &scope).await?;
        Ok(Json(json!({"payload": found.iter().map(label_json).collect::<Vec<_>>()})))
    })
    .await
}

async fn show(
    Admin(scope, _): Admin,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let id = id(&params)?;
    app.read(async move |tx| Ok(Json(label_json(&labels::find(tx, &scope, id).await?)))).await
}

async fn create(
    Admin(scope, _): Admin,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let draft = draft(&params)?;
    app.write(async move |tx| Ok(Json(label_json(&labels::create(tx, &scope, draft).await?)))).await
}

async fn update(
    Admin(scope, _): Admin,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let (id, draft) = (id(&params)?, draft(&params));
    app.write(async move |tx| {
        let draft = sent_to(draft, labels::find(tx, &scope, id)).await?;
        let changed = labels::update(tx, &scope, id, draft).await?;
        Ok(Json(label_json(&changed)))
    })
    .await
}

async fn destroy(
    Admin(scope, _): Admin,
    State(app): State<App>,
    params: Params,
) -> Answer<Response> {
    let id = id(&params)?;
    app.write(async move |tx| labels::delete(tx, &scope, id).await).await?;
    Ok(done())
}

/// The labels of a conversation.
async fn of_conversation(
    actor: AgentOrBot,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let id = display_id(&params)?;
    app.read(async move |tx| {
        let found = conversations::find(tx, &actor, id).await?;
        Ok(titles_json(&found.row.labels.0))
    })
    .await
}

/// Marks a conversation with these labels and no others.
async fn tag_conversation(
    actor: AgentOrBot,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let (id, titles) = (display_id(&params)?, titles(&params)?);
    app.write(async move |tx| {
        let mut c = conversations::lock(tx, &actor, id).await?;
        let by = actor.performer(tx);
        labels::tag_conversation(tx, actor.tenant(), &mut c, titles, &by).await?;
        Ok(titles_json(&c.row.labels.0))
    })
    .await
}

/// The labels of a contact.
async fn of_contact(
    Agent(scope, _): Agent,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let id = contact_id(&params)?;
    app.read(async move |tx| Ok(titles_json(&labels::of_contact(tx, &scope, id).await?))).await
}

/// Marks a contact with these labels and no others.
async fn tag_contact(
    Agent(scope, _): Agent,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let (id, titles) = (contact_id(&params)?, titles(&params)?);
    app.write(async move |tx| {
        let contact = labels::tag_contact(tx, &scope, id, titles).await?;
        Ok(titles_json(&contact.labels.0))
    })
    .await
}
