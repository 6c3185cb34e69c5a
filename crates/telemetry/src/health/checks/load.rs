//! `memory` and `cpu`: whether the process is about to be killed or starved.

use std::time::Duration;

use async_trait::async_trait;

use crate::clock::SharedClock;
use crate::health::{Check, Outcome, Status};
use crate::system::{LatestReadings, Readings};

const EVERY: Duration = Duration::from_secs(5);
const TIMEOUT: Duration = Duration::from_secs(1);

/// Since when something has been the case without a break.
#[derive(Clone, Copy, Debug, Default)]
struct Lasting(Option<Duration>);

impl Lasting {
    /// How long it has been the case.
    fn observe(&mut self, is_so: bool, now: Duration) -> Duration {
        if !is_so {
            self.0 = None;
            return Duration::ZERO;
        }
        now.saturating_sub(*self.0.get_or_insert(now))
    }
}

/// Compares resident memory with what it may grow to.
pub struct Memory {
    readings: LatestReadings,
    clock: SharedClock,
    nearly_full: Lasting,
    kills: Option<u64>,
}

impl Memory {
    /// A check of what a sampler reads.
    #[must_use]
    pub fn new(readings: LatestReadings, clock: SharedClock) -> Self {
        Self { readings, clock, nearly_full: Lasting::default(), kills: None }
    }

    fn judge(&mut self, readings: Readings, now: Duration) -> Outcome {
        let (Some(resident), Some(limit)) = (readings.resident, readings.memory_limit) else {
            return Outcome::unknown("memory can't be measured here");
        };
        #[expect(clippy::cast_precision_loss, reason = "a share needs no more")]
        let share = resident as f64 / limit.max(1) as f64;
        let pressure = readings.memory_pressure;
        let full_for = self.nearly_full.observe(share > 0.97, now);
        let killed = readings.oom_kills > self.kills && self.kills.is_some();
        self.kills = readings.oom_kills;

        let outcome = if full_for >= Duration::from_secs(30) {
            Outcome::down("more than 97 % of the limit for 30 s")
        } else if share > 0.85 {
            Outcome::degraded("more than 85 % of the limit")
        } else if pressure.is_some_and(|pressure| pressure > 0.10) {
            Outcome::degraded("tasks wait for memory more than 10 % of the time")
        } else if killed {
            Outcome::degraded("a process was killed for want of memory")
        } else {
            Outcome::up()
        };
        let mut outcome =
            outcome.with("resident", resident).with("limit", limit).with("usage", rounded(share));
        if let Some(pressure) = pressure {
            outcome = outcome.with("pressureAvg10", rounded(pressure));
        }
        if let Some(kills) = readings.oom_kills {
            outcome = outcome.with("oomKills", kills);
        }
        outcome
    }
}

#[async_trait]
impl Check for Memory {
    fn id(&self) -> &'static str {
        "memory"
    }

    fn every(&self) -> Duration {
        EVERY
    }

    fn timeout(&self) -> Duration {
        TIMEOUT
    }

    async fn check(&mut self) -> Outcome {
        self.judge(self.readings.get(), self.clock.monotonic())
    }
}

/// Looks for processors that are busy for long. Load is no failure, so it is
/// never down.
pub struct Cpu {
    readings: LatestReadings,
    clock: SharedClock,
    busy: Lasting,
}

impl Cpu {
    /// A check of what a sampler reads.
    #[must_use]
    pub fn new(readings: LatestReadings, clock: SharedClock) -> Self {
        Self { readings, clock, busy: Lasting::default() }
    }

    fn judge(&mut self, readings: Readings, now: Duration) -> Outcome {
        let (system, process) = (readings.system_cpu, readings.process_cpu);
        if system.is_none() && process.is_none() {
            return Outcome::unknown("processor use has not been measured");
        }
        let is_busy = [system, process].into_iter().flatten().any(|usage| usage > 0.90);
        let busy_for = self.busy.observe(is_busy, now);
        let mut outcome = if busy_for >= Duration::from_secs(60) {
            Outcome::degraded("more than 90 % busy for 60 s")
        } else {
            Outcome::up()
        };
        if let Some(system) = system {
            outcome = outcome.with("systemUsage", rounded(system));
        }
        if let Some(process) = process {
            outcome = outcome.with("processUsage", rounded(process));
        }
        outcome
    }
}

#[async_trait]
impl Check for Cpu {
    fn id(&self) -> &'static str {
        "cpu"
    }

    fn every(&self) -> Duration {
        EVERY
    }

    fn timeout(&self) -> Duration {
        TIMEOUT
    }

    fn when_failing(&self, reason: String) -> Outcome {
        Outcome::new(Status::Unknown).with("reason", reason)
    }

    async fn check(&mut self) -> Outcome {
        self.judge(self.readings.get(), self.clock.monotonic())
    }
}

fn rounded(share: f64) -> f64 {
    (share * 1e4).round() / 1e4
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::clock::ManualClock;

    #[test]
    fn memory_is_down_only_when_it_stays_full() {
        let clock = ManualClock::at(SystemTime::UNIX_EPOCH);
        let mut check = Memory::new(LatestReadings::default(), clock);
        let readings = |resident, pressure, kills| Readings {
            resident: Some(resident),
            memory_limit: Some(1000),
            memory_pressure: Some(pressure),
            oom_kills: Some(kills),
            ..Readings::default()
        };
        for (second, readings, expected) in [
            (0, Readings::default(), Status::Unknown),
            (5, readings(500, 0.0, 3), Status::Up),
            (10, readings(851, 0.0, 3), Status::Degraded),
            (15, readings(500, 0.11, 3), Status::Degraded),
            (20, readings(500, 0.0, 4), Status::Degraded),
            (25, readings(500, 0.0, 4), Status::Up),
            (30, readings(980, 0.0, 4), Status::Degraded),
            (59, readings(980, 0.0, 4), Status::Degraded),
            (60, readings(980, 0.0, 4), Status::Down),
            (65, readings(960, 0.0, 4), Status::Degraded),
            (70, readings(980, 0.0, 4), Status::Degraded),
        ] {
            let outcome = check.judge(readings, Duration::from_secs(second));
            assert_eq!(outcome.status, expected, "after {second} s");
        }
    }

    #[test]
    fn load_degrades_only_when_it_lasts() {
        let clock = ManualClock::at(SystemTime::UNIX_EPOCH);
        let mut check = Cpu::new(LatestReadings::default(), clock);
        let readings = |system, process| Readings {
            system_cpu: system,
            process_cpu: process,
            ..Readings::default()
        };
        for (second, readings, expected) in [
            (0, readings(None, None), Status::Unknown),
            (5, readings(Some(0.95), Some(0.2)), Status::Up),
            (64, readings(Some(0.5), Some(0.95)), Status::Up),
            (65, readings(Some(0.95), None), Status::Degraded),
            (70, readings(Some(0.9), Some(0.2)), Status::Up),
            (75, readings(Some(1.0), Some(1.0)), Status::Up),
            (200, readings(Some(1.0), Some(1.0)), Status::Degraded),
        ] {
            let outcome = check.judge(readings, Duration::from_secs(second));
            assert_eq!(outcome.status, expected, "after {second} s");
        }
    }
}
