//! Measures the process and the machine, and sets the meters of
//! `operations.md` §2.2.
//!
//! Linux is measured; elsewhere only what the standard library and POSIX tell
//! is, and the rest is absent.

mod cgroup;
#[cfg(target_os = "linux")]
mod linux;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use metrics::{counter, gauge};
use parking_lot::RwLock;

/// Sets further gauges at each sample: for what only the binary can measure,
/// like its allocator.
pub type Source = Box<dyn FnMut() + Send>;

/// Takes samples; a background task of the binary calls it every few seconds.
pub struct Sampler {
    mounts: Vec<PathBuf>,
    runtime: Option<tokio::runtime::Handle>,
    sources: Vec<Source>,
    previous: Option<(Duration, CpuUse)>,
    threads_peak: usize,
    switches: Switches,
    latest: LatestReadings,
}

/// What health checks look at. What isn't measured is absent.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Readings {
    /// The share of the machine's processors in use.
    pub system_cpu: Option<f64>,
    /// The share of the processors available to this process that it uses.
    pub process_cpu: Option<f64>,
    /// Resident memory, in bytes.
    pub resident: Option<u64>,
    /// What it may grow to, in bytes.
    pub memory_limit: Option<u64>,
    /// The share of the last 10 s in which some task waited for memory.
    pub memory_pressure: Option<f64>,
    /// Processes of the cgroup that were killed for want of memory.
    pub oom_kills: Option<u64>,
}

/// The readings of the last sample; a clone shows the same.
#[derive(Clone, Debug, Default)]
pub struct LatestReadings(Arc<RwLock<Readings>>);

impl LatestReadings {
    /// The readings of the last sample.
    #[must_use]
    pub fn get(&self) -> Readings {
        *self.0.read()
    }

    pub(crate) fn set(&self, readings: Readings) {
        *self.0.write() = readings;
    }
}

/// What the system says at one moment.
#[derive(Clone, Debug, Default)]
struct Observation {
    cpu: CpuUse,
    /// Processors available, with the fraction a quota leaves.
    processors: Option<f64>,
    load: Option<f64>,
    /// Since the process started, and when that was, in seconds of the epoch.
    uptime: Option<Duration>,
    started: Option<f64>,
    files_open: Option<usize>,
    files_max: Option<u64>,
    resident: Option<Resident>,
    memory_limit: Option<u64>,
    pressure: Option<Pressure>,
    oom_kills: Option<u64>,
    threads: Option<Threads>,
    page_faults: Option<PageFaults>,
    listen_overflows: Option<u64>,
}

/// Times since the start, of which the differences count.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct CpuUse {
    /// Ticks of all processors: busy ones and all.
    machine: Option<(u64, u64)>,
    /// Of this process, in user and system mode.
    process: Option<(Duration, Duration)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Resident {
    anonymous: u64,
    file: u64,
    shared: u64,
}

