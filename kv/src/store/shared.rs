//! What the loops of a store publish for those who serve requests.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, Weak};

use bytes::Bytes;
use tokio::sync::Notify;

use crate::clock::Timestamp;
use crate::failure::{Failure, FailureKind};
use crate::ids::{RangeId, ReplicaId};
use crate::range::descriptor::RangeDescriptor;
use crate::range::directory::Directory;
use crate::range::lease::Lease;
use crate::range::spans::SpanEntries;
use crate::range::state::RangeState;
use crate::range::tracker::Tracker;
use crate::seam::RangeObserver;
use crate::store::credit::{Applying, Credits};
use crate::store::snapshot::{Installed, Order, Staged};
use crate::store::stall::Disk;

/// One range as of its last applied command, and who leads it.
#[derive(Clone, Debug)]
pub(crate) struct Published {
    pub(crate) descriptor: Arc<RangeDescriptor>,
    pub(crate) lease: Option<Lease>,
    pub(crate) spans: Arc<SpanEntries>,
    /// Who evaluates here. The same one for as long as the store lives.
    pub(crate) tracker: Arc<Tracker>,
    pub(crate) applied_index: u64,
    pub(crate) applied_term: u64,
    pub(crate) lease_index: u64,
    pub(crate) floor: Timestamp,
    pub(crate) leader: Option<ReplicaId>,
}

/// Trackers of ranges that are not shown: of those that do not come back, too.
const ASIDE_MAX: usize = 1_024;

/// The ranges with a replica here. Whoever reads one holds the lock for a look-up and copies nothing.
#[derive(Default)]
pub(crate) struct Table {
    ranges: BTreeMap<RangeId, Arc<Published>>,
    /// Which of them end where.
    ends: BTreeMap<Bytes, RangeId>,
    /// Who evaluates on ranges that are not shown, while a snapshot is installed, say. What is closed and revoked stays so.
    aside: BTreeMap<RangeId, Arc<Tracker>>,
}

impl Table {
    /// The ranges by id.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (RangeId, &Arc<Published>)> {
        self.ranges.iter().map(|(range, published)| (*range, published))
    }

    pub(crate) fn get(&self, range: RangeId) -> Option<&Arc<Published>> {
        self.ranges.get(&range)
    }

    /// The ranges with keys in the half-open span, by their keys.
    fn overlapping(&self, start: &[u8], end: &[u8]) -> impl Iterator<Item = &Arc<Published>> {
        self.ends
            .range::<[u8], _>((Bound::Excluded(start), Bound::Unbounded))
            .filter_map(|(_, range)| self.ranges.get(range))
            .take_while(move |published| published.descriptor.start < end)
    }

    /// Shows a range no more.
    fn remove(&mut self, range: RangeId) {
        let Some(old) = self.ranges.remove(&range) else { return };
        if self.ends.get(&old.descriptor.end) == Some(&range) {
            self.ends.remove(&old.descriptor.end);
        }
        self.aside.insert(range, old.tracker.clone());
        if self.aside.len() > ASIDE_MAX {
            self.aside.pop_first();
        }
    }

    /// Shows a range as it is. Who leads it is known from before.
    fn publish(&mut self, state: &RangeState) -> &Arc<Published> {
        let range = state.descriptor.id();
        let old = self.ranges.get(&range);
        let leader = old.and_then(|old| old.leader);
        let tracker = old.map(|old| old.tracker.clone());
        let tracker = tracker.or_else(|| self.aside.remove(&range)).unwrap_or_default();
        tracker.learn(Timestamp::from_raw(state.applied.closed_ts));
        let descriptor = match old {
            Some(old) if *old.descriptor == state.descriptor => old.descriptor.clone(),
            old => {
                // Where the left side of a split ended, its right side ends already.
                if let Some(old) = old
                    && self.ends.get(&old.descriptor.end) == Some(&range)
                {
                    self.ends.remove(&old.descriptor.end);
                }
                self.ends.insert(state.descriptor.end.clone(), range);
                Arc::new(state.descriptor.clone())
            }
        };
        let published = Published {
            descriptor,
            tracker,
            lease: state.lease.clone(),
            spans: state.spans().clone(),
            applied_index: state.applied.index,
            applied_term: state.applied.term,
            lease_index: state.applied.lease_index,
            floor: Timestamp::from_raw(state.applied.floor),
            leader,
        };
        let place = self.ranges.entry(range).or_insert_with(|| Arc::new(published.clone()));
        *place = Arc::new(published);
        place
    }
}

