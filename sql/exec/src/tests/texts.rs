//! From text to rows: parsed, bound, run, twice over where there are two ways.

use sql_catalog::CatalogView;
use sql_parse::{Statement, parse};
use sql_plan::Plan;
use sql_planner::bind::Environment;
use sql_planner::plan;
use sql_testing::TestCatalog;
use sql_values::error::SqlResult;
use sql_values::types::{Datum, TextFormat};
use txn::db::Txn;

use super::support::Session;
use crate::Execution;

pub(super) fn planned(text: &str) -> SqlResult<Plan> {
    let catalog = TestCatalog::new();
    let functions = sql_functions::registry();
    let environment = Environment { catalog: &catalog, functions, parameters: &[] };
    let parsed = parse(text)?;
    let [parsed] = parsed.as_slice() else { panic!("one statement: {text}") };
    let Statement::Query(query) = &parsed.statement else { panic!("a query: {text}") };
    plan(query, &environment)
}

/// The rows as lines of text, NULL as a dot; an error as its code and message.
async fn ask_with(txn: &mut Txn, text: &str, params: &[Datum]) -> Vec<String> {
    let catalog = TestCatalog::new();
    let run = async |txn: &mut Txn, by_operators: bool| -> SqlResult<Vec<String>> {
        let plan = planned(text)?;
        let session = Session { params: params.to_vec(), by_operators, ..Session::default() };
        let mut context = session.context();
        context.eval.catalog = &catalog as &dyn CatalogView;
        let mut execution = match by_operators {
            true => Execution::by_operators(&plan, &session.memory),
            false => Execution::new(&plan, &session.memory),
        };
        let rows = execution.next_rows(&plan, txn, &context, usize::MAX).await?;
        let mut lines = Vec::new();
        for row in rows {
            let cell = |(value, column): (&Datum, &sql_plan::OutputColumn)| match value {
                Datum::Null => ".".to_owned(),
                value => value.to_text(column.ty, &TextFormat::UTC),
            };
            let cells: Vec<String> = row.iter().zip(&plan.columns).map(cell).collect();
            lines.push(cells.join("|"));
        }
        if plan.columns.is_empty() {
            lines.push(crate::tag(&plan, execution.affected()));
        }
        Ok(lines)
    };
    let savepoint = txn.savepoint().unwrap();
    let first = run(txn, true).await;
    txn.rollback_to(savepoint).unwrap();
    let second = run(txn, false).await;
    txn.release(savepoint).unwrap();
    assert_eq!(first, second, "by operators, then directly: {text}");
    second.unwrap_or_else(|error| vec![format!("{} {}", error.state.0, error.message)])
}

async fn ask(txn: &mut Txn, text: &str) -> Vec<String> {
    ask_with(txn, text, &[]).await
}

async fn filled() -> Txn {
    let mut txn = super::support::begin();
    for text in [
        "INSERT INTO u VALUES (1, 10, 'one'), (2, 10, 'two'), (3, 30, NULL), (4, NULL, 'four')",
        "INSERT INTO w VALUES (10, 'ten', 1.5), (30, 'thirty', 'NaN'), (40, 'forty', -0.0)",
        "INSERT INTO t (a, b, c, f, g) VALUES (1, 'x', 100, 'var', true), (2, 'y', NULL, NULL, false)",
    ] {
        let lines = ask(&mut txn, text).await;
        assert!(lines[0].starts_with("INSERT 0 "), "{text}: {lines:?}");
    }
    txn
}

