//! What callers show to be recognised, and what they are given to show again
//! (`behaviours.md §2.1`, §2.2).

use std::sync::Arc;

use axum::body::{Body, HttpBody as _, to_bytes};
use axum::extract::{FromRequestParts, Request};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chatwarden_core::sessions::Credentials;
use chatwarden_db::Timestamp;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue};
use parking_lot::Mutex;
use serde_json::{Map, Value, json};

use crate::error::ApiError;
use crate::params::query_values;

const ACCESS_TOKEN: HeaderName = HeaderName::from_static("access-token");
const CLIENT: HeaderName = HeaderName::from_static("client");
const UID: HeaderName = HeaderName::from_static("uid");

/// What a caller shows.
#[derive(Debug, Clone)]
pub(crate) enum Shown {
    /// An API token of a user, a bot or a platform app.
    Token(String),
    /// A session.
    Session(Credentials),
    /// Nothing.
    Nothing,
}

/// What the caller shows: an API token counts before a session.
pub(crate) fn of(parts: &Parts) -> Shown {
    if let Some(token) = api_token(&parts.headers) {
        return Shown::Token(token.to_owned());
    }
    session(parts).map_or(Shown::Nothing, Shown::Session)
}

/// The session that the caller shows, whatever else.
fn session(parts: &Parts) -> Option<Credentials> {
    in_headers(&parts.headers)
        .or_else(|| in_bearer(&parts.headers))
        .or_else(|| in_query(parts.uri.query()?))
        .or_else(|| parts.extensions.get::<InBody>().map(|found| found.0.clone()))
}

/// The session that the caller shows, for the routes that are about sessions.
#[derive(Debug)]
pub(crate) struct ShownSession(pub Option<Credentials>);

impl<S: Sync> FromRequestParts<S> for ShownSession {
    type Rejection = std::convert::Infallible;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self(session(parts)))
    }
}

/// The token of an API client; the other names survive proxies that drop underscores.
fn api_token(headers: &HeaderMap) -> Option<&str> {
    ["api_access_token", "api-access-token", "http_api_access_token"]
        .iter()
        .find_map(|name| headers.get(*name))
        .and_then(|value| value.to_str().ok())
        .filter(|token| !token.is_empty())
}

fn credentials<'a>(get: impl Fn(&str) -> Option<&'a str>) -> Option<Credentials> {
    let some = |name: &str| get(name).filter(|text| !text.is_empty()).map(str::to_owned);
    Some(Credentials { uid: some("uid")?, client: some("client")?, token: some("access-token")? })
}

fn in_headers(headers: &HeaderMap) -> Option<Credentials> {
    credentials(|name| headers.get(name).and_then(|value| value.to_str().ok()))
}

/// `Authorization: Bearer` and the trio as JSON in base 64.
fn in_bearer(headers: &HeaderMap) -> Option<Credentials> {
    let (scheme, encoded) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let json = STANDARD.decode(encoded.trim()).ok()?;
    in_object(&serde_json::from_slice(&json).ok()?)
}

/// The trio among a request's parameters.
pub(crate) fn in_object(values: &Map<String, Value>) -> Option<Credentials> {
    credentials(|name| values.get(name).and_then(Value::as_str))
}

fn in_query(query: &str) -> Option<Credentials> {
    query
        .contains("access-token=")
        .then(|| query_values(query).ok())
        .flatten()
        .and_then(|values| in_object(&values))
}

/// The headers that a client of a session keeps and shows again.
pub(crate) fn write(headers: &mut HeaderMap, shown: &Credentials, expires_at: Timestamp) {
    let expiry = expires_at.unix().to_string();
    let bearer = json!({
        "access-token": shown.token,
        "token-type": "Bearer",
        "client": shown.client,
        "expiry": expiry,
        "uid": shown.uid,
    });
    let bearer = format!("Bearer {}", STANDARD.encode(bearer.to_string()));
    for (name, value) in [
        (ACCESS_TOKEN, shown.token.as_str()),
        (HeaderName::from_static("token-type"), "Bearer"),
        (CLIENT, shown.client.as_str()),
        (HeaderName::from_static("expiry"), expiry.as_str()),
        (UID, shown.uid.as_str()),
        (AUTHORIZATION, bearer.as_str()),
    ] {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    }
}

/// Where an actor puts the session that it recognised, for the answer's headers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Recognised(Arc<Mutex<Option<(Credentials, Timestamp)>>>);

