//! Doors that were found lately, kept for requests that only read.
//!
//! A website's widget asks often and for little, and each time its inbox is looked for by the token that it shows. What
//! was found is shown for two seconds. A change on this node has everything forgotten at once; one on another node
//! shows after them. A transaction that writes looks for itself: nothing is written through a door
//! that is gone.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chatwarden_db::{Timestamp, WriteTx};
use moka::sync::Cache;

use super::Door;
use crate::desk::desk;
use crate::meters::CacheMeters;

/// How long a door is shown, in microseconds.
const LASTS: i64 = 2_000_000;
/// How many are kept, and for how long at most.
const AT_MOST: u64 = 10_000;
const AT_LONGEST: Duration = Duration::from_secs(60);
const METERS: CacheMeters = CacheMeters("inboxes");

/// The doors that a node keeps. Clones share them.
#[derive(Clone)]
pub struct Doors(Arc<Kept>);

struct Kept {
    found: Cache<String, Arc<Found>>,
    /// How often an inbox was changed on this node.
    changes: AtomicU64,
}

/// A door by its kind of channel and token.
struct Found {
    door: Door,
    since: Timestamp,
    /// How many changes there had been before it was looked for.
    changes: u64,
}

impl fmt::Debug for Doors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Doors").field("changes", &self.0.changes).finish_non_exhaustive()
    }
}

impl Default for Doors {
    fn default() -> Self {
        let found = Cache::builder()
            .max_capacity(AT_MOST)
            .time_to_live(AT_LONGEST)
            .eviction_listener(|_, _, cause| METERS.left(cause))
            .build();
        Self(Arc::new(Kept { found, changes: AtomicU64::new(0) }))
    }
}

fn key(channel_type: &str, token: &str) -> String {
    format!("{channel_type} {token}")
}

impl Doors {
    /// How many changes there were: said before a door is looked for.
    pub(super) fn changes(&self) -> u64 {
        self.0.changes.load(Ordering::Acquire)
    }

    /// A door that was found lately, and since the last change.
    pub(super) fn find(&self, now: Timestamp, channel_type: &str, token: &str) -> Option<Door> {
        let found = self.0.found.get(&key(channel_type, token)).filter(|found| {
            found.changes == self.changes() && now < found.since.plus_micros(LASTS)
        });
        METERS.looked(found.is_some());
        found.map(|found| found.door.clone())
    }

    /// Keeps a door that was looked for after so many changes: where there was one more meanwhile, it is never shown.
    pub(super) fn keep(&self, now: Timestamp, token: &str, changes: u64, door: &Door) {
        let key = key(&door.channel.channel_type, token);
        self.0.found.insert(key, Arc::new(Found { door: door.clone(), since: now, changes }));
        METERS.entered();
    }
}

/// Has doors forgotten once the transaction is committed: an inbox or its channel changed.
pub(crate) fn forget(tx: &mut WriteTx<'_>) {
    let doors = desk(tx).doors.clone();
    tx.after_commit(move || {
        doors.0.changes.fetch_add(1, Ordering::AcqRel);
    });
}
