//! The rules that rewrite plans change what a statement costs and nothing else: random queries over small tables with
//! NULLs give the same rows as they were bound and as they were optimised.

use std::fmt::Write as _;

use kv::env::Rng as _;
use sql_parse::{Statement, parse};
use sql_plan::Plan;
use sql_planner::bind::{Environment, bind};
use sql_testing::TestCatalog;
use sql_values::error::SqlResult;
use sql_values::types::Datum;
use txn::db::Txn;
use txn::testing::TestRng;

use super::support::Session;
use super::texts::planned;

const QUERIES: usize = 500;

/// Tables with the columns that are compared with numbers.
const TABLES: [(&str, &[&str]); 3] = [("t", &["a", "c"]), ("u", &["k", "a"]), ("w", &["x"])];

/// Makes queries from a stream of random numbers.
struct Maker {
    rng: TestRng,
    names: usize,
}

/// A table under a name.
type Source = (String, usize);

impl Maker {
    fn below(&self, end: usize) -> usize {
        (self.rng.next_u64() % end as u64) as usize
    }

    fn pick<'a>(&self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }

    fn source(&mut self) -> Source {
        self.names += 1;
        (format!("s{}", self.names), self.below(TABLES.len()))
    }

    fn column(&self, (name, table): &Source) -> String {
        format!("{name}.{}", self.pick(TABLES[*table].1))
    }

    /// A condition on one source.
    fn condition(&mut self, source: &Source, depth: usize) -> String {
        let column = self.column(source);
        match self.below(if depth == 0 { 8 } else { 5 }) {
            0 => format!("{column} {} {}", self.pick(&["=", "<", ">", "<=", ">="]), self.below(9)),
            1 => format!("{column} IS {}NULL", self.pick(&["", "NOT "])),
            2 => format!("{column} IN ({}, {})", self.below(9), self.below(9)),
            3 => format!("{column} <> {}", self.below(9)),
            4 => format!("NOT ({column} = {})", self.below(9)),
            5 => format!("{column} {} {}", self.pick(&["=", "<", ">="]), self.aggregate(source)),
            6 => {
                let inner = self.source();
                let tie = self.tie(&inner, source);
                let table = TABLES[inner.1].0;
                let not = self.pick(&["", "NOT "]);
                format!("{not}EXISTS (SELECT 1 FROM {table} {} WHERE {tie})", inner.0)
            }
            _ => {
                let inner = self.source();
                let tie = if self.below(2) == 0 {
                    self.tie(&inner, source)
                } else {
                    self.condition(&inner, depth + 1)
                };
                let (table, value) = (TABLES[inner.1].0, self.column(&inner));
                let not = self.pick(&["", "NOT "]);
                format!("{column} {not}IN (SELECT {value} FROM {table} {} WHERE {tie})", inner.0)
            }
        }
    }

    /// A condition that ties an inner source to an outer one.
    fn tie(&mut self, inner: &Source, outer: &Source) -> String {
        let operator = self.pick(&["=", "=", "=", "<"]);
        let mut tie = format!("{} {operator} {}", self.column(inner), self.column(outer));
        if self.below(3) == 0 {
            let _ = write!(tie, " AND {}", self.condition(inner, 1));
        }
        tie
    }

    /// One value of the rows that match a source's row.
    fn aggregate(&mut self, source: &Source) -> String {
        let inner = self.source();
        let (column, outer) = (self.column(&inner), self.column(source));
        let value = match self.below(7) {
            0 => "count(*)".to_owned(),
            1 => format!("count({column})"),
            2 => format!("max({column})"),
            3 => format!("min({column}) - {outer}"),
            4 => format!("coalesce(sum({column}), -1)"),
            5 => format!("count(DISTINCT {column}) + 1"),
            _ => format!("sum({column}) FILTER (WHERE {})", self.condition(&inner, 1)),
        };
        let tie = self.tie(&inner, source);
        format!("(SELECT {value} FROM {} {} WHERE {tie})", TABLES[inner.1].0, inner.0)
    }

    fn conditions(&mut self, source: &Source) -> String {
        let mut all = String::new();
        for at in 0..self.below(3) {
            let word = if at == 0 { "WHERE" } else { "AND" };
            let _ = write!(all, " {word} {}", self.condition(source, 0));
        }
        all
    }

