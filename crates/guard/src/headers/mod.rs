//! Security headers by page kind (operations.md §4.1–§4.3).
//!
//! A handler says what it answers by returning a [`PageKind`] among its response parts; without
//! one the path decides, and an unknown path is an API answer, the strictest kind: the layer fails
//! closed. What a handler set itself stays. Counter: `http.insecure.refused{answer}` for
//! `FORCE_SSL`.

mod csp;
mod framing;

use std::sync::{Arc, OnceLock};

use axum::extract::{FromRequestParts, Request};
use axum::response::{IntoResponseParts, Response, ResponseParts};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY_REPORT_ONLY, LOCATION,
    REFERRER_POLICY, SERVER, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
    X_XSS_PROTECTION,
};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use serde_json::json;

pub use csp::{CspConfig, CspMode};
pub use framing::{FrameAncestors, InvalidAncestor, parse_ancestor};

use crate::ambient::Ambient;
use crate::answer;
use crate::client_ip::ClientIp;
use crate::filter::{Admission, Filter, FilterLayer};

/// What a response is, as far as a browser is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PageKind {
    /// JSON, the actuator, errors.
    Api,
    /// The agents' dashboard.
    Dashboard,
    /// The console of the installation.
    SuperAdmin,
    /// The widget's page, framed by customers' sites. See [`FrameAncestors`].
    Widget,
    /// The survey page.
    Survey,
    /// Scripts and assets that other sites load, named by their content.
    Asset,
    /// The loader script, which has a stable name.
    Sdk,
    /// A user's file.
    Download,
    /// Help centre. See [`FrameAncestors`].
    Portal,
    /// The browser of the API.
    ApiDocs,
    /// The body of a mail, shown in a sandboxed frame.
    MailBody,
}

impl PageKind {
    /// What a path answers unless its handler says otherwise.
    #[must_use]
    pub fn of_path(path: &str) -> Self {
        let mut segments = path.split('/').filter(|segment| !segment.is_empty());
        match (segments.next().unwrap_or_default(), segments.next()) {
            ("packs", Some("js")) => Self::Sdk,
            ("packs" | "vite" | "assets" | "audio" | "brand-assets" | "dashboard", _) => {
                Self::Asset
            }
            ("app", _) => Self::Dashboard,
            ("super_admin", _) => Self::SuperAdmin,
            ("widget", None) => Self::Widget,
            ("survey", _) => Self::Survey,
            ("hc", _) => Self::Portal,
            ("swagger", _) => Self::ApiDocs,
            ("rails", Some("active_storage")) => Self::Download,
            _ => Self::Api,
        }
    }
}

impl IntoResponseParts for PageKind {
    type Error = std::convert::Infallible;

    fn into_response_parts(self, mut parts: ResponseParts) -> Result<ResponseParts, Self::Error> {
        parts.extensions_mut().insert(self);
        Ok(parts)
    }
}

impl IntoResponseParts for FrameAncestors {
    type Error = std::convert::Infallible;

    fn into_response_parts(self, mut parts: ResponseParts) -> Result<ResponseParts, Self::Error> {
        parts.extensions_mut().insert(self);
        Ok(parts)
    }
}

/// The nonce of a page, drawn when first asked for: 128 bits, base64. A page that never asks gets
/// a policy without one. Request extension and extractor.
#[derive(Debug, Clone)]
pub struct CspNonce(Arc<LazyNonce>);

#[derive(Debug)]
struct LazyNonce {
    ambient: Ambient,
    value: OnceLock<String>,
}

impl CspNonce {
    /// The value for `nonce="…"`; every call on one request gives the same.
    #[must_use]
    pub fn value(&self) -> &str {
        self.0.value.get_or_init(|| STANDARD.encode(self.0.ambient.random::<16>()))
    }

    fn used(&self) -> Option<&str> {
        self.0.value.get().map(String::as_str)
    }
}

impl<S: Sync> FromRequestParts<S> for CspNonce {
    type Rejection = &'static str;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        parts.extensions.get::<Self>().cloned().ok_or("the security header layer is missing")
    }
}

