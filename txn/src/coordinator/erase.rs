//! Deleting whole spans: an entry for each, however many keys it has.
//!
//! Flow: the caller reads the spans, if it wants to know what is in them, and says what is to be deleted; the transaction
//! ends with that, by a commit in one phase. Where that is not possible (the spans lie on several ranges, others are in the
//! way, the server refuses) nothing is done, and the caller is told to run its transaction again: it deletes key by
//! key then.
//!
//! - E1. Nothing is read or written behind it: no read would see it.

use bytes::Bytes;

use super::error::TxnError;
use super::sender::request;
use super::{Txn, bound};
use crate::api::{DeleteSpan, Request, RequestKind, Span};

impl Txn {
    /// Deletes whatever half-open spans have when the transaction commits, which is the next and the last that it does; and
    /// all that it writes. The commit fails with [`TxnError::Retry`] if that is not possible at once.
    pub fn delete_spans(
        &mut self,
        spans: impl IntoIterator<Item = (Bytes, Bytes)>,
    ) -> Result<(), TxnError> {
        self.ensure_open()?;
        self.ensure_goes_on()?;
        if !self.buffer.is_empty() || self.flushed {
            return Err(TxnError::Invalid("a deletion of spans beside other writes".into()));
        }
        for (start, end) in spans {
            let (start, end) = (bound(start), bound(end));
            if start.is_empty() {
                return Err(TxnError::Invalid("a key must not be empty".into()));
            }
            if start < end {
                self.erased.push(Span { start, end });
            }
        }
        Ok(())
    }

    /// From so many keys on, a deletion of all that a span has is better made by [`Txn::delete_spans`]. Readers look at
    /// each of those later on, so it is not for a few.
    pub fn erases_from(&self) -> usize {
        self.sender.config.erase_from
    }

    /// E1.
    pub(super) fn ensure_goes_on(&self) -> Result<(), TxnError> {
        match self.erased.is_empty() {
            true => Ok(()),
            false => Err(TxnError::Invalid("nothing follows a deletion of spans".into())),
        }
    }

    pub(super) fn deletions(&self) -> impl Iterator<Item = Request> {
        let delete =
            |span: &Span| request(RequestKind::DeleteSpan(DeleteSpan { span: span.clone() }));
        self.erased.iter().map(delete)
    }
}
