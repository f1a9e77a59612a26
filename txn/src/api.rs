//! What a gateway asks of a lease holder, as protobuf. Fields are only ever added; tags are never reused.
//!
//! A batch is evaluated on one range, in order, atomically: either all of its requests take effect, in one
//! replicated command, or none does and the response carries an error.

use bytes::Bytes;
use kv::seam::{MAX_BATCH_BYTES, Protocol};

pub use crate::rows::Row;
use crate::rows::Rows;

/// Bytes of a key at most.
pub const MAX_KEY_BYTES: usize = 32_000;
/// Bytes of a value at most.
pub const MAX_VALUE_BYTES: usize = 7 << 20;

// A resolution writes a new version, moves the old one into the history, and removes the intent: the least that one
// command must be able to do.
const _: () = assert!(2 * MAX_VALUE_BYTES + 4 * MAX_KEY_BYTES + 4096 <= MAX_BATCH_BYTES);
// With every byte escaped, and the longest suffix.
const _: () = assert!(2 * MAX_KEY_BYTES + 64 <= kv::engine::MAX_KEY_LEN);

/// Writes of a one-phase commit at most, and further keys that it unlocks.
pub const MAX_ONE_PHASE_WRITES: usize = 100_000;
/// Bytes at most of what a one-phase commit writes and of the keys that it unlocks. With the versions that it supersedes,
/// which only the server knows, it may still be more than one command holds.
pub const MAX_ONE_PHASE_BYTES: usize = 6 << 20;

/// Keys, with deleted ones, that a span may hold which is deleted as a whole: others wait while they are looked at.
pub const MAX_DELETED_KEYS: usize = 2_000_000;

// What a request says besides its key and value.
const _: () = assert!(
    MAX_ONE_PHASE_BYTES + 2 * MAX_ONE_PHASE_WRITES * 32 + (64 << 10) <= MAX_BATCH_BYTES,
    "a one-phase commit is a batch that servers take"
);

/// Batches and their answers: what gateways and lease holders say to each other.
#[derive(Debug)]
pub enum Batches {}

impl Protocol for Batches {
    type Request = BatchRequest;
    type Response = BatchResponse;
}

/// A transaction as its requests carry it.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TxnMeta {
    /// 16 random bytes.
    #[prost(bytes = "bytes", tag = "1")]
    pub id: Bytes,
    /// The key that the record lives under: the first key locked or written. Empty before that.
    #[prost(bytes = "bytes", tag = "2")]
    pub anchor: Bytes,
    /// Where the transaction began. A record must not be created where a tombstone at or above it exists.
    #[prost(fixed64, tag = "3")]
    pub min_ts: u64,
    /// All reads see exactly the versions at or below it.
    #[prost(fixed64, tag = "4")]
    pub read_ts: u64,
    /// Provisional commit timestamp; at least `read_ts`.
    #[prost(fixed64, tag = "5")]
    pub write_ts: u64,
    /// End of the uncertainty interval: first `read_ts` plus the maximum offset; never moves.
    #[prost(fixed64, tag = "6")]
    pub global_limit: u64,
    /// Number of the last write; the first write has 1.
    #[prost(uint32, tag = "7")]
    pub sequence: u32,
    /// Higher wins when two transactions block each other; then the one that began earlier.
    #[prost(uint32, tag = "8")]
    pub priority: u32,
    /// Writes that were sent and then undone by going back to a savepoint. They are not seen, and not committed.
    /// Ascending and disjoint.
    #[prost(message, repeated, tag = "9")]
    pub ignored: Vec<SequenceRange>,
    /// Writes up to this one may come back: the latest savepoint was taken after it. What supersedes a later one need
    /// not keep it.
    #[prost(uint32, tag = "10")]
    pub keep: u32,
}

/// Writes of a transaction, by their numbers.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct SequenceRange {
    /// The first.
    #[prost(uint32, tag = "1")]
    pub first: u32,
    /// The last.
    #[prost(uint32, tag = "2")]
    pub last: u32,
}

