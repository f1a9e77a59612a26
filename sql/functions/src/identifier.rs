//! Identifiers, and the words that are none without quotes.

/// Words that cannot be names without quotes.
#[rustfmt::skip]
static RESERVED: [&str; 97] = [
    "all", "analyse", "analyze", "and", "any", "array", "as", "asc", "asymmetric", "authorization", "between", "binary",
    "both", "case", "cast", "check", "collate", "collation", "column", "concurrently", "constraint", "create", "cross",
    "current_catalog", "current_date", "current_role", "current_schema", "current_time", "current_timestamp",
    "current_user", "default", "deferrable", "desc", "distinct", "do", "else", "end", "except", "false", "fetch", "for",
    "foreign", "freeze", "from", "full", "grant", "group", "having", "ilike", "in", "initially", "inner", "intersect",
    "into", "is", "isnull", "join", "lateral", "leading", "left", "like", "limit", "localtime", "localtimestamp",
    "natural", "not", "notnull", "null", "offset", "on", "only", "or", "order", "outer", "overlaps", "placing",
    "primary", "references", "returning", "right", "select", "session_user", "similar", "some", "symmetric", "table",
    "tablesample", "then", "to", "trailing", "true", "union", "unique", "user", "using", "when", "where",
];

/// Words that are functions or types of the grammar: quoted too.
#[rustfmt::skip]
static FUNCTION_WORDS: [&str; 42] = [
    "bigint", "bit", "boolean", "char", "character", "coalesce", "dec", "decimal", "exists", "extract", "float",
    "greatest", "grouping", "inout", "int", "integer", "interval", "least", "national", "nchar", "none", "normalize",
    "nullif", "numeric", "out", "overlay", "position", "precision", "real", "row", "setof", "smallint", "substring",
    "time", "timestamp", "treat", "trim", "values", "varchar", "variadic", "window", "with",
];

/// True iff the word needs quotes as a name.
fn is_reserved(word: &str) -> bool {
    RESERVED.binary_search(&word).is_ok()
        || FUNCTION_WORDS.binary_search(&word).is_ok()
        || word == "verbose"
}

/// An identifier, quoted where it must be.
pub(super) fn quoted_identifier(name: &str) -> String {
    let plain = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        && !is_reserved(name);
    if plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}
