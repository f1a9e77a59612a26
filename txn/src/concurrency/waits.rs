//! Who waits for whom, as far as this node knows: the graph in which deadlocks are circles.
//!
//! Promise: of a circle of transactions that wait for each other and that this node knows all of, one is told to give up,
//! and always the same: the last in the order of transactions ([`order`]).
//!
//! A transaction that waits on this node is entered for as long as its request waits ([`Waits::enter`]). What other nodes
//! know comes as reports, and is believed for a while ([`Waits::report`]).
//!
//! - W1. Every wait that is entered is checked for a circle at once. So whichever wait closes one finds it.
//! - W2. Who has been told to give up is out of the graph: nobody else is, for the same circle.
//! - W3. A report may be out of date. The wait of the one who is to give up is checked where it happens, in the end; the
//!   others' waits may be over, which costs a restart that was not needed, and nothing else.
//!
//! Bounds: the waits of this node are as many as its requests; reports so many.

use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;

use crate::api::{BreakWait, TxnMeta, Wait};

/// Waits that are known by reports.
const MAX_REPORTS: usize = 50_000;
/// Waits that one search follows.
const MAX_STEPS: usize = 10_000;

/// The order of transactions: of those that wait for each other in a circle, the last gives up. The more often one was
/// restarted the earlier it comes, then the older.
pub fn order(txn: &TxnMeta) -> impl Ord + use<> {
    (Reverse(txn.priority), txn.min_ts, txn.id.clone())
}

/// The waits of a node. Cheap to clone; clones share the state.
#[derive(Clone, Debug, Default)]
pub struct Waits(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    next: u64,
    reports: usize,
    waiters: BTreeMap<Bytes, Waiter>,
}

#[derive(Debug)]
struct Waiter {
    txn: TxnMeta,
    waits: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    number: u64,
    holders: Vec<TxnMeta>,
    key: Bytes,
    source: Source,
}

#[derive(Debug)]
enum Source {
    /// A request on this node waits; this ends its wait.
    Here(oneshot::Sender<String>),
    /// Somebody has said so, and it is believed until then.
    Reported(Duration),
}

/// A request's wait. It is over when this is dropped.
#[derive(Debug)]
pub struct Waiting {
    waits: Waits,
    id: Bytes,
    number: u64,
}

/// What became of a search for a circle.
#[derive(Debug, PartialEq)]
pub enum Search {
    /// There is none.
    NoCircle,
    /// Somebody who waits on this node has been told to give up.
    Broken,
    /// Somebody is to give up whose wait is reported from elsewhere: send this to the lease holder of its key.
    Elsewhere(BreakWait),
}

impl Waits {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no panic under the waits' lock")
    }

    /// A request of `waiter` begins to wait for the holders of a key. What is received is why it is to give up. Search for
    /// a circle next.
    pub fn enter(
        &self,
        waiter: &TxnMeta,
        holders: Vec<TxnMeta>,
        key: &Bytes,
    ) -> (Waiting, oneshot::Receiver<String>) {
        let (sender, verdict) = oneshot::channel();
        let mut state = self.state();
        state.next += 1;
        let number = state.next;
        let key = Bytes::copy_from_slice(key);
        let entry = Entry { number, holders, key, source: Source::Here(sender) };
        let id = state.of(waiter, entry);
        (Waiting { waits: self.clone(), id, number }, verdict)
    }

    /// Somebody says that `waiter` waits for the holder of a key; it is believed until then.
    pub fn report(&self, waiter: &TxnMeta, wait: &Wait, now: Duration, until: Duration) {
        let mut state = self.state();
        if let Some(known) = state.waiters.get_mut(&waiter.id) {
            let same = |entry: &&mut Entry| {
                entry.key == wait.key && entry.holders.iter().any(|h| h.id == wait.holder.id)
            };
            if let Some(entry) = known.waits.iter_mut().find(same) {
                if let Source::Reported(believed) = &mut entry.source {
                    *believed = until.max(*believed);
                }
                return;
            }
        }
        if state.reports >= MAX_REPORTS {
            state.forget_old_reports(now);
        }
        if state.reports >= MAX_REPORTS {
            return;
        }
        state.next += 1;
        state.reports += 1;
        let (number, source) = (state.next, Source::Reported(until));
        let (key, holder) = (Bytes::copy_from_slice(&wait.key), owned(&wait.holder));
        state.of(waiter, Entry { number, holders: vec![holder], key, source });
    }

    /// Whom a transaction is known to wait for.
    pub fn of(&self, txn_id: &[u8], now: Duration) -> Vec<Wait> {
        let state = self.state();
        let Some(waiter) = state.waiters.get(txn_id) else { return Vec::new() };
        let believed = waiter.waits.iter().filter(|entry| entry.is_believed(now));
        let each = |entry: &Entry| {
            let key = entry.key.clone();
            let wait = move |holder: &TxnMeta| Wait { holder: holder.clone(), key: key.clone() };
            entry.holders.iter().map(wait).collect::<Vec<_>>()
        };
        believed.flat_map(each).collect()
    }

    /// Looks for a circle through a transaction, and makes one of those in it give up.
    pub fn search(&self, txn_id: &[u8], now: Duration) -> Search {
        let mut state = self.state();
        let Some(circle) = state.circle(txn_id, now) else { return Search::NoCircle };
        let last = (0..circle.len()).max_by_key(|i| order(&circle[*i].waiter));
        let last = last.map(|i| &circle[i]).expect("a circle is not empty");
        let detail = describe(&circle);
        let Some(entry) = state.take(&last.waiter.id, last.number) else {
            return Search::NoCircle;
        };
        match entry.source {
            Source::Here(sender) => {
                // The request may have gone away, and so has its wait.
                let _ = sender.send(detail);
                Search::Broken
            }
            Source::Reported(_) => Search::Elsewhere(BreakWait {
                waiter: last.waiter.id.clone(),
                holder: last.holder.clone(),
                key: entry.key,
                detail,
            }),
        }
    }

    /// Makes a transaction give up, if it still waits here for that holder.
    pub fn break_wait(&self, wait: &BreakWait) {
        let mut state = self.state();
        let Some(waiter) = state.waiters.get(&wait.waiter) else { return };
        let found = waiter.waits.iter().find(|entry| {
            matches!(entry.source, Source::Here(_))
                && entry.key == wait.key
                && entry.holders.iter().any(|holder| holder.id == wait.holder)
        });
        let Some(number) = found.map(|entry| entry.number) else { return };
        if let Some(Entry { source: Source::Here(sender), .. }) = state.take(&wait.waiter, number) {
            // The request may have gone away, and so has its wait.
            let _ = sender.send(wait.detail.clone());
        }
    }

    /// True iff nobody is known to wait.
    pub fn is_empty(&self) -> bool {
        self.state().waiters.is_empty()
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.waits.state().take(&self.id, self.number);
    }
}

