//! Statements of many rows: COPY, and what they cost in requests.

use std::sync::Arc;
use std::time::Duration;

use kv::keys::Space;
use sql::error::SqlError;
use sql::session::{Session, Step};
use txn::testing::LocalCluster;

use crate::told::Told;
use crate::{engine, ok, run, session};

struct World {
    cluster: Arc<LocalCluster>,
    session: Session,
}

impl World {
    fn new() -> World {
        let cluster = LocalCluster::new();
        let session = session(&engine(&cluster));
        World { cluster, session }
    }

    async fn run(&mut self, text: &str) -> Result<Vec<String>, SqlError> {
        run(&mut self.session, text).await
    }

    async fn ok(&mut self, text: &str) -> Vec<String> {
        self.run(text).await.unwrap_or_else(|error| panic!("{text}: {error} {:?}", error.detail))
    }

    /// The requests that a statement sends, each with everything that it asks for.
    async fn requests_of(&mut self, text: &str) -> usize {
        let before = self.cluster.sent().len();
        self.ok(text).await;
        self.cluster.sent().len() - before
    }

    /// COPY of lines, each a message of its own.
    async fn copy(&mut self, command: &str, lines: &[String]) -> Result<Vec<String>, SqlError> {
        let mut told = Told::default();
        let step = self.session.simple_query(command, &mut told).await?;
        assert!(matches!(step, Step::CopyIn { .. }));
        for line in lines {
            self.session.copy_data(format!("{line}\n").as_bytes()).await?;
        }
        self.session.copy_done(&mut told).await?;
        Ok(told.lines)
    }
}

fn lines(numbers: impl Iterator<Item = u32>) -> Vec<String> {
    numbers.map(|number| format!("{number}\t{number}")).collect()
}

#[tokio::test(start_paused = true)]
async fn no_statement_sends_a_request_a_row() {
    let mut world = World::new();
    world.ok("create table t (id int primary key, n int unique, c int)").await;
    world.ok("create index t_c on t (c)").await;
    let statements = [
        "insert into t select g, g, g % 3 from generate_series(1, 1000) g",
        "insert into t select g, g, g % 3 from generate_series(501, 1500) g on conflict do nothing",
        "insert into t select g + 9000, g, 7 from generate_series(1, 500) g
             on conflict (n) do update set c = excluded.c",
        "update t set c = c + 1",
        "update t set n = n + 5000 where id > 700",
        "select count(*) from t where c = 2",
        "select c from t where c = 2 for update",
        "select * from t where id in (1, 20, 300, 4000, 50, 600, 7, 80, 900, 1000, 1100, 1200, 13, 14, 15)",
        "delete from t where c = 1",
        "create index t_nc on t (n, c)",
        "truncate t",
    ];
    for text in statements {
        let requests = world.requests_of(text).await;
        // An index of so many rows is built in steps, each by a few requests, between two gates.
        let most = if text.starts_with("create") { 60 } else { 30 };
        assert!(requests < most, "{requests} for {text}");
    }
    world.ok("create table h (a int, b int)").await;
    // With the table's description at hand: nothing is asked of a table without a key of its own.
    world.ok("insert into h values (1, 2)").await;
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert_eq!(world.requests_of("insert into h values (1, 2)").await, 1, "the commit");
    for text in [
        "truncate h",
        "insert into h select g, g from generate_series(1, 1000) g",
        "alter table h add primary key (a)",
        "drop table h",
    ] {
        let requests = world.requests_of(text).await;
        assert!(requests < 60, "{requests} for {text}");
    }
}

#[tokio::test(start_paused = true)]
async fn copy_inserts_in_portions_and_names_the_line_that_fails() {
    let mut world = World::new();
    world.ok("create table t (a int primary key, b int)").await;
    let before = world.cluster.sent().len();
    let told = world.copy("copy t from stdin", &lines(1..=2_500)).await.unwrap();
    assert_eq!(told, ["COPY 2500"]);
    let requests = world.cluster.sent().len() - before;
    assert!(requests < 30, "{requests}");
    let failure = async |world: &mut World, lines: &[String]| {
        let error = world.copy("copy t from stdin", lines).await.unwrap_err();
        world.session.copy_fail(error.clone());
        let context = error.object.and_then(|object| object.context).unwrap_or_default();
        (error.state.0, error.detail.unwrap_or_default(), context)
    };
    // In the table, and within the data.
    let (state, detail, context) = failure(&mut world, &lines((3_001..4_200).chain([7]))).await;
    assert_eq!((state, context.as_str()), ("23505", "COPY t, line 1200"));
    assert_eq!(detail, "Key (a)=(7) already exists.");
    let (state, _, context) = failure(&mut world, &lines((3_001..4_500).chain([3_005]))).await;
    assert_eq!((state, context.as_str()), ("23505", "COPY t, line 1500"));
    // What comes first is reported first.
    let mut mixed = lines((3_001..3_400).chain([7]).chain(3_401..3_500));
    mixed[450] = "x\ty".into();
    let (state, _, context) = failure(&mut world, &mixed).await;
    assert_eq!((state, context.as_str()), ("23505", "COPY t, line 400"));
    mixed[300] = "x\ty".into();
    let (state, _, context) = failure(&mut world, &mixed).await;
    assert_eq!((state, context.as_str()), ("22P02", "COPY t, line 301"));
    assert_eq!(world.ok("select count(*) from t").await, ["2500", "SELECT 1"]);
}