/// Settings of the layer.
#[derive(Debug, Clone)]
pub struct HeadersConfig {
    /// `FORCE_SSL`: plain HTTP is redirected (GET, HEAD) or refused. Default off.
    pub force_ssl: bool,
    /// Hosts that are ours together with their subdomains (host of `FRONTEND_URL`); only they get
    /// `includeSubDomains`.
    pub own_hosts: Vec<String>,
    /// `HSTS_PRELOAD`: adds `preload` on our own hosts.
    pub hsts_preload: bool,
    /// `WIDGET_COEP=credentialless`, for customers whose pages are cross-origin isolated.
    pub widget_coep: bool,
    /// `WIDGET_REQUIRE_ALLOWED_DOMAINS`: an inbox without allowed domains can't be framed.
    pub widget_require_allowed_domains: bool,
    /// `ASSET_HOST` is in use: downloads may be embedded by other sites.
    pub asset_host: bool,
    /// Paths that are served over plain HTTP whatever `FORCE_SSL` says: probes don't speak TLS.
    pub plain_paths: Vec<String>,
    /// Content Security Policy.
    pub csp: CspConfig,
}

impl Default for HeadersConfig {
    fn default() -> Self {
        Self {
            force_ssl: false,
            own_hosts: Vec::new(),
            hsts_preload: false,
            widget_coep: false,
            widget_require_allowed_domains: false,
            asset_host: false,
            plain_paths: ["/health", "/livez", "/readyz"].map(String::from).to_vec(),
            csp: CspConfig::default(),
        }
    }
}

/// Adds the headers.
#[derive(Debug, Clone)]
pub struct SecurityHeaders {
    config: Arc<HeadersConfig>,
    ambient: Ambient,
}

/// The layer. Needs [`ClientIp`] to know scheme and host.
#[must_use]
pub fn layer(config: HeadersConfig, ambient: Ambient) -> FilterLayer<SecurityHeaders> {
    FilterLayer(SecurityHeaders { config: Arc::new(config), ambient })
}

/// What the headers of the response depend on.
#[derive(Debug)]
pub struct PageContext {
    kind: PageKind,
    nonce: CspNonce,
    https: bool,
    host: Option<String>,
}

impl Filter for SecurityHeaders {
    type Ticket = PageContext;

    fn admit(&self, request: &mut Request) -> Admission<PageContext> {
        let (https, host) = request
            .extensions()
            .get::<ClientIp>()
            .map_or((false, None), |client| (client.https, client.host.clone()));
        let nonce =
            CspNonce(Arc::new(LazyNonce { ambient: self.ambient.clone(), value: OnceLock::new() }));
        let path = request.uri().path();
        let context =
            PageContext { kind: PageKind::of_path(path), nonce: nonce.clone(), https, host };
        if self.config.force_ssl && !https && !self.config.plain_paths.iter().any(|it| it == path) {
            let mut response = refuse_plain(request, context.host.as_deref());
            self.seal(context, &mut response);
            return Admission::Answer(response);
        }
        request.extensions_mut().insert(nonce);
        Admission::Pass(context)
    }

