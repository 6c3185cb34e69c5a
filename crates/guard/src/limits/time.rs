//! The time until the head of the response: after it, `503` with `Retry-After`, never a hang.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::Request;
use axum::response::Response;
use pin_project_lite::pin_project;
use tokio::time::Sleep;
use tower::{Layer, Service};

use super::{Content, LimitsConfig, refused};
use crate::answer;

/// The layer.
#[must_use]
pub fn layer(config: &LimitsConfig) -> LimitTime {
    LimitTime { timeout: config.timeout, upload_timeout: config.upload_timeout }
}

/// Ends requests that take too long.
#[derive(Debug, Clone, Copy)]
pub struct LimitTime {
    timeout: Duration,
    upload_timeout: Duration,
}

impl<S> Layer<S> for LimitTime {
    type Service = LimitTimeService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        LimitTimeService { limit: *self, inner }
    }
}

/// A service whose answers come in time.
#[derive(Debug, Clone)]
pub struct LimitTimeService<S> {
    limit: LimitTime,
    inner: S,
}

impl<S: Service<Request, Response = Response>> Service<Request> for LimitTimeService<S> {
    type Response = Response;
    type Error = S::Error;
    type Future = InTime<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let timeout = match Content::of(&request) {
            Content::Plain => self.limit.timeout,
            Content::File | Content::Files => self.limit.upload_timeout,
        };
        InTime { sleep: tokio::time::sleep(timeout), future: self.inner.call(request) }
    }
}

pin_project! {
    /// A response, in time.
    pub struct InTime<F> {
        #[pin]
        sleep: Sleep,
        #[pin]
        future: F,
    }
}

impl<F, E> Future for InTime<F>
where
    F: Future<Output = Result<Response, E>>,
{
    type Output = Result<Response, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(response) = this.future.poll(cx) {
            return Poll::Ready(response);
        }
        std::task::ready!(this.sleep.poll(cx));
        refused("timeout");
        Poll::Ready(Ok(*answer::unavailable("The request took too long", 5)))
    }
}
