//! Transactions that are larger than their buffers, with the real server.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kv::env::Rng;
use kv::keys::Space;

use crate::api::{MAX_KEY_BYTES, MAX_VALUE_BYTES, RequestKind};
use crate::coordinator::Savepoint;
use crate::db::{Config, Db, Txn, TxnError, TxnOptions};
use crate::testing::{LocalCluster, TestRng};

fn db(cluster: &Arc<LocalCluster>, flush_keys: usize) -> Db {
    let config = Config {
        flush_keys,
        batch_requests: 4,
        max_record_bytes: 20,
        max_read_spans: 5,
        ..Config::default()
    };
    Db::new(cluster.env.clone(), cluster.clone(), config)
}

fn key(n: u64) -> Bytes {
    format!("k{n:03}").into()
}

async fn all(txn: &mut Txn) -> BTreeMap<Bytes, Bytes> {
    let rows = txn.scan("a".into(), "z".into(), usize::MAX).await.expect("read");
    rows.into_iter().map(|row| (row.key, row.value)).collect()
}

/// Nothing is left of any transaction.
async fn assert_clean(cluster: &Arc<LocalCluster>) {
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(cluster.count(Space::Lock), 0, "intents");
    assert_eq!(cluster.count(Space::RangeLocal), 0, "records");
    assert_eq!(cluster.server().locked_keys(), 0, "locks");
}

#[tokio::test(start_paused = true)]
async fn it_commits_in_one_piece_whatever_was_sent_before() {
    let cluster = LocalCluster::with_splits(&["k020", "k040"]);
    let db = db(&cluster, 3);
    let mut txn = db.begin(TxnOptions::default());
    for n in 0..60 {
        txn.get_for_update(key(n)).await.unwrap();
        txn.put(key(n), "new".into()).unwrap();
        txn.make_room().await.unwrap();
        assert_eq!(txn.get(key(n / 2)).await.unwrap(), Some("new".into()));
    }
    assert!(cluster.count(Space::Lock) > 50, "sent before the commit");
    assert_eq!(all(&mut txn).await.len(), 60);
    // Later ones read what was there before, and wait for nothing but the commit.
    txn.commit().await.unwrap();
    assert_eq!(all(&mut db.begin(TxnOptions::default())).await.len(), 60);
    assert_clean(&cluster).await;
    let sent = cluster.sent();
    let of_spans =
        |kind: &RequestKind| matches!(kind, RequestKind::Resolve(r) if !r.spans.is_empty());
    let kinds = sent.iter().flat_map(|batch| &batch.requests).filter_map(|r| r.kind.as_ref());
    assert!(kinds.clone().any(of_spans), "what left the buffer is known by spans");
    let record = kinds.filter_map(|kind| match kind {
        RequestKind::EndTxn(end) => Some(end.spans.len()),
        _ => None,
    });
    assert!(record.max().unwrap() <= 5, "and by few of them");
}

#[tokio::test(start_paused = true)]
async fn a_rollback_leaves_nothing_of_what_was_sent() {
    let cluster = LocalCluster::with_splits(&["k020"]);
    let db = db(&cluster, 3);
    for dropped in [false, true] {
        let mut txn = db.begin(TxnOptions::default());
        for n in 0..40 {
            txn.put(key(n), "new".into()).unwrap();
            txn.make_room().await.unwrap();
        }
        if dropped {
            drop(txn)
        } else {
            txn.rollback()
        }
        assert_clean(&cluster).await;
        assert!(all(&mut db.begin(TxnOptions::default())).await.is_empty());
    }
}

/// A statement that must not see what it writes.
#[tokio::test(start_paused = true)]
async fn pinned_reads_see_what_was_there_and_newest_reads_see_all() {
    let cluster = LocalCluster::new();
    let db = db(&cluster, 3);
    let mut txn = db.begin(TxnOptions::default());
    txn.put(key(1), "before".into()).unwrap();
    let statement = txn.savepoint().unwrap();
    txn.pin();
    let writes = (1..4).map(|n| (key(n), Some(Bytes::from("within"))));
    txn.write_through(writes).await.unwrap();
    txn.write_through([(key(9), None)]).await.unwrap();
    let seen = |value: &'static str| Some(Bytes::from(value));
    assert_eq!(txn.get(key(1)).await.unwrap(), seen("before"));
    assert_eq!(all(&mut txn).await.len(), 1);
    let keys = [key(1), key(3), key(4)];
    let (newest, written) = txn.get_many_newest_for_update(&keys).await.unwrap();
    assert_eq!(newest, [seen("within"), seen("within"), None]);
    assert_eq!(written.into_iter().collect::<Vec<_>>(), [key(1), key(3)]);
    let written = txn.written_since_pin(&[key(0), key(1), key(2), key(9)]).await.unwrap();
    assert_eq!(written.into_iter().collect::<Vec<_>>(), [key(1), key(2), key(9)]);
    txn.rollback_to(statement).unwrap();
    assert_eq!(txn.get(key(1)).await.unwrap(), seen("before"));
    assert_eq!(txn.get_many(&[key(2), key(9)]).await.unwrap(), [None, None]);
    txn.release(statement).unwrap();
    txn.commit().await.unwrap();
    assert_eq!(all(&mut db.begin(TxnOptions::default())).await.len(), 1);
    assert_clean(&cluster).await;
}

