//! Waiting for locks: for how long, and what is left of who has stopped.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::end_to_end::{bytes, db, get, number};
use crate::api::{LockStrength, WaitPolicy};
use crate::db::{Config, Db, RowLock, Txn, TxnError, TxnOptions};
use crate::mvcc::Order;
use crate::testing::LocalCluster;

fn b(text: &'static str) -> Bytes {
    text.into()
}

/// A transaction that waits for as long as it takes.
fn begin(db: &Db) -> Txn {
    let mut txn = db.begin(TxnOptions::default());
    txn.set_lock_timeout(None);
    txn
}

async fn pause(millis: u64) {
    tokio::time::sleep(Duration::from_millis(millis)).await;
}

async fn holding(db: &Db, keys: &[&'static str]) -> Txn {
    let mut txn = begin(db);
    for key in keys {
        txn.get_for_update(b(key)).await.expect("free");
    }
    txn
}

#[tokio::test(start_paused = true)]
async fn a_lock_is_waited_for_as_long_as_it_is_held() {
    let cluster = LocalCluster::with_splits(&["m"]);
    let db = db(&cluster);
    let holder = holding(&db, &["a", "b", "c", "z"]).await;
    let (one, two, three) = (db.clone(), db.clone(), db.clone());
    let mut waiters = vec![
        tokio::spawn(async move { begin(&one).get_for_update(b("a")).await.map(drop) }),
        // Commits of writes without locks: in one phase, and as intents.
        tokio::spawn(async move {
            let mut txn = begin(&two);
            txn.put(b("b"), bytes(1))?;
            txn.commit().await.map(drop)
        }),
        tokio::spawn(async move {
            let mut txn = begin(&three);
            for key in ["c", "d", "z"] {
                txn.put(b(key), bytes(1))?;
            }
            txn.commit().await.map(drop)
        }),
    ];
    pause(300_000).await;
    assert!(waiters.iter().all(|waiter| !waiter.is_finished()));
    drop(holder);
    let released = Instant::now();
    for waiter in waiters.drain(..) {
        waiter.await.expect("no panic").expect("waited");
    }
    assert!(released.elapsed() < Duration::from_millis(10), "{:?}", released.elapsed());
    assert_eq!((get(&db, "b").await, get(&db, "c").await, get(&db, "z").await), (1, 1, 1));
}

#[tokio::test(start_paused = true)]
async fn the_lock_timeout_counts_for_each_key_and_leaves_the_transaction_open() {
    let cluster = LocalCluster::new();
    let db = db(&cluster);
    let (first, second) = (holding(&db, &["a"]).await, holding(&db, &["b"]).await);
    let mut txn = begin(&db);
    txn.set_lock_timeout(Some(Duration::from_millis(1_234)));
    let began = Instant::now();
    assert_eq!(txn.get_for_update(b("a")).await, Err(TxnError::LockTimeout));
    let waited = began.elapsed().as_millis();
    assert!((1_234..1_240).contains(&waited), "{waited}");
    txn.get_for_update(b("c")).await.expect("it is open");
    let release = tokio::spawn(async move {
        pause(1_000).await;
        drop(first);
        pause(1_000).await;
        drop(second);
    });
    txn.get_many_for_update(&[b("a"), b("b")]).await.expect("neither for so long");
    release.await.expect("no panic");
    drop(txn);
    let holder = holding(&db, &["a"]).await;
    let mut txn = begin(&db);
    txn.set_lock_timeout(Some(Duration::from_millis(100)));
    txn.put(b("a"), bytes(1)).expect("small");
    assert_eq!(txn.commit().await, Err(TxnError::LockTimeout));
    drop(holder);
    pause(1_000).await;
    assert_eq!(get(&db, "a").await, 0, "it failed for good");
}

#[tokio::test(start_paused = true)]
async fn what_is_left_out_or_refused_was_neither_locked_nor_read() {
    let cluster = LocalCluster::new();
    let db = db(&cluster);
    for key in ["a", "b", "c"] {
        let mut txn = begin(&db);
        txn.put(b(key), bytes(1)).expect("small");
        txn.commit().await.expect("free");
    }
    let mut holder = holding(&db, &["b"]).await;
    let lock = |policy| RowLock { strength: LockStrength::Update, policy };
    let mut txn = begin(&db);
    assert_eq!(txn.get_locked(b("b"), lock(WaitPolicy::Error)).await, Err(TxnError::Locked));
    let (span, skip) = ((b("a"), b("z")), Some(lock(WaitPolicy::Skip)));
    let rows = txn.scan_rows(span, Order::Ascending, 10, skip).await.expect("skips").to_vec();
    assert_eq!(rows.iter().map(|row| &row.key[..]).collect::<Vec<_>>(), [b"a", b"c"]);
    let keys = [b("c"), b("b")];
    let found = txn.get_many_locked(&keys, lock(WaitPolicy::Skip)).await.expect("skips");
    assert_eq!(found.into_iter().map(number).collect::<Vec<_>>(), [1, 0]);
    // What it has left out changes, and it commits nevertheless.
    holder.put(b("b"), bytes(2)).expect("small");
    holder.commit().await.expect("locked");
    txn.put(b("a"), bytes(3)).expect("small");
    txn.commit().await.expect("nothing that it has read");
}

#[tokio::test(start_paused = true)]
async fn going_back_to_a_savepoint_gives_back_what_was_locked_since() {
    let cluster = LocalCluster::with_splits(&["m"]);
    let db = db(&cluster);
    let mut txn = holding(&db, &["a"]).await;
    let outer = txn.savepoint().expect("few");
    txn.get_for_update(b("b")).await.expect("free");
    let inner = txn.savepoint().expect("few");
    txn.get_many_for_update(&[b("a"), b("b"), b("c"), b("z")]).await.expect("free");
    txn.put(b("z"), bytes(1)).expect("small");
    let is_free = async |key: &'static str| {
        let mut other = begin(&db);
        other.set_lock_timeout(Some(Duration::from_millis(50)));
        other.get_for_update(b(key)).await.is_ok()
    };
    txn.rollback_to(inner).expect("live");
    txn.released().await;
    for (key, free) in [("a", false), ("b", false), ("c", true), ("z", true)] {
        assert_eq!(is_free(key).await, free, "{key}");
    }
    // Locked again, while the release of the first lock is still on its way.
    txn.get_for_update(b("c")).await.expect("free");
    txn.rollback_to(inner).expect("stays");
    txn.get_for_update(b("c")).await.expect("free");
    txn.released().await;
    assert!(!is_free("c").await);
    txn.rollback_to(outer).expect("live");
    txn.released().await;
    assert!(is_free("b").await && is_free("c").await && !is_free("a").await);
    txn.put(b("a"), bytes(7)).expect("small");
    txn.commit().await.expect("fine");
    assert_eq!((get(&db, "a").await, get(&db, "z").await), (7, 0));
}