/// In one transaction with what made the table empty, as pgbench does it.
#[tokio::test(start_paused = true)]
async fn copy_after_truncate_in_one_transaction() {
    let mut world = World::new();
    world.ok("create table t (a int primary key, b int)").await;
    world.copy("copy t from stdin", &lines(1..=1_200)).await.unwrap();
    world.ok("begin; truncate table t").await;
    world.copy("copy t from stdin with (freeze on)", &lines(600..=2_000)).await.unwrap();
    world.ok("commit").await;
    let told = world.ok("select count(*) from t; select min(a) from t").await;
    assert_eq!(told, ["1401", "SELECT 1", "600", "SELECT 1"]);
}

/// A DELETE of everything is an entry an index, by whichever protocol, if it is a transaction by itself; where it cannot be,
/// the rows go one by one.
#[tokio::test(start_paused = true)]
async fn a_table_is_emptied_by_an_entry_an_index() {
    let cluster = LocalCluster::new();
    let engine = engine(&cluster);
    let mut session = session(&engine);
    ok(&mut session, "create table t (a int primary key, b int)").await;
    ok(&mut session, "create index t_b on t (b)").await;
    let erased = |entries| assert_eq!(cluster.count(Space::Erased), entries);
    let fill = "insert into t select g, -g from generate_series(1, 1500) g";
    let look = "select count(*), sum(a), (select count(*) from t where b < 0) from t";
    ok(&mut session, fill).await;
    assert_eq!(ok(&mut session, "delete from t").await, ["DELETE 1500"]);
    erased(2);
    assert_eq!(ok(&mut session, look).await, ["0,,0", "SELECT 1"]);
    ok(&mut session, fill).await;
    assert_eq!(ok(&mut session, look).await, ["1500,1125750,1500", "SELECT 1"]);
    // The extended protocol: of a statement behind which Sync comes, and of one that others follow.
    session.parse("d", "delete from t", &[]).await.unwrap();
    for last in [true, false] {
        session.bind("", "d", &[]).await.unwrap();
        let mut told = Told::default();
        session.execute("", 0, last, &mut told).await.unwrap();
        if !last {
            session.parse("", "select count(*) from t", &[]).await.unwrap();
            session.bind("", "", &[]).await.unwrap();
            session.execute("", 0, true, &mut told).await.unwrap();
        }
        session.sync().await.unwrap();
        let expected: &[&str] =
            if last { &["DELETE 1500"] } else { &["DELETE 1500", "0", "SELECT 1"] };
        assert_eq!(told.lines, expected);
        erased(4);
        ok(&mut session, fill).await;
    }
    for text in [
        "begin; delete from t; select count(*) from t; rollback",
        "delete from t where b < 0 and a > 100",
    ] {
        ok(&mut session, text).await;
        erased(4);
    }
    assert_eq!(ok(&mut session, look).await, ["100,5050,100", "SELECT 1"]);
    // Somebody has a lock: the statement runs again, and nobody notices.
    ok(&mut session, "delete from t").await;
    ok(&mut session, fill).await;
    let mut other = crate::session(&engine);
    ok(&mut other, "begin; select a from t where a = 1400 for key share").await;
    let deleting = tokio::spawn(async move { (ok(&mut session, "delete from t").await, session) });
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(!deleting.is_finished());
    ok(&mut other, "commit").await;
    let (deleted, mut session) = deleting.await.unwrap();
    assert_eq!(deleted, ["DELETE 1500"]);
    erased(4);
    assert_eq!(ok(&mut session, look).await, ["0,,0", "SELECT 1"]);
}
