//! DELETE of everything that a table, or a span of its primary key, has: by the span and not by the row, if that is much.
//!
//! Flow: the rows are deleted one by one, as by any DELETE, until there are enough of them; then all rows of the span are
//! counted, and what the transaction writes is the deletion of the span, and of the other indexes if the whole table
//! goes ([`txn::db::Txn::delete_spans`]).
//!
//! - E1. Only of a statement that is a transaction by itself and may be run again: nothing can follow in the transaction,
//!   and if the commit cannot do it, the statement runs again row by row.
//! - E2. The count is a read of the transaction: at the commit the span still holds these rows and no others.

use bytes::Bytes;
use sql_catalog::descriptor::PRIMARY_INDEX;
use sql_plan::Node;
use sql_plan::node::{Delete, Scan};
use sql_values::error::SqlResult;
use txn::api::MAX_DELETED_KEYS;
use txn::mvcc::Order;

use super::Written;
use crate::context::Run;
use crate::errors::OrSql;
use crate::read::{self, Keys};
use crate::row;

/// Rows that are counted by one read.
const PAGE: usize = 10_000;

/// A half-open span of keys.
type KeySpan = (Bytes, Bytes);

impl Run<'_> {
    /// Lets the transaction delete by spans what the statement deletes, of which some has been deleted row by row. False: it
    /// has to go on so.
    pub(crate) async fn erase(&mut self, node: &Node, written: &mut Written) -> SqlResult<bool> {
        let is_all = self.ctx.may_repeat && !self.shared.has_ctes;
        if !is_all || self.shared.pending.has_written_through() {
            return Ok(false);
        }
        let Some((rows, others)) = self.whole_spans(node).await? else { return Ok(false) };
        let Some(count) = self.count(rows.clone()).await? else { return Ok(false) };
        self.shared.pending.drop_entries();
        self.txn.delete_spans(std::iter::once(rows).chain(others)).or_sql()?;
        written.affected = count;
        Ok(true)
    }

    /// The span of the rows that are deleted, and the spans of their entries in other indexes, if nothing else is there.
    async fn whole_spans(&mut self, node: &Node) -> SqlResult<Option<(KeySpan, Vec<KeySpan>)>> {
        let Node::Delete(Delete { table, input, returning: None }) = node else { return Ok(None) };
        let Node::Scan(Scan { index: PRIMARY_INDEX, spans, filter: None, limit: None, .. }) =
            &**input
        else {
            return Ok(None);
        };
        let Some(primary) = table.primary() else { return Ok(None) };
        let others = table.maintained().filter(|index| index.id != PRIMARY_INDEX);
        let others = others.map(|index| row::index_span(table.id, index.id));
        let others: Vec<_> = others.map(|span| (span.start, span.end)).collect();
        if !others.is_empty() && !spans.is_empty() {
            return Ok(None);
        }
        Ok(match &read::keys(table, primary, spans, self).await?[..] {
            [Keys::Span(start, end)] => Some(((start.clone(), end.clone()), others)),
            _ => None,
        })
    }

    /// How many rows there are in a span; none if there are too many.
    async fn count(&mut self, (mut start, end): KeySpan) -> SqlResult<Option<u64>> {
        let mut count = 0;
        loop {
            let span = (start, end.clone());
            let rows = self.txn.scan_rows(span, Order::Ascending, PAGE, None).await.or_sql()?;
            count += rows.len();
            self.ctx.eval.interrupt.spend(rows.len() as u32)?;
            self.step().await?;
            match rows.last_key() {
                _ if count > MAX_DELETED_KEYS => return Ok(None),
                Some(last) if rows.len() == PAGE => start = crate::store::after(last),
                _ => return Ok(Some(count as u64)),
            }
        }
    }
}
