//! What a setting may hold: how a text becomes a typed value, and how the form is told to people.

use std::net::{IpAddr, SocketAddr};
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use url::Url;

/// A type that a setting can have.
pub trait Value: Sized {
    /// The wanted form in words, to finish the sentence "wanted: …".
    fn form() -> String;

    /// Reads the text of a setting (never empty).
    ///
    /// # Errors
    /// Says what is wrong with the text, or nothing where [`Value::form`] already says it.
    fn parse(text: &str) -> Result<Self, String>;

    /// The value when nobody gave one and there is no default; `None` makes the setting required.
    fn absent() -> Option<Self> {
        None
    }

    /// The text as it may be shown to an operator: secrets are masked, URLs lose their credentials.
    fn shown(text: &str) -> String {
        text.to_owned()
    }
}

impl<T: Value> Value for Option<T> {
    fn form() -> String {
        T::form()
    }
    fn parse(text: &str) -> Result<Self, String> {
        T::parse(text).map(Some)
    }
    fn absent() -> Option<Self> {
        Some(None)
    }
    fn shown(text: &str) -> String {
        T::shown(text)
    }
}

impl<T: Value> Value for Vec<T> {
    fn form() -> String {
        format!("a list, separated by commas, of {}", T::form())
    }
    fn parse(text: &str) -> Result<Self, String> {
        text.split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty())
            .map(|item| {
                T::parse(item).map_err(|reason| match reason.as_str() {
                    "" => format!("{item:?} is not of this form"),
                    reason => format!("{item:?}: {reason}"),
                })
            })
            .collect()
    }
    fn absent() -> Option<Self> {
        Some(Vec::new())
    }
}

impl Value for bool {
    fn form() -> String {
        "`true` or `false`".into()
    }
    fn parse(text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" | "t" => Ok(true),
            "false" | "0" | "no" | "off" | "f" => Ok(false),
            _ => Err(String::new()),
        }
    }
}

macro_rules! from_str_values {
    ($($type:ty: $form:literal;)*) => {$(
        impl Value for $type {
            fn form() -> String {
                $form.into()
            }
            fn parse(text: &str) -> Result<Self, String> {
                text.parse().map_err(|_| String::new())
            }
        }
    )*};
}

from_str_values! {
    u16: "a whole number from 0 to 65535";
    u64: "a whole number of at least 0";
    NonZeroU32: "a whole number of at least 1";
    NonZeroUsize: "a whole number of at least 1";
    SocketAddr: "an IP address and a port";
    PathBuf: "a path";
    String: "a text";
}

impl Value for IpNet {
    fn form() -> String {
        "an IP address or CIDR block".into()
    }
    fn parse(text: &str) -> Result<Self, String> {
        text.parse::<IpNet>()
            .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
            .map_err(|_| String::new())
    }
}

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

/// A span of days: a bare number is days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Days(pub Duration);

impl Value for Days {
    fn form() -> String {
        "a number of days, or a duration such as `36h`".into()
    }
    fn parse(text: &str) -> Result<Self, String> {
        duration(text, DAY).map(Self)
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

/// The address people reach this server by: scheme, host, optional port, no path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl(Url);

impl BaseUrl {
    /// The URL without a trailing slash, ready to put a path behind.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str().trim_end_matches('/')
    }

    /// The parsed URL.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.0
    }

    /// Whether browsers reach the server over TLS.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.0.scheme() == "https"
    }
}

impl Value for BaseUrl {
    fn form() -> String {
        "an http or https URL without path".into()
    }
    fn parse(text: &str) -> Result<Self, String> {
        let url = http_url(text)?;
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return Err("it has a path, query or fragment".into());
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("it has a user name or password".into());
        }
        Ok(Self(url))
    }
}

impl Value for Url {
    fn form() -> String {
        "an http or https URL".into()
    }
    fn parse(text: &str) -> Result<Self, String> {
        http_url(text)
    }
    fn shown(text: &str) -> String {
        without_credentials(text)
    }
}

