//! Statements that only concern the session: transaction control, settings, prepared statements. Each is an `impl Run`, in
//! the file of its family; which there are, [`sql_parse::controls`] lists: one that nobody runs does not compile.

mod maintenance;
mod notification;
mod prepared;
mod settings;
mod transaction;

use std::borrow::Cow;

use sql_exec::sink::ResultSink;
use sql_parse::Control;
use sql_plan::OutputColumn;
use sql_values::error::{SqlError, SqlResult, SqlState};

use super::Session;
use crate::work::transaction::{Open, State};

/// What a client is told of a statement that is done.
pub(super) type Tag = Cow<'static, str>;

/// A statement that only concerns the session.
trait Run {
    /// Runs it.
    async fn run(&self, session: &mut Session, sink: &mut dyn ResultSink) -> SqlResult<Tag>;

    /// It ends a block that has failed, or goes back in it (T2 of `work::transaction`).
    fn ends_failed_block(&self) -> bool {
        false
    }

    /// A transaction that only ran this may begin anew.
    fn leaves_no_trace(&self) -> bool {
        false
    }

    /// The columns of its rows, if it gives such.
    fn columns(&self) -> Option<Vec<OutputColumn>> {
        None
    }
}

macro_rules! dispatch {
    ($($statement:ident: $($word:literal)|+;)*) => {
        impl Session {
            /// Statements that only concern the session.
            pub(super) async fn control(
                &mut self,
                control: &Control,
                sink: &mut dyn ResultSink,
            ) -> SqlResult<Tag> {
                match control {
                    $(Control::$statement(statement) => statement.run(self, sink).await,)*
                }
            }
        }

        /// See [`Run::ends_failed_block`].
        pub(super) fn ends_failed_block(control: &Control) -> bool {
            match control { $(Control::$statement(statement) => statement.ends_failed_block(),)* }
        }

        /// See [`Run::leaves_no_trace`].
        pub(super) fn leaves_no_trace(control: &Control) -> bool {
            match control { $(Control::$statement(statement) => statement.leaves_no_trace(),)* }
        }

        /// See [`Run::columns`].
        pub(super) fn columns(control: &Control) -> Option<Vec<OutputColumn>> {
            match control { $(Control::$statement(statement) => statement.columns(),)* }
        }
    };
}

sql_parse::controls!(dispatch);

impl Session {
    fn in_block(&self) -> bool {
        matches!(&self.state, State::Open(open) if open.explicit)
    }

    /// The open block, or 25P01.
    fn block(&mut self, what: &str) -> SqlResult<&mut Open> {
        match &mut self.state {
            State::Open(open) if open.explicit => Ok(open),
            _ => Err(only_in_blocks(what)),
        }
    }

    /// 25P01 outside of a block; a text of several statements is one.
    pub(in crate::session) fn require_transaction(&self, what: &str) -> SqlResult<()> {
        if self.in_block() || self.in_text { Ok(()) } else { Err(only_in_blocks(what)) }
    }

    /// 25001 within a block, a text of several statements, or a batch of the extended protocol that has begun.
    pub(in crate::session) fn forbid_transaction(&self, what: &str) -> SqlResult<()> {
        let is_begun = matches!(&self.state, State::Open(open) if open.statements > 0);
        let text = if self.in_block() || self.in_text {
            format!("{what} cannot run inside a transaction block")
        } else if is_begun {
            format!("{what} cannot be executed within a pipeline")
        } else {
            return Ok(());
        };
        Err(SqlError::new(SqlState::ACTIVE_SQL_TRANSACTION, text))
    }

    /// Tells a notice, if the client wants to hear it (`client_min_messages`).
    pub(in crate::session) fn notify(
        &self,
        notice: SqlError,
        sink: &mut dyn ResultSink,
    ) -> SqlResult<()> {
        match self.settings.wants(&notice) {
            true => sink.notice(notice),
            false => Ok(()),
        }
    }
}

fn only_in_blocks(what: &str) -> SqlError {
    let text = format!("{what} can only be used in transaction blocks");
    SqlError::new(SqlState::NO_ACTIVE_SQL_TRANSACTION, text)
}
