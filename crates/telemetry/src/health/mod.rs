//! Health: checks run in the background, and whoever asks sees the last
//! snapshot (`operations.md` §3). A probe never causes I/O.

mod checks;
mod readiness;
mod show;
mod supervisor;

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use parking_lot::{Mutex, RwLock};
use serde_json::{Map, Value};
use tokio::sync::watch;

pub use checks::{Cpu, DiskSpace, Liveness, LivenessState, Memory, WatchdogError};
pub use readiness::Readiness;
pub use show::{DegradedAs, GroupSettings, Settings, Show, Shown};
pub use supervisor::Supervisor;

use crate::clock::SharedClock;

/// How a component is; the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// Doesn't work.
    Down,
    /// Works, but wants no requests.
    OutOfService,
    /// Works, but badly.
    Degraded,
    /// Works.
    Up,
    /// Nobody looked, or too long ago.
    Unknown,
}

impl Status {
    /// All, the worst first.
    pub const ALL: [Self; 5] =
        [Self::Down, Self::OutOfService, Self::Degraded, Self::Up, Self::Unknown];

    /// As it is written in JSON and in labels.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Down => "DOWN",
            Self::OutOfService => "OUT_OF_SERVICE",
            Self::Degraded => "DEGRADED",
            Self::Up => "UP",
            Self::Unknown => "UNKNOWN",
        }
    }

    /// The worst of `statuses`; of none it is unknown.
    #[must_use]
    pub fn worst(statuses: impl IntoIterator<Item = Self>) -> Self {
        statuses.into_iter().min().unwrap_or(Self::Unknown)
    }
}

/// What a check found.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    status: Status,
    strict: Option<Status>,
    details: Map<String, Value>,
    components: BTreeMap<String, Outcome>,
}

impl Outcome {
    /// A finding without details.
    #[must_use]
    pub fn new(status: Status) -> Self {
        Self { status, strict: None, details: Map::new(), components: BTreeMap::new() }
    }

    /// It works.
    #[must_use]
    pub fn up() -> Self {
        Self::new(Status::Up)
    }

    /// It works badly, because of `reason`.
    #[must_use]
    pub fn degraded(reason: impl Into<String>) -> Self {
        Self::new(Status::Degraded).with("reason", reason.into())
    }

    /// It doesn't work, because of `reason`.
    #[must_use]
    pub fn down(reason: impl Into<String>) -> Self {
        Self::new(Status::Down).with("reason", reason.into())
    }

    /// Nothing can be said, because of `reason`.
    #[must_use]
    pub fn unknown(reason: impl Into<String>) -> Self {
        Self::new(Status::Unknown).with("reason", reason.into())
    }

    /// A component made of others, as bad as the worst of them.
    #[must_use]
    pub fn composite(components: BTreeMap<String, Self>) -> Self {
        let status = Status::worst(components.values().map(|component| component.status));
        let strict = Status::worst(components.values().map(Self::strictly));
        Self { strict: (strict != status).then_some(strict), components, ..Self::new(status) }
    }

    /// Adds a detail.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.details.insert(name.to_owned(), value.into());
        self
    }

    /// What strict groups (`deploy`) take the finding for: a server may run
    /// on without Redis, but a new version is not promoted like that.
    #[must_use]
    pub fn strict(mut self, status: Status) -> Self {
        self.strict = Some(status);
        self
    }

    /// The status.
    #[must_use]
    pub fn status(&self) -> Status {
        self.status
    }

    fn strictly(&self) -> Status {
        self.strict.unwrap_or(self.status)
    }
}

/// One thing that is looked at regularly.
#[async_trait]
pub trait Check: Send {
    /// The component's id, as `diskSpace`.
    fn id(&self) -> &'static str;

    /// How often it runs.
    fn every(&self) -> Duration;

    /// How long a run may take.
    fn timeout(&self) -> Duration;

    /// The groups it belongs to besides those the operator puts it in.
    fn groups(&self) -> &'static [&'static str] {
        &[]
    }

    /// How many runs in a row must find it down before it is called down.
    fn failures_to_down(&self) -> u32 {
        2
    }

    /// How old a finding may be.
    fn stale_after(&self) -> Duration {
        self.every() * 3
    }

    /// What the component is called when the last finding is too old.
    fn when_stale(&self) -> Status {
        Status::Unknown
    }

    /// Whether this instance wants no requests until the first run is over: not where a run waits for what
    /// requests can do without.
    fn gates_readiness(&self) -> bool {
        true
    }

    /// What a run that took too long or panicked has found.
    fn when_failing(&self, reason: String) -> Outcome {
        Outcome::down(reason)
    }

    /// Looks. It must not block: all checks share one task.
    async fn check(&mut self) -> Outcome;
}

