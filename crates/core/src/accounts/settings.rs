//! The settings of an account that clients may change, and their rules (`resources.md §1`).

use serde_json::{Map, Value};

use crate::error::Invalid;

/// What a setting holds; null is always allowed.
#[derive(Debug, Clone, Copy)]
enum Kind {
    /// Minutes, in these bounds.
    Minutes(i64, i64),
    /// A text.
    Text,
    /// A truth value.
    Flag,
}

/// The settings that the account's own route takes (`behaviours.md §24`).
const SETTABLE: [(&str, Kind); 5] = [
    ("auto_resolve_after", Kind::Minutes(10, 1_439_856)),
    ("auto_resolve_message", Kind::Text),
    ("auto_resolve_ignore_waiting", Kind::Flag),
    ("auto_resolve_label", Kind::Text),
    ("audio_transcriptions", Kind::Flag),
];

/// The names of these settings.
pub fn names() -> impl Iterator<Item = &'static str> {
    SETTABLE.into_iter().map(|(name, _)| name)
}

/// Puts those of `sent` that are settings into `settings`; adds what is wrong with them.
pub fn merge(settings: &mut Map<String, Value>, sent: &Map<String, Value>, faults: &mut Invalid) {
    for (name, kind) in SETTABLE {
        let Some(value) = sent.get(name) else { continue };
        match read(kind, value) {
            Ok(value) => {
                settings.insert(name.to_owned(), value);
            }
            Err(fault) => faults.add(name, fault),
        }
    }
}

fn read(kind: Kind, value: &Value) -> Result<Value, String> {
    let wrong = || "must be of type type".to_owned();
    if value.is_null() || value.as_str() == Some("") {
        return Ok(Value::Null);
    }
    match kind {
        Kind::Minutes(least, most) => {
            let number =
                value.as_i64().or_else(|| value.as_str()?.parse().ok()).ok_or_else(wrong)?;
            if number < least {
                Err(format!("must be greater than or equal to {least}"))
            } else if number > most {
                Err(format!("must be less than or equal to {most}"))
            } else {
                Ok(Value::from(number))
            }
        }
        Kind::Text => match value {
            Value::String(_) => Ok(value.clone()),
            _ => Err(wrong()),
        },
        Kind::Flag => match value {
            Value::Bool(_) => Ok(value.clone()),
            Value::String(text) => match text.as_str() {
                "true" | "1" => Ok(Value::Bool(true)),
                "false" | "0" => Ok(Value::Bool(false)),
                _ => Err(wrong()),
            },
            _ => Err(wrong()),
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn takes_settings_of_the_right_kind() {
        let check = |sent: Value, expected: Value, said: &str| {
            let (mut settings, mut faults) = (Map::new(), Invalid::default());
            settings.insert("kept".to_owned(), json!(1));
            merge(&mut settings, sent.as_object().unwrap(), &mut faults);
            settings.remove("kept").unwrap();
            assert_eq!(Value::Object(settings), expected, "{sent}");
            assert_eq!(faults.to_string(), said, "{sent}");
        };
        check(
            json!({"auto_resolve_after": 60, "name": "x"}),
            json!({"auto_resolve_after": 60}),
            "",
        );
        check(json!({"auto_resolve_after": "60"}), json!({"auto_resolve_after": 60}), "");
        check(json!({"auto_resolve_after": null}), json!({"auto_resolve_after": null}), "");
        check(
            json!({"auto_resolve_after": 9}),
            json!({}),
            "Auto resolve after must be greater than or equal to 10",
        );
        check(
            json!({"auto_resolve_after": 1_439_857}),
            json!({}),
            "Auto resolve after must be less than or equal to 1439856",
        );
        check(
            json!({"auto_resolve_after": "soon"}),
            json!({}),
            "Auto resolve after must be of type type",
        );
        check(
            json!({"auto_resolve_after": 10.5}),
            json!({}),
            "Auto resolve after must be of type type",
        );
        check(
            json!({"audio_transcriptions": "perhaps"}),
            json!({}),
            "Audio transcriptions must be of type type",
        );
        check(json!({"audio_transcriptions": "true"}), json!({"audio_transcriptions": true}), "");
        check(
            json!({"auto_resolve_message": ["a"]}),
            json!({}),
            "Auto resolve message must be of type type",
        );
    }
}
