//! Builds whose node dies, and what they leave.

use super::*;
use crate::catalog::store::TxnCatalog;
use crate::catalog::testing::World;

impl World {
    /// Begins a build, as CREATE INDEX does.
    async fn begin_build(&self) -> Build {
        let gate = self.close(&self.here).await;
        let mut txn = self.db.begin(TxnOptions::default());
        gate.enter(&mut txn).await.unwrap();
        let mut table = read(&mut txn, self.id()).await.unwrap().unwrap();
        let id = IndexId(table.next_index);
        table.next_index += 1;
        table.version += 1;
        let key = vec![(table.columns[0].id, true)];
        let name = "t_backwards".to_owned();
        let index =
            IndexDescriptor { id, oid: 99_999, name, unique: false, constraint: false, key };
        table.building.push(index);
        txn.put(keys::name(&table.schema, "t_backwards"), Bytes::from_static(b"\x01")).unwrap();
        txn.put(keys::descriptor(self.id()), codec::encode_table(&table)).unwrap();
        let build =
            TxnCatalog::new(self.here.clone()).claim_build(&mut txn, self.id(), id).unwrap();
        txn.commit().await.unwrap();
        build
    }

    async fn present(&self) -> TableDescriptor {
        read(&mut self.db.begin(TxnOptions::default()), self.id()).await.unwrap().unwrap()
    }

    async fn has(&self, key: Bytes) -> bool {
        self.db.begin(TxnOptions::default()).get(key).await.unwrap().is_some()
    }
}

fn duplicated(
    _: &TableDescriptor,
    _: &IndexDescriptor,
    _: &[sql_values::types::Datum],
) -> SqlError {
    SqlError::internal("nothing is unique here")
}

/// Nobody touches a build that lives; when its node is dead, the next one that uses the table removes what it has left.
#[tokio::test(start_paused = true)]
async fn a_build_whose_node_has_died_is_undone() {
    let world = World::new().await;
    let build = world.begin_build().await;
    let index = build.index;
    let entry = Bytes::from([&row::index_prefix(world.id(), index)[..], b"entry"].concat());
    let mut txn = world.db.begin(TxnOptions::default());
    txn.put(entry.clone(), Bytes::from_static(b"\x01")).unwrap();
    txn.commit().await.unwrap();
    std::mem::forget(build);
    world.lease(&world.there).await;
    sweep(&world.there, &world.present().await);
    world.sleep(ALIVE / 2).await;
    assert_eq!(world.present().await.building.len(), 1, "its beat has not ended");
    world.sleep(ALIVE).await;
    world.lease(&world.there).await;
    // Its keeper finds it.
    world.sleep(Duration::from_secs(8)).await;
    let present = world.present().await;
    assert!(present.building.is_empty() && present.indexes.iter().all(|known| known.id != index));
    assert!(!world.has(keys::name(&present.schema, "t_backwards")).await);
    assert!(!world.has(keys::build(world.id(), index)).await);
    assert!(!world.has(entry).await);
    assert!(!world.has(keys::debris(&row::index_prefix(world.id(), index))).await);
}

/// A build that is given up is undone at once; one that is finished is there, and nothing is left to undo.
#[tokio::test(start_paused = true)]
async fn a_build_is_finished_or_undone() {
    let world = World::new().await;
    drop(world.begin_build().await);
    world.sleep(Duration::from_secs(2)).await;
    assert!(world.present().await.building.is_empty());
    let before = world.present().await.indexes.len();
    let build = world.begin_build().await;
    let index = build.index;
    build.finish(duplicated).await.unwrap();
    let present = world.present().await;
    assert!(present.building.is_empty() && present.indexes.len() == before + 1);
    assert_eq!(present.indexes[before].id, index);
    assert!(!world.has(keys::build(world.id(), index)).await);
    sweep(&world.there, &present);
    world.sleep(Duration::from_secs(30)).await;
    assert_eq!(world.present().await, present);
}

/// One that others took for dead and undid does not come back.
#[tokio::test(start_paused = true)]
async fn a_build_that_was_undone_stays_so() {
    let world = World::new().await;
    let build = world.begin_build().await;
    undo(&world.there, world.id(), build.index, Some(build.owner)).await.unwrap();
    let error = build.finish(duplicated).await.unwrap_err();
    assert_eq!(error.state, SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE);
    assert!(world.present().await.building.is_empty());
}

/// The process stood still for longer than its beat (seed 125): the statement is run again, and not told that somebody has
/// dropped its index.
#[tokio::test(start_paused = true)]
async fn a_build_that_was_taken_for_dead_is_to_be_run_again() {
    let world = World::new().await;
    let build = world.begin_build().await;
    world.sleep(ALIVE + Duration::from_secs(1)).await;
    undo(&world.there, world.id(), build.index, None).await.unwrap();
    let error = build.finish(duplicated).await.unwrap_err();
    assert!(error.asks_for_another_attempt(), "{error}");
    assert!(world.present().await.building.is_empty());
}
