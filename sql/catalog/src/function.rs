//! What can be called: functions, operators, casts and aggregates, as the binder resolves them, the executor runs them,
//! and `pg_catalog` shows them. With PostgreSQL's names and OIDs.
//!
//! What they do is said elsewhere (`sql-functions`), which hands in its tables as a [`Registry`]: nothing that plans or
//! runs statements is built anew when a function's body changes.

mod registry;

use std::fmt;

pub use registry::{Builtins, CastValue, Defaults, Output, Registry};

use sql_values::error::{SqlError, SqlResult, SqlState};
use sql_values::interrupt::Interrupt;
use sql_values::memory::{Pool, SMALL_BYTES};
use sql_values::types::{ARRAY_LEN_MAX, Datum, SqlType, TextFormat, TextStyle, Zone};

use crate::CatalogView;

/// Bytes that a value has at most: PostgreSQL's bound of an allocation.
pub const VALUE_LEN_MAX: usize = 0x3fff_ffff;

/// How freely a call may be moved or repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Volatility {
    /// The same arguments always give the same result: may be folded when planning.
    Immutable,
    /// The same within a statement.
    Stable,
    /// Every call counts.
    Volatile,
}

/// What functions may ask of the session, and do to it.
pub trait SessionState: Sync {
    /// A setting's value, as SHOW gives it.
    fn setting(&self, name: &str) -> Option<String>;
    /// Changes a setting when the statement is done, until the end of the transaction if `local`. Whether it takes the
    /// value is found out then.
    fn change_setting(&self, name: &str, value: &str, local: bool) -> SqlResult<()>;
}

/// Where there is no session: while constants are computed, and in tests.
pub struct NoSession;

impl SessionState for NoSession {
    fn setting(&self, _: &str) -> Option<String> {
        None
    }

    fn change_setting(&self, name: &str, _: &str, _: bool) -> SqlResult<()> {
        Err(SqlError::internal(format!("there is no session to change {name} of")))
    }
}

/// What a call may ask of its surroundings: never the operating system.
#[derive(Clone, Copy)]
pub struct EvalContext<'a> {
    /// When the statement began, in microseconds since 2000-01-01 UTC.
    pub statement_time: i64,
    /// When the transaction began.
    pub transaction_time: i64,
    /// The wall clock now (`clock_timestamp`).
    pub clock: &'a (dyn Fn() -> i64 + Sync),
    /// 64 random bits (`random`, `gen_random_uuid`).
    pub random: &'a (dyn Fn() -> u64 + Sync),
    /// The session's time zone, as an IANA name.
    pub time_zone: &'a str,
    /// What the session chooses of how values look as text.
    pub style: TextStyle,
    /// The catalog (`regclass`, `pg_table_is_visible`, `current_schema`).
    pub catalog: &'a dyn CatalogView,
    /// What can be called, and how values are cast.
    pub functions: &'static Registry,
    /// The session (`current_setting`, `set_config`).
    pub session: &'a dyn SessionState,
    /// The number of the session's connection (`pg_backend_pid`); zero is none.
    pub backend_pid: i32,
    /// Stops the statement; counts what functions do.
    pub interrupt: &'a Interrupt,
    /// The statement's memory, for what functions make.
    pub memory: &'a Pool,
}

