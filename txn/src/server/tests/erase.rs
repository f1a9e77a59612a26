//! Deletions of whole spans.

use std::time::Duration;

use kv::keys::Space;

use super::*;
use crate::testing::Fate;

/// The deletion of a span by the transaction's commit.
fn erase(txn: &mut Txn, from: &str, to: &str, locked: &[&str]) -> BatchRequest {
    txn.anchor(from);
    let delete = RequestKind::DeleteSpan(DeleteSpan { span: span(from, to) });
    txn.request(vec![delete, end(true, true, locked)])
}

async fn rows(cluster: &Arc<LocalCluster>, from: &str, to: &str) -> String {
    let mut txn = Txn::new(cluster, 99);
    txn.can_forward = true;
    let rows = txn.scan(from, to, 0).await.unwrap().rows();
    let show = |row: &Row| String::from_utf8_lossy(&row.key).into_owned();
    rows.iter().map(show).collect::<Vec<_>>().join(" ")
}

async fn with_rows(keys: &[&str]) -> Arc<LocalCluster> {
    let cluster = LocalCluster::new();
    for key in keys {
        seed(&cluster, key, "v").await;
    }
    cluster
}

#[tokio::test(start_paused = true)]
async fn a_span_is_deleted_by_one_entry_and_read_in_the_past_as_it_was() {
    let cluster = with_rows(&["b", "c", "d", "e"]).await;
    let mut before = Txn::new(&cluster, 3);
    tokio::time::sleep(Duration::from_millis(5)).await;
    let mut txn = Txn::new(&cluster, 1);
    let request = erase(&mut txn, "b", "d", &[]);
    txn.send_raw("b", request).await.unwrap();
    assert_eq!((cluster.count(Space::Erased), cluster.count(Space::History)), (1, 0));
    assert_eq!(cluster.count(Space::Lock) + cluster.count(Space::RangeLocal), 0);
    assert_eq!(rows(&cluster, "a", "z").await, "d e");
    before.meta.global_limit = before.meta.read_ts;
    assert_eq!(before.scan("a", "z", 0).await.unwrap().rows().len(), 4);
    assert_eq!(before.get("c").await.unwrap().unwrap(), "v");
    // Who began before may have to see it.
    let mut unsure = Txn::new(&cluster, 4);
    unsure.meta.read_ts = before.meta.read_ts;
    unsure.meta.min_ts = 0;
    let request = BatchRequest {
        observed: Vec::new(),
        ..unsure.request(vec![RequestKind::Get(Get { key: key("c"), ..Get::default() })])
    };
    let error = unsure.send_raw("c", request).await.unwrap_err();
    assert_eq!((error.kind(), error.retry_ts), (ErrorKind::RetryAt, txn.meta.write_ts));
    // What is written there again is later.
    seed(&cluster, "c", "new").await;
    assert_eq!(rows(&cluster, "a", "z").await, "c d e");
    assert_eq!(Txn::new(&cluster, 5).get("b").await.unwrap(), None);
    assert_eq!(before.get("c").await.unwrap().unwrap(), "v");
}

#[tokio::test(start_paused = true)]
async fn a_write_under_a_deletion_moves_above_it_be_there_a_row_or_not() {
    let cluster = with_rows(&["c"]).await;
    let (mut late, mut later) = (Txn::new(&cluster, 1), Txn::new(&cluster, 2));
    tokio::time::sleep(Duration::from_millis(5)).await;
    let mut txn = Txn::new(&cluster, 3);
    let request = erase(&mut txn, "b", "d", &[]);
    txn.send_raw("b", request).await.unwrap();
    late.put("bb", "mine").await.unwrap();
    assert!(late.meta.write_ts > txn.meta.write_ts);
    assert_eq!(kind_of(later.commit(&[("c", "mine")]).await), ErrorKind::RetryAt);
    // A refresh over it fails, as does one over a row that was deleted.
    let mut reader = Txn::new(&cluster, 4);
    let before = txn.meta.write_ts - 1;
    assert_eq!(kind_of(reader.refresh("a", "bb", before).await), ErrorKind::RefreshFailed);
    reader.refresh("a", "b", before).await.unwrap();
    reader.refresh("a", "bb", txn.meta.write_ts).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_deletion_lies_above_reads_and_versions_in_its_span() {
    let cluster = with_rows(&["b", "c"]).await;
    for (number, touch) in [(1, "read"), (2, "write")] {
        let mut txn = Txn::new(&cluster, 10 + number);
        txn.scan("a", "d", 0).await.unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
        match touch {
            "read" => drop(rows(&cluster, "c", "cc").await),
            _ => seed(&cluster, "c", "newer").await,
        }
        let request = erase(&mut txn, "a", "d", &[]);
        let error = txn.send_raw("a", request).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::RetryAt, "{touch}");
        assert!(error.retry_ts > txn.meta.write_ts);
        assert_eq!(rows(&cluster, "a", "d").await, "b c");
    }
    // Its own reads are below it, and those of others beside the span are none of its business.
    let mut txn = Txn::new(&cluster, 20);
    txn.scan("a", "d", 0).await.unwrap();
    rows(&cluster, "d", "e").await;
    let request = erase(&mut txn, "a", "d", &[]);
    txn.send_raw("a", request).await.unwrap();
    assert_eq!(rows(&cluster, "a", "d").await, "");
}

