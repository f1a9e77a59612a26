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
/// Longest message that carries text or data. A longer one is read to its end and thrown away, so that its sender hears
/// why and the connection goes on.
pub const MESSAGE_BYTES_MAX: usize = 64 << 20;
/// Nobody means a message longer than this, which is PostgreSQL's bound: the stream cannot be followed any further.
pub const ANNOUNCED_BYTES_MAX: usize = (1 << 30) - 1;
/// Longest message that carries neither.
pub const SMALL_MESSAGE_BYTES_MAX: usize = 10_000;

/// A message whose bytes are all there, not looked at yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Which message it is.
    pub tag: u8,
    /// What follows the length.
    pub body: Bytes,
    /// The length of a body that was too long, and was thrown away.
    pub thrown_away: Option<usize>,
}

impl Frame {
    /// A message that was too long.
    pub fn too_long(tag: u8, length: usize) -> Frame {
        Frame { tag, body: Bytes::new(), thrown_away: Some(length) }
    }
}

/// What the input begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    /// A message, which is off the input.
    Frame(Frame),
    /// A message beyond [`MESSAGE_BYTES_MAX`]: its head is off the input, and so many bytes follow.
    TooLong {
        /// Which message it is.
        tag: u8,
        /// Bytes of its body.
        length: usize,
    },
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

/// The tag of the first message, and the length that it announces: of itself and the body.
fn first_head(input: &[u8]) -> Result<Option<(u8, usize)>, FrameError> {
    let Some(&tag) = input.first() else { return Ok(None) };
    let max = match tag {
        b'Q' | b'P' | b'B' | b'd' | b'F' => ANNOUNCED_BYTES_MAX,
        b'C' | b'D' | b'E' | b'H' | b'S' | b'X' | b'c' | b'f' | b'p' => SMALL_MESSAGE_BYTES_MAX,
        other => return Err(FrameError::Tag(other)),
    };
    let Some(length) = length_at(input, 1) else { return Ok(None) };
    if !(4..=max).contains(&length) {
        return Err(FrameError::Length);
    }
    Ok(Some((tag, length)))
}

/// Takes the first message off the input, if it is there whole (or too long to wait for).
pub fn take_frame(input: &mut BytesMut) -> Result<Option<Taken>, FrameError> {
    let Some((tag, length)) = first_head(input)? else { return Ok(None) };
    if length > MESSAGE_BYTES_MAX {
        input.advance(5);
        return Ok(Some(Taken::TooLong { tag, length: length - 4 }));
    }
    if input.len() < 1 + length {
        return Ok(None);
    }
    let mut whole = input.split_to(1 + length).freeze();
    whole.advance(5);
    Ok(Some(Taken::Frame(Frame { tag, body: whole, thrown_away: None })))
}

/// The tags of the messages that are there whole, up to one that is not or makes no sense.
pub fn tags(mut input: &[u8]) -> impl Iterator<Item = u8> {
    std::iter::from_fn(move || {
        let (tag, length) = first_head(input).ok()??;
        input = input.get(1 + length..)?;
        Some(tag)
    })
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
fn length_at(input: &[u8], offset: usize) -> Option<usize> {
    let bytes = input.get(offset..offset + 4)?;
    let length = u32::from_be_bytes(bytes.try_into().ok()?);
    Some(usize::try_from(length).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests;
