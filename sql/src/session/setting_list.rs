//! The settings that there are.

/// What a setting takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Fixed.
    Internal,
    Bool,
    Integer,
    /// An amount of time; stored as written, without a unit in milliseconds.
    Millis,
    Text,
    /// One of these, any case.
    OneOf(&'static [&'static str]),
    TimeZone,
    DateStyle,
    Encoding,
    Isolation,
}

/// A setting with its default.
pub(super) struct Known {
    /// As PostgreSQL writes it.
    pub(super) name: &'static str,
    pub(super) default: &'static str,
    pub(super) kind: Kind,
    /// Clients are told when it changes.
    pub(super) reported: bool,
}

const fn known(name: &'static str, default: &'static str, kind: Kind) -> Known {
    Known { name, default, kind, reported: false }
}

const fn reported(name: &'static str, default: &'static str, kind: Kind) -> Known {
    Known { name, default, kind, reported: true }
}

const LEVELS: &[&str] =
    &["debug5", "debug4", "debug3", "debug2", "debug1", "log", "notice", "warning", "error"];

/// All settings, by lower-case name.
pub(super) const KNOWN: &[Known] = &[
    reported("application_name", "", Kind::Text),
    known("bytea_output", "hex", Kind::OneOf(&["hex", "escape"])),
    known("check_function_bodies", "on", Kind::Bool),
    reported("client_encoding", "UTF8", Kind::Encoding),
    known("client_min_messages", "notice", Kind::OneOf(LEVELS)),
    reported("DateStyle", "ISO, MDY", Kind::DateStyle),
    known("default_table_access_method", "heap", Kind::Text),
    known("default_tablespace", "", Kind::Text),
    known("default_transaction_deferrable", "off", Kind::Bool),
    known("default_transaction_isolation", "serializable", Kind::Isolation),
    reported("default_transaction_read_only", "off", Kind::Bool),
    known("escape_string_warning", "on", Kind::Bool),
    known("extra_float_digits", "1", Kind::Integer),
    known("idle_in_transaction_session_timeout", "0", Kind::Millis),
    reported("in_hot_standby", "off", Kind::Internal),
    reported("integer_datetimes", "on", Kind::Internal),
    reported(
        "IntervalStyle",
        "postgres",
        Kind::OneOf(&["postgres", "postgres_verbose", "sql_standard", "iso_8601"]),
    ),
    reported("is_superuser", "on", Kind::Internal),
    known("jit", "off", Kind::Bool),
    known("lc_collate", "C", Kind::Internal),
    known("lc_ctype", "C", Kind::Internal),
    known("lc_messages", "C", Kind::Text),
    known("lc_monetary", "C", Kind::Text),
    known("lc_numeric", "C", Kind::Text),
    known("lc_time", "C", Kind::Text),
    known("lock_timeout", "0", Kind::Millis),
    known("maintenance_work_mem", "64MB", Kind::Text),
    known("max_identifier_length", "63", Kind::Internal),
    known("max_index_keys", "32", Kind::Internal),
    reported("meridian_version", env!("CARGO_PKG_VERSION"), Kind::Internal),
    known("plan_cache_mode", "auto", Kind::Text),
    known("quote_all_identifiers", "off", Kind::Bool),
    known("row_security", "on", Kind::Bool),
    known("search_path", "\"$user\", public", Kind::Text),
    reported("server_encoding", "UTF8", Kind::Internal),
    reported("server_version", "15.0", Kind::Internal),
    known("server_version_num", "150000", Kind::Internal),
    reported("session_authorization", "", Kind::Internal),
    reported("standard_conforming_strings", "on", Kind::OneOf(&["on", "true", "1", "yes"])),
    known("statement_timeout", "0", Kind::Millis),
    known("synchronize_seqscans", "on", Kind::Bool),
    known("synchronous_commit", "on", Kind::Text),
    reported("TimeZone", "UTC", Kind::TimeZone),
    known("transaction_deferrable", "off", Kind::Bool),
    known("transaction_isolation", "serializable", Kind::Isolation),
    known("transaction_read_only", "off", Kind::Bool),
    known("vacuum_cost_delay", "0", Kind::Millis),
    known("work_mem", "64MB", Kind::Text),
    known("xmloption", "content", Kind::Text),
];
