//! GROUP BY and aggregates, by hash. Groups come in the order in which they were first seen.

use super::input::Input;
use super::keys::KeyTable;
use super::sort::{Keyed, sort};
use crate::error::{SqlError, SqlResult};
use crate::exec::batch::{Batch, next_batch};
use crate::exec::context::{Reservation, Row, Run, row_bytes};
use crate::exec::eval::function;
use crate::func::{Accumulator, Body};
use crate::plan::{AggregateCall, Expr, Node};
use crate::types::{Datum, SqlType};

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
    input: Input,
    done: Option<(std::vec::IntoIter<Row>, Reservation)>,
}

impl Aggregate {
    pub(super) fn new(input: &Node) -> Self {
        Aggregate { input: Input::new(input), done: None }
    }

    pub(super) async fn next(
        &mut self,
        node: &Node,
        run: &mut Run<'_>,
    ) -> SqlResult<Option<Batch>> {
        let Node::Aggregate { input, keys, aggregates } = node else {
            return Err(SqlError::internal("an aggregate is run with another node"));
        };
        if self.done.is_none() {
            let mut held = run.shared.pool.reserve();
            let rows = self.read(input, keys, aggregates, run, &mut held).await?;
            self.done = Some((rows.into_iter(), held));
        }
        match &mut self.done {
            Some((rows, _)) => next_batch(&node.types(), rows),
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
        while let Some(row) = self.input.next(input, run).await? {
            let key = run.eval_all(keys, &row).await?;
            let (number, is_new) = table.insert(key, held)?;
            if is_new {
                groups.push(start(calls, held)?);
            }
            for (call, running) in calls.iter().zip(&mut groups[number]) {
                running.feed(call, &row, run, held).await?;
            }
        }
        let mut rows = Vec::with_capacity(groups.len());
        for (key, group) in table.keys().iter().zip(groups) {
            let mut row = key.clone();
            for (call, running) in calls.iter().zip(group) {
                row.push(running.finish(call)?);
            }
            rows.push(row);
        }
        Ok(rows)
    }
}

fn start(calls: &[AggregateCall], held: &mut Reservation) -> SqlResult<Vec<Running>> {
    held.grow(calls.len() * (ACCUMULATOR_BYTES + size_of::<Running>()))?;
    let start = |call: &AggregateCall| {
        let function = function(call.function)?;
        let Body::Aggregate(make) = function.body else {
            return Err(SqlError::internal(format!("{} is no aggregate", function.name)));
        };
        let seen = call.distinct.then(|| KeyTable::new(call.args.iter().map(Expr::ty).collect()));
        let (accumulator, strict) = (make(), function.strict);
        Ok(Running { accumulator, strict, seen, waiting: Vec::new() })
    };
    calls.iter().map(start).collect()
}

impl Running {
    async fn feed(
        &mut self,
        call: &AggregateCall,
        row: &[Datum],
        run: &mut Run<'_>,
        held: &mut Reservation,
    ) -> SqlResult<()> {
        if let Some(filter) = &call.filter
            && !run.holds(filter, row).await?
        {
            return Ok(());
        }
        let args = run.eval_all(&call.args, row).await?;
        if self.strict && args.iter().any(Datum::is_null) {
            return Ok(());
        }
        if let Some(seen) = &mut self.seen
            && !seen.insert(args.clone(), held)?.1
        {
            return Ok(());
        }
        if !call.order.is_empty() {
            let mut key = Vec::with_capacity(call.order.len());
            for order in &call.order {
                key.push(run.eval(&order.expr, row).await?);
            }
            held.grow(row_bytes(&key) + row_bytes(&args))?;
            self.waiting.push((key, args));
            return Ok(());
        }
        if keeps_arguments(call.ty) {
            held.grow_row(&args)?;
        }
        self.accumulator.add(&args)
    }

    fn finish(mut self, call: &AggregateCall) -> SqlResult<Datum> {
        sort(&mut self.waiting, &call.order);
        for (_, args) in &self.waiting {
            self.accumulator.add(args)?;
        }
        self.accumulator.finish()
    }
}

/// True iff an aggregate with this result grows with what it is fed.
fn keeps_arguments(ty: SqlType) -> bool {
    matches!(ty, SqlType::Array(_) | SqlType::Text | SqlType::Bytea | SqlType::Record)
}
