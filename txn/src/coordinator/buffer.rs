//! The writes of a transaction, kept at the gateway until it commits.
//!
//! - The last write of a key wins. Every write has its own number; numbers are never used twice, not even
//!   after a rollback to a savepoint.
//! - A savepoint costs a number. What is overwritten while one is live goes to an undo log, once per key and
//!   savepoint; rolling back replays that log backwards.
//! - What was sent leaves the buffer, with what the undo log had of it: the intents keep it as long as a savepoint may
//!   ask for it. Going back behind it makes a range of numbers that are ignored from then on, wherever they are met:
//!   what was sent may also arrive late.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::error::TxnError;
use crate::api::{Put, SequenceRange};

/// A mark in a transaction's writes, to roll back to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Savepoint(u32);

#[derive(Clone, Debug)]
struct Entry {
    sequence: u32,
    /// None deletes.
    value: Option<Bytes>,
}

impl Entry {
    fn size(&self) -> usize {
        self.value.as_ref().map_or(0, Bytes::len)
    }
}

#[derive(Debug)]
struct Mark {
    id: u32,
    sequence: u32,
    undo_len: usize,
}

/// Writes by key.
#[derive(Debug)]
pub(crate) struct WriteBuffer {
    entries: BTreeMap<Bytes, Entry>,
    undo: Vec<(Bytes, Option<Entry>)>,
    marks: Vec<Mark>,
    next_mark: u32,
    sequence: u32,
    /// Number of the last write that may have been sent.
    sent: u32,
    /// Keys and values of the entries and of the undo log.
    bytes: usize,
    max_keys: usize,
    max_bytes: usize,
}