/// A half-open span of keys.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, prost::Message)]
pub struct Span {
    /// First key.
    #[prost(bytes = "bytes", tag = "1")]
    pub start: Bytes,
    /// End key, exclusive. Never empty.
    #[prost(bytes = "bytes", tag = "2")]
    pub end: Bytes,
}

/// Requests for one range.
#[derive(Clone, PartialEq, prost::Message)]
pub struct BatchRequest {
    /// The transaction, for everything but pushes, resolutions and record collection.
    #[prost(message, optional, tag = "1")]
    pub txn: Option<TxnMeta>,
    /// Unused, always zero: a gateway cannot know which node will serve the batch. See `observed`.
    #[prost(fixed64, tag = "2")]
    pub observed_ts: u64,
    /// The transaction has read nothing that would have to be refreshed, so that the server may move its
    /// read timestamp by itself.
    #[prost(bool, tag = "3")]
    pub can_forward: bool,
    /// In order.
    #[prost(message, repeated, tag = "4")]
    pub requests: Vec<Request>,
    /// The first clock reading that the transaction took from each node it has heard from, ascending by node.
    /// A server uses the entry of its own node and no other; without one, the global limit stands.
    #[prost(message, repeated, tag = "5")]
    pub observed: Vec<ObservedTs>,
    /// Milliseconds that the batch may wait for locks and intents. Then it is answered with `Waiting`, and asked
    /// again: how long to wait altogether is the gateway's to say. None, from builds that know no `Waiting`: ten
    /// seconds, and `LockTimeout`.
    #[prost(uint32, optional, tag = "6")]
    pub max_wait_ms: Option<u32>,
    /// Places in the queues of locks, from earlier answers `Waiting`.
    #[prost(message, repeated, tag = "7")]
    pub tickets: Vec<Ticket>,
    /// The sender takes rows as [`Response::rows`]; one of an earlier build does not, and gets them as
    /// [`Response::listed`].
    #[prost(bool, tag = "8")]
    pub packs_rows: bool,
}

/// A place in the queue of a key's lock. Best effort: a later lease holder knows nothing of it.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Ticket {
    /// The key.
    #[prost(bytes = "bytes", tag = "1")]
    pub key: Bytes,
    /// Lower comes first; zero is none.
    #[prost(uint64, tag = "2")]
    pub number: u64,
}

/// A clock reading that a transaction took from a node after it began.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct ObservedTs {
    /// The node.
    #[prost(uint64, tag = "1")]
    pub node_id: u64,
    /// Its clock: what the node writes later than this was written after the transaction began.
    #[prost(fixed64, tag = "2")]
    pub ts: u64,
}

/// Something that is done with requests of all kinds.
pub trait Visitor {
    /// What comes of it.
    type Out;
}

/// How it is done with requests of one kind.
pub trait Visit<'r, T>: Visitor {
    /// Does it.
    fn visit(self, request: &'r T) -> Self::Out;
}

