//! Real sockets on loopback. Nothing here depends on how fast the machine is: conditions are waited for.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use kv::clock::Clock;
use kv::clock::TimeSource;
use kv::rpc::{RangeRequest, RequestBody, ResponseBody};

use super::*;
use crate::liveness::{HANDSHAKE_MAX, SILENCE_MAX};
use crate::real::{RealScope, RealTime, os_rng};

const CLUSTER: ClusterId = ClusterId(7);
const MAX_OFFSET: Duration = Duration::from_millis(500);

/// The real time with a wrong wall clock, and with a wrong monotonic one. Both can be made wrong at any time.
struct Skewed(RealTime, AtomicU64, AtomicU64);

impl Skewed {
    /// Both clocks have gained so much, as ones that run too fast do.
    fn gain(&self, ms: u64) {
        self.1.fetch_add(ms, Ordering::SeqCst);
        self.2.fetch_add(ms, Ordering::SeqCst);
    }
}

impl TimeSource for Skewed {
    fn wall_ms(&self) -> u64 {
        self.0.wall_ms() + self.1.load(Ordering::SeqCst)
    }
    fn monotonic(&self) -> Duration {
        self.0.monotonic() + Duration::from_millis(self.2.load(Ordering::SeqCst))
    }
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.0.sleep(duration)
    }
}

/// Remembers Raft messages; answers a range request with its payload, unless told to be silent.
#[derive(Default)]
struct Ear {
    raft: Mutex<Vec<(NodeId, u64)>>,
    silent: AtomicBool,
    /// The disk gives no answer.
    stalled: AtomicBool,
    asked: AtomicU64,
}

impl Inbound for Ear {
    fn raft(&self, from: NodeId, messages: Vec<RaftMessage>) {
        self.raft.lock().unwrap().extend(messages.iter().map(|message| (from, message.index)));
    }

    fn serve(&self, request: RpcRequest) -> BoxFuture<'static, RpcResponse> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if self.silent.load(Ordering::SeqCst) {
            return Box::pin(std::future::pending());
        }
        let Some(RequestBody::Range(RangeRequest { payload, .. })) = request.body else {
            panic!("only range requests are sent here");
        };
        Box::pin(async move { RpcResponse { body: Some(ResponseBody::Payload(payload)) } })
    }

    fn stalled(&self) -> BoxFuture<'static, ()> {
        match self.stalled.load(Ordering::SeqCst) {
            true => Box::pin(std::future::ready(())),
            false => Box::pin(std::future::pending()),
        }
    }
}

struct Node {
    id: NodeId,
    address: SocketAddr,
    source: Arc<Skewed>,
    scope: RealScope,
    transport: Arc<RealTransport>,
    ear: Arc<Ear>,
}

#[derive(Clone, Copy)]
struct Options {
    cluster: ClusterId,
    max_offset: Duration,
    ahead_ms: u64,
}

const DEFAULT: Options = Options { cluster: CLUSTER, max_offset: MAX_OFFSET, ahead_ms: 0 };

