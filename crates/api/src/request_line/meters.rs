//! The meters of a request, from the same value as its line (operations.md §2.4).

use chatwarden_telemetry::request_line::RequestLine;
use http::StatusCode;
use metrics::{SharedString, counter, histogram};

/// The method as a label: those that there are, not those that a client can think of.
pub(super) fn method_label(method: &str) -> &'static str {
    const KNOWN: [&str; 9] =
        ["GET", "POST", "PATCH", "PUT", "DELETE", "HEAD", "OPTIONS", "CONNECT", "TRACE"];
    KNOWN.into_iter().find(|known| *known == method).unwrap_or("OTHER")
}

/// The route as a label: its template, never a path.
fn uri_label(line: &RequestLine<'_>) -> SharedString {
    match (line.route, line.status) {
        (Some(route), _) => route.to_owned().into(),
        (None, 300..=399) => "REDIRECTION".into(),
        (None, 404) => "NOT_FOUND".into(),
        (None, _) => "UNKNOWN".into(),
    }
}

fn outcome_label(status: u16) -> &'static str {
    match status {
        100..=199 => "INFORMATIONAL",
        200..=299 => "SUCCESS",
        300..=399 => "REDIRECTION",
        400..=499 => "CLIENT_ERROR",
        500..=599 => "SERVER_ERROR",
        _ => "UNKNOWN",
    }
}

fn status_label(status: u16) -> SharedString {
    match status {
        200 => "200".into(),
        201 => "201".into(),
        204 => "204".into(),
        304 => "304".into(),
        401 => "401".into(),
        404 => "404".into(),
        422 => "422".into(),
        429 => "429".into(),
        other => other.to_string().into(),
    }
}

/// Which objective a request counts for (operations.md §2.6): by its route, so that no client can
/// choose it.
fn objective_label(route: Option<&str>) -> &'static str {
    let Some(route) = route else { return "none" };
    [
        ("/api/v1/widget", "widget"),
        ("/api/", "api"),
        ("/platform/", "api"),
        ("/auth/", "auth"),
        ("/public/", "public"),
    ]
    .into_iter()
    .find(|(prefix, _)| route.starts_with(prefix))
    .map_or("none", |(_, objective)| objective)
}

/// What a refusal without a name of its own is called.
pub(super) fn error_of(status: StatusCode) -> Option<&'static str> {
    Some(match status.as_u16() {
        400 => "bad_request",
        401 => "unauthenticated",
        403 => "forbidden",
        404 => "not_found",
        405 => "method_not_allowed",
        406 => "not_acceptable",
        408 => "timeout",
        409 => "conflict",
        413 => "too_large",
        415 => "unsupported_type",
        422 => "invalid",
        429 => "rate_limited",
        431 => "headers_too_large",
        503 => "unavailable",
        _ if status.is_client_error() => "refused",
        _ if status.is_server_error() => "internal",
        _ => return None,
    })
}

/// Takes an answered request in.
pub(super) fn record(line: &RequestLine<'_>) {
    let uri = uri_label(line);
    let error = line.error.unwrap_or("none");
    histogram!(
        "http.server.requests",
        "method" => method_label(line.method),
        "uri" => uri.clone(),
        "status" => status_label(line.status),
        "outcome" => outcome_label(line.status),
        "exception" => if error == "panic" { "panic" } else { "none" },
        "error" => error,
        "slo" => objective_label(line.route),
    )
    .record(line.duration);
    #[expect(clippy::cast_precision_loss, reason = "sizes are far below 2^52")]
    let bytes = |count: u64| count as f64;
    histogram!("http.server.request.size", "uri" => uri.clone()).record(bytes(line.request_bytes));
    histogram!("http.server.response.size", "uri" => uri).record(bytes(line.response_bytes));
    histogram!("chatwoot.api.response.time").record(line.duration);
    counter!("chatwoot.api.requests").increment(1);
    match line.status {
        400..=499 => counter!("chatwoot.api.errors", "class" => "4xx").increment(1),
        500..=599 => counter!("chatwoot.api.errors", "class" => "5xx").increment(1),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_bounded() {
        let check = |route: Option<&str>, status: u16, expected: [&str; 3]| {
            let line = RequestLine { route, status, path: "/x/1", ..RequestLine::default() };
            let labels = [&*uri_label(&line), outcome_label(status), objective_label(route)];
            assert_eq!(labels, expected, "{route:?} {status}");
        };
        check(Some("/api/v1/a/{id}"), 200, ["/api/v1/a/{id}", "SUCCESS", "api"]);
        check(
            Some("/api/v1/widget/messages"),
            404,
            ["/api/v1/widget/messages", "CLIENT_ERROR", "widget"],
        );
        check(Some("/auth/sign_in"), 302, ["/auth/sign_in", "REDIRECTION", "auth"]);
        check(Some("/public/api/v1/x"), 503, ["/public/api/v1/x", "SERVER_ERROR", "public"]);
        check(Some("/health"), 200, ["/health", "SUCCESS", "none"]);
        check(None, 404, ["NOT_FOUND", "CLIENT_ERROR", "none"]);
        check(None, 308, ["REDIRECTION", "REDIRECTION", "none"]);
        check(None, 429, ["UNKNOWN", "CLIENT_ERROR", "none"]);
        check(None, 499, ["UNKNOWN", "CLIENT_ERROR", "none"]);
        assert_eq!(method_label("GET"), "GET");
        assert_eq!(method_label("BREW"), "OTHER");
        for status in 100..1000 {
            assert_eq!(&*status_label(status), status.to_string());
        }
    }

    #[test]
    fn every_refusal_has_a_name() {
        for status in 100..600 {
            let name = error_of(StatusCode::from_u16(status).unwrap());
            assert_eq!(name.is_some(), status >= 400, "{status}");
        }
    }
}
