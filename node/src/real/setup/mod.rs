//! How a cluster of processes comes to be: from empty directories to members that know each other.
//!
//! ```text
//!  empty ──start──▶ waiting ──init, or a peer knows──▶ member ──initial state written──▶ founded
//!          (store id drawn)   (membership recorded)            (an empty store is refused)
//! ```
//!
//! Every state is in one small file of the store's directory ([`StoreFile`]), replaced durably before anything is done
//! that depends on it. A restart goes on from there, so no step has to be repeated by an operator.
//!
//! `init` may be asked of any waiting node; the one with the lowest join address decides. It probes all others: each
//! must be there, waiting, and have been told the same addresses. Then it numbers the members in the order of their
//! addresses and writes the membership down: that is the moment at which the cluster exists. Waiting nodes ask their
//! peers again and again, and adopt the membership of whoever has one. So a crash in the middle of `init`, of either
//! side, needs no repair.
//!
//! - I1. There is one founder: two `init` at once go to the same node, which serves them one after the other.
//! - I2. The membership names the members' store ids. A node whose store was lost has another one, and is refused: it
//!   would vote as if it had never voted.
//! - I3. The membership never changes (yet), so whoever has one has the right one.

mod client;
mod file;
mod member;
mod waiting;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;

use kv::ids::NodeId;

pub use client::{InitError, init};
pub use file::{StoreFile, StoreState};
pub use waiting::{Waiting, wait_for_membership};

pub(super) use member::{MemberSetup, WithSetup};

/// The generated protocol.
#[allow(missing_docs, unreachable_pub, unused_qualifications, clippy::all, reason = "generated")]
mod proto {
    tonic::include_proto!("meridian.setup.v1");
}

/// A founding member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Where it listens for other nodes.
    pub address: SocketAddr,
    /// Which store it has.
    pub store_id: u64,
}

/// The founding members of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// The cluster's identity; not zero.
    pub cluster_id: u64,
    /// The members by number.
    pub members: BTreeMap<NodeId, Member>,
}

/// Why a node cannot become a member.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The directory or the socket cannot be had.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The store's file is damaged, or from a newer version.
    #[error("{0}")]
    Damaged(String),
    /// The cluster exists, and this node is not in it, or not with this store.
    #[error("{0}")]
    Refused(String),
}

impl Membership {
    /// Members in the order of their addresses, numbered from 1.
    pub fn number(cluster_id: u64, members: BTreeMap<SocketAddr, u64>) -> Membership {
        let members = (1..)
            .zip(members)
            .map(|(id, (address, store_id))| (NodeId(id), Member { address, store_id }))
            .collect();
        Membership { cluster_id, members }
    }

    /// Where the members listen.
    pub fn addresses(&self) -> BTreeMap<NodeId, SocketAddr> {
        self.members.iter().map(|(id, member)| (*id, member.address)).collect()
    }

    /// The member with this address.
    pub fn find(&self, address: SocketAddr) -> Option<(NodeId, &Member)> {
        let mut members = self.members.iter();
        members.find(|(_, member)| member.address == address).map(|(id, member)| (*id, member))
    }

    fn to_proto(&self) -> proto::Membership {
        let members = self.members.iter().map(|(id, member)| proto::Member {
            node_id: id.0,
            address: member.address.to_string(),
            store_id: member.store_id,
        });
        proto::Membership { cluster_id: self.cluster_id, members: members.collect() }
    }

    /// `None` if it makes no sense.
    fn from_proto(message: proto::Membership) -> Option<Membership> {
        let mut members = BTreeMap::new();
        for member in message.members {
            let address = member.address.parse().ok()?;
            let known = members
                .insert(NodeId(member.node_id), Member { address, store_id: member.store_id });
            if member.node_id == 0 || known.is_some() {
                return None;
            }
        }
        let is_whole = message.cluster_id != 0 && !members.is_empty();
        is_whole.then_some(Membership { cluster_id: message.cluster_id, members })
    }
}

#[cfg(test)]
mod tests;
