//! Answers that are shown again for a moment (`MANAGEMENT_CACHE_TTL`): what is costly to make is made
//! once however many tools ask.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chatwarden_core::meters::CacheMeters;
use http::request::Parts;
use moka::sync::Cache;

/// How many answers are kept: one of each endpoint, and of meters that are asked for one by one.
const AT_MOST: u64 = 64;
const METERS: CacheMeters = CacheMeters("actuator");

/// The answers that are kept.
pub(crate) struct Kept(Option<Cache<String, Arc<str>>>);

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept").field("keeps", &self.0.is_some()).finish()
    }
}

impl Kept {
    /// Keeps answers for so long; not at all for no time.
    pub(crate) fn new(lasts: Duration) -> Self {
        let cache = || {
            Cache::builder()
                .max_capacity(AT_MOST)
                .time_to_live(lasts)
                .eviction_listener(|_, _, cause| METERS.left(cause))
                .build()
        };
        Self((!lasts.is_zero()).then(cache))
    }

    /// The answer that was made a moment ago.
    pub(super) fn find(&self, key: &str) -> Option<Arc<str>> {
        let found = self.0.as_ref()?.get(key);
        METERS.looked(found.is_some());
        found
    }

    /// Keeps an answer.
    pub(super) fn keep(&self, key: String, text: String) -> Arc<str> {
        let text: Arc<str> = text.into();
        if let Some(cache) = &self.0 {
            cache.insert(key, text.clone());
            METERS.entered();
        }
        text
    }

    /// The answer that was made a moment ago, or one made now; nothing is kept of what there is not.
    pub(super) fn or_made(
        &self,
        key: String,
        make: impl FnOnce() -> Option<String>,
    ) -> Option<Arc<str>> {
        match self.find(&key) {
            Some(text) => Some(text),
            None => make().map(|text| self.keep(key, text)),
        }
    }
}

/// By what an answer to an operator is known: its path and query.
pub(super) fn key(parts: &Parts) -> String {
    parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_made_once_unless_nothing_is_kept() {
        for (lasts, made) in [(Duration::ZERO, 2), (Duration::from_secs(60), 1)] {
            let kept = Kept::new(lasts);
            let mut times = 0;
            for _ in 0..2 {
                let text = kept.or_made("a".to_owned(), || {
                    times += 1;
                    Some("x".to_owned())
                });
                assert_eq!(text.as_deref(), Some("x"));
            }
            assert_eq!(times, made, "{lasts:?}");
            assert_eq!(kept.or_made("b".to_owned(), || None), None);
        }
    }

    #[test]
    fn an_answer_is_forgotten_after_its_time() {
        let kept = Kept::new(Duration::from_nanos(1));
        kept.keep("a".to_owned(), "x".to_owned());
        assert_eq!(kept.find("a"), None);
    }
}
