//! Patterns: LIKE and regular expressions.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use regex::RegexBuilder;
use regex_automata::util::syntax;
use sql_values::error::{SqlError, SqlResult, SqlState};

use super::EvalContext;
use super::search::{Expression, REGEX_SIZE_MAX};

/// Compiled expressions that are kept: a statement has few, and compiling takes longer than matching.
const REGEX_CACHE_LEN_MAX: usize = 32;

static REGEX_CACHE: Mutex<VecDeque<(Key, Arc<Expression>)>> = Mutex::new(VecDeque::new());

/// An expression as it is written, and how it is read.
type Key = (String, RegexOptions);

/// Characters that LIKE looks at between two counts of its work: a pattern of many `%` takes time with the square of the
/// text's length.
const LIKE_STEPS: u32 = 4_096;

/// `text LIKE pattern`, with a backslash as escape.
pub(super) fn like(ctx: &EvalContext<'_>, text: &str, pattern: &str) -> SqlResult<bool> {
    // Bytes of the same characters are the same; only what stands for any character has to know where they begin.
    let (text, pattern) = (text.as_bytes(), pattern.as_bytes());
    let (mut t, mut p) = (0, 0);
    // Where to go on when what follows the last `%` does not match: it then takes one character more.
    let mut retry: Option<(usize, usize)> = None;
    let mut steps = 0;
    loop {
        steps += 1;
        if steps == LIKE_STEPS {
            ctx.spend(4)?;
            steps = 0;
        }
        // How far the pattern and the text go on together.
        let matched = match pattern.get(p) {
            Some(b'%') => {
                p += 1;
                retry = Some((p, t));
                continue;
            }
            Some(b'_') => text.get(t).map(|first| (1, width(*first))),
            // Without text left nothing is looked at, not even whether the pattern is one.
            Some(b'\\') if t == text.len() => None,
            Some(b'\\') => {
                let Some(literal) = pattern.get(p + 1) else {
                    return Err(SqlError::new(
                        SqlState::INVALID_ESCAPE_SEQUENCE,
                        "LIKE pattern must not end with escape character",
                    ));
                };
                (text.get(t) == Some(literal)).then_some((2, 1))
            }
            Some(literal) => (text.get(t) == Some(literal)).then_some((1, 1)),
            None if t == text.len() => return Ok(true),
            None => None,
        };
        match (matched, retry) {
            (Some((of_pattern, of_text)), _) => {
                p += of_pattern;
                t += of_text;
            }
            (None, Some((after, from))) if from < text.len() => {
                let next = from + width(text[from]);
                retry = Some((after, next));
                p = after;
                t = next;
            }
            _ => return Ok(false),
        }
    }
}

/// Bytes of a character that begins so.
fn width(first: u8) -> usize {
    match first {
        0xf0.. => 4,
        0xe0.. => 3,
        0xc0.. => 2,
        _ => 1,
    }
}

/// A LIKE pattern with another escape character, as one with a backslash.
pub(super) fn like_escape(pattern: &str, escape: &str) -> SqlResult<String> {
    let mut chars = escape.chars();
    let escape = chars.next();
    if chars.next().is_some() {
        return Err(SqlError::new(SqlState::INVALID_ESCAPE_SEQUENCE, "invalid escape string")
            .hint("Escape string must be empty or one character."));
    }
    let mut out = String::with_capacity(pattern.len());
    let mut escaped = false;
    for c in pattern.chars() {
        if Some(c) == escape && !escaped {
            out.push('\\');
            escaped = true;
            continue;
        }
        if c == '\\' && !escaped {
            out.push('\\');
        }
        out.push(c);
        escaped = false;
    }
    Ok(out)
}

/// How an expression is read: PostgreSQL's options, by letter or at the expression's beginning (`(?in)…`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct RegexOptions {
    ignore_case: bool,
    /// A dot and `[^…]` do not match a newline.
    lines: bool,
    /// `^` and `$` match at newlines.
    anchors: bool,
    /// Blanks and comments count for nothing.
    expanded: bool,
    /// Nothing is special.
    literal: bool,
    /// All matches: for functions that replace or find.
    pub(super) global: bool,
}

impl RegexOptions {
    /// Those of the operators: with or without regard to case.
    pub(super) fn with_case(ignore_case: bool) -> RegexOptions {
        RegexOptions { ignore_case, ..RegexOptions::default() }
    }

    /// From the letters that a function is given.
    pub(super) fn of(letters: &str) -> SqlResult<RegexOptions> {
        let mut options = RegexOptions::default();
        for letter in letters.chars() {
            match letter {
                'g' => options.global = true,
                _ => options.set(letter)?,
            }
        }
        Ok(options)
    }

    /// The same, for those who build what searches themselves.
    fn syntax(self) -> syntax::Config {
        syntax::Config::new()
            .case_insensitive(self.ignore_case)
            .dot_matches_new_line(!self.lines)
            .multi_line(self.anchors)
            .ignore_whitespace(self.expanded)
    }

