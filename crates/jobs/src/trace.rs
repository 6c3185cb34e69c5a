//! The trace of a request, carried through what it causes: events, their jobs, and what those cause.
//!
//! A task says once what it works for ([`caused_by`]); [`current`] tells it. On SQLite a transaction's
//! body runs on the writer's thread, where the task is not known: whoever ships it takes `current()`
//! along and hands it in with [`carry`].

use chatwarden_db::{Buffered, WriteTx};

tokio::task_local! {
    static CAUSE: Option<String>;
}

/// The trace that a transaction works for. It is said once and holds for the whole of it.
#[derive(Debug, Default)]
struct Cause(Option<String>);

impl Buffered for Cause {
    fn mark(&self) -> usize {
        0
    }
    fn rewind(&mut self, _: usize) {}
}

/// Runs `future`; what it emits and enqueues is laid to `trace_id` (32 hexadecimal digits).
pub async fn caused_by<F: Future>(trace_id: Option<String>, future: F) -> F::Output {
    CAUSE.scope(trace_id, future).await
}

/// The trace this task works for.
pub fn current() -> Option<String> {
    CAUSE.try_with(Clone::clone).ok().flatten()
}

/// Says which trace a transaction works for: the first thing in its body.
pub fn carry(tx: &mut WriteTx<'_>, trace_id: Option<String>) {
    tx.local::<Cause>().0 = trace_id;
}

/// The trace a transaction works for.
pub(crate) fn of(tx: &mut WriteTx<'_>) -> Option<String> {
    tx.local::<Cause>().0.clone().or_else(current)
}
