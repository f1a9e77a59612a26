//! Schema changes beside other sessions, of the same node and of others.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use sql::catalog::descriptor::{PRIMARY_INDEX, TableId};
use sql::error::SqlError;
use sql::row::{encode_key_datum, index_prefix};
use sql::session::Session;
use sql::types::{Datum, SqlType};
use tokio::time::Instant;
use txn::db::{Config, Db, Txn, TxnOptions};
use txn::testing::LocalCluster;

use super::{engine, ok, run, session};

/// A change that waits for nobody's transaction: looks for closed gates, and a few requests.
const SHORT: Duration = Duration::from_secs(2);

async fn pause(millis: u64) {
    tokio::time::sleep(Duration::from_millis(millis)).await;
}

/// Another node has used the table, and keeps a block open that relies on its lease. The change waits for the block and
/// for nothing else; who comes meanwhile waits for the change. Nobody fails, and the index misses no row.
#[tokio::test(start_paused = true)]
async fn a_change_waits_for_open_blocks_and_new_statements_for_the_change() {
    let cluster = LocalCluster::new();
    // Two engines: each has its own leases, as two nodes would.
    let (here, there) = (engine(&cluster), engine(&cluster));
    let (mut one, mut two) = (session(&here), session(&there));
    ok(&mut one, "create table t (a int primary key, b int)").await;
    for session in [&mut one, &mut two] {
        ok(session, "select * from t").await;
    }
    pause(10).await;
    ok(&mut two, "begin; insert into t values (1, 1)").await;
    let (begun, committed) = (Instant::now(), Cell::new(None));
    let ((), late, ()) = futures::join!(
        async {
            ok(&mut one, "create index t_b on t (b)").await;
            assert!(committed.get().is_some(), "the block had the old version");
        },
        async {
            pause(20_000).await;
            ok(&mut session(&there), "insert into t values (2, 2)").await;
            Instant::now()
        },
        async {
            // Longer than any lease.
            pause(30_000).await;
            ok(&mut two, "insert into t values (3, 3)").await;
            ok(&mut two, "commit").await;
            committed.set(Some(Instant::now()));
        }
    );
    let committed = committed.get().unwrap();
    assert!(late >= committed, "it came after the change");
    assert!(late - committed < SHORT && begun.elapsed() < Duration::from_secs(32));
    for value in [1, 2, 3] {
        let query = format!("select a from t where b = {value}");
        for session in [&mut one, &mut two] {
            assert_eq!(ok(session, &query).await, [value.to_string(), "SELECT 1".into()]);
        }
    }
}

/// On a table that every node uses, but nobody right now.
#[tokio::test(start_paused = true)]
async fn a_change_of_an_idle_table_is_quick() {
    let cluster = LocalCluster::new();
    let engines = [engine(&cluster), engine(&cluster), engine(&cluster)];
    let mut one = session(&engines[0]);
    ok(&mut one, "create table t (a int primary key, b int)").await;
    ok(&mut one, "insert into t select g, g from generate_series(1, 100) g").await;
    for change in [
        "create index t_b on t (b)",
        "alter table t add column c int not null default 7",
        "drop index t_b",
        "alter table t rename to u",
        "alter table u rename to t",
        "alter table t drop column c",
    ] {
        for engine in &engines {
            run(&mut session(engine), "select * from t").await.ok();
        }
        pause(10).await;
        let begun = Instant::now();
        ok(&mut one, change).await;
        assert!(begun.elapsed() < SHORT, "{change} took {:?}", begun.elapsed());
    }
}

async fn write_until(session: &mut Session, first: u32, end: &Cell<bool>) -> Result<u32, SqlError> {
    let mut next = first;
    while !end.get() {
        run(session, &format!("insert into t (a, b) values ({next}, {next} % 7)")).await?;
        run(session, &format!("update t set b = b + 1 where a = {}", next % 100 + 1)).await?;
        next += 1;
        pause(3).await;
    }
    Ok(next - first)
}

