//! Where telemetry takes the time from, so that a test can own it.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;

/// The two times telemetry needs.
pub trait Clock: Send + Sync {
    /// The civil time, for what is shown to people.
    fn wall(&self) -> SystemTime;
    /// The time since an arbitrary origin; it never runs backwards.
    fn monotonic(&self) -> Duration;
}

/// A clock as it is handed around.
pub type SharedClock = Arc<dyn Clock>;

/// The clock of the machine.
#[derive(Debug)]
pub struct SystemClock {
    origin: Instant,
}

impl SystemClock {
    /// A shared clock whose monotonic origin is now.
    #[must_use]
    pub fn shared() -> SharedClock {
        Arc::new(Self { origin: Instant::now() })
    }
}

impl Clock for SystemClock {
    fn wall(&self) -> SystemTime {
        #[expect(clippy::disallowed_methods, reason = "this is the clock that telemetry is given")]
        SystemTime::now()
    }

    fn monotonic(&self) -> Duration {
        self.origin.elapsed()
    }
}

/// A clock that stands still until it is told to move.
#[derive(Debug)]
pub struct ManualClock {
    start: SystemTime,
    elapsed: Mutex<Duration>,
}

impl ManualClock {
    /// A clock that stands at `start`.
    #[must_use]
    pub fn at(start: SystemTime) -> Arc<Self> {
        Arc::new(Self { start, elapsed: Mutex::new(Duration::ZERO) })
    }

    /// Moves both times forward.
    pub fn advance(&self, by: Duration) {
        *self.elapsed.lock() += by;
    }
}

impl Clock for ManualClock {
    fn wall(&self) -> SystemTime {
        self.start + *self.elapsed.lock()
    }

    fn monotonic(&self) -> Duration {
        *self.elapsed.lock()
    }
}
