//! A message under way, and how the trace shows it.

use kv::clock::{ClockReading, Timestamp};
use kv::env::RpcError;
use kv::ids::NodeId;
use kv::rpc::{MAX_MESSAGE_BYTES, RaftMessage, RpcRequest, RpcResponse};
use prost::Message;

/// What a caller gets.
pub(super) type CallResult = Result<RpcResponse, RpcError>;

#[derive(Clone)]
pub(super) struct Parcel {
    /// Number of the message in the trace.
    pub(super) number: u64,
    pub(super) from: NodeId,
    pub(super) to: NodeId,
    /// The receiver's life when this was sent.
    pub(super) life: u64,
    /// The sender's clock.
    pub(super) ts: Timestamp,
    pub(super) reading: ClockReading,
    pub(super) body: Body,
}

#[derive(Clone)]
pub(super) enum Body {
    Raft(RaftMessage),
    Request {
        call: u64,
        request: RpcRequest,
    },
    Answer {
        call: u64,
        result: CallResult,
    },
    /// The call is being served: the node is there. Zero is no call.
    Alive {
        call: u64,
    },
    /// Is the node there? It shows by an answer to no call.
    Dial,
    /// A dial, or what was sent on a Raft stream, was refused for its sender's clock. All that this says is what the
    /// other clock shows.
    Refused,
}

impl Parcel {
    /// No transport takes it; see [`MAX_MESSAGE_BYTES`].
    pub(super) fn is_too_large(&self) -> bool {
        let bytes = match &self.body {
            Body::Raft(message) => message.encoded_len(),
            Body::Request { request, .. } => request.encoded_len(),
            Body::Answer { result: Ok(response), .. } => response.encoded_len(),
            Body::Answer { result: Err(_), .. }
            | Body::Alive { .. }
            | Body::Dial
            | Body::Refused => 0,
        };
        bytes > MAX_MESSAGE_BYTES
    }

    /// Its line in the trace.
    pub(super) fn line(&self, event: &str) -> String {
        let Parcel { number, from, to, ts, .. } = self;
        let body = match &self.body {
            Body::Raft(m) => {
                let entries = m.entries.len();
                let digest = digest(m);
                format!(
                    "raft r{} kind {} term {} index {} entries {entries} {digest}",
                    m.range_id, m.kind, m.term, m.index
                )
            }
            Body::Request { call, request } => format!("request {call} {}", digest(request)),
            Body::Answer { call, result: Ok(response) } => {
                format!("answer {call} {}", digest(response))
            }
            Body::Answer { call, result: Err(error) } => format!("answer {call} {error:?}"),
            Body::Alive { call } => format!("alive {call}"),
            Body::Dial => "dial".to_owned(),
            Body::Refused => "refused".to_owned(),
        };
        format!("{event} #{number} {from}>{to} @{ts} {body}")
    }
}

/// Enough of the content to notice any difference: FNV-1a of the encoded message.
fn digest(message: &impl Message) -> String {
    let hash = message.encode_to_vec().iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    format!("{}B:{hash:016x}", message.encoded_len())
}
