//! Messages between nodes, as protobuf. Fields are only ever added; tags are never reused.
//!
//! raft-rs's own protobuf 2 messages never cross the network, because their decoder recurses without a bound
//! on hostile input: [`RaftMessage`] carries the same content, and `crate::raft::wire` converts.

use ::raft::eraftpb::MessageType;
use bytes::Bytes;
use protobuf::ProtobufEnum;

use crate::range::descriptor::RangeDescriptor;
use crate::range::lease::Lease;

/// Bytes of an encoded message at most, of whatever kind. Transports send anything up to it, in both worlds, and nothing
/// beyond it. Whoever makes messages keeps them below: commands by [`crate::range::command::MAX_COMMAND_BYTES`], requests
/// and answers by their own bounds.
pub const MAX_MESSAGE_BYTES: usize = (32 << 20) - 1024;

// One entry and what a Raft message says besides it.
const _: () = assert!(crate::range::command::MAX_COMMAND_BYTES + (64 << 10) <= MAX_MESSAGE_BYTES);

/// A Raft message of one range. `kind` and the fields are those of the etcd family's messages.
#[derive(Clone, PartialEq, prost::Message)]
pub struct RaftMessage {
    /// The group.
    #[prost(uint64, tag = "1")]
    pub range_id: u64,
    /// Sending replica.
    #[prost(uint64, tag = "2")]
    pub from: u64,
    /// Receiving replica.
    #[prost(uint64, tag = "3")]
    pub to: u64,
    /// Message type, in raft-rs's numbering.
    #[prost(int32, tag = "4")]
    pub kind: i32,
    /// Sender's term.
    #[prost(uint64, tag = "5")]
    pub term: u64,
    /// Term of the entry at `index`.
    #[prost(uint64, tag = "6")]
    pub log_term: u64,
    /// Index that the entries follow, or that is acknowledged.
    #[prost(uint64, tag = "7")]
    pub index: u64,
    /// Entries to append.
    #[prost(message, repeated, tag = "8")]
    pub entries: Vec<LogEntry>,
    /// Sender's commit index.
    #[prost(uint64, tag = "9")]
    pub commit: u64,
    /// Term of the commit index.
    #[prost(uint64, tag = "10")]
    pub commit_term: u64,
    /// True when the request is refused.
    #[prost(bool, tag = "11")]
    pub reject: bool,
    /// Where the refuser's log may match.
    #[prost(uint64, tag = "12")]
    pub reject_hint: u64,
    /// Opaque bytes that come back in the answer.
    #[prost(bytes = "bytes", tag = "13")]
    pub context: Bytes,
    /// Election priority.
    #[prost(int64, tag = "14")]
    pub priority: i64,
    /// Index of a requested snapshot.
    #[prost(uint64, tag = "15")]
    pub request_snapshot: u64,
    /// Node of the sending replica.
    #[prost(uint64, tag = "16")]
    pub from_node: u64,
    /// Its store.
    #[prost(uint64, tag = "17")]
    pub from_store: u64,
    /// Node of the receiving replica.
    #[prost(uint64, tag = "18")]
    pub to_node: u64,
    /// Its store.
    #[prost(uint64, tag = "19")]
    pub to_store: u64,
    /// The range's first key, in appends to a replica of which the leader does not know what it has: that one may have
    /// nothing yet, and the range that it comes from may be with it.
    #[prost(bytes = "bytes", tag = "20")]
    pub start_key: Bytes,
}

impl RaftMessage {
    /// True iff it brings a part of a log, or says how far one is committed: such messages of a group are worth most in the
    /// order in which they were sent. All others (heartbeats, votes, acknowledgements) are small and pass them.
    pub fn is_append(&self) -> bool {
        self.kind == MessageType::MsgAppend.value()
    }

    /// True iff it says that a replica needs a snapshot: its leader has cut off what that lacks. It crosses no network;
    /// `crate::store` sends the snapshot itself.
    pub fn is_snapshot(&self) -> bool {
        self.kind == MessageType::MsgSnapshot.value()
    }

