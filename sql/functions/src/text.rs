//! Functions of text and bytes. Lengths and positions count characters.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use sql_catalog::function::VALUE_LEN_MAX;
use sql_values::error::{SqlError, SqlResult, SqlState};
use sql_values::types::Datum;

use super::arithmetic::out_of_range;
use super::identifier::quoted_identifier;
use super::pattern::{RegexOptions, like, like_escape, regex};
use super::search::Search;
use super::signature::*;
use super::{EvalContext, Function};

fn negative_substring() -> SqlError {
    SqlError::new(SqlState::SUBSTRING_ERROR, "negative substring length not allowed")
}

fn concat_two(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let (a, b) = (text(args, 0)?, text(args, 1)?);
    ctx.reserve(a.len() + b.len())?;
    let mut out = String::with_capacity(a.len() + b.len());
    out.push_str(a);
    out.push_str(b);
    Ok(Datum::text(out))
}

/// Any value as text; a value's own type is what it looks like.
fn shown(ctx: &EvalContext<'_>, value: &Datum) -> SqlResult<String> {
    ctx.output(value.natural_type(), value)
}

/// As the cast to text shows it: booleans in words.
fn as_text(ctx: &EvalContext<'_>, value: &Datum) -> SqlResult<String> {
    match value {
        Datum::Bool(value) => Ok(value.to_string()),
        _ => shown(ctx, value),
    }
}

fn concat_any(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    match args {
        [a, b] => {
            let (a, b) = (as_text(ctx, a)?, as_text(ctx, b)?);
            ctx.reserve(a.len() + b.len())?;
            Ok(Datum::text(a + &b))
        }
        _ => Ok(Datum::Null),
    }
}

fn bytea_concat(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let (a, b) = (bytes(args, 0)?.as_ref(), bytes(args, 1)?.as_ref());
    ctx.reserve(a.len() + b.len())?;
    Ok(Datum::Bytea([a, b].concat().into()))
}

fn concat(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    joined(ctx, args, "").map(Datum::text)
}

fn concat_ws(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    match args.split_first() {
        Some((Datum::Text(separator), rest)) => joined(ctx, rest, separator).map(Datum::text),
        _ => Ok(Datum::Null),
    }
}

fn joined(ctx: &EvalContext<'_>, values: &[Datum], separator: &str) -> SqlResult<String> {
    let mut out = String::new();
    for (at, value) in values.iter().filter(|value| !value.is_null()).enumerate() {
        let part = shown(ctx, value)?;
        ctx.reserve(part.len() + separator.len())?;
        if at > 0 {
            out.push_str(separator);
        }
        out.push_str(&part);
    }
    Ok(out)
}

fn length(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    Ok(Datum::Int4(text(args, 0)?.chars().count() as i32))
}

fn unpadded_length(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    Ok(Datum::Int4(text(args, 0)?.trim_end_matches(' ').chars().count() as i32))
}

fn octets(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    Ok(Datum::Int4(match args.first() {
        Some(Datum::Bytea(bytes)) => bytes.len(),
        _ => text(args, 0)?.len(),
    } as i32))
}

fn lower(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    // A letter may have a longer counterpart.
    ctx.reserve(text(args, 0)?.len().saturating_mul(2))?;
    Ok(Datum::text(text(args, 0)?.to_lowercase()))
}

fn upper(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    // A letter may have a longer counterpart.
    ctx.reserve(text(args, 0)?.len().saturating_mul(2))?;
    // Character by character, as PostgreSQL does: what has no single capital stays.
    let capital = |c: char| {
        let mut upper = c.to_uppercase();
        match (upper.next(), upper.next()) {
            (Some(single), None) => single,
            _ => c,
        }
    };
    Ok(Datum::text(text(args, 0)?.chars().map(capital).collect::<String>()))
}

