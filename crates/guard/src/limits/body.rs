//! A request body that ends in an error when it is too large or comes too slowly.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::BoxError;
use axum::body::Body;
use bytes::Bytes;
use http::StatusCode;
use http_body::{Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep};

use super::TOO_LARGE;

const LARGE: u8 = 1;
const SLOW: u8 = 2;

/// What became of a body, for whoever answers.
#[derive(Debug, Default)]
pub(super) struct Outcome(AtomicU8);

impl Outcome {
    pub(super) fn refusal(&self) -> Option<(&'static str, StatusCode, &'static str)> {
        match self.0.load(Ordering::Acquire) {
            LARGE => Some(("body", StatusCode::PAYLOAD_TOO_LARGE, TOO_LARGE)),
            SLOW => Some(("slow_body", StatusCode::REQUEST_TIMEOUT, TOO_SLOW)),
            _ => None,
        }
    }
}

const TOO_SLOW: &str = "The request body came too slowly";

pin_project! {
    /// The time is only counted while the reader waits for the client: one that stores what it
    /// read meanwhile isn't the client's fault.
    pub(super) struct GuardedBody {
        #[pin]
        inner: Body,
        left: u64,
        grace: Duration,
        rate: u64,
        received: u64,
        waited: Duration,
        waiting: Option<(Instant, Pin<Box<Sleep>>)>,
        outcome: Arc<Outcome>,
    }
}

impl GuardedBody {
    pub(super) fn new(
        inner: Body,
        limit: u64,
        grace: Duration,
        rate: u64,
        outcome: Arc<Outcome>,
    ) -> Self {
        let waited = Duration::ZERO;
        Self {
            inner,
            left: limit,
            grace,
            rate: rate.max(1),
            received: 0,
            waited,
            waiting: None,
            outcome,
        }
    }
}

impl http_body::Body for GuardedBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut this = self.project();
        let frame = match this.inner.as_mut().poll_frame(cx) {
            Poll::Ready(frame) => frame,
            Poll::Pending => {
                let (_, sleep) = this.waiting.get_or_insert_with(|| {
                    let earned = Duration::from_secs(*this.received / *this.rate);
                    let budget = (*this.grace + earned).saturating_sub(*this.waited);
                    (Instant::now(), Box::pin(tokio::time::sleep(budget)))
                });
                std::task::ready!(sleep.as_mut().poll(cx));
                this.outcome.0.store(SLOW, Ordering::Release);
                return Poll::Ready(Some(Err(TOO_SLOW.into())));
            }
        };
        if let Some((since, _)) = this.waiting.take() {
            *this.waited += since.elapsed();
        }
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            let size = data.len() as u64;
            *this.received += size;
            match this.left.checked_sub(size) {
                Some(left) => *this.left = left,
                None => {
                    this.outcome.0.store(LARGE, Ordering::Release);
                    return Poll::Ready(Some(Err(TOO_LARGE.into())));
                }
            }
        }
        Poll::Ready(frame.map(|frame| frame.map_err(BoxError::from)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
