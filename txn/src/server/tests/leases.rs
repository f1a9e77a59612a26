use std::time::Duration;

use kv::clock::Timestamp;
use kv::mutant::Mutant;
use kv::seam::{RangeObserver, ReadSummary};

use super::*;

async fn write_after_lease_change(cluster: &Arc<LocalCluster>) -> Txn {
    let mut writer = Txn::new(cluster, 1);
    // Another holder may have served any read below the start of this lease.
    cluster.change_lease(b"k");
    writer.put("k", "v").await.unwrap();
    writer
}

#[tokio::test(start_paused = true)]
async fn a_new_lease_counts_as_a_read_of_everything_at_its_start() {
    let writer = write_after_lease_change(&LocalCluster::new()).await;
    assert!(writer.meta.write_ts > writer.meta.read_ts);
}

#[tokio::test(start_paused = true)]
async fn the_mutant_that_loses_the_cache_writes_under_reads() {
    let cluster = LocalCluster::with_mutant(Mutant::TimestampCacheLostOnLeaseChange);
    let writer = write_after_lease_change(&cluster).await;
    assert_eq!(writer.meta.write_ts, writer.meta.read_ts);
}

#[tokio::test(start_paused = true)]
async fn an_older_transaction_cannot_create_its_record_under_a_new_lease() {
    let cluster = LocalCluster::new();
    let mut txn = Txn::new(&cluster, 1);
    txn.put("k", "v").await.unwrap();
    cluster.change_lease(b"k");
    txn.meta.read_ts = txn.meta.write_ts;
    assert_eq!(kind_of(txn.commit_two_phase(&["k"]).await), ErrorKind::Aborted);
    // But one that has a record goes on.
    let mut recorded = Txn::new(&cluster, 2);
    let now = cluster.env.clock.now().raw();
    recorded.anchor("r");
    recorded.send("r", vec![RequestKind::Heartbeat(Heartbeat { now })]).await.unwrap();
    recorded.put("r", "v").await.unwrap();
    cluster.change_lease(b"r");
    recorded.meta.read_ts = recorded.meta.write_ts;
    recorded.commit_two_phase(&["r"]).await.unwrap();
}

