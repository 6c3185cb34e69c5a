//! Who was seen when, as the nodes tell each other (`realtime.md` §4). What a node saw itself it keeps
//! itself; the time is the caller's.

mod redis;

pub use self::redis::RedisPresence;

/// Members of groups and when they were last seen, by any node. Not durable: it fills up again with
/// the next pings.
#[async_trait::async_trait]
pub trait Presence: Send + Sync {
    /// Tells the others that a member was seen, in one round trip. An earlier time than the noted one
    /// changes nothing.
    async fn touch(&self, group: &str, member: &str, now_ms: i64);

    /// The members of each group seen at a time or later, and when, in one round trip for all groups.
    /// Entries that have expired (older than the retention before `now_ms`) are purged. `None` where
    /// the others can't be asked.
    async fn seen(&self, groups: &[(&str, i64)], now_ms: i64) -> Option<Vec<Vec<(String, i64)>>>;
}
