//! How a link finds its peer again and again.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use kv::ids::NodeId;
use tokio::sync::watch;
use tonic::transport::{Channel, Endpoint};
use tonic::{Response, Status};

use super::Shared;
use super::wire::FRAME_BYTES_MAX;
use super::wire::proto::peer_client::PeerClient;
use super::wire::proto::{Header, Hello};
use crate::liveness::{HANDSHAKE_MAX, RETRY_MAX};

/// The first pause between two attempts; it doubles up to [`RETRY_MAX`].
const BACKOFF_MIN: Duration = Duration::from_millis(50);
/// A silent connection is probed after this, and given up when the probe has no answer in the time below. Raft streams
/// carry nothing back by which the silence would be noticed otherwise.
pub(super) const PROBE_AFTER: Duration = Duration::from_secs(1);
pub(super) const PROBE_MAX: Duration = Duration::from_secs(2);

/// Dials one peer for one link.
pub(super) struct Dialer {
    pub(super) shared: Arc<Shared>,
    pub(super) peer: NodeId,
    address: watch::Receiver<SocketAddr>,
    failures: u32,
}

impl Dialer {
    pub(super) fn new(
        shared: Arc<Shared>,
        peer: NodeId,
        address: watch::Receiver<SocketAddr>,
    ) -> Self {
        Dialer { shared, peer, address, failures: 0 }
    }

    /// A new connection to where the peer is said to be.
    pub(super) async fn connect(&mut self) -> Result<PeerClient<Channel>, Status> {
        let address = *self.address.borrow_and_update();
        let channel = Endpoint::from_shared(format!("http://{address}"))
            .map_err(|error| Status::internal(error.to_string()))?
            .connect_timeout(HANDSHAKE_MAX)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(PROBE_AFTER)
            .keep_alive_timeout(PROBE_MAX)
            .keep_alive_while_idle(true);
        let channel =
            channel.connect().await.map_err(|error| Status::unavailable(error.to_string()))?;
        Ok(PeerClient::new(channel)
            .max_decoding_message_size(FRAME_BYTES_MAX)
            .max_encoding_message_size(FRAME_BYTES_MAX))
    }

    /// Waits until the peer has looked at the first frame. Also when it refuses the stream it says what its clock shows.
    pub(super) async fn open<T>(
        &self,
        answer: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, Status> {
        let answer = self.shared.handshake(answer).await;
        answer.map(Response::into_inner).inspect_err(|why| self.shared.hear_refusal(why))
    }

    /// Checks the peer's hello; the stream is open then.
    pub(super) fn welcome(
        &mut self,
        header: Option<Header>,
        hello: Option<Hello>,
    ) -> Result<(), Status> {
        let from = self.shared.check_hello(header, hello)?;
        if from != self.peer {
            return Err(Status::failed_precondition(format!("{from} answers for {}", self.peer)));
        }
        self.failures = 0;
        self.shared.streams_opened.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Completes when the peer is said to be elsewhere, or to be gone.
    pub(super) async fn moved(&mut self) {
        // An error means that the peer was removed.
        let _ = self.address.changed().await;
    }

    /// Tells of the peer's moves while the dialer is in use.
    pub(super) fn address_watch(&self) -> watch::Receiver<SocketAddr> {
        // A clone has seen what the dialer has seen, so no move is missed.
        self.address.clone()
    }

    /// False once the peer was removed from the address book.
    pub(super) fn is_wanted(&self) -> bool {
        self.address.has_changed().is_ok()
    }

    /// Notes why the link failed. The pause before the next attempt: half of it is random, so that peers do
    /// not come back all at once.
    pub(super) fn backoff(&mut self, link: &str, why: &Status) -> Duration {
        let peer = self.peer;
        match why.code() {
            tonic::Code::FailedPrecondition => {
                tracing::warn!(%peer, link, why = why.message(), "peer refused");
            }
            _ => tracing::debug!(%peer, link, why = why.message(), "link down"),
        }
        let full = BACKOFF_MIN.saturating_mul(1 << self.failures.min(16)).min(RETRY_MAX);
        self.failures = self.failures.saturating_add(1);
        let half = full / 2;
        let random = u64::try_from(half.as_micros()).unwrap_or(u64::MAX).max(1);
        half + Duration::from_micros(self.shared.rng.below(random))
    }
}
