//! What wakes the loops of this process before they would look by themselves.

use tokio::sync::Notify;

/// Wakes the workers and the relay of this process: something was committed for them.
#[derive(Debug, Clone, Copy)]
pub struct Wake;

pub(super) static JOBS: Notify = Notify::const_new();
pub(super) static OUTBOX: Notify = Notify::const_new();

impl Wake {
    /// There may be a new job.
    pub fn all() {
        // Every queue's loop asks for its notice before it looks, so none misses this.
        JOBS.notify_waiters();
    }

    /// There may be a new entry in the outbox.
    pub fn relay() {
        OUTBOX.notify_one();
    }
}
