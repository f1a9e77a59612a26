use std::time::Duration;

use kv::keys::Space;

use super::*;
use crate::testing::Fate;

#[tokio::test(start_paused = true)]
async fn a_blind_one_phase_commit_leaves_no_intent_and_no_record() {
    let cluster = LocalCluster::new();
    let mut txn = Txn::new(&cluster, 1);
    txn.commit(&[("a", "1"), ("b", "2")]).await.unwrap();
    assert_eq!(cluster.count(Space::Lock) + cluster.count(Space::RangeLocal), 0);
    assert_eq!(Txn::new(&cluster, 2).get("b").await.unwrap().unwrap(), "2");
}

#[tokio::test(start_paused = true)]
async fn a_one_phase_commit_that_was_bumped_moves_only_when_it_may() {
    let cluster = LocalCluster::new();
    let mut writer = Txn::new(&cluster, 1);
    let mut reader = Txn::new(&cluster, 2);
    reader.get("k").await.unwrap();
    let error = writer.commit(&[("k", "v")]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RetryAt);
    assert!(error.retry_ts > reader.meta.read_ts);
    assert_eq!(cluster.count(Space::Data), 0);
    writer.can_forward = true;
    writer.commit(&[("k", "v")]).await.unwrap();
    assert_eq!(writer.meta.read_ts, error.retry_ts);
    assert_eq!(reader.get("k").await.unwrap(), None, "written above the read");
}

#[tokio::test(start_paused = true)]
async fn a_one_phase_commit_is_applied_once_however_often_it_is_delivered() {
    let cluster = LocalCluster::new();
    let mut txn = Txn::new(&cluster, 1);
    txn.can_forward = true;
    let request = txn.one_phase(&[("k", "1")]);
    txn.send_raw("k", request.clone()).await.unwrap();
    let commit_ts = txn.meta.write_ts;
    seed(&cluster, "k", "2").await;
    // While the lease lasts the truth is known; after it, only that it must not be done again.
    txn.send_raw("k", request.clone()).await.unwrap();
    assert_eq!(txn.meta.write_ts, commit_ts);
    cluster.change_lease(b"k");
    assert_eq!(kind_of(txn.send_raw("k", request).await), ErrorKind::Aborted);
    assert_eq!(cluster.count(Space::History), 1);
    assert_eq!(Txn::new(&cluster, 2).get("k").await.unwrap().unwrap(), "2");
}

#[tokio::test(start_paused = true)]
async fn write_too_old_moves_the_writes_and_refuses_the_commit_until_refreshed() {
    let cluster = LocalCluster::new();
    let mut txn = Txn::new(&cluster, 1);
    seed(&cluster, "k", "newer").await;
    txn.put("k", "mine").await.unwrap();
    assert!(txn.meta.write_ts > txn.meta.read_ts);
    let error = txn.commit_two_phase(&["k"]).await.unwrap_err();
    assert_eq!((error.kind(), error.retry_ts), (ErrorKind::RetryAt, txn.meta.write_ts));
    txn.meta.read_ts = txn.meta.write_ts;
    let record = txn.commit_two_phase(&["k"]).await.unwrap();
    assert_eq!(txn.commit_two_phase(&["k"]).await.unwrap(), record, "again");
    txn.resolve(&["k"], record.commit_ts).await;
    assert_eq!(Txn::new(&cluster, 2).get("k").await.unwrap().unwrap(), "mine");
}

#[tokio::test(start_paused = true)]
async fn a_commit_at_or_after_its_deadline_is_refused_for_good() {
    let cluster = LocalCluster::new();
    let mut txn = Txn::new(&cluster, 1);
    let mut request = txn.one_phase(&[("k", "1")]);
    let Some(RequestKind::EndTxn(end)) = &mut request.requests[1].kind else { panic!() };
    end.deadline = txn.meta.write_ts;
    assert_eq!(kind_of(txn.send_raw("k", request.clone()).await), ErrorKind::DeadlineExceeded);
    assert_eq!(kind_of(txn.send_raw("k", request).await), ErrorKind::Aborted);
    assert_eq!(cluster.count(Space::Data), 0);
}