impl EvalContext<'_> {
    /// Counts work of a loop that does not end soon. Fails if the statement was asked to stop.
    pub fn spend(&self, units: usize) -> SqlResult<()> {
        self.interrupt.spend(u32::try_from(units).unwrap_or(u32::MAX / 2))
    }

    /// Counts the bytes of a value that is about to be made. What does not fit in a statement fails with 53200, what is
    /// longer than any value may be with 54000.
    pub fn reserve(&self, bytes: usize) -> SqlResult<()> {
        if bytes <= SMALL_BYTES {
            return Ok(());
        }
        if bytes > VALUE_LEN_MAX {
            let text = "requested length too large";
            return Err(SqlError::new(SqlState::PROGRAM_LIMIT_EXCEEDED, text));
        }
        self.memory.add_scratch(bytes)?;
        self.interrupt.spend_bytes(bytes)
    }

    /// Counts a further piece of a value that grows.
    pub fn reserve_piece(&self, bytes: usize) -> SqlResult<()> {
        self.memory.add_scratch(bytes)?;
        self.interrupt.spend_bytes(bytes)
    }

    /// The same for so many elements of an array.
    pub fn reserve_elements(&self, count: usize) -> SqlResult<()> {
        if count > ARRAY_LEN_MAX {
            let text = format!("array size exceeds the maximum allowed ({ARRAY_LEN_MAX})");
            return Err(SqlError::new(SqlState::PROGRAM_LIMIT_EXCEEDED, text));
        }
        // Twice: most arrays are made of a vector.
        let bytes = count.saturating_mul(2 * size_of::<Datum>());
        if bytes <= SMALL_BYTES {
            return Ok(());
        }
        self.memory.add_scratch(bytes)?;
        self.interrupt.spend_bytes(bytes)
    }

    /// The session's time zone.
    pub fn zone(&self) -> Zone {
        Zone::of_setting(self.time_zone).unwrap_or(Zone::UTC)
    }

    /// What text of values depends on.
    pub fn text_format(&self) -> TextFormat {
        TextFormat { zone: self.zone(), now: self.transaction_time, style: self.style }
    }

    /// Casts a value as a plan's cast means it. NULL stays NULL.
    pub fn cast(
        &self,
        value: Datum,
        from: SqlType,
        to: SqlType,
        explicit: bool,
    ) -> SqlResult<Datum> {
        (self.functions.cast_value())(self, value, from, to, explicit)
    }

    /// A value of a type as text; `reg` types show names.
    pub fn output(&self, ty: SqlType, value: &Datum) -> SqlResult<String> {
        (self.functions.output())(self, ty, value)
    }
}

/// A scalar function's body. Strict functions are never called with a NULL.
pub type ScalarFn = fn(&EvalContext<'_>, &[Datum]) -> SqlResult<Datum>;

/// What a call asks of a sequence, by its oid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SequenceRequest {
    /// The next value (`nextval`).
    Next(u32),
    /// The value that this session has taken last (`currval`).
    Current(u32),
    /// That of the sequence from which this session has taken a value last (`lastval`).
    Latest,
    /// To stand at a value, which has been taken or not (`setval`).
    Set {
        /// The sequence.
        id: u32,
        /// The value.
        value: i64,
        /// The next one is that after it.
        is_called: bool,
    },
    /// The last value that anybody has taken; NULL if nobody has (`pg_sequence_last_value`).
    Last(u32),
}

