//! A node that waits for its cluster to be created.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use kv::env::Rng;
use kv::ids::NodeId;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::{Mutex, mpsc, oneshot};
use tonic::transport::Server;
use tonic::{Request, Response, Status};

use super::client::{ask_init, probe};
use super::file::StoreFile;
use super::proto::setup_server::{Setup, SetupServer};
use super::proto::{InitReply, InitRequest, ProbeReply, ProbeRequest};
use super::{Membership, SetupError};
use crate::real::RealScope;
use crate::real::transport::guard;

/// How often a waiting node asks its peers.
const ASK_PAUSE: Duration = Duration::from_millis(200);
/// How long those who talk to us may take to end, once the cluster exists.
const FAREWELL: Duration = Duration::from_secs(1);

/// What a node knows before it is a member.
pub struct Waiting {
    /// Where other nodes reach it.
    pub address: SocketAddr,
    /// All founding members; itself included or not.
    pub join: BTreeSet<SocketAddr>,
}

/// Waits until the cluster is created, here or by a peer, and records this store as a member of it.
pub async fn wait_for_membership(
    waiting: Waiting,
    listener: TcpListener,
    file: &mut StoreFile,
    rng: Arc<dyn Rng>,
) -> Result<(NodeId, Membership), SetupError> {
    let Waiting { address, mut join } = waiting;
    join.insert(address);
    let (found, mut founded) = mpsc::channel(1);
    let join = Arc::new(join);
    let service = Service {
        address,
        join: join.clone(),
        store_id: file.store_id(),
        rng,
        found,
        founding: Arc::default(),
    };
    let scope = RealScope::new(Handle::current());
    let (close, closed) = oneshot::channel::<()>();
    let incoming = guard::incoming(listener, scope.handle());
    let serve = Server::builder().serve_with_incoming_shutdown(
        SetupServer::new(service),
        incoming,
        async {
            // A sender that is gone means the same.
            let _ = closed.await;
        },
    );
    let mut serve = std::pin::pin!(serve);
    let outcome = tokio::select! {
        biased;
        end = &mut serve => {
            let why = end.err().map_or_else(|| "ended".to_owned(), |error| error.to_string());
            return Err(SetupError::Damaged(format!("the listener has failed: {why}")));
        }
        Some((membership, recorded)) = founded.recv() => {
            let joined = record(file, address, membership);
            // The asker hears of the cluster only when it exists.
            let _ = recorded.send(joined.is_ok());
            joined
        }
        membership = ask_peers(address, &join) => record(file, address, membership),
    };
    let _ = close.send(());
    // Answers that are on their way should arrive.
    let _ = tokio::time::timeout(FAREWELL, serve).await;
    scope.stop().await;
    outcome
}

fn record(
    file: &mut StoreFile,
    address: SocketAddr,
    membership: Membership,
) -> Result<(NodeId, Membership), SetupError> {
    let Some((node_id, member)) = membership.find(address) else {
        let what =
            format!("the cluster was created without {address}: members cannot be added yet");
        return Err(SetupError::Refused(what));
    };
    if member.store_id != file.store_id() {
        let what = format!(
            "the cluster knows another store of {node_id} at {address}: an empty store cannot \
             replace a lost one yet"
        );
        return Err(SetupError::Refused(what));
    }
    file.join(node_id, membership.clone())?;
    Ok((node_id, membership))
}

/// Asks the peers again and again until one knows the cluster.
async fn ask_peers(own: SocketAddr, join: &BTreeSet<SocketAddr>) -> Membership {
    loop {
        for peer in join.iter().filter(|peer| **peer != own) {
            let known = probe(*peer).await.ok().and_then(|reply| reply.membership);
            if let Some(membership) = known.and_then(Membership::from_proto) {
                return membership;
            }
        }
        tokio::time::sleep(ASK_PAUSE).await;
    }
}

struct Service {
    address: SocketAddr,
    join: Arc<BTreeSet<SocketAddr>>,
    store_id: u64,
    rng: Arc<dyn Rng>,
    /// To whoever writes the membership down.
    found: mpsc::Sender<(Membership, oneshot::Sender<bool>)>,
    /// The cluster, once this node has founded it; held while it does (I1).
    founding: Arc<Mutex<Option<Membership>>>,
}

impl Service {
    /// Sees that all nodes are ready, and founds the cluster.
    async fn found(&self) -> Result<Membership, Status> {
        let mut founding = self.founding.lock().await;
        if founding.is_some() {
            return Err(exists());
        }
        let mut members = BTreeMap::from([(self.address, self.store_id)]);
        for peer in self.join.iter().filter(|peer| **peer != self.address) {
            let reply = probe(*peer).await.map_err(|why| unreachable_peer(*peer, &why))?;
            if reply.membership.is_some() {
                return Err(exists());
            }
            if reply.join != self.join_text() {
                let theirs = reply.join.join(",");
                let what = format!(
                    "{} was told to join {}, but {peer} was told to join {theirs}",
                    self.address,
                    self.join_text().join(","),
                );
                return Err(Status::failed_precondition(what));
            }
            members.insert(*peer, reply.store_id);
        }
        let membership = Membership::number(self.rng.next_u64().max(1), members);
        let (recorded, done) = oneshot::channel();
        let lost = || Status::internal("the membership could not be written: see the node's log");
        self.found.try_send((membership.clone(), recorded)).map_err(|_| lost())?;
        if !done.await.is_ok_and(|is_recorded| is_recorded) {
            return Err(lost());
        }
        *founding = Some(membership.clone());
        Ok(membership)
    }

    fn join_text(&self) -> Vec<String> {
        self.join.iter().map(ToString::to_string).collect()
    }
}

#[tonic::async_trait]
impl Setup for Service {
    async fn init(&self, request: Request<InitRequest>) -> Result<Response<InitReply>, Status> {
        // The lowest of all; the own address is one of them.
        let founder = self.join.first().copied().unwrap_or(self.address);
        let membership = if founder == self.address {
            self.found().await?
        } else if request.into_inner().forwarded {
            let what =
                format!("{} was told of {founder}, which its peers do not know", self.address);
            return Err(Status::failed_precondition(what));
        } else {
            ask_init(founder, true).await.map_err(|why| match why.code() {
                tonic::Code::Unavailable => unreachable_peer(founder, &why),
                _ => why,
            })?
        };
        Ok(Response::new(InitReply { membership: Some(membership.to_proto()) }))
    }

    async fn probe(&self, _: Request<ProbeRequest>) -> Result<Response<ProbeReply>, Status> {
        let reply = ProbeReply {
            store_id: self.store_id,
            join: self.join_text(),
            membership: None,
            serving: false,
        };
        Ok(Response::new(reply))
    }
}

pub(super) fn exists() -> Status {
    Status::already_exists("the cluster has been initialised already")
}

fn unreachable_peer(peer: SocketAddr, why: &Status) -> Status {
    Status::failed_precondition(format!(
        "{peer} cannot be reached ({}): every node named in --join must run",
        why.message()
    ))
}
