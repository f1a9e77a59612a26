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
    let scan = Scan { span: span("a", "z"), limit: 2, lock: true, ..Scan::default() };
    let scan = RequestKind::Scan(scan);
    assert_eq!(txn.send("a", vec![scan]).await.unwrap()[0].rows().len(), 2);
    let mut other = Txn::new(&cluster, 2);
    assert!(other.clone().lock("b").now_or_never().is_none());
    assert!(other.lock("c").now_or_never().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_deadlock_on_one_node_is_broken_at_once_in_favour_of_the_earlier() {
    let cluster = LocalCluster::with_splits(&["m"]);
    let (mut one, mut two) = (Txn::new(&cluster, 1), Txn::new(&cluster, 2));
    one.lock("a").await.unwrap();
    two.lock("z").await.unwrap();
    let start = tokio::time::Instant::now();
    let (first, second) = tokio::join!(one.lock("z"), async {
        let refused = two.lock("a").await;
        two.resolve(&["z"], 0).await;
        refused
    });
    first.unwrap();
    let error = second.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Deadlock);
    assert_eq!(error.message.lines().count(), 2, "{}", error.message);
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn of_many_in_a_circle_one_gives_up() {
    for circle in [2, 3, 7] {
        let cluster = LocalCluster::new();
        let mut tasks = Vec::new();
        let mut txns: Vec<Txn> = (1..=circle).map(|n| Txn::new(&cluster, n)).collect();
        for (n, txn) in txns.iter_mut().enumerate() {
            txn.lock(&format!("k{n}")).await.unwrap();
        }
        for (n, mut txn) in txns.into_iter().enumerate() {
            tasks.push(tokio::spawn(async move {
                let next = format!("k{}", (n + 1) % usize::from(circle));
                let locked = txn.lock(&next).await;
                txn.resolve(&[format!("k{n}").as_str(), &next], 0).await;
                locked.is_err()
            }));
            tokio::time::sleep(Duration::from_millis(450)).await;
        }
        let mut victims = 0;
        for task in tasks {
            victims += usize::from(task.await.unwrap());
        }
        assert_eq!(victims, 1);
        assert!(cluster.server().0.locks.is_empty() && cluster.server().0.waits.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_deadlock_over_two_nodes_is_broken_within_200_ms() {
    // Who anchors where, who comes first, and for how long the first has been waiting by then.
    for (swap, pause) in [(false, 0), (true, 0), (false, 900), (true, 900), (false, 10_050)] {
        let cluster = LocalCluster::pair("m");
        let (mut one, mut two) = (Txn::new(&cluster, 1), Txn::new(&cluster, 2));
        if swap {
            std::mem::swap(&mut one.meta, &mut two.meta);
        }
        one.lock("a").await.unwrap();
        two.lock("z").await.unwrap();
        let alive = [beat(&one), beat(&two)];
        let mut waiter = one.clone();
        let first = tokio::spawn(async move { waiter.lock("z").await });
        tokio::time::sleep(Duration::from_millis(pause)).await;
        let start = tokio::time::Instant::now();
        let mut closer = two.clone();
        let second = tokio::spawn(async move { closer.lock("a").await });
        let (victim, mut other) = if swap { (first, second) } else { (second, first) };
        let error = victim.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Deadlock);
        assert!(start.elapsed() < Duration::from_millis(200), "{:?}", start.elapsed());
        assert!((&mut other).now_or_never().is_none());
        let (loser, held) = if swap { (&one, "a") } else { (&two, "z") };
        loser.resolve(&[held], 0).await;
        other.await.unwrap().unwrap();
        alive.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

#[tokio::test(start_paused = true)]
async fn a_deadlock_of_intents_is_broken_too() {
    let cluster = LocalCluster::with_splits(&["m"]);
    let (mut one, mut two) = (Txn::new(&cluster, 1), Txn::new(&cluster, 2));
    two.meta.priority = 5;
    one.put("a", "1").await.unwrap();
    two.put("z", "2").await.unwrap();
    let loser = one.clone();
    let (first, second) = tokio::join!(
        async {
            let refused = one.put("z", "1").await;
            loser.resolve(&["a"], 0).await;
            refused
        },
        two.put("a", "2")
    );
    assert!(second.is_ok(), "the higher priority wins");
    assert_eq!(kind_of(first), ErrorKind::Deadlock);
}

#[tokio::test(start_paused = true)]
async fn two_sharers_that_both_want_more_are_a_deadlock() {
    let cluster = LocalCluster::new();
    let (mut one, mut two) = (Txn::new(&cluster, 1), Txn::new(&cluster, 2));
    for txn in [&mut one, &mut two] {
        txn.lock_as("k", LockStrength::Share, WaitPolicy::Block).await.unwrap();
    }
    let (first, second) = tokio::join!(one.lock("k"), async {
        let refused = two.lock("k").await;
        two.resolve(&["k"], 0).await;
        refused
    });
    first.unwrap();
    assert_eq!(kind_of(second), ErrorKind::Deadlock);
}

/// Signs of life, each second, until the task is aborted.
fn beat(txn: &Txn) -> tokio::task::JoinHandle<()> {
    let mut txn = txn.clone();
    let at = String::from_utf8(txn.meta.anchor.to_vec()).unwrap();
    tokio::spawn(async move {
        loop {
            let now = txn.cluster.env.clock.now().raw();
            txn.send(&at, vec![RequestKind::Heartbeat(Heartbeat { now })]).await.unwrap();
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    })
}

#[tokio::test(start_paused = true)]
async fn who_is_waited_for_is_left_alone_for_as_long_as_it_lives() {
    let cluster = LocalCluster::new();
    let mut holder = Txn::new(&cluster, 1);
    holder.can_forward = true;
    holder.put("k", "v").await.unwrap();
    let alive = beat(&holder);
    // Earlier in the order: older, or restarted more often.
    let mut waiters = Vec::new();
    for n in 2..8 {
        let mut waiter = Txn::new(&cluster, n);
        (waiter.can_forward, waiter.meta.priority) = (true, u32::from(n));
        waiters.push(tokio::spawn(async move { waiter.lock("k").await.map(|_| waiter) }));
    }
    let mut reader = Txn::new(&cluster, 9);
    let read = tokio::spawn(async move { reader.get("k").await });
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert!(waiters.iter().all(|waiter| !waiter.is_finished()) && !read.is_finished());
    alive.abort();
    let commit_ts = holder.commit_two_phase(&["k"]).await.unwrap().commit_ts;
    holder.resolve(&["k"], commit_ts).await;
    for waiter in waiters {
        waiter.await.unwrap().unwrap().resolve(&["k"], 0).await;
    }
    assert_eq!(read.await.unwrap().unwrap().unwrap(), "v");
}

#[tokio::test(start_paused = true)]
async fn an_answer_says_that_others_are_in_the_way_and_for_how_long() {
    let cluster = LocalCluster::new();
    Txn::new(&cluster, 1).lock("k").await.unwrap();
    let mut waiter = Txn::new(&cluster, 2);
    waiter.anchor("j");
    let gets = ["j", "k"].map(|at| RequestKind::Get(Get { key: key(at), lock: true, mode: None }));
    let request = waiter.request(gets.to_vec());
    let start = tokio::time::Instant::now();
    let response = cluster.try_send(b"j", request).await.unwrap();
    let error = response.error.unwrap();
    assert_eq!((error.kind(), error.waited_ms), (ErrorKind::Waiting, 300));
    assert_eq!(error.ticket.unwrap().key, "k");
    assert_eq!(start.elapsed(), Duration::from_millis(300));
    assert_eq!(response.locked, ["j"], "what it has got meanwhile");
}

#[tokio::test(start_paused = true)]
async fn earlier_builds_wait_for_ten_seconds_and_get_an_error() {
    let cluster = LocalCluster::new();
    let mut holder = Txn::new(&cluster, 1);
    holder.put("k", "v").await.unwrap();
    let alive = beat(&holder);
    let start = tokio::time::Instant::now();
    let mut writer = Txn::new(&cluster, 3);
    let request = BatchRequest { max_wait_ms: None, ..writer.one_phase(&[("k", "w")]) };
    assert_eq!(kind_of(writer.send_raw("k", request.clone()).await), ErrorKind::LockTimeout);
    assert!(start.elapsed() >= Duration::from_secs(10));
    alive.abort();
    holder.meta.read_ts = holder.meta.write_ts;
    let commit_ts = holder.commit_two_phase(&["k"]).await.unwrap().commit_ts;
    holder.resolve(&["k"], commit_ts).await;
    // What was answered with a failure does not succeed later.
    assert_eq!(kind_of(writer.send_raw("k", request).await), ErrorKind::Aborted);
    assert_eq!(cluster.count(Space::History), 0);
}

#[tokio::test(start_paused = true)]
async fn a_transaction_that_is_over_locks_nothing() {
    let cluster = LocalCluster::new();
    let mut holder = Txn::new(&cluster, 1);
    holder.lock("k").await.unwrap();
    let mut gone = Txn::new(&cluster, 2);
    let mut waiter = gone.clone();
    let late = tokio::spawn(async move { waiter.lock("k").await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    gone.anchor("k");
    gone.send("k", vec![end(false, false, &[])]).await.unwrap();
    gone.resolve(&["k"], 0).await;
    assert_eq!(kind_of(late.await.unwrap()), ErrorKind::Aborted);
    assert_eq!(kind_of(gone.lock("j").await), ErrorKind::Aborted);
    assert_eq!(kind_of(gone.put("j", "v").await), ErrorKind::Aborted);
    holder.resolve(&["k"], 0).await;
    assert!(cluster.server().0.locks.is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_lock_of_one_who_has_told_its_anchor_is_found_to_be_nobodys() {
    let cluster = LocalCluster::pair("m");
    let mut gone = Txn::new(&cluster, 1);
    gone.anchor("a");
    gone.send("z", vec![RequestKind::Get(Get { key: key("z"), lock: true, mode: None })])
        .await
        .unwrap();
    gone.send("a", vec![end(false, false, &[])]).await.unwrap();
    let start = tokio::time::Instant::now();
    Txn::new(&cluster, 2).lock("z").await.unwrap();
    assert!(start.elapsed() < Duration::from_millis(50), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn locks_share_as_their_strengths_allow() {
    use LockStrength::{KeyShare, NoKeyUpdate, Share, Update};
    for (held, wanted, waits) in [
        (KeyShare, NoKeyUpdate, false),
        (KeyShare, Update, true),
        (Share, Share, false),
        (Share, NoKeyUpdate, true),
        (NoKeyUpdate, KeyShare, false),
        (NoKeyUpdate, Share, true),
        (Update, KeyShare, true),
    ] {
        let cluster = LocalCluster::new();
        let (mut one, mut two) = (Txn::new(&cluster, 1), Txn::new(&cluster, 2));
        one.lock_as("k", held, WaitPolicy::Block).await.unwrap();
        let got = two.lock_as("k", wanted, WaitPolicy::Block).now_or_never();
        assert_eq!(got.is_none(), waits, "{held:?} {wanted:?}");
    }
    // A write needs what FOR NO KEY UPDATE keeps out.
    let cluster = LocalCluster::new();
    Txn::new(&cluster, 1).lock_as("k", KeyShare, WaitPolicy::Block).await.unwrap();
    let mut writer = Txn::new(&cluster, 2);
    writer.can_forward = true;
    writer.commit(&[("k", "v")]).now_or_never().unwrap().unwrap();
    Txn::new(&cluster, 3).lock_as("j", Share, WaitPolicy::Block).await.unwrap();
    assert!(Txn::new(&cluster, 4).put("j", "v").now_or_never().is_none());
}

#[tokio::test(start_paused = true)]
async fn who_does_not_want_to_wait_gets_an_error_or_other_rows() {
    let cluster = LocalCluster::new();
    for at in ["a", "b", "c", "d", "e"] {
        seed(&cluster, at, "1").await;
    }
    let mut holder = Txn::new(&cluster, 1);
    holder.lock("b").await.unwrap();
    holder.put("d", "2").await.unwrap();
    let dead = {
        let mut dead = Txn::new(&cluster, 2);
        dead.lock("c").await.unwrap();
        dead.send("c", vec![end(false, false, &[])]).await.unwrap();
        dead
    };
    let mut txn = Txn::new(&cluster, 3);
    for at in ["b", "d"] {
        let refused = txn.lock_as(at, LockStrength::Update, WaitPolicy::Error).await;
        let error = refused.unwrap_err();
        assert_eq!((error.kind(), error.ticket.unwrap().key), (ErrorKind::Locked, key(at)));
        let skipped = txn.lock_as(at, LockStrength::Update, WaitPolicy::Skip).await.unwrap();
        assert!(skipped.skipped && skipped.rows().is_empty());
    }
    let mode = Some(LockMode { policy: WaitPolicy::Skip as i32, ..LockMode::default() });
    let scan = Scan { span: span("a", "z"), limit: 0, lock: true, mode, ..Scan::default() };
    let rows = txn.send("a", vec![RequestKind::Scan(scan)]).await.unwrap().remove(0).rows();
    let keys: Vec<_> = rows.into_iter().map(|row| row.key).collect();
    assert_eq!(keys, ["a", "c", "e"], "what is nobody's is not skipped");
    drop(dead);
    // What was left out was not read: others may write there below this transaction's time.
    assert_eq!(cluster.server().0.reads.max(&key("b")).1, Some(holder.meta.id));
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_was_taken_since_a_savepoint_is_released_alone() {
    let cluster = LocalCluster::new();
    let mut txn = Txn::new(&cluster, 1);
    txn.anchor("a");
    for (at, number) in [("a", 1), ("b", 2), ("a", 2)] {
        let mode = Some(LockMode { number, ..LockMode::default() });
        let get = RequestKind::Get(Get { key: key(at), lock: true, mode });
        txn.send(at, vec![get]).await.unwrap();
    }
    let resolve = Resolve {
        txn_id: txn.meta.id.clone(),
        keys: vec![key("a"), key("b")],
        rolled_back: Some(LockNumbers { first: 2, last: 2 }),
        ..Resolve::default()
    };
    let requests = vec![Request { kind: Some(RequestKind::Resolve(Box::new(resolve))) }];
    let request = BatchRequest { requests, ..BatchRequest::default() };
    assert_eq!(cluster.try_send(b"a", request).await.unwrap().error, None);
    let mut other = Txn::new(&cluster, 2);
    assert!(other.lock("b").now_or_never().is_some());
    assert!(other.lock("a").now_or_never().is_none());
    txn.lock("c").now_or_never().unwrap().expect("it is not over");
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
    assert!(reader.scan("a", "z", 0).await.unwrap().rows().is_empty());
    assert!(start.elapsed() < Duration::from_millis(200));
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(cluster.count(Space::Lock), 0);
}

/// Requests that ask again take turns; there is always one among them that finds out what became of the holder.
#[tokio::test(start_paused = true)]
async fn the_intents_of_the_dead_are_found_out_by_whoever_waits() {
    for step in [0, 70, 150, 290] {
        let cluster = LocalCluster::new();
        Txn::new(&cluster, 1).put("k", "never").await.unwrap();
        let mut waiters = Vec::new();
        for n in 2..7u8 {
            let mut waiter = Txn::new(&cluster, n);
            waiters.push(tokio::spawn(async move {
                match n {
                    2 => waiter.lock("k").await.map(drop),
                    _ => waiter.get("k").await.map(drop),
                }
            }));
            tokio::time::sleep(Duration::from_millis(step)).await;
        }
        let all = tokio::time::timeout(Duration::from_secs(7), futures::future::join_all(waiters));
        for waiter in all.await.expect("in time") {
            waiter.unwrap().unwrap();
        }
    }
}
