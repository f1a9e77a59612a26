//! Statements that are deep, wide or long, in every place of the grammar.
//!
//! An expression is built from the inside: wrapped (deep), repeated after an operator (a chain), repeated behind commas
//! (wide), or one long token; and that again a few times, so that a chain stands within parentheses within a list.
//! Then it is put into a clause. Other statements have no expression and are wide or long by themselves. Sizes are
//! drawn by their order of magnitude: there are as many statements of 100 bytes as of 100 kB.

use crate::rng::SeedRng;
use kv::env::Rng as _;

/// What a session says first.
pub const SETUP: [&str; 4] = [
    "CREATE TABLE IF NOT EXISTS t (a int PRIMARY KEY, b text, c bigint, d timestamptz, e int[])",
    "CREATE TABLE IF NOT EXISTS one (x int PRIMARY KEY)",
    "INSERT INTO t VALUES (1, 'x', 1, now(), array[1]), (2, 'y', null, null, null) ON CONFLICT DO NOTHING",
    "INSERT INTO one VALUES (1) ON CONFLICT DO NOTHING",
];

/// A statement to be sent.
#[derive(Clone, Debug)]
pub struct Statement {
    /// What it is, in a few words.
    pub name: String,
    /// Its text.
    pub text: String,
    /// By the extended protocol.
    pub extended: bool,
    /// Changes rows: to be run in a transaction that is rolled back.
    pub writes: bool,
    /// Makes the table `made`.
    pub creates: bool,
}

/// What is put before and behind an expression to make it deeper.
const WRAPPERS: [(&str, &str); 58] = [
    ("(", ")"),
    ("(", " + 1)"),
    ("(1 + ", ")"),
    ("- ", ""),
    ("+ ", ""),
    ("~ ", ""),
    ("@ ", ""),
    ("not ", ""),
    ("not (", ")"),
    ("abs(", ")"),
    ("lower(", ")"),
    ("length(", ")"),
    ("no_such(", ")"),
    ("concat(", ", 1)"),
    ("coalesce(", ", 1)"),
    ("coalesce(null, ", ")"),
    ("nullif(", ", 1)"),
    ("nullif(1, ", ")"),
    ("greatest(", ", 1)"),
    ("least(1, ", ", 2)"),
    ("case when true then ", " end"),
    ("case when ", " is null then 1 else 2 end"),
    ("case ", " when 1 then 1 end"),
    ("case when false then 1 else ", " end"),
    ("cast(", " as int)"),
    ("cast(", " as numeric(10, 2))"),
    ("(", ")::bigint"),
    ("(", ")::text"),
    ("array[", "]"),
    ("(array[", "])[1]"),
    ("row(", ")"),
    ("row(1, ", ")"),
    ("(1, ", ")"),
    ("(select ", ")"),
    ("(select ", " from one)"),
    ("(select max(y) from (select ", " as y) z)"),
    ("(select ", " union all select 1 limit 1)"),
    ("(values (", "))"),
    ("(with w as (select ", " as y) select y from w)"),
    ("array(select ", ")"),
    ("exists (select ", ")"),
    ("exists (select 1 from one where ", " is null)"),
    ("1 in (select ", ")"),
    ("1 not in (select x from one where x in (select ", "))"),
    ("1 in (", ", 2)"),
    ("(", ") in (1, 2)"),
    ("1 = any (array[", "])"),
    ("1 < all (select ", ")"),
    ("(", " is null)"),
    ("(", " between 1 and 2)"),
    ("(1 between symmetric ", " and 2)"),
    ("(", " is distinct from 1)"),
    ("(", " like 'a%')"),
    ("substring(", " from 1 for 2)"),
    ("trim(both 'x' from ", ")"),
    ("extract(year from ", ")"),
    ("(", " at time zone 'UTC')"),
    ("count(*) filter (where ", " is null)"),
];

