//! The sources: which there are, and what in them is code and what is said about it.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// One file. `code` and `prose` are as long as the file, with spaces in place of what belongs to the other, so that
/// positions and lines are the file's.
pub(crate) struct Source {
    /// From the root of the workspace.
    pub(crate) path: String,
    /// Without comments, and without what is in strings.
    pub(crate) code: String,
    /// The comments; of a text in Markdown, all of it.
    pub(crate) prose: String,
    /// Where its lines begin.
    lines: Vec<usize>,
}

impl Source {
    fn new(path: String, code: String, prose: String) -> Self {
        let breaks = code.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let lines = std::iter::once(0).chain(breaks.map(|(at, _)| at + 1)).collect();
        Source { path, code, prose, lines }
    }

    /// A text in Rust.
    pub(crate) fn rust(path: &str, text: &str) -> Self {
        let (code, prose) = divide(text);
        Source::new(path.into(), code, prose)
    }

    /// The number of the line that holds this position.
    pub(crate) fn line(&self, at: usize) -> usize {
        self.lines.partition_point(|start| *start <= at)
    }

    /// The code that ships: without the modules that only tests have.
    pub(crate) fn shipped(&self) -> String {
        const GATE: &str = "#[cfg(test)]";
        let mut code = self.code.clone().into_bytes();
        let mut from = 0;
        while let Some(found) = self.code[from..].find(GATE) {
            let start = from + found;
            let item = &self.code[start + GATE.len()..];
            let (open, semicolon) = (item.find('{'), item.find(';'));
            let end = match (open, semicolon) {
                (Some(open), semicolon) if semicolon.is_none_or(|at| open < at) => {
                    let open = start + GATE.len() + open;
                    block_end(&self.code, open).unwrap_or(self.code.len())
                }
                (_, Some(at)) => start + GATE.len() + at,
                _ => self.code.len(),
            };
            code[start..end].iter_mut().filter(|b| **b != b'\n').for_each(|byte| *byte = b' ');
            from = end;
        }
        String::from_utf8(code).expect("bytes of whole lines were replaced by spaces")
    }
}

/// The position behind the block that opens at `open`.
pub(crate) fn block_end(code: &str, open: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, byte) in (open..).zip(code[open..].bytes()) {
        match byte {
            b'{' => depth += 1,
            b'}' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
    }
    None
}

/// The root of the workspace.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tidy lies in the workspace").into()
}

/// Every file of the workspace in Rust or in Markdown, by path. Read once.
pub(crate) fn sources() -> &'static [Source] {
    static SOURCES: OnceLock<Vec<Source>> = OnceLock::new();
    SOURCES.get_or_init(|| {
        let mut files = Vec::new();
        walk(&root(), &mut files);
        files.sort();
        files.iter().map(|path| read(path)).collect()
    })
}

fn read(file: &Path) -> Source {
    let text = std::fs::read_to_string(file).expect("sources are UTF-8");
    let path = file.strip_prefix(root()).expect("found below it").display().to_string();
    match path.ends_with(".rs") {
        true => Source::rust(&path, &text),
        false => Source::new(path, blank(&text), text),
    }
}

#[expect(clippy::disallowed_methods, reason = "a tool for sources, and no part of a node")]
fn walk(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).expect("a directory of the workspace") {
        let path = entry.expect("readable").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() {
            if name != "target" && !name.starts_with('.') {
                walk(&path, files);
            }
        } else if path.extension().is_some_and(|found| found == "rs" || found == "md") {
            files.push(path);
        }
    }
}

fn blank(text: &str) -> String {
    text.bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }).collect()
}

/// What a position of a text in Rust belongs to.
#[derive(Clone, Copy, PartialEq)]
enum Part {
    Code,
    Comment,
    /// In a string or a character: neither.
    Text,
}

