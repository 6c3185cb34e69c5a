//! The registry as Prometheus text 0.0.4 and OpenMetrics 1.0.0.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use metrics::Label;

use crate::meters::catalogue::{Kind, Unit};
use crate::meters::cells::DistributionReading;
use crate::meters::registry::{Cell, Family, Registry, Settings};

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
        let mut headed = false;
        for (labels, cell) in series {
            let Cell::Counter(cell) = cell else { continue };
            let Some(value) = cell.get() else { continue };
            let unit = family.meter.unit;
            if !headed {
                self.head(name, "counter", unit.exposed(), family.meter.description);
                headed = true;
            }
            let labels = self.rendered(labels);
            self.open(name, "_total", &labels, None);
            let _ = match unit {
                Unit::Nanoseconds => {
                    writeln!(self.text, "{}", Duration::from_nanos(value).as_secs_f64())
                }
                _ => writeln!(self.text, "{value}"),
            };
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
        // The linter keeps these endings for histograms and summaries; only what has no type may
        // have them besides.
        let reserved = ["_count", "_sum", "_bucket"].iter().any(|end| family.ends_with(end));
        let kind = match self.format {
            Exposition::Prometheus if kind == "gauge" && reserved => "untyped",
            _ => kind,
        };
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
        Cell::Counter(cell) => cell.get().map(|value| value as f64),
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
mod tests;
