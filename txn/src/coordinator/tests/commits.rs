//! Commits: the choice of protocol, pushed timestamps, and what an unknown outcome may be called.

use bytes::Bytes;
use kv::clock::Timestamp;
use kv::seam::SendError;
use std::time::Duration;

use super::fake::{Fate, World, ends_with};
use crate::api::{ErrorKind, RequestKind, TxnStatus};
use crate::db::{CommitDeadline, Config, Db, Txn, TxnError, TxnOptions};

fn b(text: &'static str) -> Bytes {
    text.into()
}

/// A transaction that has written `keys`, each its own name.
fn writing(world: &World, keys: &[&'static str]) -> Txn {
    let mut txn = world.db().begin(TxnOptions::default());
    for key in keys {
        txn.put(b(key), b(key)).expect("small");
    }
    txn
}

async fn settle() {
    tokio::time::sleep(Duration::from_millis(20)).await;
}

#[tokio::test(start_paused = true)]
async fn one_range_takes_one_phase() {
    let world = World::new(&["m"]);
    let mut txn = writing(&world, &["b", "a"]);
    txn.delete(b("c")).expect("small");
    let ts = txn.commit().await.expect("fine");
    assert!(ts >= txn.read_ts());
    assert_eq!(world.take_log(), ["put@1", "put@1", "put@1", "commit1@1"]);
    settle().await;
    assert_eq!(world.take_log(), [""; 0], "nothing is left to do");
    assert_eq!(world.read("b"), Some(b("b")));
    assert!(matches!(txn.commit().await, Err(TxnError::Invalid(_))));
}

#[tokio::test(start_paused = true)]
async fn several_ranges_take_two_phases_and_leave_nothing_behind() {
    let world = World::new(&["m"]);
    let mut txn = writing(&world, &["z", "a"]);
    txn.commit().await.expect("fine");
    assert_eq!(world.take_log(), ["put@1", "put@2", "commit2@2"], "z was first: the anchor");
    settle().await;
    assert_eq!(world.take_log(), ["resolve@1", "resolve@2", "collect@2"]);
    let state = world.state.lock().expect("no panic");
    assert!(state.intents.is_empty() && state.records.is_empty());
    drop(state);
    assert_eq!((world.read("a"), world.read("z")), (Some(b("a")), Some(b("z"))));
}

#[tokio::test(start_paused = true)]
async fn nothing_written_is_nothing_sent() {
    let world = World::new(&[]);
    let mut txn = world.db().begin(TxnOptions::default());
    txn.get(b("a")).await.expect("fine");
    world.take_log();
    let ts = txn.commit().await.expect("fine");
    assert_eq!(ts, txn.read_ts());
    settle().await;
    assert_eq!(world.take_log(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_pushed_one_phase_commit_refreshes_or_fails() {
    let world = World::new(&[]);
    let mut txn = writing(&world, &["a"]);
    txn.get(b("b")).await.expect("fine");
    world.write("a", "theirs");
    txn.commit().await.expect("b has not changed");
    assert_eq!(
        world.take_log(),
        ["get@1", "put@1", "commit1@1", "refresh@1", "put@1", "commit1@1"]
    );
    assert_eq!(world.read("a"), Some(b("a")));

    let mut txn = writing(&world, &["a"]);
    txn.get(b("a")).await.expect("own write");
    txn.get(b("b")).await.expect("fine");
    world.write("a", "theirs");
    world.write("b", "theirs");
    assert!(txn.commit().await.expect_err("b has changed").is_retry());
    assert_eq!(world.read("a"), Some(b("theirs")));
}

#[tokio::test(start_paused = true)]
async fn pushed_intents_refresh_before_the_record_or_are_taken_back() {
    let world = World::new(&["m"]);
    let mut txn = writing(&world, &["a", "z"]);
    txn.get(b("b")).await.expect("fine");
    world.write("z", "theirs");
    txn.commit().await.expect("b has not changed");
    settle().await;
    assert_eq!(
        world.take_log(),
        [
            "get@1",
            "put@1",
            "put@2",
            "refresh@1",
            "commit2@1",
            "resolve@1",
            "resolve@2",
            "collect@1"
        ]
    );
    assert_eq!(world.read("z"), Some(b("z")));

    let mut txn = writing(&world, &["a", "z"]);
    txn.get(b("b")).await.expect("fine");
    world.write("z", "theirs");
    world.write("b", "theirs");
    assert!(txn.commit().await.expect_err("b has changed").is_retry());
    settle().await;
    assert_eq!(
        world.take_log(),
        ["get@1", "put@1", "put@2", "refresh@1", "abort@1", "resolve@1", "resolve@2", "collect@1"]
    );
    assert_eq!((world.read("a"), world.read("z")), (Some(b("a")), Some(b("theirs"))));
    assert!(world.state.lock().expect("no panic").intents.is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_unknown_one_phase_commit_is_ambiguous_unless_it_is_remembered() {
    for (executed, remembered) in [(true, true), (true, false), (false, false)] {
        let world = World::new(&[]);
        let forgetful = world.clone();
        world.hook(move |batch| {
            if !remembered {
                forgetful.state.lock().expect("no panic").remembered.clear();
            }
            match ends_with(batch, "commit1") {
                true if executed => Fate::Executed(SendError::Unknown),
                true => Fate::Lost(SendError::Unknown),
                false => Fate::Normal,
            }
        });
        let mut txn = writing(&world, &["a"]);
        match txn.commit().await {
            Ok(ts) => assert!(remembered && ts >= txn.read_ts()),
            Err(error) => assert!(!remembered && error == TxnError::Ambiguous),
        }
        txn.rollback();
        drop(txn);
        settle().await;
        assert_eq!(world.take_log(), ["put@1", "commit1@1", "query@1"], "sent once");
    }
}

#[tokio::test(start_paused = true)]
async fn an_unknown_two_phase_commit_is_asked_for() {
    for executed in [false, true] {
        let world = World::new(&["m"]);
        let mut first = true;
        world.hook(move |batch| match ends_with(batch, "commit2") && std::mem::take(&mut first) {
            true if executed => Fate::Executed(SendError::Unknown),
            true => Fate::Lost(SendError::Unknown),
            false => Fate::Normal,
        });
        writing(&world, &["a", "z"]).commit().await.expect("found out");
        settle().await;
        assert_eq!((world.read("a"), world.read("z")), (Some(b("a")), Some(b("z"))));
        let log = world.take_log();
        assert_eq!(log[2..4], ["commit2@1", "query@1"]);
        assert_eq!(
            log.iter().filter(|word| *word == "commit2@1").count(),
            2 - usize::from(executed)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn only_an_aborted_record_proves_an_unknown_commit_failed() {
    let world = World::new(&["m"]);
    let aborter = world.clone();
    world.hook(move |batch| {
        if ends_with(batch, "commit2") {
            let id = batch.txn.as_ref().expect("a transaction").id.clone();
            let mut state = aborter.state.lock().expect("no panic");
            state.records.entry(id).or_default().status = TxnStatus::Aborted as i32;
            return Fate::Lost(SendError::Unknown);
        }
        Fate::Normal
    });
    assert!(writing(&world, &["a", "z"]).commit().await.expect_err("aborted").is_retry());
    settle().await;
    assert!(world.state.lock().expect("no panic").intents.is_empty());

    // Refused as aborted, but there is no record: it may have committed and been collected by others.
    let world = World::new(&["m"]);
    let mut commits = 0;
    world.hook(move |batch| {
        commits += usize::from(ends_with(batch, "commit2"));
        match (ends_with(batch, "commit2"), commits) {
            (true, 1) => Fate::Lost(SendError::Unknown),
            (true, _) => Fate::Refused(ErrorKind::Aborted, 0),
            _ => Fate::Normal,
        }
    });
    assert_eq!(writing(&world, &["a", "z"]).commit().await, Err(TxnError::Ambiguous));
    settle().await;
    let log = world.take_log();
    assert!(!log.iter().any(|word| word.starts_with("resolve") || word.starts_with("abort")));
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_nobody_can_find_out_is_ambiguous_at_the_deadline() {
    let world = World::new(&["m"]);
    world.hook(|batch| match ends_with(batch, "put") {
        true => Fate::Normal,
        false => Fate::Silent,
    });
    let mut txn = writing(&world, &["a", "z"]);
    assert_eq!(txn.commit().await, Err(TxnError::Ambiguous));
    let spent = world.env.clock.monotonic().as_secs();
    assert!((19..=21).contains(&spent), "{spent} s");
    assert_eq!(world.state.lock().expect("no panic").intents.len(), 2, "they are left to others");
}

#[tokio::test(start_paused = true)]
async fn a_commit_dropped_on_its_way_is_never_taken_back() {
    let world = World::new(&["m"]);
    world.hook(|batch| match ends_with(batch, "commit2") {
        true => Fate::Silent,
        false => Fate::Normal,
    });
    let mut txn = writing(&world, &["a", "z"]);
    assert!(tokio::time::timeout(Duration::from_secs(2), txn.commit()).await.is_err());
    assert_eq!(txn.get(b("a")).await, Err(TxnError::Ambiguous));
    txn.rollback();
    drop(txn);
    settle().await;
    let log = world.take_log();
    assert!(!log.iter().any(|word| word.starts_with("resolve") || word.starts_with("abort")));
}

#[tokio::test(start_paused = true)]
async fn a_moved_range_may_turn_one_phase_into_two() {
    let world = World::new(&[]);
    let mover = world.clone();
    let mut moved = false;
    world.hook(move |_| {
        if !std::mem::replace(&mut moved, true) {
            mover.split(&["m"]);
        }
        Fate::Normal
    });
    writing(&world, &["a", "z"]).commit().await.expect("fine");
    assert_eq!(world.take_log(), ["put@1", "put@1", "commit1@1", "put@1", "put@2", "commit2@1"]);
}

#[tokio::test(start_paused = true)]
async fn a_commit_overtaken_time_and_again_lays_intents() {
    let world = World::new(&[]);
    let env = world.env.clone();
    world.hook(move |batch| match ends_with(batch, "commit1") {
        true => Fate::Refused(ErrorKind::RetryAt, env.clock.now().raw()),
        false => Fate::Normal,
    });
    let mut txn = writing(&world, &["a"]);
    txn.get(b("b")).await.expect("fine");
    txn.commit().await.expect("in two phases");
    let log = world.take_log();
    assert_eq!(log.iter().filter(|word| *word == "commit1@1").count(), 6);
    assert_eq!(log.last().map(String::as_str), Some("commit2@1"));
}

#[tokio::test(start_paused = true)]
async fn an_unknown_intent_is_laid_again_and_an_unreachable_one_fails_for_certain() {
    let world = World::new(&["m"]);
    let mut first = true;
    world.hook(move |_| match std::mem::take(&mut first) {
        true => Fate::Lost(SendError::Unknown),
        false => Fate::Normal,
    });
    writing(&world, &["a", "z"]).commit().await.expect("repeated");
    world.hook(|batch| match ends_with(batch, "put") {
        true => Fate::Lost(SendError::Unavailable),
        false => Fate::Normal,
    });
    let mut txn = writing(&world, &["b", "y"]);
    assert_eq!(txn.commit().await, Err(TxnError::Unavailable));
    settle().await;
    assert!(world.state.lock().expect("no panic").records.is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_commit_deadline_is_kept() {
    let world = World::new(&["m"]);
    for keys in [&["a"][..], &["a", "z"], &[]] {
        let mut txn = writing(&world, keys);
        let deadline = txn.read_ts();
        txn.commit_before(CommitDeadline::new(Timestamp::MAX));
        txn.commit_before(CommitDeadline::new(deadline));
        assert_eq!(txn.commit().await, Err(TxnError::DeadlineExceeded));
    }
    settle().await;
    assert_eq!(world.read("a"), None);
    let mut txn = writing(&world, &["a"]);
    txn.commit_before(CommitDeadline::new(Timestamp::from_raw(txn.read_ts().raw() + 1)));
    txn.commit().await.expect("just in time");
}

/// While a commit is under way it is pushed beyond its deadline, which has moved on as well, or has not.
#[tokio::test(start_paused = true)]
async fn a_commit_deadline_may_move_on_meanwhile() {
    for (moves, keys) in
        [(false, &["a"][..]), (true, &["a"]), (false, &["a", "z"]), (true, &["a", "z"])]
    {
        let world = World::new(&["m"]);
        let mut txn = writing(&world, keys);
        let deadline = CommitDeadline::new(txn.read_ts().next_millisecond());
        txn.commit_before(deadline.clone());
        let pushed = txn.read_ts().saturating_add(Duration::from_secs(5));
        let mut push = true;
        world.hook(move |_| match std::mem::take(&mut push) {
            true if moves => {
                deadline.extend(pushed.next());
                deadline.extend(Timestamp::ZERO);
                Fate::Refused(ErrorKind::RetryAt, pushed.raw())
            }
            true => Fate::Refused(ErrorKind::RetryAt, pushed.raw()),
            false => Fate::Normal,
        });
        let expected = if moves { Ok(pushed) } else { Err(TxnError::DeadlineExceeded) };
        assert_eq!(txn.commit().await, expected, "{keys:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn large_commits_are_divided_and_too_large_ones_refused() {
    let world = World::new(&[]);
    let (batch_bytes, one_phase_bytes, max_buffer_bytes) = (8, 8, 16);
    let config = Config { batch_bytes, one_phase_bytes, max_buffer_bytes, ..Config::default() };
    let mut txn = world.db_with(config).begin(TxnOptions::default());
    for key in ["a", "b", "c"] {
        txn.put(b(key), b("123")).expect("small");
    }
    assert_eq!(txn.put(b("d"), b("12345")), Err(TxnError::TooLarge));
    txn.commit().await.expect("in pieces");
    let batches: Vec<usize> = {
        let state = world.state.lock().expect("no panic");
        state.log.iter().map(|(_, batch)| batch.requests.len()).collect()
    };
    assert_eq!(batches, [2, 1, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_record_is_collected_only_after_everything_is_settled() {
    for lost in ["abort", "resolve"] {
        let world = World::new(&["m"]);
        world.hook(move |batch| match ends_with(batch, lost) || ends_with(batch, "commit2") {
            true => Fate::Lost(SendError::Unavailable),
            false => Fate::Normal,
        });
        assert_eq!(writing(&world, &["a", "z"]).commit().await, Err(TxnError::Unavailable));
        settle().await;
        assert!(!world.take_log().iter().any(|word| word.starts_with("collect")));
    }
}

/// More batches than an operation's time allows one after the other.
#[tokio::test(start_paused = true)]
async fn a_large_commit_has_time_for_each_of_its_batches() {
    let cluster = crate::testing::LocalCluster::new();
    let config = Config { batch_requests: 2, one_phase_writes: 10, ..Config::default() };
    let db = Db::new(cluster.env.clone(), cluster.clone(), config);
    let mut txn = db.begin(TxnOptions::default());
    let key = |n: u8| Bytes::from(vec![b'k', n]);
    for n in 0..200 {
        txn.put(key(n), b("v")).expect("small");
    }
    cluster.set_apply_delay(Duration::from_secs(2));
    let began = cluster.env.clock.monotonic();
    txn.commit().await.expect("each batch is quick enough");
    assert!(cluster.env.clock.monotonic() - began > Duration::from_secs(20));
    cluster.set_apply_delay(Duration::ZERO);
    let mut txn = db.begin(TxnOptions::default());
    let rows = txn.scan(b("k"), b("l"), 1_000).await.expect("fine");
    assert_eq!(rows.len(), 200);
}

/// A commit that cannot get ahead ends when its first batches do, however many there are.
#[tokio::test(start_paused = true)]
async fn a_large_commit_stops_at_the_first_batch_that_fails() {
    let world = World::new(&[]);
    let config = Config { batch_requests: 1, one_phase_writes: 10, ..Config::default() };
    let limit = config.op_timeout;
    let mut txn = world.db_with(config).begin(TxnOptions::default());
    for n in 0..100u8 {
        txn.put(Bytes::from(vec![b'k', n]), b("v")).expect("small");
    }
    world.hook(|_| Fate::Silent);
    let began = world.env.clock.monotonic();
    assert_eq!(txn.commit().await, Err(TxnError::Unavailable));
    assert!(world.env.clock.monotonic() - began <= limit);
    let puts = world.take_log().into_iter().filter(|word| word.starts_with("put")).count();
    assert!(puts < 20, "{puts} of 100 were sent");
}

/// The record of a large transaction has spans over its keys, and no answer carries either.
#[tokio::test(start_paused = true)]
async fn a_large_transaction_has_a_small_record() {
    let world = World::new(&[]);
    let config = Config { one_phase_writes: 10, max_record_bytes: 100, ..Config::default() };
    let mut txn = world.db_with(config).begin(TxnOptions::default());
    for n in 0..200u8 {
        txn.put(Bytes::from(vec![b'k', n]), b("v")).expect("small");
    }
    txn.commit().await.expect("fine");
    let state = world.state.lock().expect("no panic");
    let end =
        state.log.iter().find_map(|(_, batch)| match batch.requests.last()?.kind.as_ref()? {
            RequestKind::EndTxn(end) => Some(end.clone()),
            _ => None,
        });
    let end = end.expect("two phases");
    assert!(end.keys.is_empty() && !end.spans.is_empty());
    let bytes: usize = end.spans.iter().map(|span| span.start.len() + span.end.len()).sum();
    assert!(bytes <= 100);
    for n in 0..200u8 {
        let key = [b'k', n];
        let covers = |span: &crate::api::Span| span.start[..] <= key[..] && key[..] < span.end[..];
        assert!(end.spans.iter().any(covers));
    }
}
