//! What a node answers when another (or itself) asks: batches go to the transaction server, the rest is kv's.

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::{BoxFuture, Either, select};
use prost::Message;

use crate::env::Env;
use crate::ids::RangeId;
use crate::range::bootstrap::META_RANGE;
use crate::range::command::CommandKind;
use crate::range::descriptor::RangeDescriptor;
use crate::router::Router;
use crate::rpc::{
    Descriptors, Refusal, RefusalReason, RequestBody, ResponseBody, RpcRequest, RpcResponse,
};
use crate::seam::{ProposeError, Protocol, RangeService, SplitKeyPolicy};
use crate::store::StoreHandle;

/// Directory entries in one answer.
const LOOKUP_ENTRIES_MAX: usize = 16;
/// Ids in one allocation.
const ALLOCATION_MAX: u64 = 1_000;

/// Intervals between two reports of all that a node holds.
const ROUNDS_BETWEEN_ALL: u64 = 30;

/// The serving side of a node. Cheap to clone.
pub struct Service<P: Protocol> {
    store: StoreHandle,
    router: Router<P>,
    batches: Arc<dyn RangeService<P>>,
    policy: Arc<dyn SplitKeyPolicy>,
}

impl<P: Protocol> Clone for Service<P> {
    fn clone(&self) -> Self {
        let Service { store, router, batches, policy } = self;
        Service {
            store: store.clone(),
            router: router.clone(),
            batches: batches.clone(),
            policy: policy.clone(),
        }
    }
}

impl<P: Protocol> RangeService<P> for Service<P> {
    fn execute(
        &self,
        range: RangeId,
        request: Arc<P::Request>,
    ) -> BoxFuture<'static, Result<P::Response, Refusal>> {
        let (store, answer) = (self.store.clone(), self.batches.execute(range, request));
        Box::pin(async move { unless_stalled(&store, answer).await })
    }
}

/// What is answered without waiting for the disk is answered. Whoever waits for it goes elsewhere; what was proposed goes on
/// without them.
async fn unless_stalled<T>(
    store: &StoreHandle,
    answer: BoxFuture<'_, Result<T, Refusal>>,
) -> Result<T, Refusal> {
    match select(answer, pin!(store.stalled())).await {
        Either::Left((answer, _)) => answer,
        Either::Right(_) => Err(unknown("the disk does not answer")),
    }
}

impl<P: Protocol> Service<P> {
    /// A service over a store. `router` finds the meta range for splits and reports.
    pub fn new(
        store: StoreHandle,
        router: Router<P>,
        batches: Arc<dyn RangeService<P>>,
        policy: Arc<dyn SplitKeyPolicy>,
    ) -> Self {
        Service { store, router, batches, policy }
    }

