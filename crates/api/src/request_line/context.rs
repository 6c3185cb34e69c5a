//! What is found out about a request on its way.

use std::sync::Arc;
use std::task::{Context, Poll};

use axum::extract::{MatchedPath, Request};
use chatwarden_core::ids::AccountId;
use chatwarden_telemetry::meters::{LongTask, Registry, RunningTask};
use chatwarden_telemetry::request_line::Actor;
use metrics::{Label, SharedString};
use parking_lot::{Mutex, MutexGuard, RwLock};
use tower::{Layer, Service};
use tracing::Span;

use super::meters::{RouteMeters, method_label};

/// What became known about a request, for its line.
#[derive(Clone, Default)]
pub struct RequestContext(Arc<Mutex<Known>>);

#[derive(Default)]
pub(super) struct Known {
    pub(super) route: Option<MatchedPath>,
    pub(super) actor: Option<Actor>,
    pub(super) auth_kind: Option<&'static str>,
    pub(super) account: Option<AccountId>,
    pub(super) rate_class: Option<&'static str>,
    pub(super) meters: Option<Arc<RouteMeters>>,
    span: Option<Span>,
    /// Counts the request as being served, as long as somebody knows this.
    running: Option<RunningTask>,
}

impl std::fmt::Debug for RequestContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RequestContext").finish_non_exhaustive()
    }
}

impl RequestContext {
    /// Notes who calls, and how they proved it.
    pub fn actor(&self, kind: &'static str, id: Option<i64>, auth_kind: &'static str) {
        let mut known = self.0.lock();
        known.actor = Some(Actor { kind, id });
        known.auth_kind = Some(auth_kind);
    }

    /// Notes the account, for what is logged from here on too.
    pub fn account(&self, account: AccountId) {
        let mut known = self.0.lock();
        known.account = Some(account);
        if let Some(span) = &known.span {
            span.record("tenant.id", account.0);
        }
    }

    /// Notes which limit the request came closest to.
    pub(crate) fn rate_class(&self, class: &'static str) {
        self.0.lock().rate_class = Some(class);
    }

    pub(super) fn set_span(&self, span: Span) {
        self.0.lock().span = Some(span);
    }

    pub(super) fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock()
    }
}

/// For [`axum::Router::route_layer`]: tells the line which route was found, and counts the request
/// as being served.
#[derive(Clone)]
pub(crate) struct RouteLayer(Registry);

/// The layer, with the registry that counts.
pub(crate) fn route_layer(registry: Registry) -> RouteLayer {
    RouteLayer(registry)
}

impl<S> Layer<S> for RouteLayer {
    type Service = Routed<S>;

    fn layer(&self, inner: S) -> Routed<S> {
        let route = Route { registry: self.0.clone(), met: RwLock::default() };
        Routed { inner, route: Arc::new(route) }
    }
}

/// A route with what is to be told about it.
#[derive(Clone)]
pub(crate) struct Routed<S> {
    inner: S,
    route: Arc<Route>,
}

struct Route {
    registry: Registry,
    /// By method, as they were first asked for.
    met: RwLock<Vec<Met>>,
}

struct Met {
    active: LongTask,
    meters: Arc<RouteMeters>,
}

impl Met {
    fn begin(&self) -> (RunningTask, Arc<RouteMeters>) {
        (self.active.start(), self.meters.clone())
    }
}

impl Route {
    fn begin(&self, method: &'static str, path: &MatchedPath) -> (RunningTask, Arc<RouteMeters>) {
        let same = |met: &&Met| met.meters.method() == method;
        if let Some(met) = self.met.read().iter().find(same) {
            return met.begin();
        }
        let uri = SharedString::from(path.as_str().to_owned());
        let labels = vec![Label::new("method", method), Label::new("uri", uri.clone())];
        let met = Met {
            active: self.registry.long_task("http.server.requests.active", labels),
            meters: Arc::new(RouteMeters::new(method, uri)),
        };
        let begun = met.begin();
        self.met.write().push(met);
        begun
    }
}

impl<S: Service<Request>> Service<Request> for Routed<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> S::Future {
        let extensions = request.extensions();
        if let (Some(path), Some(context)) =
            (extensions.get::<MatchedPath>(), extensions.get::<RequestContext>())
        {
            let method = method_label(request.method().as_str());
            let (running, meters) = self.route.begin(method, path);
            let mut known = context.0.lock();
            known.route = Some(path.clone());
            known.running = Some(running);
            known.meters = Some(meters);
        }
        self.inner.call(request)
    }
}
