//! Buckets in the memory of this process, bounded.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use parking_lot::Mutex;

use super::quota::{Reading, State};
use super::{Bucket, Group};

const SHARDS: usize = 16;

/// A map of bounded size that forgets what wasn't used for longest: two generations, of which the
/// older is dropped when the younger is full. What is used moves to the younger.
pub(super) struct Recent<V> {
    shards: Vec<Mutex<Generations<V>>>,
    hasher: RandomState,
    per_generation: usize,
}

struct Generations<V> {
    young: HashMap<String, V>,
    old: HashMap<String, V>,
}

impl<V: Default> Recent<V> {
    pub(super) fn new(capacity: usize) -> Self {
        let shard = || Mutex::new(Generations { young: HashMap::new(), old: HashMap::new() });
        Self {
            shards: std::iter::repeat_with(shard).take(SHARDS).collect(),
            hasher: RandomState::new(),
            per_generation: (capacity / SHARDS / 2).max(1),
        }
    }

    /// Runs `with` on the value of a key, made if it wasn't there. None never happens: the shard
    /// number is a remainder.
    pub(super) fn update<T>(&self, key: &str, with: impl FnOnce(&mut V) -> T) -> Option<T> {
        let shard = usize::try_from(self.hasher.hash_one(key) % SHARDS as u64).ok()?;
        let mut generations = self.shards.get(shard)?.lock();
        let Generations { young, old } = &mut *generations;
        if let Some(value) = young.get_mut(key) {
            return Some(with(value));
        }
        if young.len() >= self.per_generation {
            std::mem::swap(young, old);
            young.clear();
        }
        let mut value = old.remove(key).unwrap_or_default();
        let outcome = with(&mut value);
        young.insert(key.to_owned(), value);
        Some(outcome)
    }

    /// Runs `with` on the value of a key, if it is there.
    pub(super) fn peek<T>(&self, key: &str, with: impl FnOnce(&V) -> T) -> Option<T> {
        let shard = usize::try_from(self.hasher.hash_one(key) % SHARDS as u64).ok()?;
        let generations = self.shards.get(shard)?.lock();
        generations.young.get(key).or_else(|| generations.old.get(key)).map(with)
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.shards
            .iter()
            .map(|it| {
                let it = it.lock();
                it.young.len() + it.old.len()
            })
            .sum()
    }
}

/// The buckets of one identity, by their slot.
type Buckets = Vec<(u16, State)>;

/// Attempts are kept apart: visitors can be made up by the thousand, and must not push out how often somebody
/// tried to sign in.
pub(super) struct LocalStore {
    identities: Recent<Buckets>,
    attempts: Recent<Buckets>,
}

impl LocalStore {
    pub(super) fn new(capacity: usize) -> Self {
        Self { identities: Recent::new(capacity), attempts: Recent::new(capacity) }
    }

    fn of(&self, group: &Group) -> &Recent<Buckets> {
        if group.of_attempts() { &self.attempts } else { &self.identities }
    }

    /// Decides a group as one: units are only taken if every bucket has them, except in buckets
    /// of attempts, which a denied request charges as well.
    pub(super) fn take(&self, group: &Group, now: u64) -> Vec<Reading> {
        let decide = |states: &mut Buckets| {
            let waits: Vec<u64> = group
                .buckets
                .iter()
                .map(|bucket| {
                    state(states, bucket).map_or(0, |it| it.wait(bucket.quota, bucket.cost, now))
                })
                .collect();
            let admitted = waits.iter().all(|wait| *wait == 0);
            group
                .buckets
                .iter()
                .zip(waits)
                .filter_map(|(bucket, wait)| {
                    let state = state(states, bucket)?;
                    if admitted || bucket.attempts {
                        state.spend(bucket.quota, bucket.cost, now);
                    }
                    Some(state.reading(bucket.quota, wait, now))
                })
                .collect()
        };
        self.of(group).update(&group.identity, decide).unwrap_or_default()
    }

    pub(super) fn refund(&self, group: &Group) {
        self.of(group).update(&group.identity, |states| {
            for bucket in &group.buckets {
                if let Some((_, state)) = states.iter_mut().find(|(slot, _)| *slot == bucket.slot) {
                    state.refund(bucket.quota, bucket.cost);
                }
            }
        });
    }
}

fn state<'a>(states: &'a mut Buckets, bucket: &Bucket) -> Option<&'a mut State> {
    if !states.iter().any(|(slot, _)| *slot == bucket.slot) {
        states.push((bucket.slot, State::new(bucket.quota)));
    }
    states.iter_mut().find(|(slot, _)| *slot == bucket.slot).map(|(_, state)| state)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_map_stays_bounded_and_keeps_what_is_used() {
        let recent: Recent<u32> = Recent::new(320);
        for key in 0..10_000 {
            recent.update("kept", |count| *count += 1);
            recent.update(&format!("key {key}"), |count| *count += 1);
            assert!(recent.len() <= 320 + SHARDS);
        }
        assert_eq!(recent.peek("kept", |count| *count), Some(10_000));
        assert_eq!(recent.peek("key 0", |count| *count), None);
    }
}
