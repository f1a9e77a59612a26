//! What the loops of a store publish for those who serve requests.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};

use crate::failure::{Failure, FailureKind};
use crate::ids::{RangeId, ReplicaId};
use crate::range::descriptor::{Lease, RangeDescriptor};
use crate::range::machine::RangeMachine;
use crate::store::stall::Disk;

/// One range as of its last applied command, and who leads it.
#[derive(Clone, Debug)]
pub(crate) struct Published {
    pub(crate) descriptor: RangeDescriptor,
    pub(crate) lease: Option<Lease>,
    pub(crate) applied_index: u64,
    pub(crate) applied_term: u64,
    pub(crate) lease_index: u64,
    pub(crate) leader: Option<ReplicaId>,
}

impl Published {
    pub(crate) fn of(machine: &RangeMachine) -> Self {
        Published {
            descriptor: machine.descriptor.clone(),
            lease: machine.lease.clone(),
            applied_index: machine.applied.index,
            applied_term: machine.applied.term,
            lease_index: machine.applied.lease_index,
            leader: None,
        }
    }
}

/// What the applier has done that the core must know.
pub(crate) enum Notice {
    /// Applied through this index.
    Applied { range: RangeId, index: u64 },
    /// A range has come into being on this store.
    Created { range: RangeId },
    /// A truncation was applied.
    Truncate { range: RangeId, index: u64 },
    /// The engine is durable through these applied indexes.
    Durable { indexes: Vec<(RangeId, u64)> },
}

/// State shared between the loops and the handles.
#[derive(Default)]
pub(crate) struct Shared {
    pub(crate) ranges: Mutex<BTreeMap<RangeId, Published>>,
    /// Directory of the meta range's replica, if it is here.
    pub(crate) directory: Mutex<Vec<RangeDescriptor>>,
    pub(crate) notices: Mutex<Vec<Notice>>,
    /// The consensus loop has something to look at.
    pub(crate) wake: tokio::sync::Notify,
    /// The reporter has something to tell the directory.
    pub(crate) report: tokio::sync::Notify,
    pub(crate) failure: OnceLock<Failure>,
    pub(crate) disk: Disk,
}

impl Shared {
    pub(crate) fn notify(&self, notice: Notice) {
        self.notices.lock().expect("no panic while notices are held").push(notice);
        self.wake.notify_one();
    }

    pub(crate) fn published(&self, range: RangeId) -> Option<Published> {
        self.ranges.lock().expect("no panic while ranges are held").get(&range).cloned()
    }

    /// Stops the store. The first failure is the cause; later ones are its consequences.
    pub(crate) fn fail(&self, why: Failure) {
        let line = why.clone();
        if self.failure.set(why).is_ok() {
            tracing::error!(why = %line, "the store stops. {}", line.remedy());
            self.wake.notify_one();
        }
    }
}

/// Shared by everything that belongs to one store.
pub(crate) type SharedRef = Arc<Shared>;

/// Stops the store when the loop that owns it panics: a broken invariant must not leave a store that is silent
/// instead of stopped.
pub(crate) struct StopOnPanic {
    pub(crate) shared: SharedRef,
    pub(crate) what: &'static str,
}

impl Drop for StopOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.shared
                .fail(Failure::new(FailureKind::Bug, format!("the {} loop panicked", self.what)));
        }
    }
}
