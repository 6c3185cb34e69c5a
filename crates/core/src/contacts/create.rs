//! New contacts, and where they write from (`behaviours.md §12`).

use chatwarden_db::{DbError, OnConflict as _, WriteTx, args};
use serde::Serialize;
use serde_json::{Map, Value};

use super::{Contact, ContactInbox, announce, sql};
use crate::error::{Error, Invalid, Result, TAKEN};
use crate::ids::{ContactId, InboxId};
use crate::inboxes::Inbox;
use crate::scope::Scope;

/// What a new contact holds.
#[derive(Debug, Clone, Default)]
pub struct NewContact {
    /// The name.
    pub name: String,
    /// The address.
    pub email: Option<String>,
    /// E.164.
    pub phone_number: Option<String>,
    /// The customer's own id of the contact.
    pub identifier: Option<String>,
    /// Whether the contact is muted from the start.
    pub blocked: bool,
    /// City, company, …
    pub additional_attributes: Map<String, Value>,
    /// The account's own attributes.
    pub custom_attributes: Map<String, Value>,
}

/// Whether a text is a mail address, as far as a form can tell.
pub fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    let dotted = domain.split('.').all(|part| {
        !part.is_empty()
            && part.chars().all(|c| c.is_alphanumeric() || c == '-')
            && !part.starts_with('-')
    });
    !local.is_empty()
        && !text.chars().any(|c| {
            c.is_whitespace() || c.is_control() || matches!(c, ',' | ';' | '<' | '>' | '(' | ')')
        })
        && !local.contains('@')
        && dotted
        && domain.contains('.')
}

/// Whether a text may stand as a contact's address: something on either side of one `@`, and no blanks. Who writes
/// there asks whether it [is one](is_email).
pub fn is_contact_email(text: &str) -> bool {
    text.split_once('@').is_some_and(|(local, domain)| {
        !local.is_empty() && !domain.is_empty() && !domain.contains('@')
    }) && !text.contains(|c: char| c.is_whitespace() || c.is_control())
}

/// Whether a text ends in a phone number in E.164: a plus and two to fifteen digits. What stands before is not looked
/// at, as upstream.
pub fn is_e164(text: &str) -> bool {
    text.rsplit_once('+').is_some_and(|(_, digits)| {
        (2..=15).contains(&digits.len())
            && digits.bytes().all(|b| b.is_ascii_digit())
            && !digits.starts_with('0')
    })
}

/// A text as it was sent, unless it is blank.
pub(super) fn said(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.trim().is_empty())
}

impl NewContact {
    /// Blank texts become none and the address is lower-cased; the rest is kept as it was sent.
    #[must_use]
    pub fn tidy(mut self) -> Self {
        self.email = said(self.email).map(|email| email.to_lowercase());
        self.phone_number = said(self.phone_number);
        self.identifier = said(self.identifier);
        self
    }

    fn fields(&self) -> Fields<'_> {
        Fields {
            name: Some(&self.name),
            email: self.email.as_deref(),
            phone_number: self.phone_number.as_deref(),
            identifier: self.identifier.as_deref(),
        }
    }

    /// A lead is a contact one can reach (`behaviours.md §12`).
    pub(crate) fn contact_type(&self) -> i64 {
        self.fields().contact_type(&Value::Object(self.additional_attributes.clone()))
    }

    /// What search reads.
    pub(crate) fn search_folded(&self) -> String {
        self.fields().search_folded()
    }

    /// A text among the attributes that has a column of its own.
    pub(crate) fn attribute(&self, key: &str) -> Option<&str> {
        self.additional_attributes.get(key).and_then(Value::as_str)
    }
}

/// What a contact is known by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields<'a> {
    name: Option<&'a str>,
    email: Option<&'a str>,
    phone_number: Option<&'a str>,
    identifier: Option<&'a str>,
}

impl<'a> Fields<'a> {
    /// Of a contact.
    pub(super) fn of(contact: &'a Contact) -> Self {
        Self {
            name: Some(&contact.name),
            email: contact.email.as_deref(),
            phone_number: contact.phone_number.as_deref(),
            identifier: contact.identifier.as_deref(),
        }
    }

