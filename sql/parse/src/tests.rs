use sql_values::error::SqlState;
use sql_values::stack::roomy;

use super::*;

fn error(text: &str) -> (String, Option<u32>, &'static str) {
    let error = parse(text).expect_err(text);
    (error.message, error.position, error.state.0)
}

#[test]
fn batches_are_cut_into_their_statements() {
    let parsed = parse(" select 1 ;; begin; select ';' -- not; here\n ;").unwrap();
    let texts: Vec<&str> = parsed.iter().map(|p| p.text.as_str()).collect();
    assert_eq!(texts, ["select 1", "begin", "select ';'"]);
}

#[test]
fn syntax_errors_are_postgresqls() {
    let near = |what: &str| format!("syntax error at or near \"{what}\"");
    assert_eq!(error("selec 1"), (near("selec"), Some(1), "42601"));
    assert_eq!(error("select 1;\n selec 2"), (near("selec"), Some(12), "42601"));
    assert_eq!(error("select * from"), ("syntax error at end of input".into(), Some(14), "42601"));
    assert_eq!(error("select * from; select 1"), (near(";"), Some(14), "42601"));
    assert_eq!(
        error("select é from t where"),
        ("syntax error at end of input".into(), Some(22), "42601")
    );
    assert_eq!(
        error("select 'a"),
        ("unterminated quoted string at or near \"'a\"".into(), Some(8), "42601")
    );
    assert_eq!(error("select 1 from t )"), (near(")"), Some(17), "42601"));
}

#[test]
fn nesting_is_bounded_before_parsing() {
    let deep = format!("select {}1{}", "(".repeat(5000), ")".repeat(5000));
    assert_eq!(error(&deep).2, "54001");
    let chain = format!("select 1{}", " + 1".repeat(50_000));
    assert_eq!(error(&chain).2, "54001");
    let list = format!("select 1 in (1{})", ", 1".repeat(50_000));
    assert!(parse(&list).is_ok());
    // Each way to hide a chain from the count: a deep operand on the left of another chain, again and again.
    let leaning =
        (0..90).fold("1".to_owned(), |inner, _| format!("({inner}){}", " + 1".repeat(500)));
    assert_eq!(error(&format!("select {leaning}")).2, "54001");
    let quoted = format!("select 1{}", " + t.end".repeat(50_000));
    assert_eq!(error(&quoted).2, "54001");
    let types = format!("select null::int{}", "[]".repeat(50_000));
    assert_eq!(error(&types).2, "54001");
    for long in [
        format!("select {}1", "*, ".repeat(10_000)),
        format!("create table t (a int, primary key ({}a))", "a, ".repeat(10_000)),
        format!("create index on t ({}a)", "a, ".repeat(10_000)),
        format!("select a from t order by {}a", "a, ".repeat(10_000)),
        format!("select coalesce({}a) from t", "a, ".repeat(10_000)),
        format!("select 1 from {}t", "t, ".repeat(10_000)),
        format!("update t set {}a = 1", "a = 1, ".repeat(10_000)),
        format!("insert into t values (1) on conflict ({}a) do nothing", "a, ".repeat(10_000)),
    ] {
        assert_eq!(error(&long).2, "54011");
    }
    assert_eq!(error(&format!("select a{}", ".x".repeat(1_000))).2, "42601");
    assert!(parse(&format!("select a.b{} from a", " and a.b is null".repeat(1_000))).is_ok());
    for values in [
        format!("insert into t values {}(1)", "(1), ".repeat(20_000)),
        format!("insert into t (a) values ({}1)", "1, ".repeat(20_000)),
        format!("select array[{}1]", "1, ".repeat(20_000)),
        format!("select * from (values {}(1)) v", "(1), ".repeat(20_000)),
        format!("with v as (values {}(1)) select * from v", "(1), ".repeat(20_000)),
        format!("select f(array[{}1]) order by a = any (array[{0}1])", "1, ".repeat(20_000)),
        format!("select a in ({}1) from t join u on b in ({0}1)", "1, ".repeat(20_000)),
    ] {
        assert!(parse(&values).is_ok());
    }
    let subqueries = format!("select array[{}(select 1)]", "(select 1), ".repeat(20_000));
    assert_eq!(error(&subqueries).2, "54001");
}

/// What is linear must stay so: each of these took minutes when a place was counted from the text's beginning, or a
/// token taken out of the middle.
#[test]
fn long_texts_take_no_longer_than_their_length_says() {
    assert_eq!(parse(&"select 1;".repeat(50_000)).map(|all| all.len()), Ok(50_000));
    let between = format!("select array[1{}]", ", a between symmetric 2 and 1".repeat(30_000));
    assert!(parse(&between).is_ok());
}

