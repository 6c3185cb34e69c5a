//! Buckets shared between nodes: one script decides all buckets of an identity, by the clock of
//! the server, so that the clocks of the nodes don't matter (operations.md §5.2).

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, RedisResult, Script};

use super::Group;
use super::quota::Reading;

/// The arithmetic of `quota.rs`. ARGV: what to do (`take`, `refund`), the time in microseconds or
/// `` for that of the server, then limit, period, cost and whether a denied request is charged,
/// for each key. A key of a quota up to 30 is a list of times, any other a time.
const SCRIPT: &str = r"
local now = tonumber(ARGV[2])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end

local function format(number) return string.format('%.0f', number) end
local buckets, admitted = {}, true
for index, key in ipairs(KEYS) do
  local at = 2 + (index - 1) * 4
  local b = {
    key = key, limit = tonumber(ARGV[at + 1]), period = tonumber(ARGV[at + 2]),
    cost = tonumber(ARGV[at + 3]), attempts = ARGV[at + 4] == '1', wait = 0,
  }
  b.exact = b.limit <= 30
  b.increment = math.floor(b.cost * b.period / b.limit)
  if b.exact then
    b.times = redis.call('LRANGE', key, 0, -1)
    b.expired = 0
    while b.times[1] and tonumber(b.times[1]) + b.period <= now do
      table.remove(b.times, 1)
      b.expired = b.expired + 1
    end
  else
    b.tat = tonumber(redis.call('GET', key) or '0')
    b.tat = math.min(math.max(b.tat, now), now + b.period)
  end
  if b.cost > b.limit then
    b.wait = b.period
  elseif b.exact then
    local excess = #b.times + b.cost - b.limit
    if excess > 0 then b.wait = math.min(tonumber(b.times[excess]) + b.period - now, b.period) end
  else
    b.wait = math.max(b.tat + b.increment - now - b.period, 0)
  end
  if b.wait > 0 then admitted = false end
  buckets[index] = b
end

if ARGV[1] == 'refund' then
  for _, b in ipairs(buckets) do
    if b.exact then
      for _ = 1, b.cost do redis.call('RPOP', b.key) end
    elseif redis.call('EXISTS', b.key) == 1 then
      redis.call('SET', b.key, format(math.max(b.tat - b.increment, 0)), 'KEEPTTL')
    end
  end
  return {}
end

local reply = {}
for _, b in ipairs(buckets) do
  local ttl = math.ceil(b.period / 1000) + 1000
  local spend = admitted or b.attempts
  if b.exact then
    if b.expired > 0 then redis.call('LTRIM', b.key, b.expired, -1) end
    if spend then
      for _ = 1, math.min(b.cost, b.limit) do
        table.insert(b.times, now)
        redis.call('RPUSH', b.key, format(now))
      end
      while #b.times > b.limit do table.remove(b.times, 1) end
      redis.call('LTRIM', b.key, -b.limit, -1)
      redis.call('PEXPIRE', b.key, ttl)
    end
    table.insert(reply, b.limit - #b.times)
    local last = b.times[#b.times]
    table.insert(reply, last and math.min(tonumber(last) + b.period - now, b.period) or 0)
  else
    if spend then
      b.tat = math.min(b.tat + b.increment, now + b.period)
      redis.call('SET', b.key, format(b.tat), 'PX', ttl)
    end
    local reset = math.min(b.tat - now, b.period)
    table.insert(reply, math.floor((b.period - reset) * b.limit / b.period))
    table.insert(reply, reset)
  end
  table.insert(reply, b.wait)
end
return reply
";

/// The shared store did not answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum StoreError {
    /// Not within the time it has.
    #[error("no answer in time")]
    Timeout,
    /// Refused, or not what was asked for.
    #[error(transparent)]
    Redis(#[from] redis::RedisError),
    /// Not one reading for each bucket.
    #[error("an answer of another shape")]
    Shape,
}

impl StoreError {
    /// What meters call it.
    pub(super) fn outcome(&self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Redis(_) | Self::Shape => "error",
        }
    }
}

/// Where the buckets are that all nodes share.
pub(super) trait SharedStore: Send + Sync + 'static {
    /// One reading for each bucket of the group.
    fn take(&self, group: &Group) -> BoxFuture<'static, Result<Vec<Reading>, StoreError>>;
    /// Gives back what the group took.
    fn refund(&self, group: &Group) -> BoxFuture<'static, Result<(), StoreError>>;
}

