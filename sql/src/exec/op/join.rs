//! Joins of independent inputs: by hash where there are equal pairs, else every row with every row.
//!
//! The right input is read to the end and kept; the left one streams. A row whose key has a NULL matches nothing.

use super::input::Input;
use super::keys::KeyTable;
use crate::error::{SqlError, SqlResult};
use crate::exec::batch::{Batch, BatchBuilder};
use crate::exec::context::{Row, Run};
use crate::memory::Reservation;
use crate::plan::{Expr, JoinKind, Node};
use crate::types::{Datum, SqlType};

/// Pairs between two pauses.
const STRIDE: usize = 64;
/// About what a key's list of rows needs, a row.
const CHAIN_BYTES: usize = size_of::<Vec<u32>>() + 16;

/// The right input, kept.
struct Build {
    rows: Vec<Row>,
    /// For a full join: which right rows have found a match.
    matched: Vec<bool>,
    keys: KeyTable,
    /// By number of the key, the rows that have it.
    chains: Vec<Vec<u32>>,
    _held: Reservation,
}

/// A left row and how far it was joined.
struct Probe {
    row: Row,
    /// Number of its key; none if it matches nothing, and of no meaning without equal pairs.
    key: Option<usize>,
    at: usize,
    found: bool,
}

/// A join that is being run.
pub(crate) struct Join {
    left: Input,
    right: Input,
    build: Option<Build>,
    probe: Option<Probe>,
    /// The left side has ended; how many right rows have been looked at for a full join.
    rest: Option<usize>,
    types: Vec<SqlType>,
    widths: (usize, usize),
}

impl Join {
    pub(super) fn new(left: &Node, right: &Node) -> Self {
        Join {
            left: Input::new(left),
            right: Input::new(right),
            build: None,
            probe: None,
            rest: None,
            types: Vec::new(),
            widths: (0, 0),
        }
    }

    pub(super) async fn next(
        &mut self,
        node: &Node,
        run: &mut Run<'_>,
    ) -> SqlResult<Option<Batch>> {
        let Node::Join { kind, left, right, equal, condition } = node else {
            return Err(SqlError::internal("a join is run with another node"));
        };
        if self.build.is_none() {
            self.types = node.types();
            self.widths = (left.types().len(), right.types().len());
            self.build = Some(self.build(right, equal, run).await?);
        }
        let Some(build) = &mut self.build else {
            return Ok(None);
        };
        let mut builder = BatchBuilder::new(&self.types, &run.shared.pool);
        if build.rows.is_empty() && matches!(kind, JoinKind::Inner | JoinKind::Semi) {
            return Ok(None);
        }
        while !builder.is_full() {
            if let Some(seen) = &mut self.rest {
                // Right rows without a match, with NULLs on the left.
                let Some(row) = build.rows.get(*seen) else {
                    break;
                };
                if !build.matched[*seen] {
                    let mut pair = vec![Datum::Null; self.widths.0];
                    pair.extend_from_slice(row);
                    builder.push(&pair)?;
                }
                *seen += 1;
                continue;
            }
            let Some(probe) = &mut self.probe else {
                match self.left.next(left, run).await? {
                    Some(row) => {
                        let mut key = Vec::with_capacity(equal.len());
                        for (side, _) in equal {
                            key.push(run.eval(side, &row).await?);
                        }
                        let is_null = key.iter().any(Datum::is_null);
                        let key = if is_null { None } else { build.keys.find(&key) };
                        self.probe = Some(Probe { row, key, at: 0, found: false });
                    }
                    None if *kind == JoinKind::Full => self.rest = Some(0),
                    None => break,
                }
                continue;
            };
            let Some(at) = build.candidate(probe, equal.is_empty()) else {
                let give = match kind {
                    JoinKind::Left | JoinKind::Full | JoinKind::Anti => !probe.found,
                    JoinKind::Inner | JoinKind::Semi => false,
                };
                if give {
                    let mut row = std::mem::take(&mut probe.row);
                    if *kind != JoinKind::Anti {
                        row.resize(self.types.len(), Datum::Null);
                    }
                    builder.push(&row)?;
                }
                self.probe = None;
                continue;
            };
            probe.at += 1;
            if probe.at % STRIDE == 0 {
                run.step().await?;
            }
            let mut pair = probe.row.clone();
            pair.extend_from_slice(&build.rows[at]);
            if let Some(condition) = condition
                && !run.holds(condition, &pair).await?
            {
                continue;
            }
            probe.found = true;
            match kind {
                JoinKind::Inner | JoinKind::Left => builder.push(&pair)?,
                JoinKind::Full => {
                    build.matched[at] = true;
                    builder.push(&pair)?;
                }
                JoinKind::Semi => {
                    builder.push(&probe.row)?;
                    self.probe = None;
                }
                JoinKind::Anti => self.probe = None,
            }
        }
        Ok(builder.finish())
    }

    async fn build(
        &mut self,
        right: &Node,
        equal: &[(Expr, Expr)],
        run: &mut Run<'_>,
    ) -> SqlResult<Build> {
        let mut held = run.shared.pool.reserve();
        let rows = self.right.collect(right, run, &mut held).await?;
        let mut keys = KeyTable::new(equal.iter().map(|(_, side)| side.ty()).collect());
        let mut chains: Vec<Vec<u32>> = Vec::new();
        if !equal.is_empty() {
            held.grow(rows.len() * CHAIN_BYTES)?;
            let scratch = run.shared.pool.scratch();
            for (at, row) in (0u32..).zip(&rows) {
                let mut key = Vec::with_capacity(equal.len());
                for (_, side) in equal {
                    key.push(run.eval(side, row).await?);
                }
                // The key has its own reservation.
                run.shared.pool.set_scratch(scratch);
                if key.iter().any(Datum::is_null) {
                    continue;
                }
                let (number, is_new) = keys.insert(key, &mut held)?;
                if is_new {
                    chains.push(Vec::new());
                }
                chains[number].push(at);
            }
        }
        held.grow(rows.len() * size_of::<u64>())?;
        Ok(Build { matched: vec![false; rows.len()], rows, keys, chains, _held: held })
    }
}

impl Build {
    /// The next right row that may match.
    fn candidate(&self, probe: &Probe, every: bool) -> Option<usize> {
        if every {
            return (probe.at < self.rows.len()).then_some(probe.at);
        }
        self.chains[probe.key?].get(probe.at).map(|at| *at as usize)
    }
}
