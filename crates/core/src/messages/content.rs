//! What a message may hold: the rules of its content, item lists and template parameters
//! (`behaviours.md §9.2`).

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::{ContentType, NewMessage};
use crate::error::{Invalid, Result};

/// The longest content, in characters (`behaviours.md §18`).
pub(super) const CONTENT_LIMIT: usize = 150_000;

/// The keys that a refusal names at most.
const STRAY: usize = 10;

const SELECT_ITEM: &[&str] = &["title", "value"];
const CARD_ITEM: &[&str] = &["title", "description", "media_url", "actions"];
const CARD_ACTION: &[&str] = &["text", "type", "payload", "uri"];
const FORM_ITEM: &[&str] = &[
    "type",
    "placeholder",
    "label",
    "name",
    "options",
    "default",
    "required",
    "pattern",
    "title",
    "pattern_error",
];
const ARTICLE_ITEM: &[&str] = &["title", "description", "link"];

/// Refuses what a message may not hold.
///
/// # Errors
/// [`crate::Error::Invalid`], all faults at once.
pub(super) fn check(new: &NewMessage) -> Result<()> {
    let mut faults = Invalid::default();
    if new.content.as_deref().is_some_and(|c| c.chars().nth(CONTENT_LIMIT).is_some()) {
        faults.add("content", format!("is too long (maximum is {CONTENT_LIMIT} characters)"));
    }
    if new.email_html.as_deref().is_some_and(|html| html.chars().nth(CONTENT_LIMIT).is_some()) {
        let fault = format!("is too long (maximum is {CONTENT_LIMIT} characters)");
        faults.add("email_html_content", fault);
    }
    faults.bound("content_attributes", &new.content_attributes);
    faults.bound("additional_attributes", &new.additional_attributes);
    let echo_id = new.echo_id.as_ref();
    if echo_id.is_some_and(|id| !(id.is_number() || id.as_str().is_some_and(is_short))) {
        faults.add("echo_id", "must be a text of at most 255 characters, or a number");
    }
    items(new, &mut faults);
    template_params(&new.additional_attributes, &mut faults);
    faults.check()
}

fn is_short(text: &str) -> bool {
    text.chars().nth(255).is_none()
}

fn items(new: &NewMessage, faults: &mut Invalid) {
    let allowed = match new.content_type {
        ContentType::InputSelect => SELECT_ITEM,
        ContentType::Cards => CARD_ITEM,
        ContentType::Form => FORM_ITEM,
        ContentType::Article => ARTICLE_ITEM,
        _ => return,
    };
    let mut fault = |text: String| faults.add("content_attributes", text);
    let list = match new.content_attributes.get("items") {
        Some(Value::Array(list)) if !list.is_empty() => list,
        _ => return fault("At least one item is required.".to_owned()),
    };
    let objects: Vec<&Map<String, Value>> = list.iter().filter_map(Value::as_object).collect();
    if objects.len() < list.len() {
        return fault("Items should be a hash.".to_owned());
    }
    let stray = stray_keys(objects.iter().copied(), allowed);
    if !stray.is_empty() {
        fault(format!("contains invalid keys for items : [{}]", stray.join(", ")));
    }
    if new.content_type != ContentType::Cards {
        return;
    }
    let actions: Vec<&Vec<Value>> = objects
        .iter()
        .filter_map(|item| item.get("actions")?.as_array().filter(|list| !list.is_empty()))
        .collect();
    if actions.len() < objects.len() {
        return fault("contains items missing actions".to_owned());
    }
    let each = actions.iter().copied().flatten();
    if each.clone().any(|action| !action.is_object()) {
        return fault("Items should be a hash.".to_owned());
    }
    let stray = stray_keys(each.filter_map(Value::as_object), CARD_ACTION);
    if !stray.is_empty() {
        fault(format!("contains invalid keys for actions:  [{}]", stray.join(", ")));
    }
}

/// The first keys that are not allowed, each once, as Ruby writes symbols.
fn stray_keys<'a>(
    objects: impl Iterator<Item = &'a Map<String, Value>>,
    allowed: &[&str],
) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    let mut seen = HashSet::new();
    for key in objects.flat_map(Map::keys).filter(|key| !allowed.contains(&key.as_str())) {
        let plain = key.chars().all(|c| c.is_alphanumeric() || c == '_')
            && key.chars().next().is_some_and(|c| !c.is_numeric());
        let symbol = if plain { format!(":{key}") } else { format!(":{key:?}") };
        if seen.insert(key) {
            out.push(symbol);
        }
        if out.len() == STRAY {
            break;
        }
    }
    out
}

/// Parameters of a channel's message template: `name` must be there, and each of its type.
fn template_params(additional: &Value, faults: &mut Invalid) {
    let params = match additional.get("template_params") {
        None => return,
        Some(Value::Object(params)) => params,
        Some(_) => return faults.add("template_params", "must be of type hash"),
    };
    if !params.contains_key("name") {
        faults.add("name", "is required");
    }
    for key in ["name", "category", "language", "namespace"] {
        if params.get(key).is_some_and(|value| !value.is_string()) {
            faults.add(key, "must be of type string");
        }
    }
    if params.get("processed_params").is_some_and(|value| !value.is_object()) {
        faults.add("processed_params", "must be of type hash");
    }
}
