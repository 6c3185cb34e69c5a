//! The request line's layer: what a request turned out to be, logged once its response ended.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use chatwarden_core::ids::AccountId;
use chatwarden_db::{UsageScope, usage_scope};
use chatwarden_guard::{ClientIp, RequestId};
use chatwarden_telemetry::request_line::{Actor, DatabaseUse, RequestLine};
use parking_lot::Mutex;
use tower::{Layer, Service};

use crate::error::ErrorClass;

/// What authentication found out about a request, for its line.
#[derive(Debug, Clone, Default)]
pub struct RequestContext(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    actor: Option<Actor>,
    auth_kind: Option<&'static str>,
    account: Option<AccountId>,
}

impl RequestContext {
    /// Notes who calls, and how they proved it.
    pub fn actor(&self, kind: &'static str, id: Option<i64>, auth_kind: &'static str) {
        let mut known = self.0.lock();
        known.actor = Some(Actor { kind, id });
        known.auth_kind = Some(auth_kind);
    }

    /// Notes the account.
    pub fn account(&self, account: AccountId) {
        self.0.lock().account = Some(account);
    }
}

/// Writes the request line.
#[derive(Debug, Clone, Copy, Default)]
pub struct RequestLineLayer;

impl<S> Layer<S> for RequestLineLayer {
    type Service = RequestLineService<S>;
    fn layer(&self, inner: S) -> Self::Service {
        RequestLineService { inner }
    }
}

/// The service that writes the request line.
#[derive(Debug, Clone)]
pub struct RequestLineService<S> {
    inner: S,
}

impl<S> Service<Request> for RequestLineService<S>
where
    S: Service<Request, Response = Response> + Send,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        let began = Instant::now();
        let known = RequestContext::default();
        request.extensions_mut().insert(known.clone());
        let ids = request.extensions().get::<RequestId>();
        let header = |name| request.headers().get(name).and_then(|v| v.to_str().ok());
        let line = RequestLine {
            method: request.method().to_string(),
            path: request.uri().path().to_owned(),
            request_id: ids.map(|ids| ids.id.to_string()).unwrap_or_default(),
            correlation_id: ids.map(|ids| ids.correlation.to_string()),
            trace_id: ids.map(|ids| format!("{:032x}", ids.trace.trace_id)),
            client_address: request
                .extensions()
                .get::<ClientIp>()
                .map(|client| client.ip.to_string()),
            user_agent: header(http::header::USER_AGENT).map(str::to_owned),
            request_bytes: header(http::header::CONTENT_LENGTH)
                .and_then(|n| n.parse().ok())
                .unwrap_or_default(),
            quiet: matches!(request.uri().path(), "/health" | "/livez" | "/readyz"),
            ..RequestLine::default()
        };
        let usage = UsageScope::default();
        let future = usage_scope(usage.clone(), self.inner.call(request));
        Box::pin(async move {
            let response = future.await?;
            Ok(finish(response, line, known, usage, began))
        })
    }
}

fn finish(
    response: Response,
    mut line: RequestLine,
    known: RequestContext,
    usage: UsageScope,
    began: Instant,
) -> Response {
    line.status = response.status().as_u16();
    line.error = response.extensions().get::<ErrorClass>().map(|class| class.0);
    let used = usage.usage();
    line.database = DatabaseUse {
        statements: used.statements,
        rows: used.rows,
        time: std::time::Duration::from_micros(used.micros),
    };
    {
        let mut known = known.0.lock();
        line.actor = known.actor.take();
        line.auth_kind = known.auth_kind;
        line.account = known.account.map(|a| a.0);
    }
    line.duration = began.elapsed();
    line.emit();
    response.map(Body::new)
}

/// The layer, for between the edge's request id and its security headers.
pub fn layer() -> RequestLineLayer {
    RequestLineLayer
}
