//! The coordinator against a scripted world: ranges in memory that answer at once, one at a time, and a hook
//! that may lose, refuse or delay any request.

#![allow(
    clippy::disallowed_methods,
    reason = "the tests play the outside world, on tokio's paused clock"
)]

mod commits;
mod crashes;
mod end_to_end;
mod erase;
mod fake;
mod large;
mod lifetimes;
mod reads;
mod server;
mod waits;
