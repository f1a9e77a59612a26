//! A simulated node's end of the network.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, Either, select};
use kv::env::{RpcError, Transport};
use kv::ids::NodeId;
use kv::rpc::{RaftMessage, RpcRequest, RpcResponse};
use tokio::sync::oneshot;

use super::network::{Begun, Endpoint, SimNetwork};
use crate::inbound::Inbound;
use crate::liveness::SILENCE_MAX;

/// How long it takes to find a connection refused. Not zero, or a caller that repeats at once would keep the
/// simulated time from going on.
const REFUSAL_DELAY: Duration = Duration::from_millis(1);

/// One life of a node on a [`SimNetwork`]. After the node's crash it sends and receives nothing.
pub struct SimTransport {
    network: Arc<SimNetwork>,
    node: NodeId,
    endpoint: Endpoint,
}

impl SimTransport {
    pub(super) fn new(network: Arc<SimNetwork>, node: NodeId, endpoint: Endpoint) -> Self {
        SimTransport { network, node, endpoint }
    }

    /// From now on messages to the node go to `inbound`.
    pub fn register(&self, inbound: Arc<dyn Inbound>) {
        self.endpoint.slot.register(inbound);
    }

    /// How many messages were refused because of their sender's clock.
    pub fn clock_refused(&self) -> u64 {
        self.endpoint.gate.refused()
    }

    /// The own node answers without the network, as in the real world.
    fn call_self(&self, request: RpcRequest) -> BoxFuture<'static, Result<RpcResponse, RpcError>> {
        let Some(inbound) = self.endpoint.slot.get() else {
            return Box::pin(async { Err(RpcError::NotSent) });
        };
        let scope = self.endpoint.scope.clone();
        Box::pin(async move {
            let (sender, answer) = oneshot::channel();
            let serve = async move {
                // The caller may be gone.
                let _ = sender.send(inbound.serve(request).await);
            };
            scope.spawn("rpc.serve", Box::pin(serve));
            answer.await.map_err(|_| RpcError::Unknown)
        })
    }
}

impl Transport for SimTransport {
    fn send_raft(&self, to: NodeId, messages: Vec<RaftMessage>) {
        let clock = self.endpoint.gate.clock();
        self.network.send_raft(self.node, self.endpoint.life, to, clock, messages);
    }

    fn call(
        &self,
        to: NodeId,
        request: RpcRequest,
    ) -> BoxFuture<'static, Result<RpcResponse, RpcError>> {
        if to == self.node {
            return self.call_self(request);
        }
        let (network, node) = (self.network.clone(), self.node);
        let (life, clock) = (self.endpoint.life, self.endpoint.gate.clock().clone());
        Box::pin(async move {
            let Begun { call, mut answer, alive } =
                match network.begin_call(node, life, to, &clock, request) {
                    Ok(begun) => begun,
                    Err(error) => {
                        clock.sleep(REFUSAL_DELAY).await;
                        return Err(error);
                    }
                };
            let end = EndCall { network, call };
            loop {
                let heard = pin!(alive.notified());
                let heard = select(&mut answer, heard);
                match clock.timeout(SILENCE_MAX, heard).await {
                    Some(Either::Left((result, _))) => {
                        return result.unwrap_or(Err(RpcError::Unknown));
                    }
                    Some(Either::Right(_)) => {}
                    None => {
                        end.network.fell_silent(node, to);
                        return Err(RpcError::Unknown);
                    }
                }
            }
        })
    }
}

/// Ends a call, however its future ends.
struct EndCall {
    network: Arc<SimNetwork>,
    call: u64,
}

impl Drop for EndCall {
    fn drop(&mut self) {
        self.network.end_call(self.call);
    }
}
