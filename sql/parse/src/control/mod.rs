//! Statements that only concern the session. Each is a struct with its `parse`, in the file of its family, and one line in
//! the list below; what it does is a file of the session's, which goes by the same list.

mod maintenance;
mod notification;
mod prepared;
mod settings;
mod transaction;

use sql_values::error::SqlResult;

pub use maintenance::*;
pub use notification::*;
pub use prepared::*;
pub(crate) use settings::set_value;
pub use settings::{Reset, Set, SetValue, Show};
pub use transaction::*;

use super::cursor::Cursor;

/// Hands the list of statements that only concern the session to a macro: each with the first words that it may have. Of
/// those that begin alike, the first that takes the text has it.
#[macro_export]
macro_rules! controls {
    ($with:ident) => {
        $with! {
            Begin: "begin" | "start";
            SetTransaction: "set";
            Commit: "commit" | "end";
            RollbackTo: "rollback" | "abort";
            Rollback: "rollback" | "abort";
            Savepoint: "savepoint";
            Release: "release";
            Set: "set";
            Show: "show";
            Reset: "reset";
            Prepare: "prepare";
            Deallocate: "deallocate";
            Close: "close";
            Discard: "discard";
            Vacuum: "vacuum";
            Analyze: "analyze" | "analyse";
            LockTable: "lock";
            Listen: "listen";
            Unlisten: "unlisten";
            Notify: "notify";
        }
    };
}

macro_rules! declare {
    ($($statement:ident: $($word:literal)|+;)*) => {
        /// Statements that only concern the session: transactions, settings, prepared statements, maintenance.
        #[derive(Clone, Debug)]
        #[allow(missing_docs, reason = "each is the statement of the same name")]
        pub enum Control { $($statement($statement)),* }

        /// Parses one of these, after its first word; none if it is another.
        pub(crate) fn parse(cursor: &mut Cursor<'_>, word: &str) -> SqlResult<Option<Control>> {
            let start = cursor.index;
            $(
                if matches!(word, $($word)|+) {
                    if let Some(statement) = $statement::parse(cursor, word)? {
                        cursor.finish()?;
                        return Ok(Some(Control::$statement(statement)));
                    }
                    cursor.index = start;
                }
            )*
            Ok(None)
        }
    };
}

controls!(declare);
