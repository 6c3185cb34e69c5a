//! The recorder behind the `metrics` facade.
//!
//! Two structures: a sharded table from key to cell, which is all that the
//! request path reads, and the families with their series, which a scrape
//! reads. Only the first use of a new label set writes to either.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use hashbrown::HashTable;
use metrics::{
    Counter, CounterFn, Gauge, Histogram, Key, KeyName, Label, Metadata, Recorder, SharedString,
    Unit,
};
use parking_lot::{Mutex, RwLock};

use super::catalogue::{self, Kind, Meter};
use super::cells::{
    Beyond, CounterCell, DistributionCell, DistributionReading, GaugeCell, LongTask, LongTaskCell,
};
use super::tenants::{self, Tenants};
use crate::clock::SharedClock;

/// The value that stands for all label sets beyond the cap.
const OVERFLOW: &str = "__overflow__";
/// Counts what was recorded under [`OVERFLOW`] or, for a gauge, not at all.
const DROPPED: &str = "metrics.series.dropped";
const SHARDS: usize = 16;

/// What an operator may choose about the meters.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The constant label `application`.
    pub application: String,
    /// The constant label `environment`.
    pub environment: String,
    /// `METRICS_PREFIX`: what business meters begin with instead of `chatwoot`.
    pub prefix: String,
    /// `METRICS_MAX_LABELSETS`: how many label sets a meter may have.
    pub max_label_sets: usize,
    /// `ACTUATOR_JVM_ALIASES`: whether the actuator's view also answers to
    /// some names of the JVM.
    pub jvm_aliases: bool,
    /// `METRICS_ENABLED`: whether anything is measured.
    pub measures: bool,
    /// `METRICS_TENANT_LABEL`: the tenants that have series of their own; without, no tenant is told.
    pub tenants: Option<Tenants>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            application: "Chatwarden".to_owned(),
            environment: "dev".to_owned(),
            prefix: "chatwoot".to_owned(),
            max_label_sets: 1000,
            jvm_aliases: true,
            measures: true,
            tenants: None,
        }
    }
}

/// The process already has a recorder.
#[derive(Debug, thiserror::Error)]
#[error("another meter registry is installed already")]
pub struct InstallError;

/// The meters of the process; a clone is the same registry.
#[derive(Clone)]
pub struct Registry {
    inner: Arc<Inner>,
}

struct Inner {
    settings: Settings,
    clock: SharedClock,
    shards: [RwLock<HashTable<(Key, Cell)>>; SHARDS],
    declared: HashMap<String, Arc<Family>>,
    undeclared: RwLock<BTreeMap<String, Arc<Family>>>,
    misuses: Mutex<BTreeSet<String>>,
}

/// A meter and its series.
pub(super) struct Family {
    pub(super) meter: Meter,
    /// The dotted name as shown, which for a business meter has the prefix.
    pub(super) name: String,
    declared: bool,
    series: RwLock<BTreeMap<Arc<[Label]>, Cell>>,
}

impl Family {
    fn new(meter: Meter, prefix: &str, declared: bool) -> Self {
        let name = match meter.name.strip_prefix("chatwoot.") {
            Some(rest) => format!("{prefix}.{rest}"),
            None => meter.name.to_string(),
        };
        Self { meter, name, declared, series: RwLock::new(BTreeMap::new()) }
    }

    /// The series as they are now; the lock is held for the copy only.
    pub(super) fn series(&self) -> Vec<(Arc<[Label]>, Cell)> {
        self.series.read().iter().map(|(labels, cell)| (Arc::clone(labels), cell.clone())).collect()
    }
}

/// The storage of one series.
#[derive(Clone)]
pub(super) enum Cell {
    Counter(Arc<CounterCell>),
    Gauge(Arc<GaugeCell>),
    Distribution(Arc<DistributionCell>),
    LongTask(Arc<LongTaskCell>),
}

/// How the code asks for a cell.
#[derive(Clone, Copy, Debug)]
enum Use {
    Counter,
    Gauge,
    Histogram,
    LongTask,
}

impl Registry {
    /// An empty registry that knows the catalogue.
    #[must_use]
    pub fn new(settings: Settings, clock: SharedClock) -> Self {
        let declared = catalogue::meters()
            .map(|meter| {
                let family = Family::new(meter.clone(), &settings.prefix, true);
                (meter.name.to_string(), Arc::new(family))
            })
            .collect();
        Self {
            inner: Arc::new(Inner {
                settings,
                clock,
                shards: std::array::from_fn(|_| RwLock::new(HashTable::new())),
                declared,
                undeclared: RwLock::new(BTreeMap::new()),
                misuses: Mutex::new(BTreeSet::new()),
            }),
        }
    }

