//! Heartbeats, drops, savepoints and restarts.

use std::time::Duration;

use bytes::Bytes;
use kv::seam::SendError;

use super::fake::{Fate, World, ends_with};
use crate::api::TxnStatus;
use crate::db::{Config, Db, TxnError, TxnOptions};

fn b(text: &'static str) -> Bytes {
    text.into()
}

async fn seconds(count: u64) {
    tokio::time::sleep(Duration::from_millis(count * 1_000 + 20)).await;
}

fn count(log: &[String], what: &str) -> usize {
    log.iter().filter(|word| word.starts_with(what)).count()
}

#[tokio::test(start_paused = true)]
async fn a_lock_starts_the_heartbeat_and_the_end_stops_it() {
    let world = World::new(&["m"]);
    let mut txn = world.db().begin(TxnOptions::default());
    txn.put(b("a"), b("1")).expect("small");
    txn.get(b("a")).await.expect("fine");
    seconds(3).await;
    assert_eq!(world.take_log(), [""; 0], "nothing is held");
    txn.get_for_update(b("z")).await.expect("fine");
    seconds(3).await;
    assert_eq!(world.take_log(), ["lock@2", "beat@2", "beat@2", "beat@2"]);
    txn.rollback();
    seconds(3).await;
    assert_eq!(
        world.take_log(),
        ["abort@2", "resolve@2"],
        "an abort without keys leaves no record"
    );
}

#[tokio::test(start_paused = true)]
async fn locks_alone_are_released_when_the_transaction_commits_or_is_dropped() {
    for commit in [true, false] {
        let world = World::new(&["m"]);
        world.write("a", "1");
        let mut txn = world.db().begin(TxnOptions::default());
        txn.scan_for_update(b("a"), b("c"), 9).await.expect("fine");
        txn.get_for_update(b("z")).await.expect("fine");
        if commit {
            txn.commit().await.expect("nothing to commit");
        }
        drop(txn);
        seconds(3).await;
        assert_eq!(world.take_log(), ["lockscan@1", "lock@2", "abort@1", "resolve@1", "resolve@2"]);
    }
}

