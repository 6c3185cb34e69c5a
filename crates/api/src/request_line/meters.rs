//! The meters of a request, from the same value as its line (operations.md §2.4).

use chatwarden_telemetry::request_line::RequestLine;
use http::StatusCode;
use metrics::{Histogram, SharedString, counter, histogram};
use parking_lot::RwLock;

/// The method as a label: those that there are, not those that a client can think of.
pub(super) fn method_label(method: &str) -> &'static str {
    const KNOWN: [&str; 9] =
        ["GET", "POST", "PATCH", "PUT", "DELETE", "HEAD", "OPTIONS", "CONNECT", "TRACE"];
    KNOWN.into_iter().find(|known| *known == method).unwrap_or("OTHER")
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

/// The meters of a route and a method, so that a request looks none of them up.
pub(super) struct RouteMeters {
    method: &'static str,
    uri: SharedString,
    request_size: Histogram,
    response_size: Histogram,
    /// The times by status and error; most routes have two or three of them.
    times: RwLock<Vec<(u16, &'static str, Histogram)>>,
}

impl RouteMeters {
    pub(super) fn new(method: &'static str, uri: SharedString) -> Self {
        Self {
            method,
            request_size: histogram!("http.server.request.size", "uri" => uri.clone()),
            response_size: histogram!("http.server.response.size", "uri" => uri.clone()),
            times: RwLock::default(),
            uri,
        }
    }

    pub(super) fn method(&self) -> &'static str {
        self.method
    }

    /// Takes an answered request in.
    pub(super) fn record(&self, line: &RequestLine<'_>) {
        #[expect(clippy::cast_precision_loss, reason = "sizes are far below 2^52")]
        let bytes = |count: u64| count as f64;
        self.time(line).record(line.duration);
        self.request_size.record(bytes(line.request_bytes));
        self.response_size.record(bytes(line.response_bytes));
        match line.status {
            400..=499 => counter!("chatwoot.api.errors", "class" => "4xx").increment(1),
            500..=599 => counter!("chatwoot.api.errors", "class" => "5xx").increment(1),
            _ => {}
        }
    }

    /// The timer of answers like this one.
    fn time(&self, line: &RequestLine<'_>) -> Histogram {
        let error = line.error.unwrap_or("none");
        let like = |(status, known, _): &&(u16, &str, Histogram)| {
            *status == line.status && *known == error
        };
        if let Some((.., timer)) = self.times.read().iter().find(like) {
            return timer.clone();
        }
        let timer = histogram!(
            "http.server.requests",
            "method" => self.method,
            "uri" => self.uri.clone(),
            "status" => line.status.to_string(),
            "outcome" => outcome_label(line.status),
            "exception" => if error == "panic" { "panic" } else { "none" },
            "error" => error,
            "slo" => objective_label(line.route),
        );
        // Should another request have been faster, its entry is found and this one rests.
        self.times.write().push((line.status, error, timer.clone()));
        timer
    }
}

/// Takes in an answered request that no route was found for.
pub(super) fn record_unrouted(line: &RequestLine<'_>) {
    let uri = match line.status {
        300..=399 => "REDIRECTION",
        404 => "NOT_FOUND",
        _ => "UNKNOWN",
    };
    RouteMeters::new(method_label(line.method), SharedString::const_str(uri)).record(line);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_bounded() {
        let check = |route: Option<&str>, status: u16, expected: [&str; 2]| {
            assert_eq!(
                [outcome_label(status), objective_label(route)],
                expected,
                "{route:?} {status}"
            );
        };
        check(Some("/api/v1/a/{id}"), 200, ["SUCCESS", "api"]);
        check(Some("/api/v1/widget/messages"), 404, ["CLIENT_ERROR", "widget"]);
        check(Some("/auth/sign_in"), 302, ["REDIRECTION", "auth"]);
        check(Some("/public/api/v1/x"), 503, ["SERVER_ERROR", "public"]);
        check(Some("/health"), 200, ["SUCCESS", "none"]);
        check(None, 499, ["CLIENT_ERROR", "none"]);
        assert_eq!(method_label("GET"), "GET");
        assert_eq!(method_label("BREW"), "OTHER");
    }

    #[test]
    fn every_refusal_has_a_name() {
        for status in 100..600 {
            let name = error_of(StatusCode::from_u16(status).unwrap());
            assert_eq!(name.is_some(), status >= 400, "{status}");
        }
    }
}
