//! The request line's layer: what a request turned out to be, logged and measured once its response
//! has ended (`docs/reference/request-log.md`, operations.md §2.4 and §8.1).
//!
//! The line is written when the body has been handed over to the last byte, or when whoever waited
//! for it went away: both are the end of the same value, so that no way of ending is forgotten.

mod body;
mod context;
mod meters;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::{Body, HttpBody as _};
use axum::extract::Request;
use axum::response::Response;
use chatwarden_db::{UsageScope, usage_scope};
use chatwarden_guard::rate_limit::RateClass;
use chatwarden_guard::{ClientIp, PageKind, RequestId};
use chatwarden_jobs::trace;
use chatwarden_telemetry::request_line::{AccessSample, DatabaseUse, IpPrivacy, RequestLine};
use futures::future::BoxFuture;
use http::header::{CONTENT_LENGTH, USER_AGENT};
use http::{HeaderValue, Method, StatusCode, Uri};
use tower::{Layer, Service};
use tracing::Instrument as _;
use tracing::field::Empty;

use crate::error::ErrorClass;
use body::{Counted, Received};
pub use context::RequestContext;
pub(crate) use context::route_layer;

/// The client went away before there was an answer; the number is nginx's.
const CLIENT_GONE: u16 = 499;

/// What an operator may choose about request lines.
#[derive(Debug, Clone, Copy, Default)]
pub struct Settings {
    /// `LOG_ACCESS_SAMPLE`.
    pub sample: AccessSample,
    /// `LOG_IP`.
    pub address: IpPrivacy,
}

/// Writes the request line.
#[derive(Debug, Clone, Copy, Default)]
pub struct RequestLineLayer(Settings);

/// The layer, for between the edge's request id and its security headers.
pub fn layer(settings: Settings) -> RequestLineLayer {
    RequestLineLayer(settings)
}

impl<S> Layer<S> for RequestLineLayer {
    type Service = RequestLineService<S>;
    fn layer(&self, inner: S) -> Self::Service {
        RequestLineService { inner, settings: self.0 }
    }
}

/// The service that writes the request line.
#[derive(Debug, Clone)]
pub struct RequestLineService<S> {
    inner: S,
    settings: Settings,
}

impl<S> Service<Request> for RequestLineService<S>
where
    S: Service<Request, Response = Response> + Send,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        let mut exchange = Exchange::begin(&mut request, self.settings);
        // An error's span is there whatever the level of the logs: what is written has its request.
        let span = tracing::error_span!(
            target: "chatwarden::request",
            "request",
            request.id = exchange.ids.as_ref().map(|ids| &*ids.id),
            trace_id = exchange.trace.as_deref(),
            span_id = exchange.span.as_deref(),
            tenant.id = Empty,
        );
        exchange.context.set_span(span.clone());
        let future = usage_scope(exchange.usage.clone(), self.inner.call(request));
        let future = trace::caused_by(exchange.trace.clone(), future);
        Box::pin(
            async move {
                let response = future.await?;
                exchange.answered(&response);
                Ok(response.map(|body| Body::new(Counted::new(body, exchange))))
            }
            .instrument(span),
        )
    }
}

/// Parameters of paths that open something by themselves, for whoever reads them in a log.
const OPENS: [&str; 3] = ["{link}", "{signed_id}", "{token}"];

/// The path as it may be written down.
fn shown_path<'a>(route: Option<&str>, path: &'a str) -> Cow<'a, str> {
    let Some(route) = route.filter(|route| OPENS.iter().any(|name| route.contains(name))) else {
        return Cow::Borrowed(path);
    };
    let mut names = route.split('/').filter(|segment| !segment.is_empty());
    let mut shown = String::with_capacity(path.len());
    for segment in path.split('/').filter(|segment| !segment.is_empty()) {
        shown.push('/');
        let hidden = names.next().is_some_and(|name| OPENS.contains(&name));
        shown.push_str(if hidden { "…" } else { segment });
    }
    Cow::Owned(shown)
}

