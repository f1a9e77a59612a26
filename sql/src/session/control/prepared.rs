//! Prepared statements and cursors: PREPARE, DEALLOCATE, CLOSE, DISCARD.

use sql_exec::sink::ResultSink;
use sql_parse::{Close, Deallocate, Discard, Prepare};
use sql_values::error::{SqlError, SqlResult, SqlState};

use super::{Run, Tag};
use crate::session::Session;
use crate::session::statement::{tell, unknown_cursor, unknown_statement};

impl Run for Prepare {
    async fn run(&self, session: &mut Session, _: &mut dyn ResultSink) -> SqlResult<Tag> {
        let Prepare { name, types, statement } = self;
        if session.statements.contains_key(name) {
            let text = format!("prepared statement \"{name}\" already exists");
            return Err(SqlError::new(SqlState::DUPLICATE_PREPARED_STATEMENT, text));
        }
        let prepared = session.prepare(Some((**statement).clone()), types.clone()).await?;
        session.keep_statement(name, prepared)?;
        Ok("PREPARE".into())
    }
}

impl Run for Deallocate {
    async fn run(&self, session: &mut Session, _: &mut dyn ResultSink) -> SqlResult<Tag> {
        let Some(name) = &self.0 else {
            session.statements.clear();
            return Ok("DEALLOCATE ALL".into());
        };
        session.statements.remove(name).ok_or_else(|| unknown_statement(name))?;
        Ok("DEALLOCATE".into())
    }
}

impl Run for Close {
    async fn run(&self, session: &mut Session, _: &mut dyn ResultSink) -> SqlResult<Tag> {
        let Some(name) = &self.0 else {
            session.portals.clear();
            return Ok("CLOSE CURSOR ALL".into());
        };
        session.portals.remove(name).ok_or_else(|| unknown_cursor(name))?;
        Ok("CLOSE CURSOR".into())
    }
}

impl Run for Discard {
    async fn run(&self, session: &mut Session, sink: &mut dyn ResultSink) -> SqlResult<Tag> {
        let tag = match self {
            Discard::All => {
                session.forbid_transaction("DISCARD ALL")?;
                session.statements.clear();
                session.portals.clear();
                session.sequences.discard();
                tell(sink, &session.settings.reset())?;
                "DISCARD ALL"
            }
            Discard::Plans => "DISCARD PLANS",
            Discard::Sequences => {
                session.sequences.discard();
                "DISCARD SEQUENCES"
            }
            Discard::Temp => "DISCARD TEMP",
        };
        Ok(tag.into())
    }
}
