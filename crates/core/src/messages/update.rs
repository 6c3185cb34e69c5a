//! What changes a message: its delivery, its deletion.

use chatwarden_db::{Json, WriteTx, args};
use serde_json::{Map, Value, json};

use super::create::{announce_updated, contact_hears};
use super::{ContentType, DeliveryStatus, Message, Sent, sql};
use crate::conversations::{Conversation, push};
use crate::error::{Error, Invalid, Result};
use crate::events::Performer;
use crate::ids::MessageId;
use crate::scope::Scope;
use crate::storage;

/// What differs, as listeners are told: columns with their old and new values.
fn changes(before: &Message, after: &Message) -> Value {
    let mut out = Map::new();
    let mut note = |key: &str, old: Value, new: Value| {
        if old != new {
            out.insert(key.to_owned(), json!([old, new]));
        }
    };
    note("content", json!(before.content), json!(after.content));
    note(
        "processed_message_content",
        json!(before.processed_content),
        json!(after.processed_content),
    );
    note("content_type", json!(before.content_type), json!(after.content_type));
    note("status", json!(before.status), json!(after.status));
    note("source_id", json!(before.source_id), json!(after.source_id));
    note(
        "content_attributes",
        before.content_attributes.0.clone(),
        after.content_attributes.0.clone(),
    );
    if !out.is_empty() || before.attachments != after.attachments {
        let times = json!([before.updated_at.iso(), after.updated_at.iso()]);
        out.insert("updated_at".to_owned(), times);
    }
    Value::Object(out)
}

/// Writes what is different from `before`, and tells of it; nothing where nothing is.
///
/// # Errors
/// [`Error::Invalid`] where it holds more than a message may.
pub async fn save(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    c: &Conversation,
    before: &Message,
    sent: &mut Sent,
    by: &Performer,
) -> Result<()> {
    sent.message.updated_at = tx.now();
    let changes = changes(before, &sent.message);
    if changes.as_object().is_none_or(Map::is_empty) {
        sent.message.updated_at = before.updated_at;
        return Ok(());
    }
    if before.content_attributes != sent.message.content_attributes {
        let mut faults = Invalid::default();
        faults.bound("content_attributes", &sent.message.content_attributes.0);
        faults.check()?;
    }
    sql::update(tx, scope, &sent.message).await?;
    let audience = push::audience(tx, scope, c, contact_hears(&sent.message)).await?;
    announce_updated(tx, scope, c, audience, sent, &changes, by);
    Ok(())
}

/// Notes how far a message got; what was read is never merely delivered again, and only a failure
/// has an error.
///
/// # Errors
/// [`Error::NotFound`] where the conversation has no such message.
pub async fn set_status(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    c: &Conversation,
    id: MessageId,
    status: Option<DeliveryStatus>,
    external_error: Option<&str>,
    by: &Performer,
) -> Result<Sent> {
    let mut sent = sql::find(tx, scope, c.row.id, id).await?.ok_or(Error::NotFound)?;
    let before = sent.message.clone();
    let back = before.status == DeliveryStatus::Read && status == Some(DeliveryStatus::Delivered);
    if let Some(status) = status.filter(|_| !back) {
        sent.message.status = status;
        let error = external_error.filter(|_| status == DeliveryStatus::Failed);
        if let Some(attributes) = sent.message.content_attributes.0.as_object_mut()
            && (error.is_some() || attributes.contains_key("external_error"))
        {
            attributes.insert("external_error".to_owned(), json!(error));
        }
        save(tx, scope, c, &before, &mut sent, by).await?;
    }
    Ok(sent)
}

/// Has a message delivered again, as if it had just been written.
///
/// # Errors
/// [`Error::Unprocessable`] where the conversation has no such message.
pub async fn retry(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    c: &Conversation,
    id: MessageId,
    by: &Performer,
) -> Result<Sent> {
    let found = sql::find(tx, scope, c.row.id, id).await?;
    let mut sent = found.ok_or_else(|| {
        Error::Unprocessable(format!("Couldn't find Message with 'id'={id} in the conversation"))
    })?;
    let before = sent.message.clone();
    sent.message.status = DeliveryStatus::Sent;
    sent.message.content_attributes = Json(json!({}));
    save(tx, scope, c, &before, &mut sent, by).await?;
    Ok(sent)
}

/// Whether a message was translated into a language already.
pub fn translated(message: &Message, language: &str) -> bool {
    let text = message.content_attributes.0.get("translations").and_then(|t| t.get(language));
    text.and_then(Value::as_str).is_some_and(|text| !text.is_empty())
}

/// Takes a message's content and files away; the message stays as a mark that there was one.
///
/// # Errors
/// [`Error::NotFound`] where the conversation has no such message.
pub async fn delete(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    c: &Conversation,
    id: MessageId,
    by: &Performer,
) -> Result<Sent> {
    let mut sent = sql::find(tx, scope, c.row.id, id).await?.ok_or(Error::NotFound)?;
    let before = sent.message.clone();
    let message = &mut sent.message;
    message.content = Some("This message was deleted".to_owned());
    message.processed_content.clone_from(&message.content);
    message.content_type = ContentType::Text;
    message.content_attributes = Json(json!({"deleted": true}));
    if !before.attachments.0.is_empty() {
        message.attachments = Json(Vec::new());
        storage::detach(tx, scope, id).await?;
    }
    save(tx, scope, c, &before, &mut sent, by).await?;
    Ok(sent)
}

/// Notes that the contact has seen the conversation: what was sent to it is read. Of the newest
/// messages only: nobody reads a thousand at once.
///
/// # Errors
/// What the database says.
pub async fn mark_read(tx: &mut WriteTx<'_>, scope: &Scope, c: &Conversation) -> Result<()> {
    let now = tx.now();
    let unread = tx.all(&sql::UNREAD, args![scope.account_id(), c.row.id]).await?;
    if unread.is_empty() {
        return Ok(());
    }
    let ids: Vec<i64> = unread.iter().map(|sent| sent.message.id.0).collect();
    tx.run(&sql::MARK_READ, args![scope.account_id(), ids, now]).await?;
    // Once for all of them: whom a proved contact hears by is a question to the database.
    let everybody = push::audience(tx, scope, c, true).await?;
    let agents = push::audience(tx, scope, c, false).await?;
    for mut sent in unread {
        let before = sent.message.clone();
        sent.message.status = DeliveryStatus::Read;
        sent.message.updated_at = now;
        let changes = changes(&before, &sent.message);
        let to = if contact_hears(&sent.message) { &everybody } else { &agents };
        announce_updated(tx, scope, c, to.clone(), &sent, &changes, &Performer::System);
    }
    Ok(())
}
