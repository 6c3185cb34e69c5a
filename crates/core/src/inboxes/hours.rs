//! When an inbox is attended (`behaviours.md §13`, working hours).

use chatwarden_db::Timestamp;
use chrono::{Datelike as _, TimeZone as _, Timelike as _};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::values;

/// One day of the week.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Day {
    /// 0 is Sunday.
    pub day_of_week: i64,
    /// Whether nobody is there.
    pub closed_all_day: bool,
    /// From which hour.
    pub open_hour: Option<i64>,
    /// And which minute.
    pub open_minutes: Option<i64>,
    /// To which hour.
    pub close_hour: Option<i64>,
    /// And which minute.
    pub close_minutes: Option<i64>,
    /// Whether somebody is always there.
    pub open_all_day: bool,
}

/// The week of a new inbox: Monday to Friday, nine to five.
pub fn ordinary_week() -> Vec<Day> {
    (0..7)
        .map(|day_of_week| {
            let open = (1..=5).contains(&day_of_week);
            Day {
                day_of_week,
                closed_all_day: !open,
                open_hour: open.then_some(9),
                open_minutes: open.then_some(0),
                close_hour: open.then_some(17),
                close_minutes: open.then_some(0),
                open_all_day: false,
            }
        })
        .collect()
}

impl Day {
    /// The day with what was sent of it; none where that makes no sense.
    fn changed(&self, sent: &Map<String, Value>) -> Option<Self> {
        let mut day = self.clone();
        let flag =
            |key: &str, present: bool| sent.get(key).and_then(values::flag).unwrap_or(present);
        let number = |key: &str, present: Option<i64>| match sent.get(key) {
            Some(value) => values::integer(value),
            None => present,
        };
        day.closed_all_day = flag("closed_all_day", day.closed_all_day);
        day.open_all_day = flag("open_all_day", day.open_all_day);
        day.open_hour = number("open_hour", day.open_hour);
        day.open_minutes = number("open_minutes", day.open_minutes);
        day.close_hour = number("close_hour", day.close_hour);
        day.close_minutes = number("close_minutes", day.close_minutes);
        if day.open_all_day {
            (day.open_hour, day.open_minutes) = (Some(0), Some(0));
            (day.close_hour, day.close_minutes) = (Some(23), Some(59));
        }
        day.makes_sense().then_some(day)
    }

    fn makes_sense(&self) -> bool {
        let within = |value: Option<i64>, most: i64| value.filter(|v| (0..=most).contains(v));
        if self.closed_all_day {
            let fits = |value: Option<i64>, most| value.is_none() || within(value, most).is_some();
            return !self.open_all_day
                && [self.open_hour, self.close_hour].into_iter().all(|hour| fits(hour, 23))
                && [self.open_minutes, self.close_minutes].into_iter().all(|it| fits(it, 59));
        }
        let at = |hour, minutes| Some(within(hour, 23)? * 60 + within(minutes, 59)?);
        match (at(self.open_hour, self.open_minutes), at(self.close_hour, self.close_minutes)) {
            (Some(open), Some(close)) => open < close,
            _ => false,
        }
    }

    /// Whether somebody is there at a second of the day.
    fn attended(&self, second: i64) -> bool {
        let at = |hour: Option<i64>, minutes: Option<i64>| Some((hour? * 60 + minutes?) * 60);
        let (open, close) =
            (at(self.open_hour, self.open_minutes), at(self.close_hour, self.close_minutes));
        !self.closed_all_day
            && (self.open_all_day
                || open.is_some_and(|open| open <= second)
                    && close.is_some_and(|close| second <= close))
    }
}

/// Changes the days that were sent. A day that makes no sense stays as it was: clients send the
/// whole week, and the other days count.
///
/// # Errors
/// [`Error::Invalid`] for a day that no week has.
pub(super) fn change(week: &mut [Day], sent: &[Value]) -> Result<()> {
    for value in sent {
        let Some(fields) = value.as_object() else { continue };
        let number = fields.get("day_of_week").and_then(values::integer);
        let day = week.iter_mut().find(|day| Some(day.day_of_week) == number);
        let day = day.ok_or_else(|| {
            Error::invalid(
                "working_hours",
                "has a day_of_week that is none: 0 is Sunday, 6 Saturday",
            )
        })?;
        if let Some(changed) = day.changed(fields) {
            *day = changed;
        }
    }
    Ok(())
}

/// Whether somebody is there at a moment, by the clocks of a time zone.
pub fn attended(week: &[Day], zone: &str, at: Timestamp) -> bool {
    let zone: chrono_tz::Tz = zone.parse().unwrap_or(chrono_tz::Tz::UTC);
    let Some(local) = zone.timestamp_opt(at.unix(), 0).single() else { return true };
    let day = i64::from(local.weekday().num_days_from_sunday());
    let second = i64::from(local.num_seconds_from_midnight());
    week.iter().find(|it| it.day_of_week == day).is_none_or(|it| it.attended(second))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_day_that_makes_no_sense_stays() {
        let mut week = ordinary_week();
        change(
            &mut week,
            &[
                json!({"day_of_week": 1, "open_hour": 8, "open_minutes": 30}),
                json!({"day_of_week": 2, "open_hour": 18}),
                json!({"day_of_week": 3, "open_hour": 24}),
                json!({"day_of_week": 4, "open_all_day": true, "closed_all_day": true}),
                json!({"day_of_week": 5, "closed_all_day": "off", "open_all_day": ""}),
                json!({"day_of_week": "6", "open_all_day": "true", "closed_all_day": "off"}),
                json!("Monday"),
            ],
        )
        .unwrap();
        let before = ordinary_week();
        assert_eq!((week[1].open_hour, week[1].open_minutes), (Some(8), Some(30)));
        assert_eq!(week[2..6], before[2..6]);
        assert_eq!((week[6].close_hour, week[6].close_minutes), (Some(23), Some(59)));
        for odd in [json!({"day_of_week": 7}), json!({"day_of_week": null}), json!({})] {
            assert!(change(&mut week, std::slice::from_ref(&odd)).is_err(), "{odd}");
        }
    }

    #[test]
    fn hours_are_those_of_the_time_zone() {
        let week = ordinary_week();
        // A Monday, 09:00 in London.
        let nine = Timestamp::from_unix(1_767_603_600);
        assert!(attended(&week, "UTC", nine));
        assert!(attended(&week, "Europe/Berlin", nine));
        assert!(!attended(&week, "America/New_York", nine));
        assert!(!attended(&week, "Asia/Tokyo", nine));
        assert!(!attended(&week, "UTC", Timestamp::from_unix(1_767_603_600 - 86_400)));
    }
}