/// What is put behind an expression, again and again.
const LINKS: [&str; 48] = [
    " + 1",
    " - 1",
    " * 1",
    " / 1",
    " % 7",
    " ^ 1",
    " & 1",
    " | 1",
    " # 1",
    " << 1",
    " || 'x'",
    " || a",
    " and true",
    " or false",
    " and a = 1",
    " or a = 1",
    " or (a = 1 and c = 2)",
    " or a = 1 and c = 2",
    " and not a = 1",
    " = 1",
    " <> 1",
    " < 1",
    " ~ 'x'",
    " -> 'x'",
    "::int",
    "::text",
    "::int::text",
    "::int[]",
    "[1]",
    "[1:2]",
    ".x",
    " is null",
    " is not null",
    " is true",
    " is not false",
    " is unknown",
    " isnull",
    " notnull",
    " is distinct from 1",
    " in (1, 2)",
    " like 'x'",
    " not ilike 'x'",
    " similar to 'x'",
    " between 0 and 1",
    " collate \"C\"",
    " at time zone 'UTC'",
    " operator(pg_catalog.+) 1",
    " + (select 1)",
];

/// What is put around expressions that are separated by commas.
const LISTS: [(&str, &str); 14] = [
    ("(", ")"),
    ("row(", ")"),
    ("array[", "]"),
    ("coalesce(", ")"),
    ("greatest(", ")"),
    ("concat(", ")"),
    ("no_such(", ")"),
    ("a in (", ")"),
    ("(1, 2) in (", ")"),
    ("1 = any (array[", "])"),
    ("format('%s', ", ")"),
    ("concat_ws(',', ", ")"),
    ("(values (", "))"),
    ("num_nulls(", ")"),
];

/// What an expression is made of at last.
const LEAVES: [&str; 14] =
    ["1", "a", "b", "c", "d", "e", "null", "'x'", "1.5", "true", "'1'", "t.a", "$1", "x"];

/// Clauses that hold an expression. The second says whether it writes, the third whether it makes a table.
const CLAUSES: [(&str, &str, bool, bool); 52] = [
    ("select ", "", false, false),
    ("select ", " from t", false, false),
    ("select ", " as y from t order by y", false, false),
    ("select distinct ", " from t", false, false),
    ("select distinct on (", ") a from t", false, false),
    ("select all ", " from t, one", false, false),
    ("select a from t where ", "", false, false),
    ("select a from t where ", " is null", false, false),
    ("select a from t where a = ", "", false, false),
    ("select a from t where ", " = a", false, false),
    ("select a from t where a in (", ")", false, false),
    ("select count(*) from t group by ", "", false, false),
    ("select count(*) from t group by a having ", " is null", false, false),
    ("select sum(a) from t having ", "", false, false),
    ("select a from t order by ", " desc nulls last", false, false),
    ("select a from t limit ", "", false, false),
    ("select a from t offset ", " rows", false, false),
    ("select t.a from t join one on ", " is null", false, false),
    ("select t.a from t left join one on t.a = ", "", false, false),
    ("select * from (select ", " as y from t) z where y is null", false, false),
    ("select * from one, lateral (select ", " as y) z", false, false),
    ("select * from generate_series(1, ", ") g", false, false),
    ("select * from unnest(", ") with ordinality", false, false),
    ("select * from no_such(", ") g", false, false),
    ("select max(", ") from t", false, false),
    ("select array_agg(a order by ", ") from t", false, false),
    ("select string_agg(b, ',') filter (where ", ") from t", false, false),
    ("select sum(a) over (partition by ", ") from t", false, false),
    ("select case ", " when 1 then 2 end from t", false, false),
    ("with w as (select ", " as y from t) select * from w, w v where w.y = v.y", false, false),
    ("with w as materialized (select ", ") select 1", false, false),
    ("with recursive w as (select ", ") select * from w", false, false),
    ("values (", ")", false, false),
    ("values (1), (", ")", false, false),
    ("select 1 union select ", "", false, false),
    ("select ", " from t except select 1", false, false),
    ("explain select ", " from t", false, false),
    ("explain verbose select a from t where ", " is null", false, false),
    ("explain analyze select ", "", false, false),
    ("copy (select ", ") to stdout", false, false),
    ("prepare p as select ", "", false, false),
    ("declare cur cursor for select ", " from t", true, false),
    ("insert into t values (", ")", true, false),
    ("insert into t (a, c) select ", ", 1 from t", true, false),
    ("insert into t values (7) returning ", "", true, false),
    ("insert into t values (1) on conflict (a) do update set c = ", "", true, false),
    ("update t set c = ", "", true, false),
    ("update t set (b, c) = (", ", 1) where a = 1", true, false),
    ("update t set c = 1 from one where ", " is null returning a", true, false),
    ("delete from t where ", " is null", true, false),
    ("create table made (a int default ", ", b int)", false, true),
    ("create table made (a int check (", " is null))", false, true),
];

