//! Deletions of whole spans: when they can be made, what an unknown outcome is called, and isolation under concurrency.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use kv::clock::Timestamp;
use kv::env::Rng;
use kv::keys::Space;
use kv::seam::SendError;

use super::fake::{Fate, World, ends_with};
use crate::api::ErrorKind;
use crate::db::{Db, Txn, TxnError, TxnOptions};
use crate::testing::{LocalCluster, TestRng};

fn b(text: &'static str) -> Bytes {
    text.into()
}

fn erasing(world: &World) -> Txn {
    let mut txn = world.db().begin(TxnOptions::default());
    txn.delete_spans([(b("a"), b("c")), (b("d"), b("e"))]).expect("nothing is written");
    txn
}

#[tokio::test(start_paused = true)]
async fn spans_on_one_range_are_deleted_in_one_phase_and_nothing_follows() {
    let world = World::new(&["m"]);
    world.write("b", "1");
    world.write("c", "2");
    let mut txn = erasing(&world);
    assert!(matches!(txn.get(b("b")).await, Err(TxnError::Invalid(_))));
    assert!(matches!(txn.scan(b("a"), b("z"), 9).await, Err(TxnError::Invalid(_))));
    assert!(matches!(txn.put(b("b"), b("2")), Err(TxnError::Invalid(_))));
    assert!(matches!(txn.delete_spans([(b("x"), b("y"))]), Err(TxnError::Invalid(_))));
    txn.commit().await.expect("fine");
    assert_eq!(world.take_batches(), ["erase erase commit1@1"]);
    assert_eq!((world.read("b"), world.read("c")), (None, Some(b("2"))));
    let mut writing = world.db().begin(TxnOptions::default());
    writing.put(b("x"), b("1")).expect("small");
    assert!(matches!(writing.delete_spans([(b("a"), b("c"))]), Err(TxnError::Invalid(_))));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_done_at_once_is_not_done_at_all() {
    let parted = World::new(&["b"]);
    let error = erasing(&parted).commit().await.unwrap_err();
    assert!(matches!(error, TxnError::Retry { .. }));
    assert_eq!(parted.take_log(), [""; 0], "on two ranges");
    for kind in [ErrorKind::TooLarge, ErrorKind::Waiting, ErrorKind::Aborted] {
        let world = World::new(&["m"]);
        world.write("b", "1");
        world.hook(move |_| Fate::Refused(kind, 0));
        let error = erasing(&world).commit().await.unwrap_err();
        assert!(matches!(error, TxnError::Retry { .. }), "{kind:?}");
        assert_eq!(world.take_batches(), ["erase erase commit1@1"]);
        assert_eq!(world.read("b"), Some(b("1")));
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_settled_by_who_remembers() {
    for (executed, remembered) in [(true, true), (true, false), (false, false)] {
        let world = World::new(&["m"]);
        world.write("b", "1");
        world.hook(move |batch| match ends_with(batch, "commit1") {
            true if executed => Fate::Executed(SendError::Unknown),
            true => Fate::Lost(SendError::Unknown),
            false if remembered => Fate::Normal,
            false => Fate::Lost(SendError::Unavailable),
        });
        let result = erasing(&world).commit().await;
        assert_eq!(result.is_ok(), remembered);
        assert!(remembered || result == Err(TxnError::Ambiguous));
        assert_eq!(world.read("b").is_none(), executed);
    }
}

/// What a transaction has read and done.
struct Done {
    at: Timestamp,
    read: Vec<Bytes>,
    writes: bool,
    /// Keys that were set, and what was deleted before.
    set: Vec<Bytes>,
    deleted: Vec<(Bytes, Bytes)>,
}

fn key(n: u64) -> Bytes {
    Bytes::from(vec![b'c' + n as u8])
}

async fn step(txn: &mut Txn, rng: &TestRng) -> Result<Done, TxnError> {
    let (a, c) = (rng.below(10), rng.below(10));
    let (start, end) = (key(a.min(c)), key(a.max(c) + 1));
    let what = rng.below(6);
    let mut done = Done {
        at: Timestamp::ZERO,
        read: Vec::new(),
        writes: what > 0,
        set: vec![],
        deleted: vec![],
    };
    let everything = (key(0), key(12));
    if rng.below(4) > 0 || what == 0 {
        let (from, to) = everything;
        done.read = txn.scan(from, to, 99).await?.into_iter().map(|row| row.key).collect();
        tokio::time::sleep(Duration::from_millis(rng.below(4))).await;
    } else {
        // Nothing was read.
        done.read.push(b("?"));
    }
    match what {
        0 => {}
        1..4 => {
            for key in [start, key(c)] {
                if what == 3 {
                    txn.get_for_update(key.clone()).await?;
                }
                txn.put(key.clone(), b("v"))?;
                done.set.push(key);
            }
        }
        4 => {
            txn.delete(start.clone())?;
            done.deleted.push((start.clone(), kv::keys::successor(&start)));
        }
        _ => {
            txn.delete_spans([(start.clone(), end.clone())])?;
            done.deleted.push((start, end));
        }
    }
    done.at = txn.commit().await?;
    Ok(done)
}

/// Clients that scan everything, set and delete keys and delete spans, while ranges split and leases change. By the order
/// of their commits each has read what those before it have left.
#[tokio::test(start_paused = true)]
async fn every_transaction_reads_what_those_before_it_left() {
    let mut erased = 0;
    for seed in 0..60 {
        let cluster = LocalCluster::new();
        let db = Db::new(cluster.env.clone(), cluster.clone(), crate::db::Config::default());
        let all = Arc::new(Mutex::new(Vec::new()));
        let mut clients = Vec::new();
        for client in 0..4 {
            let (db, all, cluster) = (db.clone(), all.clone(), cluster.clone());
            clients.push(tokio::spawn(async move {
                let rng = TestRng::new(seed * 10 + client);
                for _ in 0..25 {
                    cluster.set_apply_delay(Duration::from_millis(rng.below(3)));
                    let mut txn = db.begin(TxnOptions::default());
                    match step(&mut txn, &rng).await {
                        Ok(done) => all.lock().unwrap().push(done),
                        Err(TxnError::Retry { .. } | TxnError::Deadlock { .. }) => {}
                        Err(error) => panic!("{error}"),
                    }
                    tokio::time::sleep(Duration::from_millis(rng.below(3))).await;
                }
            }));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        cluster.split("f");
        tokio::time::sleep(Duration::from_millis(20)).await;
        cluster.split("i");
        for client in clients {
            client.await.expect("no client fails");
        }
        erased += cluster.count(Space::Erased);
        let mut all = std::mem::take(&mut *all.lock().unwrap());
        all.sort_by_key(|done| (done.at, !done.writes));
        let mut state: BTreeMap<Bytes, ()> = BTreeMap::new();
        for done in all {
            if done.read != [b("?")] {
                let expected: Vec<_> = state.keys().cloned().collect();
                assert_eq!(done.read, expected, "seed {seed}, at {:?}", done.at);
            }
            for (start, end) in done.deleted {
                state.retain(|key, ()| *key < start || end <= *key);
            }
            state.extend(done.set.into_iter().map(|key| (key, ())));
        }
    }
    assert!(erased > 300, "{erased} deletions of spans");
}
