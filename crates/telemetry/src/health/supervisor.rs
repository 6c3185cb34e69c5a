//! Runs the checks.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::join_all;
use metrics::{gauge, histogram};

use super::{Check, Health, Outcome, Slot, Status};

/// How often the statuses are published as meters.
const PUBLISH: Duration = Duration::from_secs(1);

/// Runs every check on its own schedule, one run of each at a time.
pub struct Supervisor {
    health: Health,
    checks: Vec<Box<dyn Check>>,
}

impl Supervisor {
    pub(super) fn new(health: Health, checks: Vec<Box<dyn Check>>) -> Self {
        Self { health, checks }
    }

    /// Runs until `cancel` is ready.
    pub async fn run(self, cancel: impl Future<Output = ()>) {
        let health = &self.health;
        let slots = &health.shared.slots;
        let watching =
            join_all(slots.iter().zip(self.checks).map(|(slot, check)| watch(health, slot, check)));
        tokio::select! {
            () = cancel => {}
            () = publish(health) => {}
            _ = watching => {}
        }
    }
}

async fn watch(health: &Health, slot: &Slot, mut check: Box<dyn Check>) {
    let shared = Arc::clone(&health.shared);
    let mut requested = shared.requested.subscribe();
    loop {
        let run = *requested.borrow_and_update();
        let began = shared.clock.monotonic();
        let outcome = look(&mut *check).await;
        let ended = shared.clock.monotonic();
        histogram!(
            "health.check",
            "component" => slot.id,
            "outcome" => outcome.status.name(),
        )
        .record(ended.saturating_sub(began));
        slot.store(outcome, run, ended, shared.clock.wall());
        shared.finished.send_replace(());
        tokio::select! {
            () = tokio::time::sleep(check.every()) => {}
            changed = requested.changed() => {
                if changed.is_err() {
                    return;
                }
            }
        }
    }
}

/// One run, which ends in time and doesn't take the others down with it.
async fn look(check: &mut dyn Check) -> Outcome {
    let limit = check.timeout();
    let running = AssertUnwindSafe(check.check()).catch_unwind();
    let reason = match tokio::time::timeout(limit, running).await {
        Ok(Ok(outcome)) => return outcome,
        Ok(Err(_)) => "the check panicked".to_owned(),
        Err(_) => format!("no answer within {} ms", limit.as_millis()),
    };
    check.when_failing(reason)
}

async fn publish(health: &Health) {
    let mut tick = tokio::time::interval(PUBLISH);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        for (id, component) in health.components() {
            for status in Status::ALL {
                let has = component.outcome.status == status;
                gauge!("health.component.status", "component" => id, "status" => status.name())
                    .set(if has { 1.0 } else { 0.0 });
            }
        }
    }
}
