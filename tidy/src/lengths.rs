//! Bounds on what a reader has to hold at once.

use crate::source::{block_end, sources};

/// Lines of a file.
const FILE_LINES_MAX: usize = 1_000;
/// Lines of a function, tests included.
const FUNCTION_LINES_MAX: usize = 200;

#[test]
fn no_file_and_no_function_is_too_long() {
    let mut violations = Vec::new();
    for file in sources().iter().filter(|file| file.path.ends_with(".rs")) {
        let lines = file.code.lines().count();
        if lines > FILE_LINES_MAX {
            violations.push(format!("{}: {lines} lines", file.path));
        }
        for (at, _) in file.code.match_indices("fn ") {
            let is_keyword = !file.code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
            let Some(end) = is_keyword.then(|| body_end(&file.code, at)).flatten() else {
                continue;
            };
            let lines = file.line(end) - file.line(at) + 1;
            if lines > FUNCTION_LINES_MAX {
                let place = format!("{}:{}", file.path, file.line(at));
                violations.push(format!("{place}: a function of {lines} lines"));
            }
        }
    }
    assert!(
        violations.is_empty(),
        "cut them by ideas: a file has {FILE_LINES_MAX} lines at most, a function {FUNCTION_LINES_MAX}\n{}",
        violations.join("\n")
    );
}

/// Where the body of the function ends that is declared at `at`, if it has one.
fn body_end(code: &str, at: usize) -> Option<usize> {
    let mut depth = 0;
    for (index, byte) in (at..).zip(code[at..].bytes()) {
        match byte {
            b'(' | b'[' => depth += 1,
            b')' | b']' if depth == 0 => return None,
            b')' | b']' => depth -= 1,
            b';' if depth == 0 => return None,
            b'{' if depth == 0 => return block_end(code, index),
            _ => {}
        }
    }
    None
}
