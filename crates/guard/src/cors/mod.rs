//! Cross-origin access by path class (operations.md §4.4, behaviours.md §1).
//!
//! An origin is never reflected unless it is ours or listed, and `*` never goes with credentials.
//! Fails closed: an origin that can't be looked up is not allowed. Counter: `cors.denied{class}`.

mod origin;

use std::sync::Arc;

use axum::extract::Request;
use axum::response::Response;
use futures::future::BoxFuture;
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde_json::json;

pub use origin::{InvalidOrigin, OriginPattern};

use crate::answer;
use crate::client_ip::ClientIp;
use crate::filter::{Admission, Filter, FilterLayer};
use crate::path;
use crate::rate_limit::{RateLimiter, Subject};
use crate::request_id::RequestId;

const EXPOSED: HeaderValue = HeaderValue::from_static(
    "access-token, client, expiry, token-type, uid, x-request-id, ratelimit, ratelimit-policy, \
     retry-after",
);
const VARY_CORS: HeaderValue = HeaderValue::from_static(
    "Origin, Access-Control-Request-Method, Access-Control-Request-Headers",
);
const READS: &str = "GET, HEAD, OPTIONS";
const ALL: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/// Settings of the layer.
#[derive(Clone, Default)]
pub struct CorsConfig {
    /// Origins of the installation itself (`FRONTEND_URL`), besides the one a request names.
    pub own_origins: Vec<String>,
    /// Env `CORS_ALLOWED_ORIGINS`: origins that may call the API, with credentials if exact.
    pub allowed_origins: Vec<OriginPattern>,
    /// Env `CABLE_ALLOWED_ORIGINS`: pages that may open sockets, besides our own. Empty: all of them, for a socket is
    /// authorised by what it subscribes with.
    pub cable_origins: Vec<OriginPattern>,
    /// Env `ENABLE_API_CORS`: every origin may call `/api/*`, without credentials.
    pub enable_api_cors: bool,
    /// Env `CW_API_ONLY_SERVER`: every origin may call everything, without credentials.
    pub api_only_server: bool,
    /// Origins that tenants have listed.
    pub lookup: Option<Arc<dyn OriginLookup>>,
    /// The methods of the routes; without it a preflight is told those of its kind of path.
    pub routes: Option<Arc<dyn RouteMethods>>,
}

impl std::fmt::Debug for CorsConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CorsConfig")
            .field("own_origins", &self.own_origins)
            .field("allowed_origins", &self.allowed_origins)
            .field("cable_origins", &self.cable_origins)
            .field("enable_api_cors", &self.enable_api_cors)
            .field("api_only_server", &self.api_only_server)
            .field("lookup", &self.lookup.is_some())
            .field("routes", &self.routes.is_some())
            .finish()
    }
}

/// The origins tenants have listed; asked only for an origin that isn't ours or listed for all. `website` is the
/// `website_token` of the query, and never a text that can be no token.
pub trait OriginLookup: Send + Sync + 'static {
    /// May pages of `origin` call the widget's API? None where that must be looked up.
    fn known(&self, website: &str, origin: &str) -> Option<bool>;

    /// The same, looked up. An error is a `false`.
    fn allows(&self, website: String, origin: String) -> BoxFuture<'static, bool>;
}

/// Which methods the routes have.
pub trait RouteMethods: Send + Sync + 'static {
    /// The methods of the route at `path`, as a header lists them; nothing where there is no route.
    fn at(&self, path: &str) -> Option<&str>;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Static,
    Public,
    Widget,
    App,
    /// Sockets: no answer that a page could read, but a handshake that can be refused.
    Socket,
    /// No cross-origin access unless the whole server is opened.
    Closed,
    /// No cross-origin access whatever is configured.
    Operator,
}

impl Class {
    fn of(path: &str) -> Self {
        let mut segments = path::segments(path);
        match (segments.next().unwrap_or_default(), segments.next(), segments.next()) {
            ("packs" | "audio", ..) => Self::Static,
            ("public", Some("api"), _) => Self::Public,
            ("api", Some("v1"), Some("widget")) => Self::Widget,
            ("api" | "auth" | "platform", ..) => Self::App,
            ("cable", None, None) => Self::Socket,
            ("actuator" | "super_admin", ..) => Self::Operator,
            _ => Self::Closed,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Static => "static",
            Self::Public => "public",
            Self::Widget => "widget",
            Self::App => "app",
            Self::Socket => "socket",
            Self::Closed => "other",
            Self::Operator => "operator",
        }
    }
}

