//! Sessions as the protocol uses them: the extended protocol, COPY, retries, statements of many rows, and schema leases
//! between two nodes that share the data.

#![allow(clippy::disallowed_methods, reason = "plays clients, on tokio's paused clock")]

mod bulk;
mod copy;
mod cursors;
mod locks;
mod schema;
mod sequences;
mod told;

use std::sync::Arc;
use std::time::Duration;

use sql::error::SqlError;
use sql::memory::{DEFAULT_NODE_BYTES, Memory};
use sql::session::{Session, SqlEngine, Step, TxnStatus, Value};
use sql::types::SqlType;
use txn::db::{Config, Db};
use txn::testing::LocalCluster;

use told::Told;

fn engine(cluster: &Arc<LocalCluster>) -> Arc<SqlEngine> {
    let db = Db::new(cluster.env.clone(), cluster.clone(), Config::default());
    SqlEngine::new(db, cluster.env.clone(), Memory::new(DEFAULT_NODE_BYTES))
}

fn session(engine: &Arc<SqlEngine>) -> Session {
    Session::new(engine.clone(), "postgres", "postgres", &[]).expect("opens")
}

async fn run(session: &mut Session, text: &str) -> Result<Vec<String>, SqlError> {
    let mut told = Told::default();
    session.simple_query(text, &mut told).await?;
    Ok(told.lines)
}

/// Runs a text that must succeed.
async fn ok(session: &mut Session, text: &str) -> Vec<String> {
    run(session, text).await.unwrap_or_else(|error| panic!("{text}: {error} {:?}", error.detail))
}

fn text(value: &str) -> Value {
    Value::Text(value.as_bytes().to_vec().into())
}

