//! Who was seen when, by group (`realtime.md` §4). The time is the caller's.

mod local;
mod redis;

pub use self::local::LocalPresence;
pub use self::redis::RedisPresence;

/// Members of groups and when they were last seen. Not durable: it fills up again with the next
/// pings.
#[async_trait::async_trait]
pub trait Presence: Send + Sync {
    /// Notes that a member was seen. An earlier time than the noted one changes nothing.
    async fn touch(&self, group: &str, member: &str, now_ms: i64);

    /// The members seen at `since_ms` or later, sorted. Entries that have expired (older than the
    /// retention before `now_ms`) are purged.
    async fn present(&self, group: &str, since_ms: i64, now_ms: i64) -> Vec<String>;
}
