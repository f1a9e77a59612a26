//! The receiver's side, second half: what is staged takes the place of what the replica had, in portions. By S3.

use std::ops::Range;

use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;

use crate::engine::{Engine, EngineBatch, EngineError, EngineSnapshot};
use crate::ids::RangeId;
use crate::keys;
use crate::range::descriptor::RangeDescriptor;
use crate::range::snapshot::{self, keyed_spans};

const VERSION: u8 = 1;
/// Parts, by range and number.
const PART: &[u8] = b"p";
/// Notes, by range.
const NOTE: &[u8] = b"n";
/// Entries that are removed by one batch.
const WIPED_MAX: usize = 1_000;

/// That a snapshot is being installed, or is and the log does not know.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct InstallNote {
    /// The range as it comes.
    #[prost(message, required, tag = "1")]
    pub(crate) descriptor: RangeDescriptor,
    /// Its applied index.
    #[prost(uint64, tag = "2")]
    pub(crate) index: u64,
    /// The term of the entry there.
    #[prost(uint64, tag = "3")]
    pub(crate) term: u64,
    /// How many parts are staged.
    #[prost(uint32, tag = "4")]
    pub(crate) parts: u32,
    /// The half-open span that the replica had before, if it had one.
    #[prost(bytes = "bytes", tag = "5")]
    pub(crate) old_start: Bytes,
    /// Its end.
    #[prost(bytes = "bytes", tag = "6")]
    pub(crate) old_end: Bytes,
    /// All of it is in its place.
    #[prost(bool, tag = "7")]
    pub(crate) is_done: bool,
}

impl InstallNote {
    fn save(&self, batch: &mut EngineBatch) {
        let mut value = BytesMut::with_capacity(1 + self.encoded_len());
        value.put_u8(VERSION);
        self.encode(&mut value).expect("the buffer grows");
        batch.put(note_key(self.descriptor.id()), value.freeze());
    }

    /// The notes that there are.
    pub(crate) fn load_all(view: &dyn EngineSnapshot) -> Result<Vec<InstallNote>, EngineError> {
        let span = keys::store_key(NOTE)..keys::store_key(&[NOTE[0] + 1]);
        view.scan(span)
            .map(|entry| {
                let (_, value) = entry?;
                let body = value.split_first().filter(|(version, _)| **version == VERSION);
                body.and_then(|(_, body)| InstallNote::decode(body).ok())
                    .ok_or_else(|| EngineError::Corrupt("undecodable note of a snapshot".into()))
            })
            .collect()
    }
}

fn store_key(kind: &[u8], range: RangeId, number: &[u8]) -> Bytes {
    keys::store_key(&[kind, &range.0.to_be_bytes(), number].concat())
}

fn note_key(range: RangeId) -> Bytes {
    store_key(NOTE, range, &[])
}

/// Where a part is staged.
pub(crate) fn part_key(range: RangeId, number: u32) -> Bytes {
    store_key(PART, range, &number.to_be_bytes())
}

/// Where the parts of a range are staged.
pub(crate) fn parts_span(range: RangeId) -> Range<Bytes> {
    store_key(PART, range, &[])..store_key(PART, RangeId(range.0 + 1), &[])
}

/// Forgets that a snapshot was installed: the log knows.
pub(crate) fn forget(engine: &dyn Engine, range: RangeId) -> Result<(), EngineError> {
    let mut batch = EngineBatch::default();
    batch.delete(note_key(range));
    engine.apply(batch)
}

/// Forgets what is staged of snapshots that are not being installed: after a restart their senders are gone.
pub(crate) fn forget_staged(engine: &dyn Engine) -> Result<(), EngineError> {
    wipe_all(engine, keys::store_key(PART)..keys::store_key(&[PART[0] + 1]))
}

/// Removes all entries of an engine span, however many.
pub(crate) fn wipe_all(engine: &dyn Engine, mut span: Range<Bytes>) -> Result<(), EngineError> {
    while wipe(engine, &mut span)? {}
    Ok(())
}

/// Removes the first entries of an engine span, and these from it. True iff there may be more.
pub(crate) fn wipe(engine: &dyn Engine, span: &mut Range<Bytes>) -> Result<bool, EngineError> {
    let view = engine.snapshot();
    let mut batch = EngineBatch::default();
    let mut last = None;
    for entry in view.scan(span.clone()).take(WIPED_MAX) {
        let (key, _) = entry?;
        last = Some(key.clone());
        batch.delete(key);
    }
    let is_full = batch.ops().len() == WIPED_MAX;
    drop(view);
    engine.apply(batch)?;
    if let Some(last) = last {
        span.start = keys::successor(&last);
    }
    Ok(is_full)
}

/// An installation under way.
pub(crate) struct Install {
    pub(crate) note: InstallNote,
    /// What is to be wiped, the next last.
    wipes: Vec<Range<Bytes>>,
    next_part: u32,
}

impl Install {
    /// Begins, or begins again, by the note.
    pub(crate) fn begin(engine: &dyn Engine, note: InstallNote) -> Result<Install, EngineError> {
        let mut batch = EngineBatch::default();
        note.save(&mut batch);
        engine.apply(batch)?;
        Ok(Install::resume(note))
    }

    /// Carries on with what a note says.
    pub(crate) fn resume(note: InstallNote) -> Install {
        let mut wipes = Vec::new();
        if !note.is_done {
            wipes = snapshot::spans(&note.descriptor);
            if !note.old_start.is_empty() {
                wipes.extend(keyed_spans(&note.old_start, &note.old_end));
            }
        }
        let next_part = if note.is_done { note.parts } else { 0 };
        Install { note, wipes, next_part }
    }

    /// Does one portion. False: it was the last.
    pub(crate) fn portion(&mut self, engine: &dyn Engine) -> Result<bool, EngineError> {
        let range = self.note.descriptor.id();
        if let Some(span) = self.wipes.last_mut() {
            if !wipe(engine, span)? {
                self.wipes.pop();
            }
            return Ok(true);
        }
        if self.next_part < self.note.parts {
            let part = engine.snapshot().get(&part_key(range, self.next_part))?;
            let entries = part.and_then(snapshot::entries).ok_or_else(|| {
                EngineError::Corrupt(format!("part {} of {range} is gone", self.next_part))
            })?;
            let mut batch = EngineBatch::default();
            for (key, value) in entries {
                batch.put(key, value);
            }
            engine.apply(batch)?;
            self.next_part += 1;
            return Ok(true);
        }
        if !self.note.is_done {
            self.note.is_done = true;
            let mut batch = EngineBatch::default();
            self.note.save(&mut batch);
            engine.apply(batch)?;
            return Ok(true);
        }
        wipe(engine, &mut parts_span(range))
    }

    /// Does all that is left.
    pub(crate) fn finish(&mut self, engine: &dyn Engine) -> Result<(), EngineError> {
        while self.portion(engine)? {}
        Ok(())
    }
}
