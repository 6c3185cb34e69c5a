//! Schedules: jobs that come by themselves.
//!
//! The next time of each is a row. The leader looks for what is due; should two nodes both think they lead,
//! the row still lets only one of them pass.

use std::str::FromStr as _;

use chatwarden_db::{DbError, Timestamp, Tx, WriteTx, args, statements};
use serde_json::Value;

use crate::queue::{NewJob, enqueue};
use crate::worker::LEADER;

/// When a schedule fires.
#[derive(Debug, Clone, Copy)]
pub enum Every {
    /// Each so many seconds.
    Seconds(i64),
    /// By a cron expression of five fields, in UTC.
    Cron(&'static str),
}

/// A job that comes by itself.
#[derive(Debug, Clone, Copy)]
pub struct Schedule {
    /// Its name.
    pub name: &'static str,
    /// When it fires.
    pub every: Every,
    /// The kind of its job; the job belongs to no tenant and has no payload. While one is not done, no
    /// more come.
    pub kind: &'static str,
}

/// What unique keys of scheduled jobs begin with.
const KEY: &str = "schedule:";

statements! {
    /// When each schedule fires, by which rule, and fired last.
    ALL: (String, String, Timestamp, Option<Timestamp>) = "schedules.all",
        "select name, rule, next_at, last_at from job_schedules order by name";
    /// $1 the lease of who looks what is due
    LEADS: (String, Timestamp) = "schedules.leader", "select holder, until from leases where name = $1";
    /// $1 name, $2 rule, $3 next at: a schedule that is new, or has another rule than it had
    ADD: () = "schedules.add",
        "insert into job_schedules (name, rule, next_at) values ($1, $2, $3)
         on conflict (name) do update set rule = excluded.rule, next_at = excluded.next_at";
    /// $1 name, $2 the time it was due, $3 next at, $4 now: for whoever comes first
    ADVANCE: () = "schedules.advance",
        "update job_schedules set next_at = $3, last_at = $4 where name = $1 and next_at = $2";
}

impl Every {
    /// How the rule is stored, to tell when it was changed.
    fn rule(self) -> String {
        match self {
            Self::Seconds(seconds) => format!("every {seconds} s"),
            Self::Cron(expression) => expression.to_owned(),
        }
    }

    /// The first time after `now`, for a schedule that was due at `due`; `None` for an expression
    /// that never comes.
    pub fn after(self, due: Timestamp, now: Timestamp) -> Option<Timestamp> {
        match self {
            // In step with `due`, or it would come later each time by as long as it takes to look.
            Self::Seconds(seconds) => {
                let step = seconds.max(1).saturating_mul(1_000_000);
                let missed = now.micros().saturating_sub(due.micros()).max(0) / step;
                Some(due.plus_micros(step.saturating_mul(missed.saturating_add(1))))
            }
            Self::Cron(expression) => {
                let cron = croner::Cron::from_str(expression).ok()?;
                let from = chrono::DateTime::from_timestamp_micros(now.micros())?;
                let next = cron.find_next_occurrence(&from, false).ok()?;
                Some(Timestamp::from_micros(next.timestamp_micros()))
            }
        }
    }
}

/// The schedule's name, where `unique_key` is that of a scheduled job.
pub(crate) fn named_by(unique_key: &str) -> Option<&str> {
    unique_key.strip_prefix(KEY)
}

/// A schedule as it is stored: of this version of the server or of one before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// Its name.
    pub name: String,
    rule: String,
    /// When it comes next.
    pub next: Timestamp,
    /// When it came last, whatever became of its job.
    pub last: Option<Timestamp>,
}

/// By what a schedule that is stored comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule<'a> {
    /// Each so many seconds.
    Seconds(i64),
    /// By a cron expression, in UTC.
    Cron(&'a str),
}

impl Planned {
    /// A schedule that comes next at `next` and did not come yet.
    #[must_use]
    pub fn new(schedule: &Schedule, next: Timestamp) -> Self {
        Self { name: schedule.name.to_owned(), rule: schedule.every.rule(), next, last: None }
    }