#[tokio::test(start_paused = true)]
async fn a_portal_gives_its_rows_in_portions() {
    let engine = engine(&LocalCluster::new());
    let mut session = session(&engine);
    ok(&mut session, "create table t (a int primary key, b text)").await;
    ok(&mut session, "insert into t select g, 'x' || g from generate_series(1, 5) g").await;
    session.parse("s", "select a, b from t where a >= $1 order by a", &[]).await.unwrap();
    let described = session.describe_statement("s").unwrap();
    assert_eq!(described.parameters, [SqlType::Int4]);
    assert_eq!(described.columns.unwrap().len(), 2);
    session.bind("p", "s", &[text("2")]).await.unwrap();
    let mut told = Told::default();
    assert_eq!(session.execute("p", 3, false, &mut told).await.unwrap(), Step::Done);
    assert_eq!(told.lines, ["2,x2", "3,x3", "4,x4", "suspended"]);
    let mut told = Told::default();
    session.execute("p", 3, false, &mut told).await.unwrap();
    assert_eq!(told.lines, ["5,x5", "SELECT 1"]);
    session.sync().await.unwrap();
    assert_eq!(session.status(), TxnStatus::Idle);
    // The portal ended with its transaction, the statement lives on.
    assert_eq!(session.execute("p", 0, false, &mut told).await.unwrap_err().state.0, "34000");
    session.bind("", "s", &[Value::Binary(vec![0, 0, 0, 5].into())]).await.unwrap();
    let mut told = Told::default();
    session.execute("", 0, false, &mut told).await.unwrap();
    assert_eq!(told.lines, ["5,x5", "SELECT 1"]);
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_one_transaction() {
    let engine = engine(&LocalCluster::new());
    let mut session = session(&engine);
    ok(&mut session, "create table t (a int primary key)").await;
    session.parse("i", "insert into t values ($1)", &[]).await.unwrap();
    let mut told = Told::default();
    for value in ["1", "2", "2"] {
        session.bind("", "i", &[text(value)]).await.unwrap();
        if let Err(error) = session.execute("", 0, false, &mut told).await {
            assert_eq!((value, error.state.0), ("2", "23505"));
        }
    }
    session.sync().await.unwrap();
    assert_eq!(ok(&mut session, "select count(*) from t").await, ["0", "SELECT 1"]);
    session.parse("", "", &[]).await.unwrap();
    session.bind("", "", &[]).await.unwrap();
    let mut told = Told::default();
    session.execute("", 0, false, &mut told).await.unwrap();
    assert_eq!(told.lines, ["empty"]);
}

#[tokio::test(start_paused = true)]
async fn copy_takes_and_gives_lines() {
    let engine = engine(&LocalCluster::new());
    let mut session = session(&engine);
    ok(&mut session, "create table t (a int primary key, b text)").await;
    let mut told = Told::default();
    let step = session.simple_query("copy t from stdin; select count(*) from t", &mut told).await;
    assert!(matches!(step, Ok(Step::CopyIn { columns: 2, .. })));
    // Pieces need not end with lines.
    for piece in ["1\to", "ne\n2\t", "\\N\n3\ta\\tb", "\n\\.\n"] {
        session.copy_data(piece.as_bytes()).await.unwrap();
    }
    assert_eq!(session.copy_done(&mut told).await.unwrap(), Step::Done);
    assert_eq!(told.lines, ["COPY 3", "3", "SELECT 1"]);
    assert_eq!(
        ok(&mut session, "copy (select * from t order by a) to stdout").await,
        ["1\tone", "2\t\\N", "3\ta\\tb", "COPY 3"]
    );
    assert_eq!(
        ok(&mut session, "copy t (b, a) to stdout with (format csv, header)").await,
        ["b,a", "one,1", ",2", "a\tb,3", "COPY 3"]
    );
    session.simple_query("copy t from stdin", &mut told).await.unwrap();
    let error = session.copy_data(b"4\tx\ty\n").await.unwrap_err();
    let context = error.object.and_then(|object| object.context);
    assert_eq!((error.state.0, context.as_deref()), ("22P04", Some("COPY t, line 1")));
    assert_eq!(ok(&mut session, "select count(*) from t").await, ["3", "SELECT 1"]);
}

/// Two sessions that read what the other writes: one commits, the other's first statement is not to blame and its
/// block fails with 40001, while an implicit transaction is simply run again.
#[tokio::test(start_paused = true)]
async fn conflicts_are_retried_while_nobody_has_seen_anything() {
    let engine = engine(&LocalCluster::new());
    let (mut one, mut two) = (session(&engine), session(&engine));
    ok(&mut one, "create table t (a int primary key, n int)").await;
    ok(&mut one, "insert into t values (1, 0), (2, 0)").await;
    ok(&mut one, "begin").await;
    ok(&mut two, "begin").await;
    ok(&mut one, "select sum(n) from t").await;
    ok(&mut two, "select sum(n) from t").await;
    ok(&mut one, "insert into t values (3, 1)").await;
    ok(&mut two, "insert into t values (4, 1)").await;
    ok(&mut one, "commit").await;
    assert_eq!(run(&mut two, "commit").await.unwrap_err().state.0, "40001");
    assert_eq!(two.status(), TxnStatus::Idle);
    // Increments of one row from many sessions all count.
    let tasks = (0..10).map(|_| {
        let mut session = session(&engine);
        async move { run(&mut session, "update t set n = n + 1 where a = 1").await }
    });
    for result in futures::future::join_all(tasks).await {
        result.unwrap();
    }
    assert_eq!(ok(&mut one, "select n from t where a = 1").await, ["10", "SELECT 1"]);
}

/// A batch of one statement is repeated with its commit: drivers send autocommit statements like this.
#[tokio::test(start_paused = true)]
async fn the_commit_of_a_batch_is_retried_with_its_last_statement() {
    let engine = engine(&LocalCluster::new());
    let mut one = session(&engine);
    ok(&mut one, "create table t (a int primary key)").await;
    ok(&mut one, "insert into t values (0)").await;
    let tasks = (0..5).map(|_| {
        let mut session = session(&engine);
        async move {
            let text = "insert into t select max(a) + 1 from t returning a";
            session.parse("", text, &[]).await?;
            session.bind("", "", &[]).await?;
            let mut told = Told::default();
            session.execute("", 0, true, &mut told).await?;
            session.sync().await?;
            Ok::<_, SqlError>(told.lines)
        }
    });
    let mut rows = Vec::new();
    for result in futures::future::join_all(tasks).await {
        let lines = result.unwrap();
        // Rows of the attempts that failed were taken back.
        assert_eq!((lines.len(), lines[1].as_str()), (2, "INSERT 0 1"));
        rows.push(lines[0].clone());
    }
    rows.sort();
    assert_eq!(rows, ["1", "2", "3", "4", "5"]);
}

/// A prepared statement has a plan of its own, which is another's as soon as anything that it says has changed.
#[tokio::test(start_paused = true)]
async fn a_prepared_statement_is_planned_anew_when_what_it_names_has_changed() {
    async fn execute(session: &mut Session, name: &str) -> Result<Vec<String>, SqlError> {
        let mut told = Told::default();
        session.bind("", name, &[]).await?;
        session.execute("", 0, false, &mut told).await?;
        session.sync().await?;
        Ok(told.lines)
    }
    let engine = engine(&LocalCluster::new());
    let (mut one, mut two) = (session(&engine), session(&engine));
    ok(&mut one, "create table t (a int primary key, n int default 1)").await;
    ok(&mut one, "insert into t values (1, 10)").await;
    one.parse("s", "select n from t where a = 1", &[]).await.unwrap();
    for _ in 0..3 {
        assert_eq!(execute(&mut one, "s").await.unwrap(), ["10", "SELECT 1"]);
    }
    // Another session's change, and one of its own that is rolled back: its version comes again, for something else.
    ok(&mut two, "alter table t add column m int").await;
    assert_eq!(execute(&mut one, "s").await.unwrap(), ["10", "SELECT 1"]);
    ok(&mut one, "begin").await;
    ok(&mut one, "alter table t add column k int").await;
    assert_eq!(execute(&mut one, "s").await.unwrap(), ["10", "SELECT 1"]);
    ok(&mut one, "rollback").await;
    ok(&mut two, "alter table t drop column n").await;
    assert_eq!(execute(&mut one, "s").await.unwrap_err().state.0, "42703");
    ok(&mut two, "alter table t add column n text default 'x'").await;
    assert_eq!(execute(&mut one, "s").await.unwrap_err().state.0, "0A000");
    // Its names are looked up where the session looks now.
    ok(&mut one, "set search_path to information_schema").await;
    one.parse("p", "select count(*) > 0 from schemata", &[]).await.unwrap();
    assert_eq!(execute(&mut one, "p").await.unwrap(), ["t", "SELECT 1"]);
    ok(&mut one, "set search_path to public").await;
    assert_eq!(execute(&mut one, "p").await.unwrap_err().state.0, "42P01");
}

/// A point read in the steady state is one request: its table's descriptor is leased.
#[tokio::test(start_paused = true)]
async fn a_leased_descriptor_is_not_read() {
    let cluster = LocalCluster::new();
    let engine = engine(&cluster);
    let mut session = session(&engine);
    ok(&mut session, "create table t (a int primary key, n int)").await;
    ok(&mut session, "insert into t values (1, 10)").await;
    ok(&mut session, "select n from t where a = 1").await;
    tokio::time::sleep(Duration::from_millis(10)).await;
    let before = cluster.sent().len();
    assert_eq!(ok(&mut session, "select n from t where a = 1").await, ["10", "SELECT 1"]);
    assert_eq!(cluster.sent().len() - before, 1);
}

/// A block outlives the leases that it began with, as long as nobody changes its tables.
#[tokio::test(start_paused = true)]
async fn a_block_may_stay_open_for_longer_than_a_lease() {
    let engine = engine(&LocalCluster::new());
    let mut session = session(&engine);
    ok(&mut session, "create table t (a int primary key)").await;
    ok(&mut session, "select * from t").await;
    tokio::time::sleep(Duration::from_millis(10)).await;
    ok(&mut session, "begin; insert into t values (1)").await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    ok(&mut session, "commit").await;
    assert_eq!(ok(&mut session, "select * from t").await, ["1", "SELECT 1"]);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_statement_fails_its_block() {
    let engine = engine(&LocalCluster::new());
    let (mut one, mut two) = (session(&engine), session(&engine));
    ok(&mut one, "create table t (a int primary key, n int)").await;
    ok(&mut one, "insert into t values (1, 0)").await;
    ok(&mut one, "begin").await;
    ok(&mut one, "update t set n = 1 where a = 1").await;
    ok(&mut two, "begin").await;
    {
        let waits = run(&mut two, "update t set n = 2 where a = 1");
        let timeout = tokio::time::timeout(Duration::from_millis(100), waits).await;
        assert!(timeout.is_err(), "it waits for the other's lock");
    }
    assert_eq!(two.cancelled().state.0, "57014");
    assert_eq!(two.status(), TxnStatus::Failed);
    ok(&mut two, "rollback").await;
    ok(&mut one, "commit").await;
    ok(&mut two, "set statement_timeout = '50ms'").await;
    ok(&mut one, "begin; update t set n = 3 where a = 1").await;
    let error = run(&mut two, "update t set n = 2 where a = 1").await.unwrap_err();
    assert_eq!(error.state.0, "57014");
    assert_eq!(two.status(), TxnStatus::Idle);
}

/// A COMMIT that is cancelled before anything of it has left has not committed; like any COMMIT that fails, it ends
/// its block.
#[tokio::test(start_paused = true)]
async fn a_cancelled_commit_ends_its_block() {
    let cluster = LocalCluster::new();
    let engine = engine(&cluster);
    let mut session = session(&engine);
    ok(&mut session, "create table t (a int primary key)").await;
    ok(&mut session, "select * from t").await;
    tokio::time::sleep(Duration::from_millis(10)).await;
    ok(&mut session, "begin; insert into t values (1)").await;
    // Nothing can be written for long enough that the table's lease ends: the commit renews it first.
    cluster.set_apply_delay(Duration::from_secs(20));
    tokio::time::sleep(Duration::from_secs(60)).await;
    {
        let commit = run(&mut session, "commit");
        assert!(tokio::time::timeout(Duration::from_millis(100), commit).await.is_err());
    }
    assert_eq!(session.cancelled().state.0, "57014");
    assert_eq!(session.status(), TxnStatus::Idle);
    cluster.set_apply_delay(Duration::ZERO);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(ok(&mut session, "select * from t").await, ["SELECT 0"]);
}

#[tokio::test(start_paused = true)]
async fn a_session_knows_the_number_of_its_connection() {
    let engine = engine(&LocalCluster::new());
    let mut session = session(&engine).with_number(7);
    assert_eq!(ok(&mut session, "select pg_backend_pid()").await, ["7", "SELECT 1"]);
}
