//! The call link: requests to one peer, many at once on one stream, matched to their answers by id.
//!
//! The table of pending calls is the truth: a call that is not in it is of no interest to anyone. Each call
//! removes itself when its future ends, so that the table is bounded by the callers.
//!
//! A peer that falls silent ends the stream ([`crate::liveness`]), and with it every call; while none is open, calls fail
//! at once, so that a dead dial keeps nobody waiting.

use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use futures::{Stream, StreamExt, stream};
use kv::env::RpcError;
use kv::ids::NodeId;
use kv::rpc::{MAX_MESSAGE_BYTES, RpcRequest, RpcResponse};
use prost::Message;
use tokio::sync::{mpsc, oneshot};
use tonic::Status;

use super::Shared;
use super::dialer::Dialer;
use super::lender::Lender;
use super::wire::proto::{Call, CallFrame, Outcome, Reply};
use super::wire::{BATCH_MAX, frames};
use crate::liveness::SILENCE_MAX;

/// Calls to one peer that may wait for their answers.
pub(super) const CALLS_MAX: usize = 4_096;

/// The callers' end of the link.
pub(super) struct CallLink {
    table: Arc<Mutex<Table>>,
    queue: mpsc::Sender<Call>,
}

#[derive(Default)]
struct Table {
    /// True while there is a stream: without one, calls fail at once.
    open: bool,
    next_id: u64,
    pending: BTreeMap<u64, Pending>,
}

struct Pending {
    /// The stream has it, or may have it.
    handed_over: bool,
    answer: oneshot::Sender<Result<RpcResponse, RpcError>>,
}

impl CallLink {
    /// A link, and the task that keeps it connected until the peer is removed.
    pub(super) fn new(dialer: Dialer) -> (Self, BoxFuture<'static, ()>) {
        let table = Arc::new(Mutex::new(Table::default()));
        let (queue, queued) = mpsc::channel(CALLS_MAX);
        let link = CallLink { table: table.clone(), queue };
        (link, Box::pin(run(dialer, table, queued)))
    }

    /// Sends a request, from now on.
    pub(super) fn call(
        &self,
        request: RpcRequest,
    ) -> impl Future<Output = Result<RpcResponse, RpcError>> + Send + use<> {
        let begun = self.begin(request);
        async move {
            let (pending, answer) = begun?;
            let answer = answer.await;
            drop(pending);
            // Without an answer the link's task is gone: so is the node.
            answer.unwrap_or(Err(RpcError::Unknown))
        }
    }

    fn begin(
        &self,
        request: RpcRequest,
    ) -> Result<(PendingCall, oneshot::Receiver<Result<RpcResponse, RpcError>>), RpcError> {
        let bytes = request.encoded_len();
        if bytes > MAX_MESSAGE_BYTES {
            tracing::error!(bytes, "request too large");
            return Err(RpcError::NotSent);
        }
        let (sender, answer) = oneshot::channel();
        let mut table = lock(&self.table);
        if !table.open || table.pending.len() >= CALLS_MAX {
            return Err(RpcError::NotSent);
        }
        table.next_id += 1;
        let id = table.next_id;
        // Under the lock: a link that fails empties both the table and the queue.
        self.queue.try_send(Call { id, request: Some(request) }).map_err(|_| RpcError::NotSent)?;
        table.pending.insert(id, Pending { handed_over: false, answer: sender });
        Ok((PendingCall { table: self.table.clone(), id }, answer))
    }
}

/// A call's place in the table, given back when the call ends.
struct PendingCall {
    table: Arc<Mutex<Table>>,
    id: u64,
}

impl Drop for PendingCall {
    fn drop(&mut self) {
        lock(&self.table).pending.remove(&self.id);
    }
}

fn lock(table: &Mutex<Table>) -> MutexGuard<'_, Table> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The link's frames.
struct Outbox {
    shared: Arc<Shared>,
    peer: NodeId,
    table: Arc<Mutex<Table>>,
    queue: mpsc::Receiver<Call>,
    /// What was taken from the queue together, and is more than a frame.
    rest: VecDeque<Vec<Call>>,
}

impl Outbox {
    fn clear(&mut self) {
        self.rest.clear();
        while self.queue.try_recv().is_ok() {}
    }
}

