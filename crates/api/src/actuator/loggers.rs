//! Levels of loggers, to look at and to change while the server runs (operations.md §1.3).

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use chatwarden_telemetry::logs::Level;
use http::StatusCode;
use http::request::Parts;
use serde::Deserialize;
use serde_json::json;

use super::access::{InCharge, Operator};
use super::answers::{document, refusal};
use crate::app::App;

/// The longest time for which a level may be changed.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
/// The longest name of a logger.
const NAME: usize = 200;

/// Every logger that has a level or was used, and the groups.
pub(super) async fn index(_: Operator, State(app): State<App>, parts: Parts) -> Response {
    document(&parts.headers, parts.uri.path(), StatusCode::OK, &json!(app.levels().loggers()))
}

/// A logger or a group.
pub(super) async fn show(
    _: Operator,
    State(app): State<App>,
    Path(name): Path<String>,
    parts: Parts,
) -> Response {
    let levels = app.levels();
    let found = levels.group(&name).map(|group| json!(group));
    match found.or_else(|| levels.get(&name).map(|logger| json!(logger))) {
        Some(found) => document(&parts.headers, parts.uri.path(), StatusCode::OK, &found),
        None => refusal(StatusCode::NOT_FOUND, parts.uri.path()),
    }
}

/// What is to become of a logger. It is this instance's alone: a `scope` is refused.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Change {
    /// None: what it was at the start.
    configured_level: Option<String>,
    /// For how long, as `PT10M`; forever without.
    ttl: Option<String>,
}

/// Changes a level.
pub(super) async fn set(
    _: InCharge,
    State(app): State<App>,
    Path(name): Path<String>,
    parts: Parts,
    body: Bytes,
) -> Response {
    let wrong = || refusal(StatusCode::BAD_REQUEST, parts.uri.path());
    let Ok(change) = serde_json::from_slice::<Change>(&body) else { return wrong() };
    let level = change.configured_level.map(|level| level.parse::<Level>()).transpose();
    let ttl = change.ttl.map(|ttl| duration(&ttl).ok_or(())).transpose();
    let (Ok(level), Ok(ttl)) = (level, ttl) else { return wrong() };
    let is_name = |c: char| c.is_ascii_alphanumeric() || "_.:-".contains(c);
    if name.len() > NAME || !name.chars().all(is_name) {
        return wrong();
    }
    app.levels().set(&name, level, ttl);
    let level = level.map_or("as at the start", Level::name);
    tracing::warn!(logger = name, level, ?ttl, "an operator changed a level of the log");
    StatusCode::NO_CONTENT.into_response()
}

/// A time as ISO 8601 has it: hours, minutes and seconds, `PT1H30M`.
fn duration(text: &str) -> Option<Duration> {
    let mut rest = text.strip_prefix("PT").filter(|rest| !rest.is_empty())?;
    let mut seconds = 0_u64;
    for (unit, worth) in [('H', 3600), ('M', 60), ('S', 1)] {
        if let Some((number, after)) = rest.split_once(unit) {
            let number = number.parse::<u64>().ok()?;
            seconds = seconds.checked_add(number.checked_mul(worth)?)?;
            rest = after;
        }
    }
    let told = Duration::from_secs(seconds);
    (rest.is_empty() && !told.is_zero() && told <= LONGEST).then_some(told)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_iso_has_them() {
        for (text, seconds) in [
            ("PT10M", Some(600)),
            ("PT1H30M", Some(5400)),
            ("PT24H", Some(86_400)),
            ("PT1M1S", Some(61)),
            ("PT", None),
            ("PT0S", None),
            ("PT25H", None),
            ("PT5", None),
            ("PT1S1M", None),
            ("10M", None),
            ("PT-1M", None),
            ("PT99999999999999999999H", None),
        ] {
            assert_eq!(duration(text), seconds.map(Duration::from_secs), "{text}");
        }
    }
}
