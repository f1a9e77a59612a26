//! A simulated disk of one node: it outlives the node's incarnations and forgets what was not synced.
//!
//! A file is a growing row of bytes in pages of 4 KiB. What a real disk may do at a power loss, it does:
//!
//! - D1. Bytes that were appended before a completed [`SimDisk::sync`] began survive every crash.
//! - D2. Every un-synced page, and the un-synced part of the page where the synced part ends, is by itself kept,
//!   zeroed, or torn (a prefix kept, the rest zeroed). A later page may survive an earlier one.
//! - D3. The file ends anywhere between its synced and its full length.
//! - D4. [`SimDisk::replace`] is atomic, but its rename is durable only after the next sync: a crash before it
//!   may bring back the old file whole, in turn with its own un-synced pages.
//! - D5. The same calls with the same random numbers give the same bytes: nothing else is consulted.
//!
//! A sync that is dropped at its await (the node crashed) has synced nothing. Calls do not overlap in time
//! except for syncs; a sync makes durable what was there when it began.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use futures::future::{BoxFuture, FutureExt};
use tokio::sync::Notify;

use crate::clock::TimeSource;
use crate::env::Rng;

/// The unit that reaches the platter or does not.
pub const PAGE: usize = 4096;

/// What a failure hook is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskOp {
    /// Bytes are about to be appended.
    Append,
    /// A sync is about to begin.
    Sync,
    /// A file is about to be replaced.
    Replace,
    /// A file is about to be read.
    Read,
}

/// The disk refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}disk failed at {op:?} of {file}", if *full { "No space left on device: " } else { "" })]
pub struct DiskError {
    /// What was asked for.
    pub op: DiskOp,
    /// Of which file.
    pub file: String,
    /// There is no room left.
    pub full: bool,
}

/// Decides whether an operation on a file fails.
pub type FailureHook = Arc<dyn Fn(DiskOp, &str) -> bool + Send + Sync>;

/// What of a disk gives no answer, without an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stall {
    /// The engine's writes and syncs: it is behind with its compactions, say. The log's go on.
    Engine,
    /// Every sync, and every write of the engine: the device hangs.
    All,
}

/// How long a sync takes, on whose clock.
#[derive(Clone)]
pub struct SyncLatency {
    /// The clock of the node that owns the disk.
    pub time: Arc<dyn TimeSource>,
    /// The stream from which each latency is drawn.
    pub rng: Arc<dyn Rng>,
    /// Shortest and longest.
    pub range: Range<Duration>,
}

#[derive(Default)]
struct File {
    bytes: Vec<u8>,
    /// Everything before this length is durable.
    synced: usize,
    /// What a crash may bring back: see D4. Always the durable one, however many replacements followed.
    before_rename: Option<Box<File>>,
    /// Changes with every replacement, so that a sync that began before one does not count its lengths.
    generation: u64,
}

#[derive(Default)]
struct State {
    files: BTreeMap<String, File>,
    latency: Option<SyncLatency>,
    failing: Option<FailureHook>,
    full: bool,
    stall: Option<Stall>,
    syncs: u64,
}

/// The disk. Held by the simulator; node incarnations open their stores on it.
#[derive(Default)]
pub struct SimDisk {
    state: Mutex<State>,
    rotten: AtomicBool,
    /// A stall has ended.
    unstalled: Notify,
}

impl SimDisk {
    /// An empty disk whose syncs take no time and which never fails.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// From now on syncs take this long, or no time.
    pub fn set_latency(&self, latency: Option<SyncLatency>) {
        self.lock().latency = latency;
    }

    /// From now on the hook decides what fails, or nothing does. A real disk that failed a sync has to be
    /// given up by its node: see that the hook keeps failing, or crash the node.
    pub fn set_failing(&self, hook: Option<FailureHook>) {
        self.lock().failing = hook;
    }

    /// From now on there is no room for another byte, or there is again.
    pub fn set_full(&self, full: bool) {
        self.lock().full = full;
    }

    /// From now on what an engine reads fails its checksum, or does not.
    pub fn set_rotten(&self, rotten: bool) {
        self.rotten.store(rotten, Ordering::Relaxed);
    }