fn initcap(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    // A letter may have a longer counterpart.
    ctx.reserve(text(args, 0)?.len().saturating_mul(2))?;
    let mut out = String::new();
    let mut in_word = false;
    for c in text(args, 0)?.chars() {
        if in_word {
            out.extend(c.to_lowercase());
        } else {
            out.extend(c.to_uppercase());
        }
        in_word = c.is_alphanumeric();
    }
    Ok(Datum::text(out))
}

/// The characters from `start` (from 1) of `len`, as SQL counts: what lies before the first is part of the length.
fn span(start: i64, len: Option<i64>) -> SqlResult<(usize, usize)> {
    let from = (start - 1).max(0) as usize;
    let Some(len) = len else { return Ok((from, usize::MAX)) };
    if len < 0 {
        return Err(negative_substring());
    }
    let end = (start - 1 + len).max(0) as usize;
    Ok((from, end.saturating_sub(from)))
}

fn substring(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    ctx.reserve(text(args, 0)?.len())?;
    let len = if args.len() > 2 { Some(int(args, 2)?) } else { None };
    let (from, count) = span(int(args, 1)?, len)?;
    let out: String = text(args, 0)?.chars().skip(from).take(count).collect();
    Ok(Datum::text(out))
}

fn bytea_substring(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let len = if args.len() > 2 { Some(int(args, 2)?) } else { None };
    let (from, count) = span(int(args, 1)?, len)?;
    let bytes = bytes(args, 0)?;
    let from = from.min(bytes.len());
    let end = from.saturating_add(count).min(bytes.len());
    Ok(Datum::Bytea(bytes.slice(from..end)))
}

fn substring_regex(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let source = text(args, 0)?;
    ctx.reserve(source.len())?;
    let expression = regex(text(args, 1)?, RegexOptions::default())?;
    let at = Search::new(&expression, source).next(ctx, 0)?;
    let found = at.and_then(|at| expression.regex.captures_at(source, at));
    let group = found.and_then(|c| c.get(usize::from(c.len() > 1)));
    Ok(group.map_or(Datum::Null, |m| Datum::text(m.as_str())))
}

/// How many characters or bytes of a value stay before what is laid over it, and how many go or stay in all. Without a
/// length it is that of what is laid over it.
fn overlaid(args: &[Datum], length: usize) -> SqlResult<(usize, usize)> {
    let from = int(args, 2)?;
    if from <= 0 {
        let text = "negative substring length not allowed";
        return Err(SqlError::new(SqlState::SUBSTRING_ERROR, text));
    }
    let length = if args.len() > 3 { int(args, 3)? } else { length as i64 };
    let end = i32::try_from(from + length).map_err(|_| out_of_range("integer"))?;
    let whole = |count: i64| usize::try_from(count - 1).unwrap_or(0);
    Ok((whole(from), whole(end.into())))
}

fn overlay(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let (under, over) = (text(args, 0)?, text(args, 1)?);
    let (before, after) = overlaid(args, over.chars().count())?;
    ctx.reserve(under.len().saturating_mul(2).saturating_add(over.len()))?;
    let start: String = under.chars().take(before).collect();
    let rest = under.chars().skip(after);
    Ok(Datum::text(start + over + &rest.collect::<String>()))
}

fn bytea_overlay(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let (under, over) = (bytes(args, 0)?, bytes(args, 1)?);
    let (before, after) = overlaid(args, over.len())?;
    ctx.reserve(under.len().saturating_mul(2).saturating_add(over.len()))?;
    let (before, after) = (before.min(under.len()), after.min(under.len()));
    Ok(Datum::Bytea([&under[..before], over, &under[after..]].concat().into()))
}

fn position(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let (source, wanted) = (text(args, 0)?, text(args, 1)?);
    let at = source.find(wanted);
    Ok(Datum::Int4(at.map_or(0, |at| source[..at].chars().count() as i32 + 1)))
}

fn replace(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let (source, from, to) = (text(args, 0)?, text(args, 1)?, text(args, 2)?);
    if from.is_empty() {
        return Ok(Datum::text(source));
    }
    let count = source.matches(from).count();
    let kept = source.len() - count * from.len();
    ctx.reserve(kept.saturating_add(count.saturating_mul(to.len())))?;
    Ok(Datum::text(source.replace(from, to)))
}

