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
//! | `l` + table id + holder | a node's lease on a table; the holder is a random number of the node's present life |
//!
//! Ids are big-endian, so that a scan gives them in order.

use bytes::{BufMut, Bytes, BytesMut};
use sql_catalog::descriptor::{IndexId, TableId};

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
    let end =
        id.0.checked_add(1)
            .map_or_else(|| key(b'm', &[]), |next| key(b'l', &[&next.to_be_bytes()]));
    (key(b'l', &[&id.0.to_be_bytes()]), end)
}
