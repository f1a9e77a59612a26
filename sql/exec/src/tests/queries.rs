use sql_plan::{AggregateCall, Expr, JoinKind, Node, SortKey, SubqueryKind, node};
use sql_values::error::SqlState;
use sql_values::types::{Datum, SqlType};

use super::support::*;

pub(super) fn aggregate(oid: u32, args: Vec<Expr>) -> AggregateCall {
    let (distinct, filter, order, ty) = (false, None, vec![], SqlType::Int8);
    AggregateCall { function: function(oid), args, distinct, filter, order, ty }
}

const LEFT: &[&[Option<i32>]] =
    &[&[Some(1), Some(10)], &[Some(2), Some(20)], &[Some(2), Some(21)], &[None, Some(30)]];
const RIGHT: &[&[Option<i32>]] =
    &[&[Some(2), Some(5)], &[Some(2), Some(6)], &[Some(3), Some(7)], &[None, Some(8)]];

fn join(kind: JoinKind, by_hash: bool, condition: Option<Expr>) -> Node {
    let (left, right) = (Box::new(values(LEFT)), Box::new(values(RIGHT)));
    let mut conditions: Vec<Expr> = condition.into_iter().collect();
    let mut equal = vec![];
    if by_hash {
        equal.push((slot(0), slot(0)));
    } else {
        conditions.insert(0, call(EQ, slot(0), slot(2)));
    }
    let condition = (!conditions.is_empty()).then_some(Expr::And(conditions));
    Node::Join(node::Join { kind, left, right, equal, condition })
}

#[tokio::test(start_paused = true)]
async fn joins_of_every_kind_by_hash_and_by_loop() {
    let mut txn = begin();
    let pair = |a, b, c, d| [Some(a), Some(b), Some(c), Some(d)];
    let inner = [pair(2, 20, 2, 5), pair(2, 20, 2, 6), pair(2, 21, 2, 5), pair(2, 21, 2, 6)];
    let alone = [Some(1), Some(10), None, None];
    let null = [None, Some(30), None, None];
    let mut left = vec![alone];
    left.extend(inner);
    left.push(null);
    let mut full = left.clone();
    full.extend([[None, None, Some(3), Some(7)], [None, None, None, Some(8)]]);
    let of = |rows: &[[Option<i32>; 4]]| ints(&rows.iter().map(|row| &row[..]).collect::<Vec<_>>());
    for by_hash in [true, false] {
        for (kind, expected) in [
            (JoinKind::Inner, of(&inner)),
            (JoinKind::Left, of(&left)),
            (JoinKind::Full, of(&full)),
            (JoinKind::Semi, ints(&LEFT[1..3])),
            (JoinKind::Anti, ints(&[LEFT[0], LEFT[3]])),
        ] {
            let found = rows(&mut txn, join(kind, by_hash, None)).await.unwrap();
            assert_eq!(found, expected, "{kind:?} {by_hash}");
        }
        // What else must hold decides about matches, not about rows.
        let only = Some(call(GT, slot(3), int(5)));
        let found = rows(&mut txn, join(JoinKind::Left, by_hash, only)).await.unwrap();
        assert_eq!(found, of(&[alone, pair(2, 20, 2, 6), pair(2, 21, 2, 6), null]));
    }
}

#[tokio::test(start_paused = true)]
async fn apply_gives_each_row_its_own_inner_rows() {
    let mut txn = begin();
    let inner = || {
        Node::Filter(node::Filter {
            input: Box::new(values(RIGHT)),
            predicate: call(EQ, slot(0), outer(0, 0)),
        })
    };
    let apply = |kind| {
        Node::Apply(node::Apply {
            kind,
            input: Box::new(values(LEFT)),
            inner: Box::new(inner()),
            condition: None,
        })
    };
    for kind in [JoinKind::Inner, JoinKind::Left, JoinKind::Semi, JoinKind::Anti] {
        let applied = rows(&mut txn, apply(kind)).await.unwrap();
        assert_eq!(applied, rows(&mut txn, join(kind, true, None)).await.unwrap(), "{kind:?}");
    }
}

fn subquery(kind: SubqueryKind, plan: Node, ty: SqlType) -> Expr {
    Expr::Subquery { kind, plan: Box::new(plan), ty }
}

