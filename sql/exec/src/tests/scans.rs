use futures::FutureExt;
use futures::future::BoxFuture;
use sql_catalog::descriptor::{ColumnId, IndexId, PRIMARY_INDEX};
use sql_plan::RowLock;
use sql_plan::{Expr, IndexSpan, JoinKind, Node, OutputColumn, node};
use sql_values::error::SqlResult;
use sql_values::types::{Datum, SqlType};
use txn::db::Txn;

use super::support::*;
use crate::sink::{Notice, ResultSink};
use crate::{Execution, run};

async fn filled(count: i32) -> Txn {
    let mut txn = begin();
    let rows: Vec<T> = (0..count).map(|id| (id, Some(count - id), Some("x"))).collect();
    write(&mut txn, insert(&rows)).await.unwrap();
    txn
}

fn with(
    mut node: Node,
    change: impl FnOnce(&mut Option<Expr>, &mut Option<u64>, &mut bool, &mut Option<RowLock>),
) -> Node {
    if let Node::Scan(node::Scan { filter, limit, reverse, lock, .. }) = &mut node {
        change(filter, limit, reverse, lock);
    }
    node
}

async fn ids(txn: &mut Txn, node: Node) -> Vec<i32> {
    let rows = rows(txn, node).await.unwrap();
    let id = |row: &Vec<Datum>| match row[0] {
        Datum::Int4(id) => id,
        _ => panic!("an id"),
    };
    rows.iter().map(id).collect()
}

fn between(low: (i32, bool), high: (i32, bool)) -> IndexSpan {
    let bound = |(value, inclusive)| Some((int(value), inclusive));
    IndexSpan { lower: bound(low), upper: bound(high), ..IndexSpan::default() }
}

#[tokio::test(start_paused = true)]
async fn many_pages_forwards_and_backwards() {
    let mut txn = filled(2_500).await;
    let forwards: Vec<i32> = (0..2_500).collect();
    assert_eq!(ids(&mut txn, all()).await, forwards);
    let backwards: Vec<i32> = (0..2_500).rev().collect();
    let node = with(all(), |_, _, reverse, _| *reverse = true);
    assert_eq!(ids(&mut txn, node).await, backwards);
    assert_eq!(ids(&mut txn, scan(IndexId(2), vec![])).await, backwards, "n falls as id grows");
}

#[tokio::test(start_paused = true)]
async fn spans_have_bounds_and_come_in_order() {
    let mut txn = filled(30).await;
    let spans =
        || vec![between((3, true), (6, false)), between((9, false), (11, true)), equal(int(20))];
    assert_eq!(ids(&mut txn, scan(PRIMARY_INDEX, spans())).await, [3, 4, 5, 10, 11, 20]);
    let back = with(scan(PRIMARY_INDEX, spans()), |_, _, reverse, _| *reverse = true);
    assert_eq!(ids(&mut txn, back).await, [20, 11, 10, 5, 4, 3]);
    let empty = vec![equal(null()), between((6, true), (3, true))];
    assert_eq!(ids(&mut txn, scan(PRIMARY_INDEX, empty)).await, [0; 0]);
    let below = IndexSpan { upper: Some((int(2), false)), ..IndexSpan::default() };
    assert_eq!(ids(&mut txn, scan(PRIMARY_INDEX, vec![below])).await, [0, 1]);
}

