//! Functions of regular expressions, but for the operators that only ask for a match.

use std::sync::Arc;

use regex::Captures;
use sql_values::error::{SqlError, SqlResult, SqlState};
use sql_values::types::Datum;

use super::pattern::{RegexOptions, regex};
use super::search::{Expression, Search, after};
use super::signature::*;
use super::{EvalContext, Function, SetRows};

/// Bytes of a part in an array, beside its own.
const PART_BYTES: usize = size_of::<Datum>() + 32;

/// The matches of an expression in a text, one after the other. A match of nothing right behind another is one.
struct Matches<'t> {
    expression: &'t Expression,
    text: &'t str,
    search: Search<'t>,
    /// Where the next one may begin.
    from: usize,
}

impl<'t> Matches<'t> {
    fn new(expression: &'t Expression, text: &'t str, from: usize) -> Self {
        Matches { expression, text, search: Search::new(expression, text), from }
    }

    fn next(&mut self, ctx: &EvalContext<'_>) -> SqlResult<Option<Captures<'t>>> {
        if self.from > self.text.len() {
            return Ok(None);
        }
        let Some(start) = self.search.next(ctx, self.from)? else { return Ok(None) };
        let Some(found) = self.expression.regex.captures_at(self.text, start) else {
            return Ok(None);
        };
        let Some(whole) = found.get(0) else { return Ok(None) };
        self.from = after(self.text, whole.range());
        ctx.spend(1)?;
        Ok(Some(found))
    }
}

/// The expression of a function that has no use for the flag g.
fn expression(args: &[Datum], flags: Option<usize>, function: &str) -> SqlResult<Arc<Expression>> {
    let letters = match flags {
        Some(at) if at < args.len() => text(args, at)?,
        _ => "",
    };
    let options = RegexOptions::of(letters)?;
    if options.global {
        let text = format!("{function}() does not support the \"global\" option");
        return Err(SqlError::new(SqlState::INVALID_PARAMETER_VALUE, text));
    }
    regex(text(args, 1)?, options)
}

/// A number that an argument gives, of a least value; one if it is not there.
fn number(args: &[Datum], at: usize, name: &str, least: i32) -> SqlResult<usize> {
    if at >= args.len() {
        return Ok(1);
    }
    let value = int4(args, at)?;
    if value < least {
        let text = format!("invalid value for parameter \"{name}\": {value}");
        return Err(SqlError::new(SqlState::INVALID_PARAMETER_VALUE, text));
    }
    Ok(usize::try_from(value).unwrap_or(0))
}

/// The byte of the character that an argument says to begin at. One past the end is beyond every match.
fn start(args: &[Datum], at: usize) -> SqlResult<usize> {
    let character = number(args, at, "start", 1)? - 1;
    let text = text(args, 0)?;
    let byte = text.char_indices().map(|(byte, _)| byte).chain([text.len()]).nth(character);
    Ok(byte.unwrap_or(text.len() + 1))
}

/// The groups of a match, or all of it if there are none.
fn groups(ctx: &EvalContext<'_>, found: &Captures<'_>) -> SqlResult<Datum> {
    let first = usize::from(found.len() > 1);
    let mut parts = Vec::new();
    for at in first..found.len() {
        let part = found.get(at).map(|part| part.as_str());
        ctx.reserve_piece(part.map_or(0, str::len) + PART_BYTES)?;
        parts.push(part.map_or(Datum::Null, Datum::text));
    }
    Ok(Datum::Array(parts.into()))
}

fn regexp_match(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let expression = expression(args, Some(2), "regexp_match")?;
    let found = Matches::new(&expression, text(args, 0)?, 0).next(ctx)?;
    found.map_or(Ok(Datum::Null), |found| groups(ctx, &found))
}

fn regexp_matches(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<SetRows> {
    let options = RegexOptions::of(if args.len() > 2 { text(args, 2)? } else { "" })?;
    let expression = regex(text(args, 1)?, options)?;
    let mut matches = Matches::new(&expression, text(args, 0)?, 0);
    let mut rows = Vec::new();
    while let Some(found) = matches.next(ctx)? {
        ctx.reserve_piece(PART_BYTES)?;
        rows.push(Ok(vec![groups(ctx, &found)?]));
        if !options.global {
            break;
        }
    }
    Ok(Box::new(rows.into_iter()))
}

fn regexp_split_to_array(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let parts = split(ctx, args, "regexp_split_to_array")?;
    ctx.reserve_elements(parts.len())?;
    Ok(Datum::Array(parts.into()))
}

fn regexp_split_to_table(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<SetRows> {
    let parts = split(ctx, args, "regexp_split_to_table")?;
    Ok(Box::new(parts.into_iter().map(|part| Ok(vec![part]))))
}

/// What lies between the matches.
fn split(ctx: &EvalContext<'_>, args: &[Datum], function: &str) -> SqlResult<Vec<Datum>> {
    let expression = expression(args, Some(2), function)?;
    let text = text(args, 0)?;
    let mut matches = Matches::new(&expression, text, 0);
    let mut parts = Vec::new();
    let mut keep = |part: &str| {
        ctx.reserve_piece(part.len() + PART_BYTES)?;
        parts.push(Datum::text(part));
        Ok::<_, SqlError>(())
    };
    let mut from = 0;
    while let Some(found) = matches.next(ctx)? {
        let Some(whole) = found.get(0) else { break };
        // A match of nothing splits only between characters that another has not split.
        if whole.start() < text.len() && whole.end() > from {
            keep(&text[from..whole.start()])?;
            from = whole.end();
        }
    }
    keep(&text[from..])?;
    Ok(parts)
}

fn regexp_like(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let expression = expression(args, Some(2), "regexp_like")?;
    Search::new(&expression, text(args, 0)?).is_match(ctx).map(Datum::Bool)
}

fn regexp_count(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let start = start(args, 2)?;
    let expression = expression(args, Some(3), "regexp_count")?;
    let mut matches = Matches::new(&expression, text(args, 0)?, start);
    let mut count = 0;
    while matches.next(ctx)?.is_some() {
        count += 1;
    }
    Ok(Datum::Int4(count))
}

/// The bytes of a group of a match: which match, the flags and which group stand at these places of the arguments.
fn group_of(
    ctx: &EvalContext<'_>,
    args: &[Datum],
    function: &str,
    (which, flags, group): (usize, usize, usize),
) -> SqlResult<Option<(usize, usize)>> {
    let start = start(args, 2)?;
    let which = number(args, which, "n", 1)?;
    let group = if group < args.len() { number(args, group, "subexpr", 0)? } else { 0 };
    let expression = expression(args, Some(flags), function)?;
    let mut matches = Matches::new(&expression, text(args, 0)?, start);
    for _ in 1..which {
        if matches.next(ctx)?.is_none() {
            return Ok(None);
        }
    }
    let found = matches.next(ctx)?;
    // Without groups the whole match is the first.
    let group = |found: &Captures<'_>| if found.len() == 1 && group == 1 { 0 } else { group };
    let part = found.as_ref().and_then(|found| found.get(group(found)));
    Ok(part.map(|part| (part.start(), part.end())))
}

fn regexp_instr(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let at_end = match number(args, 4, "endoption", 0)? {
        _ if args.len() <= 4 => false,
        0 => false,
        1 => true,
        other => {
            let text = format!("invalid value for parameter \"endoption\": {other}");
            return Err(SqlError::new(SqlState::INVALID_PARAMETER_VALUE, text));
        }
    };
    let Some((from, to)) = group_of(ctx, args, "regexp_instr", (3, 5, 6))? else {
        return Ok(Datum::Int4(0));
    };
    let before = &text(args, 0)?[..if at_end { to } else { from }];
    Ok(Datum::Int4(before.chars().count() as i32 + 1))
}

fn regexp_substr(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let found = group_of(ctx, args, "regexp_substr", (3, 4, 5))?;
    let Some((from, to)) = found else { return Ok(Datum::Null) };
    ctx.reserve(to - from)?;
    Ok(Datum::text(&text(args, 0)?[from..to]))
}

fn regexp_replace(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let options = RegexOptions::of(if args.len() > 3 { text(args, 3)? } else { "" })?;
    let which = if options.global { 0 } else { 1 };
    replace(ctx, args, options, 0, which)
}

/// With where to begin, and which match (zero is all).
fn regexp_replace_from(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let options = RegexOptions::of(if args.len() > 5 { text(args, 5)? } else { "" })?;
    let start = start(args, 3)?;
    replace(ctx, args, options, start, number(args, 4, "n", 0)?)
}

fn replace(
    ctx: &EvalContext<'_>,
    args: &[Datum],
    options: RegexOptions,
    start: usize,
    which: usize,
) -> SqlResult<Datum> {
    let expression = regex(text(args, 1)?, options)?;
    // `\1` is a group and `\&` the whole match; a dollar is nothing special.
    let mut replacement = String::new();
    let mut chars = text(args, 2)?.chars();
    while let Some(c) = chars.next() {
        match c {
            '$' => replacement.push_str("$$"),
            '\\' => match chars.next() {
                Some(digit @ '1'..='9') => replacement.push_str(&format!("${{{digit}}}")),
                Some('&') => replacement.push_str("${0}"),
                Some('$') => replacement.push_str("\\$$"),
                Some('\\') | None => replacement.push('\\'),
                Some(other) => {
                    replacement.push('\\');
                    replacement.push(other);
                }
            },
            other => replacement.push(other),
        }
    }
    let source = text(args, 0)?;
    let mut matches = Matches::new(&expression, source, start);
    let mut out = String::new();
    let (mut kept, mut number) = (0, 0);
    while let Some(found) = matches.next(ctx)? {
        let Some(whole) = found.get(0) else { break };
        number += 1;
        if number < which {
            continue;
        }
        let before = out.len();
        out.push_str(&source[kept..whole.start()]);
        found.expand(&replacement, &mut out);
        kept = whole.end();
        ctx.reserve_piece(out.len() - before)?;
        if number == which {
            break;
        }
    }
    ctx.reserve_piece(source.len() - kept)?;
    out.push_str(&source[kept..]);
    Ok(Datum::text(out))
}

/// Functions of regular expressions, by oid.
#[rustfmt::skip]
pub(super) static FUNCTIONS: &[Function] = &[
    scalar(2284, "regexp_replace", &[TEXT, TEXT, TEXT], TEXT, regexp_replace),
    scalar(2285, "regexp_replace", &[TEXT, TEXT, TEXT, TEXT], TEXT, regexp_replace),
    set(2763, "regexp_matches", &[TEXT, TEXT], TEXT_ARRAY, regexp_matches, &["regexp_matches"]),
    set(2764, "regexp_matches", &[TEXT, TEXT, TEXT], TEXT_ARRAY, regexp_matches, &["regexp_matches"]),
    set(2765, "regexp_split_to_table", &[TEXT, TEXT], TEXT, regexp_split_to_table, &["regexp_split_to_table"]),
    set(2766, "regexp_split_to_table", &[TEXT, TEXT, TEXT], TEXT, regexp_split_to_table, &["regexp_split_to_table"]),
    scalar(2767, "regexp_split_to_array", &[TEXT, TEXT], TEXT_ARRAY, regexp_split_to_array),
    scalar(2768, "regexp_split_to_array", &[TEXT, TEXT, TEXT], TEXT_ARRAY, regexp_split_to_array),
    scalar(3396, "regexp_match", &[TEXT, TEXT], TEXT_ARRAY, regexp_match),
    scalar(3397, "regexp_match", &[TEXT, TEXT, TEXT], TEXT_ARRAY, regexp_match),
    scalar(6251, "regexp_replace", &[TEXT, TEXT, TEXT, INT4, INT4, TEXT], TEXT, regexp_replace_from),
    scalar(6252, "regexp_replace", &[TEXT, TEXT, TEXT, INT4, INT4], TEXT, regexp_replace_from),
    scalar(6253, "regexp_replace", &[TEXT, TEXT, TEXT, INT4], TEXT, regexp_replace_from),
    scalar(6254, "regexp_count", &[TEXT, TEXT], INT4, regexp_count),
    scalar(6255, "regexp_count", &[TEXT, TEXT, INT4], INT4, regexp_count),
    scalar(6256, "regexp_count", &[TEXT, TEXT, INT4, TEXT], INT4, regexp_count),
    scalar(6257, "regexp_instr", &[TEXT, TEXT], INT4, regexp_instr),
    scalar(6258, "regexp_instr", &[TEXT, TEXT, INT4], INT4, regexp_instr),
    scalar(6259, "regexp_instr", &[TEXT, TEXT, INT4, INT4], INT4, regexp_instr),
    scalar(6260, "regexp_instr", &[TEXT, TEXT, INT4, INT4, INT4], INT4, regexp_instr),
    scalar(6261, "regexp_instr", &[TEXT, TEXT, INT4, INT4, INT4, TEXT], INT4, regexp_instr),
    scalar(6262, "regexp_instr", &[TEXT, TEXT, INT4, INT4, INT4, TEXT, INT4], INT4, regexp_instr),
    scalar(6263, "regexp_like", &[TEXT, TEXT], BOOL, regexp_like),
    scalar(6264, "regexp_like", &[TEXT, TEXT, TEXT], BOOL, regexp_like),
    scalar(6265, "regexp_substr", &[TEXT, TEXT], TEXT, regexp_substr),
    scalar(6266, "regexp_substr", &[TEXT, TEXT, INT4], TEXT, regexp_substr),
    scalar(6267, "regexp_substr", &[TEXT, TEXT, INT4, INT4], TEXT, regexp_substr),
    scalar(6268, "regexp_substr", &[TEXT, TEXT, INT4, INT4, TEXT], TEXT, regexp_substr),
    scalar(6269, "regexp_substr", &[TEXT, TEXT, INT4, INT4, TEXT, INT4], TEXT, regexp_substr),
];