pub(super) struct RedisStore {
    connection: ConnectionManager,
    script: Arc<Script>,
    partition: String,
    timeout: Duration,
}

impl RedisStore {
    /// Connects with the first question, and again whenever the connection is lost. Must be
    /// called within a Tokio runtime.
    pub(super) fn new(client: Client, partition: &str, timeout: Duration) -> RedisResult<Self> {
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(Duration::from_secs(1)))
            .set_response_timeout(Some(timeout))
            .set_number_of_retries(1)
            .set_min_delay(Duration::from_millis(50));
        Ok(Self {
            connection: ConnectionManager::new_lazy_with_config(client, config)?,
            script: Arc::new(Script::new(SCRIPT)),
            partition: partition.to_owned(),
            timeout,
        })
    }

    fn run(
        &self,
        action: &'static str,
        now: Option<u64>,
        group: &Group,
    ) -> BoxFuture<'static, Result<Vec<u64>, StoreError>> {
        let now = now.map(|now| now.to_string()).unwrap_or_default();
        let mut keys = Vec::with_capacity(group.buckets.len());
        let mut numbers = Vec::with_capacity(group.buckets.len());
        for bucket in &group.buckets {
            let kind = if bucket.quota.is_exact() { 'l' } else { 'g' };
            // One hash tag for all keys of the call: a cluster keeps them on one node.
            keys.push(format!(
                "rl:{{{}:{}}}:{}:{}{kind}",
                self.partition,
                group.identity,
                bucket.class,
                bucket.quota.period.as_secs(),
            ));
            let quota = bucket.quota;
            numbers.push([quota.limit, quota.micros(), bucket.cost, u64::from(bucket.attempts)]);
        }
        let mut connection = self.connection.clone();
        let (script, timeout) = (Arc::clone(&self.script), self.timeout);
        Box::pin(async move {
            let mut call = script.prepare_invoke();
            call.arg(action).arg(now);
            for (key, numbers) in keys.iter().zip(&numbers) {
                call.key(key).arg(numbers);
            }
            let began = Instant::now();
            let answer = tokio::time::timeout(timeout, call.invoke_async(&mut connection))
                .await
                .map_err(|_| StoreError::Timeout)
                .and_then(|answer| answer.map_err(StoreError::from));
            metrics::histogram!("redis.command",
                "command" => "EVALSHA", "outcome" => answer.as_ref().map_or_else(StoreError::outcome, |_| "ok"))
            .record(began.elapsed());
            answer
        })
    }

    fn take_at(
        &self,
        now: Option<u64>,
        group: &Group,
    ) -> BoxFuture<'static, Result<Vec<Reading>, StoreError>> {
        let answer = self.run("take", now, group);
        let buckets = group.buckets.len();
        Box::pin(async move {
            let numbers = answer.await?;
            let (triples, rest) = numbers.as_chunks::<3>();
            if triples.len() != buckets || !rest.is_empty() {
                return Err(StoreError::Shape);
            }
            let reading = |[remaining, reset, retry]: &[u64; 3]| Reading {
                allowed: *retry == 0,
                remaining: *remaining,
                reset: *reset,
                retry: *retry,
            };
            Ok(triples.iter().map(reading).collect())
        })
    }
}

impl SharedStore for RedisStore {
    fn take(&self, group: &Group) -> BoxFuture<'static, Result<Vec<Reading>, StoreError>> {
        self.take_at(None, group)
    }

    fn refund(&self, group: &Group) -> BoxFuture<'static, Result<(), StoreError>> {
        let done = self.run("refund", None, group);
        Box::pin(async move { done.await.map(drop) })
    }
}

#[cfg(test)]
mod tests;
