//! What the keys of a batch's next writes have: their intents and newest versions, by a few scans instead of lookups key by
//! key. Statements write in the order of keys, so the scans pass over little else.
//!
//! - I1. A window says what lookups in the evaluation's snapshot would. It covers its keys and nothing else: of what it
//!   does not cover, nothing is known.
//! - I2. What it says of locks and readers holds for as long as the batch has its latches: others enter under latches of
//!   theirs. (Not so a request that queues for a lock, and that has no claim before its turn.)
//!
//! Bounds: so many entries and bytes, also of those in between, for each write.

use std::collections::VecDeque;
use std::ops::ControlFlow;

use bytes::Bytes;
use kv::engine::EngineError;
use kv::keys::{self, Space};

use super::evaluation::Evaluation;
use crate::api::{Put, Request, RequestKind};
use crate::mvcc::{Intent, Order, Version, intent};

/// Fewer writes are looked up one by one.
const LEAST: usize = 32;
/// Entries that are passed over for each write at most.
const ENTRIES_PER_WRITE: usize = 4;
/// Bytes of values that a window keeps; its last may go beyond.
const BYTES: usize = 1 << 20;

/// What a key has: its intent, its newest version.
pub(super) type Found = (Option<Intent>, Option<Version>);

/// What is known of the keys of a half-open span that are about to be written.
#[derive(Default)]
pub(super) struct Window {
    start: Bytes,
    end: Bytes,
    /// Ascending. A key without either is not in it.
    found: VecDeque<(Bytes, Found)>,
    /// Nobody has a lock within the span, or queues for one.
    is_free: bool,
    /// Nobody else has read within the span at or above the batch's write timestamp.
    is_unread: bool,
}

impl Window {
    fn covers(&self, key: &Bytes) -> bool {
        self.start <= *key && *key < self.end
    }

    /// What the key has, if that is known. To be asked for ascending keys: of those before, nothing is known any more.
    pub(super) fn find(&mut self, key: &Bytes) -> Option<Found> {
        if !self.covers(key) {
            return None;
        }
        while self.found.front().is_some_and(|(front, _)| front < key) {
            self.found.pop_front();
        }
        self.start = key.clone();
        let front = self.found.front().filter(|(front, _)| front == key);
        Some(front.map(|(_, found)| found.clone()).unwrap_or_default())
    }

    /// True iff it is known that no other transaction locks the key.
    pub(super) fn is_free(&self, key: &Bytes) -> bool {
        self.is_free && self.covers(key)
    }

    /// True iff it is known that no read of the key keeps the batch from writing at its timestamp.
    pub(super) fn is_unread(&self, key: &Bytes) -> bool {
        self.is_unread && self.covers(key)
    }
}

impl Evaluation<'_> {
    /// Looks at what is beneath the writes at the head of these requests, as far as they ascend.
    pub(super) fn look_ahead(&mut self, requests: &[Request]) -> Result<(), EngineError> {
        self.ahead = Window::default();
        let puts = ascending(requests);
        let (Some(first), Some(last)) = (puts.first(), puts.last()) else { return Ok(()) };
        if puts.len() < LEAST {
            return Ok(());
        }
        let (start, whole) = (first.key.clone(), keys::successor(&last.key));
        let mut end = whole.clone();
        let snapshot = &self.eval.snapshot;
        let mut found: VecDeque<(Bytes, Found)> = VecDeque::with_capacity(puts.len());
        let mut wanted = puts.iter().map(|put| &put.key).peekable();
        let (mut left, mut bytes) = (ENTRIES_PER_WRITE * puts.len(), 0);
        snapshot.visit(Space::Data, (&start, &whole), false, &mut |key, stored| {
            while wanted.next_if(|next| &next[..] < key).is_some() {}
            if let Some(wanted) = wanted.peek().filter(|next| &next[..] == key) {
                let version = Version::decode(Bytes::copy_from_slice(stored))?;
                found.push_back(((*wanted).clone(), (None, Some(version))));
                bytes += stored.len();
            }
            left -= 1;
            if left > 0 && bytes < BYTES {
                return Ok(ControlFlow::Continue(()));
            }
            end = keys::successor(key);
            Ok(ControlFlow::Break(()))
        })?;
        // As the lock space was left by others, it may hold more than the data do.
        let mut left = ENTRIES_PER_WRITE * puts.len();
        let mut at = 0;
        for entry in intent::scan(snapshot, &start, &end, Order::Ascending) {
            let (key, intent) = entry?;
            left -= 1;
            if left == 0 {
                return Ok(());
            }
            while found.get(at).is_some_and(|(before, _)| *before < key) {
                at += 1;
            }
            match found.get_mut(at).filter(|(same, _)| *same == key) {
                Some((_, (place, _))) => *place = Some(intent),
                None => found.insert(at, (key, (Some(intent), None))),
            }
        }
        let (read, reader) = self.server.reads.max_of_span(&start, &end);
        let own = reader.is_some() && reader.as_ref() == self.request.txn.as_ref().map(|t| &t.id);
        let is_unread = read < self.write_ts || (own && read <= self.write_ts);
        let is_free = self.server.locks.has_nothing(&start, &end);
        self.ahead = Window { start, end, found, is_free, is_unread };
        Ok(())
    }
}

/// The writes at the head of the requests whose keys ascend.
fn ascending(requests: &[Request]) -> Vec<&Put> {
    let mut puts: Vec<&Put> = Vec::new();
    for request in requests {
        match &request.kind {
            Some(RequestKind::Put(put)) if puts.last().is_none_or(|last| last.key <= put.key) => {
                puts.push(put);
            }
            _ => break,
        }
    }
    puts
}
