//! Modules use one another in one direction: the order in which their `lib.rs` lists them.
//!
//! Every crate of several modules says so, by the words "in reading order" in the chapter of its `lib.rs`. What only tests have
//! may look at everything.

use std::collections::BTreeMap;

use crate::source::{Source, sources};

/// All of the workspace's own.
const CRATES: [&str; 14] = [
    "kv",
    "txn",
    "node",
    "jepsen-style-tests",
    "sql",
    "sql/values",
    "sql/catalog",
    "sql/functions",
    "sql/parse",
    "sql/plan",
    "sql/planner",
    "sql/exec",
    "sql/testing",
    "tidy",
];

/// The modules that a `lib.rs` declares, in its order.
fn modules(lib: &Source) -> Vec<String> {
    let code = lib.shipped();
    let words: Vec<&str> = code.split_inclusive([' ', '\n', ';']).collect();
    let mut modules = Vec::new();
    for pair in words.windows(2) {
        if pair[0].trim() == "mod"
            && let Some(name) = pair[1].strip_suffix(';')
        {
            modules.push(name.to_owned());
        }
    }
    modules
}

/// What stands behind each `crate::` of a file, and behind each row of `super::` that leads to the crate's root.
fn references(code: &str, depth: usize) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    for (at, _) in code.match_indices("crate::") {
        if !code[..at].ends_with(is_word) {
            heads(&code[at + "crate::".len()..], at, &mut found);
        }
    }
    let up = "super::".repeat(depth);
    for (at, _) in code.match_indices(&up) {
        if !code[..at].ends_with(|c| is_word(c) || c == ':') {
            heads(&code[at + up.len()..], at, &mut found);
        }
    }
    found
}

/// The first names of a path, or of each path in braces.
fn heads(path: &str, at: usize, found: &mut Vec<(usize, String)>) {
    let word = |path: &str| -> String {
        path.trim_start().chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect()
    };
    let Some(group) = path.strip_prefix('{') else {
        found.push((at, word(path)));
        return;
    };
    let mut depth = 0;
    let mut is_head = true;
    for (index, c) in group.char_indices() {
        if is_head && !c.is_whitespace() {
            found.push((at, word(&group[index..])));
            is_head = false;
        }
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => return,
            '}' => depth -= 1,
            ',' => is_head = depth == 0,
            _ => {}
        }
    }
}

/// The module that a file of the crate belongs to, and how many `super`s lead from it to the root.
fn place(path: &str) -> Option<(String, usize)> {
    let mut parts: Vec<&str> = path.strip_suffix(".rs")?.split('/').collect();
    parts.pop_if(|last| *last == "mod");
    let is_test = parts.contains(&"tests") || parts.contains(&"testing");
    (!is_test && parts != ["lib"]).then(|| (parts[0].to_owned(), parts.len()))
}

fn violations(root: &str) -> Vec<String> {
    let src = format!("{root}/src/");
    let files = || sources().iter().filter(|file| file.path.starts_with(&src));
    let Some(lib) = files().find(|file| file.path == format!("{src}lib.rs")) else {
        return vec![format!("{src}lib.rs is missing")];
    };
    let modules = modules(lib);
    if modules.len() > 1 && !lib.prose.contains("in reading order") {
        return vec![format!("{src}lib.rs does not say that its modules are in reading order")];
    }
    let rank: BTreeMap<&str, usize> =
        modules.iter().enumerate().map(|(rank, name)| (name.as_str(), rank)).collect();
    let mut violations = Vec::new();
    for file in files() {
        let Some((module, depth)) = file.path.strip_prefix(&src).and_then(place) else { continue };
        let Some(own) = rank.get(module.as_str()) else { continue };
        for (at, used) in references(&file.shipped(), depth) {
            if rank.get(used.as_str()).is_some_and(|rank| rank > own) {
                violations.push(format!(
                    "{}:{}: `{module}` uses `{used}`, which {src}lib.rs lists after it",
                    file.path,
                    file.line(at)
                ));
            }
        }
    }
    violations
}

#[test]
fn modules_use_only_those_listed_before_them() {
    let violations: Vec<String> = CRATES.iter().flat_map(|root| violations(root)).collect();
    assert!(
        violations.is_empty(),
        "move what is in the wrong place, or the line in lib.rs:\n{}",
        violations.join("\n")
    );
}

#[test]
fn every_way_to_name_a_module_is_seen() {
    let code = "use crate::{a, b::{c, d}, e}; use crate::f::g; super::h::i(); super::super::j(); xcrate::k";
    let found = |depth| -> Vec<String> {
        references(code, depth).into_iter().map(|(_, name)| name).collect()
    };
    assert_eq!(found(1), ["a", "b", "e", "f", "h", "super"]);
    assert_eq!(found(2), ["a", "b", "e", "f", "j"]);
}
