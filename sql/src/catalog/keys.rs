//! Keys of the catalog: the system range, first byte `02`.
//!
//! | after `02` | value |
//! |---|---|
//! | `d` + table id | descriptor |
//! | `n` + schema + `00` + name | what has the name: all kinds of objects share their names |
//! | `i` | next id |
//! | `g` + table id | gate: a schema change is under way |
//! | `h` + table id | heartbeat of that change |
//! | `b` + table id + index number | heartbeat of the build of an index |
//! | `x` + what keys begin with | keys of something that was dropped, which must be deleted |
//! | `s` + table id | where a sequence stands |
//! | `o` + table id + column + sequence id | a sequence goes with a table's column |
//! | `u` + sequence id + table id + column | a column's default names a sequence |
//! | `l` + table id + holder | a node's lease on a table; the holder is a random number of the node's present life |
//!
//! Ids are big-endian, so that a scan gives them in order.

use bytes::{BufMut, Bytes, BytesMut};
use sql_catalog::descriptor::{ColumnId, IndexId, TableId};

const SYSTEM: u8 = 0x02;

fn key(kind: u8, rest: &[&[u8]]) -> Bytes {
    let mut key = BytesMut::with_capacity(2 + rest.iter().map(|part| part.len()).sum::<usize>());
    key.put_u8(SYSTEM);
    key.put_u8(kind);
    for part in rest {
        key.put_slice(part);
    }
    key.freeze()
}

/// A table's descriptor.
pub(super) fn descriptor(id: TableId) -> Bytes {
    key(b'd', &[&id.0.to_be_bytes()])
}

/// All descriptors.
pub(super) fn descriptors() -> (Bytes, Bytes) {
    (key(b'd', &[]), key(b'e', &[]))
}

/// What has a name. Names have no zero byte: text never has one.
pub(super) fn name(schema: &str, name: &str) -> Bytes {
    key(b'n', &[schema.as_bytes(), &[0], name.as_bytes()])
}

/// The counter of ids.
pub(super) fn next_id() -> Bytes {
    key(b'i', &[])
}

/// A table's gate.
pub(super) fn gate(id: TableId) -> Bytes {
    key(b'g', &[&id.0.to_be_bytes()])
}

/// All gates.
pub(super) fn gates() -> (Bytes, Bytes) {
    (key(b'g', &[]), key(b'h', &[]))
}

/// All signs of life.
pub(super) fn beats() -> (Bytes, Bytes) {
    (key(b'h', &[]), key(b'i', &[]))
}

/// The table that a gate or a sign of life is of.
pub(super) fn table_of(key: &[u8]) -> Option<TableId> {
    let id = key.get(2..)?.try_into().ok()?;
    Some(TableId(u32::from_be_bytes(id)))
}

/// The sign of life of the change that has closed a table's gate.
pub(super) fn beat(id: TableId) -> Bytes {
    key(b'h', &[&id.0.to_be_bytes()])
}

/// The sign of life of an index's build.
pub(super) fn build(id: TableId, index: IndexId) -> Bytes {
    key(b'b', &[&id.0.to_be_bytes(), &index.0.to_be_bytes()])
}

/// Where a sequence stands.
pub(super) fn state(id: TableId) -> Bytes {
    key(b's', &[&id.0.to_be_bytes()])
}

/// Where all sequences stand.
pub(super) fn states() -> (Bytes, Bytes) {
    (key(b's', &[]), key(b't', &[]))
}

/// A sequence goes with a column.
pub(super) fn owned(table: TableId, column: ColumnId, sequence: TableId) -> Bytes {
    key(b'o', &[&table.0.to_be_bytes(), &column.0.to_be_bytes(), &sequence.0.to_be_bytes()])
}

/// All that go with a table's columns.
pub(super) fn all_owned(table: TableId) -> (Bytes, Bytes) {
    of_table(b'o', table)
}

/// The column and the sequence.
pub(super) fn owned_in(key: &[u8]) -> Option<(ColumnId, TableId)> {
    let column = key.get(6..8)?.try_into().ok()?;
    let sequence = key.get(8..)?.try_into().ok()?;
    Some((ColumnId(u16::from_be_bytes(column)), TableId(u32::from_be_bytes(sequence))))
}

/// A column's default names a sequence.
pub(super) fn used(sequence: TableId, table: TableId, column: ColumnId) -> Bytes {
    key(b'u', &[&sequence.0.to_be_bytes(), &table.0.to_be_bytes(), &column.0.to_be_bytes()])
}

/// All whose defaults name it.
pub(super) fn all_used(sequence: TableId) -> (Bytes, Bytes) {
    of_table(b'u', sequence)
}

/// The table and the column.
pub(super) fn used_in(key: &[u8]) -> Option<(TableId, ColumnId)> {
    let table = key.get(6..10)?.try_into().ok()?;
    let column = key.get(10..)?.try_into().ok()?;
    Some((TableId(u32::from_be_bytes(table)), ColumnId(u16::from_be_bytes(column))))
}

/// Keys to delete.
pub(super) fn debris(prefix: &[u8]) -> Bytes {
    key(b'x', &[prefix])
}

/// All keys to delete.
pub(super) fn all_debris() -> (Bytes, Bytes) {
    (key(b'x', &[]), key(b'y', &[]))
}

/// What the keys to delete begin with.
pub(super) fn prefix_of_debris(key: &Bytes) -> Bytes {
    key.slice(2.min(key.len())..)
}

/// A node's lease on a table.
pub(super) fn lease(id: TableId, holder: u64) -> Bytes {
    key(b'l', &[&id.0.to_be_bytes(), &holder.to_be_bytes()])
}

/// All leases on a table.
pub(super) fn leases(id: TableId) -> (Bytes, Bytes) {
    of_table(b'l', id)
}

/// All keys of a kind that begin with an id.
fn of_table(kind: u8, id: TableId) -> (Bytes, Bytes) {
    let end = id.0.checked_add(1);
    let end = end.map_or_else(|| key(kind + 1, &[]), |next| key(kind, &[&next.to_be_bytes()]));
    (key(kind, &[&id.0.to_be_bytes()]), end)
}
