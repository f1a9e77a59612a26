//! DELETE of everything in a span.

use std::sync::Arc;

use kv::keys::Space;
use sql_catalog::descriptor::{IndexId, TableDescriptor};
use sql_plan::{IndexSpan, Node, node};
use sql_values::error::SqlState;
use txn::db::{Config, Db, Txn, TxnOptions};
use txn::testing::LocalCluster;

use super::support::*;
use crate::{Row, from_txn};

const ROWS: i32 = 40;

/// Rows from which a deletion is one entry.
const MUCH: usize = 10;

/// A database with the rows 1 to 40.
async fn filled() -> (Arc<LocalCluster>, Db) {
    let cluster = LocalCluster::new();
    let config = Config { erase_from: MUCH, ..Config::default() };
    let db = Db::new(cluster.env.clone(), cluster.clone(), config);
    let mut txn = db.begin(TxnOptions::default());
    let ids: Vec<T> = (1..=ROWS).map(|id| (id, Some(-id), Some("x"))).collect();
    run(&mut txn, insert(&ids), false).await;
    txn.commit().await.unwrap();
    (cluster, db)
}

async fn run(txn: &mut Txn, node: Node, may_repeat: bool) -> (Vec<Row>, u64) {
    let session = Session { may_repeat, ..Session::default() };
    session.run(txn, &plan(node)).await.unwrap()
}

fn delete(input: Node) -> Node {
    Node::Delete(node::Delete { table: table(), input: Box::new(input), returning: None })
}

/// Of a table whose other indexes are not kept, with a change to the scan of it.
fn plain(input: Node, change: impl FnOnce(&mut node::Scan)) -> Node {
    let Node::Scan(mut scan) = input else { panic!("a scan") };
    let mut table = TableDescriptor::clone(&scan.table);
    table.indexes.truncate(1);
    let table = Arc::new(table);
    scan.table = table.clone();
    change(&mut scan);
    Node::Delete(node::Delete { table, input: Box::new(Node::Scan(scan)), returning: None })
}

fn above(id: i32) -> Node {
    let span = IndexSpan { lower: Some((int(id), false)), ..IndexSpan::default() };
    scan(IndexId(1), vec![span])
}

async fn left(db: &Db) -> usize {
    rows(&mut db.begin(TxnOptions::default()), all()).await.unwrap().len()
}

#[tokio::test(start_paused = true)]
async fn a_whole_table_goes_with_its_indexes_by_an_entry_each() {
    let (cluster, db) = filled().await;
    let mut txn = db.begin(TxnOptions::default());
    assert_eq!(run(&mut txn, delete(all()), true).await, (vec![], ROWS as u64));
    txn.commit().await.unwrap();
    assert_eq!((cluster.count(Space::Erased), cluster.count(Space::History)), (3, 0));
    let mut after = db.begin(TxnOptions::default());
    assert_eq!(contents(&mut after).await, [] as [Row; 0]);
    // The same rows again, and whoever asks for them.
    let mut again = db.begin(TxnOptions::default());
    run(&mut again, insert(&[(7, Some(-7), Some("y")), (99, None, None)]), true).await;
    again.commit().await.unwrap();
    let mut after = db.begin(TxnOptions::default());
    assert_eq!(contents(&mut after).await.len(), 2);
    assert_eq!(rows(&mut after, point(7)).await.unwrap(), [t_row((7, Some(-7), Some("y")))]);
    assert_eq!(rows(&mut after, point(8)).await.unwrap(), [] as [Row; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_span_of_the_key_goes_if_no_other_index_has_entries_for_it() {
    let (cluster, db) = filled().await;
    let mut txn = db.begin(TxnOptions::default());
    assert_eq!(run(&mut txn, plain(above(30), |_| {}), true).await.1, 10);
    txn.commit().await.unwrap();
    assert_eq!((cluster.count(Space::Erased), left(&db).await), (1, 30));
    let mut txn = db.begin(TxnOptions::default());
    assert_eq!(run(&mut txn, delete(above(10)), true).await.1, 20);
    txn.commit().await.unwrap();
    assert_eq!((cluster.count(Space::Erased), left(&db).await), (1, 10));
}

#[tokio::test(start_paused = true)]
async fn what_is_less_or_not_alone_goes_row_by_row() {
    let (input, returning) = (Box::new(all()), Some(vec![slot(0)]));
    let returning = Node::Delete(node::Delete { table: table(), input, returning });
    let limited = plain(all(), |scan| scan.limit = Some(20));
    let filtered = plain(all(), |scan| scan.filter = Some(call(GT, slot(0), int(0))));
    for (node, may_repeat, count) in [
        (delete(all()), false, 40),
        (plain(above(31), |_| {}), true, 9),
        (returning, true, 40),
        (limited, true, 20),
        (filtered, true, 40),
    ] {
        let (cluster, db) = filled().await;
        let mut txn = db.begin(TxnOptions::default());
        assert_eq!(run(&mut txn, node, may_repeat).await.1, count);
        txn.commit().await.unwrap();
        assert_eq!((cluster.count(Space::Erased), left(&db).await), (0, 40 - count as usize));
    }
    // A WITH query: something follows.
    let (cluster, db) = filled().await;
    let mut txn = db.begin(TxnOptions::default());
    let mut with = plan(values(&[&[Some(1)]]));
    (with.ctes, with.writes) = (vec![delete(all())], true);
    let session = Session { may_repeat: true, ..Session::default() };
    session.run(&mut txn, &with).await.unwrap();
    txn.put("other".into(), "1".into()).unwrap();
    txn.commit().await.unwrap();
    assert_eq!((cluster.count(Space::Erased), left(&db).await), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn rows_that_come_meanwhile_are_not_deleted_uncounted() {
    let (_, db) = filled().await;
    let mut txn = db.begin(TxnOptions::default());
    run(&mut txn, delete(all()), true).await;
    let mut other = db.begin(TxnOptions::default());
    run(&mut other, insert(&[(1_000, None, None)]), false).await;
    other.commit().await.unwrap();
    let error = from_txn(txn.commit().await.unwrap_err());
    assert_eq!(error.state, SqlState::SERIALIZATION_FAILURE);
    assert_eq!(left(&db).await, 41);
}
