//! Joins of independent inputs: by hash where there are equal pairs, else every row with every row.
//!
//! ```text
//!  right ──▶ Build: rows by number, and by key the chain of its rows
//!                      │
//!  left ──▶ a batch ───┴──▶ pairs (left row, right row), a batch of them at a time ──▶ condition ──▶ rows
//! ```
//!
//! - J1. The right input is read to the end and kept; the left one streams. A row whose key has a NULL matches nothing.
//! - J2. Rows come in the order of the left rows and, for each, of the right ones; of a full join, right rows without a
//!   match come last.
//! - J3. A condition is computed over a batch of pairs. Of semi and anti joins a left row needs one match: each row tries
//!   its first pair, then those that have found nothing two more, and so on. Where computing a batch fails, its pairs are
//!   looked at one by one, and no further than to a row's first match.

use std::collections::VecDeque;

use arrow_array::cast::AsArray;
use arrow_array::{Array, BooleanArray};
use sql_plan::{Expr, JoinKind, Node, node};
use sql_values::error::{SqlError, SqlResult};
use sql_values::memory::Reservation;
use sql_values::types::SqlType;

use super::Op;
use super::parts::Parts;
use crate::batch::{Batch, FULL_BYTES, Kept, MAX_ROWS, NONE};
use crate::context::Run;
use crate::keys::KeyIndex;

/// Pairs in a unit of work.
const PAIRS_PER_UNIT: usize = 16;

/// A join that is being run.
pub(crate) struct Join {
    left: Op,
    right: Op,
    build: Option<Build>,
    probe: Option<Probe>,
    /// The left side has ended; how many right rows have been looked at for a full join.
    rest: Option<u32>,
}

/// The right input, kept.
struct Build {
    rows: Kept,
    chains: Chains,
    keys: Option<KeyIndex>,
    /// For a full join: which right rows have found a match.
    matched: Vec<bool>,
    _held: Reservation,
}

/// By number of a key, the rows that have it, ascending.
#[derive(Default)]
struct Chains {
    /// By key: the first row and the last one.
    ends: Vec<(u32, u32)>,
    /// By row: the next one with the same key.
    next: Vec<u32>,
}

/// A batch of left rows, and how far it was joined.
struct Probe {
    batch: Batch,
    widths: Vec<u32>,
    /// By row, the number of its key; [`NONE`] if it matches nothing. Nothing at all without equal pairs.
    keys: Vec<u32>,
    row: u32,
    /// The next right row to try with it; none before the first.
    candidate: Option<u32>,
    /// The present row has found a match.
    found: bool,
}

/// Pairs of rows. A right row that is [`NONE`] ends the pairs of its left row, for those who want to know.
#[derive(Default)]
struct Pairs {
    left: Vec<u32>,
    right: Vec<u32>,
    bytes: usize,
}

impl Join {
    pub(super) fn open(node: &node::Join) -> Self {
        let (left, right) = (Op::open(&node.left), Op::open(&node.right));
        Join { left, right, build: None, probe: None, rest: None }
    }

    pub(super) async fn next(
        &mut self,
        node: &node::Join,
        run: &mut Run<'_>,
    ) -> SqlResult<Option<Batch>> {
        let node::Join { kind, left, right, equal, condition } = node;
        let build = match &mut self.build {
            Some(build) => build,
            none => none.insert(Build::read(&mut self.right, right, equal, run).await?),
        };
        if build.rows.len() == 0 && matches!(kind, JoinKind::Inner | JoinKind::Semi) {
            return Ok(None);
        }
        loop {
            run.step().await?;
            if let Some(seen) = &mut self.rest {
                return build.unmatched(seen, &left.types(), run);
            }
            let Some(probe) = &mut self.probe else {
                match self.left.next(left, run).await? {
                    Some(batch) => self.probe = Some(build.probe(batch, equal, run).await?),
                    None if *kind == JoinKind::Full => self.rest = Some(0),
                    None => return Ok(None),
                }
                continue;
            };
            let condition = condition.as_ref();
            let batch = match kind {
                JoinKind::Inner | JoinKind::Left | JoinKind::Full => {
                    probe.pairs(*kind, condition, build, run).await?
                }
                JoinKind::Semi | JoinKind::Anti => {
                    let mut found = probe.rows_that_match(condition, build, run).await?;
                    if *kind == JoinKind::Anti {
                        found.iter_mut().for_each(|found| *found = !*found);
                    }
                    probe.batch.clone().filter(&BooleanArray::from(found))?
                }
            };
            if probe.is_done() {
                self.probe = None;
            }
            if batch.is_some() {
                return Ok(batch);
            }
        }
    }
}

