//! The outbox read as a log: by nodes that missed something, and by sockets that resume.

use chatwarden_db::{Db, DbError, Timestamp, Tx, args};

use super::{Stored, sql};

/// How far before its position a resume begins, so that it may repeat but never skips: longer than it takes
/// from the writing of an entry, the last thing in its transaction, to the commit, and than clocks of nodes differ
/// (docs/decisions/0003-positions-without-a-counter.md).
const REWIND_SECONDS: i64 = 15;
/// How long entries are kept; a resume from before is refused.
pub(crate) const KEPT_SECONDS: i64 = 600;
/// More entries than this are not replayed: the client fetches its state anew.
const HISTORY_LIMIT: i64 = 2000;
/// Nor more bytes of messages: they are held until the slowest client took them.
const HISTORY_BYTES: i64 = 4 << 20;
/// Nor is a longer log looked through for them.
const HISTORY_WALK: i64 = 20_000;
/// Entries read at a time.
const BATCH: i64 = 500;

/// Follows the log from where it was when the tail began.
#[derive(Debug, Clone, Copy)]
pub struct Tail {
    xid: i64,
    id: i64,
}

impl Tail {
    /// A tail that begins at the end of the log.
    ///
    /// # Errors
    /// What the database says.
    pub async fn from_end(db: &Db) -> Result<Self, DbError> {
        let (xid, id) = db.read(async |tx| tx.one(&sql::LOG_END, []).await).await?;
        Ok(Self { xid, id })
    }

    /// What was committed since the last call, oldest first; some hundred entries at most. An empty answer
    /// is the end of the log.
    ///
    /// # Errors
    /// What the database says.
    pub async fn next(&mut self, db: &Db) -> Result<Vec<Stored>, DbError> {
        let (xid, id) = (self.xid, self.id);
        let rows = db
            .read(async move |tx| {
                // Not in one statement: what ended before this was found must be seen by the next.
                let (end, _) = tx.one(&sql::LOG_END, []).await?;
                tx.all(&sql::LOG, args![xid, id, BATCH, end]).await
            })
            .await?;
        if let Some(last) = rows.last() {
            (self.xid, self.id) = (last.xid, last.id);
        }
        Ok(rows.into_iter().map(Stored::from).collect())
    }
}

/// From where a socket wants to resume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// After this position.
    Position(i64),
    /// From this moment on.
    Time(Timestamp),
}

/// What an account's `streams` were told since, oldest first: it may begin earlier and has no holes. `None`
/// where the outbox does not reach back so far, or too much happened.
///
/// # Errors
/// What the database says.
pub async fn history(
    tx: &mut Tx<'_>,
    account_id: i64,
    streams: &[String],
    since: Since,
) -> Result<Option<Vec<Stored>>, DbError> {
    let at = match since {
        Since::Time(at) => at,
        Since::Position(id) => match tx.opt(&sql::WRITTEN_AT, args![id]).await? {
            Some((at,)) => at,
            None => return Ok(None),
        },
    };
    if at < tx.now().plus_seconds(REWIND_SECONDS - KEPT_SECONDS) {
        return Ok(None);
    }
    let from = at.plus_seconds(-REWIND_SECONDS);
    let size = args![account_id, from, streams.to_vec(), HISTORY_WALK + 1];
    let (walked, entries, bytes) = tx.one(&sql::SIZE, size).await?;
    if walked > HISTORY_WALK || entries > HISTORY_LIMIT || bytes > HISTORY_BYTES {
        return Ok(None);
    }
    // Some more than were counted: on PostgreSQL this statement sees what was committed since, and each of
    // those that were counted must be among them.
    let limit = args![account_id, from, streams.to_vec(), HISTORY_LIMIT + 1];
    let mut rows = tx.all(&sql::SINCE, limit).await?;
    if rows.len() > usize::try_from(HISTORY_LIMIT).unwrap_or(usize::MAX) {
        return Ok(None);
    }
    rows.sort_unstable_by_key(|row| row.id);
    Ok(Some(rows.into_iter().map(Stored::from).collect()))
}