#[tokio::test(start_paused = true)]
async fn an_abandoned_transaction_is_aborted_after_five_seconds() {
    let cluster = LocalCluster::new();
    let mut lost = Txn::new(&cluster, 1);
    lost.put("k", "never").await.unwrap();
    let start = tokio::time::Instant::now();
    assert_eq!(Txn::new(&cluster, 2).get("k").await.unwrap(), None);
    let waited = start.elapsed();
    assert!(waited >= Duration::from_secs(5) && waited < Duration::from_secs(7), "{waited:?}");
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(cluster.count(Space::Lock), 0, "removed behind the reader");
    lost.meta.read_ts = lost.meta.write_ts;
    assert_eq!(kind_of(lost.commit_two_phase(&["k"]).await), ErrorKind::Aborted);
    let heartbeat = RequestKind::Heartbeat(Heartbeat { now: 0 });
    assert_eq!(kind_of(lost.send("k", vec![heartbeat]).await), ErrorKind::Aborted);
}

#[tokio::test(start_paused = true)]
async fn heartbeats_keep_a_transaction_alive() {
    let cluster = LocalCluster::new();
    let mut txn = Txn::new(&cluster, 1);
    txn.put("k", "v").await.unwrap();
    let mut pusher = Txn::new(&cluster, 2);
    for _ in 0..8 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let now = cluster.env.clock.now().raw();
        txn.send("k", vec![RequestKind::Heartbeat(Heartbeat { now })]).await.unwrap();
        assert_eq!(pusher.push(&txn, 0).await, TxnStatus::Pending);
    }
    txn.meta.read_ts = txn.meta.write_ts;
    txn.commit_two_phase(&["k"]).await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(pusher.push(&txn, 0).await, TxnStatus::Committed);
}

/// That a transaction is over is forgotten some day.
fn forget_the_ended(cluster: &LocalCluster, time: u64) {
    for n in 0..30_000u64 {
        cluster.server().0.ended.add(&[time.to_be_bytes(), n.to_be_bytes()].concat());
    }
}

#[tokio::test(start_paused = true)]
async fn a_late_intent_is_never_committed() {
    let cluster = LocalCluster::new();
    let mut txn = Txn::new(&cluster, 1);
    txn.put("k", "one").await.unwrap();
    let mut late = txn.clone();
    txn.put("k", "two").await.unwrap();
    txn.meta.read_ts = txn.meta.write_ts;
    let commit_ts = txn.commit_two_phase(&["k"]).await.unwrap().commit_ts;
    txn.resolve(&["k"], commit_ts).await;
    assert_eq!(kind_of(late.send("k", vec![put("k", "one", 1)]).await), ErrorKind::Aborted);
    forget_the_ended(&cluster, 1);
    // The first write arrives again while the record still says committed.
    late.send("k", vec![put("k", "one", 1)]).await.unwrap();
    assert_eq!(cluster.count(Space::Lock), 1);
    assert_eq!(Txn::new(&cluster, 2).get("k").await.unwrap().unwrap(), "two");
    // And again after the record is gone.
    let (anchor, txn_id) = (txn.meta.anchor.clone(), txn.meta.id.clone());
    let collect = RequestKind::CollectTxn(CollectTxn { txn_id, anchor });
    txn.send("k", vec![collect]).await.unwrap();
    forget_the_ended(&cluster, 2);
    late.send("k", vec![put("k", "one", 1)]).await.unwrap();
    assert_eq!(Txn::new(&cluster, 3).get("k").await.unwrap().unwrap(), "two");
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(cluster.count(Space::Lock) + cluster.count(Space::RangeLocal), 0);
}

