//! The account's own attributes of a conversation.

use chatwarden_db::{Json, WriteTx};
use serde_json::{Map, Value};

use super::{Conversation, NewConversation, save};
use crate::error::{Invalid, Result};
use crate::events::Performer;
use crate::scope::Scope;

/// The longest text in an attribute, in characters (`behaviours.md §8`, value limits).
const TEXT: usize = 1500;
/// The greatest number.
const NUMBER: i64 = 9_999_999_999;

/// Refuses values that are too long or too great.
///
/// # Errors
/// [`crate::Error::Invalid`], naming each.
pub(super) fn check(field: &'static str, attributes: &Value) -> Result<()> {
    let mut faults = Invalid::default();
    faults.bound(field, attributes);
    for (key, value) in attributes.as_object().into_iter().flatten() {
        match value {
            Value::String(text) if text.chars().nth(TEXT).is_some() => {
                faults.add(field, format!("{key} length should be < {TEXT}"));
            }
            Value::Number(number)
                if number.as_i64().is_some_and(|n| n > NUMBER)
                    || number.as_u64().is_some_and(|n| n > NUMBER.unsigned_abs()) =>
            {
                faults.add(field, format!("{key} value should be < {NUMBER}"));
            }
            _ => {}
        }
    }
    faults.check()
}

/// Refuses attributes of a new conversation beyond the limits; a referer that is no address is not kept.
///
/// # Errors
/// [`crate::Error::Invalid`], naming each.
pub(super) fn check_new(new: &mut NewConversation) -> Result<()> {
    check("custom_attributes", &new.custom_attributes)?;
    check("additional_attributes", &new.additional_attributes)?;
    if let Some(referer) = new.additional_attributes.get_mut("referer")
        && !referer.as_str().is_some_and(is_address)
    {
        *referer = Value::Null;
    }
    Ok(())
}

fn is_address(text: &str) -> bool {
    url::Url::parse(text)
        .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

/// Replaces the account's own attributes of a conversation, held locked.
///
/// # Errors
/// [`crate::Error::Invalid`] for values beyond the limits.
pub async fn set_custom_attributes(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    c: &mut Conversation,
    attributes: Map<String, Value>,
    by: &Performer,
) -> Result<()> {
    let attributes = Value::Object(attributes);
    check("custom_attributes", &attributes)?;
    let before = c.row.clone();
    c.row.custom_attributes = Json(attributes);
    if before.custom_attributes == c.row.custom_attributes {
        return Ok(());
    }
    save(tx, scope, c, &before, by).await
}
