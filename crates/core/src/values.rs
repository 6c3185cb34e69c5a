//! Values as clients send them, read as Rails casts them: the same in a form, a query and JSON
//! (`behaviours.md §1`).

use serde_json::{Map, Value};

/// A text; numbers and truth values count by how they are written.
pub fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Whether a value is neither a list nor an object.
pub fn is_scalar(value: &Value) -> bool {
    !matches!(value, Value::Array(_) | Value::Object(_))
}

/// What of an object stands under these keys, and is neither a list nor an object.
pub(crate) fn scalars(object: &Map<String, Value>, keys: &[&str]) -> Map<String, Value> {
    object
        .iter()
        .filter(|(key, value)| keys.contains(&key.as_str()) && is_scalar(value))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

/// An integer, also as text.
pub fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) =>
        {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "saturates, as Ruby's to_i has no limit either"
            )]
            number.as_i64().or_else(|| number.as_f64().map(|f| f as i64))
        }
        Value::String(text) => leading_integer(text),
        _ => None,
    }
}

/// The integer a text begins with, as Ruby's `to_i` reads it.
pub fn leading_integer(text: &str) -> Option<i64> {
    let text = text.trim();
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let count = digits.bytes().take_while(u8::is_ascii_digit).count();
    if count == 0 {
        return None;
    }
    let sign = text.len() - digits.len();
    text.get(..sign + count).and_then(|number| number.parse().ok())
}

/// A truth value: 0, `"0"`, `"f"`, `"false"` and `"off"` are false, what else is there is true; an empty text says
/// nothing.
pub fn flag(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(flag) => Some(*flag),
        Value::Number(number) => Some(number.as_f64() != Some(0.0)),
        Value::String(text) if text.is_empty() => None,
        Value::String(text) => {
            Some(!matches!(text.to_ascii_lowercase().as_str(), "0" | "f" | "false" | "off"))
        }
        _ => None,
    }
}

/// Whether a value says something, as Ruby's `present?` has it: `"false"` and 0 do.
pub fn present(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(flag) => *flag,
        Value::Number(_) => true,
        Value::String(text) => !text.trim().is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(object) => !object.is_empty(),
    }
}
