//! The simulated network: one heap of messages under way, ordered by their arrival.
//!
//! Promised: what happens to a message is decided by the injected generator, by the links' state when it is
//! sent and when it arrives, and by nothing else.
//!
//! - I1. A message sent on a cut link, or under way when its link is cut, does not arrive. Links are directed.
//! - I2. Without `reorder`, messages of one lane of a link arrive in the order of sending (a repetition may
//!   come late).
//! - I3. What was sent to one life of a node never reaches its next one.
//! - I4. `NotSent` is answered only when no copy of the request was, or will be, looked at by the other node.
//! - I5. What is larger than [`kv::rpc::MAX_MESSAGE_BYTES`] is not sent; an answer arrives as unknown then.
//! - I6. Every node hears what the others' clocks show, as in the real world: it has a call stream to each, which carries
//!   something every [`KEEPALIVE`] while it is open, and is dialled every [`RETRY_MAX`] while it is not. Also who is
//!   refused for its clock hears that: requests and dials are answered each, Raft messages once in [`RETRY_MAX`].
//! - I7. Under way are at most [`IN_FLIGHT_MAX`] Raft messages and as many calls per directed link.
//!
//! HAZARD: the trace sink is called under the network's lock and must not call back.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use kv::clock::Clock;
use kv::env::{Rng, RpcError, TaskScope};
use kv::ids::NodeId;
use kv::rpc::{RaftMessage, RpcRequest};
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use super::link::{Fate, Lane, Link, LinkProfile, chance};
use super::parcel::{Body, CallResult, Parcel};
use super::transport::SimTransport;
use crate::inbound::{ClockGate, InboundSlot};
use crate::liveness::{KEEPALIVE, RETRY_MAX};

/// Bound on what is under way on a directed link; the same as the real transport's queues.
const IN_FLIGHT_MAX: usize = 4_096;
/// Deliveries between two chances for the nodes' tasks to run.
const DELIVERIES_MAX: usize = 256;
/// How often a dead connection is noticed at once, in per mille. Else the caller runs into its timeout.
const NOTICED: u16 = 500;

/// Takes one line per event of the network.
pub type TraceSink = Arc<dyn Fn(&str) + Send + Sync>;

/// What the network has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NetworkStats {
    /// Messages that nodes tried to send: Raft messages, requests and answers.
    pub sent: u64,
    /// Messages that were looked at by the receiver.
    pub delivered: u64,
    /// Messages (and repetitions) that were not.
    pub dropped: u64,
    /// Messages under way twice.
    pub duplicated: u64,
}

/// The network of one simulated cluster.
pub struct SimNetwork {
    rng: Arc<dyn Rng>,
    sink: Option<TraceSink>,
    start: Instant,
    state: Mutex<State>,
    /// Tells the delivery task of an earlier arrival.
    wake: Arc<Notify>,
}

#[derive(Default)]
pub(super) struct State {
    next_number: u64,
    under_way: BTreeMap<(Instant, u64), Parcel>,
    /// Of links that do not exist yet.
    pub(super) profile: LinkProfile,
    pub(super) links: BTreeMap<(NodeId, NodeId), Link>,
    nodes: BTreeMap<NodeId, Endpoint>,
    calls: BTreeMap<u64, PendingCall>,
    stats: NetworkStats,
}

/// One life of a node, as the network knows it.
#[derive(Clone)]
pub(super) struct Endpoint {
    pub(super) life: u64,
    pub(super) gate: Arc<ClockGate>,
    pub(super) scope: Arc<dyn TaskScope>,
    pub(super) slot: InboundSlot,
}

struct PendingCall {
    from: NodeId,
    to: NodeId,
    answer: Option<oneshot::Sender<CallResult>>,
    /// Told when the other node shows that it is there.
    alive: Arc<Notify>,
}

/// A call on its way.
pub(super) struct Begun {
    pub(super) call: u64,
    pub(super) answer: oneshot::Receiver<CallResult>,
    pub(super) alive: Arc<Notify>,
}

