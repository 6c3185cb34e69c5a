//! What happens after the commit: which jobs an event causes, and who does each kind of job.
//!
//! A feature says both for itself; this is where they meet.

use std::sync::Arc;

use chatwarden_jobs::outbox::{Routing, Stored};
use chatwarden_jobs::{NewJob, Registry, Schedule};

use crate::Store;

/// Turns events into jobs.
#[derive(Debug, Clone, Copy, Default)]
pub struct EventRouting;

impl Routing for EventRouting {
    fn jobs_for(&self, stored: &Stored) -> Vec<NewJob> {
        let _ = stored;
        Vec::new()
    }
}

/// The handlers of all kinds of jobs.
pub fn registry(store: &Store) -> Registry {
    let _ = store;
    Registry::new()
}

/// The jobs that come by themselves.
pub static SCHEDULES: &[Schedule] = &[];

/// The routing, shared.
pub fn routing() -> Arc<dyn Routing> {
    Arc::new(EventRouting)
}