    /// By what it comes.
    #[must_use]
    pub fn rule(&self) -> Rule<'_> {
        let seconds = self.rule.strip_prefix("every ").and_then(|rest| rest.strip_suffix(" s"));
        match seconds.and_then(|seconds| seconds.parse().ok()) {
            Some(seconds) => Rule::Seconds(seconds),
            None => Rule::Cron(&self.rule),
        }
    }
}

/// Where the schedules stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// When each comes next.
    pub next: Vec<Planned>,
    /// Who looks what is due.
    pub leader: Option<String>,
    /// Until when, unless they renew it.
    pub led_until: Timestamp,
}

/// Where the schedules stand, whoever looks after them.
///
/// # Errors
/// What the database says.
pub async fn standing(tx: &mut Tx<'_>) -> Result<Standing, DbError> {
    let stored = tx.all(&ALL, []).await?.into_iter();
    let next = stored.map(|(name, rule, next, last)| Planned { name, rule, next, last }).collect();
    let led = tx.opt(&LEADS, args![LEADER]).await?;
    let (leader, led_until) =
        led.map_or((None, Timestamp::from_micros(0)), |(holder, until)| (Some(holder), until));
    Ok(Standing { next, leader, led_until })
}

/// Enqueues what is due. A schedule that was missed for long fires once. Gives back when there may be
/// something to do again.
///
/// # Errors
/// What the database says.
pub(crate) async fn tick(
    tx: &mut WriteTx<'_>,
    schedules: &'static [Schedule],
) -> Result<Option<Timestamp>, DbError> {
    let known = tx.all(&ALL, []).await?;
    let now = tx.now();
    let mut soonest: Option<Timestamp> = None;
    for schedule in schedules {
        let rule = schedule.every.rule();
        let row = known.iter().find(|(name, known, ..)| name == schedule.name && *known == rule);
        let due = row.map_or(now, |(_, _, due, _)| *due);
        let Some(next) = schedule.every.after(due, now) else {
            tracing::error!(schedule = schedule.name, rule, "a schedule never comes");
            continue;
        };
        let at = match row {
            None => {
                tx.run(&ADD, args![schedule.name, rule, next]).await?;
                next
            }
            Some(_) if due <= now => {
                if tx.run(&ADVANCE, args![schedule.name, due, next, now]).await? > 0 {
                    let key = format!("{KEY}{}", schedule.name);
                    let job = NewJob::new(0, schedule.kind, Value::Null).unique(key);
                    if !enqueue(tx, &job).await? {
                        tracing::warn!(schedule = schedule.name, "the last one is not done yet");
                    }
                }
                next
            }
            Some(_) => due,
        };
        soonest = Some(soonest.map_or(at, |soonest| soonest.min(at)));
    }
    Ok(soonest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_next_time() {
        let noon = Timestamp::from_unix(1_767_614_400); // 2026-01-05 12:00:00 UTC
        let check = |every: Every, late: i64, expected: Option<&str>| {
            let next = every.after(noon, noon.plus_seconds(late));
            assert_eq!(next.map(Timestamp::iso).as_deref(), expected, "{every:?} {late} s late");
        };
        check(Every::Seconds(90), 0, Some("2026-01-05T12:01:30.000Z"));
        check(Every::Seconds(90), 1, Some("2026-01-05T12:01:30.000Z"));
        check(Every::Seconds(90), 90, Some("2026-01-05T12:03:00.000Z"));
        check(Every::Seconds(90), 3600, Some("2026-01-05T13:01:30.000Z"));
        check(Every::Seconds(0), 0, Some("2026-01-05T12:00:01.000Z"));
        check(Every::Cron("30 22 * * *"), 0, Some("2026-01-05T22:30:00.000Z"));
        check(Every::Cron("*/5 * * * *"), 0, Some("2026-01-05T12:05:00.000Z"));
        check(Every::Cron("*/5 * * * *"), 3601, Some("2026-01-05T13:05:00.000Z"));
        check(Every::Cron("0 0 30 2 *"), 0, None);
        check(Every::Cron("no cron"), 0, None);
    }
}
