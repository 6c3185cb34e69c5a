//! What is left of a request's body when its answer is ready.
//!
//! hyper gives a connection up without a word when it has answered before the whole body came, and
//! the next request on it fails: a client that keeps its connections sees a refusal, and then an
//! error. So what is under way is read before the answer goes out; where that is much or slow, the
//! answer says that the connection ends.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use parking_lot::Mutex;

/// How much of a body is read only to get to its end.
const MUCH: u64 = 64 * 1024;

/// How long an answer waits for that.
const SLOW: Duration = Duration::from_secs(1);

/// Where a body comes back to when nobody reads on.
#[derive(Default)]
pub(super) struct Rest(Arc<Mutex<Option<Incoming>>>);

/// A body that comes back.
struct Lent {
    body: Option<Incoming>,
    rest: Arc<Mutex<Option<Incoming>>>,
}

/// A body for a handler, and where what it leaves will be.
pub(super) fn lend(body: Incoming) -> (Body, Rest) {
    let rest = Rest::default();
    if body.is_end_stream() {
        return (Body::new(body), rest);
    }
    let lent = Lent { body: Some(body), rest: rest.0.clone() };
    (Body::new(lent), rest)
}

impl Rest {
    /// Reads what was left; whether that was all.
    pub(super) async fn read(self) -> bool {
        let Some(mut body) = self.0.lock().take() else { return true };
        let mut left = MUCH;
        let read = async {
            while left >= body.size_hint().lower() {
                match body.frame().await {
                    Some(Ok(frame)) => {
                        let length = frame.data_ref().map_or(0, Bytes::len);
                        left = left.saturating_sub(u64::try_from(length).unwrap_or(u64::MAX));
                    }
                    Some(Err(_)) => return false,
                    None => return true,
                }
            }
            false
        };
        tokio::time::timeout(SLOW, read).await.unwrap_or(false)
    }

    /// Whether nothing was left.
    pub(super) fn is_empty(&self) -> bool {
        self.0.lock().is_none()
    }
}

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut self.body {
            Some(body) => Pin::new(body).poll_frame(context),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Incoming::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map(Incoming::size_hint).unwrap_or_default()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(body) = self.body.take().filter(|body| !body.is_end_stream()) {
            *self.rest.lock() = Some(body);
        }
    }
}
