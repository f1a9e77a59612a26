//! Leases where they are tight: answers that come late, changes that follow one another.

use std::time::Duration;

use futures::future::FutureExt;
use txn::db::TxnOptions;

use super::*;
use crate::catalog::testing::World;

/// A lease was asked for, then a change of this very node came and went; only then does the answer come.
#[tokio::test(start_paused = true)]
async fn a_lease_that_was_asked_for_before_a_revocation_counts_for_nothing() {
    let world = World::new().await;
    let asked = world.here.state().asks(world.id()).unwrap();
    let taken = world.here.take(world.id()).await.unwrap().unwrap();
    let gate = world.close(&world.here).await;
    assert!(world.here.state().asks(world.id()).is_none());
    world.change(&gate, Duration::ZERO).await.unwrap();
    drop(gate);
    world.sleep(Duration::from_millis(10)).await;
    assert!(
        !world.here.state().install(asked, taken),
        "it speaks of the version before the change"
    );
    assert!(!world.has_lease(&world.here));
    world.lease(&world.here).await;
}

/// Two changes of one node follow each other closely: the end of the first does not end the second's revocation.
#[tokio::test(start_paused = true)]
async fn each_change_revokes_for_itself() {
    let world = World::new().await;
    world.here.revoke(world.id());
    world.here.revoke(world.id());
    world.here.restore(world.id());
    assert!(world.here.state().asks(world.id()).is_none());
    world.here.restore(world.id());
    assert!(world.here.state().asks(world.id()).is_some());
}

/// Of two requests of a node the earlier is written later: others must see the later end.
#[tokio::test(start_paused = true)]
async fn a_lease_row_never_goes_back() {
    let world = World::new().await;
    let row = keys::lease(world.id(), world.here.holder());
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

/// The node's own transactions are waited for, also by the second of two changes, whose predecessor took their lease away
/// and was given up.
#[tokio::test(start_paused = true)]
async fn a_change_waits_for_transactions_whose_lease_another_one_revoked() {
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
        world.here.doubt(world.id(), end);
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
    // Another table's change ends: what does not matter any more is forgotten.
    world.here.revoke(TableId(1));
    world.here.restore(TableId(1));
    let end = world.here.extended(&used.table).await.unwrap();
    assert!(end > clock.now());
    let (_gate, ()) = futures::join!(world.close(&world.here), async {
        world.sleep(Duration::from_secs(4)).await;
        assert!(world.here.may_commit(world.id()));
        drop(used);
    });
    assert!(clock.now() < end);
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
        let asked = state.asks(world.id()).unwrap();
        let mut table = (*world.table).clone();
        (table.id, table.name) = (TableId(100_000 + number), format!("t{number}"));
        let start = now.saturating_add(Duration::from_millis(number.into()));
        let end = start.saturating_add(Duration::from_millis(500));
        assert!(state.install(asked, Taken { table: Arc::new(table), start, end }));
        assert!(state.leases.len() <= MAX_KEPT && state.names.len() <= MAX_KEPT);
        assert!(state.uses.len() <= MAX_KEPT + 1);
    }
    assert!(state.uses.contains_key(&world.id()), "a transaction may yet extend its lease");
    drop(used);
}
