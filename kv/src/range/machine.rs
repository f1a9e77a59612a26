//! The state machine of one range: log entries in, engine changes out.
//!
//! Promised: replicas that have applied the same entries hold the same bytes. Everything here is a function
//! of the entry and of replicated state: no clock, no node identity, no random number.
//!
//! The checks, in this order (CockroachDB's forced errors):
//!
//! - I1. An empty entry (a new leader's first) changes nothing but the applied index.
//! - I2. The command's lease sequence is the current lease's. A lease command must name the current lease as its
//!   previous one; a new sequence must start at or after the old expiration, an extension must not shorten it.
//! - I3. The command's lease index is above every one applied. Gaps are legal.
//! - I4. The command's write timestamp is above the floor.
//! - I5. All keys of a batch lie in the range as it is now: an evaluation that raced a split is void.
//!
//! A rejected command still moves the applied index. Changes and applied index go into one engine batch.
//!
//! HAZARD: an entry that cannot be decoded or applied must stop the node. Reporting it as rejected would let
//! this copy differ from one on which it worked.

use std::sync::Arc;

use ::raft::eraftpb::Entry;
use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;

use crate::clock::Timestamp;
use crate::engine::{EngineBatch, EngineError, EngineSnapshot};
use crate::ids::RangeId;
use crate::keys::{self, Space};
use crate::log::{INITIAL_INDEX, INITIAL_TERM};
use crate::range::command::{Command, CommandKind};
use crate::range::descriptor::{Lease, RangeDescriptor};
use crate::range::directory::Directory;

const APPLIED: &[u8] = b"a";
const DESCRIPTOR: &[u8] = b"d";
const LEASE: &[u8] = b"l";
const NEXT_ID: &[u8] = b"i";
const DIRECTORY: &[u8] = b"m";
const VERSION: u8 = 1;

/// How far a replica has applied its log.
#[derive(Clone, PartialEq, prost::Message)]
pub struct AppliedState {
    /// Index of the last applied entry.
    #[prost(uint64, tag = "1")]
    pub index: u64,
    /// Its term.
    #[prost(uint64, tag = "2")]
    pub term: u64,
    /// Highest lease index applied.
    #[prost(uint64, tag = "3")]
    pub lease_index: u64,
    /// Writes at or below it are refused.
    #[prost(fixed64, tag = "4")]
    pub floor: u64,
}

/// What applying an entry did, for those who wait or listen.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Applied; nobody but the proposer cares.
    Applied,
    /// A lease began, or was extended.
    Lease {
        /// What was current before.
        previous: Option<Lease>,
    },
    /// The range was divided; its machine is now the left side's.
    Split {
        /// The right side, ready to serve.
        right: Box<RangeMachine>,
    },
    /// The log up to this index is no longer needed.
    Truncate(u64),
    /// First of the allocated ids.
    Ids(u64),
    /// The checks failed: the command has no effect, and never will.
    Rejected(Rejection),
}

/// Which check failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// I2.
    Lease,
    /// I3.
    LeaseIndex,
    /// I4.
    Floor,
    /// I5, or the bounds of a split.
    Bounds,
}

/// A range's replicated state that is not keys.
#[derive(Clone, Debug, PartialEq)]
pub struct RangeMachine {
    /// Bounds and members.
    pub descriptor: RangeDescriptor,
    /// The current lease, if there ever was one.
    pub lease: Option<Lease>,
    /// How far the log is applied.
    pub applied: AppliedState,
    next_id: u64,
    /// Shared with those who read it; copied when it changes under them.
    directory: Option<Arc<Directory>>,
}

impl RangeMachine {
    /// A range at the beginning of its log.
    pub fn initial(descriptor: RangeDescriptor, lease: Option<Lease>, floor: Timestamp) -> Self {
        let applied = AppliedState {
            index: INITIAL_INDEX,
            term: INITIAL_TERM,
            lease_index: 0,
            floor: floor.raw(),
        };
        RangeMachine { descriptor, lease, applied, next_id: 0, directory: None }
    }

    /// Makes an initial range the meta range: it hands out ids from `next_id` and keeps a directory.
    pub fn with_directory(mut self, next_id: u64, entries: &[RangeDescriptor]) -> Self {
        let mut directory = Directory::default();
        for entry in entries {
            directory.load(entry.clone());
        }
        self.next_id = next_id;
        self.directory = Some(Arc::new(directory));
        self
    }

