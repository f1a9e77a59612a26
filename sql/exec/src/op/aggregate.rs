//! GROUP BY and aggregates, by hash. Groups come in the order in which they were first seen.

use arrow_array::Array;
use arrow_array::cast::AsArray;
use sql_catalog::function::{Accumulator, Body};
use sql_plan::{AggregateCall, Expr, Node, node};
use sql_values::error::{SqlError, SqlResult};
use sql_values::memory::{Reservation, heap_bytes, row_bytes};
use sql_values::types::Datum;

use super::Op;
use super::parts::Parts;
use super::sort::{Keyed, sort};
use crate::keys::KeyTable;

use crate::batch::{Batch, next_batch};
use crate::context::Run;
use crate::row::Row;

/// About what an accumulator needs apart from what it is fed.
const ACCUMULATOR_BYTES: usize = 128;

/// One aggregate of one group.
struct Running {
    accumulator: Box<dyn Accumulator>,
    strict: bool,
    /// Arguments seen so far (DISTINCT).
    seen: Option<KeyTable>,
    /// Arguments that wait to be fed in order (ORDER BY).
    waiting: Vec<Keyed>,
}

/// Reads its input to the end before its first row.
pub(crate) struct Aggregate {
    input: Op,
    parts: Parts,
    done: Option<(std::vec::IntoIter<Row>, Reservation)>,
}

impl Aggregate {
    pub(super) fn open(node: &node::Aggregate) -> Self {
        Aggregate { input: Op::open(&node.input), parts: Parts::new(), done: None }
    }

    pub(super) async fn next(
        &mut self,
        node: &node::Aggregate,
        run: &mut Run<'_>,
    ) -> SqlResult<Option<Batch>> {
        let node::Aggregate { input, keys, aggregates } = node;
        if self.done.is_none() {
            let mut held = run.shared.pool.reserve();
            let rows = self.read(input, keys, aggregates, run, &mut held).await?;
            self.done = Some((rows.into_iter(), held));
        }
        match &mut self.done {
            Some((rows, _)) => next_batch(&node.types(), rows, &run.shared.pool),
            None => Ok(None),
        }
    }

    async fn read(
        &mut self,
        input: &Node,
        keys: &[Expr],
        calls: &[AggregateCall],
        run: &mut Run<'_>,
        held: &mut Reservation,
    ) -> SqlResult<Vec<Row>> {
        let mut table = KeyTable::new(keys.iter().map(Expr::ty).collect());
        let mut groups: Vec<Vec<Running>> = Vec::new();
        if keys.is_empty() {
            table.insert(Vec::new(), held)?;
            groups.push(start(calls, held)?);
        }
        let pool = run.shared.pool.clone();
        let scratch = pool.scratch();
        while let Some(batch) = self.input.next(input, run).await? {
            run.ctx.eval.interrupt.spend(batch.len() as u32)?;
            // Without keys, all are in the only group.
            let mut numbers = Vec::new();
            while !keys.is_empty()
                && let Some(part) = self.parts.next(&batch, numbers.len(), keys.iter(), run).await?
            {
                for at in 0..part.rows.len() {
                    let (number, is_new) = table.insert(part.values.row(at)?, held)?;
                    if is_new {
                        groups.push(start(calls, held)?);
                    }
                    numbers.push(number);
                }
                pool.set_scratch(scratch);
            }
            for (at, call) in calls.iter().enumerate() {
                feed(call, at, &batch, &numbers, &mut groups, run, held).await?;
            }
            run.step().await?;
        }
        held.grow(groups.len() * size_of::<Row>())?;
        let mut rows = Vec::with_capacity(groups.len());
        for (mut row, group) in table.into_keys().into_iter().zip(groups) {
            run.step().await?;
            for (call, running) in calls.iter().zip(group) {
                row.push(running.finish(call, run, held).await?);
            }
            rows.push(row);
        }
        Ok(rows)
    }
}

fn start(calls: &[AggregateCall], held: &mut Reservation) -> SqlResult<Vec<Running>> {
    held.grow(calls.len() * (ACCUMULATOR_BYTES + size_of::<Running>()))?;
    let start = |call: &AggregateCall| {
        let function = call.function;
        let Body::Aggregate(make) = function.body else {
            return Err(SqlError::internal(format!("{} is no aggregate", function.name)));
        };
        let seen = call.distinct.then(|| KeyTable::new(call.args.iter().map(Expr::ty).collect()));
        let (accumulator, strict) = (make(), function.strict);
        Ok(Running { accumulator, strict, seen, waiting: Vec::new() })
    };
    calls.iter().map(start).collect()
}

