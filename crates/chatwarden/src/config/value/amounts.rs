//! Shares, durations, sizes.

use std::time::Duration;

use super::Value;

/// A share from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ratio(f64);

impl Ratio {
    /// The share as a number from 0 to 1.
    #[must_use]
    pub fn get(self) -> f64 {
        self.0
    }
}

impl Value for Ratio {
    fn form() -> String {
        "a number from 0 to 1".into()
    }
    fn parse(text: &str) -> Result<Self, String> {
        match text.parse::<f64>() {
            Ok(share) if (0.0..=1.0).contains(&share) => Ok(Self(share)),
            _ => Err(String::new()),
        }
    }
}

const SECOND: f64 = 1.0;
const DAY: f64 = 86_400.0;

impl Value for Duration {
    fn form() -> String {
        "a duration such as `500ms`, `25s`, `1m30s`, `2h` or `PT25S`; a bare number is seconds"
            .into()
    }
    fn parse(text: &str) -> Result<Self, String> {
        duration(text, SECOND)
    }
}

/// A duration written as PostgreSQL writes one: a bare number is milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeout(pub Duration);

impl Value for Timeout {
    fn form() -> String {
        "a duration such as `14s` or `500ms`; a bare number is milliseconds".into()
    }
    fn parse(text: &str) -> Result<Self, String> {
        duration(text, 0.001).map(Self)
    }
}

/// Reads `25s`, `1m30s`, ISO 8601 `PT25S` or a bare number of `bare` seconds.
fn duration(text: &str, bare: f64) -> Result<Duration, String> {
    let lower = text.to_ascii_lowercase();
    let seconds = match lower.strip_prefix('p') {
        Some(iso) => iso_seconds(iso),
        None => plain_seconds(&lower, bare),
    }
    .ok_or_else(String::new)?;
    Duration::try_from_secs_f64(seconds).map_err(|_| "too long".to_owned())
}

fn iso_seconds(rest: &str) -> Option<f64> {
    let (days, time) = rest.split_once('t').unwrap_or((rest, ""));
    if days.is_empty() && time.is_empty() {
        return None;
    }
    let days = sum(days, |unit| match unit {
        "d" => Some(DAY),
        "w" => Some(7.0 * DAY),
        _ => None,
    })?;
    let time = sum(time, |unit| match unit {
        "h" => Some(3600.0),
        "m" => Some(60.0),
        "s" => Some(1.0),
        _ => None,
    })?;
    Some(days + time)
}

fn plain_seconds(text: &str, bare: f64) -> Option<f64> {
    if text.is_empty() {
        return None;
    }
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(text.parse::<f64>().ok()? * bare);
    }
    sum(text, |unit| match unit {
        "ms" => Some(0.001),
        "s" | "sec" => Some(1.0),
        "m" | "min" => Some(60.0),
        "h" => Some(3600.0),
        "d" | "day" | "days" => Some(DAY),
        "w" => Some(7.0 * DAY),
        _ => None,
    })
}

/// Sums `<number><unit>` pairs; `None` when the text is anything else.
fn sum(mut text: &str, factor: impl Fn(&str) -> Option<f64>) -> Option<f64> {
    let mut total = 0.0;
    while !text.is_empty() {
        let (number, rest) = split_while(text, |c| c.is_ascii_digit() || c == '.');
        let (unit, rest) = split_while(rest.trim_start(), |c| c.is_ascii_alphabetic());
        total += number.parse::<f64>().ok()? * factor(unit)?;
        text = rest.trim_start();
    }
    Some(total)
}

fn split_while(text: &str, keep: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !keep(c)).unwrap_or(text.len()))
}

/// A size in bytes written in mebibytes when it has no unit, as `MAXIMUM_FILE_UPLOAD_SIZE` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mebibytes(u64);

impl Mebibytes {
    /// The size in bytes.
    #[must_use]
    pub fn bytes(self) -> u64 {
        self.0
    }
}

impl Value for Mebibytes {
    fn form() -> String {
        "a size above 0 such as `40`, `40MiB` or `512KiB`; a bare number is mebibytes".into()
    }
    fn parse(text: &str) -> Result<Self, String> {
        let lower = text.to_ascii_lowercase();
        let (number, unit) = split_while(&lower, |c| c.is_ascii_digit());
        let factor: u64 = match unit.trim() {
            "b" => 1,
            "k" | "kb" | "kib" => 1 << 10,
            "" | "m" | "mb" | "mib" => 1 << 20,
            "g" | "gb" | "gib" => 1 << 30,
            _ => return Err(String::new()),
        };
        let number: u64 = number.parse().map_err(|_| String::new())?;
        match number.checked_mul(factor) {
            Some(0) => Err(String::new()),
            Some(bytes) => Ok(Self(bytes)),
            None => Err("too large".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;
    use super::*;

    #[test]
    fn durations() {
        let ms = |ms| Some(Duration::from_millis(ms));
        for (text, expected) in [
            ("25s", ms(25_000)),
            ("25", ms(25_000)),
            ("PT25S", ms(25_000)),
            ("pt0.5s", ms(500)),
            ("500ms", ms(500)),
            ("1m30s", ms(90_000)),
            ("1m 30s", ms(90_000)),
            ("1.5h", ms(5_400_000)),
            ("2d", ms(172_800_000)),
            ("P1DT1H", ms(90_000_000)),
            ("0s", ms(0)),
            ("P", None),
            ("PT", None),
            ("s", None),
            ("-5s", None),
            ("5x", None),
            ("5s5", None),
            ("1..5s", None),
            ("", None),
            ("99999999999999999999999999d", None),
        ] {
            check(text, expected);
        }
        check("14000", Some(Timeout(Duration::from_secs(14))));
        check("14s", Some(Timeout(Duration::from_secs(14))));
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("40", Some(40 << 20)),
            ("40MiB", Some(40 << 20)),
            ("512 KiB", Some(512 << 10)),
            ("7b", Some(7)),
            ("1g", Some(1 << 30)),
            ("0", None),
            ("-1", None),
            ("forty", None),
            ("1TiB", None),
            ("99999999999999999", None),
        ] {
            check(text, bytes.map(Mebibytes));
        }
    }

    #[test]
    fn ratios() {
        for (text, expected) in
            [("0.25", Some(0.25)), ("1", Some(1.0)), ("1.01", None), ("-0.1", None), ("NaN", None)]
        {
            check(text, expected.map(Ratio));
        }
    }
}
