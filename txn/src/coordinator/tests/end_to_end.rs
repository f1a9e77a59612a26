//! Coordinators and the real server together: isolation under concurrency.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kv::keys::Space;
use kv::mutant::Mutant;

use crate::db::{Config, Db, Txn, TxnError, TxnOptions};
use crate::testing::LocalCluster;

fn b(text: &'static str) -> Bytes {
    text.into()
}

pub(super) fn db(cluster: &Arc<LocalCluster>) -> Db {
    let config = Config { max_restarts: 1_000, ..Config::default() };
    Db::new(cluster.env.clone(), cluster.clone(), config)
}

pub(super) fn number(value: Option<Bytes>) -> i64 {
    let read = |v: Bytes| i64::from_be_bytes(v[..].try_into().expect("eight bytes"));
    value.map_or(0, read)
}

pub(super) fn bytes(number: i64) -> Bytes {
    Bytes::copy_from_slice(&number.to_be_bytes())
}

async fn set(db: &Db, key: Bytes, value: i64) {
    let put = db.run(TxnOptions::default(), |txn| {
        let put = txn.put(key.clone(), bytes(value));
        Box::pin(async { put })
    });
    put.await.expect("committed");
}

pub(super) async fn get(db: &Db, key: &'static str) -> i64 {
    let read = db.run(TxnOptions::default(), |txn| Box::pin(txn.get(b(key))));
    number(read.await.expect("read"))
}

async fn seconds(count: u64) {
    tokio::time::sleep(Duration::from_secs(count)).await;
}

const ACCOUNTS: u64 = 6;

fn account(n: u64) -> Bytes {
    Bytes::from(format!("acc/{n}"))
}

