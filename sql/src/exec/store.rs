//! Rows of tables as keys and values: what operators need of [`crate::row`].

use bytes::{BufMut, Bytes};

use crate::catalog::descriptor::{IndexDescriptor, PRIMARY_INDEX, TableDescriptor};
use crate::error::{SqlError, SqlResult, SqlState};
use crate::exec::batch::encoding;
use crate::exec::context::Row;
use crate::types::Datum;

/// What a row has in an index.
pub(crate) struct Entry {
    /// The key.
    pub(crate) key: Bytes,
    /// The value.
    pub(crate) value: Bytes,
    /// No other row may have this key: the index is unique, and the row has no NULL in it.
    pub(crate) exclusive: bool,
}

fn prefix(table: &TableDescriptor, index: &IndexDescriptor) -> Vec<u8> {
    let mut out = vec![b't'];
    out.put_u32(table.id.0);
    out.put_u32(index.id.0);
    out
}

fn put(out: &mut Vec<u8>, datum: &Datum) {
    match datum {
        Datum::Null => out.put_u8(9),
        Datum::Int4(v) => {
            out.put_u8(1);
            out.put_u32(*v as u32 ^ (1 << 31))
        }
        Datum::Int8(v) => {
            out.put_u8(1);
            out.put_u64(*v as u64 ^ (1 << 63))
        }
        Datum::Text(t) => {
            out.put_u8(1);
            out.put_slice(t.as_bytes());
            out.put_u8(0)
        }
        other => {
            out.put_u8(1);
            out.put_slice(&encoding::encode(other))
        }
    }
}

fn columns(
    table: &TableDescriptor,
    index: &IndexDescriptor,
    row: &[Datum],
    out: &mut Vec<u8>,
) -> bool {
    let mut null = false;
    for (id, _) in &index.key {
        let datum = &row[table.position(*id).unwrap()];
        null |= datum.is_null();
        put(out, datum);
    }
    null
}

/// A row's entry in an index.
pub(crate) fn entry(
    table: &TableDescriptor,
    index: &IndexDescriptor,
    row: &[Datum],
) -> SqlResult<Entry> {
    let mut key = prefix(table, index);
    let null = columns(table, index, row, &mut key);
    let exclusive = index.unique && !null;
    let value = if index.id == PRIMARY_INDEX {
        encoding::encode(&Datum::Record(row.to_vec().into()))
    } else {
        let mut pk = prefix(table, table.primary().unwrap());
        columns(table, table.primary().unwrap(), row, &mut pk);
        if !exclusive {
            key.extend_from_slice(&pk);
        }
        pk
    };
    Ok(Entry { key: key.into(), value: value.into(), exclusive })
}

/// The key of the only entry with these values.
pub(crate) fn unique_key(
    table: &TableDescriptor,
    index: &IndexDescriptor,
    equal: &[Datum],
) -> SqlResult<Bytes> {
    let mut out = prefix(table, index);
    equal.iter().for_each(|datum| put(&mut out, datum));
    Ok(out.into())
}

/// `[start, end)` of a part of an index.
pub(crate) fn span(
    table: &TableDescriptor,
    index: &IndexDescriptor,
    equal: &[Datum],
    lower: Option<(Datum, bool)>,
    upper: Option<(Datum, bool)>,
) -> SqlResult<(Bytes, Bytes)> {
    let base = unique_key(table, index, equal)?;
    let bound = |datum: &Datum, past: bool| {
        let mut out = base.to_vec();
        put(&mut out, datum);
        if past {
            out.push(0xff)
        }
        Bytes::from(out)
    };
    let start = lower.map_or(base.clone(), |(d, inc)| bound(&d, !inc));
    let end = upper.map_or_else(
        || {
            let mut e = base.to_vec();
            e.push(0xff);
            e.into()
        },
        |(d, inc)| bound(&d, inc),
    );
    Ok((start, end))
}

/// The first key after another.
pub(crate) fn after(key: &Bytes) -> Bytes {
    let mut out = key.to_vec();
    out.push(0);
    out.into()
}

/// The row of an entry of the primary index.
pub(crate) fn decode_row(_: &TableDescriptor, _: &Bytes, value: &Bytes) -> SqlResult<Row> {
    match encoding::decode(value)? {
        Datum::Record(items) => Ok(items.to_vec()),
        _ => Err(SqlError::internal("x")),
    }
}

/// The key of the row that an entry of another index stands for.
pub(crate) fn row_key(
    _: &TableDescriptor,
    _: &IndexDescriptor,
    _: &Bytes,
    value: &Bytes,
) -> SqlResult<Bytes> {
    Ok(value.clone())
}

/// An entry's row is not there.
pub(crate) fn missing_row(table: &TableDescriptor, index: &IndexDescriptor) -> SqlError {
    let (table, index) = (&table.name, &index.name);
    SqlError::new(
        SqlState::DATA_CORRUPTED,
        format!("index \"{index}\" of \"{table}\" has an entry without a row"),
    )
}
