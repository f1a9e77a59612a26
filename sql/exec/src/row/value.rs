//! Rows as values: columns by number, each with a tag of its representation, so that a reader needs no schema to skip
//! what it does not know.

use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use sql_catalog::descriptor::{ColumnId, TableDescriptor};
use sql_values::error::{SqlError, SqlResult};
use sql_values::types::{Datum, Form, Numeric, SqlType, TypeId};

use super::{VALUE_VERSION, corrupted};

/// Arrays and records nest at most so deep.
const DEPTH_MAX: u8 = 8;

const NULL: u8 = 0;
const FALSE: u8 = 1;
const TRUE: u8 = 2;
const INT2: u8 = 3;
const INT4: u8 = 4;
const INT8: u8 = 5;
const FLOAT4: u8 = 6;
const FLOAT8: u8 = 7;
const NUMERIC: u8 = 8;
const TEXT: u8 = 9;
const BYTEA: u8 = 10;
const DATE: u8 = 11;
const TIME: u8 = 12;
const TIMESTAMP: u8 = 13;
const TIMESTAMPTZ: u8 = 14;
const INTERVAL: u8 = 15;
const UUID: u8 = 16;
const OID: u8 = 17;
const ARRAY: u8 = 18;
const RECORD: u8 = 19;
/// An oid as a number of any length, and bytes with their length before them.
const PACKED: u8 = 20;

/// The value of a row: one datum a column of the table, in its order.
pub fn encode_row(table: &TableDescriptor, row: &[Datum]) -> SqlResult<Bytes> {
    if row.len() != table.columns.len() {
        return Err(SqlError::internal(format!(
            "a row of {} has {} columns instead of {}",
            table.name,
            row.len(),
            table.columns.len()
        )));
    }
    let mut out = BytesMut::with_capacity(16 * row.len() + 1);
    out.put_u8(VALUE_VERSION);
    for (column, value) in table.columns.iter().zip(row) {
        put_varint(&mut out, u64::from(column.id.0));
        put_datum(&mut out, value, DEPTH_MAX)?;
    }
    Ok(out.freeze())
}

/// The columns of a row that are asked for, in that order. None was not there yet when the row was written: it has
/// its default of that time, or NULL.
pub fn decode_columns(bytes: &[u8], wanted: &[ColumnId]) -> SqlResult<Vec<Option<Datum>>> {
    let mut out = vec![None; wanted.len()];
    Wanted::new(wanted).each(bytes, &mut |at, value| {
        out[at] = Some(value.to_datum());
        Ok(())
    })?;
    Ok(out)
}

/// Columns of rows that are asked for.
pub(crate) struct Wanted<'c> {
    columns: &'c [ColumnId],
    /// One of them is asked for more than once.
    twice: bool,
}

impl<'c> Wanted<'c> {
    pub(crate) fn new(columns: &'c [ColumnId]) -> Self {
        let is_again = |(at, column): (usize, &ColumnId)| columns[..at].contains(column);
        Wanted { columns, twice: columns.iter().enumerate().any(is_again) }
    }

    pub(crate) fn len(&self) -> usize {
        self.columns.len()
    }

