//! The registry as Prometheus text 0.0.4 and OpenMetrics 1.0.0.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::sync::Arc;

use metrics::Label;

use super::catalogue::{Kind, Unit};
use super::cells::DistributionReading;
use super::registry::{Cell, Family, Registry, Settings};

/// A text format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exposition {
    /// Prometheus text 0.0.4.
    Prometheus,
    /// OpenMetrics 1.0.0.
    OpenMetrics,
}

impl Exposition {
    /// The `Content-Type` of the format.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain;version=0.0.4;charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text;version=1.0.0;charset=utf-8",
        }
    }
}

/// Which meters a scrape asks for: dotted names, family names or sample names.
#[derive(Clone, Debug, Default)]
pub struct IncludedNames(BTreeSet<String>);

impl IncludedNames {
    /// Reads the query parameter `includedNames`; nothing in it means all.
    #[must_use]
    pub fn parse(list: &str) -> Self {
        Self(
            list.split(',')
                .map(str::trim)
                .filter(|name| !name.is_empty())
                .map(str::to_owned)
                .collect(),
        )
    }

    fn all(&self) -> bool {
        self.0.is_empty()
    }

    fn has(&self, name: &str) -> bool {
        self.all() || self.0.contains(name)
    }
}

impl Registry {
    /// All series that were used, in `format`.
    #[must_use]
    pub fn expose(&self, format: Exposition, included: &IncludedNames) -> String {
        let mut page = Page {
            format,
            settings: self.settings(),
            included,
            text: String::with_capacity(64 * 1024),
        };
        for family in self.families() {
            page.family(&family);
        }
        if format == Exposition::OpenMetrics {
            page.text.push_str("# EOF\n");
        }
        page.text
    }
}

struct Page<'a> {
    format: Exposition,
    settings: &'a Settings,
    included: &'a IncludedNames,
    text: String,
}

/// The labels of a series as text, ready for samples, without braces.
struct Rendered(String);

