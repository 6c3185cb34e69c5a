//! Contacts (`resources.md §5`).

use chatwarden_core::contacts::Contact;
use chatwarden_core::desk::desk;
use chatwarden_db::Tx;
use serde_json::{Value, json};

/// A contact, without its inboxes.
pub(crate) fn contact_json(tx: &Tx<'_>, contact: &Contact) -> Value {
    let online = desk(tx).presence.contact_online(contact.account_id, contact.id, tx.now());
    let mut out = json!({
        "additional_attributes": contact.additional_attributes.0,
        "availability_status": if online { "online" } else { "offline" },
        "email": contact.email,
        "id": contact.id,
        "name": contact.name,
        "phone_number": contact.phone_number,
        "blocked": contact.blocked,
        "identifier": contact.identifier,
        "thumbnail": "",
        "custom_attributes": contact.custom_attributes.0,
        "created_at": contact.created_at.unix(),
    });
    if let (Some(at), Some(object)) = (contact.last_activity_at, out.as_object_mut()) {
        object.insert("last_activity_at".to_owned(), json!(at.unix()));
    }
    out
}
