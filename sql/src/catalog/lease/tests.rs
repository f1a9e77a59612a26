//! Leases where they are tight: answers that come late, changes that follow one another.

use std::time::Duration;

use futures::future::FutureExt;
use txn::db::TxnOptions;

use super::*;
use crate::catalog::testing::World;

/// A lease was taken, then a change of this very node asks for it back; only then does the answer come. Its row is there,
/// so the change waits for it; and when that has ended, the late answer counts for nothing.
#[tokio::test(start_paused = true)]
async fn a_lease_whose_answer_comes_late_is_waited_for() {
    let world = World::new().await;
    let taken = world.here.take(world.id(), None).await.unwrap().unwrap();
    let end = taken.end;
    let gate = world.close(&world.here).await;
    assert!(world.here.env().clock.now() >= end);
    world.here.install(taken);
    assert!(!world.has_lease(&world.here));
    world.change(&gate, Duration::ZERO).await.unwrap();
    drop(gate);
    world.sleep(Duration::from_millis(10)).await;
    world.lease(&world.here).await;
}

/// A node gives back what it knows of. A row that was written anew meanwhile stays.
#[tokio::test(start_paused = true)]
async fn a_row_that_was_written_again_is_not_given_back() {
    let world = World::new().await;
    world.lease(&world.here).await;
    world.sleep(Duration::from_secs(1)).await;
    let taken = world.here.take(world.id(), None).await.unwrap().unwrap();
    world.here.give_back(world.id()).await;
    let mut txn = world.db.begin(TxnOptions::default());
    let row = txn.get(keys::lease(world.id(), world.here.holder)).await.unwrap().unwrap();
    assert_eq!(codec::decode::<LeaseRecord>(&row).unwrap().end, taken.end.raw());
    world.here.install(taken);
    world.here.give_back(world.id()).await;
    let mut txn = world.db.begin(TxnOptions::default());
    assert_eq!(txn.get(keys::lease(world.id(), world.here.holder)).await.unwrap(), None);
}

/// Of two requests of a node the earlier is written later: others must see the later end.
#[tokio::test(start_paused = true)]
async fn a_lease_row_never_goes_back() {
    let world = World::new().await;
    let row = keys::lease(world.id(), world.here.holder);
    let later = world.here.env().clock.now().saturating_add(DURATION * 6).raw();
    let mut txn = world.db.begin(TxnOptions::default());
    let record = LeaseRecord { version: world.table.version, end: later };
    txn.put(row.clone(), codec::encode(&record)).unwrap();
    txn.commit().await.unwrap();
    world.lease(&world.here).await;
    let mut txn = world.db.begin(TxnOptions::default());
    let found: LeaseRecord = codec::decode(&txn.get(row).await.unwrap().unwrap()).unwrap();
    assert_eq!(found.end, later);
}

/// A transaction is waited for also by the second of two changes, whose predecessor asked for its lease and was given up.
#[tokio::test(start_paused = true)]
async fn a_change_waits_for_transactions_whose_lease_another_one_asked_for() {
    let world = World::new().await;
    let used = world.used_here().await;
    assert!(Box::pin(world.close(&world.here)).now_or_never().is_none());
    world.sleep(Duration::from_millis(10)).await;
    let free = world.time() + Duration::from_secs(3);
    let (gate, ()) = futures::join!(world.close(&world.here), async {
        world.sleep(Duration::from_secs(3)).await;
        drop(used);
    });
    assert!(world.time() >= free);
    world.change(&gate, Duration::ZERO).await.unwrap();
}

/// A commit becomes doubtful while a change waits for its transaction.
#[tokio::test(start_paused = true)]
async fn a_change_waits_for_a_commit_that_ends_in_doubt_meanwhile() {
    let world = World::new().await;
    let used = world.used_here().await;
    let clock = world.here.env().clock.clone();
    let end = used.end;
    let (_gate, ()) = futures::join!(world.close(&world.here), async {
        world.sleep(Duration::from_secs(1)).await;
        world.here.doubt(&world.table, end);
        drop(used);
    });
    assert!(clock.now() >= end);
}

/// A transaction outlived its lease, and then extends it: it counts as long as it lives.
#[tokio::test(start_paused = true)]
async fn a_change_waits_for_a_transaction_that_extended_its_lease() {
    let world = World::new().await;
    let used = world.used_here().await;
    let clock = world.here.env().clock.clone();
    world.sleep(DURATION * 2).await;
    // What does not matter any more is forgotten.
    world.here.state().forget(clock.now());
    let end = world.here.extended(&used.table).await.unwrap();
    assert!(end > clock.now());
    let (_gate, ()) = futures::join!(world.close(&world.here), async {
        world.sleep(DURATION * 2).await;
        assert!(world.here.state().unused(world.id(), clock.now()).is_none());
        drop(used);
    });
    assert!(world.time() > DURATION * 4);
}

/// Tables come and go on other nodes: what is kept of them here has a bound, and what is still in use stays.
#[tokio::test(start_paused = true)]
async fn leases_that_ended_are_forgotten() {
    let world = World::new().await;
    let used = world.used_here().await;
    world.sleep(DURATION * 2).await;
    let now = world.here.env().clock.now();
    let mut state = world.here.state();
    for number in 0..MAX_KEPT as u32 * 3 {
        let mut table = (*world.table).clone();
        (table.id, table.name) = (TableId(100_000 + number), format!("t{number}"));
        let start = now.saturating_add(Duration::from_millis(number.into()));
        let end = start.saturating_add(Duration::from_millis(500));
        state.install(Taken { table: Arc::new(table), start, end, is_open: true });
        assert!(state.leases.len() <= MAX_KEPT && state.names.len() <= MAX_KEPT);
        assert!(state.uses.len() <= MAX_KEPT + 1);
    }
    let key = (world.id(), world.table.version);
    assert!(state.uses.contains_key(&key), "a transaction may yet extend its lease");
    drop(state);
    drop(used);
}

/// What is used is renewed for as long as it is; what is not, is not, and then nothing is looked for any more.
#[tokio::test(start_paused = true)]
async fn a_lease_is_kept_while_it_is_used() {
    let world = World::new().await;
    let used = world.used_here().await;
    world.sleep(DURATION * 5).await;
    let now = world.here.env().clock.now();
    assert!(world.here.end_of(&used.table).is_some_and(|end| now < end));
    drop(used);
    world.sleep(DURATION * 2).await;
    assert!(world.here.end_of(&world.table).is_none() && !world.here.state().is_kept);
    world.lease(&world.here).await;
    assert!(world.here.state().is_kept);
}
