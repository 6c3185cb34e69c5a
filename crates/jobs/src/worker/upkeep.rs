//! What must be done for all queues, whoever works on them. Some of it one node does: the leader.

use std::collections::HashMap;
use std::time::Duration;

use chatwarden_db::{DbError, Timestamp, args};
use parking_lot::Mutex;

use super::{Wake, Worker};
use crate::queue::sql;
use crate::schedules::{self, Schedule};
use crate::{leases, outbox};

/// The name of the leader's lease.
pub(crate) const LEADER: &str = "jobs.leader";
/// A leader that was not heard of for so long is none.
const LEADING: Duration = Duration::from_secs(15);
/// How often the leader renews, and the others ask whether there is one.
const ASK: i64 = 5;
/// How often the leader counts what waits.
const COUNT: i64 = 10;
/// How often the leader prunes. After the database was away, the others have so long to read the log.
const PRUNE: i64 = 60;
/// How long dead jobs are kept.
const DEAD_KEPT: i64 = 30 * 86_400;
/// Rows moved or removed at a time.
const BATCH: i64 = 1000;

/// When what is to be done again.
#[derive(Debug)]
pub(super) struct Upkeep {
    schedules: &'static [Schedule],
    next: Mutex<Next>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Next {
    leading: bool,
    ask: Timestamp,
    schedules: Timestamp,
    count: Timestamp,
    prune: Option<Timestamp>,
}

impl Upkeep {
    pub(super) fn new(schedules: &'static [Schedule]) -> Self {
        Self { schedules, next: Mutex::default() }
    }
}

impl Worker {
    /// Whether this node does what one node does for all.
    pub fn leads(&self) -> bool {
        self.0.upkeep.next.lock().leading
    }

    pub(super) async fn upkeep_loop(self) {
        loop {
            if let Err(error) = self.keep_up().await {
                tracing::warn!(%error, "the upkeep of jobs failed");
                // The others shall have caught up before anything is removed.
                self.0.upkeep.next.lock().prune = None;
            }
            tokio::time::sleep(self.0.limits.poll).await;
        }
    }

    /// One round of the upkeep.
    pub(super) async fn keep_up(&self) -> Result<(), DbError> {
        self.take_back().await?;
        let now = self.0.db.ambient().now();
        let mut next = *self.0.upkeep.next.lock();
        if next.ask <= now {
            self.ask_to_lead(&mut next, now).await?;
        }
        if next.leading {
            if next.schedules <= now {
                let schedules = self.0.upkeep.schedules;
                let soonest =
                    self.0.db.write(async move |tx| schedules::tick(tx, schedules).await).await?;
                next.schedules = soonest.unwrap_or(now.plus_seconds(3600));
            }
            if next.count <= now {
                self.count(now).await?;
                next.count = now.plus_seconds(COUNT);
            }
            match next.prune {
                Some(due) if due <= now => {
                    self.prune().await?;
                    next.prune = Some(now.plus_seconds(PRUNE));
                }
                Some(_) => {}
                None => next.prune = Some(now.plus_seconds(PRUNE)),
            }
        }
        *self.0.upkeep.next.lock() = next;
        Ok(())
    }

    /// Makes ready what is due, and takes back what dead workers held.
    async fn take_back(&self) -> Result<(), DbError> {
        loop {
            let (reaped, promoted) = self
                .0
                .db
                .write(async |tx| {
                    let now = tx.now();
                    let reaped = tx.all(&sql::REAP, args![now]).await?;
                    let promoted = tx.run(&sql::PROMOTE, args![now, BATCH]).await?;
                    Ok::<_, DbError>((reaped, promoted))
                })
                .await?;
            if promoted > 0 || !reaped.is_empty() {
                Wake::all();
            }
            for job in reaped {
                let dead = job.state == sql::DEAD_STATE;
                tracing::warn!(
                    job = job.id.0,
                    kind = job.kind,
                    attempt = job.attempts,
                    dead,
                    "a job's worker went away"
                );
                metrics::counter!("jobs.lease.lost", "queue" => job.queue.clone(), "job" => job.kind.clone())
                    .increment(1);
                if dead {
                    metrics::counter!("jobs.dead", "queue" => job.queue, "job" => job.kind)
                        .increment(1);
                }
            }
            if promoted < BATCH.unsigned_abs() {
                return Ok(());
            }
        }
    }

    async fn ask_to_lead(&self, next: &mut Next, now: Timestamp) -> Result<(), DbError> {
        let holder = self.0.holder.clone();
        let token = self
            .0
            .db
            .write(async move |tx| leases::acquire(tx, LEADER, &holder, LEADING).await)
            .await?;
        let led = std::mem::replace(&mut next.leading, token.is_some());
        if led != next.leading {
            tracing::info!(leading = next.leading, token, "the lead of the upkeep changed");
            // What another leader did meanwhile is not known here.
            (next.schedules, next.count, next.prune) = Default::default();
            if led {
                self.show(&HashMap::new(), 0, 0.0, now);
            }
        }
        next.ask = now.plus_seconds(ASK);
        Ok(())
    }

    /// Counts what waits, for all nodes (operations.md §2.4).
    async fn count(&self, now: Timestamp) -> Result<(), DbError> {
        let (depth, (waiting, since)) = self
            .0
            .db
            .read(async |tx| {
                let depth = tx.all(&sql::DEPTH, []).await?;
                Ok::<_, DbError>((depth, outbox::waiting(tx).await?))
            })
            .await?;
        let depth = depth.into_iter().map(|(queue, state, n, since)| ((queue, state), (n, since)));
        self.show(&depth.collect(), waiting, since.map_or(0.0, |since| seconds(since, now)), now);
        Ok(())
    }

    #[expect(clippy::cast_precision_loss, reason = "gauges are doubles")]
    fn show(
        &self,
        depth: &HashMap<(String, String), (i64, Timestamp)>,
        waiting: i64,
        oldest: f64,
        now: Timestamp,
    ) {
        for (queue, _) in &self.0.limits.queues {
            for state in ["ready", "scheduled", "running", "retry", "dead"] {
                let found = depth.get(&((*queue).to_owned(), state.to_owned()));
                let count = found.map_or(0, |(count, _)| *count);
                metrics::gauge!("jobs.queue.depth", "queue" => *queue, "state" => state)
                    .set(count as f64);
                if state == "ready" {
                    let age = found.map_or(0.0, |(_, since)| seconds(*since, now));
                    metrics::gauge!("jobs.oldest.ready.age", "queue" => *queue).set(age);
                }
            }
        }
        metrics::gauge!("chatwoot.outbox.depth").set(waiting as f64);
        metrics::gauge!("chatwoot.outbox.oldest.age").set(oldest);
    }

    async fn prune(&self) -> Result<(), DbError> {
        while self.0.relay.prune().await? > 0 {}
        loop {
            let pruned = self
                .0
                .db
                .write(async |tx| {
                    let before = tx.now().plus_seconds(-DEAD_KEPT);
                    tx.run(&sql::PRUNE, args![before, BATCH]).await
                })
                .await?;
            if pruned < BATCH.unsigned_abs() {
                return Ok(());
            }
        }
    }
}

/// Seconds from then until now.
#[expect(clippy::cast_precision_loss, reason = "gauges are doubles")]
fn seconds(since: Timestamp, now: Timestamp) -> f64 {
    now.micros().saturating_sub(since.micros()).max(0) as f64 / 1e6
}
