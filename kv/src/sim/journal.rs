//! The journal of a simulated store: checksummed records on a [`SimDisk`], cut at the first bad one.
//!
//! A record is: version byte 1, length of the body (u32, little endian), CRC-32 of version, length and body,
//! body. A zeroed page reads as version 0 and is never a record.
//!
//! The cut at opening is what makes a crash a crash: valid records behind a bad one are lost by rule, because
//! to a reader they may be remnants of anything.

use std::sync::Arc;

use bytes::{Buf, Bytes};

use super::disk::{DiskError, SimDisk};

const VERSION: u8 = 1;
const HEADER: usize = 9;

/// A journal open for appending.
pub(crate) struct Journal {
    disk: Arc<SimDisk>,
    file: &'static str,
}

impl Journal {
    /// Opens the journal, cuts it at its first bad record, and returns the bodies before it.
    pub(crate) fn open(
        disk: Arc<SimDisk>,
        file: &'static str,
    ) -> Result<(Self, Vec<Bytes>), DiskError> {
        let bytes = disk.read_all(file)?;
        let (bodies, valid) = scan(&bytes);
        if valid < bytes.len() {
            tracing::debug!(file, valid, length = bytes.len(), "simulated journal has a torn tail");
            disk.truncate(file, valid)?;
        }
        Ok((Self { disk, file }, bodies))
    }

    /// Appends one record. Not durable before a sync.
    pub(crate) fn append(&self, body: &[u8]) -> Result<(), DiskError> {
        let mut record = Vec::with_capacity(HEADER + body.len());
        encode(&mut record, body);
        self.disk.append(self.file, &record)
    }

    /// Replaces everything by these records, atomically.
    pub(crate) fn rewrite(
        &self,
        bodies: impl IntoIterator<Item = Vec<u8>>,
    ) -> Result<(), DiskError> {
        let mut bytes = Vec::new();
        for body in bodies {
            encode(&mut bytes, &body);
        }
        self.disk.replace(self.file, bytes)
    }

    /// Makes durable what was appended before the call.
    pub(crate) async fn sync(&self) -> Result<(), DiskError> {
        self.disk.sync(self.file).await
    }

    /// The disk that it is on.
    pub(crate) fn disk(&self) -> &Arc<SimDisk> {
        &self.disk
    }

    /// Bytes in the journal.
    pub(crate) fn len(&self) -> usize {
        self.disk.lengths(self.file).0
    }
}

fn encode(out: &mut Vec<u8>, body: &[u8]) {
    let len = u32::try_from(body.len()).expect("a record is far below 4 GiB").to_le_bytes();
    out.push(VERSION);
    out.extend(len);
    out.extend(checksum(len, body).to_le_bytes());
    out.extend_from_slice(body);
}

fn checksum(len: [u8; 4], body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&[VERSION]);
    hasher.update(&len);
    hasher.update(body);
    hasher.finalize()
}

/// The bodies before the first bad record, and the length up to there.
fn scan(bytes: &Bytes) -> (Vec<Bytes>, usize) {
    let mut bodies = Vec::new();
    let mut at = 0;
    while let Some(header) = bytes.get(at..at + HEADER) {
        let mut header = header;
        let version = header.get_u8();
        let len = header.get_u32_le();
        let sum = header.get_u32_le();
        let body = at + HEADER..at + HEADER + len as usize;
        if version != VERSION || body.end > bytes.len() {
            break;
        }
        if checksum(len.to_le_bytes(), &bytes[body.clone()]) != sum {
            break;
        }
        at = body.end;
        bodies.push(bytes.slice(body));
    }
    (bodies, at)
}
