//! `redis`: whether Redis answers, how fast, and whether it keeps what it is told.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use chatwarden_telemetry::health::{Check, Outcome, Status};
use redis::aio::MultiplexedConnection;

/// From here on Redis is called slow.
const SLOW: Duration = Duration::from_millis(50);

/// How often something is kept there for a while.
const KEEPS_EVERY: Duration = Duration::from_secs(30);
/// For how many seconds it would stay if it could not be taken back.
const KEPT: u64 = 10;

/// What Redis says of itself.
struct Told {
    version: String,
    role: String,
    memory: Option<u64>,
    evicted: Option<u64>,
}

/// Asks Redis, over a connection of its own.
pub struct Redis {
    client: redis::Client,
    connection: Option<MultiplexedConnection>,
    required: bool,
    /// What is kept there to see whether it can be: this instance's.
    key: String,
    /// When that was tried last, and why it failed.
    tried: Option<(Instant, Option<String>)>,
}

impl Redis {
    /// A check of the Redis at `url`, with `key` to itself. Without it the server goes on with what each node
    /// knows, unless it is `required`.
    ///
    /// # Errors
    /// If the URL is not one of Redis.
    pub fn new(url: &str, required: bool, key: String) -> Result<Self, redis::RedisError> {
        Ok(Self { client: redis::Client::open(url)?, connection: None, required, key, tried: None })
    }

    fn away(&self, reason: String) -> Outcome {
        if self.required {
            return Outcome::down(reason);
        }
        // A server may go on without it, but a new version is not promoted like that.
        Outcome::degraded(reason).strict(Status::Down)
    }

    async fn ask(&mut self) -> Result<Told, redis::RedisError> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.client.get_multiplexed_async_connection().await?,
        };
        let (pong, server, replication, memory, stats): (String, String, String, String, String) =
            redis::pipe()
                .cmd("PING")
                .cmd("INFO")
                .arg("server")
                .cmd("INFO")
                .arg("replication")
                .cmd("INFO")
                .arg("memory")
                .cmd("INFO")
                .arg("stats")
                .query_async(&mut connection)
                .await?;
        debug_assert_eq!(pong, "PONG", "the answer to PING");
        if self.tried.as_ref().is_none_or(|(at, _)| at.elapsed() >= KEEPS_EVERY) {
            self.tried = Some((Instant::now(), keep(&mut connection, &self.key).await?));
        }
        self.connection = Some(connection);
        let line = |text: &str, key: &str| {
            let mut lines = text.lines().filter_map(|line| line.split_once(':'));
            lines.find(|(name, _)| *name == key).map(|(_, value)| value.trim().to_owned())
        };
        Ok(Told {
            version: line(&server, "redis_version").unwrap_or_default(),
            role: line(&replication, "role").unwrap_or_default(),
            memory: line(&memory, "used_memory").and_then(|bytes| bytes.parse().ok()),
            evicted: line(&stats, "evicted_keys").and_then(|keys| keys.parse().ok()),
        })
    }
}

/// Redis is the same for all nodes: each tells what it said.
#[expect(clippy::cast_precision_loss, reason = "gauges are doubles")]
fn measure(told: &Told) {
    if let Some(bytes) = told.memory {
        metrics::gauge!("redis.memory.used").set(bytes as f64);
    }
    if let Some(keys) = told.evicted {
        metrics::counter!("redis.evicted").absolute(keys);
    }
}

/// Sets a key, reads it and takes it back; says what Redis refused, as one without memory or a replica does.
async fn keep(
    connection: &mut MultiplexedConnection,
    key: &str,
) -> Result<Option<String>, redis::RedisError> {
    let outcome: Result<(Option<String>,), _> = redis::pipe()
        .cmd("SET")
        .arg(key)
        .arg("kept")
        .arg("EX")
        .arg(KEPT)
        .ignore()
        .cmd("GET")
        .arg(key)
        .cmd("DEL")
        .arg(key)
        .ignore()
        .query_async(connection)
        .await;
    match outcome {
        Ok((Some(read),)) if read == "kept" => Ok(None),
        Ok(_) => Ok(Some("it did not keep a key".to_owned())),
        Err(error) if error.is_io_error() || error.is_timeout() => Err(error),
        Err(error) => Ok(Some(error.to_string())),
    }
}

#[async_trait]
impl Check for Redis {
    fn id(&self) -> &'static str {
        "redis"
    }

    fn every(&self) -> Duration {
        Duration::from_secs(5)
    }

    fn timeout(&self) -> Duration {
        Duration::from_millis(500)
    }

    fn groups(&self) -> &'static [&'static str] {
        &["deploy"]
    }

    fn when_failing(&self, reason: String) -> Outcome {
        self.away(reason)
    }

    async fn check(&mut self) -> Outcome {
        let began = Instant::now();
        match self.ask().await {
            Err(error) => self.away(error.to_string()),
            Ok(told) => {
                let took = began.elapsed();
                let refused = self.tried.as_ref().and_then(|(_, refused)| refused.clone());
                let outcome = match refused {
                    Some(refused) => self.away(refused),
                    None if took > SLOW => Outcome::degraded("slow"),
                    None => Outcome::up(),
                };
                measure(&told);
                let outcome = match told.memory {
                    Some(bytes) => outcome.with("memoryUsed", bytes),
                    None => outcome,
                };
                outcome
                    .with("version", told.version)
                    .with("role", told.role)
                    .with("latencyMs", took.as_secs_f64() * 1e3)
            }
        }
    }
}
