//! What kv offers to the transaction layer above it, and asks of it in return. Nothing else crosses.
//!
//! Flow of a request at the lease holder: the transaction server latches, then [`Ranges::begin`]s (is this
//! replica allowed to serve at that time? here is a snapshot, and a slot that says that somebody evaluates), evaluates,
//! [`Ranges::propose`]s the resulting batch if it has one, waits until it is applied, and only then releases its latches.
//!
//! - I1. `begin` succeeds only while this replica holds a lease that it acquired itself in this process, for
//!   a timestamp below the lease's stasis (expiration minus maximum offset).
//! - I2. The snapshot holds every command that was applied under the lease so far, and everything before it.
//! - I3. A proposed batch is applied only under the lease sequence it was evaluated under, and only if all its
//!   keys still lie in the range; otherwise it is rejected, and then it certainly never takes effect.
//! - I4. Events reach [`RangeObserver`] in the order of their application, before the range serves under
//!   what they announce.
//! - I5. What is written lies above all that was closed when its evaluation began, and nothing at or above it is closed before
//!   it has its place in the log ([`crate::range::tracker`]).
//! - I6. Nothing is read at or below the range's floor: what is there may be incomplete.
//! - I7. A lease that was handed over says what was served under it, whatever its start ([`RangeEvent::LeaseAcquired`]).

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use prost::Message;

use crate::clock::Timestamp;
use crate::engine::{EngineError, EngineSnapshot, Visit};
use crate::failure::Failure;
use crate::ids::{NodeId, RangeId};
use crate::keys::{self, Space};
pub use crate::range::batch::{BatchOp, WriteBatch};
pub use crate::range::command::MAX_BATCH_BYTES;
use crate::range::descriptor::RangeDescriptor;
use crate::range::lease::Lease;
pub use crate::range::lease::ReadSummary;
use crate::range::spans::{SpanEntries, SpanEntry};
use crate::range::tracker::Slot;
use crate::rpc::Refusal;

/// An entry of a range: user key, suffix, value.
pub type RangeEntry = (Bytes, Bytes, Bytes);

/// An unchanging view of one range's keyed spaces, bounded to a span within it.
#[derive(Clone)]
pub struct RangeSnapshot {
    engine: Arc<dyn EngineSnapshot>,
    start: Bytes,
    end: Bytes,
    spans: Arc<SpanEntries>,
}

impl RangeSnapshot {
    /// A view of the half-open user span of an engine snapshot, of whose keys nothing is said by spans.
    pub fn new(engine: Arc<dyn EngineSnapshot>, start: Bytes, end: Bytes) -> Self {
        RangeSnapshot { engine, start, end, spans: Arc::default() }
    }

    /// With what is said of spans of the range: as of the engine's snapshot, or before it if nobody can have said anything
    /// of this span since.
    pub fn with_spans(self, spans: Arc<SpanEntries>) -> Self {
        RangeSnapshot { spans, ..self }
    }

    /// How many entries the whole range has that are about spans.
    pub fn span_entries(&self) -> usize {
        self.spans.len()
    }

