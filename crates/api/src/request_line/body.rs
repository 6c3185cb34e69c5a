//! Bodies that are counted as they pass.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::Exchange;

type Polled = Poll<Option<Result<Frame<Bytes>, axum::Error>>>;

fn length(frame: &Frame<Bytes>) -> u64 {
    frame.data_ref().map_or(0, |data| u64::try_from(data.len()).unwrap_or(u64::MAX))
}

/// The body of a request whose length its head doesn't tell.
pub(super) struct Received {
    body: Body,
    count: Arc<AtomicU64>,
}

impl Received {
    pub(super) fn new(body: Body, count: Arc<AtomicU64>) -> Self {
        Self { body, count }
    }
}

impl HttpBody for Received {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Polled {
        let polled = ready!(Pin::new(&mut self.body).poll_frame(context));
        if let Some(Ok(frame)) = &polled {
            self.count.fetch_add(length(frame), Ordering::Relaxed);
        }
        Poll::Ready(polled)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The body of a response. Its exchange ends with it.
pub(super) struct Counted {
    body: Body,
    exchange: Option<Exchange>,
}

impl Counted {
    pub(super) fn new(body: Body, exchange: Exchange) -> Self {
        Self { body, exchange: Some(exchange) }
    }

    fn end(&mut self, error: Option<&'static str>) {
        if let Some(mut exchange) = self.exchange.take() {
            exchange.error = error.or(exchange.error);
        }
    }
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Polled {
        let polled = ready!(Pin::new(&mut self.body).poll_frame(context));
        match &polled {
            Some(Ok(frame)) => {
                if let Some(exchange) = &mut self.exchange {
                    exchange.sent = exchange.sent.saturating_add(length(frame));
                }
            }
            Some(Err(_)) => self.end(Some("body_failed")),
            None => self.end(None),
        }
        Poll::Ready(polled)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        // A body that says that it has no more is not asked again.
        let owed = self.exchange.as_ref().is_some_and(Exchange::has_body);
        let cut = owed && !self.body.is_end_stream();
        self.end(cut.then_some("client_gone"));
    }
}