    /// True iff a leader or a candidate says it of its own accord: by such a message a replica may learn that it exists.
    pub fn is_unasked(&self) -> bool {
        use MessageType::{MsgAppend, MsgHeartbeat, MsgRequestPreVote, MsgRequestVote};
        [MsgAppend, MsgHeartbeat, MsgRequestPreVote, MsgRequestVote]
            .iter()
            .any(|kind| kind.value() == self.kind)
    }
}

/// One entry of a Raft log.
#[derive(Clone, PartialEq, prost::Message)]
pub struct LogEntry {
    /// Entry type, in raft-rs's numbering.
    #[prost(int32, tag = "1")]
    pub kind: i32,
    /// Term in which a leader appended it.
    #[prost(uint64, tag = "2")]
    pub term: u64,
    /// Position in the log.
    #[prost(uint64, tag = "3")]
    pub index: u64,
    /// The encoded command; empty for a leader's first entry.
    #[prost(bytes = "bytes", tag = "4")]
    pub data: Bytes,
    /// Unused by commands; kept because Raft carries it.
    #[prost(bytes = "bytes", tag = "5")]
    pub context: Bytes,
}

/// A request to another node (or to the own one).
#[derive(Clone, PartialEq, prost::Message)]
pub struct RpcRequest {
    /// What is asked for. A request without a body comes from a newer version and is refused.
    #[prost(oneof = "RequestBody", tags = "1, 2, 3, 4, 5, 6, 7")]
    pub body: Option<RequestBody>,
}

/// The kinds of requests.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum RequestBody {
    /// To the lease holder of a range: evaluate a batch.
    #[prost(message, tag = "1")]
    Range(RangeRequest),
    /// To the lease holder of the meta range: which ranges hold the keys from here on?
    #[prost(message, tag = "2")]
    DirectoryLookup(DirectoryLookup),
    /// To the lease holder of the meta range: this is what a range says of itself.
    #[prost(message, tag = "3")]
    DirectoryUpsert(RangeDescriptor),
    /// To the lease holder of the meta range: hand out fresh range ids.
    #[prost(message, tag = "4")]
    AllocateIds(AllocateIds),
    /// To the lease holder of the range that holds the key: split there.
    #[prost(message, tag = "5")]
    Split(SplitRequest),
    /// To a replica of this range: would it take the lease?
    #[prost(uint64, tag = "6")]
    LeaseOffer(u64),
    /// To the store of a replica: a part of the snapshot that it needs.
    #[prost(message, tag = "7")]
    Snapshot(SnapshotPart),
}

impl RpcRequest {
    /// True iff it brings much, and nobody waits for it: it must not stand before what somebody waits for.
    pub fn is_bulk(&self) -> bool {
        matches!(self.body, Some(RequestBody::Snapshot(_)))
    }
}

/// A part of a snapshot of a range for one replica. Parts come one after the other: the next one when this is answered.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SnapshotPart {
    /// A random number of the whole snapshot.
    #[prost(fixed64, tag = "1")]
    pub snapshot: u64,
    /// The range.
    #[prost(uint64, tag = "2")]
    pub range_id: u64,
    /// The replica that needs it.
    #[prost(uint64, tag = "3")]
    pub replica_id: u64,
    /// Its store.
    #[prost(uint64, tag = "4")]
    pub store_id: u64,
    /// The part's number, from zero.
    #[prost(uint32, tag = "5")]
    pub number: u32,
    /// CRC-32 of the entries.
    #[prost(fixed32, tag = "6")]
    pub checksum: u32,
    /// Entries of the engine, as `crate::range::snapshot` says.
    #[prost(bytes = "bytes", tag = "7")]
    pub entries: Bytes,
    /// In the first part.
    #[prost(message, optional, tag = "8")]
    pub head: Option<SnapshotHead>,
    /// There are no more. The answer says whether the replica has it now.
    #[prost(bool, tag = "9")]
    pub is_last: bool,
}

/// What a snapshot is of.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SnapshotHead {
    /// The range's bounds and members at the applied index.
    #[prost(message, required, tag = "1")]
    pub descriptor: RangeDescriptor,
    /// The applied index.
    #[prost(uint64, tag = "2")]
    pub index: u64,
    /// The term of the entry there.
    #[prost(uint64, tag = "3")]
    pub term: u64,
    /// The replica that sends it.
    #[prost(uint64, tag = "4")]
    pub from: u64,
}

