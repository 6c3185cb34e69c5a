//! What the visitor reads and writes.

use axum::Json;
use axum::extract::State;
use chatwarden_core::ids::MessageId;
use chatwarden_core::visitors::{self, Said};
use chatwarden_core::{Error, messages};
use serde_json::Value;

use super::{at, message_json};
use crate::actors::Anyone;
use crate::app::App;
use crate::attachments::Carried;
use crate::conversations::display_id;
use crate::error::Answer;
use crate::params::Params;

/// What the visitor may read of the conversation: the latest, or what was before a message (`behaviours.md §20`).
pub(super) async fn index(
    _: Anyone,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let (at, id) = (at(&params)?, display_id(&params)?);
    let before = params.position("before");
    app.read(async move |tx| {
        let visitor = at.visitor(tx).await?;
        let c = visitor.conversation_of(tx, id).await?;
        let found = messages::list(tx, &visitor.door.scope, c.row.id, None, before, true).await?;
        Ok(Json(
            found.iter().map(|sent| message_json(tx, &visitor, c.row.display_id, sent)).collect(),
        ))
    })
    .await
}

/// The visitor writes.
pub(super) async fn create(
    _: Anyone,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let (at, id) = (at(&params)?, display_id(&params)?);
    let said = Said {
        content: params.text("content"),
        echo_id: params.get("echo_id").cloned(),
        ..Said::default()
    };
    let place = at.clone();
    let carried = Carried::of_visitor(&app, &params, async move |tx| {
        Ok(place.visitor(tx).await?.door.scope.account_id())
    })
    .await?;
    let received = carried.received();
    let sent = app.write(async move |tx| {
        let mut visitor = at.visitor(tx).await?;
        let mut c = visitor.lock_conversation_of(tx, id).await?;
        let attachments = carried.attachments(tx, &visitor.door.scope).await?;
        let sent = visitor.write(tx, &mut c, Said { attachments, ..said }).await?;
        Ok(Json(message_json(tx, &visitor, id, &sent)))
    });
    received.kept_if(&app, sent).await
}

/// The visitor answers a message that asks for something.
pub(super) async fn update(
    _: Anyone,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let (at, id) = (at(&params)?, display_id(&params)?);
    let message = MessageId(params.id("message_id")?);
    let answer = visitors::Answer {
        said: true,
        values: params.get("submitted_values").and_then(visitors::submitted),
        ..visitors::Answer::default()
    };
    app.write(async move |tx| {
        let mut visitor = at.visitor(tx).await?;
        let answered = visitors::answer(tx, &mut visitor, message, answer).await?;
        if answered.conversation.row.display_id != id {
            return Err(Error::NotFound.into());
        }
        Ok(Json(message_json(tx, &visitor, id, &answered.sent)))
    })
    .await
}
