//! The settings that there are.

/// What a setting takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Fixed.
    Internal,
    Bool,
    /// This alone, because the other is not there.
    Only(bool),
    /// Within these bounds.
    Integer(i64, i64),
    /// So much of the unit at least; kept in the largest unit without a fraction.
    Amount(Unit, i64),
    Text,
    /// One of these, any case.
    OneOf(&'static [&'static str]),
    /// On, off, or one of these.
    Switch(&'static [&'static str]),
    /// The name of one of what there is of something.
    Name(&'static str, &'static [&'static str]),
    /// C is all there is.
    Locale,
    TimeZone,
    DateStyle,
    Encoding,
    Isolation,
}

/// What an amount is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Time,
    Memory,
}

impl Unit {
    /// What a number alone is of.
    pub(super) fn base(self) -> &'static str {
        match self {
            Unit::Time => "ms",
            Unit::Memory => "kB",
        }
    }

    /// Units with their size, ascending.
    pub(super) fn names(self) -> &'static [(&'static str, f64)] {
        match self {
            Unit::Time => &[
                ("us", 0.001),
                ("ms", 1.0),
                ("s", 1_000.0),
                ("min", 60_000.0),
                ("h", 3_600_000.0),
                ("d", 86_400_000.0),
            ],
            Unit::Memory => &[
                ("B", 1.0 / 1_024.0),
                ("kB", 1.0),
                ("MB", 1_024.0),
                ("GB", 1_048_576.0),
                ("TB", 1_073_741_824.0),
            ],
        }
    }

    pub(super) fn hint(self) -> &'static str {
        match self {
            Unit::Time => {
                "Valid units for this parameter are \"us\", \"ms\", \"s\", \"min\", \"h\", and \"d\"."
            }
            Unit::Memory => {
                "Valid units for this parameter are \"B\", \"kB\", \"MB\", \"GB\", and \"TB\"."
            }
        }
    }
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
    known("bytea_output", "hex", Kind::OneOf(&["escape", "hex"])),
    known("check_function_bodies", "on", Kind::Bool),
    reported("client_encoding", "UTF8", Kind::Encoding),
    known("client_min_messages", "notice", Kind::OneOf(LEVELS)),
    reported("DateStyle", "ISO, MDY", Kind::DateStyle),
    known("default_table_access_method", "heap", Kind::Name("Table access method", &["heap"])),
    known("default_tablespace", "", Kind::Name("Tablespace", &["", "pg_default"])),
    known("default_transaction_deferrable", "off", Kind::Bool),
    known("default_transaction_isolation", "serializable", Kind::Isolation),
    reported("default_transaction_read_only", "off", Kind::Bool),
    known("escape_string_warning", "on", Kind::Bool),
    known("extra_float_digits", "1", Kind::Integer(-15, 3)),
    known("idle_in_transaction_session_timeout", "0", Kind::Amount(Unit::Time, 0)),
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
    known("lc_messages", "C", Kind::Locale),
    known("lc_monetary", "C", Kind::Locale),
    known("lc_numeric", "C", Kind::Locale),
    known("lc_time", "C", Kind::Locale),
    known("lock_timeout", "0", Kind::Amount(Unit::Time, 0)),
    known("maintenance_work_mem", "64MB", Kind::Amount(Unit::Memory, 1_024)),
    known("max_identifier_length", "63", Kind::Internal),
    known("max_index_keys", "32", Kind::Internal),
    reported("meridian_version", env!("CARGO_PKG_VERSION"), Kind::Internal),
    known(
        "plan_cache_mode",
        "auto",
        Kind::OneOf(&["auto", "force_generic_plan", "force_custom_plan"]),
    ),
    known("quote_all_identifiers", "off", Kind::Only(false)),
    known("row_security", "on", Kind::Bool),
    known("search_path", "\"$user\", public", Kind::Text),
    reported("server_encoding", "UTF8", Kind::Internal),
    reported("server_version", "15.0", Kind::Internal),
    known("server_version_num", "150000", Kind::Internal),
    reported("session_authorization", "", Kind::Internal),
    reported("standard_conforming_strings", "on", Kind::Only(true)),
    known("statement_timeout", "0", Kind::Amount(Unit::Time, 0)),
    known("synchronize_seqscans", "on", Kind::Bool),
    known("synchronous_commit", "on", Kind::Switch(&["local", "remote_write", "remote_apply"])),
    reported("TimeZone", "UTC", Kind::TimeZone),
    known("transaction_deferrable", "off", Kind::Bool),
    known("transaction_isolation", "serializable", Kind::Isolation),
    known("transaction_read_only", "off", Kind::Bool),
    // What a statement may hold, not an operator of it.
    known("work_mem", "64MB", Kind::Amount(Unit::Memory, 64)),
    known("xmloption", "content", Kind::OneOf(&["content", "document"])),
];