async fn start(id: u64, options: Options) -> Node {
    let source =
        Arc::new(Skewed(RealTime::new(), AtomicU64::new(options.ahead_ms), AtomicU64::new(0)));
    let clock = Clock::new(source.clone(), options.max_offset);
    let scope = RealScope::new(Handle::current());
    let config = TransportConfig::new(options.cluster, NodeId(id));
    let transport = RealTransport::new(config, clock, os_rng().unwrap(), scope.handle());
    let ear = Arc::new(Ear::default());
    transport.register(ear.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = transport.listen(listener).unwrap();
    Node { id: NodeId(id), address, source, scope, transport, ear }
}

fn introduce(nodes: &[&Node]) {
    for one in nodes {
        for other in nodes {
            one.transport.set_address(other.id, other.address);
        }
    }
}

async fn cluster() -> [Node; 3] {
    let nodes = [start(1, DEFAULT).await, start(2, DEFAULT).await, start(3, DEFAULT).await];
    introduce(&nodes.each_ref());
    for node in &nodes {
        until("every link is up", || node.transport.stats().streams_opened == 8).await;
    }
    nodes
}

/// Waits for a condition; gives up only when the test has surely failed.
async fn until(what: &str, condition: impl Fn() -> bool) {
    for _ in 0..6_000 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never: {what}");
}

fn messages(indexes: std::ops::Range<u64>) -> Vec<RaftMessage> {
    indexes.map(|index| RaftMessage { range_id: 1, index, ..RaftMessage::default() }).collect()
}

impl Node {
    async fn echo(&self, to: &Node, payload: bytes::Bytes) -> Result<bytes::Bytes, RpcError> {
        let request = RequestBody::Range(RangeRequest { range_id: 1, payload });
        match self.transport.call(to.id, RpcRequest { body: Some(request) }).await?.body {
            Some(ResponseBody::Payload(payload)) => Ok(payload),
            other => panic!("unexpected answer {other:?}"),
        }
    }

    /// Calls until the link is up again.
    async fn echo_until_ok(&self, to: &Node) {
        for _ in 0..6_000 {
            if self.echo(to, "again".into()).await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{} never reached {}", self.id, to.id);
    }

    fn heard(&self) -> usize {
        self.ear.raft.lock().unwrap().len()
    }
}

#[tokio::test]
async fn raft_messages_arrive_in_order_from_every_peer_and_the_own_node() {
    let nodes = cluster().await;
    for start in (0..3_000).step_by(30) {
        for from in &nodes {
            from.transport.send_raft(NodeId(2), messages(start..start + 30));
        }
        tokio::task::yield_now().await;
    }
    until("all arrived", || nodes[1].heard() == 9_000).await;
    let heard = nodes[1].ear.raft.lock().unwrap();
    for from in &nodes {
        let indexes = heard.iter().filter(|(id, _)| *id == from.id).map(|(_, index)| *index);
        assert!(indexes.eq(0..3_000), "out of order from {}", from.id);
        assert_eq!(from.transport.stats().raft_dropped, 0);
    }
}

#[tokio::test]
async fn calls_are_answered_many_at_once_large_ones_too() {
    let [n1, n2, n3] = cluster().await;
    let call = |payload: String| {
        let (n1, n2) = (&n1, &n2);
        async move { assert_eq!(n1.echo(n2, payload.clone().into()).await, Ok(payload.into())) }
    };
    futures::future::join_all((0..2_000).map(|i| call(format!("payload {i}")))).await;
    let large = bytes::Bytes::from(vec![7; 8 << 20]);
    assert_eq!(n3.echo(&n2, large.clone()).await.map(|echo| echo == large), Ok(true));
    assert_eq!(n1.echo(&n1, "own".into()).await, Ok("own".into()));
    // Too large for a frame, and a node that nobody has heard of.
    let huge = bytes::Bytes::from(vec![7; 33 << 20]);
    assert_eq!(n3.echo(&n2, huge).await, Err(RpcError::NotSent));
    n1.transport.remove(n3.id);
    assert_eq!(n1.echo(&n3, "gone".into()).await, Err(RpcError::NotSent));
}

#[tokio::test]
async fn a_peer_lost_in_the_middle_of_a_call_leaves_it_unknown_and_works_again_elsewhere() {
    let [n1, n2, _n3] = cluster().await;
    n2.ear.silent.store(true, Ordering::SeqCst);
    let asked = async {
        until("the request is there", || n2.ear.asked.load(Ordering::SeqCst) == 1).await;
        n2.scope.stop().await;
    };
    let (outcome, ()) = futures::future::join(n1.echo(&n2, "lost".into()), asked).await;
    assert_eq!(outcome, Err(RpcError::Unknown));
    assert_eq!(n2.scope.handle().live(), 0);
    // Nobody listens: calls fail at once, and certainly.
    assert_eq!(n1.echo(&n2, "down".into()).await, Err(RpcError::NotSent));

    let reborn = start(2, DEFAULT).await;
    assert_ne!(reborn.address, n2.address);
    introduce(&[&n1, &reborn]);
    n1.echo_until_ok(&reborn).await;
    reborn.echo_until_ok(&n1).await;
    for index in 0..6_000 {
        n1.transport.send_raft(reborn.id, messages(index..index + 1));
        tokio::time::sleep(Duration::from_millis(10)).await;
        if reborn.heard() > 0 {
            return;
        }
    }
    panic!("no Raft message reached the restarted peer");
}

/// A wire between two nodes that can be cut without a word: what is sent on it then is lost, and nothing is closed.
struct Wire {
    address: SocketAddr,
    cut: watch::Sender<bool>,
}

impl Wire {
    async fn to(node: &Node) -> Wire {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (cut, is_cut) = watch::channel(false);
        let to = node.address;
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let far = tokio::net::TcpStream::connect(to).await.unwrap();
                let (near_read, near_write) = near.into_split();
                let (far_read, far_write) = far.into_split();
                tokio::spawn(carry(near_read, far_write, is_cut.clone()));
                tokio::spawn(carry(far_read, near_write, is_cut.clone()));
            }
        });
        Wire { address, cut }
    }
}