/// Code and comments of a text in Rust.
fn divide(text: &str) -> (String, String) {
    let bytes = text.as_bytes();
    let (mut code, mut prose) = (blank(text).into_bytes(), blank(text).into_bytes());
    let mut at = 0;
    while at < bytes.len() {
        let (part, end) = token(bytes, at);
        match part {
            Part::Code => code[at..end].copy_from_slice(&bytes[at..end]),
            Part::Comment => prose[at..end].copy_from_slice(&bytes[at..end]),
            Part::Text => {}
        }
        at = end;
    }
    let text = |bytes| String::from_utf8(bytes).expect("tokens end between characters");
    (text(code), text(prose))
}

/// The part that begins at `at`, and where it ends.
fn token(bytes: &[u8], at: usize) -> (Part, usize) {
    let rest = &bytes[at..];
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    if rest.starts_with(b"//") {
        let len = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
        return (Part::Comment, at + len);
    }
    if rest.starts_with(b"/*") {
        let len = rest.windows(2).position(|pair| pair == b"*/").map_or(rest.len(), |end| end + 2);
        return (Part::Comment, at + len);
    }
    if is_word(&rest[0]) {
        let len = rest.iter().position(|byte| !is_word(byte)).unwrap_or(rest.len());
        let (word, behind) = rest.split_at(len);
        if matches!(word, b"r" | b"br") {
            let hashes = behind.iter().take_while(|byte| **byte == b'#').count();
            if behind.get(hashes) == Some(&b'"') {
                let mut end = vec![b'"'];
                end.resize(1 + hashes, b'#');
                let body = at + len + hashes + 1;
                let len = bytes[body..].windows(end.len()).position(|part| part == end);
                return (Part::Text, len.map_or(bytes.len(), |len| body + len + end.len()));
            }
        }
        return (Part::Code, at + len);
    }
    match rest[0] {
        b'"' => (Part::Text, quoted(bytes, at, b'"')),
        // A lifetime is a quote and a name that no quote follows.
        b'\'' if rest.get(1) == Some(&b'\\') => (Part::Text, quoted(bytes, at, b'\'')),
        b'\'' => {
            let width = std::str::from_utf8(&rest[1..rest.len().min(5)])
                .or_else(|error| std::str::from_utf8(&rest[1..1 + error.valid_up_to()]))
                .ok()
                .and_then(|text| text.chars().next())
                .map_or(1, char::len_utf8);
            match rest.get(1 + width) {
                Some(b'\'') => (Part::Text, at + 2 + width),
                _ => (Part::Code, at + 1),
            }
        }
        _ if rest[0].is_ascii() => (Part::Code, at + 1),
        _ => {
            let len = rest[1..].iter().take_while(|byte| **byte & 0xc0 == 0x80).count();
            (Part::Code, at + 1 + len)
        }
    }
}

/// Where the string or character ends that begins at `at`.
fn quoted(bytes: &[u8], at: usize, quote: u8) -> usize {
    let mut end = at + 1;
    while end < bytes.len() && bytes[end] != quote {
        end += if bytes[end] == b'\\' { 2 } else { 1 };
    }
    (end + 1).min(bytes.len())
}

#[test]
fn code_and_prose_are_told_apart() {
    let text =
        "let a = \"// no\"; // yes\nlet b: &'static str = r#\"\"{\"#; let c = ['{', '\\'', 'é'];";
    let (code, prose) = divide(text);
    assert_eq!(prose.trim(), "// yes");
    assert!(!code.contains("no") && !code.contains('{') && code.contains("&'static str"));
    assert_eq!((code.len(), prose.len()), (text.len(), text.len()));
    let source = Source::new(String::new(), code, prose);
    assert_eq!(source.line(text.find("static").expect("it is there")), 2);
}

#[test]
fn what_only_tests_have_does_not_ship() {
    let code =
        "use a;\n#[cfg(test)]\nmod tests;\nmod b { }\n#[cfg(test)]\nmod c { mod d { } }\nuse e;";
    let source = Source::rust("", code);
    let shipped = source.shipped();
    assert!(shipped.contains("use a") && shipped.contains("mod b") && shipped.contains("use e"));
    assert!(!shipped.contains("tests") && !shipped.contains("mod d"), "{shipped}");
}
