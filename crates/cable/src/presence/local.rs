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

#[cfg(test)]
mod tests {
    use super::*;

    const RETENTION: Duration = Duration::from_millis(100);

    #[test]
    fn the_window_is_inclusive() {
        #[track_caller]
        fn check(seen: &[(&str, i64)], since: i64, now: i64, expected: &[&str]) {
            let presence = LocalPresence::new(RETENTION);
            for (member, at) in seen {
                presence.note("g", member, *at);
            }
            assert_eq!(presence.seen("g", since, now), expected, "{seen:?} since {since}");
            assert!(presence.seen("h", since, now).is_empty(), "another group");
        }
        check(&[("b", 10), ("a", 10), ("c", 9)], 10, 20, &["a", "b"]);
        check(&[("a", 5), ("a", 10)], 10, 20, &["a"]);
        check(&[("a", 10), ("a", 5)], 10, 20, &["a"]);
        check(&[], 0, 20, &[]);
        check(&[("a", 10)], 11, 20, &[]);
    }

    #[test]
    fn expired_entries_are_purged_when_read_and_when_nobody_reads() {
        let presence = LocalPresence::new(RETENTION);
        let kept = |presence: &LocalPresence| -> usize {
            presence.state.lock().groups.values().map(HashMap::len).sum()
        };
        presence.note("g", "a", 0);
        presence.note("g", "b", 50);
        assert_eq!(presence.seen("g", 100, 100), Vec::<String>::new());
        assert_eq!(kept(&presence), 2, "within the retention");
        presence.seen("g", 101, 101);
        assert_eq!(kept(&presence), 1);
        presence.seen("g", 151, 151);
        assert!(presence.state.lock().groups.is_empty());

        presence.note("unread", "a", 0);
        for _ in 0..SWEEP_EVERY {
            presence.note("g", "b", 200);
        }
        assert!(!presence.state.lock().groups.contains_key("unread"));
    }
}
