//! Statements without an end in sight: each operator counts its work, and what it keeps.

use sql_values::error::{SqlResult, SqlState};
use sql_values::interrupt::{Interrupt, Reason};
use sql_values::memory::Pool;
use sql_values::types::Datum;

use super::support::{Session, begin};
use super::texts::planned;
use crate::{Execution, Row};

/// More numbers than anybody waits for.
const MANY: &str = "generate_series(1, 1000000000000)";
/// Work that a test waits for.
const WORK: u32 = 30_000;

async fn run(session: &Session, text: &str) -> SqlResult<Vec<Row>> {
    let plan = planned(text)?;
    let mut execution = Execution::new(&plan, &session.memory);
    let mut txn = begin();
    execution.next_rows(&plan, &mut txn, &session.context(), usize::MAX).await
}

fn within(memory: usize, work: u32) -> Session {
    let (memory, interrupt) = (Pool::new(memory), Interrupt::bounded(work));
    Session { memory, interrupt, ..Session::default() }
}

#[tokio::test(start_paused = true)]
async fn statements_that_give_nothing_count_their_work() {
    let nothing = [
        format!("SELECT count(*) FROM {MANY}"),
        format!("SELECT g FROM {MANY} g WHERE g < 0"),
        format!("SELECT g + 1 FROM {MANY} g WHERE repeat(g::text, 1) = 'y'"),
        format!("SELECT 1 FROM {MANY} g JOIN (VALUES (0), (-1)) v (x) ON g = x"),
        format!("SELECT 1 FROM {MANY} g JOIN generate_series(1, 1000) h ON g + h < 0"),
        format!("SELECT 1 FROM {MANY} g WHERE g < 0 AND NOT EXISTS (SELECT 1 FROM u WHERE k = g)"),
        format!("SELECT 1 FROM {MANY} g WHERE g NOT IN (SELECT h FROM {MANY} h WHERE h = g)"),
        format!(
            "SELECT 1 FROM (VALUES (1)) v (x), LATERAL (SELECT 1 FROM {MANY} g WHERE g = -x) w"
        ),
        format!("SELECT x FROM (SELECT {MANY} AS x) s WHERE x < 0"),
        format!("SELECT g FROM {MANY} g WHERE g < 0 UNION ALL SELECT g FROM {MANY} g WHERE g < 0"),
        format!("SELECT DISTINCT g % 2 FROM {MANY} g"),
        format!("SELECT g % 2, count(*) FROM {MANY} g GROUP BY 1"),
        format!("SELECT g FROM {MANY} g ORDER BY g LIMIT 3"),
        format!("SELECT g FROM {MANY} g OFFSET 999999999999"),
        format!("SELECT 1 INTERSECT SELECT g % 2 FROM {MANY} g"),
        format!("SELECT g % 2 FROM {MANY} g EXCEPT ALL SELECT 0"),
        format!("WITH w AS (SELECT count(*) FROM {MANY}) SELECT 1 FROM w, w v"),
        format!("SELECT (SELECT count(*) FROM {MANY} g WHERE g = k) FROM (VALUES (1)) v (k)"),
        format!("INSERT INTO u (k) SELECT g::int FROM {MANY} g WHERE g < 0"),
        "SELECT count(*) FROM generate_series(now(), 'infinity', '1 second')".to_owned(),
        "SELECT count(*) FROM generate_series(1, 1e12, 0.5)".to_owned(),
    ];
    for text in nothing {
        let result = run(&within(64 << 20, WORK), &text).await;
        let Err(error) = result else { panic!("{text}: it has ended") };
        let found = (error.state, error.message.as_str());
        assert_eq!(found, (SqlState::PROGRAM_LIMIT_EXCEEDED, "too much work"), "{text}");
        let session = within(64 << 20, u32::MAX);
        session.interrupt.raise(Reason::Timeout);
        assert_eq!(run(&session, &text).await.unwrap_err().state, SqlState::QUERY_CANCELED);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_is_counted() {
    for text in [
        format!("SELECT g FROM {MANY} g ORDER BY -g"),
        format!("SELECT DISTINCT g FROM {MANY} g"),
        format!("SELECT g, count(*) FROM {MANY} g GROUP BY g"),
        format!("SELECT array_agg(g) FROM {MANY} g"),
        format!("SELECT string_agg(g::text, ',') FROM {MANY} g"),
        format!("SELECT count(DISTINCT g) FROM {MANY} g"),
        format!("SELECT string_agg(g::text, ',' ORDER BY g) FROM {MANY} g"),
        format!("SELECT 1 FROM u FULL JOIN {MANY} g ON u.k = g"),
        format!("SELECT 0 INTERSECT SELECT g FROM {MANY} g"),
        format!("SELECT g FROM {MANY} g EXCEPT SELECT 0"),
        format!("WITH w AS (SELECT g FROM {MANY} g) SELECT 1 FROM w, w v"),
        format!("SELECT ARRAY(SELECT g FROM {MANY} g)"),
        "SELECT repeat('x', 100000000)".to_owned(),
        "SELECT count(x) FROM (SELECT repeat('x', 100000000) AS x OFFSET 0) s".to_owned(),
        "SELECT string_to_array(repeat('x,', 1000000), ',')".to_owned(),
        "SELECT repeat('1,', 1000000)::text::int[]".to_owned(),
        "SELECT array_to_string(array_agg(repeat('x', 1000)), ',') FROM generate_series(1, 2000)"
            .to_owned(),
    ] {
        // What is not kept would go on for ever.
        let result = run(&within(1 << 20, 10_000_000), &text).await;
        let Err(error) = result else { panic!("{text}: it has ended") };
        assert_eq!(error.state, SqlState::OUT_OF_MEMORY, "{text}: {error}");
        assert!(error.hint.is_some());
    }
}

/// Aggregates hold what they hold, not what they were given; what streams holds nothing.
#[tokio::test(start_paused = true)]
async fn what_is_not_kept_is_not_counted() {
    let long = "SELECT repeat('x', 500) || g AS s FROM generate_series(1, 5000) g";
    for (text, expected) in [
        (format!("SELECT length(min(s)), length(max(s)) FROM ({long}) t"), 503),
        (format!("SELECT count(s) FROM ({long}) t"), 5_000),
        (format!("SELECT max(length(s)) FROM ({long}) t"), 504),
        ("SELECT length(max(repeat('x', 100000))) FROM generate_series(1, 50)".to_owned(), 100_000),
        (
            "SELECT sum(length(repeat('x', 100000))) FROM generate_series(1, 50)".to_owned(),
            5_000_000,
        ),
        (
            "SELECT count(*) FROM (SELECT DISTINCT g % 7 FROM generate_series(1, 50000) g) s"
                .to_owned(),
            7,
        ),
    ] {
        let rows = run(&within(512 << 10, u32::MAX), &text).await;
        let rows = rows.unwrap_or_else(|error| panic!("{text}: {error}"));
        let number = match &rows[0][rows[0].len() - 1] {
            Datum::Int4(number) => i64::from(*number),
            Datum::Int8(number) => *number,
            other => panic!("{text}: {other:?}"),
        };
        assert_eq!(number, expected, "{text}");
    }
}

/// A batch of long values is cut, and what it held is given back when it is gone.
#[tokio::test(start_paused = true)]
async fn long_values_stream() {
    let session = within(8 << 20, u32::MAX);
    let text = "SELECT repeat('x', 1000000), g FROM generate_series(1, 100) g";
    let plan = planned(text).unwrap();
    let mut execution = Execution::new(&plan, &session.memory);
    let mut txn = begin();
    let mut given = 0;
    while !execution.is_done() {
        let rows = execution.next_rows(&plan, &mut txn, &session.context(), 1).await.unwrap();
        given += rows.len();
        assert!(rows.iter().all(|row| matches!(&row[0], Datum::Text(x) if x.len() == 1_000_000)));
    }
    assert_eq!(given, 100);
    let mut all = session.memory.reserve();
    all.grow(8 << 20).unwrap();
}

/// What a statement writes leaves portion by portion.
#[tokio::test(start_paused = true)]
async fn writes_of_many_rows_need_little_memory() {
    let mut txn = begin();
    let session = within(2 << 20, u32::MAX);
    for (text, rows) in [
        ("INSERT INTO u SELECT g, g, repeat('x', 100) FROM generate_series(1, 20000) g", 20_000),
        ("UPDATE u SET v = v || 'y'", 20_000),
        ("UPDATE u SET k = k + 100000", 20_000),
        ("INSERT INTO u SELECT k - 100000, a, v FROM u", 20_000),
        ("DELETE FROM u WHERE k > 100", 39_900),
    ] {
        let plan = planned(text).unwrap();
        let mut execution = Execution::new(&plan, &session.memory);
        let done = execution.next_rows(&plan, &mut txn, &session.context(), usize::MAX).await;
        done.unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(execution.affected(), rows, "{text}");
    }
}

/// Of a select list, functions that give rows are read side by side.
#[tokio::test(start_paused = true)]
async fn sets_of_a_select_list_end_with_the_longest() {
    let text = "SELECT generate_series(1, 3), generate_series(11, 12), 7";
    let rows = run(&Session::default(), text).await.unwrap();
    let int = Datum::Int4;
    assert_eq!(
        rows,
        [
            vec![int(1), int(11), int(7)],
            vec![int(2), int(12), int(7)],
            vec![int(3), Datum::Null, int(7)],
        ]
    );
    let error = run(&within(64 << 20, WORK), &format!("SELECT {MANY}, {MANY}")).await.unwrap_err();
    assert_eq!(error.state, SqlState::PROGRAM_LIMIT_EXCEEDED);
}