/// Nobody has served the range before, so nobody has given the transaction up. A client that begins in the first second of
/// a cluster would hear of an abort at its commit.
#[tokio::test(start_paused = true)]
async fn a_ranges_first_lease_refuses_no_record() {
    let cluster = LocalCluster::new();
    let mut txn = Txn::new(&cluster, 1);
    cluster.delay_first_lease(b"k");
    txn.put("k", "v").await.unwrap();
    txn.meta.read_ts = txn.meta.write_ts;
    txn.commit_two_phase(&["k"]).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_lost_lease_wakes_the_waiters_and_forgets_the_locks() {
    let cluster = LocalCluster::new();
    let mut holder = Txn::new(&cluster, 1);
    holder.lock("k").await.unwrap();
    let mut waiter = Txn::new(&cluster, 2);
    waiter.can_forward = true;
    let waiter = tokio::spawn(async move { waiter.lock("k").await });
    tokio::task::yield_now().await;
    let start = tokio::time::Instant::now();
    cluster.change_lease(b"k");
    waiter.await.unwrap().unwrap();
    assert_eq!(start.elapsed().as_millis(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_observed_timestamp_from_before_the_lease_counts_as_its_start() {
    let cluster = LocalCluster::new();
    let mut reader = Txn::new(&cluster, 1);
    let mut writer = Txn::new(&cluster, 2);
    writer.commit(&[("k", "v")]).await.unwrap();
    cluster.change_lease(b"k");
    // The reading was taken here, but the version may have been written elsewhere.
    let error = reader.get("k").await.unwrap_err();
    assert_eq!((error.kind(), error.retry_ts), (ErrorKind::RetryAt, writer.meta.write_ts));
}

#[tokio::test(start_paused = true)]
async fn a_split_loses_neither_reads_nor_locks_nor_markers() {
    let cluster = LocalCluster::new();
    seed(&cluster, "z", "1").await;
    let mut holder = Txn::new(&cluster, 1);
    holder.lock("z").await.unwrap();
    let mut gone = Txn::new(&cluster, 2);
    gone.anchor("y");
    gone.send("y", vec![end(false, false, &[])]).await.unwrap();
    let mut reader = Txn::new(&cluster, 3);
    reader.get("x").await.unwrap();
    cluster.split("m");
    use futures::FutureExt;
    assert!(Txn::new(&cluster, 4).lock("z").now_or_never().is_none());
    let mut early = Txn::at(&cluster, 5, Timestamp::from_raw(reader.meta.read_ts));
    early.put("x", "v").await.unwrap();
    assert!(early.meta.write_ts > reader.meta.read_ts);
    assert_eq!(kind_of(gone.commit(&[("y", "v")]).await), ErrorKind::Aborted);
    // A batch across the cut is refused, and certainly not executed.
    let mut both = Txn::new(&cluster, 6);
    let request = both.one_phase(&[("a", "1"), ("z", "1")]);
    let refused = cluster.try_send(b"a", request).await.unwrap_err();
    assert_eq!(refused.reason(), kv::rpc::RefusalReason::WrongRange);
}

/// A lease is handed over from one server to the next: what each transaction of the old holder has left behind is heeded.
async fn write_after_hand_over(
    mutant: Option<Mutant>,
) -> (Txn, Txn, Arc<LocalCluster>, Arc<LocalCluster>) {
    let old = LocalCluster::new();
    let new = mutant.map_or_else(LocalCluster::new, LocalCluster::with_mutant);
    // By the clock of a gateway that is ahead.
    let ahead = old.env.clock.now().saturating_add(MAX_OFFSET / 2);
    let mut reader = Txn::at(&old, 1, ahead);
    reader.get("k").await.unwrap();
    let mut gone = Txn::at(&old, 2, ahead);
    gone.anchor("g");
    gone.send("g", vec![end(false, false, &[])]).await.unwrap();
    let summary = old.hand_over(b"k").await;
    new.take_over(b"k", summary);
    gone.cluster = new.clone();
    (reader, gone, old, new)
}

#[tokio::test(start_paused = true)]
async fn what_was_read_under_a_lease_that_was_handed_over_is_not_written_below() {
    let (reader, mut gone, _, new) = write_after_hand_over(None).await;
    let mut writer = Txn::new(&new, 3);
    writer.put("k", "v").await.unwrap();
    assert!(writer.meta.write_ts > reader.meta.read_ts);
    // Who was given up stays so.
    assert_eq!(kind_of(gone.commit(&[("g", "v")]).await), ErrorKind::Aborted);
    // And nobody pays for what was not read.
    let mut other = Txn::new(&new, 4);
    let began = other.meta.write_ts;
    other.put("x", "v").await.unwrap();
    assert_eq!(other.meta.write_ts, began);
}

#[tokio::test(start_paused = true)]
async fn the_mutant_that_loses_the_summary_writes_under_reads() {
    let (reader, mut gone, _, new) = write_after_hand_over(Some(Mutant::ReadSummaryLost)).await;
    let mut writer = Txn::new(&new, 3);
    writer.put("k", "v").await.unwrap();
    assert!(writer.meta.write_ts < reader.meta.read_ts);
    gone.commit(&[("g", "v")]).await.unwrap();
}

/// Whoever is being served has latches; whoever comes waits, until it is known who serves.
#[tokio::test(start_paused = true)]
async fn a_hand_over_waits_for_what_is_under_way_and_keeps_off_what_comes() {
    use futures::FutureExt;
    let cluster = LocalCluster::new();
    cluster.set_apply_delay(Duration::from_millis(100));
    let mut writer = Txn::new(&cluster, 1);
    let mut first = Box::pin(writer.commit(&[("a", "v")]));
    assert!((&mut first).now_or_never().is_none());
    let range = cluster.range_of(b"a");
    let mut served = cluster.server().hand_over(&range);
    assert!((&mut served).now_or_never().is_none());
    first.await.unwrap();
    let served = served.now_or_never().expect("nothing else is under way");
    let mut reader = Txn::new(&cluster, 2);
    let mut second = Box::pin(reader.get("b"));
    assert!((&mut second).now_or_never().is_none());
    drop(served);
    second.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_summary_that_nobody_understands_is_the_strictest() {
    let new = LocalCluster::new();
    new.take_over(b"k", ReadSummary(Bytes::from_static(b"\x09what is this")));
    let mut writer = Txn::new(&new, 1);
    let began = Timestamp::from_raw(writer.meta.write_ts);
    writer.put("k", "v").await.unwrap();
    assert!(writer.meta.write_ts > began.saturating_add(Duration::from_secs(5)).raw());
}
