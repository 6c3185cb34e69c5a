//! The settings of an account that clients may change, and their rules (`resources.md §1`).

use serde_json::{Map, Value};

use crate::error::Invalid;
use crate::values::is_scalar;

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

/// Puts those of `sent` that are settings into `settings`, as they are; lists and objects are dropped.
pub fn merge(settings: &mut Map<String, Value>, sent: &Map<String, Value>) {
    for (name, _) in SETTABLE {
        if let Some(value) = sent.get(name).filter(|value| is_scalar(value)) {
            settings.insert(name.to_owned(), value.clone());
        }
    }
}

/// Adds what is wrong with settings. Nothing is read as another kind of value than it is: `"60"` are no minutes.
pub fn check(faults: &mut Invalid, settings: &Value) {
    for (name, kind) in SETTABLE {
        let Some(value) = settings.get(name).filter(|value| !value.is_null()) else { continue };
        let number = value.as_i64();
        match kind {
            Kind::Minutes(least, _) if number.is_some_and(|number| number < least) => {
                faults.add(name, format!("must be greater than or equal to {least}"));
            }
            Kind::Minutes(_, most) if number.is_some_and(|number| number > most) => {
                faults.add(name, format!("must be less than or equal to {most}"));
            }
            Kind::Minutes(..) if number.is_some() => {}
            Kind::Text if value.is_string() => {}
            Kind::Flag if value.is_boolean() => {}
            _ => faults.add(name, "must be of type type"),
        }
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
            merge(&mut settings, sent.as_object().unwrap());
            settings.remove("kept").unwrap();
            let settings = Value::Object(settings);
            super::check(&mut faults, &settings);
            assert_eq!(faults.to_string(), said, "{sent}");
            if said.is_empty() {
                assert_eq!(settings, expected, "{sent}");
            }
        };
        let refused = |sent: Value, said: &str| check(sent, Value::Null, said);
        check(
            json!({"auto_resolve_after": 60, "name": "x"}),
            json!({"auto_resolve_after": 60}),
            "",
        );
        check(json!({"auto_resolve_after": null}), json!({"auto_resolve_after": null}), "");
        check(json!({"auto_resolve_message": ""}), json!({"auto_resolve_message": ""}), "");
        check(json!({"audio_transcriptions": true}), json!({"audio_transcriptions": true}), "");
        check(json!({"auto_resolve_message": ["a"], "auto_resolve_after": {}}), json!({}), "");
        let bounds = |least: &str| format!("Auto resolve after must be {least}");
        refused(json!({"auto_resolve_after": 9}), &bounds("greater than or equal to 10"));
        refused(json!({"auto_resolve_after": 1_439_857}), &bounds("less than or equal to 1439856"));
        for odd in [json!("60"), json!(""), json!("soon"), json!(10.5), json!(true)] {
            refused(json!({"auto_resolve_after": odd}), &bounds("of type type"));
        }
        for odd in [json!("true"), json!(1), json!("")] {
            let said = "Audio transcriptions must be of type type";
            refused(json!({"audio_transcriptions": odd}), said);
        }
        let said = "Auto resolve message must be of type type";
        refused(json!({"auto_resolve_message": 7}), said);
    }
}
