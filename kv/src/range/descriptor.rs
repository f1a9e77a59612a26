//! A range's bounds and members.

use bytes::Bytes;

use crate::ids::{NodeId, RangeId, ReplicaId};

/// One copy of a range and where it lives.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Replica {
    /// The Raft peer id: unique in the range for ever.
    #[prost(uint64, tag = "1")]
    pub replica_id: u64,
    /// The node that holds this copy.
    #[prost(uint64, tag = "2")]
    pub node_id: u64,
}

/// A contiguous span of keys that one Raft group replicates.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct RangeDescriptor {
    /// The range.
    #[prost(uint64, tag = "1")]
    pub range_id: u64,
    /// First key, inclusive.
    #[prost(bytes = "bytes", tag = "2")]
    pub start: Bytes,
    /// End key, exclusive.
    #[prost(bytes = "bytes", tag = "3")]
    pub end: Bytes,
    /// Grows with every change of bounds or members.
    #[prost(uint64, tag = "4")]
    pub generation: u64,
    /// The members, ascending by replica id.
    #[prost(message, repeated, tag = "5")]
    pub replicas: Vec<Replica>,
}

impl RangeDescriptor {
    /// The range's id.
    pub fn id(&self) -> RangeId {
        RangeId(self.range_id)
    }

    /// True iff `key` lies in the range.
    pub fn contains_key(&self, key: &[u8]) -> bool {
        self.start <= key && key < &self.end[..]
    }

    /// True iff the whole half-open span lies in the range.
    pub fn contains_span(&self, start: &[u8], end: &[u8]) -> bool {
        self.start <= start && start < end && end <= &self.end[..]
    }

    /// True iff some key lies in both ranges.
    pub fn overlaps(&self, other: &RangeDescriptor) -> bool {
        self.start < other.end && other.start < self.end
    }

    /// The replica on `node`, if it has one.
    pub fn replica_on(&self, node: NodeId) -> Option<ReplicaId> {
        self.replicas.iter().find(|r| r.node_id == node.0).map(|r| ReplicaId(r.replica_id))
    }

    /// The node of `replica`, if it is a member.
    pub fn node_of(&self, replica: ReplicaId) -> Option<NodeId> {
        self.replicas.iter().find(|r| r.replica_id == replica.0).map(|r| NodeId(r.node_id))
    }
}
