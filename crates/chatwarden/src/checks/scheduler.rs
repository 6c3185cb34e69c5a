//! `scheduler`: whether what comes by itself comes.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use chatwarden_db::{Db, Timestamp};
use chatwarden_jobs::schedules::{self, Standing};
use chatwarden_telemetry::health::{Check, Outcome};

/// How much later than it was due something may come.
const LATE: i64 = 60_000_000;
/// How long there may be nobody who looks what is due.
const LEADERLESS: Duration = Duration::from_secs(120);

/// Looks who leads, and what is late.
pub struct Scheduler {
    db: Db,
    /// Since when nobody leads.
    leaderless: Option<Instant>,
}

impl Scheduler {
    /// A check of the schedules in `db`.
    pub fn new(db: Db) -> Self {
        Self { db, leaderless: None }
    }
}

#[async_trait]
impl Check for Scheduler {
    fn id(&self) -> &'static str {
        "scheduler"
    }

    fn every(&self) -> Duration {
        Duration::from_secs(15)
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs(2)
    }

    fn when_failing(&self, reason: String) -> Outcome {
        Outcome::unknown(reason)
    }

    async fn check(&mut self) -> Outcome {
        // That the database is away is its own check's to say.
        let standing = match self.db.read(async |tx| schedules::standing(tx).await).await {
            Err(error) => return Outcome::unknown(error.to_string()),
            Ok(standing) => standing,
        };
        let now = self.db.ambient().now();
        if standing.led_until > now {
            self.leaderless = None;
        } else {
            self.leaderless.get_or_insert_with(Instant::now);
        }
        judge(&standing, now, self.leaderless.map(|since| since.elapsed()))
    }
}

fn judge(standing: &Standing, now: Timestamp, leaderless: Option<Duration>) -> Outcome {
    let late = |due: &Timestamp| now.micros().saturating_sub(due.micros()) > LATE;
    let late: Vec<&str> =
        standing.next.iter().filter(|it| late(&it.next)).map(|it| it.name.as_str()).collect();
    let outcome = match leaderless {
        Some(since) if since > LEADERLESS => Outcome::down("nobody looks what is due"),
        _ if !late.is_empty() => Outcome::degraded("something is late"),
        _ => Outcome::up(),
    };
    let outcome = match &standing.leader {
        Some(leader) => outcome.with("leader", leader.as_str()),
        None => outcome,
    };
    outcome.with("schedules", standing.next.len()).with("late", late)
}

#[cfg(test)]
mod tests {
    use chatwarden_jobs::schedules::{Every, Planned, Schedule};
    use chatwarden_telemetry::health::Status;

    use super::*;

    #[test]
    fn what_is_late_shows_and_that_nobody_leads() {
        let now = Timestamp::from_unix(1_767_603_600);
        for (overdue, leaderless, expected) in [
            (0, None, Status::Up),
            (59, None, Status::Up),
            (61, None, Status::Degraded),
            (-600, Some(30), Status::Up),
            (-600, Some(121), Status::Down),
            (600, Some(121), Status::Down),
        ] {
            let purge = Schedule { name: "purge", every: Every::Seconds(60), kind: "purge" };
            let next = vec![Planned::new(&purge, now.plus_seconds(-overdue))];
            let standing = Standing { next, leader: None, led_until: now };
            let found = judge(&standing, now, leaderless.map(Duration::from_secs));
            assert_eq!(found.status(), expected, "{overdue} {leaderless:?}");
        }
    }
}
