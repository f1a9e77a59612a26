//! A session's settings: those of PostgreSQL's that clients set or read.
//!
//! A change belongs to its transaction: a rollback takes it back, SET LOCAL ends with it. What a setting means here
//! is said in its row of [`KNOWN`].

mod list;
mod value;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use sql_values::error::{SqlError, SqlResult, SqlState};
use sql_values::memory::DEFAULT_STATEMENT_BYTES;
use sql_values::types::TextStyle;

use list::{KNOWN, Kind, Known, Unit};
use value::{AMOUNT_MAX, LEVELS};

/// Settings outside of the list (`app.user`) that a session may have.
const MAX_CUSTOM: usize = 1_000;
/// Longest value of a setting.
const MAX_VALUE: usize = 64 << 10;

/// A change that clients are told about: name and value.
pub(crate) type Change = (String, String);

/// A row of `pg_settings`.
pub(crate) struct Described {
    pub(crate) name: &'static str,
    /// In its base unit, as `boot` and `reset`.
    pub(crate) setting: String,
    pub(crate) unit: Option<&'static str>,
    pub(crate) context: &'static str,
    pub(crate) vartype: &'static str,
    pub(crate) source: &'static str,
    pub(crate) range: Option<(i64, i64)>,
    pub(crate) values: &'static [&'static str],
    pub(crate) boot: String,
    pub(crate) reset: String,
}

/// The settings of a session.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    /// What RESET goes back to, where it is not the list's default.
    start: BTreeMap<String, String>,
    session: BTreeMap<String, String>,
    local: BTreeMap<String, String>,
    /// The session's values before the present transaction changed any.
    before: Option<BTreeMap<String, String>>,
    /// Whom `$user` stands for.
    user: String,
    present: Present,
}

/// What every statement asks for, made whenever a setting changes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Present {
    /// What the session chooses of how values look as text.
    pub(crate) style: TextStyle,
    /// The time zone, as an IANA name.
    pub(crate) time_zone: Arc<str>,
    /// Schemas in which unqualified names are looked up.
    pub(crate) search_path: Arc<[String]>,
    /// Bytes that a statement may hold.
    pub(crate) work_mem: usize,
    /// How long a statement may take.
    pub(crate) statement_timeout: Option<Duration>,
    /// How long a statement waits for a lock.
    pub(crate) lock_timeout: Option<Duration>,
    /// How long the client may be silent in a transaction.
    pub(crate) idle_in_transaction_timeout: Option<Duration>,
    /// Transactions may not write unless they say that they do.
    pub(crate) read_only: bool,
}

impl Settings {
    /// With the values that the client asks for when it connects; unknown ones are refused.
    pub(super) fn new(user: &str, startup: &[(String, String)]) -> SqlResult<Self> {
        let mut settings = Settings { user: user.to_owned(), ..Settings::default() };
        settings.start.insert("session_authorization".into(), user.into());
        for (name, value) in startup {
            let key = canonical(name);
            let value = check(&key, value, settings.get(&key).as_deref())?;
            settings.start.insert(key, value);
        }
        settings.derive();
        Ok(settings)
    }

    /// A setting's value.
    pub(super) fn get(&self, name: &str) -> Option<String> {
        let key = canonical(name);
        let maps = [&self.local, &self.session, &self.start];
        let value = maps.into_iter().find_map(|map| map.get(&key)).cloned();
        value.or_else(|| find(&key).map(|known| known.default.to_owned()))
    }

    fn is_on(&self, name: &str) -> bool {
        self.get(name).as_deref() == Some("on")
    }

    /// A setting's time; none is no bound.
    fn time(&self, name: &str) -> Option<Duration> {
        let millis = value::in_base(Unit::Time, &self.get(name)?)?;
        (millis > 0).then(|| Duration::from_millis(millis))
    }

    /// A setting's bytes.
    fn bytes(&self, name: &str) -> usize {
        let kib = self.get(name).and_then(|value| value::in_base(Unit::Memory, &value));
        kib.and_then(|kib| usize::try_from(kib).ok()?.checked_mul(1 << 10))
            .unwrap_or(DEFAULT_STATEMENT_BYTES)
    }

