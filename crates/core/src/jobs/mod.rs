//! What happens after the commit: which jobs an event causes, and who does each kind of job.
//!
//! A feature says both for itself; this is where they meet.

use std::sync::Arc;

use chatwarden_jobs::outbox::{Routing, Stored};
use chatwarden_jobs::{NewJob, Registry, Schedule};

use crate::accounts::purge;
use crate::outside::Outside;
use crate::storage::purge as files;
use crate::{Store, labels, mail, notifications};

/// Turns events into jobs.
struct EventRouting;

impl Routing for EventRouting {
    fn jobs_for(&self, stored: &Stored) -> Vec<NewJob> {
        notifications::jobs_for(stored).into_iter().collect()
    }
}

/// Which jobs an event causes.
pub fn routing() -> Arc<dyn Routing> {
    Arc::new(EventRouting)
}

/// The handlers of all kinds of jobs.
pub fn registry(store: &Store, outside: &Outside) -> Registry {
    let (of_accounts, of_labels, of_notifications) = (store.clone(), store.clone(), store.clone());
    let with_outside = || (store.clone(), outside.clone());
    let (purging, sweeping) = (with_outside(), with_outside());
    let registry = Registry::new()
        .on(purge::JOB, move |job| purge::run(of_accounts.clone(), job))
        .on(labels::JOB, move |job| labels::retag(of_labels.clone(), job))
        .on(notifications::JOB, move |job| notifications::dispatch(of_notifications.clone(), job))
        .on(files::PURGE, move |job| files::purge(purging.0.clone(), purging.1.clone(), job))
        .on(files::SWEEP, move |job| files::sweep(sweeping.0.clone(), sweeping.1.clone(), job));
    let registry = notifications::upkeep(registry, store);
    mail::delivery(registry, store, outside)
}

/// The jobs that come by themselves.
pub static SCHEDULES: &[Schedule] =
    &[files::SCHEDULE, notifications::WAKING, notifications::PRUNING];