#[tokio::test(start_paused = true)]
async fn limits_count_rows_after_the_filter() {
    let mut txn = filled(200).await;
    let node = with(all(), |filter, limit, _, _| {
        *filter = Some(call(GT, slot(0), int(150)));
        *limit = Some(2);
    });
    let found = ids(&mut txn, node).await;
    assert_eq!(found[..2], [151, 152]);
    let node = with(all(), |_, limit, _, lock| (*limit, *lock) = (Some(3), Some(RowLock::UPDATE)));
    assert_eq!(ids(&mut txn, node).await, [0, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_point_read_means_the_same_both_ways() {
    let mut txn = filled(5).await;
    let operators = Session { by_operators: true, ..Session::default() };
    for (index, key) in [(1, 3), (2, 4), (2, 77), (1, -1)] {
        for lock in [None, Some(RowLock::UPDATE)] {
            for condition in [GT, LT] {
                let base = scan(IndexId(index), vec![equal(int(key))]);
                let base = with(base, |_, _, _, locks| *locks = lock);
                let condition = call(condition, slot(1), int(3));
                let filter =
                    Node::Filter(node::Filter { input: Box::new(base), predicate: condition });
                let exprs = vec![call(ADD, slot(0), slot(1)), Expr::Slot(2, SqlType::Text)];
                let plan = plan(Node::Project(node::Project { input: Box::new(filter), exprs }));
                assert!(crate::direct::is_direct(&plan.root));
                let one = operators.run(&mut txn, &plan).await.unwrap();
                let other = Session::default().run(&mut txn, &plan).await.unwrap();
                assert_eq!(one, other);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn columns_come_as_asked_and_parameters_are_filled_in() {
    let mut txn = filled(5).await;
    let key = Expr::Param(0, SqlType::Int4);
    let mut node = scan(PRIMARY_INDEX, vec![equal(key)]);
    if let Node::Scan(node::Scan { columns, .. }) = &mut node {
        *columns = vec![ColumnId(2), ColumnId(1), ColumnId(2)];
    }
    let session = Session { params: vec![Datum::Int4(4)], ..Session::default() };
    let (rows, _) = session.run(&mut txn, &plan(node)).await.unwrap();
    assert_eq!(rows, ints(&[&[Some(1), Some(4), Some(1)]]));
}

#[tokio::test(start_paused = true)]
async fn a_portal_gives_rows_in_portions() {
    let mut txn = filled(40).await;
    let (plan, session) = (plan(all()), Session::default());
    let mut execution = Execution::new(&plan, &session.memory);
    let mut portions = Vec::new();
    while !execution.is_done() {
        let rows = execution.next_rows(&plan, &mut txn, &session.context(), 17).await.unwrap();
        portions.push(rows.len());
    }
    assert_eq!(portions, [17, 17, 6]);
    assert_eq!(execution.affected(), 40);
}

#[tokio::test(start_paused = true)]
async fn a_lookup_for_each_row_finds_its_row_or_none() {
    let mut txn = filled(5).await;
    let keys = || Box::new(values(&[&[Some(3)], &[Some(9)], &[None], &[Some(1)]]));
    let by_id = || scan(PRIMARY_INDEX, vec![equal(outer(0, 0))]);
    // The second way reads the same span with a bound, which is no point.
    let at_id = || {
        let bound = || Some((outer(0, 0), true));
        let span = IndexSpan { lower: bound(), upper: bound(), ..IndexSpan::default() };
        scan(PRIMARY_INDEX, vec![span])
    };
    for kind in [JoinKind::Inner, JoinKind::Left, JoinKind::Semi, JoinKind::Anti] {
        let apply = |inner| {
            Node::Apply(node::Apply {
                kind,
                input: keys(),
                inner: Box::new(inner),
                condition: Some(call(GT, slot(2), int(2))),
            })
        };
        let direct = rows(&mut txn, apply(by_id())).await.unwrap();
        assert_eq!(direct, rows(&mut txn, apply(at_id())).await.unwrap(), "{kind:?}");
        let expected = match kind {
            JoinKind::Left => 4,
            JoinKind::Anti => 3,
            _ => 1,
        };
        assert_eq!(direct.len(), expected, "{kind:?}");
    }
}

/// Keeps rows, and how many there were whenever it was asked whether it is ready.
#[derive(Default)]
struct Sink {
    rows: usize,
    pauses: Vec<usize>,
}

impl ResultSink for Sink {
    fn columns(&mut self, _: &[OutputColumn]) -> SqlResult<()> {
        panic!("the session's")
    }
    fn row(&mut self, _: &[Datum]) -> SqlResult<()> {
        self.rows += 1;
        Ok(())
    }
    fn complete(&mut self, _: &str) -> SqlResult<()> {
        panic!("the session's")
    }
    fn suspended(&mut self) -> SqlResult<()> {
        panic!("the session's")
    }
    fn empty(&mut self) -> SqlResult<()> {
        panic!("the session's")
    }
    fn notice(&mut self, _: Notice) -> SqlResult<()> {
        Ok(())
    }
    fn parameter(&mut self, _: &str, _: &str) -> SqlResult<()> {
        Ok(())
    }
    fn can_discard(&self) -> bool {
        true
    }
    fn discard(&mut self) {}
    fn ready(&mut self) -> BoxFuture<'_, SqlResult<()>> {
        self.pauses.push(self.rows);
        async { Ok(()) }.boxed()
    }
}

#[tokio::test(start_paused = true)]
async fn rows_leave_batch_by_batch_as_the_sink_takes_them() {
    let mut txn = filled(100).await;
    let session = Session::default();
    let mut sink = Sink::default();
    let count = run(&plan(all()), &mut txn, &session.context(), &mut sink).await.unwrap();
    assert_eq!((count, sink.rows), (100, 100));
    assert_eq!(sink.pauses, [16, 48, 100]);
    let mut sink = Sink::default();
    let count = run(&plan(point(7)), &mut txn, &session.context(), &mut sink).await.unwrap();
    assert_eq!((count, sink.pauses), (1, vec![1]));
    let mut sink = Sink::default();
    let node = insert(&[(1_000, None, None), (1_001, None, None)]);
    let count = run(&plan(node), &mut txn, &session.context(), &mut sink).await.unwrap();
    assert_eq!((count, sink.rows), (2, 0));
    assert_eq!(contents(&mut txn).await.len(), 102);
}