/// Declares the kinds of requests. What a kind does is its command at the server (`server::command`).
macro_rules! requests {
    (tags $tags:tt; $($(#[$doc:meta])* ($tag:tt $(, $boxed:ident)?) $kind:ident($held:ty): $message:ident;)+) => {
        /// One request.
        #[derive(Clone, PartialEq, prost::Message)]
        pub struct Request {
            /// What is asked.
            #[prost(oneof = "RequestKind", tags = $tags)]
            pub kind: Option<RequestKind>,
        }

        /// The kinds of requests. A batch may be 100,000 writes, each of which takes as much room as the largest of these:
        /// the large ones are boxed.
        #[derive(Clone, PartialEq, prost::Oneof)]
        pub enum RequestKind {
            $($(#[$doc])* #[prost(message $(, $boxed)?, tag = $tag)] $kind($held),)+
        }

        impl RequestKind {
            /// Does something with the request, whatever its kind.
            pub fn visit<'r, V: Visitor $(+ Visit<'r, $message>)+>(&'r self, visitor: V) -> V::Out {
                match self { $(Self::$kind(request) => Visit::<$message>::visit(visitor, request),)+ }
            }
        }
    };
}

requests! {
    tags "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13";
    /// Reads a key.
    ("1") Get(Get): Get;
    /// Reads a span, ascending or descending.
    ("2") Scan(Scan): Scan;
    /// Writes or deletes a key: an intent, or at once a version when an `EndTxn` with `one_phase` is last.
    ("3") Put(Put): Put;
    /// Checks that nothing was written to a span in `(from_ts, txn.read_ts]`.
    ("4") Refresh(Refresh): Refresh;
    /// Commits or aborts. Addressed to the anchor.
    ("5") EndTxn(EndTxn): EndTxn;
    /// Keeps the record alive, creating it if need be. Addressed to the anchor.
    ("6") Heartbeat(Heartbeat): Heartbeat;
    /// Asks whether a transaction that is in the way is finished, or finishes it. Addressed to its anchor.
    ("7", boxed) PushTxn(Box<PushTxn>): PushTxn;
    /// Turns a finished transaction's intents into versions, or removes them; releases its locks. The only request that
    /// may be done in part.
    ("8", boxed) Resolve(Box<Resolve>): Resolve;
    /// Reads a transaction's record. Addressed to its anchor.
    ("9") QueryTxn(QueryTxn): QueryTxn;
    /// Removes the record of a finished transaction that has no intents left. Addressed to its anchor.
    ("10") CollectTxn(CollectTxn): CollectTxn;
    /// Tells for whom the batch's transaction waits. Addressed to its own anchor. Changes memory only.
    ("11", boxed) ReportWait(Box<Wait>): Wait;
    /// Ends a wait that is part of a deadlock. Addressed to the key that is waited for. Changes memory only.
    ("12") BreakWait(BreakWait): BreakWait;
    /// Deletes whatever is in a span. Only in a batch that consists of such requests and the `EndTxn` with `one_phase` that
    /// commits them; refused with `TooLarge` where the same has to be done key by key.
    ("13") DeleteSpan(DeleteSpan): DeleteSpan;
}

/// What a lock keeps out: PostgreSQL's strengths of row locks, the strongest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum LockStrength {
    /// FOR UPDATE: every other lock.
    Update = 0,
    /// FOR NO KEY UPDATE: every other lock but `KeyShare`. What a write needs.
    NoKeyUpdate = 1,
    /// FOR SHARE: `NoKeyUpdate` and `Update`.
    Share = 2,
    /// FOR KEY SHARE: `Update`.
    KeyShare = 3,
}

impl LockStrength {
    /// May two transactions not hold a key with these at the same time? The sum of the two numbers is PostgreSQL's
    /// table.
    pub fn conflicts(self, other: LockStrength) -> bool {
        self as i32 + other as i32 <= LockStrength::KeyShare as i32
    }
}

/// What a locking read does about a lock that is not to be had at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum WaitPolicy {
    /// Waits.
    Block = 0,
    /// Answers with `Locked` (NOWAIT).
    Error = 1,
    /// Leaves the row out (SKIP LOCKED).
    Skip = 2,
}

/// How a locking read locks. None, from older builds, is the default.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct LockMode {
    /// What the lock keeps out.
    #[prost(enumeration = "LockStrength", tag = "1")]
    pub strength: i32,
    /// What to do about others.
    #[prost(enumeration = "WaitPolicy", tag = "2")]
    pub policy: i32,
    /// Number of the transaction's savepoint under which the lock is taken; see `Resolve`.
    #[prost(uint32, tag = "3")]
    pub number: u32,
}

/// A transaction waits for another.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Wait {
    /// Who is waited for, as its lock or intent knows it.
    #[prost(message, required, tag = "1")]
    pub holder: TxnMeta,
    /// What is waited for.
    #[prost(bytes = "bytes", tag = "2")]
    pub key: Bytes,
}

/// Ends a wait that is part of a deadlock.
#[derive(Clone, PartialEq, prost::Message)]
pub struct BreakWait {
    /// The transaction that is to give up.
    #[prost(bytes = "bytes", tag = "1")]
    pub waiter: Bytes,
    /// Whom it waits for. Nothing happens if it does no longer.
    #[prost(bytes = "bytes", tag = "2")]
    pub holder: Bytes,
    /// What it waits for.
    #[prost(bytes = "bytes", tag = "3")]
    pub key: Bytes,
    /// Who waits for whom, for people.
    #[prost(string, tag = "4")]
    pub detail: String,
}

