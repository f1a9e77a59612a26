//! Type names.

use sql_values::error::{SqlError, SqlResult, SqlState};
use sql_values::types::{IntervalModifier, MAX_TIME_DIGITS, SqlType};
use sqlparser::ast::{
    self, ArrayElemTypeDef, CharacterLength, DataType, ExactNumberInfo, IntervalFields,
    TimezoneInfo,
};

use super::name;

/// The type that a name means. A length or precision that the type cannot have is an error.
pub fn resolve(ty: &DataType) -> SqlResult<SqlType> {
    Ok(match ty {
        DataType::Double(ExactNumberInfo::None) => SqlType::Float8,
        DataType::Float(info) => float(info)?,
        DataType::Numeric(info) | DataType::Decimal(info) | DataType::Dec(info) => {
            SqlType::Numeric(numeric(info)?)
        }
        DataType::Varchar(length)
        | DataType::CharVarying(length)
        | DataType::CharacterVarying(length) => SqlType::Varchar(self::length(length, "varchar")?),
        DataType::Char(length) | DataType::Character(length) => {
            SqlType::Char(Some(self::length(length, "char")?.unwrap_or(1)))
        }
        DataType::Time(precision, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => {
            SqlType::Time(digits(*precision))
        }
        DataType::Timestamp(precision, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => {
            SqlType::Timestamp(digits(*precision))
        }
        DataType::Timestamp(precision, TimezoneInfo::WithTimeZone | TimezoneInfo::Tz) => {
            SqlType::TimestampTz(digits(*precision))
        }
        DataType::Interval { fields, precision } => interval(fields.as_ref(), *precision),
        DataType::Array(
            ArrayElemTypeDef::SquareBracket(inner, _) | ArrayElemTypeDef::Qualified(inner, _),
        ) => {
            let mut inner = inner;
            // int[][] is int[] in PostgreSQL; here values have one dimension.
            while let DataType::Array(ArrayElemTypeDef::SquareBracket(deeper, _)) = &**inner {
                inner = deeper;
            }
            let element = resolve(inner)?;
            element
                .array_of()
                .ok_or_else(|| SqlError::unsupported(format!("an array of {}", ty_text(inner))))?
        }
        DataType::Custom(name, modifiers) => custom(name, modifiers)?,
        DataType::JSON
        | DataType::JSONB
        | DataType::Bit(_)
        | DataType::BitVarying(_)
        | DataType::VarBit(_)
        | DataType::Time(..)
        | DataType::TsVector
        | DataType::TsQuery => {
            return Err(SqlError::unsupported(format!("type {}", ty_text(ty))));
        }
        // What else sqlparser has a word of its own for.
        other => {
            let name = ty_text(other);
            SqlType::from_name(&name).ok_or_else(|| undefined(&name))?
        }
    })
}

fn ty_text(ty: &DataType) -> String {
    ty.to_string().to_ascii_lowercase()
}

fn undefined(name: &str) -> SqlError {
    SqlError::new(SqlState::UNDEFINED_OBJECT, format!("type \"{name}\" does not exist"))
}

/// Digits of fractional seconds: more than six are six, as in PostgreSQL, which warns.
fn digits(precision: Option<u64>) -> Option<u8> {
    precision.map(|digits| digits.min(MAX_TIME_DIGITS.into()) as u8)
}

/// An interval with some of its fields and a precision.
pub fn interval(fields: Option<&IntervalFields>, precision: Option<u64>) -> SqlType {
    use sql_values::types::IntervalFields as Own;
    let fields = match fields {
        None => Own::ALL,
        Some(IntervalFields::Year) => Own::YEAR,
        Some(IntervalFields::Month) => Own::MONTH,
        Some(IntervalFields::Day) => Own::DAY,
        Some(IntervalFields::Hour) => Own::HOUR,
        Some(IntervalFields::Minute) => Own::MINUTE,
        Some(IntervalFields::Second) => Own::SECOND,
        Some(IntervalFields::YearToMonth) => Own::YEAR | Own::MONTH,
        Some(IntervalFields::DayToHour) => Own::DAY | Own::HOUR,
        Some(IntervalFields::DayToMinute) => Own::DAY | Own::HOUR | Own::MINUTE,
        Some(IntervalFields::DayToSecond) => Own::DAY | Own::HOUR | Own::MINUTE | Own::SECOND,
        Some(IntervalFields::HourToMinute) => Own::HOUR | Own::MINUTE,
        Some(IntervalFields::HourToSecond) => Own::HOUR | Own::MINUTE | Own::SECOND,
        Some(IntervalFields::MinuteToSecond) => Own::MINUTE | Own::SECOND,
    };
    SqlType::Interval(IntervalModifier::new(fields, digits(precision)))
}

fn float(info: &ExactNumberInfo) -> SqlResult<SqlType> {
    match info {
        ExactNumberInfo::None => Ok(SqlType::Float8),
        ExactNumberInfo::Precision(1..=24) => Ok(SqlType::Float4),
        ExactNumberInfo::Precision(25..=53) => Ok(SqlType::Float8),
        ExactNumberInfo::Precision(0) => Err(SqlError::new(
            SqlState::INVALID_PARAMETER_VALUE,
            "precision for type float must be at least 1 bit",
        )),
        _ => Err(SqlError::new(
            SqlState::INVALID_PARAMETER_VALUE,
            "precision for type float must be less than 54 bits",
        )),
    }
}

fn numeric(info: &ExactNumberInfo) -> SqlResult<Option<(u16, i16)>> {
    let (precision, scale) = match info {
        ExactNumberInfo::None => return Ok(None),
        ExactNumberInfo::Precision(precision) => (*precision, 0),
        ExactNumberInfo::PrecisionAndScale(precision, scale) => (*precision, *scale),
    };
    if !(1..=1000).contains(&precision) {
        return Err(SqlError::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("NUMERIC precision {precision} must be between 1 and 1000"),
        ));
    }
    if !(-1000..=1000).contains(&scale) {
        return Err(SqlError::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("NUMERIC scale {scale} must be between -1000 and 1000"),
        ));
    }
    Ok(Some((precision as u16, scale as i16)))
}

