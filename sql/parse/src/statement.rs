//! Statements as the session sees them: queries as syntax trees for the binder, all others with typed fields whose
//! names are still text. Unquoted identifiers are folded to lower case and cut at 63 bytes.

use std::fmt;
use std::sync::Arc;

use sql_values::memory::Reservation;
use sql_values::stack::Tree;
use sqlparser::ast;

use super::place::Places;
use crate::{Change, Control};

/// A statement with its own text.
#[derive(Clone, Debug)]
pub struct Parsed {
    /// The statement's text, without surrounding blanks and the semicolon: the plan cache's key.
    pub text: String,
    /// What it says.
    pub statement: Statement,
    /// The memory of its tree. None where another holds it.
    pub(crate) _held: Option<Held>,
}

/// The memory of a tree, given back with the last copy of it.
#[derive(Clone)]
pub(crate) struct Held {
    _bytes: Arc<Reservation>,
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Held")
    }
}

impl Held {
    pub(crate) fn new(bytes: Reservation) -> Self {
        Held { _bytes: Arc::new(bytes) }
    }
}

/// A possibly schema-qualified name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// The database, if written: [`Name::within`] checks it.
    pub database: Option<String>,
    /// The schema, if written.
    pub schema: Option<String>,
    /// The name.
    pub name: String,
    /// Where it stands, in characters from 1.
    pub position: Option<u32>,
}

/// What a statement says. Each kind is run by one match over all of its statements: one that nobody runs does not
/// compile.
#[derive(Clone, Debug)]
pub enum Statement {
    /// SELECT, VALUES, TABLE, INSERT, UPDATE, DELETE: goes to the binder.
    Query(Box<Query>),
    /// EXPLAIN of a query.
    Explain {
        /// Run it too.
        analyze: bool,
        /// More detail.
        verbose: bool,
        /// The query.
        query: Box<Query>,
    },
    /// COPY.
    Copy(Copy),
    /// EXECUTE.
    Execute {
        /// The prepared statement.
        name: String,
        /// Values of the parameters: expressions for the binder.
        arguments: Vec<Expression>,
    },
    /// DECLARE CURSOR.
    DeclareCursor(DeclareCursor),
    /// FETCH, MOVE.
    Fetch {
        /// The cursor.
        name: String,
        /// Which rows.
        direction: FetchDirection,
        /// Only moves.
        only_move: bool,
    },
    /// DO nothing but check: a statement that exists in PostgreSQL and not here, by name.
    Unsupported(String),
    /// Changes the schema, or what depends on it.
    Change(Change),
    /// Concerns the session alone.
    Control(Control),
}

/// Which kind of query, for command tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueryKind {
    /// SELECT, VALUES, TABLE.
    Select,
    /// INSERT.
    Insert,
    /// UPDATE.
    Update,
    /// DELETE.
    Delete,
}

/// A query's syntax tree with the places of its tokens.
#[derive(Clone, Debug)]
pub struct Query {
    /// What it is on the outside.
    pub kind: QueryKind,
    /// The tree.
    pub ast: Tree<ast::Statement>,
    /// Where its tokens are in the text.
    pub places: Arc<Places>,
}

/// An expression's syntax tree with the places of its tokens.
#[derive(Clone, Debug)]
pub struct Expression {
    /// The tree.
    pub ast: Tree<ast::Expr>,
    /// Where its tokens are in the text.
    pub places: Arc<Places>,
}

/// COPY.
#[derive(Clone, Debug)]
pub struct Copy {
    /// What is copied.
    pub source: CopySource,
    /// FROM STDIN instead of TO STDOUT.
    pub from: bool,
    /// Its options.
    pub options: CopyOptions,
}

/// What COPY copies.
#[derive(Clone, Debug)]
pub enum CopySource {
    /// A table's columns; none means all.
    Table {
        /// The table.
        name: Name,
        /// Its columns.
        columns: Vec<String>,
    },
    /// A query's rows.
    Query(Box<Query>),
}

/// COPY's options, as written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CopyOptions {
    /// `text`, `csv` or `binary`; none is text.
    pub format: Option<String>,
    /// DELIMITER.
    pub delimiter: Option<String>,
    /// NULL.
    pub null: Option<String>,
    /// HEADER.
    pub header: CopyHeader,
    /// FORCE_QUOTE.
    pub force_quote: Option<CopyColumns>,
    /// FORCE_NOT_NULL.
    pub force_not_null: Option<CopyColumns>,
    /// FORCE_NULL.
    pub force_null: Option<CopyColumns>,
    /// QUOTE.
    pub quote: Option<String>,
    /// ESCAPE.
    pub escape: Option<String>,
    /// ENCODING.
    pub encoding: Option<String>,
    /// FREEZE: accepted, and means nothing here.
    pub freeze: bool,
}

/// Whether COPY's first line has the columns' names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CopyHeader {
    /// It is data.
    #[default]
    None,
    /// It has.
    Names,
    /// It has, and they must be the columns'.
    Match,
}

/// Columns that an option of COPY is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CopyColumns {
    /// All of them.
    All,
    /// Those of these names.
    These(Vec<String>),
}

/// DECLARE CURSOR.
#[derive(Clone, Debug)]
pub struct DeclareCursor {
    /// Its name.
    pub name: String,
    /// WITH HOLD: outlives the transaction.
    pub hold: bool,
    /// May go backward: SCROLL (true), NO SCROLL (false), or not said.
    pub scroll: Option<bool>,
    /// BINARY.
    pub binary: bool,
    /// INSENSITIVE, which every cursor is.
    pub insensitive: bool,
    /// The query, with its own text.
    pub query: Box<Parsed>,
}

/// Which rows FETCH gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FetchDirection {
    /// So many forward; negative is backward, zero is the present row.
    Relative(i64),
    /// All forward.
    All,
    /// All backward.
    BackwardAll,
    /// The row with this number; negative counts from the end (FIRST is 1, LAST is -1).
    Absolute(i64),
    /// The row so far from here.
    RelativeRow(i64),
}