impl SimNetwork {
    /// A network without nodes, and its delivery task on the current runtime.
    pub fn new(rng: Arc<dyn Rng>, sink: Option<TraceSink>) -> Arc<Self> {
        let wake = Arc::new(Notify::new());
        let network = Arc::new(SimNetwork {
            rng,
            sink,
            start: Instant::now(),
            state: Mutex::default(),
            wake: wake.clone(),
        });
        tokio::spawn(deliver_for_ever(Arc::downgrade(&network), wake));
        network
    }

    /// Connects a new life of `node`. It receives nothing before it registers on the transport.
    pub fn connect(
        self: &Arc<Self>,
        node: NodeId,
        clock: Clock,
        scope: Arc<dyn TaskScope>,
    ) -> Arc<SimTransport> {
        self.crash(node);
        let mut state = self.state();
        state.next_number += 1;
        let endpoint = Endpoint {
            life: state.next_number,
            gate: Arc::new(ClockGate::new(clock.clone())),
            scope,
            slot: InboundSlot::default(),
        };
        state.nodes.insert(node, endpoint.clone());
        drop(state);
        let keep = keep_streams(Arc::downgrade(self), node, endpoint.life, clock);
        endpoint.scope.spawn("rpc.keepalive", Box::pin(keep));
        Arc::new(SimTransport::new(self.clone(), node, endpoint))
    }

    /// Ends the life of `node` on the network: what is under way to it is lost. Crash its scope, too. At the end
    /// of a simulation crash every node: what it registered usually owns its transport, and would never be freed.
    pub fn crash(&self, node: NodeId) {
        let endpoint = {
            let mut state = self.state();
            let Some(endpoint) = state.nodes.remove(&node) else { return };
            self.trace(|| format!("crash {node}"));
            let State { calls, links, .. } = &mut *state;
            for call in calls.values_mut().filter(|call| call.to == node) {
                // The dead machine's kernel may or may not still say that the connection is gone.
                let cut = links.get(&(node, call.from)).is_some_and(|link| link.cut);
                if !cut && chance(&*self.rng, NOTICED) {
                    answer(call, Err(RpcError::Unknown));
                }
            }
            endpoint
        };
        // Not under the lock: what was registered may own calls, whose end takes the lock.
        endpoint.slot.unregister();
    }

    /// Counters.
    pub fn stats(&self) -> NetworkStats {
        self.state().stats
    }

    /// Sends Raft messages from a life of a node.
    pub(super) fn send_raft(
        &self,
        from: NodeId,
        life: u64,
        to: NodeId,
        clock: &Clock,
        messages: Vec<RaftMessage>,
    ) {
        let mut state = self.state();
        for message in messages {
            let parcel = state.parcel(from, to, clock, Body::Raft(message));
            self.trace(|| parcel.line("send"));
            if !state.is_alive(from, life) || parcel.life == 0 {
                self.drop_parcel(&mut state, &parcel, "down");
            } else if parcel.is_too_large() {
                self.drop_parcel(&mut state, &parcel, "too large");
            } else if from != to && state.link(from, to).raft_in_flight >= IN_FLIGHT_MAX {
                self.drop_parcel(&mut state, &parcel, "full");
            } else {
                self.dispatch(&mut state, parcel, Lane::Raft);
            }
        }
    }

    /// Sends a request from a life of a node. The call must be ended with [`SimNetwork::end_call`].
    pub(super) fn begin_call(
        &self,
        from: NodeId,
        life: u64,
        to: NodeId,
        clock: &Clock,
        request: RpcRequest,
    ) -> Result<Begun, RpcError> {
        let mut state = self.state();
        let pending =
            state.calls.values().filter(|call| (call.from, call.to) == (from, to)).count();
        if !state.is_alive(from, life) || pending >= IN_FLIGHT_MAX {
            return Err(RpcError::NotSent);
        }
        if state.link(from, to).silent_until.is_some() {
            self.dial_again(&mut state, from, to, clock);
            return Err(RpcError::NotSent);
        }
        state.next_number += 1;
        let call = state.next_number;
        let lane = if request.is_bulk() { Lane::Bulk } else { Lane::Calls };
        let parcel = state.parcel(from, to, clock, Body::Request { call, request });
        self.trace(|| parcel.line("send"));
        if parcel.is_too_large() {
            self.drop_parcel(&mut state, &parcel, "too large");
            return Err(RpcError::NotSent);
        }
        let link = state.link(from, to);
        let (cut, black_hole) = (link.cut, link.black_hole);
        let broken = (parcel.life == 0 || cut) && !black_hole;
        if broken && chance(&*self.rng, NOTICED) {
            self.drop_parcel(&mut state, &parcel, "not sent");
            return Err(RpcError::NotSent);
        }
        let (sender, answer) = oneshot::channel();
        let alive = Arc::new(Notify::new());
        let pending = PendingCall { from, to, answer: Some(sender), alive: alive.clone() };
        state.calls.insert(call, pending);
        if parcel.life == 0 {
            self.drop_parcel(&mut state, &parcel, "down");
        } else {
            self.dispatch(&mut state, parcel, lane);
        }
        Ok(Begun { call, answer, alive })
    }