#[tokio::test(start_paused = true)]
async fn an_abort_blocks_the_record_and_a_late_intent_goes() {
    let cluster = LocalCluster::new();
    let mut txn = Txn::new(&cluster, 1);
    txn.anchor("k");
    txn.send("k", vec![end(false, false, &[])]).await.unwrap();
    assert_eq!(cluster.count(Space::RangeLocal), 0);
    forget_the_ended(&cluster, 1);
    txn.put("k", "late").await.unwrap();
    assert_eq!(Txn::new(&cluster, 2).get("k").await.unwrap(), None);
    txn.meta.read_ts = txn.meta.write_ts;
    assert_eq!(kind_of(txn.commit_two_phase(&["k"]).await), ErrorKind::Aborted);
    let request = txn.one_phase(&[("x", "1")]);
    assert_eq!(kind_of(txn.send_raw("x", request).await), ErrorKind::Aborted);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_outcome_keeps_its_latches_until_it_is_settled() {
    let cluster = LocalCluster::new();
    let mut txn = Txn::new(&cluster, 1);
    let request = txn.one_phase(&[("k", "1")]);
    cluster.next_proposal(Fate::UnknownLost);
    let refused = cluster.try_send(b"k", request.clone()).await.unwrap_err();
    assert_eq!(refused.reason(), kv::rpc::RefusalReason::Unknown);
    let mut reader = Txn::new(&cluster, 2);
    let read = tokio::spawn(async move { reader.get("k").await });
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!read.is_finished(), "the batch may yet be applied");
    cluster.change_lease(b"k");
    assert_eq!(read.await.unwrap().unwrap(), None);
    // It was not applied, but nobody knew: it is given up.
    assert_eq!(kind_of(txn.send_raw("k", request).await), ErrorKind::Aborted);
}

#[tokio::test(start_paused = true)]
async fn a_rejected_proposal_leaves_nothing_and_may_be_repeated() {
    let cluster = LocalCluster::new();
    let mut txn = Txn::new(&cluster, 1);
    let request = txn.one_phase(&[("k", "1")]);
    cluster.next_proposal(Fate::Rejected);
    cluster.try_send(b"k", request.clone()).await.unwrap_err();
    txn.send_raw("k", request).await.unwrap();
    assert_eq!(Txn::new(&cluster, 2).get("k").await.unwrap().unwrap(), "1");
}