#[tokio::test(start_paused = true)]
async fn one_phase_covers_locks_on_its_range_only() {
    let world = World::new(&["m"]);
    for (key, phases) in [("b", "commit1"), ("z", "commit2")] {
        let mut txn = world.db().begin(TxnOptions::default());
        txn.get_for_update(b(key)).await.expect("fine");
        txn.put(b("a"), b("1")).expect("small");
        txn.commit().await.expect("fine");
        assert_eq!(count(&world.take_log(), phases), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_made_by_a_heartbeat_goes_with_the_one_phase_commit() {
    let world = World::new(&[]);
    for held in [0, 2] {
        let mut txn = world.db().begin(TxnOptions::default());
        txn.get_for_update(b("a")).await.expect("fine");
        txn.put(b("a"), b("1")).expect("small");
        seconds(held).await;
        txn.commit().await.expect("fine");
        seconds(3).await;
        let log = world.take_log();
        assert_eq!((count(&log, "commit1"), count(&log, "beat")), (1, held as usize));
        assert_eq!(count(&log, "collect"), 0);
    }
    assert!(world.state.lock().expect("no panic").records.is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_abort_by_others_reaches_the_next_operation_and_one_that_waits() {
    let world = World::new(&[]);
    let mut txn = world.db().begin(TxnOptions::default());
    txn.get_for_update(b("a")).await.expect("fine");
    seconds(1).await;
    for record in world.state.lock().expect("no panic").records.values_mut() {
        record.status = TxnStatus::Aborted as i32;
    }
    seconds(1).await;
    assert!(txn.put(b("a"), b("1")).expect_err("aborted").is_retry());

    let mut txn = world.db().begin(TxnOptions::default());
    txn.get_for_update(b("a")).await.expect("fine");
    let aborter = world.clone();
    world.hook(move |batch| {
        if ends_with(batch, "lock") {
            return Fate::Silent;
        }
        for record in aborter.state.lock().expect("no panic").records.values_mut() {
            record.status = TxnStatus::Aborted as i32;
        }
        Fate::Normal
    });
    let begun = world.env.clock.monotonic();
    assert!(txn.get_for_update(b("b")).await.expect_err("a deadlock's victim").is_retry());
    assert!(world.env.clock.monotonic() - begun < Duration::from_secs(3));
}

#[tokio::test(start_paused = true)]
async fn a_lock_without_an_answer_is_given_back() {
    let world = World::new(&[]);
    world.hook(|batch| match ends_with(batch, "lock") {
        true => Fate::Silent,
        false => Fate::Normal,
    });
    let mut txn = world.db().begin(TxnOptions::default());
    assert_eq!(txn.get_for_update(b("a")).await, Err(TxnError::Unavailable));
    drop(txn);
    seconds(1).await;
    assert_eq!(count(&world.take_log(), "resolve"), 1, "it may have been granted");
}

#[tokio::test(start_paused = true)]
async fn a_drop_takes_intents_back_until_the_commit_is_on_its_way() {
    let world = World::new(&["m"]);
    world.hook(|batch| match batch.txn.is_some() && ends_with(batch, "refresh") {
        true => Fate::Silent,
        false => Fate::Normal,
    });
    let mut txn = world.db().begin(TxnOptions::default());
    txn.get(b("b")).await.expect("fine");
    for key in ["a", "z"] {
        txn.put(b(key), b("1")).expect("small");
        world.write(key, "theirs");
    }
    assert!(tokio::time::timeout(Duration::from_millis(500), txn.commit()).await.is_err());
    assert_eq!(world.state.lock().expect("no panic").intents.len(), 2);
    // The writes can no longer change, now that some of them are visible to others as intents.
    assert!(txn.put(b("c"), b("1")).expect_err("interrupted").is_retry());
    assert!(txn.commit().await.expect_err("interrupted").is_retry());
    drop(txn);
    seconds(0).await;
    let state = world.state.lock().expect("no panic");
    assert!(state.intents.is_empty() && state.records.is_empty());
}

#[tokio::test(start_paused = true)]
async fn savepoints_undo_writes() {
    let world = World::new(&[]);
    world.write("a", "0");
    let mut txn = world.db().begin(TxnOptions::default());
    txn.put(b("a"), b("1")).expect("small");
    let savepoint = txn.savepoint().expect("few");
    txn.put(b("a"), b("2")).expect("small");
    txn.put(b("b"), b("2")).expect("small");
    txn.get_for_update(b("c")).await.expect("fine");
    txn.rollback_to(savepoint).expect("live");
    assert_eq!(txn.get(b("a")).await, Ok(Some(b("1"))));
    assert_eq!(txn.get(b("b")).await, Ok(None));
    txn.release(savepoint).expect("live");
    assert!(txn.rollback_to(savepoint).is_err());
    txn.commit().await.expect("fine");
    assert_eq!((world.read("a"), world.read("b")), (Some(b("1")), None));
}

#[tokio::test(start_paused = true)]
async fn bounds_are_told_apart_from_conflicts() {
    let world = World::new(&[]);
    for key in ["a", "b", "c"] {
        world.write(key, "1");
    }
    let db = world.db_with(Config { max_buffer_keys: 2, max_locks: 2, ..Config::default() });
    let mut txn = db.begin(TxnOptions::default());
    for key in ["a", "b"] {
        txn.put(b(key), b("1")).expect("small");
    }
    assert_eq!(txn.put(b("c"), b("1")), Err(TxnError::TooLarge));
    assert_eq!(txn.scan_for_update(b("a"), b("z"), 9).await, Err(TxnError::TooLarge));
    assert_eq!(TxnError::TooLarge.sqlstate(), "54000");
    assert_eq!(TxnError::Ambiguous.sqlstate(), "40003");
    assert_eq!(TxnError::retry("").sqlstate(), "40001");
}

async fn increment(db: &Db) -> Result<(), TxnError> {
    db.run(TxnOptions::default(), |txn| {
        Box::pin(async move {
            let old = txn.get(b("n")).await?.map_or(0, |value| value[0]);
            tokio::task::yield_now().await;
            txn.put(b("n"), Bytes::copy_from_slice(&[old + 1]))
        })
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn run_restarts_with_new_transactions_until_it_fits() {
    let world = World::new(&[]);
    let db = world.db();
    // Spawned: the future must be `Send`.
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let db = db.clone();
            tokio::spawn(async move { increment(&db).await })
        })
        .collect();
    for task in tasks {
        task.await.expect("no panic").expect("restarted");
    }
    assert_eq!(world.read("n"), Some(Bytes::from_static(&[8])));
    let state = world.state.lock().expect("no panic");
    let priorities: Vec<u32> =
        state.log.iter().filter_map(|(_, batch)| Some(batch.txn.as_ref()?.priority)).collect();
    assert!(priorities.iter().any(|p| *p > 0), "someone had to start anew");
}

#[tokio::test(start_paused = true)]
async fn run_gives_up_after_its_restarts_and_never_repeats_the_unknown() {
    let world = World::new(&[]);
    let db = world.db_with(Config { max_restarts: 3, ..Config::default() });
    let mut runs = 0;
    let never: Result<(), TxnError> = db
        .run(TxnOptions::default(), |_| {
            runs += 1;
            Box::pin(async { Err(TxnError::retry("never")) })
        })
        .await;
    assert!(never.expect_err("gave up").is_retry());
    assert_eq!(runs, 4);

    world.hook(|batch| match ends_with(batch, "query") {
        true => Fate::Lost(SendError::Unavailable),
        false => Fate::Executed(SendError::Unknown),
    });
    let mut runs = 0;
    let unknown = db
        .run(TxnOptions::default(), |txn| {
            runs += 1;
            Box::pin(async { txn.put(b("a"), b("1")) })
        })
        .await;
    assert_eq!((unknown, runs), (Err(TxnError::Ambiguous), 1));
}
