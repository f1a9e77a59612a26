//! Rows that a portal keeps: those that it may go back to, and those that it has read ahead.

use std::collections::VecDeque;

use sql_exec::Row;
use sql_values::memory;
use sql_values::memory::row_bytes;

/// Bytes of rows that the portals of a session keep, all together.
pub(super) const KEPT_BYTES_MAX: usize = memory::DEFAULT_STATEMENT_BYTES;
/// Bytes of rows that a cursor keeps to go back to, if nobody has said whether it should.
const UNASKED_BYTES_MAX: usize = 1 << 20;

/// Whether a portal can go back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scroll {
    /// NO SCROLL, and portals that were not declared.
    Never,
    /// Nothing was said: as far as it costs little.
    AtHand,
    /// SCROLL: to all rows.
    Always,
}

/// Consecutive rows of a result.
#[derive(Default)]
pub(super) struct Kept {
    rows: VecDeque<Row>,
    /// How many there were before them.
    before: u64,
    bytes: usize,
}

impl Kept {
    /// The row of a number, from one.
    pub(super) fn get(&self, number: u64) -> Option<&Row> {
        let index = number.checked_sub(self.before + 1)?;
        self.rows.get(usize::try_from(index).ok()?)
    }

    pub(super) fn push(&mut self, row: Row) {
        self.bytes += row_bytes(&row);
        self.rows.push_back(row);
    }

    /// Rows up to this number have been forgotten.
    pub(super) fn before(&self) -> u64 {
        self.before
    }

    /// The number of the last row that was read.
    pub(super) fn last(&self) -> u64 {
        self.before + self.rows.len() as u64
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn is_more_than(&self, count: usize) -> bool {
        self.rows.len() > count
    }

    /// Forgets what a portal that is at this row does not go back to.
    pub(super) fn forget(&mut self, scroll: Scroll, at: u64) {
        let is_superfluous = |kept: &Kept| match scroll {
            Scroll::Never => kept.before < at,
            // The present row may be asked for again.
            Scroll::AtHand => kept.before + 1 < at && kept.bytes > UNASKED_BYTES_MAX,
            Scroll::Always => false,
        };
        while is_superfluous(self)
            && let Some(row) = self.rows.pop_front()
        {
            self.bytes -= row_bytes(&row);
            self.before += 1;
        }
    }
}
