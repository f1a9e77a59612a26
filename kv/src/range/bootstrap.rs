//! The first ranges of a cluster, and what a store knows of itself.
//!
//! Bootstrapping is a pure function of the cluster's id and first members, so that every member writes the same
//! initial state and no snapshot is needed to begin.

use std::ops::RangeInclusive;

use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;

use crate::clock::Timestamp;
use crate::engine::{Engine, EngineBatch, EngineError};
use crate::ids::{NodeId, RangeId, ReplicaId, StoreId};
use crate::keys;
use crate::range::descriptor::{RangeDescriptor, Replica};
use crate::range::state::RangeState;

/// The range that holds the directory and hands out ids. Never splits.
pub const META_RANGE: RangeId = RangeId(1);
/// The range of system tables.
pub const SYSTEM_RANGE: RangeId = RangeId(2);
/// The range that all data begins in.
pub const FIRST_DATA_RANGE: RangeId = RangeId(3);
/// First byte of every key of the meta range.
pub const META_PREFIX: u8 = 0x01;
/// First byte of every key of system tables.
pub const SYSTEM_PREFIX: u8 = 0x02;
/// First byte of data keys, and the start of the first data range.
pub const DATA_PREFIX: u8 = 0x03;
/// The end of all keys.
pub const KEYSPACE_END: &[u8] = &[0xff];
/// Ids below it are never allocated.
const FIRST_ALLOCATED_ID: u64 = 100;
const IDENT: &[u8] = b"ident";
/// Format of stores: what keys and values look like, from the engine's up to SQL's (`docs/storage-format.md`). The first byte
/// of the identity, which the builds of every format read.
pub const STORE_FORMAT: u8 = 4;
/// Stores of these formats are stores of the present format in which some things have not happened yet. Opening one makes it
/// one of the present format.
const FORMER_FORMATS: RangeInclusive<u8> = 2..=3;

/// What a store knows of itself.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct StoreIdent {
    /// Random number shared by all nodes of a cluster.
    #[prost(fixed64, tag = "1")]
    pub cluster_id: u64,
    /// The node that the store belongs to.
    #[prost(uint64, tag = "2")]
    pub node_id: u64,
    /// Its number. Zero: it is the node's first store, and has the node's.
    #[prost(uint64, tag = "3")]
    pub store_id: u64,
}

impl StoreIdent {
    /// Of the first store of a node.
    pub fn first(cluster_id: u64, node: NodeId) -> Self {
        StoreIdent { cluster_id, node_id: node.0, store_id: node.0 }
    }

    /// The store's number.
    pub fn store(&self) -> StoreId {
        StoreId(if self.store_id == 0 { self.node_id } else { self.store_id })
    }
}

/// The descriptors that a cluster of these nodes begins with: meta, system, data; each with a replica on
/// every node.
pub fn initial_ranges(nodes: &[NodeId]) -> Vec<RangeDescriptor> {
    let replicas: Vec<Replica> = (1..)
        .zip(nodes)
        .map(|(replica_id, node)| Replica::voter(ReplicaId(replica_id), *node))
        .collect();
    let range = |id: RangeId, start: u8, end: &[u8]| RangeDescriptor {
        range_id: id.0,
        start: Bytes::copy_from_slice(&[start]),
        end: Bytes::copy_from_slice(end),
        generation: 1,
        replicas: replicas.clone(),
    };
    vec![
        range(META_RANGE, META_PREFIX, &[SYSTEM_PREFIX]),
        range(SYSTEM_RANGE, SYSTEM_PREFIX, &[DATA_PREFIX]),
        range(FIRST_DATA_RANGE, DATA_PREFIX, KEYSPACE_END),
    ]
}

/// Writes the initial state of a member's empty store, durably.
pub async fn bootstrap(
    engine: &dyn Engine,
    ident: &StoreIdent,
    nodes: &[NodeId],
) -> Result<(), EngineError> {
    let mut batch = EngineBatch::default();
    let ranges = initial_ranges(nodes);
    for descriptor in &ranges {
        let mut state = RangeState::initial(descriptor.clone(), None, Timestamp::ZERO);
        if descriptor.id() == META_RANGE {
            state = state.with_directory(FIRST_ALLOCATED_ID, &ranges);
        }
        state.save(&mut batch);
    }
    put_ident(&mut batch, ident);
    engine.apply(batch)?;
    engine.sync().await
}

fn put_ident(batch: &mut EngineBatch, ident: &StoreIdent) {
    let mut value = BytesMut::new();
    value.put_u8(STORE_FORMAT);
    ident.encode(&mut value).expect("the buffer grows");
    batch.put(keys::store_key(IDENT), value.freeze());
}

/// Says that a store has the present format, before anything is written that builds of the former ones do not know: should a
/// crash lose it, then all that is later as well.
pub(crate) fn renew_ident(engine: &dyn Engine, ident: &StoreIdent) -> Result<(), EngineError> {
    let mut batch = EngineBatch::default();
    put_ident(&mut batch, ident);
    engine.apply(batch)
}

/// Why a store does not say what it knows of itself.
#[derive(Debug, thiserror::Error)]
pub enum IdentError {
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The store is another build's.
    #[error(
        "the store has format {found}, and this build reads and writes format {STORE_FORMAT}: \
         start it with the build that wrote it, and copy its tables into a new cluster"
    )]
    Format {
        /// Its format.
        found: u8,
    },
}

/// What the store knows of itself; `None` when it was never bootstrapped.
pub fn read_ident(engine: &dyn Engine) -> Result<Option<StoreIdent>, IdentError> {
    let Some(value) = engine.snapshot().get(&keys::store_key(IDENT))? else { return Ok(None) };
    match value.split_first() {
        Some((found, body)) if *found == STORE_FORMAT || FORMER_FORMATS.contains(found) => {
            StoreIdent::decode(body).ok()
        }
        Some((&found, _)) => return Err(IdentError::Format { found }),
        None => None,
    }
    .ok_or_else(|| EngineError::Corrupt("undecodable store identity".into()).into())
    .map(Some)
}
