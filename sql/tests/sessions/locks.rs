//! Row locks, and waiting for them.

use std::time::Duration;

use sql::session::{Session, TxnStatus};
use tokio::time::{Instant, timeout};
use txn::testing::LocalCluster;

use super::{engine, ok, run, session};

/// Three sessions over a table of four rows.
async fn three() -> [Session; 3] {
    let engine = engine(&LocalCluster::new());
    let mut one = session(&engine);
    ok(&mut one, "create table t (a int primary key, b int unique, n int)").await;
    ok(&mut one, "insert into t select g, g, 0 from generate_series(1, 4) g").await;
    [one, session(&engine), session(&engine)]
}

async fn state_of(session: &mut Session, text: &str) -> String {
    match run(session, text).await {
        Ok(_) => "00000".into(),
        Err(error) => error.state.0.into(),
    }
}

/// True iff nobody else has a lock on the row that keeps FOR UPDATE out.
async fn is_free(session: &mut Session, row: u32) -> bool {
    let text = format!("begin; select 1 from t where a = {row} for update nowait; rollback");
    let state = state_of(session, &text).await;
    ok(session, "rollback").await;
    assert!(state == "00000" || state == "55P03", "{state}");
    state == "00000"
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_with_the_lock_or_with_a_timeout_that_was_asked_for() {
    let [mut holder, mut one, mut two] = three().await;
    ok(&mut holder, "begin; update t set n = 1 where a = 1").await;
    ok(&mut one, "set lock_timeout = '1500ms'").await;
    let began = Instant::now();
    let error = run(&mut one, "update t set n = 2 where a = 1").await.unwrap_err();
    assert_eq!(
        (error.state.0, &error.message[..]),
        ("55P03", "canceling statement due to lock timeout")
    );
    assert!((1_500..1_600).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
    ok(&mut one, "set lock_timeout = 0; set statement_timeout = '20s'").await;
    let began = Instant::now();
    assert_eq!(state_of(&mut one, "delete from t where a = 1").await, "57014");
    assert_eq!(began.elapsed().as_secs(), 20);
    let (_, waited) = tokio::join!(
        async {
            tokio::time::sleep(Duration::from_secs(90)).await;
            ok(&mut holder, "commit").await
        },
        run(&mut two, "update t set n = n + 10 where a = 1 returning n")
    );
    assert_eq!(waited.unwrap(), ["11", "UPDATE 1"]);
}

#[tokio::test(start_paused = true)]
async fn what_a_statement_locked_is_free_when_it_fails() {
    let [mut one, mut two, mut other] = three().await;
    ok(&mut one, "begin; update t set n = 1 where a = 1").await;
    ok(&mut one, "savepoint s; select 1 from t where a = 2 for update").await;
    ok(&mut one, "savepoint s2; update t set n = 1 where a in (1, 3)").await;
    assert_eq!(state_of(&mut one, "select 1 / 0").await, "22012");
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert!(!is_free(&mut other, 1).await && !is_free(&mut other, 2).await);
    assert!(is_free(&mut other, 3).await, "locked since the last savepoint");
    ok(&mut one, "rollback to s").await;
    assert!(is_free(&mut other, 2).await && !is_free(&mut other, 1).await);
    ok(&mut one, "update t set n = 5 where a = 4; commit").await;
    assert_eq!(ok(&mut other, "select n from t order by a").await[..4], ["1", "0", "0", "5"]);
    ok(&mut two, "begin; update t set n = 2 where a = 1").await;
    assert_eq!(state_of(&mut two, "select 1 / 0").await, "22012");
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert!(is_free(&mut other, 1).await, "without a savepoint all of it");
    assert_eq!(state_of(&mut two, "rollback to s").await, "3B001");
    assert_eq!(ok(&mut two, "commit").await, ["ROLLBACK"]);
}

#[tokio::test(start_paused = true)]
async fn a_deadlock_ends_one_block_at_once() {
    let [mut one, mut two, _] = three().await;
    ok(&mut one, "begin; update t set n = n + 1 where a = 1").await;
    ok(&mut two, "begin; update t set n = n + 1 where a = 2").await;
    let began = Instant::now();
    let (first, second) = tokio::join!(
        run(&mut one, "update t set n = n + 1 where a = 2"),
        run(&mut two, "update t set n = n + 1 where a = 1")
    );
    first.unwrap();
    let error = second.unwrap_err();
    assert_eq!((error.state.0, &error.message[..]), ("40P01", "deadlock detected"));
    assert_eq!(error.detail.unwrap().lines().count(), 2);
    assert!(began.elapsed() < Duration::from_millis(200), "{:?}", began.elapsed());
    assert_eq!(two.status(), TxnStatus::Failed);
    ok(&mut one, "commit").await;
    ok(&mut two, "rollback").await;
    // A statement of its own is repeated, as after any conflict.
    ok(&mut one, "begin; update t set n = n + 1 where a = 3").await;
    let text = "update t set n = n + 1 where a in (2, 3)";
    let (second, first) = tokio::join!(run(&mut two, text), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        run(&mut one, "update t set n = n + 1 where a = 2; commit").await
    });
    // The older one stays.
    first.unwrap();
    second.unwrap();
    assert_eq!(ok(&mut one, "select n from t order by a").await[..3], ["1", "3", "2"]);
}

#[tokio::test(start_paused = true)]
async fn locks_keep_out_what_they_do_in_postgresql() {
    let [mut one, mut two, _] = three().await;
    let locks = ["for key share", "for share", "for no key update", "for update"];
    let writes = [
        "update t set n = 9 where a = 1",
        "update t set b = b where a = 1",
        "delete from t where a = 1",
    ];
    for (held, others, waiting) in [
        ("for key share", "   x", " xx"),
        ("for share", "  xx", "xxx"),
        ("for no key update", " xxx", "xxx"),
        ("for update", "xxxx", "xxx"),
    ] {
        ok(&mut one, &format!("begin; select a from t where a = 1 {held}")).await;
        for (lock, expected) in locks.iter().zip(others.chars()) {
            let text = format!("begin; select a from t where a = 1 {lock} nowait");
            let state = state_of(&mut two, &text).await;
            ok(&mut two, "rollback").await;
            assert_eq!(state, if expected == 'x' { "55P03" } else { "00000" }, "{held}, {lock}");
        }
        for (write, expected) in writes.iter().zip(waiting.chars()) {
            ok(&mut two, "begin; set local lock_timeout = '30ms'").await;
            let state = state_of(&mut two, write).await;
            ok(&mut two, "rollback").await;
            assert_eq!(state, if expected == 'x' { "55P03" } else { "00000" }, "{held}, {write}");
        }
        ok(&mut one, "rollback").await;
    }
}

#[tokio::test(start_paused = true)]
async fn workers_take_different_rows_from_a_queue() {
    let [mut one, mut two, mut three] = three().await;
    let take = "begin; select a from t where n = 0 order by a limit 1 for update skip locked";
    for (worker, row) in [(&mut one, "1"), (&mut two, "2"), (&mut three, "3")] {
        let lines = ok(worker, take).await;
        assert_eq!(lines[1..], [row, "SELECT 1"], "{lines:?}");
    }
    ok(&mut two, "delete from t where a = 2; commit").await;
    ok(&mut one, "rollback").await;
    let lines = ok(&mut two, "begin; select a from t where b > 0 for update skip locked").await;
    assert_eq!(lines[1..], ["1", "4", "SELECT 2"], "{lines:?}");
    let error = run(&mut one, "select a from t for update nowait").await.unwrap_err();
    assert_eq!(error.message, "could not obtain lock on row in relation \"t\"");
    // The locked rows are not read, and whoever changes them is in nobody's way.
    ok(&mut two, "update t set n = 1 where a = 4").await;
    ok(&mut three, "update t set n = 1 where a = 3; commit").await;
    ok(&mut two, "commit").await;
}

#[tokio::test(start_paused = true)]
async fn clauses_name_tables_of_their_from() {
    let [mut one, mut two, _] = three().await;
    ok(&mut one, "create table u (a int primary key); insert into u values (1), (2)").await;
    let join = "begin; select t.a from t join u on t.a = u.a where t.a = 1";
    ok(&mut one, &format!("{join} for no key update of u, t nowait")).await;
    assert!(!is_free(&mut two, 1).await);
    ok(&mut one, "rollback").await;
    ok(&mut one, &format!("{join} for share of u for key share")).await;
    assert_eq!(
        state_of(&mut two, "begin; select 1 from t where a = 1 for share nowait").await,
        "00000"
    );
    assert_eq!(
        state_of(
            &mut two,
            "delete from u where a = 1 and a in (select a from u where a = 1 for update nowait)"
        )
        .await,
        "55P03"
    );
    ok(&mut two, "rollback").await;
    ok(&mut one, "rollback").await;
    for (text, state) in [
        ("select 1 from t for update of x", "42P01"),
        ("select 1 from t for update of public.t", "42601"),
        ("select 1 from t for no key", "42601"),
        ("select 1 from t for update of", "42601"),
        ("select 1 from (select 1) x for update of x", "0A000"),
        ("select distinct a from t for key share", "0A000"),
        ("select 1 from pg_class for share", "0A000"),
        ("lock table t", "25P01"),
        ("begin; lock table t", "0A000"),
        ("begin; lock table t in row exclusive mode nowait", "0A000"),
        ("begin; lock table t in wrong mode", "42601"),
        ("begin; lock table missing in access share mode", "42P01"),
        ("begin; lock table t, only u in access share mode", "00000"),
    ] {
        assert_eq!(state_of(&mut one, text).await, state, "{text}");
        ok(&mut one, "rollback").await;
    }
    let error = run(&mut one, "select distinct a from t for key share").await.unwrap_err();
    assert_eq!(error.message, "FOR KEY SHARE is not allowed with DISTINCT clause");
    assert!(
        timeout(Duration::from_secs(1), run(&mut two, "select 1 from t for share")).await.is_ok()
    );
}
