//! What one series stores. Recording takes no lock, except the start and the
//! end of a long task.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use metrics::{CounterFn, GaugeFn, HistogramFn};
use parking_lot::Mutex;

use crate::clock::SharedClock;

/// A value that only grows.
#[derive(Debug, Default)]
pub(super) struct CounterCell {
    value: AtomicU64,
    used: AtomicBool,
}

impl CounterCell {
    /// One that stands at `value`.
    pub(super) fn at(value: u64) -> Self {
        Self { value: AtomicU64::new(value), used: AtomicBool::new(true) }
    }

    /// The value, unless the counter was only asked for and never used.
    pub(super) fn get(&self) -> Option<u64> {
        self.used.load(Ordering::Relaxed).then(|| self.value.load(Ordering::Relaxed))
    }

    fn touch(&self) {
        if !self.used.load(Ordering::Relaxed) {
            self.used.store(true, Ordering::Relaxed);
        }
    }
}

impl CounterFn for CounterCell {
    fn increment(&self, value: u64) {
        self.value.fetch_add(value, Ordering::Relaxed);
        self.touch();
    }

    fn absolute(&self, value: u64) {
        self.value.fetch_max(value, Ordering::Relaxed);
        self.touch();
    }
}

/// A value that goes up and down; NaN says "not measured".
#[derive(Debug)]
pub(super) struct GaugeCell(AtomicU64);

impl Default for GaugeCell {
    fn default() -> Self {
        Self(AtomicU64::new(f64::NAN.to_bits()))
    }
}

impl GaugeCell {
    /// The value, unless none was ever set or it was withdrawn.
    pub(super) fn get(&self) -> Option<f64> {
        let value = f64::from_bits(self.0.load(Ordering::Relaxed));
        (!value.is_nan()).then_some(value)
    }

    fn add(&self, by: f64) {
        update(&self.0, |old| if old.is_nan() { by } else { old + by });
    }
}

impl GaugeFn for GaugeCell {
    fn increment(&self, value: f64) {
        self.add(value);
    }

    fn decrement(&self, value: f64) {
        self.add(-value);
    }

    fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Ordering::Relaxed);
    }
}

fn update(bits: &AtomicU64, change: impl Fn(f64) -> f64) {
    let mut old = bits.load(Ordering::Relaxed);
    loop {
        let new = change(f64::from_bits(old)).to_bits();
        match bits.compare_exchange_weak(old, new, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => return,
            Err(seen) => old = seen,
        }
    }
}

/// The most bounds that buckets may have; it spares every record a hop to another allocation.
pub(super) const MOST_BOUNDS: usize = 15;

/// Timers and summaries: bucket counts, sum and decaying maximum. What every record writes lies together, as another
/// processor may have written it last.
#[repr(C, align(64))]
pub(super) struct DistributionCell {
    sum: AtomicU64,
    max: DecayingMax,
    bounds: &'static [f64],
    /// One count a bound and one for what is above the last; not cumulative.
    counts: [AtomicU64; MOST_BOUNDS + 1],
    clock: SharedClock,
}

/// What a distribution held at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct DistributionReading {
    /// Cumulative counts, one a bound; `count` is the one of `+Inf`.
    pub(super) cumulative: Vec<u64>,
    pub(super) count: u64,
    pub(super) sum: f64,
    pub(super) max: f64,
}

impl DistributionReading {
    /// Adds what another distribution held, but for its buckets.
    pub(super) fn add(&mut self, other: &Self) {
        self.count += other.count;
        self.sum += other.sum;
        self.max = self.max.max(other.max);
    }
}

impl DistributionCell {
    /// An empty one; of more than [`MOST_BOUNDS`] bounds, the first ones count.
    pub(super) fn new(bounds: &'static [f64], clock: SharedClock) -> Self {
        Self {
            sum: AtomicU64::new(0f64.to_bits()),
            max: DecayingMax::default(),
            bounds: bounds.get(..MOST_BOUNDS).unwrap_or(bounds),
            counts: [const { AtomicU64::new(0) }; MOST_BOUNDS + 1],
            clock,
        }
    }

    /// One without buckets that holds what was read.
    pub(super) fn at(reading: &DistributionReading, clock: SharedClock) -> Self {
        let cell = Self::new(&[], clock);
        let [all, ..] = &cell.counts;
        all.store(reading.count, Ordering::Relaxed);
        cell.sum.store(reading.sum.to_bits(), Ordering::Relaxed);
        cell.max.record(cell.clock.monotonic(), reading.max);
        cell
    }

