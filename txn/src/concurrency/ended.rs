//! Transactions that are over, for requests of theirs that come late.
//!
//! A request may be served after its transaction has ended: its client has gone away, or a repetition was quicker. A lock
//! that it took then would be nobody's, and others would have to find that out. Best effort: what is forgotten is found
//! out so.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Mutex, MutexGuard};

use super::key::Key;

/// So many are remembered: the last seconds, under load.
const CAPACITY: usize = 20_000;

/// The last transactions that ended.
#[derive(Debug, Default)]
pub struct Ended(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    ids: BTreeSet<Key>,
    order: VecDeque<Key>,
}

impl Ended {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no panic under this lock")
    }

    /// The transaction is over, however it ended.
    pub fn add(&self, txn_id: &[u8]) {
        let mut state = self.state();
        let id = Key::new(txn_id);
        if !state.ids.insert(id.clone()) {
            return;
        }
        state.order.push_back(id);
        if state.order.len() > CAPACITY
            && let Some(oldest) = state.order.pop_front()
        {
            state.ids.remove(&oldest);
        }
    }

    /// Is the transaction known to be over?
    pub fn has(&self, txn_id: &[u8]) -> bool {
        self.state().ids.contains(&Key::new(txn_id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ones_are_remembered() {
        let ended = Ended::default();
        for n in 0..=CAPACITY {
            ended.add(&n.to_be_bytes());
            ended.add(&n.to_be_bytes());
        }
        assert!(!ended.has(&0usize.to_be_bytes()));
        assert!(ended.has(&1usize.to_be_bytes()) && ended.has(&CAPACITY.to_be_bytes()));
    }
}
