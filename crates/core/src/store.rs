//! The database as operations use it: a write whose events reach the outbox, and the sockets after
//! the commit.

use std::sync::Arc;

use chatwarden_db::{Db, DbError, Tx, WriteTx};
use chatwarden_jobs::{outbox, trace};

use crate::events;

/// Takes what a commit made known, at once: the bus to the sockets.
pub trait Publisher: Send + Sync {
    /// Publishes events, in order, and has subscriptions checked again ([`events::REFRESH`]). Must not block.
    fn publish(&self, stored: Vec<outbox::Stored>);
}

/// The database, and who hears of its commits.
#[derive(Clone)]
pub struct Store {
    db: Db,
    publisher: Arc<dyn Publisher>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("db", &self.db).finish_non_exhaustive()
    }
}

impl Store {
    /// A store on `db` that tells `publisher`.
    pub fn new(db: Db, publisher: Arc<dyn Publisher>) -> Self {
        Self { db, publisher }
    }

    /// The database.
    pub fn db(&self) -> &Db {
        &self.db
    }

    /// Runs a reading transaction.
    ///
    /// # Errors
    /// What `body` says.
    pub async fn read<R, E, F>(&self, body: F) -> Result<R, E>
    where
        F: AsyncFnOnce(&mut Tx<'_>) -> Result<R, E> + Send + 'static,
        R: Send + 'static,
        E: From<DbError> + Send + 'static,
    {
        self.db.read(body).await
    }

    /// Runs a writing transaction and, once it is committed, publishes what it emitted.
    ///
    /// # Errors
    /// What `body` says.
    pub async fn write<R, E, F>(&self, body: F) -> Result<R, E>
    where
        F: AsyncFnOnce(&mut WriteTx<'_>) -> Result<R, E> + Send + 'static,
        R: Send + 'static,
        E: From<DbError> + Send + 'static,
    {
        let publisher = self.publisher.clone();
        // Taken here: the body may run on a thread that knows no task.
        let cause = trace::current();
        self.db
            .write(async move |tx: &mut WriteTx<'_>| {
                trace::carry(tx, cause);
                let value = body(tx).await?;
                let stored = events::flush(tx).await?;
                if !stored.is_empty() {
                    tx.after_commit(move || {
                        publisher.publish(stored);
                        chatwarden_jobs::Wake::relay();
                    });
                }
                Ok(value)
            })
            .await
    }
}
