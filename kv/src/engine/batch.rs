//! A batch of changes to the engine.

use bytes::Bytes;

use super::{EngineError, MAX_KEY_LEN};

/// One change. Keys are whole engine keys, space byte included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EngineOp {
    /// Sets the value of a key.
    Put(Bytes, Bytes),
    /// Removes a key, if it is there.
    Delete(Bytes),
}

/// Changes that become visible, and survive a crash, together. Later operations on a key win.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EngineBatch {
    ops: Vec<EngineOp>,
}

impl EngineOp {
    /// The key that is changed.
    pub fn key(&self) -> &Bytes {
        match self {
            EngineOp::Put(key, _) | EngineOp::Delete(key) => key,
        }
    }
}

impl EngineBatch {
    /// Sets the value of a key.
    pub fn put(&mut self, key: Bytes, value: Bytes) {
        self.ops.push(EngineOp::Put(key, value));
    }

    /// Removes a key, if it is there.
    pub fn delete(&mut self, key: Bytes) {
        self.ops.push(EngineOp::Delete(key));
    }

    /// Makes room for so many more changes.
    pub fn reserve(&mut self, changes: usize) {
        self.ops.reserve(changes);
    }

    /// The changes in order.
    pub fn ops(&self) -> &[EngineOp] {
        &self.ops
    }

    /// The changes in order.
    pub fn into_ops(self) -> Vec<EngineOp> {
        self.ops
    }

    /// True iff there is nothing to apply.
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    /// Refuses keys that no engine can hold: empty ones and those longer than [`MAX_KEY_LEN`].
    pub(crate) fn check(&self) -> Result<(), EngineError> {
        match self.ops.iter().map(|op| op.key().len()).find(|len| !(1..=MAX_KEY_LEN).contains(len))
        {
            Some(len) => Err(EngineError::Io(format!("a key of {len} bytes cannot be stored"))),
            None => Ok(()),
        }
    }
}
