//! The meters of the connections, or of the threads that have them, and of what is done on them (operations.md §2.2).

use std::sync::OnceLock;
use std::time::Duration;

use metrics::{Histogram, counter, histogram};

/// The one pool there is.
const POOL: &str = "rw";

/// Somebody got a connection, or a thread took their closure, after having waited so long.
pub(crate) fn acquired(waited: Duration) {
    static TIMER: OnceLock<Histogram> = OnceLock::new();
    TIMER.get_or_init(|| histogram!("db.pool.acquire", "pool" => POOL)).record(waited);
}

/// A connection was kept so long, or a thread was at work.
pub(crate) fn used(kept: Duration) {
    static TIMER: OnceLock<Histogram> = OnceLock::new();
    TIMER.get_or_init(|| histogram!("db.pool.usage", "pool" => POOL)).record(kept);
}

/// Somebody got none in time.
pub(crate) fn timed_out() {
    counter!("db.pool.timeouts", "pool" => POOL).increment(1);
}

/// A connection was made.
pub(crate) fn created() {
    counter!("db.pool.created", "pool" => POOL).increment(1);
}

/// What a transaction may do.
#[derive(Clone, Copy)]
pub(crate) enum Mode {
    Read,
    Write,
}

/// A transaction ended after so long.
pub(crate) fn ended(mode: Mode, committed: bool, took: Duration) {
    static TIMERS: [OnceLock<Histogram>; 4] = [const { OnceLock::new() }; 4];
    let (timer, mode, outcome) = match (mode, committed) {
        (Mode::Read, true) => (0, "read", "committed"),
        (Mode::Read, false) => (1, "read", "undone"),
        (Mode::Write, true) => (2, "write", "committed"),
        (Mode::Write, false) => (3, "write", "undone"),
    };
    if let Some(timer) = TIMERS.get(timer) {
        let timer = timer
            .get_or_init(|| histogram!("db.transaction", "mode" => mode, "outcome" => outcome));
        timer.record(took);
    }
}