    /// Those that differ from what was there before.
    fn anew(self, before: &'a Contact) -> Self {
        let before = Fields::of(before);
        let anew = |now: Option<&'a str>, then| now.filter(|_| now != then);
        Self {
            name: anew(self.name, before.name),
            email: anew(self.email, before.email),
            phone_number: anew(self.phone_number, before.phone_number),
            identifier: anew(self.identifier, before.identifier),
        }
    }

    /// Refuses what is new beside what was there `before`: malformed values and those of another contact, all faults at
    /// once. Whoever takes a value between this look and the row is found by the [constraint](taken).
    pub(super) async fn check(
        self,
        tx: &mut WriteTx<'_>,
        scope: &Scope,
        before: Option<&'a Contact>,
    ) -> Result<()> {
        let new = before.map_or(self, |before| self.anew(before));
        let Self { email, phone_number, identifier, .. } = new;
        let mut others = (false, false, false);
        if email.or(identifier).or(phone_number).is_some() {
            let own = before.map_or(ContactId(0), |before| before.id);
            let args = args![scope.account_id(), own, email, identifier, phone_number];
            others = tx.one(&sql::OTHERS, args).await?;
        }
        new.faults(others).check()
    }

    /// All faults, in Chatwoot's order; the address, the identifier and the number may be another contact's.
    fn faults(self, others: (bool, bool, bool)) -> Invalid {
        let mut invalid = Invalid::default();
        for (field, text) in [
            ("name", self.name),
            ("email", self.email),
            ("phone_number", self.phone_number),
            ("identifier", self.identifier),
        ] {
            invalid.limit(field, text.unwrap_or_default(), 255);
        }
        if others.0 {
            invalid.add("email", TAKEN);
        }
        if self.email.is_some_and(|email| !is_contact_email(email)) {
            invalid.add("email", "Invalid email");
        }
        if others.1 {
            invalid.add("identifier", TAKEN);
        }
        if others.2 {
            invalid.add("phone_number", TAKEN);
        }
        if self.phone_number.is_some_and(|phone| !is_e164(phone)) {
            invalid.add("phone_number", "should be in e164 format");
        }
        invalid
    }

    /// 1, a lead, for a contact one can reach (`behaviours.md §12`).
    pub(super) fn contact_type(&self, additional_attributes: &Value) -> i64 {
        let social = additional_attributes.as_object().is_some_and(|attributes| {
            attributes.iter().any(|(key, value)| key.starts_with("social_") && filled(value))
        });
        i64::from(self.email.is_some() || self.phone_number.is_some() || social)
    }

    /// What search reads.
    pub(super) fn search_folded(&self) -> String {
        [self.name, self.email, self.phone_number, self.identifier]
            .into_iter()
            .flatten()
            .map(str::to_lowercase)
            .collect::<Vec<_>>()
            .join("\n")
    }
}

/// Refuses attributes that are too large.
pub(super) fn bound(additional: &impl Serialize, custom: &impl Serialize) -> Result<()> {
    let mut faults = Invalid::default();
    faults.bound("additional_attributes", additional);
    faults.bound("custom_attributes", custom);
    faults.check()
}

/// Whether a value says anything.
fn filled(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.trim().is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(object) => object.values().any(filled),
        Value::Bool(true) | Value::Number(_) => true,
    }
}

/// What a channel calls a contact that never wrote from it (`behaviours.md §8`, create).
///
/// # Errors
/// [`Error::Unprocessable`] where the contact lacks what the channel writes to.
pub fn default_source_id(channel_type: &str, contact: &Contact) -> Result<String> {
    let missing = |what: &str| {
        Error::Unprocessable(format!("param is missing or the value is empty: contact {what}"))
    };
    let email = || contact.email.clone().ok_or_else(|| missing("email"));
    let phone = || contact.phone_number.clone().ok_or_else(|| missing("phone number"));
    match channel_type {
        "Channel::Email" => email(),
        "Channel::Sms" | "Channel::TwilioSms" => phone(),
        "Channel::Whatsapp" => phone().map(|number| number.trim_start_matches('+').to_owned()),
        _ => Err(Error::Unprocessable(
            "Conversations can't be started in inboxes of this channel".to_owned(),
        )),
    }
}