#[tokio::test(start_paused = true)]
async fn a_deletion_waits_for_locks_and_intents_in_its_span() {
    let cluster = with_rows(&["b", "c"]).await;
    for (number, with) in [(1, "intent"), (2, "lock"), (3, "key share")] {
        seed(&cluster, "c", "v").await;
        let mut holder = Txn::new(&cluster, number);
        match with {
            "intent" => holder.put("c", "theirs").await.unwrap(),
            "lock" => drop(holder.lock("c").await.unwrap()),
            _ => {
                let strength = LockStrength::KeyShare;
                holder.lock_as("c", strength, WaitPolicy::Block).await.unwrap();
            }
        }
        let mut txn = Txn::new(&cluster, 10 + number);
        txn.can_forward = true;
        let request = erase(&mut txn, "b", "d", &[]);
        let waiting = tokio::spawn(async move {
            let answer = txn.send_raw("b", request).await;
            (txn, answer)
        });
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert!(!waiting.is_finished(), "{with}");
        holder.meta.read_ts = holder.meta.write_ts;
        let record = holder.commit_two_phase(&["c"]).await.unwrap();
        holder.resolve(&["c"], record.commit_ts).await;
        let (txn, answer) = waiting.await.unwrap();
        answer.unwrap();
        assert!(txn.meta.write_ts > record.commit_ts || with != "intent");
        assert_eq!(rows(&cluster, "a", "z").await, "", "{with}");
    }
    assert_eq!(cluster.server().locked_keys(), 0);
}

#[tokio::test(start_paused = true)]
async fn its_own_locks_are_not_in_its_way_and_are_released() {
    let cluster = with_rows(&["b", "c"]).await;
    let mut txn = Txn::new(&cluster, 1);
    txn.lock("b").await.unwrap();
    txn.lock("x").await.unwrap();
    let request = erase(&mut txn, "b", "d", &["b", "x"]);
    txn.send_raw("b", request).await.unwrap();
    assert_eq!(cluster.server().locked_keys(), 0);
    assert_eq!(rows(&cluster, "a", "z").await, "");
}

#[tokio::test(start_paused = true)]
async fn a_deletion_is_made_once_however_often_it_is_delivered() {
    let cluster = with_rows(&["b", "c"]).await;
    let mut txn = Txn::new(&cluster, 1);
    txn.can_forward = true;
    let request = erase(&mut txn, "b", "d", &[]);
    txn.send_raw("b", request.clone()).await.unwrap();
    let commit_ts = txn.meta.write_ts;
    seed(&cluster, "c", "2").await;
    let answers = txn.send_raw("b", request.clone()).await.unwrap();
    assert_eq!(answers.last().unwrap().record.as_ref().unwrap().commit_ts, commit_ts);
    assert_eq!(rows(&cluster, "a", "z").await, "c");
    cluster.change_lease(b"b");
    assert_eq!(kind_of(txn.send_raw("b", request).await), ErrorKind::Aborted);
    assert_eq!(rows(&cluster, "a", "z").await, "c");
    // A new lease counts as a read of everything.
    let mut old = Txn::new(&cluster, 2);
    tokio::time::sleep(Duration::from_millis(5)).await;
    cluster.change_lease(b"b");
    old.meta.min_ts = cluster.env.clock.now().raw() + 1;
    let request = erase(&mut old, "b", "d", &[]);
    assert_eq!(kind_of(old.send_raw("b", request).await), ErrorKind::RetryAt);
}