fn translate(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let source = text(args, 0)?;
    ctx.reserve(source.len().saturating_mul(char::MAX.len_utf8()))?;
    ctx.reserve_elements(text(args, 1)?.len())?;
    let mut to = text(args, 2)?.chars();
    // The first of a character that is listed twice counts.
    let mut changes = BTreeMap::new();
    for c in text(args, 1)?.chars() {
        let into = to.next();
        changes.entry(c).or_insert(into);
    }
    let change = |c: char| changes.get(&c).copied().unwrap_or(Some(c));
    Ok(Datum::text(source.chars().filter_map(change).collect::<String>()))
}

/// What is trimmed.
fn trim_set(args: &[Datum]) -> SqlResult<BTreeSet<char>> {
    Ok(if args.len() > 1 { text(args, 1)?.chars().collect() } else { BTreeSet::from([' ']) })
}

fn btrim(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    ctx.reserve(text(args, 0)?.len())?;
    let set = trim_set(args)?;
    Ok(Datum::text(text(args, 0)?.trim_matches(|c| set.contains(&c))))
}

fn ltrim(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    ctx.reserve(text(args, 0)?.len())?;
    let set = trim_set(args)?;
    Ok(Datum::text(text(args, 0)?.trim_start_matches(|c| set.contains(&c))))
}

fn rtrim(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    ctx.reserve(text(args, 0)?.len())?;
    let set = trim_set(args)?;
    Ok(Datum::text(text(args, 0)?.trim_end_matches(|c| set.contains(&c))))
}

fn left(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    ctx.reserve(text(args, 0)?.len())?;
    let text = text(args, 0)?;
    let count = int(args, 1)?;
    let keep = if count < 0 { text.chars().count() as i64 + count } else { count };
    Ok(Datum::text(text.chars().take(keep.max(0) as usize).collect::<String>()))
}

fn right(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    ctx.reserve(text(args, 0)?.len())?;
    let text = text(args, 0)?;
    let count = int(args, 1)?;
    let len = text.chars().count() as i64;
    let skip = match count {
        // PostgreSQL's smallest integer has no opposite there, and so takes nothing away.
        count if count == i64::from(i32::MIN) => 0,
        count if count < 0 => -count,
        count => (len - count).max(0),
    };
    Ok(Datum::text(text.chars().skip(skip as usize).collect::<String>()))
}

