//! The Raft links of one peer: two lanes, each a queue of messages that goes out in batches and never waits for anyone.
//!
//! - I1. What elects leaders and keeps them passes whatever is queued: heartbeats, votes and acknowledgements have a
//!   connection of their own.
//! - I2. A queue is bounded by messages and by bytes. What has no room is dropped, and Raft repeats what matters.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use futures::{Stream, StreamExt, stream};
use kv::ids::NodeId;
use kv::rpc::{MAX_MESSAGE_BYTES, RaftMessage};
use prost::Message;
use tokio::sync::mpsc;
use tonic::Status;

use super::Shared;
use super::dialer::Dialer;
use super::lender::Lender;
use super::wire::proto::RaftFrame;
use super::wire::{BATCH_MAX, frames};

/// Messages that may wait in a lane.
const LANE_MESSAGES_MAX: usize = 4_096;
/// Bytes of appends that may wait for a peer, or a single message: two of the largest.
const APPEND_BYTES_MAX: usize = 64 << 20;
/// Bytes of all other messages that may wait for a peer.
const URGENT_BYTES_MAX: usize = 4 << 20;

/// The senders' end of the two lanes.
pub(super) struct RaftLinks {
    urgent: Lane,
    appends: Lane,
}

/// The senders' end of a queue.
#[derive(Clone)]
pub(super) struct Lane {
    queue: mpsc::Sender<Queued>,
    bytes: Arc<AtomicUsize>,
    bytes_max: usize,
}

/// A message in a queue, and what it takes there.
struct Queued {
    message: RaftMessage,
    bytes: usize,
    all: Arc<AtomicUsize>,
}

