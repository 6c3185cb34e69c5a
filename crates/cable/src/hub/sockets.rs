//! The open sockets, on a wheel of ticks: each is pinged every 3 s (`realtime.md` §2.1), and they
//! take turns, so that 10,000 of them do not wake at once. No socket has a timer of its own.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::queue::Queue;

/// How often the wheel moves on.
pub(crate) const TICK: Duration = Duration::from_millis(100);

/// Ticks of one turn: 3 s.
const SLOTS: usize = 30;

pub(crate) struct Sockets {
    slots: Vec<Mutex<HashMap<u64, Arc<Queue>>>>,
    due: AtomicUsize,
    gone: Notify,
}

impl Sockets {
    pub fn new() -> Self {
        Self {
            slots: (0..SLOTS).map(|_| Mutex::default()).collect(),
            due: AtomicUsize::new(0),
            gone: Notify::new(),
        }
    }

    fn slot(&self, id: u64) -> Option<&Mutex<HashMap<u64, Arc<Queue>>>> {
        self.slots.get(usize::try_from(id % SLOTS as u64).ok()?)
    }

    pub fn add(&self, id: u64, queue: &Arc<Queue>) {
        if let Some(slot) = self.slot(id) {
            slot.lock().insert(id, Arc::clone(queue));
        }
    }

    pub fn remove(&self, id: u64) {
        if let Some(slot) = self.slot(id) {
            slot.lock().remove(&id);
            self.gone.notify_waiters();
        }
    }

    /// Resolves when none is open.
    pub async fn all_gone(&self) {
        loop {
            let gone = self.gone.notified();
            if self.count() == 0 {
                return;
            }
            gone.await;
        }
    }

    /// The sockets whose turn it is.
    pub fn next_due(&self) -> Vec<Arc<Queue>> {
        let due = self.due.fetch_add(1, Ordering::Relaxed) % SLOTS;
        let slot = self.slots.get(due);
        slot.map(|slot| slot.lock().values().cloned().collect()).unwrap_or_default()
    }

    pub fn all(&self) -> Vec<(u64, Arc<Queue>)> {
        let mut all = Vec::new();
        for slot in &self.slots {
            all.extend(slot.lock().iter().map(|(id, queue)| (*id, Arc::clone(queue))));
        }
        all
    }

    pub fn count(&self) -> usize {
        self.slots.iter().map(|slot| slot.lock().len()).sum()
    }
}