    /// What is said of spans that have keys in the half-open one. Their own bounds may lie outside of it.
    ///
    /// # Panics
    /// When the span is not within the snapshot's.
    pub fn spans<'s>(
        &'s self,
        start: &'s [u8],
        end: &[u8],
    ) -> impl Iterator<Item = &'s SpanEntry> + use<'s> {
        assert!(self.start <= start && end <= &self.end[..], "scan of an undeclared span");
        self.spans.overlapping(start, end)
    }

    /// The value of one entry.
    ///
    /// # Panics
    /// When the key lies outside of the span: the evaluation forgot to declare (and latch) it.
    pub fn get(
        &self,
        space: Space,
        key: &[u8],
        suffix: &[u8],
    ) -> Result<Option<Bytes>, EngineError> {
        assert!(self.start <= key && key < &self.end[..], "read of an undeclared key");
        self.engine.get(&keys::engine_key(space, key, suffix))
    }

    /// Entries of one key with suffixes at or after `from_suffix`, ascending by suffix. Lazy.
    ///
    /// # Panics
    /// As [`RangeSnapshot::get`].
    pub fn suffixes<'s>(
        &'s self,
        space: Space,
        key: &[u8],
        from_suffix: &[u8],
    ) -> impl Iterator<Item = Result<(Bytes, Bytes), EngineError>> + use<'s> {
        assert!(self.start <= key && key < &self.end[..], "read of an undeclared key");
        let low = keys::engine_key(space, key, from_suffix);
        let high = keys::engine_key(space, &keys::successor(key), &[]);
        self.entries(low..high).map(|entry| entry.map(|(_, suffix, value)| (suffix, value)))
    }

    /// Entries of the half-open user span, in engine order (by key, then by suffix). Lazy.
    ///
    /// # Panics
    /// When the span is not within the snapshot's.
    pub fn scan(
        &self,
        space: Space,
        start: &[u8],
        end: &[u8],
    ) -> impl Iterator<Item = Result<RangeEntry, EngineError>> + '_ {
        assert!(self.start <= start && end <= &self.end[..], "scan of an undeclared span");
        self.entries(keys::engine_span(space, start, end))
    }

    /// As [`RangeSnapshot::scan`], from the last entry to the first.
    ///
    /// # Panics
    /// When the span is not within the snapshot's.
    pub fn scan_reverse(
        &self,
        space: Space,
        start: &[u8],
        end: &[u8],
    ) -> impl Iterator<Item = Result<RangeEntry, EngineError>> + '_ {
        assert!(self.start <= start && end <= &self.end[..], "scan of an undeclared span");
        self.engine.scan_reverse(keys::engine_span(space, start, end)).map(range_entry)
    }

    /// Shows the entries of a space without suffixes in the half-open user span, ascending or `reverse`, until it is told
    /// to stop. As [`EngineSnapshot::visit`], with user keys.
    ///
    /// # Panics
    /// When the span is not within the snapshot's.
    pub fn visit(
        &self,
        space: Space,
        (start, end): (&[u8], &[u8]),
        reverse: bool,
        visit: &mut Visit<'_>,
    ) -> Result<(), EngineError> {
        assert!(self.start <= start && end <= &self.end[..], "scan of an undeclared span");
        let mut key = Vec::new();
        let span = keys::engine_span(space, start, end);
        self.engine.visit(
            span,
            reverse,
            &mut |engine_key, value| match keys::decode_engine_key_into(engine_key, &mut key) {
                Some([]) => visit(&key, value),
                _ => Err(EngineError::Corrupt(format!("undecodable key {engine_key:?}"))),
            },
        )
    }

    fn entries(
        &self,
        span: Range<Bytes>,
    ) -> impl Iterator<Item = Result<RangeEntry, EngineError>> + '_ {
        self.engine.scan(span).map(range_entry)
    }
}

fn range_entry(entry: Result<(Bytes, Bytes), EngineError>) -> Result<RangeEntry, EngineError> {
    let (engine_key, value) = entry?;
    let (key, suffix) = keys::decode_engine_key(&engine_key)
        .ok_or_else(|| EngineError::Corrupt(format!("undecodable key {engine_key:?}")))?;
    Ok((key, suffix, value))
}

/// What an evaluation is about to do.
#[derive(Clone, Copy, Debug)]
pub struct Access<'a> {
    /// The half-open span of user keys.
    pub span: (&'a [u8], &'a [u8]),
    /// The highest timestamp that is acted upon: the lease must be good for it.
    pub ts: Timestamp,
    /// The lowest timestamp that is read at, if the past is read.
    pub oldest_read: Option<Timestamp>,
    /// The lowest timestamp that may be written, if anything is.
    pub min_write_ts: Option<Timestamp>,
}

impl<'a> Access<'a> {
    /// Reads a span as of a timestamp.
    pub fn read(span: (&'a [u8], &'a [u8]), ts: Timestamp) -> Self {
        Access { span, ts, oldest_read: Some(ts), min_write_ts: None }
    }

    /// Writes within a span at or above a timestamp.
    pub fn write(span: (&'a [u8], &'a [u8]), ts: Timestamp) -> Self {
        Access { span, ts, oldest_read: None, min_write_ts: Some(ts) }
    }
}

/// Proof that this replica may serve a span at a timestamp, and the state to serve from. To be kept for as long as it is
/// evaluated, and no longer: others wait for that.
pub struct Eval {
    /// The lease under which the evaluation runs.
    pub lease: Lease,
    /// The range as it was at `begin`.
    pub descriptor: Arc<RangeDescriptor>,
    /// What to read.
    pub snapshot: RangeSnapshot,
    /// The place of the evaluation among those under way.
    pub slot: Slot,
}

impl Eval {
    /// What is written must be at or above it: what the access has named, or later because that was closed. Zero where nothing
    /// may be written.
    pub fn min_write_ts(&self) -> Timestamp {
        self.slot.min_write_ts()
    }
}

/// Why a proposal was not applied.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ProposeError {
    /// It certainly never takes effect.
    #[error("rejected: {}", .0.message)]
    Rejected(Refusal),
    /// It may have been, or may yet be, applied.
    #[error("the outcome of the proposal is unknown")]
    Unknown,
}