#[tokio::test(start_paused = true)]
async fn subqueries_see_their_row_and_run_only_when_needed() {
    let mut txn = begin();
    // (SELECT count(*) FROM right WHERE right.0 = left.0)
    let count = |kind| {
        subquery(
            kind,
            Node::Aggregate(node::Aggregate {
                input: Box::new(Node::Filter(node::Filter {
                    input: Box::new(values(RIGHT)),
                    predicate: call(EQ, slot(0), outer(0, 0)),
                })),
                keys: vec![],
                aggregates: vec![aggregate(COUNT_ALL, vec![])],
            }),
            SqlType::Int8,
        )
    };
    let exprs = vec![slot(1), count(SubqueryKind::Scalar)];
    let node = Node::Project(node::Project { input: Box::new(values(LEFT)), exprs });
    let found = rows(&mut txn, node).await.unwrap();
    let counts: Vec<_> = found.iter().map(|row| row[1].clone()).collect();
    assert_eq!(counts, [0, 2, 2, 0].map(Datum::Int8));
    // More than one row is an error, if anybody asks.
    let many = || subquery(SubqueryKind::Scalar, values(&[&[Some(1)], &[Some(2)]]), SqlType::Int4);
    let case = |condition| Expr::Case {
        branches: vec![(condition, many())],
        otherwise: Some(Box::new(int(0))),
        ty: SqlType::Int4,
    };
    let no = Expr::Const(Datum::Bool(false), SqlType::Bool);
    let yes = Expr::Const(Datum::Bool(true), SqlType::Bool);
    let one =
        |expr| Node::Values(node::Values { rows: vec![vec![expr]], types: vec![SqlType::Int4] });
    assert_eq!(rows(&mut txn, one(case(no))).await.unwrap(), ints(&[&[Some(0)]]));
    let error = rows(&mut txn, one(case(yes))).await.unwrap_err();
    assert_eq!(error.state, SqlState::CARDINALITY_VIOLATION);
    // IN, with NULLs.
    let within = |list: &[Option<i32>]| {
        let list: Vec<_> = list.iter().map(std::slice::from_ref).collect();
        let kind = SubqueryKind::In { input: Box::new(slot(0)), equals: function(EQ) };
        let exprs = vec![subquery(kind, values(&list), SqlType::Bool)];
        Node::Project(node::Project { input: Box::new(values(&[&[Some(1)], &[None]])), exprs })
    };
    let (t, f, n) = (vec![Datum::Bool(true)], vec![Datum::Bool(false)], vec![Datum::Null]);
    assert_eq!(rows(&mut txn, within(&[Some(1), None])).await.unwrap(), [t.clone(), n.clone()]);
    assert_eq!(rows(&mut txn, within(&[Some(2), None])).await.unwrap(), [n.clone(), n.clone()]);
    assert_eq!(rows(&mut txn, within(&[Some(2)])).await.unwrap(), [f.clone(), n.clone()]);
    assert_eq!(rows(&mut txn, within(&[])).await.unwrap(), [f.clone(), f.clone()]);
    // Many rows are looked up.
    let mut many: Vec<Option<i32>> = (2..40).map(Some).collect();
    assert_eq!(rows(&mut txn, within(&many)).await.unwrap(), [f, n.clone()]);
    many.push(None);
    assert_eq!(rows(&mut txn, within(&many)).await.unwrap(), [n.clone(), n.clone()]);
    many.push(Some(1));
    assert_eq!(rows(&mut txn, within(&many)).await.unwrap(), [t, n]);
}

#[tokio::test(start_paused = true)]
async fn a_subquery_reaches_past_its_neighbours() {
    let mut txn = begin();
    // For each left row, whether a right row exists for which no left row has its number plus the outer's.
    let inner = subquery(
        SubqueryKind::Scalar,
        Node::Values(node::Values {
            rows: vec![vec![call(ADD, outer(0, 0), outer(1, 0))]],
            types: vec![SqlType::Int4],
        }),
        SqlType::Int4,
    );
    let middle = Node::Project(node::Project {
        input: Box::new(values(&[&[Some(10)], &[Some(20)]])),
        exprs: vec![inner],
    });
    let exprs =
        vec![subquery(SubqueryKind::Array, middle, sql_values::types::TypeId::Int4.array())];
    let node =
        Node::Project(node::Project { input: Box::new(values(&[&[Some(1)], &[Some(2)]])), exprs });
    let array = |a, b| vec![Datum::Array([Datum::Int4(a), Datum::Int4(b)].into())];
    assert_eq!(rows(&mut txn, node).await.unwrap(), [array(11, 21), array(12, 22)]);
}

#[tokio::test(start_paused = true)]
async fn groups_and_aggregates() {
    let mut txn = begin();
    let group = |keys, aggregates| {
        Node::Aggregate(node::Aggregate { input: Box::new(values(LEFT)), keys, aggregates })
    };
    let sum = || aggregate(SUM, vec![slot(1)]);
    let mut large = sum();
    large.filter = Some(call(GT, slot(1), int(20)));
    let mut distinct = aggregate(COUNT, vec![slot(0)]);
    distinct.distinct = true;
    let node = group(vec![slot(0)], vec![sum(), large, distinct, aggregate(COUNT_ALL, vec![])]);
    let (i, n) = (Datum::Int8, Datum::Null);
    assert_eq!(
        rows(&mut txn, node).await.unwrap(),
        [
            vec![Datum::Int4(1), i(10), n.clone(), i(1), i(1)],
            vec![Datum::Int4(2), i(41), i(21), i(1), i(2)],
            vec![n.clone(), i(30), i(30), i(0), i(1)],
        ]
    );
    // One group of nothing.
    let nothing = Node::Aggregate(node::Aggregate {
        input: Box::new(values(&[])),
        keys: vec![],
        aggregates: vec![aggregate(COUNT_ALL, vec![]), aggregate(SUM, vec![int(1)])],
    });
    assert_eq!(rows(&mut txn, nothing).await.unwrap(), [[i(0), n]]);
}

