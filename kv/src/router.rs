//! The router: finds the lease holder of a key's range, and brings its answer back.
//!
//! - I1. A cached descriptor is only a guess. Whoever is asked checks range and bounds itself; the refusal
//!   carries what it knows better, and the cache takes that under the directory's rule.
//! - I2. What may have been executed is never sent again unless the caller says that it is repeatable.
//! - I3. Everything ends at the deadline.
//! - I4. A node that did not answer is not the first to be asked the next time: an attempt that failed, or whose caller
//!   has gone (a cancel, a timeout), takes its node out of the cache of lease holders.
//!
//! How long one attempt may take depends on what is asked. A lookup is answered from memory, so it has
//! [`LOOKUP_TIMEOUT`] and then the next replica is asked. A batch may wait at its lease holder for what is in its way; that
//! the holder is gone meanwhile is noticed by the transport, which then says so for all attempts at once.
//!
//! The directory itself is asked on any node of the meta range: a stale answer costs a redirect, no more.
//!
//! A batch for the own node is neither encoded nor sent: it is evaluated within the caller's task, under the node's scope
//! ([`crate::env::TaskScope::enter`]).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use prost::Message;

use crate::env::{Env, RpcError};
use crate::ids::{NodeId, RangeId};
use crate::range::descriptor::RangeDescriptor;
use crate::range::directory::Directory;
use crate::rpc::{
    AllocateIds, DirectoryLookup, RangeRequest, Refusal, RefusalReason, RequestBody, ResponseBody,
    RpcRequest, SplitRequest,
};
use crate::seam::{Protocol, RangeService, Routing, SendError};
use crate::store::{SharedRef, StoreHandle};

/// Pause before asking again when nobody could answer; doubles up to the maximum.
const PAUSE_MIN: Duration = Duration::from_millis(5);
const PAUSE_MAX: Duration = Duration::from_millis(200);
/// Longest wait for one replica's answer to a lookup.
const LOOKUP_TIMEOUT: Duration = Duration::from_millis(500);
/// Redirects followed without a pause.
const REDIRECTS_MAX: usize = 3;
/// Descriptors in the cache; at the bound it starts anew.
const CACHE_ENTRIES_MAX: usize = 100_000;
/// Time allowed for the router's own requests.
const ADMIN_TIMEOUT: Duration = Duration::from_secs(10);

/// Finds and addresses ranges for one gateway. Cheap to clone.
pub struct Router<P: Protocol>(Arc<Inner<P>>);

impl<P: Protocol> Clone for Router<P> {
    fn clone(&self) -> Self {
        Router(self.0.clone())
    }
}

struct Inner<P: Protocol> {
    env: Env,
    /// Of the own store. Not its handle: who holds a gateway must not hold the engine's files.
    shared: SharedRef,
    /// What answers batches on the own node, once it does. Not its owner, for the same reason.
    own: OnceLock<Weak<dyn RangeService<P>>>,
    meta: RangeDescriptor,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    directory: Directory,
    lease_holders: BTreeMap<RangeId, NodeId>,
}

/// Takes a node out of the cache of lease holders unless it has answered: see I4.
struct Doubt<'a, P: Protocol> {
    router: &'a Router<P>,
    range: RangeId,
    node: NodeId,
    answered: bool,
}

impl<P: Protocol> Drop for Doubt<'_, P> {
    fn drop(&mut self) {
        if !self.answered {
            self.router.forget(self.range, self.node);
        }
    }
}

/// What is asked of a node.
enum Ask<P: Protocol> {
    /// To evaluate a batch on a range.
    Batch(RangeId, Arc<P::Request>),
    /// One of kv's own requests.
    Own(RequestBody),
}

/// What a node answers.
enum Answer<P: Protocol> {
    Batch(P::Response),
    Own(ResponseBody),
}

/// What one attempt at one node came to.
enum Attempt<P: Protocol> {
    Answer(Answer<P>),
    Refused(Refusal),
    NotSent,
    Unknown,
}

