//! The meters of the connections, or of the threads that have them (operations.md §2.2).

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
