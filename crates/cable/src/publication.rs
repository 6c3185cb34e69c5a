//! What is fanned out.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// One message for every subscription of some streams.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publication {
    /// Position in the database's outbox, by which repeats are dropped and clients resume; 0 for
    /// what is not stored (typing): never dropped as a repeat, never replayed.
    pub id: i64,
    /// When it was committed, microseconds since the epoch; 0 when unknown. Feeds the fan-out
    /// meter only.
    pub at: i64,
    /// A subscription that listens to any of these gets the message, once.
    pub streams: Vec<Arc<str>>,
    /// The subscription with this primary stream is left out: the party that is typing.
    pub except: Option<Arc<str>>,
    /// JSON `{"event":…,"data":…}`, serialised once for all receivers.
    pub message: Arc<str>,
}

/// What the nodes tell each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signal {
    /// Deliver this to your subscriptions.
    Publication(Arc<Publication>),
    /// Ask the channel again for every subscription with this primary stream: their streams are replaced, or the
    /// subscription is dropped with `reject_subscription`. When a node may have missed one, it asks again for all
    /// its subscriptions.
    Refresh(Arc<str>),
    /// The sender could not tell everything: fill up from the database.
    CatchUp,
}
