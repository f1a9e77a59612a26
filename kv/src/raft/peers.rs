//! Where the replicas of a group live.
//!
//! - I1. A replica id lives on one store for ever, so what was once true of it stays true, whoever said it.
//! - I2. Whoever was heard can be answered, also by a replica that has applied nothing that names the sender.

use std::collections::BTreeMap;

use crate::ids::{NodeId, ReplicaId, StoreId};
use crate::range::descriptor::RangeDescriptor;
use crate::rpc::RaftMessage;

/// Replicas of one group that are known, beside those of its descriptor.
const HEARD_MAX: usize = 64;

/// A store of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) node: NodeId,
    pub(crate) store: StoreId,
}

/// Where the replicas of one group live, as far as is known here.
#[derive(Clone, Default)]
pub(crate) struct Peers {
    known: BTreeMap<ReplicaId, Peer>,
}

#[derive(Clone)]
struct Peer {
    address: Address,
    /// The tick in which it was last heard.
    heard: u64,
}

impl Peers {
    /// The members are these. Of others those are remembered that may have come since.
    pub(crate) fn learn(&mut self, descriptor: &RangeDescriptor) {
        let newest = descriptor.replicas.iter().map(|replica| replica.id()).max();
        self.known.retain(|id, _| Some(*id) > newest || descriptor.node_of(*id).is_some());
        for replica in &descriptor.replicas {
            let address = Address { node: replica.node(), store: replica.store() };
            self.known.entry(replica.id()).or_insert(Peer { address, heard: 0 }).address = address;
        }
    }

    /// The sender of a message says where it lives, and that it does.
    pub(crate) fn hear(&mut self, message: &RaftMessage, tick: u64) {
        let address =
            Address { node: NodeId(message.from_node), store: StoreId(message.from_store) };
        let id = ReplicaId(message.from);
        if let Some(peer) = self.known.get_mut(&id) {
            peer.heard = tick;
        } else if self.known.len() < HEARD_MAX {
            self.known.insert(id, Peer { address, heard: tick });
        }
    }

    /// The tick in which a replica was last heard.
    pub(crate) fn heard(&self, replica: ReplicaId) -> u64 {
        self.known.get(&replica).map_or(0, |peer| peer.heard)
    }

    /// Where a replica lives.
    pub(crate) fn address(&self, replica: ReplicaId) -> Option<Address> {
        self.known.get(&replica).map(|peer| peer.address)
    }
}
