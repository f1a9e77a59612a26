//! DROP TABLE and TRUNCATE.

use sql_catalog::descriptor::{Object, ObjectKind};
use sql_parse::{Drop, DropTable, Name, Truncate};
use sql_values::error::{SqlError, SqlResult, SqlState};

use super::depend::Doomed;
use super::{Done, Run, notice};
use crate::catalog::links;
use crate::work::{Work, undefined};

impl Run for DropTable {
    const NAME: &str = "DROP TABLE";

    async fn run(&self, work: &mut Work<'_>) -> SqlResult<Done> {
        work.drop_tables(&self.0).await
    }
}

impl Run for Truncate {
    const NAME: &str = "TRUNCATE TABLE";

    async fn run(&self, work: &mut Work<'_>) -> SqlResult<Done> {
        work.truncate(&self.tables, self.restart_identity).await
    }
}

impl Work<'_> {
    /// DROP TABLE.
    async fn drop_tables(&mut self, drop: &Drop) -> SqlResult<Done> {
        let mut notices = Vec::new();
        let mut doomed = Doomed::default();
        for name in &drop.names {
            let found = self.find_table(name).await?;
            if found.is_none_or(|found| found.sequence().is_some()) {
                self.check_kind(name, ObjectKind::Table).await?;
                if !drop.if_exists {
                    let text = format!("table \"{}\" does not exist", name.name);
                    return Err(SqlError { message: text, ..undefined(name) });
                }
                notices.push(notice(format!("table \"{}\" does not exist, skipping", name.name)));
                continue;
            }
            doomed.named.push(self.stored_table(name).await?);
        }
        notices.extend(self.drop_all(doomed, drop.cascade).await?);
        Ok(("DROP TABLE".into(), notices))
    }

    /// TRUNCATE. The tables stay as they are, so no gate is needed: it is a deletion of all rows.
    async fn truncate(&mut self, tables: &[Name], restart: bool) -> SqlResult<Done> {
        for name in tables {
            if self.find_table(name).await?.is_none() {
                let checked = self.check_kind(name, ObjectKind::Table).await;
                checked.map_err(|error| SqlError { hint: None, ..error })?;
            }
            let table = self.stored_table(name).await?;
            self.clear_table(&table).await?;
            if restart {
                for (_, sequence) in links::owned(&mut self.open.txn, table.id).await? {
                    self.restart_sequence(sequence).await?;
                }
            }
        }
        Ok(("TRUNCATE TABLE".into(), Vec::new()))
    }

    /// 42809 if what has the name is something else.
    pub(super) async fn check_kind(&mut self, name: &Name, wanted: ObjectKind) -> SqlResult<()> {
        let Some(Object { kind, .. }) = self.find_object(name).await? else { return Ok(()) };
        if kind == wanted {
            return Ok(());
        }
        let text = format!("\"{}\" is not {}", name.name, wanted.noun());
        let hint = format!("Use DROP {} to remove {}.", kind.keyword(), kind.noun());
        Err(SqlError::new(SqlState::WRONG_OBJECT_TYPE, text).hint(hint))
    }
}