/// The layer. Preflights, and requests whose origin must be looked up, count against the class `preflight` of
/// `limiter`: they are decided before any other limit. Needs [`ClientIp`].
#[must_use]
pub fn layer(config: CorsConfig, limiter: RateLimiter) -> FilterLayer<Cors> {
    FilterLayer(Cors { config: Arc::new(config), limiter })
}

/// Grants or denies cross-origin access.
#[derive(Debug, Clone)]
pub struct Cors {
    config: Arc<CorsConfig>,
    limiter: RateLimiter,
}

/// What the response says about origins.
#[derive(Debug, Clone)]
pub enum Grant {
    /// Nothing: the path has no cross-origin side.
    Silent,
    /// The path has one, but not for this request.
    None,
    /// Every origin, without credentials.
    Any,
    /// This origin, with or without credentials.
    Origin {
        /// The `Origin` of the request.
        origin: HeaderValue,
        /// Whether cookies may go along.
        credentials: bool,
    },
}

impl Filter for Cors {
    type Ticket = Grant;

    fn admit(&self, request: &mut Request) -> Admission<Grant> {
        let class = Class::of(request.uri().path());
        if class == Class::Socket {
            return self.config.handshake(request);
        }
        let decided = self.config.grant(class, request);
        let preflight = Preflight::of(class, request, self.config.routes.as_deref());
        if let (Decided::Now(grant), None) = (&decided, &preflight) {
            if matches!(grant, Grant::None) && request.headers().contains_key(ORIGIN) {
                denied(class);
            }
            return Admission::Pass(grant.clone());
        }
        let limiter = self.limiter.clone();
        let headers = request.headers().clone();
        let client = request.extensions().get::<ClientIp>().cloned();
        let id = request.extensions().get::<RequestId>().cloned();
        Admission::Wait(Box::pin(async move {
            let subject = Subject { client: client.as_ref(), ..Subject::default() };
            let taken = limiter.check("preflight", &subject).await;
            if let Some(refusal) = taken.refusal(&headers, id.as_ref()) {
                return Err(Box::new(refusal));
            }
            let grant = match decided {
                Decided::Now(grant) => grant,
                Decided::Later(lookup, origin) => Grant::listed(origin, lookup.await),
            };
            if let Some(response) = preflight.and_then(|it| it.answer(&grant, class)) {
                return Err(response);
            }
            if matches!(grant, Grant::None) {
                denied(class);
            }
            Ok(grant)
        }))
    }

    fn seal(&self, grant: Grant, response: &mut Response) {
        let headers = response.headers_mut();
        if grant.write(headers) {
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
        }
    }
}

impl Grant {
    /// Of an origin that a tenant has listed, or has not.
    fn listed(origin: HeaderValue, is_listed: bool) -> Self {
        if is_listed { Self::Origin { origin, credentials: false } } else { Self::None }
    }

    /// Writes the headers; whether an origin was granted anything.
    fn write(&self, headers: &mut HeaderMap) -> bool {
        if !matches!(self, Self::Silent) {
            headers.append(VARY, VARY_CORS);
        }
        match self {
            Self::Silent | Self::None => return false,
            Self::Any => {
                headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
            }
            Self::Origin { origin, credentials } => {
                headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
                if *credentials {
                    let yes = HeaderValue::from_static("true");
                    headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, yes);
                }
            }
        }
        true
    }
}

enum Decided {
    Now(Grant),
    Later(BoxFuture<'static, bool>, HeaderValue),
}

impl CorsConfig {
    /// Whether the page is one of this installation.
    fn is_ours(&self, request: &Request, origin: &str) -> bool {
        let own = request.extensions().get::<ClientIp>().and_then(ClientIp::origin);
        own.as_deref() == Some(origin) || self.own_origins.iter().any(|own| own == origin)
    }

    /// Whether a page may open a socket. What sends no `Origin` is no page.
    fn handshake(&self, request: &Request) -> Admission<Grant> {
        let allowed = request.headers().get(ORIGIN).is_none_or(|origin| {
            let origin = origin.to_str().unwrap_or_default();
            self.cable_origins.is_empty()
                || self.is_ours(request, origin)
                || self.cable_origins.iter().any(|pattern| pattern.matches(origin))
        });
        if allowed {
            return Admission::Pass(Grant::Silent);
        }
        denied(Class::Socket);
        Admission::Answer(refused())
    }