    fn set(&mut self, letter: char) -> SqlResult<()> {
        match letter {
            'i' => self.ignore_case = true,
            'c' => self.ignore_case = false,
            'm' | 'n' => (self.lines, self.anchors) = (true, true),
            'p' => (self.lines, self.anchors) = (true, false),
            's' => (self.lines, self.anchors) = (false, false),
            'w' => (self.lines, self.anchors) = (false, true),
            'x' => self.expanded = true,
            't' => self.expanded = false,
            'q' => self.literal = true,
            // Rust's expressions are advanced ones: what these exclude is not excluded.
            'b' | 'e' => self.literal = false,
            other => {
                return Err(SqlError::new(
                    SqlState::INVALID_PARAMETER_VALUE,
                    format!("invalid regular expression option: \"{other}\""),
                ));
            }
        }
        Ok(())
    }

    /// Takes the options at an expression's beginning.
    fn embedded(&mut self, pattern: &str) -> String {
        if self.literal {
            return regex::escape(pattern);
        }
        if let Some(text) = pattern.strip_prefix("***=") {
            return regex::escape(text);
        }
        let mut pattern = pattern.strip_prefix("***:").unwrap_or(pattern);
        if let Some((letters, rest)) = pattern.strip_prefix("(?").and_then(|p| p.split_once(')'))
            && !letters.is_empty()
            && letters.chars().all(|letter| "bceimnpqstwx".contains(letter))
        {
            for letter in letters.chars() {
                // All letters are known.
                let _ = self.set(letter);
            }
            pattern = rest;
        }
        if self.literal { regex::escape(pattern) } else { translate(pattern, self.lines) }
    }
}

/// The longest regular expression. The bound on what is compiled does not bound what is parsed before: kilobytes for each
/// class of two letters. PostgreSQL ends at about the same length.
const PATTERN_BYTES_MAX: usize = 64 << 10;

/// A compiled regular expression, in PostgreSQL's dialect as far as it can be said in Rust's.
pub(super) fn regex(pattern: &str, options: RegexOptions) -> SqlResult<Arc<Expression>> {
    // Not a matter of the expression.
    let mut options = RegexOptions { global: false, ..options };
    let key = (pattern.to_owned(), options);
    if let Ok(cache) = REGEX_CACHE.lock()
        && let Some((_, found)) = cache.iter().find(|(known, _)| *known == key)
    {
        return Ok(found.clone());
    }
    if pattern.len() > PATTERN_BYTES_MAX {
        let text = "invalid regular expression: regular expression is too complex";
        return Err(SqlError::new(SqlState::INVALID_REGULAR_EXPRESSION, text));
    }
    let translated = options.embedded(pattern);
    let built = RegexBuilder::new(&translated)
        .case_insensitive(options.ignore_case)
        .dot_matches_new_line(!options.lines)
        .multi_line(options.anchors)
        .ignore_whitespace(options.expanded)
        .size_limit(REGEX_SIZE_MAX)
        .build()
        .map_err(|error| {
            // The last line says what is wrong, those before show where.
            let error = error.to_string();
            let reason = error.lines().last().unwrap_or_default();
            let reason = reason.strip_prefix("error: ").unwrap_or(reason);
            // PostgreSQL's words, where there is one for it.
            let reason = match reason {
                "unclosed group" | "unopened group" => "parentheses () not balanced",
                "unclosed character class" => "brackets [] not balanced",
                "repetition operator missing expression" => "quantifier operand invalid",
                "unrecognized escape sequence" => "invalid escape \\ sequence",
                other => other,
            };
            SqlError::new(
                SqlState::INVALID_REGULAR_EXPRESSION,
                format!("invalid regular expression: {reason}"),
            )
        })?;
    let built = Arc::new(Expression::new(built, translated, options.syntax()));
    if let Ok(mut cache) = REGEX_CACHE.lock() {
        if cache.len() == REGEX_CACHE_LEN_MAX {
            cache.pop_front();
        }
        cache.push_back((key, built.clone()));
    }
    Ok(built)
}

/// Escapes of PostgreSQL that Rust's expressions spell otherwise.
fn translate(pattern: &str, lines: bool) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut chars = pattern.chars().peekable();
    let mut in_class = false;
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('y') => out.push_str("\\b"),
                Some('Y') => out.push_str("\\B"),
                Some('m' | '<') => out.push_str("\\b{start}"),
                Some('M' | '>') => out.push_str("\\b{end}"),
                Some('Z') => out.push_str("\\z"),
                Some(next) if !next.is_alphanumeric() && !next.is_ascii() => out.push(next),
                Some(next) => {
                    out.push('\\');
                    out.push(next);
                }
                None => out.push('\\'),
            },
            '[' if !in_class => {
                in_class = true;
                out.push('[');
                if chars.next_if_eq(&'^').is_some() {
                    out.push('^');
                    if lines {
                        out.push_str("\\n");
                    }
                }
                if chars.next_if_eq(&']').is_some() {
                    out.push_str("\\]");
                }
            }
            // Inside a class only `[:` is special; Rust gives meaning to a plain bracket and to doubled signs.
            '[' if chars.peek() == Some(&':') => {
                out.push('[');
                for c in chars.by_ref() {
                    out.push(c);
                    if c == ']' {
                        break;
                    }
                }
            }
            '[' | '&' | '~' if in_class => {
                out.push('\\');
                out.push(c);
            }
            ']' if in_class => {
                in_class = false;
                out.push(']');
            }
            _ => out.push(c),
        }
    }
    out
}
