//! The outbox: what happened, written with the change, for the sockets and for jobs.
//!
//! Whoever commits publishes at once; the [`Relay`] turns entries into jobs and publishes what a
//! crash left unpublished; the [`Tail`] reads the log for a node that could not hear the others; and
//! [`history`] serves sockets that resume.

mod log;
mod relay;
pub(crate) mod sql;

use chatwarden_db::{Buffered, DbError, Timestamp, WriteTx, args};
use serde_json::Value;

pub use log::{Since, Tail, history};
pub use relay::{Relay, Routing};

/// An event, as an operation emits it.
#[derive(Debug, Clone, PartialEq)]
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
    let at = tx.now();
    let texts = |of: &dyn Fn(&Entry) -> String| entries.iter().map(of).collect::<Vec<_>>();
    let mut ids = tx
        .all(
            &sql::INSERT,
            args![
                entries.iter().map(|e| e.account_id).collect::<Vec<_>>(),
                texts(&|e| e.event.clone()),
                texts(&|e| json(&e.streams)),
                // An array of texts has no nulls on both engines; no stream is called "".
                texts(&|e| e.except.clone().unwrap_or_default()),
                texts(&|e| e.message.clone()),
                texts(&|e| json(&e.context)),
                at
            ],
        )
        .await?;
    // Ids are handed out in the order of insertion; `returning` promises no order.
    ids.sort_unstable();
    Ok(ids.into_iter().zip(entries).map(|((id,), entry)| Stored { id, at, entry }).collect())
}

/// Serialises texts and documents, which can't fail.
fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