impl Entry {
    fn is_believed(&self, now: Duration) -> bool {
        match &self.source {
            Source::Here(_) => true,
            Source::Reported(until) => now < *until,
        }
    }
}

/// A part of a circle: a transaction, and for whom it waits.
struct Link {
    waiter: TxnMeta,
    number: u64,
    holder: Bytes,
}

impl State {
    fn of(&mut self, waiter: &TxnMeta, entry: Entry) -> Bytes {
        let txn = owned(waiter);
        let id = txn.id.clone();
        let known = self.waiters.entry(id.clone());
        known.or_insert_with(|| Waiter { txn, waits: Vec::new() }).waits.push(entry);
        id
    }

    fn take(&mut self, id: &Bytes, number: u64) -> Option<Entry> {
        let waiter = self.waiters.get_mut(id)?;
        let at = waiter.waits.iter().position(|entry| entry.number == number)?;
        let entry = waiter.waits.swap_remove(at);
        if waiter.waits.is_empty() {
            self.waiters.remove(id);
        }
        self.reports -= usize::from(matches!(entry.source, Source::Reported(_)));
        Some(entry)
    }

    fn forget_old_reports(&mut self, now: Duration) {
        let mut left = 0;
        self.waiters.retain(|_, waiter| {
            waiter.waits.retain(|entry| entry.is_believed(now));
            let reported = |entry: &&Entry| matches!(entry.source, Source::Reported(_));
            left += waiter.waits.iter().filter(reported).count();
            !waiter.waits.is_empty()
        });
        self.reports = left;
    }

    /// The shortest way from a transaction back to itself.
    fn circle(&self, start: &[u8], now: Duration) -> Option<Vec<Link>> {
        // From whom each was reached, and by which of its waits.
        let mut reached: BTreeMap<&Bytes, (&Waiter, u64)> = BTreeMap::new();
        let mut next = VecDeque::from([self.waiters.get(start)?]);
        let mut steps = 0;
        while let Some(waiter) = next.pop_front() {
            for entry in waiter.waits.iter().filter(|entry| entry.is_believed(now)) {
                for holder in &entry.holders {
                    steps += 1;
                    if steps > MAX_STEPS {
                        return None;
                    }
                    if reached.contains_key(&holder.id) {
                        continue;
                    }
                    reached.insert(&holder.id, (waiter, entry.number));
                    if holder.id == start {
                        return Some(links(&holder.id, &reached));
                    }
                    next.extend(self.waiters.get(&holder.id));
                }
            }
        }
        None
    }
}