    /// Looks whether a silent node is back, at most every [`RETRY_MAX`]. No call waits for it.
    fn dial_again(&self, state: &mut State, from: NodeId, to: NodeId, clock: &Clock) {
        let link = state.link(from, to);
        let now = Instant::now();
        if link.silent_until.is_some_and(|until| now < until) {
            return;
        }
        link.silent_until = Some(now + RETRY_MAX);
        let parcel = state.parcel(from, to, clock, Body::Dial);
        self.trace(|| parcel.line("send"));
        if parcel.life == 0 {
            self.drop_parcel(state, &parcel, "down");
        } else {
            self.dispatch(state, parcel, Lane::Calls);
        }
    }

    /// A life of a node shows itself to those who have a call stream to it, and dials where it has none.
    fn keep_alive(&self, node: NodeId, life: u64, clock: &Clock) {
        let mut state = self.state();
        if !state.is_alive(node, life) {
            return;
        }
        let others: Vec<NodeId> = state.nodes.keys().copied().filter(|id| *id != node).collect();
        for other in others {
            if state.link(other, node).silent_until.is_none() {
                let parcel = state.parcel(node, other, clock, Body::Alive { call: 0 });
                self.trace(|| parcel.line("send"));
                self.dispatch(&mut state, parcel, Lane::Calls);
            }
            if state.link(node, other).silent_until.is_some() {
                self.dial_again(&mut state, node, other, clock);
            }
        }
    }

    /// `to` has been silent for too long while `from` waited for it. All other calls to it have no answer either.
    pub(super) fn fell_silent(&self, from: NodeId, to: NodeId) {
        let mut state = self.state();
        self.trace(|| format!("silent {from}>{to}"));
        state.link(from, to).silent_until = Some(Instant::now() + RETRY_MAX);
        for call in state.calls.values_mut().filter(|call| (call.from, call.to) == (from, to)) {
            answer(call, Err(RpcError::Unknown));
        }
    }