fn http_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    match url.scheme() {
        "http" | "https" if url.has_host() => Ok(url),
        scheme => Err(format!("its scheme is {scheme:?}")),
    }
}

/// A URL as it may be shown: user name, password, query and fragment are left out.
fn without_credentials(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else {
        return "******".into();
    };
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    // A password that holds an unescaped `/` ends the authority early; then nothing is shown.
    if path.contains('@') {
        return format!("{scheme}://******");
    }
    let host = authority.rsplit('@').next().unwrap_or_default();
    let path = path.split(['?', '#']).next().unwrap_or_default();
    format!("{scheme}://{host}{path}")
}

/// Which database, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// A SQLite file.
    Sqlite(PathBuf),
    /// A PostgreSQL server; the text may hold a password.
    Postgres(Secret),
}

impl Value for DatabaseUrl {
    fn form() -> String {
        "`sqlite://PATH` or `postgres://USER:PASSWORD@HOST:PORT/DATABASE`".into()
    }
    fn parse(text: &str) -> Result<Self, String> {
        // The system this one descends from wrote JDBC URLs; its environments are taken as they are.
        let text = text.strip_prefix("jdbc:").unwrap_or(text);
        if let Some(path) = text.strip_prefix("sqlite://").or_else(|| text.strip_prefix("sqlite:"))
        {
            return match path {
                "" => Err("the path is missing".into()),
                ":memory:" => Err("a database in memory would be lost at every stop".into()),
                path => Ok(Self::Sqlite(path.into())),
            };
        }
        let (scheme, rest) = text.split_once("://").unwrap_or((text, ""));
        if !matches!(scheme, "postgres" | "postgresql") {
            return Err("its scheme is none of sqlite, postgres, postgresql".into());
        }
        // By hand, not as a URL: several hosts may stand between the `@` and the path.
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let host = authority.rsplit('@').next().unwrap_or_default();
        match (host, path.split('?').next().unwrap_or_default()) {
            ("", _) => Err("the host is missing".into()),
            (_, "") => Err("the name of the database is missing".into()),
            _ => Ok(Self::Postgres(Secret::new(text))),
        }
    }
    fn shown(text: &str) -> String {
        if text.starts_with("sqlite:") {
            text.to_owned()
        } else {
            without_credentials(text.strip_prefix("jdbc:").unwrap_or(text))
        }
    }
}

/// Where Redis is; the text may hold a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisUrl(pub Secret);

impl Value for RedisUrl {
    fn form() -> String {
        "`redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE]`, or `rediss://…` for TLS".into()
    }
    fn parse(text: &str) -> Result<Self, String> {
        let url = Url::parse(text).map_err(|error| error.to_string())?;
        match url.scheme() {
            "redis" | "rediss" if url.has_host() => Ok(Self(Secret::new(text))),
            "redis" | "rediss" => Err("the host is missing".into()),
            scheme => Err(format!("its scheme is {scheme:?}")),
        }
    }
    fn shown(text: &str) -> String {
        without_credentials(text)
    }
}

/// A text that is never printed: its `Debug` form is a mask and it has no other.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one place that has to use it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("******")
    }
}

impl Value for Secret {
    fn form() -> String {
        "a secret text".into()
    }
    fn parse(text: &str) -> Result<Self, String> {
        Ok(Self::new(text))
    }
    fn shown(_: &str) -> String {
        "******".into()
    }
}