/// A body that asks something of a sequence, which only whoever runs the statement can answer.
pub type SequenceFn = fn(&EvalContext<'_>, &[Datum]) -> SqlResult<SequenceRequest>;

/// A set-returning function's body: it makes its rows when they are asked for, each in little time.
pub type SetFn = fn(&EvalContext<'_>, &[Datum]) -> SqlResult<SetRows>;

/// Rows of a set-returning function that are still to come. An error ends them.
pub type SetRows = Box<dyn Iterator<Item = SqlResult<Vec<Datum>>> + Send + Sync>;

/// A running aggregate over one group.
pub trait Accumulator: Send {
    /// Takes the arguments of one row.
    fn add(&mut self, ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<()>;
    /// The result; the group is done.
    fn finish(&mut self, ctx: &EvalContext<'_>) -> SqlResult<Datum>;
    /// About the bytes that it holds outside of itself.
    fn held(&self) -> usize {
        0
    }
}

/// What a function does.
#[derive(Clone, Copy)]
pub enum Body {
    /// One value.
    Scalar(ScalarFn),
    /// Rows, with the names of their columns.
    Set(SetFn, &'static [&'static str]),
    /// One value, which is asked of a sequence. Every call is volatile.
    Sequence(SequenceFn),
    /// One value a group.
    Aggregate(fn() -> Box<dyn Accumulator>),
}

/// A parameter's or result's type, as `pg_proc` has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParamType {
    /// This type.
    Exact(SqlType),
    /// `anyelement`: all of them in a signature are the same.
    AnyElement,
    /// `anyarray`: an array of the `anyelement`.
    AnyArray,
    /// `anynonarray`: an `anyelement` that is no array.
    AnyNonArray,
    /// `anycompatible`: what all of them in a signature have in common.
    AnyCompatible,
    /// `anycompatiblearray`: an array of the `anycompatible`.
    AnyCompatibleArray,
    /// `"any"`.
    Any,
}

/// A function or aggregate.
#[derive(Clone, Copy)]
pub struct Function {
    /// Its oid in `pg_proc`.
    pub oid: u32,
    /// Its name.
    pub name: &'static str,
    /// Types of its arguments.
    pub args: &'static [ParamType],
    /// The last argument may be repeated.
    pub variadic: bool,
    /// Type of its result; of a set of one column, that column's; of several, record.
    pub result: ParamType,
    /// A NULL argument gives NULL without a call.
    pub strict: bool,
    /// How freely it may be moved.
    pub volatility: Volatility,
    /// What it does.
    pub body: Body,
    /// What does the same over whole columns, if anything can.
    pub kernel: Option<Kernel>,
}

/// What a function of two arguments does, where that is what the representation of its arguments says: a plain order, or
/// arithmetic of integers with errors beyond their bounds. An executor of columns may compute it in its own way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernel {
    /// `=`
    Equal,
    /// `<>`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterEqual,
    /// `+`
    Add,
    /// `-`
    Subtract,
    /// `*`
    Multiply,
    /// `/`
    Divide,
}

/// A function is its oid: no two share one.
impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        self.oid == other.oid
    }
}

impl Eq for Function {}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({})", self.name, self.oid)
    }
}

impl Function {
    /// A kernel may compute it.
    pub const fn kernel(self, kernel: Kernel) -> Self {
        Function { kernel: Some(kernel), ..self }
    }

    /// The same within a statement.
    pub const fn stable(self) -> Self {
        Function { volatility: Volatility::Stable, ..self }
    }

    /// Every call counts.
    pub const fn volatile(self) -> Self {
        Function { volatility: Volatility::Volatile, ..self }
    }

    /// It is called with NULLs too.
    pub const fn lenient(self) -> Self {
        Function { strict: false, ..self }
    }

    /// Its last argument may be repeated.
    pub const fn variadic(self) -> Self {
        Function { variadic: true, ..self }
    }
}

/// An operator: a name for a function of one or two arguments.
#[derive(Clone, Copy, Debug)]
pub struct Operator {
    /// Its oid in `pg_operator`.
    pub oid: u32,
    /// Its name: `+`, `~~`.
    pub name: &'static str,
    /// Left type; none for a prefix operator.
    pub left: Option<ParamType>,
    /// Right type.
    pub right: ParamType,
    /// Result type.
    pub result: ParamType,
    /// The function.
    pub function: u32,
    /// The operator with sides exchanged, by oid; zero if none.
    pub commutator: u32,
    /// The operator with the opposite result, by oid; zero if none.
    pub negator: u32,
}

/// When a cast may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CastContext {
    /// Wherever types do not fit.
    Implicit,
    /// On storing into a column.
    Assignment,
    /// Only where it is written.
    Explicit,
}

/// How a cast is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CastMethod {
    /// By a function.
    Function(u32),
    /// The representation is the same.
    Binary,
    /// By output and input functions.
    InOut,
}

/// An entry of `pg_cast`.
#[derive(Clone, Copy, Debug)]
pub struct Cast {
    /// From this type, without modifier.
    pub from: SqlType,
    /// To this type, without modifier.
    pub to: SqlType,
    /// When.
    pub context: CastContext,
    /// How.
    pub method: CastMethod,
}
