//! How descriptors are stored: a version byte, then protobuf. Tags are never reused.

use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;
use sql_catalog::descriptor::sequence::{SequenceDescriptor, SequenceOwner, SequenceState};
use sql_catalog::descriptor::{
    CheckDescriptor, ColumnDescriptor, ColumnId, Identity, IndexDescriptor, IndexId, Object,
    ObjectKind, TableDescriptor, TableId, TableKind,
};
use sql_exec::row::{decode_datum, encode_datum};
use sql_values::error::{SqlError, SqlResult, SqlState};
use sql_values::types::{Datum, SqlType};

const VERSION: u8 = 1;
/// Of a descriptor that says more than builds of version 1 understand: they must not write rows by it.
const VERSION_2: u8 = 2;
/// The same of one that version 2 does not understand: of a sequence, or with an identity column.
const VERSION_3: u8 = 3;

#[derive(Clone, PartialEq, Message)]
struct Table {
    #[prost(uint32, tag = "1")]
    id: u32,
    #[prost(uint64, tag = "2")]
    version: u64,
    #[prost(string, tag = "3")]
    schema: String,
    #[prost(string, tag = "4")]
    name: String,
    #[prost(message, repeated, tag = "5")]
    columns: Vec<Column>,
    #[prost(message, repeated, tag = "6")]
    indexes: Vec<Index>,
    #[prost(message, repeated, tag = "7")]
    checks: Vec<Check>,
    #[prost(uint32, tag = "8")]
    next_column: u32,
    #[prost(uint32, tag = "9")]
    next_index: u32,
    /// Since version 2.
    #[prost(message, repeated, tag = "10")]
    building: Vec<Index>,
    /// Since version 3: it is a sequence.
    #[prost(message, optional, tag = "11")]
    sequence: Option<Sequence>,
}

/// What a sequence is.
#[derive(Clone, Copy, PartialEq, Message)]
struct Sequence {
    #[prost(message, optional, tag = "1")]
    ty: Option<Type>,
    #[prost(sint64, tag = "2")]
    start: i64,
    #[prost(sint64, tag = "3")]
    increment: i64,
    #[prost(sint64, tag = "4")]
    min: i64,
    #[prost(sint64, tag = "5")]
    max: i64,
    #[prost(sint64, tag = "6")]
    cache: i64,
    #[prost(bool, tag = "7")]
    cycle: bool,
    #[prost(message, optional, tag = "8")]
    owner: Option<Owner>,
}

/// The column that a sequence goes with.
#[derive(Clone, Copy, PartialEq, Message)]
struct Owner {
    #[prost(uint32, tag = "1")]
    table: u32,
    #[prost(uint32, tag = "2")]
    column: u32,
    #[prost(bool, tag = "3")]
    identity: bool,
}

/// Where a sequence stands.
#[derive(Clone, Copy, PartialEq, Message)]
struct Standing {
    #[prost(sint64, tag = "1")]
    last_value: i64,
    #[prost(bool, tag = "2")]
    is_called: bool,
    /// Another with every change.
    #[prost(uint64, tag = "3")]
    stamp: u64,
}

#[derive(Clone, PartialEq, Message)]
struct Column {
    #[prost(uint32, tag = "1")]
    id: u32,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(message, optional, tag = "3")]
    ty: Option<Type>,
    #[prost(bool, tag = "4")]
    not_null: bool,
    #[prost(string, optional, tag = "5")]
    default: Option<String>,
    #[prost(bool, tag = "6")]
    hidden: bool,
    /// Since version 2. A datum as in rows.
    #[prost(bytes = "bytes", optional, tag = "7")]
    missing: Option<Bytes>,
    /// Since version 3: an identity column, [`ALWAYS`] or [`BY_DEFAULT`].
    #[prost(uint32, tag = "8")]
    identity: u32,
}

const ALWAYS: u32 = 1;
const BY_DEFAULT: u32 = 2;

