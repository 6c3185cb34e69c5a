//! How many nodes there are. Each says through Redis that it lives: when Redis goes away, each keeps its
//! share of the rate limits instead of all of them.

use std::time::Duration;

use chatwarden_guard::RateLimiter;
use redis::Script;
use redis::aio::MultiplexedConnection;

/// How often a node says that it lives.
const EVERY: Duration = Duration::from_secs(5);
/// How long it counts as alive after that, in seconds.
const LIFE: u64 = 15;
/// How long Redis may take to answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// Notes this node by the clock of Redis, and counts those that live.
const ANNOUNCE: &str = "
local now = tonumber(redis.call('TIME')[1])
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. (now - ARGV[2]))
redis.call('EXPIRE', KEYS[1], ARGV[2])
return redis.call('ZCARD', KEYS[1])";

/// Says that the node called `name` of an installation lives; how many do.
///
/// # Errors
/// What Redis says.
pub async fn announce(
    connection: &mut MultiplexedConnection,
    namespace: &str,
    name: &str,
) -> Result<u64, redis::RedisError> {
    let nodes = format!("{namespace}:nodes");
    Script::new(ANNOUNCE).key(nodes).arg(name).arg(LIFE).invoke_async(connection).await
}

/// Tells the limits how many nodes there are, for as long as it is polled. While Redis is away they keep
/// the last number.
pub async fn count(client: redis::Client, namespace: String, name: String, limiter: RateLimiter) {
    let mut connection: Option<MultiplexedConnection> = None;
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let asking = async {
            let mut to = match connection.take() {
                Some(there) => there,
                None => client.get_multiplexed_async_connection().await?,
            };
            let nodes = announce(&mut to, &namespace, &name).await?;
            Ok::<_, redis::RedisError>((nodes, to))
        };
        match tokio::time::timeout(PATIENCE, asking).await {
            Ok(Ok((nodes, to))) => {
                limiter.set_instances(nodes);
                connection = Some(to);
            }
            Ok(Err(error)) => tracing::debug!(%error, "the nodes can't be counted"),
            Err(_) => tracing::debug!("the nodes can't be counted in time"),
        }
    }
}
