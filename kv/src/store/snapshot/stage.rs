//! The receiver's side, first half: parts are checked and put beside the data.

use std::time::Duration;

use super::Answer;
use super::install::{InstallNote, part_key, parts_span};
use crate::engine::{Engine, EngineBatch, EngineError};
use crate::ids::{RangeId, ReplicaId, StoreId};
use crate::range::snapshot;
use crate::range::state::RangeState;
use crate::rpc::{SnapshotHead, SnapshotPart};
use crate::store::snapshot::install::wipe_all;

/// A stream of which nothing is heard for so long gives its place away: its sender is gone, perhaps. At once for another of the
/// same range.
pub(super) const SILENCE_MAX: Duration = Duration::from_secs(10);

/// A part that has arrived, and who waits for it to be taken.
pub(crate) struct Stage {
    pub(crate) part: SnapshotPart,
    pub(crate) answer: Answer,
}

/// A snapshot that is staged whole.
pub(crate) struct Staged {
    pub(crate) range: RangeId,
    pub(crate) replica: ReplicaId,
    /// The leader that has sent it.
    pub(crate) from: ReplicaId,
    pub(crate) note: InstallNote,
    pub(crate) answer: Answer,
}

/// A snapshot that is being staged, or is and waits for what is done with it.
pub(crate) struct Staging {
    snapshot: u64,
    range: RangeId,
    head: SnapshotHead,
    replica: ReplicaId,
    next: u32,
    heard: Duration,
    is_whole: bool,
}

impl Staging {
    /// Looks at the first part of a snapshot: may it come? By S5 and S6, as far as is known here. `other` is what has the place.
    pub(crate) fn begin<'s>(
        part: &SnapshotPart,
        store: StoreId,
        other: Option<&Staging>,
        states: impl Iterator<Item = &'s RangeState>,
        now: Duration,
    ) -> Result<Staging, String> {
        let range = RangeId(part.range_id);
        let head = part.head.clone().ok_or("a snapshot without a beginning")?;
        let is_taken = |other: &Staging| {
            other.is_whole || other.range != range && now.saturating_sub(other.heard) < SILENCE_MAX
        };
        if other.is_some_and(is_taken) {
            return Err("another snapshot is being taken".into());
        }
        let member = head.descriptor.replica_on(store).map(|member| member.replica_id);
        if head.descriptor.id() != range
            || part.store_id != store.0
            || member != Some(part.replica_id)
        {
            return Err("it is not for a replica of this store".into());
        }
        check(&head, ReplicaId(part.replica_id), states)?;
        Ok(Staging {
            snapshot: part.snapshot,
            range,
            head,
            replica: ReplicaId(part.replica_id),
            next: 0,
            heard: now,
            is_whole: false,
        })
    }

    /// True iff the part is of this snapshot, and the next.
    pub(crate) fn continues(&self, part: &SnapshotPart) -> bool {
        part.snapshot == self.snapshot
            && part.range_id == self.range.0
            && part.number == self.next
            && !self.is_whole
    }

    /// Stages a part. The answer is given once it is there; for the last one it is what becomes of the snapshot.
    pub(crate) fn take(
        &mut self,
        engine: &dyn Engine,
        stage: Stage,
        now: Duration,
    ) -> Result<Option<Staged>, EngineError> {
        let Stage { part, answer } = stage;
        self.heard = now;
        if crc32fast::hash(&part.entries) != part.checksum
            || snapshot::entries(part.entries.clone()).is_none()
        {
            let _ = answer.send(Err("the part was damaged on its way".into()));
            return Ok(None);
        }
        if part.number == 0 {
            wipe_all(engine, parts_span(self.range))?;
        }
        let mut batch = EngineBatch::default();
        batch.put(part_key(self.range, part.number), part.entries);
        engine.apply(batch)?;
        self.next += 1;
        if !part.is_last {
            // Whoever has given up waiting begins anew.
            let _ = answer.send(Ok(()));
            return Ok(None);
        }
        self.is_whole = true;
        let note = InstallNote {
            descriptor: self.head.descriptor.clone(),
            index: self.head.index,
            term: self.head.term,
            parts: self.next,
            ..InstallNote::default()
        };
        let (range, replica, from) = (self.range, self.replica, ReplicaId(self.head.from));
        Ok(Some(Staged { range, replica, from, note, answer }))
    }
}

/// May a snapshot come to these replicas? By S6, and not to one that has more.
pub(crate) fn check<'s>(
    head: &SnapshotHead,
    replica: ReplicaId,
    mut states: impl Iterator<Item = &'s RangeState>,
) -> Result<(), String> {
    let obstacle = states.find_map(|state| {
        let other = &state.descriptor;
        if other.id() == head.descriptor.id() {
            let is_other = other.node_of(replica).is_none();
            return (is_other || state.applied.index >= head.index)
                .then(|| format!("{} has applied {}", other.id(), state.applied.index));
        }
        other.overlaps(&head.descriptor).then(|| format!("{} is in its place", other.id()))
    });
    obstacle.map_or(Ok(()), Err)
}