    /// A query, and whether the order of its rows is told.
    fn query(&mut self) -> (String, bool) {
        let source = self.source();
        let (name, table) = (&source.0, TABLES[source.1].0);
        let from = format!("{table} {name}");
        match self.below(6) {
            0 => {
                let (first, last) = (self.column(&source), self.column(&source));
                let by = self.pick(&["max", "min"]);
                let conditions = self.conditions(&source);
                (format!("SELECT {by}({first}), max({last}) FROM {from}{conditions}"), true)
            }
            1 => {
                let key = match source.1 {
                    0 => "a",
                    1 => "k",
                    _ => "x, y",
                };
                let nulls = self.pick(&["", " DESC", " DESC NULLS LAST", " NULLS FIRST"]);
                let down = self.pick(&["", " DESC"]).to_owned();
                let rest = key.replace(", ", &format!("{down}, ")) + &down;
                let (column, limit) = (self.column(&source), 1 + self.below(5));
                let conditions = self.conditions(&source);
                let order = format!("ORDER BY {column}{nulls}, {rest}");
                let offset = self.below(3);
                let all = format!("SELECT * FROM {from}{conditions} {order}");
                (format!("{all} LIMIT {limit} OFFSET {offset}"), true)
            }
            2 => {
                let value = self.aggregate(&source);
                let conditions = self.conditions(&source);
                let column = self.column(&source);
                (format!("SELECT {column}, {value} FROM {from}{conditions}"), false)
            }
            3 => {
                let (value, when) = (self.aggregate(&source), self.condition(&source, 1));
                let case = format!("sum(CASE WHEN {when} THEN {value} ELSE 0 END)");
                (format!("SELECT {case}, sum({value}) FROM {from}"), false)
            }
            4 => {
                let other = self.source();
                let kind = self.pick(&["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"]);
                let on = format!("{} = {}", self.column(&source), self.column(&other));
                let joined = format!("{from} {kind} {} {} ON {on}", TABLES[other.1].0, other.0);
                let columns = format!("{}, {}", self.column(&source), self.column(&other));
                let conditions = self.conditions(&source);
                (format!("SELECT {columns} FROM {joined}{conditions}"), false)
            }
            _ => {
                let mut sources = vec![source];
                let mut parts = Vec::new();
                for _ in 0..1 + self.below(3) {
                    let next = self.source();
                    let with = &sources[self.below(sources.len())];
                    if self.below(6) > 0 {
                        parts.push(format!("{} = {}", self.column(&next), self.column(with)));
                    }
                    if self.below(3) == 0 {
                        let with = with.clone();
                        parts.push(format!("{} < {}", self.column(&next), self.column(&with)));
                        parts.push(self.condition(&next, 0));
                    }
                    sources.push(next);
                }
                let columns: Vec<String> = sources.iter().map(|s| self.column(s)).collect();
                // Written in another order than they are tied.
                let at = self.below(sources.len());
                sources.rotate_left(at);
                if self.below(2) == 0 {
                    sources.reverse();
                }
                let from: Vec<String> =
                    sources.iter().map(|(name, t)| format!("{} {name}", TABLES[*t].0)).collect();
                let mut text = format!("SELECT {} FROM {}", columns.join(", "), from.join(", "));
                if !parts.is_empty() {
                    let _ = write!(text, " WHERE {}", parts.join(" AND "));
                }
                (text, false)
            }
        }
    }
}

fn bound(text: &str) -> SqlResult<Plan> {
    let catalog = TestCatalog::new();
    let functions = sql_functions::registry();
    let environment = Environment { catalog: &catalog, functions, parameters: &[] };
    let parsed = parse(text)?;
    let [parsed] = parsed.as_slice() else { panic!("one statement: {text}") };
    let Statement::Query(query) = &parsed.statement else { panic!("a query: {text}") };
    bind(query, &environment)
}

async fn rows(txn: &mut Txn, plan: &Plan, text: &str, in_order: bool) -> Vec<Vec<Datum>> {
    let session = Session { by_operators: true, ..Session::default() };
    let (mut rows, _) = session.run(txn, plan).await.unwrap_or_else(|e| panic!("{text}: {e:?}"));
    if !in_order {
        rows.sort_by_key(|row| format!("{row:?}"));
    }
    rows
}

#[tokio::test(start_paused = true)]
async fn rules_change_no_answer() {
    let mut txn = super::support::begin();
    let mut insert = String::from("INSERT INTO t (a, b, c, d, e) VALUES (1, 'x', 100, 0, NULL)");
    for a in 2..14 {
        let b = if a % 3 == 0 { "NULL".into() } else { format!("'b{}'", a % 4) };
        let c = if a % 5 == 0 { "NULL".into() } else { (a - 2).to_string() };
        let _ = write!(insert, ", ({a}, {b}, {c}, 0, NULL)");
    }
    let mut others = String::from("INSERT INTO u VALUES (0, 0, NULL)");
    for k in 1..12 {
        let a = if k % 4 == 0 { "NULL".into() } else { (k * 3 % 7).to_string() };
        let _ = write!(others, ", ({k}, {a}, 'v{k}')");
    }
    let mut last = String::from("INSERT INTO w VALUES (0, 'a', NULL)");
    for at in 1..12 {
        let _ = write!(last, ", ({}, 'y{at}', {at})", at / 3 * 2);
    }
    for text in [insert, others, last] {
        let plan = planned(&text).unwrap();
        Session::default().run(&mut txn, &plan).await.unwrap();
    }
    let mut maker = Maker { rng: TestRng::new(8), names: 0 };
    let mut changed = 0;
    for _ in 0..QUERIES {
        let (text, in_order) = maker.query();
        let (raw, plan) = (bound(&text).unwrap(), planned(&text).unwrap());
        changed += usize::from(raw.root != plan.root);
        let expected = rows(&mut txn, &raw, &text, in_order).await;
        assert_eq!(rows(&mut txn, &plan, &text, in_order).await, expected, "{text}");
    }
    assert!(changed > QUERIES / 2, "{changed} plans were changed");
}