    /// Shows the columns of a row, each by its place among those that are asked for, in the row's order. Those that the row
    /// lacks are not shown.
    pub(crate) fn each<'b>(
        &self,
        bytes: &'b [u8],
        show: &mut impl FnMut(usize, &Value<'b>) -> SqlResult<()>,
    ) -> SqlResult<()> {
        let mut rest = bytes;
        let version = rest.try_get_u8().map_err(|_| corrupted("a row is empty"))?;
        if version != VALUE_VERSION {
            return Err(corrupted("a row has an unknown version"));
        }
        // Columns lie in the table's order, and are mostly wanted in it.
        let mut likely = 0;
        let mut left = self.columns.len();
        while !rest.is_empty() && (left > 0 || self.twice) {
            let id = u16::try_from(get_varint(&mut rest)?)
                .map_err(|_| corrupted("a row has a column number out of range"))?;
            let is_it = |column: &ColumnId| column.0 == id;
            let at = match self.columns.get(likely).is_some_and(is_it) {
                true => Some(likely),
                false => self.columns.iter().position(is_it),
            };
            let Some(at) = at else {
                skip_datum(&mut rest, DEPTH_MAX)?;
                continue;
            };
            likely = at + 1;
            left = left.saturating_sub(1);
            let value = get_value(&mut rest, DEPTH_MAX)?;
            show(at, &value)?;
            if self.twice {
                for (again, column) in self.columns.iter().enumerate() {
                    if again != at && is_it(column) {
                        show(again, &value)?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// A row: one datum a column of the table. Columns that it lacks have what rows of before have.
pub fn decode_row(table: &TableDescriptor, bytes: &[u8]) -> SqlResult<Vec<Datum>> {
    let wanted: Vec<ColumnId> = table.columns.iter().map(|column| column.id).collect();
    decode_wanted(table, &wanted, bytes)
}

/// Some columns of a row, in the order that they are asked for. As [`decode_row`] for those that it lacks.
pub fn decode_wanted(
    table: &TableDescriptor,
    wanted: &[ColumnId],
    bytes: &[u8],
) -> SqlResult<Vec<Datum>> {
    let found = decode_columns(bytes, wanted)?.into_iter().zip(wanted);
    Ok(found.map(|(value, id)| value.unwrap_or_else(|| missing(table, *id))).collect())
}

/// What rows have in a column that they were written without.
pub(crate) fn missing(table: &TableDescriptor, column: ColumnId) -> Datum {
    let column = table.position(column).map(|position| &table.columns[position]);
    column.and_then(|column| column.missing.clone()).unwrap_or(Datum::Null)
}

/// A value of a row, where it lies: texts are not copied.
pub(crate) enum Value<'b> {
    Null,
    Text(&'b str),
    Bytea(&'b [u8]),
    /// Any other.
    Datum(Datum),
}

impl Value<'_> {
    fn to_datum(&self) -> Datum {
        match self {
            Value::Null => Datum::Null,
            Value::Text(text) => Datum::Text(Arc::from(*text)),
            Value::Bytea(bytes) => Datum::Bytea(Bytes::copy_from_slice(bytes)),
            Value::Datum(datum) => datum.clone(),
        }
    }
}

/// A datum by itself, as it is in rows.
pub fn encode_datum(value: &Datum) -> SqlResult<Bytes> {
    let mut out = BytesMut::new();
    put_datum(&mut out, value, DEPTH_MAX)?;
    Ok(out.freeze())
}

/// See [`encode_datum`].
pub fn decode_datum(mut bytes: &[u8]) -> SqlResult<Datum> {
    let value = get_datum(&mut bytes, DEPTH_MAX)?;
    if bytes.is_empty() { Ok(value) } else { Err(corrupted("a value has a tail")) }
}

/// A datum for as long as an execution lasts: it may be nested as deeply as values are, where rows have a bound.
pub(crate) fn encode_passing(value: &Datum) -> SqlResult<BytesMut> {
    let mut out = BytesMut::with_capacity(16);
    put_datum(&mut out, value, u8::MAX)?;
    Ok(out)
}

/// See [`encode_passing`].
pub(crate) fn decode_passing(mut bytes: &[u8]) -> SqlResult<Datum> {
    get_datum(&mut bytes, u8::MAX)
}

fn put_varint(out: &mut BytesMut, mut value: u64) {
    while value >= 0x80 {
        out.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

/// Small numbers of either sign are short.
fn put_signed(out: &mut BytesMut, value: i64) {
    put_varint(out, (value << 1 ^ value >> 63) as u64);
}

fn put_bytes(out: &mut BytesMut, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.put_slice(bytes);
}

/// `left` is how many levels may be nested yet.
fn put_datum(out: &mut BytesMut, value: &Datum, left: u8) -> SqlResult<()> {
    let mut signed = |tag: u8, value: i64| {
        out.put_u8(tag);
        put_signed(out, value);
    };
    match value {
        Datum::Int2(value) => signed(INT2, i64::from(*value)),
        Datum::Int4(value) => signed(INT4, i64::from(*value)),
        Datum::Int8(value) => signed(INT8, *value),
        Datum::Date(value) => signed(DATE, i64::from(*value)),
        Datum::Time(value) => signed(TIME, *value),
        Datum::Timestamp(value) => signed(TIMESTAMP, *value),
        Datum::TimestampTz(value) => signed(TIMESTAMPTZ, *value),
        Datum::Null => out.put_u8(NULL),
        Datum::Bool(value) => out.put_u8(if *value { TRUE } else { FALSE }),
        Datum::Float4(value) => {
            out.put_u8(FLOAT4);
            out.put_f32(*value);
        }
        Datum::Float8(value) => {
            out.put_u8(FLOAT8);
            out.put_f64(*value);
        }
        Datum::Numeric(value) => {
            out.put_u8(NUMERIC);
            out.put_u16(value.wire_sign());
            out.put_i16(value.weight);
            out.put_u16(value.scale);
            put_varint(out, value.digits.len() as u64);
            value.digits.iter().for_each(|digit| out.put_u16(*digit));
        }
        Datum::Text(text) => {
            out.put_u8(TEXT);
            put_bytes(out, text.as_bytes());
        }
        Datum::Bytea(bytes) => {
            out.put_u8(BYTEA);
            put_bytes(out, bytes);
        }
        Datum::Interval { months, days, micros } => {
            out.put_u8(INTERVAL);
            put_signed(out, i64::from(*months));
            put_signed(out, i64::from(*days));
            put_signed(out, *micros);
        }
        Datum::Uuid(bytes) => {
            out.put_u8(UUID);
            out.put_slice(bytes);
        }
        Datum::Oid(value) => {
            out.put_u8(OID);
            out.put_u32(*value);
        }
        Datum::Packed(ty, bytes) => {
            out.put_u8(PACKED);
            put_varint(out, ty.def().oid.into());
            put_bytes(out, bytes);
        }
        Datum::Array(values) => put_values(out, ARRAY, values, left)?,
        Datum::Record(values) => put_values(out, RECORD, values, left)?,
    }
    Ok(())
}

fn put_values(out: &mut BytesMut, tag: u8, values: &[Datum], left: u8) -> SqlResult<()> {
    if left == 0 {
        return Err(SqlError::unsupported("a value nested more than 8 levels deep"));
    }
    out.put_u8(tag);
    put_varint(out, values.len() as u64);
    values.iter().try_for_each(|value| put_datum(out, value, left - 1))
}

fn short<E>(_: E) -> SqlError {
    corrupted("a row is cut short")
}

fn get_varint(rest: &mut &[u8]) -> SqlResult<u64> {
    let mut out = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = rest.try_get_u8().map_err(short)?;
        let bits = u64::from(byte & 0x7f);
        if shift == 63 && bits > 1 {
            break;
        }
        out |= bits << shift;
        if byte & 0x80 == 0 {
            return Ok(out);
        }
    }
    Err(corrupted("a row has a number of more than 64 bits"))
}

fn get_signed(rest: &mut &[u8]) -> SqlResult<i64> {
    let value = get_varint(rest)?;
    Ok((value >> 1) as i64 ^ -((value & 1) as i64))
}

fn get_fitting<T: TryFrom<i64>>(rest: &mut &[u8]) -> SqlResult<T> {
    T::try_from(get_signed(rest)?).map_err(|_| corrupted("a row has a number out of range"))
}

fn get_bytes<'a>(rest: &mut &'a [u8]) -> SqlResult<&'a [u8]> {
    let len = usize::try_from(get_varint(rest)?).map_err(short)?;
    let (bytes, tail) = rest.split_at_checked(len).ok_or(()).map_err(short)?;
    *rest = tail;
    Ok(bytes)
}

fn get_numeric(rest: &mut &[u8]) -> SqlResult<Numeric> {
    let sign = rest.try_get_u16().map_err(short)?;
    let weight = rest.try_get_i16().map_err(short)?;
    let scale = rest.try_get_u16().map_err(short)?;
    let count = usize::try_from(get_varint(rest)?).map_err(short)?;
    if count > rest.len() / 2 {
        return Err(short(()));
    }
    let digits = (0..count).map(|_| rest.get_u16()).collect();
    Numeric::from_wire(digits, weight, sign, scale)
        .map_err(|_| corrupted("a row has a numeric out of range"))
}

fn get_datum(rest: &mut &[u8], left: u8) -> SqlResult<Datum> {
    match get_value(rest, left)? {
        Value::Datum(datum) => Ok(datum),
        value => Ok(value.to_datum()),
    }
}

fn get_value<'b>(rest: &mut &'b [u8], left: u8) -> SqlResult<Value<'b>> {
    Ok(Value::Datum(match rest.try_get_u8().map_err(short)? {
        NULL => return Ok(Value::Null),
        FALSE => Datum::Bool(false),
        TRUE => Datum::Bool(true),
        INT2 => Datum::Int2(get_fitting(rest)?),
        INT4 => Datum::Int4(get_fitting(rest)?),
        INT8 => Datum::Int8(get_signed(rest)?),
        FLOAT4 => Datum::Float4(rest.try_get_f32().map_err(short)?),
        FLOAT8 => Datum::Float8(rest.try_get_f64().map_err(short)?),
        NUMERIC => Datum::Numeric(get_numeric(rest)?),
        TEXT => {
            let text = std::str::from_utf8(get_bytes(rest)?)
                .map_err(|_| corrupted("a row has text that is not UTF-8"))?;
            return Ok(Value::Text(text));
        }
        BYTEA => return Ok(Value::Bytea(get_bytes(rest)?)),
        DATE => Datum::Date(get_fitting(rest)?),
        TIME => Datum::Time(get_signed(rest)?),
        TIMESTAMP => Datum::Timestamp(get_signed(rest)?),
        TIMESTAMPTZ => Datum::TimestampTz(get_signed(rest)?),
        INTERVAL => Datum::Interval {
            months: get_fitting(rest)?,
            days: get_fitting(rest)?,
            micros: get_signed(rest)?,
        },
        UUID => {
            let mut bytes = [0; 16];
            rest.try_copy_to_slice(&mut bytes).map_err(short)?;
            Datum::Uuid(bytes)
        }
        OID => Datum::Oid(rest.try_get_u32().map_err(short)?),
        PACKED => {
            let oid = u32::try_from(get_varint(rest)?).ok().and_then(SqlType::from_oid);
            let ty = oid.filter(|ty| ty.form() == Form::Packed).and_then(TypeId::of);
            let ty = ty.ok_or_else(|| corrupted("a row has a value of an unknown type"))?;
            Datum::Packed(ty, get_bytes(rest)?.into())
        }
        ARRAY => Datum::Array(get_values(rest, left)?),
        RECORD => Datum::Record(get_values(rest, left)?),
        _ => return Err(corrupted("a row has an unknown tag")),
    }))
}

/// Passes over a datum that nobody wants, without making it. What is within it is not looked at.
fn skip_datum(rest: &mut &[u8], left: u8) -> SqlResult<()> {
    let start = *rest;
    let fixed = match rest.try_get_u8().map_err(short)? {
        NULL | FALSE | TRUE => 0,
        FLOAT4 | OID => 4,
        FLOAT8 => 8,
        UUID => 16,
        INT2 | INT4 | INT8 | DATE | TIME | TIMESTAMP | TIMESTAMPTZ => {
            get_varint(rest)?;
            0
        }
        INTERVAL => {
            for _ in 0..3 {
                get_varint(rest)?;
            }
            0
        }
        TEXT | BYTEA => {
            get_bytes(rest)?;
            0
        }
        // Arrays, records and numbers of many digits are rare enough.
        _ => {
            *rest = start;
            get_datum(rest, left)?;
            0
        }
    };
    *rest = rest.get(fixed..).ok_or(()).map_err(short)?;
    Ok(())
}

fn get_values(rest: &mut &[u8], left: u8) -> SqlResult<Arc<[Datum]>> {
    if left == 0 {
        return Err(corrupted("a row is nested too deeply"));
    }
    let count = usize::try_from(get_varint(rest)?).map_err(short)?;
    // Every element has a byte at least.
    if count > rest.len() {
        return Err(short(()));
    }
    let mut values = Vec::new();
    for _ in 0..count {
        values.push(get_datum(rest, left - 1)?);
    }
    Ok(values.into())
}
