//! One accepted subscription of one socket.

use std::collections::HashSet;
use std::sync::Arc;

use metrics::Histogram;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};

use crate::channel::{Channel, Refusal, Subscribed, Subscriber};
use crate::hub::Registry;
use crate::meters;
use crate::protocol::{DisconnectReason, Notice, about, data_head};
use crate::publication::Publication;
use crate::queue::{Item, Queue};

pub(crate) struct Subscription {
    pub id: u64,
    pub identifier: Arc<str>,
    /// A data frame up to its message.
    pub head: String,
    /// Public name in the extended protocol. A digest of the identifier: the same on every node
    /// and after every reconnect, and telling nothing the client does not know.
    pub stream_id: String,
    pub fanout: Histogram,
    queue: Arc<Queue>,
    channel: Arc<dyn Channel>,
    held_at_most: usize,
    state: Mutex<State>,
}

/// Lock order: this before a shard of the registry and before the queue.
struct State {
    primary: Arc<str>,
    /// With the primary one, without repeats.
    streams: Vec<Arc<str>>,
    subscriber: Arc<dyn Subscriber>,
    /// Publications that wait for a replay to end. A client resumes from the last frame it saw, so
    /// nothing newer may overtake a replay that may still break off.
    held: Option<Vec<Arc<Publication>>>,
    closed: bool,
}

impl Subscription {
    /// Prepares a subscription; with `on_hold`, publications wait for [`Self::release`].
    pub fn new(
        id: u64,
        identifier: &str,
        accepted: Subscribed,
        channel: Arc<dyn Channel>,
        queue: Arc<Queue>,
        held_at_most: usize,
        on_hold: bool,
    ) -> Arc<Self> {
        let streams = all_streams(&accepted.primary, accepted.streams);
        Arc::new(Self {
            id,
            identifier: Arc::from(identifier),
            head: data_head(identifier),
            stream_id: public_name(identifier),
            fanout: meters::fanout(accepted.kind),
            queue,
            channel,
            held_at_most,
            state: Mutex::new(State {
                primary: accepted.primary,
                streams,
                subscriber: accepted.subscriber,
                held: on_hold.then(Vec::new),
                closed: false,
            }),
        })
    }

    /// Makes it reachable by its streams and confirms it. In one step: neither a publication nor a
    /// refusal by a refresh may come before the confirmation, and nothing published after it may
    /// be missed.
    pub fn open(self: &Arc<Self>, registry: &Registry, greeting: Vec<Arc<str>>) {
        let state = self.state.lock();
        for stream in &state.streams {
            registry.add(stream, self);
        }
        self.queue.push(Item::Text(about(&self.identifier, Notice::ConfirmSubscription)));
        for message in greeting {
            self.queue.push(Item::Message(Arc::clone(self), message));
        }
    }

    /// Queues a message for this subscription alone.
    pub fn tell(self: &Arc<Self>, message: Arc<str>) {
        let state = self.state.lock();
        if !state.closed {
            self.queue.push(Item::Message(Arc::clone(self), message));
        }
    }

    /// Queues a publication, or holds it back. True when it will reach the socket unless that
    /// ends.
    pub fn deliver(self: &Arc<Self>, publication: &Arc<Publication>) -> bool {
        let mut state = self.state.lock();
        if state.closed || publication.except.as_deref() == Some(&*state.primary) {
            return false;
        }
        match &mut state.held {
            None => self.queue.push(Item::Publication(Arc::clone(self), Arc::clone(publication))),
            Some(held) if held.len() < self.held_at_most => {
                held.push(Arc::clone(publication));
                true
            }
            Some(_) => {
                self.queue.overflow();
                false
            }
        }
    }

    /// True when a publication is for it, now.
    pub fn hears(&self, publication: &Publication) -> bool {
        let state = self.state.lock();
        !state.closed
            && publication.except.as_deref() != Some(&*state.primary)
            && publication.streams.iter().any(|stream| state.streams.contains(stream))
    }

    /// Holds publications back from now on.
    pub fn hold(&self) {
        self.state.lock().held.get_or_insert_default();
    }

    /// Lets go what was held back, except what a replay has shown already, as fast as the peer reads. What comes
    /// meanwhile is held back too, or it would overtake.
    pub async fn release(self: &Arc<Self>, shown: &HashSet<i64>) {
        loop {
            let held = {
                let mut state = self.state.lock();
                match state.held.take() {
                    Some(held) if !held.is_empty() => {
                        state.held = Some(Vec::new());
                        held
                    }
                    _ => return,
                }
            };
            for publication in held {
                let known = shown.contains(&publication.id);
                let item = Item::Publication(Arc::clone(self), publication);
                if !known && !self.queue.push_patiently(item).await {
                    return;
                }
            }
        }
    }

    /// Ends it. False when it had ended before.
    pub fn close(&self, registry: &Registry) -> bool {
        let mut state = self.state.lock();
        if state.closed {
            return false;
        }
        state.closed = true;
        state.held = None;
        for stream in std::mem::take(&mut state.streams) {
            registry.remove(&stream, self.id);
        }
        true
    }

    pub fn is_closed(&self) -> bool {
        self.state.lock().closed
    }

    pub fn primary(&self) -> Arc<str> {
        Arc::clone(&self.state.lock().primary)
    }

    pub fn subscriber(&self) -> Arc<dyn Subscriber> {
        Arc::clone(&self.state.lock().subscriber)
    }

    pub fn streams(&self) -> Vec<Arc<str>> {
        self.state.lock().streams.clone()
    }

    /// Asks the channel again and takes over what it says.
    pub async fn refresh(self: &Arc<Self>, registry: &Registry) {
        if self.is_closed() {
            return;
        }
        let Ok(params) = serde_json::from_str(&self.identifier) else {
            return;
        };
        match self.channel.subscribe(&params).await {
            Ok(accepted) => self.replace(registry, accepted),
            Err(Refusal::Denied) => {
                if self.close(registry) {
                    let frame = about(&self.identifier, Notice::RejectSubscription);
                    self.queue.push(Item::Text(frame));
                }
            }
            // What it may hear now is not known: it must ask again when that can be answered.
            Err(Refusal::Unavailable) => self.queue.close(DisconnectReason::Unavailable),
        }
    }

    fn replace(self: &Arc<Self>, registry: &Registry, accepted: Subscribed) {
        let streams = all_streams(&accepted.primary, accepted.streams);
        let mut state = self.state.lock();
        if state.closed {
            return;
        }
        for stream in streams.iter().filter(|stream| !state.streams.contains(stream)) {
            registry.add(stream, self);
        }
        for stream in state.streams.iter().filter(|stream| !streams.contains(stream)) {
            registry.remove(stream, self.id);
        }
        state.streams = streams;
        state.primary = accepted.primary;
        state.subscriber = accepted.subscriber;
    }
}

fn all_streams(primary: &Arc<str>, others: Vec<Arc<str>>) -> Vec<Arc<str>> {
    let mut streams = vec![Arc::clone(primary)];
    for stream in others {
        if !streams.contains(&stream) {
            streams.push(stream);
        }
    }
    streams
}

fn public_name(identifier: &str) -> String {
    Sha256::digest(identifier.as_bytes())
        .iter()
        .take(12)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
