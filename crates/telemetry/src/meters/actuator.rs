//! The registry as the actuator shows it (`operations.md` §1.3).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use metrics::Label;
use serde::Serialize;

use super::aliases;
use super::catalogue::{Kind, Unit};
use super::registry::{Cell, Family, Registry};

/// The answer of `GET /actuator/metrics`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MeterNames {
    /// Dotted names, sorted.
    pub names: Vec<String>,
}

/// The answer of `GET /actuator/metrics/{name}`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MeterView {
    /// The dotted name.
    pub name: String,
    /// What the meter measures.
    pub description: String,
    /// The unit of the values, when they have one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_unit: Option<&'static str>,
    /// Sums over the series that matched; a maximum is the largest.
    pub measurements: Vec<Measurement>,
    /// Tags that would narrow the view further.
    pub available_tags: Vec<AvailableTag>,
}

/// One number of a meter.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Measurement {
    /// Boot's name of it: `COUNT`, `TOTAL_TIME`, `MAX`, `VALUE`, …
    pub statistic: &'static str,
    /// The number.
    pub value: f64,
}

/// A tag and the values it has among the series that matched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AvailableTag {
    /// The key.
    pub tag: String,
    /// The values, sorted.
    pub values: Vec<String>,
}

/// One `tag=key:value` of a drill-down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagFilter {
    key: String,
    value: String,
}

impl TagFilter {
    fn accepts(&self, labels: &[Label]) -> bool {
        labels.iter().any(|label| label.key() == self.key && label.value() == self.value)
    }
}

/// What a view is made of.
struct Subject {
    name: String,
    description: String,
    kind: Kind,
    unit: Unit,
    series: Vec<(Vec<Label>, Cell)>,
}

/// A drill-down's tag without a colon.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("a tag is written key:value")]
pub struct TagFilterError;

impl std::str::FromStr for TagFilter {
    type Err = TagFilterError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (key, value) = text.split_once(':').ok_or(TagFilterError)?;
        Ok(Self { key: key.to_owned(), value: value.to_owned() })
    }
}

impl Registry {
    /// The names of all meters with a series.
    #[must_use]
    pub fn names(&self) -> MeterNames {
        let names = self
            .families()
            .iter()
            .filter(|family| family.series().iter().any(|(_, cell)| present(cell)))
            .map(|family| family.name.clone())
            .collect();
        MeterNames { names }
    }

    /// The meter called `name`, narrowed to the series that have all of
    /// `filters`; nothing when there is no such meter or series. Names of the
    /// JVM's world are found too, unless the settings say otherwise.
    #[must_use]
    pub fn view(&self, name: &str, filters: &[TagFilter]) -> Option<MeterView> {
        let families = self.families();
        let subject = match families.iter().find(|family| family.name == name) {
            Some(family) => Subject {
                name: family.name.clone(),
                description: family.meter.description.to_owned(),
                kind: family.meter.kind,
                unit: family.meter.unit,
                series: self.labelled(family),
            },
            None if self.settings().jvm_aliases => self.aliased(name, &families)?,
            None => return None,
        };
        let series: Vec<_> = subject
            .series
            .into_iter()
            .filter(|(labels, _)| filters.iter().all(|filter| filter.accepts(labels)))
            .collect();
        if series.is_empty() {
            return None;
        }
        Some(MeterView {
            name: subject.name,
            description: subject.description,
            base_unit: subject.unit.base(),
            measurements: measurements(subject.kind, series.iter().map(|(_, cell)| cell)),
            available_tags: available(&series, filters),
        })
    }

    /// A real meter under the name that tools for the JVM ask for.
    fn aliased(&self, name: &str, families: &[Arc<Family>]) -> Option<Subject> {
        let alias = aliases::find(name)?;
        let mut series = Vec::new();
        let mut source = None;
        for part in alias.parts {
            let Some(family) = families.iter().find(|family| family.meter.name == part.meter)
            else {
                continue;
            };
            source.get_or_insert((family.meter.kind, family.meter.unit));
            for (labels, cell) in self.labelled(family) {
                if let Some(labels) = part.relabelled(labels) {
                    series.push((labels, cell));
                }
            }
        }
        let (kind, unit) = source?;
        Some(Subject {
            name: alias.name.to_owned(),
            description: alias.description.to_owned(),
            kind,
            unit,
            series,
        })
    }

    /// The series with a value, with all their labels.
    fn labelled(&self, family: &Family) -> Vec<(Vec<Label>, Cell)> {
        family
            .series()
            .into_iter()
            .filter(|(_, cell)| present(cell))
            .map(|(labels, cell)| (self.all_labels(&labels), cell))
            .collect()
    }

