//! The relay: events become jobs, and what nobody published is published.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use chatwarden_db::{Db, DbError, args};

use super::{Stored, log, sql};
use crate::passes;
use crate::queue::{NewJob, enqueue_all};

/// Which jobs an event causes.
pub trait Routing: Send + Sync {
    /// The jobs of one event. Give each a unique key made of the event's id: an event that is
    /// dispatched twice then causes them once.
    fn jobs_for(&self, stored: &Stored) -> Vec<NewJob>;
}

/// Entries taken at a time.
const BATCH: i64 = 500;
/// Entries older than this were perhaps not published by their writer: it published at once, or died.
const OVERDUE_SECONDS: i64 = 3;

/// Why entries were not taken, and the first of them.
struct Refused {
    error: DbError,
    entry: Option<(i64, String)>,
}

impl From<DbError> for Refused {
    fn from(error: DbError) -> Self {
        Self { error, entry: None }
    }
}

/// Takes entries off the outbox. Several nodes may do it at once.
#[derive(Clone)]
pub struct Relay {
    db: Db,
    routing: Arc<dyn Routing>,
}

impl std::fmt::Debug for Relay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Relay").field("db", &self.db).finish_non_exhaustive()
    }
}

impl Relay {
    /// A relay that routes by `routing`.
    pub fn new(db: Db, routing: Arc<dyn Routing>) -> Self {
        Self { db, routing }
    }

    /// Takes a batch: its jobs are enqueued in the same transaction. Gives back how many entries it
    /// took, and those that must be published again.
    ///
    /// An entry whose jobs the database refuses must not hold up those behind it: the batch is
    /// then taken one by one, and such an entry goes without its jobs, with an error in the log.
    ///
    /// # Errors
    /// What the database says; then nothing was taken.
    pub async fn turn(&self) -> Result<(usize, Vec<Stored>), DbError> {
        match self.take(BATCH).await {
            Err(refused) if !passes(&refused.error) => {}
            outcome => return outcome.map_err(|refused| refused.error),
        }
        match self.take(1).await {
            Err(Refused { error, entry: Some((id, event)) }) if !passes(&error) => {
                tracing::error!(%error, outbox = id, event, "an event goes without its jobs");
                self.db
                    .write(async move |tx| {
                        let now = tx.now();
                        tx.run(&sql::SET_ASIDE, args![id, now]).await
                    })
                    .await?;
                Ok((1, Vec::new()))
            }
            outcome => outcome.map_err(|refused| refused.error),
        }
    }

    async fn take(&self, limit: i64) -> Result<(usize, Vec<Stored>), Refused> {
        let routing = self.routing.clone();
        self.db
            .write(async move |tx| {
                let now = tx.now();
                let mut rows = tx.all(&sql::TAKE, args![now, limit]).await?;
                rows.sort_unstable_by_key(|row| row.id);
                let taken: Vec<Stored> = rows.into_iter().map(Stored::from).collect();
                let jobs: Vec<NewJob> =
                    taken.iter().flat_map(|stored| route(&*routing, stored)).collect();
                enqueue_all(tx, &jobs).await.map_err(|error| {
                    let first = taken.first();
                    let entry = first.map(|stored| (stored.id, stored.entry.event.clone()));
                    Refused { error, entry }
                })?;
                let count = taken.len();
                let overdue = now.plus_seconds(-OVERDUE_SECONDS);
                Ok((count, taken.into_iter().filter(|stored| stored.at < overdue).collect()))
            })
            .await
    }

    /// Removes dispatched entries that are older than resuming sockets may ask for; how many, some
    /// thousands at most.
    ///
    /// # Errors
    /// What the database says.
    pub async fn prune(&self) -> Result<u64, DbError> {
        const BATCH: i64 = 5000;
        self.db
            .write(async |tx| {
                let before = tx.now().plus_seconds(-log::KEPT_SECONDS);
                tx.run(&sql::PRUNE, args![before, BATCH]).await
            })
            .await
    }
}

/// The jobs of an event, laid to the request that caused it.
fn route(routing: &dyn Routing, stored: &Stored) -> Vec<NewJob> {
    // A rule that panics on one event must not stop all others.
    let jobs = catch_unwind(AssertUnwindSafe(|| routing.jobs_for(stored)));
    let Ok(mut jobs) = jobs else {
        let event = &stored.entry.event;
        tracing::error!(outbox = stored.id, event, "finding the jobs of an event panicked");
        return Vec::new();
    };
    for job in &mut jobs {
        job.trace_id = job.trace_id.take().or_else(|| stored.trace_id.clone());
    }
    jobs
}
