//! How a node notices that another is gone, without a word from it: the same times in both worlds.
//!
//! Whoever serves the requests of a peer sends something on that stream every [`KEEPALIVE`], answers or nothing. A
//! stream on which nothing has come for [`SILENCE_MAX`] is given up: the peer has lost power, is stopped, or is cut off.
//! Its pending calls end (their outcomes are unknown), and further ones fail at once until the peer is heard again. So
//! an answer may take its time, and yet nobody waits longer than this for a node that is gone.

use std::time::Duration;

/// How often a node that serves requests shows that it is there.
pub const KEEPALIVE: Duration = Duration::from_millis(500);
/// A peer that says nothing for so long is taken for gone. Shorter than a lease, which has to end anyway before
/// another node serves in its place; longer than a busy machine keeps a thread waiting.
pub const SILENCE_MAX: Duration = Duration::from_millis(2_500);
/// How long a connection to a peer, and each step of the handshake on it, may take.
pub const HANDSHAKE_MAX: Duration = Duration::from_secs(2);
/// The longest pause between two attempts to reach a peer that was gone.
pub const RETRY_MAX: Duration = Duration::from_secs(1);