#[tokio::test(start_paused = true)]
async fn after_an_unknown_outcome_nobody_sees_the_span_before_it_is_known() {
    for (fate, left) in [(Fate::UnknownApplied, ""), (Fate::UnknownLost, "b c")] {
        let cluster = with_rows(&["b", "c"]).await;
        let mut txn = Txn::new(&cluster, 1);
        txn.can_forward = true;
        cluster.next_proposal(fate);
        let request = erase(&mut txn, "b", "d", &[]);
        cluster.try_send(b"b", request.clone()).await.expect_err("unknown");
        let started = tokio::time::Instant::now();
        assert_eq!(rows(&cluster, "a", "z").await, left, "{fate:?}");
        assert!(started.elapsed() > Duration::from_secs(1), "it waits for the latches");
        assert_eq!(kind_of(txn.send_raw("b", request).await), ErrorKind::Aborted);
    }
}

#[tokio::test(start_paused = true)]
async fn both_sides_of_a_split_are_deleted_and_deletions_are_cut() {
    let cluster = with_rows(&["b", "c", "m", "n"]).await;
    let mut txn = Txn::new(&cluster, 1);
    txn.can_forward = true;
    let request = erase(&mut txn, "b", "n", &[]);
    txn.send_raw("b", request).await.unwrap();
    cluster.split("m");
    assert_eq!(cluster.count(Space::Erased), 2);
    assert_eq!(
        (rows(&cluster, "a", "m").await, rows(&cluster, "m", "z").await),
        ("".into(), "n".into())
    );
    let mut late = Txn::at(&cluster, 2, Timestamp::from_raw(txn.meta.write_ts - 1));
    late.put("mm", "v").await.unwrap();
    assert!(late.meta.write_ts > txn.meta.write_ts);
}

#[tokio::test(start_paused = true)]
async fn beyond_its_bounds_nothing_is_deleted() {
    let cluster = with_rows(&["b", "c"]).await;
    let long = "y".repeat(1_025);
    for number in 0..70 {
        let mut txn = Txn::new(&cluster, number);
        txn.can_forward = true;
        let request = erase(&mut txn, "a", "c", &[]);
        let answer = txn.send_raw("a", request).await;
        match number < 64 {
            true => drop(answer.unwrap()),
            false => assert_eq!(kind_of(answer), ErrorKind::TooLarge),
        }
    }
    let mut txn = Txn::new(&cluster, 79);
    let request = erase(&mut txn, "x", &long, &[]);
    assert_eq!(kind_of(txn.send_raw("x", request).await), ErrorKind::TooLarge);
    // Beside them there still is room.
    let mut txn = Txn::new(&cluster, 80);
    txn.can_forward = true;
    let request = erase(&mut txn, "c", "d", &[]);
    txn.send_raw("c", request).await.unwrap();
    assert_eq!(rows(&cluster, "a", "z").await, "");
}

#[tokio::test(start_paused = true)]
async fn it_comes_alone_and_with_its_commit_or_not_at_all() {
    let cluster = with_rows(&["b"]).await;
    let mut txn = Txn::new(&cluster, 1);
    txn.anchor("b");
    let delete = || RequestKind::DeleteSpan(DeleteSpan { span: span("b", "d") });
    for kinds in [
        vec![delete()],
        vec![delete(), end(true, false, &[])],
        vec![put("x", "1", 1), delete(), end(true, true, &[])],
        std::iter::repeat_with(delete).take(65).chain([end(true, true, &[])]).collect(),
    ] {
        assert_eq!(kind_of(txn.send("b", kinds).await), ErrorKind::Invalid);
    }
    // An intent of its own is no reason to wait.
    txn.put("c", "v").await.unwrap();
    let request = erase(&mut txn, "b", "d", &[]);
    assert_eq!(kind_of(txn.send_raw("b", request).await), ErrorKind::Invalid);
    assert_eq!(cluster.count(Space::Erased), 0);
}
