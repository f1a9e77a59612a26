//! The tasks of a process, or of one node of several in a process, and where they run.
//!
//! ```text
//!  the process's runtime: listeners, greetings and cancel requests, health, Raft links to peers
//!  threads of their own:  consensus, apply, sync (their timers are the process's)
//!  the work runtime:      sessions and their sockets, calls to peers, requests that are served
//! ```
//!
//! Statements compute. Whatever they do to the threads of the work runtime, the operating system lets the others run, so
//! that a node is heard, can be connected to, asked to cancel, and asked how it is. A session and the requests that it
//! makes share a runtime: a read by a key of its own node changes no thread, and one of another node none before the socket.

use std::io;

use tokio::runtime::{Builder, Handle, Runtime};

use crate::scope::ScopeHandle;

/// Owner of a node's tasks: dropping it stops them, without waiting.
pub struct RealScope {
    handle: ScopeHandle,
}

impl RealScope {
    /// An empty scope on a runtime.
    pub fn new(runtime: Handle) -> Self {
        RealScope { handle: ScopeHandle::new(Some(runtime)) }
    }

    /// What tasks are spawned through. Does not keep the tasks alive.
    pub fn handle(&self) -> ScopeHandle {
        self.handle.clone()
    }

    /// Stops every task at its next await and waits until all are dropped.
    pub async fn stop(&self) {
        self.handle.abort();
        self.handle.gone().await;
    }
}

impl Drop for RealScope {
    fn drop(&mut self) {
        self.handle.abort();
    }
}

/// The runtime of a node's statements. Dropping it stops it, without waiting.
pub(super) struct WorkRuntime(Option<Runtime>);

impl WorkRuntime {
    /// With a thread for each processor. They have room for what statements recurse into.
    pub(super) fn start() -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .thread_name("work")
            .thread_stack_size(sql::stack::THREAD)
            .enable_all()
            .build()?;
        Ok(WorkRuntime(Some(runtime)))
    }

    /// What tasks are spawned through.
    pub(super) fn handle(&self) -> Option<Handle> {
        self.0.as_ref().map(|runtime| runtime.handle().clone())
    }
}

impl Drop for WorkRuntime {
    fn drop(&mut self) {
        // To wait for its threads would block one of another runtime, which tokio refuses.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