impl Build {
    async fn read(
        input: &mut Op,
        node: &Node,
        equal: &[(Expr, Expr)],
        run: &mut Run<'_>,
    ) -> SqlResult<Build> {
        let pool = run.shared.pool.clone();
        let types = node.types();
        let mut rows = Kept::new(&types, &pool)?;
        let mut held = pool.reserve();
        let mut chains = Chains::default();
        let mut keys = (!equal.is_empty()).then(|| KeyIndex::of_pairs(equal));
        while let Some(batch) = input.next(node, run).await? {
            if let Some(keys) = &mut keys {
                let right = equal.iter().map(|(_, right)| right);
                let numbers = number(&batch, right, run, |key| keys.insert(key, &mut held)).await?;
                held.grow(chains.add(&numbers))?;
            }
            rows.push(batch)?;
        }
        held.grow(rows.len())?;
        let matched = vec![false; rows.len()];
        Ok(Build { rows, chains, keys, matched, _held: held })
    }

    async fn probe(
        &self,
        batch: Batch,
        equal: &[(Expr, Expr)],
        run: &mut Run<'_>,
    ) -> SqlResult<Probe> {
        let keys = match &self.keys {
            Some(keys) => {
                let left = equal.iter().map(|(left, _)| left);
                number(&batch, left, run, |key| keys.find(key)).await?
            }
            None => Vec::new(),
        };
        let widths = batch.widths();
        Ok(Probe { batch, widths, keys, row: 0, candidate: None, found: false })
    }

    /// The first right row that may match a left row; [`NONE`] if there is none.
    fn first(&self, probe: &Probe, row: u32) -> u32 {
        if self.keys.is_none() {
            return if self.rows.len() > 0 { 0 } else { NONE };
        }
        let key = probe.keys.get(row as usize).map_or(NONE, |key| *key);
        self.chains.ends.get(key as usize).map_or(NONE, |ends| ends.0)
    }

    /// The right row after another one.
    fn after(&self, row: u32) -> u32 {
        match &self.keys {
            Some(_) => self.chains.next.get(row as usize).map_or(NONE, |next| *next),
            None if (row as usize) + 1 < self.rows.len() => row + 1,
            None => NONE,
        }
    }

    /// Right rows without a match, with NULLs on the left.
    fn unmatched(
        &self,
        seen: &mut u32,
        left: &[SqlType],
        run: &Run<'_>,
    ) -> SqlResult<Option<Batch>> {
        let (mut right, mut bytes) = (Vec::new(), 0);
        while (*seen as usize) < self.rows.len() && right.len() < MAX_ROWS && bytes < FULL_BYTES {
            if !self.matched[*seen as usize] {
                bytes += self.rows.width(*seen);
                right.push(*seen);
            }
            *seen += 1;
        }
        if right.is_empty() {
            return Ok(None);
        }
        let pool = &run.shared.pool;
        let mut columns = Kept::new(left, pool)?.pick(&vec![NONE; right.len()])?;
        columns.extend(self.rows.pick(&right)?);
        let types = left.iter().copied().chain(self.rows.types()).collect();
        Batch::of_columns(right.len(), types, columns, bytes, pool).map(Some)
    }
}