    /// Makes this the recorder of the process, if it measures.
    ///
    /// # Errors
    /// When there is one already.
    pub fn install(&self) -> Result<(), InstallError> {
        if !self.settings().measures {
            return Ok(());
        }
        metrics::set_global_recorder(self.clone()).map_err(|_| InstallError)
    }

    /// A meter of the kind "long task", which the facade doesn't have.
    #[must_use]
    pub fn long_task(&self, name: &'static str, labels: Vec<Label>) -> LongTask {
        if !self.settings().measures {
            return LongTask::default();
        }
        match self.cell(&Key::from_parts(name, labels), Use::LongTask) {
            Some((Cell::LongTask(cell), dropped)) => LongTask::new(cell, dropped),
            _ => LongTask::default(),
        }
    }

    /// What the code emitted against the catalogue: meters that aren't in it,
    /// labels that a meter doesn't declare, a counter used as a gauge. A test
    /// that drives the whole server expects it to be empty.
    #[must_use]
    pub fn misuses(&self) -> Vec<String> {
        self.inner.misuses.lock().iter().cloned().collect()
    }

    /// The tenants that have series of their own, where some have.
    #[must_use]
    pub fn tenants(&self) -> Option<&Tenants> {
        self.inner.settings.tenants.as_ref()
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    /// All families in the order of their names.
    pub(super) fn families(&self) -> Vec<Arc<Family>> {
        let declared = self.inner.declared.values();
        let mut families: Vec<_> = declared.map(|family| self.summed(family)).collect();
        families.extend(self.inner.undeclared.read().values().cloned());
        families.sort_by(|a, b| a.name.cmp(&b.name));
        families
    }

    /// The family; for one that sums another up, with the sum as it is now.
    fn summed(&self, family: &Arc<Family>) -> Arc<Family> {
        let source = family.meter.sum_of.and_then(|name| self.inner.declared.get(name));
        let Some(source) = source else { return Arc::clone(family) };
        let mut sum = DistributionReading::default();
        for (_, cell) in source.series() {
            if let Cell::Distribution(cell) = cell {
                sum.add(&cell.read());
            }
        }
        let summed = Family::new(family.meter.clone(), &self.inner.settings.prefix, true);
        if sum.count > 0 {
            let cell = match family.meter.kind {
                Kind::Counter => Cell::Counter(Arc::new(CounterCell::at(sum.count))),
                _ => Cell::Distribution(Arc::new(DistributionCell::at(
                    &sum,
                    Arc::clone(&self.inner.clock),
                ))),
            };
            summed.series.write().insert(Arc::new([]), cell);
        }
        Arc::new(summed)
    }

    /// The cell of a key; for one beyond the cap, with what counts its recordings.
    fn cell(&self, key: &Key, usage: Use) -> Option<(Cell, Option<Arc<CounterCell>>)> {
        let key = &*tenants::kept(self.tenants(), key);
        let hash = key.get_hash();
        let index = usize::try_from(hash >> 60).unwrap_or(0) % SHARDS;
        let shard = self.inner.shards.get(index)?;
        let known =
            shard.read().find(hash, |(known, _)| known == key).map(|(_, cell)| cell.clone());
        if let Some(cell) = known {
            return Some((self.checked(key, cell, usage)?, None));
        }
        let (cell, dropped) = self.create(key, usage)?;
        // A key beyond the cap is not remembered: the table would grow without bound.
        if dropped.is_none() {
            let mut table = shard.write();
            if table.find(hash, |(known, _)| known == key).is_none() {
                table.insert_unique(hash, (key.to_retained(), cell.clone()), |(key, _)| {
                    key.get_hash()
                });
            }
        }
        Some((self.checked(key, cell, usage)?, dropped))
    }

    fn checked(&self, key: &Key, cell: Cell, usage: Use) -> Option<Cell> {
        let fits = matches!(
            (&cell, usage),
            (Cell::Counter(_), Use::Counter)
                | (Cell::Gauge(_), Use::Gauge)
                | (Cell::Distribution(_), Use::Histogram)
                | (Cell::LongTask(_), Use::LongTask)
        );
        if fits {
            return Some(cell);
        }
        self.misuse(format!("{} is used as a {usage:?}", key.name()));
        None
    }

    /// The cell of a label set that was not used yet or is beyond the cap.
    fn create(&self, key: &Key, usage: Use) -> Option<(Cell, Option<Arc<CounterCell>>)> {
        let family = self.family(key.name(), usage);
        let mut labels: Vec<Label> = key.labels().cloned().collect();
        labels.sort();
        labels.dedup_by(|a, b| a.key() == b.key());
        for label in &labels {
            if family.declared && !family.meter.labels.contains(&label.key()) {
                self.misuse(format!("{} has the undeclared label {}", key.name(), label.key()));
            }
        }
        let labels: Arc<[Label]> = labels.into();
        if let Some(cell) = family.series.read().get(&labels) {
            return Some((cell.clone(), None));
        }

        let mut series = family.series.write();
        if let Some(cell) = series.get(&labels) {
            return Some((cell.clone(), None));
        }
        // The meters that were dropped from are no more than there are meters.
        let bounded = labels.is_empty() || family.meter.name == DROPPED;
        if series.len() < self.inner.settings.max_label_sets || bounded {
            let cell = self.new_cell(&family.meter);
            series.insert(labels, cell.clone());
            return Some((cell, None));
        }
        let overflow: Arc<[Label]> =
            labels.iter().map(|label| Label::new(label.key().to_owned(), OVERFLOW)).collect();
        // A gauge shared by many sources would show whichever wrote last.
        let cell = (!matches!(family.meter.kind, Kind::Gauge)).then(|| {
            series.entry(overflow).or_insert_with(|| self.new_cell(&family.meter)).clone()
        });
        drop(series);
        let dropped = self.dropped(&family);
        if let (None, Some(dropped)) = (&cell, &dropped) {
            dropped.increment(1);
        }
        Some((cell?, dropped))
    }

    /// What counts the recordings beyond a meter's cap.
    fn dropped(&self, family: &Family) -> Option<Arc<CounterCell>> {
        let labels = vec![Label::new("meter", family.name.clone())];
        match self.cell(&Key::from_parts(DROPPED, labels), Use::Counter)? {
            (Cell::Counter(counter), _) => Some(counter),
            _ => None,
        }
    }

    fn family(&self, name: &str, usage: Use) -> Arc<Family> {
        if let Some(family) = self.inner.declared.get(name) {
            return Arc::clone(family);
        }
        if let Some(family) = self.inner.undeclared.read().get(name) {
            return Arc::clone(family);
        }
        self.misuse(format!("{name} is not in the catalogue"));
        // It is served all the same: a forgotten declaration must not cost
        // an operator the numbers.
        let kind = match usage {
            Use::Counter => Kind::Counter,
            Use::Gauge => Kind::Gauge,
            Use::Histogram => Kind::Summary,
            Use::LongTask => Kind::LongTask,
        };
        let mut undeclared = self.inner.undeclared.write();
        let family = undeclared.entry(name.to_owned()).or_insert_with(|| {
            let meter = Meter::undeclared(name.to_owned(), kind);
            Arc::new(Family::new(meter, &self.inner.settings.prefix, false))
        });
        Arc::clone(family)
    }

    fn new_cell(&self, meter: &Meter) -> Cell {
        let clock = || Arc::clone(&self.inner.clock);
        match meter.kind {
            Kind::Counter => Cell::Counter(Arc::default()),
            Kind::Gauge => Cell::Gauge(Arc::default()),
            Kind::Timer | Kind::Summary => {
                Cell::Distribution(Arc::new(DistributionCell::new(meter.buckets, clock())))
            }
            Kind::LongTask => Cell::LongTask(Arc::new(LongTaskCell::new(clock()))),
        }
    }

    fn misuse(&self, text: String) {
        self.inner.misuses.lock().insert(text);
    }
}

/// Descriptions come from the catalogue alone, so the `describe_*` calls of
/// the facade say nothing new.
impl Recorder for Registry {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        match self.cell(key, Use::Counter) {
            Some((Cell::Counter(cell), None)) => Counter::from_arc(cell),
            Some((Cell::Counter(cell), Some(dropped))) => {
                Counter::from_arc(Arc::new(Beyond { cell, dropped }))
            }
            _ => Counter::noop(),
        }
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        match self.cell(key, Use::Gauge) {
            Some((Cell::Gauge(cell), _)) => Gauge::from_arc(cell),
            _ => Gauge::noop(),
        }
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        match self.cell(key, Use::Histogram) {
            Some((Cell::Distribution(cell), None)) => Histogram::from_arc(cell),
            Some((Cell::Distribution(cell), Some(dropped))) => {
                Histogram::from_arc(Arc::new(Beyond { cell, dropped }))
            }
            _ => Histogram::noop(),
        }
    }
}
