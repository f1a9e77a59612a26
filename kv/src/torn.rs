//! Cutting the torn tail of a file of records: what both stores on a real disk need after a power loss.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the files of the two real stores are repaired before they are opened"
)]

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

/// Holds a store's own lock file until dropped; `None` when the store has none yet. A store in use is not torn,
/// it is being written.
pub(crate) fn lock(path: &Path) -> io::Result<Option<File>> {
    match OpenOptions::new().read(true).write(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
        Ok(file) => match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(error) => {
                Err(io::Error::other(format!("the store of {} is in use: {error}", path.display())))
            }
        },
    }
}

/// Cuts the file, which holds `bytes`, to its valid beginning. What is cut is kept beside it with the extension
/// `torn` (the latest cut of that file only). The copy is durable before the cut, the cut before this returns.
pub(crate) fn cut(path: &Path, bytes: &[u8], valid: usize) -> io::Result<()> {
    let end = valid + end_of_data(&bytes[valid..]);
    let copy = path.with_extension("torn");
    let mut kept = File::create(&copy)?;
    kept.write_all(&bytes[valid..end])?;
    kept.sync_all()?;
    let file = OpenOptions::new().write(true).open(path)?;
    file.set_len(valid as u64)?;
    file.sync_all()?;
    if let Some(dir) = path.parent() {
        File::open(dir)?.sync_all()?;
    }
    tracing::warn!(
        file = %path.display(),
        copy = %copy.display(),
        valid,
        cut = end - valid,
        "cut a torn tail, as a power loss leaves it behind un-synced records"
    );
    Ok(())
}

/// Length without the zeros at the end. By blocks, since the files are mostly pre-allocated zeros.
pub(crate) fn end_of_data(bytes: &[u8]) -> usize {
    const ZEROS: [u8; 4096] = [0; 4096];
    let block = bytes.chunks(ZEROS.len()).rposition(|block| block != &ZEROS[..block.len()]);
    let Some(start) = block.map(|block| block * ZEROS.len()) else { return 0 };
    let block = &bytes[start..bytes.len().min(start + ZEROS.len())];
    start + block.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1)
}
