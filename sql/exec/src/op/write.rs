//! INSERT, UPDATE and DELETE as operators: what their inputs give is written in portions, all of it before the first row.

use sql_plan::Node;
use sql_values::error::SqlResult;
use sql_values::memory::row_bytes;

use super::Input;
use crate::batch::{Batch, next_batch};
use crate::context::Run;
use crate::write::{Written, input_of};

/// Rows of a portion, and about their bytes: its last row may go beyond.
const PORTION_ROWS: usize = 1_000;
const PORTION_BYTES: usize = 1 << 20;

/// A write that is being run: all of it before its first row.
pub(crate) struct Write {
    input: Input,
    done: Option<Written>,
}

impl Write {
    /// Of an INSERT, UPDATE or DELETE.
    pub(super) fn open(node: &Node) -> Self {
        // Another node is refused when rows are asked for.
        Write { input: Input::new(input_of(node).unwrap_or(node)), done: None }
    }

    /// Rows written; zero before the first call of [`Write::next`].
    pub(super) fn affected(&self) -> u64 {
        self.done.as_ref().map_or(0, |done| done.affected)
    }

    pub(super) async fn next(
        &mut self,
        node: &Node,
        run: &mut Run<'_>,
    ) -> SqlResult<Option<Batch>> {
        if self.done.is_none() {
            let mut written = Written::new(run);
            let mut may_erase = true;
            loop {
                let more = self.portion(node, &mut written, run).await?;
                if may_erase && written.affected >= run.txn.erases_from() as u64 {
                    if run.erase(node, &mut written).await? {
                        break;
                    }
                    may_erase = false;
                }
                let shared = &mut *run.shared;
                shared.pending.write_through(&shared.pool, run.txn).await?;
                if !more {
                    break;
                }
            }
            self.done = Some(written);
        }
        let Some(done) = &mut self.done else {
            return Ok(None);
        };
        let mut rows = done.returned();
        next_batch(&node.types(), &mut rows, &run.shared.pool)
    }

    /// Writes some rows. False at the end of the input.
    async fn portion(
        &mut self,
        node: &Node,
        written: &mut Written,
        run: &mut Run<'_>,
    ) -> SqlResult<bool> {
        let input = input_of(node)?;
        let mut rows = Vec::new();
        let mut bytes = 0;
        let mut end = Ok(true);
        while rows.len() < PORTION_ROWS && bytes < PORTION_BYTES {
            match self.input.next(input, run).await {
                Ok(Some(row)) => {
                    bytes += row_bytes(&row);
                    rows.push(row);
                }
                Ok(None) => {
                    end = Ok(false);
                    break;
                }
                // The rows before it come first (W4 of `write`).
                Err(error) => {
                    end = Err(error);
                    break;
                }
            }
        }
        written.write_all(node, rows, run).await.map_err(|(_, error)| error)?;
        end
    }
}