    /// Answers one request. Malformed ones are refused as invalid.
    pub fn serve(&self, request: RpcRequest) -> BoxFuture<'static, RpcResponse> {
        let service = self.clone();
        Box::pin(async move {
            let answer = unless_stalled(&service.store, Box::pin(service.answer(request))).await;
            RpcResponse { body: Some(answer.unwrap_or_else(ResponseBody::Refused)) }
        })
    }

    async fn answer(&self, request: RpcRequest) -> Result<ResponseBody, Refusal> {
        match request.body {
            Some(RequestBody::Range(request)) => {
                let range = RangeId(request.range_id);
                let batch = P::Request::decode(request.payload);
                let batch = batch.map_err(|_| invalid("an undecodable batch"))?;
                let response = self.batches.execute(range, Arc::new(batch)).await?;
                Ok(ResponseBody::Payload(Bytes::from(response.encode_to_vec())))
            }
            Some(RequestBody::DirectoryLookup(lookup)) => {
                let items = self.store.directory_from(&lookup.key, LOOKUP_ENTRIES_MAX);
                Ok(ResponseBody::Descriptors(Descriptors { items }))
            }
            Some(RequestBody::DirectoryUpsert(entry)) => {
                if entry.start >= entry.end || entry.replicas.is_empty() {
                    return Err(invalid("a descriptor without keys or replicas"));
                }
                self.propose(META_RANGE, CommandKind::DirectoryUpsert(entry)).await?;
                Ok(ResponseBody::Descriptors(Descriptors::default()))
            }
            Some(RequestBody::AllocateIds(allocate)) => {
                if allocate.count == 0 || allocate.count > ALLOCATION_MAX {
                    return Err(invalid("between 1 and 1,000 ids can be allocated at once"));
                }
                let kind = CommandKind::AllocateIds(allocate.count);
                self.propose(META_RANGE, kind).await.map(ResponseBody::FirstId)
            }
            Some(RequestBody::Split(split)) => {
                let key = self.policy.boundary(&split.key);
                let id = self.router.allocate_ids(1).await.map_err(|error| Refusal {
                    reason: RefusalReason::Unavailable as i32,
                    message: error.to_string(),
                    ..Refusal::default()
                })?;
                let range = RangeId(split.range_id);
                let items = self.store.split(range, key, RangeId(id)).await.map_err(to_refusal)?;
                Ok(ResponseBody::Descriptors(Descriptors { items }))
            }
            Some(RequestBody::LeaseOffer(range)) => {
                self.store.lease_taker(RangeId(range)).map(ResponseBody::LeaseTaker)
            }
            Some(RequestBody::Snapshot(part)) => {
                self.store.take_part(part).await?;
                Ok(ResponseBody::Descriptors(Descriptors::default()))
            }
            None => Err(invalid("a request of an unknown kind")),
        }
    }

    async fn propose(&self, range: RangeId, kind: CommandKind) -> Result<u64, Refusal> {
        self.store.propose_command(range, kind).await.map_err(to_refusal)
    }

    /// Tells the directory what has changed here (leases that were acquired, ranges that were split) at once, and again
    /// every `interval` what did not get through. Every [`ROUNDS_BETWEEN_ALL`] intervals, all that this node holds. What the
    /// local copy of the directory says already is not told: in a quiet cluster nobody says anything.
    pub async fn report_loop(self, env: Env, interval: std::time::Duration) {
        let shared = self.store.shared();
        let mut untold = BTreeSet::new();
        for round in 0_u64.. {
            let until = env.clock.monotonic() + interval;
            loop {
                let left = until.saturating_sub(env.clock.monotonic());
                let Some(changed) = env.clock.timeout(left, shared.reportable()).await else {
                    break;
                };
                self.tell(changed, &mut untold).await;
            }
            let mut ranges = std::mem::take(&mut untold);
            if round.is_multiple_of(ROUNDS_BETWEEN_ALL) {
                ranges.extend(self.store.held_ranges().iter().map(RangeDescriptor::id));
            }
            self.tell(ranges, &mut untold).await;
        }
    }

    /// Tells the directory of those of the ranges that this node holds; what did not get through is `untold`.
    async fn tell(&self, ranges: BTreeSet<RangeId>, untold: &mut BTreeSet<RangeId>) {
        for range in ranges {
            let Some(descriptor) = self.store.held_range(range) else { continue };
            if !self.store.directory_has(&descriptor)
                && self.router.report(descriptor).await.is_err()
            {
                untold.insert(range);
            }
        }
    }
}

fn to_refusal(error: ProposeError) -> Refusal {
    match error {
        ProposeError::Rejected(refusal) => refusal,
        ProposeError::Unknown => unknown("the outcome of the proposal is unknown"),
    }
}

fn unknown(message: &str) -> Refusal {
    Refusal { reason: RefusalReason::Unknown as i32, message: message.into(), ..Refusal::default() }
}

fn invalid(message: &str) -> Refusal {
    Refusal { reason: RefusalReason::Invalid as i32, message: message.into(), ..Refusal::default() }
}
