//! Messages between real nodes: tonic, over long-lived streams.
//!
//! A node dials every peer of its address book four times: two Raft links, a call link, and another for the parts of
//! snapshots, each one HTTP/2 connection with one stream, so that neither a large answer nor a large append ever stands in
//! front of a heartbeat, nor a snapshot in front of anything. A peer dials back the same way; the two directions share nothing.
//!
//! ```text
//!   send_raft ─┬▶ appends ─▶ raft link ══ Raft stream ══▶ server ─▶ Inbound::raft
//!              └▶ the rest ▶ raft link ══ Raft stream ══▶ server ─▶ Inbound::raft
//!   call ─▶ table + queue ─▶ call link ══ Calls stream ══▶ server ─▶ task: Inbound::serve
//!              ▲                     ◀══ answers ══         ◀────────────┘
//! ```
//!
//! The first frame of each direction is a hello: cluster id, both node ids, maximum offset. Either side ends
//! the stream when they do not fit. Whoever refuses a stream of a peer, for its clock or for the own disk, puts the own
//! hello into the refusal's metadata, so that the peer hears of this clock, too. Later frames carry a header and a
//! batch: what has queued up when the connection can send goes out as one frame, up to 256 messages or a mebibyte ([`lender`]).
//!
//! - I1. Raft messages of one stream arrive in the order of sending. When a link fails, what it had queued is
//!   dropped: Raft repeats what matters, and old messages are worth nothing.
//! - I2. `NotSent` is returned only for a request that was not handed to a stream, or that the receiver says
//!   it has not executed. After the hand-over everything else is `Unknown`.
//! - I3. Every queue is bounded: 4,096 messages and 64 MiB of appends, 4,096 and 4 MiB of other Raft messages, and 4,096
//!   calls in flight per peer; 16,384 requests being served, a thousand answers per stream that wait for their frame.
//! - I4. A peer that says nothing is noticed ([`crate::liveness`]): its calls end, and further ones fail at once. So do those
//!   to a peer whose disk gives no answer: it closes its call streams, and takes none, until the disk is back.
//! - I5. When the scope stops, so does everything: links, listener, and the connections that tonic spawns
//!   elsewhere (`guard`).
//!
//! HAZARD: nothing authenticates a peer yet. The cluster id keeps apart clusters by accident, not attackers.

mod calls;
mod dialer;
pub(super) mod guard;
mod lender;
mod raft;
mod server;
mod wire;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use futures::future::BoxFuture;
use kv::clock::Clock;
use kv::env::{Rng, RpcError, TaskScope, Transport};
use kv::ids::NodeId;
use kv::rpc::{RaftMessage, RpcRequest, RpcResponse};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};

use crate::inbound::{ClockGate, Inbound, InboundSlot};
use crate::real::setup::Membership;
use crate::scope::ScopeHandle;

/// The identity of a cluster; drawn when it is created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClusterId(pub u128);

/// What a transport needs to know at the start.
#[derive(Clone, Debug)]
pub struct TransportConfig {
    /// Only nodes of the same cluster talk to each other.
    pub cluster_id: ClusterId,
    /// The own node.
    pub node_id: NodeId,
    /// Where the other nodes listen, as far as is known; see [`RealTransport::set_address`].
    pub addresses: BTreeMap<NodeId, SocketAddr>,
    /// The founding members: told to a node that has not heard of them yet.
    pub membership: Option<Membership>,
    /// Where requests are served; none is the runtime of the links.
    pub work: Option<Handle>,
}

impl TransportConfig {
    /// A configuration with an empty address book.
    pub fn new(cluster_id: ClusterId, node_id: NodeId) -> Self {
        let addresses = BTreeMap::new();
        TransportConfig { cluster_id, node_id, addresses, membership: None, work: None }
    }
}