    /// Sets a value; none is back to the default. Returns what clients are told.
    pub(super) fn set(
        &mut self,
        name: &str,
        value: Option<&str>,
        local: bool,
    ) -> SqlResult<Option<Change>> {
        let key = canonical(name);
        if Self::is_of_transaction(&key) {
            return Err(SqlError::unsupported(format!("setting {key} by set_config")));
        }
        let value = match value {
            Some(value) => Some(check(&key, value, self.get(&key).as_deref())?),
            None if find(&key).is_none() && !key.contains('.') => return Err(unrecognized(name)),
            None => None,
        };
        let old = self.get(&key);
        self.before.get_or_insert_with(|| self.session.clone());
        if self.session.len() + self.local.len() >= MAX_CUSTOM {
            let text = "too many settings";
            return Err(SqlError::new(SqlState::PROGRAM_LIMIT_EXCEEDED, text));
        }
        match (value, local) {
            (Some(value), true) => drop(self.local.insert(key.clone(), value)),
            (Some(value), false) => {
                self.local.remove(&key);
                self.session.insert(key.clone(), value);
            }
            (None, _) => {
                self.local.remove(&key);
                self.session.remove(&key);
            }
        }
        self.derive();
        Ok(self.change(&key, old))
    }

    /// The value as it would be kept.
    pub(super) fn checked(&self, name: &str, value: &str) -> SqlResult<String> {
        check(&canonical(name), value, self.get(name).as_deref())
    }

    /// True iff the setting is the present transaction's.
    pub(super) fn is_of_transaction(name: &str) -> bool {
        ["transaction_read_only", "transaction_isolation", "transaction_deferrable"].contains(&name)
    }

    /// True iff the client wants to hear the notice.
    pub(super) fn wants(&self, notice: &SqlError) -> bool {
        let least = self.get("client_min_messages").unwrap_or_default();
        match least.as_str() {
            "error" => false,
            "warning" => notice.is_warning(),
            _ => true,
        }
    }

    /// What every statement asks for.
    pub(crate) fn present(&self) -> &Present {
        &self.present
    }

    fn derive(&mut self) {
        let mut style = self.present.style;
        for name in ["datestyle", "intervalstyle", "bytea_output", "extra_float_digits"] {
            style.set(name, &self.get(name).unwrap_or_default());
        }
        self.present = Present {
            style,
            time_zone: self.get("timezone").unwrap_or_default().into(),
            search_path: self.search_path().into(),
            work_mem: self.bytes("work_mem"),
            statement_timeout: self.time("statement_timeout"),
            lock_timeout: self.time("lock_timeout"),
            idle_in_transaction_timeout: self.time("idle_in_transaction_session_timeout"),
            read_only: self.is_on("default_transaction_read_only"),
        };
    }

    fn change(&self, key: &str, old: Option<String>) -> Option<Change> {
        let known = find(key).filter(|known| known.reported)?;
        let new = self.get(key)?;
        (old.as_ref() != Some(&new)).then(|| (known.name.to_owned(), new))
    }

    /// RESET ALL.
    pub(super) fn reset(&mut self) -> Vec<Change> {
        self.before.get_or_insert_with(|| self.session.clone());
        self.replace(BTreeMap::new())
    }

    /// The transaction has ended. Returns what clients are told.
    pub(super) fn end_transaction(&mut self, committed: bool) -> Vec<Change> {
        let before = self.before.take();
        match before {
            None => Vec::new(),
            Some(_) if committed => self.replace(self.session.clone()),
            Some(before) => self.replace(before),
        }
    }

    fn replace(&mut self, session: BTreeMap<String, String>) -> Vec<Change> {
        let old = self.clone();
        self.session = session;
        self.local.clear();
        self.derive();
        let reported = KNOWN.iter().filter(|known| known.reported);
        reported.filter_map(|known| self.change(known.name, old.get(known.name))).collect()
    }

    /// What clients are told when they connect.
    pub(super) fn reported(&self) -> Vec<Change> {
        let reported = KNOWN.iter().filter(|known| known.reported);
        reported
            .map(|known| (known.name.to_owned(), self.get(known.name).unwrap_or_default()))
            .collect()
    }

    /// All of them, for SHOW ALL and `pg_settings`: name and value.
    pub(crate) fn all(&self) -> Vec<Change> {
        KNOWN
            .iter()
            .map(|known| (known.name.to_owned(), self.get(known.name).unwrap_or_default()))
            .collect()
    }

    /// All of them, for `pg_settings`.
    pub(crate) fn described(&self) -> Vec<Described> {
        KNOWN.iter().map(|known| self.describe(known)).collect()
    }

