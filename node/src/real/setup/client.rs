//! Asking nodes: what an operator's `init` does, and what waiting nodes ask each other.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use super::Membership;
use super::proto::setup_client::SetupClient;
use super::proto::{InitRequest, ProbeReply, ProbeRequest};

/// How long one question may take.
const QUESTION_TIMEOUT: Duration = Duration::from_secs(3);
/// The founder asks every other node before it answers.
const INIT_TIMEOUT: Duration = Duration::from_secs(30);
/// How often `init` looks whether the members serve.
const SERVING_POLL: Duration = Duration::from_millis(50);
/// How long the members may take to serve.
const SERVING_TIMEOUT: Duration = Duration::from_secs(30);

/// Why a cluster was not created.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// The node cannot be reached, or does not understand.
    #[error("cannot reach a node at {0}: {1}")]
    Unreachable(SocketAddr, String),
    /// It exists.
    #[error("{0}")]
    Exists(String),
    /// Not now.
    #[error("{0}")]
    Refused(String),
    /// It was created, but a member does not serve yet.
    #[error("the cluster was created, but the node at {0} does not serve yet: see its log")]
    NotServing(SocketAddr),
}

/// Creates the cluster that the node at `address` waits for, and returns when all members serve.
pub async fn init(address: SocketAddr) -> Result<Membership, InitError> {
    let membership = ask_init(address, false).await.map_err(|status| match status.code() {
        Code::AlreadyExists => InitError::Exists(status.message().to_owned()),
        Code::Unavailable => InitError::Unreachable(address, status.message().to_owned()),
        _ => InitError::Refused(status.message().to_owned()),
    })?;
    let begun = Instant::now();
    for address in membership.addresses().into_values() {
        while !probe(address).await.is_ok_and(|reply| reply.serving) {
            if begun.elapsed() > SERVING_TIMEOUT {
                return Err(InitError::NotServing(address));
            }
            tokio::time::sleep(SERVING_POLL).await;
        }
    }
    Ok(membership)
}

/// Asks a node to create the cluster.
pub(super) async fn ask_init(address: SocketAddr, forwarded: bool) -> Result<Membership, Status> {
    let mut client = connect(address, INIT_TIMEOUT).await?;
    let reply = client.init(InitRequest { forwarded }).await?.into_inner();
    let membership = reply.membership.and_then(Membership::from_proto);
    membership.ok_or_else(|| Status::internal("an answer without a membership"))
}

/// Asks a node what it knows.
pub(super) async fn probe(address: SocketAddr) -> Result<ProbeReply, Status> {
    let mut client = connect(address, QUESTION_TIMEOUT).await?;
    Ok(client.probe(ProbeRequest {}).await?.into_inner())
}

async fn connect(address: SocketAddr, timeout: Duration) -> Result<SetupClient<Channel>, Status> {
    let endpoint = Endpoint::from_shared(format!("http://{address}"))
        .map_err(|error| Status::internal(error.to_string()))?
        .connect_timeout(QUESTION_TIMEOUT)
        .timeout(timeout);
    let channel = endpoint.connect().await.map_err(|error| {
        // The error itself only says that there was one; its last cause says which.
        let mut cause: &dyn std::error::Error = &error;
        while let Some(deeper) = cause.source() {
            cause = deeper;
        }
        Status::unavailable(cause.to_string())
    })?;
    Ok(SetupClient::new(channel))
}
