//! The public client API: visitors of an API inbox, by the inbox's identifier and their own source id
//! (`behaviours.md §20`, `resources.md §23`).

mod contacts;
mod conversations;
mod inboxes;
mod messages;

use chatwarden_core::contacts::hide_records;
use chatwarden_core::conversations::Conversation;
use chatwarden_core::ids::DisplayId;
use chatwarden_core::inboxes::{API, door};
use chatwarden_core::messages::{SenderPush, Sent};
use chatwarden_core::visitors::Visitor;
use chatwarden_db::{Timestamp, Tx};
use serde_json::{Value, json};

use crate::contacts::raw_contact_json;
use crate::error::ApiError;
use crate::params::Params;
use crate::routes::Routes;
use crate::widget::shown;

pub(crate) fn routes() -> Routes {
    Routes::new("/public/api/v1/inboxes/{inbox_identifier}")
        .get("", inboxes::show)
        .post("/contacts", contacts::create)
        .get("/contacts/{source_id}", contacts::show)
        .patch("/contacts/{source_id}", contacts::update)
        .merge(conversation_routes())
}

fn conversation_routes() -> Routes {
    Routes::new("/public/api/v1/inboxes/{inbox_identifier}/contacts/{source_id}/conversations")
        .get("", conversations::index)
        .post("", conversations::create)
        .get("/{conversation_id}", conversations::show)
        .post("/{conversation_id}/toggle_status", conversations::toggle_status)
        .post("/{conversation_id}/toggle_typing", conversations::toggle_typing)
        .post("/{conversation_id}/update_last_seen", conversations::update_last_seen)
        .get("/{conversation_id}/messages", messages::index)
        .post("/{conversation_id}/messages", messages::create)
        .patch("/{conversation_id}/messages/{message_id}", messages::update)
}

fn path(params: &Params, key: &str) -> Result<String, ApiError> {
    params.text(key).ok_or_else(ApiError::not_found)
}

/// Where a visitor is: the inbox's identifier and their source id.
#[derive(Clone)]
struct At {
    inbox: String,
    source_id: String,
}

fn at(params: &Params) -> Result<At, ApiError> {
    Ok(At { inbox: path(params, "inbox_identifier")?, source_id: path(params, "source_id")? })
}

impl At {
    async fn visitor(&self, tx: &mut Tx<'_>) -> Result<Visitor, ApiError> {
        let door = door(tx, API, &self.inbox).await?;
        Ok(Visitor::find(tx, door, &self.source_id).await?)
    }
}

/// A conversation as its visitor sees it.
fn conversation_json(tx: &Tx<'_>, visitor: &Visitor, c: &Conversation, messages: &[Sent]) -> Value {
    let unix0 = |t: Option<Timestamp>| t.map_or(0, Timestamp::unix);
    json!({
        "id": c.row.display_id,
        "uuid": c.row.uuid,
        "inbox_id": c.row.inbox_id,
        "contact_last_seen_at": unix0(c.row.contact_last_seen_at),
        "status": c.row.status,
        "agent_last_seen_at": unix0(c.row.agent_last_seen_at),
        "messages": messages.iter().map(|sent| message_json(tx, visitor, c.row.display_id, sent)).collect::<Vec<_>>(),
        "contact": raw_contact_json(&shown(visitor, &c.contact)),
    })
}

/// A message as its visitor sees it; who is present is nobody's business here.
pub(crate) fn message_json(
    tx: &Tx<'_>,
    visitor: &Visitor,
    conversation: DisplayId,
    sent: &Sent,
) -> Value {
    let m = &sent.message;
    let mut out = json!({
        "id": m.id,
        "content": m.content,
        "message_type": m.message_type.integer(),
        "content_type": m.content_type,
        "content_attributes": m.content_attributes.0,
        "created_at": m.created_at.unix(),
        "conversation_id": conversation,
    });
    if let (Some(sender), Some(object)) =
        (SenderPush::without_presence(tx, sent), out.as_object_mut())
    {
        let mut sender = json!(sender);
        if !visitor.contact_inbox.owns_contact() {
            hide_records(&mut sender);
        }
        object.insert("sender".to_owned(), sender);
    }
    if let (Some(files), Some(object)) = (sent.attachment_pushes(tx), out.as_object_mut()) {
        object.insert("attachments".to_owned(), Value::Array(files));
    }
    out
}