    fn describe(&self, known: &Known) -> Described {
        let in_base = |value: &str| match known.kind {
            Kind::Amount(unit, _) => {
                value::in_base(unit, value).map_or_else(|| value.to_owned(), |n| n.to_string())
            }
            _ => value.to_owned(),
        };
        let key = known.name.to_ascii_lowercase();
        let start = self.start.get(&key).map_or(known.default, String::as_str);
        let is_set = self.local.contains_key(&key) || self.session.contains_key(&key);
        let is_start = self.start.contains_key(&key);
        let (vartype, range, values): (_, _, &[&str]) = match known.kind {
            Kind::Bool | Kind::Only(_) => ("bool", None, &[]),
            Kind::Integer(min, max) => ("integer", Some((min, max)), &[]),
            Kind::Amount(_, min) => ("integer", Some((min, AMOUNT_MAX)), &[]),
            Kind::OneOf(all) | Kind::Switch(all) => ("enum", None, all),
            Kind::Isolation => ("enum", None, LEVELS),
            _ => ("string", None, &[]),
        };
        Described {
            name: known.name,
            setting: in_base(&self.get(known.name).unwrap_or_default()),
            unit: match known.kind {
                Kind::Amount(unit, _) => Some(unit.base()),
                _ => None,
            },
            context: if known.kind == Kind::Internal { "internal" } else { "user" },
            vartype,
            source: match (is_set, is_start) {
                (true, _) => "session",
                (false, true) => "client",
                (false, false) => "default",
            },
            range,
            values,
            boot: in_base(known.default),
            reset: in_base(start),
        }
    }

    fn search_path(&self) -> Vec<String> {
        let text = self.get("search_path").unwrap_or_default();
        let parts = text.split(',').map(|part| part.trim().trim_matches('"'));
        let named = parts.filter(|part| !part.is_empty()).map(|part| match part {
            "$user" => self.user.clone(),
            part => part.to_owned(),
        });
        let mut path: Vec<String> = named.collect();
        if !path.iter().any(|schema| schema == "pg_catalog") {
            path.insert(0, "pg_catalog".into());
        }
        path
    }
}

fn find(name: &str) -> Option<&'static Known> {
    KNOWN.iter().find(|known| known.name.eq_ignore_ascii_case(name))
}

/// The key of a name: lower case; `TIME ZONE` and `TRANSACTION ISOLATION LEVEL` have their own words.
fn canonical(name: &str) -> String {
    match name.to_ascii_lowercase().as_str() {
        "time zone" | "time_zone" => "timezone".into(),
        "transaction isolation level" => "transaction_isolation".into(),
        "names" => "client_encoding".into(),
        lower => lower.into(),
    }
}

fn unrecognized(name: &str) -> SqlError {
    let text = format!("unrecognized configuration parameter \"{name}\"");
    SqlError::new(SqlState::UNDEFINED_OBJECT, text)
}

/// The value as it is kept, if the setting takes it; `present` is the one it has.
fn check(key: &str, value: &str, present: Option<&str>) -> SqlResult<String> {
    if value.len() > MAX_VALUE {
        return Err(SqlError::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "a setting is too long"));
    }
    match find(key) {
        Some(known) => value::check(known, value, present.unwrap_or(known.default)),
        // A name with a point belongs to the application.
        None if key.contains('.') => Ok(value.into()),
        None => Err(unrecognized(key)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        Settings::new("ann", &[]).unwrap()
    }

    #[test]
    fn changes_end_with_a_rolled_back_transaction() {
        let mut settings = settings();
        let change = settings.set("timezone", Some("Europe/Berlin"), false).unwrap();
        assert_eq!(change, Some(("TimeZone".into(), "Europe/Berlin".into())));
        let told = settings.end_transaction(false);
        assert_eq!(told, [("TimeZone".to_owned(), "UTC".to_owned())]);
        settings.set("work_mem", Some("1MB"), true).unwrap();
        assert_eq!(settings.get("work_mem").unwrap(), "1MB");
        settings.end_transaction(true);
        assert_eq!(settings.get("work_mem").unwrap(), "64MB");
    }

    #[test]
    fn what_is_set_is_checked() {
        let mut settings = settings();
        let state = |result: SqlResult<Option<Change>>| result.unwrap_err().state.0;
        assert_eq!(state(settings.set("nonsense", Some("1"), false)), "42704");
        assert_eq!(state(settings.set("statement_timeout", Some("soon"), false)), "22023");
        assert_eq!(state(settings.set("server_version", Some("16"), false)), "55P02");
        settings.set("client_encoding", Some("'utf-8'"), false).unwrap();
        settings.set("app.user", Some("7"), false).unwrap();
        assert_eq!(settings.get("app.user").unwrap(), "7");
        assert_eq!(state(settings.set("work_mem", Some("63kB"), false)), "22023");
        settings.set("work_mem", Some("1 MB"), false).unwrap();
        assert_eq!(settings.present().work_mem, 1 << 20);
        settings.set("work_mem", Some("100"), false).unwrap();
        assert_eq!(settings.present().work_mem, 100 << 10);
        settings.set("statement_timeout", Some("2s"), false).unwrap();
        assert_eq!(settings.present().statement_timeout, Some(Duration::from_secs(2)));
    }

    #[test]
    fn the_search_path_begins_with_the_system() {
        assert_eq!(*settings().present().search_path, ["pg_catalog", "ann", "public"]);
    }
}