/// A type by PostgreSQL's oid; of an array, the element's.
#[derive(Clone, Copy, PartialEq, Message)]
struct Type {
    #[prost(uint32, tag = "1")]
    oid: u32,
    #[prost(bool, tag = "2")]
    array: bool,
    /// Length, or precision.
    #[prost(uint32, optional, tag = "3")]
    modifier: Option<u32>,
    #[prost(sint32, tag = "4")]
    scale: i32,
}

#[derive(Clone, PartialEq, Message)]
struct Index {
    #[prost(uint32, tag = "1")]
    id: u32,
    #[prost(uint32, tag = "2")]
    oid: u32,
    #[prost(string, tag = "3")]
    name: String,
    #[prost(bool, tag = "4")]
    unique: bool,
    #[prost(bool, tag = "5")]
    constraint: bool,
    #[prost(message, repeated, tag = "6")]
    key: Vec<KeyColumn>,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct KeyColumn {
    #[prost(uint32, tag = "1")]
    column: u32,
    #[prost(bool, tag = "2")]
    descending: bool,
}

#[derive(Clone, PartialEq, Message)]
struct Check {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    expr: String,
}

/// What has a name.
#[derive(Clone, Copy, PartialEq, Message)]
struct NameRecord {
    /// The oid of what has the name.
    #[prost(uint32, tag = "1")]
    oid: u32,
    /// The table: itself, or the index's.
    #[prost(uint32, tag = "2")]
    table: u32,
    /// What it is: [`TABLE_OR_INDEX`], [`SEQUENCE`], or a kind that this build does not know.
    #[prost(uint32, tag = "3")]
    kind: u32,
}

/// The table itself if it has the same oid, or else an index of it.
const TABLE_OR_INDEX: u32 = 0;
const SEQUENCE: u32 = 1;

/// The counter of ids.
#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct NextId {
    #[prost(uint32, tag = "1")]
    pub(super) id: u32,
}

/// A gate: no node takes a lease on the table while the change that closed it lives.
#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct Gate {
    /// Raw timestamp. Builds that know no beats take the gate for closed until then.
    #[prost(fixed64, tag = "1")]
    pub(super) until: u64,
    /// Which change closed it.
    #[prost(fixed64, tag = "2")]
    pub(super) owner: u64,
    /// Leases that are in use may still be renewed.
    #[prost(bool, tag = "3")]
    pub(super) renewable: bool,
}

/// A change's sign of life: it lives until this time, and must commit before it.
#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct Beat {
    /// Which change.
    #[prost(fixed64, tag = "1")]
    pub(super) owner: u64,
    /// Raw timestamp.
    #[prost(fixed64, tag = "2")]
    pub(super) until: u64,
}

/// That one thing goes with another, as the key says.
#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct Link {}

/// Keys that must be deleted.
#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct Debris {
    /// Raw timestamp of the last sign of somebody who deletes them.
    #[prost(fixed64, tag = "1")]
    pub(super) since: u64,
}

/// A node's lease: its transactions may rely on the version before this time.
#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct LeaseRecord {
    #[prost(uint64, tag = "1")]
    pub(super) version: u64,
    /// Raw timestamp.
    #[prost(fixed64, tag = "2")]
    pub(super) end: u64,
}

fn corrupted(what: &str) -> SqlError {
    SqlError::new(SqlState::DATA_CORRUPTED, format!("the catalog holds {what}"))
}

/// A version byte, then the message.
pub(super) fn encode(message: &impl Message) -> Bytes {
    encode_as(VERSION, message)
}

fn encode_as(version: u8, message: &impl Message) -> Bytes {
    let mut bytes = BytesMut::with_capacity(1 + message.encoded_len());
    bytes.put_u8(version);
    bytes.put_slice(&message.encode_to_vec());
    bytes.freeze()
}

/// The message behind a known version byte.
pub(super) fn decode<M: Message + Default>(bytes: &[u8]) -> SqlResult<M> {
    decode_up_to(VERSION, bytes)
}

fn decode_up_to<M: Message + Default>(newest: u8, bytes: &[u8]) -> SqlResult<M> {
    match bytes.split_first() {
        Some((version, rest)) if (VERSION..=newest).contains(version) => {
            M::decode(rest).map_err(|_| corrupted("an unreadable record"))
        }
        _ => Err(corrupted("a record of an unknown version")),
    }
}

