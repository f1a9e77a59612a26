//! Makes a fjall store openable after a power loss: cuts the torn tail of the newest journal.
//!
//! A journal is pre-allocated, so after a power loss a page of the last, un-synced batches may be zero while
//! later pages hold what was written. fjall 3.1.13 ends its recovery at a torn header, but refuses to open at
//! all when a value was torn (`JournalRecovery(ChecksumMismatch)`), and with it refuses everything that was
//! synced. Therefore, before fjall sees the store:
//!
//! - R1. The newest journal is cut at the end of its last batch in an unbroken row of valid ones. What is cut
//!   is kept beside it as `<journal>.torn` (the latest cut of that journal only), and a warning says so.
//! - R2. An older journal was fsynced before the newer one was made: anything but zeros behind its valid row is
//!   damage, and the store is refused. fjall itself would end its replay there without a word, and replay the
//!   next journal over the hole.
//! - R3. Nothing is touched while another process holds the store's lock.
//!
//! That the cut takes nothing which was synced cannot be seen here: a disk that lies about its syncs looks
//! like a torn tail. The Raft log's durable applied index is the witness; the store compares it at start.
//!
//! The format, as fjall writes it (little endian):
//!
//! ```text
//! batch = start item* end
//! start = 1 u8, number of items u32, sequence u64
//! item  = 2 u8, value type u8, compression u8, keyspace u64, key length u16,
//!         value length u32, stored length u32, key, stored value
//! clear = 4 u8, keyspace u64                        (counts as an item)
//! end   = 3 u8, XXH3-64 of all items' bytes u64, "FJL" 3
//! ```

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the real engine's files are this module's subject"
)]

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bytes::Buf;
use xxhash_rust::xxh3::xxh3_64;

use super::EngineError;
use crate::torn::{cut, end_of_data, lock};

const TRAILER: &[u8] = b"FJL\x03";

/// What a journal holds.
#[derive(Debug, PartialEq, Eq)]
struct Examined {
    /// End of the unbroken row of valid batches from the beginning.
    valid: usize,
    /// There is something else than zeros behind it.
    torn: bool,
}

/// Examines all journals of the store in `dir` and cuts the newest if it is torn. A directory without a store
/// is left alone.
pub(super) fn repair(dir: &Path) -> Result<(), EngineError> {
    let mut journals = journals(dir)?;
    let Some((_, newest)) = journals.pop() else { return Ok(()) };
    let _lock = lock(&dir.join("lock"))?;
    for (_, path) in journals {
        let bytes = fs::read(&path)?;
        let examined = examine(&bytes);
        if examined.torn {
            return Err(EngineError::Corrupt(format!(
                "sealed journal {} is damaged at byte {} of {}",
                path.display(),
                examined.valid,
                bytes.len()
            )));
        }
    }
    let bytes = fs::read(&newest)?;
    let examined = examine(&bytes);
    if examined.torn {
        cut(&newest, &bytes, examined.valid)?;
    }
    Ok(())
}

/// The journals of the store, oldest first.
fn journals(dir: &Path) -> Result<Vec<(u64, PathBuf)>, EngineError> {
    let mut found = Vec::new();
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
        entries => entries?,
    };
    for entry in entries {
        let path = entry?.path();
        let number =
            path.file_name().and_then(|name| name.to_str()?.strip_suffix(".jnl")?.parse().ok());
        found.extend(number.map(|number: u64| (number, path)));
    }
    found.sort();
    Ok(found)
}

fn examine(bytes: &[u8]) -> Examined {
    let mut rest = bytes;
    while let Some(behind) = batch(rest) {
        rest = behind;
    }
    Examined { valid: bytes.len() - rest.len(), torn: end_of_data(rest) > 0 }
}

/// What follows the valid batch at the beginning, if there is one.
fn batch(mut rest: &[u8]) -> Option<&[u8]> {
    if rest.try_get_u8().ok()? != 1 {
        return None;
    }
    let count = rest.try_get_u32_le().ok()?;
    let _sequence = rest.try_get_u64_le().ok()?;
    let items = rest;
    for _ in 0..count {
        rest = item(rest)?;
    }
    let checksum = xxh3_64(&items[..items.len() - rest.len()]);
    let ended = rest.try_get_u8().ok()? == 3 && rest.try_get_u64_le().ok()? == checksum;
    rest.strip_prefix(TRAILER).filter(|_| ended)
}

/// What follows the item at the beginning, if it is one by its form.
fn item(mut rest: &[u8]) -> Option<&[u8]> {
    match rest.try_get_u8().ok()? {
        2 => {
            let _value_type = rest.try_get_u8().ok()?;
            let _compression = rest.try_get_u8().ok()?;
            let _keyspace = rest.try_get_u64_le().ok()?;
            let key = rest.try_get_u16_le().ok()?;
            let _value = rest.try_get_u32_le().ok()?;
            let stored = rest.try_get_u32_le().ok()?;
            rest.get(usize::from(key) + stored as usize..)
        }
        4 => {
            let _keyspace = rest.try_get_u64_le().ok()?;
            Some(rest)
        }
        _ => None,
    }
}
