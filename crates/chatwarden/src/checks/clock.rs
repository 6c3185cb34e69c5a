//! `clock`: whether this machine and those it works with agree on the time.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use chatwarden_db::{Db, Engine};
use chatwarden_telemetry::health::{Check, Outcome};

/// From here on, in microseconds, what is signed here may be too old or too young elsewhere.
const APART: i64 = 1_000_000;
/// From here on it is.
const FAR_APART: i64 = 60_000_000;

/// Asks the database and Redis for the time.
pub struct Clock {
    db: Db,
    redis: Option<redis::Client>,
}

impl Clock {
    /// A check of the clocks of `db` and of the Redis at `redis`; none where both are this machine's own.
    ///
    /// # Errors
    /// If the URL is not one of Redis.
    pub fn new(db: Db, redis: Option<&str>) -> Result<Option<Self>, redis::RedisError> {
        let redis = redis.map(redis::Client::open).transpose()?;
        let asks = db.engine() == Engine::Postgres || redis.is_some();
        Ok(asks.then_some(Self { db, redis }))
    }

    /// By how much Redis is ahead, in microseconds, and how wrong that may be.
    async fn redis_ahead(
        client: &redis::Client,
        db: &Db,
    ) -> Result<(i64, Duration), redis::RedisError> {
        let mut connection = client.get_multiplexed_async_connection().await?;
        let (before, began) = (db.ambient().now().micros(), Instant::now());
        let (seconds, micros): (i64, i64) = redis::cmd("TIME").query_async(&mut connection).await?;
        let half = began.elapsed() / 2;
        let half_micros = i64::try_from(half.as_micros()).unwrap_or(i64::MAX);
        let theirs = seconds.saturating_mul(1_000_000).saturating_add(micros);
        Ok((theirs.saturating_sub(before.saturating_add(half_micros)), half))
    }
}

#[async_trait]
impl Check for Clock {
    fn id(&self) -> &'static str {
        "clock"
    }

    fn every(&self) -> Duration {
        Duration::from_secs(60)
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs(2)
    }

    fn gates_readiness(&self) -> bool {
        false
    }

    fn when_failing(&self, reason: String) -> Outcome {
        Outcome::unknown(reason)
    }

    async fn check(&mut self) -> Outcome {
        let mut found = Vec::new();
        // That one of them is away is its own check's to say.
        if self.db.engine() == Engine::Postgres
            && let Ok(ahead) = self.db.clock_ahead().await
        {
            found.push(("database", ahead));
        }
        if let Some(client) = &self.redis
            && let Ok(ahead) = Self::redis_ahead(client, &self.db).await
        {
            found.push(("redis", ahead));
        }
        judge(&found)
    }
}

/// What the clocks of others, so far ahead, say of ours; what the way of the answer may have taken is in their favour.
fn judge(found: &[(&'static str, (i64, Duration))]) -> Outcome {
    let surely = |(ahead, doubt): &(i64, Duration)| {
        let doubt = i64::try_from(doubt.as_micros()).unwrap_or(i64::MAX);
        ahead.saturating_abs().saturating_sub(doubt)
    };
    let Some(worst) = found.iter().map(|(_, ahead)| surely(ahead)).max() else {
        return Outcome::unknown("nobody told the time");
    };
    let outcome = if worst > FAR_APART {
        Outcome::down("the clocks are more than a minute apart")
    } else if worst > APART {
        Outcome::degraded("the clocks are more than a second apart")
    } else {
        Outcome::up()
    };
    found.iter().fold(outcome, |outcome, (who, (ahead, doubt))| {
        let doubt = u64::try_from(doubt.as_millis()).unwrap_or(u64::MAX);
        outcome.with(&format!("{who}AheadMs"), ahead / 1000).with(&format!("{who}DoubtMs"), doubt)
    })
}

#[cfg(test)]
mod tests {
    use chatwarden_telemetry::health::Status;

    use super::*;

    #[test]
    fn a_slow_answer_is_no_wrong_clock() {
        let millis = |ahead: i64, doubt: u64| (ahead * 1000, Duration::from_millis(doubt));
        for (database, redis, expected) in [
            (Some(millis(20, 1)), None, Status::Up),
            (Some(millis(-1500, 1)), None, Status::Degraded),
            (Some(millis(1500, 700)), None, Status::Up),
            (Some(millis(0, 1)), Some(millis(1100, 1)), Status::Degraded),
            (Some(millis(-61_000, 1)), Some(millis(0, 1)), Status::Down),
            (None, None, Status::Unknown),
        ] {
            let found: Vec<_> = [("database", database), ("redis", redis)]
                .into_iter()
                .filter_map(|(who, ahead)| Some((who, ahead?)))
                .collect();
            assert_eq!(judge(&found).status(), expected, "{database:?} {redis:?}");
        }
    }
}