/// Reads a key.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Get {
    /// The key.
    #[prost(bytes = "bytes", tag = "1")]
    pub key: Bytes,
    /// Take a lock on it first (SELECT FOR UPDATE).
    #[prost(bool, tag = "2")]
    pub lock: bool,
    /// Which lock.
    #[prost(message, optional, tag = "3")]
    pub mode: Option<LockMode>,
}

/// Reads a span.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Scan {
    /// The span.
    #[prost(message, required, tag = "1")]
    pub span: Span,
    /// At most this many rows; zero means 10,000.
    #[prost(uint32, tag = "2")]
    pub limit: u32,
    /// Take a lock on every key found.
    #[prost(bool, tag = "3")]
    pub lock: bool,
    /// Which lock.
    #[prost(message, optional, tag = "4")]
    pub mode: Option<LockMode>,
    /// From the last key to the first.
    #[prost(bool, tag = "5")]
    pub reverse: bool,
}

/// Writes a key.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Put {
    /// The key.
    #[prost(bytes = "bytes", tag = "1")]
    pub key: Bytes,
    /// The value; none deletes.
    #[prost(bytes = "bytes", optional, tag = "2")]
    pub value: Option<Bytes>,
    /// Number of this write within the transaction.
    #[prost(uint32, tag = "3")]
    pub sequence: u32,
}

/// Deletes whatever is in a span. What that is, the transaction has read, if it wants to know.
#[derive(Clone, PartialEq, prost::Message)]
pub struct DeleteSpan {
    /// The span.
    #[prost(message, required, tag = "1")]
    pub span: Span,
}

/// Checks a span that was read at an earlier timestamp.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Refresh {
    /// What was read.
    #[prost(message, required, tag = "1")]
    pub span: Span,
    /// The timestamp it was read at.
    #[prost(fixed64, tag = "2")]
    pub from_ts: u64,
}

/// Finishes a transaction.
#[derive(Clone, PartialEq, prost::Message)]
pub struct EndTxn {
    /// Commit, or abort.
    #[prost(bool, tag = "1")]
    pub commit: bool,
    /// All writes and locks of the transaction are in this batch or on this range: no intents, and no record stays.
    #[prost(bool, tag = "2")]
    pub one_phase: bool,
    /// Every key written or locked anywhere, unless `spans` has them. Kept in the record for whoever must clean up.
    #[prost(bytes = "bytes", repeated, tag = "3")]
    pub keys: Vec<Bytes>,
    /// The commit timestamp must be below it (a schema lease's end); zero means none.
    #[prost(fixed64, tag = "4")]
    pub deadline: u64,
    /// Spans over every key written or locked, where those are too many to name. Never in one phase.
    #[prost(message, repeated, tag = "5")]
    pub spans: Vec<Span>,
}

/// Keeps a transaction alive.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Heartbeat {
    /// The coordinator's clock.
    #[prost(fixed64, tag = "1")]
    pub now: u64,
}

/// Asks about a transaction that is in the way.
#[derive(Clone, PartialEq, prost::Message)]
pub struct PushTxn {
    /// The transaction in the way, as its lock or intent knows it.
    #[prost(message, required, tag = "1")]
    pub pushee: TxnMeta,
    /// When the pushee is known to have been alive at the latest (its lock's or intent's timestamp).
    #[prost(fixed64, tag = "2")]
    pub last_active: u64,
    /// Unused: nobody is aborted for being waited for. Earlier builds took a second's wait for a deadlock.
    #[prost(bool, tag = "3")]
    pub force: bool,
    /// The pusher's clock. The anchor's lease holder forwards its own to it.
    #[prost(fixed64, tag = "4")]
    pub now: u64,
}