/// Collects what will be checked.
pub struct HealthRegistry {
    settings: Settings,
    clock: SharedClock,
    checks: Vec<Box<dyn Check>>,
    views: Vec<View>,
}

/// A composite of other components, for clients that know it under that name.
struct View {
    id: &'static str,
    /// A member's name and the ids it is the worst of.
    members: &'static [(&'static str, &'static [&'static str])],
}

impl HealthRegistry {
    /// A registry with the components that are always there: `ping`,
    /// `readinessState` and `startupState`.
    #[must_use]
    pub fn new(settings: Settings, clock: SharedClock) -> Self {
        Self { settings, clock, checks: Vec::new(), views: Vec::new() }
    }

    /// Adds a check.
    pub fn register(&mut self, check: Box<dyn Check>) {
        self.checks.push(check);
    }

    /// Adds a composite of the components named, of those that there are.
    pub fn register_view(
        &mut self,
        id: &'static str,
        members: &'static [(&'static str, &'static [&'static str])],
    ) {
        self.views.push(View { id, members });
    }

    /// The health to ask, the switch for readiness, and the supervisor that
    /// has to run for there to be anything to see.
    #[must_use]
    pub fn build(self) -> (Health, Readiness, Supervisor) {
        let slots = self.checks.iter().map(|check| Slot::of(&**check)).collect();
        let readiness = Readiness::default();
        let shared = std::sync::Arc::new(Shared {
            settings: self.settings,
            clock: self.clock,
            slots,
            live: readiness.components(),
            views: self.views,
            requested: watch::Sender::new(0),
            finished: watch::Sender::new(()),
            freshened: Mutex::new(None),
        });
        let health = Health { shared };
        let supervisor = Supervisor::new(health.clone(), self.checks);
        (health, readiness, supervisor)
    }
}

/// The health of the process; a clone is the same.
#[derive(Clone)]
pub struct Health {
    shared: std::sync::Arc<Shared>,
}

struct Shared {
    settings: Settings,
    clock: SharedClock,
    slots: Vec<Slot>,
    live: Vec<LiveComponent>,
    views: Vec<View>,
    /// The number of the run that was asked for last.
    requested: watch::Sender<u64>,
    /// Says that a run has ended.
    finished: watch::Sender<()>,
    /// When a run was asked for from outside.
    freshened: Mutex<Option<Duration>>,
}

struct LiveComponent {
    id: &'static str,
    groups: &'static [&'static str],
    /// Gets whether every check has run once.
    look: Box<dyn Fn(bool) -> Outcome + Send + Sync>,
}

/// A check and what it found last.
struct Slot {
    id: &'static str,
    groups: &'static [&'static str],
    failures_to_down: u32,
    stale_after: Duration,
    when_stale: Status,
    gates_readiness: bool,
    finding: RwLock<Option<Finding>>,
}

#[derive(Clone, Debug)]
struct Finding {
    outcome: Outcome,
    failures: u32,
    /// The number of the run that was asked for when this one began.
    run: u64,
    at: Duration,
    wall: SystemTime,
}

/// A component as it is shown.
struct Component {
    groups: &'static [&'static str],
    outcome: Outcome,
}

impl Slot {
    fn of(check: &dyn Check) -> Self {
        Self {
            id: check.id(),
            groups: check.groups(),
            failures_to_down: check.failures_to_down(),
            stale_after: check.stale_after(),
            when_stale: check.when_stale(),
            gates_readiness: check.gates_readiness(),
            finding: RwLock::new(None),
        }
    }