/// What a transport has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TransportStats {
    /// Outgoing Raft messages dropped: queue full, link down, peer unknown, or too large.
    pub raft_dropped: u64,
    /// Streams refused because the hello did not fit.
    pub handshakes_refused: u64,
    /// Frames refused because of their sender's clock.
    pub clock_refused: u64,
    /// Streams that this node dialled and that were accepted.
    pub streams_opened: u64,
}

/// One node's end of the network.
pub struct RealTransport {
    shared: Arc<Shared>,
    peers: RwLock<BTreeMap<NodeId, Peer>>,
    /// Raft messages to the own node.
    loopback: raft::Lane,
}

/// What every part of a transport uses.
struct Shared {
    cluster_id: ClusterId,
    node_id: NodeId,
    gate: ClockGate,
    rng: Arc<dyn Rng>,
    scope: ScopeHandle,
    /// The same, for requests that are served.
    work: ScopeHandle,
    slot: InboundSlot,
    membership: Option<Membership>,
    raft_dropped: AtomicU64,
    handshakes_refused: AtomicU64,
    streams_opened: AtomicU64,
}

struct Peer {
    address: watch::Sender<SocketAddr>,
    raft: raft::RaftLinks,
    calls: calls::CallLink,
    /// Calls that bring much, and for which nobody waits: snapshots.
    bulk: calls::CallLink,
}

impl RealTransport {
    /// A transport which dials the known peers at once. It listens after [`RealTransport::listen`] and
    /// delivers after [`RealTransport::register`].
    pub fn new(
        config: TransportConfig,
        clock: Clock,
        rng: Arc<dyn Rng>,
        scope: ScopeHandle,
    ) -> Arc<Self> {
        let shared = Arc::new(Shared {
            cluster_id: config.cluster_id,
            node_id: config.node_id,
            gate: ClockGate::new(clock),
            rng,
            work: config.work.map_or(scope.clone(), |work| scope.on(work)),
            scope,
            slot: InboundSlot::default(),
            membership: config.membership,
            raft_dropped: AtomicU64::new(0),
            handshakes_refused: AtomicU64::new(0),
            streams_opened: AtomicU64::new(0),
        });
        let (loopback, own) = raft::loopback();
        shared.scope.spawn("transport.loopback", Box::pin(run_loopback(shared.clone(), own)));
        let transport = Arc::new(RealTransport { shared, peers: RwLock::default(), loopback });
        for (node, address) in config.addresses {
            transport.set_address(node, address);
        }
        transport
    }

    /// From now on messages to this node go to `inbound`, until the scope stops.
    pub fn register(&self, inbound: Arc<dyn Inbound>) {
        self.shared.slot.register(inbound);
    }

    /// Accepts connections of peers, until the scope stops. Returns the address that it listens on.
    pub fn listen(&self, listener: TcpListener) -> io::Result<SocketAddr> {
        let address = listener.local_addr()?;
        let serve = server::serve(self.shared.clone(), listener);
        self.shared.scope.spawn("transport.listen", Box::pin(serve));
        Ok(address)
    }

    /// A peer listens here from now on. A connection to another address is given up.
    pub fn set_address(&self, node: NodeId, address: SocketAddr) {
        if node == self.shared.node_id {
            return;
        }
        let mut peers = self.peers.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(peer) = peers.get(&node) {
            peer.address.send_if_modified(|old| std::mem::replace(old, address) != address);
            return;
        }
        let (sender, _) = watch::channel(address);
        let dialer = || dialer::Dialer::new(self.shared.clone(), node, sender.subscribe());
        let scope = &self.shared.scope;
        let (raft, run) = raft::RaftLinks::new(dialer);
        run.into_iter().for_each(|run| scope.spawn("transport.raft", run));
        let (calls, run) = calls::CallLink::new(dialer());
        // Beside the sessions: their calls change no thread before the socket.
        self.shared.work.spawn("transport.calls", run);
        let (bulk, run) = calls::CallLink::new(dialer());
        scope.spawn("transport.bulk", run);
        peers.insert(node, Peer { address: sender, raft, calls, bulk });
    }

