//! Whether this instance wants requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use super::{LiveComponent, Outcome, Status};

const STARTING: u8 = 0;
const ACCEPTING: u8 = 1;
const REFUSING: u8 = 2;

/// The switch that the start and the drain throw; a clone is the same switch.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<AtomicU8>);

impl Readiness {
    /// The start is done: listeners are bound, caches are warm. Does nothing
    /// once the drain has begun.
    pub fn accept(&self) {
        let _ = self.0.compare_exchange(STARTING, ACCEPTING, Ordering::SeqCst, Ordering::SeqCst);
    }

    /// The drain has begun: no more requests, for good.
    pub fn refuse(&self) {
        self.0.store(REFUSING, Ordering::SeqCst);
    }

    pub(super) fn components(&self) -> Vec<LiveComponent> {
        let ready = self.clone();
        let started = self.clone();
        vec![
            LiveComponent { id: "ping", groups: &[], look: Box::new(|_| Outcome::up()) },
            LiveComponent {
                id: "readinessState",
                groups: &["readiness", "deploy"],
                look: Box::new(move |looked| ready.readiness(looked)),
            },
            LiveComponent {
                id: "startupState",
                groups: &["startup"],
                look: Box::new(move |looked| started.startup(looked)),
            },
        ]
    }

    fn readiness(&self, looked: bool) -> Outcome {
        let refused = |reason: &str| {
            Outcome::new(Status::OutOfService)
                .with("state", "REFUSING_TRAFFIC")
                .with("reason", reason)
        };
        match (self.0.load(Ordering::SeqCst), looked) {
            (ACCEPTING, true) => Outcome::up().with("state", "ACCEPTING_TRAFFIC"),
            (ACCEPTING, false) => refused("not every check has run yet"),
            (REFUSING, _) => refused("draining"),
            _ => refused("starting"),
        }
    }

    fn startup(&self, looked: bool) -> Outcome {
        if looked && self.0.load(Ordering::SeqCst) != STARTING {
            Outcome::up()
        } else {
            Outcome::new(Status::OutOfService).with("reason", "starting")
        }
    }
}
