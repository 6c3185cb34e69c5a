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
                true
            }
            Some(_) => false,
        }
    }

    /// The store answered.
    pub(super) fn succeeded(&self) {
        let mut state = self.state.lock();
        state.failures.clear();
        state.probe_at = None;
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
        opens
    }
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
        breaker.succeeded();
        assert!(breaker.admits(ms(5_401)) && breaker.admits(ms(5_402)));
    }
}