/// What the core must know of what the other loops have done. One place a range for each: however far the core is behind,
/// that is all that there is.
#[derive(Default)]
pub(crate) struct Notices {
    /// Ranges that have come into being on this store, as they began, with the ranges of which they were a part.
    pub(crate) created: BTreeMap<RangeId, (RangeId, Arc<Published>)>,
    /// What was applied.
    pub(crate) applied: BTreeMap<RangeId, Applied>,
    /// The engine is durable through these applied indexes.
    pub(crate) durable: BTreeMap<RangeId, u64>,
    /// Snapshots that are staged whole, durably. There is one at a time.
    pub(crate) staged: Vec<Staged>,
    /// Snapshots that are in the engine in the place of what replicas had, durably; or that could not be.
    pub(crate) installed: Vec<(RangeId, Option<Installed>)>,
    /// A snapshot was sent, or was not.
    pub(crate) sent: Option<(RangeId, ReplicaId, bool)>,
}

/// What was applied since the engine was last asked to be durable.
#[derive(Default)]
pub(crate) struct Unsynced {
    /// How far each range is.
    pub(crate) applied: BTreeMap<RangeId, u64>,
    pub(crate) staged: Vec<Staged>,
    pub(crate) installed: Vec<(RangeId, Option<Installed>)>,
}

impl Unsynced {
    pub(crate) fn is_empty(&self) -> bool {
        self.applied.is_empty() && self.staged.is_empty() && self.installed.is_empty()
    }
}

/// What the apply loop has done with a range since the core last looked.
pub(crate) struct Applied {
    /// The range as it is now.
    pub(crate) state: Arc<Published>,
    /// What is no longer on its way.
    pub(crate) done: Applying,
    /// The log up to this index is no longer needed.
    pub(crate) truncate: Option<u64>,
}

impl Notices {
    /// A task of so many bytes was applied.
    pub(crate) fn applied(
        &mut self,
        range: RangeId,
        state: &Arc<Published>,
        bytes: usize,
        truncate: Option<u64>,
    ) {
        let applied = self.applied.entry(range).or_insert_with(|| Applied {
            state: state.clone(),
            done: Applying::default(),
            truncate: None,
        });
        applied.state = state.clone();
        applied.done.add(bytes);
        applied.truncate = applied.truncate.max(truncate);
    }
}

/// State shared between the loops and the handles.
#[derive(Default)]
pub(crate) struct Shared {
    table: Mutex<Table>,
    /// Directory of the meta range's replica, if it is here.
    directory: Mutex<Arc<Directory>>,
    notices: Mutex<Notices>,
    unsynced: Mutex<Unsynced>,
    /// The snapshot that is to be sent next.
    order: Mutex<Option<Order>>,
    ordered: Notify,
    /// How often a range was hidden: what was read of the table before may not be so any more.
    hidden: AtomicU64,
    /// How many snapshots were installed.
    pub(crate) installed: AtomicU64,
    /// The consensus loop has something to look at.
    pub(crate) wake: Notify,
    /// It waits for room on the way to the engine. Otherwise what was applied can wait until it has something to do.
    awaits_room: AtomicBool,
    /// Ranges of which the directory has to hear something.
    reportable: Mutex<BTreeSet<RangeId>>,
    reports: Notify,
    pub(crate) credits: Credits,
    /// Bytes of committed entries that are on their way through the engine.
    pub(crate) applying: AtomicUsize,
    pub(crate) failure: OnceLock<Failure>,
    /// The node is about to end: it takes no leases.
    pub(crate) draining: AtomicBool,
    /// Once the store runs. It may stand on the store itself.
    pub(crate) observed_by: OnceLock<Weak<dyn RangeObserver>>,
    pub(crate) disk: Disk,
}

impl Shared {
    /// Who hears of what happens to ranges; none before the store runs.
    pub(crate) fn observer(&self) -> Option<Arc<dyn RangeObserver>> {
        self.observed_by.get()?.upgrade()
    }

    /// Leaves something for the core to look at.
    pub(crate) fn notify(&self, write: impl FnOnce(&mut Notices)) {
        write(&mut self.notices.lock().expect("no panic while notices are held"));
        self.wake.notify_one();
    }

    /// The core wants to hear at once of what is applied, or need not.
    pub(crate) fn await_room(&self, awaits: bool) {
        self.awaits_room.store(awaits, Ordering::SeqCst);
        // What was applied between the core's last look and now has woken nobody.
        if awaits
            && !self.notices.lock().expect("no panic while notices are held").applied.is_empty()
        {
            self.wake.notify_one();
        }
    }

