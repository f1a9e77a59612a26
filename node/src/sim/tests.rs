//! The simulated cluster as a whole: what the nemesis can do, and that it is the same every time.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::BoxFuture;
use kv::clock::Clock;
use kv::clock::TimeSource;
use kv::env::{RpcError, TaskScope, Transport};
use kv::ids::NodeId;
use kv::rpc::{RaftMessage, ResponseBody, RpcRequest, RpcResponse};

use super::*;
use crate::inbound::Inbound;

const BASE: u64 = 1_800_000_000_000;

/// Remembers Raft messages; answers every request with the count of requests so far, after some time.
struct Node {
    id: NodeId,
    time: SimTime,
    clock: Clock,
    scope: SimScope,
    transport: Arc<SimTransport>,
    raft: Arc<Mutex<Vec<(NodeId, u64)>>>,
    served: Arc<Mutex<u64>>,
}

struct Ear {
    clock: Clock,
    raft: Arc<Mutex<Vec<(NodeId, u64)>>>,
    served: Arc<Mutex<u64>>,
}

impl Inbound for Ear {
    fn raft(&self, from: NodeId, messages: Vec<RaftMessage>) {
        self.raft.lock().unwrap().extend(messages.iter().map(|message| (from, message.index)));
    }

    fn serve(&self, _: RpcRequest) -> BoxFuture<'static, RpcResponse> {
        let (clock, served) = (self.clock.clone(), self.served.clone());
        Box::pin(async move {
            clock.sleep(Duration::from_millis(5)).await;
            let mut served = served.lock().unwrap();
            *served += 1;
            RpcResponse { body: Some(ResponseBody::FirstId(*served)) }
        })
    }
}

fn start(network: &Arc<SimNetwork>, id: u64) -> Node {
    let (id, time, scope) = (NodeId(id), SimTime::new(BASE), SimScope::new());
    let clock = Clock::new(Arc::new(time.clone()), Duration::from_millis(500));
    let transport = network.connect(id, clock.clone(), Arc::new(scope.clone()));
    let (raft, served) = (Arc::default(), Arc::default());
    let ear = Ear { clock: clock.clone(), raft: Arc::clone(&raft), served: Arc::clone(&served) };
    transport.register(Arc::new(ear));
    Node { id, time, clock, scope, transport, raft, served }
}

fn cluster(seed: u64) -> (Arc<SimNetwork>, [Node; 3]) {
    let network = SimNetwork::new(sim_rng(seed, "network"), None);
    let nodes = [1, 2, 3].map(|id| start(&network, id));
    (network, nodes)
}

fn message(index: u64) -> RaftMessage {
    RaftMessage { range_id: 1, index, ..RaftMessage::default() }
}

fn messages(count: u64) -> Vec<RaftMessage> {
    (0..count).map(message).collect()
}

async fn pass(millis: u64) {
    tokio::time::sleep(Duration::from_millis(millis)).await;
}

impl Node {
    fn indexes(&self) -> Vec<u64> {
        self.raft.lock().unwrap().iter().map(|(_, index)| *index).collect()
    }

    async fn call(&self, to: &Node) -> Result<u64, RpcError> {
        match self.transport.call(to.id, RpcRequest::default()).await?.body {
            Some(ResponseBody::FirstId(id)) => Ok(id),
            other => panic!("unexpected answer {other:?}"),
        }
    }
}

/// A bad hour in the life of three nodes; returns what the network saw.
fn trace_of(seed: u64) -> Vec<String> {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_time().start_paused(true).build().unwrap().block_on(async {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let sink = lines.clone();
        let sink: TraceSink = Arc::new(move |line| sink.lock().unwrap().push(line.to_owned()));
        let network = SimNetwork::new(sim_rng(seed, "network"), Some(sink));
        network.set_profile_all(LinkProfile::ROUGH);
        let mut nodes = [1, 2, 3].map(|id| start(&network, id));
        let nemesis = sim_rng(seed, "nemesis");
        for round in 0..200 {
            let (a, b) = (nemesis.below(3) as usize, nemesis.below(3) as usize);
            let (from, to) = (nodes[a].id, nodes[b].id);
            match nemesis.below(8) {
                0 => network.cut(from, to),
                1 => network.heal_all(),
                2 => {
                    network.crash(to);
                    nodes[b].scope.crash();
                    nodes[b].scope.gone().await;
                    nodes[b] = start(&network, to.0);
                }
                3 => nodes[b].time.set_offset_ms(nemesis.below(900) as i64 - 450),
                4 => nodes[b].time.set_rate_ppm(RATE_TRUE_PPM - 500 + nemesis.below(1_000)),
                _ => nodes[a].transport.send_raft(to, vec![message(round), message(round)]),
            }
            let call = nodes[a].transport.call(to, RpcRequest::default());
            nodes[a].scope.spawn("client", Box::pin(async move { drop(call.await) }));
            pass(nemesis.below(40)).await;
        }
        pass(5_000).await;
        std::mem::take(&mut *lines.lock().unwrap())
    })
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    let first = trace_of(7);
    assert!(first.len() > 800, "{} lines", first.len());
    for event in ["send", "deliver", "drop", "duplicate", "crash", "cut", "heal"] {
        assert!(first.iter().any(|line| line.contains(event)), "no {event}");
    }
    assert_eq!(first, trace_of(7));
    assert_ne!(first, trace_of(8));
}