/// Finishes intents and locks of one transaction.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Resolve {
    /// The transaction.
    #[prost(bytes = "bytes", tag = "1")]
    pub txn_id: Bytes,
    /// Its keys on this range. As many of them are done as go into one command: the answer's `resume` is the first one
    /// that is not.
    #[prost(bytes = "bytes", repeated, tag = "2")]
    pub keys: Vec<Bytes>,
    /// Commit timestamp; zero means aborted.
    #[prost(fixed64, tag = "3")]
    pub commit_ts: u64,
    /// Instead of keys: ascending spans of this range, in which all that it has is found. A portion is done; the
    /// answer's `resume` says where to go on.
    #[prost(message, repeated, tag = "4")]
    pub spans: Vec<Span>,
    /// Writes that are not committed with the others.
    #[prost(message, repeated, tag = "5")]
    pub ignored: Vec<SequenceRange>,
    /// Rather than all that: the transaction goes on, and has gone back to a savepoint. Only locks of locking reads
    /// are released, of the keys that have them with numbers in this range and with no others.
    #[prost(message, optional, tag = "8")]
    pub rolled_back: Option<LockNumbers>,
}

/// The locks that a transaction took between a savepoint and its going back there.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct LockNumbers {
    /// The first number.
    #[prost(uint32, tag = "1")]
    pub first: u32,
    /// The last number.
    #[prost(uint32, tag = "2")]
    pub last: u32,
}

/// Reads a record.
#[derive(Clone, PartialEq, prost::Message)]
pub struct QueryTxn {
    /// The transaction.
    #[prost(bytes = "bytes", tag = "1")]
    pub txn_id: Bytes,
    /// Its anchor.
    #[prost(bytes = "bytes", tag = "2")]
    pub anchor: Bytes,
}

/// Removes a record.
#[derive(Clone, PartialEq, prost::Message)]
pub struct CollectTxn {
    /// The transaction.
    #[prost(bytes = "bytes", tag = "1")]
    pub txn_id: Bytes,
    /// Its anchor.
    #[prost(bytes = "bytes", tag = "2")]
    pub anchor: Bytes,
}

/// What became of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum TxnStatus {
    /// No record: it was never created, or everything has been cleaned up.
    Unrecorded = 0,
    /// In progress.
    Pending = 1,
    /// Committed for ever.
    Committed = 2,
    /// Aborted for ever.
    Aborted = 3,
}

/// The record of a transaction: an entry of the range-local space under the anchor, suffix the id. Persisted
/// with a version byte before it.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TxnRecord {
    /// Its state.
    #[prost(enumeration = "TxnStatus", tag = "1")]
    pub status: i32,
    /// The last sign of life.
    #[prost(fixed64, tag = "2")]
    pub heartbeat_ts: u64,
    /// Set once committed.
    #[prost(fixed64, tag = "3")]
    pub commit_ts: u64,
    /// Every key written or locked, unless `spans` has them. Known once finished by its coordinator. Not part of an
    /// answer: nobody there needs it.
    #[prost(bytes = "bytes", repeated, tag = "4")]
    pub keys: Vec<Bytes>,
    /// Where it began.
    #[prost(fixed64, tag = "5")]
    pub min_ts: u64,
    /// Its priority.
    #[prost(uint32, tag = "6")]
    pub priority: u32,
    /// Spans over every key written or locked, where those are too many to name.
    #[prost(message, repeated, tag = "7")]
    pub spans: Vec<Span>,
    /// Of a committed one: writes that are not committed with the others.
    #[prost(message, repeated, tag = "8")]
    pub ignored: Vec<SequenceRange>,
}

/// The answer to a batch.
#[derive(Clone, PartialEq, prost::Message)]
pub struct BatchResponse {
    /// The server's clock when it took the request: an observed timestamp for its transaction.
    #[prost(fixed64, tag = "1")]
    pub now: u64,
    /// The transaction's read timestamp after the batch (only moves with `can_forward`).
    #[prost(fixed64, tag = "2")]
    pub read_ts: u64,
    /// The transaction's write timestamp after the batch; for a one-phase commit, the commit timestamp.
    #[prost(fixed64, tag = "3")]
    pub write_ts: u64,
    /// One answer a request, in order; empty if there is an error.
    #[prost(message, repeated, tag = "4")]
    pub responses: Vec<Response>,
    /// Nothing was done.
    #[prost(message, optional, tag = "5")]
    pub error: Option<BatchError>,
    /// With an error: keys that the batch's locking reads have locked nevertheless.
    #[prost(bytes = "bytes", repeated, tag = "6")]
    pub locked: Vec<Bytes>,
}