fn key(expr: Expr, descending: bool, nulls_first: bool) -> SortKey {
    SortKey { expr, descending, nulls_first }
}

#[tokio::test(start_paused = true)]
async fn sorts_are_stable_and_know_where_nulls_go() {
    let mut txn = begin();
    let sort = |key, limit: Option<i64>| {
        Node::Sort(node::Sort {
            input: Box::new(values(LEFT)),
            keys: vec![key],
            limit: limit.map(|limit| Expr::Const(Datum::Int8(limit), SqlType::Int8)),
        })
    };
    let at = |positions: &[usize]| ints(&positions.iter().map(|at| LEFT[*at]).collect::<Vec<_>>());
    let found = rows(&mut txn, sort(key(slot(0), false, false), None)).await.unwrap();
    assert_eq!(found, at(&[0, 1, 2, 3]));
    let found = rows(&mut txn, sort(key(slot(0), true, true), None)).await.unwrap();
    assert_eq!(found, at(&[3, 1, 2, 0]));
    let found = rows(&mut txn, sort(key(slot(0), true, false), Some(2))).await.unwrap();
    assert_eq!(found, at(&[1, 2]));
    // Many rows, of which few are wanted.
    let many: Vec<[Option<i32>; 2]> = (0..5_000).map(|n| [Some(n * 7 % 50), Some(n)]).collect();
    let many: Vec<&[Option<i32>]> = many.iter().map(|row| &row[..]).collect();
    let node = |limit| {
        Node::Sort(node::Sort {
            input: Box::new(values(&many)),
            keys: vec![key(slot(0), false, false)],
            limit,
        })
    };
    let all = rows(&mut txn, node(None)).await.unwrap();
    let limit = Expr::Const(Datum::Int8(120), SqlType::Int8);
    assert_eq!(rows(&mut txn, node(Some(limit))).await.unwrap(), all[..120]);
}

#[tokio::test(start_paused = true)]
async fn sets_and_limits() {
    let mut txn = begin();
    let one = |list: &[i32]| {
        let list: Vec<[Option<i32>; 1]> = list.iter().map(|n| [Some(*n)]).collect();
        Box::new(values(&list.iter().map(|row| &row[..]).collect::<Vec<_>>()))
    };
    let left = || one(&[1, 2, 2, 2, 3, 3]);
    let right = || one(&[2, 2, 3, 4]);
    let set = |except, all| Node::SetOp(node::SetOp { left: left(), right: right(), except, all });
    let as_rows = |list: &[i32]| list.iter().map(|n| vec![Datum::Int4(*n)]).collect::<Vec<_>>();
    assert_eq!(rows(&mut txn, set(false, false)).await.unwrap(), as_rows(&[2, 3]));
    assert_eq!(rows(&mut txn, set(false, true)).await.unwrap(), as_rows(&[2, 2, 3]));
    assert_eq!(rows(&mut txn, set(true, false)).await.unwrap(), as_rows(&[1]));
    assert_eq!(rows(&mut txn, set(true, true)).await.unwrap(), as_rows(&[1, 2, 3]));
    let union = Node::Append(node::Append { inputs: vec![*left(), *right()] });
    let distinct = Node::Distinct(node::Distinct { input: Box::new(union), on: vec![] });
    assert_eq!(rows(&mut txn, distinct).await.unwrap(), as_rows(&[1, 2, 3, 4]));
    let limit = |limit, offset| {
        let bound =
            |value: Option<i64>| value.map(|value| Expr::Const(Datum::Int8(value), SqlType::Int8));
        Node::Limit(node::Limit { input: left(), limit: bound(limit), offset: bound(offset) })
    };
    assert_eq!(rows(&mut txn, limit(Some(2), Some(3))).await.unwrap(), as_rows(&[2, 3]));
    assert_eq!(rows(&mut txn, limit(None, Some(5))).await.unwrap(), as_rows(&[3]));
    assert_eq!(rows(&mut txn, limit(Some(0), None)).await.unwrap(), as_rows(&[]));
    let error = rows(&mut txn, limit(Some(-1), None)).await.unwrap_err();
    assert_eq!(error.message, "LIMIT must not be negative");
}

#[tokio::test(start_paused = true)]
async fn distinct_on_keeps_the_first_of_each_key() {
    let mut txn = begin();
    let node = Node::Distinct(node::Distinct { input: Box::new(values(LEFT)), on: vec![slot(0)] });
    let found = rows(&mut txn, node).await.unwrap();
    assert_eq!(found, ints(&[LEFT[0], LEFT[1], LEFT[3]]));
}
