//! Changing contacts as members do (`behaviours.md §12`).

use chatwarden_db::{WriteTx, args};
use serde_json::{Map, Value};

use super::create::said;
use super::{Contact, forget_attributes, save, sql};
use crate::error::{Error, Result};
use crate::ids::ContactId;
use crate::scope::Scope;

/// What is said of a contact; what is not said stays as it is.
#[derive(Debug, Clone, Default)]
pub struct Draft {
    /// The name.
    pub name: Option<String>,
    /// The address.
    pub email: Option<Option<String>>,
    /// E.164.
    pub phone_number: Option<Option<String>>,
    /// The customer's own id of the contact.
    pub identifier: Option<Option<String>>,
    /// Whether the contact is muted.
    pub blocked: Option<bool>,
    /// City, company, …: merged into those there are.
    pub additional_attributes: Map<String, Value>,
    /// The account's own attributes: merged into those there are.
    pub custom_attributes: Map<String, Value>,
}

/// Puts attributes over others, whole values.
fn merge_flat(into: &mut Value, over: Map<String, Value>) {
    match into.as_object_mut() {
        Some(object) => object.extend(over),
        None => *into = Value::Object(over),
    }
}

/// A contact, for changing: nobody else changes the row until the transaction ends.
///
/// # Errors
/// [`Error::NotFound`] where there is none.
pub async fn lock(tx: &mut WriteTx<'_>, scope: &Scope, id: ContactId) -> Result<Contact> {
    tx.opt(&sql::LOCK, args![scope.account_id(), id]).await?.ok_or(Error::NotFound)
}

/// Changes a contact: attributes are merged into those there are.
///
/// # Errors
/// [`Error::NotFound`] where there is none; [`Error::Invalid`] for values that are malformed or another contact's.
pub async fn update(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    id: ContactId,
    draft: Draft,
) -> Result<Contact> {
    let mut contact = lock(tx, scope, id).await?;
    let before = contact.clone();
    if let Some(name) = draft.name {
        contact.name = name;
    }
    if let Some(email) = draft.email {
        contact.email = said(email).map(|email| email.to_lowercase());
    }
    if let Some(phone_number) = draft.phone_number {
        contact.phone_number = said(phone_number);
    }
    if let Some(identifier) = draft.identifier {
        contact.identifier = said(identifier);
    }
    if let Some(blocked) = draft.blocked {
        contact.blocked = blocked;
    }
    merge_flat(&mut contact.additional_attributes.0, draft.additional_attributes);
    merge_flat(&mut contact.custom_attributes.0, draft.custom_attributes);
    save(tx, scope, &before, &mut contact).await?;
    Ok(contact)
}

/// Takes custom attributes off a contact.
///
/// # Errors
/// [`Error::NotFound`] where there is none.
pub async fn destroy_custom_attributes(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    id: ContactId,
    keys: &[String],
) -> Result<Contact> {
    let mut contact = lock(tx, scope, id).await?;
    forget_attributes(tx, scope, &mut contact, keys).await?;
    Ok(contact)
}