    fn seal(&self, context: PageContext, response: &mut Response) {
        let kind = response.extensions().get::<PageKind>().copied().unwrap_or(context.kind);
        let ancestors = response.extensions().get::<FrameAncestors>().cloned();
        let config = &self.config;
        // An error answered on the path of an asset or a file must not be cached or framed as one.
        let failed = response.status().is_client_error() || response.status().is_server_error();
        let kind = match kind {
            PageKind::Asset | PageKind::Sdk | PageKind::Download if failed => PageKind::Api,
            kind => kind,
        };
        let headers = response.headers_mut();
        headers.remove(SERVER);
        headers.remove("x-powered-by");
        set(headers, X_CONTENT_TYPE_OPTIONS, "nosniff");
        set(headers, CROSS_DOMAIN, "none");
        set(headers, X_XSS_PROTECTION, "0");
        if context.https
            && let Some(policy) = config.hsts(context.host.as_deref())
        {
            set(headers, STRICT_TRANSPORT_SECURITY, policy);
        }
        for (name, value) in fixed(kind, config) {
            set(headers, name, value);
        }
        let ancestors = config.ancestors(kind, ancestors);
        match (&ancestors, kind) {
            (_, PageKind::Widget | PageKind::Survey | PageKind::Asset | PageKind::Sdk)
            | (FrameAncestors::Anyone | FrameAncestors::Only(_), _) => {}
            (FrameAncestors::SameOrigin, _) => set(headers, X_FRAME_OPTIONS, "SAMEORIGIN"),
            (FrameAncestors::Nobody, _) => set(headers, X_FRAME_OPTIONS, "DENY"),
        }
        if let Some(mut policy) = csp::policy(
            &config.csp,
            kind,
            context.nonce.used(),
            context.https,
            context.host.as_deref(),
        ) {
            let alone = matches!(ancestors, FrameAncestors::Only(_));
            if let Some(directive) = ancestors.directive().filter(|_| !alone) {
                policy.push_str("; ");
                policy.push_str(&directive);
            }
            let name = match config.csp.mode {
                CspMode::Enforce => Some(CONTENT_SECURITY_POLICY),
                CspMode::ReportOnly if kind.is_client() => {
                    Some(CONTENT_SECURITY_POLICY_REPORT_ONLY)
                }
                CspMode::ReportOnly => Some(CONTENT_SECURITY_POLICY),
                CspMode::Off if kind.is_client() => None,
                CspMode::Off => Some(CONTENT_SECURITY_POLICY),
            };
            match name {
                // A list of sites is a policy of its own, as Chatwoot sends it: both apply.
                Some(name) if alone => {
                    let directive = ancestors.directive().unwrap_or_default();
                    if !headers.contains_key(CONTENT_SECURITY_POLICY)
                        && let (Ok(directive), Ok(policy)) =
                            (HeaderValue::from_str(&directive), HeaderValue::from_str(&policy))
                    {
                        headers.append(CONTENT_SECURITY_POLICY, directive);
                        headers.append(name, policy);
                    }
                }
                Some(name) => set_made(headers, name, &policy),
                // Framing stays under control without the rest of the policy.
                None => {
                    if let Some(directive) = ancestors.directive() {
                        set_made(headers, CONTENT_SECURITY_POLICY, &directive);
                    }
                }
            }
            if kind.is_client() {
                set(headers, REPORTING, "csp=\"/csp-reports\"");
            }
        }
    }
}

impl PageKind {
    /// A page that runs our scripts and reports violations.
    fn is_client(self) -> bool {
        matches!(
            self,
            Self::Dashboard | Self::SuperAdmin | Self::Widget | Self::Survey | Self::Portal
        )
    }
}

impl HeadersConfig {
    fn hsts(&self, host: Option<&str>) -> Option<&'static str> {
        let host = host?.split(':').next()?;
        let own = self.own_hosts.iter().any(|own| {
            host.strip_suffix(own.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        });
        Some(match (own, self.hsts_preload) {
            (true, true) => "max-age=63072000; includeSubDomains; preload",
            (true, false) => "max-age=63072000; includeSubDomains",
            (false, _) => "max-age=63072000",
        })
    }

    fn ancestors(&self, kind: PageKind, stated: Option<FrameAncestors>) -> FrameAncestors {
        match (kind, stated) {
            (PageKind::Widget, None | Some(FrameAncestors::Anyone))
                if self.widget_require_allowed_domains =>
            {
                FrameAncestors::Nobody
            }
            (PageKind::Widget | PageKind::Survey | PageKind::Portal, Some(stated)) => stated,
            (PageKind::Widget | PageKind::Survey | PageKind::Asset | PageKind::Sdk, _) => {
                FrameAncestors::Anyone
            }
            (PageKind::Portal | PageKind::MailBody, _) => FrameAncestors::SameOrigin,
            _ => FrameAncestors::Nobody,
        }
    }
}

const CROSS_DOMAIN: HeaderName = HeaderName::from_static("x-permitted-cross-domain-policies");
const REPORTING: HeaderName = HeaderName::from_static("reporting-endpoints");
const COOP: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const CORP: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
const COEP: HeaderName = HeaderName::from_static("cross-origin-embedder-policy");
const PERMISSIONS: HeaderName = HeaderName::from_static("permissions-policy");

const CLIENT_PERMISSIONS: &str = "camera=(self), microphone=(self), display-capture=(self), \
    fullscreen=(self), clipboard-write=(self), geolocation=(), payment=(), usb=(), serial=(), \
    hid=(), midi=(), gyroscope=(), accelerometer=(), magnetometer=(), idle-detection=(), \
    browsing-topics=()";
const NO_PERMISSIONS: &str = "camera=(), microphone=(), display-capture=(), fullscreen=(), \
    clipboard-write=(), geolocation=(), payment=(), usb=(), serial=(), hid=(), midi=(), \
    gyroscope=(), accelerometer=(), magnetometer=(), idle-detection=(), browsing-topics=()";

