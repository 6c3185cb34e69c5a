//! Presence of one node, in memory.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;

use super::Presence;

/// Touches after which groups nobody reads are looked through, too.
const SWEEP_EVERY: u32 = 4096;

/// What this process saw itself.
pub struct LocalPresence {
    retention_ms: i64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    groups: HashMap<String, HashMap<String, i64>>,
    touches: u32,
}

impl LocalPresence {
    /// `retention` is the longest window that will be asked for.
    pub fn new(retention: Duration) -> Self {
        Self {
            retention_ms: i64::try_from(retention.as_millis()).unwrap_or(i64::MAX),
            state: Mutex::default(),
        }
    }

    pub(super) fn note(&self, group: &str, member: &str, now_ms: i64) {
        let mut state = self.state.lock();
        if !state.groups.contains_key(group) {
            state.groups.insert(group.to_owned(), HashMap::new());
        }
        if let Some(members) = state.groups.get_mut(group) {
            match members.get_mut(member) {
                Some(seen) => *seen = now_ms.max(*seen),
                None => {
                    members.insert(member.to_owned(), now_ms);
                }
            }
        }
        state.touches += 1;
        if state.touches >= SWEEP_EVERY {
            state.touches = 0;
            let oldest = now_ms.saturating_sub(self.retention_ms);
            state.groups.retain(|_, members| {
                members.retain(|_, seen| *seen >= oldest);
                !members.is_empty()
            });
        }
    }

    pub(super) fn seen(&self, group: &str, since_ms: i64, now_ms: i64) -> Vec<String> {
        let mut state = self.state.lock();
        let Some(members) = state.groups.get_mut(group) else {
            return Vec::new();
        };
        let oldest = now_ms.saturating_sub(self.retention_ms);
        members.retain(|_, seen| *seen >= oldest);
        let mut present: Vec<String> = members
            .iter()
            .filter(|(_, seen)| **seen >= since_ms)
            .map(|(member, _)| member.clone())
            .collect();
        if members.is_empty() {
            state.groups.remove(group);
        }
        present.sort_unstable();
        present
    }
}

#[async_trait::async_trait]
impl Presence for LocalPresence {
    async fn touch(&self, group: &str, member: &str, now_ms: i64) {
        self.note(group, member, now_ms);
    }

    async fn present(&self, group: &str, since_ms: i64, now_ms: i64) -> Vec<String> {
        self.seen(group, since_ms, now_ms)
    }
}