impl Drop for Queued {
    fn drop(&mut self) {
        self.all.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// The other end of a queue.
pub(super) struct Queue(mpsc::Receiver<Queued>);

/// A queue of so many messages and bytes.
pub(super) fn lane(bytes_max: usize) -> (Lane, Queue) {
    let (queue, queued) = mpsc::channel(LANE_MESSAGES_MAX);
    (Lane { queue, bytes: Arc::default(), bytes_max }, Queue(queued))
}

impl Lane {
    /// Queues a message, if there is room. An empty queue takes whatever there is.
    pub(super) fn send(&self, message: RaftMessage) -> bool {
        let bytes = message.encoded_len();
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let queued = Queued { message, bytes, all: self.bytes.clone() };
        (before == 0 || before + bytes <= self.bytes_max) && self.queue.try_send(queued).is_ok()
    }
}

impl Queue {
    /// The next messages, as many as are there and fit a batch; none when there are no more to come.
    pub(super) async fn next(&mut self) -> Vec<RaftMessage> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Vec<RaftMessage>> {
        let mut batch = Vec::new();
        std::task::ready!(self.0.poll_recv_many(cx, &mut batch, BATCH_MAX));
        let messages = batch.into_iter().map(|mut queued| std::mem::take(&mut queued.message));
        Poll::Ready(messages.collect())
    }

    /// Forgets what is queued. Gives how much that was.
    fn clear(&mut self) -> usize {
        std::iter::from_fn(|| self.0.try_recv().ok()).count()
    }
}

impl RaftLinks {
    /// Two links, and the tasks that keep them connected until the peer is removed.
    pub(super) fn new(dialer: impl Fn() -> Dialer) -> (Self, [BoxFuture<'static, ()>; 2]) {
        let (urgent, first) = lane(URGENT_BYTES_MAX);
        let (appends, second) = lane(APPEND_BYTES_MAX);
        let links = RaftLinks { urgent, appends };
        (links, [Box::pin(run(dialer(), first)), Box::pin(run(dialer(), second))])
    }

    /// Queues a message in its lane, if there is room.
    pub(super) fn send(&self, message: RaftMessage) -> bool {
        let lane = if message.is_append() { &self.appends } else { &self.urgent };
        lane.send(message)
    }
}

/// A lane of a node to itself.
pub(super) fn loopback() -> (Lane, Queue) {
    lane(APPEND_BYTES_MAX)
}

/// A lane's frames.
struct Outbox {
    shared: Arc<Shared>,
    peer: NodeId,
    queue: Queue,
    /// What was taken from the queue together, and is more than a frame.
    rest: VecDeque<Vec<RaftMessage>>,
}

impl Outbox {
    /// Forgets what is queued.
    fn clear(&mut self) {
        let rest: usize = self.rest.drain(..).map(|messages| messages.len()).sum();
        self.shared.count_raft_dropped(rest + self.queue.clear());
    }
}

impl Stream for Outbox {
    type Item = RaftFrame;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<RaftFrame>> {
        loop {
            if let Some(messages) = self.rest.pop_front() {
                let header = self.shared.header(self.peer);
                return Poll::Ready(Some(RaftFrame { header, hello: None, messages }));
            }
            let mut batch = std::task::ready!(self.queue.poll_next(cx));
            if batch.is_empty() {
                return Poll::Ready(None);
            }
            let queued = batch.len();
            batch.retain(|message| message.encoded_len() <= MAX_MESSAGE_BYTES);
            if batch.len() < queued {
                tracing::error!(peer = %self.peer, "Raft message too large");
                self.shared.count_raft_dropped(queued - batch.len());
            }
            self.rest.extend(frames(batch, RaftMessage::encoded_len));
        }
    }
}

/// Keeps a stream to the peer open, until the peer is removed.
async fn run(mut dialer: Dialer, queue: Queue) {
    let (shared, peer) = (dialer.shared.clone(), dialer.peer);
    let outbox = Lender::new(Outbox { shared, peer, queue, rest: VecDeque::new() });
    while dialer.is_wanted() {
        let Err(why) = session(&mut dialer, &outbox).await else { continue };
        let pause = dialer.backoff("raft", &why);
        let pause = dialer.shared.clock().sleep(pause);
        outbox.recall(Outbox::clear);
        tokio::select! {
            biased;
            () = dialer.moved() => {}
            () = pause => {}
        }
        // Also what came during the pause: nobody was there to take it.
        outbox.recall(Outbox::clear);
    }
}

/// One stream, from its opening to its end. `Ok` when the peer has moved.
async fn session(dialer: &mut Dialer, outbox: &Lender<Outbox>) -> Result<(), Status> {
    let shared = dialer.shared.clone();
    let mut client = dialer.connect().await?;
    let hello = shared.hello(dialer.peer);
    let first = RaftFrame { header: shared.header(dialer.peer), hello, messages: Vec::new() };
    let outgoing = stream::iter([first]).chain(outbox.lend());
    let mut replies = dialer.open(client.raft(outgoing)).await?;
    let hello = shared.handshake(replies.message()).await?;
    let hello = hello.ok_or_else(|| Status::unavailable("closed without a hello"))?;
    dialer.welcome(hello.header, hello.hello)?;
    let read = async {
        // Nothing comes but the end.
        while replies.message().await?.is_some() {}
        Err(Status::unavailable("closed by the peer"))
    };
    let mut address = dialer.address_watch();
    tokio::select! {
        biased;
        end = read => end,
        _ = address.changed() => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use kv::rpc::LogEntry;

    use super::*;

    fn append(bytes: usize) -> RaftMessage {
        let entry = LogEntry { data: vec![7; bytes].into(), ..LogEntry::default() };
        // MsgAppend, in raft-rs's numbering.
        RaftMessage { kind: 3, entries: vec![entry], ..RaftMessage::default() }
    }

    #[tokio::test]
    async fn a_lane_is_bounded_by_bytes_and_gives_them_back() {
        let (lane, mut queue) = lane(1_000);
        assert!(lane.send(append(5_000)), "an empty queue takes whatever there is");
        assert!(!lane.send(append(1)));
        assert_eq!(queue.next().await.len(), 1);
        assert!((0..9).all(|_| lane.send(append(90))));
        assert!(!lane.send(append(400)));
        assert_eq!(queue.clear(), 9);
        assert!(lane.send(append(5_000)));
    }

    #[tokio::test]
    async fn what_is_no_append_has_a_lane_of_its_own() {
        let ((urgent, mut first), (appends, mut second)) = (lane(1_000), lane(1_000));
        let links = RaftLinks { urgent, appends };
        while links.send(append(300)) {}
        let heartbeat = RaftMessage { kind: 8, ..RaftMessage::default() };
        assert!(links.send(heartbeat.clone()), "the appends' queue is full");
        assert_eq!(first.next().await, [heartbeat]);
        assert_eq!(second.next().await.len(), 3);
    }
}
