//! Bytes that wait in a store's queues, and how many of them may.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes of proposals on their way to the consensus loop; more are refused.
const PROPOSED_BYTES_MAX: usize = 64 << 20;
/// Bytes of other replicas' messages on their way to the consensus loop; of more, only those without entries get in.
const RECEIVED_BYTES_MAX: usize = 64 << 20;
/// Committed entries of one group that are on their way through the engine, in bytes. More stay in the log.
const GROUP_APPLYING_BYTES_MAX: usize = 8 << 20;
/// The same of all groups of a store.
const APPLYING_BYTES_MAX: usize = 64 << 20;
/// Batches of committed entries that wait for the apply loop.
pub(crate) const APPLY_TASKS_MAX: usize = 4_096;
/// Other things that the core has asked of it: about the one snapshot that is being taken, and about the logs that were reset
/// after a restart, a few a turn.
pub(crate) const ORDERS_MAX: usize = 1_024;

/// The queues' levels of one store.
pub(crate) struct Credits {
    pub(crate) proposed: Credit,
    pub(crate) received: Credit,
}

impl Default for Credits {
    fn default() -> Self {
        let credit = |max| Credit(Arc::new(Level { used: AtomicUsize::new(0), max }));
        Credits { proposed: credit(PROPOSED_BYTES_MAX), received: credit(RECEIVED_BYTES_MAX) }
    }
}

/// Bytes that a queue may hold.
#[derive(Clone)]
pub(crate) struct Credit(Arc<Level>);

struct Level {
    used: AtomicUsize,
    max: usize,
}

/// Bytes taken from a credit, given back with it.
pub(crate) struct Taken {
    credit: Arc<Level>,
    bytes: usize,
}

impl Credit {
    /// Takes bytes, if there are so many left. An empty queue takes whatever there is.
    pub(crate) fn take(&self, bytes: usize) -> Option<Taken> {
        let level = &self.0;
        let used = level.used.fetch_add(bytes, Ordering::Relaxed);
        let taken = Taken { credit: level.clone(), bytes };
        (used == 0 || used + bytes <= level.max).then_some(taken)
    }

    /// Bytes that are taken.
    pub(crate) fn used(&self) -> usize {
        self.0.used.load(Ordering::Relaxed)
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.credit.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// What is on its way through the engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Applying {
    pub(crate) bytes: usize,
    pub(crate) tasks: usize,
}

impl Applying {
    pub(crate) fn add(&mut self, bytes: usize) {
        self.bytes += bytes;
        self.tasks += 1;
    }

    pub(crate) fn remove(&mut self, done: Applying) {
        self.bytes -= done.bytes;
        self.tasks -= done.tasks;
    }

    /// Bytes that one group may send after the `own` that it has on the way, where this is what all have. Who has nothing on
    /// the way may send something of any size, and so may the first of all.
    pub(crate) fn room(&self, own: usize) -> usize {
        let left = APPLYING_BYTES_MAX.saturating_sub(self.bytes);
        match own {
            _ if self.tasks >= APPLY_TASKS_MAX || left == 0 => 0,
            0 => usize::MAX,
            _ => left.min(GROUP_APPLYING_BYTES_MAX.saturating_sub(own)),
        }
    }
}

/// Bytes in a store's queues.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueuedBytes {
    /// Proposals that the consensus loop has not taken.
    pub proposed: usize,
    /// Messages of other replicas that the consensus loop has not taken.
    pub received: usize,
    /// Committed entries that the apply loop has not applied.
    pub applying: usize,
}

impl QueuedBytes {
    /// What they are at most: each bound, and one more command or frame that came when there was room.
    pub const MAX: QueuedBytes = QueuedBytes {
        proposed: PROPOSED_BYTES_MAX + crate::range::command::MAX_COMMAND_BYTES,
        received: RECEIVED_BYTES_MAX + crate::rpc::MAX_MESSAGE_BYTES,
        applying: APPLYING_BYTES_MAX + crate::range::command::MAX_COMMAND_BYTES,
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credit_is_given_back_by_whoever_ends() {
        let credit = Credits::default().proposed;
        let large = credit.take(PROPOSED_BYTES_MAX + 1).expect("the queue is empty");
        assert!(credit.take(1).is_none());
        assert_eq!(credit.used(), PROPOSED_BYTES_MAX + 1);
        drop(large);
        assert_eq!(credit.used(), 0);
        assert!(credit.take(1).is_some());
    }

    #[test]
    fn one_group_leaves_room_for_the_others() {
        let mut all = Applying::default();
        all.add(GROUP_APPLYING_BYTES_MAX);
        assert_eq!(all.room(GROUP_APPLYING_BYTES_MAX), 0);
        assert_eq!(all.room(1), GROUP_APPLYING_BYTES_MAX - 1);
        assert_eq!(all.room(0), usize::MAX);
        all.add(APPLYING_BYTES_MAX);
        assert_eq!(all.room(0), 0, "the store has no more");
        all.remove(Applying { bytes: APPLYING_BYTES_MAX, tasks: 1 });
        assert_eq!(all.room(0), usize::MAX);
    }
}
