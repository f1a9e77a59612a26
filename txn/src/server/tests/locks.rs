use std::sync::Mutex;
use std::time::Duration;

use futures::FutureExt;
use kv::keys::Space;

use super::*;

#[tokio::test(start_paused = true)]
async fn a_locked_key_blocks_writers_and_lockers_but_not_readers() {
    let cluster = LocalCluster::new();
    seed(&cluster, "k", "1").await;
    let mut holder = Txn::new(&cluster, 1);
    assert_eq!(holder.lock("k").await.unwrap().unwrap(), "1");
    let mut reader = Txn::new(&cluster, 2);
    assert_eq!(reader.get("k").now_or_never().unwrap().unwrap().unwrap(), "1");
    let mut writer = Txn::new(&cluster, 3);
    writer.can_forward = true;
    let write = tokio::spawn(async move { writer.commit(&[("k", "3")]).await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!write.is_finished());
    // The reader came later, so the holder has to move up, and may: nobody wrote.
    let error = holder.commit(&[("k", "2")]).await.unwrap_err();
    let from = holder.meta.read_ts;
    (holder.meta.read_ts, holder.meta.write_ts) = (error.retry_ts, error.retry_ts);
    holder.refresh("k", "k\0", from).await.unwrap();
    holder.commit(&[("k", "2")]).await.unwrap();
    write.await.unwrap().unwrap();
    assert_eq!(Txn::new(&cluster, 4).get("k").await.unwrap().unwrap(), "3");
}

#[tokio::test(start_paused = true)]
async fn the_queue_of_a_lock_is_fair_and_no_update_is_lost() {
    let cluster = LocalCluster::new();
    cluster.set_apply_delay(Duration::from_millis(2));
    seed(&cluster, "k", "0").await;
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut tasks = Vec::new();
    for n in 1..=20u8 {
        let (cluster, order) = (cluster.clone(), order.clone());
        tasks.push(tokio::spawn(async move {
            let mut txn = Txn::new(&cluster, n);
            txn.can_forward = true;
            let value = txn.lock("k").await.unwrap().unwrap();
            order.lock().unwrap().push(n);
            txn.can_forward = false;
            let next = std::str::from_utf8(&value).unwrap().parse::<u32>().unwrap() + 1;
            // Long enough that the last ones wait for more than the deadlock timeout.
            tokio::time::sleep(Duration::from_millis(90)).await;
            txn.commit(&[("k", &next.to_string())]).await.unwrap();
        }));
        tokio::task::yield_now().await;
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(*order.lock().unwrap(), (1..=20).collect::<Vec<u8>>());
    assert_eq!(Txn::new(&cluster, 99).get("k").await.unwrap().unwrap(), "20");
    assert!(cluster.server().0.locks.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_locking_read_of_a_newer_version_keeps_the_lock_and_asks_to_move() {
    let cluster = LocalCluster::new();
    let mut txn = Txn::new(&cluster, 1);
    seed(&cluster, "k", "new").await;
    let error = txn.lock("k").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RetryAt);
    let mut other = Txn::new(&cluster, 2);
    assert!(other.lock("k").now_or_never().is_none(), "the lock is held");
    (txn.meta.read_ts, txn.meta.write_ts) = (error.retry_ts, error.retry_ts);
    assert_eq!(txn.lock("k").await.unwrap().unwrap(), "new");
}

#[tokio::test(start_paused = true)]
async fn a_locking_scan_locks_the_rows_that_it_returns() {
    let cluster = LocalCluster::new();
    for at in ["a", "b", "c"] {
        seed(&cluster, at, "1").await;
    }
    let mut txn = Txn::new(&cluster, 1);
    txn.anchor("a");
    let scan = RequestKind::Scan(Scan { span: span("a", "z"), limit: 2, lock: true });
    assert_eq!(txn.send("a", vec![scan]).await.unwrap()[0].rows.len(), 2);
    let mut other = Txn::new(&cluster, 2);
    assert!(other.clone().lock("b").now_or_never().is_none());
    assert!(other.lock("c").now_or_never().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_deadlock_is_broken_after_a_second_in_favour_of_the_earlier() {
    let cluster = LocalCluster::with_splits(&["m"]);
    let (mut one, mut two) = (Txn::new(&cluster, 1), Txn::new(&cluster, 2));
    one.lock("a").await.unwrap();
    two.lock("z").await.unwrap();
    let start = tokio::time::Instant::now();
    let (first, second) = tokio::join!(one.lock("z"), two.lock("a"));
    assert!(first.is_ok());
    assert_eq!(kind_of(second), ErrorKind::Aborted);
    let waited = start.elapsed();
    assert!(waited >= Duration::from_secs(1) && waited < Duration::from_secs(3), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_deadlock_of_intents_is_broken_too() {
    let cluster = LocalCluster::with_splits(&["m"]);
    let (mut one, mut two) = (Txn::new(&cluster, 1), Txn::new(&cluster, 2));
    two.meta.priority = 5;
    one.put("a", "1").await.unwrap();
    two.put("z", "2").await.unwrap();
    let (first, second) = tokio::join!(one.put("z", "1"), two.put("a", "2"));
    assert!(second.is_ok(), "the higher priority wins");
    assert_eq!(kind_of(first), ErrorKind::Aborted);
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_with_an_error_after_ten_seconds() {
    let cluster = LocalCluster::new();
    let mut holder = Txn::new(&cluster, 1);
    holder.put("k", "v").await.unwrap();
    let beat = {
        let mut holder = holder.clone();
        tokio::spawn(async move {
            loop {
                let now = holder.cluster.env.clock.now().raw();
                let beat = RequestKind::Heartbeat(Heartbeat { now });
                holder.send("k", vec![beat]).await.unwrap();
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        })
    };
    let start = tokio::time::Instant::now();
    let mut reader = Txn::new(&cluster, 2);
    assert_eq!(kind_of(reader.get("k").await), ErrorKind::LockTimeout);
    assert!(start.elapsed() >= Duration::from_secs(10));
    let mut writer = Txn::new(&cluster, 3);
    let request = writer.one_phase(&[("k", "w")]);
    assert_eq!(kind_of(writer.send_raw("k", request.clone()).await), ErrorKind::LockTimeout);
    beat.abort();
    holder.meta.read_ts = holder.meta.write_ts;
    let commit_ts = holder.commit_two_phase(&["k"]).await.unwrap().commit_ts;
    holder.resolve(&["k"], commit_ts).await;
    // What was answered with a failure does not succeed later.
    assert_eq!(kind_of(writer.send_raw("k", request).await), ErrorKind::Aborted);
    assert_eq!(cluster.count(Space::History), 0);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_request_leaves_its_place_and_its_latches() {
    let cluster = LocalCluster::new();
    let mut holder = Txn::new(&cluster, 1);
    holder.lock("k").await.unwrap();
    let mut gone = Txn::new(&cluster, 2);
    assert!(gone.lock("k").now_or_never().is_none());
    let mut next = Txn::new(&cluster, 3);
    next.can_forward = true;
    let next = tokio::spawn(async move { next.lock("k").await });
    tokio::task::yield_now().await;
    holder.resolve(&["k"], 0).await;
    next.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_request_dropped_while_it_applies_keeps_its_latches_until_then() {
    let cluster = LocalCluster::new();
    cluster.set_apply_delay(Duration::from_millis(10));
    let mut writer = Txn::new(&cluster, 1);
    let mut reader = Txn::new(&cluster, 2);
    assert!(writer.commit(&[("k", "v")]).now_or_never().is_none());
    let start = tokio::time::Instant::now();
    assert_eq!(reader.get("k").await.unwrap().unwrap(), "v");
    assert!(start.elapsed() >= Duration::from_millis(10));
}

#[tokio::test(start_paused = true)]
async fn many_intents_of_one_dead_transaction_are_resolved_together() {
    let cluster = LocalCluster::new();
    let mut lost = Txn::new(&cluster, 1);
    let kinds = (0..600u32).map(|n| put(&format!("k{n:03}"), "v", n + 1)).collect();
    lost.anchor("k000");
    lost.send("k000", kinds).await.unwrap();
    lost.send("k000", vec![end(false, false, &["k000"])]).await.unwrap();
    let start = tokio::time::Instant::now();
    let mut reader = Txn::new(&cluster, 2);
    assert!(reader.scan("a", "z", 0).await.unwrap().rows.is_empty());
    assert!(start.elapsed() < Duration::from_millis(200));
    assert_eq!(cluster.count(Space::Lock), 0);
}
