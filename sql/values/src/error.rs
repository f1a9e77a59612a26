//! Errors as PostgreSQL reports them: a SQLSTATE, a primary message, and where it happened.

use std::fmt;

/// A five-character SQLSTATE.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SqlState(pub &'static str);

macro_rules! states {
    ($($(#[$doc:meta])* $name:ident = $code:literal;)*) => {
        impl SqlState { $($(#[$doc])* pub const $name: SqlState = SqlState($code);)* }
    };
}

states! {
    /// Not an error.
    SUCCESSFUL_COMPLETION = "00000";
    /// A warning.
    WARNING = "01000";
    /// The transaction has not been opened.
    NO_ACTIVE_SQL_TRANSACTION = "25P01";
    /// A transaction is open already.
    ACTIVE_SQL_TRANSACTION = "25001";
    /// The transaction is aborted until its end.
    IN_FAILED_SQL_TRANSACTION = "25P02";
    /// The client was silent in a transaction for too long.
    IDLE_IN_TRANSACTION_SESSION_TIMEOUT = "25P03";
    /// Text that is no name.
    INVALID_NAME = "42602";
    /// Nobody of this name may connect.
    INVALID_AUTHORIZATION_SPECIFICATION = "28000";
    /// A write in a read-only transaction.
    READ_ONLY_SQL_TRANSACTION = "25006";
    /// The statement cannot be done as asked.
    FEATURE_NOT_SUPPORTED = "0A000";
    /// The client broke the protocol.
    PROTOCOL_VIOLATION = "08P01";
    /// More or less than one row where one is wanted.
    CARDINALITY_VIOLATION = "21000";
    /// A string too long for its type.
    STRING_DATA_RIGHT_TRUNCATION = "22001";
    /// A number outside of its type.
    NUMERIC_VALUE_OUT_OF_RANGE = "22003";
    /// A sequence has no further value.
    SEQUENCE_GENERATOR_LIMIT_EXCEEDED = "2200H";
    /// width_bucket with bounds or a count that make no buckets.
    INVALID_ARGUMENT_FOR_WIDTH_BUCKET_FUNCTION = "2201G";
    /// A date or time outside of its type.
    DATETIME_FIELD_OVERFLOW = "22008";
    /// Text that is no date or time.
    INVALID_DATETIME_FORMAT = "22007";
    /// An interval outside of its type.
    INTERVAL_FIELD_OVERFLOW = "22015";
    /// A time zone's offset beyond a day.
    INVALID_TIME_ZONE_DISPLACEMENT_VALUE = "22009";
    /// A logarithm of zero or less.
    INVALID_ARGUMENT_FOR_LOGARITHM = "2201E";
    /// A power that is no real number.
    INVALID_ARGUMENT_FOR_POWER_FUNCTION = "2201F";
    /// A substring of negative length.
    SUBSTRING_ERROR = "22011";
    /// A pattern that ends in its escape character.
    INVALID_ESCAPE_SEQUENCE = "22025";
    /// Text that is no regular expression.
    INVALID_REGULAR_EXPRESSION = "2201B";
    /// A subscript or dimensions that an array cannot have.
    ARRAY_SUBSCRIPT_ERROR = "2202E";
    /// NULL where none may be.
    NULL_VALUE_NOT_ALLOWED = "22004";
    /// Division by zero.
    DIVISION_BY_ZERO = "22012";
    /// A negative LIMIT.
    INVALID_ROW_COUNT_IN_LIMIT = "2201W";
    /// A negative OFFSET.
    INVALID_ROW_COUNT_IN_OFFSET = "2201X";
    /// An argument that a function does not take.
    INVALID_PARAMETER_VALUE = "22023";
    /// Text that is not of the type.
    INVALID_TEXT_REPRESENTATION = "22P02";
    /// Bytes that are not of the type.
    INVALID_BINARY_REPRESENTATION = "22P03";
    /// A COPY line that does not fit.
    BAD_COPY_FILE_FORMAT = "22P04";
    /// Bytes that are not UTF-8.
    CHARACTER_NOT_IN_REPERTOIRE = "22021";
    /// NULL in a column that takes none.
    NOT_NULL_VIOLATION = "23502";
    /// A key exists already.
    UNIQUE_VIOLATION = "23505";
    /// A check is false.
    CHECK_VIOLATION = "23514";
    /// Unknown prepared statement.
    INVALID_SQL_STATEMENT_NAME = "26000";
    /// A cursor that cannot be as it is declared.
    INVALID_CURSOR_DEFINITION = "42P11";
    /// Unknown cursor or portal.
    INVALID_CURSOR_NAME = "34000";
    /// Unknown savepoint.
    INVALID_SAVEPOINT_SPECIFICATION = "3B001";
    /// Unknown database.
    INVALID_CATALOG_NAME = "3D000";
    /// Unknown schema.
    INVALID_SCHEMA_NAME = "3F000";
    /// Run the transaction again.
    SERIALIZATION_FAILURE = "40001";
    /// The outcome is unknown.
    STATEMENT_COMPLETION_UNKNOWN = "40003";
    /// Two transactions waited for each other.
    DEADLOCK_DETECTED = "40P01";
    /// A value for a column that takes none but its own.
    GENERATED_ALWAYS = "428C9";
    /// The text is not a statement.
    SYNTAX_ERROR = "42601";
    /// No permission.
    INSUFFICIENT_PRIVILEGE = "42501";
    /// Not every cast exists.
    CANNOT_COERCE = "42846";
    /// A column outside of GROUP BY.
    GROUPING_ERROR = "42803";
    /// Types that do not fit.
    DATATYPE_MISMATCH = "42804";
    /// A type that cannot be found out.
    INDETERMINATE_DATATYPE = "42P18";
    /// Unknown column.
    UNDEFINED_COLUMN = "42703";
    /// Unknown function or operator.
    UNDEFINED_FUNCTION = "42883";
    /// Unknown table.
    UNDEFINED_TABLE = "42P01";
    /// Unknown parameter.
    UNDEFINED_PARAMETER = "42P02";
    /// Unknown object of another kind.
    UNDEFINED_OBJECT = "42704";
    /// A column twice.
    DUPLICATE_COLUMN = "42701";
    /// A cursor twice.
    DUPLICATE_CURSOR = "42P03";
    /// A prepared statement twice.
    DUPLICATE_PREPARED_STATEMENT = "42P05";
    /// A table twice.
    DUPLICATE_TABLE = "42P07";
    /// A table name twice in FROM.
    DUPLICATE_ALIAS = "42712";
    /// An object of another kind twice.
    DUPLICATE_OBJECT = "42710";
    /// A column name that fits several.
    AMBIGUOUS_COLUMN = "42702";
    /// A parameter with two types.
    AMBIGUOUS_PARAMETER = "42P08";
    /// A call that fits several functions.
    AMBIGUOUS_FUNCTION = "42725";
    /// A column reference that cannot be one.
    INVALID_COLUMN_REFERENCE = "42P10";
    /// A table that cannot be one.
    INVALID_TABLE_DEFINITION = "42P16";
    /// An object of the wrong kind.
    WRONG_OBJECT_TYPE = "42809";
    /// More memory than the statement may have.
    OUT_OF_MEMORY = "53200";
    /// A statement beyond a bound.
    PROGRAM_LIMIT_EXCEEDED = "54000";
    /// More columns than a table or index may have.
    TOO_MANY_COLUMNS = "54011";
    /// More arguments than a function may have.
    TOO_MANY_ARGUMENTS = "54023";
    /// Something else needs the object.
    DEPENDENT_OBJECTS_STILL_EXIST = "2BP01";
    /// A statement nested too deeply.
    STATEMENT_TOO_COMPLEX = "54001";
    /// An object that is not ready for it.
    OBJECT_NOT_IN_PREREQUISITE_STATE = "55000";
    /// Somebody is at it.
    OBJECT_IN_USE = "55006";
    /// A lock that is not to be had in time.
    LOCK_NOT_AVAILABLE = "55P03";
    /// A setting that cannot be changed.
    CANT_CHANGE_RUNTIME_PARAM = "55P02";
    /// Cancelled by the user.
    QUERY_CANCELED = "57014";
    /// The server is stopping.
    ADMIN_SHUTDOWN = "57P01";
    /// The data could not be reached.
    SYSTEM_ERROR = "58000";
    /// What was to be read as of a time is no longer kept.
    SNAPSHOT_TOO_OLD = "72000";
    /// A bug.
    INTERNAL_ERROR = "XX000";
    /// What was read cannot be what was written.
    DATA_CORRUPTED = "XX001";
}

/// An error or a notice, in PostgreSQL's form: the primary message in lower case without a full stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqlError {
    /// The code that programs branch on.
    pub state: SqlState,
    /// The primary message.
    pub message: String,
    /// More about it.
    pub detail: Option<String>,
    /// What the user could do.
    pub hint: Option<String>,
    /// Where in the statement's text, in characters from 1.
    pub position: Option<u32>,
    /// Table, column and constraint that are concerned.
    pub object: Option<Box<ErrorObject>>,
}

/// What an error is about, and where in a command's data; drivers read the constraint's name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErrorObject {
    /// Schema of the table.
    pub schema: Option<String>,
    /// The table.
    pub table: Option<String>,
    /// The column.
    pub column: Option<String>,
    /// The constraint.
    pub constraint: Option<String>,
    /// The line of a COPY, for people.
    pub context: Option<String>,
    /// PostgreSQL's function that reports it, where drivers go by that.
    pub routine: Option<String>,
}

impl SqlError {
    /// An error with nothing but a code and a message.
    pub fn new(state: SqlState, message: impl Into<String>) -> Self {
        SqlError {
            state,
            message: message.into(),
            detail: None,
            hint: None,
            position: None,
            object: None,
        }
    }

    /// With a detail.
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// With a hint.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// With a place in the text, in characters from 1; an earlier one is kept.
    pub fn at(mut self, position: u32) -> Self {
        self.position.get_or_insert(position);
        self
    }

    /// With a place in the text if one is known; an earlier one is kept.
    pub fn at_if(self, position: Option<u32>) -> Self {
        match position {
            Some(position) => self.at(position),
            None => self,
        }
    }

    /// With the objects concerned.
    pub fn about(mut self, object: ErrorObject) -> Self {
        self.object = Some(Box::new(object));
        self
    }

    /// With a place in the data of a command.
    pub fn context(mut self, place: impl Into<String>) -> Self {
        self.object.get_or_insert_default().context = Some(place.into());
        self
    }

    /// Something exists in PostgreSQL, but not here.
    pub fn unsupported(what: impl fmt::Display) -> Self {
        SqlError::new(SqlState::FEATURE_NOT_SUPPORTED, format!("{what} is not supported"))
    }

    /// Its transaction is dead through no fault of its own, and may succeed from its beginning.
    pub fn asks_for_another_attempt(&self) -> bool {
        [SqlState::SERIALIZATION_FAILURE, SqlState::DEADLOCK_DETECTED].contains(&self.state)
    }

    /// As a notice, whether it is more than that. A code of class 00 or 42 is not.
    pub fn is_warning(&self) -> bool {
        !self.state.0.starts_with("00") && !self.state.0.starts_with("42")
    }

    /// A bug: says what was expected.
    pub fn internal(what: impl Into<String>) -> Self {
        SqlError::new(SqlState::INTERNAL_ERROR, what)
    }
}

impl fmt::Display for SqlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.state.0)
    }
}

impl std::error::Error for SqlError {}

/// What may fail as PostgreSQL reports it.
pub type SqlResult<T> = Result<T, SqlError>;
