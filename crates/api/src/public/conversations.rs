//! The visitor's conversations.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use chatwarden_core::conversations::{self, NewConversation};
use chatwarden_core::events;
use chatwarden_core::rooms::typing::{self, Typist};
use chatwarden_core::{messages, visitors};
use serde_json::Value;

use super::{at, conversation_json};
use crate::actors::Anyone;
use crate::app::App;
use crate::conversations::display_id;
use crate::error::{Answer, done};
use crate::params::Params;
use crate::widget::typing_status;

/// The visitor's conversations.
pub(super) async fn index(
    _: Anyone,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let at = at(&params)?;
    app.read(async move |tx| {
        let visitor = at.visitor(tx).await?;
        let found = visitor.conversations(tx).await?;
        Ok(Json(found.iter().map(|(c, sent)| conversation_json(tx, &visitor, c, sent)).collect()))
    })
    .await
}

/// Opens a conversation.
pub(super) async fn create(
    _: Anyone,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let at = at(&params)?;
    let new = NewConversation {
        custom_attributes: Value::Object(params.object("custom_attributes").unwrap_or_default()),
        ..NewConversation::default()
    };
    app.write(async move |tx| {
        let visitor = at.visitor(tx).await?;
        let (scope, by) = (&visitor.door.scope, visitor.performer());
        let (c, fresh) = conversations::create(
            tx,
            scope,
            &visitor.door.inbox,
            &visitor.contact_inbox,
            visitor.contact.blocked,
            new,
        )
        .await?;
        if fresh {
            let opened = events::position(tx);
            conversations::announce_created(tx, scope, &c, &by, opened).await?;
            return Ok(Json(conversation_json(tx, &visitor, &c, &[])));
        }
        let found = visitors::with_messages(tx, &visitor, vec![c]).await?;
        Ok(Json(found.first().map(|(c, sent)| conversation_json(tx, &visitor, c, sent)).into()))
    })
    .await
}

/// One of the visitor's conversations.
pub(super) async fn show(_: Anyone, State(app): State<App>, params: Params) -> Answer<Json<Value>> {
    let (at, id) = (at(&params)?, display_id(&params)?);
    app.read(async move |tx| {
        let visitor = at.visitor(tx).await?;
        let c = visitor.conversation_of(tx, id).await?;
        let found = visitors::with_messages(tx, &visitor, vec![c]).await?;
        Ok(Json(found.first().map(|(c, sent)| conversation_json(tx, &visitor, c, sent)).into()))
    })
    .await
}

/// The visitor ends the conversation; one that is resolved stays so.
pub(super) async fn toggle_status(
    _: Anyone,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let (at, id) = (at(&params)?, display_id(&params)?);
    app.write(async move |tx| {
        let mut visitor = at.visitor(tx).await?;
        let mut c = visitor.lock_conversation_of(tx, id).await?;
        visitor.resolve(tx, &mut c).await?;
        let found = visitors::with_messages(tx, &visitor, vec![c]).await?;
        Ok(Json(found.first().map(|(c, sent)| conversation_json(tx, &visitor, c, sent)).into()))
    })
    .await
}

/// The visitor types.
pub(super) async fn toggle_typing(
    _: Anyone,
    State(app): State<App>,
    params: Params,
) -> Answer<Response> {
    let (at, id) = (at(&params)?, display_id(&params)?);
    let status = typing_status(&params);
    app.write(async move |tx| {
        let visitor = at.visitor(tx).await?;
        let c = visitor.conversation_of(tx, id).await?;
        if let Some(on) = status {
            let (scope, by) = (&visitor.door.scope, visitor.performer());
            typing::tell(tx, scope, &c, on, Typist::Contact, false, &by).await?;
        }
        Ok(done())
    })
    .await
}

/// The visitor has looked at what was sent.
pub(super) async fn update_last_seen(
    _: Anyone,
    State(app): State<App>,
    params: Params,
) -> Answer<Response> {
    let (at, id) = (at(&params)?, display_id(&params)?);
    app.write(async move |tx| {
        let mut visitor = at.visitor(tx).await?;
        let mut c = visitor.lock_conversation_of(tx, id).await?;
        visitor.see(tx, &mut c).await?;
        messages::mark_read(tx, &visitor.door.scope, &c).await?;
        Ok(done())
    })
    .await
}