fn length(length: &Option<CharacterLength>, ty: &str) -> SqlResult<Option<u32>> {
    let length = match length {
        None => return Ok(None),
        Some(CharacterLength::IntegerLength { length, .. }) => *length,
        Some(CharacterLength::Max) => return Err(undefined("max")),
    };
    checked_length(length, ty).map(Some)
}

fn checked_length(length: u64, ty: &str) -> SqlResult<u32> {
    let what = match length {
        0 => format!("length for type {ty} must be at least 1"),
        1..=10_485_760 => return Ok(length as u32),
        _ => format!("length for type {ty} cannot exceed 10485760"),
    };
    Err(SqlError::new(SqlState::INVALID_PARAMETER_VALUE, what))
}

/// Names of types that PostgreSQL has, of which some are not here: those are not implemented, rather than unknown.
const POSTGRESQLS: [&str; 9] =
    ["json", "jsonb", "timetz", "inet", "cidr", "money", "xml", "point", "macaddr"];

/// The integer type that a serial one stands for, as the type of a column: it is none anywhere else.
pub fn serial(ty: &DataType) -> SqlResult<Option<SqlType>> {
    let (ty, is_array) = match ty {
        DataType::Array(
            ArrayElemTypeDef::SquareBracket(inner, _)
            | ArrayElemTypeDef::AngleBracket(inner)
            | ArrayElemTypeDef::Parenthesis(inner),
        ) => (&**inner, true),
        ty => (ty, false),
    };
    let DataType::Custom(name, _) = ty else { return Ok(None) };
    let ty = match name::parts(name)?.as_slice() {
        [name] => match name.as_str() {
            "smallserial" | "serial2" => SqlType::Int2,
            "serial" | "serial4" => SqlType::Int4,
            "bigserial" | "serial8" => SqlType::Int8,
            _ => return Ok(None),
        },
        _ => return Ok(None),
    };
    match is_array {
        true => {
            let text = "array of serial is not implemented";
            Err(SqlError::new(SqlState::FEATURE_NOT_SUPPORTED, text))
        }
        false => Ok(Some(ty)),
    }
}

/// Names that sqlparser does not know as types.
fn custom(name: &ast::ObjectName, modifiers: &[String]) -> SqlResult<SqlType> {
    let parts = name::parts(name)?;
    let Some(last) = parts.last() else { return Err(undefined("")) };
    if parts.len() > 1 && parts.first().map(String::as_str) != Some("pg_catalog") {
        return Err(undefined(&parts.join(".")));
    }
    let quoted = matches!(name.0.last(),
        Some(ast::ObjectNamePart::Identifier(ident)) if ident.quote_style.is_some());
    let number =
        |index: usize| modifiers.get(index).and_then(|text| text.trim().parse::<i64>().ok());
    let text_length = |ty: &str| match number(0) {
        None => Ok(None),
        Some(length) => checked_length(length.max(0) as u64, ty).map(Some),
    };
    if let Some(element) = last.strip_prefix('_')
        && let Some(array) = SqlType::from_name(element).and_then(SqlType::array)
    {
        return Ok(array);
    }
    Ok(match last.as_str() {
        "char" if quoted || parts.len() > 1 => SqlType::InternalChar,
        "bpchar" => SqlType::Char(text_length("char")?),
        "varchar" => SqlType::Varchar(text_length("varchar")?),
        "numeric" | "decimal" => SqlType::Numeric(match (number(0), number(1)) {
            (None, _) => None,
            (Some(p), scale) => {
                numeric(&ExactNumberInfo::PrecisionAndScale(p.max(0) as u64, scale.unwrap_or(0)))?
            }
        }),
        other => SqlType::from_name(other).ok_or_else(|| match POSTGRESQLS.contains(&other) {
            true => SqlError::unsupported(format!("type {other}")),
            false => undefined(&parts.join(".")),
        })?,
    })
}
