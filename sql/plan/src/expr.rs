//! Bound expressions. One meaning for batches and for single rows.

use sql_catalog::function::Function;
use sql_values::types::{Datum, SqlType};

use crate::Node;

/// A typed expression without anything left to look up.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    /// A value.
    Const(Datum, SqlType),
    /// A slot of the input row.
    Slot(usize, SqlType),
    /// A slot of the row of an enclosing [`Node::Apply`] or subquery: 0 is the nearest.
    Outer {
        /// How many levels out.
        level: usize,
        /// Which slot there.
        slot: usize,
        /// Its type.
        ty: SqlType,
    },
    /// `$n`, from 0.
    Param(usize, SqlType),
    /// A function, or an operator's.
    Call {
        /// The function.
        function: &'static Function,
        /// Its arguments, cast as needed.
        args: Vec<Expr>,
        /// The type of the result.
        ty: SqlType,
    },
    /// A cast that is not a plain function call: by input and output functions, or of a modifier (length, scale).
    Cast {
        /// What is cast.
        input: Box<Expr>,
        /// To which type.
        ty: SqlType,
        /// Written as a cast: cuts strings, where an assignment refuses.
        explicit: bool,
    },
    /// Three-valued AND; evaluated left to right, stops at false.
    And(Vec<Expr>),
    /// Three-valued OR; evaluated left to right, stops at true.
    Or(Vec<Expr>),
    /// Three-valued NOT.
    Not(Box<Expr>),
    /// IS NULL; never NULL.
    IsNull(Box<Expr>),
    /// IS DISTINCT FROM, with the type's equality function; never NULL.
    IsDistinct {
        /// The equality function.
        equals: &'static Function,
        /// Left and right, of the types that it takes.
        sides: Box<(Expr, Expr)>,
    },
    /// CASE: the first true condition's result. Only what is needed is evaluated.
    Case {
        /// Conditions with results.
        branches: Vec<(Expr, Expr)>,
        /// The result without a true condition; none is NULL.
        otherwise: Option<Box<Expr>>,
        /// The type of all results.
        ty: SqlType,
    },
    /// COALESCE: the first value that is not NULL.
    Coalesce(Vec<Expr>, SqlType),
    /// GREATEST and LEAST: of the values that are not NULL the first that no other beats.
    Extreme {
        /// Values of one type.
        args: Vec<Expr>,
        /// The function that is true when its first argument beats its second: `>` or `<`.
        beats: &'static Function,
        /// Their type.
        ty: SqlType,
    },
    /// `input op ANY (array)` or `ALL`.
    Quantified {
        /// Left side.
        input: Box<Expr>,
        /// The array.
        array: Box<Expr>,
        /// The operator's function, over the element type.
        function: &'static Function,
        /// ALL instead of ANY.
        all: bool,
    },
    /// `input IN (list)`, by the equality function.
    InList {
        /// Left side.
        input: Box<Expr>,
        /// The list, of the same type.
        list: Vec<Expr>,
        /// The equality function.
        equals: &'static Function,
    },
    /// ARRAY[…].
    Array(Vec<Expr>, SqlType),
    /// ROW(…).
    Row(Vec<Expr>),
    /// `array[index]`.
    Subscript(Box<Expr>, Box<Expr>, SqlType),
    /// A subquery as a value. Its plan sees this expression's row at [`Expr::Outer`] level 0.
    Subquery {
        /// What is made of its rows.
        kind: SubqueryKind,
        /// The plan.
        plan: Box<Node>,
        /// The type of the value.
        ty: SqlType,
    },
}

/// What a subquery is worth.
#[derive(Clone, Debug, PartialEq)]
pub enum SubqueryKind {
    /// The only column of the only row, or NULL; more than one row is an error.
    Scalar,
    /// Is there a row?
    Exists,
    /// Is the left side equal (by the function) to a row's only column? With NOT IN's NULLs.
    In {
        /// Left side.
        input: Box<Expr>,
        /// The equality function.
        equals: &'static Function,
    },
    /// The rows' only column as an array.
    Array,
}

/// An aggregate over a group.
#[derive(Clone, Debug, PartialEq)]
pub struct AggregateCall {
    /// The aggregate.
    pub function: &'static Function,
    /// Arguments over the input's slots; none for `count(*)`.
    pub args: Vec<Expr>,
    /// Each distinct argument once.
    pub distinct: bool,
    /// Only rows for which it is true.
    pub filter: Option<Expr>,
    /// The order in which rows are fed (array_agg, string_agg).
    pub order: Vec<SortKey>,
    /// The type of the result.
    pub ty: SqlType,
}

/// A part of an order.
#[derive(Clone, Debug, PartialEq)]
pub struct SortKey {
    /// What to sort by.
    pub expr: Expr,
    /// Greatest first.
    pub descending: bool,
    /// NULLs before all others.
    pub nulls_first: bool,
}

impl Expr {
    /// The type of its value.
    pub fn ty(&self) -> SqlType {
        match self {
            Expr::Const(_, ty)
            | Expr::Slot(_, ty)
            | Expr::Outer { ty, .. }
            | Expr::Param(_, ty)
            | Expr::Call { ty, .. }
            | Expr::Cast { ty, .. }
            | Expr::Case { ty, .. }
            | Expr::Coalesce(_, ty)
            | Expr::Extreme { ty, .. }
            | Expr::Array(_, ty)
            | Expr::Subscript(_, _, ty)
            | Expr::Subquery { ty, .. } => *ty,
            Expr::And(_)
            | Expr::Or(_)
            | Expr::Not(_)
            | Expr::IsNull(_)
            | Expr::IsDistinct { .. }
            | Expr::Quantified { .. }
            | Expr::InList { .. } => SqlType::Bool,
            Expr::Row(_) => SqlType::Record,
        }
    }
}
