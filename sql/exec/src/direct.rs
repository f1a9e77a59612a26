//! Direct operators: statements about one row, without batches.
//!
//! - D1. A plan runs here iff its shape says that it handles at most one row: a chain of Filter and Project over a scan
//!   of one key or over one row of Values, with or without an INSERT, UPDATE or DELETE above.
//!   Inner plans of an Apply run here too, so that a lookup for each row makes no batches.
//! - D2. Expressions mean here what they mean in batches: the evaluator is the same, and so is everything that writes.

use sql_plan::{IndexSpan, Node, node};
use sql_values::error::{SqlError, SqlResult};

use crate::context::{ExecContext, Run};
use crate::read::point_row;
use crate::row::Row;
use crate::write::{Written, input_of};

/// Steps of a chain at most; longer ones are rare, and not for here.
const MAX_STEPS: usize = 8;

/// True iff a plan can be run by [`rows`].
pub(crate) fn is_direct(root: &Node) -> bool {
    match root {
        Node::Insert(node::Insert { input, .. })
        | Node::Update(node::Update { input, .. })
        | Node::Delete(node::Delete { input, .. }) => is_chain(input),
        node => is_chain(node),
    }
}

/// True iff a plan can be run by [`chain`].
pub(crate) fn is_chain(node: &Node) -> bool {
    let mut node = node;
    for _ in 0..MAX_STEPS {
        match node {
            Node::Filter(node::Filter { input, .. })
            | Node::Project(node::Project { input, .. }) => node = input,
            Node::Values(node::Values { rows, .. }) => return rows.len() == 1,
            Node::Scan(node::Scan { table, index, spans, limit, .. }) => {
                let [IndexSpan { equal, lower: None, upper: None, .. }] = spans.as_slice() else {
                    return false;
                };
                let is_point = table
                    .index(*index)
                    .is_some_and(|index| index.unique && index.key.len() == equal.len());
                return is_point && *limit != Some(0);
            }
            _ => return false,
        }
    }
    false
}

/// The rows of a plan that is direct, and how many it wrote if it writes.
pub(crate) async fn rows(root: &Node, run: &mut Run<'_>) -> SqlResult<(Vec<Row>, Option<u64>)> {
    let Ok(input) = input_of(root) else {
        return Ok((chain(root, run).await?.into_iter().collect(), None));
    };
    let mut written = Written::new(run);
    if let Some(row) = chain(input, run).await? {
        written.write_all(root, vec![row], run).await.map_err(|(_, error)| error)?;
    }
    let affected = written.affected;
    Ok((written.returned().collect(), Some(affected)))
}

/// Writes a row for each list of parameters, as one statement: a plan that is direct and writes. Returns how many rows
/// were written; an error comes with the number of the list that it is about, from zero.
pub(crate) async fn write_each(
    root: &Node,
    params: &[Row],
    run: &mut Run<'_>,
) -> Result<u64, (usize, SqlError)> {
    let input = input_of(root).map_err(|error| (0, error))?;
    let mut rows = Vec::with_capacity(params.len());
    let mut failed = None;
    for (number, params) in params.iter().enumerate() {
        let ctx = ExecContext { params, ..*run.ctx };
        let shared = &mut *run.shared;
        let mut one = Run { txn: run.txn, ctx: &ctx, shared, outer: Vec::new() };
        match chain(input, &mut one).await {
            Ok(Some(row)) => rows.push(row),
            Ok(None) => {
                let text = "parameters that make no row";
                return Err((number, SqlError::internal(text)));
            }
            // The rows before it come first.
            Err(error) => {
                failed = Some((number, error));
                break;
            }
        }
    }
    let mut written = Written::new(run);
    written.write_all(root, rows, run).await?;
    match failed {
        Some(failed) => Err(failed),
        None => Ok(written.affected),
    }
}

/// The row of a chain, if there is one.
pub(crate) async fn chain(node: &Node, run: &mut Run<'_>) -> SqlResult<Option<Row>> {
    let mut steps = Vec::new();
    let mut source = node;
    while let Node::Filter(node::Filter { input, .. })
    | Node::Project(node::Project { input, .. }) = source
    {
        steps.push(source);
        source = input;
    }
    let mut row = match source {
        Node::Values(node::Values { rows, .. }) => match rows.as_slice() {
            [exprs] => run.eval_all(exprs, &[]).await?,
            _ => return Err(SqlError::internal("a chain over several rows")),
        },
        Node::Scan(scan @ node::Scan { filter, .. }) => {
            let Some(row) = point_row(scan, run).await? else {
                return Ok(None);
            };
            if let Some(filter) = filter
                && !run.holds(filter, &row).await?
            {
                return Ok(None);
            }
            row
        }
        _ => return Err(SqlError::internal("a chain over many rows")),
    };
    for step in steps.into_iter().rev() {
        match step {
            Node::Filter(node::Filter { predicate, .. }) if !run.holds(predicate, &row).await? => {
                return Ok(None);
            }
            Node::Project(node::Project { exprs, .. }) => row = run.eval_all(exprs, &row).await?,
            _ => {}
        }
    }
    Ok(Some(row))
}