/// Whole statements around something that is repeated: before, what is repeated (`#` is its number), between, behind.
const REPEATED: [(&str, &str, &str, &str); 66] = [
    ("select ", "1", ", ", ""),
    ("select ", "a as c#", ", ", " from t"),
    ("select ", "*", ", ", " from t"),
    ("select ", "t.*", ", ", " from t, one"),
    ("select ", "count(*)", ", ", " from t"),
    ("select ", "sum(a + #)", " + ", " from t"),
    ("select ", "generate_series(1, 1)", ", ", ""),
    ("select 1 from ", "one o#", ", ", ""),
    ("select 1 from ", "one", ", ", ""),
    ("select count(*) from one o", "one o# using (x)", " join ", ""),
    ("select count(*) from one o ", "left join one o# on o#.x = o.x", " ", ""),
    ("select count(*) from one o ", "natural full join one o#", " ", ""),
    ("select count(*) from one o ", "cross join lateral (select o.x as y#) l#", " ", ""),
    ("select 1 from ", "(select 1 as y) s#", ", ", ""),
    ("select 1 from ", "generate_series(1, 1) g#", ", ", ""),
    ("select 1 from ", "pg_class p#", ", ", " where false"),
    ("select a from t where a in (", "#", ", ", ")"),
    ("select a from t where a in (", "'#'", ", ", ")"),
    ("select a from t where a not in (", "c + #", ", ", ")"),
    ("select a from t where (a, c) in (", "(#, 1)", ", ", ")"),
    ("select a from t where ", "a = #", " or ", ""),
    ("select a from t where ", "a <> #", " and ", ""),
    ("select a from t where ", "(a = # and c = 0)", " or ", ""),
    ("select a from t where ", "b like 'x#%'", " or ", ""),
    ("select a from t where ", "exists (select 1 from one where x = t.a + #)", " or ", ""),
    ("select a from t where ", "a in (select x + # from one)", " and ", ""),
    ("select a from t where ", "a = any (array[#])", " and ", ""),
    ("select case ", "when a = # then #", " ", " end from t"),
    ("select case a ", "when # then #", " ", " end from t"),
    ("select a from t order by ", "a + #", ", ", ""),
    ("select a from t order by ", "a", ", ", ""),
    ("select count(*) from t group by ", "a + #", ", ", ""),
    ("select count(*) from t group by grouping sets (", "(a)", ", ", ")"),
    ("select count(*) from t having ", "count(*) > #", " and ", ""),
    ("", "select #", " union all ", ""),
    ("", "select #", " union ", ""),
    ("", "select # as y", " except ", " order by y"),
    ("", "select a from t", " intersect all ", ""),
    ("", "(select #)", " union all ", " limit 1"),
    ("", "values (#)", " union ", ""),
    ("values ", "(#)", ", ", ""),
    ("values (", "#", ", ", ")"),
    ("values ", "(#, 'x', null, 1.5)", ", ", ""),
    ("with ", "w# as (select #)", ", ", " select * from w1"),
    ("with w0 as (select 1 as y)", ", w# as (select y + 1 as y from w0)", "", " select * from w1"),
    ("select ", "#", ";select ", ""),
    ("", "", ";", ""),
    ("", "begin", ";", ""),
    ("insert into t (a) values ", "(# + 10)", ", ", ""),
    ("insert into t (", "a", ", ", ") values (1)"),
    ("insert into t (a) values (1) on conflict (", "a", ", ", ") do nothing"),
    ("update t set ", "c = #", ", ", ""),
    ("update t set (", "c", ", ", ") = (1)"),
    ("delete from t using ", "one o#", ", ", " where false"),
    ("create table made (", "c# int", ", ", ")"),
    ("create table made (", "c# int unique", ", ", ")"),
    ("create table made (a int, ", "check (a > #)", ", ", ")"),
    ("create table made (a int, primary key (", "a", ", ", "))"),
    ("create table made (a int ", "not null", " ", ")"),
    ("create index on t (", "c", ", ", ")"),
    ("alter table t ", "add column n# int", ", ", ""),
    ("drop table if exists ", "n#", ", ", ""),
    ("truncate ", "one", ", ", ""),
    ("prepare p (", "int", ", ", ") as select 1"),
    ("set search_path to ", "s#", ", ", ""),
    ("grant select on ", "t", ", ", " to root"),
];