    /// Takes in what a run found. A component that worked is called down only
    /// after some failures in a row; one that never worked, at once.
    fn store(&self, raw: Outcome, run: u64, at: Duration, wall: SystemTime) {
        let mut finding = self.finding.write();
        let before = finding.as_ref();
        let failures = match raw.status {
            Status::Down => before.map_or(0, |before| before.failures).saturating_add(1),
            _ => 0,
        };
        let worked =
            before.filter(|before| matches!(before.outcome.status, Status::Up | Status::Degraded));
        let mut outcome = raw;
        if failures > 0 {
            outcome = outcome.with("consecutiveFailures", failures);
        }
        if failures < self.failures_to_down
            && failures > 0
            && let Some(worked) = worked
        {
            outcome.status = worked.outcome.status;
            outcome.strict = worked.outcome.strict;
        }
        *finding = Some(Finding { outcome, failures, run, at, wall });
    }

    fn current(&self, now: Duration) -> Outcome {
        let Some(finding) = self.finding.read().clone() else {
            return Outcome::unknown("not checked yet");
        };
        let age = now.saturating_sub(finding.at);
        let mut outcome = finding.outcome;
        if age > self.stale_after {
            outcome.status = self.when_stale;
            outcome.strict = None;
            outcome = outcome.with("stale", true);
        }
        let checked = chrono::DateTime::<chrono::Utc>::from(finding.wall)
            .to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
        outcome
            .with("checkedAt", checked)
            .with("ageMs", u64::try_from(age.as_millis()).unwrap_or(u64::MAX))
    }
}

impl Health {
    /// The status of a component; nothing when there's none of that id.
    #[must_use]
    pub fn status(&self, id: &str) -> Option<Status> {
        Some(self.components().get(id)?.outcome.status)
    }

    /// Whether every check has run once that readiness waits for.
    #[must_use]
    pub fn has_looked(&self) -> bool {
        let mut slots = self.shared.slots.iter();
        slots.all(|slot| !slot.gates_readiness || slot.finding.read().is_some())
    }

    /// What groups list that there is no component of, by group.
    #[must_use]
    pub fn strangers(&self) -> Vec<(String, String)> {
        let components = self.components();
        let known = |id: &str| id == "*" || components.contains_key(id);
        let groups = self.shared.settings.groups.iter();
        groups
            .flat_map(|(name, group)| {
                let listed = group.include.iter().chain(&group.exclude);
                listed.filter(|id| !known(id)).map(|id| (name.clone(), id.clone()))
            })
            .collect()
    }

    /// Runs all checks now and waits for them, at most for `limit`; false
    /// when it was not enough.
    pub async fn refresh(&self, limit: Duration) -> bool {
        let mut finished = self.shared.finished.subscribe();
        let mut wanted = 0;
        self.shared.requested.send_modify(|run| {
            *run += 1;
            wanted = *run;
        });
        let all_ran = async {
            while !self.ran(wanted) {
                if finished.changed().await.is_err() {
                    return;
                }
            }
        };
        tokio::time::timeout(limit, all_ran).await.is_ok()
    }

    /// As [`Health::refresh`], but not more than once a second: what was found since then is as good.
    pub async fn freshen(&self, limit: Duration) {
        {
            let now = self.shared.clock.monotonic();
            let mut last = self.shared.freshened.lock();
            if last.is_some_and(|last| now.saturating_sub(last) < Duration::from_secs(1)) {
                return;
            }
            *last = Some(now);
        }
        self.refresh(limit).await;
    }

    fn ran(&self, wanted: u64) -> bool {
        self.shared
            .slots
            .iter()
            .all(|slot| slot.finding.read().as_ref().is_some_and(|finding| finding.run >= wanted))
    }

    fn components(&self) -> BTreeMap<&'static str, Component> {
        let now = self.shared.clock.monotonic();
        let mut components: BTreeMap<_, _> = self
            .shared
            .slots
            .iter()
            .map(|slot| {
                let outcome = slot.current(now);
                (slot.id, Component { groups: slot.groups, outcome })
            })
            .collect();
        let looked = self.has_looked();
        components.extend(self.shared.live.iter().map(|live| {
            let outcome = (live.look)(looked);
            (live.id, Component { groups: live.groups, outcome })
        }));
        for view in &self.shared.views {
            let members = view.members.iter().filter_map(|(name, ids)| {
                let found: Vec<_> = ids.iter().filter_map(|id| components.get(id)).collect();
                let status = Status::worst(found.iter().map(|found| found.outcome.status));
                (!found.is_empty()).then(|| ((*name).to_owned(), Outcome::new(status)))
            });
            let outcome = Outcome::composite(members.collect());
            components.insert(view.id, Component { groups: &[], outcome });
        }
        components
    }
}

#[cfg(test)]
mod tests;