#[tokio::test(start_paused = true)]
async fn nonsense_is_refused_and_never_panics() {
    let cluster = LocalCluster::new();
    let mut txn = Txn::new(&cluster, 1);
    txn.anchor("k");
    let bad = |change: &dyn Fn(&mut BatchRequest)| {
        let mut request = txn.request(vec![put("k", "v", 1)]);
        change(&mut request);
        request
    };
    let requests = [
        bad(&|r| r.requests.clear()),
        bad(&|r| r.requests[0].kind = None),
        bad(&|r| r.txn = None),
        bad(&|r| r.txn.as_mut().unwrap().id = Bytes::from_static(b"short")),
        bad(&|r| r.txn.as_mut().unwrap().anchor = Bytes::new()),
        bad(&|r| r.txn.as_mut().unwrap().write_ts = u64::MAX),
        bad(&|r| r.requests[0].kind = Some(put("k", "v", 0))),
        bad(&|r| {
            let scan = Scan { span: span("z", "a"), ..Scan::default() };
            r.requests[0].kind = Some(RequestKind::Scan(scan));
        }),
        bad(&|r| r.requests.insert(0, Request { kind: Some(end(true, false, &[])) })),
    ];
    for request in requests {
        let response = cluster.try_send(b"k", request.clone()).await.unwrap();
        let error = response.error.unwrap_or_else(|| panic!("{request:?}"));
        assert_eq!(error.kind(), ErrorKind::Invalid, "{request:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_one_phase_commit_takes_the_record_of_a_heartbeat_with_it() {
    let cluster = LocalCluster::new();
    let mut txn = Txn::new(&cluster, 1);
    txn.can_forward = true;
    txn.lock("k").await.unwrap();
    let beat = || vec![RequestKind::Heartbeat(Heartbeat { now: 0 })];
    txn.send("k", beat()).await.unwrap();
    assert_eq!(cluster.count(Space::RangeLocal), 1);
    txn.commit(&[("k", "v")]).await.unwrap();
    assert_eq!(cluster.count(Space::RangeLocal), 0);
    // A late beat makes no other.
    let record = txn.send("k", beat()).await.unwrap().remove(0).record.unwrap();
    assert_eq!(record.status(), TxnStatus::Committed);
    assert_eq!(cluster.count(Space::RangeLocal), 0);
    assert_eq!(Txn::new(&cluster, 2).get("k").await.unwrap().unwrap(), "v");
}

#[tokio::test(start_paused = true)]
async fn a_one_phase_commit_of_a_transaction_whose_record_is_aborted_changes_nothing() {
    let cluster = LocalCluster::new();
    let mut txn = Txn::new(&cluster, 1);
    txn.can_forward = true;
    txn.lock("k").await.unwrap();
    txn.send("k", vec![RequestKind::Heartbeat(Heartbeat { now: 0 })]).await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(Txn::new(&cluster, 2).push(&txn, 0).await, TxnStatus::Aborted);
    let request = txn.one_phase(&[("k", "v")]);
    for _ in 0..2 {
        assert_eq!(kind_of(txn.send_raw("k", request.clone()).await), ErrorKind::Aborted);
    }
    assert_eq!(cluster.count(Space::Data), 0);
}

/// A large one gives way to others between its writes, and its latches keep them off all the same.
#[tokio::test(start_paused = true)]
async fn a_large_one_phase_commit_is_seen_whole_or_not_at_all() {
    let cluster = LocalCluster::new();
    let keys: Vec<String> = (0..2_000).map(|n| format!("k{n:04}")).collect();
    let mut writer = Txn::new(&cluster, 1);
    let writes: Vec<(&str, &str)> = keys.iter().map(|key| (&key[..], "v")).collect();
    let mut request = writer.one_phase(&writes);
    request.can_forward = true;
    let commit = tokio::spawn(async move { writer.send_raw("k0000", request).await.map(drop) });
    let mut seen = Vec::new();
    for round in 2..50 {
        seen.push(Txn::new(&cluster, round).scan("k", "l", 0).await.unwrap().rows().len());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    commit.await.unwrap().unwrap();
    seen.dedup();
    assert!(seen == [0, keys.len()] || seen == [keys.len()], "{seen:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_closed_is_written_above() {
    let cluster = LocalCluster::new();
    let mut reader = Txn::new(&cluster, 1);
    reader.get("r").await.unwrap();
    let mut writer = Txn::new(&cluster, 2);
    tokio::time::advance(Duration::from_secs(4)).await;
    let closed = cluster.env.clock.now();
    cluster.close(closed);
    writer.put("k", "v").await.unwrap();
    // Now, and not right above: it would be overtaken while its reads are refreshed.
    assert!(writer.meta.write_ts > closed.next().raw());
    // Many at once, which are looked up ahead, too.
    let keys: Vec<String> = (0..100).map(|n| format!("m{n:03}")).collect();
    let writes: Vec<(&str, &str)> = keys.iter().map(|key| (&key[..], "v")).collect();
    let mut blind = Txn::at(&cluster, 3, Timestamp::from_raw(writer.meta.min_ts));
    blind.can_forward = true;
    blind.commit(&writes).await.unwrap();
    assert!(blind.meta.write_ts > closed.raw());
    // Whoever has read as of before is told to look whether that still holds.
    let error = reader.commit(&[("w", "v")]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RetryAt);
    assert!(error.retry_ts > closed.next().raw());
}