/// A batch for one range. kv does not look into the payload.
#[derive(Clone, PartialEq, prost::Message)]
pub struct RangeRequest {
    /// The addressed range.
    #[prost(uint64, tag = "1")]
    pub range_id: u64,
    /// The transaction layer's encoded request.
    #[prost(bytes = "bytes", tag = "2")]
    pub payload: Bytes,
}

/// Asks for the descriptors of the ranges at and after a key.
#[derive(Clone, PartialEq, prost::Message)]
pub struct DirectoryLookup {
    /// The key.
    #[prost(bytes = "bytes", tag = "1")]
    pub key: Bytes,
}

/// Asks for consecutive fresh range ids.
#[derive(Clone, PartialEq, prost::Message)]
pub struct AllocateIds {
    /// How many; 1 to 1,000.
    #[prost(uint64, tag = "1")]
    pub count: u64,
}

/// Asks a range to split.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SplitRequest {
    /// The addressed range.
    #[prost(uint64, tag = "1")]
    pub range_id: u64,
    /// First key of the right side; moved to a legal boundary by the split key policy.
    #[prost(bytes = "bytes", tag = "2")]
    pub key: Bytes,
}

/// The answer to an [`RpcRequest`].
#[derive(Clone, PartialEq, prost::Message)]
pub struct RpcResponse {
    /// What came of it. No body comes from a later version, and then nobody knows.
    #[prost(oneof = "ResponseBody", tags = "1, 2, 3, 4, 5")]
    pub body: Option<ResponseBody>,
}

/// The kinds of answers.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum ResponseBody {
    /// The transaction layer's encoded response.
    #[prost(bytes = "bytes", tag = "1")]
    Payload(Bytes),
    /// Directory entries, in key order; also the answer to a split: both sides. None: it is done.
    #[prost(message, tag = "2")]
    Descriptors(Descriptors),
    /// First of the allocated ids.
    #[prost(uint64, tag = "3")]
    FirstId(u64),
    /// It was not done, or nobody knows.
    #[prost(message, tag = "4")]
    Refused(Refusal),
    /// It would take the lease.
    #[prost(message, tag = "5")]
    LeaseTaker(LeaseTaker),
}

/// A replica that would take its range's lease.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct LeaseTaker {
    /// Of its process's life. No other life may have the lease.
    #[prost(fixed64, tag = "1")]
    pub incarnation: u64,
    /// How far it has applied its log.
    #[prost(uint64, tag = "2")]
    pub applied_index: u64,
}

/// A list of descriptors.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Descriptors {
    /// The descriptors.
    #[prost(message, repeated, tag = "1")]
    pub items: Vec<RangeDescriptor>,
}

/// Why a node did not do what it was asked.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Refusal {
    /// The reason, which says what the caller should do.
    #[prost(enumeration = "RefusalReason", tag = "1")]
    pub reason: i32,
    /// Who may hold the lease, if known.
    #[prost(message, optional, tag = "2")]
    pub lease: Option<Lease>,
    /// Node of the Raft leader, or zero when unknown.
    #[prost(uint64, tag = "3")]
    pub leader_node: u64,
    /// What this node knows of the ranges around the addressed key.
    #[prost(message, repeated, tag = "4")]
    pub descriptors: Vec<RangeDescriptor>,
    /// For people.
    #[prost(string, tag = "5")]
    pub message: String,
}

/// What a caller does after a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum RefusalReason {
    /// Certainly not executed. Try again after a pause, here or elsewhere.
    Unavailable = 0,
    /// Certainly not executed. Ask the lease holder or leader named.
    NotLeaseHolder = 1,
    /// Certainly not executed. The range is not here, or does not cover the keys: look it up again.
    WrongRange = 2,
    /// It may have been executed.
    Unknown = 3,
    /// Certainly not executed, and no other node will do it either.
    Invalid = 4,
    /// Certainly not executed: what was to be read is below the range's floor.
    BelowFloor = 5,
}
