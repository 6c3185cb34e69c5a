//! Presence shared by the nodes: a sorted set a group, the score is when the member was seen.

use std::time::Duration;

use metrics::counter;
use parking_lot::Mutex;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use tokio::time::Instant;

use super::Presence;
use crate::bus::{BusError, client};
use crate::meters;

/// What a request may lose to a Redis that does not answer.
const TIMEOUT: Duration = Duration::from_millis(200);
/// How long Redis is left alone after that.
const PAUSE: Duration = Duration::from_secs(1);

/// Presence in Redis. While Redis is away nobody is told anything, and nothing is made up for
/// afterwards that the next pings would not.
pub struct RedisPresence {
    manager: ConnectionManager,
    prefix: String,
    retention: i64,
    paused_until: Mutex<Option<Instant>>,
}

impl RedisPresence {
    /// `url` as in [`crate::RedisBusConfig`]; `retention` is the longest window that will be asked
    /// for. Connects with the first use. Must be called within a Tokio runtime.
    ///
    /// # Errors
    /// [`BusError`] for a URL that cannot be read.
    pub fn new(url: &str, prefix: &str, retention: Duration) -> Result<Self, BusError> {
        let manager = ConnectionManager::new_lazy_with_config(
            client(url)?,
            ConnectionManagerConfig::new()
                .set_connection_timeout(Some(TIMEOUT))
                .set_response_timeout(Some(TIMEOUT))
                .set_number_of_retries(0),
        )?;
        Ok(Self {
            manager,
            prefix: prefix.to_owned(),
            retention: i64::try_from(retention.as_millis()).unwrap_or(i64::MAX),
            paused_until: Mutex::new(None),
        })
    }

    fn key(&self, group: &str) -> String {
        format!("{}:presence:{group}", self.prefix)
    }

    /// Asks Redis unless it failed a moment ago; none when it does not answer in time.
    async fn ask<T: redis::FromRedisValue>(
        &self,
        op: &'static str,
        command: &'static str,
        pipe: redis::Pipeline,
    ) -> Option<T> {
        let paused = self.paused_until.lock().is_some_and(|until| until > Instant::now());
        if !paused {
            let mut manager = self.manager.clone();
            let began = Instant::now();
            let answer = tokio::time::timeout(TIMEOUT, pipe.query_async(&mut manager)).await;
            let outcome = match &answer {
                Ok(Ok(_)) => "ok",
                Ok(Err(_)) => "error",
                Err(_) => "timeout",
            };
            meters::asked_redis(command, began, outcome);
            match answer {
                Ok(Ok(answer)) => return Some(answer),
                Ok(Err(error)) => tracing::warn!(%error, op, "presence: redis failed"),
                Err(_) => tracing::warn!(op, "presence: redis did not answer in time"),
            }
            *self.paused_until.lock() = Some(Instant::now() + PAUSE);
        }
        counter!("chatwoot.presence.fallbacks", "op" => op).increment(1);
        None
    }
}

#[async_trait::async_trait]
impl Presence for RedisPresence {
    async fn touch(&self, group: &str, member: &str, now_ms: i64) {
        let key = self.key(group);
        let mut pipe = redis::pipe();
        pipe.cmd("ZADD").arg(&key).arg("GT").arg(now_ms).arg(member).ignore();
        pipe.pexpire(&key, self.retention).ignore();
        self.ask::<()>("touch", "ZADD", pipe).await;
    }

    async fn seen(&self, groups: &[(&str, i64)], now_ms: i64) -> Option<Vec<Vec<(String, i64)>>> {
        let oldest = now_ms.saturating_sub(self.retention);
        let mut pipe = redis::pipe();
        for (group, since_ms) in groups {
            let key = self.key(group);
            pipe.zrembyscore(&key, "-inf", format!("({oldest}")).ignore();
            pipe.zrangebyscore_withscores(&key, *since_ms, "+inf");
        }
        self.ask("present", "ZRANGEBYSCORE", pipe).await
    }
}