impl Page<'_> {
    fn family(&mut self, family: &Family) {
        let series = family.series();
        let name = family.meter.family_name(&family.name);
        if !series.is_empty() && self.wanted(family, &name) {
            match family.meter.kind {
                Kind::Counter => self.counter(family, &name, &series),
                Kind::Gauge => self.gauge(family, &name, &series),
                Kind::Timer | Kind::Summary => self.distribution(family, &name, &series),
                Kind::LongTask => self.long_task(family, &name, &series),
            }
        }
        for standard in family.meter.standards {
            let wanted = self.included.has(standard.name)
                || self.included.has(&format!("{}_total", standard.name));
            if let Some(sum) = sum(&series).filter(|_| wanted) {
                let description = family.meter.description;
                let kind = if family.meter.kind == Kind::Counter { "counter" } else { "gauge" };
                self.head(standard.name, kind, standard.unit, description);
                let labels = self.rendered(&[]);
                let total = if kind == "counter" { "_total" } else { "" };
                self.sample(standard.name, total, &labels, None, sum * standard.factor);
            }
        }
    }

    fn wanted(&self, family: &Family, name: &str) -> bool {
        let suffixes: &[&str] = match family.meter.kind {
            Kind::Counter => &["_total"],
            Kind::Gauge => &[],
            Kind::Timer | Kind::Summary => &["_bucket", "_count", "_sum", "_max"],
            Kind::LongTask => &["_active_count", "_duration_sum", "_max"],
        };
        self.included.has(name)
            || self.included.has(&family.name)
            || suffixes.iter().any(|suffix| self.included.has(&format!("{name}{suffix}")))
    }

    fn counter(&mut self, family: &Family, name: &str, series: &[(Arc<[Label]>, Cell)]) {
        self.head(name, "counter", family.meter.unit, family.meter.description);
        for (labels, cell) in series {
            if let Cell::Counter(cell) = cell {
                let labels = self.rendered(labels);
                self.open(name, "_total", &labels, None);
                let _ = writeln!(self.text, "{}", cell.get());
            }
        }
    }

    fn gauge(&mut self, family: &Family, name: &str, series: &[(Arc<[Label]>, Cell)]) {
        let mut headed = false;
        for (labels, cell) in series {
            let Cell::Gauge(cell) = cell else { continue };
            let Some(value) = cell.get() else { continue };
            if !headed {
                self.head(name, "gauge", family.meter.unit, family.meter.description);
                headed = true;
            }
            let labels = self.rendered(labels);
            self.sample(name, "", &labels, None, value);
        }
    }

    fn distribution(&mut self, family: &Family, name: &str, series: &[(Arc<[Label]>, Cell)]) {
        let readings: Vec<_> = series
            .iter()
            .filter_map(|(labels, cell)| match cell {
                Cell::Distribution(cell) => {
                    Some((self.rendered(labels), cell.bounds(), cell.read()))
                }
                _ => None,
            })
            .filter(|(_, _, reading)| reading.count > 0)
            .collect();
        if readings.is_empty() {
            return;
        }
        let bucketed = !family.meter.buckets.is_empty();
        let kind = if bucketed { "histogram" } else { "summary" };
        self.head(name, kind, family.meter.unit, family.meter.description);
        for (labels, bounds, reading) in &readings {
            if bucketed {
                self.buckets(name, labels, bounds, reading);
            }
            self.open(name, "_count", labels, None);
            let _ = writeln!(self.text, "{}", reading.count);
            self.sample(name, "_sum", labels, None, reading.sum);
        }
        // The unit would have to end the name, and this one ends in `_max`.
        let max = format!("{name}_max");
        self.head(&max, "gauge", Unit::None, family.meter.description);
        for (labels, _, reading) in &readings {
            self.sample(&max, "", labels, None, reading.max);
        }
    }

    fn buckets(
        &mut self,
        name: &str,
        labels: &Rendered,
        bounds: &[f64],
        reading: &DistributionReading,
    ) {
        for (bound, count) in bounds.iter().zip(&reading.cumulative) {
            self.open(name, "_bucket", labels, Some(*bound));
            let _ = writeln!(self.text, "{count}");
        }
        self.open(name, "_bucket", labels, Some(f64::INFINITY));
        let _ = writeln!(self.text, "{}", reading.count);
    }

    fn long_task(&mut self, family: &Family, name: &str, series: &[(Arc<[Label]>, Cell)]) {
        let readings: Vec<_> = series
            .iter()
            .filter_map(|(labels, cell)| match cell {
                Cell::LongTask(cell) => Some((self.rendered(labels), cell.read())),
                _ => None,
            })
            .collect();
        for suffix in ["_active_count", "_duration_sum", "_max"] {
            let name = format!("{name}{suffix}");
            self.head(&name, "gauge", Unit::None, family.meter.description);
            for (labels, reading) in &readings {
                #[expect(clippy::cast_precision_loss, reason = "no process has 2^52 tasks")]
                let value = match suffix {
                    "_active_count" => reading.active as f64,
                    "_duration_sum" => reading.duration,
                    _ => reading.max,
                };
                self.sample(&name, "", labels, None, value);
            }
        }
    }

    fn head(&mut self, family: &str, kind: &str, unit: Unit, description: &str) {
        // The old format names a family as its samples, the new one without
        // the suffix.
        let total = match (self.format, kind) {
            (Exposition::Prometheus, "counter") => "_total",
            _ => "",
        };
        let _ = write!(self.text, "# HELP {family}{total} ");
        let quotes = self.format == Exposition::OpenMetrics;
        escape(&mut self.text, description, quotes);
        let _ = writeln!(self.text, "\n# TYPE {family}{total} {kind}");
        if let (Exposition::OpenMetrics, Some(unit)) = (self.format, unit.base()) {
            let _ = writeln!(self.text, "# UNIT {family} {unit}");
        }
    }

    fn sample(
        &mut self,
        family: &str,
        suffix: &str,
        labels: &Rendered,
        le: Option<f64>,
        value: f64,
    ) {
        self.open(family, suffix, labels, le);
        number(&mut self.text, value);
        self.text.push('\n');
    }

    /// Everything of a sample before its value.
    fn open(&mut self, family: &str, suffix: &str, labels: &Rendered, le: Option<f64>) {
        self.text.push_str(family);
        self.text.push_str(suffix);
        self.text.push('{');
        self.text.push_str(&labels.0);
        if let Some(le) = le {
            self.text.push_str(",le=\"");
            bound(&mut self.text, le);
            self.text.push('"');
        }
        self.text.push_str("} ");
    }

    fn rendered(&self, labels: &[Label]) -> Rendered {
        let mut text = String::with_capacity(96);
        label(&mut text, "application", &self.settings.application);
        label(&mut text, "environment", &self.settings.environment);
        for pair in labels {
            label(&mut text, pair.key(), pair.value());
        }
        Rendered(text)
    }
}

fn sum(series: &[(Arc<[Label]>, Cell)]) -> Option<f64> {
    let values = series.iter().filter_map(|(_, cell)| match cell {
        #[expect(clippy::cast_precision_loss, reason = "the sum is scaled anyway")]
        Cell::Counter(cell) => Some(cell.get() as f64),
        Cell::Gauge(cell) => cell.get(),
        _ => None,
    });
    values.reduce(|a, b| a + b)
}