async fn carry(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    mut is_cut: watch::Receiver<bool>,
) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut buffer = vec![0; 64 << 10];
    loop {
        if is_cut.wait_for(|cut| !cut).await.is_err() {
            return;
        }
        match from.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            // What arrives on a cut wire is lost, and with it the connection; but nobody says so.
            Ok(_) if *is_cut.borrow() => std::future::pending().await,
            Ok(length) => {
                if to.write_all(&buffer[..length]).await.is_err() {
                    return;
                }
            }
        }
    }
}

#[tokio::test]
async fn a_peer_that_falls_silent_ends_its_calls_and_keeps_no_further_one_waiting() {
    let n1 = start(1, DEFAULT).await;
    let n2 = start(2, DEFAULT).await;
    let wire = Wire::to(&n2).await;
    n1.transport.set_address(n2.id, wire.address);
    n1.echo_until_ok(&n2).await;
    // An answer may take longer than any silence, as long as the peer shows that it is there.
    n2.ear.silent.store(true, Ordering::SeqCst);
    let slow = tokio::time::timeout(SILENCE_MAX * 2, n1.echo(&n2, "slow".into())).await;
    assert!(slow.is_err(), "a live peer's call was given up: {slow:?}");
    let waiting = async {
        until("the request is there", || n2.ear.asked.load(Ordering::SeqCst) >= 3).await;
        wire.cut.send_replace(true);
    };
    let (outcome, ()) = futures::future::join(n1.echo(&n2, "silence".into()), waiting).await;
    assert_eq!(outcome, Err(RpcError::Unknown));
    // The next dial meets the same silence: nobody waits for it.
    let asked = std::time::Instant::now();
    for _ in 0..100 {
        assert_eq!(n1.echo(&n2, "anyone".into()).await, Err(RpcError::NotSent));
    }
    assert!(asked.elapsed() < HANDSHAKE_MAX, "{:?}", asked.elapsed());
    n2.ear.silent.store(false, Ordering::SeqCst);
    wire.cut.send_replace(false);
    n1.echo_until_ok(&n2).await;
}

#[tokio::test]
async fn strangers_are_refused() {
    let n1 = start(1, DEFAULT).await;
    let other_cluster = start(2, Options { cluster: ClusterId(8), ..DEFAULT }).await;
    let max_offset = Duration::from_millis(250);
    let other_offset = start(3, Options { max_offset, ..DEFAULT }).await;
    for stranger in [&other_cluster, &other_offset] {
        introduce(&[&n1, stranger]);
        let refused = || stranger.transport.stats().handshakes_refused >= 2;
        until("the stranger refuses both links", refused).await;
        assert_eq!(n1.echo(stranger, "who are you".into()).await, Err(RpcError::NotSent));
    }
    until("both are refused", || n1.transport.stats().handshakes_refused >= 4).await;
    // The wrong node at the address.
    let n4 = start(4, DEFAULT).await;
    n1.transport.set_address(NodeId(5), n4.address);
    until("it says so", || n4.transport.stats().handshakes_refused >= 2).await;
    assert_eq!(n1.transport.stats().streams_opened, 0);
    assert_eq!(n1.heard(), 0);
}

#[tokio::test]
async fn a_clock_too_far_ahead_is_refused() {
    let n1 = start(1, DEFAULT).await;
    let ahead = start(2, Options { ahead_ms: 60_000, ..DEFAULT }).await;
    introduce(&[&n1, &ahead]);
    until("refused", || n1.transport.stats().clock_refused >= 2).await;
    ahead.transport.send_raft(n1.id, messages(0..1));
    assert_eq!(n1.echo(&ahead, "what time is it".into()).await, Err(RpcError::NotSent));
    assert_eq!((n1.heard(), n1.transport.stats().streams_opened), (0, 0));
    // A little ahead is fine, and drags the others along.
    let near = start(3, Options { ahead_ms: 300, ..DEFAULT }).await;
    introduce(&[&n1, &near]);
    n1.echo_until_ok(&near).await;
}

