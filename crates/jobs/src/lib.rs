//! Durable jobs, schedules and the outbox relay, on the database.
//!
//! A job exists exactly when the change that caused it does: it is a row of the same transaction, or
//! of the relay's that turns an event into jobs. It is run at least once: a worker leases it, keeps the
//! lease alive, and finishes it only while it still holds it. This crate does not know what any job
//! does.
//!
//! | what fails | what happens |
//! |---|---|
//! | the handler, with [`JobError::Retry`] | again, later each time, until `max_attempts`; then it is dead |
//! | the handler, with [`JobError::Fail`] | it is dead at once |
//! | the handler, by running on for ever | it is given up after [`Limits::run`] and counts as failed |
//! | the worker's process | its leases run out; the jobs are ready again, or dead after `max_attempts` |
//! | the database, while a job runs | the worker lets go of the job when its lease ran out unrenewed |
//! | the relay, between commit and job | the event is still marked as waiting; the next relay takes it |
//! | the leader | its lease runs out; another node fires schedules and prunes |

pub mod leases;
pub mod outbox;
pub mod queue;
pub mod schedules;
#[cfg(test)]
mod testing;
pub mod trace;
mod worker;

pub use queue::{Dead, JobId, NewJob, dead, discard, enqueue, enqueue_all, retry_dead};
pub use schedules::{Every, Schedule};
pub use worker::{Handler, Job, JobError, Limits, Registry, Wake, Worker};

/// Every statement of this crate, for the checks that walk them all.
pub fn statements() -> Vec<&'static chatwarden_db::AnyStatement> {
    [leases::STATEMENTS, outbox::sql::STATEMENTS, queue::sql::STATEMENTS, schedules::STATEMENTS]
        .concat()
}

/// Whether a failure passes by itself: the database is away or busy.
fn passes(error: &chatwarden_db::DbError) -> bool {
    use chatwarden_db::ErrorKind;
    matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Timeout)
}
