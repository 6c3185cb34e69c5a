//! The one log line of a request, written when its response has ended.
//!
//! It answers most questions of production without a dashboard: who asked for
//! what, how it ended, how long it took and what the time went into. Its
//! fields are documented in `docs/reference/request-log.md`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use tracing::{Level, event};

/// The target of request lines; as a logger `chatwarden.access`.
pub(crate) const TARGET: &str = "chatwarden::access";

/// Its texts that hold what a caller wrote; all others are the server's own.
pub(crate) const OF_CALLERS: [&str; 6] = [
    "message",
    "http.request.method",
    "url.path",
    "request.id",
    "correlation.id",
    "user_agent.original",
];

/// From here on a request is called slow.
const SLOW: Duration = Duration::from_secs(1);

/// The most that is kept of a user agent, in bytes.
const USER_AGENT_LIMIT: usize = 256;

/// Who asked, as authentication found out; never what the request claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// `agent`, `administrator`, `bot`, `visitor`, `platform`, …
    pub kind: &'static str,
    /// The id of the user, bot or app.
    pub id: Option<i64>,
}

/// What happened in the database for a request.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct DatabaseUse {
    /// Statements run.
    pub statements: u64,
    /// Rows they gave or changed.
    pub rows: u64,
    /// Time they took together.
    pub time: Duration,
    /// How much of it was waiting for a connection or a thread.
    pub queued: Duration,
}

/// A request that has been answered. What is absent is left out of the line.
#[derive(Clone, Debug, Default)]
pub struct RequestLine<'a> {
    /// The method.
    pub method: &'a str,
    /// The route's template; absent when no route matched.
    pub route: Option<&'a str>,
    /// The path, without its query.
    pub path: &'a str,
    /// The status of the response.
    pub status: u16,
    /// From the head of the request to the end of the response.
    pub duration: Duration,
    /// Who asked.
    pub actor: Option<Actor>,
    /// How they proved it: `session`, `token`, `widget`, …
    pub auth_kind: Option<&'static str>,
    /// The account the request was for, as authentication found out.
    pub account: Option<i64>,
    /// The rate limit class.
    pub rate_class: Option<&'static str>,
    /// What happened in the database.
    pub database: DatabaseUse,
    /// Bytes of the request's body.
    pub request_bytes: u64,
    /// Bytes of the response's body.
    pub response_bytes: u64,
    /// Our id of the request.
    pub request_id: &'a str,
    /// The caller's id of it, or the trace's.
    pub correlation_id: Option<&'a str>,
    /// The trace it belongs to, as 32 hexadecimal digits.
    pub trace_id: Option<&'a str>,
    /// The request's span in it, as 16 hexadecimal digits.
    pub span_id: Option<&'a str>,
    /// The flags of its `traceparent`, as 2 hexadecimal digits: `01` where spans are recorded.
    pub trace_flags: Option<&'static str>,
    /// The client's address as [`IpPrivacy::shown`] gives it.
    pub client_address: Option<&'a str>,
    /// The `User-Agent` header.
    pub user_agent: Option<&'a str>,
    /// Which error the response stands for; a stable name, no text.
    pub error: Option<&'static str>,
    /// A probe or a static file: logged at DEBUG unless it failed.
    pub quiet: bool,
}

impl RequestLine<'_> {
    /// Logs the line: WARN when the server failed, DEBUG when quiet, else INFO.
    pub fn emit(&self) {
        // The level of an event is part of its call site.
        macro_rules! emit {
            ($level:expr) => {
                event!(
                    target: TARGET,
                    // It says all by itself; what stands in spans around it was not looked at for its sake.
                    parent: None,
                    $level,
                    event.name = "http.server.request",
                    http.request.method = self.method,
                    http.route = self.route,
                    url.path = self.path,
                    http.response.status_code = self.status,
                    duration_ms = milliseconds(self.duration),
                    slow = self.duration > SLOW,
                    actor.kind = self.actor.as_ref().map(|actor| actor.kind),
                    user.id = self.actor.as_ref().and_then(|actor| actor.id),
                    auth.kind = self.auth_kind,
                    tenant.id = self.account,
                    rate.class = self.rate_class,
                    db.calls = self.database.statements,
                    db.rows = self.database.rows,
                    db.ms = milliseconds(self.database.time),
                    queue.ms = milliseconds(self.database.queued),
                    http.request.body.size = self.request_bytes,
                    http.response.body.size = self.response_bytes,
                    request.id = self.request_id,
                    correlation.id = self.correlation_id,
                    trace_id = self.trace_id,
                    span_id = self.span_id,
                    trace_flags = self.trace_flags,
                    client.address = self.client_address,
                    user_agent.original = self.user_agent.map(shortened),
                    error.type = self.error,
                    "{} {} {} in {:.0} ms",
                    self.method,
                    self.route.unwrap_or(self.path),
                    self.status,
                    milliseconds(self.duration),
                )
            };
        }
        match (self.status, self.quiet) {
            (500.., _) => emit!(Level::WARN),
            (_, true) => emit!(Level::DEBUG),
            (_, false) => emit!(Level::INFO),
        }
    }
}