/// What is missing to a length, and the text cut to it.
fn padding(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<(String, String)> {
    let source = text(args, 0)?;
    let len = int(args, 1)?.max(0) as usize;
    let fill = if args.len() > 2 { text(args, 2)? } else { " " };
    // As PostgreSQL does, for the longest characters that there are. What is there is shorter.
    if len > VALUE_LEN_MAX / char::MAX.len_utf8() {
        return ctx.reserve(usize::MAX).map(|()| Default::default());
    }
    let widest = if fill.is_ascii() && source.is_ascii() { 1 } else { char::MAX.len_utf8() };
    // The padding, the text, and both together.
    ctx.reserve(len * widest * 2)?;
    let kept: String = source.chars().take(len).collect();
    let missing = if fill.is_empty() { 0 } else { len.saturating_sub(source.chars().count()) };
    Ok((fill.chars().cycle().take(missing).collect(), kept))
}

fn lpad(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let (pad, kept) = padding(ctx, args)?;
    Ok(Datum::text(pad + &kept))
}

fn rpad(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let (pad, kept) = padding(ctx, args)?;
    Ok(Datum::text(kept + &pad))
}

fn repeat(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let text = text(args, 0)?;
    let count = int(args, 1)?.max(0) as usize;
    ctx.reserve(text.len().saturating_mul(count))?;
    Ok(Datum::text(text.repeat(count)))
}

fn reverse(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    ctx.reserve(text(args, 0)?.len())?;
    Ok(Datum::text(text(args, 0)?.chars().rev().collect::<String>()))
}

fn split_part(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    ctx.reserve(text(args, 0)?.len())?;
    let (source, separator, field) = (text(args, 0)?, text(args, 1)?, int(args, 2)?);
    if field == 0 {
        return Err(SqlError::new(
            SqlState::INVALID_PARAMETER_VALUE,
            "field position must not be zero",
        ));
    }
    let nth = field.unsigned_abs() as usize - 1;
    let part = if separator.is_empty() {
        (nth == 0).then_some(source).filter(|source| !source.is_empty())
    } else if field > 0 {
        source.split(separator).nth(nth)
    } else {
        source.rsplit(separator).nth(nth)
    };
    Ok(Datum::text(part.unwrap_or("")))
}

fn ascii(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    Ok(Datum::Int4(text(args, 0)?.chars().next().map_or(0, |c| c as i32)))
}

fn chr(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let code = int(args, 0)?;
    let refuse = |what: &str| Err(SqlError::new(SqlState::PROGRAM_LIMIT_EXCEEDED, what));
    if code == 0 {
        return refuse("null character not permitted");
    }
    if code < 0 {
        return Err(SqlError::new(
            SqlState::INVALID_PARAMETER_VALUE,
            "character number must be positive",
        ));
    }
    match u32::try_from(code).ok().and_then(char::from_u32) {
        Some(c) => Ok(Datum::text(c.to_string())),
        None if code > 0x0010_ffff => {
            refuse(&format!("requested character too large for encoding: {code}"))
        }
        None => refuse(&format!("requested character not valid for encoding: {code}")),
    }
}

fn to_hex(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    Ok(Datum::text(match args.first() {
        Some(Datum::Int4(value)) => format!("{value:x}"),
        _ => format!("{:x}", int(args, 0)?),
    }))
}

fn md5(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let digest = match args.first() {
        Some(Datum::Bytea(bytes)) => super::digest::md5(bytes),
        _ => super::digest::md5(text(args, 0)?.as_bytes()),
    };
    let mut out = String::with_capacity(32);
    for byte in digest {
        // Writing to a string cannot fail.
        let _ = write!(out, "{byte:02x}");
    }
    Ok(Datum::text(out))
}

fn quote_ident(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    ctx.reserve(text(args, 0)?.len().saturating_mul(2))?;
    Ok(Datum::text(quoted_identifier(text(args, 0)?)))
}

fn quoted(text: &str) -> String {
    let escape = if text.contains('\\') { "E" } else { "" };
    format!("{escape}'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

fn quote_literal(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    ctx.reserve(text(args, 0)?.len().saturating_mul(2))?;
    Ok(Datum::text(quoted(text(args, 0)?)))
}

fn quote_any(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let value = args.first().unwrap_or(&Datum::Null);
    let shown = shown(ctx, value)?;
    ctx.reserve(shown.len().saturating_mul(2))?;
    Ok(Datum::text(quoted(&shown)))
}

fn quote_nullable(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    match args.first() {
        Some(Datum::Null) | None => Ok(Datum::text("NULL")),
        _ => quote_any(ctx, args),
    }
}

fn starts_with(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    Ok(Datum::Bool(text(args, 0)?.starts_with(text(args, 1)?)))
}

fn text_like(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    like(ctx, text(args, 0)?, text(args, 1)?).map(Datum::Bool)
}

fn text_not_like(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    like(ctx, text(args, 0)?, text(args, 1)?).map(|matched| Datum::Bool(!matched))
}

fn like_any_case(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<bool> {
    ctx.reserve(2 * text(args, 0)?.len())?;
    like(ctx, &text(args, 0)?.to_lowercase(), &text(args, 1)?.to_lowercase())
}

fn text_ilike(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    like_any_case(ctx, args).map(Datum::Bool)
}

fn text_not_ilike(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    like_any_case(ctx, args).map(|matched| Datum::Bool(!matched))
}

fn escape(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    ctx.reserve(text(args, 0)?.len().saturating_mul(2))?;
    like_escape(text(args, 0)?, text(args, 1)?).map(Datum::text)
}

fn matches(ctx: &EvalContext<'_>, args: &[Datum], ignore_case: bool) -> SqlResult<bool> {
    let expression = regex(text(args, 1)?, RegexOptions::with_case(ignore_case))?;
    Search::new(&expression, text(args, 0)?).is_match(ctx)
}

fn regex_match<const IGNORE_CASE: bool>(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    matches(ctx, args, IGNORE_CASE).map(Datum::Bool)
}

fn regex_differ<const IGNORE_CASE: bool>(
    ctx: &EvalContext<'_>,
    args: &[Datum],
) -> SqlResult<Datum> {
    matches(ctx, args, IGNORE_CASE).map(|matched| Datum::Bool(!matched))
}

fn encode(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let name = text(args, 1)?;
    // A byte as an escape is four.
    let width = if name.eq_ignore_ascii_case("escape") { 4 } else { 2 };
    ctx.reserve(bytes(args, 0)?.len().saturating_mul(width))?;
    match name.to_ascii_lowercase().as_str() {
        "hex" => {
            let mut out = String::new();
            for byte in bytes(args, 0)? {
                let _ = write!(out, "{byte:02x}");
            }
            Ok(Datum::text(out))
        }
        "escape" => {
            let mut out = String::new();
            for byte in bytes(args, 0)? {
                match byte {
                    b'\\' => out.push_str("\\\\"),
                    0 | 128.. => {
                        let _ = write!(out, "\\{byte:03o}");
                    }
                    _ => out.push(char::from(*byte)),
                }
            }
            Ok(Datum::text(out))
        }
        _ => Err(unknown_encoding(name)),
    }
}

fn unknown_encoding(name: &str) -> SqlError {
    SqlError::new(SqlState::INVALID_PARAMETER_VALUE, format!("unrecognized encoding: \"{name}\""))
}

fn decode(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let (source, name) = (text(args, 0)?, text(args, 1)?);
    ctx.reserve(source.len())?;
    let literal = match name.to_ascii_lowercase().as_str() {
        "hex" => format!("\\x{source}"),
        "escape" => source.to_owned(),
        _ => return Err(unknown_encoding(name)),
    };
    let format = sql_values::types::TextFormat::UTC;
    Datum::parse_text(sql_values::types::SqlType::Bytea, &literal, &format)
}

fn convert_from(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    ctx.reserve(bytes(args, 0)?.len())?;
    if !text(args, 1)?.to_ascii_uppercase().replace('-', "").eq("UTF8") {
        return Err(SqlError::unsupported("an encoding other than UTF8"));
    }
    Datum::from_binary(sql_values::types::SqlType::Text, bytes(args, 0)?)
}

fn convert_to(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    ctx.reserve(text(args, 0)?.len())?;
    if !text(args, 1)?.to_ascii_uppercase().replace('-', "").eq("UTF8") {
        return Err(SqlError::unsupported("an encoding other than UTF8"));
    }
    Ok(Datum::Bytea(text(args, 0)?.as_bytes().to_vec().into()))
}

/// Functions of text, by oid.
#[rustfmt::skip]
pub(super) static FUNCTIONS: &[Function] = &[
    scalar(79, "nameregexeq", &[NAME, TEXT], BOOL, regex_match::<false>),
    scalar(720, "octet_length", &[BYTEA], INT4, octets),
    scalar(749, "overlay", &[BYTEA, BYTEA, INT4, INT4], BYTEA, bytea_overlay),
    scalar(752, "overlay", &[BYTEA, BYTEA, INT4], BYTEA, bytea_overlay),
    scalar(1404, "overlay", &[TEXT, TEXT, INT4, INT4], TEXT, overlay),
    scalar(1405, "overlay", &[TEXT, TEXT, INT4], TEXT, overlay),
    scalar(849, "position", &[TEXT, TEXT], INT4, position),
    scalar(850, "textlike", &[TEXT, TEXT], BOOL, text_like),
    scalar(851, "textnlike", &[TEXT, TEXT], BOOL, text_not_like),
    scalar(858, "namelike", &[NAME, TEXT], BOOL, text_like),
    scalar(859, "namenlike", &[NAME, TEXT], BOOL, text_not_like),
    scalar(868, "strpos", &[TEXT, TEXT], INT4, position),
    scalar(870, "lower", &[TEXT], TEXT, lower),
    scalar(871, "upper", &[TEXT], TEXT, upper),
    scalar(872, "initcap", &[TEXT], TEXT, initcap),
    scalar(873, "lpad", &[TEXT, INT4, TEXT], TEXT, lpad),
    scalar(874, "rpad", &[TEXT, INT4, TEXT], TEXT, rpad),
    scalar(875, "ltrim", &[TEXT, TEXT], TEXT, ltrim),
    scalar(876, "rtrim", &[TEXT, TEXT], TEXT, rtrim),
    scalar(877, "substr", &[TEXT, INT4, INT4], TEXT, substring),
    scalar(878, "translate", &[TEXT, TEXT, TEXT], TEXT, translate),
    scalar(879, "lpad", &[TEXT, INT4], TEXT, lpad),
    scalar(880, "rpad", &[TEXT, INT4], TEXT, rpad),
    scalar(881, "ltrim", &[TEXT], TEXT, ltrim),
    scalar(882, "rtrim", &[TEXT], TEXT, rtrim),
    scalar(883, "substr", &[TEXT, INT4], TEXT, substring),
    scalar(884, "btrim", &[TEXT, TEXT], TEXT, btrim),
    scalar(885, "btrim", &[TEXT], TEXT, btrim),
    scalar(936, "substring", &[TEXT, INT4, INT4], TEXT, substring),
    scalar(937, "substring", &[TEXT, INT4], TEXT, substring),
    scalar(1238, "texticregexeq", &[TEXT, TEXT], BOOL, regex_match::<true>),
    scalar(1239, "texticregexne", &[TEXT, TEXT], BOOL, regex_differ::<true>),
    scalar(1240, "nameicregexeq", &[NAME, TEXT], BOOL, regex_match::<true>),
    scalar(1241, "nameicregexne", &[NAME, TEXT], BOOL, regex_differ::<true>),
    scalar(1252, "nameregexne", &[NAME, TEXT], BOOL, regex_differ::<false>),
    scalar(1254, "textregexeq", &[TEXT, TEXT], BOOL, regex_match::<false>),
    scalar(1256, "textregexne", &[TEXT, TEXT], BOOL, regex_differ::<false>),
    scalar(1258, "textcat", &[TEXT, TEXT], TEXT, concat_two),
    scalar(1282, "quote_ident", &[TEXT], TEXT, quote_ident),
    scalar(1283, "quote_literal", &[TEXT], TEXT, quote_literal),
    scalar(1285, "quote_literal", &[ANY_ELEMENT], TEXT, quote_any).stable(),
    scalar(1289, "quote_nullable", &[TEXT], TEXT, quote_nullable).lenient(),
    scalar(1290, "quote_nullable", &[ANY_ELEMENT], TEXT, quote_nullable).stable().lenient(),
    scalar(1317, "length", &[TEXT], INT4, length),
    scalar(1318, "length", &[BPCHAR], INT4, unpadded_length),
    scalar(1367, "character_length", &[BPCHAR], INT4, unpadded_length),
    scalar(1369, "character_length", &[TEXT], INT4, length),
    scalar(1372, "char_length", &[BPCHAR], INT4, unpadded_length),
    scalar(1374, "octet_length", &[TEXT], INT4, octets),
    scalar(1375, "octet_length", &[BPCHAR], INT4, octets),
    scalar(1381, "char_length", &[TEXT], INT4, length),
    scalar(1569, "like", &[TEXT, TEXT], BOOL, text_like),
    scalar(1570, "notlike", &[TEXT, TEXT], BOOL, text_not_like),
    scalar(1620, "ascii", &[TEXT], INT4, ascii),
    scalar(1621, "chr", &[INT4], TEXT, chr),
    scalar(1622, "repeat", &[TEXT, INT4], TEXT, repeat),
    scalar(1631, "bpcharlike", &[BPCHAR, TEXT], BOOL, text_like),
    scalar(1632, "bpcharnlike", &[BPCHAR, TEXT], BOOL, text_not_like),
    scalar(1633, "texticlike", &[TEXT, TEXT], BOOL, text_ilike),
    scalar(1634, "texticnlike", &[TEXT, TEXT], BOOL, text_not_ilike),
    scalar(1635, "nameiclike", &[NAME, TEXT], BOOL, text_ilike),
    scalar(1636, "nameicnlike", &[NAME, TEXT], BOOL, text_not_ilike),
    scalar(1637, "like_escape", &[TEXT, TEXT], TEXT, escape),
    scalar(1656, "bpcharicregexeq", &[BPCHAR, TEXT], BOOL, regex_match::<true>),
    scalar(1657, "bpcharicregexne", &[BPCHAR, TEXT], BOOL, regex_differ::<true>),
    scalar(1658, "bpcharregexeq", &[BPCHAR, TEXT], BOOL, regex_match::<false>),
    scalar(1659, "bpcharregexne", &[BPCHAR, TEXT], BOOL, regex_differ::<false>),
    scalar(1660, "bpchariclike", &[BPCHAR, TEXT], BOOL, text_ilike),
    scalar(1661, "bpcharicnlike", &[BPCHAR, TEXT], BOOL, text_not_ilike),
    scalar(1714, "convert_from", &[BYTEA, NAME], TEXT, convert_from).stable(),
    scalar(1717, "convert_to", &[TEXT, NAME], BYTEA, convert_to).stable(),
    scalar(1946, "encode", &[BYTEA, TEXT], TEXT, encode),
    scalar(1947, "decode", &[TEXT, TEXT], BYTEA, decode),
    scalar(2003, "textanycat", &[TEXT, ANY_NON_ARRAY], TEXT, concat_any).stable(),
    scalar(2004, "anytextcat", &[ANY_NON_ARRAY, TEXT], TEXT, concat_any).stable(),
    scalar(2010, "length", &[BYTEA], INT4, octets),
    scalar(2011, "byteacat", &[BYTEA, BYTEA], BYTEA, bytea_concat),
    scalar(2012, "substring", &[BYTEA, INT4, INT4], BYTEA, bytea_substring),
    scalar(2013, "substring", &[BYTEA, INT4], BYTEA, bytea_substring),
    scalar(2073, "substring", &[TEXT, TEXT], TEXT, substring_regex),
    scalar(2085, "substr", &[BYTEA, INT4, INT4], BYTEA, bytea_substring),
    scalar(2086, "substr", &[BYTEA, INT4], BYTEA, bytea_substring),
    scalar(2087, "replace", &[TEXT, TEXT, TEXT], TEXT, replace),
    scalar(2088, "split_part", &[TEXT, TEXT, INT4], TEXT, split_part),
    scalar(2089, "to_hex", &[INT4], TEXT, to_hex),
    scalar(2090, "to_hex", &[INT8], TEXT, to_hex),
    scalar(2311, "md5", &[TEXT], TEXT, md5),
    scalar(2321, "md5", &[BYTEA], TEXT, md5),
    scalar(3058, "concat", &[ANY], TEXT, concat).stable().lenient().variadic(),
    scalar(3059, "concat_ws", &[TEXT, ANY], TEXT, concat_ws).stable().lenient().variadic(),
    scalar(3060, "left", &[TEXT, INT4], TEXT, left),
    scalar(3061, "right", &[TEXT, INT4], TEXT, right),
    scalar(3062, "reverse", &[TEXT], TEXT, reverse),
    scalar(3696, "starts_with", &[TEXT, TEXT], BOOL, starts_with),
];
