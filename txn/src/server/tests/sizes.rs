//! What one command holds, and what goes on beyond it.

use std::time::Duration;

use bytes::Bytes;
use kv::keys::Space;

use super::*;

const MIB: usize = 1 << 20;

fn large(at: &str, bytes: usize, sequence: u32) -> RequestKind {
    let value = Some(Bytes::from(vec![b'x'; bytes]));
    RequestKind::Put(Put { key: key(at), value, sequence })
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("k{n:04}")).collect()
}

fn batch_of(resolve: Resolve) -> BatchRequest {
    let requests = vec![Request { kind: Some(RequestKind::Resolve(Box::new(resolve))) }];
    BatchRequest { requests, ..BatchRequest::default() }
}

/// Resolves as a gateway does: on from where the answers say. How many answers it took.
async fn resolve_all(cluster: &Arc<LocalCluster>, resolve: Resolve) -> usize {
    let mut resolve = resolve;
    for answers in 1.. {
        let response = cluster.try_send(b"k", batch_of(resolve.clone())).await.expect("served");
        assert_eq!(response.error, None);
        let resume = response.responses[0].resume.clone();
        if resume.is_empty() {
            return answers;
        }
        let before = (resolve.keys.len(), resolve.spans.clone());
        resolve.keys.retain(|key| *key >= resume);
        resolve.spans.retain(|span| span.end > resume);
        if let Some(first) = resolve.spans.first_mut() {
            first.start = first.start.clone().max(resume);
        }
        assert_ne!(before, (resolve.keys.len(), resolve.spans.clone()), "it gets ahead");
    }
    unreachable!()
}

#[tokio::test(start_paused = true)]
async fn a_resolution_stops_where_its_command_is_full() {
    let cluster = LocalCluster::new();
    let mut txn = Txn::new(&cluster, 1);
    txn.anchor("k0000");
    let keys = names(40);
    for (n, at) in keys.iter().enumerate() {
        // Up to the largest, and the large ones have large old versions.
        let bytes = if n % 10 == 9 { MAX_VALUE_BYTES } else { MIB };
        if n % 10 == 9 {
            let mut old = Txn::new(&cluster, 100 + n as u8);
            old.anchor(at);
            let end = end(true, true, &[at]);
            old.send(at, vec![large(at, bytes, 1), end]).await.unwrap();
        }
        txn.send(at, vec![large(at, bytes, n as u32 + 1)]).await.unwrap();
    }
    txn.meta.read_ts = txn.meta.write_ts;
    let commit_ts = txn.commit_two_phase(&["k0000"]).await.unwrap().commit_ts;
    let keys: Vec<Bytes> = keys.iter().map(|at| key(at)).collect();
    let txn_id = txn.meta.id.clone();
    let answers =
        resolve_all(&cluster, Resolve { txn_id, keys, commit_ts, ..Resolve::default() }).await;
    assert!(answers > 20, "{answers}");
    assert_eq!(cluster.count(Space::Lock), 0);
    assert_eq!((cluster.count(Space::Data), cluster.count(Space::History)), (40, 4));
}