#[tokio::test(start_paused = true)]
async fn messages_keep_their_order_unless_told_otherwise() {
    let (network, [n1, n2, n3]) = cluster(1);
    let tail = Duration::from_millis(20);
    network.set_profile_all(LinkProfile { tail, ..LinkProfile::LAN });
    n1.transport.send_raft(n2.id, messages(100));
    pass(2_000).await;
    assert_eq!(n2.indexes(), (0..100).collect::<Vec<_>>());
    let reorder_delay = Duration::from_millis(50);
    network.set_profile(
        n1.id,
        n3.id,
        LinkProfile { reorder: 200, reorder_delay, ..LinkProfile::LAN },
    );
    n1.transport.send_raft(n3.id, messages(100));
    pass(2_000).await;
    let mut indexes = n3.indexes();
    assert_ne!(indexes, (0..100).collect::<Vec<_>>());
    indexes.sort_unstable();
    assert_eq!(indexes, (0..100).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_cut_works_in_one_direction_and_on_what_is_under_way() {
    let (network, [n1, n2, _]) = cluster(2);
    n1.transport.send_raft(n2.id, messages(1));
    network.cut(n1.id, n2.id);
    n1.transport.send_raft(n2.id, messages(1));
    n2.transport.send_raft(n1.id, messages(1));
    pass(100).await;
    assert_eq!((n1.indexes().len(), n2.indexes().len()), (1, 0));
    // The request arrives, the answer does not.
    assert_eq!(n2.call(&n1).await, Err(RpcError::Unknown));
    assert_eq!(*n1.served.lock().unwrap(), 1);
    // The request does not arrive: known at once, or never.
    let mut outcomes = Vec::new();
    for _ in 0..20 {
        outcomes.push(n1.call(&n2).await);
    }
    assert!(
        outcomes.contains(&Err(RpcError::NotSent)) && outcomes.contains(&Err(RpcError::Unknown))
    );
    assert_eq!(*n2.served.lock().unwrap(), 0);
    network.heal_all();
    // Whoever was found silent is dialled again after a while, and called only then.
    assert_eq!(n1.call(&n2).await, Err(RpcError::NotSent));
    pass(1_600).await;
    assert_eq!(n1.call(&n2).await, Ok(1));
}

#[tokio::test(start_paused = true)]
async fn a_raft_message_may_arrive_twice_and_a_request_may_not() {
    let (network, [n1, n2, _]) = cluster(3);
    network.set_profile(n1.id, n2.id, LinkProfile { duplicate: 1_000, ..LinkProfile::LAN });
    assert_eq!(n1.call(&n2).await, Ok(1));
    pass(100).await;
    assert_eq!(*n2.served.lock().unwrap(), 1);
    n1.transport.send_raft(n2.id, messages(1));
    pass(100).await;
    assert_eq!(n2.indexes(), [0, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_crash_ends_calls_and_what_was_sent_to_one_life_never_reaches_the_next() {
    let (network, [n1, n2, _]) = cluster(4);
    let call = n1.call(&n2);
    let crash = async {
        pass(3).await;
        n1.transport.send_raft(n2.id, messages(1));
        network.crash(n2.id);
        n2.scope.crash();
        n2.scope.gone().await;
        start(&network, 2)
    };
    let (outcome, reborn) = futures::future::join(call, crash).await;
    assert_eq!(outcome, Err(RpcError::Unknown));
    assert_eq!((*n2.served.lock().unwrap(), n2.scope.live()), (0, 0));
    // The old life's transport is mute, the new one's is not.
    n2.transport.send_raft(n1.id, messages(1));
    assert_eq!(n2.call(&n1).await, Err(RpcError::NotSent));
    pass(100).await;
    assert_eq!((n1.indexes().len(), reborn.indexes().len()), (0, 0));
    assert_eq!(n1.call(&reborn).await, Ok(1));
    assert_eq!(reborn.call(&n1).await, Ok(1));
}

#[tokio::test(start_paused = true)]
async fn a_clock_too_far_ahead_is_refused_and_one_within_the_offset_drags_along() {
    let (_network, [n1, n2, n3]) = cluster(5);
    // It runs three times as fast for a while. (A jump would not be followed.)
    n1.time.set_rate_ppm(3 * RATE_TRUE_PPM);
    pass(300).await;
    n1.time.set_rate_ppm(RATE_TRUE_PPM);
    n1.transport.send_raft(n2.id, messages(1));
    assert_eq!(n1.call(&n2).await, Err(RpcError::NotSent));
    assert_eq!((n2.indexes().len(), *n2.served.lock().unwrap()), (0, 0));
    assert_eq!(n2.transport.clock_refused(), 2);
    n3.time.set_offset_ms(400);
    assert_eq!(n3.call(&n2).await, Ok(1));
    assert!(n2.time.wall_ms() < n3.time.wall_ms());
    assert_eq!(n2.transport.clock_refused(), 2);
}

fn finds_out([n1, n2, n3]: &[Node; 3]) {
    let said = n1.clock.complaint().expect("both have said what their clocks show");
    assert!(said.contains("ahead of n2's and") && said.contains("ahead of n3's"), "{said}");
    assert_eq!((n2.clock.complaint(), n3.clock.complaint()), (None, None));
}

/// The first node's clock runs ahead, between two times at which nodes show themselves.
async fn run_ahead(nodes: &[Node; 3]) {
    for node in nodes {
        node.clock.set_members(3);
    }
    nodes[0].time.set_rate_ppm(3 * RATE_TRUE_PPM);
    pass(280).await;
    nodes[0].time.set_rate_ppm(RATE_TRUE_PPM);
    assert_eq!(nodes[0].clock.complaint(), None);
}

#[tokio::test(start_paused = true)]
async fn a_node_whose_clock_runs_ahead_finds_out_although_nobody_has_to_say_anything() {
    let (_network, nodes) = cluster(7);
    pass(600).await;
    run_ahead(&nodes).await;
    pass(600).await;
    finds_out(&nodes);
}

#[tokio::test(start_paused = true)]
async fn a_node_whose_raft_messages_are_refused_for_its_clock_finds_out() {
    let (network, nodes) = cluster(8);
    pass(600).await;
    run_ahead(&nodes).await;
    let delivered = network.stats().delivered;
    for other in &nodes[1..] {
        nodes[0].transport.send_raft(other.id, messages(100));
    }
    pass(15).await;
    finds_out(&nodes);
    assert_eq!(nodes[1].transport.clock_refused(), 100);
    assert_eq!(network.stats().delivered - delivered, 2, "each says so once");
}

#[tokio::test(start_paused = true)]
async fn a_node_whose_dials_are_refused_for_its_clock_finds_out_and_is_not_let_in() {
    let (network, nodes) = cluster(9);
    let [n1, n2, n3] = &nodes;
    for other in [n2, n3] {
        network.cut(n1.id, other.id);
        while n1.call(other).await != Err(RpcError::Unknown) {}
    }
    run_ahead(&nodes).await;
    network.heal_all();
    pass(1_600).await;
    finds_out(&nodes);
    let refused = n2.transport.clock_refused();
    assert_eq!(n1.call(n2).await, Err(RpcError::NotSent));
    assert_eq!(n2.transport.clock_refused(), refused, "the request was not even sent");
}

#[tokio::test(start_paused = true)]
async fn a_call_to_the_own_node_is_served_in_its_scope() {
    let (network, [n1, _, _]) = cluster(6);
    assert_eq!(n1.call(&n1).await, Ok(1));
    n1.transport.send_raft(n1.id, messages(3));
    pass(1).await;
    assert_eq!(n1.indexes(), [0, 1, 2]);
    assert_eq!(network.stats().dropped, 0);
}
