//! What happens after the commit: which jobs an event causes, and who does each kind of job.
//!
//! A feature says both for itself; this is where they meet.

use std::sync::Arc;

use chatwarden_jobs::outbox::{Routing, Stored};
use chatwarden_jobs::{Job, NewJob, Registry, Schedule};

use crate::accounts::purge;
use crate::contacts::removal;
use crate::outside::Outside;
use crate::storage::{owner, purge as files};
use crate::users::asked;
use crate::{Store, assignment, bulk_actions, conversations, inboxes, labels, mail, notifications};

/// Turns events into jobs.
struct EventRouting;

impl Routing for EventRouting {
    fn jobs_for(&self, stored: &Stored) -> Vec<NewJob> {
        notifications::jobs_for(stored).into_iter().chain(assignment::jobs_for(stored)).collect()
    }
}

/// Which jobs an event causes.
pub fn routing() -> Arc<dyn Routing> {
    Arc::new(EventRouting)
}

/// A handler that works on the store.
fn on<F: Fn(Store, Job) -> R, R>(store: &Store, run: F) -> impl Fn(Job) -> R + use<F, R> {
    let store = store.clone();
    move |job| run(store.clone(), job)
}

/// A handler that works on the store and on what is outside.
fn beyond<F: Fn(Store, Outside, Job) -> R, R>(
    store: &Store,
    outside: &Outside,
    run: F,
) -> impl Fn(Job) -> R + use<F, R> {
    let (store, outside) = (store.clone(), outside.clone());
    move |job| run(store.clone(), outside.clone(), job)
}

/// The handlers of all kinds of jobs.
pub fn registry(store: &Store, outside: &Outside) -> Registry {
    let registry = Registry::new()
        .on(purge::JOB, on(store, purge::run))
        .on(conversations::REOPEN, on(store, conversations::reopen))
        .on(conversations::counts::FOLD, on(store, conversations::counts::fold))
        .on(conversations::counts::VERIFY, on(store, conversations::counts::verify))
        .on(conversations::PURGE, on(store, conversations::purge))
        .on(conversations::RELEASE, on(store, conversations::release::run))
        .on(assignment::JOB, on(store, assignment::run))
        .on(assignment::SWEEP, on(store, assignment::sweep))
        .on(inboxes::purge::JOB, on(store, inboxes::purge::run))
        .on(bulk_actions::JOB, on(store, bulk_actions::run))
        .on(removal::JOB, on(store, removal::purge))
        .on(labels::JOB, on(store, labels::retag))
        .on(notifications::JOB, on(store, notifications::dispatch))
        .on(asked::JOB, on(store, asked::send))
        .on(owner::FETCH, beyond(store, outside, owner::run_fetch))
        .on(files::PURGE, beyond(store, outside, files::purge))
        .on(files::SWEEP, beyond(store, outside, files::sweep));
    let registry = notifications::upkeep(registry, store);
    mail::delivery(registry, store, outside)
}

/// The jobs that come by themselves.
pub static SCHEDULES: &[Schedule] = &[
    assignment::HOURLY,
    conversations::counts::FOLDS,
    conversations::counts::VERIFIES,
    conversations::SNOOZES,
    files::SCHEDULE,
    notifications::PRUNING,
    notifications::WAKING,
];