/// Long tokens: before, what is repeated, behind.
const TOKENS: [(&str, &str, &str); 62] = [
    ("", "9", ""),
    ("0.", "9", ""),
    ("1", "0", "::numeric / 3"),
    ("sqrt(", "7", ")"),
    ("1e", "9", ""),
    ("", "1_", "1"),
    ("'", "1", "'::numeric"),
    ("'", "1", "'::int"),
    ("'", "1", "'::float8"),
    ("'", "x", "'"),
    ("'", "''", "'"),
    ("e'", "\\n", "'"),
    ("e'", "\\x41", "'"),
    ("U&'", "\\0041", "'"),
    ("$$", "x", "$$"),
    ("$tag", "g", "$x$tag$"),
    ("b'", "01", "'"),
    ("x'", "ff", "'"),
    ("\"", "i", "\""),
    ("\"", "\"\"", "\""),
    ("", "i", ""),
    ("", "i.", "i"),
    ("$", "1", ""),
    ("/*", "/*", "*/ 1"),
    ("", "/* x */", "1"),
    ("", "/*", "1"),
    ("1 -- ", "x", "\n"),
    ("", "\n", "1"),
    ("", " \t", "1"),
    ("'x' like '", "%", "'"),
    ("'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx' like '", "%x", "%y'"),
    ("repeat('x', 1000) like '", "_%", "y'"),
    ("'x' like '", "\\_", "'"),
    ("repeat('x', 100) ~ '", "(x*)*", "y'"),
    ("'x' ~ '", "(", "'"),
    ("'x' ~ '", "x{100}", "'"),
    ("'x' ~ '((((", "x{9}){9}){9}){9}", "'"),
    ("'x' ~ '", "[a-z]", "'"),
    ("'x' ~ '", "x|", "'"),
    ("'x' ~ '", "\\w", "'"),
    ("'x' similar to '", "(x|y)", "'"),
    ("regexp_replace('", "x", "', 'x', '\\\\&\\\\&', 'g')"),
    ("'{", "1,", "1}'::int[]"),
    ("'", "{", "}'::int[]"),
    ("'{", "\"x\",", "null}'::text[]"),
    ("'", "1 ", "day'::interval"),
    ("'", "1 day ", "'::interval"),
    ("'", "9", "-01-01'::date"),
    ("'2000-01-01 ", "0", "'::timestamptz"),
    ("'", " ", "2000-01-01'::timestamp"),
    ("'\\x", "ff", "'::bytea"),
    ("'", "-", "'::uuid"),
    ("to_char(now(), '", "YYYY", "')"),
    ("to_char(1.5, '", "9", "')"),
    ("format('", "%s", "', 1)"),
    ("to_date('1', '", "Y", "')"),
    ("string_to_array('", "x,", "', ',')"),
    ("md5('", "x", "')"),
    ("translate('", "xy", "', 'x', 'y')"),
    ("replace('", "x", "', 'x', 'yy')"),
    ("'", "public.", "t'::regclass"),
    ("now() at time zone '", "x", "'"),
];

/// Statement `number` of a seed, of at most so many bytes (and a little more).
pub fn statement(seed: u64, number: u64, max: usize) -> Statement {
    let dice = SeedRng::stream(seed, "shapes", number);
    let max = magnitude(&dice, max);
    let extended = dice.percent(25);
    if dice.percent(35) {
        return repeated(&dice, max, extended);
    }
    let mut name = String::new();
    let expr = expression(&dice, max, &mut name);
    let (before, behind, writes, creates) = *dice.pick(&CLAUSES);
    let text = format!("{before}{expr}{behind}");
    let name = format!("{before}{name}{behind}");
    let extended = extended && !before.starts_with("copy");
    Statement { name, text, extended, writes, creates }
}

/// Up to `max`, each order of magnitude as likely as the others.
fn magnitude(dice: &SeedRng, max: usize) -> usize {
    let bits = u64::from(max.max(2).ilog2());
    let bits = dice.between(3.min(bits), bits);
    (dice.between(1 << bits, 2 << bits) as usize).min(max)
}

