//! Schedules: jobs that come by themselves. The next time of each is a row, so that of many nodes
//! one enqueues it, once.

use std::str::FromStr as _;

use chatwarden_db::{Db, DbError, Timestamp, WriteTx, args, statements};
use serde_json::Value;

use crate::queue::{NewJob, enqueue};

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
    /// The kind of its job; the job belongs to no tenant and has no payload.
    pub kind: &'static str,
}

statements! {
    /// When each schedule fires next, and fired last.
    ALL: (String, Timestamp, Option<Timestamp>) = "schedules.all", "select name, next_at, last_at from job_schedules order by name";
    /// $1 name, $2 next at: a schedule that is new
    ADD: () = "schedules.add", "insert into job_schedules (name, next_at) values ($1, $2) on conflict (name) do nothing";
    /// $1 name, $2 the time it was due, $3 next at, $4 now: for whoever comes first
    ADVANCE: () = "schedules.advance",
        "update job_schedules set next_at = $3, last_at = $4 where name = $1 and next_at = $2";
}

impl Every {
    /// The first time after `now`; `None` for an expression that never comes.
    pub fn after(self, now: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Seconds(seconds) => Some(now.plus_seconds(seconds.max(1))),
            Self::Cron(expression) => {
                let cron = croner::Cron::from_str(expression).ok()?;
                let from = chrono::DateTime::from_timestamp_micros(now.micros())?;
                let next = cron.find_next_occurrence(&from, false).ok()?;
                Some(Timestamp::from_micros(next.timestamp_micros()))
            }
        }
    }
}

/// Enqueues what is due; how many. A schedule that was missed for long fires once.
///
/// # Errors
/// What the database says.
pub async fn tick(db: &Db, schedules: &'static [Schedule]) -> Result<usize, DbError> {
    let known = db.read(async |tx| tx.all(&ALL, []).await).await?;
    let now = db.ambient().now();
    let mut fired = 0;
    for schedule in schedules {
        let Some(next) = schedule.every.after(now) else { continue };
        match known.iter().find(|(name, ..)| name == schedule.name) {
            None => {
                db.write(async move |tx: &mut WriteTx<'_>| {
                    tx.run(&ADD, args![schedule.name, next]).await
                })
                .await?;
            }
            Some((_, due, _)) if *due <= now => {
                let due = *due;
                fired += usize::from(
                    db.write(async move |tx: &mut WriteTx<'_>| {
                        if tx.run(&ADVANCE, args![schedule.name, due, next, now]).await? == 0 {
                            return Ok::<_, DbError>(false);
                        }
                        let key = format!("schedule:{}", schedule.name);
                        enqueue(tx, &NewJob::new(0, schedule.kind, Value::Null).unique(key))
                            .await?;
                        Ok(true)
                    })
                    .await?,
                );
            }
            Some(_) => {}
        }
    }
    Ok(fired)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_next_time() {
        let noon = Timestamp::from_unix(1_767_614_400); // 2026-01-05 12:00:00 UTC
        let check = |every: Every, expected: Option<&str>| {
            assert_eq!(every.after(noon).map(Timestamp::iso).as_deref(), expected, "{every:?}");
        };
        check(Every::Seconds(90), Some("2026-01-05T12:01:30.000Z"));
        check(Every::Cron("30 22 * * *"), Some("2026-01-05T22:30:00.000Z"));
        check(Every::Cron("*/5 * * * *"), Some("2026-01-05T12:05:00.000Z"));
        check(Every::Cron("no cron"), None);
    }
}