/// The answer to one request.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Response {
    /// As `rows`, for a gateway of an earlier build, or from a server of one.
    #[prost(message, repeated, tag = "1")]
    pub listed: Vec<Row>,
    /// [`Rows`] of a get or scan, packed, in key order (descending if the scan is); a deleted or missing key has none.
    #[prost(bytes = "bytes", tag = "11")]
    pub rows: Bytes,
    /// Where a limited scan, a resolution or a refresh has to go on; empty when it is complete. The start of what is left,
    /// or the end (exclusive) if it is a scan that descends. Of a get: its key, if the batch's answers were full before
    /// it. Then nothing was read or locked, and it has to be asked again.
    #[prost(bytes = "bytes", tag = "2")]
    pub resume: Bytes,
    /// Of a push, heartbeat, query or end.
    #[prost(message, optional, boxed, tag = "3")]
    pub record: Option<Box<TxnRecord>>,
    /// Of a get: the key is locked by others, and was not read.
    #[prost(bool, tag = "4")]
    pub skipped: bool,
    /// Of a push: whom the transaction is known to wait for.
    #[prost(message, repeated, tag = "5")]
    pub waits: Vec<Wait>,
    /// Of a get: the number of the transaction's own write that it saw; zero if it saw none.
    #[prost(uint32, tag = "10")]
    pub own_sequence: u32,
}

impl Response {
    /// The rows, in either form; none if they cannot be understood.
    pub fn into_rows(self) -> Option<Rows> {
        match self.listed.is_empty() {
            true => Rows::unpack(self.rows),
            false => Some(self.listed.into_iter().map(|row| (row.key, row.value)).collect()),
        }
    }
}

/// Why a batch did nothing.
#[derive(Clone, PartialEq, prost::Message)]
pub struct BatchError {
    /// What the coordinator does about it.
    #[prost(enumeration = "ErrorKind", tag = "1")]
    pub kind: i32,
    /// The timestamp that the transaction has to move its reads to, where the kind says so.
    #[prost(fixed64, tag = "2")]
    pub retry_ts: u64,
    /// For people.
    #[prost(string, tag = "3")]
    pub message: String,
    /// What is waited for, where the kind says so; the number is the place in its queue.
    #[prost(message, optional, tag = "4")]
    pub ticket: Option<Ticket>,
    /// For how long by now, in milliseconds, by this delivery of the batch.
    #[prost(uint32, tag = "5")]
    pub waited_ms: u32,
}

/// What the coordinator does about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum ErrorKind {
    /// The request makes no sense: a bug or a newer version. Report it.
    Invalid = 0,
    /// A version exists, or may have existed when the transaction began, above its read timestamp: refresh to
    /// `retry_ts` and send the batch again, or restart.
    RetryAt = 1,
    /// A refresh found a newer version: restart the transaction from its beginning.
    RefreshFailed = 2,
    /// The transaction was aborted by another, or its record can no longer be created: restart.
    Aborted = 3,
    /// The commit timestamp reached the deadline: renew what the deadline stands for, then restart.
    DeadlineExceeded = 4,
    /// Waited too long for a lock: restart or report. Only as an answer to builds that do not know `Waiting`.
    LockTimeout = 5,
    /// Others are still in the way of the key in `ticket`. Ask again, or not.
    Waiting = 6,
    /// Transactions wait for each other, and this one is to give up: restart.
    Deadlock = 7,
    /// A lock is not to be had at once, and the batch does not want to wait for it (of the key in `ticket`).
    Locked = 8,
    /// The batch's changes are more than one command may hold: send fewer at a time, and a commit in two phases. Or a span
    /// cannot be deleted as a whole: delete its keys.
    TooLarge = 9,
}