/// Milliseconds with three decimals at most.
fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

fn shortened(agent: &str) -> &str {
    agent.get(..agent.floor_char_boundary(USER_AGENT_LIMIT)).unwrap_or_default()
}

/// `LOG_IP`: how much of a client's address is written down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IpPrivacy {
    /// The address.
    #[default]
    Full,
    /// Its network: /24, or /48 for IPv6.
    Truncate,
    /// Nothing.
    Omit,
}

/// A choice that there isn't.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is none of full, truncate, omit")]
pub struct IpPrivacyError(String);

impl std::str::FromStr for IpPrivacy {
    type Err = IpPrivacyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "full" => Ok(Self::Full),
            "truncate" => Ok(Self::Truncate),
            "omit" => Ok(Self::Omit),
            other => Err(IpPrivacyError(other.to_owned())),
        }
    }
}

impl IpPrivacy {
    /// What may be written of `address`.
    #[must_use]
    pub fn shown(self, address: IpAddr) -> Option<String> {
        let shown = match (self, address.to_canonical()) {
            (Self::Omit, _) => return None,
            (Self::Full, address) => address,
            (Self::Truncate, IpAddr::V4(v4)) => {
                IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & (u32::MAX << 8)))
            }
            (Self::Truncate, IpAddr::V6(v6)) => {
                IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 80)))
            }
        };
        Some(shown.to_string())
    }
}

/// `LOG_ACCESS_SAMPLE`: the share of ordinary lines that are written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AccessSample(f64);

impl Default for AccessSample {
    fn default() -> Self {
        Self(1.0)
    }
}

impl AccessSample {
    /// A share from 0 to 1; what is outside is brought to the nearer end.
    #[must_use]
    pub fn new(share: f64) -> Self {
        Self(if share.is_nan() { 1.0 } else { share.clamp(0.0, 1.0) })
    }

    /// Whether `line` is written. Errors and slow requests always are; the
    /// others by their trace id, so that all nodes keep the same traces.
    #[must_use]
    pub fn keeps(self, line: &RequestLine<'_>) -> bool {
        if self.0 >= 1.0 || line.status >= 400 || line.duration > SLOW {
            return true;
        }
        let id = line.trace_id.unwrap_or(line.request_id);
        // The last digits are the random ones, of a trace id as of a UUIDv7.
        let digits = id.chars().rev().filter_map(|c| c.to_digit(16)).take(8);
        let place = digits.zip(0..).fold(0, |place, (digit, index)| place | digit << (4 * index));
        f64::from(place) < self.0 * (f64::from(u32::MAX) + 1.0)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use parking_lot::Mutex;
    use tracing::field::{Field, Visit};
    use tracing::span::{Attributes, Id, Record};
    use tracing::{Event, Metadata, Subscriber};

    use super::*;

    /// Remembers the last event.
    #[derive(Default)]
    struct Last(std::sync::Arc<Mutex<(String, BTreeMap<&'static str, String>)>>);

    struct Collect<'a>(&'a mut BTreeMap<&'static str, String>);

    impl Visit for Collect<'_> {
        fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
            self.0.insert(field.name(), format!("{value:?}"));
        }
    }

    impl Subscriber for Last {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }
        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }
        fn record(&self, _: &Id, _: &Record<'_>) {}
        fn record_follows_from(&self, _: &Id, _: &Id) {}
        fn event(&self, event: &Event<'_>) {
            let mut fields = BTreeMap::new();
            event.record(&mut Collect(&mut fields));
            *self.0.lock() = (event.metadata().level().to_string(), fields);
        }
        fn enter(&self, _: &Id) {}
        fn exit(&self, _: &Id) {}
    }

    fn emitted(line: &RequestLine<'_>) -> (String, BTreeMap<&'static str, String>) {
        let last = Last::default();
        let seen = std::sync::Arc::clone(&last.0);
        tracing::subscriber::with_default(last, || line.emit());
        let seen = seen.lock();
        seen.clone()
    }

    /// 200 times ü, 400 bytes.
    const LONG_AGENT: &str = match str::from_utf8([[0xc3, 0xbc]; 200].as_flattened()) {
        Ok(text) => text,
        Err(_) => panic!("not UTF-8"),
    };

