//! `redis`: whether Redis answers, and how fast.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use chatwarden_telemetry::health::{Check, Outcome, Status};
use redis::aio::MultiplexedConnection;

/// From here on Redis is called slow.
const SLOW: Duration = Duration::from_millis(50);

/// Asks Redis, over a connection of its own.
pub struct Redis {
    client: redis::Client,
    connection: Option<MultiplexedConnection>,
    required: bool,
}

impl Redis {
    /// A check of the Redis at `url`. Without it the server goes on with what each node knows, unless
    /// it is `required`.
    ///
    /// # Errors
    /// If the URL is not one of Redis.
    pub fn new(url: &str, required: bool) -> Result<Self, redis::RedisError> {
        Ok(Self { client: redis::Client::open(url)?, connection: None, required })
    }

    fn away(&self, reason: String) -> Outcome {
        if self.required {
            return Outcome::down(reason);
        }
        // A server may go on without it, but a new version is not promoted like that.
        Outcome::degraded(reason).strict(Status::Down)
    }

    async fn ask(&mut self) -> Result<(String, String), redis::RedisError> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.client.get_multiplexed_async_connection().await?,
        };
        let (pong, server, replication): (String, String, String) = redis::pipe()
            .cmd("PING")
            .cmd("INFO")
            .arg("server")
            .cmd("INFO")
            .arg("replication")
            .query_async(&mut connection)
            .await?;
        debug_assert_eq!(pong, "PONG", "the answer to PING");
        self.connection = Some(connection);
        let line = |text: &str, key: &str| {
            let mut lines = text.lines().filter_map(|line| line.split_once(':'));
            lines.find(|(name, _)| *name == key).map(|(_, value)| value.trim().to_owned())
        };
        Ok((
            line(&server, "redis_version").unwrap_or_default(),
            line(&replication, "role").unwrap_or_default(),
        ))
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
            Ok((version, role)) => {
                let took = began.elapsed();
                let outcome = if took > SLOW { Outcome::degraded("slow") } else { Outcome::up() };
                outcome
                    .with("version", version)
                    .with("role", role)
                    .with("latencyMs", took.as_secs_f64() * 1e3)
            }
        }
    }
}
