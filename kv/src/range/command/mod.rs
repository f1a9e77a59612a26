//! The replicated command: what an entry of a range's Raft log says.
//!
//! An entry is a version byte and a protobuf [`Command`]. A kind of command is a file below and a line in the list at
//! `commands!`: the file says what the command holds, which keys it is about, what it is checked against, and what it does.
//! Tags up to 12 are taken by DESIGN's list (merges, membership, checksums) and not reused. A kind that a node does not
//! know stops the node, because skipping it would make its copy differ from the others'.
//!
//! What a command does beyond the engine is a [`SideEffects`]: whoever applies commands carries those out, and knows no
//! kinds.

mod batch;
mod directory;
mod floor;
mod ids;
mod lease;
mod split;
mod truncate;

use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;

pub use batch::{Batch, MAX_BATCH_BYTES};
pub use lease::LeaseChange;
pub use split::Split;
pub use truncate::Truncate;

use crate::engine::{EngineBatch, EngineError};
use crate::range::descriptor::RangeDescriptor;
use crate::range::lease::{Lease, ReadSummary};
use crate::range::state::RangeState;

const VERSION: u8 = 1;

/// Bytes of an encoded command at most, with a mebibyte and more to spare in the largest message that nodes send to each
/// other: what could not be sent must not get into the log, because everything behind it would wait for it for ever.
pub const MAX_COMMAND_BYTES: usize = 16 << 20;

/// What all kinds of commands have. The functions are pure: of the command and of replicated state alone.
trait Kind {
    /// What the command holds.
    type Body;

    /// The command names the lease that it replaces, and is checked against nothing else that proposals are: no sequence,
    /// no index, no floor.
    const REPLACES_LEASE: bool = false;

    /// The lowest and the highest of the user keys that it is about, if it is about keys.
    fn span(_body: &Self::Body) -> Option<(Bytes, Bytes)> {
        None
    }

    /// May it be applied? Beside what every proposal is checked against.
    fn check(_body: &Self::Body, _state: &RangeState) -> Result<(), Rejection> {
        Ok(())
    }

    /// Changes the state, and adds to the engine's batch what that means there.
    ///
    /// # Errors
    /// [`EngineError::Corrupt`] when it makes no sense on this range: the node must stop.
    fn apply(
        body: Self::Body,
        state: &mut RangeState,
        batch: &mut EngineBatch,
    ) -> Result<SideEffects, EngineError>;
}

/// What applying a command did beyond the engine, for those who wait or listen.
#[derive(Debug, Default, PartialEq)]
pub struct SideEffects {
    /// A lease began or was extended.
    pub lease: Option<LeaseReplaced>,
    /// A range has come into being beside this one.
    pub created: Option<Box<RangeState>>,
    /// The log up to this index is no longer needed.
    pub truncate: Option<u64>,
    /// What the proposer is told: the first of the ids that it has allocated.
    pub value: u64,
}

/// The current lease is another than before, or a longer one.
#[derive(Clone, Debug, PartialEq)]
pub struct LeaseReplaced {
    /// What was current before, if anything ever was.
    pub previous: Option<Lease>,
    /// What its holder has served, if it was handed over.
    pub summary: Option<ReadSummary>,
}

/// Which check failed: the command has no effect, and never will.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// Of the lease that it was proposed under: I2 of `range::machine`.
    Lease,
    /// Of its lease index: I3 of `range::machine`.
    LeaseIndex,
    /// Of its timestamp: I4 of `range::machine`.
    Floor,
    /// Of its keys: I5 of `range::machine`, and what a split divides.
    Bounds,
    /// Of what was closed: I6 of `range::machine`. Whoever proposed it has broken its word.
    Closed,
}

/// Declares the command, its kinds, and who answers for each.
macro_rules! commands {
    (tags $tags:tt; $($(#[$doc:meta])* $form:ident($tag:tt) $name:ident($body:ty) by $kind:ty;)+) => {
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
            /// Nothing proposed after it is written at or below this timestamp, nor is what it writes itself.
            #[prost(fixed64, tag = "15")]
            pub closed_ts: u64,
            /// What to do.
            #[prost(oneof = "CommandKind", tags = $tags)]
            pub kind: Option<CommandKind>,
        }

        /// The kinds of commands.
        #[derive(Clone, PartialEq, prost::Oneof)]
        pub enum CommandKind {
            $($(#[$doc])* #[prost($form, tag = $tag)] $name($body),)+
        }

        impl CommandKind {
            /// The lowest and the highest of the user keys that it is about, if it is about keys.
            pub fn span(&self) -> Option<(Bytes, Bytes)> {
                match self { $(Self::$name(body) => <$kind as Kind>::span(body),)+ }
            }

            /// True iff it names the lease that it replaces.
            pub fn replaces_lease(&self) -> bool {
                match self { $(Self::$name(_) => <$kind as Kind>::REPLACES_LEASE,)+ }
            }

            pub(super) fn check(&self, state: &RangeState) -> Result<(), Rejection> {
                match self { $(Self::$name(body) => <$kind as Kind>::check(body, state),)+ }
            }

            pub(super) fn apply(
                self,
                state: &mut RangeState,
                batch: &mut EngineBatch,
            ) -> Result<SideEffects, EngineError> {
                match self { $(Self::$name(body) => <$kind as Kind>::apply(body, state, batch),)+ }
            }
        }
    };
}

commands! {
    tags "4, 5, 6, 7, 8, 9, 10";
    /// Changes to keys of the range.
    message("4") Batch(Batch) by Batch;
    /// A new or extended lease.
    message("5") Lease(LeaseChange) by LeaseChange;
    /// Divides the range.
    message("6") Split(Split) by Split;
    /// The log up to an index is no longer needed by any replica.
    message("7") Truncate(Truncate) by Truncate;
    /// Writes at or below a timestamp are refused from now on. Never goes down.
    fixed64("8") SetFloor(u64) by floor::SetFloor;
    /// On the meta range: what a range says of itself.
    message("9") DirectoryUpsert(RangeDescriptor) by directory::DirectoryUpsert;
    /// On the meta range: takes this many fresh ids.
    uint64("10") AllocateIds(u64) by ids::AllocateIds;
}

impl Command {
    /// The bytes of a log entry.
    pub fn to_entry_data(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(1 + self.encoded_len());
        out.put_u8(VERSION);
        self.encode(&mut out).expect("the buffer grows");
        out.freeze()
    }

    /// Reads a log entry. `None` means that it was written by a newer version or is damaged: either way this
    /// node cannot go on with the range. Keys and values share the entry's buffer.
    pub fn from_entry_data(data: &Bytes) -> Option<Command> {
        if data.first() != Some(&VERSION) {
            return None;
        }
        Command::decode(data.slice(1..)).ok().filter(|command| command.kind.is_some())
    }
}