/// A broken unique rule of a contact, as the field it is about.
pub(crate) fn taken(error: DbError) -> Error {
    for field in ["email", "phone_number", "identifier"] {
        if error.broke(&format!("contacts_account_id_{field}_key")) {
            return Error::invalid(field, TAKEN);
        }
    }
    error.into()
}

/// Adds a contact.
///
/// # Errors
/// [`Error::Invalid`] for values that are malformed or another contact's.
pub async fn create(tx: &mut WriteTx<'_>, scope: &Scope, new: NewContact) -> Result<Contact> {
    let new = new.tidy();
    new.fields().check(tx, scope, None).await?;
    bound(&new.additional_attributes, &new.custom_attributes)?;
    let id = sql::insert(tx, scope, &new).await.map_err(taken)?;
    let contact = sql::get(tx, scope, id).await?.ok_or(Error::NotFound)?;
    announce(tx, scope, "contact.created", &contact);
    Ok(contact)
}

/// A contact's presence in an inbox, made where it is missing; without a source id its channel says what it is.
///
/// # Errors
/// [`Error::Unprocessable`] where the contact lacks what the channel writes to; [`Error::Invalid`] where the source
/// id is another contact's.
pub async fn join_inbox(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    contact: &Contact,
    inbox: &Inbox,
    source_id: Option<String>,
) -> Result<ContactInbox> {
    let source_id = match (source_id.filter(|id| !id.is_empty()), inbox.channel_type.as_str()) {
        (Some(source_id), _) => Some(source_id),
        (None, "Channel::Api" | "Channel::WebWidget") => None,
        (None, channel) => Some(default_source_id(channel, contact)?),
    };
    contact_inbox(tx, scope, contact.id, inbox.id, source_id).await
}

/// A contact's presence in an inbox, made where it is missing; without a source id one is made up.
///
/// # Errors
/// [`Error::Invalid`] where the source id is another contact's, [`Error::NotFound`] where the contact is gone.
pub async fn contact_inbox(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    contact: ContactId,
    inbox: InboxId,
    source_id: Option<String>,
) -> Result<ContactInbox> {
    let source_id = source_id.filter(|s| !s.is_empty()).unwrap_or_else(|| tx.ambient().uuid());
    if source_id.chars().nth(255).is_some() {
        return Err(Error::invalid("source_id", "is too long (maximum is 255 characters)"));
    }
    if let Some(found) = sql::contact_inbox_by_source(tx, scope, inbox, &source_id).await? {
        return if found.contact_id == contact {
            Ok(found)
        } else if sql::get(tx, scope, contact).await?.is_none() {
            // It may have gone into the one whose the source id is now.
            Err(Error::NotFound)
        } else {
            Err(Error::invalid("source_id", TAKEN))
        };
    }
    sql::insert_contact_inbox(tx, scope, contact, inbox, &source_id)
        .await
        .on_conflict("contact_inboxes_account_id_inbox_id_source_id_key", || {
            Error::invalid("source_id", TAKEN)
        })?
        .ok_or(Error::NotFound)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_what_contacts_may_have_from_what_is_written_to() {
        for good in ["a@b", "vera,x@b.co", "ü@example.com"] {
            assert!(is_contact_email(good), "{good}");
        }
        for bad in ["", "a", "@b.co", "a@", "a@b@c", "a b@c.de", " a@b.co", "a@b.co\n", "a@b\u{0}"]
        {
            assert!(!is_contact_email(bad), "{bad:?}");
        }
    }

    #[test]
    fn tells_addresses_and_numbers() {
        for good in ["a@b.co", "vera.x+1@example.org", "ü@example.com"] {
            assert!(is_email(good), "{good}");
        }
        for bad in
            ["", "a", "a@b", "a@@b.co", "a b@c.de", "a@b..co", "@b.co", "a@-b.co", "a@b.co,c@d.ef"]
        {
            assert!(!is_email(bad), "{bad}");
        }
        for good in ["+12", "+4915112345678", "+123456789012345", "tel:+12"] {
            assert!(is_e164(good), "{good}");
        }
        for bad in ["", "1555", "+", "+1", "+1 555", "+1234567890123456", "+0123", "+1a", "+12+"] {
            assert!(!is_e164(bad), "{bad}");
        }
    }
}
