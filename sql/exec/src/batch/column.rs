//! Columns: SQL types as Arrow types, by the form that they keep values in.
//!
//! | SQL | Arrow | meaning |
//! |---|---|---|
//! | boolean | Boolean | |
//! | smallint, integer, bigint | Int16, Int32, Int64 | |
//! | real, double precision | Float32, Float64 | |
//! | text, varchar, character, name, "char", unknown, void | Utf8 | as the datum has it (character: padded) |
//! | bytea | Binary | |
//! | date | Int32 | days since 2000-01-01, not Arrow's Date32, whose epoch is another |
//! | time, timestamp, timestamptz | Int64 | microseconds as the datum has them, infinities included |
//! | oid, regclass and its kin | UInt32 | |
//! | numeric, interval, uuid, packed types, arrays, records | Binary | as values lie in rows |

use std::sync::Arc;

use arrow_array::builder::{
    ArrayBuilder, BinaryBuilder, BooleanBuilder, PrimitiveBuilder, StringBuilder,
};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type, Int16Type, Int32Type, Int64Type, UInt32Type};
use arrow_array::{Array, ArrayRef};
use bytes::Bytes;
use sql_values::error::{SqlError, SqlResult};
use sql_values::types::{Datum, Form, SqlType};

use crate::row::{Value, decode_passing, encode_passing};

/// What a column of a type is kept as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    Bool,
    Int16,
    Int32,
    Int64,
    Float32,
    Float64,
    UInt32,
    Utf8,
    Binary,
    Encoded,
}

pub(crate) fn layout(ty: SqlType) -> Layout {
    match ty.form() {
        Form::Bool => Layout::Bool,
        Form::Int2 => Layout::Int16,
        Form::Int4 | Form::Date => Layout::Int32,
        Form::Int8 | Form::Time | Form::Timestamp | Form::TimestampTz => Layout::Int64,
        Form::Float4 => Layout::Float32,
        Form::Float8 => Layout::Float64,
        Form::Oid => Layout::UInt32,
        Form::Text | Form::Padded => Layout::Utf8,
        Form::Bytea => Layout::Binary,
        Form::Numeric | Form::Interval | Form::Uuid | Form::Packed | Form::Array | Form::Record => {
            Layout::Encoded
        }
    }
}

enum Builder {
    Bool(BooleanBuilder),
    Int16(PrimitiveBuilder<Int16Type>),
    Int32(PrimitiveBuilder<Int32Type>),
    Int64(PrimitiveBuilder<Int64Type>),
    Float32(PrimitiveBuilder<Float32Type>),
    Float64(PrimitiveBuilder<Float64Type>),
    UInt32(PrimitiveBuilder<UInt32Type>),
    Utf8(StringBuilder),
    Binary(BinaryBuilder),
    Encoded(BinaryBuilder),
}

/// Makes a column from values.
pub(crate) struct ColumnBuilder {
    ty: SqlType,
    form: Form,
    builder: Builder,
}

impl ColumnBuilder {
    pub(crate) fn new(ty: SqlType) -> Self {
        let builder = match layout(ty) {
            Layout::Bool => Builder::Bool(BooleanBuilder::new()),
            Layout::Int16 => Builder::Int16(PrimitiveBuilder::new()),
            Layout::Int32 => Builder::Int32(PrimitiveBuilder::new()),
            Layout::Int64 => Builder::Int64(PrimitiveBuilder::new()),
            Layout::Float32 => Builder::Float32(PrimitiveBuilder::new()),
            Layout::Float64 => Builder::Float64(PrimitiveBuilder::new()),
            Layout::UInt32 => Builder::UInt32(PrimitiveBuilder::new()),
            Layout::Utf8 => Builder::Utf8(StringBuilder::new()),
            Layout::Binary => Builder::Binary(BinaryBuilder::new()),
            Layout::Encoded => Builder::Encoded(BinaryBuilder::new()),
        };
        ColumnBuilder { ty, form: ty.form(), builder }
    }

    pub(crate) fn push(&mut self, datum: &Datum) -> SqlResult<()> {
        if datum.is_null() {
            self.push_null();
            return Ok(());
        }
        match (&mut self.builder, datum, self.form) {
            (Builder::Bool(column), Datum::Bool(value), _) => column.append_value(*value),
            (Builder::Int16(column), Datum::Int2(value), _) => column.append_value(*value),
            (Builder::Int32(column), Datum::Int4(value), Form::Int4)
            | (Builder::Int32(column), Datum::Date(value), Form::Date) => {
                column.append_value(*value);
            }
            (Builder::Int64(column), Datum::Int8(value), Form::Int8)
            | (Builder::Int64(column), Datum::Time(value), Form::Time)
            | (Builder::Int64(column), Datum::Timestamp(value), Form::Timestamp)
            | (Builder::Int64(column), Datum::TimestampTz(value), Form::TimestampTz) => {
                column.append_value(*value);
            }
            (Builder::Float32(column), Datum::Float4(value), _) => column.append_value(*value),
            (Builder::Float64(column), Datum::Float8(value), _) => column.append_value(*value),
            (Builder::UInt32(column), Datum::Oid(value), _) => column.append_value(*value),
            (Builder::Utf8(column), Datum::Text(value), _) => column.append_value(value),
            (Builder::Binary(column), Datum::Bytea(value), _) => column.append_value(value),
            (Builder::Encoded(column), value, _) => column.append_value(encode_passing(value)?),
            (_, other, _) => {
                let ty = self.ty;
                return Err(SqlError::internal(format!("{other:?} in a slot of type {ty:?}")));
            }
        }
        Ok(())
    }