    fn full() -> RequestLine<'static> {
        RequestLine {
            method: "GET",
            route: Some("/api/v1/accounts/{account_id}/labels"),
            path: "/api/v1/accounts/7/labels",
            status: 200,
            duration: Duration::from_nanos(12_345_678),
            actor: Some(Actor { kind: "agent", id: Some(42) }),
            auth_kind: Some("token"),
            account: Some(7),
            rate_class: Some("api-token"),
            database: DatabaseUse {
                statements: 3,
                rows: 20,
                time: Duration::from_micros(1500),
                queued: Duration::from_micros(250),
            },
            request_bytes: 0,
            response_bytes: 512,
            request_id: "r",
            correlation_id: Some("c"),
            trace_id: Some("t"),
            span_id: Some("s"),
            trace_flags: Some("00"),
            client_address: Some("192.0.2.0"),
            user_agent: Some(LONG_AGENT),
            error: Some("not_found"),
            quiet: false,
        }
    }

    #[test]
    fn the_line_reads_alone_and_has_its_fields() {
        let (level, fields) = emitted(&full());
        assert_eq!(level, "INFO");
        assert_eq!(fields["message"], "GET /api/v1/accounts/{account_id}/labels 200 in 12 ms");
        assert_eq!(fields["duration_ms"], "12.346");
        assert_eq!(fields["db.ms"], "1.5");
        assert_eq!(fields["queue.ms"], "0.25");
        assert_eq!(fields["tenant.id"], "7");
        assert_eq!(fields["user.id"], "42");
        assert_eq!(fields["slow"], "false");
        assert_eq!(fields["user_agent.original"].chars().filter(|c| *c == 'ü').count(), 128);
    }

    #[test]
    fn what_is_absent_is_left_out() {
        let (_, fields) = emitted(&RequestLine::default());
        for absent in ["http.route", "tenant.id", "user.id", "trace_id", "error.type"] {
            assert!(!fields.contains_key(absent), "{absent}");
        }
    }

    #[test]
    fn the_level_says_whose_fault_it_was() {
        for (status, quiet, expected) in [
            (200, false, "INFO"),
            (404, false, "INFO"),
            (200, true, "DEBUG"),
            (503, true, "WARN"),
            (500, false, "WARN"),
        ] {
            let line = RequestLine { status, quiet, ..full() };
            assert_eq!(emitted(&line).0, expected, "{status} {quiet}");
        }
    }

    #[test]
    fn every_field_is_documented() {
        let document = include_str!("../../../docs/reference/request-log.md");
        let (_, fields) = emitted(&full());
        assert_eq!(fields.len(), 27);
        for field in fields.keys().filter(|field| **field != "message") {
            assert!(document.contains(&format!("| `{field}` |")), "{field} is undocumented");
        }
        let rows = document.lines().filter(|line| line.starts_with("| `")).count();
        assert_eq!(rows, fields.len() - 1, "a documented field is never written");
    }

    #[test]
    fn no_field_is_named_as_secrets_are() {
        let (_, fields) = emitted(&full());
        for field in fields.keys() {
            assert!(!crate::redact::is_secret(field), "{field}");
        }
        assert!(OF_CALLERS.iter().all(|name| fields.contains_key(name)), "{fields:?}");
    }

    #[test]
    fn an_address_is_shown_as_asked() {
        for (privacy, address, expected) in [
            (IpPrivacy::Full, "192.0.2.77", Some("192.0.2.77")),
            (IpPrivacy::Full, "::ffff:192.0.2.77", Some("192.0.2.77")),
            (IpPrivacy::Truncate, "192.0.2.77", Some("192.0.2.0")),
            (IpPrivacy::Truncate, "::ffff:192.0.2.77", Some("192.0.2.0")),
            (IpPrivacy::Truncate, "2001:db8:1:2:3::4", Some("2001:db8:1::")),
            (IpPrivacy::Omit, "192.0.2.77", None),
        ] {
            let shown = privacy.shown(address.parse().unwrap());
            assert_eq!(shown.as_deref(), expected, "{privacy:?} {address}");
        }
    }

    #[test]
    fn a_sample_keeps_errors_and_whole_traces() {
        let line = |trace: &'static str, status, seconds| RequestLine {
            trace_id: Some(trace),
            status,
            duration: Duration::from_secs(seconds),
            ..RequestLine::default()
        };
        let low = "4bf92f3577b34da6a3ce929d10000000";
        let high = "4bf92f3577b34da6a3ce929df0000000";
        for (share, line, kept) in [
            (1.0, line(high, 200, 0), true),
            (0.5, line(low, 200, 0), true),
            (0.5, line(high, 200, 0), false),
            (0.5, line(high, 404, 0), true),
            (0.5, line(high, 200, 2), true),
            (0.0, line(low, 200, 0), false),
            (f64::NAN, line(high, 200, 0), true),
        ] {
            assert_eq!(AccessSample::new(share).keeps(&line), kept, "{share} {line:?}");
        }
    }
}
