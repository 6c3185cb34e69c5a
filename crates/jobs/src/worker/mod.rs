//! Workers: who does the jobs.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chatwarden_db::{Ambient, Db, DbError, Timestamp, args};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::outbox::{Relay, Stored};
use crate::queue::{JobId, sql};
use crate::schedules::{self, Schedule};

/// Why a job was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JobError {
    /// It may work later.
    #[error("{0}")]
    Retry(String),
    /// It never will.
    #[error("{0}")]
    Fail(String),
}

impl From<DbError> for JobError {
    fn from(error: DbError) -> Self {
        Self::Retry(error.to_string())
    }
}

/// A job as its handler sees it. Handlers must bear being run twice for one job.
#[derive(Debug, Clone)]
pub struct Job {
    /// The job; the same in every attempt.
    pub id: JobId,
    /// The tenant it was stored with; 0 for none.
    pub account_id: i64,
    /// Which try this is, from 1.
    pub attempt: i64,
    /// What it needs.
    pub payload: Value,
    /// The trace of the request that caused it.
    pub trace_id: Option<String>,
}

/// Does one kind of job.
pub type Handler = Arc<dyn Fn(Job) -> BoxFuture<'static, Result<(), JobError>> + Send + Sync>;

/// The handlers by kind.
#[derive(Clone, Default)]
pub struct Registry(HashMap<&'static str, Handler>);

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Registry {
    /// No handlers yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// With a handler for `kind`.
    #[must_use]
    pub fn on<F, R>(mut self, kind: &'static str, handler: F) -> Self
    where
        F: Fn(Job) -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), JobError>> + Send + 'static,
    {
        self.0.insert(kind, Arc::new(move |job| handler(job).boxed()));
        self
    }
}

/// Wakes the workers and the relay of this process: something was committed for them.
#[derive(Debug, Clone, Copy)]
pub struct Wake;

static JOBS: Notify = Notify::const_new();
static OUTBOX: Notify = Notify::const_new();

impl Wake {
    /// There may be a new job.
    pub fn all() {
        JOBS.notify_waiters();
        JOBS.notify_one();
    }

    /// There may be a new entry in the outbox.
    pub fn relay() {
        OUTBOX.notify_one();
    }
}

/// How much a worker does at once, and how long it holds a job.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Queues and how many of their jobs run at once.
    pub queues: Vec<(&'static str, usize)>,
    /// A job that was not heard of for so long is somebody else's.
    pub lease: Duration,
    /// How often to look without being woken.
    pub poll: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            queues: vec![(crate::queue::DEFAULT_QUEUE, 8), ("mail", 4), ("bulk", 2)],
            lease: Duration::from_secs(30),
            poll: Duration::from_secs(1),
        }
    }
}

/// How often old outbox entries are removed.
const PRUNE_SECONDS: i64 = 30;

/// Takes events off the outbox and jobs off the queues, on one node.
#[derive(Clone)]
pub struct Worker(Arc<Inner>);

struct Inner {
    db: Db,
    registry: Registry,
    relay: Relay,
    schedules: &'static [Schedule],
    limits: Limits,
    /// Names this worker among all: what it holds is told by it.
    holder: String,
    running: Mutex<HashMap<JobId, CancellationToken>>,
    republish: Box<dyn Fn(Vec<Stored>) + Send + Sync>,
    /// When old outbox entries are removed next.
    prune_at: Mutex<Timestamp>,
}

/// Times come from the clock of the database's surroundings, so that tests own them.
fn after(ambient: &Ambient, by: Duration) -> Timestamp {
    ambient.now().plus_micros(i64::try_from(by.as_micros()).unwrap_or(i64::MAX))
}

/// How long to wait before attempt `attempt + 1`: 3 s, doubled each time up to an hour, a quarter of it by chance.
fn back_off(ambient: &Ambient, attempt: i64) -> Duration {
    let doublings = u32::try_from(attempt.clamp(1, 12)).unwrap_or(1) - 1;
    let base = Duration::from_secs(3)
        .saturating_mul(2_u32.saturating_pow(doublings))
        .min(Duration::from_secs(3600));
    let [chance] = ambient.bytes::<1>();
    base.mul_f64(0.75 + 0.5 * f64::from(chance) / 255.0)
}