#[tokio::test]
async fn an_empty_slot_refuses_calls_and_drops_raft_messages() {
    let [n1, n2, _n3] = cluster().await;
    n2.transport.shared.slot.unregister();
    assert_eq!(n1.echo(&n2, "anyone".into()).await, Err(RpcError::NotSent));
    n1.transport.send_raft(n2.id, messages(0..1));
    n2.transport.register(n2.ear.clone());
    assert_eq!(n1.echo(&n2, "now".into()).await, Ok("now".into()));
}

#[tokio::test]
async fn a_clock_that_runs_ahead_on_an_open_stream_is_refused_and_its_node_finds_out() {
    let [n1, n2, n3] = cluster().await;
    for node in [&n1, &n2, &n3] {
        node.transport.shared.clock().set_members(3);
    }
    n2.source.gain(60_000);
    // Its request is refused; its answer is not believed; its Raft messages are dropped.
    assert_eq!(n2.echo(&n1, "it is late".into()).await, Err(RpcError::NotSent));
    assert_eq!(n1.echo(&n2, "what time is it".into()).await, Err(RpcError::Unknown));
    assert_eq!(n2.ear.asked.load(Ordering::SeqCst), 1);
    n2.transport.send_raft(n3.id, messages(0..1));
    until("refused", || n3.transport.stats().clock_refused >= 1).await;
    assert_eq!(n3.heard(), 0);
    // The others say so in what they send, although they believe nothing that it says.
    until("it finds out", || n2.transport.shared.clock().complaint().is_some()).await;
    let said = n2.transport.shared.clock().complaint().unwrap();
    assert!(said.contains("ahead of n1's and") && said.contains("ahead of n3's"), "{said}");
    // The others are not dragged along, and do not doubt themselves.
    assert_eq!(n1.echo(&n3, "fine".into()).await, Ok("fine".into()));
    assert_eq!(n1.transport.shared.clock().complaint(), None);
}

#[tokio::test]
async fn a_clock_that_jumps_is_not_followed_and_its_node_goes_on() {
    let [n1, n2, n3] = cluster().await;
    for node in [&n1, &n2, &n3] {
        node.transport.shared.clock().set_members(3);
    }
    n2.source.1.store(45_000, Ordering::SeqCst);
    for peer in [&n1, &n3] {
        assert_eq!(n2.echo(peer, "here".into()).await, Ok("here".into()));
        assert_eq!(peer.echo(&n2, "there".into()).await, Ok("there".into()));
        assert_eq!(peer.transport.stats().clock_refused, 0);
    }
    until("the others confirm it", || n2.transport.shared.clock().distrust().is_none()).await;
    n2.source.1.store(0, Ordering::SeqCst);
    assert_eq!(n2.echo(&n1, "back".into()).await, Ok("back".into()));
    assert_eq!(n2.transport.shared.clock().complaint(), None);
}

/// What `to` answers to the first frame of a stream, for calls or for Raft, from a node that it does not dial.
async fn refusal(to: &Node, from: &Node, calls: bool) -> tonic::Status {
    use wire::proto::peer_client::PeerClient;
    use wire::proto::{CallFrame, RaftFrame};
    let shared = &from.transport.shared;
    let (header, hello) = (shared.header(to.id), shared.hello(to.id));
    let mut client = PeerClient::connect(format!("http://{}", to.address)).await.unwrap();
    if calls {
        let first = CallFrame { header, hello, calls: Vec::new() };
        return client.calls(tokio_stream::iter([first])).await.map(drop).unwrap_err();
    }
    let first = RaftFrame { header, hello, messages: Vec::new() };
    client.raft(tokio_stream::iter([first])).await.map(drop).unwrap_err()
}

impl Node {
    fn complaint(&self) -> Option<String> {
        self.transport.shared.clock().complaint()
    }

    /// By how much its clock is ahead of the peer's, if it has heard of that.
    fn ahead_of(&self, peer: &Node) -> Option<i64> {
        let said = self.transport.shared.clock().reading_for(peer.id);
        (said.lead_course != 0).then_some(-said.lead_ms)
    }
}

fn know_of_three(nodes: &[&Node]) {
    for node in nodes {
        node.transport.shared.clock().set_members(3);
    }
}