/// The number of the key of each row of a batch.
async fn number<'e>(
    batch: &Batch,
    exprs: impl Iterator<Item = &'e Expr> + Clone,
    run: &mut Run<'_>,
    mut of: impl FnMut(&Batch) -> SqlResult<Vec<u32>>,
) -> SqlResult<Vec<u32>> {
    let pool = run.shared.pool.clone();
    let scratch = pool.scratch();
    let mut parts = Parts::new();
    let mut numbers = Vec::with_capacity(batch.len());
    while let Some(part) = parts.next(batch, numbers.len(), exprs.clone(), run).await? {
        numbers.extend(of(&part.values)?);
        // A key that is kept has its own reservation.
        pool.set_scratch(scratch);
    }
    Ok(numbers)
}

impl Chains {
    /// Adds the rows with these keys behind the others. Returns the bytes that this needs.
    fn add(&mut self, keys: &[u32]) -> usize {
        let before = self.ends.len();
        for key in keys {
            let row = self.next.len() as u32;
            self.next.push(NONE);
            match self.ends.get_mut(*key as usize) {
                _ if *key == NONE => {}
                Some((_, last)) => {
                    self.next[*last as usize] = row;
                    *last = row;
                }
                // Keys are numbered as they come.
                None => self.ends.push((row, row)),
            }
        }
        size_of_val(keys) + (self.ends.len() - before) * size_of::<(u32, u32)>()
    }
}

impl Probe {
    fn is_done(&self) -> bool {
        self.row as usize >= self.batch.len()
    }

    fn width(&self, row: u32) -> usize {
        self.widths.get(row as usize).map_or(0, |width| *width as usize)
    }

    /// The next rows of an inner or outer join; none if the next pairs give none.
    async fn pairs(
        &mut self,
        kind: JoinKind,
        condition: Option<&Expr>,
        build: &mut Build,
        run: &mut Run<'_>,
    ) -> SqlResult<Option<Batch>> {
        let is_outer = kind != JoinKind::Inner;
        let mut pairs = Pairs::default();
        while !pairs.is_full() && !self.is_done() {
            let right = self.candidate.unwrap_or_else(|| build.first(self, self.row));
            if right != NONE {
                pairs.push(self, build, self.row, right);
                self.candidate = Some(build.after(right));
                continue;
            }
            if is_outer {
                pairs.push(self, build, self.row, NONE);
            }
            self.row += 1;
            self.candidate = None;
        }
        run.ctx.eval.interrupt.spend((pairs.len() / PAIRS_PER_UNIT) as u32)?;
        let Some(batch) = pairs.batch(self, build, run)? else { return Ok(None) };
        let holds = match condition {
            // With what ends a row's pairs as a pair of it and NULLs: what comes out there is not looked at.
            Some(condition) => Some(self.holds(condition, &batch, &pairs, run).await?),
            None => None,
        };
        let mut keep = Vec::with_capacity(pairs.len());
        for (at, right) in pairs.right.iter().enumerate() {
            if *right == NONE {
                keep.push(!self.found);
                self.found = false;
                continue;
            }
            let holds = holds.as_ref().is_none_or(|holds| holds[at]);
            if holds && is_outer {
                self.found = true;
                build.matched[*right as usize] = true;
            }
            keep.push(holds);
        }
        batch.filter(&BooleanArray::from(keep))
    }

    /// For which pairs a condition is true. Ends of rows are left out.
    async fn holds(
        &self,
        condition: &Expr,
        batch: &Batch,
        pairs: &Pairs,
        run: &mut Run<'_>,
    ) -> SqlResult<Vec<bool>> {
        let real = pairs.right.iter().filter(|right| **right != NONE).count();
        if real == 0 {
            return Ok(vec![false; pairs.len()]);
        }
        let scratch = run.shared.pool.scratch();
        let mut holds = vec![false; pairs.len()];
        if real == pairs.len() {
            let values = run.eval_batch(condition, batch).await?;
            set(&mut holds, 0..pairs.len(), values.as_boolean_opt())?;
        } else {
            let is_real: Vec<bool> = pairs.right.iter().map(|right| *right != NONE).collect();
            let Some(part) = batch.clone().filter(&BooleanArray::from(is_real))? else {
                return Ok(holds);
            };
            let values = run.eval_batch(condition, &part).await?;
            let places = (0..pairs.len()).filter(|at| pairs.right[*at] != NONE);
            set(&mut holds, places, values.as_boolean_opt())?;
        }
        run.shared.pool.set_scratch(scratch);
        Ok(holds)
    }