impl Worker {
    /// A worker; `holder` names it among all that ever were. `republish` gets what a crash left unpublished.
    pub fn new(
        db: Db,
        registry: Registry,
        relay: Relay,
        schedules: &'static [Schedule],
        limits: Limits,
        holder: String,
        republish: impl Fn(Vec<Stored>) + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(Inner {
            db,
            registry,
            relay,
            schedules,
            limits,
            holder,
            running: Mutex::default(),
            republish: Box::new(republish),
            prune_at: Mutex::default(),
        }))
    }

    /// Starts the loops on `tasks`; they end with `stop`. Jobs that run then may finish: wait for the
    /// tracker, and call [`Worker::give_back`] for those that do not.
    pub fn start(&self, tasks: &TaskTracker, stop: &CancellationToken) {
        for (queue, concurrency) in self.0.limits.queues.clone() {
            let (worker, tasks_of_jobs) = (self.clone(), tasks.clone());
            let slots = Arc::new(Semaphore::new(concurrency));
            let stop_queue = stop.clone();
            tasks.spawn(async move { worker.work(queue, slots, tasks_of_jobs, stop_queue).await });
        }
        let until = |future: BoxFuture<'static, ()>| stop.clone().run_until_cancelled_owned(future);
        tasks.spawn(until(self.clone().relay_loop().boxed()));
        tasks.spawn(until(self.clone().upkeep().boxed()));
        // The heartbeat goes on through the drain: running jobs are still ours.
        let (worker, stop_beat) = (self.clone(), stop.clone());
        tasks.spawn(async move { worker.heartbeat(stop_beat).await });
    }

    /// Claims and starts jobs of a queue until told to stop.
    async fn work(
        self,
        queue: &'static str,
        slots: Arc<Semaphore>,
        tasks: TaskTracker,
        stop: CancellationToken,
    ) {
        loop {
            let free = tokio::select! {
                () = stop.cancelled() => return,
                permit = slots.clone().acquire_owned() => permit,
            };
            let Ok(first) = free else { return };
            let wanted = 1 + slots.available_permits();
            let woken = JOBS.notified();
            let claimed = match self.claim(queue, wanted).await {
                Ok(claimed) => claimed,
                Err(error) => {
                    tracing::warn!(%error, queue, "jobs can't be claimed");
                    Vec::new()
                }
            };
            if claimed.is_empty() {
                drop(first);
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = woken => {}
                    () = tokio::time::sleep(self.0.limits.poll) => {}
                }
                continue;
            }
            let mut permit = Some(first);
            for job in claimed {
                let permit = match permit.take() {
                    Some(permit) => permit,
                    None => match slots.clone().acquire_owned().await {
                        Ok(permit) => permit,
                        Err(_) => return,
                    },
                };
                let worker = self.clone();
                tasks.spawn(async move {
                    worker.perform(job).await;
                    drop(permit);
                });
            }
        }
    }

    async fn claim(&self, queue: &'static str, limit: usize) -> Result<Vec<sql::Claimed>, DbError> {
        let until = after(self.0.db.ambient(), self.0.limits.lease);
        let holder = self.0.holder.clone();
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let claimed = self
            .0
            .db
            .write(async move |tx| {
                let now = tx.now();
                tx.all(&sql::CLAIM, args![queue, now, holder, until, limit]).await
            })
            .await?;
        let mut running = self.0.running.lock();
        for job in &claimed {
            running.insert(job.id, CancellationToken::new());
        }
        Ok(claimed)
    }

    /// Does one job and says how it ended, as long as it is still ours.
    async fn perform(&self, claimed: sql::Claimed) {
        let began = std::time::Instant::now();
        let (queue, kind) = (claimed.queue.clone(), claimed.kind.clone());
        let lost = self.0.running.lock().get(&claimed.id).cloned().unwrap_or_default();
        let waited = self.0.db.ambient().now().micros().saturating_sub(claimed.run_at.micros());
        #[expect(clippy::cast_precision_loss, reason = "a wait in seconds")]
        metrics::histogram!("jobs.wait", "queue" => queue.clone(), "job" => kind.clone(), "outcome" => "started")
            .record(waited as f64 / 1e6);
        let outcome = match self.0.registry.0.iter().find(|(known, _)| **known == kind) {
            None => {
                Err(JobError::Retry(format!("no handler for {kind}: another version may have one")))
            }
            Some((_, handler)) => {
                let job = Job {
                    id: claimed.id,
                    account_id: claimed.account_id,
                    attempt: claimed.attempts,
                    payload: claimed.payload.0.clone(),
                    trace_id: claimed.trace_id.clone(),
                };
                // A handler may panic before it gives a future at all.
                let work =
                    std::panic::AssertUnwindSafe(async { handler(job).await }).catch_unwind();
                tokio::select! {
                    done = work => done.unwrap_or_else(|_| Err(JobError::Retry("the handler panicked".to_owned()))),
                    // Somebody else has it now; what is half done here must not go on.
                    () = lost.cancelled() => {
                        metrics::counter!("jobs.lease.lost", "queue" => queue.clone(), "job" => kind.clone()).increment(1);
                        self.0.running.lock().remove(&claimed.id);
                        return;
                    }
                }
            }
        };
        let label = match &outcome {
            Ok(()) => "success",
            Err(JobError::Retry(_)) if claimed.attempts < claimed.max_attempts => "retry",
            Err(_) => "dead",
        };
        if let Err(error) = self.conclude(&claimed, outcome).await {
            // Its lease will run out and it will be done again: handlers bear that.
            tracing::warn!(%error, job = claimed.id.0, kind, "the end of a job can't be written");
        }
        self.0.running.lock().remove(&claimed.id);
        metrics::histogram!("jobs.execution", "queue" => queue, "job" => kind, "outcome" => label)
            .record(began.elapsed().as_secs_f64());
    }

    /// Writes how a job ended; does nothing where it is somebody else's by now.
    async fn conclude(
        &self,
        job: &sql::Claimed,
        outcome: Result<(), JobError>,
    ) -> Result<(), DbError> {
        let (id, holder, attempt) = (job.id, self.0.holder.clone(), job.attempts);
        let last = job.attempts >= job.max_attempts;
        let (queue, kind) = (job.queue.clone(), job.kind.clone());
        let again = after(self.0.db.ambient(), back_off(self.0.db.ambient(), attempt));
        let changed = match outcome {
            Ok(()) => {
                self.0
                    .db
                    .write(async move |tx| tx.run(&sql::FINISH, args![id, holder, attempt]).await)
                    .await?
            }
            Err(JobError::Retry(error)) if !last => {
                metrics::counter!("jobs.retries", "queue" => queue.clone(), "job" => kind.clone())
                    .increment(1);
                tracing::info!(job = id.0, kind, attempt, error, "a job will be tried again");
                self.0
                    .db
                    .write(async move |tx| {
                        let now = tx.now();
                        tx.run(&sql::RETRY, args![id, holder, attempt, again, error, now]).await
                    })
                    .await?
            }
            Err(JobError::Retry(error) | JobError::Fail(error)) => {
                metrics::counter!("jobs.dead", "queue" => queue.clone(), "job" => kind.clone())
                    .increment(1);
                tracing::error!(job = id.0, kind, attempt, error, "a job is dead");
                self.0
                    .db
                    .write(async move |tx| {
                        let now = tx.now();
                        tx.run(&sql::BURY, args![id, holder, attempt, error, now]).await
                    })
                    .await?
            }
        };
        if changed == 0 {
            metrics::counter!("jobs.lease.lost", "queue" => job.queue.clone(), "job" => job.kind.clone()).increment(1);
        }
        Ok(())
    }

    /// Keeps the leases of running jobs alive, and lets go of those that were lost.
    async fn heartbeat(self, stop: CancellationToken) {
        let every = self.0.limits.lease / 3;
        loop {
            tokio::time::sleep(every).await;
            let ours: Vec<JobId> = self.0.running.lock().keys().copied().collect();
            if ours.is_empty() {
                if stop.is_cancelled() {
                    return;
                }
                continue;
            }
            match self.extend(&ours).await {
                Ok(kept) => {
                    let running = self.0.running.lock();
                    for id in ours.iter().filter(|id| !kept.contains(id)) {
                        if let Some(lost) = running.get(id) {
                            lost.cancel();
                        }
                    }
                }
                Err(error) => tracing::warn!(%error, "leases can't be extended"),
            }
        }
    }

    async fn extend(&self, ours: &[JobId]) -> Result<Vec<JobId>, DbError> {
        let until = after(self.0.db.ambient(), self.0.limits.lease);
        let ids: Vec<i64> = ours.iter().map(|id| id.0).collect();
        let holder = self.0.holder.clone();
        let kept = self
            .0
            .db
            .write(async move |tx| tx.all(&sql::EXTEND, args![holder, ids, until]).await)
            .await?;
        Ok(kept.into_iter().map(|(id,)| id).collect())
    }

    /// Turns events into jobs as they come.
    async fn relay_loop(self) {
        loop {
            let woken = OUTBOX.notified();
            match self.relay_turn().await {
                Ok(0) => {
                    tokio::select! {
                        () = woken => {}
                        () = tokio::time::sleep(self.0.limits.poll) => {}
                    }
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(%error, "the outbox can't be read");
                    tokio::time::sleep(self.0.limits.poll).await;
                }
            }
        }
    }

    async fn relay_turn(&self) -> Result<usize, DbError> {
        let (taken, overdue) = self.0.relay.turn().await?;
        if !overdue.is_empty() {
            (self.0.republish)(overdue);
        }
        Ok(taken)
    }

    /// Takes back what dead workers held, fires schedules, prunes the outbox.
    async fn upkeep(self) {
        loop {
            if let Err(error) = self.keep_up().await {
                tracing::warn!(%error, "the upkeep of jobs failed");
            }
            tokio::time::sleep(self.0.limits.poll).await;
        }
    }

    /// One round of the upkeep.
    async fn keep_up(&self) -> Result<(), DbError> {
        let reaped = self
            .0
            .db
            .write(async |tx| {
                let now = tx.now();
                tx.all(&sql::REAP, args![now]).await
            })
            .await?;
        for (id, kind, state) in reaped {
            tracing::warn!(job = id.0, kind, dead = state == 2, "a job's worker went away");
        }
        schedules::tick(&self.0.db, self.0.schedules).await?;
        // Pruning looks at rows by their age: now and then is often enough.
        let now = self.0.db.ambient().now();
        let due = {
            let mut next = self.0.prune_at.lock();
            let due = *next <= now;
            if due {
                *next = now.plus_seconds(PRUNE_SECONDS);
            }
            due
        };
        while due && self.0.relay.prune().await? > 0 {}
        Ok(())
    }

    /// Gives back what this worker still holds, as if it had not tried: for the end of a drain.
    ///
    /// # Errors
    /// What the database says; then the leases run out by themselves.
    pub async fn give_back(&self) -> Result<u64, DbError> {
        let holder = self.0.holder.clone();
        self.0
            .db
            .write(async move |tx| {
                let now = tx.now();
                tx.run(&sql::RELEASE, args![holder, now]).await
            })
            .await
    }

    /// Does, here and now, everything that is due: events, schedules, jobs, and what they cause; how
    /// many jobs were done. For tests, whose clock stands still meanwhile.
    ///
    /// # Errors
    /// What the database says.
    pub async fn settle(&self) -> Result<usize, DbError> {
        let mut done = 0;
        loop {
            self.keep_up().await?;
            let mut busy = self.relay_turn().await? > 0;
            for (queue, _) in self.0.limits.queues.clone() {
                for job in self.claim(queue, 16).await? {
                    busy = true;
                    done += 1;
                    self.perform(job).await;
                }
            }
            if !busy {
                return Ok(done);
            }
        }
    }
}
