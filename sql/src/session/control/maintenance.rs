//! Tables as a whole: VACUUM, ANALYZE, LOCK TABLE.

use sql_exec::sink::ResultSink;
use sql_parse::{Analyze, LockTable, Name, Vacuum};
use sql_values::error::{SqlError, SqlResult};

use super::{Run, Tag};
use crate::session::Session;

impl Run for Vacuum {
    async fn run(&self, session: &mut Session, _: &mut dyn ResultSink) -> SqlResult<Tag> {
        // Nothing is ever written over: there is nothing to clean, and no statistics yet.
        session.forbid_transaction("VACUUM")?;
        session.check_tables(&self.tables).await?;
        Ok("VACUUM".into())
    }
}

impl Run for Analyze {
    async fn run(&self, session: &mut Session, _: &mut dyn ResultSink) -> SqlResult<Tag> {
        session.check_tables(&self.tables).await?;
        Ok("ANALYZE".into())
    }
}

impl Run for LockTable {
    async fn run(&self, session: &mut Session, _: &mut dyn ResultSink) -> SqlResult<Tag> {
        session.require_transaction("LOCK TABLE")?;
        session.check_tables(&self.tables).await?;
        // Whoever has named a table keeps changes of it away until the transaction ends, by the lease on its schema: that
        // is all that this mode is for.
        if self.mode != "ACCESS SHARE" {
            return Err(SqlError::unsupported(format!("LOCK TABLE IN {} MODE", self.mode)));
        }
        Ok("LOCK TABLE".into())
    }
}

impl Session {
    async fn check_tables(&mut self, tables: &[Name]) -> SqlResult<()> {
        let mut work = self.work()?;
        for name in tables {
            work.find_table(name).await?.ok_or_else(|| crate::work::undefined(name))?;
        }
        Ok(())
    }
}