    /// From now on this gives no answer, or all does again.
    pub fn set_stalled(&self, stall: Option<Stall>) {
        self.lock().stall = stall;
        self.unstalled.notify_waiters();
    }

    /// What to wait for before a work on the file that is asked for now, if the disk gives no answer.
    pub(crate) fn stall(&self, name: &'static str) -> Option<BoxFuture<'_, ()>> {
        self.lock().stalls(name).then(|| {
            let wait = async move {
                loop {
                    let news = self.unstalled.notified();
                    if !self.lock().stalls(name) {
                        return;
                    }
                    news.await;
                }
            };
            wait.boxed()
        })
    }

    /// See [`SimDisk::set_rotten`]. Asked by what keeps in memory what it would read.
    pub(crate) fn is_rotten(&self) -> bool {
        self.rotten.load(Ordering::Relaxed)
    }

    /// How many syncs completed since the disk was made.
    pub fn syncs(&self) -> u64 {
        self.lock().syncs
    }

    /// Present and durable length of a file.
    pub fn lengths(&self, name: &str) -> (usize, usize) {
        self.lock().files.get(name).map_or((0, 0), |file| (file.bytes.len(), file.synced))
    }

    /// The whole file; empty when there is none.
    pub fn read_all(&self, name: &str) -> Result<Bytes, DiskError> {
        let state = self.lock();
        state.check(DiskOp::Read, name)?;
        Ok(state.files.get(name).map_or_else(Bytes::new, |f| Bytes::copy_from_slice(&f.bytes)))
    }

    /// Appends to the file, which is made if need be. Readable at once, durable after a sync.
    pub fn append(&self, name: &str, bytes: &[u8]) -> Result<(), DiskError> {
        let mut state = self.lock();
        state.check(DiskOp::Append, name)?;
        state.files.entry(name.to_owned()).or_default().bytes.extend_from_slice(bytes);
        Ok(())
    }

    /// Puts new content in the place of the file, atomically. See D4.
    pub fn replace(&self, name: &str, bytes: Vec<u8>) -> Result<(), DiskError> {
        let mut state = self.lock();
        state.check(DiskOp::Replace, name)?;
        let file = state.files.entry(name.to_owned()).or_default();
        let mut old = std::mem::take(file);
        let generation = old.generation + 1;
        let before_rename = old.before_rename.take().unwrap_or_else(|| Box::new(old));
        *file = File { synced: bytes.len(), bytes, before_rename: Some(before_rename), generation };
        Ok(())
    }

    /// Cuts the file to `len` bytes. A replacement, so D4 holds for it.
    pub fn truncate(&self, name: &str, len: usize) -> Result<(), DiskError> {
        let kept = self
            .lock()
            .files
            .get(name)
            .map(|file| file.bytes[..len.min(file.bytes.len())].to_vec());
        match kept {
            Some(kept) => self.replace(name, kept),
            None => Ok(()),
        }
    }

    /// Makes durable what was appended before the call.
    pub async fn sync(&self, name: &'static str) -> Result<(), DiskError> {
        if let Some(stall) = self.stall(name) {
            stall.await;
        }
        let (target, delay) = {
            let state = self.lock();
            state.check(DiskOp::Sync, name)?;
            let target = state.files.get(name).map(|file| (file.generation, file.bytes.len()));
            (target, state.latency.as_ref().map(SyncLatency::draw))
        };
        if let Some(delay) = delay {
            delay.await;
        }
        let mut state = self.lock();
        state.syncs += 1;
        if let (Some((generation, len)), Some(file)) = (target, state.files.get_mut(name)) {
            // A replacement in between holds everything the old file held, and is durable once renamed.
            file.before_rename = None;
            if file.generation == generation {
                file.synced = file.synced.max(len);
            }
        }
        Ok(())
    }

    /// Power loss. What survives is as good as synced: it is what the platter holds.
    pub fn crash(&self, rng: &dyn Rng) {
        for file in self.lock().files.values_mut() {
            if let Some(old) = file.before_rename.take()
                && rng.below(2) == 0
            {
                *file = *old;
            }
            file.crash(rng);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic while the disk's state is held")
    }
}

impl State {
    fn stalls(&self, name: &str) -> bool {
        match self.stall {
            None => false,
            Some(Stall::Engine) => name == crate::sim::engine::FILE,
            Some(Stall::All) => true,
        }
    }

    fn check(&self, op: DiskOp, name: &str) -> Result<(), DiskError> {
        let full = self.full && matches!(op, DiskOp::Append | DiskOp::Replace);
        match &self.failing {
            Some(fails) if fails(op, name) => {}
            _ if full => {}
            _ => return Ok(()),
        }
        Err(DiskError { op, file: name.to_owned(), full })
    }
}

impl SyncLatency {
    fn draw(&self) -> BoxFuture<'static, ()> {
        let spread = self.range.end.saturating_sub(self.range.start).as_micros() as u64;
        let extra = Duration::from_micros(self.rng.below(spread + 1));
        self.time.sleep(self.range.start + extra)
    }
}

impl File {
    fn crash(&mut self, rng: &dyn Rng) {
        let unsynced = (self.bytes.len() - self.synced) as u64;
        self.bytes.truncate(self.synced + rng.below(unsynced + 1) as usize);
        let mut start = self.synced;
        while start < self.bytes.len() {
            let end = ((start / PAGE + 1) * PAGE).min(self.bytes.len());
            let kept = match rng.below(3) {
                0 => end - start,
                1 => 0,
                _ => rng.below((end - start) as u64 + 1) as usize,
            };
            self.bytes[start + kept..end].fill(0);
            start = end;
        }
        self.synced = self.bytes.len();
        self.before_rename = None;
        self.generation += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::testing::Seeded;

    fn sync(disk: &SimDisk) {
        disk.sync("f").now_or_never().expect("no latency").unwrap();
    }

    #[test]
    fn synced_bytes_survive_and_the_rest_decays_by_pages() {
        let (mut shorter, mut holes) = (0, 0);
        for seed in 0..200 {
            let disk = SimDisk::new();
            disk.append("f", &[7; 5000]).unwrap();
            sync(&disk);
            disk.append("f", &[9; 20_000]).unwrap();
            disk.crash(&Seeded::new(seed));
            let bytes = disk.read_all("f").unwrap();
            assert!(bytes[..5000].iter().all(|&b| b == 7));
            assert!(bytes[5000..].iter().all(|&b| b == 9 || b == 0));
            shorter += usize::from(bytes.len() < 25_000);
            // A zero before a nine: a later page outlived an earlier one.
            let hole = bytes[5000..].iter().position(|&b| b == 0).map(|at| 5000 + at);
            holes += usize::from(hole.is_some_and(|at| bytes[at..].contains(&9)));
            let again = disk.read_all("f").unwrap();
            disk.crash(&Seeded::new(seed + 1));
            assert_eq!(
                disk.read_all("f").unwrap(),
                again,
                "what survived one crash survives the next"
            );
        }
        assert!(shorter > 150 && holes > 50, "{shorter} {holes}");
    }

    #[test]
    fn a_replacement_is_whole_or_undone_until_synced() {
        let (mut old, mut new) = (0, 0);
        for seed in 0..50 {
            let disk = SimDisk::new();
            disk.append("f", b"old").unwrap();
            sync(&disk);
            disk.replace("f", b"newer".to_vec()).unwrap();
            disk.crash(&Seeded::new(seed));
            match &disk.read_all("f").unwrap()[..] {
                b"old" => old += 1,
                b"newer" => new += 1,
                other => panic!("{other:?}"),
            }
            disk.replace("f", b"newest".to_vec()).unwrap();
            sync(&disk);
            disk.crash(&Seeded::new(seed));
            assert_eq!(&disk.read_all("f").unwrap()[..], b"newest");
        }
        assert!(old > 10 && new > 10);
    }

    #[test]
    fn a_failing_operation_changes_nothing() {
        let disk = SimDisk::new();
        disk.append("f", b"a").unwrap();
        disk.set_failing(Some(Arc::new(|op, _| op != DiskOp::Read)));
        assert!(disk.append("f", b"b").is_err());
        assert!(disk.replace("f", b"b".to_vec()).is_err());
        assert!(disk.sync("f").now_or_never().expect("no latency").is_err());
        assert_eq!(disk.lengths("f"), (1, 0));
    }
}