fn label(text: &mut String, key: &str, value: &str) {
    if !text.is_empty() {
        text.push(',');
    }
    for (index, c) in key.chars().enumerate() {
        let valid = c.is_ascii_alphabetic() || c == '_' || (index > 0 && c.is_ascii_digit());
        text.push(if valid { c } else { '_' });
    }
    text.push_str("=\"");
    escape(text, value, true);
    text.push('"');
}

fn escape(text: &mut String, value: &str, quotes: bool) {
    for c in value.chars() {
        match c {
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '"' if quotes => text.push_str("\\\""),
            other => text.push(other),
        }
    }
}

fn number(text: &mut String, value: f64) {
    if value == f64::INFINITY {
        text.push_str("+Inf");
    } else if value == f64::NEG_INFINITY {
        text.push_str("-Inf");
    } else {
        let _ = write!(text, "{value}");
    }
}

/// A bound is written as a float (`1.0`) in both formats, so that its series
/// stays the same whichever was negotiated.
fn bound(text: &mut String, value: f64) {
    number(text, value);
    if value.is_finite() && value.fract() == 0.0 {
        text.push_str(".0");
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use metrics::{counter, gauge, histogram};

    use super::*;
    use crate::clock::ManualClock;

    fn registry(max_label_sets: usize) -> (Registry, Arc<ManualClock>) {
        let clock = ManualClock::at(SystemTime::UNIX_EPOCH);
        let settings = Settings {
            application: "A".to_owned(),
            environment: "t".to_owned(),
            max_label_sets,
            ..Settings::default()
        };
        (Registry::new(settings, clock.clone()), clock)
    }

    #[track_caller]
    fn check(format: Exposition, emit: impl FnOnce(), expected: &str) {
        let (registry, _) = registry(1000);
        metrics::with_local_recorder(&registry, emit);
        let text = registry.expose(format, &IncludedNames::default());
        assert_eq!(text, expected);
        assert_eq!(registry.misuses(), [""; 0]);
    }

    #[test]
    fn nothing_used_is_nothing_shown() {
        check(Exposition::Prometheus, || {}, "");
        check(Exposition::OpenMetrics, || {}, "# EOF\n");
        check(Exposition::Prometheus, || gauge!("process.uptime").set(f64::NAN), "");
        check(Exposition::Prometheus, || drop(histogram!("jobs.wait")), "");
    }

    #[test]
    fn a_counter_ends_in_total_once() {
        let emit = || counter!("chatwoot.messages.total", "direction" => "incoming").increment(2);
        check(
            Exposition::Prometheus,
            emit,
            "# HELP chatwoot_messages_total Messages created\n\
             # TYPE chatwoot_messages_total counter\n\
             chatwoot_messages_total{application=\"A\",environment=\"t\",direction=\"incoming\"} 2\n",
        );
        check(
            Exposition::OpenMetrics,
            emit,
            "# HELP chatwoot_messages Messages created\n\
             # TYPE chatwoot_messages counter\n\
             chatwoot_messages_total{application=\"A\",environment=\"t\",direction=\"incoming\"} 2\n\
             # EOF\n",
        );
    }

    #[test]
    fn standards_are_sums_in_their_unit() {
        check(
            Exposition::OpenMetrics,
            || {
                counter!("process.cpu.time", "mode" => "user").absolute(1_500_000_000);
                counter!("process.cpu.time", "mode" => "system").absolute(500_000_000);
            },
            "# HELP process_cpu_time_ns Processor time used\n\
             # TYPE process_cpu_time_ns counter\n\
             # UNIT process_cpu_time_ns ns\n\
             process_cpu_time_ns_total{application=\"A\",environment=\"t\",mode=\"system\"} 500000000\n\
             process_cpu_time_ns_total{application=\"A\",environment=\"t\",mode=\"user\"} 1500000000\n\
             # HELP process_cpu_seconds Processor time used\n\
             # TYPE process_cpu_seconds counter\n\
             # UNIT process_cpu_seconds seconds\n\
             process_cpu_seconds_total{application=\"A\",environment=\"t\"} 2\n\
             # EOF\n",
        );
    }

    #[test]
    fn a_timer_has_cumulative_buckets_and_a_maximum() {
        check(
            Exposition::OpenMetrics,
            || {
                for value in [0.0004, 0.002, 2.0, 9.0] {
                    histogram!("runtime.stall").record(value);
                }
            },
            "# HELP runtime_stall_seconds How late the runtime ran a task that was due\n\
             # TYPE runtime_stall_seconds histogram\n\
             # UNIT runtime_stall_seconds seconds\n\
             runtime_stall_seconds_bucket{application=\"A\",environment=\"t\",le=\"0.0005\"} 1\n\
             runtime_stall_seconds_bucket{application=\"A\",environment=\"t\",le=\"0.001\"} 1\n\
             runtime_stall_seconds_bucket{application=\"A\",environment=\"t\",le=\"0.0025\"} 2\n\
             runtime_stall_seconds_bucket{application=\"A\",environment=\"t\",le=\"0.005\"} 2\n\
             runtime_stall_seconds_bucket{application=\"A\",environment=\"t\",le=\"0.01\"} 2\n\
             runtime_stall_seconds_bucket{application=\"A\",environment=\"t\",le=\"0.025\"} 2\n\
             runtime_stall_seconds_bucket{application=\"A\",environment=\"t\",le=\"0.05\"} 2\n\
             runtime_stall_seconds_bucket{application=\"A\",environment=\"t\",le=\"0.1\"} 2\n\
             runtime_stall_seconds_bucket{application=\"A\",environment=\"t\",le=\"0.25\"} 2\n\
             runtime_stall_seconds_bucket{application=\"A\",environment=\"t\",le=\"0.5\"} 2\n\
             runtime_stall_seconds_bucket{application=\"A\",environment=\"t\",le=\"1.0\"} 2\n\
             runtime_stall_seconds_bucket{application=\"A\",environment=\"t\",le=\"5.0\"} 3\n\
             runtime_stall_seconds_bucket{application=\"A\",environment=\"t\",le=\"+Inf\"} 4\n\
             runtime_stall_seconds_count{application=\"A\",environment=\"t\"} 4\n\
             runtime_stall_seconds_sum{application=\"A\",environment=\"t\"} 11.0024\n\
             # HELP runtime_stall_seconds_max How late the runtime ran a task that was due\n\
             # TYPE runtime_stall_seconds_max gauge\n\
             runtime_stall_seconds_max{application=\"A\",environment=\"t\"} 9\n\
             # EOF\n",
        );
        check(
            Exposition::Prometheus,
            || histogram!("chatwoot.api.response.time").record(0.5),
            "# HELP chatwoot_api_response_time_seconds Duration of all HTTP requests together\n\
             # TYPE chatwoot_api_response_time_seconds summary\n\
             chatwoot_api_response_time_seconds_count{application=\"A\",environment=\"t\"} 1\n\
             chatwoot_api_response_time_seconds_sum{application=\"A\",environment=\"t\"} 0.5\n\
             # HELP chatwoot_api_response_time_seconds_max Duration of all HTTP requests together\n\
             # TYPE chatwoot_api_response_time_seconds_max gauge\n\
             chatwoot_api_response_time_seconds_max{application=\"A\",environment=\"t\"} 0.5\n",
        );
    }

    #[test]
    fn running_tasks_are_gauges() {
        let (registry, clock) = registry(1000);
        let labels = vec![Label::new("method", "GET")];
        let task = registry.start_task("http.server.requests.active", labels);
        clock.advance(Duration::from_millis(1500));
        let text = registry.expose(Exposition::Prometheus, &IncludedNames::default());
        let samples: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(
            samples,
            [
                "http_server_requests_active_seconds_active_count{application=\"A\",environment=\"t\",method=\"GET\"} 1",
                "http_server_requests_active_seconds_duration_sum{application=\"A\",environment=\"t\",method=\"GET\"} 1.5",
                "http_server_requests_active_seconds_max{application=\"A\",environment=\"t\",method=\"GET\"} 1.5",
            ]
        );
        drop(task);
    }

    #[test]
    fn hostile_text_is_escaped() {
        for (value, expected) in [
            ("plain", "plain"),
            ("a\"b", "a\\\"b"),
            ("a\\b", "a\\\\b"),
            ("a\nb", "a\\nb"),
            ("\\n\"}", "\\\\n\\\"}"),
            ("über\t{}", "über\t{}"),
        ] {
            let mut text = String::new();
            label(&mut text, "k", value);
            assert_eq!(text, format!("k=\"{expected}\""));
        }
        let mut text = String::new();
        label(&mut text, "0-a.b", "");
        assert_eq!(text, "__a_b=\"\"");
        let mut help = String::new();
        escape(&mut help, "a\\b\"c\nd", false);
        assert_eq!(help, "a\\\\b\"c\\nd");
    }

    #[test]
    fn numbers_are_what_parsers_accept() {
        for (value, expected) in [
            (0.0, "0"),
            (1.5, "1.5"),
            (-2.0, "-2"),
            (1e21, "1000000000000000000000"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
        ] {
            let mut text = String::new();
            number(&mut text, value);
            assert_eq!(text, expected);
        }
    }

    #[test]
    fn a_scrape_may_name_what_it_wants() {
        let (registry, _) = registry(1000);
        metrics::with_local_recorder(&registry, || {
            counter!("logging.events", "level" => "info").increment(1);
            histogram!("jobs.wait", "queue" => "q").record(0.1);
            gauge!("process.files.open").set(7);
        });
        let families = |names: &str| {
            let text = registry.expose(Exposition::Prometheus, &IncludedNames::parse(names));
            text.lines()
                .filter_map(|line| {
                    line.strip_prefix("# TYPE ")?.split(' ').next().map(str::to_owned)
                })
                .collect::<Vec<_>>()
        };
        let waits = ["jobs_wait_seconds", "jobs_wait_seconds_max"];
        for (names, expected) in [
            ("logging_events_total", &["logging_events_total"][..]),
            ("logging_events", &["logging_events_total"]),
            ("jobs_wait_seconds_count", &waits),
            ("jobs.wait", &waits),
            ("process_open_fds", &["process_open_fds"]),
            (
                "process_files_open_files, logging.events",
                &["logging_events_total", "process_files_open_files"],
            ),
            ("unknown", &[]),
        ] {
            assert_eq!(families(names), expected, "{names}");
        }
        assert_eq!(families(" , ").len(), 5);
    }

    #[test]
    fn label_sets_beyond_the_cap_share_one_series() {
        let (registry, _) = registry(2);
        metrics::with_local_recorder(&registry, || {
            for job in ["a", "b", "c", "d", "c"] {
                counter!("jobs.dead", "queue" => "q", "job" => job).increment(1);
                gauge!("disk.free", "path" => job).set(1);
            }
        });
        let text = registry.expose(Exposition::Prometheus, &IncludedNames::default());
        let samples: Vec<_> = text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .map(|line| line.replace("application=\"A\",environment=\"t\",", ""))
            .collect();
        assert_eq!(
            samples,
            [
                "disk_free_bytes{path=\"a\"} 1",
                "disk_free_bytes{path=\"b\"} 1",
                "jobs_dead_total{job=\"__overflow__\",queue=\"__overflow__\"} 3",
                "jobs_dead_total{job=\"a\",queue=\"q\"} 1",
                "jobs_dead_total{job=\"b\",queue=\"q\"} 1",
                "metrics_series_dropped_total{meter=\"disk.free\"} 3",
                "metrics_series_dropped_total{meter=\"jobs.dead\"} 3",
            ]
        );
    }

    #[test]
    fn the_order_of_labels_makes_no_new_series() {
        let (registry, _) = registry(1000);
        metrics::with_local_recorder(&registry, || {
            counter!("jobs.dead", "queue" => "q", "job" => "j").increment(1);
            counter!("jobs.dead", "job" => "j", "queue" => "q").increment(1);
        });
        let text = registry.expose(Exposition::Prometheus, &IncludedNames::default());
        assert!(text.ends_with("job=\"j\",queue=\"q\"} 2\n"), "{text}");
    }

    #[test]
    fn what_the_catalogue_does_not_know_is_served_and_reported() {
        let (registry, _) = registry(1000);
        metrics::with_local_recorder(&registry, || {
            counter!("made.up", "k" => "v").increment(1);
            gauge!("logging.events").set(1);
            counter!("jobs.dead", "account" => "1").increment(1);
        });
        let text = registry.expose(Exposition::Prometheus, &IncludedNames::default());
        assert!(text.contains("made_up_total{application=\"A\",environment=\"t\",k=\"v\"} 1"));
        assert_eq!(
            registry.misuses(),
            [
                "jobs.dead has the undeclared label account",
                "logging.events is used as a Gauge",
                "made.up is not in the catalogue",
            ]
        );
    }

    #[test]
    fn business_meters_follow_the_prefix() {
        let clock = ManualClock::at(SystemTime::UNIX_EPOCH);
        let settings = Settings { prefix: "desk".to_owned(), ..Settings::default() };
        let registry = Registry::new(settings, clock);
        metrics::with_local_recorder(&registry, || {
            counter!("chatwoot.messages.total").increment(1);
        });
        let text = registry.expose(Exposition::Prometheus, &IncludedNames::default());
        assert!(text.contains("\ndesk_messages_total{"), "{text}");
    }
}