/// A descriptor as it is stored.
pub(super) fn encode_table(table: &TableDescriptor) -> Bytes {
    let columns = table.columns.iter().map(|column| Column {
        id: column.id.0.into(),
        name: column.name.clone(),
        ty: Some(encode_type(column.ty)),
        not_null: column.not_null,
        default: column.default.clone(),
        hidden: column.hidden,
        missing: column.missing.as_ref().map(encode_missing),
        identity: match column.identity {
            None => 0,
            Some(Identity::Always) => ALWAYS,
            Some(Identity::ByDefault) => BY_DEFAULT,
        },
    });
    let is_plain =
        table.building.is_empty() && table.columns.iter().all(|column| column.missing.is_none());
    let checks = table
        .checks
        .iter()
        .map(|check| Check { name: check.name.clone(), expr: check.expr.clone() });
    let has_identity = table.columns.iter().any(|column| column.identity.is_some());
    let version = match table.sequence().is_some() || has_identity {
        true => VERSION_3,
        false if is_plain => VERSION,
        false => VERSION_2,
    };
    let table = Table {
        id: table.id.0,
        version: table.version,
        schema: table.schema.clone(),
        name: table.name.clone(),
        columns: columns.collect(),
        indexes: table.indexes.iter().map(encode_index).collect(),
        checks: checks.collect(),
        next_column: table.next_column.into(),
        next_index: table.next_index,
        building: table.building.iter().map(encode_index).collect(),
        sequence: table.sequence().map(encode_sequence),
    };
    encode_as(version, &table)
}

/// What has a name, as it is stored under it.
pub(super) fn encode_object(object: Object) -> Bytes {
    let kind = match object.kind {
        ObjectKind::Table | ObjectKind::Index => TABLE_OR_INDEX,
        ObjectKind::Sequence => SEQUENCE,
    };
    encode(&NameRecord { oid: object.oid, table: object.table.0, kind })
}

/// See [`encode_object`].
pub(super) fn decode_object(bytes: &[u8]) -> SqlResult<Object> {
    let NameRecord { oid, table, kind } = decode(bytes)?;
    let kind = match kind {
        TABLE_OR_INDEX if oid == table => ObjectKind::Table,
        TABLE_OR_INDEX => ObjectKind::Index,
        SEQUENCE => ObjectKind::Sequence,
        _ => return Err(corrupted("a name of something that is not known here")),
    };
    Ok(Object { kind, oid, table: TableId(table) })
}

fn encode_sequence(sequence: &SequenceDescriptor) -> Sequence {
    let owner = sequence.owner.map(|owner| Owner {
        table: owner.table.0,
        column: owner.column.0.into(),
        identity: owner.identity,
    });
    Sequence {
        ty: Some(encode_type(sequence.ty)),
        start: sequence.start,
        increment: sequence.increment,
        min: sequence.min,
        max: sequence.max,
        cache: sequence.cache,
        cycle: sequence.cycle,
        owner,
    }
}

fn decode_sequence(sequence: Sequence) -> SqlResult<SequenceDescriptor> {
    if sequence.increment == 0 || sequence.min >= sequence.max {
        return Err(corrupted("a sequence without values"));
    }
    let owner = sequence.owner.map(|owner| {
        let column = column_id(owner.column)?;
        Ok(SequenceOwner { table: TableId(owner.table), column, identity: owner.identity })
    });
    Ok(SequenceDescriptor {
        ty: decode_type(sequence.ty.unwrap_or_default())?,
        start: sequence.start,
        increment: sequence.increment,
        min: sequence.min,
        max: sequence.max,
        cache: sequence.cache,
        cycle: sequence.cycle,
        owner: owner.transpose()?,
    })
}

/// Where a sequence stands, as it is stored.
pub(super) fn encode_state(state: SequenceState) -> Bytes {
    let SequenceState { last_value, is_called, stamp } = state;
    encode(&Standing { last_value, is_called, stamp })
}

