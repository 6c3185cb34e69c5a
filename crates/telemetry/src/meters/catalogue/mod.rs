//! Every meter the process may emit, described once.
//!
//! `docs/reference/metrics.md` is [`reference`] of it; the names, units and
//! labels follow `operations.md` §2. A meter belongs here only when some part
//! of the server measures it.

mod declarations;
#[cfg(test)]
mod emissions;

use std::borrow::Cow;
use std::fmt::Write;

/// What kind of numbers a meter gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A count that only grows.
    Counter,
    /// A value at this moment.
    Gauge,
    /// Durations in seconds: count, sum, decaying maximum and buckets.
    Timer,
    /// Amounts: count, sum, decaying maximum and buckets.
    Summary,
    /// Tasks running now: how many, for how long together, the oldest.
    LongTask,
}

/// What a value counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Nothing that has a name of its own.
    None,
    /// Seconds.
    Seconds,
    /// Seconds since the epoch.
    Timestamp,
    /// Nanoseconds (Micrometer's unit for CPU time).
    Nanoseconds,
    /// Bytes.
    Bytes,
    /// A share of one.
    Ratio,
    /// Open files.
    Files,
    /// Threads.
    Threads,
}

impl Unit {
    /// The base unit as the actuator shows it.
    #[must_use]
    pub fn base(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Seconds | Self::Timestamp => Some("seconds"),
            Self::Nanoseconds => Some("ns"),
            Self::Bytes => Some("bytes"),
            Self::Ratio => Some("ratio"),
            Self::Files => Some("files"),
            Self::Threads => Some("threads"),
        }
    }

    /// What Prometheus gets: it wants base units, and its linter refuses abbreviated ones.
    #[must_use]
    pub fn exposed(self) -> Self {
        match self {
            Self::Nanoseconds => Self::Seconds,
            other => other,
        }
    }

    /// What a Prometheus name ends in, without the underscore before it.
    fn suffix(self) -> Option<&'static str> {
        match self {
            Self::Timestamp => Some("timestamp_seconds"),
            other => other.exposed().base(),
        }
    }
}

/// A second name that other tools expect for the sum of a meter's series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Standard {
    /// The Prometheus name, without `_total`.
    pub name: &'static str,
    /// Its unit.
    pub unit: Unit,
    /// What the sum is multiplied by.
    pub factor: f64,
}

/// One meter.
#[derive(Clone, Debug)]
pub struct Meter {
    /// The dotted name.
    pub name: Cow<'static, str>,
    /// What kind of numbers it gives.
    pub kind: Kind,
    /// The unit of its values.
    pub unit: Unit,
    /// One sentence without a full stop.
    pub description: &'static str,
    /// The labels a series may have.
    pub labels: &'static [&'static str],
    /// The upper bounds of a distribution's buckets; none: no buckets.
    pub buckets: &'static [f64],
    /// Counted over the whole cluster by the holder of a lease.
    pub clustered: bool,
    /// Other names of it.
    pub standards: &'static [Standard],
    /// The meter whose series it sums up: nobody emits it, and recording costs nothing.
    pub sum_of: Option<&'static str>,
}

/// Bucket bounds in seconds for requests and jobs.
pub const REQUEST_BUCKETS: &[f64] =
    &[0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];
/// Bucket bounds in seconds for databases, Redis and caches.
pub const STORE_BUCKETS: &[f64] =
    &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];
/// Bucket bounds in seconds for what is handed to others: mails.
pub const DELIVERY_BUCKETS: &[f64] =
    &[0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0];
/// Bucket bounds in bytes: powers of 4 from 256 B to 64 MiB.
pub const SIZE_BUCKETS: &[f64] = &[
    256.0,
    1024.0,
    4096.0,
    16384.0,
    65536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
];
/// Bucket bounds for small numbers of things: batches, queues.
pub const COUNT_BUCKETS: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 1024.0];

