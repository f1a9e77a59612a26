//! The Raft link: a queue of messages that goes out in batches and never waits for anyone.

use kv::rpc::{MAX_MESSAGE_BYTES, RaftMessage};
use prost::Message;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::dialer::Dialer;
use super::wire::proto::RaftFrame;
use super::wire::{BATCH_MAX, FRAMES_MAX, frames};

/// Keeps a stream to the peer open, until the peer is removed.
pub(super) async fn run(mut dialer: Dialer, mut queue: mpsc::Receiver<RaftMessage>) {
    while dialer.is_wanted() {
        let Err(why) = session(&mut dialer, &mut queue).await else { continue };
        let pause = dialer.backoff("raft", &why);
        let pause = dialer.shared.clock().sleep(pause);
        drop_queued(&dialer, &mut queue);
        tokio::select! {
            biased;
            () = dialer.moved() => {}
            () = pause => {}
        }
        // Also what came during the pause: nobody was there to take it.
        drop_queued(&dialer, &mut queue);
    }
}

fn drop_queued(dialer: &Dialer, queue: &mut mpsc::Receiver<RaftMessage>) {
    let mut dropped = 0;
    while queue.try_recv().is_ok() {
        dropped += 1;
    }
    dialer.shared.count_raft_dropped(dropped);
}

/// One stream, from its opening to its end. `Ok` when the peer has moved.
async fn session(
    dialer: &mut Dialer,
    queue: &mut mpsc::Receiver<RaftMessage>,
) -> Result<(), Status> {
    let shared = dialer.shared.clone();
    let mut client = dialer.connect().await?;
    let (outgoing, stream) = mpsc::channel(FRAMES_MAX);
    let hello = shared.hello(dialer.peer);
    let first = RaftFrame { header: shared.header(dialer.peer), hello, messages: Vec::new() };
    outgoing.try_send(first).expect("the stream has room for its first frame");
    let mut replies = dialer.open(client.raft(ReceiverStream::new(stream))).await?;
    let hello = shared.handshake(replies.message()).await?;
    let hello = hello.ok_or_else(|| Status::unavailable("closed without a hello"))?;
    dialer.welcome(hello.header, hello.hello)?;

    let peer = dialer.peer;
    let write = async {
        let mut batch = Vec::new();
        while queue.recv_many(&mut batch, BATCH_MAX).await > 0 {
            let encoded = batch.drain(..).map(|message| message.encode_to_vec().into());
            let (fitting, large): (Vec<bytes::Bytes>, Vec<_>) =
                encoded.partition(|bytes: &bytes::Bytes| bytes.len() <= MAX_MESSAGE_BYTES);
            if !large.is_empty() {
                tracing::error!(peer = %dialer.peer, count = large.len(), "Raft message too large");
                shared.count_raft_dropped(large.len());
            }
            for messages in frames(fitting, bytes::Bytes::len) {
                let frame = RaftFrame { header: shared.header(peer), hello: None, messages };
                if outgoing.send(frame).await.is_err() {
                    return;
                }
            }
        }
    };
    let read = async {
        // Nothing comes but the end.
        while replies.message().await?.is_some() {}
        Err(Status::unavailable("closed by the peer"))
    };
    // A future of its own, because the writer borrows the dialer's peer.
    let mut address = dialer.address_watch();
    tokio::select! {
        biased;
        end = read => end,
        _ = address.changed() => Ok(()),
        () = write => Err(Status::unavailable("stream closed")),
    }
}