    /// The caller has its answer, or has given up.
    pub(super) fn end_call(&self, call: u64) {
        self.state().calls.remove(&call);
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a line. Under the lock, so that the lines are in the order of the events.
    pub(super) fn trace(&self, line: impl FnOnce() -> String) {
        if let Some(sink) = &self.sink {
            sink(&format!("{:>10} {}", self.start.elapsed().as_micros(), line()));
        }
    }

    fn drop_parcel(&self, state: &mut State, parcel: &Parcel, why: &str) {
        state.stats.dropped += 1;
        self.trace(|| format!("{} ({why})", parcel.line("drop")));
    }

    /// Puts a message on its way, unless its fate is otherwise.
    fn dispatch(&self, state: &mut State, parcel: Parcel, lane: Lane) {
        let (from, to) = (parcel.from, parcel.to);
        if from == to {
            return self.enqueue(state, Instant::now(), parcel);
        }
        let link = state.link(from, to);
        if link.cut {
            return self.drop_parcel(state, &parcel, "cut");
        }
        match link.send(lane, &*self.rng) {
            Fate::Lost => self.drop_parcel(state, &parcel, "lost"),
            Fate::Arrives(at) => self.enqueue(state, at, parcel),
            // A call is made on a connection, which repeats nothing: only messages without one arrive twice.
            Fate::ArrivesTwice(at, _) if lane != Lane::Raft => self.enqueue(state, at, parcel),
            Fate::ArrivesTwice(first, second) => {
                state.stats.duplicated += 1;
                self.trace(|| parcel.line("duplicate"));
                self.enqueue(state, first, parcel.clone());
                self.enqueue(state, second, parcel);
            }
        }
    }

    fn enqueue(&self, state: &mut State, at: Instant, parcel: Parcel) {
        if matches!(parcel.body, Body::Raft(_)) {
            state.link(parcel.from, parcel.to).raft_in_flight += 1;
        }
        // Parcels of one instant arrive in the order of sending; a repetition has its own place.
        state.next_number += 1;
        let key = (at, state.next_number);
        let earliest = state.under_way.first_key_value().is_none_or(|(first, _)| key < *first);
        state.under_way.insert(key, parcel);
        if earliest {
            self.wake.notify_one();
        }
    }

    /// Delivers what is due, some of it at most. Returns when to come again.
    fn deliver_due(self: &Arc<Self>) -> Option<Instant> {
        for _ in 0..DELIVERIES_MAX {
            let (parcel, endpoint) = {
                let mut state = self.state();
                let at = state.under_way.first_key_value()?.0.0;
                if at > Instant::now() {
                    return Some(at);
                }
                let (_, parcel) = state.under_way.pop_first()?;
                if matches!(parcel.body, Body::Raft(_)) {
                    state.link(parcel.from, parcel.to).raft_in_flight -= 1;
                }
                let endpoint = state.nodes.get(&parcel.to).cloned();
                let cut = state.link(parcel.from, parcel.to).cut;
                let Some(endpoint) = endpoint.filter(|to| to.life == parcel.life && !cut) else {
                    self.drop_parcel(&mut state, &parcel, if cut { "cut" } else { "down" });
                    continue;
                };
                (parcel, endpoint)
            };
            // Not under the lock: the receiver may send at once.
            self.deliver(parcel, &endpoint);
        }
        Some(Instant::now())
    }

    fn deliver(self: &Arc<Self>, parcel: Parcel, endpoint: &Endpoint) {
        let inbound = endpoint.slot.get();
        let reading = (parcel.from != parcel.to).then_some(parcel.reading);
        let admitted = endpoint.gate.admit(parcel.from, parcel.ts, reading);
        {
            let mut state = self.state();
            let is_inbound = matches!(parcel.body, Body::Raft(_) | Body::Request { .. });
            if !admitted {
                self.drop_parcel(&mut state, &parcel, "clock");
            } else if inbound.is_none() && is_inbound {
                self.drop_parcel(&mut state, &parcel, "unregistered");
            } else {
                state.stats.delivered += 1;
                // A refusal opens nothing: the next dial may come when it would have come without.
                if !matches!(parcel.body, Body::Refused) {
                    state.link(parcel.to, parcel.from).silent_until = None;
                }
                self.trace(|| parcel.line("deliver"));
            }
        }
        let Parcel { from, to, body, .. } = parcel;
        match (body, inbound.filter(|_| admitted)) {
            (Body::Raft(message), Some(inbound)) => inbound.raft(from, vec![message]),
            (Body::Raft(_), None) => {
                if !admitted && self.state().link(to, from).tells_refusal() {
                    self.answer_dial(endpoint, to, from, Body::Refused);
                }
            }
            (Body::Request { call, request }, Some(inbound)) => {
                let network = Arc::downgrade(self);
                let replier = endpoint.clone();
                let serve = async move {
                    let mut serving = inbound.serve(request);
                    loop {
                        let response = replier.gate.clock().timeout(KEEPALIVE, &mut serving).await;
                        let Some(network) = network.upgrade() else { return };
                        match response {
                            Some(response) => {
                                let body = Body::Answer { call, result: Ok(response) };
                                return network.reply(&replier, to, from, body);
                            }
                            None => network.reply(&replier, to, from, Body::Alive { call }),
                        }
                    }
                };
                endpoint.scope.spawn("rpc.serve", Box::pin(serve));
            }
            (Body::Request { call, .. }, None) => {
                let body = Body::Answer { call, result: Err(RpcError::NotSent) };
                self.reply(endpoint, to, from, body);
            }
            (Body::Answer { call, result }, _) => {
                let result = if admitted { result } else { Err(RpcError::Unknown) };
                if let Some(pending) = self.state().calls.get_mut(&call) {
                    answer(pending, result);
                }
            }
            (Body::Dial, _) => {
                let body = if admitted { Body::Alive { call: 0 } } else { Body::Refused };
                self.answer_dial(endpoint, to, from, body);
            }
            (Body::Refused, _) => {}
            (Body::Alive { call }, _) => {
                if let Some(pending) = self.state().calls.get(&call).filter(|_| admitted) {
                    pending.alive.notify_one();
                }
            }
        }
    }

    /// Accepts or refuses a connection, as soon as the node's tasks run.
    fn answer_dial(self: &Arc<Self>, endpoint: &Endpoint, from: NodeId, to: NodeId, body: Body) {
        let (network, replier) = (Arc::downgrade(self), endpoint.clone());
        let answer = async move {
            if let Some(network) = network.upgrade() {
                network.reply(&replier, from, to, body);
            }
        };
        endpoint.scope.spawn("rpc.accept", Box::pin(answer));
    }

    /// Sends something back to the caller.
    fn reply(&self, endpoint: &Endpoint, from: NodeId, to: NodeId, body: Body) {
        let mut state = self.state();
        let mut parcel = state.parcel(from, to, endpoint.gate.clock(), body);
        self.trace(|| parcel.line("send"));
        if let Body::Answer { call, .. } = parcel.body
            && parcel.is_too_large()
        {
            // The caller hears that there is no answer to be had.
            self.drop_parcel(&mut state, &parcel, "too large");
            parcel.body = Body::Answer { call, result: Err(RpcError::Unknown) };
        }
        if !state.is_alive(from, endpoint.life) || parcel.life == 0 {
            self.drop_parcel(&mut state, &parcel, "down");
        } else {
            self.dispatch(&mut state, parcel, Lane::Calls);
        }
    }
}

impl Drop for SimNetwork {
    fn drop(&mut self) {
        self.wake.notify_one();
    }
}

impl State {
    pub(super) fn link(&mut self, from: NodeId, to: NodeId) -> &mut Link {
        let profile = self.profile;
        self.links.entry((from, to)).or_insert_with(|| Link::new(profile))
    }

