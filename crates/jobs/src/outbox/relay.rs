//! The relay: events become jobs, and what nobody published is published.

use std::sync::Arc;

use chatwarden_db::{Db, DbError, args};

use super::{Stored, log, sql};
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

/// Takes entries off the outbox. Several nodes may do it at once.
#[derive(Clone)]
pub struct Relay {
    db: Db,
    routing: Arc<dyn Routing>,
}

impl Relay {
    /// A relay that routes by `routing`.
    pub fn new(db: Db, routing: Arc<dyn Routing>) -> Self {
        Self { db, routing }
    }

    /// Takes a batch: its jobs are enqueued in the same transaction. Gives back how many entries it
    /// took, and those that must be published again.
    ///
    /// # Errors
    /// What the database says; then nothing was taken.
    pub async fn turn(&self) -> Result<(usize, Vec<Stored>), DbError> {
        let routing = self.routing.clone();
        self.db
            .write(async move |tx| {
                let now = tx.now();
                let mut rows = tx.all(&sql::TAKE, args![now, BATCH]).await?;
                rows.sort_unstable_by_key(|row| row.id);
                let taken: Vec<Stored> = rows.into_iter().map(Stored::from).collect();
                let jobs: Vec<NewJob> =
                    taken.iter().flat_map(|stored| routing.jobs_for(stored)).collect();
                enqueue_all(tx, &jobs).await?;
                let count = taken.len();
                let overdue = now.plus_seconds(-OVERDUE_SECONDS);
                Ok((count, taken.into_iter().filter(|stored| stored.at < overdue).collect()))
            })
            .await
    }

    /// Removes dispatched entries that are older than resuming sockets may ask for; how many.
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
