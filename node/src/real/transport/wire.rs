//! Frames: how kv's messages are put into the protocol's, and what a frame must say to be looked at.

use bytes::Bytes;
use kv::clock::{ClockReading, Timestamp};
use kv::ids::NodeId;
use kv::rpc::MAX_MESSAGE_BYTES;
use prost::Message;
use tonic::Status;
use tonic::metadata::MetadataValue;

use super::{ClusterId, Shared};
use crate::liveness::HANDSHAKE_MAX;

/// The generated protocol.
#[allow(missing_docs, unreachable_pub, unused_qualifications, clippy::all, reason = "generated")]
pub(super) mod proto {
    tonic::include_proto!("meridian.node.v1");
}

use proto::{Header, Hello, RaftReply};

/// Version of the protocol. A node refuses frames of any other until there is a second one to understand.
/// Four since a log may say what is closed, and hand leases over: a build of store format 3 would apply what others reject. Five
/// since Raft messages say from which node to which they go.
const VERSION: u32 = 5;
/// Under this name a refusal carries the hello of who refuses; see [`Shared::refusal`].
const REFUSAL_HELLO: &str = "meridian-hello-bin";
/// Messages in a frame.
pub(super) const BATCH_MAX: usize = 256;
/// Bytes in a frame of more than one message.
const FRAME_BYTES_SOFT_MAX: usize = 1 << 20;
/// Bytes in any frame; also what tonic is told. A single message of the largest size fits, with room for everything
/// around it.
pub(super) const FRAME_BYTES_MAX: usize = MAX_MESSAGE_BYTES + 1024;

impl Shared {
    /// The header of a frame that is sent to `peer` now.
    pub(super) fn header(&self, peer: NodeId) -> Option<Header> {
        let clock = self.clock().now().raw();
        let ClockReading { steady_ms, jump_ms, lead_ms, course, lead_course } =
            self.clock().reading_for(peer);
        let (version, from) = (VERSION, self.node_id.0);
        Some(Header { version, from, clock, steady_ms, jump_ms, lead_ms, course, lead_course })
    }

    /// The hello of a stream to `to`.
    pub(super) fn hello(&self, to: NodeId) -> Option<Hello> {
        Some(Hello {
            cluster_id: Bytes::copy_from_slice(&self.cluster_id.0.to_be_bytes()),
            to: to.0,
            max_offset_ms: self.max_offset_ms(),
        })
    }

    /// Bounds a step of the handshake, on either side: nobody holds a stream without saying who they are.
    pub(super) async fn handshake<T>(
        &self,
        step: impl Future<Output = Result<T, Status>>,
    ) -> Result<T, Status> {
        let late = || Err(Status::deadline_exceeded("handshake"));
        self.clock().timeout(HANDSHAKE_MAX, step).await.unwrap_or_else(late)
    }

    /// Checks the first frame of a stream. Returns who sent it, or why they must not talk.
    pub(super) fn check_hello(
        &self,
        header: Option<Header>,
        hello: Option<Hello>,
    ) -> Result<NodeId, Status> {
        let (from, header) = self.identify(header, hello)?;
        self.check_clock(from, &header)?;
        Ok(from)
    }

    /// Who sent the first frame of a stream, whatever their clock shows; or why they are no peer.
    pub(super) fn identify(
        &self,
        header: Option<Header>,
        hello: Option<Hello>,
    ) -> Result<(NodeId, Header), Status> {
        let refuse = |why: String| Err(Status::failed_precondition(why));
        let (Some(header), Some(hello)) = (header, hello) else {
            return refuse("the first frame has no hello".to_owned());
        };
        if header.version != VERSION {
            return refuse(format!("protocol version {}, not {VERSION}", header.version));
        }
        let own = self.cluster_id;
        if hello.cluster_id != own.0.to_be_bytes()[..] {
            return refuse(format!("not of the cluster {own}"));
        }
        if header.from == 0 || hello.to != self.node_id.0 {
            return refuse(format!("sent to n{}, arrived at {}", hello.to, self.node_id));
        }
        if hello.max_offset_ms != self.max_offset_ms() {
            return refuse(format!(
                "maximum offset of {} ms, not {} ms",
                hello.max_offset_ms,
                self.max_offset_ms()
            ));
        }
        let from = NodeId(header.from);
        if from == self.node_id {
            return refuse(format!("another node claims to be {from}"));
        }
        Ok((from, header))
    }

