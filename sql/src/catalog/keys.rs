//! Keys of the catalog: the system range, first byte `02`.
//!
//! | after `02` | value |
//! |---|---|
//! | `d` + table id | descriptor |
//! | `n` + schema + `00` + name | table id: tables and indexes, which share their names |
//! | `i` | next id |
//! | `g` + table id | gate: a schema change is under way |
//! | `h` + table id | heartbeat of that change |
//! | `l` + table id + holder | a node's lease on a table; the holder is a random number of the node's present life |
//!
//! Ids are big-endian, so that a scan gives them in order.

use bytes::{BufMut, Bytes, BytesMut};

use super::descriptor::TableId;

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

/// The id behind a name. Names have no zero byte: text never has one.
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

/// The sign of life of the change that has closed a table's gate.
pub(super) fn beat(id: TableId) -> Bytes {
    key(b'h', &[&id.0.to_be_bytes()])
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