    /// To be called after something was noted as applied.
    pub(crate) fn wake_for_room(&self) {
        if self.awaits_room.load(Ordering::SeqCst) {
            self.wake.notify_one();
        }
    }

    pub(crate) fn take_notices(&self) -> Notices {
        std::mem::take(&mut *self.notices.lock().expect("no panic while notices are held"))
    }

    pub(crate) fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().expect("no panic while ranges are held")
    }

    pub(crate) fn published(&self, range: RangeId) -> Option<Arc<Published>> {
        self.table().get(range).cloned()
    }

    /// The descriptors of the ranges here with keys in the half-open span, at most `limit`.
    pub(crate) fn overlapping(
        &self,
        start: &[u8],
        end: &[u8],
        limit: usize,
    ) -> Vec<RangeDescriptor> {
        let table = self.table();
        let found = table.overlapping(start, end).take(limit);
        found.map(|published| (*published.descriptor).clone()).collect()
    }

    /// Shows a range as it is on disk, or has just been applied. What the core must know of it is noted before anybody can
    /// see it: who proposes under what is shown finds a core that knows. The core is not woken.
    pub(crate) fn publish(
        &self,
        state: &RangeState,
        note: impl FnOnce(&mut Notices, &Arc<Published>),
    ) {
        if let Some(directory) = state.directory() {
            let mut shown = self.directory.lock().expect("no panic while the directory is held");
            if !Arc::ptr_eq(&shown, directory) {
                *shown = directory.clone();
            }
        }
        {
            let mut table = self.table();
            let published = table.publish(state);
            note(&mut self.notices.lock().expect("no panic while notices are held"), published);
        }
        self.unsynced(|unsynced| {
            unsynced.applied.insert(state.descriptor.id(), state.applied.index);
        });
    }

    /// Shows a range no more. What it holds goes only after this.
    pub(crate) fn hide(&self, range: RangeId) {
        self.table().remove(range);
        self.hidden.fetch_add(1, Ordering::SeqCst);
    }

    /// See [`Shared::hide`]: the same number twice, and what was shown between is true of what was read between.
    pub(crate) fn hidden(&self) -> u64 {
        self.hidden.load(Ordering::SeqCst)
    }

    /// Notes what is worth knowing once the engine is durable.
    pub(crate) fn unsynced(&self, note: impl FnOnce(&mut Unsynced)) {
        note(&mut self.unsynced.lock().expect("no panic while indexes are held"));
    }

    /// A snapshot is to be sent. There is one at a time.
    pub(crate) fn order_snapshot(&self, order: Order) {
        *self.order.lock().expect("no panic while an order is held") = Some(order);
        self.ordered.notify_one();
    }

    pub(crate) fn take_snapshot_order(&self) -> Option<Order> {
        self.order.lock().expect("no panic while an order is held").take()
    }

    /// Waits for a snapshot that is to be sent.
    pub(crate) async fn snapshot_order(&self) -> Order {
        loop {
            let news = self.ordered.notified();
            if let Some(order) = self.take_snapshot_order() {
                return order;
            }
            news.await;
        }
    }

    /// Shows who leads some ranges.
    pub(crate) fn publish_leaders(
        &self,
        leaders: impl Iterator<Item = (RangeId, Option<ReplicaId>)>,
    ) {
        let mut table = self.table();
        for (range, leader) in leaders {
            if let Some(published) = table.ranges.get_mut(&range)
                && published.leader != leader
            {
                Arc::make_mut(published).leader = leader;
            }
        }
    }

    pub(crate) fn directory(&self) -> Arc<Directory> {
        self.directory.lock().expect("no panic while the directory is held").clone()
    }

    /// What was not told before.
    pub(crate) fn take_unsynced(&self) -> Unsynced {
        std::mem::take(&mut *self.unsynced.lock().expect("no panic while indexes are held"))
    }

    /// The directory has to hear of a range.
    pub(crate) fn report(&self, range: RangeId) {
        self.reportable.lock().expect("no panic while reports are held").insert(range);
        self.reports.notify_one();
    }

    /// Waits for ranges of which the directory has to hear, and takes them.
    pub(crate) async fn reportable(&self) -> BTreeSet<RangeId> {
        loop {
            let news = self.reports.notified();
            let ranges = self.take_reportable();
            if !ranges.is_empty() {
                return ranges;
            }
            news.await;
        }
    }

    pub(crate) fn take_reportable(&self) -> BTreeSet<RangeId> {
        std::mem::take(&mut *self.reportable.lock().expect("no panic while reports are held"))
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