impl Meter {
    const fn new(name: &'static str, kind: Kind, unit: Unit, description: &'static str) -> Self {
        Self {
            name: Cow::Borrowed(name),
            kind,
            unit,
            description,
            labels: &[],
            buckets: &[],
            clustered: false,
            standards: &[],
            sum_of: None,
        }
    }

    const fn counter(name: &'static str, description: &'static str) -> Self {
        Self::new(name, Kind::Counter, Unit::None, description)
    }

    const fn gauge(name: &'static str, description: &'static str) -> Self {
        Self::new(name, Kind::Gauge, Unit::None, description)
    }

    const fn timer(name: &'static str, description: &'static str) -> Self {
        Self::new(name, Kind::Timer, Unit::Seconds, description)
    }

    const fn summary(name: &'static str, description: &'static str) -> Self {
        Self::new(name, Kind::Summary, Unit::None, description)
    }

    const fn long_task(name: &'static str, description: &'static str) -> Self {
        Self::new(name, Kind::LongTask, Unit::Seconds, description)
    }

    const fn unit(mut self, unit: Unit) -> Self {
        self.unit = unit;
        self
    }

    const fn labels(mut self, labels: &'static [&'static str]) -> Self {
        self.labels = labels;
        self
    }

    const fn buckets(mut self, buckets: &'static [f64]) -> Self {
        self.buckets = buckets;
        self
    }

    const fn clustered(mut self) -> Self {
        self.clustered = true;
        self
    }

    const fn standards(mut self, standards: &'static [Standard]) -> Self {
        self.standards = standards;
        self
    }

    const fn sum_of(mut self, meter: &'static str) -> Self {
        self.sum_of = Some(meter);
        self
    }

    /// What stands in for a meter that the code emits but nobody declared.
    pub(super) fn undeclared(name: String, kind: Kind) -> Self {
        Self { name: Cow::Owned(name), ..Self::new("", kind, Unit::None, "Not in the catalogue") }
    }

    /// The Prometheus family name of the meter called `name` (which differs
    /// from `self.name` by the prefix of business meters): dots to
    /// underscores, the unit at the end, for counters without `_total`.
    pub(super) fn family_name(&self, name: &str) -> String {
        let mut family: String =
            name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        if family.starts_with(|c: char| c.is_ascii_digit()) {
            family.insert(0, '_');
        }
        if self.kind == Kind::Counter
            && let Some(rest) = family.strip_suffix("_total")
        {
            family.truncate(rest.len());
        }
        if let Some(suffix) = self.unit.suffix() {
            // `operations.md` §2.2 has `process_threads_threads`.
            let present = self.unit != Unit::Threads
                && family.strip_suffix(suffix).is_some_and(|rest| rest.ends_with('_'));
            if !present {
                family.push('_');
                family.push_str(suffix);
            }
        }
        family
    }
}

/// All meters.
pub fn meters() -> impl Iterator<Item = &'static Meter> {
    declarations::ALL.iter().flat_map(|group| group.meters)
}

/// Meters of `operations.md` §2 that nothing here measures: told by `/actuator/info`, so that their
/// absence isn't taken for zero.
pub const UNMEASURED: &[&str] = &[
    "application.ready.time",
    "audit.chain.valid",
    "audit.write.failures",
    "backup.last.success",
    "backup.restore.last.success",
    "channel.api",
    "chatwoot.automation.runs",
    "chatwoot.cache.operation.time",
    "chatwoot.conversations.unattended",
    "chatwoot.csat.responses",
    "chatwoot.sla.breaches",
    "chatwoot.users.active",
    "db.pool.closed",
    "db.pool.min",
    "db.replication.lag",
    "db.retries",
    "email.fetch",
    "gc.pause",
    "redis.pool.connections",
    "security.bans.active",
    "security.events",
    "tcp.connections",
    "tokio.blocking.threads",
    "webhook.delivery",
    "webhook.endpoints.disabled",
    "webhook.inbound",
];

