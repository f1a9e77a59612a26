use sql_catalog::descriptor::IndexId;
use sql_plan::{Expr, Node, OnConflict, node};
use sql_values::error::SqlState;
use sql_values::types::{Datum, SqlType};
use txn::db::{Txn, TxnOptions};

use super::support::*;
use crate::{Execution, Row, from_txn, tag};

fn update(input: Node, assignments: Vec<(usize, Expr)>) -> Node {
    Node::Update(node::Update {
        table: table(),
        input: Box::new(input),
        assignments,
        checks: vec![],
        returning: None,
    })
}

fn delete(input: Node) -> Node {
    let returning = Some(vec![slot(0)]);
    Node::Delete(node::Delete { table: table(), input: Box::new(input), returning })
}

fn on_conflict(rows: &[T], index: Option<u32>, update: Option<Vec<(usize, Expr)>>) -> Node {
    Node::Insert(node::Insert {
        table: table(),
        input: Box::new(t_values(rows)),
        checks: vec![],
        on_conflict: Some(OnConflict { index: index.map(IndexId), update, condition: None }),
        returning: Some(vec![slot(0), slot(1)]),
    })
}

const ONE: T = (1, Some(10), Some("a"));
const TWO: T = (2, Some(20), Some("b"));

#[tokio::test(start_paused = true)]
async fn inserts_and_reads_by_every_index() {
    let mut txn = begin();
    assert_eq!(write(&mut txn, insert(&[ONE])).await.unwrap(), (vec![], 1));
    assert_eq!(write(&mut txn, insert(&[TWO, (3, None, None)])).await.unwrap(), (vec![], 2));
    assert_eq!(contents(&mut txn).await, [ONE, TWO, (3, None, None)].map(t_row));
    let db = txn.commit().await;
    assert!(db.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_duplicate_key_is_refused_with_its_constraint() {
    let mut txn = begin();
    write(&mut txn, insert(&[ONE])).await.unwrap();
    let error = write(&mut txn, insert(&[(1, Some(5), None)])).await.unwrap_err();
    assert_eq!(error.state, SqlState::UNIQUE_VIOLATION);
    assert_eq!(error.message, "duplicate key value violates unique constraint \"t_pkey\"");
    assert_eq!(error.detail.unwrap(), "Key (id)=(1) already exists.");
    let object = error.object.unwrap();
    assert_eq!((object.table.unwrap(), object.constraint.unwrap()), ("t".into(), "t_pkey".into()));
    let error = write(&mut txn, insert(&[TWO, (3, Some(10), None)])).await.unwrap_err();
    assert_eq!(error.detail.unwrap(), "Key (n)=(10) already exists.");
    // Within one statement, too; and NULLs are not equal.
    let error = write(&mut txn, insert(&[TWO, TWO])).await.unwrap_err();
    assert_eq!(error.state, SqlState::UNIQUE_VIOLATION);
    write(&mut txn, insert(&[(7, None, None), (8, None, None)])).await.unwrap();
    assert_eq!(contents(&mut txn).await, [ONE, (7, None, None), (8, None, None)].map(t_row));
}

#[tokio::test(start_paused = true)]
async fn constraints_name_the_row_that_fails() {
    let mut txn = begin();
    let mut row = t_values(&[ONE]);
    if let Node::Values(node::Values { rows, .. }) = &mut row {
        rows[0][0] = null();
    }
    let mut node = insert(&[]);
    if let Node::Insert(node::Insert { input, .. }) = &mut node {
        **input = row;
    }
    let error = write(&mut txn, node).await.unwrap_err();
    assert_eq!(error.state, SqlState::NOT_NULL_VIOLATION);
    assert_eq!(
        error.message,
        "null value in column \"id\" of relation \"t\" violates not-null constraint"
    );
    assert_eq!(error.detail.unwrap(), "Failing row contains (null, 10, a).");
    let mut node = insert(&[ONE, (2, None, None)]);
    if let Node::Insert(node::Insert { checks, .. }) = &mut node {
        checks.push(("small".into(), call(LT, slot(1), int(10))));
    }
    let error = write(&mut txn, node).await.unwrap_err();
    assert_eq!(error.state, SqlState::CHECK_VIOLATION);
    assert_eq!(error.message, "new row for relation \"t\" violates check constraint \"small\"");
    assert_eq!(error.detail.unwrap(), "Failing row contains (1, 10, a).");
    assert_eq!(contents(&mut txn).await, Vec::<Row>::new());
}

#[tokio::test(start_paused = true)]
async fn an_update_moves_the_entries() {
    let mut txn = begin();
    write(&mut txn, insert(&[ONE, TWO])).await.unwrap();
    let set = vec![(1, call(ADD, slot(1), int(1))), (2, text("z"))];
    assert_eq!(write(&mut txn, update(point(1), set)).await.unwrap(), (vec![], 1));
    assert_eq!(contents(&mut txn).await, [(1, Some(11), Some("z")), TWO].map(t_row));
    // The key itself.
    write(&mut txn, update(point(1), vec![(0, int(9))])).await.unwrap();
    assert_eq!(contents(&mut txn).await, [TWO, (9, Some(11), Some("z"))].map(t_row));
    let error = write(&mut txn, update(point(9), vec![(0, int(2))])).await.unwrap_err();
    assert_eq!(error.state, SqlState::UNIQUE_VIOLATION);
    let error = write(&mut txn, update(point(9), vec![(1, int(20))])).await.unwrap_err();
    assert_eq!(error.detail.unwrap(), "Key (n)=(20) already exists.");
    assert_eq!(write(&mut txn, update(point(5), vec![])).await.unwrap().1, 0);
}

#[tokio::test(start_paused = true)]
async fn an_update_does_not_meet_its_own_rows() {
    let mut txn = begin();
    write(&mut txn, insert(&[ONE, TWO, (3, Some(30), None)])).await.unwrap();
    // Every row moves behind the end of the scan.
    let set = vec![(0, call(ADD, slot(0), int(100)))];
    assert_eq!(write(&mut txn, update(all(), set)).await.unwrap().1, 3);
    let ids: Vec<_> = contents(&mut txn).await.into_iter().map(|row| row[0].clone()).collect();
    assert_eq!(ids, [101, 102, 103].map(Datum::Int4));
    // Row by row, as PostgreSQL does: the first one meets the second.
    let set = vec![(0, call(ADD, slot(0), int(1)))];
    let error = write(&mut txn, update(all(), set)).await.unwrap_err();
    assert_eq!(error.detail.unwrap(), "Key (id)=(102) already exists.");
}

#[tokio::test(start_paused = true)]
async fn a_row_is_updated_once_however_often_it_is_joined() {
    let mut txn = begin();
    write(&mut txn, insert(&[ONE])).await.unwrap();
    let twice = Node::Append(node::Append { inputs: vec![all(), all()] });
    let set = vec![(1, call(ADD, slot(1), int(1)))];
    assert_eq!(write(&mut txn, update(twice.clone(), set)).await.unwrap().1, 1);
    assert_eq!(contents(&mut txn).await, [t_row((1, Some(11), Some("a")))]);
    assert_eq!(write(&mut txn, delete(twice)).await.unwrap(), (ints(&[&[Some(1)]]), 1));
    assert_eq!(contents(&mut txn).await, Vec::<Row>::new());
}

#[tokio::test(start_paused = true)]
async fn deletes_give_back_what_they_deleted() {
    let mut txn = begin();
    write(&mut txn, insert(&[ONE, TWO])).await.unwrap();
    assert_eq!(write(&mut txn, delete(point(2))).await.unwrap(), (ints(&[&[Some(2)]]), 1));
    assert_eq!(contents(&mut txn).await, [t_row(ONE)]);
    write(&mut txn, insert(&[TWO])).await.unwrap();
    assert_eq!(contents(&mut txn).await, [ONE, TWO].map(t_row));
}

#[tokio::test(start_paused = true)]
async fn on_conflict_does_nothing_or_updates() {
    let mut txn = begin();
    write(&mut txn, insert(&[ONE])).await.unwrap();
    // Any unique index.
    let node = on_conflict(&[(5, Some(10), None), (1, None, None), TWO, TWO], None, None);
    let (rows, count) = write(&mut txn, node).await.unwrap();
    assert_eq!((rows, count), (ints(&[&[Some(2), Some(20)]]), 1));
    // The existing row's slots, then the proposed one's.
    let set = vec![(1, call(ADD, slot(1), slot(4)))];
    let node = on_conflict(&[(1, Some(5), None), (3, Some(30), None)], Some(1), Some(set.clone()));
    let (rows, count) = write(&mut txn, node).await.unwrap();
    assert_eq!((rows, count), (ints(&[&[Some(1), Some(15)], &[Some(3), Some(30)]]), 2));
    let node = on_conflict(&[(8, Some(20), None)], Some(2), Some(vec![(2, text("hit"))]));
    write(&mut txn, node).await.unwrap();
    let expected = [(1, Some(15), Some("a")), (2, Some(20), Some("hit")), (3, Some(30), None)];
    assert_eq!(contents(&mut txn).await, expected.map(t_row));
    // Another index than the arbiter still refuses.
    let node = on_conflict(&[(8, Some(20), None)], Some(1), None);
    assert_eq!(write(&mut txn, node).await.unwrap_err().state, SqlState::UNIQUE_VIOLATION);
    // And no row twice.
    let node = on_conflict(&[(1, Some(1), None), (1, Some(2), None)], Some(1), Some(set.clone()));
    let error = write(&mut txn, node).await.unwrap_err();
    assert_eq!(error.state, SqlState::CARDINALITY_VIOLATION);
    let node = on_conflict(&[(6, Some(1), None), (6, Some(2), None)], Some(1), Some(set));
    let error = write(&mut txn, node).await.unwrap_err();
    assert_eq!(error.state, SqlState::CARDINALITY_VIOLATION);
}

#[tokio::test(start_paused = true)]
async fn a_statement_sees_nothing_of_itself_and_leaves_nothing_when_it_fails() {
    let mut txn = begin();
    write(&mut txn, insert(&[ONE])).await.unwrap();
    // WITH x AS (INSERT …) SELECT count(*) FROM t.
    let mut both = plan(Node::Aggregate(node::Aggregate {
        input: Box::new(all()),
        keys: vec![],
        aggregates: vec![super::queries::aggregate(COUNT_ALL, vec![])],
    }));
    both.ctes = vec![insert(&[TWO])];
    both.writes = true;
    let (rows, _) = Session::default().run(&mut txn, &both).await.unwrap();
    assert_eq!(rows, [[Datum::Int8(1)]]);
    assert_eq!(contents(&mut txn).await, [ONE, TWO].map(t_row));
    let error = write(&mut txn, insert(&[(3, None, None), ONE])).await.unwrap_err();
    assert_eq!(error.state, SqlState::UNIQUE_VIOLATION);
    assert_eq!(contents(&mut txn).await, [ONE, TWO].map(t_row));
}

#[tokio::test(start_paused = true)]
async fn who_inserts_the_same_key_waits() {
    let db = database();
    let mut first = db.begin(Default::default());
    write(&mut first, insert(&[ONE])).await.unwrap();
    let second = async {
        let mut txn = db.begin(Default::default());
        let result = rows(&mut txn, insert(&[ONE])).await;
        (result.map(drop), txn)
    };
    let mut second = std::pin::pin!(second);
    assert!(futures::poll!(second.as_mut()).is_pending());
    let ((result, mut again), ()) = futures::join!(second, async {
        first.commit().await.unwrap();
    });
    // It waited, and found either the row or that it must begin again.
    let state = result.unwrap_err().state;
    assert!(
        [SqlState::UNIQUE_VIOLATION, SqlState::SERIALIZATION_FAILURE].contains(&state),
        "{state:?}"
    );
    again.rollback();
}

#[tokio::test(start_paused = true)]
async fn a_portal_over_a_write_has_written_before_its_first_row() {
    let mut txn = begin();
    let mut node = insert(&[ONE, TWO]);
    if let Node::Insert(node::Insert { returning, .. }) = &mut node {
        *returning = Some(vec![Expr::Slot(2, SqlType::Text)]);
    }
    let plan = plan(node);
    let session = Session::default();
    let mut execution = Execution::new(&plan, &session.memory);
    let first = execution.next_rows(&plan, &mut txn, &session.context(), 1).await.unwrap();
    assert_eq!((first, execution.is_done()), (vec![vec![Datum::text("a")]], false));
    assert_eq!(contents(&mut txn).await.len(), 2);
    let rest = execution.next_rows(&plan, &mut txn, &session.context(), 5).await.unwrap();
    assert_eq!((rest, execution.is_done()), (vec![vec![Datum::text("b")]], true));
    assert_eq!(tag(&plan, execution.affected()), "INSERT 0 2");
}

/// Rows of a load: their keys are all of a span.
fn load(ids: std::ops::Range<i32>) -> Node {
    insert(&ids.map(|id| (id, None, None)).collect::<Vec<_>>())
}

#[tokio::test(start_paused = true)]
async fn a_load_of_new_keys_locks_none_of_them_if_it_may_be_run_again() {
    let db = database();
    let write = async |txn: &mut Txn, ids, may_repeat| {
        let session = Session { may_repeat, ..Session::default() };
        session.run(txn, &plan(load(ids))).await
    };
    for (may_repeat, retries) in [(true, true), (false, false)] {
        let mut loading = db.begin(TxnOptions::default());
        write(&mut loading, 0..100, may_repeat).await.unwrap();
        let mut other = db.begin(TxnOptions::default());
        other.set_lock_timeout(Some(std::time::Duration::from_millis(50)));
        let wrote = write(&mut other, 50..51, false).await;
        if !retries {
            assert_eq!(wrote.unwrap_err().state, SqlState::LOCK_NOT_AVAILABLE);
            loading.rollback();
            continue;
        }
        wrote.unwrap();
        other.commit().await.unwrap();
        let error = from_txn(loading.commit().await.unwrap_err());
        assert_eq!(error.state, SqlState::SERIALIZATION_FAILURE);
        // What is there is seen, by whichever way.
        for ids in [0..100, 20..52, 40..51] {
            let mut again = db.begin(TxnOptions::default());
            let error = write(&mut again, ids, true).await.unwrap_err();
            assert_eq!(error.state, SqlState::UNIQUE_VIOLATION);
            assert_eq!(error.detail.unwrap(), "Key (id)=(50) already exists.");
            again.rollback();
        }
        let mut undo = db.begin(TxnOptions::default());
        write_delete(&mut undo, 50).await;
        undo.commit().await.unwrap();
    }
}

async fn write_delete(txn: &mut Txn, id: i32) {
    assert_eq!(write(txn, delete(point(id))).await.unwrap().1, 1);
}
