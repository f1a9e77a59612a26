//! A simulated node's tasks: they crash together, and pause together.

use futures::future::BoxFuture;
use kv::env::TaskScope;

use crate::scope::ScopeHandle;

/// One life of a simulated node: a restarted node gets a new scope. Clones share it.
#[derive(Clone)]
pub struct SimScope {
    handle: ScopeHandle,
}

impl SimScope {
    /// An empty scope. Tasks run on the runtime that is current when they are spawned.
    #[expect(clippy::new_without_default, reason = "a node's life begins explicitly")]
    pub fn new() -> Self {
        SimScope { handle: ScopeHandle::new(None) }
    }

    /// Ends every task where it stands, and drops later ones unstarted. No task is polled again, but they are
    /// dropped only when the runtime gets to it: wait for [`SimScope::gone`] before restarting the node.
    pub fn crash(&self) {
        self.handle.abort();
    }

    /// Completes when the scope has crashed and all its tasks are dropped.
    pub async fn gone(&self) {
        self.handle.gone().await;
    }

    /// True once crashed.
    pub fn is_crashed(&self) -> bool {
        self.handle.is_aborted()
    }

    /// Stops the node's tasks from running, as SIGSTOP does. Its clocks go on, and messages still queue up.
    pub fn pause(&self) {
        self.handle.pause();
    }

    /// Ends a pause.
    pub fn resume(&self) {
        self.handle.resume();
    }

    /// How many tasks are alive.
    pub fn live(&self) -> usize {
        self.handle.live()
    }

    /// Names of tasks that panicked. A simulation that ends with any has failed.
    pub fn panicked(&self) -> Vec<&'static str> {
        self.handle.panicked()
    }
}

impl TaskScope for SimScope {
    fn spawn(&self, name: &'static str, task: BoxFuture<'static, ()>) {
        self.handle.spawn(name, task);
    }
}
