//! Gates of changes that take long, and of changes that die.

use std::time::Duration;

use txn::db::TxnOptions;

use super::*;
use crate::catalog::store::{Gates, TxnCatalog};
use crate::catalog::testing::World;

/// With a lock timeout.
const IMPATIENT: Patience = Patience { limit: Some(Duration::from_secs(1)), holds: Vec::new() };

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
        world.try_close(&world.there, IMPATIENT).await.err()
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
    txn.put(keys::name("public", "mark"), Bytes::from_static(b"1")).unwrap();
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
    assert_eq!(renew(&world.here, &keys::beat(world.id()), beat).await, Ok(false));
}

/// B5: a gate that a build without beats has closed, and how such a build reads one of ours.
#[tokio::test(start_paused = true)]
async fn gates_of_builds_without_beats_are_kept() {
    let world = World::new().await;
    let mut txn = world.db.begin(TxnOptions::default());
    let until = txn.read_ts().saturating_add(Duration::from_secs(300));
    let gate = Gate { until: until.raw(), owner: 7, renewable: false };
    txn.put(keys::gate(world.id()), codec::encode(&gate)).unwrap();
    txn.commit().await.unwrap();
    world.there.want(world.id());
    world.sleep(Duration::from_secs(1)).await;
    assert!(!world.has_lease(&world.there));
    let refused = world.try_close(&world.here, IMPATIENT).await.err();
    assert_eq!(refused.unwrap().state, SqlState::LOCK_NOT_AVAILABLE);
    world.sleep(Duration::from_secs(298)).await;
    let ours = world.close(&world.here).await;
    let mut txn = world.db.begin(TxnOptions::default());
    let found: Gate =
        codec::decode(&txn.get(keys::gate(world.id())).await.unwrap().unwrap()).unwrap();
    assert_eq!((found.until, found.owner), (u64::MAX, ours.owner));
    drop(txn);
    world.change(&ours, Duration::ZERO).await.unwrap();
}

/// A transaction that uses a lease is waited for, on whichever node and for however long, and no new one begins to use it.
#[tokio::test(start_paused = true)]
async fn a_change_waits_for_who_uses_a_lease() {
    let world = World::new().await;
    let used = world.used_here().await;
    let free = world.time() + Duration::from_secs(100);
    let (gate, ()) = futures::join!(world.close(&world.there), async {
        world.sleep(Duration::from_secs(50)).await;
        assert!(!world.has_lease(&world.here));
        assert!(world.here.extended(&used.table).await > Some(world.here.env().clock.now()));
        world.sleep(Duration::from_secs(50)).await;
        drop(used);
    });
    assert!(world.time() >= free && world.time() < free + Duration::from_secs(1));
    world.change(&gate, Duration::ZERO).await.unwrap();
}

/// Nodes that have used the table, and do not now, give their leases back when they are asked.
#[tokio::test(start_paused = true)]
async fn leases_that_nobody_uses_are_given_back_at_once() {
    let world = World::new().await;
    world.lease(&world.here).await;
    world.lease(&world.there).await;
    let begin = world.time();
    let gate = world.close(&world.here).await;
    assert!(world.time() - begin < Duration::from_secs(1), "{:?}", world.time() - begin);
    // Whoever holds one shuts nobody out: it is not renewed behind a shut gate.
    assert!(world.there.extended(&world.table).await.is_none());
    world.change(&gate, Duration::ZERO).await.unwrap();
}

/// `lock_timeout` ends the wait for leases, and leaves an open gate.
#[tokio::test(start_paused = true)]
async fn a_change_waits_no_longer_than_its_lock_timeout() {
    let world = World::new().await;
    let used = world.used_here().await;
    let refused = world.try_close(&world.there, IMPATIENT).await.err().unwrap();
    assert_eq!(refused.state, SqlState::LOCK_NOT_AVAILABLE);
    world.sleep(Duration::from_millis(10)).await;
    assert_eq!(look(&world.here, world.id(), &IMPATIENT).await, Ok(None));
    drop(used);
}

/// Who holds something and waits for a gate whose owner waits, too, does not wait for ever: it might be for each other.
#[tokio::test(start_paused = true)]
async fn a_standoff_ends() {
    let world = World::new().await;
    let used = world.used_here().await;
    let holds = || Patience { holds: vec![TableId(7)], ..Patience::default() };
    let (_gate, ()) = futures::join!(world.close(&world.there), async {
        world.sleep(Duration::from_millis(500)).await;
        let begin = world.time();
        assert_eq!(pass(&world.here, world.id(), holds()).await, Ok(true));
        let waited = world.time() - begin;
        assert!(waited >= STANDOFF && waited < STANDOFF * 2, "{waited:?}");
        let refused = world.try_close(&world.here, holds()).await.err().unwrap();
        assert_eq!(refused.state, SqlState::DEADLOCK_DETECTED);
        // Who holds nothing waits for the end of the change.
        assert_eq!(pass(&world.here, world.id(), IMPATIENT).await.unwrap_err().state.0, "55P03");
        drop(used);
    });
}

/// The gates of a change outlive an attempt that fails, and the next one looks the table up anew: nobody but itself keeps
/// that gate closed, and it would wait for ever, while its beats kept all others out. Through the simulator: seed 3.
#[tokio::test(start_paused = true)]
async fn a_change_that_is_run_again_does_not_wait_for_itself() {
    let world = World::new().await;
    let mut gates = Gates::default();
    let begin = world.time();
    for attempt in 1..=3 {
        let mut txn = world.db.begin(TxnOptions::default());
        let mut catalog = TxnCatalog::new(world.here.clone());
        catalog.know_gates(&gates);
        let found = catalog.table(&mut txn, &world.table.schema, &world.table.name);
        let clock = &world.here.env().clock;
        let table = clock.timeout(ALIVE, found).await.expect("it waits").unwrap().unwrap();
        let old = catalog.begin_change(&mut txn, &mut gates, table.id).await.unwrap();
        let mut new = (*old).clone();
        new.name = format!("t{attempt}");
        catalog.update(&mut txn, &old, new).unwrap();
        if attempt == 3 {
            txn.commit().await.unwrap();
        } else {
            txn.rollback();
        }
    }
    assert!(world.time() - begin < ALIVE);
    gates.clear();
    world.sleep(Duration::from_millis(50)).await;
    // Others go on at once, with what the last attempt made of it.
    let mut txn = world.db.begin(TxnOptions::default());
    let mut catalog = TxnCatalog::new(world.there.clone());
    let table = catalog.table(&mut txn, &world.table.schema, "t3").await.unwrap().unwrap();
    assert_eq!(table.version, world.table.version + 1);
}
