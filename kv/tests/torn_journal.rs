//! A power loss in the middle of fjall's journal, page by page. The crash image is a copy of the directory
//! taken while the store is open, with un-synced pages zeroed or cut off.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
#![allow(clippy::disallowed_methods, reason = "the crash images are made by hand")]

use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures::FutureExt;
use kv::engine::fjall::FjallEngine;
use kv::engine::{Engine, EngineBatch, EngineError};

const SYNCED: usize = 50;
const PAGE: usize = 4096;

/// SplitMix64: values that do not compress, and the random offsets.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn bytes(&mut self, len: usize) -> Bytes {
        let mut out = Vec::with_capacity(len + 8);
        while out.len() < len {
            out.extend(self.next().to_le_bytes());
        }
        out.truncate(len);
        out.into()
    }
}

fn key(batch: usize, n: usize) -> Bytes {
    format!("d/{batch:02}/{n:04}").into()
}

fn apply(engine: &FjallEngine, numbers: &mut Numbers, batch: usize, count: usize, len: usize) {
    let mut writes = EngineBatch::default();
    for n in 0..count {
        writes.put(key(batch, n), numbers.bytes(len));
    }
    engine.apply(writes).unwrap();
}

fn sync(engine: &FjallEngine) {
    engine.sync().now_or_never().expect("it blocks, it does not wait").unwrap();
}

/// How many entries each batch has.
fn counts(engine: &FjallEngine, batches: usize) -> Vec<usize> {
    let snapshot = engine.snapshot();
    let count = |batch| snapshot.scan(key(batch, 0)..key(batch + 1, 0)).map(Result::unwrap).count();
    (0..batches).map(count).collect()
}

fn newest_journal(dir: &Path) -> PathBuf {
    let mut journals: Vec<_> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    journals.retain(|path| path.extension().is_some_and(|extension| extension == "jnl"));
    journals.sort();
    journals.pop().unwrap()
}

/// The journal up to its last page that is not zero. What follows is pre-allocated.
fn journal(dir: &Path) -> Vec<u8> {
    let mut bytes = fs::read(newest_journal(dir)).unwrap();
    let pages = bytes.chunks(PAGE).rposition(|page| page != &[0; PAGE][..page.len()]);
    bytes.truncate((pages.map_or(0, |last| last + 1) * PAGE).min(bytes.len()));
    bytes
}

/// A store of which batch 0 is synced and the others are not, and where in the journal each batch ends.
struct Image {
    _live: (FjallEngine, tempfile::TempDir),
    dir: PathBuf,
    /// Offsets: end of batch 0, then of as many others as the journal holds whole.
    synced_end: usize,
    journal: Vec<u8>,
}

fn image(sizes: &[(usize, usize)]) -> Image {
    let dir = tempfile::tempdir().unwrap();
    let engine = FjallEngine::open(dir.path()).unwrap();
    let mut numbers = Numbers(1);
    apply(&engine, &mut numbers, 0, SYNCED, 100);
    sync(&engine);
    let before = journal(dir.path());
    let synced_end = before.iter().rposition(|&byte| byte != 0).unwrap() + 1;
    for (at, (count, len)) in sizes.iter().enumerate() {
        apply(&engine, &mut numbers, at + 1, *count, *len);
    }
    let journal = journal(dir.path());
    Image { dir: dir.path().to_owned(), _live: (engine, dir), synced_end, journal }
}

impl Image {
    /// The store as it would be found with this journal, which is as long on disk as it was.
    fn crashed(&self, journal: &[u8], len: u64) -> tempfile::TempDir {
        let to = tempfile::tempdir().unwrap();
        copy(&self.dir, to.path());
        let path = newest_journal(to.path());
        fs::write(&path, journal).unwrap();
        fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(len).unwrap();
        to
    }
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            fs::create_dir_all(&target).unwrap();
            copy(&path, &target);
        } else if path.extension().is_some_and(|extension| extension == "jnl") {
            fs::write(target, []).unwrap();
        } else {
            fs::copy(path, target).unwrap();
        }
    }
}

const PREALLOCATED: u64 = 64 << 20;

/// Opens the crashed store, checks all-or-nothing and the order of batches, writes, and opens again.
fn survives(dir: &Path, sizes: &[(usize, usize)]) -> usize {
    let engine = FjallEngine::open(dir).unwrap();
    let found = counts(&engine, sizes.len() + 1);
    assert_eq!(found[0], SYNCED, "synced entries are all there");
    let whole = found[1..].iter().zip(sizes).take_while(|(found, size)| **found == size.0).count();
    assert!(
        found[1 + whole..].iter().all(|&found| found == 0),
        "not a prefix of batches: {found:?}"
    );
    apply(&engine, &mut Numbers(9), 90, 3, 5_000);
    sync(&engine);
    drop(engine);
    let engine = FjallEngine::open(dir).unwrap();
    assert_eq!(counts(&engine, sizes.len() + 1), found);
    assert_eq!(counts(&engine, 91)[90], 3);
    whole
}

