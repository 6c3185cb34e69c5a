//! What is found out about a request on its way.

use std::sync::Arc;

use axum::extract::{MatchedPath, Request};
use chatwarden_core::ids::AccountId;
use chatwarden_telemetry::meters::{Registry, RunningTask};
use chatwarden_telemetry::request_line::Actor;
use metrics::Label;
use parking_lot::{Mutex, MutexGuard};
use tower::util::MapRequestLayer;
use tracing::Span;

use super::meters::method_label;

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
pub(crate) fn route_layer(
    meters: Registry,
) -> MapRequestLayer<impl Fn(Request) -> Request + Clone + Send + Sync + 'static> {
    MapRequestLayer::new(move |request: Request| {
        let extensions = request.extensions();
        if let (Some(route), Some(context)) =
            (extensions.get::<MatchedPath>(), extensions.get::<RequestContext>())
        {
            let labels = vec![
                Label::new("method", method_label(request.method().as_str())),
                Label::new("uri", route.as_str().to_owned()),
            ];
            let running = meters.start_task("http.server.requests.active", labels);
            let mut known = context.0.lock();
            known.route = Some(route.clone());
            known.running = Some(running);
        }
        request
    })
}
