//! The listening side: checks who calls, delivers Raft messages, serves requests.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use futures::future::{BoxFuture, FutureExt};
use futures::{Stream, StreamExt, stream};
use kv::env::TaskScope;
use kv::ids::NodeId;
use kv::rpc::MAX_MESSAGE_BYTES;
use prost::Message;
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};

use super::Shared;
use super::dialer::{PROBE_AFTER, PROBE_MAX};
use super::guard;
use super::wire::proto::peer_server::{Peer, PeerServer};
use super::wire::proto::{
    CallFrame, Header, Hello, Outcome, RaftFrame, RaftReply, Reply, ReplyFrame,
};
use super::wire::{BATCH_MAX, FRAME_BYTES_MAX, frames};
use crate::liveness::KEEPALIVE;
use crate::real::setup::{MemberSetup, WithSetup};

/// Requests of all peers that may be served at once; further ones are refused.
const SERVES_MAX: usize = 16_384;
/// A peer needs one stream per connection; a few more for one that is just being replaced.
const STREAMS_MAX: u32 = 16;
/// What a Raft stream says back: its hello, and why it ends.
const RAFT_REPLIES_MAX: usize = 2;
/// Answers of one stream that may wait to be framed.
const REPLIES_MAX: usize = 1_024;

/// Accepts connections until the scope stops.
pub(super) async fn serve(shared: Arc<Shared>, listener: TcpListener) {
    let incoming = guard::incoming(listener, shared.scope.clone());
    let service = Service { shared, serves: Arc::new(Semaphore::new(SERVES_MAX)) };
    let setup = MemberSetup::new(service.shared.slot.clone(), service.shared.membership.clone());
    let service = PeerServer::new(service)
        .max_decoding_message_size(FRAME_BYTES_MAX)
        .max_encoding_message_size(FRAME_BYTES_MAX);
    let service = WithSetup::new(setup, service);
    let served = Server::builder()
        .max_concurrent_streams(STREAMS_MAX)
        .http2_keepalive_interval(Some(PROBE_AFTER))
        .http2_keepalive_timeout(Some(PROBE_MAX))
        .serve_with_incoming(service, incoming)
        .await;
    if let Err(error) = served {
        tracing::error!(%error, "listener failed");
    }
}

struct Service {
    shared: Arc<Shared>,
    serves: Arc<Semaphore>,
}

type Frames<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl Peer for Service {
    type RaftStream = Frames<RaftReply>;
    type CallsStream = Frames<ReplyFrame>;

    async fn raft(
        &self,
        request: Request<Streaming<RaftFrame>>,
    ) -> Result<Response<Self::RaftStream>, Status> {
        let mut frames = request.into_inner();
        let first = self.shared.handshake(frames.message()).await?.unwrap_or_default();
        let peer = self.admit(first.header, first.hello)?;
        let shared = self.shared.clone();
        let (outgoing, stream) = mpsc::channel(RAFT_REPLIES_MAX);
        let hello = RaftReply { header: shared.header(peer), hello: shared.hello(peer) };
        outgoing.try_send(Ok(hello)).expect("the stream has room for its first frame");
        let receive = async move {
            if let Err(why) = receive_raft(&shared, peer, &mut frames).await {
                tracing::debug!(%peer, why = why.message(), "Raft stream ended");
                // The peer may be gone.
                let _ = outgoing.try_send(Err(why));
            }
        };
        self.shared.scope.spawn("transport.raft.receive", Box::pin(receive));
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }

    async fn calls(
        &self,
        request: Request<Streaming<CallFrame>>,
    ) -> Result<Response<Self::CallsStream>, Status> {
        let mut frames = request.into_inner();
        let first = self.shared.handshake(frames.message()).await?.unwrap_or_default();
        let peer = self.admit(first.header, first.hello)?;
        let shared = self.shared.clone();
        if shared.stalled().now_or_never().is_some() {
            return Err(shared.refusal(peer, Status::unavailable("the disk does not answer")));
        }
        let hello = shared.hello(peer);
        let hello = ReplyFrame { header: shared.header(peer), hello, replies: Vec::new() };
        let (replies, queue) = mpsc::channel(REPLIES_MAX);
        let outgoing = Replies {
            shared: shared.clone(),
            peer,
            queue,
            rest: VecDeque::new(),
            stalled: shared.stalled(),
            pause: shared.clock().sleep(KEEPALIVE),
            is_silent: true,
        };
        let serves = self.serves.clone();
        let receive = async move {
            if let Err(why) = receive_calls(&shared, &serves, peer, &mut frames, replies).await {
                tracing::debug!(%peer, why = why.message(), "call stream ended");
            }
        };
        // Beside what it serves: what a request changes threads for is the connection, in both directions.
        self.shared.work.spawn("transport.calls.receive", Box::pin(receive));
        Ok(Response::new(Box::pin(stream::iter([Ok(hello)]).chain(outgoing))))
    }
}

