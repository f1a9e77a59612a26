//! Cancel requests, and the stop of a node: signals from outside to a connection's task.
//!
//! A cancel request comes on a connection of its own and names another one by a number and a secret. Nothing is ever
//! answered to it, so that nobody can find out which numbers are in use.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use kv::env::Rng;
use sql::interrupt::{Interrupt, Reason};
use tokio::sync::Notify;

/// Length of a secret in version 3.0 of the protocol.
pub const KEY_BYTES: usize = 4;
/// Length of a secret from version 3.2 on.
pub const LONG_KEY_BYTES: usize = 32;

/// Something that somebody else may raise.
#[derive(Default)]
pub struct Signal {
    raised: AtomicBool,
    changed: Notify,
    /// What hears of it where nobody waits: a statement that computes.
    interrupt: OnceLock<Interrupt>,
}

impl Signal {
    /// Raises it, and wakes whoever waits.
    pub fn raise(&self) {
        self.raised.store(true, Ordering::SeqCst);
        if let Some(interrupt) = self.interrupt.get() {
            interrupt.raise(Reason::User);
        }
        self.changed.notify_waiters();
    }

    /// Takes it back.
    pub fn clear(&self) {
        self.raised.store(false, Ordering::SeqCst);
        if let Some(interrupt) = self.interrupt.get() {
            interrupt.clear();
        }
    }

    /// Ends the statement that computes, if one does: the node stops.
    fn shut_down(&self) {
        if let Some(interrupt) = self.interrupt.get() {
            interrupt.raise(Reason::Shutdown);
        }
    }

    /// From now on statements of a session hear of it, too. Once.
    pub(super) fn attach(&self, interrupt: Interrupt) {
        // A connection has one session.
        let _ = self.interrupt.set(interrupt);
    }

    /// True iff the session's statement is being committed.
    pub(super) fn is_committing(&self) -> bool {
        self.interrupt.get().is_some_and(Interrupt::is_committing)
    }

    /// True iff it was raised and not cleared since.
    pub fn is_raised(&self) -> bool {
        self.raised.load(Ordering::SeqCst)
    }

    /// Completes when it is raised.
    pub async fn wait(&self) {
        loop {
            let mut changed = pin!(self.changed.notified());
            // Before the look, or a raise between look and wait would be missed.
            changed.as_mut().enable();
            if self.is_raised() {
                return;
            }
            changed.await;
        }
    }
}

/// The connections of a node that can be cancelled. Clones share it.
#[derive(Clone)]
pub struct CancelTable {
    rng: Arc<dyn Rng>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    last_pid: u32,
    connections: BTreeMap<u32, Entry>,
}

struct Entry {
    key: Vec<u8>,
    cancel: Arc<Signal>,
}

impl CancelTable {
    /// An empty table, whose secrets come from `rng`.
    pub fn new(rng: Arc<dyn Rng>) -> Self {
        CancelTable { rng, state: Arc::default() }
    }

    /// Enters a connection; it is removed when the registration is dropped.
    pub fn register(&self, key_bytes: usize) -> Registration {
        let mut key = Vec::with_capacity(key_bytes + 8);
        while key.len() < key_bytes {
            key.extend(self.rng.next_u64().to_be_bytes());
        }
        key.truncate(key_bytes);
        let cancel = Arc::new(Signal::default());
        let mut state = self.lock();
        // Positive as a signed number, as a process id is; connections are far fewer than numbers.
        let mut pid = state.last_pid;
        loop {
            pid = if pid >= i32::MAX as u32 { 1 } else { pid + 1 };
            if !state.connections.contains_key(&pid) {
                break;
            }
        }
        state.last_pid = pid;
        state.connections.insert(pid, Entry { key: key.clone(), cancel: cancel.clone() });
        drop(state);
        Registration { table: self.clone(), pid, key, cancel }
    }

    /// Asks a connection to cancel its statement. Nothing happens if the secret is wrong.
    pub fn request(&self, pid: u32, key: &[u8]) {
        let state = self.lock();
        let Some(entry) = state.connections.get(&pid) else { return };
        // In a time that does not depend on where the two differ.
        let differs = entry.key.iter().zip(key).fold(0, |differs, (a, b)| differs | (a ^ b));
        if entry.key.len() == key.len() && differs == 0 {
            entry.cancel.raise();
        }
    }

    /// Ends what computes, on every connection: the node stops, and cannot wait.
    pub fn shut_down(&self) {
        self.lock().connections.values().for_each(|entry| entry.cancel.shut_down());
    }

    /// How many connections there are.
    pub fn len(&self) -> usize {
        self.lock().connections.len()
    }

    /// True iff there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection's place in the table.
pub struct Registration {
    table: CancelTable,
    /// The connection's number.
    pub pid: u32,
    /// Its secret.
    pub key: Vec<u8>,
    /// Raised by a cancel request.
    pub cancel: Arc<Signal>,
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.table.lock().connections.remove(&self.pid);
    }
}