    /// Writes the whole state.
    pub fn save(&self, batch: &mut EngineBatch) {
        let range = self.descriptor.id();
        batch.put(keys::range_id_key(range, APPLIED), encode(&self.applied));
        batch.put(keys::range_id_key(range, DESCRIPTOR), encode(&self.descriptor));
        if let Some(lease) = &self.lease {
            batch.put(keys::range_id_key(range, LEASE), encode(lease));
        }
        if let Some(directory) = &self.directory {
            batch.put(keys::range_id_key(range, NEXT_ID), encode(&self.next_id));
            for entry in directory.from(&[]) {
                batch.put(directory_key(range, &entry.end), encode(entry));
            }
        }
    }

    /// The ranges that have state in the engine, ascending.
    pub fn load_all(engine: &dyn EngineSnapshot) -> Result<Vec<RangeMachine>, EngineError> {
        let mut machines = Vec::new();
        let mut from = RangeId(0);
        loop {
            let end = Bytes::from(vec![Space::RangeId as u8 + 1]);
            let Some(first) = engine.scan(keys::range_id_key(from, &[])..end).next() else {
                return Ok(machines);
            };
            let (key, _) = first?;
            let id = key.get(1..9).and_then(|id| id.try_into().ok()).map(u64::from_be_bytes);
            let range = RangeId(id.ok_or_else(|| damaged("range id key", from))?);
            machines.push(Self::load(engine, range)?);
            from = RangeId(range.0 + 1);
        }
    }

    fn load(engine: &dyn EngineSnapshot, range: RangeId) -> Result<RangeMachine, EngineError> {
        let read = |suffix| engine.get(&keys::range_id_key(range, suffix));
        let applied = read(APPLIED)?.ok_or_else(|| damaged("missing applied state", range))?;
        let descriptor = read(DESCRIPTOR)?.ok_or_else(|| damaged("missing descriptor", range))?;
        let lease = read(LEASE)?.map(|bytes| decode(&bytes, range)).transpose()?;
        let next_id: Option<u64> = read(NEXT_ID)?.map(|bytes| decode(&bytes, range)).transpose()?;
        let mut directory = next_id.map(|_| Directory::default());
        if let Some(directory) = &mut directory {
            let span = keys::range_id_key(range, DIRECTORY)..keys::range_id_key(range, b"n");
            for entry in engine.scan(span) {
                directory.load(decode(&entry?.1, range)?);
            }
        }
        Ok(RangeMachine {
            descriptor: decode(&descriptor, range)?,
            lease,
            applied: decode(&applied, range)?,
            next_id: next_id.unwrap_or(0),
            directory: directory.map(Arc::new),
        })
    }

    /// The directory, if this is the meta range.
    pub fn directory(&self) -> Option<&Arc<Directory>> {
        self.directory.as_ref()
    }

    /// Applies one entry: adds its changes and the new applied state to `batch`.
    ///
    /// # Errors
    /// [`EngineError::Corrupt`] when the entry cannot be understood: the node must stop.
    pub fn apply(
        &mut self,
        entry: &Entry,
        batch: &mut EngineBatch,
    ) -> Result<Outcome, EngineError> {
        let range = self.descriptor.id();
        assert_eq!(entry.index, self.applied.index + 1, "entries of {range} are applied in order");
        self.applied.index = entry.index;
        self.applied.term = entry.term;
        let outcome = if entry.data.is_empty() {
            Outcome::Applied
        } else {
            let command = Command::from_entry_data(&entry.data)
                .ok_or_else(|| damaged("undecodable log entry", range))?;
            match self.check(&command) {
                Err(rejection) => Outcome::Rejected(rejection),
                Ok(()) => {
                    self.applied.lease_index =
                        self.applied.lease_index.max(command.max_lease_index);
                    self.execute(command, batch)?
                }
            }
        };
        batch.put(keys::range_id_key(range, APPLIED), encode(&self.applied));
        Ok(outcome)
    }

    /// I2 to I5.
    fn check(&self, command: &Command) -> Result<(), Rejection> {
        if let Some(CommandKind::Lease(change)) = &command.kind {
            return self.check_lease(change.previous.as_ref(), &change.next);
        }
        if self.lease.as_ref().map(|lease| lease.sequence) != Some(command.lease_sequence) {
            return Err(Rejection::Lease);
        }
        if command.max_lease_index <= self.applied.lease_index {
            return Err(Rejection::LeaseIndex);
        }
        if command.write_ts != 0 && command.write_ts <= self.applied.floor {
            return Err(Rejection::Floor);
        }
        let in_bounds = match &command.kind {
            Some(CommandKind::Batch(batch)) => {
                batch.ops.iter().all(|op| self.descriptor.contains_key(&op.key))
            }
            Some(CommandKind::Split(split)) => {
                let (old, left, right) = (&self.descriptor, &split.left, &split.right);
                left.range_id == old.range_id
                    && left.start == old.start
                    && left.end == right.start
                    && right.end == old.end
                    && left.start < left.end
                    && right.start < right.end
                    && left.generation == old.generation + 1
                    && right.generation == left.generation
            }
            _ => true,
        };
        if in_bounds { Ok(()) } else { Err(Rejection::Bounds) }
    }