#[tokio::test]
async fn a_node_that_is_refused_for_its_clock_finds_out_although_nobody_dials_it() {
    let (n1, n2) = (start(1, DEFAULT).await, start(2, DEFAULT).await);
    let n3 = start(3, Options { ahead_ms: 60_000, ..DEFAULT }).await;
    know_of_three(&[&n1, &n2, &n3]);
    introduce(&[&n1, &n2]);
    for peer in [&n1, &n2] {
        n3.transport.set_address(peer.id, peer.address);
    }
    until("it finds out", || n3.complaint().is_some()).await;
    let said = n3.complaint().unwrap();
    assert!(said.contains("ahead of n1's and") && said.contains("ahead of n2's"), "{said}");
    assert_eq!(n3.transport.stats().streams_opened, 0);
    // The others have heard of one clock that is not as theirs, and are not dragged along.
    n1.echo_until_ok(&n2).await;
    for node in [&n1, &n2] {
        assert!(node.ahead_of(&n3).is_some_and(|ahead_ms| ahead_ms < -50_000));
        assert_eq!(node.complaint(), None);
        assert!(node.transport.shared.clock().now() < n3.transport.shared.clock().now());
        let ahead = n3.transport.shared.clock().now();
        assert!(node.transport.shared.clock().update(ahead).is_err());
    }
}

#[tokio::test]
async fn a_node_that_is_refused_by_a_wrong_clock_goes_on() {
    let right = Options { ahead_ms: 60_000, ..DEFAULT };
    let (n1, n2) = (start(1, right).await, start(2, right).await);
    let wrong = start(3, DEFAULT).await;
    know_of_three(&[&n1, &n2, &wrong]);
    introduce(&[&n1, &n2]);
    n1.transport.set_address(wrong.id, wrong.address);
    until("it is refused", || n1.ahead_of(&wrong).is_some_and(|ahead_ms| ahead_ms > 50_000)).await;
    // To each of the two it is one clock that is not as the own: nobody knows which of them is wrong.
    assert_eq!((n1.complaint(), wrong.complaint()), (None, None));
    n2.transport.set_address(wrong.id, wrong.address);
    until("both are refused", || n2.ahead_of(&wrong).is_some()).await;
    until("it finds out", || wrong.complaint().is_some()).await;
    n1.echo_until_ok(&n2).await;
    assert_eq!((n1.complaint(), n2.complaint()), (None, None));
}

#[tokio::test]
async fn a_refusal_says_what_the_clock_shows_and_is_a_refusal_to_earlier_builds() {
    let n1 = start(1, DEFAULT).await;
    for calls in [false, true] {
        let n2 = start(2, Options { ahead_ms: 60_000, ..DEFAULT }).await;
        let why = refusal(&n1, &n2, calls).await;
        assert_eq!(why.code(), tonic::Code::FailedPrecondition);
        assert_eq!(why.message(), "clock too far ahead");
        n2.transport.shared.hear_refusal(&why);
        assert!(n2.ahead_of(&n1).is_some_and(|ahead_ms| ahead_ms > 50_000));
    }
    // One in time, refused for the disk.
    let n2 = start(2, Options { ahead_ms: 450, ..DEFAULT }).await;
    n1.ear.stalled.store(true, Ordering::SeqCst);
    let why = refusal(&n1, &n2, true).await;
    assert_eq!(why.code(), tonic::Code::Unavailable);
    n2.transport.shared.hear_refusal(&why);
    assert!(n2.ahead_of(&n1).is_some());
}

#[tokio::test]
async fn a_refusal_by_an_earlier_build_or_a_stranger_says_nothing_of_clocks() {
    let n1 = start(1, DEFAULT).await;
    let stranger = start(2, Options { cluster: ClusterId(8), ..DEFAULT }).await;
    let why = || tonic::Status::failed_precondition("clock too far ahead");
    let mut garbled = why();
    let value = tonic::metadata::MetadataValue::from_bytes(b"no hello");
    garbled.metadata_mut().insert_bin("meridian-hello-bin", value);
    let to_another = stranger.transport.shared.refusal(NodeId(9), why());
    for why in [why(), garbled, stranger.transport.shared.refusal(n1.id, why()), to_another] {
        n1.transport.shared.hear_refusal(&why);
        assert_eq!(n1.ahead_of(&stranger), None);
    }
}
