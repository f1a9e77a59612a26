//! Messages as bytes, and bytes as messages; no input and no output.
//!
//! Every message after the first is `tag (1 byte) | length (4 bytes, itself included) | body`. The first one of a
//! connection has no tag.

pub mod backend;
mod fields;
pub mod frontend;
pub mod startup;

use bytes::{Buf, Bytes, BytesMut};

/// Longest first message: PostgreSQL's own bound.
pub const STARTUP_BYTES_MAX: usize = 10_000;
/// Longest message that carries text or data.
pub const MESSAGE_BYTES_MAX: usize = 64 << 20;
/// Longest message that carries neither.
pub const SMALL_MESSAGE_BYTES_MAX: usize = 10_000;

/// A message whose bytes are all there, not looked at yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Which message it is.
    pub tag: u8,
    /// What follows the length.
    pub body: Bytes,
}

/// Bytes that cannot be a message: the stream cannot be followed any further.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// No message begins with this byte.
    #[error("invalid frontend message type {0}")]
    Tag(u8),
    /// Shorter than its own length, or beyond the bound.
    #[error("invalid message length")]
    Length,
    /// The first packet is shorter than its own length, or beyond the bound.
    #[error("invalid length of startup packet")]
    StartupLength,
}

/// Takes the first message off the input, if it is there whole.
pub fn take_frame(input: &mut BytesMut) -> Result<Option<Frame>, FrameError> {
    let Some(&tag) = input.first() else { return Ok(None) };
    let max = match tag {
        b'Q' | b'P' | b'B' | b'd' | b'F' => MESSAGE_BYTES_MAX,
        b'C' | b'D' | b'E' | b'H' | b'S' | b'X' | b'c' | b'f' | b'p' => SMALL_MESSAGE_BYTES_MAX,
        other => return Err(FrameError::Tag(other)),
    };
    let Some(length) = length_at(input, 1) else { return Ok(None) };
    if !(4..=max).contains(&length) {
        return Err(FrameError::Length);
    }
    if input.len() < 1 + length {
        return Ok(None);
    }
    let mut whole = input.split_to(1 + length).freeze();
    whole.advance(5);
    Ok(Some(Frame { tag, body: whole }))
}

/// Takes the body of a packet without a tag off the input, if it is there whole.
pub fn take_startup(input: &mut BytesMut) -> Result<Option<Bytes>, FrameError> {
    let Some(length) = length_at(input, 0) else { return Ok(None) };
    if !(8..=STARTUP_BYTES_MAX).contains(&length) {
        return Err(FrameError::StartupLength);
    }
    if input.len() < length {
        return Ok(None);
    }
    let mut whole = input.split_to(length).freeze();
    whole.advance(4);
    Ok(Some(whole))
}

/// The length that is written at an offset. One that is negative is beyond every bound.
fn length_at(input: &BytesMut, offset: usize) -> Option<usize> {
    let bytes = input.get(offset..offset + 4)?;
    let length = u32::from_be_bytes(bytes.try_into().ok()?);
    Some(usize::try_from(length).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests;
