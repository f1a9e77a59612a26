//! One group's part of a log: the rules a write must keep, and the entries in memory.

use std::collections::VecDeque;

use raft::eraftpb::{Entry, HardState};

use super::{GroupState, GroupWrite, INITIAL_INDEX, INITIAL_TERM, LogError};
use crate::ids::RangeId;

/// The state of a group of which nothing was written yet.
pub(crate) fn initial() -> GroupState {
    GroupState {
        hard_state: HardState::default(),
        truncated: (INITIAL_INDEX, INITIAL_TERM),
        last_index: INITIAL_INDEX,
        durable_applied: 0,
        replica_floor: 0,
    }
}

/// What is known of a group after its removal, if anything is.
pub(crate) fn removed(state: Option<&GroupState>, write: &GroupWrite) -> Option<GroupState> {
    let before = state.map_or(0, |state| state.replica_floor);
    let replica_floor = write.replica_floor.unwrap_or(before);
    (replica_floor > 0).then(|| GroupState { replica_floor, ..initial() })
}

/// Refuses a write that breaks a rule of the interface, given the state before it.
pub(crate) fn check(
    range: RangeId,
    state: Option<&GroupState>,
    write: &GroupWrite,
) -> Result<(), LogError> {
    let refuse = |reason| Err(LogError::Refused { range, reason });
    let floor = state.map_or(0, |state| state.replica_floor);
    if write.replica_floor.is_some_and(|to| to < floor) {
        return refuse("a floor of replica ids that goes down");
    }
    if write.remove {
        let alone = write.entries.is_empty()
            && write.reset.is_none()
            && write.hard_state.is_none()
            && write.durable_applied.is_none()
            && write.truncate_to.is_none();
        return if alone { Ok(()) } else { refuse("a removal with other changes") };
    }
    let state = state.cloned().unwrap_or_else(initial);
    let (truncated, mut last) = match write.reset {
        Some((index, _)) => (index, index),
        None => (state.truncated.0, state.last_index),
    };
    if let Some(first) = write.entries.first() {
        if first.index <= truncated {
            return refuse("an entry below the truncation point");
        }
        if first.index > last + 1 {
            return refuse("a hole before the first entry");
        }
        if (first.index..).zip(&write.entries).any(|(index, entry)| entry.index != index) {
            return refuse("entries that are not contiguous");
        }
        last = write.entries[write.entries.len() - 1].index;
    }
    match write.truncate_to {
        Some(to) if to > last => refuse("a truncation beyond the last entry"),
        // I4. What a snapshot covers is the engine's by definition.
        Some(to)
            if to > truncated && to > write.durable_applied.unwrap_or(state.durable_applied) =>
        {
            refuse("a truncation beyond the durable applied index")
        }
        _ => Ok(()),
    }
}

/// A group's state and entries in memory.
#[derive(Clone, Debug)]
pub(crate) struct MemGroup {
    pub(crate) state: GroupState,
    /// Contiguous, from the one behind the truncation point to the last.
    pub(crate) entries: VecDeque<Entry>,
}

impl Default for MemGroup {
    fn default() -> Self {
        Self { state: initial(), entries: VecDeque::new() }
    }
}

impl MemGroup {
    /// Makes the changes of a write that was checked.
    pub(crate) fn apply(&mut self, write: GroupWrite) {
        if let Some(reset) = write.reset {
            self.entries.clear();
            self.state.truncated = reset;
            self.state.last_index = reset.0;
        }
        if let Some(first) = write.entries.first() {
            self.entries.truncate((first.index - self.state.truncated.0 - 1) as usize);
            self.entries.extend(write.entries);
            self.state.last_index = self.state.truncated.0 + self.entries.len() as u64;
        }
        if let Some(hard_state) = write.hard_state {
            self.state.hard_state = hard_state;
        }
        if let Some(durable) = write.durable_applied {
            self.state.durable_applied = durable;
        }
        if let Some(floor) = write.replica_floor {
            self.state.replica_floor = floor;
        }
        while let Some(to) = write.truncate_to
            && self.state.truncated.0 < to
        {
            let entry = self.entries.pop_front().expect("truncations end at the last entry");
            self.state.truncated = (entry.index, entry.term);
        }
    }

    /// The entry at an index, if it is here.
    pub(crate) fn entry(&self, index: u64) -> Option<&Entry> {
        let at = index.checked_sub(self.state.truncated.0 + 1)?;
        self.entries.get(at as usize)
    }
}
