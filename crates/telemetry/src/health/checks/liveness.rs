//! `livenessState`: whether the runtime still runs what is due.
//!
//! The check is itself a task of the runtime: it measures how late it runs.
//! A thread of its own measures the same, so that a host that was suspended
//! isn't taken for a runtime that hangs. When the runtime hangs for good the
//! check doesn't run at all, and its last finding grows stale: that is `DOWN`
//! too.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use parking_lot::Mutex;

use crate::clock::SharedClock;
use crate::health::{Check, Outcome, Status};

const EVERY: Duration = Duration::from_secs(1);
const DEGRADED: Duration = Duration::from_secs(1);
const DOWN: Duration = Duration::from_secs(10);
/// How often the watchdog thread looks at its clock.
const TICK: Duration = Duration::from_millis(250);

/// The watchdog's thread could not be started.
#[derive(Debug, thiserror::Error)]
#[error("the watchdog's thread can't be started")]
pub struct WatchdogError(#[source] std::io::Error);

/// Lets the rest of the process say that it is beyond repair; a clone is the
/// same.
#[derive(Clone, Debug, Default)]
pub struct LivenessState(Arc<Mutex<Option<String>>>);

impl LivenessState {
    /// The process can't go on, because of `reason`, and wants to be started
    /// again.
    pub fn broken(&self, reason: impl Into<String>) {
        self.0.lock().get_or_insert_with(|| reason.into());
    }
}

/// Measures how late the runtime is.
pub struct Liveness {
    state: LivenessState,
    clock: SharedClock,
    last: Option<Duration>,
    watchdog: Watchdog,
}

impl Liveness {
    /// Starts the watchdog thread.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn start(state: LivenessState, clock: SharedClock) -> Result<Self, WatchdogError> {
        Ok(Self { state, clock, last: None, watchdog: Watchdog::start().map_err(WatchdogError)? })
    }
}

#[async_trait]
impl Check for Liveness {
    fn id(&self) -> &'static str {
        "livenessState"
    }

    fn every(&self) -> Duration {
        EVERY
    }

    fn timeout(&self) -> Duration {
        EVERY
    }

    fn groups(&self) -> &'static [&'static str] {
        &["liveness"]
    }

    fn failures_to_down(&self) -> u32 {
        1
    }

    fn stale_after(&self) -> Duration {
        DOWN
    }

    fn when_stale(&self) -> Status {
        Status::Down
    }

    async fn check(&mut self) -> Outcome {
        let now = self.clock.monotonic();
        let gap = self.last.map_or(EVERY, |last| now.saturating_sub(last));
        self.last = Some(now);
        let late = gap.saturating_sub(EVERY);
        metrics::histogram!("runtime.stall").record(late);
        let broken = self.state.0.lock().clone();
        judge(late, self.watchdog.longest_gap(), broken)
    }
}

fn judge(late: Duration, watchdog: Duration, broken: Option<String>) -> Outcome {
    if let Some(reason) = broken {
        return Outcome::down(reason).with("state", "BROKEN");
    }
    // A pause of the whole host delays both by about as much.
    let paused = watchdog >= late / 2 && watchdog > TICK * 2;
    let outcome = if paused || late <= DEGRADED {
        Outcome::up()
    } else if late <= DOWN {
        Outcome::degraded("the runtime stalled")
    } else {
        Outcome::down("the runtime stalled")
    };
    let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let outcome = outcome.with("state", "CORRECT").with("stallMs", milliseconds(late));
    if paused { outcome.with("hostPauseMs", milliseconds(watchdog)) } else { outcome }
}

/// A thread that measures how late it is woken.
struct Watchdog {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    /// The longest gap since it was asked for, in microseconds.
    longest: AtomicU64,
    stop: AtomicBool,
}

impl Watchdog {
    fn start() -> std::io::Result<Self> {
        let shared = Arc::<Shared>::default();
        let own = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("watchdog".to_owned()).spawn(move || {
            let mut last = Instant::now();
            while !own.stop.load(Ordering::Relaxed) {
                std::thread::park_timeout(TICK);
                let gap = u64::try_from(last.elapsed().as_micros()).unwrap_or(u64::MAX);
                own.longest.fetch_max(gap, Ordering::Relaxed);
                last = Instant::now();
            }
        })?;
        Ok(Self { shared, thread: Some(thread) })
    }

    fn longest_gap(&self) -> Duration {
        Duration::from_micros(self.shared.longest.swap(0, Ordering::Relaxed))
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::clock::ManualClock;

    #[test]
    fn a_stall_counts_unless_the_host_was_paused() {
        for (late_ms, watchdog_ms, broken, expected) in [
            (0, 250, None, Status::Up),
            (1000, 250, None, Status::Up),
            (1001, 250, None, Status::Degraded),
            (10_000, 260, None, Status::Degraded),
            (10_001, 260, None, Status::Down),
            (60_000, 59_000, None, Status::Up),
            (0, 250, Some("poisoned"), Status::Down),
            (60_000, 59_000, Some("poisoned"), Status::Down),
        ] {
            let outcome = judge(
                Duration::from_millis(late_ms),
                Duration::from_millis(watchdog_ms),
                broken.map(str::to_owned),
            );
            assert_eq!(outcome.status, expected, "{outcome:?}");
        }
    }

    #[tokio::test]
    async fn lateness_is_what_exceeds_the_interval() {
        let clock = ManualClock::at(SystemTime::UNIX_EPOCH);
        let state = LivenessState::default();
        let mut check = Liveness::start(state.clone(), clock.clone()).unwrap();
        let mut stall = async |seconds| {
            clock.advance(Duration::from_secs(seconds));
            check.check().await.details["stallMs"].clone()
        };
        assert_eq!(stall(9).await, 0);
        assert_eq!(stall(1).await, 0);
        assert_eq!(stall(3).await, 2000);
        state.broken("first");
        state.broken("second");
        let outcome = check.check().await;
        assert_eq!(outcome.status, Status::Down);
        assert_eq!(outcome.details["reason"], "first");
    }
}