impl WriteBuffer {
    pub(crate) fn new(max_keys: usize, max_bytes: usize) -> Self {
        WriteBuffer {
            entries: BTreeMap::new(),
            undo: Vec::new(),
            marks: Vec::new(),
            next_mark: 0,
            sequence: 0,
            sent: 0,
            bytes: 0,
            max_keys,
            max_bytes,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Keys written.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Keys and values, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Number of the last write; zero before the first.
    pub(crate) fn sequence(&self) -> u32 {
        self.sequence
    }

    /// The buffered write of `key`: outer none if there is none, inner none if it deletes.
    pub(crate) fn get(&self, key: &Bytes) -> Option<&Option<Bytes>> {
        self.entries.get(key).map(|entry| &entry.value)
    }

    /// The buffered writes within a half-open span that is not empty, ascending.
    pub(crate) fn range(
        &self,
        start: &Bytes,
        end: &Bytes,
    ) -> impl DoubleEndedIterator<Item = (&Bytes, &Option<Bytes>)> {
        self.entries.range::<Bytes, _>(start..end).map(|(key, entry)| (key, &entry.value))
    }

    /// Every write with its number, ascending by key.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Bytes, u32, &Option<Bytes>)> {
        self.entries.iter().map(|(key, entry)| (key, entry.sequence, &entry.value))
    }

    /// The key written first among those that are still written.
    pub(crate) fn first_written(&self) -> Option<&Bytes> {
        self.entries.iter().min_by_key(|(_, entry)| entry.sequence).map(|(key, _)| key)
    }

    /// True iff there is more than that in it.
    pub(crate) fn exceeds(&self, keys: usize, bytes: usize) -> bool {
        self.entries.len() > keys || self.bytes > bytes
    }

    /// True iff so many writes, of so many bytes together, are certainly not too many.
    pub(crate) fn has_room(&self, keys: usize, bytes: usize) -> bool {
        // What they supersede, a savepoint may keep.
        self.entries.len() + keys <= self.max_keys
            && self.bytes + 2 * bytes <= self.max_bytes
            && u32::try_from(keys).is_ok_and(|keys| self.sequence.checked_add(keys).is_some())
    }

    /// Number of the last write before the latest savepoint: nothing goes back to what is later and superseded.
    pub(crate) fn kept(&self) -> u32 {
        self.marks.last().map_or(0, |mark| mark.sequence)
    }

    /// All that has to be sent, ascending by key and number: what rolling back may ask for, and the present writes.
    /// From now on it may have been sent.
    pub(crate) fn send(&mut self) -> Vec<Put> {
        self.sent = self.sequence;
        let undone = self.undo.iter().filter_map(|(key, old)| Some((key, old.as_ref()?)));
        let put = |(key, entry): (&Bytes, &Entry)| Put {
            key: key.clone(),
            value: entry.value.clone(),
            sequence: entry.sequence,
        };
        let mut puts: Vec<Put> = undone.chain(&self.entries).map(put).collect();
        puts.sort_unstable_by(|a, b| (&a.key, a.sequence).cmp(&(&b.key, b.sequence)));
        puts
    }

    /// Forgets everything but the savepoints: it was sent, and is known to have arrived.
    pub(crate) fn forget(&mut self) {
        self.entries.clear();
        self.undo.clear();
        self.marks.iter_mut().for_each(|mark| mark.undo_len = 0);
        self.bytes = 0;
    }

    /// Buffers a write. On `TooLarge` nothing has changed.
    pub(crate) fn put(&mut self, key: Bytes, value: Option<Bytes>) -> Result<(), TxnError> {
        let sequence = self.sequence.checked_add(1).ok_or(TxnError::TooLarge)?;
        let entry = Entry { sequence, value };
        let old = self.entries.get(&key);
        let grown = self.bytes + key.len() + entry.size();
        if grown > self.max_bytes || (old.is_none() && self.entries.len() >= self.max_keys) {
            return Err(TxnError::TooLarge);
        }
        self.bytes = grown;
        self.sequence = sequence;
        let must_log = match (self.marks.last(), old) {
            (None, _) => false,
            (Some(_), None) => true,
            // Written after the last savepoint: the log already holds what was there before.
            (Some(mark), Some(old)) => old.sequence <= mark.sequence,
        };
        let old = self.entries.insert(key.clone(), entry);
        if must_log {
            if old.is_none() {
                self.bytes += key.len();
            }
            self.undo.push((key, old));
        } else if let Some(old) = old {
            self.bytes -= key.len() + old.size();
        }
        Ok(())
    }

    pub(crate) fn savepoint(&mut self) -> Result<Savepoint, TxnError> {
        if self.marks.len() >= self.max_keys {
            return Err(TxnError::TooLarge);
        }
        let id = self.next_mark;
        self.next_mark = id.checked_add(1).ok_or(TxnError::TooLarge)?;
        self.marks.push(Mark { id, sequence: self.sequence, undo_len: self.undo.len() });
        Ok(Savepoint(id))
    }

    /// Undoes every write since the savepoint, which stays; later savepoints are gone. Returns the numbers of the undone
    /// writes if any of them may have been sent.
    pub(crate) fn rollback_to(
        &mut self,
        savepoint: Savepoint,
    ) -> Result<Option<SequenceRange>, TxnError> {
        let at = self.position(savepoint)?;
        self.marks.truncate(at + 1);
        while self.undo.len() > self.marks[at].undo_len {
            let Some((key, old)) = self.undo.pop() else { break };
            let undone = match old {
                // The logged key moves back into the map: only the undone write's key and value go.
                Some(old) => self.entries.insert(key.clone(), old),
                None => {
                    self.bytes -= key.len();
                    self.entries.remove(&key)
                }
            };
            self.bytes -= undone.map_or(0, |entry| key.len() + entry.size());
        }
        let before = self.marks[at].sequence;
        let undone = SequenceRange { first: before + 1, last: self.sequence };
        Ok((self.sent > before).then_some(undone))
    }

    /// Forgets the savepoint and later ones; the writes stay.
    pub(crate) fn release(&mut self, savepoint: Savepoint) -> Result<(), TxnError> {
        let at = self.position(savepoint)?;
        self.marks.truncate(at);
        if self.marks.is_empty() {
            self.release_all();
        }
        Ok(())
    }

    /// Forgets all savepoints; the writes stay.
    pub(crate) fn release_all(&mut self) {
        self.marks.clear();
        for (key, old) in self.undo.drain(..) {
            self.bytes -= key.len() + old.map_or(0, |entry| entry.size());
        }
    }

    fn position(&self, savepoint: Savepoint) -> Result<usize, TxnError> {
        self.marks
            .binary_search_by_key(&savepoint.0, |mark| mark.id)
            .map_err(|_| TxnError::Invalid("no such savepoint".into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(buffer: &mut WriteBuffer, key: &'static str, value: &'static str) {
        buffer.put(key.into(), Some(value.into())).expect("within bounds");
    }

    fn show(buffer: &WriteBuffer) -> String {
        let entries = buffer.iter().map(|(key, sequence, value)| {
            let value =
                value.as_ref().map_or("-".into(), |v| String::from_utf8_lossy(v).into_owned());
            format!("{}={value}@{sequence}", String::from_utf8_lossy(key))
        });
        entries.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn rolling_back_restores_what_the_savepoint_saw() {
        let mut buffer = WriteBuffer::new(100, 1_000);
        put(&mut buffer, "a", "1");
        let before = buffer.bytes();
        let outer = buffer.savepoint().expect("within bounds");
        put(&mut buffer, "a", "2");
        put(&mut buffer, "a", "22");
        put(&mut buffer, "b", "3");
        let inner = buffer.savepoint().expect("within bounds");
        buffer.put("a".into(), None).expect("within bounds");
        put(&mut buffer, "c", "4");
        assert_eq!(show(&buffer), "a=-@5 b=3@4 c=4@6");
        buffer.rollback_to(inner).expect("live");
        assert_eq!(show(&buffer), "a=22@3 b=3@4");
        put(&mut buffer, "c", "5");
        buffer.rollback_to(outer).expect("live");
        assert_eq!(show(&buffer), "a=1@1");
        assert_eq!(buffer.bytes(), before);
        assert!(matches!(buffer.rollback_to(inner), Err(TxnError::Invalid(_))));
        put(&mut buffer, "a", "9");
        buffer.rollback_to(outer).expect("stays live");
        assert_eq!(show(&buffer), "a=1@1");
        buffer.release(outer).expect("live");
        assert!(buffer.rollback_to(outer).is_err());
    }

    #[test]
    fn releasing_an_inner_savepoint_keeps_the_outer_one_whole() {
        let mut buffer = WriteBuffer::new(100, 1_000);
        let outer = buffer.savepoint().expect("within bounds");
        put(&mut buffer, "a", "1");
        let inner = buffer.savepoint().expect("within bounds");
        put(&mut buffer, "a", "2");
        buffer.release(inner).expect("live");
        put(&mut buffer, "a", "3");
        buffer.rollback_to(outer).expect("live");
        assert_eq!(show(&buffer), "");
        assert_eq!(buffer.bytes(), 0);
    }

    #[test]
    fn what_is_sent_leaves_with_what_savepoints_may_ask_for() {
        let mut buffer = WriteBuffer::new(100, 1_000);
        let sent = |buffer: &mut WriteBuffer| {
            let puts = buffer.send();
            buffer.forget();
            let show = |put: &Put| format!("{:?}@{}", put.key, put.sequence);
            puts.iter().map(show).collect::<Vec<_>>().join(" ")
        };
        put(&mut buffer, "a", "1");
        let outer = buffer.savepoint().expect("within bounds");
        put(&mut buffer, "a", "2");
        put(&mut buffer, "b", "3");
        assert_eq!(buffer.rollback_to(outer), Ok(None), "nothing was sent");
        put(&mut buffer, "a", "4");
        assert_eq!(buffer.kept(), 1);
        assert_eq!(sent(&mut buffer), "b\"a\"@1 b\"a\"@4");
        assert_eq!((buffer.bytes(), buffer.len()), (0, 0));
        put(&mut buffer, "a", "5");
        let inner = buffer.savepoint().expect("within bounds");
        put(&mut buffer, "a", "6");
        assert_eq!(buffer.rollback_to(inner), Ok(None));
        assert_eq!(show(&buffer), "a=5@5");
        assert_eq!(buffer.rollback_to(outer), Ok(Some(SequenceRange { first: 2, last: 6 })));
        assert_eq!(show(&buffer), "", "the rest is the intents'");
        put(&mut buffer, "c", "7");
        assert_eq!(sent(&mut buffer), "b\"c\"@7");
        assert_eq!(buffer.rollback_to(outer), Ok(Some(SequenceRange { first: 2, last: 7 })));
        buffer.release(outer).expect("live");
        assert_eq!(buffer.kept(), 0);
    }

    #[test]
    fn both_bounds_hold_and_a_refused_write_changes_nothing() {
        let mut buffer = WriteBuffer::new(2, 10);
        put(&mut buffer, "a", "1");
        assert!(buffer.has_room(1, 4) && !buffer.has_room(2, 4) && !buffer.has_room(1, 5));
        put(&mut buffer, "b", "2");
        assert_eq!(buffer.put("c".into(), None), Err(TxnError::TooLarge));
        assert_eq!(buffer.put("a".into(), Some("123456".into())), Err(TxnError::TooLarge));
        put(&mut buffer, "a", "12345");
        assert_eq!(show(&buffer), "a=12345@3 b=2@2");
        assert_eq!(buffer.bytes(), 8);
    }
}