impl Stream for Outbox {
    type Item = CallFrame;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<CallFrame>> {
        loop {
            // One is asked for: what is in those behind it is not handed over yet.
            if let Some(mut calls) = self.rest.pop_front() {
                {
                    let mut table = lock(&self.table);
                    calls.retain(|call| match table.pending.get_mut(&call.id) {
                        Some(pending) => {
                            pending.handed_over = true;
                            true
                        }
                        None => false,
                    });
                }
                if calls.is_empty() {
                    continue;
                }
                let header = self.shared.header(self.peer);
                return Poll::Ready(Some(CallFrame { header, hello: None, calls }));
            }
            let mut batch = Vec::new();
            if std::task::ready!(self.queue.poll_recv_many(cx, &mut batch, BATCH_MAX)) == 0 {
                return Poll::Ready(None);
            }
            self.rest.extend(frames(batch, Call::encoded_len));
        }
    }
}

/// Keeps a stream to the peer open, until the peer is removed or the node stops.
async fn run(mut dialer: Dialer, table: Arc<Mutex<Table>>, queue: mpsc::Receiver<Call>) {
    // However this task ends, nobody waits in vain.
    let _close = Close(&table);
    let (shared, peer) = (dialer.shared.clone(), dialer.peer);
    let outbox = Outbox { shared, peer, table: table.clone(), queue, rest: VecDeque::new() };
    let outbox = Lender::new(outbox);
    while dialer.is_wanted() {
        let end = session(&mut dialer, &table, &outbox).await;
        // Nothing is handed over any more, then nothing waits any more.
        outbox.recall(|_| ());
        close(&table);
        outbox.recall(Outbox::clear);
        let Err(why) = end else { continue };
        let pause = dialer.backoff("calls", &why);
        let pause = dialer.shared.clock().sleep(pause);
        tokio::select! {
            biased;
            () = dialer.moved() => {}
            () = pause => {}
        }
    }
}

struct Close<'a>(&'a Mutex<Table>);

impl Drop for Close<'_> {
    fn drop(&mut self) {
        close(self.0);
    }
}

/// Ends every pending call: it was handed to the stream that is no more, or it was not.
fn close(table: &Mutex<Table>) {
    let pending = {
        let mut table = lock(table);
        table.open = false;
        std::mem::take(&mut table.pending)
    };
    for call in pending.into_values() {
        let error = if call.handed_over { RpcError::Unknown } else { RpcError::NotSent };
        // The caller may be gone.
        let _ = call.answer.send(Err(error));
    }
}

/// One stream, from its opening to its end. `Ok` when the peer has moved.
async fn session(
    dialer: &mut Dialer,
    table: &Mutex<Table>,
    outbox: &Lender<Outbox>,
) -> Result<(), Status> {
    let (shared, peer) = (dialer.shared.clone(), dialer.peer);
    let mut client = dialer.connect().await?;
    let first =
        CallFrame { header: shared.header(peer), hello: shared.hello(peer), calls: Vec::new() };
    let outgoing = stream::iter([first]).chain(outbox.lend());
    let mut replies = dialer.open(client.calls(outgoing)).await?;
    let hello = shared.handshake(replies.message()).await?;
    let hello = hello.ok_or_else(|| Status::unavailable("closed without a hello"))?;
    dialer.welcome(hello.header, hello.hello)?;
    lock(table).open = true;

    let read = async {
        loop {
            let silent = || Status::deadline_exceeded("the peer is silent");
            let next = shared.clock().timeout(SILENCE_MAX, replies.message()).await;
            let Some(frame) = next.ok_or_else(silent)?? else { break };
            let admitted = shared.check_header(peer, frame.header)?;
            for reply in frame.replies {
                finish(table, reply, admitted);
            }
        }
        Err(Status::unavailable("closed by the peer"))
    };
    let mut address = dialer.address_watch();
    tokio::select! {
        biased;
        end = read => end,
        _ = address.changed() => Ok(()),
    }
}

/// Gives an answer to its caller. What a node with a broken clock says is not believed.
fn finish(table: &Mutex<Table>, reply: Reply, admitted: bool) {
    let Some(pending) = lock(table).pending.remove(&reply.id) else { return };
    let result = match Outcome::try_from(reply.outcome) {
        Ok(Outcome::Answered) if admitted => reply.response.ok_or(RpcError::Unknown),
        Ok(Outcome::Refused) if admitted => Err(RpcError::NotSent),
        _ => Err(RpcError::Unknown),
    };
    // The caller may be gone.
    let _ = pending.answer.send(result);
}
