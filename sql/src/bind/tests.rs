//! What no statement may do: overflow the stack, or panic.

use crate::testing::outcome;

fn state(text: &str) -> &'static str {
    match outcome(text, false) {
        Ok(_) => "ok",
        Err(error) => error.state.0,
    }
}

#[test]
fn deep_statements_are_bound_or_refused() {
    let nested = |n: usize| format!("select {}a{} from t", "(".repeat(n), ")".repeat(n));
    assert_eq!(state(&nested(150)), "ok");
    assert_eq!(state(&nested(1_000)), "54001");
    let sum = |n: usize| format!("select a{} from t", " + 1".repeat(n));
    assert_eq!(state(&sum(250)), "ok");
    assert_eq!(state(&sum(2_000)), "54001");
    let any = |n: usize| format!("select a from t where a = 0{}", " or c > 1".repeat(n));
    assert_eq!(state(&any(1_000)), "ok");
    let not = |n: usize| format!("select {} g from t", "not ".repeat(n));
    assert_eq!(state(&not(100)), "ok");
    assert_eq!(state(&not(2_000)), "54001");
    let cast = |n: usize| format!("select a{} from t", "::int".repeat(n));
    assert_eq!(state(&cast(100)), "ok");
    assert_eq!(state(&cast(2_000)), "54001");
    let query = |n: usize| format!("{}select 1{}", "select (".repeat(n), ")".repeat(n));
    assert_eq!(state(&query(60)), "ok");
    assert_eq!(state(&query(1_000)), "54001");
    let from =
        |n: usize| format!("{}select 1 as a{}", "select * from (".repeat(n), ") x".repeat(n));
    assert_eq!(state(&from(60)), "ok");
    let unions = |n: usize| format!("select 1{}", " union all select 1".repeat(n));
    assert_eq!(state(&unions(100)), "ok");
    assert_eq!(state(&unions(2_000)), "54001");
    let list = format!("select a from t where a in (0{})", ", 1".repeat(20_000));
    assert_eq!(state(&list), "ok");
    let rows = format!("insert into u (k) values (0){}", ", (1)".repeat(5_000));
    assert_eq!(state(&rows), "ok");
}

/// Statements with words left out, doubled and exchanged: an error or a plan, and no panic.
#[test]
fn mangled_statements_do_not_panic() {
    let files = [
        include_str!("../../testdata/plan/bind_select.txt"),
        include_str!("../../testdata/plan/bind_write.txt"),
        include_str!("../../testdata/plan/optimize.txt"),
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