    /// Which rows of the batch have a match.
    async fn rows_that_match(
        &mut self,
        condition: Option<&Expr>,
        build: &Build,
        run: &mut Run<'_>,
    ) -> SqlResult<Vec<bool>> {
        let rows = 0..self.batch.len() as u32;
        self.row = rows.end;
        let first = rows.map(|row| (row, build.first(self, row)));
        let Some(condition) = condition else {
            return Ok(first.map(|(_, right)| right != NONE).collect());
        };
        let mut waiting: VecDeque<(u32, u32)> = first.filter(|(_, right)| *right != NONE).collect();
        let mut found = vec![false; self.batch.len()];
        let mut quota = 1;
        while !waiting.is_empty() {
            run.step().await?;
            let mut pairs = Pairs::default();
            let mut next = Vec::new();
            while !pairs.is_full()
                && let Some((row, mut right)) = waiting.pop_front()
            {
                for _ in 0..quota {
                    if right == NONE || pairs.is_full() {
                        break;
                    }
                    pairs.push(self, build, row, right);
                    right = build.after(right);
                }
                next.push((row, right));
            }
            run.ctx.eval.interrupt.spend((pairs.len() / PAIRS_PER_UNIT) as u32)?;
            self.look(condition, &pairs, build, &mut found, run).await?;
            let is_open = |(row, right): &(u32, u32)| !found[*row as usize] && *right != NONE;
            waiting.extend(next.into_iter().filter(is_open));
            quota = (quota * 2).min(MAX_ROWS);
        }
        Ok(found)
    }

    /// Notes the left rows of pairs for which a condition is true.
    async fn look(
        &self,
        condition: &Expr,
        pairs: &Pairs,
        build: &Build,
        found: &mut [bool],
        run: &mut Run<'_>,
    ) -> SqlResult<()> {
        let Some(batch) = pairs.batch(self, build, run)? else { return Ok(()) };
        match self.holds(condition, &batch, pairs, run).await {
            Ok(holds) => {
                for (row, holds) in pairs.left.iter().zip(holds) {
                    found[*row as usize] |= holds;
                }
            }
            // Perhaps of a pair that nobody has to look at.
            Err(_) => {
                for (at, row) in pairs.left.iter().enumerate() {
                    if !found[*row as usize] {
                        found[*row as usize] = run.holds(condition, &batch.row(at)?).await?;
                    }
                }
            }
        }
        Ok(())
    }
}

impl Pairs {
    fn push(&mut self, probe: &Probe, build: &Build, left: u32, right: u32) {
        self.left.push(left);
        self.right.push(right);
        self.bytes += probe.width(left) + build.rows.width(right);
    }

    fn len(&self) -> usize {
        self.left.len()
    }

    fn is_full(&self) -> bool {
        self.len() >= MAX_ROWS || self.bytes >= FULL_BYTES
    }

    /// The rows of both sides; none if there are no pairs.
    fn batch(&self, probe: &Probe, build: &Build, run: &Run<'_>) -> SqlResult<Option<Batch>> {
        if self.len() == 0 {
            return Ok(None);
        }
        let mut columns = probe.batch.pick(&self.left)?;
        columns.extend(build.rows.pick(&self.right)?);
        let types = probe.batch.types().iter().copied().chain(build.rows.types()).collect();
        let pool = &run.shared.pool;
        Batch::of_columns(self.len(), types, columns, self.bytes, pool).map(Some)
    }
}

/// Puts the values of a condition in their places.
fn set(
    holds: &mut [bool],
    places: impl Iterator<Item = usize>,
    values: Option<&BooleanArray>,
) -> SqlResult<()> {
    let values = values.ok_or_else(|| SqlError::internal("a condition that is no boolean"))?;
    for (at, place) in places.enumerate() {
        holds[place] = values.is_valid(at) && values.value(at);
    }
    Ok(())
}