    pub(super) fn bounds(&self) -> &'static [f64] {
        self.bounds
    }

    /// The count is the sum of the buckets that were read, so that `_count`
    /// and the `+Inf` bucket agree even while others record.
    pub(super) fn read(&self) -> DistributionReading {
        let mut total = 0;
        let mut cumulative: Vec<u64> = self
            .counts
            .iter()
            .take(self.bounds.len() + 1)
            .map(|count| {
                total += count.load(Ordering::Relaxed);
                total
            })
            .collect();
        cumulative.pop();
        DistributionReading {
            cumulative,
            count: total,
            sum: f64::from_bits(self.sum.load(Ordering::Relaxed)),
            max: self.max.get(self.clock.monotonic()),
        }
    }
}

impl HistogramFn for DistributionCell {
    fn record(&self, value: f64) {
        self.record_many(value, 1);
    }

    fn record_many(&self, value: f64, count: usize) {
        if value.is_nan() {
            return;
        }
        // A clock that was set back must not make a sum shrink.
        let value = value.max(0.0);
        let times = u64::try_from(count).unwrap_or(u64::MAX);
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        if let Some(slot) = self.counts.get(bucket) {
            slot.fetch_add(times, Ordering::Relaxed);
        }
        #[expect(clippy::cast_precision_loss, reason = "a sum is a float")]
        update(&self.sum, |sum| sum + value * times as f64);
        self.max.record(self.clock.monotonic(), value);
    }
}

/// How long a maximum is remembered, and in how many steps it is forgotten
/// (Micrometer's defaults, `operations.md` §1.3).
const WINDOW: Duration = Duration::from_secs(120);
const SLOTS: u64 = 3;

/// The maximum of the last 80 to 120 s: a ring of maxima, each begun 40 s
/// after the one before; a value goes into all, and the oldest is read.
#[derive(Debug, Default)]
struct DecayingMax {
    slots: [AtomicU64; SLOTS as usize],
    epoch: AtomicU64,
}

impl DecayingMax {
    fn record(&self, now: Duration, value: f64) {
        self.rotate(now);
        // Floats that aren't negative are ordered as their bits are.
        for slot in &self.slots {
            if slot.load(Ordering::Relaxed) < value.to_bits() {
                slot.fetch_max(value.to_bits(), Ordering::Relaxed);
            }
        }
    }

    fn get(&self, now: Duration) -> f64 {
        self.rotate(now);
        let current = self.epoch.load(Ordering::Relaxed) % SLOTS;
        self.slots
            .get(usize::try_from(current).unwrap_or(0))
            .map_or(0.0, |slot| f64::from_bits(slot.load(Ordering::Relaxed)))
    }

    fn rotate(&self, now: Duration) {
        let epoch = now.as_secs() / (WINDOW.as_secs() / SLOTS);
        let seen = self.epoch.load(Ordering::Relaxed);
        if epoch <= seen {
            return;
        }
        let moved = self.epoch.compare_exchange(seen, epoch, Ordering::Relaxed, Ordering::Relaxed);
        if moved.is_err() {
            return;
        }
        // The slots that were current since the last rotation start afresh.
        for gone in seen..epoch.min(seen + SLOTS) {
            let index = usize::try_from(gone % SLOTS).unwrap_or(0);
            if let Some(slot) = self.slots.get(index) {
                slot.store(0, Ordering::Relaxed);
            }
        }
    }
}

/// Tasks that are running now.
pub(super) struct LongTaskCell {
    /// Start by ticket. A ticket is greater than those before it, so the first
    /// entry is the oldest task.
    running: Mutex<BTreeMap<u64, Duration>>,
    tickets: AtomicU64,
    started: AtomicU64,
    clock: SharedClock,
}

/// What was running at one moment; times in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct LongTaskReading {
    pub(super) active: u64,
    pub(super) duration: f64,
    pub(super) max: f64,
}

impl LongTaskCell {
    pub(super) fn new(clock: SharedClock) -> Self {
        Self {
            running: Mutex::new(BTreeMap::new()),
            tickets: AtomicU64::new(0),
            started: AtomicU64::new(0),
            clock,
        }
    }

    pub(super) fn start(self: &Arc<Self>) -> RunningTask {
        let now = self.clock.monotonic();
        let mut running = self.running.lock();
        let ticket = self.tickets.fetch_add(1, Ordering::Relaxed);
        running.insert(ticket, now);
        self.started.fetch_add(micros(now), Ordering::Relaxed);
        RunningTask { cell: Some(Arc::clone(self)), ticket }
    }

