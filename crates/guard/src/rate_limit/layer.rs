//! The layer for the classes that address, method and target decide.

use std::sync::Arc;

use axum::extract::Request;
use axum::response::Response;
use futures::FutureExt;
use parking_lot::Mutex;

use super::{Decision, RateClass, RateLimiter, Subject};
use crate::client_ip::ClientIp;
use crate::filter::{Admission, Filter, FilterLayer};
use crate::request_id::RequestId;

/// The layer. Needs [`ClientIp`].
#[must_use]
pub fn layer(limiter: RateLimiter) -> FilterLayer<LimitRate> {
    FilterLayer(LimitRate { limiter })
}

/// Checks the classes keyed by address and refuses what is over.
#[derive(Debug, Clone)]
pub struct LimitRate {
    limiter: RateLimiter,
}

/// Collects what checks behind the layer decided (of the account, the user, the token), for the
/// headers of the answer. Request extension.
#[derive(Debug, Clone, Default)]
pub struct Decisions(Arc<Mutex<Decision>>);

impl Decisions {
    /// Notes a decision.
    pub fn note(&self, decision: &Decision) {
        let mut noted = self.0.lock();
        noted.merge(decision);
        noted.headers |= decision.headers;
        noted.legacy |= decision.legacy;
    }
}

/// What the layer decided, and where the others note what they did.
#[derive(Debug, Default)]
pub struct Decided {
    own: Decision,
    others: Decisions,
}

impl Filter for LimitRate {
    type Ticket = Decided;

    fn admit(&self, request: &mut Request) -> Admission<Decided> {
        let others = Decisions::default();
        request.extensions_mut().insert(others.clone());
        let client = request.extensions().get::<ClientIp>();
        let subject = Subject { client, ..Subject::default() };
        let uri = request.uri();
        let groups = self.limiter.groups(true, request.method(), uri.path(), uri.query(), &subject);
        if groups.is_empty() {
            return Admission::Pass(Decided { others, ..Decided::default() });
        }
        let limiter = self.limiter.clone();
        let decision = async move { limiter.decide(groups).await };
        if self.limiter.is_local() {
            // Nothing to wait for, so that nothing is boxed on a single node.
            let decision = decision.now_or_never().unwrap_or_default();
            return match decision
                .refusal(request.headers(), request.extensions().get::<RequestId>())
            {
                Some(response) => Admission::Answer(Box::new(response)),
                None => Admission::Pass(Decided { own: decision, others }),
            };
        }
        let headers = request.headers().clone();
        let ids = request.extensions().get::<RequestId>().cloned();
        Admission::Wait(Box::pin(async move {
            let decision = decision.await;
            match decision.refusal(&headers, ids.as_ref()) {
                Some(response) => Err(Box::new(response)),
                None => Ok(Decided { own: decision, others }),
            }
        }))
    }

    fn seal(&self, Decided { own: mut decision, others }: Decided, response: &mut Response) {
        let noted = std::mem::take(&mut *others.0.lock());
        decision.merge(&noted);
        decision.headers |= noted.headers;
        decision.legacy |= noted.legacy;
        if response.extensions().get::<RateClass>().is_none() {
            decision.write_class(response);
        }
        if response.status().is_redirection() {
            return;
        }
        if let Some(inner) = response.extensions_mut().remove::<Decision>() {
            decision.merge(&inner);
            decision.headers |= inner.headers;
            decision.legacy |= inner.legacy;
        }
        // The handler's own refusal already says how things stand.
        if !response.headers().contains_key("ratelimit") {
            decision.write_headers(response.headers_mut());
        }
    }
}
