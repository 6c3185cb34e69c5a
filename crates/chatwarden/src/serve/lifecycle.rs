//! The two-stage drain: what happens, in which order, and how long each step may take.

use std::pin::Pin;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;

use super::connection::Connections;

/// Requests that are under way get this long (operations.md §3.5).
const REQUESTS: Duration = Duration::from_secs(15);

/// Part of the whole drain that is kept for flushing, at most.
const FLUSH: Duration = Duration::from_secs(3);

type Hook = Box<dyn FnOnce() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

/// How a server ends: what starts the drain, what cuts it short, what is done meanwhile.
///
/// The order: `on_drain`; answers say that their connection ends · `delay` · stop accepting, close idle connections · requests under way,
/// `sockets` and `workers` side by side · `flush`. A hook that takes longer than its share is
/// dropped, so each has to be safe to drop at an `await`.
pub struct Lifecycle {
    /// Starts the drain: a signal, or an operator's `POST …/shutdown`.
    pub stop: CancellationToken,
    /// Ends everything at once: a second signal.
    pub abort: CancellationToken,
    delay: Duration,
    timeout: Duration,
    on_drain: Box<dyn FnOnce() + Send>,
    sockets: Hook,
    workers: Hook,
    flush: Hook,
}

/// The server has drained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Connections whose requests were not finished in time and that were cut.
    pub cut: usize,
    /// Whether sockets, workers and flush all finished in time.
    pub complete: bool,
}

/// The server was told to stop without draining.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("stopped without draining")]
pub struct Aborted;

impl Lifecycle {
    /// A lifecycle without hooks. `delay` (`DRAIN_DELAY`) is part of `timeout` (`DRAIN_TIMEOUT`).
    #[must_use]
    pub fn new(delay: Duration, timeout: Duration) -> Self {
        let nothing = || -> Hook { Box::new(|| Box::pin(std::future::ready(()))) };
        Self {
            stop: CancellationToken::new(),
            abort: CancellationToken::new(),
            delay,
            timeout,
            on_drain: Box::new(|| ()),
            sockets: nothing(),
            workers: nothing(),
            flush: nothing(),
        }
    }

    /// First thing of the drain: tell the world that this node takes no new work.
    #[must_use]
    pub fn on_drain(mut self, hook: impl FnOnce() + Send + 'static) -> Self {
        self.on_drain = Box::new(hook);
        self
    }

    /// Says good-bye to the WebSockets and waits for them.
    #[must_use]
    pub fn sockets<F>(mut self, hook: impl FnOnce() -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.sockets = Box::new(|| Box::pin(hook()));
        self
    }

    /// Lets workers finish or give back what they hold, and the relay its batch.
    #[must_use]
    pub fn workers<F>(mut self, hook: impl FnOnce() -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.workers = Box::new(|| Box::pin(hook()));
        self
    }

    /// Last thing: flush audit, traces and logs, close pools.
    #[must_use]
    pub fn flush<F>(mut self, hook: impl FnOnce() -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.flush = Box::new(|| Box::pin(hook()));
        self
    }

    /// Goes through the drain; `close` stops accepting and hands over the connections.
    pub(super) async fn drain(self, close: impl AsyncFnOnce() -> Connections) -> Drained {
        let deadline = Instant::now() + self.timeout;
        let before_flush = deadline - FLUSH.min(self.timeout / 5);
        tracing::info!(delay = ?self.delay, timeout = ?self.timeout, "draining");
        (self.on_drain)();
        sleep(self.delay).await;
        let connections = close().await;
        let requests = before_flush.min(Instant::now() + REQUESTS);
        let (_, sockets, workers) = tokio::join!(
            timeout_at(requests, connections.finished()),
            timeout_at(before_flush, (self.sockets)()),
            timeout_at(before_flush, (self.workers)()),
        );
        let cut = connections.cut().await;
        let flush = timeout_at(deadline, (self.flush)()).await;
        let complete = sockets.is_ok() && workers.is_ok() && flush.is_ok();
        if cut > 0 || !complete {
            tracing::warn!(
                connections = cut,
                sockets = sockets.is_ok(),
                workers = workers.is_ok(),
                flush = flush.is_ok(),
                "the drain ran out of time"
            );
        }
        Drained { cut, complete }
    }
}
