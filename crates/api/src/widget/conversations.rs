//! The visitor's conversation.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use chatwarden_core::conversations::{self, Conversation, NewConversation};
use chatwarden_core::events;
use chatwarden_core::rooms::typing::{self, Typist};
use chatwarden_core::visitors::{Identity, Said, Visitor};
use chatwarden_core::{mail, messages, widget};
use chatwarden_db::{Timestamp, WriteTx};
use http::StatusCode;
use serde_json::{Map, Value, json};

use super::contact::shown;
use super::messages::said;
use super::{Guest, identity, message_in};
use crate::app::App;
use crate::contacts::raw_contact_json;
use crate::error::{Answer, ApiError, done};
use crate::params::Params;
use crate::public::message_json;

fn conversation_json(c: &Conversation) -> Value {
    json!({
        "id": c.row.display_id,
        "inbox_id": c.row.inbox_id,
        "contact_last_seen_at": c.row.contact_last_seen_at.map_or(0, Timestamp::unix),
        "status": c.row.status,
    })
}

/// The record of a conversation: every column (`resources.md §0`, raw record).
fn raw_conversation_json(c: &Conversation) -> Value {
    let iso = |at: Option<Timestamp>| at.map(Timestamp::iso);
    let row = &c.row;
    json!({
        "id": row.id,
        "account_id": row.account_id,
        "inbox_id": row.inbox_id,
        "status": row.status,
        "assignee_id": row.assignee_id,
        "created_at": row.created_at.iso(),
        "updated_at": row.updated_at.iso(),
        "contact_id": row.contact_id,
        "display_id": row.display_id,
        "contact_last_seen_at": iso(row.contact_last_seen_at),
        "agent_last_seen_at": iso(row.agent_last_seen_at),
        "additional_attributes": row.additional_attributes.0,
        "contact_inbox_id": row.contact_inbox_id,
        "uuid": row.uuid,
        "identifier": null,
        "last_activity_at": row.last_activity_at.iso(),
        "team_id": row.team_id,
        "campaign_id": null,
        "snoozed_until": iso(row.snoozed_until),
        "custom_attributes": row.custom_attributes.0,
        "assignee_last_seen_at": iso(row.assignee_last_seen_at),
        "first_reply_created_at": iso(row.first_reply_created_at),
        "priority": row.priority,
        "sla_policy_id": null,
        "waiting_since": iso(row.waiting_since),
        "cached_label_list": (!row.labels.0.is_empty()).then(|| row.labels.0.join(", ")),
        "assignee_agent_bot_id": row.assignee_agent_bot_id,
        "label_list": row.labels.0,
    })
}

/// The visitor's conversation, `{}` where there is none.
pub(super) async fn show(guest: Guest, State(app): State<App>) -> Answer<Json<Value>> {
    app.read(async move |tx| {
        let visitor = guest.visitor(tx).await?;
        let found = visitor.conversation(tx).await?;
        Ok(Json(found.as_ref().map_or_else(|| json!({}), conversation_json)))
    })
    .await
}

/// Opens a conversation with its first message, after the form that asks who the visitor is.
pub(super) async fn create(
    guest: Guest,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let contact = params.inner("contact").unwrap_or_default();
    let message = guest.needs(&app, "message", message_in(&params)).await?;
    let new = NewConversation {
        additional_attributes: guest.beginning(&message),
        custom_attributes: Value::Object(params.object("custom_attributes").unwrap_or_default()),
        ..NewConversation::default()
    };
    let given = Identity {
        identifier: None,
        avatar_url: None,
        additional_attributes: Map::new(),
        ..identity(&contact)
    };
    let carried = guest.carried(&app, &message).await?;
    let received = carried.received();
    let opened = app.write(async move |tx| {
        let mut visitor = guest.visitor(tx).await?;
        widget::introduce(tx, &mut visitor, given).await?;
        let mut c = visitor.open(tx, new).await?;
        let opened = events::position(tx);
        let attachments = carried.attachments(tx, &visitor.door.scope).await?;
        let said = Said { attachments, ..said(&message) };
        let sent = visitor.write(tx, &mut c, said).await?;
        let (scope, by) = (&visitor.door.scope, visitor.performer());
        conversations::announce_created(tx, scope, &c, &by, opened).await?;
        let mut out = conversation_json(&c);
        if let Some(object) = out.as_object_mut() {
            let messages = json!([message_json(tx, &visitor, c.row.display_id, &sent)]);
            object.insert("messages".to_owned(), messages);
            object.insert("custom_attributes".to_owned(), c.row.custom_attributes.0.clone());
            let contact = raw_contact_json(&shown(&visitor, &visitor.contact));
            object.insert("contact".to_owned(), contact);
        }
        Ok(Json(out))
    });
    received.kept_if(&app, opened).await
}