/// Writers on every node do not stop for a moment. Every change ends soon, and no statement fails for it.
#[tokio::test(start_paused = true)]
async fn changes_under_load_end_and_fail_nobody() {
    let cluster = LocalCluster::new();
    cluster.set_apply_delay(Duration::from_millis(2));
    let engines = [engine(&cluster), engine(&cluster), engine(&cluster)];
    let mut one = session(&engines[0]);
    ok(&mut one, "create table t (a int primary key, b int)").await;
    ok(&mut one, "insert into t select g, g from generate_series(1, 2000) g").await;
    let end = Cell::new(false);
    let mut writers: Vec<Session> = engines.iter().map(session).collect();
    let writing = writers
        .iter_mut()
        .zip(1..)
        .map(|(session, number)| write_until(session, number * 1_000_000, &end));
    let changing = async {
        pause(200).await;
        for change in [
            "create index t_b on t (b)",
            "alter table t add column c int not null default 7",
            "create unique index t_c on t (c, a)",
            "alter table t add check (c > 0)",
            "drop index t_b",
            "alter table t add d uuid default gen_random_uuid()",
            "begin; create index t_b on t (b); alter table t add e int default 5; commit",
        ] {
            let begun = Instant::now();
            ok(&mut session(&engines[0]), change).await;
            assert!(begun.elapsed() < 3 * SHORT, "{change} took {:?}", begun.elapsed());
            pause(300).await;
        }
        end.set(true);
    };
    let (written, ()) = futures::join!(futures::future::try_join_all(writing), changing);
    let written = written.unwrap();
    let rows = (2_000 + written.iter().sum::<u32>()).to_string();
    assert!(written.iter().all(|count| *count > 50), "{written:?}");
    assert_eq!(ok(&mut one, "select count(*) from t").await, [rows.as_str(), "SELECT 1"]);
    let by_index = "select count(*) from t where b in (select distinct b from t)";
    assert_eq!(ok(&mut one, by_index).await, [rows.as_str(), "SELECT 1"]);
    let nulls = ok(&mut one, "select count(*) from t where d is null").await;
    assert_eq!(nulls, ["0", "SELECT 1"]);
}

/// Blocks that use several tables, and changes of several tables in blocks: whatever waits for each other, nobody waits
/// for ever.
#[tokio::test(start_paused = true)]
async fn blocks_and_changes_that_wait_for_each_other_end() {
    let cluster = LocalCluster::new();
    let (here, there) = (engine(&cluster), engine(&cluster));
    let (mut one, mut two) = (session(&here), session(&there));
    ok(&mut one, "create table t (a int primary key); create table u (a int primary key)").await;
    ok(&mut two, "select * from t, u").await;
    pause(10).await;
    ok(&mut one, "begin; alter table u add b int").await;
    ok(&mut two, "select 1 from t; begin; select * from t").await;
    let begun = Instant::now();
    let (altered, ()) = futures::join!(run(&mut one, "alter table t add b int"), async {
        pause(300).await;
        // The block holds t, which the change waits for, and waits for u, which the change holds.
        run(&mut two, "insert into u (a) values (1)").await.ok();
        run(&mut two, "commit").await.ok();
    });
    altered.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    ok(&mut one, "commit").await;
    ok(&mut two, "rollback").await;
    ok(&mut two, "insert into u (a, b) values (2, 2)").await;
}

/// A rolled back change was never there, and nobody waits any longer for it.
#[tokio::test(start_paused = true)]
async fn a_change_in_a_block_is_rolled_back() {
    let cluster = LocalCluster::new();
    let (here, there) = (engine(&cluster), engine(&cluster));
    let (mut one, mut two) = (session(&here), session(&there));
    ok(&mut one, "create table t (a int primary key, b int)").await;
    ok(&mut two, "insert into t values (1, 1)").await;
    ok(&mut one, "begin; create unique index t_b on t (b); alter table t add c int default 3")
        .await;
    assert_eq!(ok(&mut one, "select c from t where b = 1").await, ["3", "SELECT 1"]);
    let (waited, ()) = futures::join!(run(&mut two, "insert into t values (2, 1)"), async {
        pause(5_000).await;
        ok(&mut one, "rollback").await;
    });
    waited.unwrap();
    assert_eq!(ok(&mut one, "select a, b from t where b = 1 order by a").await.len(), 3);
    assert_eq!(run(&mut one, "select c from t").await.unwrap_err().state.0, "42703");
}

