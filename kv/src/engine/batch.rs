//! A batch of changes to the engine.

use bytes::Bytes;

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

impl EngineBatch {
    /// Sets the value of a key.
    pub fn put(&mut self, key: Bytes, value: Bytes) {
        self.ops.push(EngineOp::Put(key, value));
    }

    /// Removes a key, if it is there.
    pub fn delete(&mut self, key: Bytes) {
        self.ops.push(EngineOp::Delete(key));
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
}
