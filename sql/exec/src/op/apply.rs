//! Apply: an inner plan for each row of the input.

use sql_plan::{JoinKind, Node, node};
use sql_values::error::{SqlError, SqlResult};
use sql_values::types::{Datum, SqlType};

use super::Op;
use super::input::Input;
use crate::batch::{Batch, BatchBuilder};
use crate::context::Run;
use crate::direct;
use crate::row::Row;

/// An outer row and how far its inner rows were read.
struct Current {
    row: Row,
    inner: Inner,
    rows: std::vec::IntoIter<Row>,
    found: bool,
}

/// The state of an inner plan.
enum Inner {
    /// One row at most: a lookup needs no batches.
    Direct,
    Operators(Op),
    Ended,
}

impl Inner {
    fn open(node: &Node) -> Self {
        if direct::is_chain(node) { Inner::Direct } else { Inner::Operators(Op::open(node)) }
    }

    async fn next(&mut self, node: &Node, run: &mut Run<'_>) -> SqlResult<Option<Vec<Row>>> {
        match self {
            Inner::Direct => {
                *self = Inner::Ended;
                run.step().await?;
                Ok(direct::chain(node, run).await?.map(|row| vec![row]))
            }
            Inner::Operators(op) => match op.next(node, run).await? {
                Some(batch) => Ok(Some(batch.rows()?)),
                None => Ok(None),
            },
            Inner::Ended => Ok(None),
        }
    }
}

/// An Apply that is being run.
pub(crate) struct Apply {
    input: Input,
    current: Option<Current>,
    types: Vec<SqlType>,
}

impl Apply {
    pub(super) fn open(node: &node::Apply) -> Self {
        Apply { input: Input::new(&node.input), current: None, types: Vec::new() }
    }

    pub(super) async fn next(
        &mut self,
        node: &node::Apply,
        run: &mut Run<'_>,
    ) -> SqlResult<Option<Batch>> {
        let node::Apply { kind, input, inner, condition } = node;
        if *kind == JoinKind::Full {
            return Err(SqlError::internal("a full join cannot be applied"));
        }
        if self.types.is_empty() {
            self.types = node.types();
        }
        let mut builder = BatchBuilder::new(&self.types, &run.shared.pool);
        while !builder.is_full() {
            let Some(current) = &mut self.current else {
                let Some(row) = self.input.next(input, run).await? else {
                    break;
                };
                let rows = Vec::new().into_iter();
                self.current = Some(Current { row, inner: Inner::open(inner), rows, found: false });
                continue;
            };
            let Some(row) = current.rows.next() else {
                // The outer row is there only while the inner plan runs: other parts of this plan have other ones.
                run.outer.push(current.row.clone());
                let rows = current.inner.next(inner, run).await;
                run.outer.pop();
                match rows? {
                    Some(rows) => current.rows = rows.into_iter(),
                    None => {
                        let give = matches!(kind, JoinKind::Left | JoinKind::Anti);
                        if give && !current.found {
                            let mut row = std::mem::take(&mut current.row);
                            row.resize(self.types.len(), Datum::Null);
                            builder.push(&row)?;
                        }
                        self.current = None;
                    }
                }
                continue;
            };
            let mut pair = current.row.clone();
            pair.extend(row);
            if let Some(condition) = condition
                && !run.holds(condition, &pair).await?
            {
                continue;
            }
            current.found = true;
            match kind {
                JoinKind::Semi => {
                    builder.push(&current.row)?;
                    self.current = None;
                }
                JoinKind::Anti => self.current = None,
                _ => builder.push(&pair)?,
            }
        }
        Ok(builder.finish())
    }
}
