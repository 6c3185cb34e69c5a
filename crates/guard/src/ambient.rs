//! Time and randomness, handed in by whoever wires the process so that tests own both.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rand::Rng;

/// Two clocks: one that never jumps, for limits and timers, and the wall clock, for identifiers.
pub trait Clock: Send + Sync + 'static {
    /// Time since an arbitrary fixed origin; never goes back.
    fn monotonic(&self) -> Duration;
    /// Time since the Unix epoch; may jump.
    fn unix(&self) -> Duration;
}

/// A source of unpredictable bytes.
pub trait Entropy: Send + Sync + 'static {
    /// Fills the whole buffer.
    fn fill(&self, bytes: &mut [u8]);
}

/// What the edge takes from its surroundings.
#[derive(Clone)]
pub struct Ambient {
    /// The clocks.
    pub clock: Arc<dyn Clock>,
    /// The randomness.
    pub entropy: Arc<dyn Entropy>,
}

impl Ambient {
    /// Clock of the machine and the generator of the operating system.
    #[must_use]
    pub fn system() -> Self {
        Self {
            clock: Arc::new(SystemClock { origin: Instant::now() }),
            entropy: Arc::new(SystemEntropy),
        }
    }

    /// `N` fresh random bytes.
    pub(crate) fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.entropy.fill(&mut bytes);
        bytes
    }

    /// The clock that never jumps, in microseconds, the unit of the limits.
    pub(crate) fn micros(&self) -> u64 {
        u64::try_from(self.clock.monotonic().as_micros()).unwrap_or(u64::MAX)
    }
}

impl std::fmt::Debug for Ambient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ambient")
    }
}

struct SystemClock {
    origin: Instant,
}

impl Clock for SystemClock {
    fn monotonic(&self) -> Duration {
        self.origin.elapsed()
    }

    #[expect(clippy::disallowed_methods, reason = "this is the clock the edge is given by default")]
    fn unix(&self) -> Duration {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
    }
}

struct SystemEntropy;

impl Entropy for SystemEntropy {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the randomness the edge is given by default"
    )]
    fn fill(&self, bytes: &mut [u8]) {
        rand::rng().fill_bytes(bytes);
    }
}

/// Clock and randomness of the tests of this crate.
#[cfg(test)]
pub(crate) mod fixed {
    use super::{Ambient, Arc, Clock, Duration, Entropy};
    use parking_lot::Mutex;

    /// A clock that moves when told to.
    #[derive(Default)]
    pub(crate) struct ManualClock(Mutex<Duration>);

    impl ManualClock {
        pub(crate) fn advance(&self, by: Duration) {
            *self.0.lock() += by;
        }
    }

    impl Clock for ManualClock {
        fn monotonic(&self) -> Duration {
            Duration::from_secs(1_000) + *self.0.lock()
        }

        fn unix(&self) -> Duration {
            Duration::from_secs(1_700_000_000) + *self.0.lock()
        }
    }

    /// Counts up, so that every draw differs and every run is the same.
    #[derive(Default)]
    struct Counting(Mutex<u8>);

    impl Entropy for Counting {
        fn fill(&self, bytes: &mut [u8]) {
            let mut next = self.0.lock();
            for byte in bytes {
                *next = next.wrapping_add(1);
                *byte = *next;
            }
        }
    }

    pub(crate) fn ambient() -> (Ambient, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::default());
        let ambient = Ambient { clock: clock.clone(), entropy: Arc::new(Counting::default()) };
        (ambient, clock)
    }
}
