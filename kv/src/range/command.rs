//! The replicated command: what an entry of a range's Raft log says.
//!
//! An entry is a version byte and a protobuf [`Command`]. The kinds below are those that this version can
//! apply; tags up to 12 are taken by DESIGN's list (merges, membership, checksums) and not reused. A kind that
//! a node does not know stops the node, because skipping it would make its copy differ from the others'.

use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;

use crate::range::batch::BatchOp;
use crate::range::descriptor::{Lease, RangeDescriptor};

const VERSION: u8 = 1;

/// Bytes of an encoded command at most, with a mebibyte and more to spare in the largest message that nodes send to each
/// other: what could not be sent must not get into the log, because everything behind it would wait for it for ever.
pub const MAX_COMMAND_BYTES: usize = 16 << 20;

/// One replicated command with what its application is checked against.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Command {
    /// Sequence of the lease it was proposed under. Lease commands name their previous lease instead.
    #[prost(uint64, tag = "1")]
    pub lease_sequence: u64,
    /// Greater than every index applied before, or the command is a repetition. Zero for lease commands.
    #[prost(uint64, tag = "2")]
    pub max_lease_index: u64,
    /// Highest timestamp written; must be above the range's floor.
    #[prost(fixed64, tag = "3")]
    pub write_ts: u64,
    /// What to do.
    #[prost(oneof = "CommandKind", tags = "4, 5, 6, 7, 8, 9, 10")]
    pub kind: Option<CommandKind>,
}

/// The kinds of commands.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum CommandKind {
    /// Changes to keys of the range.
    #[prost(message, tag = "4")]
    Batch(Batch),
    /// A new or extended lease.
    #[prost(message, tag = "5")]
    Lease(LeaseChange),
    /// Divides the range.
    #[prost(message, tag = "6")]
    Split(Split),
    /// The log up to an index is no longer needed by any replica.
    #[prost(message, tag = "7")]
    Truncate(Truncate),
    /// Writes at or below a timestamp are refused from now on. Never goes down.
    #[prost(fixed64, tag = "8")]
    SetFloor(u64),
    /// On the meta range: what a range says of itself.
    #[prost(message, tag = "9")]
    DirectoryUpsert(RangeDescriptor),
    /// On the meta range: takes this many fresh ids.
    #[prost(uint64, tag = "10")]
    AllocateIds(u64),
}

/// Changes to keys of the range, all or none.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Batch {
    /// The changes in order.
    #[prost(message, repeated, tag = "1")]
    pub ops: Vec<BatchOp>,
}

/// Replaces one lease by another.
#[derive(Clone, PartialEq, prost::Message)]
pub struct LeaseChange {
    /// What the proposer believes to be current; applied only if it is.
    #[prost(message, optional, tag = "1")]
    pub previous: Option<Lease>,
    /// What comes instead.
    #[prost(message, required, tag = "2")]
    pub next: Lease,
}

/// Divides a range in two that cover the same keys with the same replicas.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Split {
    /// The left side: same id, generation one higher.
    #[prost(message, required, tag = "1")]
    pub left: RangeDescriptor,
    /// The right side: a fresh id, same generation as the new left side.
    #[prost(message, required, tag = "2")]
    pub right: RangeDescriptor,
}

/// Allows the log to be cut.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Truncate {
    /// Last index that may go.
    #[prost(uint64, tag = "1")]
    pub index: u64,
}

impl Command {
    /// The lowest and the highest of the user keys that it changes, or where it splits.
    pub fn span(&self) -> Option<(Bytes, Bytes)> {
        match &self.kind {
            Some(CommandKind::Batch(batch)) => {
                let keys = || batch.ops.iter().map(|op| &op.key);
                Some((keys().min()?.clone(), keys().max()?.clone()))
            }
            Some(CommandKind::Split(split)) => {
                Some((split.right.start.clone(), split.right.start.clone()))
            }
            _ => None,
        }
    }

    /// The bytes of a log entry.
    pub fn to_entry_data(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(1 + self.encoded_len());
        out.put_u8(VERSION);
        self.encode(&mut out).expect("the buffer grows");
        out.freeze()
    }

    /// Reads a log entry. `None` means that it was written by a newer version or is damaged: either way this
    /// node cannot go on with the range.
    pub fn from_entry_data(data: &[u8]) -> Option<Command> {
        let (&version, body) = data.split_first()?;
        if version != VERSION {
            return None;
        }
        Command::decode(body).ok().filter(|command| command.kind.is_some())
    }
}
