//! Conversations over a duplex in memory, with a session by script.

mod client;
mod conversations;
mod fake;
mod gone;
mod hostile;

use std::sync::Arc;
use std::time::Duration;

use kv::clock::Clock;
use kv::env::TaskScope;

use super::{Limits, Server};
use crate::real::{RealTime, os_rng};
use crate::scope::ScopeHandle;
use client::{Client, tags};
use fake::Fake;

/// Bytes that a pipe holds.
const PIPE: usize = 64 << 10;

fn server(limits: Limits) -> Arc<Server<Fake>> {
    let clock = Clock::new(Arc::new(RealTime::new()), Duration::from_millis(500));
    let fake = Fake { clock: clock.clone(), done: Arc::default() };
    Arc::new(Server::new(fake, clock, os_rng().unwrap(), limits))
}

/// A connection that has said nothing yet.
fn dial(server: &Arc<Server<Fake>>) -> Client {
    let (near, far) = tokio::io::duplex(PIPE);
    let server = server.clone();
    let serve = async move { server.serve(far).await };
    ScopeHandle::new(None).spawn("connection", Box::pin(serve));
    Client::new(near)
}

/// A connection with a session.
async fn connect(server: &Arc<Server<Fake>>) -> Client {
    let mut client = dial(server);
    client.send_startup(b"\0\x03\0\0user\0root\0\0").await;
    assert_eq!(tags(&client.answers().await), "R S K Z:I");
    client
}

async fn connected() -> Client {
    connect(&server(Limits::recommended())).await
}
