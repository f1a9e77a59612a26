//! Cuts a raft-engine log where its entries are torn, which raft-engine 0.4.2 itself does not see.
//!
//! At recovery it checks the footer of every batch, but the entries only of the *last* batch of a file: it
//! trusts that pages reach the disk in order. They need not: with several un-synced batches at a power loss, a
//! page of an earlier one may be zero while a later batch is whole. Such a log opens, and fails when the entry
//! is read, perhaps much later. So, before raft-engine sees the log:
//!
//! - P1. The newest append file is cut at the first batch whose footer is valid and whose entries are not.
//! - P2. At the first batch whose header or footer is not valid nothing is done: raft-engine cuts there, and
//!   knows the remnants in a recycled file by their signature.
//! - P3. Older files are left alone: a file is fsynced before the next one is begun. Damage in them is an error
//!   at recovery or, for entries, when they are read.
//! - P4. Nothing is touched while another process holds the log's lock.
//!
//! The format (numbers big endian, checksums CRC-32 little endian):
//!
//! ```text
//! file   = 53 bytes of magic, version u64, version 2: alignment u64, batch*
//! batch  = length << 8 | compression u64, offset of the footer u64, entries, footer
//! entries = nothing, or bytes and their checksum
//! footer = items, their checksum (version 2: xor the low 32 bits of the file's number)
//! ```

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the real log's files are this module's subject"
)]

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bytes::Buf;

use super::LogError;
use crate::engine::no_room;
use crate::torn::{cut, lock};

const MAGIC: &[u8] = b"RAFT-LOG-FILE-HEADER-9986AB3E47F320B394C8E84916EB0ED5";
const BATCH_HEADER: usize = 16;
const CHECKSUM: usize = 4;

/// Examines the newest append file of the log in `dir` and cuts it if its entries are torn.
pub(super) fn repair(dir: &Path) -> Result<(), LogError> {
    let Some((number, path)) = newest(dir)? else { return Ok(()) };
    let _lock = lock(&dir.join("LOCK"))?;
    let bytes = fs::read(&path)?;
    if let Some(valid) = torn_at(&bytes, number as u32) {
        cut(&path, &bytes, valid)?;
    }
    Ok(())
}

fn newest(dir: &Path) -> Result<Option<(u64, PathBuf)>, LogError> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        entries => entries?,
    };
    let mut newest = None;
    for entry in entries {
        let path = entry?.path();
        let number =
            path.file_name().and_then(|name| name.to_str()?.strip_suffix(".raftlog")?.parse().ok());
        newest = newest.max(number.map(|number: u64| (number, path)));
    }
    Ok(newest)
}

/// Where the first batch begins that looks whole to raft-engine and is not.
fn torn_at(bytes: &[u8], signature: u32) -> Option<usize> {
    let mut rest = bytes.strip_prefix(MAGIC)?;
    let signature = match rest.try_get_u64().ok()? {
        1 => 0,
        // An alignment is never asked for; with one there would be padding between the batches.
        2 if rest.try_get_u64().ok()? == 0 => signature,
        _ => return None,
    };
    loop {
        let mut header = rest;
        let length = (header.try_get_u64().ok()? >> 8) as usize;
        let footer = header.try_get_u64().ok()? as usize;
        if footer < BATCH_HEADER || footer > length || length > rest.len() {
            return None;
        }
        if !is_whole(&rest[footer..length], signature) {
            return None;
        }
        let entries = &rest[BATCH_HEADER..footer];
        if !entries.is_empty() && !is_whole(entries, 0) {
            return Some(bytes.len() - rest.len());
        }
        rest = &rest[length..];
    }
}

/// True iff the bytes end with their checksum.
fn is_whole(bytes: &[u8], signature: u32) -> bool {
    match bytes.len().checked_sub(CHECKSUM).filter(|len| *len > 0).map(|len| bytes.split_at(len)) {
        Some((data, mut sum)) => crc32fast::hash(data) == sum.get_u32_le() ^ signature,
        None => false,
    }
}

impl From<io::Error> for LogError {
    fn from(error: io::Error) -> Self {
        no_room(&error).map_or_else(|| LogError::Io(error.to_string()), LogError::Full)
    }
}
