//! The queue: what is to be done, by whom it is held, what died.

pub(crate) mod sql;

use std::collections::BTreeSet;

use chatwarden_db::{DbError, Json, Timestamp, WriteTx, args, id};
use serde::Serialize;
use serde_json::Value;

use crate::trace;
use crate::worker::Wake;

id! {
    /// A job.
    JobId,
}

/// The queue of jobs that don't say another.
pub const DEFAULT_QUEUE: &str = "default";

/// A job to be done.
#[derive(Debug, Clone, PartialEq)]
pub struct NewJob {
    /// The tenant; 0 for none. Tenants take turns.
    pub account_id: i64,
    /// The queue; each has workers of its own.
    pub queue: &'static str,
    /// Which handler does it.
    pub kind: &'static str,
    /// What the handler needs.
    pub payload: Value,
    /// Lower comes first within the tenant; 0 is ordinary.
    pub priority: i64,
    /// Not before; `None` is at once.
    pub run_at: Option<Timestamp>,
    /// After so many tries it is dead; at least one.
    pub max_attempts: i64,
    /// Of the jobs that are not dead, one has this key: more are dropped.
    pub unique_key: Option<String>,
    /// The trace of the request that caused it; `None` is the transaction's own ([`crate::trace`]).
    pub trace_id: Option<String>,
}

impl NewJob {
    /// A job of a tenant, ordinary in all else.
    pub fn new(account_id: i64, kind: &'static str, payload: Value) -> Self {
        Self {
            account_id,
            queue: DEFAULT_QUEUE,
            kind,
            payload,
            priority: 0,
            run_at: None,
            max_attempts: 10,
            unique_key: None,
            trace_id: None,
        }
    }

    /// With a key that only one live job may have.
    #[must_use]
    pub fn unique(mut self, key: impl Into<String>) -> Self {
        self.unique_key = Some(key.into());
        self
    }

    /// Not before `at`.
    #[must_use]
    pub fn at(mut self, at: Timestamp) -> Self {
        self.run_at = Some(at);
        self
    }

    /// On another queue.
    #[must_use]
    pub fn on(mut self, queue: &'static str) -> Self {
        self.queue = queue;
        self
    }
}

/// A job as `jobs.enqueue` reads it.
#[derive(Serialize)]
struct Row<'a> {
    account_id: i64,
    queue: &'static str,
    kind: &'static str,
    payload: &'a Value,
    priority: i64,
    run_at: Timestamp,
    max_attempts: i64,
    unique_key: Option<&'a str>,
    trace_id: Option<&'a str>,
}

/// Adds a job with the transaction; `false` where a live one has its unique key.
///
/// # Errors
/// What the database says.
pub async fn enqueue(tx: &mut WriteTx<'_>, job: &NewJob) -> Result<bool, DbError> {
    enqueue_all(tx, std::slice::from_ref(job)).await.map(|added| added > 0)
}

/// Adds jobs in one statement; how many were added.
///
/// # Errors
/// What the database says.
pub async fn enqueue_all(tx: &mut WriteTx<'_>, jobs: &[NewJob]) -> Result<u64, DbError> {
    if jobs.is_empty() {
        return Ok(0);
    }
    let now = tx.now();
    let cause = trace::of(tx);
    let rows: Vec<Row<'_>> = jobs
        .iter()
        .map(|job| Row {
            account_id: job.account_id,
            queue: job.queue,
            kind: job.kind,
            payload: &job.payload,
            priority: job.priority,
            run_at: job.run_at.unwrap_or(now),
            max_attempts: job.max_attempts.max(1),
            unique_key: job.unique_key.as_deref(),
            trace_id: job.trace_id.as_deref().or(cause.as_deref()),
        })
        .collect();
    let added = tx.run(&sql::ENQUEUE, args![Json(&rows), now]).await?;
    if added > 0 {
        let queues = with_news(jobs, now);
        tx.after_commit(move || queues.into_iter().for_each(Wake::queue));
    }
    Ok(added)
}

/// The queues whose workers have something to do now; what is for later is found by the upkeep when it is due.
pub(crate) fn with_news(jobs: &[NewJob], now: Timestamp) -> BTreeSet<&'static str> {
    let due = |job: &&NewJob| job.run_at.is_none_or(|at| at <= now);
    jobs.iter().filter(due).map(|job| job.queue).collect()
}

chatwarden_db::row! {
    /// A job that is not tried any more.
    pub struct Dead {
        pub id: JobId,
        pub account_id: i64,
        pub queue: String,
        pub kind: String,
        pub payload: Json<Value>,
        pub attempts: i64,
        pub last_error: Option<String>,
        pub updated_at: Timestamp,
    }
}

/// Jobs of one queue in one state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Depth {
    /// The queue.
    pub queue: String,
    /// `ready`, `scheduled`, `running`, `retry` or `dead`.
    pub state: String,
    /// How many.
    pub jobs: i64,
    /// When the first of them could run.
    pub since: chatwarden_db::Timestamp,
}

/// What waits, runs and has failed.
///
/// # Errors
/// What the database says.
pub async fn depth(tx: &mut chatwarden_db::Tx<'_>) -> Result<Vec<Depth>, DbError> {
    let rows = tx.all(&sql::DEPTH, []).await?;
    let depth = |(queue, state, jobs, since)| Depth { queue, state, jobs, since };
    Ok(rows.into_iter().map(depth).collect())
}

/// Dead jobs, newest first.
///
/// # Errors
/// What the database says.
pub async fn dead(tx: &mut chatwarden_db::Tx<'_>, limit: i64) -> Result<Vec<Dead>, DbError> {
    tx.all(&sql::DEAD, args![limit]).await
}

/// Gives a dead job its attempts back; `false` where there is none of that id.
///
/// # Errors
/// What the database says; where a live job has its unique key, `jobs_unique_key_key` is broken.
pub async fn retry_dead(tx: &mut WriteTx<'_>, id: JobId) -> Result<bool, DbError> {
    let now = tx.now();
    let changed = tx.run(&sql::RETRY_DEAD, args![id, now]).await?;
    tx.after_commit(Wake::all);
    Ok(changed > 0)
}

/// Removes a dead job; `false` where there is none of that id.
///
/// # Errors
/// What the database says.
pub async fn discard(tx: &mut WriteTx<'_>, id: JobId) -> Result<bool, DbError> {
    tx.run(&sql::DISCARD, args![id]).await.map(|changed| changed > 0)
}
