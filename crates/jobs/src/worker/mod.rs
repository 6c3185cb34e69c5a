//! Workers: who does the jobs.

mod handler;
mod perform;
mod running;
mod turns;
mod upkeep;

pub(crate) use upkeep::LEADER;
mod wake;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chatwarden_db::{Ambient, Db, DbError, Timestamp, args};
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::handler::{Handler, Job, JobError, Registry};
use self::running::{Lease, Running};
use self::turns::{Share, Turns, Wish};
use self::upkeep::Upkeep;
pub use self::wake::Wake;
use crate::leases;
use crate::outbox::{Relay, Stored};
use crate::queue::sql;
use crate::schedules::Schedule;

/// How much a worker does at once, and how long it holds a job.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Queues and how many of their jobs run at once; a tenant has three quarters of them at most.
    pub queues: Vec<(&'static str, usize)>,
    /// A job that was not heard of for so long is somebody else's.
    pub lease: Duration,
    /// How long a job may run.
    pub run: Duration,
    /// How often to look without being woken.
    pub poll: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            queues: vec![(crate::queue::DEFAULT_QUEUE, 8), ("mail", 4), ("bulk", 2)],
            lease: Duration::from_secs(30),
            run: Duration::from_secs(15 * 60),
            poll: Duration::from_secs(1),
        }
    }
}

/// How soon to look again where another worker was at the same jobs in the same moment.
const CONTENDED: Duration = Duration::from_millis(5);
/// How long a job that was let go of may take to notice.
const LETTING_GO: Duration = Duration::from_secs(1);

/// Takes events off the outbox and jobs off the queues, on one node.
#[derive(Clone)]
pub struct Worker(Arc<Inner>);

struct Inner {
    db: Db,
    registry: Registry,
    relay: Relay,
    limits: Limits,
    /// Names this worker among all: what it holds is told by it.
    holder: String,
    running: Arc<Running>,
    turns: Mutex<HashMap<&'static str, Turns>>,
    upkeep: Upkeep,
    /// Jobs that are let go of now were not lost: they are given back.
    giving_back: AtomicBool,
    republish: Box<dyn Fn(Vec<Stored>) + Send + Sync>,
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker")
            .field("holder", &self.0.holder)
            .field("registry", &self.0.registry)
            .field("limits", &self.0.limits)
            .finish_non_exhaustive()
    }
}

/// Times come from the clock of the database's surroundings, so that tests own them.
fn after(ambient: &Ambient, by: Duration) -> Timestamp {
    ambient.now().plus_micros(i64::try_from(by.as_micros()).unwrap_or(i64::MAX))
}