/// The headers of a kind that depend on nothing else (operations.md §4.2).
fn fixed(
    kind: PageKind,
    config: &HeadersConfig,
) -> impl Iterator<Item = (HeaderName, &'static str)> {
    const SAME: &str = "same-origin";
    const CROSS: &str = "cross-origin";
    let (referrer, cache, opener, resource, permissions) = match kind {
        PageKind::Api => (Some("no-referrer"), Some("no-store"), None, Some(SAME), None),
        PageKind::Dashboard => (
            Some(SAME),
            Some("no-store"),
            Some("same-origin-allow-popups"),
            Some(SAME),
            Some(CLIENT_PERMISSIONS),
        ),
        PageKind::SuperAdmin => {
            (Some(SAME), Some("no-store"), Some(SAME), Some(SAME), Some(CLIENT_PERMISSIONS))
        }
        PageKind::Widget | PageKind::Survey => (
            Some("strict-origin-when-cross-origin"),
            Some("no-store"),
            Some("unsafe-none"),
            Some(CROSS),
            Some(CLIENT_PERMISSIONS),
        ),
        PageKind::Asset => {
            (None, Some("public, max-age=31536000, immutable"), None, Some(CROSS), None)
        }
        PageKind::Sdk => (None, Some("public, max-age=900"), None, Some(CROSS), None),
        PageKind::Download => (
            Some("no-referrer"),
            Some("private, max-age=300"),
            Some(SAME),
            Some(if config.asset_host { CROSS } else { "same-site" }),
            Some(NO_PERMISSIONS),
        ),
        PageKind::Portal => (
            Some("strict-origin-when-cross-origin"),
            Some("public, max-age=60, stale-while-revalidate=300"),
            Some(SAME),
            Some(SAME),
            Some(NO_PERMISSIONS),
        ),
        PageKind::ApiDocs => {
            (Some("no-referrer"), Some("no-store"), Some(SAME), Some(SAME), Some(NO_PERMISSIONS))
        }
        PageKind::MailBody => (
            Some("no-referrer"),
            Some("private, max-age=300"),
            None,
            Some(SAME),
            Some(NO_PERMISSIONS),
        ),
    };
    let embedder =
        (matches!(kind, PageKind::Widget) && config.widget_coep).then_some("credentialless");
    let timing = matches!(kind, PageKind::Asset | PageKind::Sdk).then_some("*");
    [
        (REFERRER_POLICY, referrer),
        (CACHE_CONTROL, cache),
        (COOP, opener),
        (CORP, resource),
        (COEP, embedder),
        (PERMISSIONS, permissions),
        (TIMING, timing),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name, value?)))
}

const TIMING: HeaderName = HeaderName::from_static("timing-allow-origin");

/// What the handler set stays.
fn set(headers: &mut HeaderMap, name: HeaderName, value: &'static str) {
    if let http::header::Entry::Vacant(vacant) = headers.entry(name) {
        vacant.insert(HeaderValue::from_static(value));
    }
}

fn set_made(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if !headers.contains_key(&name)
        && let Ok(value) = HeaderValue::from_str(value)
    {
        headers.insert(name, value);
    }
}

/// A redirected POST has already leaked its body, so it is refused instead.
fn refuse_plain(request: &Request, host: Option<&str>) -> Box<Response> {
    let safe = matches!(*request.method(), Method::GET | Method::HEAD);
    let target = host.filter(|_| safe).and_then(|host| {
        let path = request.uri().path_and_query().map_or("/", |target| target.as_str());
        let host = host.strip_suffix(":80").unwrap_or(host);
        HeaderValue::from_str(&format!("https://{host}{path}")).ok()
    });
    match target {
        Some(target) => {
            metrics::counter!("http.insecure.refused", "answer" => "redirect").increment(1);
            let mut response = answer::text(StatusCode::PERMANENT_REDIRECT, "");
            response.headers_mut().insert(LOCATION, target);
            response
        }
        None => {
            metrics::counter!("http.insecure.refused", "answer" => "forbidden").increment(1);
            answer::json(StatusCode::FORBIDDEN, &json!({"error": "HTTPS is required"}))
        }
    }
}

#[cfg(test)]
mod tests;