    fn all_labels(&self, labels: &Arc<[Label]>) -> Vec<Label> {
        let settings = self.settings();
        let mut all = vec![
            Label::new("application", settings.application.clone()),
            Label::new("environment", settings.environment.clone()),
        ];
        all.extend(labels.iter().cloned());
        all
    }
}

fn present(cell: &Cell) -> bool {
    match cell {
        Cell::Gauge(cell) => cell.get().is_some(),
        Cell::Distribution(cell) => cell.read().count > 0,
        Cell::Counter(cell) => cell.get().is_some(),
        Cell::LongTask(_) => true,
    }
}

fn available(series: &[(Vec<Label>, Cell)], filters: &[TagFilter]) -> Vec<AvailableTag> {
    let mut tags: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for label in series.iter().flat_map(|(labels, _)| labels) {
        if !filters.iter().any(|filter| filter.key == label.key()) {
            tags.entry(label.key()).or_default().insert(label.value());
        }
    }
    tags.into_iter()
        .map(|(tag, values)| AvailableTag {
            tag: tag.to_owned(),
            values: values.into_iter().map(str::to_owned).collect(),
        })
        .collect()
}

#[expect(clippy::cast_precision_loss, reason = "the actuator's numbers are JSON numbers")]
fn measurements<'a>(kind: Kind, cells: impl Iterator<Item = &'a Cell>) -> Vec<Measurement> {
    let (mut count, mut total, mut max) = (0.0, 0.0, 0f64);
    for cell in cells {
        match cell {
            Cell::Counter(cell) => count += cell.get().unwrap_or_default() as f64,
            Cell::Gauge(cell) => total += cell.get().unwrap_or_default(),
            Cell::Distribution(cell) => {
                let reading = cell.read();
                count += reading.count as f64;
                total += reading.sum;
                max = max.max(reading.max);
            }
            Cell::LongTask(cell) => {
                let reading = cell.read();
                count += reading.active as f64;
                total += reading.duration;
                max = max.max(reading.max);
            }
        }
    }
    let named: &[(&'static str, f64)] = match kind {
        Kind::Counter => &[("COUNT", count)],
        Kind::Gauge => &[("VALUE", total)],
        Kind::Timer => &[("COUNT", count), ("TOTAL_TIME", total), ("MAX", max)],
        Kind::Summary => &[("COUNT", count), ("TOTAL", total), ("MAX", max)],
        Kind::LongTask => &[("ACTIVE_TASKS", count), ("DURATION", total), ("MAX", max)],
    };
    named.iter().map(|(statistic, value)| Measurement { statistic, value: *value }).collect()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use metrics::{counter, gauge, histogram};
    use serde_json::json;

    use super::*;
    use crate::clock::ManualClock;
    use crate::meters::Settings;

    fn registry() -> (Registry, Arc<ManualClock>) {
        let clock = ManualClock::at(SystemTime::UNIX_EPOCH);
        let settings = Settings {
            application: "A".to_owned(),
            environment: "t".to_owned(),
            ..Settings::default()
        };
        (Registry::new(settings, clock.clone()), clock)
    }

    #[test]
    fn a_drill_down_narrows_and_sums() {
        let (registry, clock) = registry();
        metrics::with_local_recorder(&registry, || {
            for (method, status, seconds) in
                [("GET", "200", 0.5), ("GET", "404", 0.25), ("POST", "200", 2.0)]
            {
                histogram!("http.server.requests", "method" => method, "status" => status)
                    .record(seconds);
            }
        });
        let view = |tags: &[&str]| {
            let filters: Vec<TagFilter> = tags.iter().map(|tag| tag.parse().unwrap()).collect();
            serde_json::to_value(registry.view("http.server.requests", &filters)).unwrap()
        };
        let measured = |count: f64, total: f64, max: f64| {
            json!([
                {"statistic": "COUNT", "value": count},
                {"statistic": "TOTAL_TIME", "value": total},
                {"statistic": "MAX", "value": max},
            ])
        };
        let constant = [
            json!({"tag": "application", "values": ["A"]}),
            json!({"tag": "environment", "values": ["t"]}),
        ];
        assert_eq!(
            view(&[]),
            json!({
                "name": "http.server.requests",
                "description": "Duration of HTTP requests until the end of the body",
                "baseUnit": "seconds",
                "measurements": measured(3.0, 2.75, 2.0),
                "availableTags": [
                    constant[0], constant[1],
                    {"tag": "method", "values": ["GET", "POST"]},
                    {"tag": "status", "values": ["200", "404"]},
                ],
            })
        );
        let get = view(&["method:GET", "application:A"]);
        assert_eq!(get["measurements"], measured(2.0, 0.75, 0.5));
        assert_eq!(
            get["availableTags"],
            json!([constant[1], {"tag": "status", "values": ["200", "404"]}])
        );
        assert_eq!(view(&["method:GET", "status:500"]), json!(null));
        assert_eq!(view(&["nope:1"]), json!(null));

        clock.advance(Duration::from_secs(120));
        assert_eq!(view(&[])["measurements"], measured(3.0, 2.75, 0.0));
    }

    #[test]
    fn each_kind_has_its_statistics() {
        let (registry, _) = registry();
        let running = registry.long_task("http.server.requests.active", Vec::new()).start();
        metrics::with_local_recorder(&registry, || {
            counter!("logging.events", "level" => "info").increment(2);
            counter!("logging.events", "level" => "warn").increment(3);
            gauge!("db.pool.connections", "state" => "idle").set(4);
            gauge!("db.pool.connections", "state" => "active").set(1);
            histogram!("http.server.request.size").record(10);
        });
        let statistics = |name: &str| {
            let view = registry.view(name, &[]).unwrap();
            view.measurements
                .iter()
                .map(|measurement| (measurement.statistic, measurement.value))
                .collect::<Vec<_>>()
        };
        for (name, expected) in [
            ("logging.events", &[("COUNT", 5.0)][..]),
            ("db.pool.connections", &[("VALUE", 5.0)]),
            ("http.server.request.size", &[("COUNT", 1.0), ("TOTAL", 10.0), ("MAX", 10.0)]),
            (
                "http.server.requests.active",
                &[("ACTIVE_TASKS", 1.0), ("DURATION", 0.0), ("MAX", 0.0)],
            ),
        ] {
            assert_eq!(statistics(name), expected, "{name}");
        }
        assert_eq!(
            registry.names().names,
            [
                "db.pool.connections",
                "http.server.request.size",
                "http.server.requests.active",
                "logging.events"
            ]
        );
        drop(running);
    }

    #[test]
    fn tools_for_the_jvm_find_the_real_meters() {
        let (registry, _) = registry();
        metrics::with_local_recorder(&registry, || {
            gauge!("memory.allocator", "state" => "allocated").set(10);
            gauge!("memory.allocator", "state" => "metadata").set(1);
            gauge!("memory.limit").set(100);
            gauge!("db.pool.connections", "pool" => "rw", "state" => "active").set(2);
            gauge!("db.pool.connections", "pool" => "rw", "state" => "idle").set(3);
            histogram!("db.pool.acquire", "pool" => "rw").record(0.5);
        });
        let view = |name: &str, tags: &[&str]| {
            let filters: Vec<TagFilter> = tags.iter().map(|tag| tag.parse().unwrap()).collect();
            let view = registry.view(name, &filters)?;
            assert_eq!(view.name, name);
            Some(view.measurements[0].value)
        };
        for (name, tags, expected) in [
            ("jvm.memory.used", &["area:heap"][..], Some(10.0)),
            ("jvm.memory.used", &["area:nonheap"], Some(1.0)),
            ("jvm.memory.used", &[], Some(11.0)),
            ("jvm.memory.max", &["area:heap"], Some(100.0)),
            ("jvm.memory.committed", &["area:heap"], None),
            ("jdbc.connections.active", &["name:rw"], Some(2.0)),
            ("jdbc.connections.active", &["pool:rw"], None),
            ("hikaricp.connections", &["pool:rw"], Some(5.0)),
            ("hikaricp.connections.idle", &[], Some(3.0)),
            ("hikaricp.connections.acquire", &[], Some(1.0)),
            ("jvm.threads.live", &[], None),
            ("jvm.gc.pause", &[], None),
        ] {
            assert_eq!(view(name, tags), expected, "{name} {tags:?}");
        }
        assert!(!registry.names().names.iter().any(|name| name.starts_with("jvm")));
        let settings = Settings { jvm_aliases: false, ..Settings::default() };
        let strict = Registry::new(settings, ManualClock::at(SystemTime::UNIX_EPOCH));
        metrics::with_local_recorder(&strict, || gauge!("memory.limit").set(100));
        assert_eq!(strict.view("jvm.memory.max", &[]), None);
    }

    #[test]
    fn what_has_no_value_is_unknown() {
        let (registry, _) = registry();
        metrics::with_local_recorder(&registry, || gauge!("process.uptime").set(f64::NAN));
        assert_eq!(registry.view("process.uptime", &[]), None);
        assert_eq!(registry.view("logging.events", &[]), None);
        assert_eq!(registry.view("no.such.meter", &[]), None);
        assert_eq!(registry.names().names, [""; 0]);
    }

    #[test]
    fn a_tag_is_split_at_its_first_colon() {
        let tag =
            |key: &str, value: &str| TagFilter { key: key.to_owned(), value: value.to_owned() };
        for (text, expected) in [
            ("uri:/a:b", Ok(tag("uri", "/a:b"))),
            ("k:", Ok(tag("k", ""))),
            ("nothing", Err(TagFilterError)),
        ] {
            assert_eq!(text.parse(), expected);
        }
    }
}