fn repeated(dice: &SeedRng, max: usize, extended: bool) -> Statement {
    let (before, part, between, behind) = *dice.pick(&REPEATED);
    let each = part.len() + between.len();
    let mut text = before.to_owned();
    let mut count = 0usize;
    while text.len() + each < max || count == 0 {
        count += 1;
        if count > 1 {
            text.push_str(between);
        }
        text.push_str(&part.replace('#', &count.to_string()));
    }
    text.push_str(behind);
    let first = before.split(' ').next().unwrap_or_default();
    let writes = ["insert", "update", "delete", "truncate", "alter"].contains(&first);
    Statement {
        name: format!("{before}({part}{between}) x {count}{behind}"),
        text,
        extended: extended && !between.contains(';'),
        writes,
        creates: before.starts_with("create table"),
    }
}

/// An expression of about `max` bytes at most.
fn expression(dice: &SeedRng, max: usize, name: &mut String) -> String {
    let mut expr = (*dice.pick(&LEAVES)).to_owned();
    name.push_str(&expr);
    // What the last layer leaves is for the ones before it.
    let layers = dice.between(1, 4);
    for layer in 0..layers {
        let share = max / (layers - layer) as usize;
        if expr.len() >= share {
            continue;
        }
        let size = if layer + 1 == layers { share } else { magnitude(dice, share.max(16)) };
        expr = match dice.below(10) {
            0..=2 => wrapped(dice, expr, size, name),
            3 => mixed(dice, expr, size, name),
            4..=6 => chained(dice, expr, size, name),
            7..=8 => listed(dice, expr, size, name),
            _ => {
                let (before, part, behind) = *dice.pick(&TOKENS);
                let count = size / part.len() + 1;
                name.push_str(&format!(" + {before}({part}) x {count}{behind}"));
                format!("{before}{}{behind}", part.repeat(count))
            }
        };
    }
    expr
}

fn wrapped(dice: &SeedRng, expr: String, size: usize, name: &mut String) -> String {
    let (before, behind) = *dice.pick(&WRAPPERS);
    let count = size.saturating_sub(expr.len()) / (before.len() + behind.len()) + 1;
    // Some go to where the bound is: beyond it all statements end alike.
    let count = if dice.percent(60) { count.min(dice.between(1, 1_200) as usize) } else { count };
    name.push_str(&format!(" in ({before}{behind}) x {count}"));
    format!("{}{expr}{}", before.repeat(count), behind.repeat(count))
}

/// Each level by another wrapper.
fn mixed(dice: &SeedRng, expr: String, size: usize, name: &mut String) -> String {
    let depth = dice.between(1, 1_200) as usize;
    let (mut front, mut back) = (Vec::new(), Vec::new());
    let mut length = expr.len();
    while length < size && front.len() < depth {
        let (before, behind) = *dice.pick(&WRAPPERS);
        length += before.len() + behind.len();
        front.push(before);
        back.push(behind);
    }
    name.push_str(&format!(" in {} wrappers", front.len()));
    front.reverse();
    format!("{}{expr}{}", front.concat(), back.concat())
}

fn chained(dice: &SeedRng, expr: String, size: usize, name: &mut String) -> String {
    let link = *dice.pick(&LINKS);
    let count = size.saturating_sub(expr.len()) / link.len() + 1;
    let count = if dice.percent(50) { count.min(dice.between(1, 26_000) as usize) } else { count };
    name.push_str(&format!(" and ({link}) x {count}"));
    format!("{expr}{}", link.repeat(count))
}

fn listed(dice: &SeedRng, expr: String, size: usize, name: &mut String) -> String {
    let (before, behind) = *dice.pick(&LISTS);
    let count = size / (expr.len() + 2) + 1;
    name.push_str(&format!(" in {before}, x {count}{behind}"));
    let mut list = before.to_owned();
    for at in 0..count {
        if at > 0 {
            list.push_str(", ");
        }
        list.push_str(&expr);
    }
    list.push_str(behind);
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_its_seed_and_number() {
        for number in 0..200 {
            let (one, other) = (statement(7, number, 100_000), statement(7, number, 100_000));
            assert_eq!((one.name, &one.text), (other.name, &other.text));
            assert!(one.text.len() < 300_000, "{}", one.text.len());
        }
        assert_ne!(statement(7, 1, 100_000).text, statement(8, 1, 100_000).text);
    }
}
