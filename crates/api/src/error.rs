//! Refusals on the wire (`behaviours.md §4`).

use axum::Json;
use axum::response::{Html, IntoResponse, Response};
use chatwarden_core::Error;
use chatwarden_core::error::Invalid;
use chatwarden_db::{DbError, ErrorKind};
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use serde_json::{Value, json};

/// A refusal, ready to be answered.
#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    body: Option<Value>,
    /// A stable name for the request line.
    class: &'static str,
    retry_after: Option<u64>,
    /// An answer that is ready as it is.
    ready: Option<Box<Response>>,
}

/// What handlers give back.
pub type Answer<T = Response> = Result<T, ApiError>;

/// What was sent, once it is known what it was sent to: a fault in it is told only where there is that record.
///
/// # Errors
/// That of `found`, where there is nothing; the fault.
pub(crate) async fn sent_to<T, F, E>(
    sent: Answer<T>,
    found: impl Future<Output = Result<F, E>>,
) -> Answer<T>
where
    ApiError: From<E>,
{
    if sent.is_err() {
        found.await?;
    }
    sent
}

/// 200 without a body, as clients of JSON expect it (`resources.md §0`, head responses).
pub(crate) fn done() -> Response {
    let json = HeaderValue::from_static("application/json; charset=utf-8");
    ([(CONTENT_TYPE, json)], "").into_response()
}

/// The name of an error, for the request line.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ErrorClass(pub &'static str);

/// Marks a missing record, which the public and the platform API word their own way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MissingRecord;

impl ApiError {
    const fn of(status: StatusCode, body: Option<Value>, class: &'static str) -> Self {
        Self { status, body, class, retry_after: None, ready: None }
    }

    /// 422 for a parameter that must be there.
    pub(crate) fn missing(name: &str) -> Self {
        Self::unprocessable(format!("param is missing or the value is empty: {name}"))
    }

    /// The refusal of a rate limit, which says itself when to come again.
    pub(crate) fn throttled(refusal: Response) -> Self {
        let status = refusal.status();
        Self { ready: Some(Box::new(refusal)), ..Self::of(status, None, "throttled") }
    }

    /// A refusal that is ready as it is.
    pub(crate) fn ready(refusal: Response) -> Self {
        let status = refusal.status();
        Self { ready: Some(Box::new(refusal)), ..Self::of(status, None, "refused") }
    }

    /// A refusal with `{"error": text}`.
    pub fn new(status: StatusCode, text: impl Into<String>) -> Self {
        let text: String = text.into();
        Self::of(status, Some(json!({"error": text})), "refused")
    }

    /// A refusal with a body of its own.
    pub fn with_body(status: StatusCode, body: Value) -> Self {
        Self::of(status, Some(body), "refused")
    }

    /// A refusal without a body, as clients of JSON expect it.
    pub fn empty(status: StatusCode) -> Self {
        let json = HeaderValue::from_static("application/json; charset=utf-8");
        let ready = (status, [(CONTENT_TYPE, json)], "").into_response();
        Self { ready: Some(Box::new(ready)), ..Self::of(status, None, "refused") }
    }

    /// A refusal without a body that counts as a page's.
    pub fn empty_page(status: StatusCode) -> Self {
        let ready = (status, Html("")).into_response();
        Self { ready: Some(Box::new(ready)), ..Self::of(status, None, "refused") }
    }

    /// 422 `{"error": text}`.
    pub fn unprocessable(text: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, text)
    }

    /// 401 for who shows no credential that counts.
    pub fn unauthenticated() -> Self {
        Self::with_body(
            StatusCode::UNAUTHORIZED,
            json!({"errors": ["You need to sign in or sign up before continuing."]}),
        )
    }

    /// 404 for what is missing or somebody else's.
    pub fn not_found() -> Self {
        let body = json!({"error": "Resource could not be found"});
        Self::of(StatusCode::NOT_FOUND, Some(body), "not_found")
    }

    /// 406 for what is sent or wanted in a form that is not spoken here.
    pub(crate) fn not_acceptable() -> Self {
        let body = json!({"status": 406, "error": "Not Acceptable"});
        Self::with_body(StatusCode::NOT_ACCEPTABLE, body)
    }

    /// 503 for what can't be done now, with the seconds to wait.
    pub fn unavailable(text: impl Into<String>, seconds: u64) -> Self {
        let refusal = Self::new(StatusCode::SERVICE_UNAVAILABLE, text);
        Self { class: "overloaded", retry_after: Some(seconds), ..refusal }
    }

    /// 400 for a request that can't be read.
    pub fn bad_request(text: impl Into<String>) -> Self {
        let text: String = text.into();
        let body = json!({"status": 400, "error": "Bad Request", "message": text});
        Self::of(StatusCode::BAD_REQUEST, Some(body), "bad_request")
    }
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        match error {
            Error::Invalid(invalid) => {
                let body =
                    json!({"message": invalid.to_string(), "attributes": invalid.attributes()});
                Self::of(StatusCode::UNPROCESSABLE_ENTITY, Some(body), "invalid")
            }
            Error::Unprocessable(text) => Self::unprocessable(text),
            Error::NotFound => Self::not_found(),
            Error::Unauthorized(text) => Self::new(StatusCode::UNAUTHORIZED, text),
            Error::Forbidden(text) => Self::new(StatusCode::FORBIDDEN, text),
            Error::Db(error) => error.into(),
        }
    }
}

impl From<Invalid> for ApiError {
    fn from(invalid: Invalid) -> Self {
        Error::from(invalid).into()
    }
}

impl From<DbError> for ApiError {
    fn from(error: DbError) -> Self {
        match error.kind() {
            ErrorKind::NoRow => Self::not_found(),
            ErrorKind::Value => Error::from(error).into(),
            ErrorKind::Unavailable => {
                tracing::warn!(%error, "the database is unavailable");
                let text = "The database is busy or away; try again";
                Self { class: "db_unavailable", ..Self::unavailable(text, 1) }
            }
            ErrorKind::Timeout => {
                tracing::warn!(%error, "a statement took too long");
                Self {
                    class: "db_timeout",
                    ..Self::unprocessable("The request took too long to be answered")
                }
            }
            _ => {
                tracing::error!(%error, "a request failed");
                let body = json!({"status": 500, "error": "Internal Server Error"});
                Self::of(StatusCode::INTERNAL_SERVER_ERROR, Some(body), "internal")
            }
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = match (self.ready, self.body) {
            (Some(ready), _) => *ready,
            (None, Some(body)) => (self.status, Json(body)).into_response(),
            (None, None) => self.status.into_response(),
        };
        response.extensions_mut().insert(ErrorClass(self.class));
        if self.class == "not_found" {
            response.extensions_mut().insert(MissingRecord);
        }
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
