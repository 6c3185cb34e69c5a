//! Stream → subscriptions.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use futures::{StreamExt, stream};
use parking_lot::RwLock;

use crate::subscription::Subscription;

const SHARDS: usize = 64;

/// Channel calls in flight while a primary stream is refreshed.
const REFRESH_CONCURRENCY: usize = 8;

type Shard = RwLock<HashMap<Arc<str>, Vec<Arc<Subscription>>>>;

/// Sharded, so that sockets coming and going do not hold up publications. No lock is held while a
/// subscription is called.
pub(crate) struct Registry {
    shards: Vec<Shard>,
    hasher: RandomState,
}

impl Registry {
    pub fn new() -> Self {
        Self { shards: (0..SHARDS).map(|_| Shard::default()).collect(), hasher: RandomState::new() }
    }

    fn shard(&self, stream: &str) -> Option<&Shard> {
        let shard = self.hasher.hash_one(stream) % SHARDS as u64;
        self.shards.get(usize::try_from(shard).ok()?)
    }

    /// Adds a subscription to a stream; again is the same as once.
    pub fn add(&self, stream: &Arc<str>, subscription: &Arc<Subscription>) {
        let Some(shard) = self.shard(stream) else { return };
        let mut shard = shard.write();
        let listening = shard.entry(Arc::clone(stream)).or_default();
        // Sorted by id: they come in that order, and an account's stream has thousands.
        if let Err(at) = listening.binary_search_by_key(&subscription.id, |other| other.id) {
            listening.insert(at, Arc::clone(subscription));
        }
    }

    pub fn remove(&self, stream: &Arc<str>, subscription: u64) {
        let Some(shard) = self.shard(stream) else { return };
        let mut shard = shard.write();
        let Some(listening) = shard.get_mut(stream) else { return };
        if let Ok(at) = listening.binary_search_by_key(&subscription, |other| other.id) {
            listening.remove(at);
        }
        if listening.is_empty() {
            shard.remove(stream);
        }
    }

    /// The subscriptions of any of these streams, each once.
    pub fn listening(&self, streams: &[Arc<str>]) -> Vec<Arc<Subscription>> {
        let mut found = Vec::new();
        let mut seen = HashSet::new();
        for stream in streams {
            let Some(shard) = self.shard(stream) else { continue };
            let shard = shard.read();
            let Some(listening) = shard.get(stream) else { continue };
            if streams.len() == 1 {
                return listening.clone();
            }
            found.extend(listening.iter().filter(|one| seen.insert(one.id)).cloned());
        }
        found
    }

    /// How many subscriptions have this primary stream.
    pub fn holding(&self, stream: &Arc<str>) -> usize {
        let listening = self.listening(std::slice::from_ref(stream));
        listening.iter().filter(|one| one.primary() == *stream).count()
    }

    /// All primary streams.
    pub fn primaries(&self) -> HashSet<Arc<str>> {
        let mut all = HashSet::new();
        for shard in &self.shards {
            let subscriptions: Vec<_> = shard.read().values().flatten().cloned().collect();
            all.extend(subscriptions.iter().map(|subscription| subscription.primary()));
        }
        all
    }

    /// Refreshes the subscriptions with this primary stream. Not to be called for the same stream
    /// twice at a time: an older answer could overtake a newer one.
    pub async fn refresh(&self, primary: &Arc<str>) {
        let affected = self.listening(std::slice::from_ref(primary));
        stream::iter(affected.iter().filter(|one| one.primary() == *primary))
            .for_each_concurrent(REFRESH_CONCURRENCY, |one| one.refresh(self))
            .await;
    }
}