/// The text of `docs/reference/metrics.md`.
#[must_use]
pub fn reference() -> String {
    let mut text = String::from(
        "# Meters\n\n\
         Generated from the catalogue in `crates/telemetry/src/meters/catalogue`; do not edit.\n\n\
         Every sample also has the constant labels `application` and `environment`. A series \
         exists only after its first use, and a value that can't be measured on this system is \
         absent. Timers and summaries also give `<name>_max`, the maximum of the last two \
         minutes. ◇ marks what is counted over the whole cluster by one instance: query it with \
         `max without(instance)`. Label sets beyond `METRICS_MAX_LABELSETS` are recorded under \
         the value `__overflow__` and counted by `metrics.series.dropped`.\n",
    );
    for group in declarations::ALL {
        let _ = write!(
            text,
            "\n## {}\n\n| Meter | Prometheus | Kind | Labels | Description |\n|---|---|---|---|---|\n",
            group.title
        );
        for meter in group.meters {
            let _ = writeln!(
                text,
                "| `{}`{} | {} | {} | {} | {} |",
                meter.name,
                if meter.clustered { " ◇" } else { "" },
                prometheus_names(meter),
                kind_text(meter),
                list(meter.labels.iter()),
                match meter.sum_of {
                    Some(source) => format!("{}: the sum of `{source}`", meter.description),
                    None => meter.description.to_owned(),
                },
            );
        }
    }
    let absent: Vec<String> = UNMEASURED.iter().map(|name| format!("`{name}`")).collect();
    let _ = write!(
        text,
        "\n## Not measured\n\nNothing here measures these, and `/actuator/info` says so: {}.\n",
        absent.join(", ")
    );
    text.push_str("\n## Buckets\n\n| Kind | Upper bounds |\n|---|---|\n");
    for (title, bounds) in [
        ("requests (s)", REQUEST_BUCKETS),
        ("stores (s)", STORE_BUCKETS),
        ("deliveries (s)", DELIVERY_BUCKETS),
        ("sizes (B)", SIZE_BUCKETS),
        ("counts", COUNT_BUCKETS),
    ] {
        let bounds: Vec<String> = bounds.iter().map(f64::to_string).collect();
        let _ = writeln!(text, "| {title} | {} |", bounds.join(" "));
    }
    text
}

fn prometheus_names(meter: &Meter) -> String {
    let family = meter.family_name(&meter.name);
    let total = if meter.kind == Kind::Counter { "_total" } else { "" };
    let mut names = match meter.kind {
        Kind::Counter | Kind::Gauge => vec![format!("{family}{total}")],
        Kind::Timer | Kind::Summary if meter.buckets.is_empty() => {
            vec![format!("{family}_{{count,sum,max}}")]
        }
        Kind::Timer | Kind::Summary => vec![format!("{family}_{{bucket,count,sum,max}}")],
        Kind::LongTask => vec![format!("{family}_{{active_count,duration_sum,max}}")],
    };
    names.extend(meter.standards.iter().map(|standard| format!("{}{total}", standard.name)));
    list(names.iter())
}

fn kind_text(meter: &Meter) -> String {
    let kind = match meter.kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Timer => "timer",
        Kind::Summary => "summary",
        Kind::LongTask => "long task",
    };
    let buckets = match meter.buckets {
        [] => "",
        b if b == REQUEST_BUCKETS => ", request buckets",
        b if b == STORE_BUCKETS => ", store buckets",
        b if b == SIZE_BUCKETS => ", size buckets",
        _ => ", count buckets",
    };
    let unit = match (meter.kind, meter.unit) {
        (Kind::Timer | Kind::LongTask, _) | (_, Unit::None) => String::new(),
        (_, unit) => format!(", {}", unit.base().unwrap_or_default()),
    };
    format!("{kind}{unit}{buckets}")
}