#[tokio::test(start_paused = true)]
async fn a_commit_in_one_phase_counts_the_versions_that_it_moves() {
    let cluster = LocalCluster::new();
    let keys = names(20);
    for (n, at) in keys.iter().enumerate() {
        let mut old = Txn::new(&cluster, 100 + n as u8);
        old.anchor(at);
        old.send(at, vec![large(at, MIB, 1), end(true, true, &[at])]).await.unwrap();
    }
    let mut txn = Txn::new(&cluster, 1);
    txn.anchor("k0000");
    let delete = |at: &String| RequestKind::Put(Put { key: key(at), value: None, sequence: 1 });
    let deletions = || keys.iter().map(delete).collect::<Vec<_>>();
    let mut requests = deletions();
    requests.push(end(true, true, &[]));
    assert_eq!(kind_of(txn.send("k0000", requests).await), ErrorKind::TooLarge);
    assert_eq!(cluster.count(Space::History), 0, "nothing was done");
    // Intents alone are small, and the transaction is as alive as before.
    txn.send("k0000", deletions()).await.unwrap();
    txn.meta.read_ts = txn.meta.write_ts;
    txn.commit_two_phase(&["k0000"]).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn writes_that_no_command_holds_are_refused_whole() {
    let cluster = LocalCluster::new();
    let mut txn = Txn::new(&cluster, 1);
    txn.anchor("k0000");
    let three = (1..=3).map(|n| large(&format!("k{n}"), MAX_VALUE_BYTES, n)).collect();
    // As a payload already: nobody sends so much at a time.
    let refused = cluster.try_send(b"k1", txn.request(three)).await.expect_err("too large");
    assert_eq!(refused.reason(), kv::rpc::RefusalReason::Invalid);
    assert_eq!(cluster.count(Space::Lock), 0);
    // An intent that must keep what savepoints may ask for grows.
    txn.meta.keep = 2;
    txn.send("k1", vec![large("k1", MAX_VALUE_BYTES, 1)]).await.unwrap();
    txn.send("k1", vec![large("k1", MAX_VALUE_BYTES, 2)]).await.unwrap();
    let refused = txn.send("k1", vec![large("k1", MAX_VALUE_BYTES, 3)]).await;
    assert_eq!(kind_of(refused), ErrorKind::TooLarge);
    txn.send("k1", vec![large("k1", 100, 4)]).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn spans_are_resolved_in_portions_and_others_are_left_alone() {
    let cluster = LocalCluster::new();
    let (mut txn, mut other) = (Txn::new(&cluster, 1), Txn::new(&cluster, 2));
    txn.anchor("k0000");
    other.anchor("k0000x");
    for (n, at) in names(3_000).into_iter().enumerate() {
        let at = if n % 3 == 2 { at + "x" } else { at };
        let whose = if n % 3 == 2 { &mut other } else { &mut txn };
        whose.send(&at, vec![put(&at, "v", n as u32 + 1)]).await.unwrap();
    }
    // A lock without an intent, and one beyond the spans.
    txn.lock("k0500y").await.unwrap();
    txn.lock("m").await.unwrap();
    txn.meta.read_ts = txn.meta.write_ts;
    txn.meta.ignored = vec![SequenceRange { first: 1, last: 100 }];
    let record = txn.commit_two_phase(&["k0000"]).await.unwrap();
    assert_eq!(record.ignored, txn.meta.ignored, "whoever pushes hears of it");
    let resolve = Resolve {
        txn_id: txn.meta.id.clone(),
        commit_ts: record.commit_ts,
        spans: vec![span("k", "k1"), span("k1", "l")],
        ignored: txn.meta.ignored.clone(),
        ..Resolve::default()
    };
    assert!(resolve_all(&cluster, resolve).await >= 2);
    assert_eq!(cluster.count(Space::Lock), 1_000, "those of the other");
    assert_eq!(cluster.count(Space::Data), 2_000 - 67, "without what was undone");
    assert_eq!(cluster.server().locked_keys(), 1, "the lock beyond the spans");
}

/// What a large transaction leaves is read as what it becomes, at once, with nobody resolving it.
#[tokio::test(start_paused = true)]
async fn what_finished_transactions_leave_is_in_no_readers_way() {
    let cluster = LocalCluster::new();
    for at in ["k0001", "k0003"] {
        seed(&cluster, at, "old").await;
    }
    let (mut committed, mut aborted) = (Txn::new(&cluster, 1), Txn::new(&cluster, 2));
    for (n, at) in names(2_000).into_iter().enumerate() {
        let whose = if n % 2 == 0 { &mut committed } else { &mut aborted };
        whose.anchor(&at);
        let delete = RequestKind::Put(Put { key: key(&at), value: None, sequence: 9_999 });
        let kind = if n == 1_000 { delete } else { put(&at, "new", n as u32 + 1) };
        whose.send(&at, vec![kind]).await.unwrap();
    }
    committed.meta.read_ts = committed.meta.write_ts;
    committed.meta.ignored = vec![SequenceRange { first: 1, last: 11 }];
    committed.commit_two_phase(&["k0000"]).await.unwrap();
    aborted.send("k0001", vec![end(false, false, &["k0001"])]).await.unwrap();
    cluster.set_apply_delay(Duration::from_secs(1));
    let start = tokio::time::Instant::now();
    let mut reader = Txn::new(&cluster, 4);
    let page = reader.scan("a", "z", 0).await.unwrap();
    let old = page.rows().iter().filter(|row| row.value == "old").count();
    assert_eq!((page.rows().len(), old), (1_000 - 6 - 1 + 2, 2));
    assert!(start.elapsed() < Duration::from_millis(500), "{:?}", start.elapsed());
    // Nor in that of a refresh: nothing of the aborted one counts, and what committed later does.
    let from_ts = reader.meta.read_ts;
    reader.meta.read_ts += 1_000;
    reader.refresh("a", "z", from_ts).await.unwrap();
    let mut early = Txn::new(&cluster, 3);
    let from_ts = committed.meta.min_ts - 1;
    assert_eq!(kind_of(early.refresh("a", "z", from_ts).await), ErrorKind::RefreshFailed);
    // A writer has them resolved, many at a time.
    cluster.set_apply_delay(Duration::from_millis(1));
    let mut writer = Txn::new(&cluster, 5);
    writer.anchor("k0000");
    let kinds = names(2_000).iter().map(|at| put(at, "newer", 1)).collect();
    let start = tokio::time::Instant::now();
    writer.send("k0000", kinds).await.unwrap();
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
}
