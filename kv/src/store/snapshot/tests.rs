//! An installation that is cut off anywhere.

use crate::store::scripts::World;

/// Node 2 is away until it needs a snapshot, has that whole and durable, and has done some portions of installing it; `then`
/// happens, and everybody goes on. What the nodes have at the end.
fn life(portions: usize, then: &str) -> Vec<String> {
    let keys = |names: &str| -> String {
        names.chars().map(|name| format!("put {name} on=n3\n")).collect()
    };
    let script = format!(
        "logs 8\ntick 30\n{}\nput y on=n3\nsync\ncut n2\n{}\ndelete y on=n3\ntick 50\nsync\ntick 1\n{}\nsync\ntick 20\nheal\ntick 3\n\
         slow n2\nsync n2\nportion n2 {portions}\n{then}\n{}put z on=n3\ntick 5\nkeys\n---\n",
        keys("ab"),
        keys("cdefg"),
        keys("hijklm"),
        "tick 10\nsync\n".repeat(8),
    );
    let shown = goldenscript::generate(&mut World::new(), &script).unwrap();
    let found = shown.lines().filter(|line| line.contains("applied ") && line.starts_with('n'));
    found.map(|line| line[4..].to_owned()).collect()
}

#[test]
fn an_installation_that_is_cut_off_anywhere_leaves_a_replica_that_comes_to_what_the_others_have() {
    let mut ends = std::collections::BTreeSet::new();
    for portions in 0..18 {
        for then in [
            "lose n2\nstart n2".to_owned(),
            "kill n2\nstart n2".to_owned(),
            format!("lose n2 seed={portions}\nstart n2"),
            format!("lose n2 seed={}\nstart n2", 100 + portions),
            // The whole is durable, and the log does not know.
            "sync n2\nlose n2\nstart n2".to_owned(),
        ] {
            let found = life(portions, &then);
            assert_eq!(found.len(), 3, "{portions} {then}");
            assert!(found.iter().all(|line| *line == found[0]), "{portions} {then}: {found:?}");
            assert!(found[0].ends_with(": a b c d e f g h i j k l m z"), "{found:?}");
            ends.insert(found[0].clone());
        }
    }
    assert_eq!(ends.len(), 1, "no life needs more entries than the others: {ends:?}");
}
