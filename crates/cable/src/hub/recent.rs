//! The window of ids by which repeats are dropped.

use std::collections::{HashSet, VecDeque};

use parking_lot::Mutex;

pub(crate) struct RecentIds {
    capacity: usize,
    window: Mutex<Window>,
}

#[derive(Default)]
struct Window {
    known: HashSet<i64>,
    order: VecDeque<i64>,
}

impl RecentIds {
    pub fn new(capacity: usize) -> Self {
        Self { capacity: capacity.max(1), window: Mutex::default() }
    }

    /// False when the id is in the window.
    pub fn insert(&self, id: i64) -> bool {
        let mut window = self.window.lock();
        if !window.known.insert(id) {
            return false;
        }
        window.order.push_back(id);
        if window.order.len() > self.capacity
            && let Some(oldest) = window.order.pop_front()
        {
            window.known.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(capacity: usize, ids: &[i64], expected: &[bool]) {
        let recent = RecentIds::new(capacity);
        let new: Vec<bool> = ids.iter().map(|id| recent.insert(*id)).collect();
        assert_eq!(new, expected, "{ids:?} in a window of {capacity}");
    }

    #[test]
    fn repeats_within_the_window_are_known() {
        check(2, &[1, 1, 2, 1], &[true, false, true, false]);
        check(2, &[1, 2, 3, 1], &[true, true, true, true]);
        check(2, &[2, 1, 2], &[true, true, false]);
        check(1, &[5, 5, 6, 5], &[true, false, true, true]);
    }
}
