//! What a message may hold: the rules of its content, item lists and template parameters
//! (`behaviours.md §9.2`).

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::{ContentType, NewMessage};
use crate::error::{DOCUMENT, Error, Result, is_bounded};

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
/// [`Error::Unprocessable`], all faults at once.
pub(super) fn check(new: &NewMessage) -> Result<()> {
    let mut faults = Vec::new();
    if new.content.as_deref().is_some_and(|c| c.chars().nth(CONTENT_LIMIT).is_some()) {
        faults.push(format!("Content is too long (maximum is {CONTENT_LIMIT} characters)"));
    }
    let documents = [
        ("Content attributes", &new.content_attributes),
        ("Additional attributes", &new.additional_attributes),
    ];
    for (name, _) in documents.iter().filter(|(_, document)| !is_bounded(document)) {
        faults.push(format!("{name} is too large (maximum is {} KiB)", DOCUMENT / 1024));
    }
    let echo_id = new.echo_id.as_ref();
    if echo_id.is_some_and(|id| !(id.is_number() || id.as_str().is_some_and(is_short))) {
        faults.push("Echo id must be a text of at most 255 characters, or a number".to_owned());
    }
    items(new, &mut faults);
    template_params(&new.additional_attributes, &mut faults);
    refuse(&faults)
}

fn is_short(text: &str) -> bool {
    text.chars().nth(255).is_none()
}

/// Refuses a message for its faults, where it has any.
pub(super) fn refuse(faults: &[String]) -> Result<()> {
    if faults.is_empty() {
        return Ok(());
    }
    Err(Error::Unprocessable(format!("Validation failed: {}", faults.join(", "))))
}

fn items(new: &NewMessage, faults: &mut Vec<String>) {
    let allowed = match new.content_type {
        ContentType::InputSelect => SELECT_ITEM,
        ContentType::Cards => CARD_ITEM,
        ContentType::Form => FORM_ITEM,
        ContentType::Article => ARTICLE_ITEM,
        _ => return,
    };
    let mut fault = |text: String| faults.push(format!("Content attributes {text}"));
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
fn template_params(additional: &Value, faults: &mut Vec<String>) {
    let params = match additional.get("template_params") {
        None => return,
        Some(Value::Object(params)) => params,
        Some(_) => return faults.push("Template params must be of type hash".to_owned()),
    };
    if !params.contains_key("name") {
        faults.push("Name is required".to_owned());
    }
    for key in ["name", "category", "language", "namespace"] {
        if params.get(key).is_some_and(|value| !value.is_string()) {
            faults.push(format!("{} must be of type string", capitalised(key)));
        }
    }
    if params.get("processed_params").is_some_and(|value| !value.is_object()) {
        faults.push("Processed params must be of type hash".to_owned());
    }
}

fn capitalised(key: &str) -> String {
    let mut letters = key.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}
