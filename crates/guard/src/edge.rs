//! The whole stack in its order.

use std::convert::Infallible;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::response::{IntoResponse, Response};
use axum::routing::Route;
use tower::layer::util::Identity;
use tower::{Layer, Service, ServiceBuilder};

use crate::ambient::Ambient;
use crate::client_ip::{self, ClientIpConfig};
use crate::cors::{self, CorsConfig};
use crate::headers::{self, HeadersConfig};
use crate::input::{self, InputConfig};
use crate::limits::{self, LimitsConfig};
use crate::panics;
use crate::rate_limit::{self, RateLimiter};
use crate::request_id::{self, RequestIdConfig};

/// Settings of all layers but the rate limit, which comes ready made: handlers share it.
#[derive(Debug, Clone, Default)]
pub struct EdgeConfig {
    /// Client address.
    pub client_ip: ClientIpConfig,
    /// Request id and trace.
    pub request_id: RequestIdConfig,
    /// Security headers.
    pub headers: HeadersConfig,
    /// Cross-origin access.
    pub cors: CorsConfig,
    /// Sizes and times.
    pub limits: LimitsConfig,
    /// Input scoring.
    pub input: InputConfig,
}

/// The security edge of a router.
#[derive(Debug, Clone)]
pub struct Edge {
    config: EdgeConfig,
    limiter: RateLimiter,
    ambient: Ambient,
}

impl Edge {
    /// The edge with its settings, limits, clock and randomness.
    #[must_use]
    pub fn new(config: EdgeConfig, limiter: RateLimiter, ambient: Ambient) -> Self {
        Self { config, limiter, ambient }
    }

    /// The limits, for the checks that handlers make.
    #[must_use]
    pub fn limiter(&self) -> &RateLimiter {
        &self.limiter
    }

    /// The router behind the edge.
    pub fn wrap<S: Clone + Send + Sync + 'static>(&self, router: Router<S>) -> Router<S> {
        self.wrap_with(router, Identity::new())
    }

    /// The router behind the edge, with the request line (written once the response is known, and
    /// whoever gave it) between request id and security headers.
    ///
    /// Order: client IP → request id and trace → `request_line` → security headers → CORS →
    /// panics → rate limit → sizes and times → input scoring → router. A panic is caught where
    /// its answer still gets the headers that let a browser read it.
    pub fn wrap_with<S, L>(&self, router: Router<S>, request_line: L) -> Router<S>
    where
        S: Clone + Send + Sync + 'static,
        L: Layer<Route> + Clone + Send + Sync + 'static,
        L::Service: Service<Request> + Clone + Send + Sync + 'static,
        <L::Service as Service<Request>>::Response: IntoResponse + 'static,
        <L::Service as Service<Request>>::Error: Into<Infallible> + 'static,
        <L::Service as Service<Request>>::Future: Send + 'static,
    {
        let config = self.config.clone();
        let inner = ServiceBuilder::new()
            .layer(headers::layer(config.headers, self.ambient.clone()))
            .layer(cors::layer(config.cors, self.limiter.clone()))
            // The panic layer has a body of its own.
            .map_response(Response::into_response)
            .layer(panics::layer())
            .layer(rate_limit::layer(self.limiter.clone()))
            .layer(limits::layer(config.limits.clone()))
            .layer(limits::time_layer(&config.limits))
            .layer(input::layer(config.input))
            // The limit is ours: without this, extractors would stop at 2 MB.
            .layer(DefaultBodyLimit::disable());
        let outer = ServiceBuilder::new()
            .layer(client_ip::layer(config.client_ip))
            .layer(request_id::layer(&config.request_id, self.ambient.clone()));
        router.layer(inner).layer(request_line).layer(outer)
    }
}

#[cfg(test)]
mod tests;
