//! Health as the actuator shows it (`operations.md` §1.3).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::{Component, Health, Outcome, Status};

/// Who gets to see something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Show {
    /// Nobody.
    Never,
    /// Operators.
    WhenAuthorized,
    /// Everybody.
    Always,
}

impl Show {
    fn to(self, authorized: bool) -> bool {
        match self {
            Self::Never => false,
            Self::WhenAuthorized => authorized,
            Self::Always => true,
        }
    }
}

/// `HEALTH_DEGRADED_AS`: how a degraded component is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DegradedAs {
    /// As `UP` with the detail `degraded`, for scripts that only know `UP`.
    Up,
    /// As `DEGRADED`.
    Degraded,
}

/// What an operator may choose about a group.
#[derive(Clone, Debug, Default)]
pub struct GroupSettings {
    /// Ids of further members; `*` is all.
    pub include: Vec<String>,
    /// Ids of what is no member in any case.
    pub exclude: Vec<String>,
    /// Instead of the general setting.
    pub show_details: Option<Show>,
    /// Instead of the general setting.
    pub show_components: Option<Show>,
    /// The HTTP status of a health status, instead of the usual one.
    pub http_status: BTreeMap<Status, u16>,
    /// Whether findings count as [`Outcome::strict`] says.
    pub strict: bool,
}

/// What an operator may choose about health.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `HEALTH_SHOW_DETAILS`.
    pub show_details: Show,
    /// `HEALTH_SHOW_COMPONENTS`; without it as the details.
    pub show_components: Option<Show>,
    /// `HEALTH_DEGRADED_AS`.
    pub degraded_as: DegradedAs,
    /// The groups by name.
    pub groups: BTreeMap<String, GroupSettings>,
}

impl Default for Settings {
    /// Details for operators, and the groups that others rely on.
    fn default() -> Self {
        let group = |strict| GroupSettings { strict, ..GroupSettings::default() };
        Self {
            show_details: Show::WhenAuthorized,
            show_components: None,
            degraded_as: DegradedAs::Up,
            groups: [
                ("liveness", false),
                ("readiness", false),
                ("startup", false),
                ("deploy", true),
            ]
            .map(|(name, strict)| (name.to_owned(), group(strict)))
            .into(),
        }
    }
}

/// An answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    /// The HTTP status.
    pub http_status: u16,
    /// The body.
    pub body: Value,
}

/// What the viewer may see.
#[derive(Clone, Copy)]
struct Sight {
    details: bool,
    components: bool,
}

impl Health {
    /// What is under `path` below `/actuator/health`: nothing is the root, a
    /// group or a component the first segment. Nothing when there is no such
    /// path or the viewer may not see it; the difference doesn't show.
    #[must_use]
    pub fn show(&self, path: &[&str], authorized: bool) -> Option<Shown> {
        let settings = &self.shared.settings;
        let components = self.components();
        let group = path.first().and_then(|name| {
            let (name, group) = settings.groups.get_key_value(*name)?;
            Some((name.as_str(), group))
        });
        let sight = self.sight(group.map(|(_, group)| group), authorized);
        let strict = group.is_some_and(|(_, group)| group.strict);
        let members: BTreeMap<&str, Outcome> = components
            .into_iter()
            .filter(|(id, component)| {
                group.is_none_or(|(name, group)| is_member(name, group, id, component))
            })
            .map(|(id, component)| (id, seen(component.outcome, strict)))
            .collect();

        let inside = if group.is_some() { path.get(1..)? } else { path };
        let http_status = |status: Status| {
            let own = group.and_then(|(_, group)| group.http_status.get(&status).copied());
            own.unwrap_or(match status {
                Status::Down | Status::OutOfService => 503,
                Status::Degraded | Status::Up | Status::Unknown => 200,
            })
        };
        let Some((first, rest)) = inside.split_first() else {
            let status = Status::worst(members.values().map(|member| member.status));
            let mut root = Outcome::new(status);
            root.components =
                members.into_iter().map(|(id, member)| (id.to_owned(), member)).collect();
            let mut body = self.body(&root, sight);
            if group.is_none() {
                let names: BTreeSet<&String> = settings.groups.keys().collect();
                body.insert("groups".to_owned(), json!(names));
            }
            return Some(Shown { http_status: http_status(status), body: Value::Object(body) });
        };

        if !sight.components {
            return None;
        }
        let mut outcome = members.get(first)?;
        for name in rest {
            outcome = outcome.components.get(*name)?;
        }
        Some(Shown {
            http_status: http_status(outcome.status),
            body: Value::Object(self.body(outcome, sight)),
        })
    }

    fn sight(&self, group: Option<&GroupSettings>, authorized: bool) -> Sight {
        let settings = &self.shared.settings;
        let details = group.and_then(|group| group.show_details).unwrap_or(settings.show_details);
        let components = group
            .and_then(|group| group.show_components)
            .or(settings.show_components)
            .unwrap_or(details);
        Sight { details: details.to(authorized), components: components.to(authorized) }
    }

    fn body(&self, outcome: &Outcome, sight: Sight) -> Map<String, Value> {
        let hidden = outcome.status == Status::Degraded
            && self.shared.settings.degraded_as == DegradedAs::Up;
        let status = if hidden { Status::Up } else { outcome.status };
        let mut body = Map::new();
        body.insert("status".to_owned(), json!(status.name()));
        if sight.details {
            let mut details = outcome.details.clone();
            if hidden {
                details.insert("degraded".to_owned(), json!(true));
            }
            if !details.is_empty() {
                body.insert("details".to_owned(), Value::Object(details));
            }
        }
        if sight.components && !outcome.components.is_empty() {
            let components = outcome
                .components
                .iter()
                .map(|(id, component)| (id.clone(), Value::Object(self.body(component, sight))))
                .collect();
            body.insert("components".to_owned(), Value::Object(components));
        }
        body
    }
}

fn is_member(name: &str, group: &GroupSettings, id: &str, component: &Component) -> bool {
    let listed = |list: &[String]| list.iter().any(|entry| entry == "*" || entry == id);
    (component.groups.contains(&name) || listed(&group.include)) && !listed(&group.exclude)
}

/// The finding as a group takes it.
fn seen(mut outcome: Outcome, strict: bool) -> Outcome {
    if strict {
        outcome.status = outcome.strictly();
        outcome.components = outcome
            .components
            .into_iter()
            .map(|(id, component)| (id, seen(component, strict)))
            .collect();
    }
    outcome
}
