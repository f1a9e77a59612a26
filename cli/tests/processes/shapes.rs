//! Statements as deep, wide and long as a client can write them, on the threads that a server has: it lives, and each
//! gets its result or its SQLSTATE. Larger ones, of every kind and by the thousand: `jepsen-style-tests shapes`.

use tokio_postgres::{Client, Error};

use crate::harness::{Node, connect, free};

/// A statement that grows with a number.
type Shape = fn(usize) -> String;

/// What must run, and what must be refused: of each shape, how large.
const SHAPES: [(&str, Shape, usize, usize); 17] = [
    ("+", |n| format!("SELECT a{} FROM t", " + 0".repeat(n)), 10_000, 100_000),
    ("||", |n| format!("SELECT length(b{}) FROM t", " || 'x'".repeat(n)), 10_000, 100_000),
    ("AND", |n| format!("SELECT a FROM t WHERE a = 1{}", " AND c > 0".repeat(n)), 10_000, 80_000),
    ("OR", |n| format!("SELECT a FROM t WHERE a = 0{}", " OR c = 0".repeat(n)), 10_000, 80_000),
    (
        "OR of AND",
        |n| format!("SELECT a FROM t WHERE a = 0{}", " OR (a = 0 AND b = 'x')".repeat(n)),
        10_000,
        40_000,
    ),
    ("parentheses", |n| format!("SELECT {}1{}", "(".repeat(n), ")".repeat(n)), 900, 100_000),
    ("NOT", |n| format!("SELECT {} true", "NOT ".repeat(n)), 900, 100_000),
    ("calls", |n| format!("SELECT {}a{} FROM t", "abs(".repeat(n), ")".repeat(n)), 900, 100_000),
    ("casts", |n| format!("SELECT a{} FROM t", "::bigint::int".repeat(n)), 1_000, 50_000),
    ("UNION ALL", |n| format!("SELECT 1{}", " UNION ALL SELECT 1".repeat(n)), 1_000, 40_000),
    ("UNION", |n| format!("SELECT 1{}", " UNION SELECT 2".repeat(n)), 1_000, 40_000),
    ("EXCEPT", |n| format!("SELECT 1{}", " EXCEPT SELECT 2".repeat(n)), 1_000, 40_000),
    (
        "tables",
        |n| {
            let more: String = (1..n).map(|i| format!(", one o{i}")).collect();
            format!("SELECT count(*) FROM one{more}")
        },
        200,
        9_000,
    ),
    (
        "joins",
        |n| {
            let more: String = (1..n).map(|i| format!(" LEFT JOIN one o{i} USING (x)")).collect();
            format!("SELECT count(*) FROM one{more}")
        },
        200,
        20_000,
    ),
    (
        "IN",
        |n| {
            let open = "SELECT a FROM t WHERE a IN (".repeat(n);
            format!("{open}SELECT 1{}", ")".repeat(n))
        },
        200,
        20_000,
    ),
    (
        "scalar subqueries",
        |n| format!("{}SELECT 1{}", "SELECT (".repeat(n), ")".repeat(n)),
        200,
        50_000,
    ),
    (
        "subqueries in FROM",
        |n| format!("{}SELECT 1 AS a{}", "SELECT * FROM (".repeat(n), ") x".repeat(n)),
        200,
        40_000,
    ),
];

async fn ask(client: &Client, text: &str) -> Result<(), Error> {
    client.simple_query(text).await.map(|_| ())
}

fn state(answer: Result<(), Error>) -> String {
    match answer {
        Ok(()) => "ok".to_owned(),
        Err(error) => match error.code() {
            Some(state) => state.code().to_owned(),
            None => format!("no answer: {error}"),
        },
    }
}

#[test]
fn deep_wide_and_long_statements_get_an_answer() {
    let directory = tempfile::tempdir().unwrap();
    let mut node = Node::start_alone(directory.path(), &free());
    node.sql(
        "CREATE TABLE t (a int PRIMARY KEY, b text, c int); INSERT INTO t VALUES (1, 'x', 1); \
         CREATE TABLE one (x int PRIMARY KEY); INSERT INTO one VALUES (1)",
    );
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let client = connect(&node.sql).await.unwrap();
        for (name, shape, runs, refused) in SHAPES {
            assert_eq!(state(ask(&client, &shape(runs)).await), "ok", "{name} {runs}");
            let explain = format!("EXPLAIN {}", shape(runs));
            assert_eq!(state(ask(&client, &explain).await), "ok", "EXPLAIN {name} {runs}");
            assert_eq!(state(ask(&client, &shape(refused)).await), "54001", "{name} {refused}");
        }
        let columns = |n: usize| format!("SELECT 1{}", ", 1".repeat(n - 1));
        assert_eq!(state(ask(&client, &columns(1_600)).await), "ok");
        assert_eq!(state(ask(&client, &columns(1_700)).await), "54011");
        // Kept, run and forgotten as a prepared statement.
        let sum = format!("SELECT a{} FROM t", " + 0".repeat(10_000));
        let prepared = client.prepare(&sum).await.unwrap();
        let row = client.query_one(&prepared, &[]).await.unwrap();
        assert_eq!(row.get::<_, i32>(0), 1);
    });
    assert!(node.is_alive());
    assert_eq!(node.terminate(), Some(0));
}
