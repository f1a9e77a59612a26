//! The injected world: everything that is not a pure function of the inputs comes through here.
//!
//! Five sources of non-determinism have a trait each, with two implementations (the real one and the
//! simulated one, both in `node`): time ([`TimeSource`](crate::clock::TimeSource)), randomness ([`Rng`]), the network ([`Transport`]),
//! and tasks ([`TaskScope`]). The disk is the fifth, behind [`crate::engine::Engine`] and
//! [`crate::log::RaftLog`]. No other module of this crate, nor any of `txn`, may reach a clock, a timer,
//! a thread, a socket or a file.

use std::sync::Arc;
use std::task::Poll;

use futures::future::BoxFuture;

use crate::clock::Clock;
use crate::ids::NodeId;
use crate::mutant::Mutant;
use crate::rpc::{RaftMessage, RpcRequest, RpcResponse};

/// Random numbers. Each purpose gets its own stream so that one consumer does not shift another.
pub trait Rng: Send + Sync {
    /// The next 64 uniformly random bits.
    fn next_u64(&self) -> u64;

    /// A uniformly random number below `bound`, which is not zero. The bias of the modulus is below 2^-32
    /// for the small bounds used here.
    fn below(&self, bound: u64) -> u64 {
        self.next_u64() % bound
    }
}

/// Why a call to another node gave no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RpcError {
    /// The request certainly never left: send it elsewhere or again.
    #[error("the request was not sent")]
    NotSent,
    /// The request may have been executed, or may yet be: nothing can be concluded.
    #[error("the outcome of the request is unknown")]
    Unknown,
}

/// Messages between nodes, of [`crate::rpc::MAX_MESSAGE_BYTES`] at most. Delivery may be late, out of order, or not at
/// all; of Raft messages, also repeated.
pub trait Transport: Send + Sync {
    /// Queues Raft messages for `to`, in order, without waiting. Drops them when the bounded queue is full:
    /// Raft repeats what matters.
    fn send_raft(&self, to: NodeId, messages: Vec<RaftMessage>);
    /// Sends one request and waits for its answer. It is executed at most once, perhaps after the caller has
    /// given up: a refusal that comes back is the request's only fate. The implementation notices that the other node
    /// is gone; how long one that is there may take is the caller's to bound. Calls to the own node are legal.
    fn call(
        &self,
        to: NodeId,
        request: RpcRequest,
    ) -> BoxFuture<'static, Result<RpcResponse, RpcError>>;
}

/// Where a node's tasks live. A crash drops every task of the scope at its current await.
pub trait TaskScope: Send + Sync {
    /// Starts `task`. The name appears in traces.
    fn spawn(&self, name: &'static str, task: BoxFuture<'static, ()>);

    /// Starts a long-lived `task` that may block its thread on the disk: in the real world it gets a thread of
    /// its own.
    fn spawn_blocking_loop(&self, name: &'static str, task: BoxFuture<'static, ()>) {
        self.spawn(name, task);
    }

    /// A call to this node's own services from any task: runs as a part of that task, but lives and stops with the scope,
    /// as a task of its own would. When the scope ends first, the call is dropped and this completes nevertheless.
    fn enter(&self, call: BoxFuture<'static, ()>) -> BoxFuture<'static, ()> {
        call
    }

    /// Completes when the other tasks of the caller's thread that can go on have been polled, and what has arrived for
    /// it meanwhile has been noticed.
    fn give_way(&self) -> BoxFuture<'static, ()> {
        let mut has_waited = false;
        Box::pin(std::future::poll_fn(move |cx| {
            if std::mem::replace(&mut has_waited, true) {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        }))
    }

    /// The calling task has been computing for long and cannot give way yet: the other tasks of its thread go on
    /// elsewhere, if there is another thread.
    fn hand_over(&self) {}
}

/// One node's injected world. Cheap to clone.
#[derive(Clone)]
pub struct Env {
    /// This node.
    pub node_id: NodeId,
    /// Hybrid logical time, and every timer.
    pub clock: Clock,
    /// Seeded in the simulation, the operating system's in the real world.
    pub rng: Arc<dyn Rng>,
    /// Messages to other nodes.
    pub transport: Arc<dyn Transport>,
    /// Owner of every task of this node.
    pub tasks: Arc<dyn TaskScope>,
    /// The deliberate bug of this world, if any. Always `None` in the real one.
    pub mutant: Option<Mutant>,
}

impl Env {
    /// True iff the deliberate bug `mutant` is selected.
    pub fn mutation(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }
}
