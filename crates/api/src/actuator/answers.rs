//! What these endpoints answer: the types that Spring Boot's clients know (operations.md §1.1).

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use chatwarden_telemetry::clock::SystemClock;
use chrono::{DateTime, SecondsFormat, Utc};
use http::header::{ACCEPT, ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::kept;
use crate::app::App;

/// The types of a document; the first is what clients get who don't mind.
const TYPES: [&str; 3] = [
    "application/vnd.spring-boot.actuator.v3+json",
    "application/vnd.spring-boot.actuator.v2+json",
    "application/json",
];

/// A document in the type that the client prefers.
pub(super) fn document(
    headers: &HeaderMap,
    path: &str,
    status: StatusCode,
    body: &Value,
) -> Response {
    written(headers, path, status, body.to_string())
}

/// A document that is written already, in the type that the client prefers.
pub(super) fn written(
    headers: &HeaderMap,
    path: &str,
    status: StatusCode,
    text: impl Into<Body>,
) -> Response {
    let chosen = negotiate(headers, &TYPES).and_then(|index| TYPES.get(index));
    let Some(media_type) = chosen else { return refusal(StatusCode::NOT_ACCEPTABLE, path) };
    (status, [(CONTENT_TYPE, *media_type), (CACHE_CONTROL, "no-store")], text.into())
        .into_response()
}

/// The document that was made a moment ago, or one made now; 404 where there is nothing to make one of.
pub(super) fn made_once(
    app: &App,
    parts: &Parts,
    make: impl FnOnce() -> Option<Value>,
) -> Response {
    let path = parts.uri.path();
    let text = app.kept().or_made(kept::key(parts), || make().map(|body| body.to_string()));
    match text {
        Some(text) => written(&parts.headers, path, StatusCode::OK, text.to_string()),
        None => refusal(StatusCode::NOT_FOUND, path),
    }
}

/// A refusal as Spring Boot words it.
pub(crate) fn refusal(status: StatusCode, path: &str) -> Response {
    let now = DateTime::<Utc>::from(SystemClock::shared().wall());
    let body = json!({
        "timestamp": now.to_rfc3339_opts(SecondsFormat::Millis, true),
        "status": status.as_u16(),
        "error": status.canonical_reason().unwrap_or("Error"),
        "path": path,
    });
    let headers = [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")];
    (status, headers, body.to_string()).into_response()
}

/// Which of `offers` the client prefers, the earlier where it doesn't mind (RFC 9110 §12.5.1);
/// nothing when it takes none. Parameters but `q` don't choose.
pub(super) fn negotiate(headers: &HeaderMap, offers: &[&str]) -> Option<usize> {
    let stated: Vec<&str> =
        headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    if stated.iter().all(|value| value.trim().is_empty()) {
        return (!offers.is_empty()).then_some(0);
    }
    let ranges: Vec<(String, f32)> =
        stated.iter().flat_map(|value| value.split(',')).filter_map(range).collect();
    let mut best: Option<(usize, f32)> = None;
    for (index, offer) in offers.iter().enumerate() {
        let quality = quality(&ranges, offer);
        if quality > best.map_or(0.0, |(_, best)| best) {
            best = Some((index, quality));
        }
    }
    best.map(|(index, _)| index)
}

/// Whether the client takes gzip (RFC 9110 §12.5.3).
pub(super) fn accepts_gzip(headers: &HeaderMap) -> bool {
    let stated = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let codings: Vec<(String, f32)> =
        stated.flat_map(|value| value.split(',')).filter_map(weighted).collect();
    let of = |name: &str| codings.iter().find(|(coding, _)| coding == name);
    of("gzip").or_else(|| of("*")).is_some_and(|(_, weight)| *weight > 0.0)
}

/// A media range and its weight.
fn range(text: &str) -> Option<(String, f32)> {
    weighted(text).filter(|(name, _)| name.contains('/'))
}

/// What is accepted, and its weight.
fn weighted(text: &str) -> Option<(String, f32)> {
    let mut parts = text.split(';').map(str::trim);
    let name = parts.next()?.to_ascii_lowercase();
    let weight = parts
        .filter_map(|parameter| parameter.split_once('='))
        .find(|(key, _)| key.trim().eq_ignore_ascii_case("q"))
        .map_or(Some(1.0), |(_, weight)| weight.trim().parse().ok())?;
    Some((name, f32::clamp(weight, 0.0, 1.0)))
}

/// What the most specific range says of `offer`.
fn quality(ranges: &[(String, f32)], offer: &str) -> f32 {
    let family = offer.split_once('/').map_or(offer, |(family, _)| family);
    let specific = |range: &str| match range.split_once('/') {
        _ if range == offer => 3,
        Some((kind, "*")) if kind == family => 2,
        Some(("*", "*")) => 1,
        _ => 0,
    };
    ranges
        .iter()
        .filter(|(range, _)| specific(range) > 0)
        .max_by_key(|(range, _)| specific(range))
        .map_or(0.0, |(_, weight)| *weight)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn the_client_chooses_the_coding() {
        for (accepts, expected) in [
            ("gzip", true),
            ("deflate, GZIP;q=0.5", true),
            ("*", true),
            ("", false),
            ("identity", false),
            ("*, gzip;q=0", false),
        ] {
            let headers =
                HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static(accepts))]);
            assert_eq!(accepts_gzip(&headers), expected, "{accepts}");
        }
        assert!(!accepts_gzip(&HeaderMap::new()));
    }

    #[test]
    fn the_client_chooses_the_type() {
        for (accept, expected) in [
            (None, Some(0)),
            (Some(""), Some(0)),
            (Some("*/*"), Some(0)),
            (Some("application/*"), Some(0)),
            (Some("text/html,application/xhtml+xml,*/*;q=0.8"), Some(0)),
            (Some("application/json"), Some(2)),
            (Some("application/json, */*;q=0.1"), Some(2)),
            (Some("application/json;q=0.2, application/vnd.spring-boot.actuator.v2+json"), Some(1)),
            (Some("application/vnd.spring-boot.actuator.v3+json;q=0, application/json"), Some(2)),
            (Some("text/plain"), None),
            (Some("*/*;q=0"), None),
            (Some("nonsense"), None),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(accept) = accept {
                headers.insert(ACCEPT, HeaderValue::from_static(accept));
            }
            assert_eq!(negotiate(&headers, &TYPES), expected, "{accept:?}");
        }
    }
}