#[tokio::test(start_paused = true)]
async fn who_stops_waiting_leaves_nothing() {
    let cluster = LocalCluster::pair("m");
    let db = db(&cluster);
    let holder = holding(&db, &["z"]).await;
    for anchored in [false, true] {
        let mut gone = begin(&db);
        if anchored {
            gone.get_for_update(b("a")).await.expect("free");
        }
        let wait = tokio::time::timeout(Duration::from_millis(450), async {
            let _ = gone.get_for_update(b("z")).await;
        });
        assert!(wait.await.is_err());
    }
    let next = tokio::spawn({
        let db = db.clone();
        async move { begin(&db).get_for_update(b("z")).await.map(|_| Instant::now()) }
    });
    pause(100).await;
    let released = Instant::now();
    drop(holder);
    let got = next.await.expect("no panic").expect("free");
    assert!(got - released < Duration::from_millis(10), "{:?}", got - released);
}

/// A locking scan that finds newer rows keeps their locks when it says so, and then the transaction fails.
#[tokio::test(start_paused = true)]
async fn a_transaction_that_begins_again_does_not_meet_its_former_locks() {
    let cluster = LocalCluster::new();
    let db = db(&cluster);
    let mut txn = begin(&db);
    assert_eq!(number(txn.get(b("x")).await.expect("fine")), 0);
    let mut other = begin(&db);
    for key in ["r1", "r2", "x"] {
        other.put(b(key), bytes(1)).expect("small");
    }
    other.commit().await.expect("fine");
    let failed = txn.scan_for_update(b("r"), b("s"), 10).await;
    assert!(failed.expect_err("x has changed").is_retry());
    let began = Instant::now();
    let mut again = begin(&db);
    assert_eq!(again.scan_for_update(b("r"), b("s"), 10).await.expect("free").len(), 2);
    assert!(began.elapsed() < Duration::from_millis(10), "{:?}", began.elapsed());
}