    /// As [`ColumnBuilder::push`].
    pub(crate) fn push_value(&mut self, value: &Value<'_>) -> SqlResult<()> {
        match (&mut self.builder, value) {
            (_, Value::Datum(datum)) => return self.push(datum),
            (_, Value::Null) => self.push_null(),
            (Builder::Utf8(column), Value::Text(text)) => column.append_value(text),
            (Builder::Binary(column), Value::Bytea(bytes)) => column.append_value(bytes),
            (_, Value::Text(_) | Value::Bytea(_)) => {
                let ty = self.ty;
                return Err(SqlError::internal(format!("a string in a slot of type {ty:?}")));
            }
        }
        Ok(())
    }

    /// Number of values.
    pub(crate) fn len(&self) -> usize {
        match &self.builder {
            Builder::Bool(column) => column.len(),
            Builder::Int16(column) => column.len(),
            Builder::Int32(column) => column.len(),
            Builder::Int64(column) => column.len(),
            Builder::Float32(column) => column.len(),
            Builder::Float64(column) => column.len(),
            Builder::UInt32(column) => column.len(),
            Builder::Utf8(column) => column.len(),
            Builder::Binary(column) | Builder::Encoded(column) => column.len(),
        }
    }

    fn push_null(&mut self) {
        match &mut self.builder {
            Builder::Bool(column) => column.append_null(),
            Builder::Int16(column) => column.append_null(),
            Builder::Int32(column) => column.append_null(),
            Builder::Int64(column) => column.append_null(),
            Builder::Float32(column) => column.append_null(),
            Builder::Float64(column) => column.append_null(),
            Builder::UInt32(column) => column.append_null(),
            Builder::Utf8(column) => column.append_null(),
            Builder::Binary(column) | Builder::Encoded(column) => column.append_null(),
        }
    }

    pub(crate) fn finish(&mut self) -> ArrayRef {
        match &mut self.builder {
            Builder::Bool(column) => Arc::new(column.finish()),
            Builder::Int16(column) => Arc::new(column.finish()),
            Builder::Int32(column) => Arc::new(column.finish()),
            Builder::Int64(column) => Arc::new(column.finish()),
            Builder::Float32(column) => Arc::new(column.finish()),
            Builder::Float64(column) => Arc::new(column.finish()),
            Builder::UInt32(column) => Arc::new(column.finish()),
            Builder::Utf8(column) => Arc::new(column.finish()),
            Builder::Binary(column) | Builder::Encoded(column) => Arc::new(column.finish()),
        }
    }
}

/// A value of a column of a type. The column was made for that type.
pub(crate) fn read(column: &ArrayRef, ty: SqlType, row: usize) -> SqlResult<Datum> {
    if column.is_null(row) {
        return Ok(Datum::Null);
    }
    Ok(match layout(ty) {
        Layout::Bool => Datum::Bool(column.as_boolean().value(row)),
        Layout::Int16 => Datum::Int2(column.as_primitive::<Int16Type>().value(row)),
        Layout::Int32 => {
            let value = column.as_primitive::<Int32Type>().value(row);
            if ty.form() == Form::Date { Datum::Date(value) } else { Datum::Int4(value) }
        }
        Layout::Int64 => {
            let value = column.as_primitive::<Int64Type>().value(row);
            match ty.form() {
                Form::Time => Datum::Time(value),
                Form::Timestamp => Datum::Timestamp(value),
                Form::TimestampTz => Datum::TimestampTz(value),
                _ => Datum::Int8(value),
            }
        }
        Layout::Float32 => Datum::Float4(column.as_primitive::<Float32Type>().value(row)),
        Layout::Float64 => Datum::Float8(column.as_primitive::<Float64Type>().value(row)),
        Layout::UInt32 => Datum::Oid(column.as_primitive::<UInt32Type>().value(row)),
        Layout::Utf8 => Datum::text(column.as_string::<i32>().value(row)),
        Layout::Binary => {
            Datum::Bytea(Bytes::copy_from_slice(column.as_binary::<i32>().value(row)))
        }
        Layout::Encoded => decode_passing(column.as_binary::<i32>().value(row))?,
    })
}