/// The waits for a change, and a change's own, are bounded as others are.
#[tokio::test(start_paused = true)]
async fn lock_timeout_and_statement_timeout_end_the_waits() {
    let cluster = LocalCluster::new();
    let (here, there) = (engine(&cluster), engine(&cluster));
    let (mut one, mut two) = (session(&here), session(&there));
    ok(&mut one, "create table t (a int primary key)").await;
    ok(&mut two, "select * from t").await;
    pause(10).await;
    ok(&mut two, "begin; select * from t").await;
    for (setting, state) in [("lock_timeout", "55P03"), ("statement_timeout", "57014")] {
        ok(&mut one, &format!("set {setting} = '1s'")).await;
        let begun = Instant::now();
        let error = run(&mut one, "alter table t add b int").await.unwrap_err();
        assert_eq!(error.state.0, state);
        assert!(begun.elapsed() >= Duration::from_secs(1) && begun.elapsed() < SHORT);
        ok(&mut one, &format!("reset {setting}")).await;
    }
    ok(&mut two, "commit").await;
    ok(&mut one, "begin; alter table t add b int").await;
    for (setting, state) in [("lock_timeout", "55P03"), ("statement_timeout", "57014")] {
        ok(&mut two, &format!("set {setting} = '1s'")).await;
        assert_eq!(run(&mut two, "select * from t").await.unwrap_err().state.0, state);
        ok(&mut two, &format!("reset {setting}")).await;
    }
    ok(&mut one, "commit").await;
    assert_eq!(ok(&mut two, "select b from t").await, ["SELECT 0"]);
}

/// Locks a row beside everything that sessions do.
async fn lock_row(cluster: &Arc<LocalCluster>, session: &mut Session, a: i32) -> Txn {
    let oid = ok(session, "select 't'::regclass::oid").await[0].parse().expect("an oid");
    let mut key = index_prefix(TableId(oid), PRIMARY_INDEX);
    encode_key_datum(&mut key, SqlType::Int4, &Datum::Int4(a), false).expect("a key");
    let db = Db::new(cluster.env.clone(), cluster.clone(), Config::default());
    let mut txn = db.begin(TxnOptions::default());
    assert!(txn.get_for_update(key.into()).await.expect("reads").is_some());
    txn
}

/// More rows than a change's own transaction indexes.
async fn large(session: &mut Session) {
    ok(session, "create table t (a int primary key, b int, c text)").await;
    let rows = "insert into t select g, g % 700, 'x' || g from generate_series(1, 1400) g";
    ok(session, rows).await;
}

/// A unique index that cannot be: an error as for a small table, and nothing is left of it.
#[tokio::test(start_paused = true)]
async fn a_large_unique_index_with_duplicates_is_refused() {
    let cluster = LocalCluster::new();
    let here = engine(&cluster);
    let mut one = session(&here);
    large(&mut one).await;
    for change in
        ["create unique index t_b on t (b)", "alter table t add constraint t_b unique (b)"]
    {
        let error = run(&mut one, change).await.unwrap_err();
        assert_eq!(error.state.0, "23505");
        assert_eq!(error.message, "could not create unique index \"t_b\"");
        assert!(error.detail.is_some_and(|detail| detail.ends_with(" is duplicated.")));
    }
    ok(&mut one, "create index t_b on t (b)").await;
    ok(&mut one, "alter table t add constraint t_c unique (c)").await;
    let error = run(&mut one, "insert into t values (0, 0, 'x7')").await.unwrap_err();
    assert_eq!(error.state.0, "23505");
    assert_eq!(ok(&mut one, "select count(*) from t where b = 5").await, ["2", "SELECT 1"]);
}

/// While a unique index is built, its writers obey it; ON CONFLICT without a target, too.
#[tokio::test(start_paused = true)]
async fn writers_maintain_an_index_that_is_being_built() {
    let cluster = LocalCluster::new();
    let (here, there) = (engine(&cluster), engine(&cluster));
    let (mut one, mut two) = (session(&here), session(&there));
    large(&mut one).await;
    // It waits for a row that is locked, with the first ones done.
    let lock = lock_row(&cluster, &mut one, 1300).await;
    let (built, ()) = futures::join!(run(&mut one, "create unique index t_c on t (c)"), async {
        pause(1_000).await;
        let mut three = session(&there);
        let taken = run(&mut three, "insert into t values (0, 0, 'x7')").await.unwrap_err();
        assert_eq!(taken.state.0, "23505");
        let lines =
            ok(&mut three, "insert into t values (0, 0, 'x7') on conflict do nothing").await;
        assert_eq!(lines, ["INSERT 0 0"]);
        ok(&mut three, "delete from t where a = 7; insert into t values (0, 0, 'x7')").await;
        ok(&mut three, "update t set c = 'y' where a = 1350; delete from t where a = 1351").await;
        // No query uses it yet.
        let plan = ok(&mut three, "explain select * from t where c = 'x7'").await.join(" ");
        assert!(!plan.contains("t_c"), "{plan}");
        // Longer than a transaction of the system waits for a lock.
        pause(25_000).await;
        drop(lock);
    });
    built.unwrap();
    for (c, a) in [("x7", "0"), ("y", "1350"), ("x1300", "1300")] {
        let query = format!("select a from t where c = '{c}'");
        assert_eq!(ok(&mut two, &query).await, [a, "SELECT 1"]);
    }
    assert_eq!(ok(&mut two, "select a from t where c = 'x1351'").await, ["SELECT 0"]);
}