/// Shares of time in which some task waited for memory.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Pressure {
    avg10: f64,
    avg60: f64,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Threads {
    running: usize,
    sleeping: usize,
    blocked: usize,
    stopped: usize,
    zombie: usize,
    /// Voluntary and involuntary context switches by thread.
    switches: Vec<(i32, u64, u64)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct PageFaults {
    minor: u64,
    major: u64,
}

/// The kernel counts context switches by thread, and the count is gone with
/// the thread; so the differences are added up.
#[derive(Debug, Default)]
struct Switches {
    last: std::collections::HashMap<i32, (u64, u64)>,
    voluntary: u64,
    involuntary: u64,
}

impl Switches {
    fn add(&mut self, threads: &[(i32, u64, u64)]) {
        let mut last = std::collections::HashMap::with_capacity(threads.len());
        for (thread, voluntary, involuntary) in threads {
            let (v, i) = self.last.get(thread).copied().unwrap_or_default();
            // Below the last count it's another thread with the same id.
            let since = |now: u64, then: u64| now.checked_sub(then).unwrap_or(now);
            self.voluntary += since(*voluntary, v);
            self.involuntary += since(*involuntary, i);
            last.insert(*thread, (*voluntary, *involuntary));
        }
        self.last = last;
    }
}

impl Sampler {
    /// A sampler that also measures the file systems that hold `mounts`.
    #[must_use]
    pub fn new(mounts: Vec<PathBuf>) -> Self {
        Self {
            mounts,
            runtime: None,
            sources: Vec::new(),
            previous: None,
            threads_peak: 0,
            switches: Switches::default(),
            latest: LatestReadings::default(),
        }
    }

    /// Also measures this runtime.
    #[must_use]
    pub fn with_runtime(mut self, runtime: tokio::runtime::Handle) -> Self {
        self.runtime = Some(runtime);
        self
    }

    /// Also calls `source` at each sample.
    #[must_use]
    pub fn with_source(mut self, source: Source) -> Self {
        self.sources.push(source);
        self
    }

    /// Where the readings of the last sample can be seen.
    #[must_use]
    pub fn readings(&self) -> LatestReadings {
        self.latest.clone()
    }

    /// Takes a sample; `now` is a time that never runs backwards. Reads files
    /// and may block for some milliseconds.
    pub fn sample(&mut self, now: Duration) {
        let observation = observe();
        self.publish(now, &observation);
        for path in &self.mounts {
            measure_mount(path);
        }
        if let Some(runtime) = &self.runtime {
            measure_runtime(runtime);
        }
        for source in &mut self.sources {
            source();
        }
    }

    fn publish(&mut self, now: Duration, observation: &Observation) {
        let usage = self.previous.map_or((None, None), |(then, before)| {
            let elapsed = now.saturating_sub(then);
            usage(before, observation.cpu, elapsed, observation.processors)
        });
        self.previous = Some((now, observation.cpu));
        let (system_cpu, process_cpu) = usage;

        set("system.cpu.usage", system_cpu);
        set("process.cpu.usage", process_cpu);
        set("system.cpu.count", observation.processors);
        set("system.load.average.1m", observation.load);
        if let Some((user, system)) = observation.cpu.process {
            counter!("process.cpu.time", "mode" => "user").absolute(nanoseconds(user));
            counter!("process.cpu.time", "mode" => "system").absolute(nanoseconds(system));
        }
        set("process.uptime", observation.uptime.map(|time| time.as_secs_f64()));
        set("process.start.time", observation.started);
        set("process.files.open", observation.files_open.map(float_of_size));
        set("process.files.max", observation.files_max.map(float));
        set("memory.limit", observation.memory_limit.map(float));
        if let Some(Resident { anonymous, file, shared }) = observation.resident {
            for (kind, bytes) in [("anon", anonymous), ("file", file), ("shmem", shared)] {
                gauge!("process.memory.rss", "kind" => kind).set(float(bytes));
            }
        }
        if let Some(pressure) = observation.pressure {
            gauge!("memory.pressure", "window" => "avg10").set(pressure.avg10);
            gauge!("memory.pressure", "window" => "avg60").set(pressure.avg60);
        }
        if let Some(kills) = observation.oom_kills {
            counter!("memory.oom.kills").absolute(kills);
        }
        if let Some(threads) = &observation.threads {
            self.publish_threads(threads);
        }
        if let Some(faults) = observation.page_faults {
            counter!("process.page.faults", "type" => "minor").absolute(faults.minor);
            counter!("process.page.faults", "type" => "major").absolute(faults.major);
        }
        if let Some(overflows) = observation.listen_overflows {
            counter!("network.listen.overflow").absolute(overflows);
        }
        self.latest.set(Readings {
            system_cpu,
            process_cpu,
            resident: observation.resident.map(|r| r.anonymous + r.file + r.shared),
            memory_limit: observation.memory_limit,
            memory_pressure: observation.pressure.map(|pressure| pressure.avg10),
            oom_kills: observation.oom_kills,
        });
    }

    fn publish_threads(&mut self, threads: &Threads) {
        let states = [
            ("running", threads.running),
            ("sleeping", threads.sleeping),
            ("blocked", threads.blocked),
            ("stopped", threads.stopped),
            ("zombie", threads.zombie),
        ];
        for (state, count) in states {
            gauge!("process.threads", "state" => state).set(float_of_size(count));
        }
        let all = states.iter().map(|(_, count)| count).sum();
        self.threads_peak = self.threads_peak.max(all);
        gauge!("process.threads.peak").set(float_of_size(self.threads_peak));
        self.switches.add(&threads.switches);
        counter!("process.context.switches", "type" => "voluntary")
            .absolute(self.switches.voluntary);
        counter!("process.context.switches", "type" => "involuntary")
            .absolute(self.switches.involuntary);
    }
}

#[cfg(target_os = "linux")]
fn observe() -> Observation {
    linux::observe()
}

#[cfg(not(target_os = "linux"))]
fn observe() -> Observation {
    Observation { processors: available_processors(), ..Observation::default() }
}

/// The processors the scheduler lets this process run on.
fn available_processors() -> Option<f64> {
    std::thread::available_parallelism().ok().map(|count| float_of_size(count.get()))
}

/// Sets a gauge, or withdraws it when there's nothing to set it to.
fn set(name: &'static str, value: Option<f64>) {
    gauge!(name).set(value.unwrap_or(f64::NAN));
}

#[cfg(unix)]
fn measure_mount(path: &std::path::Path) {
    let label = path.display().to_string();
    let space = space(path).ok();
    let value = |bytes: Option<u64>| bytes.map_or(f64::NAN, float);
    gauge!("disk.free", "path" => label.clone()).set(value(space.map(|space| space.free)));
    gauge!("disk.total", "path" => label).set(value(space.map(|space| space.total)));
}

#[cfg(not(unix))]
fn measure_mount(_: &std::path::Path) {}

/// The room on a file system, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Space {
    /// What this process may still write.
    pub(crate) free: u64,
    pub(crate) total: u64,
}