/// Against a model: writes, reads, savepoints, and sending at any time; requests are delivered twice.
#[tokio::test(start_paused = true)]
async fn savepoints_hold_whatever_was_sent() {
    for seed in 0..60 {
        let cluster = LocalCluster::with_splits(&["k003"]);
        if seed % 2 == 0 {
            cluster.deliver_twice();
        }
        let rng = TestRng::new(seed);
        let db = db(&cluster, rng.below(3) as usize);
        let mut txn = db.begin(TxnOptions::default());
        let mut model: BTreeMap<Bytes, Bytes> = BTreeMap::new();
        let mut marks: Vec<(Savepoint, BTreeMap<Bytes, Bytes>)> = Vec::new();
        for step in 0..60 {
            let at = key(rng.below(6));
            match rng.below(10) {
                0..=2 => {
                    let value = Bytes::from(format!("{step}"));
                    txn.put(at.clone(), value.clone()).unwrap();
                    model.insert(at, value);
                }
                3 => {
                    txn.delete(at.clone()).unwrap();
                    model.remove(&at);
                }
                4 | 5 => txn.make_room().await.unwrap(),
                6 => marks.push((txn.savepoint().unwrap(), model.clone())),
                7 if !marks.is_empty() => {
                    marks.truncate(rng.below(marks.len() as u64) as usize + 1);
                    let (mark, state) = marks.last().unwrap();
                    txn.rollback_to(*mark).unwrap();
                    model = state.clone();
                }
                8 if !marks.is_empty() => {
                    let at = rng.below(marks.len() as u64) as usize;
                    txn.release(marks[at].0).unwrap();
                    marks.truncate(at);
                }
                _ => assert_eq!(txn.get(at.clone()).await.unwrap(), model.get(&at).cloned()),
            }
        }
        assert_eq!(all(&mut txn).await, model, "seed {seed}");
        if rng.below(4) == 0 {
            txn.rollback();
            model.clear();
        } else {
            txn.commit().await.unwrap();
        }
        assert_eq!(all(&mut db.begin(TxnOptions::default())).await, model, "seed {seed}");
        assert_clean(&cluster).await;
        assert_eq!(all(&mut db.begin(TxnOptions::default())).await, model, "seed {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn too_large_for_one_phase_is_two() {
    let cluster = LocalCluster::new();
    let db = Db::new(cluster.env.clone(), cluster.clone(), Config::default());
    for n in 0..20 {
        let mut txn = db.begin(TxnOptions::default());
        txn.put(key(n), Bytes::from(vec![b'x'; 1 << 20])).unwrap();
        txn.commit().await.unwrap();
    }
    let mut txn = db.begin(TxnOptions::default());
    (0..20).for_each(|n| txn.delete(key(n)).unwrap());
    txn.commit().await.unwrap();
    assert!(all(&mut db.begin(TxnOptions::default())).await.is_empty());
    assert_clean(&cluster).await;
}

#[tokio::test(start_paused = true)]
async fn the_largest_value_is_written_and_changed_and_a_larger_one_is_refused_at_once() {
    let cluster = LocalCluster::new();
    let db = Db::new(cluster.env.clone(), cluster.clone(), Config::default());
    let value = |bytes: usize| Bytes::from(vec![b'x'; bytes]);
    for _ in 0..3 {
        let mut txn = db.begin(TxnOptions::default());
        (0..5).for_each(|n| txn.put(key(n), value(MAX_VALUE_BYTES)).unwrap());
        txn.commit().await.unwrap();
    }
    assert_eq!(all(&mut db.begin(TxnOptions::default())).await.len(), 5);
    assert_clean(&cluster).await;
    let sent = cluster.sent().len();
    let mut txn = db.begin(TxnOptions::default());
    let bytes = MAX_VALUE_BYTES + 1;
    assert_eq!(txn.put(key(1), value(bytes)), Err(TxnError::RowTooLarge { bytes }));
    let long = value(MAX_KEY_BYTES + 1);
    let refused = TxnError::KeyTooLarge { bytes: long.len() };
    assert_eq!(txn.put(long.clone(), value(1)), Err(refused.clone()));
    assert_eq!(txn.get_for_update(long.clone()).await, Err(refused));
    assert_eq!(cluster.sent().len(), sent);
    // Whoever looks for it finds nothing, and all that lies around it.
    assert_eq!(txn.get(long.clone()).await, Ok(None));
    assert_eq!(txn.get_many(&[long.clone(), key(1)]).await.unwrap()[0], None);
    assert_eq!(txn.scan("a".into(), long.clone(), 9).await.unwrap().len(), 5);
    assert!(txn.scan(long, "z".into(), 9).await.unwrap().is_empty());
    txn.put(value(MAX_KEY_BYTES), value(1)).unwrap();
    txn.commit().await.unwrap();
}
