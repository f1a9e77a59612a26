//! Labels of rules: a letter and a number, as in I3.
//!
//! - A rule is defined in a comment by an item that begins with its label: `- X1. …` or `- X1: …`. Of one file's items no
//!   two have the same label.
//! - A rule is cited by its label. With `of` and a module's path in backticks behind it, alone or at the end of an
//!   enumeration ("X1 and X2 of `kv::log`"), it is that module's: the path's last names are those of a file, or of its directory.
//! - A label without that is the own file's; if that does not define it, that of the nearest module around it which does;
//!   or that of the only other file of the same directory which does.
//!
//! What stands in backticks or in a picture is no citation. Documents cite with a path.

use std::collections::{BTreeMap, BTreeSet};

use crate::source::{Source, sources};

/// A label in a text: where, and which.
type Label = (usize, String);

/// Labels that stand alone in a text without backticked parts.
fn labels(text: &str) -> Vec<Label> {
    let bytes = text.as_bytes();
    let is_word = |byte: &u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'+' | b'.' | b'\'')
    };
    let mut found = Vec::new();
    for at in 0..bytes.len() {
        let digits = bytes[at + 1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let before = at.checked_sub(1).map(|before| bytes[before]);
        let behind = bytes.get(at + 1 + digits);
        let ends = behind.is_none_or(|byte| {
            !byte.is_ascii_alphanumeric() && !matches!(byte, b'_' | b'-' | b'+')
        });
        if bytes[at].is_ascii_uppercase()
            && (1..=2).contains(&digits)
            && before.is_none_or(|byte| !is_word(&byte) && byte.is_ascii())
            && ends
        {
            found.push((at, text[at..=at + digits].to_owned()));
        }
    }
    found
}

/// The text with what is in backticks blanked, but for the backticks.
fn without_code(text: &str) -> String {
    let mut is_code = false;
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '`' => is_code = !is_code,
            '\n' => {}
            _ if is_code => {
                out.extend(std::iter::repeat_n(' ', c.len_utf8()));
                continue;
            }
            _ => {}
        }
        out.push(c);
    }
    out
}

/// The comments of a file, each as one text with the position where it begins: neighbouring lines belong together.
fn paragraphs(file: &Source) -> Vec<(usize, String)> {
    let mut paragraphs: Vec<(usize, String)> = Vec::new();
    let (mut at, mut is_open, mut is_picture) = (0, false, false);
    for line in file.prose.split_inclusive('\n') {
        let bare = line.trim_start();
        let markers = bare.bytes().take_while(|byte| matches!(byte, b'/' | b'!')).count();
        let text = bare[markers..].trim();
        let is_fence = text.starts_with("```");
        is_picture ^= is_fence;
        if text.is_empty() || is_fence || is_picture {
            is_open = false;
        } else {
            // As long as the line, so that positions stay.
            let start = line.len() - bare.len() + markers;
            let line = format!("{}{}", " ".repeat(start), &line[start..]);
            match paragraphs.last_mut().filter(|_| is_open) {
                Some((_, open)) => open.push_str(&line),
                None => paragraphs.push((at, line)),
            }
            is_open = true;
        }
        at += line.len();
    }
    paragraphs
}

/// The labels that a file's items define.
fn definitions(file: &Source) -> Vec<Label> {
    let mut found = Vec::new();
    for (start, text) in paragraphs(file) {
        let mut at = start;
        for line in text.split_inclusive('\n') {
            let item = line.trim_start();
            if let Some(item) = item.strip_prefix("- ")
                && let Some((0, label)) = labels(item).into_iter().next()
                && item[label.len()..].starts_with(['.', ':'])
            {
                found.push((at, label));
            }
            at += line.len();
        }
    }
    found
}

/// A label that is cited, and the module that it is said to belong to.
struct Citation {
    at: usize,
    label: String,
    module: Option<String>,
    /// Said to be "of the" something without a name.
    is_vague: bool,
}

fn citations(file: &Source) -> Vec<Citation> {
    let mut found = Vec::new();
    for (start, text) in paragraphs(file) {
        let bare = without_code(&text);
        // From the last one backwards: what follows an enumeration belongs to all of it.
        let mut next: Option<(usize, Option<String>)> = None;
        let mut citations = Vec::new();
        for (at, label) in labels(&bare).into_iter().rev() {
            let end = at + label.len();
            let module = match &next {
                Some((begin, module)) if is_joint(&text[end..*begin]) => module.clone(),
                _ => module_behind(&text[end..]),
            };
            next = Some((at, module.clone()));
            let is_vague = text[end..].trim_start().starts_with("of the ");
            citations.push(Citation { at: start + at, label, module, is_vague });
        }
        found.extend(citations.into_iter().rev());
    }
    found
}

/// Whether this is what stands between two labels of one enumeration.
fn is_joint(between: &str) -> bool {
    matches!(
        between.split_whitespace().collect::<Vec<_>>()[..],
        ["," | "and" | "to" | "or"] | [",", "and"]
    ) || between.trim() == ","
}

