//! Notes on contacts (`resources.md §5`).

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use chatwarden_core::ids::NoteId;
use chatwarden_core::notes::{self, Note};
use chatwarden_core::users::Member;
use chatwarden_db::Tx;
use serde_json::{Value, json};

use crate::actors::Agent;
use crate::app::App;
use crate::contacts::contact_id;
use crate::conversations::agent_json;
use crate::error::{Answer, done};
use crate::params::Params;
use crate::routes::Routes;

pub(crate) fn routes() -> Routes {
    Routes::new("/api/v1/accounts/{account_id}/contacts/{contact_id}/notes")
        .get("", index)
        .post("", create)
        .get("/{id}", show)
        .patch("/{id}", update)
        .delete("/{id}", destroy)
}

/// What may be sent without being wrapped in `note`.
const FIELDS: &[&str] = &["content"];

fn id(params: &Params) -> Answer<NoteId> {
    params.id("id").map(NoteId)
}

fn note_json(tx: &Tx<'_>, note: &Note) -> Value {
    let row = &note.row;
    let mut out = json!({
        "id": row.id,
        "content": row.content,
        // Null upstream too, whatever the note is on.
        "account_id": null,
        "contact_id": null,
        "created_at": row.created_at.unix(),
        "updated_at": row.updated_at.unix(),
    });
    if let (Some(writer), Some(object)) = (note.writer.clone(), out.as_object_mut()) {
        object.insert("user".to_owned(), agent_json(tx, &Member::from(writer)));
    }
    out
}

async fn index(
    Agent(scope, _): Agent,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let contact = contact_id(&params)?;
    app.read(async move |tx| {
        let found = notes::list(tx, &scope, contact).await?;
        Ok(Json(found.iter().map(|note| note_json(tx, note)).collect()))
    })
    .await
}

async fn show(
    Agent(scope, _): Agent,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let (contact, id) = (contact_id(&params)?, id(&params)?);
    app.read(async move |tx| {
        let found = notes::find(tx, &scope, contact, id).await?;
        Ok(Json(note_json(tx, &found)))
    })
    .await
}

async fn create(
    Agent(scope, _): Agent,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let contact = contact_id(&params)?;
    let content = params.record("note", FIELDS)?.text("content").unwrap_or_default();
    app.write(async move |tx| {
        let made = notes::create(tx, &scope, contact, &content).await?;
        Ok(Json(note_json(tx, &made)))
    })
    .await
}

async fn update(
    Agent(scope, _): Agent,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let (contact, id) = (contact_id(&params)?, id(&params)?);
    let sent = params.record("note", FIELDS)?;
    let content = sent.has("content").then(|| sent.text("content").unwrap_or_default());
    app.write(async move |tx| {
        let changed = notes::update(tx, &scope, contact, id, content).await?;
        Ok(Json(note_json(tx, &changed)))
    })
    .await
}

async fn destroy(
    Agent(scope, _): Agent,
    State(app): State<App>,
    params: Params,
) -> Answer<Response> {
    let (contact, id) = (contact_id(&params)?, id(&params)?);
    app.write(async move |tx| notes::delete(tx, &scope, contact, id).await).await?;
    Ok(done())
}
