//! One job, done: from the lease to its end.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use chatwarden_db::{Ambient, DbError, Statement, Value, args};
use futures::FutureExt as _;
use tracing::Instrument as _;

use super::running::Lease;
use super::{Job, JobError, Worker, after};
use crate::queue::sql::{self, Claimed};
use crate::{passes, schedules, trace};

/// How often the end of a job is tried to be written, while the database is away.
const ENDINGS: u32 = 20;

/// How long to wait before attempt `attempt + 1`: 3 s, doubled each time up to an hour, a quarter of it by chance.
fn back_off(ambient: &Ambient, attempt: i64) -> Duration {
    let doublings = u32::try_from(attempt.clamp(1, 12)).unwrap_or(1) - 1;
    let base = Duration::from_secs(3)
        .saturating_mul(2_u32.saturating_pow(doublings))
        .min(Duration::from_secs(3600));
    let [chance] = ambient.bytes::<1>();
    base.mul_f64(0.75 + 0.5 * f64::from(chance) / 255.0)
}

/// How a run ended.
pub(super) enum Ending {
    Done,
    Again(Duration, String),
    Dead(String),
    /// Somebody else has it now.
    Lost,
}

impl Ending {
    pub(super) fn label(&self) -> &'static str {
        match self {
            Self::Done => "success",
            Self::Again(..) => "retry",
            Self::Dead(_) => "dead",
            Self::Lost => "lost",
        }
    }
}

impl Worker {
    /// Does one job and says how it ended, as long as it is still ours.
    pub(super) async fn perform(&self, lease: Lease) {
        let job = &lease.job;
        let span = tracing::info_span!(
            "process",
            otel.kind = "consumer",
            messaging.destination.name = job.queue,
            messaging.message.id = job.id.0,
            job.name = job.kind,
            job.attempt = job.attempts,
            tenant.id = job.account_id,
            trace_id = job.trace_id,
        );
        trace::caused_by(job.trace_id.clone(), self.run(&lease)).instrument(span).await;
    }

    async fn run(&self, lease: &Lease) {
        let began = Instant::now();
        let job = &lease.job;
        let (queue, kind) = (job.queue.clone(), job.kind.clone());
        let waited = self.0.db.ambient().now().micros().saturating_sub(job.run_at.micros());
        metrics::histogram!("jobs.wait", "queue" => queue.clone(), "job" => kind.clone())
            .record(Duration::from_micros(u64::try_from(waited).unwrap_or(0)));
        let finished = Arc::new(AtomicBool::new(false));
        let mut ending = self.attempt(lease, finished.clone()).await;
        let finished = finished.load(Ordering::Relaxed);
        if finished {
            // Whatever came after the commit, it is done.
            ending = Ending::Done;
        }
        let label = ending.label();
        tracing::debug!(job = job.id.0, kind, outcome = label, "a job ended");
        if !finished && let Err(error) = self.conclude(job, ending).await {
            // Its lease will run out and it will be done again: handlers bear that.
            tracing::warn!(%error, job = job.id.0, kind, "the end of a job can't be written");
        }
        let took = began.elapsed();
        if let Some(task) = job.unique_key.as_deref().and_then(schedules::named_by) {
            metrics::histogram!("tasks.scheduled.execution", "task" => task.to_owned(), "outcome" => label)
                .record(took);
            if label == "success" {
                #[expect(clippy::cast_precision_loss, reason = "whole seconds of this era")]
                metrics::gauge!("tasks.scheduled.last.success", "task" => task.to_owned())
                    .set(self.0.db.ambient().now().unix() as f64);
            }
        }
        metrics::histogram!("jobs.execution", "queue" => queue, "job" => kind, "outcome" => label)
            .record(took);
    }

