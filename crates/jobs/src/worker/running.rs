//! The jobs that this worker holds.

use std::collections::HashMap;
use std::sync::Arc;

use chatwarden_db::Timestamp;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::queue::JobId;
use crate::queue::sql::Claimed;

/// Which run of which job.
type Run = (JobId, i64);

#[derive(Debug)]
struct Held {
    queue: String,
    account_id: i64,
    /// Until when it is ours, as far as we know.
    until: Timestamp,
    lost: CancellationToken,
}

/// What a worker holds.
#[derive(Debug, Default)]
pub(super) struct Running {
    held: Mutex<HashMap<Run, Held>>,
    /// Something ended.
    pub ended: Notify,
    /// There is a lease that may be the next to run out.
    pub changed: Notify,
}

/// A job that is held. It is let go when this is dropped, however its run ended.
#[derive(Debug)]
pub(super) struct Lease {
    pub job: Claimed,
    /// Cancelled when the job is no longer ours.
    pub lost: CancellationToken,
    of: Arc<Running>,
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.of.held.lock().remove(&(self.job.id, self.job.attempts));
        self.of.ended.notify_waiters();
    }
}

impl Running {
    /// Holds a job until then.
    pub(super) fn hold(self: &Arc<Self>, job: Claimed, until: Timestamp) -> Lease {
        let lost = CancellationToken::new();
        let held = Held {
            queue: job.queue.clone(),
            account_id: job.account_id,
            until,
            lost: lost.clone(),
        };
        self.held.lock().insert((job.id, job.attempts), held);
        self.changed.notify_waiters();
        Lease { job, lost, of: self.clone() }
    }

    /// How many jobs of each tenant run on a queue.
    pub(super) fn by_tenant(&self, queue: &str) -> HashMap<i64, usize> {
        let mut counts = HashMap::new();
        for held in self.held.lock().values().filter(|held| held.queue == queue) {
            *counts.entry(held.account_id).or_default() += 1;
        }
        counts
    }

    pub(super) fn is_empty(&self) -> bool {
        self.held.lock().is_empty()
    }

    /// What is held.
    pub(super) fn runs(&self) -> Vec<Run> {
        self.held.lock().keys().copied().collect()
    }

    /// Of `asked`, `kept` are ours until then; the others are lost.
    pub(super) fn renew(&self, asked: &[Run], kept: &[Run], until: Timestamp) {
        let mut held = self.held.lock();
        for run in asked {
            let Some(held) = held.get_mut(run) else { continue };
            if kept.contains(run) {
                held.until = until;
            } else {
                held.lost.cancel();
            }
        }
    }

    /// Lets go of what others may have taken by now; when the next lease runs out.
    pub(super) fn expire(&self, now: Timestamp) -> Option<Timestamp> {
        let held = self.held.lock();
        for held in held.values().filter(|held| held.until <= now) {
            held.lost.cancel();
        }
        held.values().filter(|held| !held.lost.is_cancelled()).map(|held| held.until).min()
    }

    /// Lets go of everything.
    pub(super) fn drop_all(&self) {
        for held in self.held.lock().values() {
            held.lost.cancel();
        }
    }
}