/// The way back to `start`, which was reached.
fn links(start: &Bytes, reached: &BTreeMap<&Bytes, (&Waiter, u64)>) -> Vec<Link> {
    let mut links = Vec::new();
    let mut holder = start;
    while let Some((waiter, number)) = reached.get(holder) {
        links.push(Link { waiter: waiter.txn.clone(), number: *number, holder: holder.clone() });
        holder = &waiter.txn.id;
        if holder == start {
            break;
        }
    }
    links.reverse();
    links
}

/// For people: a line for each.
fn describe(circle: &[Link]) -> String {
    let name = |id: &[u8]| {
        id.iter().take(4).fold(String::new(), |mut name, byte| {
            let _ = write!(name, "{byte:02x}");
            name
        })
    };
    let line = |link: &Link| {
        let (waiter, holder) = (name(&link.waiter.id), name(&link.holder));
        format!("Transaction {waiter} waits for a lock of transaction {holder}.")
    };
    circle.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// What is remembered does not keep the request's buffer alive.
fn owned(txn: &TxnMeta) -> TxnMeta {
    TxnMeta {
        id: Bytes::copy_from_slice(&txn.id),
        anchor: Bytes::copy_from_slice(&txn.anchor),
        ..txn.clone()
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    const NOW: Duration = Duration::from_secs(1);
    const LATER: Duration = Duration::from_secs(2);

    fn txn(id: u8, priority: u32) -> TxnMeta {
        TxnMeta { id: vec![id].into(), min_ts: u64::from(id), priority, ..TxnMeta::default() }
    }

    fn key() -> Bytes {
        Bytes::from_static(b"k")
    }

    fn wait(holder: u8) -> Wait {
        Wait { holder: txn(holder, 0), key: key() }
    }

    #[test]
    fn one_of_two_transactions_comes_first() {
        let order: Vec<_> = [(9, 2), (3, 1), (4, 1), (1, 0)]
            .into_iter()
            .map(|(id, priority)| order(&txn(id, priority)))
            .collect();
        assert!(order.is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn the_last_of_a_circle_gives_up_whoever_closes_it() {
        for closing in 1..=3 {
            let waits = Waits::default();
            let mut all = Vec::new();
            for step in 0..3 {
                let id = (closing + step) % 3 + 1;
                let holders = vec![txn(7, 0), txn(id % 3 + 1, 0)];
                all.push((id, waits.enter(&txn(id, 0), holders, &key())));
                let search = waits.search(&[id], NOW);
                assert_eq!(search, if step < 2 { Search::NoCircle } else { Search::Broken });
            }
            for (id, (waiting, verdict)) in all {
                let detail = verdict.now_or_never().map(|detail| detail.unwrap());
                assert_eq!(detail.is_some(), id == 3, "{detail:?}");
                if let Some(detail) = detail {
                    assert_eq!(detail.lines().count(), 3);
                    assert!(detail.contains("Transaction 03 waits for a lock of transaction 01."));
                    assert_eq!(waits.search(&[id], NOW), Search::NoCircle, "one is enough");
                }
                drop(waiting);
            }
            assert!(waits.is_empty());
        }
    }

    #[test]
    fn reports_are_believed_for_a_while_and_broken_where_the_wait_is() {
        let (here, there) = (Waits::default(), Waits::default());
        let (_waiting, verdict) = there.enter(&txn(2, 0), vec![txn(1, 0)], &key());
        here.report(&txn(2, 0), &there.of(&[2], NOW)[0], NOW, LATER);
        let (_other, _verdict) = here.enter(&txn(1, 0), vec![txn(2, 0)], &key());
        assert_eq!(here.search(&[1], LATER), Search::NoCircle, "too old");
        let Search::Elsewhere(wait) = here.search(&[1], NOW) else { panic!("a circle") };
        assert_eq!(here.search(&[1], NOW), Search::NoCircle, "already said");
        let gone = BreakWait { holder: vec![9].into(), ..wait.clone() };
        there.break_wait(&gone);
        there.break_wait(&wait);
        assert_eq!(verdict.now_or_never().unwrap().unwrap(), wait.detail);
    }

    #[test]
    fn reports_are_bounded_and_old_ones_make_room() {
        let waits = Waits::default();
        let waiter = |n: usize| TxnMeta { id: n.to_be_bytes().to_vec().into(), ..txn(0, 0) };
        for n in 0..MAX_REPORTS {
            waits.report(&waiter(n), &wait(1), NOW, LATER);
            waits.report(&waiter(n), &wait(1), NOW, LATER);
        }
        waits.report(&waiter(MAX_REPORTS), &wait(1), NOW, LATER);
        assert!(waits.of(&MAX_REPORTS.to_be_bytes(), NOW).is_empty());
        waits.report(&waiter(MAX_REPORTS), &wait(1), LATER, LATER * 2);
        assert_eq!(waits.of(&MAX_REPORTS.to_be_bytes(), LATER).len(), 1);
        assert_eq!(waits.state().waiters.len(), 1);
    }
}
