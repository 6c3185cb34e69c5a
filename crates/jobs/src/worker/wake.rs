//! What wakes the loops of this process before they would look by themselves.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use parking_lot::Mutex;
use tokio::sync::Notify;

/// Wakes the workers and the relay of this process: something was committed for them.
#[derive(Debug, Clone, Copy)]
pub struct Wake;

/// What the workers of each queue wait for: a queue's jobs are no news to the others'.
static QUEUES: LazyLock<Mutex<HashMap<&'static str, Arc<Notify>>>> = LazyLock::new(Mutex::default);
pub(super) static OUTBOX: Notify = Notify::const_new();

/// What the workers of a queue wait for.
pub(super) fn of(queue: &'static str) -> Arc<Notify> {
    QUEUES.lock().entry(queue).or_default().clone()
}

impl Wake {
    /// There may be a new job in any queue.
    pub fn all() {
        // Every queue's loop asks for its notice before it looks, so none misses this.
        for queue in QUEUES.lock().values() {
            queue.notify_waiters();
        }
    }

    /// There may be a new job in this queue.
    pub fn queue(queue: &'static str) {
        if let Some(queue) = QUEUES.lock().get(queue) {
            queue.notify_waiters();
        }
    }

    /// There may be a new entry in the outbox.
    pub fn relay() {
        OUTBOX.notify_one();
    }
}