/// See [`encode_state`].
pub(super) fn decode_state(bytes: &[u8]) -> SqlResult<SequenceState> {
    let Standing { last_value, is_called, stamp } = decode(bytes)?;
    Ok(SequenceState { last_value, is_called, stamp })
}

fn encode_missing(value: &Datum) -> Bytes {
    encode_datum(value).expect("checked when the column was added")
}

fn encode_index(index: &IndexDescriptor) -> Index {
    let key = index.key.iter();
    let key = key.map(|&(column, descending)| KeyColumn { column: column.0.into(), descending });
    Index {
        id: index.id.0,
        oid: index.oid,
        name: index.name.clone(),
        unique: index.unique,
        constraint: index.constraint,
        key: key.collect(),
    }
}

fn column_id(id: u32) -> SqlResult<ColumnId> {
    u16::try_from(id).map(ColumnId).map_err(|_| corrupted("a column number out of range"))
}

fn decode_index(index: Index) -> SqlResult<IndexDescriptor> {
    let key = index.key.iter().map(|part| Ok((column_id(part.column)?, part.descending)));
    Ok(IndexDescriptor {
        id: IndexId(index.id),
        oid: index.oid,
        name: index.name,
        unique: index.unique,
        constraint: index.constraint,
        key: key.collect::<SqlResult<_>>()?,
    })
}

/// See [`encode_table`].
pub(super) fn decode_table(bytes: &[u8]) -> SqlResult<TableDescriptor> {
    let table: Table = decode_up_to(VERSION_3, bytes)?;
    let columns = table.columns.into_iter().map(|column| {
        Ok(ColumnDescriptor {
            id: column_id(column.id)?,
            name: column.name,
            ty: decode_type(column.ty.unwrap_or_default())?,
            not_null: column.not_null,
            default: column.default,
            hidden: column.hidden,
            missing: column.missing.map(|bytes| decode_datum(&bytes)).transpose()?,
            identity: match column.identity {
                0 => None,
                ALWAYS => Some(Identity::Always),
                BY_DEFAULT => Some(Identity::ByDefault),
                _ => return Err(corrupted("an identity that is not known here")),
            },
        })
    });
    let decoded = |indexes: Vec<Index>| -> SqlResult<Vec<IndexDescriptor>> {
        indexes.into_iter().map(decode_index).collect()
    };
    let checks = table.checks.into_iter();
    Ok(TableDescriptor {
        id: TableId(table.id),
        version: table.version,
        schema: table.schema,
        name: table.name,
        kind: match table.sequence {
            Some(sequence) => TableKind::Sequence(decode_sequence(sequence)?),
            None => TableKind::Stored,
        },
        columns: columns.collect::<SqlResult<_>>()?,
        indexes: decoded(table.indexes)?,
        building: decoded(table.building)?,
        checks: checks
            .map(|check| CheckDescriptor { name: check.name, expr: check.expr })
            .collect(),
        next_column: column_id(table.next_column)?.0,
        next_index: table.next_index,
    })
}

/// A type is persisted by its oid, which PostgreSQL gave for good, and its modifier.
fn encode_type(ty: SqlType) -> Type {
    if let SqlType::Array(element) = ty {
        return Type { array: true, ..encode_type(element.scalar()) };
    }
    let (modifier, scale) = match ty.def().modifier {
        Some(modifier) if ty.typmod() != -1 => {
            let (modifier, scale) = (modifier.stored)(ty);
            (Some(modifier), scale)
        }
        _ => (None, 0),
    };
    Type { oid: ty.base().oid(), array: false, modifier, scale }
}

fn decode_type(ty: Type) -> SqlResult<SqlType> {
    let unknown = || corrupted("a type that is not known here");
    if ty.array {
        let element = decode_type(Type { array: false, ..ty })?;
        return element.array_of().ok_or_else(unknown);
    }
    let plain = SqlType::from_oid(ty.oid).ok_or_else(unknown)?;
    match (plain, plain.def().modifier, ty.modifier) {
        (SqlType::Array(_), ..) => Err(unknown()),
        (_, Some(known), Some(modifier)) => {
            (known.of_stored)(modifier, ty.scale).ok_or_else(unknown)
        }
        (plain, ..) => Ok(plain),
    }
}
