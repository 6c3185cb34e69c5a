//! What a job is to the one who does it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chatwarden_db::{DbError, WriteTx, args};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde_json::Value;

use crate::queue::{JobId, sql};

/// Why a job was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JobError {
    /// It may work later.
    #[error("{0}")]
    Retry(String),
    /// It may work after so long: whoever refused it said when to come again.
    #[error("{1}")]
    RetryAfter(Duration, String),
    /// It never will.
    #[error("{0}")]
    Fail(String),
}

impl From<DbError> for JobError {
    fn from(error: DbError) -> Self {
        Self::Retry(error.to_string())
    }
}

/// A job as its handler sees it. Handlers must bear being run twice for one job, or [end](Job::finish) it with the
/// transaction that does it.
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
    pub(super) holder: String,
    /// Whether a transaction ended it.
    pub(super) finished: Arc<AtomicBool>,
}

impl Job {
    /// Ends the job with the transaction: for a handler whose whole work it is, and who could not bear being run
    /// again after the commit. `false` where somebody else has the job by now: the transaction must be given up then.
    ///
    /// The last statement of the transaction: it locks the job's row, and the lease of every job of the node is
    /// extended by one statement, which waits for that.
    ///
    /// # Errors
    /// What the database says.
    pub async fn finish(&self, tx: &mut WriteTx<'_>) -> Result<bool, DbError> {
        let args = args![self.id, self.holder, self.attempt];
        let ours = tx.run(&sql::FINISH, args).await? > 0;
        let finished = self.finished.clone();
        tx.after_commit(move || finished.store(ours, Ordering::Relaxed));
        Ok(ours)
    }
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

    /// Who does `kind`.
    pub(super) fn get(&self, kind: &str) -> Option<&Handler> {
        self.0.get(kind)
    }
}