    /// Has the handler try.
    async fn attempt(&self, lease: &Lease, finished: Arc<AtomicBool>) -> Ending {
        let Claimed { id, account_id, attempts, max_attempts, trace_id, kind, .. } = &lease.job;
        let (attempt, last) = (*attempts, attempts >= max_attempts);
        let Some(handler) = self.0.registry.get(kind) else {
            let error = format!("no handler for {kind}: another version may have one");
            return self.failed(JobError::Retry(error), attempt, last);
        };
        let job = Job {
            id: *id,
            account_id: *account_id,
            attempt,
            payload: lease.job.payload.0.clone(),
            trace_id: trace_id.clone(),
            holder: self.0.holder.clone(),
            finished,
        };
        // A handler may panic before it gives a future at all.
        let work = AssertUnwindSafe(async { handler(job).await }).catch_unwind();
        let work = tokio::time::timeout(self.0.limits.run, work);
        let outcome = tokio::select! {
            outcome = work => outcome,
            // Somebody else has it now; what is half done here must not go on.
            () = lease.lost.cancelled() => return Ending::Lost,
        };
        match outcome {
            Ok(Ok(Ok(()))) => Ending::Done,
            Ok(Ok(Err(error))) => self.failed(error, attempt, last),
            Ok(Err(_)) => {
                self.failed(JobError::Retry("the handler panicked".to_owned()), attempt, last)
            }
            Err(_) => self.failed(JobError::Retry("it took too long".to_owned()), attempt, last),
        }
    }

    /// What follows from a failure.
    fn failed(&self, error: JobError, attempt: i64, last: bool) -> Ending {
        match error {
            JobError::Fail(error) => Ending::Dead(error),
            JobError::Retry(error) | JobError::RetryAfter(_, error) if last => Ending::Dead(error),
            JobError::Retry(error) => Ending::Again(back_off(self.0.db.ambient(), attempt), error),
            JobError::RetryAfter(wait, error) => Ending::Again(wait, error),
        }
    }

    /// Tells how a job ended and writes it, unless it is somebody else's by now. While the database is
    /// away it is tried again: better a worker that waits than a job that is done twice.
    pub(super) async fn conclude(&self, job: &Claimed, ending: Ending) -> Result<(), DbError> {
        let (id, kind, attempt) = (job.id.0, &job.kind, job.attempts);
        match &ending {
            Ending::Done => {}
            Ending::Again(_, error) => {
                tracing::info!(job = id, kind, attempt, error, "a job will be tried again");
                metrics::counter!("jobs.retries", "queue" => job.queue.clone(), "job" => kind.clone())
                    .increment(1);
            }
            Ending::Dead(error) => {
                tracing::error!(job = id, kind, attempt, error, "a job is dead");
                metrics::counter!("jobs.dead", "queue" => job.queue.clone(), "job" => kind.clone())
                    .increment(1);
            }
            Ending::Lost if self.0.giving_back.load(Ordering::Relaxed) => return Ok(()),
            Ending::Lost => {
                lost(job);
                return Ok(());
            }
        }
        let mut tries = 0;
        loop {
            match self.write(job, &ending).await {
                Ok(true) => return Ok(()),
                Ok(false) => {
                    lost(job);
                    return Ok(());
                }
                Err(error) if passes(&error) && tries < ENDINGS => {
                    tries += 1;
                    tokio::time::sleep(self.0.limits.poll / 2).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Writes how a job ended; whether it was still ours.
    async fn write(&self, job: &Claimed, ending: &Ending) -> Result<bool, DbError> {
        let (id, holder, attempt) = (job.id, self.0.holder.clone(), job.attempts);
        let now = self.0.db.ambient().now();
        let (statement, args): (&'static Statement<()>, Vec<Value>) = match ending {
            Ending::Done | Ending::Lost => (&sql::FINISH, args![id, holder, attempt].to_vec()),
            Ending::Again(wait, error) => {
                let at = after(self.0.db.ambient(), *wait);
                (&sql::RETRY, args![id, holder, attempt, at, kept(error), now].to_vec())
            }
            Ending::Dead(error) => {
                (&sql::BURY, args![id, holder, attempt, kept(error), now].to_vec())
            }
        };
        self.0
            .db
            .write(async move |tx| tx.run(statement, args).await)
            .await
            .map(|changed| changed > 0)
    }
}

/// Counts a job that is somebody else's by now.
fn lost(job: &Claimed) {
    tracing::warn!(
        job = job.id.0,
        kind = job.kind,
        attempt = job.attempts,
        "a job's lease was lost"
    );
    metrics::counter!("jobs.lease.lost", "queue" => job.queue.clone(), "job" => job.kind.clone())
        .increment(1);
}

/// As much of an error as is kept, without what the database can't store.
fn kept(error: &str) -> String {
    error.chars().filter(|c| *c != '\0').take(2000).collect()
}
