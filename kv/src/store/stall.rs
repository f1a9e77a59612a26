//! A disk that does not answer: no error, no end.
//!
//! The rest of such a node is well. It hears and is heard, so its peers do not take it for gone: without this, whoever
//! waits for it waits for ever. Three works of a store may block, each of them one at a time: the log's writes, the
//! engine's writes, the engine's syncs. The last is also the probe of a store that has nothing to do.
//!
//! - D1. After [`SUSPECTED_AFTER`] the store takes no proposal, and what has waited for it hears that the outcome is unknown.
//!   The batches themselves go on: when the disk is back, they are applied.
//! - D2. Meanwhile the node takes over no leadership, be it handed to it or because it holds the lease. What it leads, it
//!   goes on leading: a backlog of compactions passes.
//! - D3. After [`ENDED_AFTER`] the store fails, as by an error of the disk. Its peers elect others at once.
//!
//! HAZARD: a process that was stopped (SIGSTOP) finds all its works old. So they are not measured by the clock: the watch
//! counts its own looks, of which a stopped process makes none.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

use crate::env::Env;
use crate::failure::{Failure, FailureKind};
use crate::store::shared::SharedRef;

/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(500);
/// Looks until a store is suspected: longer than any healthy disk needs, under load too.
const SUSPECTED_LOOKS: u32 = 5;
/// Looks until the store fails: longer than the stalls that pass.
const ENDED_LOOKS: u32 = 30;
/// How long one work may take before the store is suspected.
pub const SUSPECTED_AFTER: Duration = LOOK.saturating_mul(SUSPECTED_LOOKS);
/// How long one work may take before the store fails.
pub const ENDED_AFTER: Duration = LOOK.saturating_mul(ENDED_LOOKS);

/// What a store asks of its disk.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Work {
    /// A write of the log.
    Log,
    /// A batch for the engine.
    Apply,
    /// A sync of the engine.
    Sync,
}

impl Work {
    const ALL: [(Work, &'static str); 3] = [
        (Work::Log, "a write of the Raft log"),
        (Work::Apply, "a write of the storage engine"),
        (Work::Sync, "a sync of the storage engine"),
    ];
}

/// The works under way, and whether one has been for too long.
#[derive(Default)]
pub(crate) struct Disk {
    /// Of each kind, a number that grows at each beginning and at each end: odd while it is under way.
    works: [AtomicU64; 3],
    suspected: AtomicBool,
    suspicion: Notify,
}

/// A work under way.
pub(crate) struct Busy<'a>(&'a AtomicU64);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Disk {
    /// A work begins; it ends with what is returned.
    pub(crate) fn begin(&self, work: Work) -> Busy<'_> {
        let number = &self.works[work as usize];
        number.fetch_add(1, Ordering::Relaxed);
        Busy(number)
    }

    /// True from D1 on, until the disk is back.
    pub(crate) fn is_suspected(&self) -> bool {
        self.suspected.load(Ordering::Relaxed)
    }

    /// Completes when the disk is suspected.
    pub(crate) async fn suspected(&self) {
        loop {
            let news = self.suspicion.notified();
            if self.is_suspected() {
                return;
            }
            news.await;
        }
    }

    fn suspect(&self, suspected: bool) {
        if self.suspected.swap(suspected, Ordering::Relaxed) != suspected {
            self.suspicion.notify_waiters();
        }
    }
}

/// What the watch remembers of each work: its number, and in how many looks it was the same.
#[derive(Default)]
struct Looks([(u64, u32); 3]);

impl Looks {
    /// Another look. The work that has been under way for most looks, if any was before.
    fn look(&mut self, disk: &Disk) -> (&'static str, u32) {
        let mut oldest = ("", 0);
        for (work, name) in Work::ALL {
            let (number, looks) = &mut self.0[work as usize];
            let now = disk.works[work as usize].load(Ordering::Relaxed);
            let same = now == *number && now % 2 == 1;
            (*number, *looks) = (now, if same { *looks + 1 } else { 0 });
            if *looks > oldest.1 {
                oldest = (name, *looks);
            }
        }
        oldest
    }
}

/// Watches the disk, until the store has failed.
pub(crate) async fn watch_loop(env: Env, shared: SharedRef) {
    let mut looks = Looks::default();
    while shared.failure.get().is_none() {
        env.clock.sleep(LOOK).await;
        let (work, count) = looks.look(&shared.disk);
        let suspected = count >= SUSPECTED_LOOKS;
        if suspected && !shared.disk.is_suspected() {
            tracing::warn!(
                work,
                "the disk has not answered for {SUSPECTED_AFTER:?}. Nothing is written meanwhile"
            );
        } else if !suspected && shared.disk.is_suspected() {
            tracing::warn!("the disk answers again");
        }
        shared.disk.suspect(suspected);
        if count >= ENDED_LOOKS {
            let what = format!("{work} has not come to an end for {ENDED_AFTER:?}");
            shared.fail(Failure::new(FailureKind::Disk, what));
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn a_work_is_old_by_looks_and_not_by_what_others_do() {
        let (disk, mut looks) = (Disk::default(), Looks::default());
        let slow = disk.begin(Work::Apply);
        for count in 0..10 {
            drop(disk.begin(Work::Log));
            let busy = disk.begin(Work::Sync);
            let (work, looks) = looks.look(&disk);
            drop(busy);
            assert_eq!(looks, count);
            assert!(count == 0 || work.contains("write of the storage engine"), "{work}");
        }
        drop(slow);
        // The next one is another.
        let _next = disk.begin(Work::Apply);
        assert_eq!(looks.look(&disk), ("", 0));
    }

    #[test]
    fn whoever_waits_for_a_suspicion_hears_of_it() {
        let disk = Disk::default();
        let mut early = Box::pin(disk.suspected());
        assert_eq!(early.as_mut().now_or_never(), None);
        disk.suspect(true);
        assert_eq!(early.now_or_never(), Some(()));
        assert_eq!(disk.suspected().now_or_never(), Some(()));
        disk.suspect(false);
        assert_eq!(disk.suspected().now_or_never(), None);
    }
}
