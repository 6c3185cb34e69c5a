//! The settings in effect and where each came from (operations.md §1.3): `env`, `configprops`.

use axum::extract::{Path, State};
use axum::response::Response;
use http::request::Parts;
use serde_json::{Map, Value, json};

use super::access::Operator;
use super::answers::made_once;
use crate::app::App;

/// What a value is shown as that nobody is to see.
const MASKED: &str = "******";

/// The configuration as it was read at the start.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// What the installation is run as: `prod`.
    pub profile: String,
    /// Whether operators see values; without it they see which are set, and by whom.
    pub shows_values: bool,
    /// The sources, the winning first, by the name they are shown by.
    pub sources: Vec<String>,
    /// Every value that a source gave, the overridden ones as well.
    pub properties: Vec<Property>,
}

/// A value that a source gave.
#[derive(Clone, Debug)]
pub struct Property {
    /// The source's name.
    pub source: String,
    /// What the source calls it: `DATABASE_URL`, `database.url`.
    pub name: String,
    /// The part of the configuration: `database`.
    pub section: String,
    /// The key in that part: `url`.
    pub field: String,
    /// The text, secrets masked.
    pub value: String,
    /// The place in the source; none for a default.
    pub origin: Option<String>,
    /// Whether no other source overrides it.
    pub effective: bool,
}

impl Property {
    fn is(&self, name: &str) -> bool {
        self.name == name
            || name.strip_prefix(self.section.as_str()).and_then(|rest| rest.strip_prefix('.'))
                == Some(&self.field)
    }
}

impl Environment {
    fn value<'a>(&self, property: &'a Property) -> &'a str {
        if self.shows_values { &property.value } else { MASKED }
    }

    /// The value with its origin.
    fn told(&self, property: &Property) -> Value {
        let mut told = json!({"value": self.value(property)});
        if let (Some(origin), Some(told)) = (&property.origin, told.as_object_mut()) {
            told.insert("origin".to_owned(), json!(origin));
        }
        told
    }

    fn whole(&self) -> Value {
        let sources: Vec<Value> = self
            .sources
            .iter()
            .map(|source| {
                let of_source = self.properties.iter().filter(|it| it.source == *source);
                let properties: Map<String, Value> =
                    of_source.map(|it| (it.name.clone(), self.told(it))).collect();
                json!({"name": source, "properties": properties})
            })
            .collect();
        json!({
            "activeProfiles": [self.profile], "defaultProfiles": ["default"],
            "propertySources": sources,
        })
    }

    /// One setting, by the name that any source has for it.
    fn one(&self, name: &str) -> Option<Value> {
        let known = self.properties.iter().find(|it| it.is(name))?;
        let same: Vec<&Property> = self
            .properties
            .iter()
            .filter(|it| it.section == known.section && it.field == known.field)
            .collect();
        let effective = same.iter().find(|it| it.effective)?;
        let sources: Vec<Value> = self
            .sources
            .iter()
            .map(|source| match same.iter().find(|it| it.source == *source) {
                Some(property) => json!({"name": source, "property": self.told(property)}),
                None => json!({"name": source}),
            })
            .collect();
        Some(json!({
            "property": {"source": effective.source, "value": self.value(effective)},
            "activeProfiles": [self.profile], "defaultProfiles": ["default"],
            "propertySources": sources,
        }))
    }

    /// The parts whose names begin with `prefix`; nothing when there is none.
    fn parts(&self, prefix: &str) -> Option<Value> {
        let mut beans = Map::new();
        let effective =
            self.properties.iter().filter(|it| it.effective && it.section.starts_with(prefix));
        for property in effective {
            let section = &property.section;
            let bean = beans
                .entry(format!("{section}-{}Config", camel(section)))
                .or_insert_with(|| json!({"prefix": section, "properties": {}, "inputs": {}}));
            let mut put = |key: &str, value: Value| {
                if let Some(Value::Object(all)) = bean.get_mut(key) {
                    all.insert(property.field.clone(), value);
                }
            };
            put("properties", json!(self.value(property)));
            if property.origin.is_some() {
                put("inputs", self.told(property));
            }
        }
        (!beans.is_empty()).then(|| json!({"contexts": {"application": {"beans": beans}}}))
    }
}

/// `RateLimit` of `rate_limit`.
fn camel(section: &str) -> String {
    section
        .split('_')
        .flat_map(|word| {
            let mut letters = word.chars();
            let first = letters.next().map(|first| first.to_ascii_uppercase());
            first.into_iter().chain(letters)
        })
        .collect()
}

/// All settings, by source.
pub(super) async fn env(_: Operator, State(app): State<App>, parts: Parts) -> Response {
    made_once(&app, &parts, || Some(app.actuator().environment.whole()))
}

/// One setting.
pub(super) async fn env_property(
    _: Operator,
    State(app): State<App>,
    Path(name): Path<String>,
    parts: Parts,
) -> Response {
    made_once(&app, &parts, || app.actuator().environment.one(&name))
}

/// All settings in effect, by the part of the configuration.
pub(super) async fn configprops(_: Operator, State(app): State<App>, parts: Parts) -> Response {
    let environment = &app.actuator().environment;
    let none = json!({"contexts": {"application": {"beans": {}}}});
    made_once(&app, &parts, || Some(environment.parts("").unwrap_or(none)))
}

/// The parts whose names begin so.
pub(super) async fn configprops_below(
    _: Operator,
    State(app): State<App>,
    Path(prefix): Path<String>,
    parts: Parts,
) -> Response {
    made_once(&app, &parts, || app.actuator().environment.parts(&prefix))
}