fn list<T: AsRef<str>>(names: impl Iterator<Item = T>) -> String {
    let quoted: Vec<String> = names.map(|name| format!("`{}`", name.as_ref())).collect();
    if quoted.is_empty() { "–".to_owned() } else { quoted.join(", ") }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::meters::cells::MOST_BOUNDS;

    #[test]
    fn names_follow_the_rules_of_prometheus() {
        #[track_caller]
        fn check(meter: Meter, expected: &str) {
            assert_eq!(meter.family_name(&meter.name), expected);
        }
        check(Meter::counter("chatwoot.messages.total", ""), "chatwoot_messages");
        check(Meter::counter("logging.events", ""), "logging_events");
        check(
            Meter::counter("process.cpu.time", "").unit(Unit::Nanoseconds),
            "process_cpu_time_seconds",
        );
        check(
            Meter::counter("chatwoot.websocket.bytes", "").unit(Unit::Bytes),
            "chatwoot_websocket_bytes",
        );
        check(Meter::timer("http.server.requests", ""), "http_server_requests_seconds");
        check(Meter::gauge("process.threads", "").unit(Unit::Threads), "process_threads_threads");
        check(
            Meter::gauge("tasks.scheduled.last.success", "").unit(Unit::Timestamp),
            "tasks_scheduled_last_success_timestamp_seconds",
        );
        check(Meter::gauge("disk.total", "").unit(Unit::Bytes), "disk_total_bytes");
        check(Meter::gauge("system.load.average.1m", ""), "system_load_average_1m");
        check(Meter::gauge("9.lives-left", ""), "_9_lives_left");
    }

    #[test]
    fn every_declaration_is_sound() {
        let mut names = BTreeSet::new();
        let mut families = BTreeSet::new();
        for meter in meters() {
            let name = &meter.name;
            assert!(names.insert(name.to_string()), "{name} is declared twice");
            let family = meter.family_name(name);
            assert!(families.insert(family.clone()), "{family} has two meters");
            for standard in meter.standards {
                assert!(families.insert(standard.name.to_owned()), "{} twice", standard.name);
            }
            assert!(
                name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '.'),
                "{name} is not dotted lower case"
            );
            assert!(!meter.description.is_empty() && !meter.description.ends_with('.'));
            assert!(meter.buckets.is_sorted(), "{name} has unsorted buckets");
            assert!(meter.buckets.len() <= MOST_BOUNDS, "{name} has too many buckets");
            if let Some(source) = meter.sum_of {
                let source = meters().find(|meter| meter.name == source).unwrap();
                assert!(matches!(source.kind, Kind::Timer | Kind::Summary), "{name}");
                assert!(meter.buckets.is_empty() && meter.labels.is_empty(), "{name}");
            }
            for label in meter.labels {
                assert!(
                    !["application", "environment", "le", "quantile"].contains(label),
                    "{name} has the reserved label {label}"
                );
                assert!(label.chars().all(|c| c.is_ascii_lowercase() || c == '_'));
            }
            match meter.kind {
                Kind::Timer | Kind::LongTask => assert_eq!(meter.unit, Unit::Seconds),
                Kind::Counter | Kind::Gauge => assert!(meter.buckets.is_empty()),
                Kind::Summary => {}
            }
        }
    }

    #[test]
    fn objectives_are_bounds_of_buckets() {
        for (name, limits) in [
            ("http.server.requests", &[0.25, 0.75][..]),
            ("chatwoot.message.fanout", &[1.0]),
            ("jobs.wait", &[5.0]),
        ] {
            let meter = meters().find(|meter| meter.name == name);
            let buckets = meter.map_or(&[][..], |meter| meter.buckets);
            for limit in limits {
                assert!(buckets.contains(limit), "{name} has no bound {limit}");
            }
        }
    }

    /// `cargo xtask generate` has it written instead.
    #[test]
    fn the_reference_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/metrics.md");
        if std::env::var_os("CHATWARDEN_GENERATE").is_some() {
            std::fs::write(path, reference()).unwrap();
        }
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        assert!(committed == reference(), "docs/reference/metrics.md is out of date");
    }
}