impl Service {
    fn admit(&self, header: Option<Header>, hello: Option<Hello>) -> Result<NodeId, Status> {
        let shared = &self.shared;
        let admitted = shared.identify(header, hello).and_then(|(peer, header)| {
            shared.check_clock(peer, &header).map_err(|why| shared.refusal(peer, why))?;
            Ok(peer)
        });
        admitted.inspect_err(|why| {
            shared.handshakes_refused.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(why = why.message(), "stream refused");
        })
    }
}

async fn receive_raft(
    shared: &Shared,
    peer: NodeId,
    frames: &mut Streaming<RaftFrame>,
) -> Result<(), Status> {
    while let Some(frame) = frames.message().await? {
        if !shared.check_header(peer, frame.header)? {
            continue;
        }
        if let Some(inbound) = shared.slot.get() {
            inbound.raft(peer, frame.messages);
        }
    }
    Ok(())
}

async fn receive_calls(
    shared: &Arc<Shared>,
    serves: &Arc<Semaphore>,
    peer: NodeId,
    frames: &mut Streaming<CallFrame>,
    replies: mpsc::Sender<(Reply, Option<OwnedSemaphorePermit>)>,
) -> Result<(), Status> {
    while let Some(frame) = frames.message().await? {
        let admitted = shared.check_header(peer, frame.header)?;
        for call in frame.calls {
            let id = call.id;
            let inbound = shared.slot.get().filter(|_| admitted);
            let permit = serves.clone().try_acquire_owned();
            let (Some(inbound), Ok(permit), Some(request)) = (inbound, permit, call.request) else {
                let refused = Reply { id, outcome: Outcome::Refused.into(), ..Reply::default() };
                // A peer that does not read its answers is not listened to either.
                if replies.send((refused, None)).await.is_err() {
                    return Ok(());
                }
                continue;
            };
            let replies = replies.clone();
            let serve = async move {
                let response = inbound.serve(request).await;
                let mut reply = Reply { id, ..Reply::default() };
                let bytes = response.encoded_len();
                if bytes <= MAX_MESSAGE_BYTES {
                    reply.response = Some(response);
                } else {
                    tracing::error!(%peer, bytes, "response too large");
                    reply.outcome = Outcome::Lost.into();
                }
                // The stream may be gone; the caller knows by itself.
                let _ = replies.send((reply, Some(permit))).await;
            };
            shared.work.spawn("rpc.serve", Box::pin(serve));
        }
    }
    Ok(())
}

/// The answers of a stream, in frames; where there are none, frames without: see [`crate::liveness`].
struct Replies {
    shared: Arc<Shared>,
    peer: NodeId,
    queue: mpsc::Receiver<(Reply, Option<OwnedSemaphorePermit>)>,
    /// What was taken from the queue together, and is more than a frame.
    rest: VecDeque<Vec<Reply>>,
    /// The stream ends with it, and with the stream every call: the threads that would answer may stand before the disk.
    stalled: BoxFuture<'static, ()>,
    pause: BoxFuture<'static, ()>,
    /// Nothing was sent since the pause began.
    is_silent: bool,
}

impl Replies {
    fn frame(&self, replies: Vec<Reply>) -> Poll<Option<Result<ReplyFrame, Status>>> {
        let header = self.shared.header(self.peer);
        Poll::Ready(Some(Ok(ReplyFrame { header, hello: None, replies })))
    }
}

impl Stream for Replies {
    type Item = Result<ReplyFrame, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.stalled.poll_unpin(cx).is_ready() {
            return Poll::Ready(None);
        }
        if self.rest.is_empty() {
            let mut batch = Vec::new();
            match self.queue.poll_recv_many(cx, &mut batch, BATCH_MAX) {
                Poll::Ready(0) => return Poll::Ready(None),
                // A request counts as being served until its answer is framed.
                Poll::Ready(_) => {
                    let replies = batch.into_iter().map(|(reply, _permit)| reply).collect();
                    self.rest.extend(frames(replies, Reply::encoded_len));
                }
                Poll::Pending => {}
            }
        }
        if let Some(replies) = self.rest.pop_front() {
            self.is_silent = false;
            return self.frame(replies);
        }
        while self.pause.poll_unpin(cx).is_ready() {
            self.pause = self.shared.clock().sleep(KEEPALIVE);
            if std::mem::replace(&mut self.is_silent, true) {
                return self.frame(Vec::new());
            }
        }
        Poll::Pending
    }
}
