//! A session's settings: those of PostgreSQL's that clients set or read.
//!
//! A change belongs to its transaction: a rollback takes it back, SET LOCAL ends with it. What a setting means here
//! is said in its row of [`KNOWN`]; most are accepted because clients set them, and change nothing.

use std::collections::BTreeMap;

use super::setting_list::{KNOWN, Kind, Known};
use crate::error::{SqlError, SqlResult, SqlState};
use crate::types::Zone;

/// Settings outside of the list (`app.user`) that a session may have.
const MAX_CUSTOM: usize = 1_000;
/// Longest value of a setting.
const MAX_VALUE: usize = 64 << 10;

/// A change that clients are told about: name and value.
pub(crate) type Change = (String, String);

/// The settings of a session.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    /// What RESET goes back to, where it is not the list's default.
    start: BTreeMap<String, String>,
    session: BTreeMap<String, String>,
    local: BTreeMap<String, String>,
    /// The session's values before the present transaction changed any.
    before: Option<BTreeMap<String, String>>,
}

impl Settings {
    /// With the values that the client asks for when it connects; unknown ones are refused.
    pub(super) fn new(user: &str, startup: &[(String, String)]) -> SqlResult<Self> {
        let mut settings = Settings::default();
        settings.start.insert("session_authorization".into(), user.into());
        for (name, value) in startup {
            let key = canonical(name);
            let value = check(&key, value)?;
            settings.start.insert(key, value);
        }
        Ok(settings)
    }

    /// A setting's value.
    pub(super) fn get(&self, name: &str) -> Option<String> {
        let key = canonical(name);
        let maps = [&self.local, &self.session, &self.start];
        let value = maps.into_iter().find_map(|map| map.get(&key)).cloned();
        value.or_else(|| find(&key).map(|known| known.default.to_owned()))
    }

    /// A setting that is on or off.
    pub(super) fn is_on(&self, name: &str) -> bool {
        self.get(name).as_deref() == Some("on")
    }

    /// A setting's milliseconds; none is no bound.
    pub(super) fn millis(&self, name: &str) -> Option<u64> {
        self.get(name).and_then(|value| millis(&value)).filter(|millis| *millis > 0)
    }

    /// Sets a value; none is back to the default. Returns what clients are told.
    pub(super) fn set(
        &mut self,
        name: &str,
        value: Option<&str>,
        local: bool,
    ) -> SqlResult<Option<Change>> {
        let key = canonical(name);
        let value = match value {
            Some(value) => Some(check(&key, value)?),
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
        Ok(self.change(&key, old))
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

    /// Schemas in which unqualified names are looked up.
    pub(crate) fn search_path(&self, user: &str) -> Vec<String> {
        let text = self.get("search_path").unwrap_or_default();
        let parts = text.split(',').map(|part| part.trim().trim_matches('"'));
        let named = parts.filter(|part| !part.is_empty()).map(|part| match part {
            "$user" => user.to_owned(),
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

/// The value as it is kept, if the setting takes it.
fn check(key: &str, value: &str) -> SqlResult<String> {
    if value.len() > MAX_VALUE {
        return Err(SqlError::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "a setting is too long"));
    }
    let Some(known) = find(key) else {
        // A name with a point belongs to the application.
        return if key.contains('.') { Ok(value.into()) } else { Err(unrecognized(key)) };
    };
    let invalid = || {
        let text = format!("invalid value for parameter \"{}\": \"{value}\"", known.name);
        SqlError::new(SqlState::INVALID_PARAMETER_VALUE, text)
    };
    let lower = value.trim().to_ascii_lowercase();
    match known.kind {
        Kind::Internal => {
            let text = format!("parameter \"{}\" cannot be changed", known.name);
            Err(SqlError::new(SqlState::CANT_CHANGE_RUNTIME_PARAM, text))
        }
        Kind::Bool => match lower.as_str() {
            "on" | "true" | "yes" | "1" | "t" | "y" => Ok("on".into()),
            "off" | "false" | "no" | "0" | "f" | "n" => Ok("off".into()),
            _ => Err(invalid()),
        },
        Kind::Integer => lower.parse::<i64>().map(|n| n.to_string()).map_err(|_| invalid()),
        Kind::Millis => millis(&lower).map(|_| lower.clone()).ok_or_else(invalid),
        Kind::Text => Ok(value.into()),
        Kind::OneOf(all) if all.contains(&lower.as_str()) => {
            Ok(if all.contains(&"on") { "on".into() } else { lower })
        }
        Kind::OneOf(_) => Err(invalid()),
        Kind::TimeZone => time_zone(value).ok_or_else(invalid),
        Kind::DateStyle if lower.split(',').any(|part| part.trim() == "iso") => {
            let order = ["dmy", "ymd"].into_iter().find(|order| lower.contains(order));
            Ok(format!("ISO, {}", order.unwrap_or("mdy").to_ascii_uppercase()))
        }
        // MDY, DMY and YMD alone keep the style.
        Kind::DateStyle if ["mdy", "dmy", "ymd"].contains(&lower.as_str()) => {
            Ok(format!("ISO, {}", lower.to_ascii_uppercase()))
        }
        Kind::DateStyle => Err(SqlError::unsupported(format!("DateStyle \"{value}\""))),
        Kind::Encoding => match lower.trim_matches('\'').replace(['-', '_'], "").as_str() {
            "utf8" | "unicode" | "default" => Ok("UTF8".into()),
            _ => Err(invalid()),
        },
        // All levels are accepted, and all transactions are serializable: SHOW tells the truth.
        Kind::Isolation => match lower.as_str() {
            "serializable" | "repeatable read" | "read committed" | "read uncommitted" => {
                Ok("serializable".into())
            }
            _ => Err(invalid()),
        },
    }
}

/// An amount of time in milliseconds: a number with or without a unit.
fn millis(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..digits].parse().ok()?;
    let factor = match text[digits..].trim() {
        "" | "ms" => 1,
        "s" => 1_000,
        "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.checked_mul(factor)
}

/// A time zone as it is kept and shown.
fn time_zone(text: &str) -> Option<String> {
    match text.trim() {
        local if local.eq_ignore_ascii_case("default") || local.eq_ignore_ascii_case("local") => {
            Some("UTC".into())
        }
        name => Zone::shown(name),
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
        settings.set("statement_timeout", Some("2s"), false).unwrap();
        assert_eq!(settings.millis("statement_timeout"), Some(2_000));
    }

    #[test]
    fn the_search_path_begins_with_the_system() {
        assert_eq!(settings().search_path("ann"), ["pg_catalog", "ann", "public"]);
    }
}
