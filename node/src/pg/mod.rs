//! PostgreSQL's protocol: how a client's bytes become calls of a session, and a session's results bytes.
//!
//! ```text
//!  socket ─▶ Wire (input buffer) ─▶ codec::frontend ─▶ connection ─▶ PgSession (sql)
//!                                                        │              │ ResultSink
//!  socket ◀─ Wire (output buffer) ◀─ codec::backend ◀────┴── WireSink ◀─┘
//! ```
//!
//! A connection is one task and one loop: it reads a message, does what it says, and appends the answer to the
//! output buffer. Nothing is read while a statement runs, so a client that pipelines is held back by its socket.
//! The buffer leaves at Flush, at Sync, at the end of a simple query, when a COPY asks for data, and when it is
//! full; so the answer of a whole batch is one write.
//!
//! - I1. Nothing that a client sends makes the server panic or allocate more than it has received: lengths are
//!   checked before they are believed, and a buffer grows with what arrives, never with what is announced.
//! - I2. A message whose frame cannot be trusted ends the connection with a FATAL 08P01; one whose content is wrong
//!   is an error like any other.
//! - I3. After an error in the extended protocol everything up to Sync is skipped, except Terminate.
//! - I4. What a statement gave can be taken back until its first byte has left ([`sink`]).
//! - I5. A stop waits for the running statement. A cancel request drops it, and the session is asked what has become of
//!   it: an outcome that is unknown is reported as unknown (40003), never as an abort.
//! - I6. A connection is known to the table of cancel keys exactly as long as it lives.
//!
//! The loop is generic over its stream: the real world gives it a TCP socket, the simulated one a duplex in memory.
//!
//! Not here: TLS (an SSLRequest is answered with N), passwords (everybody is trusted), replication, function calls.

pub mod cancel;
pub mod codec;
pub mod connection;
pub mod session;
mod sink;
mod values;
mod wire;

pub use cancel::CancelTable;
pub use connection::{Limits, Server};
pub use session::{PgSession, SessionFactory, Startup};
