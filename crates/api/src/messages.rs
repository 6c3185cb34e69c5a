//! The messages of a conversation, for its agents (`resources.md §7`).

use axum::Json;
use axum::extract::State;
use chatwarden_core::contacts::ContactPush;
use chatwarden_core::conversations;
use chatwarden_core::ids::{DisplayId, MessageId};
use chatwarden_core::messages::{self, ContentType, MessageType, NewMessage, Sender, Sent};
use chatwarden_core::users::UserPush;
use chatwarden_db::{Timestamp, Tx};
use serde_json::{Value, json};

use crate::actors::{Agent, performer};
use crate::app::App;
use crate::conversations::display_id;
use crate::error::{Answer, ApiError};
use crate::params::Params;
use crate::routes::Routes;

pub(crate) fn routes() -> Routes {
    Routes::new("/api/v1/accounts/{account_id}/conversations/{conversation_id}/messages")
        .get("", index)
        .post("", create)
        .delete("/{message_id}", destroy)
}

/// A stretch of the conversation, oldest first (`behaviours.md §9.1`).
async fn index(
    Agent(scope, _): Agent,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let id = display_id(&params)?;
    let (after, before) = (params.integer("after"), params.integer("before"));
    app.read(async move |tx| {
        let c = conversations::find(tx, &scope, id).await?;
        let found = messages::list(tx, &scope, c.row.id, after, before).await?;
        let payload: Vec<Value> =
            found.iter().map(|sent| message_json(tx, c.row.display_id, sent)).collect();
        let mut meta = json!({
            "labels": c.row.labels.0,
            "additional_attributes": c.row.additional_attributes.0,
            "contact": ContactPush::of(tx, &c.contact),
            "agent_last_seen_at": c.row.agent_last_seen_at.map(Timestamp::iso),
            "assignee_last_seen_at": c.row.assignee_last_seen_at.map(Timestamp::iso),
        });
        if let (Some(assignee), Some(object)) = (c.assignee(), meta.as_object_mut()) {
            object.insert("assignee".to_owned(), json!(UserPush::of(tx, &assignee)));
        }
        Ok(Json(json!({"meta": meta, "payload": payload})))
    })
    .await
}

/// Sends a message as the member, or, in an API inbox, as the contact (`behaviours.md §9.2`).
async fn create(
    Agent(scope, _): Agent,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let id = display_id(&params)?;
    let kind =
        |name: &str, text: &str| ApiError::unprocessable(format!("'{text}' is not a valid {name}"));
    let message_type = match params.present("message_type") {
        None => MessageType::Outgoing,
        Some(name) => MessageType::named(&name).ok_or_else(|| kind("message_type", &name))?,
    };
    let content_type = match params.present("content_type") {
        None => ContentType::Text,
        Some(name) => ContentType::named(&name).ok_or_else(|| kind("content_type", &name))?,
    };
    app.write(async move |tx| {
        let mut c = conversations::lock(tx, &scope, id).await?;
        if message_type == MessageType::Incoming && c.inbox.channel_type != "Channel::Api" {
            return Err(ApiError::unprocessable(
                "Incoming messages are only allowed in Api inboxes",
            ));
        }
        let sender = if message_type == MessageType::Outgoing {
            Sender::User(Box::new(scope.member().clone()))
        } else {
            Sender::Contact(Box::new(c.contact.clone()))
        };
        let mut new = NewMessage::text(message_type, params.text("content"), sender);
        new.content_type = content_type;
        new.private = params.flag("private").unwrap_or(false);
        new.content_attributes =
            Value::Object(params.object("content_attributes").unwrap_or_default());
        new.source_id = params.present("source_id");
        new.echo_id = params.get("echo_id").cloned();
        let echo_id = new.echo_id.clone();
        let by = performer(tx, &scope);
        let sent = messages::create(tx, &scope, &mut c, new, &by).await?;
        Ok(Json(with_echo(message_json(tx, c.row.display_id, &sent), echo_id)))
    })
    .await
}

/// Takes a message's content away.
async fn destroy(
    Agent(scope, _): Agent,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let id = display_id(&params)?;
    let message = params.text("message_id").and_then(|id| id.parse().ok()).map(MessageId);
    let message = message.ok_or_else(ApiError::not_found)?;
    app.write(async move |tx| {
        let c = conversations::lock(tx, &scope, id).await?;
        let by = performer(tx, &scope);
        let sent = messages::delete(tx, &scope, &c, message, &by).await?;
        Ok(Json(message_json(tx, c.row.display_id, &sent)))
    })
    .await
}

/// What the sender's client waits for, in the answer to it alone.
pub(crate) fn with_echo(mut message: Value, echo_id: Option<Value>) -> Value {
    if let (Some(echo_id), Some(object)) = (echo_id, message.as_object_mut()) {
        object.insert("echo_id".to_owned(), echo_id);
    }
    message
}

/// A message (`resources.md §7.1`).
pub(crate) fn message_json(tx: &Tx<'_>, conversation: DisplayId, sent: &Sent) -> Value {
    let m = &sent.message;
    let mut out = json!({
        "id": m.id,
        "content": m.content,
        "inbox_id": m.inbox_id,
        "conversation_id": conversation,
        "message_type": m.message_type.integer(),
        "content_type": m.content_type,
        "status": m.status,
        "content_attributes": m.content_attributes.0,
        "created_at": m.created_at.unix(),
        "private": m.private,
        "source_id": m.source_id,
    });
    if let (Some(sender), Some(object)) = (sent.sender_push(tx), out.as_object_mut()) {
        object.insert("sender".to_owned(), json!(sender));
    }
    if let (Some(files), Some(object)) = (sent.attachment_pushes(tx), out.as_object_mut()) {
        object.insert("attachments".to_owned(), Value::Array(files));
    }
    out
}