    fn grant(&self, class: Class, request: &Request) -> Decided {
        let open = match class {
            Class::Static | Class::Public => true,
            Class::Widget => self.enable_api_cors || self.api_only_server,
            Class::App => {
                let api = path::segments(request.uri().path()).next() == Some("api");
                self.api_only_server || (self.enable_api_cors && api)
            }
            Class::Closed => self.api_only_server,
            Class::Operator | Class::Socket => false,
        };
        let Some(value) = request.headers().get(ORIGIN) else {
            return Decided::Now(match class {
                Class::Closed | Class::Operator if !open => Grant::Silent,
                _ if open => Grant::Any,
                _ => Grant::None,
            });
        };
        let origin = value.to_str().unwrap_or_default();
        let ours = self.is_ours(request, origin);
        match class {
            // Our own pages need no permission, and nobody else gets any.
            Class::Closed | Class::Operator if !open && ours => return Decided::Now(Grant::Silent),
            Class::Closed | Class::Operator if !open => return Decided::Now(Grant::None),
            Class::App | Class::Widget => {
                let listed = self.allowed_origins.iter().find(|pattern| pattern.matches(origin));
                if ours || (class == Class::App && listed.is_some()) {
                    let exact = ours || listed.is_some_and(OriginPattern::is_exact);
                    let credentials = exact && class == Class::App;
                    return Decided::Now(Grant::Origin { origin: value.clone(), credentials });
                }
            }
            _ => {}
        }
        if open {
            return Decided::Now(Grant::Any);
        }
        // `null` is every sandboxed frame and local file there is.
        let lookup = self.lookup.as_ref().filter(|_| origin != "null" && !origin.is_empty());
        let website = path::query_value(request.uri().query(), "website_token")
            .filter(|token| class == Class::Widget && may_be_token(token));
        let (Some(lookup), Some(website)) = (lookup, website) else {
            return Decided::Now(Grant::None);
        };
        match lookup.known(&website, origin) {
            Some(is_listed) => Decided::Now(Grant::listed(value.clone(), is_listed)),
            None => Decided::Later(
                lookup.allows(website.into_owned(), origin.to_owned()),
                value.clone(),
            ),
        }
    }
}

/// Whether an inbox can be known by this: nothing else is worth a look, nor room in a cache.
fn may_be_token(token: &str) -> bool {
    (1..=64).contains(&token.len())
        && token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

/// A question of the browser before the request itself; answered before authentication and all limits but
/// its own.
struct Preflight {
    method: HeaderValue,
    headers: Option<HeaderValue>,
    allowed: HeaderValue,
}

impl Preflight {
    fn of(class: Class, request: &Request, routes: Option<&dyn RouteMethods>) -> Option<Self> {
        let asks = request.method() == Method::OPTIONS && request.headers().contains_key(ORIGIN);
        let method = request.headers().get(ACCESS_CONTROL_REQUEST_METHOD).filter(|_| asks)?.clone();
        let headers = request.headers().get(ACCESS_CONTROL_REQUEST_HEADERS).cloned();
        // Where there is no route a page may be told so: it could not read a refused preflight's answer.
        let of_route = routes.and_then(|routes| routes.at(request.uri().path()));
        let allowed = match of_route.map(HeaderValue::from_str) {
            Some(Ok(methods)) => methods,
            _ if class == Class::Static => HeaderValue::from_static(READS),
            _ => HeaderValue::from_static(ALL),
        };
        Some(Self { method, headers, allowed })
    }

    /// None where the path has no cross-origin side: then it is a request as any other.
    fn answer(self, grant: &Grant, class: Class) -> Option<Box<Response>> {
        let allowed = self.allowed.to_str().unwrap_or_default();
        let method_known = self
            .method
            .to_str()
            .is_ok_and(|asked| allowed.split(", ").any(|method| method == asked));
        let headers_sound = self.headers.as_ref().is_none_or(are_tokens);
        match grant {
            Grant::Silent => None,
            Grant::Any | Grant::Origin { .. } if method_known && headers_sound => {
                let mut response = Box::new(Response::default());
                *response.status_mut() = StatusCode::NO_CONTENT;
                let headers = response.headers_mut();
                grant.write(headers);
                headers.insert(ACCESS_CONTROL_ALLOW_METHODS, self.allowed);
                headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("7200"));
                if let Some(asked) = self.headers {
                    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, asked);
                }
                Some(response)
            }
            _ => {
                denied(class);
                Some(refused())
            }
        }
    }
}

fn refused() -> Box<Response> {
    let mut response = answer::json(StatusCode::FORBIDDEN, &json!({"error": "Origin not allowed"}));
    response.headers_mut().append(VARY, VARY_CORS);
    response
}

/// A list of header names, fit to be echoed.
fn are_tokens(value: &HeaderValue) -> bool {
    let bytes = value.as_bytes();
    let token = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_, ".contains(byte);
    bytes.len() <= 1024 && bytes.iter().all(token)
}

fn denied(class: Class) {
    metrics::counter!("cors.denied", "class" => class.name()).increment(1);
}

#[cfg(test)]
mod tests;
