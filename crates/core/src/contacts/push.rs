//! A contact in cable frames and as the sender of messages (`realtime.md §7`).

use chatwarden_db::Tx;
use serde::Serialize;
use serde_json::Value;

use super::{Contact, ContactInbox};
use crate::ids::{ContactId, ContactInboxId, InboxId};
use crate::storage::avatar_url;

/// The push form of a contact.
#[derive(Debug, Clone, Serialize)]
pub struct ContactPush<'a> {
    /// Channel facts: city, referer, …
    pub additional_attributes: &'a Value,
    /// The account's own attributes.
    pub custom_attributes: &'a Value,
    /// The address.
    pub email: Option<&'a str>,
    /// The contact.
    pub id: ContactId,
    /// The customer's own id of the contact.
    pub identifier: Option<&'a str>,
    /// The name.
    pub name: &'a str,
    /// E.164.
    pub phone_number: Option<&'a str>,
    /// The picture, `""` when there is none.
    pub thumbnail: String,
    /// Whether the contact was muted.
    pub blocked: bool,
    /// `contact`
    #[serde(rename = "type")]
    pub kind: &'static str,
}

impl<'a> ContactPush<'a> {
    /// Of a contact.
    pub fn of(tx: &Tx<'_>, contact: &'a Contact) -> Self {
        Self {
            additional_attributes: &contact.additional_attributes.0,
            custom_attributes: &contact.custom_attributes.0,
            email: contact.email.as_deref(),
            id: contact.id,
            identifier: contact.identifier.as_deref(),
            name: &contact.name,
            phone_number: contact.phone_number.as_deref(),
            thumbnail: avatar_url(tx, contact.avatar.as_ref()),
            blocked: contact.blocked,
            kind: "contact",
        }
    }
}

/// Leaves of the push forms of contacts in a document who they are: their ids and names.
pub fn hide_records(document: &mut Value) {
    match document {
        Value::Object(object) => {
            let is_contact = object.get("type").is_some_and(|kind| kind == "contact");
            for (key, value) in object {
                if !is_contact {
                    hide_records(value);
                } else if !["id", "name", "type"].contains(&key.as_str()) {
                    *value = match value {
                        Value::Object(_) => Value::Object(serde_json::Map::new()),
                        Value::Bool(_) => Value::Bool(false),
                        // Pictures are texts, also where there is none.
                        _ if key == "thumbnail" => Value::String(String::new()),
                        _ => Value::Null,
                    };
                }
            }
        }
        Value::Array(list) => list.iter_mut().for_each(hide_records),
        _ => {}
    }
}

/// The raw record of a contact inbox, as conversation pushes carry it (`resources.md §5`).
#[derive(Debug, Clone, Serialize)]
pub struct ContactInboxPush<'a> {
    /// The row.
    pub id: ContactInboxId,
    /// Whose.
    pub contact_id: ContactId,
    /// Where.
    pub inbox_id: InboxId,
    /// What the channel calls it.
    pub source_id: &'a str,
    /// iso
    pub created_at: String,
    /// iso
    pub updated_at: String,
    /// Whether the identity was proved.
    pub hmac_verified: bool,
    /// The socket's token.
    pub pubsub_token: &'a str,
}

impl<'a> ContactInboxPush<'a> {
    /// Of a contact inbox.
    pub fn of(ci: &'a ContactInbox) -> Self {
        Self {
            id: ci.id,
            contact_id: ci.contact_id,
            inbox_id: ci.inbox_id,
            source_id: &ci.source_id,
            created_at: ci.created_at.iso(),
            updated_at: ci.updated_at.iso(),
            hmac_verified: ci.hmac_verified,
            pubsub_token: &ci.pubsub_token,
        }
    }
}