/// The lease holder's side of ranges: what a transaction server stands on. Implemented by
/// `crate::store::StoreHandle`, and by the transaction layer's tests.
pub trait Ranges: Send + Sync {
    /// May this replica serve that? Never waits.
    fn begin(&self, range: RangeId, access: &Access<'_>) -> Result<Eval, Refusal>;
    /// What was read makes no sense: this replica is damaged. The store stops, so that the others take over.
    fn damaged(&self, error: &EngineError);
    /// Replicates a batch that was evaluated under `eval`. `write_ts` is the highest timestamp in it; it must
    /// be below the lease's expiration and at or above [`Eval::min_write_ts`], or the proposal is rejected; so is a batch of
    /// more than [`MAX_BATCH_BYTES`]. Resolves when applied on this replica.
    fn propose(
        &self,
        eval: Eval,
        batch: WriteBatch,
        write_ts: Timestamp,
    ) -> BoxFuture<'static, Result<(), ProposeError>>;
}

/// What happened to a range on this node.
#[derive(Clone, Debug)]
pub enum RangeEvent {
    /// This replica acquired the lease (not: extended it). Whatever earlier holders served, they served below
    /// `lease.start`, or it is in the summary.
    LeaseAcquired {
        /// The range at that moment.
        descriptor: RangeDescriptor,
        /// The new lease.
        lease: Lease,
        /// What the earlier holder has served, if it has handed the lease over: that may be above `lease.start`.
        summary: Option<ReadSummary>,
    },
    /// This replica's lease was succeeded by another's.
    LeaseLost {
        /// The range at that moment.
        descriptor: RangeDescriptor,
    },
    /// A range was divided. Both sides carry on with the same lease.
    Split {
        /// The left side, which keeps the range's id.
        left: RangeDescriptor,
        /// The new range.
        right: RangeDescriptor,
    },
    /// A snapshot has taken the place of what this replica had, if it had anything. It held no lease.
    Installed {
        /// The range as it came.
        descriptor: RangeDescriptor,
    },
}

/// What was served on a range that is about to be handed over.
pub struct Served {
    /// For the next lease holder.
    pub summary: ReadSummary,
    /// Keeps everybody off the range until it is dropped.
    pub held: Box<dyn Send>,
}

/// The transaction layer's ear. It is told synchronously while a command is applied, and must not block then.
pub trait RangeObserver: Send + Sync {
    /// `event` has been applied; the range does not serve under it before this returns.
    fn on_event(&self, event: &RangeEvent);
    /// The lease on the range is about to be handed over: no evaluation is under way on it, and none begins. Resolves once all
    /// is remembered that was begun on its keys before, on whatever range that was, with what there is to remember.
    fn hand_over(&self, range: &RangeDescriptor) -> BoxFuture<'static, Served>;
}

/// What the layer above says to ranges, and what they answer. kv brings it there and does not look into it; only between
/// nodes is it bytes.
pub trait Protocol: Send + Sync + 'static {
    /// To the lease holder of a range.
    type Request: Message + Default + 'static;
    /// From it.
    type Response: Message + Default + 'static;
}

/// The transaction server of a node.
pub trait RangeService<P: Protocol>: Send + Sync {
    /// Evaluates one batch on a range of this node. May be dropped at any await.
    fn execute(
        &self,
        range: RangeId,
        request: Arc<P::Request>,
    ) -> BoxFuture<'static, Result<P::Response, Refusal>>;
}

/// Where a split may cut.
pub trait SplitKeyPolicy: Send + Sync {
    /// The greatest legal boundary at or before `key`, so that no row is divided. Pure.
    fn boundary(&self, key: &[u8]) -> Bytes;
}

/// Why the router could not bring back an answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// Certainly not executed: the descriptor is stale. Look the keys up again and address anew.
    #[error("the range has moved or changed its bounds")]
    Moved,
    /// It may have been executed.
    #[error("the outcome of the request is unknown")]
    Unknown,
    /// Certainly not executed, and the deadline has passed.
    #[error("no replica could serve the range in time")]
    Unavailable,
    /// Certainly not executed; the request itself is wrong.
    #[error("invalid request: {0}")]
    Invalid(String),
    /// Certainly not executed: what was to be read is no longer kept.
    #[error("the data as of that time are no longer kept")]
    TooOld,
    /// Certainly not executed: the store of the node that was to send it has stopped, and the node ends.
    #[error("this node has stopped: {0}")]
    Stopped(Failure),
}

/// The gateway's side of ranges: finding and addressing lease holders. Implemented by
/// `crate::router::Router`, and by the transaction layer's tests.
pub trait Routing<P: Protocol>: Send + Sync {
    /// The range that holds `key`, as far as is known; waits for the directory at most until `deadline`
    /// (of [`crate::clock::Clock::monotonic`]).
    fn lookup(
        &self,
        key: Bytes,
        deadline: std::time::Duration,
    ) -> BoxFuture<'static, Result<RangeDescriptor, SendError>>;
    /// Sends a batch to the lease holder of a range: follows redirects and waits out elections until
    /// `deadline`. Returns the answer and the node that gave it. With `repeatable`, an unknown outcome is
    /// tried again too.
    fn send(
        &self,
        descriptor: RangeDescriptor,
        request: Arc<P::Request>,
        repeatable: bool,
        deadline: std::time::Duration,
    ) -> BoxFuture<'static, Result<(P::Response, NodeId), SendError>>;
}
