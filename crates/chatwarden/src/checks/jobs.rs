//! `jobs`: whether what is to be done in the background is done.

use std::time::Duration;

use async_trait::async_trait;
use chatwarden_db::Db;
use chatwarden_jobs::queue::{self, Depth};
use chatwarden_telemetry::health::{Check, Outcome};
use serde_json::{Map, Value, json};

/// How long a job may wait before its queue lags, and before nobody can be at work.
struct Patience {
    queue: &'static str,
    slow: Duration,
    stuck: Duration,
}

const PATIENCE: [Patience; 3] = [
    Patience {
        queue: queue::DEFAULT_QUEUE,
        slow: Duration::from_secs(30),
        stuck: Duration::from_secs(10 * 60),
    },
    Patience {
        queue: "mail",
        slow: Duration::from_secs(5 * 60),
        stuck: Duration::from_secs(60 * 60),
    },
    Patience {
        queue: "bulk",
        slow: Duration::from_secs(15 * 60),
        stuck: Duration::from_secs(4 * 60 * 60),
    },
];

/// Looks how long the oldest job that could run has waited, by queue.
pub struct JobLag(pub Db);

#[async_trait]
impl Check for JobLag {
    fn id(&self) -> &'static str {
        "jobs"
    }

    fn every(&self) -> Duration {
        Duration::from_secs(10)
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs(2)
    }

    fn groups(&self) -> &'static [&'static str] {
        &["deploy"]
    }

    async fn check(&mut self) -> Outcome {
        // That the database is away is its own check's to say.
        match self.0.read(async |tx| queue::depth(tx).await).await {
            Err(error) => Outcome::unknown(error.to_string()),
            Ok(depth) => judge(&depth, self.0.ambient().now().micros()),
        }
    }
}

fn judge(depth: &[Depth], now: i64) -> Outcome {
    let of = |queue: &str, state: &str| {
        depth.iter().find(|found| found.queue == queue && found.state == state)
    };
    let mut outcome = Outcome::up();
    let mut queues = Map::new();
    for Patience { queue, slow, stuck } in PATIENCE {
        let ready = of(queue, "ready");
        let waited = ready.map_or(0, |ready| now.saturating_sub(ready.since.micros()).max(0));
        let waited = Duration::from_micros(waited.unsigned_abs());
        if waited > stuck {
            outcome = Outcome::down(format!("nobody does the jobs of {queue}"));
        } else if waited > slow && outcome == Outcome::up() {
            outcome = Outcome::degraded(format!("the jobs of {queue} wait"));
        }
        let count = |state: &str| of(queue, state).map_or(0, |found| found.jobs);
        queues.insert(
            queue.to_owned(),
            json!({
                "ready": count("ready"),
                "running": count("running"),
                "retry": count("retry"),
                "dead": count("dead"),
                "oldestReadyMs": u64::try_from(waited.as_millis()).unwrap_or(u64::MAX),
            }),
        );
    }
    outcome.with("queues", Value::Object(queues))
}

#[cfg(test)]
mod tests {
    use chatwarden_db::Timestamp;
    use chatwarden_telemetry::health::Status;

    use super::*;

    #[test]
    fn who_waits_too_long_shows() {
        let now = 100_000_000_000;
        let ready = |queue: &str, seconds: i64| Depth {
            queue: queue.to_owned(),
            state: "ready".to_owned(),
            jobs: 1,
            since: Timestamp::from_micros(now - seconds * 1_000_000),
        };
        for (depth, expected) in [
            (vec![], Status::Up),
            (vec![ready("default", 29), ready("bulk", 800)], Status::Up),
            (vec![ready("default", 31)], Status::Degraded),
            (vec![ready("bulk", 901)], Status::Degraded),
            (vec![ready("default", 601), ready("mail", 301)], Status::Down),
            // Not due yet, whatever the clock of the other node said.
            (vec![ready("default", -50)], Status::Up),
        ] {
            assert_eq!(judge(&depth, now).status(), expected, "{depth:?}");
        }
    }
}