    /// Holds the lock only to look at the count and the oldest task.
    pub(super) fn read(&self) -> LongTaskReading {
        let (active, oldest, started) = {
            let running = self.running.lock();
            let oldest = running.first_key_value().map(|(_, start)| *start);
            (running.len(), oldest, self.started.load(Ordering::Relaxed))
        };
        let now = self.clock.monotonic();
        let active = u64::try_from(active).unwrap_or(u64::MAX);
        let total = micros(now).saturating_mul(active).saturating_sub(started);
        LongTaskReading {
            active,
            duration: Duration::from_micros(total).as_secs_f64(),
            max: oldest.map_or(0.0, |start| now.saturating_sub(start).as_secs_f64()),
        }
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// A meter of running tasks; one that nothing measures counts none.
#[derive(Clone, Default)]
pub struct LongTask {
    cell: Option<Arc<LongTaskCell>>,
    dropped: Option<Arc<CounterCell>>,
}

impl LongTask {
    pub(super) fn new(cell: Arc<LongTaskCell>, dropped: Option<Arc<CounterCell>>) -> Self {
        Self { cell: Some(cell), dropped }
    }

    /// Counts a task as running until the guard is dropped.
    pub fn start(&self) -> RunningTask {
        if let Some(dropped) = &self.dropped {
            dropped.increment(1);
        }
        match &self.cell {
            Some(cell) => cell.start(),
            None => RunningTask { cell: None, ticket: 0 },
        }
    }
}

/// The series that all label sets beyond a meter's cap share, with what counts its recordings: who keeps a handle
/// asks for it once.
pub(super) struct Beyond<T> {
    pub(super) cell: Arc<T>,
    pub(super) dropped: Arc<CounterCell>,
}

impl CounterFn for Beyond<CounterCell> {
    fn increment(&self, value: u64) {
        self.cell.increment(value);
        self.dropped.increment(1);
    }

    fn absolute(&self, value: u64) {
        self.cell.absolute(value);
        self.dropped.increment(1);
    }
}

impl HistogramFn for Beyond<DistributionCell> {
    fn record(&self, value: f64) {
        self.record_many(value, 1);
    }

    fn record_many(&self, value: f64, count: usize) {
        self.cell.record_many(value, count);
        self.dropped.increment(u64::try_from(count).unwrap_or(u64::MAX));
    }
}

/// A task counted as running until this is dropped.
#[must_use = "the task counts as running only while this lives"]
pub struct RunningTask {
    cell: Option<Arc<LongTaskCell>>,
    ticket: u64,
}

impl Drop for RunningTask {
    fn drop(&mut self) {
        if let Some(cell) = &self.cell {
            let mut running = cell.running.lock();
            if let Some(start) = running.remove(&self.ticket) {
                cell.started.fetch_sub(micros(start), Ordering::Relaxed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::clock::ManualClock;

    #[test]
    fn a_maximum_is_forgotten_after_its_window() {
        let max = DecayingMax::default();
        let at = Duration::from_secs;
        max.record(at(10), 5.0);
        max.record(at(50), 2.0);
        for (now, expected) in
            [(50, 5.0), (79, 5.0), (119, 5.0), (120, 2.0), (159, 2.0), (160, 0.0), (100_000, 0.0)]
        {
            assert_eq!(max.get(at(now)), expected, "after {now} s");
        }
        max.record(at(100_001), 1.0);
        assert_eq!(max.get(at(100_001)), 1.0);
    }

    #[test]
    fn a_long_pause_forgets_everything() {
        let max = DecayingMax::default();
        max.record(Duration::from_secs(30), 7.0);
        assert_eq!(max.get(Duration::from_secs(30 + 7 * 40)), 0.0);
    }

    #[test]
    fn a_value_on_a_bound_belongs_to_its_bucket() {
        let clock = ManualClock::at(SystemTime::UNIX_EPOCH);
        let cell = DistributionCell::new(&[0.1, 1.0], clock);
        for value in [0.05, 0.1, 0.5, 1.0, 2.0, -3.0, f64::NAN] {
            cell.record(value);
        }
        let read = cell.read();
        assert_eq!(read.cumulative, [3, 5]);
        assert_eq!(read.count, 6);
        assert!((read.sum - 3.65).abs() < 1e-9);
        assert_eq!(read.max, 2.0);
    }

    #[test]
    fn a_gauge_is_absent_until_set_and_after_withdrawal() {
        let gauge = GaugeCell::default();
        assert_eq!(gauge.get(), None);
        gauge.increment(2.0);
        gauge.decrement(0.5);
        assert_eq!(gauge.get(), Some(1.5));
        gauge.set(f64::NAN);
        assert_eq!(gauge.get(), None);
    }

    #[test]
    fn running_tasks_are_counted_until_dropped() {
        let clock = ManualClock::at(SystemTime::UNIX_EPOCH);
        let cell = Arc::new(LongTaskCell::new(clock.clone()));
        let first = cell.start();
        clock.advance(Duration::from_secs(3));
        let second = cell.start();
        clock.advance(Duration::from_secs(1));
        let reading = |active, duration, max| LongTaskReading { active, duration, max };
        assert_eq!(cell.read(), reading(2, 5.0, 4.0));
        drop(first);
        assert_eq!(cell.read(), reading(1, 1.0, 1.0));
        drop(second);
        assert_eq!(cell.read(), LongTaskReading::default());
    }
}
