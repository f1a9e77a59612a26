//! Cursors and blocks as clients of either protocol use them, with PostgreSQL 15's answers; what SQL alone shows is in
//! `testdata/logic/cursors.slt`.

use sql::session::{Session, TxnStatus};
use txn::testing::LocalCluster;

use crate::told::Told;
use crate::{engine, ok, run, session, text};

async fn state(session: &mut Session, text: &str) -> &'static str {
    run(session, text).await.expect_err(text).state.0
}

async fn filled() -> Session {
    let engine = engine(&LocalCluster::new());
    let mut session = session(&engine);
    ok(&mut session, "create table t (a int primary key, b text)").await;
    ok(&mut session, "insert into t select g, 'x' || g from generate_series(1, 6) g").await;
    session
}

#[tokio::test(start_paused = true)]
async fn move_says_how_many_rows_its_last_step_passed() {
    let mut session = filled().await;
    ok(&mut session, "begin; declare c cursor for select a from t order by a").await;
    for (text, tag) in [
        ("move 2 from c", "MOVE 2"),
        ("move 0 from c", "MOVE 1"),
        ("move all from c", "MOVE 4"),
        ("move 0 from c", "MOVE 0"),
        ("move backward all from c", "MOVE 6"),
        ("move 0 from c", "MOVE 0"),
        ("move first from c", "MOVE 1"),
        ("move 10 from c", "MOVE 5"),
        ("move absolute 4 from c", "MOVE 1"),
        ("move absolute 0 from c", "MOVE 0"),
        ("move relative 3 from c", "MOVE 1"),
        ("move relative 0 from c", "MOVE 1"),
        ("move absolute -2 from c", "MOVE 1"),
        ("move prior from c", "MOVE 1"),
        ("move backward 9 from c", "MOVE 3"),
    ] {
        assert_eq!(ok(&mut session, text).await, [tag], "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_cursor_takes_the_parameters_of_its_statement() {
    let mut session = filled().await;
    assert_eq!(state(&mut session, "begin; declare c cursor for select $1").await, "42P02");
    ok(&mut session, "rollback").await;
    assert_eq!(state(&mut session, "copy (select $1) to stdout").await, "42P02");
    ok(&mut session, "begin").await;
    let declare = "declare c cursor for select a, $2 || b from t where a > $1 order by a";
    session.parse("", declare, &[]).await.unwrap();
    let described = session.describe_statement("").unwrap();
    assert_eq!((described.parameters.len(), described.columns), (2, None));
    session.bind("", "", &[text("4"), text("y")]).await.unwrap();
    let mut told = Told::default();
    session.execute("", 0, false, &mut told).await.unwrap();
    session.sync().await.unwrap();
    assert_eq!(told.lines, ["DECLARE CURSOR"]);
    assert_eq!(ok(&mut session, "fetch all from c").await, ["5,yx5", "6,yx6", "FETCH 2"]);
}

#[tokio::test(start_paused = true)]
async fn a_text_of_several_statements_is_a_block() {
    let mut session = filled().await;
    let declare = "declare c cursor for select a from t order by a";
    assert_eq!(state(&mut session, declare).await, "25P01");
    let text = format!("{declare}; fetch 2 from c; fetch 2 from c");
    let lines = ["DECLARE CURSOR", "1", "2", "FETCH 2", "3", "4", "FETCH 2"];
    assert_eq!(ok(&mut session, &text).await, lines);
    assert_eq!(state(&mut session, "fetch 1 from c").await, "34000");
    assert_eq!(ok(&mut session, &format!("select 1; {declare}")).await.len(), 3);
    assert_eq!(state(&mut session, "lock table t in access share mode").await, "25P01");
    ok(&mut session, "lock table t in access share mode; select 1").await;
    ok(&mut session, "select 1; lock table t in access share mode").await;
    for text in ["savepoint s; select 1", "select 1; savepoint s", "release s; select 1"] {
        assert_eq!(state(&mut session, text).await, "25P01", "{text}");
    }
    let index = ["create index concurrently i on t (b)", "drop index concurrently i"];
    for what in ["discard all", "vacuum t"].into_iter().chain(index) {
        for text in [format!("{what}; select 1"), format!("select 1; {what}")] {
            assert_eq!(state(&mut session, &text).await, "25001", "{text}");
            assert_eq!(session.status(), TxnStatus::Idle);
        }
        assert_eq!(state(&mut session, &format!("begin; {what}")).await, "25001");
        ok(&mut session, "rollback").await;
        ok(&mut session, what).await;
    }
    ok(&mut session, "discard plans; select 1").await;
    // Its COMMIT does not end the text.
    let text = format!("select 1; commit; {declare}; fetch 1 from c");
    assert_eq!(ok(&mut session, &text).await.last().unwrap(), "FETCH 1");
}

#[tokio::test(start_paused = true)]
async fn a_portal_that_is_suspended_does_not_see_what_is_written() {
    let mut session = filled().await;
    ok(&mut session, "begin").await;
    session.parse("s", "select a from t order by a", &[]).await.unwrap();
    session.bind("p", "s", &[]).await.unwrap();
    let mut told = Told::default();
    session.execute("p", 2, false, &mut told).await.unwrap();
    session.sync().await.unwrap();
    ok(&mut session, "update t set a = a + 10 where a < 5; delete from t where a = 6").await;
    session.execute("p", 0, false, &mut told).await.unwrap();
    assert_eq!(told.lines, ["1", "2", "suspended", "3", "4", "5", "6", "SELECT 4"]);
}

#[tokio::test(start_paused = true)]
async fn the_limit_of_an_execution_holds_for_a_fetch() {
    let mut session = filled().await;
    ok(&mut session, "begin; declare c cursor for select a from t order by a").await;
    session.parse("f", "fetch 3 from c", &[]).await.unwrap();
    session.bind("p", "f", &[]).await.unwrap();
    let mut told = Told::default();
    for _ in 0..3 {
        session.execute("p", 1, false, &mut told).await.unwrap();
    }
    assert_eq!(told.lines, ["1", "suspended", "2", "suspended", "3", "suspended"]);
    let mut told = Told::default();
    session.execute("p", 1, false, &mut told).await.unwrap();
    assert_eq!(told.lines, ["FETCH 3"]);
    // The cursor has moved by all that was fetched.
    session.bind("", "f", &[]).await.unwrap();
    let mut told = Told::default();
    session.execute("", 2, false, &mut told).await.unwrap();
    session.execute("", 0, false, &mut told).await.unwrap();
    assert_eq!(told.lines, ["4", "5", "suspended", "6", "FETCH 3"]);
}

#[tokio::test(start_paused = true)]
async fn names_are_for_text_and_numbers_for_binary() {
    let mut session = filled().await;
    let query = "select 't'::regclass, array['t'::regclass]";
    ok(&mut session, "begin").await;
    session.parse("s", query, &[]).await.unwrap();
    session.parse("f", "fetch c", &[]).await.unwrap();
    for binary in [false, true] {
        let oid = ok(&mut session, "select 't'::regclass::oid").await[0].clone();
        let expected = if binary { format!("{oid},{{{oid}}}") } else { "t,{t}".to_owned() };
        for statement in ["s", "f"] {
            ok(&mut session, &format!("declare c cursor for {query}")).await;
            session.bind("", statement, &[]).await.unwrap();
            let mut told = Told::default();
            told.binary = binary;
            session.execute("", 0, false, &mut told).await.unwrap();
            assert_eq!(told.lines[0], expected, "{statement}");
            ok(&mut session, "close c").await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_cursors_keep_has_a_bound() {
    let mut session = filled().await;
    let many = "select g, repeat('x', 1000) from generate_series(1, 100000) g";
    ok(&mut session, &format!("begin; declare c scroll cursor for {many}")).await;
    assert_eq!(state(&mut session, "move last from c").await, "53200");
    ok(&mut session, &format!("rollback; begin; declare c cursor for {many}")).await;
    assert_eq!(ok(&mut session, "move 99999 from c").await, ["MOVE 99999"]);
    // Far enough back for a look, and no further.
    assert_eq!(ok(&mut session, "move backward 100 from c").await, ["MOVE 100"]);
    assert_eq!(state(&mut session, "move absolute 1 from c").await, "55000");
    // A write does not fail because of a cursor; the cursor gives what it has, and fails then.
    ok(&mut session, &format!("rollback; begin; declare c cursor for {many}")).await;
    ok(&mut session, "insert into t values (7, 'x7')").await;
    assert_eq!(ok(&mut session, "move 1000 from c").await, ["MOVE 1000"]);
    assert_eq!(state(&mut session, "move all from c").await, "53200");
    ok(&mut session, &format!("rollback; begin; declare c cursor with hold for {many}")).await;
    assert_eq!(state(&mut session, "commit").await, "53200");
    assert_eq!(session.status(), TxnStatus::Idle);
    assert_eq!(state(&mut session, "fetch c").await, "34000");
}

#[tokio::test(start_paused = true)]
async fn a_plan_of_other_names_is_another_result() {
    let mut session = filled().await;
    ok(&mut session, "prepare p as select * from t where a = 1").await;
    session.parse("q", "select * from t where a = 1", &[]).await.unwrap();
    session.sync().await.unwrap();
    assert_eq!(ok(&mut session, "execute p").await, ["1,x1", "SELECT 1"]);
    ok(&mut session, "alter table t rename column b to c").await;
    let mut told = Told::default();
    session.bind("", "q", &[]).await.unwrap();
    let by_protocol = session.execute("", 0, true, &mut told).await.unwrap_err();
    session.sync().await.unwrap();
    for error in [run(&mut session, "execute p").await.unwrap_err(), by_protocol] {
        assert_eq!(error.state.0, "0A000");
        assert_eq!(error.message, "cached plan must not change result type");
        let routine = error.object.and_then(|object| object.routine);
        assert_eq!(routine.as_deref(), Some("RevalidateCachedQuery"));
    }
    ok(&mut session, "alter table t rename column c to b").await;
    assert_eq!(ok(&mut session, "execute p").await, ["1,x1", "SELECT 1"]);
}
