//! Sequences beside other sessions, of the same node and of others.

use std::collections::BTreeSet;
use std::time::Duration;

use sql::session::Session;
use txn::testing::LocalCluster;

use super::{engine, ok, run, session};

/// The numbers that a statement gives.
async fn take(session: &mut Session, text: &str) -> Vec<i64> {
    let lines = ok(session, text).await;
    lines.iter().filter_map(|line| line.parse().ok()).collect()
}

/// Eight sessions on two nodes take values one by one and by blocks, some in transactions that roll back. No value is
/// given twice.
#[tokio::test(start_paused = true)]
async fn no_value_is_given_twice() {
    let cluster = LocalCluster::new();
    let nodes = [engine(&cluster), engine(&cluster)];
    ok(&mut session(&nodes[0]), "create sequence s; create sequence c cache 7").await;
    let worker = |number: usize| {
        let node = nodes[number % 2].clone();
        async move {
            let mut session = session(&node);
            let mut given = (Vec::new(), Vec::new());
            for turn in 0..20 {
                let many = "select nextval('s') from generate_series(1, 9)";
                let text = if turn % 3 == 0 { many } else { "select nextval('s')" };
                if turn % 5 == 0 {
                    ok(&mut session, "begin").await;
                }
                given.0.extend(take(&mut session, text).await);
                given.1.extend(take(&mut session, "select nextval('c')").await);
                if turn % 5 == 0 {
                    ok(&mut session, "rollback").await;
                }
            }
            given
        }
    };
    let all = futures::future::join_all((0..8).map(worker)).await;
    for given in [
        all.iter().flat_map(|given| &given.0).collect::<Vec<_>>(),
        all.iter().flat_map(|given| &given.1).collect(),
    ] {
        let distinct: BTreeSet<_> = given.iter().collect();
        assert_eq!(distinct.len(), given.len());
    }
}

/// What a statement takes in blocks and does not need goes back, unless another has been there since.
#[tokio::test(start_paused = true)]
async fn what_is_left_of_a_block_goes_back() {
    let cluster = LocalCluster::new();
    let engine = engine(&cluster);
    let mut one = session(&engine);
    ok(&mut one, "create sequence s; create table t (id int default nextval('s'), v int)").await;
    for (count, next) in [(3, 4), (7, 12), (100, 113), (5_000, 5_114)] {
        let text = format!("insert into t (v) select n from generate_series(1, {count}) n");
        ok(&mut one, &text).await;
        assert_eq!(take(&mut one, "select nextval('s')").await, [next]);
    }
    // The statement is in its midst when the other takes a value.
    ok(&mut one, "select setval('s', 1, false)").await;
    ok(&mut one, "begin; declare c cursor for select nextval('s') from generate_series(1, 10)")
        .await;
    let first = take(&mut one, "fetch 3 from c").await;
    assert_eq!(first, [1, 2, 3]);
    let mut two = session(&engine);
    let other = take(&mut two, "select nextval('s') from generate_series(1, 5)").await;
    let rest = take(&mut one, "fetch all from c").await;
    let all: BTreeSet<_> = first.iter().chain(&other).chain(&rest).collect();
    assert_eq!((all.len(), rest.len()), (15, 7));
    ok(&mut one, "commit").await;
}

/// A value that is rolled back is gone; one of a sequence that is rolled back never was.
#[tokio::test(start_paused = true)]
async fn what_is_rolled_back_leaves_a_gap() {
    let cluster = LocalCluster::new();
    let engine = engine(&cluster);
    let (mut one, mut two) = (session(&engine), session(&engine));
    ok(&mut one, "create table t (id serial primary key, v int)").await;
    ok(&mut one, "begin; insert into t (v) values (1)").await;
    // Nobody waits for the block.
    assert_eq!(take(&mut two, "insert into t (v) values (2) returning id").await, [2]);
    ok(&mut one, "rollback").await;
    assert_eq!(take(&mut two, "insert into t (v) values (3) returning id").await, [3]);
    ok(&mut one, "begin; alter sequence t_id_seq restart with 50").await;
    assert_eq!(take(&mut one, "insert into t (v) values (4) returning id").await, [50]);
    ok(&mut one, "rollback").await;
    assert_eq!(take(&mut two, "insert into t (v) values (5) returning id").await, [4]);
}

/// A sequence is altered while others have kept values of it, and use it in a block: the change waits for the block, and
/// what was kept is not given any more.
#[tokio::test(start_paused = true)]
async fn a_change_voids_what_sessions_have_kept() {
    let cluster = LocalCluster::new();
    let nodes = [engine(&cluster), engine(&cluster)];
    let (mut one, mut two) = (session(&nodes[0]), session(&nodes[1]));
    ok(&mut one, "create sequence s cache 10").await;
    assert_eq!(take(&mut two, "select nextval('s')").await, [1]);
    assert_eq!(take(&mut one, "select nextval('s')").await, [11]);
    ok(&mut two, "begin").await;
    assert_eq!(take(&mut two, "select nextval('s')").await, [2]);
    let (_, ()) = futures::join!(ok(&mut one, "alter sequence s restart with 100"), async {
        tokio::time::sleep(Duration::from_secs(20)).await;
        assert_eq!(take(&mut two, "select nextval('s')").await, [3]);
        ok(&mut two, "commit").await;
    });
    assert_eq!(take(&mut two, "select nextval('s')").await, [100]);
    assert_eq!(take(&mut one, "select nextval('s')").await, [110]);
    ok(&mut one, "drop sequence s").await;
    assert!(run(&mut two, "select nextval('s')").await.is_err());
}
