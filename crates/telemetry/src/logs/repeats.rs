//! Collapses warnings and errors that repeat: a dependency that is down must
//! not fill the disk with one sentence.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use parking_lot::Mutex;
use tracing::callsite::Identifier;

const WINDOW: Duration = Duration::from_secs(60);
const PER_WINDOW: u32 = 10;
/// More messages than this are not kept apart: they pass uncounted.
const TRACKED: usize = 4096;

/// What was seen of each message of each call site lately.
#[derive(Default)]
pub(super) struct Repeats {
    windows: Mutex<HashMap<(Identifier, u64), Window>>,
}

struct Window {
    start: Duration,
    passed: u32,
    suppressed: u64,
}

impl Repeats {
    /// Whether the line may be written and, if so, how many like it were not
    /// since the last that was.
    pub(super) fn admit(&self, site: Identifier, message: &str, now: Duration) -> Option<u64> {
        let mut hasher = DefaultHasher::new();
        message.hash(&mut hasher);
        let key = (site, hasher.finish());
        let mut windows = self.windows.lock();
        if windows.len() >= TRACKED && !windows.contains_key(&key) {
            windows.retain(|_, window| now.saturating_sub(window.start) < WINDOW);
            if windows.len() >= TRACKED {
                return Some(0);
            }
        }
        let window = windows.entry(key).or_insert(Window { start: now, passed: 0, suppressed: 0 });
        if now.saturating_sub(window.start) >= WINDOW {
            window.start = now;
            window.passed = 0;
        }
        if window.passed >= PER_WINDOW {
            window.suppressed += 1;
            return None;
        }
        window.passed += 1;
        Some(std::mem::take(&mut window.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use tracing::Callsite;
    use tracing::callsite::DefaultCallsite;
    use tracing::field::FieldSet;
    use tracing::metadata::Kind;

    use super::*;

    static SITE: DefaultCallsite = DefaultCallsite::new(&METADATA);
    static METADATA: tracing::Metadata<'static> = tracing::Metadata::new(
        "test",
        "test",
        tracing::Level::WARN,
        None,
        None,
        None,
        FieldSet::new(&[], Identifier(&SITE)),
        Kind::EVENT,
    );

    #[test]
    fn ten_a_minute_pass_and_the_next_says_how_many_did_not() {
        let repeats = Repeats::default();
        let site = SITE.metadata().callsite();
        let at = Duration::from_secs;
        let admit = |message: &str, now| repeats.admit(site.clone(), message, at(now));
        for _ in 0..10 {
            assert_eq!(admit("down", 5), Some(0));
        }
        for now in [6, 7, 64] {
            assert_eq!(admit("down", now), None);
        }
        assert_eq!(admit("another", 64), Some(0));
        assert_eq!(admit("down", 65), Some(3));
        assert_eq!(admit("down", 66), Some(0));
    }
}
