//! The public client API: visitors of an API inbox, by the inbox's identifier and their own source id
//! (`behaviours.md §20`, `resources.md §23`).

use axum::Json;
use axum::extract::State;
use chatwarden_core::contacts::{self, Contact, ContactInbox};
use chatwarden_core::conversations::{self, Conversation, NewConversation};
use chatwarden_core::events::Performer;
use chatwarden_core::ids::DisplayId;
use chatwarden_core::inboxes::{self, API, Door};
use chatwarden_core::messages::{self, MessageType, NewMessage, Sender, SenderPush, Sent};
use chatwarden_core::visitors::Proof;
use chatwarden_core::{Error, Result};
use chatwarden_db::{Timestamp, Tx, WriteTx};
use serde_json::{Value, json};

use crate::actors::Anyone;
use crate::app::App;
use crate::contacts::{new_contact, raw_contact_json};
use crate::error::{Answer, ApiError};
use crate::params::Params;
use crate::routes::Routes;

pub(crate) fn routes() -> Routes {
    Routes::new("/public/api/v1/inboxes/{inbox_identifier}")
        .post("/contacts", create_contact)
        .get("/contacts/{source_id}", show_contact)
        .get("/contacts/{source_id}/conversations", index)
        .post("/contacts/{source_id}/conversations", create)
        .get("/contacts/{source_id}/conversations/{conversation_id}/messages", messages)
        .post("/contacts/{source_id}/conversations/{conversation_id}/messages", create_message)
}

fn path(params: &Params, key: &str) -> Result<String, ApiError> {
    params.text(key).ok_or_else(ApiError::not_found)
}

fn proof(params: &Params) -> Proof {
    Proof { identifier: params.text("identifier"), hash: params.text("identifier_hash") }
}

/// A visitor, found by the inbox's identifier and their source id.
struct Visitor {
    door: Door,
    contact_inbox: ContactInbox,
    contact: Contact,
}

async fn visitor(tx: &mut Tx<'_>, identifier: &str, source_id: &str) -> Result<Visitor> {
    let door = inboxes::door(tx, API, identifier).await?;
    let contact_inbox =
        contacts::sql::contact_inbox_by_source(tx, &door.scope, door.inbox.id, source_id)
            .await?
            .ok_or(Error::NotFound)?;
    let contact = contacts::sql::get(tx, &door.scope, contact_inbox.contact_id)
        .await?
        .ok_or(Error::NotFound)?;
    Ok(Visitor { door, contact_inbox, contact })
}

fn contact_inbox_json(contact_inbox: &ContactInbox, contact: &Contact) -> Value {
    json!({
        "source_id": contact_inbox.source_id,
        "pubsub_token": contact_inbox.pubsub_token,
        "id": contact.id,
        "name": contact.name,
        "email": contact.email,
        "phone_number": contact.phone_number,
    })
}

/// A visitor: the one with the source id where there is one, else the contact found by identifier, address or
/// number, else a new one.
async fn create_contact(_: Anyone, State(app): State<App>, params: Params) -> Answer<Json<Value>> {
    let identifier = path(&params, "inbox_identifier")?;
    let source_id = params.present("source_id");
    let new = new_contact(&params).tidy();
    let proof = proof(&params);
    app.write(async move |tx| {
        let door = inboxes::door(tx, API, &identifier).await?;
        proof.check(&door.channel)?;
        if let Some(source_id) = &source_id
            && let Some(found) =
                contacts::sql::contact_inbox_by_source(tx, &door.scope, door.inbox.id, source_id)
                    .await?
        {
            let contact = contacts::sql::get(tx, &door.scope, found.contact_id)
                .await?
                .ok_or(Error::NotFound)?;
            return Ok(Json(contact_inbox_json(&found, &contact)));
        }
        let known = contacts::sql::by_identity(
            tx,
            &door.scope,
            new.identifier.as_deref(),
            new.email.as_deref(),
            new.phone_number.as_deref(),
        )
        .await?;
        let contact = match known {
            Some(contact) => contact,
            None => contacts::create(tx, &door.scope, new).await?,
        };
        let made =
            contacts::contact_inbox(tx, &door.scope, contact.id, door.inbox.id, source_id).await?;
        Ok(Json(contact_inbox_json(&made, &contact)))
    })
    .await
}

/// The visitor.
async fn show_contact(_: Anyone, State(app): State<App>, params: Params) -> Answer<Json<Value>> {
    let (identifier, source_id) = (path(&params, "inbox_identifier")?, path(&params, "source_id")?);
    let proof = proof(&params);
    app.read(async move |tx| {
        let visitor = visitor(tx, &identifier, &source_id).await?;
        proof.check(&visitor.door.channel)?;
        Ok(Json(contact_inbox_json(&visitor.contact_inbox, &visitor.contact)))
    })
    .await
}