    /// Notes what the first frame of a peer says of its clock. An error is why they must not talk.
    pub(super) fn check_clock(&self, peer: NodeId, header: &Header) -> Result<(), Status> {
        match self.gate.admit(peer, Timestamp::from_raw(header.clock), reading(header)) {
            true => Ok(()),
            false => Err(Status::failed_precondition("clock too far ahead")),
        }
    }

    /// The refusal of a stream that a peer has dialled. It says what the own clock shows: the peer, whose clock may be the
    /// reason, may hear of this one in no other way. A first frame would do that, too, but opens the stream: calls would
    /// be handed to it and lost, and the next dial would come without a pause. Earlier builds see the refusal alone.
    pub(super) fn refusal(&self, peer: NodeId, mut why: Status) -> Status {
        let hello = RaftReply { header: self.header(peer), hello: self.hello(peer) };
        let value = MetadataValue::from_bytes(&hello.encode_to_vec());
        why.metadata_mut().insert_bin(REFUSAL_HELLO, value);
        why
    }

    /// Notes what a refusal says of the clock of who refuses, if it does; see [`Shared::refusal`].
    pub(super) fn hear_refusal(&self, why: &Status) {
        let value = why.metadata().get_bin(REFUSAL_HELLO);
        let hello = value.and_then(|value| RaftReply::decode(value.to_bytes().ok()?).ok());
        if let Some(RaftReply { header, hello }) = hello {
            // Whether they may talk does not matter: they do not want to.
            let _ = self.check_hello(header, hello);
        }
    }

    /// Checks a later frame of a stream of `peer`. An error ends the stream; false drops the frame.
    pub(super) fn check_header(
        &self,
        peer: NodeId,
        header: Option<Header>,
    ) -> Result<bool, Status> {
        match header {
            Some(header) if header.version == VERSION && header.from == peer.0 => {
                Ok(self.gate.admit(peer, Timestamp::from_raw(header.clock), reading(&header)))
            }
            _ => Err(Status::invalid_argument("a frame that does not continue its stream")),
        }
    }

    fn max_offset_ms(&self) -> u64 {
        u64::try_from(self.clock().max_offset().as_millis()).unwrap_or(u64::MAX)
    }
}

/// What a header says of its sender's clock, if it does.
fn reading(header: &Header) -> Option<ClockReading> {
    let &Header { steady_ms, jump_ms, lead_ms, course, lead_course, .. } = header;
    let reading = ClockReading { steady_ms, jump_ms, lead_ms, course, lead_course };
    (steady_ms != 0).then_some(reading)
}

impl std::fmt::Display for ClusterId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// Divides a batch into frames, in order: at most a mebibyte each, unless one message alone is larger.
pub(super) fn frames<T>(batch: Vec<T>, size: impl Fn(&T) -> usize) -> Vec<Vec<T>> {
    let (mut frames, mut frame, mut bytes) = (Vec::new(), Vec::new(), 0);
    for item in batch {
        // Tag and length of a field, and of what an item has besides its payload.
        let item_bytes = size(&item) + 32;
        if !frame.is_empty() && bytes + item_bytes > FRAME_BYTES_SOFT_MAX {
            frames.push(std::mem::take(&mut frame));
            bytes = 0;
        }
        bytes += item_bytes;
        frame.push(item);
    }
    if !frame.is_empty() {
        frames.push(frame);
    }
    frames
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_keep_the_order_and_the_bound() {
        let sizes = [10, FRAME_BYTES_SOFT_MAX, 600_000, 600_000, 7];
        let frames = frames(sizes.to_vec(), |size| *size);
        assert_eq!(frames.concat(), sizes);
        assert_eq!(frames.iter().map(Vec::len).collect::<Vec<_>>(), [1, 1, 1, 2]);
    }
}