/// What a claim gave: jobs to do, and whether others were at it in the same moment.
struct Claimed {
    leases: Vec<Lease>,
    contended: bool,
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
            limits,
            holder,
            running: Arc::default(),
            turns: Mutex::default(),
            upkeep: Upkeep::new(schedules),
            giving_back: AtomicBool::new(false),
            republish: Box::new(republish),
        }))
    }

    /// Starts the loops on `tasks`; they end with `stop`. Jobs that run then may finish: wait for the
    /// tracker, and call [`Worker::give_back`] for those that do not.
    pub fn start(&self, tasks: &TaskTracker, stop: &CancellationToken) {
        for (queue, concurrency) in self.0.limits.queues.clone() {
            tasks.spawn(self.clone().work(queue, concurrency, tasks.clone(), stop.clone()));
        }
        tasks.spawn(self.clone().relay_loop(stop.clone()));
        let upkeep = self.clone().upkeep_loop();
        tasks.spawn(stop.clone().run_until_cancelled_owned(upkeep));
        tasks.spawn(self.clone().heartbeat(stop.clone()));
    }

    /// Claims and starts jobs of a queue until told to stop.
    async fn work(
        self,
        queue: &'static str,
        concurrency: usize,
        tasks: TaskTracker,
        stop: CancellationToken,
    ) {
        let concurrency = concurrency.max(1);
        let slots = Arc::new(Semaphore::new(concurrency));
        let most = Share::of(concurrency);
        let wake = wake::of(queue);
        loop {
            // Asked for before looking, so that nothing is missed in between.
            let woken = wake.notified();
            let ended = self.0.running.ended.notified();
            let free = tokio::select! {
                () = stop.cancelled() => return,
                permit = slots.clone().acquire_owned() => permit,
            };
            let Ok(first) = free else { return };
            // Both may have been ready.
            if stop.is_cancelled() {
                return;
            }
            let claimed = self.claim(queue, 1 + slots.available_permits(), most).await;
            let claimed = claimed.unwrap_or_else(|error| {
                tracing::warn!(%error, queue, "jobs can't be claimed");
                Claimed { leases: Vec::new(), contended: false }
            });
            if stop.is_cancelled() {
                // Told while the claim was on its way: what it got is not begun any more.
                if !claimed.leases.is_empty() {
                    drop(claimed);
                    let running = self.0.running.runs().into_iter().map(|(id, _)| id.0).collect();
                    if let Err(error) = self.release(running).await {
                        tracing::warn!(%error, queue, "jobs can't be given back; their leases will run out");
                    }
                }
                return;
            }
            if claimed.leases.is_empty() {
                drop(first);
                let wait = if claimed.contended { CONTENDED } else { self.0.limits.poll };
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = woken => {}
                    // A tenant that had its share may have more.
                    () = ended => {}
                    () = tokio::time::sleep(wait) => {}
                }
                continue;
            }
            let mut permit = Some(first);
            for lease in claimed.leases {
                // There are as many as jobs were asked for, and nobody else takes of them.
                let permit = permit.take().or_else(|| slots.clone().try_acquire_owned().ok());
                let worker = self.clone();
                tasks.spawn(async move {
                    worker.perform(lease).await;
                    drop(permit);
                });
            }
        }
    }

    /// Claims up to `limit` jobs, so that of no tenant more than `most` run at once.
    async fn claim(
        &self,
        queue: &'static str,
        limit: usize,
        most: usize,
    ) -> Result<Claimed, DbError> {
        let until = after(self.0.db.ambient(), self.0.limits.lease);
        let share = Share { most, running: self.0.running.by_tenant(queue) };
        let turns = self.0.turns.lock().get(queue).cloned().unwrap_or_default();
        let wish = Wish { queue, holder: self.0.holder.clone(), until, limit, share };
        let claim = self.0.db.write(async move |tx| turns.claim(tx, wish).await).await?;
        self.0.turns.lock().insert(queue, claim.turns);
        let leases = claim.jobs.into_iter().map(|job| self.0.running.hold(job, until)).collect();
        Ok(Claimed { leases, contended: claim.contended })
    }

    /// Keeps the leases of running jobs alive, and lets go of those that were lost. Goes on through the
    /// drain: jobs that still run are still ours.
    async fn heartbeat(self, stop: CancellationToken) {
        let expiring = self.expire(&stop);
        // Beside each other: a database that does not answer holds up the beats, not the end of a lease.
        tokio::join!(self.beats(&stop), expiring);
    }

    /// Lets go of jobs in the moment their leases run out unrenewed: then they are others'.
    async fn expire(&self, stop: &CancellationToken) {
        let running = &self.0.running;
        loop {
            let changed = running.changed.notified();
            let ended = running.ended.notified();
            if stop.is_cancelled() && running.is_empty() {
                return;
            }
            let now = self.0.db.ambient().now();
            let micros =
                running.expire(now).map(|until| until.micros().saturating_sub(now.micros()));
            let left = micros.and_then(|micros| u64::try_from(micros).ok());
            tokio::select! {
                () = tokio::time::sleep(left.map_or(self.0.limits.lease, Duration::from_micros)) => {}
                () = changed => {}
                () = ended, if stop.is_cancelled() => {}
                () = stop.cancelled(), if !stop.is_cancelled() => {}
            }
        }
    }

    async fn beats(&self, stop: &CancellationToken) {
        let mut beats = tokio::time::interval(self.0.limits.lease / 3);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let ended = self.0.running.ended.notified();
            if stop.is_cancelled() && self.0.running.is_empty() {
                return;
            }
            tokio::select! {
                _ = beats.tick() => self.beat().await,
                () = ended, if stop.is_cancelled() => {}
                () = stop.cancelled(), if !stop.is_cancelled() => {}
            }
        }
    }

    /// Renews the leases once.
    async fn beat(&self) {
        let running = &self.0.running;
        let runs = running.runs();
        if runs.is_empty() {
            return;
        }
        let until = after(self.0.db.ambient(), self.0.limits.lease);
        let ids: Vec<i64> = runs.iter().map(|(id, _)| id.0).collect();
        let holder = self.0.holder.clone();
        let kept = self
            .0
            .db
            .write(async move |tx| tx.all(&sql::EXTEND, args![holder, ids, until]).await)
            .await;
        match kept {
            Ok(kept) => running.renew(&runs, &kept, until),
            Err(error) => {
                tracing::warn!(%error, "leases can't be extended");
            }
        }
    }

    /// Turns events into jobs as they come; at the end, those that came before it.
    async fn relay_loop(self, stop: CancellationToken) {
        loop {
            let last = stop.is_cancelled();
            let wait = match self.relay_turn().await {
                Ok(taken) => taken == 0,
                Err(error) => {
                    tracing::warn!(%error, "the outbox can't be read");
                    true
                }
            };
            if wait {
                if last {
                    return;
                }
                // One notice is kept, so what came since the turn began is not missed.
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = wake::OUTBOX.notified() => {}
                    () = tokio::time::sleep(self.0.limits.poll) => {}
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

    /// Gives back what this worker still holds, as if it had not tried, and the lead: for the end of a
    /// drain. Jobs that still run are let go of first. How many were given back.
    ///
    /// # Errors
    /// What the database says; then the leases run out by themselves.
    pub async fn give_back(&self) -> Result<u64, DbError> {
        self.0.giving_back.store(true, Ordering::Relaxed);
        self.0.running.drop_all();
        let let_go = async {
            loop {
                let ended = self.0.running.ended.notified();
                if self.0.running.is_empty() {
                    return;
                }
                ended.await;
            }
        };
        if tokio::time::timeout(LETTING_GO, let_go).await.is_err() {
            tracing::warn!("a job does not end although it must; it may be done twice");
        }
        let holder = self.0.holder.clone();
        self.0.db.write(async move |tx| leases::release(tx, upkeep::LEADER, &holder).await).await?;
        self.release(Vec::new()).await
    }

    /// Makes ready again what this worker holds, except for these jobs.
    async fn release(&self, except: Vec<i64>) -> Result<u64, DbError> {
        let holder = self.0.holder.clone();
        self.0
            .db
            .write(async move |tx| {
                let now = tx.now();
                tx.run(&sql::RELEASE, args![holder, now, except]).await
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
                for lease in self.claim(queue, 16, usize::MAX).await?.leases {
                    busy = true;
                    done += 1;
                    self.perform(lease).await;
                }
            }
            if !busy {
                return Ok(done);
            }
        }
    }
}

#[cfg(test)]
mod tests;
