//! A breaker before the shared store: when it fails three times within a second, it is asked
//! again only every two seconds, by one request.

use std::time::Duration;

use parking_lot::Mutex;

const FAILURES: usize = 3;
const WITHIN: Duration = Duration::from_secs(1);
const PROBE: Duration = Duration::from_secs(2);

#[derive(Default)]
pub(super) struct Breaker {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    failures: Vec<Duration>,
    /// When the next probe may go, while open.
    probe_at: Option<Duration>,
}

impl Breaker {
    /// May the store be asked? While open, yes for one request every two seconds.
    pub(super) fn admits(&self, now: Duration) -> bool {
        let mut state = self.state.lock();
        match state.probe_at {
            None => true,
            Some(at) if now >= at => {
                state.probe_at = Some(now + PROBE);
                tell(HALF_OPEN);
                true
            }
            Some(_) => false,
        }
    }

    /// The store answered. Whether that closed the breaker.
    pub(super) fn succeeded(&self) -> bool {
        let mut state = self.state.lock();
        state.failures.clear();
        let closes = state.probe_at.take().is_some();
        if closes {
            tell(CLOSED);
        }
        closes
    }

    /// The store did not answer. Whether that opened the breaker.
    pub(super) fn failed(&self, now: Duration) -> bool {
        let mut state = self.state.lock();
        state.failures.retain(|at| now.saturating_sub(*at) < WITHIN);
        state.failures.push(now);
        let opens = state.probe_at.is_none() && state.failures.len() >= FAILURES;
        if opens {
            state.probe_at = Some(now + PROBE);
        }
        if state.probe_at.is_some() {
            tell(OPEN);
        }
        opens
    }
}

/// The values of `circuit.state` (operations.md §2.4).
pub(super) const CLOSED: f64 = 0.0;
const HALF_OPEN: f64 = 1.0;
const OPEN: f64 = 2.0;

/// Tells the meter how the breaker stands.
pub(super) fn tell(state: f64) {
    metrics::gauge!("circuit.state", "target" => "redis").set(state);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_probes_and_closes() {
        let ms = Duration::from_millis;
        let breaker = Breaker::default();
        assert!(!breaker.failed(ms(0)));
        assert!(!breaker.failed(ms(600)));
        assert!(!breaker.failed(ms(1_100)), "the first is older than a second");
        assert!(breaker.admits(ms(1_200)));
        assert!(breaker.failed(ms(1_300)));
        assert!(!breaker.admits(ms(1_400)));
        assert!(breaker.admits(ms(3_300)), "one probe");
        assert!(!breaker.admits(ms(3_300)), "and only one");
        assert!(!breaker.failed(ms(3_400)), "still open");
        assert!(!breaker.admits(ms(5_000)));
        assert!(breaker.admits(ms(5_400)));
        assert!(breaker.succeeded(), "it closes");
        assert!(!breaker.succeeded(), "it was closed");
        assert!(breaker.admits(ms(5_401)) && breaker.admits(ms(5_402)));
    }
}
