//! Gates of changes that take long, and of changes that die.

use std::time::Duration;

use txn::db::TxnOptions;

use super::*;
use crate::catalog::testing::World;

/// As if the change's node had died, as far as others can see.
fn die(gate: &mut ClosedGate) {
    gate.life = Arc::default();
}

/// A change may take its time, as long as its node lives; nobody gets a lease meanwhile, and no other change its turn.
#[tokio::test(start_paused = true)]
async fn a_long_change_keeps_its_gate_closed() {
    let world = World::new().await;
    let gate = world.close(&world.here).await;
    let (changed, refused) = futures::join!(world.change(&gate, ALIVE * 5), async {
        world.sleep(ALIVE * 2).await;
        world.there.want(world.id());
        world.sleep(Duration::from_secs(1)).await;
        assert!(!world.has_lease(&world.there));
        ClosedGate::close(&world.there, world.id()).await.err()
    });
    changed.unwrap();
    assert_eq!(refused.unwrap().state, SqlState::LOCK_NOT_AVAILABLE);
    world.lease(&world.there).await;
}

/// A change whose node dies is taken for dead when its last beat is over. Others go on; it can never commit.
#[tokio::test(start_paused = true)]
async fn a_dead_change_keeps_others_out_for_a_while_and_never_commits() {
    let world = World::new().await;
    let mut dead = world.close(&world.here).await;
    let mut txn = world.db.begin(TxnOptions::default());
    txn.put(keys::name("public", "mark"), bytes::Bytes::from_static(b"1")).unwrap();
    die(&mut dead);
    dead.enter(&mut txn).await.unwrap();
    // Its lock on the gate is nobody's after a while.
    let begin = world.time();
    let (gate, refused) = futures::join!(world.close(&world.there), async {
        world.sleep(ALIVE + BEAT).await;
        txn.commit().await
    });
    let taken = world.time() - begin;
    assert!(taken >= ALIVE - BEAT && taken <= ALIVE + BEAT * 2, "{taken:?}");
    refused.unwrap_err();
    assert!(!dead.is_alive() && gate.is_alive());
    world.change(&dead, Duration::ZERO).await.unwrap_err();
    drop(dead);
    world.sleep(Duration::from_millis(10)).await;
    world.change(&gate, Duration::ZERO).await.unwrap();
}

/// Even if nobody else closed the gate: leases may have been taken since.
#[tokio::test(start_paused = true)]
async fn a_change_that_was_not_heard_of_does_not_commit() {
    let world = World::new().await;
    let mut dead = world.close(&world.here).await;
    die(&mut dead);
    let (late, ()) = futures::join!(world.change(&dead, ALIVE * 2), async {
        world.sleep(ALIVE + BEAT).await;
        world.lease(&world.there).await;
    });
    late.unwrap_err();
    // Nor does a beat bring it back.
    let beat = Beat { owner: dead.owner, until: u64::MAX };
    assert_eq!(renew(&world.here, world.id(), beat).await, Ok(false));
}

/// B5: a gate that a build without beats has closed, and how such a build reads one of ours.
#[tokio::test(start_paused = true)]
async fn gates_of_builds_without_beats_are_kept() {
    let world = World::new().await;
    let mut txn = world.db.begin(TxnOptions::default());
    let until = txn.read_ts().saturating_add(Duration::from_secs(300));
    let gate = Gate { until: until.raw(), owner: 7 };
    txn.put(keys::gate(world.id()), codec::encode(&gate)).unwrap();
    txn.commit().await.unwrap();
    world.there.want(world.id());
    world.sleep(Duration::from_secs(1)).await;
    assert!(!world.has_lease(&world.there));
    let refused = ClosedGate::close(&world.here, world.id()).await.err();
    assert_eq!(refused.unwrap().state, SqlState::LOCK_NOT_AVAILABLE);
    world.sleep(Duration::from_secs(270)).await;
    let ours = world.close(&world.here).await;
    let mut txn = world.db.begin(TxnOptions::default());
    let found: Gate =
        codec::decode(&txn.get(keys::gate(world.id())).await.unwrap().unwrap()).unwrap();
    assert_eq!((found.until, found.owner), (u64::MAX, ours.owner));
    drop(txn);
    world.change(&ours, Duration::ZERO).await.unwrap();
}