#[test]
fn what_pgbench_and_drivers_send_parses() {
    for text in [
        "begin isolation level serializable, read only, deferrable",
        "copy pgbench_accounts from stdin with (freeze on)",
        "copy t (a, b) to stdout csv header",
        "vacuum analyze pgbench_branches",
        "truncate pgbench_accounts, pgbench_branches",
        "alter table pgbench_branches add primary key (bid)",
        "create table pgbench_history(tid int,bid int,aid int,delta int,mtime timestamp,filler char(22))",
        "create table pgbench_branches(bid int not null,bbalance int,filler char(88)) with (fillfactor=100)",
        "drop table if exists a, b cascade",
        "set client_min_messages to warning",
        "SET TIME ZONE INTERVAL '+00:00' HOUR TO MINUTE",
        "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
        "set datestyle = iso, mdy",
        "show transaction isolation level",
        "deallocate all",
        "discard all",
        "prepare p (int, numeric(3,1)) as select $1 + $2",
        "execute p (1, 2.0)",
        "fetch forward 10 from c",
        "declare c no scroll cursor for select 1",
        "table t",
        "select * from (table t) x where a between symmetric 2 and 1",
        "explain (verbose, analyze off) select 1",
        "lock table t in access share mode",
        "create unique index i on t (a, b desc)",
        "create table t (a int primary key, b numeric(10,2) default 0 check (b >= 0), unique (a, b))",
        "with x as (select 1) insert into t select * from x",
        "rollback to savepoint a",
        "select from t",
    ] {
        assert!(parse(text).is_ok(), "{text}: {:?}", parse(text).err());
    }
}

#[test]
fn names_fold_and_are_cut() {
    let long = "X".repeat(70);
    let parsed = parse(&format!("create table A.\"B\" ({long} int)")).unwrap();
    let Statement::Change(Change::CreateTable(create)) = &parsed[0].statement else { panic!() };
    assert_eq!((create.name.schema.as_deref(), create.name.name.as_str()), (Some("a"), "B"));
    assert_eq!(create.columns[0].name, "x".repeat(63));
}

#[test]
fn statements_are_parsed_one_by_one_and_none_if_one_is_wrong() {
    let many = "select 'é', 2;\n".repeat(5_000);
    let error = Script::read(&format!("{many}selec 1;{many}"), &Pool::new(usize::MAX)).err();
    let error = error.expect("a syntax error keeps all statements from running");
    assert_eq!(error.message, "syntax error at or near \"selec\"");
    assert_eq!(error.position, Some(5_000 * 15 + 1));
    let mut script = Script::read(&many, &Pool::new(usize::MAX)).unwrap();
    let mut before = 0;
    while let Some(parsed) = script.next() {
        let parsed = parsed.unwrap();
        assert_eq!(parsed.text, "select 'é', 2");
        let Statement::Query(query) = &parsed.statement else { panic!("{parsed:?}") };
        let sqlparser::ast::Statement::Query(tree) = &*query.ast else { panic!("{parsed:?}") };
        assert_eq!(query.places.of_query(tree), Some(before + 1));
        before += 15;
        assert_eq!(script.len(), 5_000 - before as usize / 15);
    }
    assert_eq!(before, 5_000 * 15);
}

#[test]
fn trees_take_from_the_pool_what_is_held_at_a_time() {
    let list = format!("select 1 in (1{})", ", 1".repeat(50_000));
    let pool = Pool::new(100 << 20);
    let parsed: Vec<Parsed> = Script::read(&list, &pool).unwrap().map(Result::unwrap).collect();
    let error = Script::read(&list, &pool).err().unwrap();
    assert_eq!(error.state, SqlState::OUT_OF_MEMORY);
    drop(parsed);
    assert!(Script::read(&list, &pool).is_ok());
    // Two thousand of these would not fit at once.
    let subqueries = "select (select 1), (select 2), (select 3);".repeat(2_000);
    assert_eq!(Script::read(&subqueries, &pool).unwrap().filter(Result::is_ok).count(), 2_000);
}

#[test]
fn long_texts_are_read_in_parts_as_if_they_were_one() {
    // The first part ends everywhere in it once.
    let unit =
        "select 'a, ''b', e'\\'', \"x, y\", $t$, ; $t$, -- , ;\n 1+-2 /* , */, u, 3<=4, 'on'\n 'e'";
    let short = parse(unit).unwrap();
    for shift in 0..unit.len() {
        let filler = format!("/*{}*/", "é".repeat(scan::PIECE / 2 - shift));
        let text = format!("{filler}{unit}");
        let last = parse(&text).unwrap().pop().unwrap();
        assert_eq!(last.text, short[0].text, "{shift}");
        let error = parse(&format!("{text} )")).unwrap_err();
        assert_eq!(error.message, "syntax error at or near \")\"");
        assert_eq!(error.position, Some(text.chars().count() as u32 + 2));
    }
    let long = format!("select{} 'a\nb'", " 1,\n".repeat(100_000));
    let error = parse(&format!("{long}\n, 'open")).unwrap_err();
    assert_eq!(error.message, "unterminated quoted string at or near \"'open\"");
    assert_eq!(error.position.unwrap() as usize, long.len() + 4);
}

/// Runs on a thread with hardly any stack of its own.
fn cramped(run: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(256 << 10);
        thread.spawn_scoped(scope, run).unwrap().join().unwrap();
    });
}

/// S3 of `sql_values::stack`: sqlparser's deepest trees are cloned, compared, shown and dropped with what `roomy` gives,
/// its spans and texts of them too.
#[test]
fn the_deepest_syntax_trees_have_room() {
    let text = format!("1{}", " + a".repeat(20_900));
    cramped(|| {
        let parsed = parse_expression(&text).unwrap();
        let other = parsed.clone();
        roomy(|| {
            use sqlparser::ast::Spanned;
            assert_eq!(*parsed.ast, *other.ast);
            assert_eq!(parsed.ast.to_string(), text);
            assert!(parsed.ast.span().end.column > 20_900);
        });
    });
}