/// A block that has failed holds nothing any more, as in PostgreSQL: neither what it used nor what it was changing.
#[tokio::test(start_paused = true)]
async fn a_failed_block_is_not_waited_for() {
    let cluster = LocalCluster::new();
    let (here, there) = (engine(&cluster), engine(&cluster));
    let (mut one, mut two) = (session(&here), session(&there));
    ok(&mut one, "create table t (a int primary key)").await;
    ok(&mut two, "begin; select * from t").await;
    assert_eq!(run(&mut two, "select 1 / 0").await.unwrap_err().state.0, "22012");
    let begun = Instant::now();
    ok(&mut one, "alter table t add b int").await;
    ok(&mut one, "begin; alter table t add c int").await;
    assert_eq!(run(&mut one, "select 1 / 0").await.unwrap_err().state.0, "22012");
    ok(&mut two, "rollback; alter table t add c int").await;
    assert!(begun.elapsed() < SHORT, "{:?}", begun.elapsed());
    ok(&mut one, "rollback").await;
}

/// A statement that is cancelled while it builds leaves no index, and its name is free again.
#[tokio::test(start_paused = true)]
async fn a_build_that_is_cancelled_is_undone() {
    let cluster = LocalCluster::new();
    let (here, there) = (engine(&cluster), engine(&cluster));
    let (mut one, mut two) = (session(&here), session(&there));
    large(&mut one).await;
    ok(&mut two, "begin; select * from t where a = 1").await;
    // Its build waits for this row.
    let lock = lock_row(&cluster, &mut one, 1300).await;
    ok(&mut one, "set statement_timeout = '4s'").await;
    let (built, ()) = futures::join!(run(&mut one, "create index t_b on t (b)"), async {
        pause(1_000).await;
        ok(&mut two, "commit").await;
    });
    assert_eq!(built.unwrap_err().state.0, "57014");
    drop(lock);
    pause(1_000).await;
    ok(&mut one, "create index t_b on t (c)").await;
    assert_eq!(ok(&mut one, "select a from t where c = 'x5'").await, ["5", "SELECT 1"]);
    ok(&mut one, "drop index t_b; drop table t").await;
}

/// A column with a constant default touches no row, however many there are; rows of before have the default of then.
#[tokio::test(start_paused = true)]
async fn rows_of_before_have_the_default_of_then() {
    let cluster = LocalCluster::new();
    let here = engine(&cluster);
    let mut one = session(&here);
    large(&mut one).await;
    let before = cluster.sent().len();
    ok(&mut one, "alter table t add column d numeric(6,2) not null default 1.5 + 1").await;
    assert!(cluster.sent().len() - before < 40);
    ok(&mut one, "alter table t alter column d set default 9").await;
    ok(&mut one, "insert into t (a) values (0); update t set b = 1 where a = 1").await;
    let query = "select a, d from t where a < 3 order by a";
    assert_eq!(ok(&mut one, query).await, ["0,9.00", "1,2.50", "2,2.50", "SELECT 3"]);
    // A NULL that was written is one.
    ok(&mut one, "alter table t alter column d drop not null; update t set d = null where a = 2")
        .await;
    assert_eq!(ok(&mut one, "select a from t where d is null").await, ["2", "SELECT 1"]);
    ok(&mut one, "create index t_d on t (d); alter table t add e uuid default gen_random_uuid()")
        .await;
    assert_eq!(ok(&mut one, "select count(*) from t where d = 2.5").await, ["1399", "SELECT 1"]);
    assert_eq!(ok(&mut one, "select count(distinct e) from t").await, ["1401", "SELECT 1"]);
}
