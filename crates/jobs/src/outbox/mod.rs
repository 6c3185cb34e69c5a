//! The outbox: what happened, written with the change, for the sockets and for jobs.
//!
//! Whoever commits publishes at once; the [`Relay`] turns entries into jobs and publishes what a
//! crash left unpublished; the [`Tail`] reads the log for a node that could not hear the others; and
//! [`history`] serves sockets that resume.

mod log;
mod relay;
pub(crate) mod sql;

use chatwarden_db::{Buffered, DbError, Json, Timestamp, Tx, WriteTx, args};
use serde::Serialize;
use serde_json::Value;

use crate::trace;

pub use log::{Since, Tail, history};
pub use relay::{Relay, Routing};

/// An event, as an operation emits it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Entry {
    /// The tenant; 0 for none.
    pub account_id: i64,
    /// The event's name.
    pub event: String,
    /// The streams of the cable that hear of it.
    pub streams: Vec<String>,
    /// The stream that does not, although it is among them.
    pub except: Option<String>,
    /// The cable message `{"event":…,"data":…}`, serialised once.
    pub message: String,
    /// Ids for the jobs it causes.
    pub context: Value,
}

/// An event in the outbox.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    /// Its position: what clients resume from, and what repeats are dropped by.
    pub id: i64,
    /// When it was written.
    pub at: Timestamp,
    /// The trace of the request that caused it.
    pub trace_id: Option<String>,
    /// The event.
    pub entry: Entry,
}

/// What a transaction has emitted so far.
#[derive(Debug, Default)]
struct Buffer(Vec<Entry>);

impl Buffered for Buffer {
    fn mark(&self) -> usize {
        self.0.len()
    }
    fn rewind(&mut self, mark: usize) {
        self.0.truncate(mark);
    }
}

/// Emits an event with the transaction.
pub fn push(tx: &mut WriteTx<'_>, entry: Entry) {
    tx.local::<Buffer>().0.push(entry);
}

/// A moment in what a transaction emits.
#[derive(Debug, Clone, Copy)]
pub struct Position(usize);

/// After all that was emitted so far.
pub fn position(tx: &mut WriteTx<'_>) -> Position {
    Position(tx.local::<Buffer>().0.len())
}

/// Moves what was emitted since `late` before what was emitted between `early` and then.
pub fn bring_forward(tx: &mut WriteTx<'_>, early: Position, late: Position) {
    if let Some(emitted) = tx.local::<Buffer>().0.get_mut(early.0..) {
        let between = late.0.saturating_sub(early.0).min(emitted.len());
        emitted.rotate_left(between);
    }
}

/// Writes what was emitted, in one statement however much it is; called as the last thing before
/// the commit.
///
/// # Errors
/// What the database says.
pub async fn flush(tx: &mut WriteTx<'_>) -> Result<Vec<Stored>, DbError> {
    let entries = std::mem::take(&mut tx.local::<Buffer>().0);
    if entries.is_empty() {
        return Ok(Vec::new());
    }
    // Not the time the transaction began: how far a resume must go back depends on how long after
    // this moment the commit comes.
    let at = tx.ambient().now();
    let trace_id = trace::of(tx);
    let rows: Vec<Traced<'_>> =
        entries.iter().map(|entry| Traced { entry, trace_id: trace_id.as_deref() }).collect();
    let mut ids = tx.all(&sql::INSERT, args![Json(&rows), at]).await?;
    // Ids are handed out in the order of insertion; `returning` promises no order.
    ids.sort_unstable();
    let stored = |((id,), entry)| Stored { id, at, trace_id: trace_id.clone(), entry };
    Ok(ids.into_iter().zip(entries).map(stored).collect())
}

/// How many entries wait for the relay, and since when the oldest does.
///
/// # Errors
/// What the database says.
pub(crate) async fn waiting(tx: &mut Tx<'_>) -> Result<(i64, Option<Timestamp>), DbError> {
    tx.one(&sql::WAITING, []).await
}

/// An entry as `outbox.insert` reads it.
#[derive(Serialize)]
struct Traced<'a> {
    #[serde(flatten)]
    entry: &'a Entry,
    trace_id: Option<&'a str>,
}

#[cfg(test)]
mod tests;