/// Feeds the rows of a batch to an aggregate, each to that of its group: of the group with its number, or of the only one.
async fn feed(
    call: &AggregateCall,
    at: usize,
    batch: &Batch,
    numbers: &[usize],
    groups: &mut [Vec<Running>],
    run: &mut Run<'_>,
    held: &mut Reservation,
) -> SqlResult<()> {
    let mut batch = batch.clone();
    let mut rows: Option<Vec<usize>> = None;
    if let Some(filter) = &call.filter {
        // Arguments of rows that are left out are not computed.
        let passes = run.eval_batch(filter, &batch).await?;
        let passes = passes.as_boolean_opt();
        let passes = passes.ok_or_else(|| SqlError::internal("a filter that is no boolean"))?;
        let is_in = |row: &usize| passes.is_valid(*row) && passes.value(*row);
        rows = Some((0..batch.len()).filter(is_in).collect());
        let Some(rest) = batch.filter(passes)? else { return Ok(()) };
        batch = rest;
    }
    let pool = run.shared.pool.clone();
    let scratch = pool.scratch();
    let exprs = || call.args.iter().chain(call.order.iter().map(|order| &order.expr));
    if exprs().next().is_none() {
        // count(*) and its like.
        for place in 0..batch.len() {
            let row = rows.as_ref().map_or(place, |rows| rows[place]);
            let group = numbers.get(row).copied().unwrap_or(0);
            groups[group][at].feed(Row::new(), Row::new(), run, held)?;
        }
        return Ok(());
    }
    let mut parts = Parts::new();
    let mut done = 0;
    while let Some(part) = parts.next(&batch, done, exprs(), run).await? {
        for place in 0..part.rows.len() {
            let row = rows.as_ref().map_or(done + place, |rows| rows[done + place]);
            let group = numbers.get(row).copied().unwrap_or(0);
            let mut args = part.values.row(place)?;
            let order = args.split_off(call.args.len());
            groups[group][at].feed(args, order, run, held)?;
        }
        done += part.rows.len();
        pool.set_scratch(scratch);
    }
    Ok(())
}

impl Running {
    /// One row's arguments, and what they are sorted by, if they are.
    fn feed(
        &mut self,
        args: Row,
        order: Row,
        run: &Run<'_>,
        held: &mut Reservation,
    ) -> SqlResult<()> {
        if self.strict && args.iter().any(Datum::is_null) {
            return Ok(());
        }
        if let Some(seen) = &mut self.seen
            && !seen.insert(args.clone(), held)?.1
        {
            return Ok(());
        }
        if !order.is_empty() {
            held.grow(row_bytes(&order) + row_bytes(&args))?;
            self.waiting.push((order, args));
            return Ok(());
        }
        self.add(&args, run, held)
    }

    /// Feeds the accumulator, and counts by how much it has grown: what it holds, not what it was given.
    fn add(&mut self, args: &[Datum], run: &Run<'_>, held: &mut Reservation) -> SqlResult<()> {
        let before = self.accumulator.held();
        self.accumulator.add(&run.ctx.eval, args)?;
        held.resize(before, self.accumulator.held())
    }

    /// The result. What the aggregate held is given back.
    async fn finish(
        mut self,
        call: &AggregateCall,
        run: &mut Run<'_>,
        held: &mut Reservation,
    ) -> SqlResult<Datum> {
        let waiting = sort(std::mem::take(&mut self.waiting), &call.order, run).await?;
        for (key, args) in waiting {
            run.ctx.eval.interrupt.spend(1)?;
            self.add(&args, run, held)?;
            held.shrink(row_bytes(&key) + row_bytes(&args));
        }
        let (before, scratch) = (self.accumulator.held(), run.shared.pool.scratch());
        let value = self.accumulator.finish(&run.ctx.eval)?;
        run.shared.pool.set_scratch(scratch);
        held.resize(before, heap_bytes(&value))?;
        Ok(value)
    }
}
