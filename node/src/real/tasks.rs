//! The tasks of a process, or of one node of several in a process.

use tokio::runtime::Handle;

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
