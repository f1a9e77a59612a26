//! Settings: SET, SHOW, RESET.

use sql_exec::sink::ResultSink;
use sql_parse::{Reset, Set, SetValue, Show, TransactionModes};
use sql_plan::OutputColumn;
use sql_values::error::{SqlError, SqlResult, SqlState};
use sql_values::types::Datum;

use super::{Run, Tag};
use crate::session::Session;
use crate::session::statement::{tell, text_column, text_rows};
use crate::settings::Settings;
use crate::work::transaction::State;

impl Run for Set {
    async fn run(&self, session: &mut Session, sink: &mut dyn ResultSink) -> SqlResult<Tag> {
        let Set { name, value, local } = self;
        if *local && !session.in_block() && !session.in_text {
            let text = "SET LOCAL can only be used in transaction blocks";
            session.notify(SqlError::new(SqlState::NO_ACTIVE_SQL_TRANSACTION, text), sink)?;
        }
        let value = match value {
            SetValue::Default => None,
            SetValue::Values(values) => Some(values.join(", ")),
        };
        session.ensure_open();
        if session.set_of_transaction(name, value.as_deref())? {
            return Ok("SET".into());
        }
        if let Some((name, value)) = session.settings.set(name, value.as_deref(), *local)? {
            sink.parameter(&name, &value)?;
        }
        Ok("SET".into())
    }

    fn leaves_no_trace(&self) -> bool {
        true
    }
}

impl Run for Reset {
    async fn run(&self, session: &mut Session, sink: &mut dyn ResultSink) -> SqlResult<Tag> {
        session.ensure_open();
        let changes = match &self.0 {
            Some(name) => session.settings.set(name, None, false)?.into_iter().collect(),
            None => session.settings.reset(),
        };
        tell(sink, &changes)?;
        Ok("RESET".into())
    }
}

impl Run for Show {
    async fn run(&self, session: &mut Session, sink: &mut dyn ResultSink) -> SqlResult<Tag> {
        session.show(&self.0, sink)?;
        Ok("SHOW".into())
    }

    fn leaves_no_trace(&self) -> bool {
        true
    }

    fn columns(&self) -> Option<Vec<OutputColumn>> {
        Some(match self.0.as_str() {
            "all" => OF_ALL.into_iter().map(text_column).collect(),
            name => vec![text_column(name)],
        })
    }
}

/// The columns of SHOW ALL.
const OF_ALL: [&str; 3] = ["name", "setting", "description"];

impl Session {
    /// Settings that are the present transaction's, not the session's. False if it is none of these.
    fn set_of_transaction(&mut self, name: &str, value: Option<&str>) -> SqlResult<bool> {
        if !Settings::is_of_transaction(name) {
            return Ok(false);
        }
        let value = match value {
            Some(value) => self.settings.checked(name, value)?,
            None => self.settings.get(&format!("default_{name}")).unwrap_or_default(),
        };
        if name == "transaction_read_only" {
            let read_only = Some(value == "on");
            self.set_modes(false, &TransactionModes { read_only, ..TransactionModes::default() })?;
        }
        Ok(true)
    }

    fn show(&mut self, name: &str, sink: &mut dyn ResultSink) -> SqlResult<()> {
        if name == "all" {
            let columns: Vec<_> = OF_ALL.into_iter().map(text_column).collect();
            sink.columns(&columns)?;
            for (name, value) in self.settings.all() {
                sink.row(&[Datum::text(name), Datum::text(value), Datum::text("")])?;
            }
            return Ok(());
        }
        let value = match (name, &self.state) {
            ("transaction_read_only", State::Open(open)) => {
                Some(if open.read_only { "on" } else { "off" }.to_owned())
            }
            _ => self.settings.get(name),
        };
        let value = value.ok_or_else(|| {
            let text = format!("unrecognized configuration parameter \"{name}\"");
            SqlError::new(SqlState::UNDEFINED_OBJECT, text)
        })?;
        text_rows(sink, name, &[value])
    }
}
