use sql_plan::{Expr, JoinKind, Node, SortKey, node};
use sql_values::error::SqlState;
use sql_values::interrupt::Reason;
use sql_values::memory::Pool;
use sql_values::types::{Datum, SqlType};
use txn::db::TxnError;

use super::support::*;
use crate::from_txn;

#[test]
fn errors_of_the_transaction_keep_their_codes() {
    for error in [
        TxnError::Retry { reason: "because".into() },
        TxnError::DeadlineExceeded,
        TxnError::Ambiguous,
        TxnError::Unavailable,
        TxnError::TooOld,
        TxnError::LockTimeout,
        TxnError::TooLarge,
        TxnError::RowTooLarge { bytes: 1 << 30 },
        TxnError::KeyTooLarge { bytes: 100_000 },
        TxnError::Invalid("a bug".into()),
        TxnError::Stopped(kv::failure::Failure::new(kv::failure::FailureKind::DiskFull, "full")),
    ] {
        assert_eq!(from_txn(error.clone()).state.0, error.sqlstate());
    }
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_statement_says_why() {
    for (reason, state) in [
        (Reason::User, SqlState::QUERY_CANCELED),
        (Reason::Timeout, SqlState::QUERY_CANCELED),
        (Reason::Shutdown, SqlState::ADMIN_SHUTDOWN),
    ] {
        let session = Session::default();
        session.interrupt.raise(reason);
        session.interrupt.raise(Reason::User);
        let error = session.run(&mut begin(), &plan(all())).await.unwrap_err();
        assert_eq!(error.state, state);
    }
}

#[tokio::test(start_paused = true)]
async fn a_statement_beyond_its_memory_fails_with_a_hint() {
    let many: Vec<[Option<i32>; 1]> = (0..1_000).map(|n| [Some(n)]).collect();
    let many = values(&many.iter().map(|row| &row[..]).collect::<Vec<_>>());
    let keys = vec![SortKey { expr: slot(0), descending: false, nulls_first: false }];
    let sort = Node::Sort(node::Sort { input: Box::new(many.clone()), keys, limit: None });
    let join = Node::Join(node::Join {
        kind: JoinKind::Inner,
        left: Box::new(many.clone()),
        right: Box::new(many.clone()),
        equal: vec![(slot(0), slot(0))],
        condition: None,
    });
    let distinct = Node::Distinct(node::Distinct { input: Box::new(many.clone()), on: vec![] });
    for node in [sort, join, distinct] {
        let session = Session { memory: Pool::new(10_000), ..Session::default() };
        let error = session.run(&mut begin(), &plan(node.clone())).await.unwrap_err();
        assert_eq!(error.state, SqlState::OUT_OF_MEMORY);
        assert!(error.hint.is_some());
        assert_eq!(rows(&mut begin(), node).await.unwrap().len(), 1_000);
    }
    // What streams needs nothing.
    let session = Session { memory: Pool::new(100), ..Session::default() };
    session.run(&mut begin(), &plan(many)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_first_row_that_fails_gives_the_error_and_lazy_parts_give_none() {
    let input = || Box::new(values(&[&[Some(2)], &[Some(0)]]));
    let divided = || call(GT, call(DIV, int(10), slot(0)), int(1));
    let filter = |predicate| Node::Filter(node::Filter { input: input(), predicate });
    let error = rows(&mut begin(), filter(divided())).await.unwrap_err();
    assert_eq!(error.state, SqlState::DIVISION_BY_ZERO);
    let guarded = Expr::And(vec![call(GT, slot(0), int(0)), divided()]);
    assert_eq!(rows(&mut begin(), filter(guarded)).await.unwrap(), ints(&[&[Some(2)]]));
    let sum = call(ADD, slot(0), int(i32::MAX));
    let project = Node::Project(node::Project { input: input(), exprs: vec![sum] });
    let error = rows(&mut begin(), project).await.unwrap_err();
    assert_eq!(error.message, "integer out of range");
    let node = Node::Values(node::Values {
        rows: vec![vec![Expr::Const(Datum::text("x"), SqlType::Int4)]],
        types: vec![SqlType::Int4],
    });
    let sorted = Node::Distinct(node::Distinct { input: Box::new(node), on: vec![] });
    let error = rows(&mut begin(), sorted).await.unwrap_err();
    assert_eq!(error.state, SqlState::INTERNAL_ERROR);
}