#[test]
fn a_zeroed_page_inside_a_value_loses_only_the_torn_tail() {
    // The second batch pushes the first out of the process's buffer.
    let sizes = [(50, 20_000), (50, 20_000)];
    let image = image(&sizes);
    let mut torn = image.journal.clone();
    let page = (image.synced_end + 200).next_multiple_of(PAGE);
    torn[page..page + PAGE].fill(0);

    let plain = image.crashed(&torn, PREALLOCATED);
    let error = fjall::Database::builder(plain.path()).open().err();
    // When fjall learns to open this, the repair may go.
    let expected = fjall::JournalRecoveryError::ChecksumMismatch;
    assert!(matches!(error, Some(fjall::Error::JournalRecovery(e)) if e == expected), "{error:?}");

    let dir = image.crashed(&torn, PREALLOCATED);
    assert_eq!(survives(dir.path(), &sizes), 0);
    let kept = fs::read(newest_journal(dir.path()).with_extension("torn")).unwrap();
    assert!(torn[image.synced_end..].starts_with(&kept) && kept.len() > 1_000_000);
}

#[test]
fn a_zeroed_header_loses_only_the_torn_tail() {
    let sizes = [(50, 20_000), (50, 20_000)];
    let image = image(&sizes);
    let mut torn = image.journal.clone();
    let end = (image.synced_end + 1).next_multiple_of(PAGE);
    torn[image.synced_end..end].fill(0);
    assert_eq!(survives(image.crashed(&torn, PREALLOCATED).path(), &sizes), 0);
}

#[test]
fn any_cut_and_any_lost_page_leave_a_prefix_of_batches() {
    let sizes = [(3, 10), (20, 3_000), (1, 60_000), (5, 10), (40, 500), (2, 30_000)];
    let image = image(&sizes);
    let mut numbers = Numbers(2);
    let unsynced = (image.journal.len() - image.synced_end) as u64;
    let mut seen = [0; 7];
    for case in 0..30 {
        let at = image.synced_end + (numbers.next() % unsynced) as usize;
        let mut torn = image.journal.clone();
        let len = match case % 3 {
            // The file ends there.
            0 => {
                torn.truncate(at);
                at as u64
            }
            // Nothing behind it was written.
            1 => {
                torn.truncate(at);
                PREALLOCATED
            }
            // One page was not written, or torn.
            _ => {
                let end = (at + 1).next_multiple_of(PAGE).min(torn.len());
                torn[at..end].fill(0);
                PREALLOCATED
            }
        };
        seen[survives(image.crashed(&torn, len).path(), &sizes)] += 1;
    }
    assert!(seen.iter().filter(|count| **count > 0).count() >= 3, "{seen:?}");
}

#[test]
fn damage_in_a_sealed_journal_is_refused() {
    let image = image(&[(50, 20_000)]);
    let mut damaged = image.journal.clone();
    let page = (image.synced_end + 200).next_multiple_of(PAGE);
    damaged[page..page + PAGE].fill(0);
    let dir = image.crashed(&damaged, PREALLOCATED);
    let sealed = newest_journal(dir.path());
    let number: u64 = sealed.file_stem().unwrap().to_str().unwrap().parse().unwrap();
    let newer = dir.path().join(format!("{}.jnl", number + 1));
    fs::write(&newer, []).unwrap();
    assert!(matches!(FjallEngine::open(dir.path()), Err(EngineError::Corrupt(_))));
    assert_eq!(fs::metadata(sealed).unwrap().len(), PREALLOCATED, "nothing was cut");
}

#[test]
fn a_sealed_journal_without_damage_is_replayed_before_the_newest() {
    let sizes = [(50, 20_000)];
    let image = image(&sizes);
    // The tail of the newest is torn, the sealed one ends in pre-allocated zeros.
    let dir = image.crashed(&image.journal[..image.synced_end], PREALLOCATED);
    let sealed = newest_journal(dir.path());
    let number: u64 = sealed.file_stem().unwrap().to_str().unwrap().parse().unwrap();
    let tail = &image.journal[image.synced_end..];
    fs::write(dir.path().join(format!("{}.jnl", number + 1)), &tail[..tail.len() - 30_000])
        .unwrap();
    assert_eq!(survives(dir.path(), &sizes), 0);
}

#[test]
fn an_open_store_is_not_touched() {
    let image = image(&[(50, 20_000)]);
    assert!(matches!(FjallEngine::open(&image.dir), Err(EngineError::Io(_))));
    assert_eq!(journal(&image.dir), image.journal);
}
