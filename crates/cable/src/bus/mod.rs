//! How nodes tell each other. A hint, never the truth: what the bus loses, the tail of the
//! database brings.

mod redis;

use tokio::sync::watch;

pub(crate) use self::redis::client;
pub use self::redis::{BusError, RedisBus, RedisBusConfig};
use crate::publication::Signal;

/// The way to the other nodes.
pub trait Bus: Send + Sync {
    /// Tells the other nodes, soon; neither waits nor fails.
    fn send(&self, signal: &Signal);

    /// How the way in is. A tail of the database watches it: it fills up when `gaps` grows, and
    /// looks more often while the link is down. It must look now and then in any case, as a node
    /// that is cut off cannot tell the others that they miss something.
    fn state(&self) -> watch::Receiver<BusState>;
}

/// How the way in from the other nodes is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BusState {
    /// Whether signals arrive now.
    pub link: Link,
    /// How often something may have been missed, counted when the gap is over.
    pub gaps: u64,
}

/// Whether signals of other nodes arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// They do.
    Up,
    /// They do not.
    Down {
        /// Since when, microseconds since the epoch.
        since: i64,
    },
}

/// The bus of the only node there is: nobody else is to be told.
pub struct InProcess(watch::Sender<BusState>);

impl InProcess {
    /// A bus without other nodes.
    pub fn new() -> Self {
        Self(watch::Sender::new(BusState { link: Link::Up, gaps: 0 }))
    }
}

impl Default for InProcess {
    fn default() -> Self {
        Self::new()
    }
}

impl Bus for InProcess {
    fn send(&self, _: &Signal) {}

    fn state(&self) -> watch::Receiver<BusState> {
        self.0.subscribe()
    }
}
