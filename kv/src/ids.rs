//! Identifiers. Newtypes, so that a store is never addressed by a range's number.

use std::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u64);
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

id!(
    /// A process of the cluster, with one store. Never zero.
    NodeId,
    "n"
);
id!(
    /// A disk of a node, with replicas of its own. The first store of a node has the node's number. Never zero.
    StoreId,
    "s"
);
id!(
    /// A range, which is one Raft group. Allocated by the meta range, never reused.
    RangeId,
    "r"
);
id!(
    /// One copy of one range: the Raft peer id. Unique within its range for ever, never a node's id.
    ReplicaId,
    "p"
);
