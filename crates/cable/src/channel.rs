//! What the application says about channels.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::publication::Publication;

/// A kind of subscription, found by the `channel` of an identifier.
#[async_trait::async_trait]
pub trait Channel: Send + Sync {
    /// Decides a subscription. `params` is the whole identifier object. Called again with the same
    /// object when [`crate::Signal::Refresh`] asks for it, so it must not have effects that hurt when
    /// repeated.
    ///
    /// # Errors
    /// The [`Refusal`].
    async fn subscribe(&self, params: &Map<String, Value>) -> Result<Subscribed, Refusal>;
}

/// An accepted subscription.
pub struct Subscribed {
    /// The stream that stands for the subscriber itself (its token); part of the streams without
    /// being listed there.
    pub primary: Arc<str>,
    /// The other streams.
    pub streams: Vec<Arc<str>>,
    /// Kind of subscriber, a label of meters: `agent`, `contact`.
    pub kind: &'static str,
    /// How many subscriptions of a node may hold this primary stream at a time, where limits apply: more are
    /// rejected ([`crate::Connection::limit`]).
    pub at_once: usize,
    /// Messages (JSON) for this subscription, sent right after the confirmation; not sent when the
    /// subscription is refreshed.
    pub greeting: Vec<Arc<str>>,
    /// Who answers its actions.
    pub subscriber: Arc<dyn Subscriber>,
}

/// Why there is no subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The subscriber may not: `reject_subscription`, the client forgets the subscription.
    #[error("not allowed")]
    Denied,
    /// It could not be found out: the client is disconnected and comes again.
    #[error("could not be decided")]
    Unavailable,
}

/// The application's side of one accepted subscription.
#[async_trait::async_trait]
pub trait Subscriber: Send + Sync {
    /// Performs an action; answers messages (JSON) for this subscription alone. Unknown actions do
    /// nothing.
    async fn perform(&self, action: &str, data: &Map<String, Value>) -> Vec<Arc<str>>;

    /// What was published to `streams` since, oldest first. It may begin earlier (transactions
    /// commit out of the order of their ids: rewind by as much as one may take) and may hold
    /// publications of other streams, which are left out; it must not have holes.
    ///
    /// # Errors
    /// [`HistoryLost`] when it does not reach back so far: the client must fetch its state anew.
    async fn history(
        &self,
        since: Since,
        streams: &[Arc<str>],
    ) -> Result<Vec<Arc<Publication>>, HistoryLost>;
}

/// From where to replay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// After the publication with this id.
    Position(i64),
    /// From this time on, unix seconds.
    Time(i64),
}

/// The history does not reach back so far, or cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("history lost")]
pub struct HistoryLost;

/// The channels of a kind of socket, by name.
#[derive(Default)]
pub struct Channels(HashMap<&'static str, Arc<dyn Channel>>);

impl Channels {
    /// No channels: every subscription is rejected.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a channel under the name clients use (`RoomChannel`).
    #[must_use]
    pub fn with(mut self, name: &'static str, channel: Arc<dyn Channel>) -> Self {
        self.0.insert(name, channel);
        self
    }

    /// The channel and parameters an identifier stands for.
    pub(crate) fn resolve(
        &self,
        identifier: &str,
    ) -> Option<(Arc<dyn Channel>, Map<String, Value>)> {
        let params: Map<String, Value> = serde_json::from_str(identifier).ok()?;
        let channel = self.0.get(params.get("channel")?.as_str()?)?;
        Some((Arc::clone(channel), params))
    }
}
