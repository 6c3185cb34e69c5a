//! Which primary streams are to be asked for again.
//!
//! One task works them off one after the other, so an answer never overtakes a newer one.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::registry::Registry;

/// Refreshes remembered for subscriptions that are being decided meanwhile.
const REMEMBERED: usize = 1024;

pub(crate) struct Refreshes {
    state: Mutex<State>,
    asked: Notify,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Arc<str>>,
    /// What is in `waiting`.
    known: HashSet<Arc<str>>,
    /// The last ones asked for; the very last has number `count`.
    log: VecDeque<Arc<str>>,
    count: u64,
    /// `count` when all were asked for.
    all_at: u64,
}

impl Refreshes {
    pub fn new() -> Self {
        Self { state: Mutex::default(), asked: Notify::new() }
    }

    /// Asks for a primary stream; one nobody has costs nothing.
    pub fn ask(&self, primary: Arc<str>, registry: &Registry) {
        {
            let mut state = self.state.lock();
            state.count += 1;
            state.log.push_back(Arc::clone(&primary));
            if state.log.len() > REMEMBERED {
                state.log.pop_front();
            }
        }
        if registry.holding(&primary) > 0 {
            self.state.lock().wait_for(primary);
            self.asked.notify_one();
        }
    }

    /// Asks for every primary stream there is.
    pub fn ask_all(&self, registry: &Registry) {
        {
            let mut state = self.state.lock();
            state.count += 1;
            state.all_at = state.count;
        }
        let primaries = registry.primaries();
        let mut state = self.state.lock();
        for primary in primaries {
            state.wait_for(primary);
        }
        drop(state);
        self.asked.notify_one();
    }

    pub fn asked(&self) -> u64 {
        self.state.lock().count
    }

    /// True when this primary stream was, or may have been, asked for after the first `since`.
    pub fn asked_since(&self, since: u64, primary: &Arc<str>) -> bool {
        let state = self.state.lock();
        let news = state.count.saturating_sub(since);
        if state.all_at > since || news > state.log.len() as u64 {
            return true;
        }
        let news = usize::try_from(news).unwrap_or(usize::MAX);
        state.log.iter().rev().take(news).any(|asked| asked == primary)
    }

    /// The next to work off.
    pub async fn next(&self) -> Arc<str> {
        loop {
            let asked = self.asked.notified();
            if let Some(primary) = self.state.lock().take() {
                return primary;
            }
            asked.await;
        }
    }
}

impl State {
    fn wait_for(&mut self, primary: Arc<str>) {
        if self.known.insert(Arc::clone(&primary)) {
            self.waiting.push_back(primary);
        }
    }

    fn take(&mut self) -> Option<Arc<str>> {
        let primary = self.waiting.pop_front()?;
        self.known.remove(&primary);
        Some(primary)
    }
}
