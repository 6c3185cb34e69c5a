//! Quotas and the two algorithms that keep them: GCRA, and an exact sliding log for small quotas,
//! so that "5 per minute" never admits a sixth within any minute (operations.md §5.2).
//!
//! Times are microseconds on whatever clock the caller uses. The Lua script in `redis.rs` is the
//! same arithmetic; a test compares the two.

use std::collections::VecDeque;
use std::str::FromStr;
use std::time::Duration;

/// Quotas up to this many are kept exactly.
const EXACT: u64 = 30;

/// So many units in so much time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Units, at least 1.
    pub limit: u64,
    /// Window.
    pub period: Duration,
}

/// A text that is no `n/period`.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is not a quota such as 5/min, 10/15min or 1000/h")]
pub struct InvalidQuota(String);

impl Quota {
    pub(crate) const fn new(limit: u64, seconds: u64) -> Self {
        Self { limit, period: Duration::from_secs(seconds) }
    }

    pub(super) fn micros(self) -> u64 {
        u64::try_from(self.period.as_micros()).unwrap_or(u64::MAX)
    }

    pub(super) fn is_exact(self) -> bool {
        self.limit <= EXACT
    }

    /// A share of the quota, at least one unit.
    pub(super) fn divided(self, by: u64) -> Self {
        Self { limit: (self.limit / by.max(1)).max(1), ..self }
    }

    /// A list such as `900/min,15000/h`.
    ///
    /// # Errors
    /// [`InvalidQuota`] names the entry that can't be read.
    pub fn list(text: &str) -> Result<Vec<Self>, InvalidQuota> {
        text.split(',').map(|entry| entry.trim().parse()).collect()
    }
}

impl FromStr for Quota {
    type Err = InvalidQuota;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (limit, period) = text.split_once('/')?;
            let period = period.trim();
            let digits = period.find(|it: char| !it.is_ascii_digit()).unwrap_or(period.len());
            let (count, unit) = period.split_at_checked(digits)?;
            let count = if count.is_empty() { 1 } else { count.parse().ok()? };
            let unit: u64 = match unit.trim() {
                "s" | "sec" | "second" | "seconds" => 1,
                "m" | "min" | "minute" | "minutes" => 60,
                "h" | "hour" | "hours" => 3_600,
                "d" | "day" | "days" => 86_400,
                _ => return None,
            };
            // A year bounds the arithmetic in microseconds.
            let seconds = unit.checked_mul(count).filter(|it| (1..=31_536_000).contains(it))?;
            let limit: u64 = limit.trim().parse().ok()?;
            (1..=1 << 40).contains(&limit).then_some(Self::new(limit, seconds))
        };
        parse().ok_or_else(|| InvalidQuota(text.to_owned()))
    }
}

/// What is remembered of a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    /// Theoretical arrival time.
    Gcra(u64),
    /// Times of the units taken, oldest first.
    Log(VecDeque<u64>),
}

/// How a bucket stands after a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reading {
    pub(super) allowed: bool,
    /// Units left.
    pub(super) remaining: u64,
    /// Microseconds until the whole quota is there again.
    pub(super) reset: u64,
    /// Microseconds until the same request could succeed; 0 if it did.
    pub(super) retry: u64,
}

impl State {
    pub(super) fn new(quota: Quota) -> Self {
        if quota.is_exact() { Self::Log(VecDeque::new()) } else { Self::Gcra(0) }
    }

    fn fits(&self, quota: Quota) -> bool {
        matches!(self, Self::Log(_)) == quota.is_exact()
    }

    /// Forgets what is over, and starts anew if the quota changed its kind.
    fn refresh(&mut self, quota: Quota, now: u64) {
        if !self.fits(quota) {
            *self = Self::new(quota);
        }
        let period = quota.micros();
        match self {
            // A time beyond one period can only come from a clock that was set back.
            Self::Gcra(tat) => *tat = (*tat).clamp(now, now.saturating_add(period)),
            Self::Log(times) => {
                while times.front().is_some_and(|at| at.saturating_add(period) <= now) {
                    times.pop_front();
                }
            }
        }
    }

