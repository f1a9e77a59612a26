//! Changes of the schema, and of whole tables. Each is a struct with its `parse`, in a file, and one line in the list
//! below; what it does is a file of `sql`'s, which goes by the same list.

mod alter_table;
mod column;
mod create_index;
mod create_table;
mod drop;
mod identity;
mod sequence;

use sql_values::error::SqlResult;
use sql_values::stack::Tree;
use sqlparser::ast;

pub use alter_table::{AlterAction, AlterTable};
pub use column::{ColumnSpec, ConstraintKind, ConstraintSpec};
pub use create_index::CreateIndex;
pub use create_table::CreateTable;
pub use drop::{Drop, DropIndex, DropTable, Truncate};
pub use identity::{Generated, IdentityChange};
pub use sequence::{
    AlterSequence, AlterSequenceAction, CreateSequence, DropSequence, OwnedBy, SequenceOption,
};

use super::cursor::Cursor;

/// Hands the list of changes of the schema to a macro: each with its first word. Of those that begin alike, the first that
/// takes the text has it.
#[macro_export]
macro_rules! changes {
    ($with:ident) => {
        $with! {
            CreateTable: "create";
            CreateIndex: "create";
            CreateSequence: "create";
            AlterTable: "alter";
            AlterSequence: "alter";
            DropTable: "drop";
            DropIndex: "drop";
            DropSequence: "drop";
            Truncate: "truncate";
        }
    };
}

macro_rules! declare {
    ($($statement:ident: $word:literal;)*) => {
        /// Changes of the schema, and of whole tables.
        #[derive(Clone, Debug)]
        #[allow(missing_docs, reason = "each is the statement of the same name")]
        pub enum Change { $($statement($statement)),* }

        /// Parses one of these, after its first word; none if it is another.
        pub(crate) fn parse(cursor: &mut Cursor<'_>, word: &str) -> SqlResult<Option<Change>> {
            let start = cursor.index;
            $(
                if word == $word {
                    if let Some(statement) = $statement::parse(cursor, word)? {
                        cursor.finish()?;
                        return Ok(Some(Change::$statement(statement)));
                    }
                    cursor.index = start;
                }
            )*
            Ok(None)
        }
    };
}

changes!(declare);

/// The whole statement as a syntax tree.
fn tree(cursor: &mut Cursor<'_>) -> SqlResult<Tree<ast::Statement>> {
    cursor.index = 0;
    let tree = cursor.source.parse(cursor.rest(), cursor.end, |parser| parser.parse_statement())?;
    cursor.index = cursor.tokens.len();
    Ok(tree)
}