    fn is_alive(&self, node: NodeId, life: u64) -> bool {
        self.nodes.get(&node).is_some_and(|endpoint| endpoint.life == life)
    }

    fn parcel(&mut self, from: NodeId, to: NodeId, clock: &Clock, body: Body) -> Parcel {
        self.stats.sent += 1;
        self.next_number += 1;
        let life = self.nodes.get(&to).map_or(0, |endpoint| endpoint.life);
        let (ts, reading) = (clock.now(), clock.reading_for(to));
        Parcel { number: self.next_number, from, to, life, ts, reading, body }
    }
}

/// The first answer counts.
fn answer(call: &mut PendingCall, result: CallResult) {
    if let Some(sender) = call.answer.take() {
        // The caller may be gone.
        let _ = sender.send(result);
    }
}

/// See [`SimNetwork::keep_alive`]; as long as the node's tasks run.
async fn keep_streams(network: Weak<SimNetwork>, node: NodeId, life: u64, clock: Clock) {
    loop {
        clock.sleep(KEEPALIVE).await;
        let Some(network) = network.upgrade() else { return };
        network.keep_alive(node, life, &clock);
    }
}

async fn deliver_for_ever(network: Weak<SimNetwork>, wake: Arc<Notify>) {
    loop {
        let next = match network.upgrade() {
            Some(network) => network.deliver_due(),
            None => return,
        };
        match next {
            Some(at) if at <= Instant::now() => tokio::task::yield_now().await,
            Some(at) => tokio::select! {
                biased;
                () = wake.notified() => {}
                () = tokio::time::sleep_until(at) => {}
            },
            None => wake.notified().await,
        }
    }
}