    fn check_lease(&self, previous: Option<&Lease>, next: &Lease) -> Result<(), Rejection> {
        if previous != self.lease.as_ref() {
            return Err(Rejection::Lease);
        }
        let legal = match previous {
            None => true,
            Some(old) if next.sequence == old.sequence => {
                (next.replica_id, next.incarnation, next.start)
                    == (old.replica_id, old.incarnation, old.start)
                    && next.expiration >= old.expiration
            }
            Some(old) => next.sequence == old.sequence + 1 && next.start >= old.expiration,
        };
        if legal && next.start < next.expiration { Ok(()) } else { Err(Rejection::Lease) }
    }

    fn execute(
        &mut self,
        command: Command,
        batch: &mut EngineBatch,
    ) -> Result<Outcome, EngineError> {
        let range = self.descriptor.id();
        match command.kind.expect("decoding checked it") {
            CommandKind::Batch(changes) => {
                batch.reserve(changes.ops.len() + 1);
                for op in changes.ops {
                    let space = Space::keyed_from(op.space)
                        .ok_or_else(|| damaged("write to an unknown space", range))?;
                    let key = keys::engine_key(space, &op.key, &op.suffix);
                    match op.value {
                        Some(value) => batch.put(key, value),
                        None => batch.delete(key),
                    }
                }
                Ok(Outcome::Applied)
            }
            CommandKind::Lease(change) => {
                batch.put(keys::range_id_key(range, LEASE), encode(&change.next));
                Ok(Outcome::Lease { previous: self.lease.replace(change.next) })
            }
            CommandKind::Split(split) => {
                let floor = Timestamp::from_raw(self.applied.floor);
                let right = RangeMachine::initial(split.right, self.lease.clone(), floor);
                right.save(batch);
                batch.put(keys::range_id_key(range, DESCRIPTOR), encode(&split.left));
                self.descriptor = split.left;
                Ok(Outcome::Split { right: Box::new(right) })
            }
            CommandKind::Truncate(truncate) => Ok(Outcome::Truncate(truncate.index)),
            CommandKind::SetFloor(floor) => {
                self.applied.floor = self.applied.floor.max(floor);
                Ok(Outcome::Applied)
            }
            CommandKind::DirectoryUpsert(entry) => {
                let directory = self
                    .directory
                    .as_mut()
                    .ok_or_else(|| damaged("directory change on another range", range))?;
                // Most say what is known: nothing is copied for them.
                if let Some(displaced) = directory.displaced(&entry) {
                    Arc::make_mut(directory).upsert(entry.clone());
                    for old in displaced {
                        batch.delete(directory_key(range, &old.end));
                    }
                    batch.put(directory_key(range, &entry.end), encode(&entry));
                }
                Ok(Outcome::Applied)
            }
            CommandKind::AllocateIds(count) => {
                let first = self.next_id;
                self.next_id = first.checked_add(count).expect("2^64 ranges are never allocated");
                batch.put(keys::range_id_key(range, NEXT_ID), encode(&self.next_id));
                Ok(Outcome::Ids(first))
            }
        }
    }
}

fn directory_key(range: RangeId, end: &[u8]) -> Bytes {
    let mut suffix = DIRECTORY.to_vec();
    suffix.extend_from_slice(end);
    keys::range_id_key(range, &suffix)
}

fn encode(message: &impl Message) -> Bytes {
    let mut out = BytesMut::with_capacity(1 + message.encoded_len());
    out.put_u8(VERSION);
    message.encode(&mut out).expect("the buffer grows");
    out.freeze()
}

fn decode<M: Message + Default>(bytes: &[u8], range: RangeId) -> Result<M, EngineError> {
    match bytes.split_first() {
        Some((&VERSION, body)) => M::decode(body).map_err(|_| damaged("undecodable state", range)),
        _ => Err(damaged("state of an unknown version", range)),
    }
}

fn damaged(what: &str, range: RangeId) -> EngineError {
    EngineError::Corrupt(format!("{what} of {range}"))
}

#[cfg(test)]
mod tests;