    /// Microseconds until `cost` units are there: 0 if they are now.
    pub(super) fn wait(&mut self, quota: Quota, cost: u64, now: u64) -> u64 {
        self.refresh(quota, now);
        let period = quota.micros();
        if cost > quota.limit {
            return period;
        }
        match self {
            Self::Gcra(tat) => tat
                .saturating_add(increment(quota, cost))
                .saturating_sub(now.saturating_add(period)),
            Self::Log(times) => {
                let excess = (times.len() as u64).saturating_add(cost).saturating_sub(quota.limit);
                match usize::try_from(excess).ok().and_then(|excess| excess.checked_sub(1)) {
                    None => 0,
                    Some(last) => times.get(last).map_or(period, |at| {
                        at.saturating_add(period).saturating_sub(now).min(period)
                    }),
                }
            }
        }
    }

    /// Takes `cost` units, as many as fit: [`State::wait`] was asked before.
    pub(super) fn spend(&mut self, quota: Quota, cost: u64, now: u64) {
        match self {
            Self::Gcra(tat) => {
                let latest = now.saturating_add(quota.micros());
                *tat = tat.saturating_add(increment(quota, cost)).min(latest);
            }
            Self::Log(times) => {
                let limit = usize::try_from(quota.limit).unwrap_or(usize::MAX);
                for _ in 0..cost.min(quota.limit) {
                    times.push_back(now);
                }
                while times.len() > limit {
                    times.pop_front();
                }
            }
        }
    }

    /// Gives back `cost` units.
    pub(super) fn refund(&mut self, quota: Quota, cost: u64) {
        if !self.fits(quota) {
            return;
        }
        match self {
            Self::Gcra(tat) => *tat = tat.saturating_sub(increment(quota, cost)),
            Self::Log(times) => {
                for _ in 0..cost {
                    times.pop_back();
                }
            }
        }
    }

    pub(super) fn reading(&self, quota: Quota, retry: u64, now: u64) -> Reading {
        let period = quota.micros();
        let (remaining, reset) = match self {
            Self::Gcra(tat) => {
                let reset = tat.saturating_sub(now).min(period);
                let free = u128::from(period - reset) * u128::from(quota.limit);
                (u64::try_from(free / u128::from(period.max(1))).unwrap_or(u64::MAX), reset)
            }
            Self::Log(times) => (
                quota.limit.saturating_sub(times.len() as u64),
                times
                    .back()
                    .map_or(0, |at| at.saturating_add(period).saturating_sub(now).min(period)),
            ),
        };
        Reading { allowed: retry == 0, remaining, reset, retry }
    }
}

