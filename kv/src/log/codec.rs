//! Bytes of what both logs keep. Every record begins with a version byte.
//!
//! Entries and hard states are raft-rs's own protobuf 2 messages. They are decoded from the own disk only,
//! behind a checksum, never from the network.

use bytes::{Buf, BufMut, Bytes};
use protobuf::Message;
use raft::eraftpb::{Entry, HardState};

use super::{GroupWrite, LogBatch, LogError};
use crate::ids::RangeId;

const VERSION: u8 = 1;

const END: u8 = 0;
const REMOVE: u8 = 1;
const RESET: u8 = 2;
const ENTRY: u8 = 3;
const HARD_STATE: u8 = 4;
const DURABLE_APPLIED: u8 = 5;
const TRUNCATE_TO: u8 = 6;
const REPLICA_FLOOR: u8 = 7;

/// A whole batch as one journal record: groups, each a row of tagged fields.
pub(crate) fn encode_batch(batch: &LogBatch) -> Result<Vec<u8>, LogError> {
    let mut out = vec![VERSION];
    for (range, write) in &batch.groups {
        out.put_u64(range.0);
        if write.remove {
            out.put_u8(REMOVE);
        }
        if let Some((index, term)) = write.reset {
            out.put_u8(RESET);
            out.put_u64(index);
            out.put_u64(term);
        }
        for entry in &write.entries {
            out.put_u8(ENTRY);
            put_message(&mut out, entry)?;
        }
        if let Some(hard_state) = &write.hard_state {
            out.put_u8(HARD_STATE);
            put_message(&mut out, hard_state)?;
        }
        for (tag, value) in [
            (DURABLE_APPLIED, write.durable_applied),
            (TRUNCATE_TO, write.truncate_to),
            (REPLICA_FLOOR, write.replica_floor),
        ] {
            if let Some(value) = value {
                out.put_u8(tag);
                out.put_u64(value);
            }
        }
        out.put_u8(END);
    }
    Ok(out)
}

/// Reads what [`encode_batch`] wrote.
pub(crate) fn decode_batch(mut bytes: Bytes) -> Result<LogBatch, LogError> {
    version(&mut bytes)?;
    let mut batch = LogBatch::default();
    while bytes.has_remaining() {
        let range = RangeId(bytes.try_get_u64().map_err(|_| short())?);
        let mut write = GroupWrite::default();
        loop {
            match bytes.try_get_u8().map_err(|_| short())? {
                END => break,
                REMOVE => write.remove = true,
                RESET => write.reset = Some((number(&mut bytes)?, number(&mut bytes)?)),
                ENTRY => write.entries.push(get_message::<Entry>(&mut bytes)?),
                HARD_STATE => write.hard_state = Some(get_message::<HardState>(&mut bytes)?),
                DURABLE_APPLIED => write.durable_applied = Some(number(&mut bytes)?),
                TRUNCATE_TO => write.truncate_to = Some(number(&mut bytes)?),
                REPLICA_FLOOR => write.replica_floor = Some(number(&mut bytes)?),
                tag => return Err(LogError::Corrupt(format!("unknown field {tag} in a record"))),
            }
        }
        batch.groups.push((range, write));
    }
    Ok(batch)
}

/// A hard state as a value of its own.
pub(crate) fn encode_hard_state(hard_state: &HardState) -> Result<Vec<u8>, LogError> {
    let mut out = vec![VERSION];
    put_message(&mut out, hard_state)?;
    Ok(out)
}

/// Reads what [`encode_hard_state`] wrote.
pub(crate) fn decode_hard_state(bytes: Vec<u8>) -> Result<HardState, LogError> {
    let mut bytes = Bytes::from(bytes);
    version(&mut bytes)?;
    get_message(&mut bytes)
}

/// Numbers as a value of their own.
pub(crate) fn encode_numbers(numbers: &[u64]) -> Vec<u8> {
    let mut out = vec![VERSION];
    numbers.iter().for_each(|number| out.put_u64(*number));
    out
}

/// Reads what [`encode_numbers`] wrote.
pub(crate) fn decode_numbers<const N: usize>(bytes: Vec<u8>) -> Result<[u64; N], LogError> {
    let mut bytes = Bytes::from(bytes);
    version(&mut bytes)?;
    let mut numbers = [0; N];
    for place in &mut numbers {
        *place = number(&mut bytes)?;
    }
    Ok(numbers)
}

fn version(bytes: &mut Bytes) -> Result<(), LogError> {
    match bytes.try_get_u8() {
        Ok(VERSION) => Ok(()),
        Ok(other) => {
            Err(LogError::Corrupt(format!("a record of version {other}, which is not known here")))
        }
        Err(_) => Err(short()),
    }
}

fn number(bytes: &mut Bytes) -> Result<u64, LogError> {
    bytes.try_get_u64().map_err(|_| short())
}

fn put_message(out: &mut Vec<u8>, message: &impl Message) -> Result<(), LogError> {
    let bytes = message.write_to_bytes().map_err(|error| LogError::Io(error.to_string()))?;
    out.put_u32(u32::try_from(bytes.len()).expect("an entry is far below 4 GiB"));
    out.extend(bytes);
    Ok(())
}

fn get_message<M: Message>(bytes: &mut Bytes) -> Result<M, LogError> {
    let len = bytes.try_get_u32().map_err(|_| short())? as usize;
    if bytes.len() < len {
        return Err(short());
    }
    M::parse_from_bytes(&bytes.split_to(len)).map_err(|error| LogError::Corrupt(error.to_string()))
}

fn short() -> LogError {
    LogError::Corrupt("a record ends early".into())
}
