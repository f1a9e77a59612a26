//! The sender's side: one view of the engine, part by part.

use std::sync::Arc;
use std::time::Duration;

use crate::engine::{Engine, EngineError, EngineSnapshot};
use crate::env::Env;
use crate::failure::Failure;
use crate::ids::{RangeId, ReplicaId};
use crate::raft::Address;
use crate::range::snapshot::Parts;
use crate::range::state::RangeState;
use crate::rpc::{RequestBody, ResponseBody, RpcRequest, SnapshotHead, SnapshotPart};
use crate::store::StoreConfig;
use crate::store::shared::SharedRef;
use crate::store::snapshot::stage::SILENCE_MAX;

/// How long a part may take, and the last one with it the installation.
const PART_PATIENCE: Duration = Duration::from_secs(60);

/// A snapshot that a leader owes to another replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) range: RangeId,
    pub(crate) from: ReplicaId,
    pub(crate) to: ReplicaId,
    pub(crate) address: Address,
    /// The log begins about here: an older snapshot would not do.
    pub(crate) index: u64,
}

/// Why a snapshot did not arrive.
enum Lost {
    /// The own engine failed: the store stops.
    Engine(EngineError),
    /// It is to be tried again later.
    Otherwise(String),
}

/// Sends what the core orders, one snapshot after the other.
pub(crate) async fn send_loop(
    env: Env,
    engine: Arc<dyn Engine>,
    shared: SharedRef,
    config: StoreConfig,
) {
    loop {
        let order = shared.snapshot_order().await;
        let (range, to) = (order.range, order.to);
        let sent = match send(&env, &*engine, &config, &order).await {
            Ok(bytes) => {
                tracing::info!(%range, replica = %to, bytes, "a snapshot was sent");
                true
            }
            Err(Lost::Engine(error)) => return shared.fail(Failure::from(&error)),
            Err(Lost::Otherwise(why)) => {
                tracing::info!(%range, replica = %to, why, "a snapshot was not sent");
                false
            }
        };
        shared.notify(|notices| notices.sent = Some((range, to, sent)));
    }
}

/// A snapshot that is being sent.
pub(crate) struct Sending {
    part: SnapshotPart,
    parts: Parts,
}

impl Sending {
    /// Begins, with a view of the engine and a random number. `None`: the replica is no member any more, or the view is older
    /// than what it needs.
    pub(crate) fn begin(
        view: Arc<dyn EngineSnapshot>,
        order: &Order,
        snapshot: u64,
        bytes_max: usize,
    ) -> Result<Option<Sending>, EngineError> {
        let state = RangeState::load(&*view, order.range)?.filter(|state| {
            state.applied.index >= order.index && state.descriptor.node_of(order.to).is_some()
        });
        let Some(RangeState { descriptor, applied, .. }) = state else { return Ok(None) };
        let parts = Parts::new(view, &descriptor, bytes_max);
        let (index, term, from) = (applied.index, applied.term, order.from.0);
        let part = SnapshotPart {
            snapshot,
            range_id: order.range.0,
            replica_id: order.to.0,
            store_id: order.address.store.0,
            head: Some(SnapshotHead { descriptor, index, term, from }),
            ..SnapshotPart::default()
        };
        Ok(Some(Sending { part, parts }))
    }

    /// The next part.
    pub(crate) fn next_part(&mut self) -> Result<SnapshotPart, EngineError> {
        let (entries, is_last) = self.parts.next_part()?;
        let checksum = crc32fast::hash(&entries);
        let number = self.part.number;
        self.part.number += 1;
        let head = self.part.head.take();
        Ok(SnapshotPart { number, entries, checksum, is_last, head, ..self.part.clone() })
    }
}

/// Sends one snapshot. Gives its bytes.
async fn send(
    env: &Env,
    engine: &dyn Engine,
    config: &StoreConfig,
    order: &Order,
) -> Result<usize, Lost> {
    let (number, bytes_max) = (env.rng.next_u64(), config.snapshot_part_bytes);
    let sending = Sending::begin(engine.snapshot(), order, number, bytes_max);
    let Some(mut sending) = sending.map_err(Lost::Engine)? else {
        return Err(Lost::Otherwise("the replica is no member".into()));
    };
    let mut bytes = 0;
    loop {
        let part = sending.next_part().map_err(Lost::Engine)?;
        let (len, is_last) = (part.entries.len(), part.is_last);
        let request = RpcRequest { body: Some(RequestBody::Snapshot(part)) };
        let call = env.transport.call(order.address.node, request);
        match env.clock.timeout(PART_PATIENCE, call).await {
            Some(Ok(answer)) => match answer.body {
                Some(ResponseBody::Refused(refusal)) => {
                    return Err(Lost::Otherwise(refusal.message));
                }
                Some(_) => {}
                None => return Err(Lost::Otherwise("an unknown answer".into())),
            },
            Some(Err(error)) => return Err(Lost::Otherwise(error.to_string())),
            None => return Err(Lost::Otherwise("no answer".into())),
        }
        bytes += len;
        if is_last {
            return Ok(bytes);
        }
        let pause = len as f64 / config.snapshot_bytes_per_second as f64;
        // Not so long that the other store believes this one gone.
        env.clock.sleep(Duration::from_secs_f64(pause).min(SILENCE_MAX / 2)).await;
    }
}