/// The path in `X1 of `path``.
fn module_behind(text: &str) -> Option<String> {
    let text = text.trim_start().strip_prefix("of")?.trim_start();
    let text = text.trim_start_matches('[').strip_prefix('`')?;
    Some(text[..text.find('`')?].to_owned())
}

/// The names of a file's module, from the crate on.
fn names(path: &str) -> Vec<String> {
    let path = path.strip_suffix(".rs").unwrap_or(path);
    let mut names: Vec<String> =
        path.split('/').filter(|name| *name != "src").map(|name| name.replace('-', "_")).collect();
    names.pop_if(|last| *last == "mod" || *last == "lib");
    // The crates in sql/ are named after both.
    if names.len() > 1 && names[0] == "sql" && path.starts_with(&format!("sql/{}/src", names[1])) {
        let joined = format!("sql_{}", names.remove(1));
        names[0] = joined;
    }
    names
}

struct Book {
    /// Of each file: its module's names, and the labels it defines.
    files: BTreeMap<String, (Vec<String>, BTreeSet<String>)>,
}

impl Book {
    fn defines(&self, path: &str, label: &str) -> bool {
        self.files.get(path).is_some_and(|(_, labels)| labels.contains(label))
    }

    /// Why a citation leads nowhere, if so.
    fn complaint(&self, file: &Source, citation: &Citation) -> Option<String> {
        let label = &citation.label;
        if let Some(module) = &citation.module {
            let module: Vec<String> = module.split("::").map(str::to_owned).collect();
            let mut named = self.files.values().filter(|(names, _)| names.ends_with(&module));
            return match named.clone().count() {
                0 => Some(format!("there is no module `{}`", module.join("::"))),
                _ if named.any(|(_, labels)| labels.contains(label)) => None,
                _ => Some(format!("`{}` has no rule {label}", module.join("::"))),
            };
        }
        if citation.is_vague {
            return Some("put the module after \"of\" in backticks".into());
        }
        if file.path.ends_with(".md") {
            return Some(format!("say whose {label} is: \"{label} of `path`\""));
        }
        if self.defines(&file.path, label) {
            return None;
        }
        let dir = file.path.rsplit_once('/').map_or("", |(dir, _)| dir);
        let mut around = dir;
        while !around.is_empty() {
            let chapters =
                [format!("{around}/mod.rs"), format!("{around}/lib.rs"), format!("{around}.rs")];
            if chapters.iter().any(|chapter| self.defines(chapter, label)) {
                return None;
            }
            around = around.rsplit_once('/').map_or("", |(outer, _)| outer);
        }
        let beside: Vec<&String> = self
            .files
            .keys()
            .filter(|path| path.rsplit_once('/').is_some_and(|(its, _)| its == dir))
            .filter(|path| self.defines(path, label))
            .collect();
        match beside.len() {
            1 => None,
            0 => Some(format!("no rule {label} here or in a module around it: say whose it is")),
            _ => Some(format!("several files here have a rule {label}: say whose it is")),
        }
    }
}

#[test]
fn every_label_stands_for_one_rule_and_every_label_cited_exists() {
    let mut violations = Vec::new();
    let files = || sources().iter().filter(|file| !file.path.starts_with("tidy/"));
    let mut book = Book { files: BTreeMap::new() };
    for file in files() {
        let mut own = BTreeSet::new();
        for (at, label) in definitions(file) {
            if !own.insert(label.clone()) {
                violations.push(format!("{}:{}: a second {label}", file.path, file.line(at)));
            }
        }
        book.files.insert(file.path.clone(), (names(&file.path), own));
    }
    assert!(
        book.files.values().map(|(_, own)| own.len()).sum::<usize>() > 200,
        "too few to be true"
    );
    for file in files() {
        for citation in citations(file) {
            if let Some(why) = book.complaint(file, &citation) {
                let (path, line) = (&file.path, file.line(citation.at));
                violations.push(format!("{path}:{line}: {}: {why}", citation.label));
            }
        }
    }
    assert!(violations.is_empty(), "labels of rules:\n{}", violations.join("\n"));
}

#[test]
fn labels_are_found_where_they_are_meant() {
    let found = |text: &str| -> Vec<String> {
        labels(&without_code(text)).into_iter().map(|(_, label)| label).collect()
    };
    assert_eq!(found("(I3), W12. MD5 `E0` U+2028 I24: x1 A1b T0_9 C3"), ["I3", "W12", "I24", "C3"]);
    let file = |text: &str| Source::rust("kv/src/a.rs", text);
    let cited = |text: &str| -> Vec<(String, Option<String>)> {
        citations(&file(text)).into_iter().map(|c| (c.label, c.module)).collect()
    };
    let of = |label: &str, module: &str| (label.to_owned(), Some(module.to_owned()));
    assert_eq!(
        cited("// See A1; B1, B2 and\n// B3 of `kv::log`, not C1."),
        [
            ("A1".into(), None),
            of("B1", "kv::log"),
            of("B2", "kv::log"),
            of("B3", "kv::log"),
            ("C1".into(), None)
        ]
    );
    let defined = |text: &str| definitions(&file(text)).len();
    assert_eq!(
        defined("//! - A1. One.\n//! - A2: two.\n//! - A3 is cited.\n//!\n//! A4. No item."),
        2
    );
}
