//! Commands of the shell itself: a backslash and a letter.

use tokio::runtime::Runtime;

use super::output::Layout;
use super::{Settings, run_statement};
use crate::client::Client;

const HELP: &str = "\
\\q          leave
\\d [TABLE]  tables, or a table's columns and indexes
\\dt         tables
\\timing [on|off]  say how long statements take, or stop saying it
\\x [on|off]       a line a value, or tables again
\\?          this
A statement ends with a semicolon, and may take several lines. Ctrl-C cancels it.";

const TABLES: &str = "\
SELECT n.nspname AS \"Schema\", c.relname AS \"Name\" \
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
WHERE c.relkind = 'r' AND n.nspname <> 'pg_catalog' AND n.nspname <> 'information_schema' \
ORDER BY 1, 2";

/// A command.
pub(crate) enum Meta {
    Quit,
    Help,
    Tables,
    Table(String),
    /// On or off; the other of the two if nothing is said.
    Timing(Option<bool>),
    /// The same.
    Expanded(Option<bool>),
    /// What is wrong with a command.
    Wrong(String),
    Unknown(String),
}

/// Reads a command, without its backslash.
pub(crate) fn parse(line: &str) -> Meta {
    let line = line.trim().trim_end_matches(';').trim_end();
    let (word, argument) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    match (word, argument.trim()) {
        ("q" | "quit", _) => Meta::Quit,
        ("?" | "h" | "help", _) => Meta::Help,
        ("d" | "dt", "") => Meta::Tables,
        ("d" | "dt", name) => Meta::Table(name.to_owned()),
        ("timing", value) => switch(word, value, Meta::Timing),
        ("x", value) => switch(word, value, Meta::Expanded),
        _ => Meta::Unknown(line.to_owned()),
    }
}

/// A command that takes a truth value as psql writes it, or none.
fn switch(word: &str, value: &str, command: fn(Option<bool>) -> Meta) -> Meta {
    match value.to_ascii_lowercase().as_str() {
        "" => command(None),
        "on" | "true" | "yes" | "t" | "y" | "1" => command(Some(true)),
        "off" | "of" | "false" | "no" | "f" | "n" | "0" => command(Some(false)),
        _ => Meta::Wrong(format!("unrecognized value \"{value}\" for \\{word}: Boolean expected")),
    }
}

/// Runs a command. False if it has failed.
pub(crate) fn run(
    runtime: &Runtime,
    client: &mut Client,
    settings: &mut Settings,
    command: Meta,
) -> anyhow::Result<bool> {
    match command {
        Meta::Quit => {}
        Meta::Help => eprintln!("{HELP}"),
        Meta::Timing(wanted) => {
            settings.timing = wanted.unwrap_or(!settings.timing);
            eprintln!("Timing is {}.", if settings.timing { "on" } else { "off" });
        }
        Meta::Expanded(wanted) => {
            let is_wanted = wanted.unwrap_or(settings.layout != Layout::Expanded);
            settings.layout = if is_wanted { Layout::Expanded } else { Layout::Table };
            eprintln!("Expanded display is {}.", if is_wanted { "on" } else { "off" });
        }
        Meta::Tables => return run_statement(runtime, client, settings, TABLES, no_data),
        Meta::Table(name) => {
            for statement in describe(&name) {
                if !run_statement(runtime, client, settings, &statement, no_data)? {
                    return Ok(false);
                }
            }
        }
        Meta::Wrong(what) => {
            eprintln!("{what}");
            return Ok(false);
        }
        Meta::Unknown(line) => {
            eprintln!("unknown command \\{line}; \\? lists them");
            return Ok(false);
        }
    }
    Ok(true)
}

/// The commands' queries are no COPY.
fn no_data() -> anyhow::Result<Option<String>> {
    Ok(None)
}

/// What shows a table's columns, indexes and checks.
fn describe(name: &str) -> [String; 3] {
    let (schema, table) = name.split_once('.').unwrap_or(("", name));
    let fold = |name: &str| match name.strip_prefix('"').and_then(|name| name.strip_suffix('"')) {
        Some(quoted) => quoted.replace("\"\"", "\""),
        None => name.to_lowercase(),
    };
    let literal = |name: &str| format!("'{}'", fold(name).replace('\'', "''"));
    let within = |alias: &str| match schema {
        "" => String::new(),
        schema => format!(" AND {alias}.nspname = {}", literal(schema)),
    };
    let (table, within) = (literal(table), within("n"));
    [
        format!(
            "SELECT a.attname AS \"Column\", \
             pg_catalog.format_type(a.atttypid, a.atttypmod) AS \"Type\", \
             CASE WHEN a.attnotnull THEN 'not null' ELSE '' END AS \"Nullable\", \
             coalesce(pg_catalog.pg_get_expr(d.adbin, d.adrelid), '') AS \"Default\" \
             FROM pg_catalog.pg_attribute a \
             JOIN pg_catalog.pg_class c ON c.oid = a.attrelid \
             JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
             LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum \
             WHERE c.relname = {table}{within} AND a.attnum > 0 AND NOT a.attisdropped \
             ORDER BY a.attnum"
        ),
        format!(
            "SELECT i.relname AS \"Index\", \
             CASE WHEN x.indisprimary THEN 'primary key' WHEN x.indisunique THEN 'unique' \
             ELSE '' END AS \"Kind\", \
             substring(pg_catalog.pg_get_indexdef(i.oid) FROM ' USING (.*)') AS \"Definition\" \
             FROM pg_catalog.pg_index x \
             JOIN pg_catalog.pg_class c ON c.oid = x.indrelid \
             JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid \
             JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
             WHERE c.relname = {table}{within} ORDER BY 1"
        ),
        format!(
            "SELECT k.conname AS \"Check\", pg_catalog.pg_get_constraintdef(k.oid) AS \"Definition\" \
             FROM pg_catalog.pg_constraint k \
             JOIN pg_catalog.pg_class c ON c.oid = k.conrelid \
             JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
             WHERE k.contype = 'c' AND c.relname = {table}{within} ORDER BY 1"
        ),
    ]
}
