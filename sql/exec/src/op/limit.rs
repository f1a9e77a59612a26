//! LIMIT and OFFSET.

use sql_plan::{Expr, node};
use sql_values::error::{SqlError, SqlResult, SqlState};
use sql_values::types::Datum;

use super::Op;
use crate::batch::Batch;
use crate::context::Run;

/// How much is still to be skipped and given.
pub(crate) struct Limit {
    op: Op,
    left: Option<(u64, u64)>,
}

impl Limit {
    pub(super) fn open(node: &node::Limit) -> Self {
        Limit { op: Op::open(&node.input), left: None }
    }

    pub(super) async fn next(
        &mut self,
        node: &node::Limit,
        run: &mut Run<'_>,
    ) -> SqlResult<Option<Batch>> {
        let node::Limit { input, limit, offset } = node;
        let (mut skip, mut give) = match self.left {
            Some(left) => left,
            None => (
                bound(offset.as_ref(), "OFFSET", run).await?.unwrap_or(0),
                bound(limit.as_ref(), "LIMIT", run).await?.unwrap_or(u64::MAX),
            ),
        };
        let mut result = None;
        // The input is not asked for what nobody wants.
        while result.is_none() && give > 0 {
            let Some(batch) = self.op.next(input, run).await? else {
                break;
            };
            let rows = batch.len() as u64;
            let skipped = skip.min(rows);
            let given = give.min(rows - skipped);
            skip -= skipped;
            give -= given;
            result = batch.slice(skipped as usize, given as usize);
        }
        self.left = Some((skip, give));
        Ok(result)
    }
}

/// The value of a bound; none if there is none.
pub(crate) async fn bound(
    expr: Option<&Expr>,
    clause: &str,
    run: &mut Run<'_>,
) -> SqlResult<Option<u64>> {
    let Some(expr) = expr else {
        return Ok(None);
    };
    match run.eval(expr, &[]).await? {
        Datum::Null => Ok(None),
        Datum::Int8(value) => u64::try_from(value).map(Some).map_err(|_| {
            let state = match clause {
                "OFFSET" => SqlState::INVALID_ROW_COUNT_IN_OFFSET,
                _ => SqlState::INVALID_ROW_COUNT_IN_LIMIT,
            };
            SqlError::new(state, format!("{clause} must not be negative"))
        }),
        _ => Err(SqlError::internal(format!("a {clause} that is no bigint"))),
    }
}