impl<P: Protocol> Router<P> {
    /// A router of the node with this store, which knows where the meta range is. It knows nobody who evaluates batches on
    /// its own node before [`Router::serve`].
    pub fn new(env: Env, store: &StoreHandle, meta: RangeDescriptor) -> Self {
        let (shared, own, state) = (store.shared(), OnceLock::new(), Mutex::default());
        Router(Arc::new(Inner { env, shared, own, meta, state }))
    }

    /// From now on batches for the own node go there, for as long as somebody else keeps it.
    pub fn serve(&self, own: Weak<dyn RangeService<P>>) {
        // Whoever came first stays: a node has one.
        let _ = self.0.own.set(own);
    }

    /// A node whose store has stopped sends nothing any more: it could not finish what it begins.
    fn ensure_running(&self) -> Result<(), SendError> {
        match self.0.shared.failure.get() {
            Some(failure) => Err(SendError::Stopped(failure.clone())),
            None => Ok(()),
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.state.lock().expect("no panic while the cache is held")
    }

    fn deadline(&self) -> Duration {
        self.0.env.clock.monotonic() + ADMIN_TIMEOUT
    }

    /// Takes fresh range ids from the meta range; returns the first. An unknown outcome is repeated: lost ids
    /// do no harm.
    pub async fn allocate_ids(&self, count: u64) -> Result<u64, SendError> {
        let ask = Ask::Own(RequestBody::AllocateIds(AllocateIds { count }));
        match self.to_lease_holder(&self.0.meta, &ask, true, self.deadline()).await? {
            (Answer::Own(ResponseBody::FirstId(first)), _) => Ok(first),
            _ => Err(SendError::Invalid("an allocation was answered with something else".into())),
        }
    }

    /// Tells the directory about a range. Repeatable.
    pub async fn report(&self, descriptor: RangeDescriptor) -> Result<(), SendError> {
        let ask = Ask::Own(RequestBody::DirectoryUpsert(descriptor));
        self.to_lease_holder(&self.0.meta, &ask, true, self.deadline()).await.map(|_| ())
    }

    /// Asks the lease holder of the range that holds `key` to split there. Returns both sides. A range that
    /// already begins at `key` is left as it is.
    pub async fn split(&self, key: Bytes) -> Result<Vec<RangeDescriptor>, SendError> {
        let deadline = self.deadline();
        loop {
            let range = self.lookup_key(&key, deadline).await?;
            if range.start == key {
                return Ok(vec![range]);
            }
            let request = SplitRequest { range_id: range.range_id, key: key.clone() };
            let ask = Ask::Own(RequestBody::Split(request));
            match self.to_lease_holder(&range, &ask, false, deadline).await {
                Ok((Answer::Own(ResponseBody::Descriptors(sides)), _)) => {
                    self.learn(sides.items.clone());
                    return Ok(sides.items);
                }
                Ok(_) => {
                    let what = "a split was answered with something else";
                    return Err(SendError::Invalid(what.into()));
                }
                // Whether it happened shows in the next lookup.
                Err(SendError::Moved | SendError::Unknown) => {
                    self.pause(&mut PAUSE_MAX.clone(), deadline).await?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn learn(&self, descriptors: Vec<RangeDescriptor>) {
        let mut state = self.state();
        if state.directory.len() >= CACHE_ENTRIES_MAX {
            *state = State::default();
        }
        for descriptor in descriptors {
            if descriptor.start < descriptor.end && !descriptor.replicas.is_empty() {
                state.directory.upsert(descriptor);
            }
        }
    }

    /// The nodes with a replica of a range, from the own one on: it answers at once or is the one that is gone, and
    /// different gateways begin with different nodes.
    fn own_first(&self, range: &RangeDescriptor) -> Vec<NodeId> {
        let mut nodes: Vec<NodeId> = range.replicas.iter().map(|r| NodeId(r.node_id)).collect();
        nodes.sort_unstable();
        let own = nodes.partition_point(|node| *node < self.0.env.node_id) % nodes.len().max(1);
        nodes.rotate_left(own);
        nodes
    }

    /// The node does not seem to hold the range's lease, or does not answer.
    fn forget(&self, range: RangeId, node: NodeId) {
        let mut state = self.state();
        if state.lease_holders.get(&range) == Some(&node) {
            state.lease_holders.remove(&range);
        }
    }

    async fn lookup_key(
        &self,
        key: &Bytes,
        deadline: Duration,
    ) -> Result<RangeDescriptor, SendError> {
        let mut pause = PAUSE_MIN;
        loop {
            self.ensure_running()?;
            for node in self.own_first(&self.0.meta) {
                if let Some(found) = self.state().directory.lookup(key) {
                    return Ok(found.clone());
                }
                let lookup = DirectoryLookup { key: key.clone() };
                let ask = Ask::Own(RequestBody::DirectoryLookup(lookup));
                let soon = self.0.env.clock.monotonic() + LOOKUP_TIMEOUT;
                let attempt = self.attempt(node, &ask, deadline.min(soon)).await;
                if let Attempt::Answer(Answer::Own(ResponseBody::Descriptors(found))) = attempt {
                    self.learn(found.items);
                }
            }
            if let Some(found) = self.state().directory.lookup(key) {
                return Ok(found.clone());
            }
            self.pause(&mut pause, deadline).await?;
        }
    }

    /// Waits a little before another round, or says that there is no time for one.
    async fn pause(&self, pause: &mut Duration, deadline: Duration) -> Result<(), SendError> {
        let clock = &self.0.env.clock;
        if clock.monotonic() + *pause >= deadline {
            return Err(SendError::Unavailable);
        }
        clock.sleep(*pause).await;
        *pause = (*pause * 2).min(PAUSE_MAX);
        Ok(())
    }

    async fn attempt(&self, node: NodeId, ask: &Ask<P>, deadline: Duration) -> Attempt<P> {
        let env = &self.0.env;
        let left = deadline.saturating_sub(env.clock.monotonic());
        let body = match ask {
            Ask::Batch(range, request) if node == env.node_id => {
                return self.attempt_here(*range, request.clone(), left).await;
            }
            Ask::Batch(range, request) => {
                let payload = Bytes::from(request.encode_to_vec());
                RequestBody::Range(RangeRequest { range_id: range.0, payload })
            }
            Ask::Own(body) => body.clone(),
        };
        let call = env.transport.call(node, RpcRequest { body: Some(body) });
        match env.clock.timeout(left, call).await {
            Some(Ok(response)) => match (response.body, ask) {
                (Some(ResponseBody::Refused(refusal)), _) => Attempt::Refused(refusal),
                (Some(ResponseBody::Payload(payload)), Ask::Batch(..)) => {
                    match P::Response::decode(payload) {
                        Ok(response) => Attempt::Answer(Answer::Batch(response)),
                        Err(_) => Attempt::Unknown,
                    }
                }
                (Some(body), Ask::Own(_)) => Attempt::Answer(Answer::Own(body)),
                // An answer of a later version. Whatever it says, it may have been done.
                _ => Attempt::Unknown,
            },
            Some(Err(RpcError::NotSent)) => Attempt::NotSent,
            Some(Err(RpcError::Unknown)) | None => Attempt::Unknown,
        }
    }

    /// An attempt at the own node.
    async fn attempt_here(
        &self,
        range: RangeId,
        request: Arc<P::Request>,
        left: Duration,
    ) -> Attempt<P> {
        let env = &self.0.env;
        let Some(service) = self.0.own.get().and_then(Weak::upgrade) else {
            return Attempt::NotSent;
        };
        let attempt = Arc::new(Mutex::new(Attempt::NotSent));
        let outcome = attempt.clone();
        let note = move |attempt| *outcome.lock().unwrap_or_else(PoisonError::into_inner) = attempt;
        let call = async move {
            note(Attempt::Unknown);
            note(match service.execute(range, request).await {
                Ok(response) => Attempt::Answer(Answer::Batch(response)),
                Err(refusal) => Attempt::Refused(refusal),
            });
        };
        // Too late, or the node has ended: what was noted so far tells.
        let _ = env.clock.timeout(left, env.tasks.enter(Box::pin(call))).await;
        let mut attempt = attempt.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *attempt, Attempt::Unknown)
    }

    /// Sends to the lease holder of a range, wherever redirects lead, until `deadline`.
    async fn to_lease_holder(
        &self,
        range: &RangeDescriptor,
        ask: &Ask<P>,
        repeatable: bool,
        deadline: Duration,
    ) -> Result<(Answer<P>, NodeId), SendError> {
        let nodes = self.own_first(range);
        let mut next = self.state().lease_holders.get(&range.id()).copied();
        let mut turn = 0;
        let mut redirects = 0;
        let mut pause = PAUSE_MIN;
        loop {
            self.ensure_running()?;
            let node = next.take().filter(|node| nodes.contains(node)).unwrap_or_else(|| {
                turn += 1;
                nodes[(turn - 1) % nodes.len()]
            });
            let mut doubt = Doubt { router: self, range: range.id(), node, answered: false };
            match self.attempt(node, ask, deadline).await {
                Attempt::Answer(answer) => {
                    doubt.answered = true;
                    self.state().lease_holders.insert(range.id(), node);
                    return Ok((answer, node));
                }
                Attempt::Unknown if !repeatable => return Err(SendError::Unknown),
                Attempt::Unknown | Attempt::NotSent => {}
                Attempt::Refused(refusal) => {
                    next = self.redirect(range, refusal, repeatable, node)?;
                }
            }
            redirects += 1;
            // A round of redirects and of all nodes, then patience: an election takes a second or two.
            if next.is_some() && redirects <= REDIRECTS_MAX {
                continue;
            }
            if redirects >= REDIRECTS_MAX + nodes.len() {
                redirects = 0;
            }
            self.pause(&mut pause, deadline).await?;
        }
    }

    /// Where to go after a refusal, if it says.
    fn redirect(
        &self,
        range: &RangeDescriptor,
        refusal: Refusal,
        repeatable: bool,
        from: NodeId,
    ) -> Result<Option<NodeId>, SendError> {
        // A reason of a later version proves nothing.
        let reason = RefusalReason::try_from(refusal.reason).unwrap_or(RefusalReason::Unknown);
        match reason {
            RefusalReason::WrongRange => {
                self.learn(refusal.descriptors);
                let mut state = self.state();
                state.lease_holders.remove(&range.id());
                let newer = state.directory.lookup(&range.start).is_some_and(|d| d != range);
                // Without better knowledge, this replica is behind: it has not applied the split yet that
                // made the range. Others may have.
                if newer { Err(SendError::Moved) } else { Ok(None) }
            }
            RefusalReason::NotLeaseHolder => {
                // The holder serves as long as its lease lasts, whoever leads; after that only a leader can take it.
                let now = self.0.env.clock.now();
                let lease = refusal.lease.filter(|lease| now < lease.expiration_ts());
                let holder = lease.map(|lease| NodeId(lease.node_id)).filter(|node| *node != from);
                let leader = (refusal.leader_node != 0).then_some(NodeId(refusal.leader_node));
                Ok(holder.or(leader.filter(|node| *node != from)))
            }
            RefusalReason::Unavailable => Ok(None),
            RefusalReason::Unknown if repeatable => Ok(None),
            RefusalReason::Unknown => Err(SendError::Unknown),
            RefusalReason::Invalid => Err(SendError::Invalid(refusal.message)),
            RefusalReason::BelowFloor => Err(SendError::TooOld),
        }
    }
}

impl<P: Protocol> Routing<P> for Router<P> {
    fn lookup(
        &self,
        key: Bytes,
        deadline: Duration,
    ) -> BoxFuture<'static, Result<RangeDescriptor, SendError>> {
        let router = self.clone();
        Box::pin(async move { router.lookup_key(&key, deadline).await })
    }

    fn send(
        &self,
        descriptor: RangeDescriptor,
        request: Arc<P::Request>,
        repeatable: bool,
        deadline: Duration,
    ) -> BoxFuture<'static, Result<(P::Response, NodeId), SendError>> {
        let router = self.clone();
        Box::pin(async move {
            let ask = Ask::Batch(descriptor.id(), request);
            match router.to_lease_holder(&descriptor, &ask, repeatable, deadline).await? {
                (Answer::Batch(response), node) => Ok((response, node)),
                (Answer::Own(_), _) => {
                    Err(SendError::Invalid("a batch was answered with something else".into()))
                }
            }
        })
    }
}