impl Recognised {
    /// Notes the session.
    pub(crate) fn set(&self, shown: &Credentials, expires_at: Timestamp) {
        *self.0.lock() = Some((shown.clone(), expires_at));
    }
}

/// The largest body that is searched for a session.
const SEARCHED: usize = 64 << 10;

/// A session that was shown among a body's parameters.
#[derive(Debug, Clone)]
struct InBody(Credentials);

/// Finds a session among the parameters of a body, where nothing else was shown: few clients send
/// it there, so that the body is read ahead only where a route might ask for it.
async fn search_body(request: Request) -> Result<Request, ApiError> {
    let (mut parts, body) = request.into_parts();
    let of = |prefix: &str| parts.uri.path().starts_with(prefix);
    let form = |name: &str| {
        let of = parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        of.is_some_and(|value| value.contains(name))
    };
    let (json, encoded) = (form("json"), form("x-www-form-urlencoded"));
    let small = body.size_hint().upper().is_some_and(|size| size <= SEARCHED as u64);
    let asked = ["/api/v1/accounts", "/api/v1/profile", "/api/v2/accounts"].into_iter().any(of);
    let worth = small && (json || encoded) && asked && matches!(self::of(&parts), Shown::Nothing);
    if !worth {
        return Ok(Request::from_parts(parts, body));
    }
    let bytes = to_bytes(body, SEARCHED)
        .await
        .map_err(|error| ApiError::bad_request(format!("The body can't be read: {error}")))?;
    let found = if json {
        serde_json::from_slice(&bytes).ok().and_then(|values| in_object(&values))
    } else {
        std::str::from_utf8(&bytes).ok().and_then(in_query)
    };
    if let Some(found) = found {
        parts.extensions.insert(InBody(found));
    }
    Ok(Request::from_parts(parts, Body::from(bytes)))
}

/// Gives the headers of a session with every answer to it.
pub(crate) async fn answer_with_session(request: Request, next: Next) -> Response {
    let mut request = match search_body(request).await {
        Ok(request) => request,
        Err(refusal) => return refusal.into_response(),
    };
    let recognised = Recognised::default();
    request.extensions_mut().insert(recognised.clone());
    let mut response = next.run(request).await;
    if let Some((shown, expires_at)) = recognised.0.lock().take() {
        write(response.headers_mut(), &shown, expires_at);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(uri: &str, headers: &[(&str, &str)]) -> String {
        let mut request = http::Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        match of(&request.body(()).unwrap().into_parts().0) {
            Shown::Token(token) => format!("token {token}"),
            Shown::Session(shown) => {
                format!("session {} {} {}", shown.uid, shown.client, shown.token)
            }
            Shown::Nothing => "nothing".to_owned(),
        }
    }

    #[test]
    fn finds_credentials_wherever_clients_put_them() {
        let check = |uri: &str, headers: &[(&str, &str)], expected: &str| {
            assert_eq!(found(uri, headers), expected, "{uri} {headers:?}");
        };
        let trio = [("access-token", "t"), ("client", "c"), ("uid", "a@b.c")];
        check("/", &[("api_access_token", "x")], "token x");
        check("/", &[("api-access-token", "x")], "token x");
        check("/", &[("HTTP_API_ACCESS_TOKEN", "x")], "token x");
        check("/", &trio, "session a@b.c c t");
        check("/", &[("api_access_token", "x"), trio[0], trio[1], trio[2]], "token x");
        check("/", &[("api_access_token", ""), trio[0], trio[1], trio[2]], "session a@b.c c t");
        check("/?access-token=t&client=c&uid=a%40b.c", &[], "session a@b.c c t");
        check("/?api_access_token=x", &[], "nothing");
        check("/", &trio[..2], "nothing");
        check("/", &[("authorization", "Bearer x")], "nothing");
        check("/", &[("authorization", "Basic eyJ9")], "nothing");
        check("/", &[], "nothing");
    }

    #[test]
    fn gives_a_bearer_that_is_understood_again() {
        let shown =
            Credentials { uid: "a@b.c".to_owned(), client: "c".to_owned(), token: "t".to_owned() };
        let mut headers = HeaderMap::new();
        write(&mut headers, &shown, Timestamp::from_unix(1_800_000_000));
        assert_eq!(headers.get("expiry").unwrap(), "1800000000");
        let bearer = headers.get(AUTHORIZATION).unwrap().to_str().unwrap();
        assert_eq!(found("/", &[("authorization", bearer)]), "session a@b.c c t");
    }
}