/// Rounded down, so that the limit itself always fits into the period.
fn increment(quota: Quota, cost: u64) -> u64 {
    let product = u128::from(cost) * u128::from(quota.micros());
    u64::try_from(product / u128::from(quota.limit.max(1))).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: u64 = 1_000_000;

    fn take(state: &mut State, quota: Quota, now: u64) -> Reading {
        let retry = state.wait(quota, 1, now);
        if retry == 0 {
            state.spend(quota, 1, now);
        }
        state.reading(quota, retry, now)
    }

    #[test]
    fn quotas_are_read() {
        for (text, expected) in [
            ("5/min", Some(Quota::new(5, 60))),
            ("10/15min", Some(Quota::new(10, 900))),
            (" 10 / 15 min", Some(Quota::new(10, 900))),
            ("1000/h", Some(Quota::new(1000, 3600))),
            ("100/day", Some(Quota::new(100, 86_400))),
            ("1/30s", Some(Quota::new(1, 30))),
            ("0/min", None),
            ("5", None),
            ("5/", None),
            ("5/0min", None),
            ("5/fortnight", None),
            ("-5/min", None),
            ("5/99999999999999999999h", None),
            ("5/400d", None),
        ] {
            assert_eq!(text.parse().ok(), expected, "{text}");
        }
        assert_eq!(Quota::list("1/min, 2/h").unwrap(), [Quota::new(1, 60), Quota::new(2, 3600)]);
        assert!(Quota::list("1/min,").is_err());
    }

    #[test]
    fn an_exact_quota_slides() {
        let quota = Quota::new(2, 60);
        let mut state = State::new(quota);
        for (at, allowed, remaining, reset, retry) in [
            (0, true, 1, 60, 0),
            (10, true, 0, 60, 0),
            (20, false, 0, 50, 40),
            (59, false, 0, 11, 1),
            (60, true, 0, 60, 0),
            (61, false, 0, 59, 9),
            (200, true, 1, 60, 0),
        ] {
            let expected =
                Reading { allowed, remaining, reset: reset * SECOND, retry: retry * SECOND };
            assert_eq!(take(&mut state, quota, at * SECOND), expected, "{at}");
        }
    }

    #[test]
    fn a_large_quota_admits_a_burst_and_then_its_rate() {
        let quota = Quota::new(60, 60);
        let mut state = State::new(quota);
        let now = 500 * SECOND;
        for taken in 1..=60 {
            let reading = take(&mut state, quota, now);
            assert_eq!((reading.allowed, reading.remaining), (true, 60 - taken));
        }
        assert_eq!(
            take(&mut state, quota, now),
            Reading { allowed: false, remaining: 0, reset: 60 * SECOND, retry: SECOND }
        );
        assert!(take(&mut state, quota, now + SECOND).allowed);
        assert!(!take(&mut state, quota, now + SECOND).allowed);
        assert_eq!(take(&mut state, quota, now + 3600 * SECOND).remaining, 59);
    }

    #[test]
    fn a_clock_set_back_does_not_lock_out() {
        for quota in [Quota::new(5, 60), Quota::new(100, 60)] {
            let mut state = State::new(quota);
            take(&mut state, quota, 5_000 * SECOND);
            let reading = take(&mut state, quota, 1_000 * SECOND);
            assert!(reading.reset <= quota.micros());
            for _ in 0..quota.limit {
                take(&mut state, quota, 1_000 * SECOND);
            }
            assert!(take(&mut state, quota, 1_000 * SECOND).retry <= quota.micros());
        }
    }

    #[test]
    fn more_than_the_quota_never_fits() {
        for quota in [Quota::new(5, 60), Quota::new(100, 60)] {
            assert_eq!(State::new(quota).wait(quota, quota.limit + 1, 0), 60 * SECOND);
        }
    }

    #[test]
    fn a_refund_undoes() {
        for quota in [Quota::new(5, 60), Quota::new(100, 60)] {
            let mut state = State::new(quota);
            let first = take(&mut state, quota, SECOND);
            take(&mut state, quota, SECOND);
            state.refund(quota, 1);
            assert_eq!(state.reading(quota, 0, SECOND), first);
        }
    }

    proptest! {
        /// Whatever comes, no window of one period holds more than the quota (exact) or twice
        /// the quota less one (GCRA: the burst and what refills meanwhile).
        #[test]
        fn the_quota_holds(limit in 1_u64..60, steps in proptest::collection::vec(0_u64..5_000_000, 1..300)) {
            let quota = Quota::new(limit, 10);
            let mut state = State::new(quota);
            let mut now = 77 * SECOND;
            let mut admitted = Vec::new();
            for step in steps {
                now += step;
                if take(&mut state, quota, now).allowed {
                    admitted.push(now);
                }
            }
            let most = if quota.is_exact() { limit } else { 2 * limit };
            for start in &admitted {
                let within = admitted.iter().filter(|at| (*start..start + quota.micros()).contains(*at)).count();
                prop_assert!(within as u64 <= most, "{within} of {most}");
            }
        }
    }
}
