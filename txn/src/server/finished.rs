//! Transactions that are known to be finished, of late.
//!
//! Whoever meets intents of such a one has nobody to ask and nothing to wait for. What a large transaction leaves behind
//! is met by every reader until it is resolved.
//!
//! - I1. What is remembered is final, so that forgetting and remembering are both right at any time.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;

use bytes::Bytes;

use crate::mvcc::Finished;

/// Transactions that are remembered.
const CAPACITY: usize = 10_000;
/// One that went back to savepoints more often after it had sent its writes is not.
const MAX_IGNORED: usize = 100;

/// A node's memory of finished transactions.
#[derive(Debug, Default)]
pub(super) struct FinishedTxns(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    by_id: BTreeMap<Bytes, Finished>,
    /// By the order of arrival.
    order: VecDeque<Bytes>,
}

impl FinishedTxns {
    /// A transaction has ended.
    pub(super) fn learn(&self, id: &[u8], finished: &Finished) {
        if finished.ignored.len() > MAX_IGNORED {
            return;
        }
        let mut state = self.0.lock().expect("no panic under this lock");
        if state.by_id.contains_key(id) {
            return;
        }
        // Not a part of some request, which would stay in memory with it.
        let id = Bytes::copy_from_slice(id);
        state.by_id.insert(id.clone(), finished.clone());
        state.order.push_back(id);
        if state.order.len() > CAPACITY
            && let Some(oldest) = state.order.pop_front()
        {
            state.by_id.remove(&oldest);
        }
    }

    /// How a transaction ended, if that is remembered.
    pub(super) fn recall(&self, id: &[u8]) -> Option<Finished> {
        self.0.lock().expect("no panic under this lock").by_id.get(id).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_are_remembered() {
        let memory = FinishedTxns::default();
        let id = |n: usize| n.to_be_bytes();
        for n in 0..CAPACITY + 5 {
            memory.learn(&id(n), &Finished::default());
            memory.learn(&id(n), &Finished::default());
        }
        assert_eq!(
            (memory.recall(&id(4)), memory.recall(&id(5))),
            (None, Some(Finished::default()))
        );
        assert_eq!(memory.0.lock().unwrap().by_id.len(), CAPACITY);
    }
}