/// A request that is being answered. Dropping it writes its line.
struct Exchange {
    settings: Settings,
    began: Instant,
    method: Method,
    uri: Uri,
    ids: Option<RequestId>,
    trace: Option<String>,
    span: Option<String>,
    client: Option<IpAddr>,
    agent: Option<HeaderValue>,
    declared: Option<u64>,
    received: Arc<AtomicU64>,
    context: RequestContext,
    usage: UsageScope,
    status: Option<StatusCode>,
    error: Option<&'static str>,
    rate_class: Option<&'static str>,
    sent: u64,
}

impl Exchange {
    fn begin(request: &mut Request, settings: Settings) -> Self {
        let context = RequestContext::default();
        request.extensions_mut().insert(context.clone());
        let extensions = request.extensions();
        let ids = extensions.get::<RequestId>().cloned();
        let client = extensions.get::<ClientIp>().map(|client| client.ip);
        let header = |name| request.headers().get(name);
        let declared = header(CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse().ok());
        let received = Arc::new(AtomicU64::new(0));
        let exchange = Self {
            settings,
            began: Instant::now(),
            method: request.method().clone(),
            uri: request.uri().clone(),
            trace: ids.as_ref().map(|ids| format!("{:032x}", ids.trace.trace_id)),
            span: ids.as_ref().map(|ids| format!("{:016x}", ids.trace.span_id)),
            ids,
            client,
            agent: header(USER_AGENT).cloned(),
            declared,
            received: received.clone(),
            context,
            usage: UsageScope::default(),
            status: None,
            error: None,
            rate_class: None,
            sent: 0,
        };
        if declared.is_none() && !request.body().is_end_stream() {
            let body = std::mem::take(request.body_mut());
            *request.body_mut() = Body::new(Received::new(body, received));
        }
        exchange
    }

    fn answered(&mut self, response: &Response) {
        let status = response.status();
        self.status = Some(status);
        let extensions = response.extensions();
        self.rate_class = extensions.get::<RateClass>().map(|class| class.0);
        self.error = if extensions.get::<chatwarden_guard::panics::Panicked>().is_some() {
            Some("panic")
        } else {
            // What says no more than its status is called by its status.
            let named = extensions.get::<ErrorClass>().map(|class| class.0);
            named.filter(|class| *class != "refused").or_else(|| meters::error_of(status))
        };
    }

    /// Whether an answer to this request has a body at all.
    fn has_body(&self) -> bool {
        let without = |status: StatusCode| {
            status.is_informational()
                || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
        };
        self.method != Method::HEAD && !self.status.is_some_and(without)
    }

    fn write(&self) {
        let known = self.context.known();
        let used = self.usage.usage();
        let address = self.client.and_then(|client| self.settings.address.shown(client));
        let route = known.route.as_ref().map(|route| route.as_str());
        let path = self.uri.path();
        let shown = shown_path(route, path);
        let line = RequestLine {
            method: self.method.as_str(),
            route,
            path: &shown,
            status: self.status.map_or(CLIENT_GONE, |status| status.as_u16()),
            duration: self.began.elapsed(),
            actor: known.actor.clone(),
            auth_kind: known.auth_kind,
            account: known.account.map(|account| account.0),
            rate_class: known.rate_class.or(self.rate_class),
            database: DatabaseUse {
                statements: used.statements,
                rows: used.rows,
                time: Duration::from_micros(used.micros),
                queued: Duration::from_micros(used.queued),
            },
            request_bytes: self.declared.unwrap_or_else(|| self.received.load(Ordering::Relaxed)),
            response_bytes: self.sent,
            request_id: self.ids.as_ref().map_or("", |ids| &ids.id),
            correlation_id: self.ids.as_ref().map(|ids| &*ids.correlation),
            trace_id: self.trace.as_deref(),
            span_id: self.span.as_deref(),
            trace_flags: self.ids.as_ref().map(|ids| if ids.trace.sampled { "01" } else { "00" }),
            client_address: address.as_deref(),
            user_agent: self.agent.as_ref().and_then(|agent| agent.to_str().ok()),
            error: if self.status.is_none() { Some("client_gone") } else { self.error },
            quiet: matches!(path, "/health" | "/livez" | "/readyz")
                || matches!(PageKind::of_path(path), PageKind::Asset | PageKind::Sdk),
        };
        match &known.meters {
            Some(meters) => meters.record(&line),
            None => meters::record_unrouted(&line),
        }
        if self.settings.sample.keeps(&line) {
            line.emit();
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.write();
    }
}
