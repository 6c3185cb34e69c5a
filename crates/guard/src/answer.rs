//! The answers the edge gives by itself.

use axum::body::Body;
use axum::response::Response;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use serde_json::json;

/// A JSON answer.
pub(crate) fn json(status: StatusCode, body: &serde_json::Value) -> Box<Response> {
    with_type(status, "application/json; charset=utf-8", body.to_string())
}

/// A problem document (RFC 9457) whose `type` is an IANA problem type.
pub(crate) fn problem(status: StatusCode, body: &serde_json::Value) -> Box<Response> {
    with_type(status, "application/problem+json", body.to_string())
}

/// A plain text answer.
pub(crate) fn text(status: StatusCode, body: &'static str) -> Box<Response> {
    with_type(status, "text/plain; charset=utf-8", body.to_owned())
}

/// `503` with `Retry-After`: the server can't take this request now (operations.md §5.3).
pub(crate) fn unavailable(reason: &str, retry_after_seconds: u64) -> Box<Response> {
    let mut response = problem(
        StatusCode::SERVICE_UNAVAILABLE,
        &json!({
            "type": "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity",
            "title": "Service Unavailable",
            "status": 503,
            "detail": reason,
            "error": reason,
            "retry_after": retry_after_seconds,
        }),
    );
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(retry_after_seconds));
    response
}

fn with_type(status: StatusCode, content_type: &'static str, body: String) -> Box<Response> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    Box::new(response)
}