#[cfg(unix)]
pub(crate) fn space(path: &std::path::Path) -> std::io::Result<Space> {
    let stat = rustix::fs::statvfs(path)?;
    Ok(Space {
        free: stat.f_bavail.saturating_mul(stat.f_frsize),
        total: stat.f_blocks.saturating_mul(stat.f_frsize),
    })
}

#[cfg(not(unix))]
pub(crate) fn space(_: &std::path::Path) -> std::io::Result<Space> {
    Err(std::io::ErrorKind::Unsupported.into())
}

fn measure_runtime(runtime: &tokio::runtime::Handle) {
    let metrics = runtime.metrics();
    gauge!("tokio.tasks.alive").set(float_of_size(metrics.num_alive_tasks()));
    gauge!("tokio.queue.depth").set(float_of_size(metrics.global_queue_depth()));
    #[cfg(target_has_atomic = "64")]
    for worker in 0..metrics.num_workers() {
        let label = worker.to_string();
        counter!("tokio.worker.busy", "worker" => label.clone())
            .absolute(nanoseconds(metrics.worker_total_busy_duration(worker)));
        counter!("tokio.worker.parks", "worker" => label)
            .absolute(metrics.worker_park_count(worker));
    }
}

/// The shares of the processors that the machine and the process used between
/// two observations.
fn usage(
    before: CpuUse,
    after: CpuUse,
    elapsed: Duration,
    processors: Option<f64>,
) -> (Option<f64>, Option<f64>) {
    let machine = before.machine.zip(after.machine).and_then(|(before, after)| {
        let busy = after.0.checked_sub(before.0)?;
        let all = after.1.checked_sub(before.1)?;
        (all > 0).then(|| (float(busy) / float(all)).clamp(0.0, 1.0))
    });
    let process = before.process.zip(after.process).and_then(|(before, after)| {
        let used = (after.0 + after.1).checked_sub(before.0 + before.1)?;
        let available = elapsed.as_secs_f64() * processors?;
        (available > 0.0).then(|| (used.as_secs_f64() / available).clamp(0.0, 1.0))
    });
    (machine, process)
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[expect(clippy::cast_precision_loss, reason = "meters are floats")]
fn float(value: u64) -> f64 {
    value as f64
}

fn float_of_size(value: usize) -> f64 {
    float(u64::try_from(value).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::clock::ManualClock;
    use crate::meters::{Registry, Settings};

    fn cpu(machine: (u64, u64), process_ms: u64) -> CpuUse {
        CpuUse {
            machine: Some(machine),
            process: Some((Duration::from_millis(process_ms), Duration::ZERO)),
        }
    }

    #[test]
    fn usage_is_a_share_of_what_is_available() {
        let second = Duration::from_secs(1);
        for (before, after, elapsed, processors, expected) in [
            (cpu((10, 100), 0), cpu((60, 200), 500), second, Some(2.0), (Some(0.5), Some(0.25))),
            (cpu((10, 100), 0), cpu((60, 200), 500), second, Some(0.5), (Some(0.5), Some(1.0))),
            (cpu((10, 100), 0), cpu((60, 200), 900), second, Some(0.5), (Some(0.5), Some(1.0))),
            (cpu((10, 100), 0), cpu((10, 100), 0), Duration::ZERO, Some(2.0), (None, None)),
            (cpu((10, 100), 9), cpu((5, 90), 5), second, Some(2.0), (None, None)),
            (cpu((10, 100), 0), cpu((60, 200), 500), second, None, (Some(0.5), None)),
            (CpuUse::default(), cpu((60, 200), 500), second, Some(2.0), (None, None)),
        ] {
            assert_eq!(usage(before, after, elapsed, processors), expected);
        }
    }

    #[test]
    fn context_switches_survive_their_threads() {
        let mut switches = Switches::default();
        switches.add(&[(1, 10, 1), (2, 5, 0)]);
        switches.add(&[(1, 15, 2)]);
        switches.add(&[(1, 15, 2), (2, 3, 1)]);
        assert_eq!((switches.voluntary, switches.involuntary), (10 + 5 + 5 + 3, 1 + 1 + 1));
    }

    fn sampled(observations: &[Observation]) -> (Registry, Readings) {
        let registry = Registry::new(Settings::default(), ManualClock::at(SystemTime::UNIX_EPOCH));
        let mut sampler = Sampler::new(Vec::new());
        metrics::with_local_recorder(&registry, || {
            for (second, observation) in (1..).zip(observations) {
                sampler.publish(Duration::from_secs(second), observation);
            }
        });
        (registry, sampler.readings().get())
    }

    #[test]
    fn what_can_not_be_measured_is_absent() {
        let (registry, readings) = sampled(&[Observation::default(), Observation::default()]);
        assert_eq!(registry.names().names, [""; 0]);
        assert_eq!(readings, Readings::default());
    }

    #[test]
    fn what_can_no_longer_be_measured_is_withdrawn() {
        let known = Observation { load: Some(0.5), ..Observation::default() };
        let (registry, _) = sampled(std::slice::from_ref(&known));
        assert_eq!(registry.names().names, ["system.load.average.1m"]);
        let (registry, _) = sampled(&[known, Observation::default()]);
        assert_eq!(registry.names().names, [""; 0]);
    }

    /// The numbers are the machine's, so only what must hold anywhere is
    /// asked.
    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn this_process_can_be_measured() {
        let registry = Registry::new(Settings::default(), ManualClock::at(SystemTime::UNIX_EPOCH));
        let folder = tempfile::tempdir().unwrap();
        let mut sampler = Sampler::new(vec![folder.path().to_owned()])
            .with_runtime(tokio::runtime::Handle::current())
            .with_source(Box::new(|| gauge!("memory.allocator", "state" => "active").set(1)));
        metrics::with_local_recorder(&registry, || {
            sampler.sample(Duration::from_secs(1));
            sampler.sample(Duration::from_secs(2));
        });
        let value = |name: &str| registry.view(name, &[]).unwrap().measurements[0].value;
        for name in [
            "disk.free",
            "disk.total",
            "memory.allocator",
            "memory.limit",
            "process.context.switches",
            "process.files.max",
            "process.files.open",
            "process.memory.rss",
            "process.page.faults",
            "process.start.time",
            "process.threads",
            "process.threads.peak",
            "system.cpu.count",
        ] {
            assert!(value(name) > 0.0, "{name} is {}", value(name));
        }
        assert!(value("memory.limit") > value("process.memory.rss"));
        assert!((0.0..=1.0).contains(&value("process.cpu.usage")));
        for name in ["process.cpu.time", "process.uptime", "tokio.tasks.alive"] {
            assert!(value(name) >= 0.0, "{name}");
        }
        assert_eq!(registry.misuses(), [""; 0]);
    }
}
