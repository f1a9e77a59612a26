//! A range's bounds and members.
//!
//! - I1. Who votes is said by the members' kinds, and nowhere else: Raft's configuration is made of them
//!   ([`RangeDescriptor::conf_state`]). The descriptor is written with the applied index, so that it is the configuration as of
//!   that index.

use ::raft::eraftpb::ConfState;
use bytes::Bytes;

use crate::ids::{NodeId, RangeId, ReplicaId, StoreId};

/// What a replica is for its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum ReplicaKind {
    /// Votes, and counts for what is committed.
    Voter = 0,
    /// Has the log and applies it, but does not vote.
    Learner = 1,
    /// In a joint configuration: votes in the new one alone.
    Incoming = 2,
    /// In a joint configuration: votes in the old one alone, and is gone with it.
    Outgoing = 3,
    /// In a joint configuration: votes in the old one alone, and stays as a learner.
    Demoting = 4,
}

/// One copy of a range and where it lives.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Replica {
    /// The Raft peer id: unique in the range for ever.
    #[prost(uint64, tag = "1")]
    pub replica_id: u64,
    /// The node that holds this copy.
    #[prost(uint64, tag = "2")]
    pub node_id: u64,
    /// The store that holds it, of that node. Zero, as descriptors of earlier builds have it: the node's first store.
    #[prost(uint64, tag = "3")]
    pub store_id: u64,
    /// What it is for its group.
    #[prost(enumeration = "ReplicaKind", tag = "4")]
    pub kind: i32,
}

impl Replica {
    /// A voter on the first store of a node.
    pub fn voter(id: ReplicaId, node: NodeId) -> Self {
        let kind = ReplicaKind::Voter as i32;
        Replica { replica_id: id.0, node_id: node.0, store_id: node.0, kind }
    }

    /// The Raft peer id.
    pub fn id(&self) -> ReplicaId {
        ReplicaId(self.replica_id)
    }

    /// The node that holds this copy.
    pub fn node(&self) -> NodeId {
        NodeId(self.node_id)
    }

    /// The store that holds this copy.
    pub fn store(&self) -> StoreId {
        StoreId(if self.store_id == 0 { self.node_id } else { self.store_id })
    }
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

    /// The replica on a store, if it has one.
    pub fn replica_on(&self, store: StoreId) -> Option<&Replica> {
        self.replicas.iter().find(|replica| replica.store() == store)
    }

    /// Who votes, for Raft. By I1.
    pub fn conf_state(&self) -> ConfState {
        let mut conf = ConfState::default();
        let is_joint = |kind| !matches!(kind, ReplicaKind::Voter | ReplicaKind::Learner);
        let joint = self.replicas.iter().any(|replica| is_joint(replica.kind()));
        for replica in &self.replicas {
            let id = replica.replica_id;
            let (votes, voted) = match replica.kind() {
                ReplicaKind::Voter => (true, joint),
                ReplicaKind::Incoming => (true, false),
                ReplicaKind::Outgoing => (false, true),
                ReplicaKind::Demoting => {
                    conf.learners_next.push(id);
                    (false, true)
                }
                ReplicaKind::Learner => {
                    conf.learners.push(id);
                    (false, false)
                }
            };
            if votes {
                conf.voters.push(id);
            }
            if voted {
                conf.voters_outgoing.push(id);
            }
        }
        conf
    }

    /// The node of `replica`, if it is a member.
    pub fn node_of(&self, replica: ReplicaId) -> Option<NodeId> {
        self.replicas.iter().find(|r| r.replica_id == replica.0).map(Replica::node)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_votes_is_said_by_the_kinds() {
        let conf = |kinds: &[ReplicaKind]| {
            let replica = |(id, kind): (u64, &ReplicaKind)| Replica {
                kind: *kind as i32,
                ..Replica::voter(ReplicaId(id), NodeId(id))
            };
            let replicas = (1..).zip(kinds).map(replica).collect();
            let conf = RangeDescriptor { replicas, ..RangeDescriptor::default() }.conf_state();
            (conf.voters, conf.voters_outgoing, conf.learners, conf.learners_next)
        };
        use ReplicaKind::{Demoting, Incoming, Learner, Outgoing, Voter};
        assert_eq!(conf(&[Voter, Voter, Learner]), (vec![1, 2], vec![], vec![3], vec![]));
        assert_eq!(
            conf(&[Voter, Incoming, Outgoing, Demoting, Learner]),
            (vec![1, 2], vec![1, 3, 4], vec![5], vec![4])
        );
    }

    #[test]
    fn a_replica_of_an_earlier_build_is_a_voter_on_its_nodes_first_store() {
        let old = Replica { store_id: 0, ..Replica::voter(ReplicaId(3), NodeId(7)) };
        assert_eq!((old.store(), old.kind()), (StoreId(7), ReplicaKind::Voter));
    }
}
