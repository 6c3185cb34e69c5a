//! What a request asked of the database: counted by the seam, read by the request line.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Statements, rows and time of one request or job.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Statements run.
    pub statements: u64,
    /// Rows fetched or changed.
    pub rows: u64,
    /// Time in the database, microseconds (waiting in its queue included).
    pub micros: u64,
    /// How much of it was waiting for a connection or a thread, microseconds.
    pub queued: u64,
}

impl Usage {
    /// This, by a transaction that waited so long for its connection or its thread.
    pub(crate) fn after(self, queued: Duration) -> Self {
        Self { queued: u64::try_from(queued.as_micros()).unwrap_or(u64::MAX), ..self }
    }
}

/// Collects the usage of everything that runs within [`usage_scope`].
#[derive(Debug, Default, Clone)]
pub struct UsageScope(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    statements: AtomicU64,
    rows: AtomicU64,
    micros: AtomicU64,
    queued: AtomicU64,
}

/// A scope and those around it.
#[derive(Debug)]
struct Entered {
    scope: UsageScope,
    around: Option<Arc<Entered>>,
}

tokio::task_local! {
    static CURRENT: Arc<Entered>;
}

impl UsageScope {
    /// What was used so far.
    pub fn usage(&self) -> Usage {
        Usage {
            statements: self.0.statements.load(Relaxed),
            rows: self.0.rows.load(Relaxed),
            micros: self.0.micros.load(Relaxed),
            queued: self.0.queued.load(Relaxed),
        }
    }
}

/// Runs `future`; what it asks of the database is added to `scope`, and to the scopes that this one is in.
pub async fn usage_scope<F: Future>(scope: UsageScope, future: F) -> F::Output {
    let around = CURRENT.try_with(Arc::clone).ok();
    CURRENT.scope(Arc::new(Entered { scope, around }), future).await
}

pub(crate) fn record(usage: Usage) {
    let _ = CURRENT.try_with(|innermost| {
        let around = std::iter::successors(Some(innermost), |entered| entered.around.as_ref());
        for counters in around.map(|entered| &entered.scope.0) {
            counters.statements.fetch_add(usage.statements, Relaxed);
            counters.rows.fetch_add(usage.rows, Relaxed);
            counters.micros.fetch_add(usage.micros, Relaxed);
            counters.queued.fetch_add(usage.queued, Relaxed);
        }
    });
}