    /// A node has left the cluster for good: its links end.
    pub fn remove(&self, node: NodeId) {
        self.peers.write().unwrap_or_else(PoisonError::into_inner).remove(&node);
    }

    /// Counters.
    pub fn stats(&self) -> TransportStats {
        TransportStats {
            raft_dropped: self.shared.raft_dropped.load(Ordering::Relaxed),
            handshakes_refused: self.shared.handshakes_refused.load(Ordering::Relaxed),
            clock_refused: self.shared.gate.refused(),
            streams_opened: self.shared.streams_opened.load(Ordering::Relaxed),
        }
    }

    fn call_self(&self, request: RpcRequest) -> BoxFuture<'static, Result<RpcResponse, RpcError>> {
        let Some(inbound) = self.shared.slot.get() else {
            return Box::pin(async { Err(RpcError::NotSent) });
        };
        let shared = self.shared.clone();
        Box::pin(async move {
            let (sender, answer) = oneshot::channel();
            let serve = async move {
                // The caller may be gone.
                let _ = sender.send(inbound.serve(request).await);
            };
            shared.work.spawn("rpc.serve", Box::pin(serve));
            answer.await.map_err(|_| RpcError::Unknown)
        })
    }
}

impl Transport for RealTransport {
    fn send_raft(&self, to: NodeId, messages: Vec<RaftMessage>) {
        let count = messages.len();
        let sent = if to == self.shared.node_id {
            messages
                .into_iter()
                .filter_map(|message| self.loopback.send(message).then_some(()))
                .count()
        } else {
            let peers = self.peers.read().unwrap_or_else(PoisonError::into_inner);
            let links = peers.get(&to).map(|peer| &peer.raft);
            let send = |message| links.is_some_and(|links| links.send(message));
            messages.into_iter().filter_map(|message| send(message).then_some(())).count()
        };
        self.shared.count_raft_dropped(count - sent);
    }

    fn call(
        &self,
        to: NodeId,
        request: RpcRequest,
    ) -> BoxFuture<'static, Result<RpcResponse, RpcError>> {
        if to == self.shared.node_id {
            return self.call_self(request);
        }
        match self.peers.read().unwrap_or_else(PoisonError::into_inner).get(&to) {
            Some(peer) if request.is_bulk() => Box::pin(peer.bulk.call(request)),
            Some(peer) => Box::pin(peer.calls.call(request)),
            None => Box::pin(async { Err(RpcError::NotSent) }),
        }
    }
}

impl Shared {
    fn clock(&self) -> &Clock {
        self.gate.clock()
    }

    /// See [`Inbound::stalled`].
    fn stalled(&self) -> BoxFuture<'static, ()> {
        self.slot
            .get()
            .map_or_else(|| Box::pin(std::future::pending()) as _, |inbound| inbound.stalled())
    }

    fn count_raft_dropped(&self, count: usize) {
        self.raft_dropped.fetch_add(count as u64, Ordering::Relaxed);
    }
}

/// Delivers Raft messages of the node to itself, from a task: the sender may hold what the receiver needs.
/// When the scope stops, this also forgets the receiver, which often owns the transport.
async fn run_loopback(shared: Arc<Shared>, mut queue: raft::Queue) {
    let _unregister = Unregister(shared.slot.clone());
    loop {
        let batch = queue.next().await;
        if batch.is_empty() {
            break;
        }
        match shared.slot.get() {
            Some(inbound) => inbound.raft(shared.node_id, batch),
            None => shared.count_raft_dropped(batch.len()),
        }
    }
    // The transport is gone, but its peers may still be served until the scope stops.
    std::future::pending::<()>().await;
}

struct Unregister(InboundSlot);

impl Drop for Unregister {
    fn drop(&mut self) {
        self.0.unregister();
    }
}

#[cfg(test)]
mod tests;