/// Declares an enumeration whose names are the texts of a setting; further names are spellings
/// that are read as well.
macro_rules! choices {
    ($(#[$meta:meta])* pub enum $type:ident {
        $($(#[$variant_meta:meta])* $variant:ident = $name:literal $(| $alias:literal)*,)*
    }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $type {
            $($(#[$variant_meta])* $variant,)*
        }

        impl $type {
            /// The text that selects this choice.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }

        impl $crate::config::value::Value for $type {
            fn form() -> String {
                let names: Vec<String> = vec![$(format!("`{}`", $name)),*];
                format!("one of {}", names.join(", "))
            }
            fn parse(text: &str) -> Result<Self, String> {
                match text.to_ascii_lowercase().as_str() {
                    $($name $(| $alias)* => Ok(Self::$variant),)*
                    _ => Err(String::new()),
                }
            }
        }
    };
}
pub(crate) use choices;

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T: Value + std::fmt::Debug + PartialEq>(text: &str, expected: Option<T>) {
        assert_eq!(T::parse(text).ok(), expected, "{text:?}");
    }

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
        check("180", Some(Days(Duration::from_secs(180 * 86_400))));
        check("36h", Some(Days(Duration::from_secs(36 * 3600))));
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
    fn switches_numbers_and_networks() {
        check("TRUE", Some(true));
        check("0", Some(false));
        check::<bool>("maybe", None);
        check("0.25", Some(Ratio(0.25)));
        check::<Ratio>("1.01", None);
        check::<Ratio>("NaN", None);
        check::<NonZeroU32>("0", None);
        check("10.0.0.0/8", "10.0.0.0/8".parse::<IpNet>().ok());
        check("::1", "::1/128".parse::<IpNet>().ok());
        check::<IpNet>("10.0.0.0/33", None);
        check::<Vec<u16>>(" 1, 2,,3 ", Some(vec![1, 2, 3]));
        assert_eq!(Vec::<u16>::parse("1,x"), Err(r#""x" is not of this form"#.into()));
    }

    #[test]
    fn database_urls() {
        let postgres = |text: &str| Some(DatabaseUrl::Postgres(Secret::new(text)));
        check(
            "sqlite:///var/lib/c.sqlite3",
            Some(DatabaseUrl::Sqlite("/var/lib/c.sqlite3".into())),
        );
        check("sqlite://data/c.db", Some(DatabaseUrl::Sqlite("data/c.db".into())));
        check("sqlite:c.db", Some(DatabaseUrl::Sqlite("c.db".into())));
        check("postgres://u:p@h:5432/d", postgres("postgres://u:p@h:5432/d"));
        check("jdbc:postgresql://h/d", postgres("postgresql://h/d"));
        check("postgres://u:p@a:1,b:2/d", postgres("postgres://u:p@a:1,b:2/d"));
        for text in [
            "sqlite://",
            "sqlite::memory:",
            "postgres://h",
            "postgres:///d",
            "postgres://u@/d",
            "mysql://h/d",
            "/a/path",
        ] {
            check::<DatabaseUrl>(text, None);
        }
    }

    #[test]
    fn what_is_shown_has_no_credentials() {
        for (shown, expected) in [
            (DatabaseUrl::shown("postgres://u:hush@h:5432/d?password=hush"), "postgres://h:5432/d"),
            (DatabaseUrl::shown("jdbc:postgresql://u:hush@h/d"), "postgresql://h/d"),
            (DatabaseUrl::shown("sqlite:///x.db"), "sqlite:///x.db"),
            (DatabaseUrl::shown("postgres://u:hush@a:1,b:2/d"), "postgres://a:1,b:2/d"),
            (DatabaseUrl::shown("postgres://u:hu/sh@a/d"), "postgres://******"),
            (RedisUrl::shown("rediss://:hush@h:6379/1"), "rediss://h:6379/1"),
            (RedisUrl::shown("hush"), "******"),
            (Secret::shown("hush"), "******"),
            (format!("{:?}", Secret::new("hush")), "******"),
        ] {
            assert_eq!(shown, expected);
        }
    }

    #[test]
    fn base_urls() {
        let parsed = BaseUrl::parse("https://desk.example.com/").expect("a good URL");
        assert_eq!(parsed.as_str(), "https://desk.example.com");
        assert!(parsed.is_https());
        for text in ["desk.example.com", "ftp://a", "https://a/b", "https://u:p@a", "https://a?x"] {
            check::<BaseUrl>(text, None);
        }
    }
}
