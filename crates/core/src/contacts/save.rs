//! What changes a contact.

use std::collections::HashSet;

use chatwarden_db::{Json, WriteTx, args};
use serde_json::{Map, Value};

use super::create::{Fields, taken};
use super::{Contact, announce, sql};
use crate::error::{Invalid, Result};
use crate::scope::Scope;

/// Writes what is different from `before`, and tells the account, also where nothing is, as upstream.
///
/// # Errors
/// [`crate::Error::Invalid`] for values that are malformed or another contact's.
pub async fn save(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    before: &Contact,
    contact: &mut Contact,
) -> Result<()> {
    derive(contact);
    if before == contact {
        announce(tx, scope, "contact.updated", contact);
        return Ok(());
    }
    // What was large before does not keep the rest from being changed.
    let mut faults = Invalid::default();
    if before.additional_attributes != contact.additional_attributes {
        faults.bound("additional_attributes", &contact.additional_attributes.0);
    }
    if before.custom_attributes != contact.custom_attributes {
        faults.bound("custom_attributes", &contact.custom_attributes.0);
    }
    faults.check()?;
    write(tx, scope, before, contact).await
}

/// Writes a contact, which was `before`, as it is, and tells the account.
pub(super) async fn write(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    before: &Contact,
    contact: &mut Contact,
) -> Result<()> {
    Fields::of(contact).check(tx, scope, Some(before)).await?;
    contact.updated_at = tx.now();
    tx.run(
        &sql::UPDATE,
        args![
            scope.account_id(),
            contact.id,
            contact.name,
            contact.email,
            contact.phone_number,
            contact.identifier,
            contact.location,
            contact.country_code,
            contact.contact_type,
            contact.blocked,
            contact.additional_attributes,
            contact.custom_attributes,
            Fields::of(contact).search_folded(),
            contact.updated_at
        ],
    )
    .await
    .map_err(taken)?;
    announce(tx, scope, "contact.updated", contact);
    Ok(())
}

/// What follows from a contact's other values.
pub(super) fn derive(contact: &mut Contact) {
    let attribute = |key: &str| {
        let value = contact.additional_attributes.0.get(key);
        value.and_then(Value::as_str).map(str::to_owned)
    };
    let (location, country_code) = (attribute("city"), attribute("country"));
    contact.location = location;
    contact.country_code = country_code;
    if contact.contact_type == 0 {
        contact.contact_type = Fields::of(contact).contact_type(&contact.additional_attributes.0);
    }
}

/// Takes attributes of the account's own away.
///
/// # Errors
/// What the database says.
pub async fn forget_attributes(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    contact: &mut Contact,
    keys: &[String],
) -> Result<()> {
    let before = contact.clone();
    let Json(attributes) = &mut contact.custom_attributes;
    without(attributes, keys);
    save(tx, scope, &before, contact).await
}

/// Takes keys out of an object.
pub(crate) fn without(attributes: &mut Value, keys: &[String]) {
    let keys: HashSet<&String> = keys.iter().collect();
    if let Some(object) = attributes.as_object_mut() {
        object.retain(|key, _| !keys.contains(key));
    }
}

/// Lays `over` upon an object: objects within are merged, everything else is replaced.
pub(crate) fn deep_merge(under: &mut Value, over: &Map<String, Value>) {
    let Some(under) = under.as_object_mut() else {
        *under = Value::Object(over.clone());
        return;
    };
    for (key, value) in over {
        match (under.get_mut(key), value) {
            (Some(known @ Value::Object(_)), Value::Object(inner)) => deep_merge(known, inner),
            _ => {
                under.insert(key.clone(), value.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn merges_what_is_within_objects() {
        let check = |mut under: Value, over: Value, expected: Value| {
            deep_merge(&mut under, over.as_object().unwrap());
            assert_eq!(under, expected);
        };
        check(
            json!({"a": 1, "b": {"c": 2}}),
            json!({"b": {"d": 3}}),
            json!({"a": 1, "b": {"c": 2, "d": 3}}),
        );
        check(json!({"a": {"b": 1}}), json!({"a": 2}), json!({"a": 2}));
        check(json!(null), json!({"a": 2}), json!({"a": 2}));
    }
}