async fn transfer(txn: &mut Txn, from: u64, to: u64, locking: bool) -> Result<(), TxnError> {
    let mut balances = [0; 2];
    for (n, balance) in [from, to].into_iter().zip(&mut balances) {
        let read = match locking {
            true => txn.get_for_update(account(n)).await?,
            false => txn.get(account(n)).await?,
        };
        *balance = number(read);
        // Others get in between.
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
    txn.put(account(from), bytes(balances[0] - 1))?;
    txn.put(account(to), bytes(balances[1] + 1))
}

async fn audit(txn: &mut Txn) -> Result<i64, TxnError> {
    let mut rows = txn.scan(account(0), account(3), 99).await?;
    tokio::time::sleep(Duration::from_millis(2)).await;
    rows.extend(txn.scan(account(3), b("acc0"), 99).await?);
    Ok(rows.into_iter().map(|row| number(Some(row.value))).sum())
}

/// Adds one to each key, with locks.
async fn count_up(txn: &mut Txn, keys: [&'static str; 2], pause: Duration) -> Result<(), TxnError> {
    for key in keys {
        let old = number(txn.get_for_update(b(key)).await?);
        txn.put(b(key), bytes(old + 1))?;
        tokio::time::sleep(pause).await;
    }
    Ok(())
}

/// Transfers from four clients while a fifth adds up; returns how many had an unknown outcome.
async fn bank(cluster: &Arc<LocalCluster>, locking: bool) -> usize {
    let db = db(cluster);
    for n in 0..ACCOUNTS {
        set(&db, account(n), 100).await;
    }
    let mut clients = Vec::new();
    for client in 0..4 {
        let (db, rng) = (db.clone(), cluster.env.rng.clone());
        clients.push(tokio::spawn(async move {
            let mut unknown = 0;
            for _ in 0..25 {
                let from = rng.below(ACCOUNTS);
                let to = (from + 1 + rng.below(ACCOUNTS - 1)) % ACCOUNTS;
                let done =
                    db.run(TxnOptions::default(), |txn| Box::pin(transfer(txn, from, to, locking)));
                match done.await {
                    Ok(()) => {}
                    Err(TxnError::Ambiguous) => unknown += 1,
                    Err(error) => panic!("client {client}: {error}"),
                }
            }
            unknown
        }));
    }
    let auditor = tokio::spawn({
        let db = db.clone();
        async move {
            for _ in 0..40 {
                let sum = db.run(TxnOptions::default(), |txn| Box::pin(audit(txn)));
                assert_eq!(sum.await.expect("audited"), 100 * ACCOUNTS as i64);
                tokio::time::sleep(Duration::from_millis(7)).await;
            }
        }
    });
    let mut unknown = 0;
    for client in clients {
        unknown += client.await.expect("no panic");
    }
    auditor.await.expect("the sum never changes");
    unknown
}

#[tokio::test(start_paused = true)]
async fn money_is_neither_made_nor_lost() {
    for locking in [false, true] {
        for splits in [&[][..], &["acc/2", "acc/4"]] {
            let cluster = LocalCluster::with_splits(splits);
            cluster.set_apply_delay(Duration::from_millis(2));
            assert_eq!(bank(&cluster, locking).await, 0);
            seconds(10).await;
            assert_eq!(cluster.count(Space::Lock), 0, "no intent is left");
            assert_eq!(cluster.count(Space::RangeLocal), 0, "no record is left");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn money_survives_lost_answers_lease_changes_and_splits() {
    for locking in [false, true] {
        let cluster = LocalCluster::with_splits(&["acc/3"]);
        cluster.set_apply_delay(Duration::from_millis(2));
        let trouble = tokio::spawn({
            let cluster = cluster.clone();
            async move {
                for turn in 0..20 {
                    tokio::time::sleep(Duration::from_millis(23)).await;
                    match turn % 3 {
                        0 => cluster.lose_answers(2),
                        1 => cluster.change_lease(b"acc/1"),
                        _ => cluster.change_lease(b"acc/5"),
                    }
                    if turn == 7 {
                        cluster.split("acc/1");
                    }
                }
            }
        });
        bank(&cluster, locking).await;
        trouble.await.expect("no panic");
    }
}

#[tokio::test(start_paused = true)]
async fn everything_delivered_twice_happens_once() {
    let cluster = LocalCluster::with_splits(&["m"]);
    cluster.deliver_twice();
    let db = db(&cluster);
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let db = db.clone();
            tokio::spawn(async move {
                for _ in 0..10 {
                    let done = db.run(TxnOptions::default(), |txn| {
                        Box::pin(count_up(txn, ["a", "z"], Duration::ZERO))
                    });
                    done.await.expect("committed");
                }
            })
        })
        .collect();
    for client in clients {
        client.await.expect("no panic");
    }
    assert_eq!((get(&db, "a").await, get(&db, "z").await), (40, 40));
}

#[tokio::test(start_paused = true)]
async fn lost_updates_and_write_skew_are_refused() {
    for splits in [&[][..], &["m"]] {
        let cluster = LocalCluster::with_splits(splits);
        let db = db(&cluster);
        for written in [["a", "a"], ["a", "z"]] {
            let mut txns = [db.begin(TxnOptions::default()), db.begin(TxnOptions::default())];
            for txn in &mut txns {
                for key in ["a", "z"] {
                    txn.get(b(key)).await.expect("read");
                }
            }
            let [first, second] = &mut txns;
            first.put(b(written[0]), bytes(1)).expect("small");
            second.put(b(written[1]), bytes(2)).expect("small");
            let committed = futures::future::join(first.commit(), second.commit()).await;
            let ok = usize::from(committed.0.is_ok()) + usize::from(committed.1.is_ok());
            assert!(ok < 2, "{written:?} over {splits:?}");
            for refused in [committed.0, committed.1].into_iter().filter_map(Result::err) {
                assert!(refused.is_retry(), "{refused}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_mutant_that_skips_refreshes_loses_updates() {
    let cluster = LocalCluster::with_mutant(Mutant::SkipReadRefresh);
    let db = db(&cluster);
    let mut txn = db.begin(TxnOptions::default());
    let old = number(txn.get(b("a")).await.expect("read"));
    set(&db, b("a"), 10).await;
    txn.put(b("a"), bytes(old + 1)).expect("small");
    txn.commit().await.expect("the bug");
    assert_eq!(get(&db, "a").await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_phantom_is_seen_as_a_conflict() {
    let cluster = LocalCluster::with_splits(&["m"]);
    let db = db(&cluster);
    let mut txns = [db.begin(TxnOptions::default()), db.begin(TxnOptions::default())];
    for txn in &mut txns {
        assert!(txn.scan(b("a"), b("y"), 99).await.expect("read").is_empty());
    }
    let [first, second] = &mut txns;
    first.put(b("c"), bytes(1)).expect("small");
    second.put(b("p"), bytes(1)).expect("small");
    first.commit().await.expect("nothing has changed");
    assert!(second.commit().await.expect_err("there is a row now").is_retry());
}

#[tokio::test(start_paused = true)]
async fn a_deadlock_is_broken_and_both_get_through() {
    let cluster = LocalCluster::with_splits(&["m"]);
    let db = db(&cluster);
    let begun = tokio::time::Instant::now();
    let clients: Vec<_> = [["a", "z"], ["z", "a"]]
        .into_iter()
        .map(|order| {
            let db = db.clone();
            tokio::spawn(async move {
                let done = db.run(TxnOptions::default(), |txn| {
                    Box::pin(count_up(txn, order, Duration::from_millis(50)))
                });
                done.await
            })
        })
        .collect();
    for client in clients {
        client.await.expect("no panic").expect("got through");
    }
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!((get(&db, "a").await, get(&db, "z").await), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn a_lock_makes_others_wait_until_it_is_released() {
    let cluster = LocalCluster::new();
    let db = db(&cluster);
    let mut holder = db.begin(TxnOptions::default());
    holder.get_for_update(b("a")).await.expect("free");
    let waiter = tokio::spawn({
        let db = db.clone();
        async move { set(&db, b("a"), 7).await }
    });
    // Longer than a silent transaction lives: the heartbeat keeps it.
    seconds(7).await;
    assert!(!waiter.is_finished());
    assert_eq!(number(holder.get(b("a")).await.expect("still alive")), 0);
    drop(holder);
    tokio::time::timeout(Duration::from_secs(1), waiter).await.expect("at once").expect("no panic");
    assert_eq!(get(&db, "a").await, 7);
}

#[tokio::test(start_paused = true)]
async fn savepoints_and_deletes_reach_the_store() {
    let cluster = LocalCluster::with_splits(&["m"]);
    let db = db(&cluster);
    for key in ["a", "b", "z"] {
        set(&db, b(key), 1).await;
    }
    let mut txn = db.begin(TxnOptions::default());
    txn.delete(b("a")).expect("small");
    let savepoint = txn.savepoint().expect("few");
    txn.delete(b("b")).expect("small");
    txn.put(b("z"), bytes(2)).expect("small");
    txn.rollback_to(savepoint).expect("live");
    txn.put(b("y"), bytes(3)).expect("small");
    assert_eq!(txn.scan(b("a"), b("zz"), 2).await.expect("read").len(), 2);
    txn.commit().await.expect("committed");
    let mut txn = db.begin(TxnOptions::default());
    let rows = txn.scan(b("a"), b("zz"), 99).await.expect("read");
    let rows: Vec<_> = rows.into_iter().map(|r| (r.key, number(Some(r.value)))).collect();
    assert_eq!(rows, [(b("b"), 1), (b("y"), 3), (b("z"), 1)]);
}
