//! What no statement may do: overflow the stack, or panic.

use crate::golden::outcome;

fn state(text: &str) -> &'static str {
    match outcome(text, false) {
        Ok(_) => "ok",
        Err(error) => error.state.0,
    }
}

/// A statement that grows with a number.
type Shape = fn(usize) -> String;

/// What PostgreSQL takes in its default configuration, and what goes beyond every bound. Of each shape: how large it
/// must be bound, and how large it must be refused.
const SHAPES: [(&str, Shape, usize, usize); 21] = [
    ("parentheses", |n| format!("select {}a{} from t", "(".repeat(n), ")".repeat(n)), 900, 5_000),
    ("+", |n| format!("select a{} from t", " + 1".repeat(n)), 10_000, 100_000),
    ("||", |n| format!("select b{} from t", " || 'x'".repeat(n)), 10_000, 100_000),
    ("or", |n| format!("select a from t where a = 0{}", " or c > 1".repeat(n)), 10_000, 100_000),
    ("and", |n| format!("select a from t where a = 0{}", " and c > 1".repeat(n)), 10_000, 100_000),
    (
        "or of and",
        |n| format!("select a from t where a = 0{}", " or (a = 0 and c = 0)".repeat(n)),
        10_000,
        100_000,
    ),
    ("not", |n| format!("select {} g from t", "not ".repeat(n)), 900, 5_000),
    ("minus", |n| format!("select {} a from t", "- ".repeat(n)), 900, 5_000),
    ("::", |n| format!("select a{} from t", "::int::bigint".repeat(n)), 1_000, 50_000),
    ("int[]", |n| format!("select null::int{}", "[]".repeat(n)), 1_000, 50_000),
    ("call", |n| format!("select {}a{} from t", "abs(".repeat(n), ")".repeat(n)), 900, 5_000),
    (
        "case",
        |n| format!("select {}a{} from t", "case when g then ".repeat(n), " end".repeat(n)),
        900,
        5_000,
    ),
    ("scalar", |n| format!("{}select 1{}", "select (".repeat(n), ")".repeat(n)), 500, 5_000),
    (
        "in",
        |n| {
            let open = "select a from t where a in (".repeat(n);
            format!("{open}select 1{}", ")".repeat(n))
        },
        300,
        5_000,
    ),
    (
        "exists",
        |n| {
            let open = "select a from t where exists (".repeat(n);
            format!("{open}select 1{}", ")".repeat(n))
        },
        300,
        5_000,
    ),
    (
        "from",
        |n| format!("{}select 1 as a{}", "select * from (".repeat(n), ") x".repeat(n)),
        300,
        5_000,
    ),
    ("union all", |n| format!("select 1{}", " union all select 1".repeat(n)), 5_000, 50_000),
    ("union", |n| format!("select 1{}", " union select 1".repeat(n)), 5_000, 50_000),
    ("except", |n| format!("select 1{}", " except select 1".repeat(n)), 1_150, 50_000),
    (
        "tables",
        |n| {
            let more: String = (1..=n).map(|i| format!(", u u{i}")).collect();
            format!("select 1 from u{more}")
        },
        300,
        6_000,
    ),
    (
        "joins",
        |n| {
            let more: String = (1..=n).map(|i| format!(" join u u{i} using (k)")).collect();
            format!("select k from u{more}")
        },
        300,
        6_000,
    ),
];

#[test]
fn deep_statements_are_bound_or_refused() {
    for (name, shape, bound, refused) in SHAPES {
        for raw in [true, false] {
            let outcome = outcome(&shape(bound), raw);
            assert!(outcome.is_ok(), "{name} {bound}: {:?}", outcome.err());
        }
        assert_eq!(state(&shape(refused)), "54001", "{name} {refused}");
    }
    let list = format!("select a from t where a in (0{})", ", 1".repeat(20_000));
    assert_eq!(state(&list), "ok");
    let rows = format!("insert into u (k) values (0){}", ", (1)".repeat(5_000));
    assert_eq!(state(&rows), "ok");
    let columns = |n: usize| format!("select 1{}", ", 1".repeat(n - 1));
    assert_eq!(state(&columns(1_664)), "ok");
    assert_eq!(state(&columns(1_665)), "54011");
}

/// What means a part twice, within itself: 2^40 parts.
#[test]
fn forms_that_multiply_are_refused() {
    let between = |n| format!("select {}g{} from t", "(".repeat(n), " between g and g)".repeat(n));
    assert_eq!(state(&between(40)), "54001");
    let nullif = |n| format!("select {}a{} from t", "nullif(".repeat(n), ", 1)".repeat(n));
    assert_eq!(state(&nullif(40)), "54001");
    let all = |n| {
        let open = "select a from t where a < all (".repeat(n);
        format!("{open}select 1{}", ")".repeat(n))
    };
    assert_eq!(state(&all(40)), "54001");
    // WITH queries further in are bound where they are used.
    let with: String =
        (1..40).map(|i| format!(", w{i} as (select x.a from w{0} x, w{0} y)", i - 1)).collect();
    let with = format!("select (with w0 as (select 1 as a){with} select count(*) from w39)");
    assert_eq!(state(&with), "54001");
    // A condition that doubles on its way through projections stays where it is.
    let open = "select a + a as a from (".repeat(40);
    let doubled =
        format!("select 1 from ({open}select a from t{}) x where a = 1", ") x".repeat(40));
    assert!(outcome(&doubled, false).is_ok());
}

/// Statements with words left out, doubled and exchanged: an error or a plan, and no panic.
#[test]
fn mangled_statements_do_not_panic() {
    let files = [
        include_str!("../../../testdata/plan/bind_select.txt"),
        include_str!("../../../testdata/plan/bind_write.txt"),
        include_str!("../../../testdata/plan/optimize.txt"),
    ];
    let statements: Vec<&str> = files
        .iter()
        .flat_map(|file| file.split("\n\n"))
        .filter(|block| !block.starts_with('#'))
        .filter_map(|block| block.split("\n----").next())
        .collect();
    let mut seed: u64 = 7;
    let mut random = |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % below.max(1)
    };
    let all: Vec<&str> = statements.iter().flat_map(|s| s.split(' ')).collect();
    let mut bound = 0;
    for _ in 0..4_000 {
        let statement = statements[random(statements.len())];
        let mut words: Vec<&str> = statement.split(' ').collect();
        for _ in 0..=random(3) {
            let at = random(words.len());
            match random(4) {
                0 if words.len() > 1 => {
                    words.remove(at);
                }
                1 => words.insert(at, words[at]),
                2 => words[at] = all[random(all.len())],
                _ => {
                    let other = random(words.len());
                    words.swap(at, other);
                }
            }
        }
        let text = words.join(" ");
        bound += usize::from(outcome(&text, false).is_ok());
        let _ = outcome(&text, true);
    }
    assert!(bound > 150, "only {bound} of the mangled statements still mean something");
}
