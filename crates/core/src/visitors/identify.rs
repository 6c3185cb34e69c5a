//! Finding out who a visitor is: by the identifier, the address or the number they give
//! (`behaviours.md §12`, identify).

use chatwarden_db::WriteTx;
use serde_json::{Map, Value};

use super::Visitor;
use crate::contacts::{self, Contact, is_contact_email, is_e164};
use crate::error::Result;
use crate::ids::ContactId;
use crate::storage;

/// What a visitor says of themselves. What is blank says nothing.
#[derive(Debug, Clone, Default)]
pub struct Identity {
    /// The customer's own id of the visitor.
    pub identifier: Option<String>,
    /// The name.
    pub name: Option<String>,
    /// The address.
    pub email: Option<String>,
    /// E.164.
    pub phone_number: Option<String>,
    /// Where their picture is.
    pub avatar_url: Option<String>,
    /// The account's own attributes.
    pub custom_attributes: Map<String, Value>,
    /// City, company, …
    pub additional_attributes: Map<String, Value>,
}

/// How what is said is taken.
#[derive(Debug, Clone, Copy, Default)]
pub struct Manner {
    /// A contact that is found keeps its own name.
    pub keep_name: bool,
    /// An address or a number that is none is dropped instead of refused.
    pub drop_invalid: bool,
}

impl Identity {
    fn tidy(mut self) -> Self {
        let said = |text: Option<String>| {
            text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
        };
        // An identifier is what the customer's server says, blanks included.
        self.identifier = self.identifier.filter(|text| !text.trim().is_empty());
        self.name = said(self.name);
        self.email = said(self.email).map(|email| email.to_lowercase());
        self.phone_number = said(self.phone_number);
        self.avatar_url = said(self.avatar_url);
        self
    }
}

/// Takes over what a visitor says of themselves. A contact of the same identifier, address or number
/// absorbs the one in hand, unless both have different identifiers: then that attribute stays as it was. Their
/// picture is fetched for the contact they are, not for one that took them in.
///
/// # Errors
/// [`crate::Error::Invalid`] for values that are malformed or another contact's.
pub async fn identify(
    tx: &mut WriteTx<'_>,
    visitor: &mut Visitor,
    given: Identity,
    manner: Manner,
) -> Result<()> {
    let mut given = given.tidy();
    let mut name_counts = true;

    if let Some(found) = by_identifier(tx, visitor, given.identifier.as_deref()).await? {
        name_counts &= !absorbed(tx, visitor, &given, found.id).await? || !manner.keep_name;
    }
    // Who they are: as they say, else as they are known.
    let mine = given.identifier.clone().or_else(|| visitor.contact.identifier.clone());
    if let Some(found) = by_email(tx, visitor, given.email.as_deref()).await? {
        if is_other(&found, mine.as_deref()) {
            given.email = None;
        } else {
            name_counts &= !absorbed(tx, visitor, &given, found.id).await? || !manner.keep_name;
        }
    }
    if let Some(found) = by_phone(tx, visitor, given.phone_number.as_deref()).await? {
        // The address counts for more than the number.
        let elsewhere =
            found.email.is_some() && given.email.is_some() && found.email != given.email;
        if elsewhere || is_other(&found, mine.as_deref()) {
            given.phone_number = None;
        } else {
            name_counts &= !absorbed(tx, visitor, &given, found.id).await? || !manner.keep_name;
        }
    }

    // As it is now: an agent may have changed it since it was found.
    visitor.contact = contacts::lock(tx, &visitor.door.scope, visitor.contact.id).await?;
    let contact = &mut visitor.contact;
    let before = contact.clone();
    if manner.drop_invalid {
        given.email = given.email.filter(|email| is_contact_email(email));
        given.phone_number = given.phone_number.filter(|phone| is_e164(phone));
    }
    if let Some(name) = given.name.filter(|_| name_counts) {
        contact.name = name;
    }
    for (mine, theirs) in [
        (&mut contact.identifier, given.identifier),
        (&mut contact.email, given.email),
        (&mut contact.phone_number, given.phone_number),
    ] {
        if theirs.is_some() {
            *mine = theirs;
        }
    }
    contacts::deep_merge(&mut contact.additional_attributes.0, &given.additional_attributes);
    contacts::deep_merge(&mut contact.custom_attributes.0, &given.custom_attributes);
    contacts::save(tx, &visitor.door.scope, &before, contact).await?;
    if let Some(url) = given.avatar_url.filter(|_| visitor.contact_inbox.owns_contact()) {
        storage::offer_avatar(tx, &visitor.door.scope, &visitor.contact, &url).await?;
    }
    Ok(())
}

/// Whether a contact is known to be somebody else than who is identified.
fn is_other(found: &Contact, identifier: Option<&str>) -> bool {
    match (&found.identifier, identifier) {
        (Some(theirs), Some(given)) => theirs != given,
        _ => false,
    }
}

async fn by_identifier(
    tx: &mut WriteTx<'_>,
    visitor: &Visitor,
    identifier: Option<&str>,
) -> Result<Option<Contact>> {
    let scope = &visitor.door.scope;
    Ok(contacts::sql::by_identity(tx, scope, identifier, None, None).await?)
}

async fn by_email(
    tx: &mut WriteTx<'_>,
    visitor: &Visitor,
    email: Option<&str>,
) -> Result<Option<Contact>> {
    Ok(contacts::sql::by_identity(tx, &visitor.door.scope, None, email, None).await?)
}

async fn by_phone(
    tx: &mut WriteTx<'_>,
    visitor: &Visitor,
    phone_number: Option<&str>,
) -> Result<Option<Contact>> {
    Ok(contacts::sql::by_identity(tx, &visitor.door.scope, None, None, phone_number).await?)
}

/// Locks the visitor's contact and all that they may turn out to be, with their conversations: a second merge takes no
/// lock that should have been taken before those of the first.
pub(super) async fn lock_known(
    tx: &mut WriteTx<'_>,
    visitor: &Visitor,
    given: &Identity,
) -> Result<()> {
    let known = [
        by_identifier(tx, visitor, given.identifier.as_deref()).await?,
        by_email(tx, visitor, given.email.as_deref()).await?,
        by_phone(tx, visitor, given.phone_number.as_deref()).await?,
    ];
    let mut ids = vec![visitor.contact.id.0];
    ids.extend(known.into_iter().flatten().map(|contact| contact.id.0));
    contacts::lock_whole(tx, &visitor.door.scope, &ids).await
}

/// Merges the contact in hand into one that was found; whether the two were different.
async fn absorbed(
    tx: &mut WriteTx<'_>,
    visitor: &mut Visitor,
    given: &Identity,
    found: ContactId,
) -> Result<bool> {
    if found == visitor.contact.id {
        return Ok(false);
    }
    lock_known(tx, visitor, given).await?;
    contacts::sql::absorb(tx, &visitor.door.scope, visitor.contact.id, None).await?;
    visitor.contact_inbox.absorbed = true;
    let by = visitor.performer();
    visitor.contact =
        contacts::merge(tx, &visitor.door.scope, found, visitor.contact.id, &by).await?;
    visitor.contact_inbox.contact_id = visitor.contact.id;
    Ok(true)
}