/// Transactions that append to three of a few keys in any order, and read them: they meet all the time.
#[tokio::test(start_paused = true)]
async fn deadlocks_do_not_stop_the_others() {
    let cluster = LocalCluster::pair("k5");
    cluster.set_apply_delay(Duration::from_millis(1));
    let config = Config { max_restarts: 1_000, ..Config::default() };
    let db = Db::new(cluster.env.clone(), cluster.clone(), config);
    let began = Instant::now();
    let clients: Vec<_> = (0..8u64)
        .map(|client| {
            let (db, rng) = (db.clone(), Arc::new(crate::testing::TestRng::new(client)));
            tokio::spawn(async move {
                for _ in 0..50 {
                    let keys: Vec<u64> = (0..3).map(|_| kv::env::Rng::below(&*rng, 10)).collect();
                    let done = db.run(TxnOptions::default(), |txn| {
                        let keys = keys.clone();
                        Box::pin(async move {
                            for key in keys {
                                let key = Bytes::from(format!("k{key}"));
                                let value = number(txn.get_for_update(key.clone()).await?);
                                pause(1).await;
                                txn.put(key, bytes(value + 1))?;
                            }
                            Ok::<_, TxnError>(())
                        })
                    });
                    done.await.expect("gets through");
                }
            })
        })
        .collect();
    for client in clients {
        client.await.expect("no panic");
    }
    let mut sum = 0;
    for key in ["k0", "k1", "k2", "k3", "k4", "k5", "k6", "k7", "k8", "k9"] {
        sum += get(&db, key).await;
    }
    assert_eq!(sum, 8 * 50 * 3);
    let rate = 400.0 / began.elapsed().as_secs_f64();
    assert!(rate > 50.0, "{rate} a second");
}

/// Who has a row FOR UPDATE has it alone, however long others ask for it, and however often requests arrive.
#[tokio::test(start_paused = true)]
async fn a_lock_is_exclusive_until_it_is_given_back() {
    for twice in [false, true] {
        let cluster = LocalCluster::pair("k1");
        if twice {
            cluster.deliver_twice();
        }
        cluster.set_apply_delay(Duration::from_millis(2));
        let db = db(&cluster);
        let inside = Arc::new(std::sync::Mutex::new(std::collections::BTreeSet::new()));
        let clients: Vec<_> = (0..8u64)
            .map(|client| {
                let (db, inside) = (db.clone(), inside.clone());
                let rng = crate::testing::TestRng::new(client);
                tokio::spawn(async move {
                    let below = |bound| kv::env::Rng::below(&rng, bound);
                    for _ in 0..25 {
                        let key = Bytes::from(format!("k{}", below(3)));
                        let mut txn = begin(&db);
                        let savepoint = txn.savepoint().expect("few");
                        if let Err(error) = txn.get_for_update(key.clone()).await {
                            assert!(error.is_retry(), "{error}");
                            continue;
                        }
                        assert!(inside.lock().unwrap().insert(key.clone()), "not alone");
                        pause(below(500)).await;
                        let again = txn.get_for_update(key.clone()).await;
                        inside.lock().unwrap().remove(&key);
                        match below(4) {
                            0 => drop(txn),
                            1 => txn.rollback(),
                            2 => {
                                txn.rollback_to(savepoint).expect("live");
                                pause(below(50)).await;
                                txn.commit().await.expect("nothing is written");
                            }
                            _ => {
                                txn.put(key, bytes(1)).expect("small");
                                txn.commit().await.expect("it is locked");
                            }
                        }
                        again.expect("it is locked");
                    }
                })
            })
            .collect();
        for client in clients {
            client.await.expect("no panic");
        }
    }
}