/// The visitor and their conversation, locked; 404 without a body where there is none.
async fn locked(guest: &Guest, tx: &mut WriteTx<'_>) -> Result<(Visitor, Conversation), ApiError> {
    let visitor = guest.visitor(tx).await?;
    let c = visitor.lock_conversation(tx).await?;
    let c = c.ok_or_else(|| ApiError::empty_page(StatusCode::NOT_FOUND))?;
    Ok((visitor, c))
}

/// The visitor has looked at what was sent.
pub(super) async fn update_last_seen(guest: Guest, State(app): State<App>) -> Answer {
    app.write(async move |tx| {
        let visitor = guest.visitor(tx).await?;
        let Some(mut c) = visitor.lock_conversation(tx).await? else {
            return Ok(StatusCode::NO_CONTENT.into_response());
        };
        visitor.see(tx, &mut c).await?;
        messages::mark_read(tx, &visitor.door.scope, &c).await?;
        Ok(done())
    })
    .await
}

/// Whether a client says that somebody began or stopped typing; none where it says neither.
pub(crate) fn typing_status(params: &Params) -> Option<bool> {
    match params.text("typing_status")?.as_str() {
        "on" => Some(true),
        "off" => Some(false),
        _ => None,
    }
}

/// The visitor types.
pub(super) async fn toggle_typing(
    guest: Guest,
    State(app): State<App>,
    params: Params,
) -> Answer<Response> {
    let status = typing_status(&params);
    app.write(async move |tx| {
        let (visitor, c) = locked(&guest, tx).await?;
        if let Some(on) = status {
            let (scope, by) = (&visitor.door.scope, visitor.performer());
            typing::tell(tx, scope, &c, on, Typist::Contact, false, &by).await?;
        }
        Ok(done())
    })
    .await
}

/// The visitor ends the conversation, where the website lets them.
pub(super) async fn toggle_status(guest: Guest, State(app): State<App>) -> Answer {
    app.write(async move |tx| {
        let (visitor, mut c) = locked(&guest, tx).await?;
        if !widget::may(&visitor.door, "end_conversation") {
            return Err(ApiError::empty(StatusCode::FORBIDDEN));
        }
        visitor.resolve(tx, &mut c).await?;
        Ok(done())
    })
    .await
}

/// Sends the visitor what was said, where their address is known.
pub(super) async fn transcript(guest: Guest, State(app): State<App>) -> Answer {
    app.write(async move |tx| {
        let visitor = guest.visitor(tx).await?;
        let Some(c) = visitor.conversation(tx).await? else {
            return Err(ApiError::empty(StatusCode::TOO_MANY_REQUESTS));
        };
        if let Some(email) = &visitor.contact.email {
            mail::send_transcript(tx, &visitor.door.scope, &c, email).await?;
        }
        Ok(done())
    })
    .await
}

/// Gives the conversation these attributes and no others.
pub(super) async fn set_custom_attributes(
    guest: Guest,
    State(app): State<App>,
    params: Params,
) -> Answer<StatusCode> {
    let attributes = params.object("custom_attributes");
    let attributes = guest.needs(&app, "custom_attributes", attributes).await?;
    app.write(async move |tx| {
        let (visitor, mut c) = locked(&guest, tx).await?;
        visitor.set_attributes(tx, &mut c, attributes).await?;
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}

/// Takes attributes away from the conversation.
pub(super) async fn destroy_custom_attributes(
    guest: Guest,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let keys = params.one_or_more("custom_attribute").unwrap_or_default();
    app.write(async move |tx| {
        let (visitor, mut c) = locked(&guest, tx).await?;
        visitor.forget_attributes(tx, &mut c, &keys).await?;
        Ok(Json(raw_conversation_json(&c)))
    })
    .await
}

/// Marks the conversation with a label of the account; nothing where there is neither.
pub(super) async fn add_label(
    guest: Guest,
    State(app): State<App>,
    params: Params,
) -> Answer<StatusCode> {
    let title = params.present("label");
    app.write(async move |tx| {
        let visitor = guest.visitor(tx).await?;
        if let Some(title) = title
            && let Some(mut c) = visitor.lock_conversation(tx).await?
        {
            visitor.add_labels(tx, &mut c, &[title]).await?;
        }
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}

/// Takes a label away from the conversation; nothing where there is neither.
pub(super) async fn remove_label(
    guest: Guest,
    State(app): State<App>,
    params: Params,
) -> Answer<StatusCode> {
    let title = params.present("title");
    app.write(async move |tx| {
        let visitor = guest.visitor(tx).await?;
        if let Some(title) = title
            && let Some(mut c) = visitor.lock_conversation(tx).await?
        {
            visitor.remove_label(tx, &mut c, &title).await?;
        }
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}
