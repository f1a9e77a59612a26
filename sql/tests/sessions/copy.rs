//! COPY's options about single columns and its header, with PostgreSQL 15's answers.

use super::*;

/// A COPY FROM STDIN with its data.
async fn copy_in(session: &mut Session, text: &str, data: &str) -> Result<Vec<String>, SqlError> {
    let mut told = Told::default();
    let step = session.simple_query(text, &mut told).await?;
    assert!(matches!(step, Step::CopyIn { .. }));
    session.copy_data(data.as_bytes()).await?;
    session.copy_done(&mut told).await?;
    Ok(told.lines)
}

async fn filled() -> Session {
    let engine = engine(&LocalCluster::new());
    let mut session = session(&engine);
    ok(&mut session, "create table cf (a int primary key, b text, c text)").await;
    let options = "format csv, force_not_null (b), force_null (c)";
    let data = "1,,\n2,\"\",\"\"\n3,x,\"x\"\n";
    copy_in(&mut session, &format!("copy cf from stdin with ({options})"), data)
        .await
        .expect("copies");
    let options = "format csv, null 'N', force_not_null (b), force_null (c, b)";
    let data = "4,N,\"N\"\n5,\"N\",N\n";
    copy_in(&mut session, &format!("copy cf from stdin with ({options})"), data)
        .await
        .expect("copies");
    session
}

#[tokio::test(start_paused = true)]
async fn columns_are_forced_to_be_null_or_not_or_quoted() {
    let mut session = filled().await;
    let nulls = "select a || ' ' || (b is null) || ' ' || (c is null) from cf order by a";
    let expected = [
        "1 false true",
        "2 false true",
        "3 false false",
        "4 false true",
        "5 true true",
        "SELECT 5",
    ];
    assert_eq!(ok(&mut session, nulls).await, expected);
    let table = "copy (select * from cf order by a) to stdout";
    let forced = ok(&mut session, &format!("{table} with (format csv, force_quote (b, a))")).await;
    let expected =
        ["\"1\",\"\",", "\"2\",\"\",", "\"3\",\"x\",x", "\"4\",\"N\",", "\"5\",,", "COPY 5"];
    assert_eq!(forced, expected);
    let forced = ok(&mut session, &format!("{table} csv header force quote *")).await;
    assert_eq!(forced[..2], ["a,b,c", "\"1\",\"\","]);
    assert_eq!(forced[3], "\"3\",\"x\",\"x\"");
    let query =
        "copy (select a, b as x from cf where a = 3) to stdout (format csv, force_quote (x))";
    assert_eq!(ok(&mut session, query).await[0], "3,\"x\"");
    let old = "copy cf from stdin csv force not null b force null c";
    copy_in(&mut session, old, "6,,\"\"\n").await.unwrap();
    assert_eq!(ok(&mut session, nulls).await[5], "6 false true");
}

#[tokio::test(start_paused = true)]
async fn a_header_must_match_where_it_is_asked_for() {
    let mut session = filled().await;
    let text =
        copy_in(&mut session, "copy cf from stdin (header match)", "a\tb\tc\n7\tx\ty\n").await;
    assert_eq!(text.unwrap(), ["COPY 1"]);
    let some = "copy cf (b, a) from stdin (format csv, header match)";
    assert_eq!(copy_in(&mut session, some, "b,a\nz,8\n").await.unwrap(), ["COPY 1"]);
    let mismatch = "column name mismatch in header line field 2: got";
    for (header, options, message) in [
        ("a,c,b", "", format!("{mismatch} \"c\", expected \"b\"")),
        ("a,b", "", "wrong number of fields in header line: got 2, expected 3".to_owned()),
        ("a,,c", "", format!("{mismatch} null value (\"\"), expected \"b\"")),
        ("a,b,c", ", null 'b'", format!("{mismatch} null value (\"b\"), expected \"b\"")),
    ] {
        let text = format!("copy cf from stdin (format csv, header match{options})");
        let error = copy_in(&mut session, &text, &format!("{header}\n9,2,3\n")).await.unwrap_err();
        assert_eq!((error.state.0, error.message), ("22P04", message));
    }
}

#[tokio::test(start_paused = true)]
async fn options_that_do_not_fit_are_refused() {
    let mut session = filled().await;
    for (text, state, message) in [
        ("to stdout (header match)", "0A000", "cannot use \"match\" with HEADER in COPY TO"),
        ("to stdout (header maybe)", "42601", "header requires a Boolean value or \"match\""),
        ("to stdout (header 2)", "42601", "header requires a Boolean value or \"match\""),
        ("to stdout (freeze maybe)", "42601", "freeze requires a Boolean value"),
        ("to stdout (header on, header off)", "42601", "conflicting or redundant options"),
        ("to stdout (force_quote *)", "0A000", "COPY force quote available only in CSV mode"),
        (
            "to stdout (format csv, force_not_null (a))",
            "0A000",
            "COPY force not null only available using COPY FROM",
        ),
        (
            "to stdout (format csv, force_null (a))",
            "0A000",
            "COPY force null only available using COPY FROM",
        ),
        (
            "from stdin (format csv, force_quote (a))",
            "0A000",
            "COPY force quote only available using COPY TO",
        ),
        ("from stdin (force_null (a))", "0A000", "COPY force null available only in CSV mode"),
        (
            "from stdin (format csv, force_null (x))",
            "42703",
            "column \"x\" of relation \"cf\" does not exist",
        ),
        (
            "(a, b) from stdin (format csv, force_null (c))",
            "42P10",
            "FORCE_NULL column \"c\" not referenced by COPY",
        ),
        (
            "(a, b) to stdout (format csv, force_quote (c))",
            "42P10",
            "FORCE_QUOTE column \"c\" not referenced by COPY",
        ),
        (
            "from stdin (format csv, force_null (a, a))",
            "42701",
            "column \"a\" specified more than once",
        ),
        (
            "from stdin (format csv, force_null *)",
            "22023",
            "argument to option \"force_null\" must be a list of column names",
        ),
    ] {
        let error = run(&mut session, &format!("copy cf {text}")).await.unwrap_err();
        assert_eq!((error.state.0, error.message.as_str()), (state, message), "{text}");
    }
    let query = "copy (select 1 as x) to stdout (format csv, force_quote (y))";
    let error = run(&mut session, query).await.unwrap_err();
    assert_eq!((error.state.0, error.message.as_str()), ("42703", "column \"y\" does not exist"));
}

#[tokio::test(start_paused = true)]
async fn names_are_looked_up() {
    let mut session = filled().await;
    ok(&mut session, "create table names (a int primary key, r regclass, rs regclass[])").await;
    let copied =
        copy_in(&mut session, "copy names from stdin", "1\tcf\t{cf,pg_class,NULL}\n").await;
    assert_eq!(copied.unwrap(), ["COPY 1"]);
    let insert = "insert into names values (2, $1, $2)";
    session.parse("i", insert, &[]).await.unwrap();
    session.bind("", "i", &[text("names"), text("{names}")]).await.unwrap();
    session.execute("", 0, true, &mut Told::default()).await.unwrap();
    let expected = ["1\tcf\t{cf,pg_class,NULL}", "2\tnames\t{names}", "COPY 2"];
    assert_eq!(ok(&mut session, "copy (select * from names order by a) to stdout").await, expected);
    let error =
        copy_in(&mut session, "copy names from stdin", "3\tno_such\t{}\n").await.unwrap_err();
    assert_eq!(
        (error.state.0, error.message.as_str()),
        ("42P01", "relation \"no_such\" does not exist")
    );
}
