//! What the visitor reads and writes.

use axum::Json;
use axum::extract::State;
use chatwarden_core::Error;
use chatwarden_core::conversations::{self, NewConversation};
use chatwarden_core::events;
use chatwarden_core::ids::MessageId;
use chatwarden_core::labels;
use chatwarden_core::messages;
use chatwarden_core::visitors::{self, Said};
use chatwarden_db::Timestamp;
use serde_json::{Map, Value, json};

use super::contact::shown;
use super::{Guest, message_in};
use crate::app::App;
use crate::contacts::raw_contact_json;
use crate::error::Answer;
use crate::params::Params;
use crate::public::message_json;

/// What the visitor may read.
pub(super) async fn index(
    guest: Guest,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let (after, before) = (params.position("after"), params.position("before"));
    app.read(async move |tx| {
        let visitor = guest.visitor(tx).await?;
        let Some(c) = visitor.conversation(tx).await? else {
            return Ok(Json(json!({"payload": []})));
        };
        let found = messages::list(tx, &visitor.door.scope, c.row.id, after, before, true).await?;
        let payload: Vec<Value> =
            found.iter().map(|sent| message_json(tx, &visitor, c.row.display_id, sent)).collect();
        let seen = c.row.contact_last_seen_at.map_or(0, Timestamp::unix);
        Ok(Json(json!({"payload": payload, "meta": {"contact_last_seen_at": seen}})))
    })
    .await
}

/// What the visitor writes.
pub(super) fn said(message: &Params) -> Said {
    let mut content_attributes = Map::new();
    content_attributes.insert("in_reply_to".to_owned(), json!(message.integer("reply_to")));
    Said {
        content: message.text("content"),
        echo_id: message.get("echo_id").cloned(),
        content_attributes,
        attachments: Vec::new(),
    }
}

/// The visitor writes; a conversation is opened where there is none.
pub(super) async fn create(
    guest: Guest,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let message = guest.needs(&app, "message", message_in(&params)).await?;
    let new = NewConversation {
        additional_attributes: guest.beginning(&message),
        custom_attributes: Value::Object(params.object("custom_attributes").unwrap_or_default()),
        ..NewConversation::default()
    };
    let titles = labels::tidy(&params.texts("labels").unwrap_or_default())?;
    let carried = guest.carried(&app, &message).await?;
    let received = carried.received();
    let sent = app.write(async move |tx| {
        let mut visitor = guest.visitor(tx).await?;
        let mut c = match visitor.lock_conversation_or_place(tx).await? {
            Some(c) => c,
            None => {
                let mut made = visitor.open(tx, new).await?;
                let (scope, by) = (&visitor.door.scope, visitor.performer());
                let opened = events::position(tx);
                conversations::announce_created(tx, scope, &made, &by, opened).await?;
                visitor.add_labels(tx, &mut made, &titles).await?;
                made
            }
        };
        let attachments = carried.attachments(tx, &visitor.door.scope).await?;
        let said = Said { attachments, ..said(&message) };
        let sent = visitor.write(tx, &mut c, said).await?;
        let mut out = message_json(tx, &visitor, c.row.display_id, &sent);
        if let Some(object) = out.as_object_mut() {
            object.remove("content_type");
            object.insert("inbox_id".to_owned(), json!(c.row.inbox_id));
            object.insert("private".to_owned(), json!(false));
            object.insert("source_id".to_owned(), json!(sent.message.source_id));
        }
        Ok(Json(out))
    });
    received.kept_if(&app, sent).await
}

/// The visitor answers a message that asks for something.
pub(super) async fn update(
    guest: Guest,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let id = MessageId(params.id("message_id")?);
    let contact = params.inner("contact").unwrap_or_default();
    let message = message_in(&params);
    let said = message.is_some();
    let message = message.unwrap_or_default();
    let answer = visitors::Answer {
        said,
        values: message.get("submitted_values").and_then(visitors::submitted),
        email: contact.text("email"),
        name: contact.text("name"),
    };
    let (answered, visitor) = app
        .write(async move |tx| {
            let mut visitor = guest.visitor(tx).await?;
            let answered = visitors::answer(tx, &mut visitor, id, answer).await?;
            Ok::<_, Error>((answered, visitor))
        })
        .await?;
    match answered.fault {
        Some(fault) => Err(fault.into()),
        None => Ok(Json(json!({"contact": raw_contact_json(&shown(&visitor, &answered.contact))}))),
    }
}