/// The visitor's conversations.
async fn index(_: Anyone, State(app): State<App>, params: Params) -> Answer<Json<Value>> {
    let (identifier, source_id) = (path(&params, "inbox_identifier")?, path(&params, "source_id")?);
    app.read(async move |tx| {
        let visitor = visitor(tx, &identifier, &source_id).await?;
        let found =
            conversations::of_contact_inbox(tx, &visitor.door.scope, visitor.contact_inbox.id)
                .await?;
        let mut out = Vec::new();
        for (conversation, messages) in &found {
            out.push(conversation_json(tx, conversation, messages));
        }
        Ok(Json(Value::Array(out)))
    })
    .await
}

/// Opens a conversation.
async fn create(_: Anyone, State(app): State<App>, params: Params) -> Answer<Json<Value>> {
    let (identifier, source_id) = (path(&params, "inbox_identifier")?, path(&params, "source_id")?);
    let new = NewConversation {
        custom_attributes: Value::Object(params.object("custom_attributes").unwrap_or_default()),
        ..NewConversation::default()
    };
    app.write(async move |tx| {
        let Visitor { door, contact_inbox, contact } = visitor(tx, &identifier, &source_id).await?;
        let (conversation, fresh) = conversations::create(
            tx,
            &door.scope,
            &door.inbox,
            &contact_inbox,
            contact.blocked,
            new,
        )
        .await?;
        if fresh {
            let by = Performer::Contact(contact.name.clone());
            conversations::announce_created(tx, &door.scope, &conversation, &by).await?;
        }
        Ok(Json(conversation_json(tx, &conversation, &[])))
    })
    .await
}

/// What the visitor may read of the conversation.
async fn messages(_: Anyone, State(app): State<App>, params: Params) -> Answer<Json<Value>> {
    let (identifier, source_id) = (path(&params, "inbox_identifier")?, path(&params, "source_id")?);
    let id = crate::conversations::display_id(&params)?;
    let before = params.integer("before");
    app.read(async move |tx| {
        let visitor = visitor(tx, &identifier, &source_id).await?;
        let c = conversations::sql::of_contact_inbox(
            tx,
            &visitor.door.scope,
            visitor.contact_inbox.id,
            id,
        )
        .await?
        .ok_or(Error::NotFound)?;
        let found = messages::list_public(tx, &visitor.door.scope, c.row.id, None, before).await?;
        let out: Vec<Value> =
            found.iter().map(|sent| message_json(tx, c.row.display_id, sent)).collect();
        Ok(Json(Value::Array(out)))
    })
    .await
}

/// The visitor writes.
async fn create_message(_: Anyone, State(app): State<App>, params: Params) -> Answer<Json<Value>> {
    let (identifier, source_id) = (path(&params, "inbox_identifier")?, path(&params, "source_id")?);
    let id = crate::conversations::display_id(&params)?;
    app.write(async move |tx| {
        let sent = write(tx, &identifier, &source_id, id, &params).await?;
        Ok(Json(message_json(tx, id, &sent)))
    })
    .await
}

async fn write(
    tx: &mut WriteTx<'_>,
    identifier: &str,
    source_id: &str,
    id: DisplayId,
    params: &Params,
) -> Result<Sent, ApiError> {
    let Visitor { door, contact_inbox, contact } = visitor(tx, identifier, source_id).await?;
    let mut c = conversations::sql::lock_of_contact_inbox(tx, &door.scope, contact_inbox.id, id)
        .await?
        .ok_or(Error::NotFound)?;
    let by = Performer::Contact(contact.name.clone());
    let mut new = NewMessage::text(
        MessageType::Incoming,
        params.text("content"),
        Sender::Contact(Box::new(contact)),
    );
    new.echo_id = params.get("echo_id").cloned();
    Ok(messages::create(tx, &door.scope, &mut c, new, &by).await?)
}

/// A conversation as its visitor sees it.
fn conversation_json(tx: &Tx<'_>, c: &Conversation, messages: &[Sent]) -> Value {
    let unix0 = |t: Option<Timestamp>| t.map_or(0, Timestamp::unix);
    json!({
        "id": c.row.display_id,
        "uuid": c.row.uuid,
        "inbox_id": c.row.inbox_id,
        "contact_last_seen_at": unix0(c.row.contact_last_seen_at),
        "status": c.row.status,
        "agent_last_seen_at": unix0(c.row.agent_last_seen_at),
        "messages": messages.iter().map(|sent| message_json(tx, c.row.display_id, sent)).collect::<Vec<_>>(),
        "contact": raw_contact_json(&c.contact),
    })
}

/// A message as its visitor sees it; who is present is nobody's business here.
pub(crate) fn message_json(tx: &Tx<'_>, conversation: DisplayId, sent: &Sent) -> Value {
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
        object.insert("sender".to_owned(), json!(sender));
    }
    if let (Some(files), Some(object)) = (sent.attachment_pushes(tx), out.as_object_mut()) {
        object.insert("attachments".to_owned(), Value::Array(files));
    }
    out
}