/// Statements with their outcome, line by line.
async fn check(txn: &mut Txn, cases: &[(&str, &[&str])]) {
    for (text, expected) in cases {
        assert_eq!(ask(txn, text).await, *expected, "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn selects() {
    check(
        &mut filled().await,
        &[
            ("SELECT 1 + 1, 'a' || 'b', NULL", &["2|ab|."]),
            ("SELECT k, v FROM u WHERE a = 10 ORDER BY k DESC", &["2|two", "1|one"]),
            ("SELECT * FROM u WHERE k = 3", &["3|30|."]),
            (
                "SELECT a, count(*), min(v) FROM u GROUP BY a ORDER BY a NULLS FIRST",
                &[".|1|four", "10|2|one", "30|1|."],
            ),
            ("SELECT count(*) FROM u HAVING count(*) > 10", &[]),
            (
                "SELECT u.k, w.y FROM u JOIN w ON u.a = w.x ORDER BY 1",
                &["1|ten", "2|ten", "3|thirty"],
            ),
            (
                "SELECT u.k, w.y FROM u FULL JOIN w ON u.a = w.x ORDER BY 1, 2",
                &["1|ten", "2|ten", "3|thirty", "4|.", ".|forty"],
            ),
            ("SELECT k FROM u WHERE a IN (SELECT x FROM w) ORDER BY k", &["1", "2", "3"]),
            ("SELECT k FROM u WHERE a NOT IN (SELECT x FROM w)", &[]),
            (
                "SELECT k, a IN (SELECT g FROM generate_series(1, 20) g), \
                 a NOT IN (SELECT g FROM generate_series(11, 30) g) FROM u ORDER BY k",
                &["1|t|t", "2|t|t", "3|f|f", "4|.|."],
            ),
            ("SELECT k FROM u WHERE NOT EXISTS (SELECT FROM w WHERE x = a) ORDER BY k", &["4"]),
            (
                "SELECT k, (SELECT y FROM w WHERE x = u.a) FROM u ORDER BY k LIMIT 2 OFFSET 2",
                &["3|thirty", "4|."],
            ),
            (
                "SELECT (SELECT k FROM u)",
                &["21000 more than one row returned by a subquery used as an expression"],
            ),
            ("WITH c AS (SELECT a FROM u WHERE a > 5) SELECT count(*), sum(a) FROM c", &["3|50"]),
            (
                "SELECT x FROM w UNION SELECT a FROM u WHERE a IS NOT NULL ORDER BY 1",
                &["10", "30", "40"],
            ),
            ("SELECT a FROM u EXCEPT SELECT x FROM w", &["."]),
            (
                "SELECT DISTINCT ON (a) a, k FROM u WHERE a IS NOT NULL ORDER BY a, k DESC",
                &["10|2", "30|3"],
            ),
            (
                "SELECT g, s.n FROM t, LATERAL (SELECT count(*) AS n FROM u WHERE k <= t.a) s",
                &["t|1", "f|2"],
            ),
            ("SELECT n FROM generate_series(1, 3) AS n WHERE n <> 2", &["1", "3"]),
            ("SELECT 1 / k FROM u WHERE k = 0", &[]),
            ("SELECT 1 / (k - 1) FROM u", &["22012 division by zero"]),
            ("SELECT 2147483647 + k FROM u", &["22003 integer out of range"]),
            (
                "SELECT array_agg(v ORDER BY k DESC) FILTER (WHERE v IS NOT NULL) FROM u",
                &["{four,two,one}"],
            ),
            ("SELECT k FROM u WHERE v LIKE 't%' OR k = ANY ('{3}'::int[]) ORDER BY k", &["2", "3"]),
            (
                "SELECT CASE WHEN k > 2 THEN 'many' ELSE v END, coalesce(a, 0) FROM u ORDER BY k",
                &["one|10", "two|10", "many|30", "many|0"],
            ),
            ("SELECT z FROM w ORDER BY z", &["0", "1.5", "NaN"]),
        ],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn writes() {
    check(
        &mut filled().await,
        &[
            ("UPDATE u SET v = v || '!' WHERE k = 1 RETURNING *", &["1|10|one!"]),
            ("UPDATE u SET a = w.x + 1 FROM w WHERE w.x = u.a", &["UPDATE 3"]),
            ("SELECT k, a FROM u ORDER BY k", &["1|11", "2|11", "3|31", "4|."]),
            ("DELETE FROM u USING w WHERE w.x = u.a - 1 AND w.x = 30 RETURNING k", &["3"]),
            ("DELETE FROM u WHERE k = 4", &["DELETE 1"]),
            ("INSERT INTO u SELECT k + 10, a, v FROM u", &["INSERT 0 2"]),
            ("SELECT k FROM u ORDER BY k", &["1", "2", "11", "12"]),
            ("INSERT INTO u VALUES (1, 0, '')", &[
                "23505 duplicate key value violates unique constraint \"u_pkey\"",
            ]),
            ("INSERT INTO u VALUES (1, 0, '') ON CONFLICT DO NOTHING", &["INSERT 0 0"]),
            (
                "INSERT INTO u AS o VALUES (1, 5, 'new') ON CONFLICT (k) DO UPDATE \
                 SET a = o.a + excluded.a, v = excluded.v WHERE o.a > 0 RETURNING *",
                &["1|16|new"],
            ),
            ("INSERT INTO t (b) VALUES ('z')", &[
                "23502 null value in column \"a\" of relation \"t\" violates not-null constraint",
            ]),
            ("INSERT INTO t (a, d) VALUES (9, -1)", &[
                "23514 new row for relation \"t\" violates check constraint \"t_d_check\"",
            ]),
            ("INSERT INTO t (a, f) VALUES (9, 'longer than ten')", &[
                "22001 value too long for type character varying(10)",
            ]),
            ("INSERT INTO t (a, c) VALUES (9, 100)", &[
                "23505 duplicate key value violates unique constraint \"t_c_key\"",
            ]),
            ("UPDATE t SET d = 12.345 WHERE a = 1 RETURNING d, g", &["12.35|t"]),
            ("SELECT count(*) FROM t", &["2"]),
            ("SELECT k FROM u WHERE a = 11 FOR UPDATE", &["2", "11", "12"]),
        ],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn parameters() {
    let mut txn = filled().await;
    let params = [Datum::Int4(2), Datum::text("zwei")];
    let text = "UPDATE u SET v = $2 WHERE k = $1 RETURNING v";
    assert_eq!(ask_with(&mut txn, text, &params).await, ["zwei"]);
    assert_eq!(ask_with(&mut txn, "SELECT v FROM u WHERE k = $1", &params).await, ["zwei"]);
}
