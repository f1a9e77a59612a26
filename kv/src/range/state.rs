//! A range's replicated state that is not keys, and how the engine keeps it.
//!
//! Replicas that have applied the same entries have the same state, byte for byte.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;

use crate::clock::Timestamp;
use crate::engine::{EngineBatch, EngineError, EngineSnapshot};
use crate::ids::RangeId;
use crate::keys::{self, Space};
use crate::log::{INITIAL_INDEX, INITIAL_TERM};
use crate::range::descriptor::RangeDescriptor;
use crate::range::directory::Directory;
use crate::range::lease::Lease;
use crate::range::spans::SpanEntries;

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
    /// Nothing that is applied from here on writes at or below it.
    #[prost(fixed64, tag = "5")]
    pub closed_ts: u64,
}

/// A range's replicated state that is not keys.
#[derive(Clone, Debug, PartialEq)]
pub struct RangeState {
    /// Bounds and members.
    pub descriptor: RangeDescriptor,
    /// The current lease, if there ever was one.
    pub lease: Option<Lease>,
    /// How far the log is applied.
    pub applied: AppliedState,
    next_id: u64,
    /// Shared with those who read it; copied when it changes under them.
    directory: Option<Arc<Directory>>,
    /// What is said of spans of keys. As the directory.
    pub(super) spans: Arc<SpanEntries>,
}

impl RangeState {
    /// A range at the beginning of its log.
    pub fn initial(descriptor: RangeDescriptor, lease: Option<Lease>, floor: Timestamp) -> Self {
        let applied = AppliedState {
            index: INITIAL_INDEX,
            term: INITIAL_TERM,
            lease_index: 0,
            floor: floor.raw(),
            closed_ts: 0,
        };
        let spans = Arc::default();
        RangeState { descriptor, lease, applied, next_id: 0, directory: None, spans }
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
        self.save_applied(batch);
        self.save_descriptor(batch);
        self.save_lease(batch);
        if let Some(directory) = &self.directory {
            batch.put(keys::range_id_key(range, NEXT_ID), encode(&self.next_id));
            for entry in directory.from(&[]) {
                batch.put(directory_key(range, &entry.end), encode(entry));
            }
        }
    }

    /// The ranges that have state in the engine, ascending.
    pub fn load_all(engine: &dyn EngineSnapshot) -> Result<Vec<RangeState>, EngineError> {
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
            machines.extend(Self::load(engine, range)?);
            from = RangeId(range.0 + 1);
        }
    }

    /// A range's state in the engine, if it has one.
    pub(crate) fn load(
        engine: &dyn EngineSnapshot,
        range: RangeId,
    ) -> Result<Option<RangeState>, EngineError> {
        let read = |suffix| engine.get(&keys::range_id_key(range, suffix));
        if engine.scan(keys::range_id_span(range)).next().is_none() {
            return Ok(None);
        }
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
        let descriptor: RangeDescriptor = decode(&descriptor, range)?;
        let spans = SpanEntries::load(engine, (&descriptor.start, &descriptor.end))?;
        Ok(Some(RangeState {
            descriptor,
            lease,
            applied: decode(&applied, range)?,
            next_id: next_id.unwrap_or(0),
            directory: directory.map(Arc::new),
            spans: Arc::new(spans),
        }))
    }

    /// The directory, if this is the meta range.
    pub fn directory(&self) -> Option<&Arc<Directory>> {
        self.directory.as_ref()
    }

    /// What is said of spans of keys.
    pub fn spans(&self) -> &Arc<SpanEntries> {
        &self.spans
    }

    /// Writes the lease.
    pub(super) fn save_lease(&self, batch: &mut EngineBatch) {
        if let Some(lease) = &self.lease {
            batch.put(keys::range_id_key(self.descriptor.id(), LEASE), encode(lease));
        }
    }

    /// Writes the descriptor.
    pub(super) fn save_descriptor(&self, batch: &mut EngineBatch) {
        let key = keys::range_id_key(self.descriptor.id(), DESCRIPTOR);
        batch.put(key, encode(&self.descriptor));
    }

    /// Writes how far the log is applied.
    pub fn save_applied(&self, batch: &mut EngineBatch) {
        batch.put(keys::range_id_key(self.descriptor.id(), APPLIED), encode(&self.applied));
    }

    /// Puts an entry into the directory.
    ///
    /// # Errors
    /// When this is not the meta range.
    pub(super) fn upsert(
        &mut self,
        entry: RangeDescriptor,
        batch: &mut EngineBatch,
    ) -> Result<(), EngineError> {
        let range = self.descriptor.id();
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
        Ok(())
    }

    /// Takes so many ids, and gives the first.
    pub(super) fn allocate(&mut self, count: u64, batch: &mut EngineBatch) -> u64 {
        let first = self.next_id;
        self.next_id = first.checked_add(count).expect("2^64 ranges are never allocated");
        batch.put(keys::range_id_key(self.descriptor.id(), NEXT_ID), encode(&self.next_id));
        first
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

pub(super) fn damaged(what: &str, range: RangeId) -> EngineError {
    EngineError::Corrupt(format!("{what} of {range}"))
}
