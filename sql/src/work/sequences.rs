//! Sequences as statements use them: values are taken in transactions of their own, a block at a time.
//!
//! ```text
//!  nextval ─▶ of the statement's block ─▶ of the session's (CACHE) ─▶ a transaction: lock, read, write   one phase
//!  statement ends ─▶ what is left of its blocks goes back, if nobody has been there since
//! ```
//!
//! - N1. No value is given twice. A block belongs to who has committed its taking; where the outcome is unknown its values are
//!   nobody's, and others are taken.
//! - N2. A statement takes blocks of 1, 1, 2, 4, … values of the same sequence ([`MAX_BLOCK`]), so that many rows do not cost
//!   as many commits. What is left goes back at its end: the next value is then what it would be without blocks. It goes
//!   back only if the sequence's stamp says that nobody has changed it since.
//! - N3. What CACHE says is taken at a time and stays the session's, as in PostgreSQL, until the sequence is changed.
//! - N4. A transaction that has changed a sequence (created, altered, restarted it) takes its values itself: another one
//!   would wait for it, and must not see it.
//!
//! HAZARD: nobody sees that a transaction waits for the one that its session takes values in. So that one holds no lock
//! but its own sequence's, and waits for nothing else.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use sql_catalog::descriptor::sequence::{Block, SequenceState};
use sql_catalog::descriptor::{TableDescriptor, TableId};
use sql_catalog::function::SequenceRequest;
use sql_exec::{OrSql, Sequences, from_txn};
use sql_values::error::{SqlError, SqlResult, SqlState};
use sql_values::types::Datum;
use txn::db::{Db, Txn, TxnError, TxnOptions};

use crate::catalog::sequence::{self, Stored, not_a_sequence};
use crate::catalog::store::TxnCatalog;

/// Values that a statement takes at a time at most.
const MAX_BLOCK: u64 = 1_024;
/// Sequences that a session remembers.
const MAX_KNOWN: usize = 10_000;
/// How often values are taken anew whose taking has an unknown outcome.
const MAX_TRIES: usize = 5;

/// What a session knows of the sequences that it has used.
#[derive(Default)]
pub(crate) struct SessionSequences(Mutex<Known>);

#[derive(Default)]
struct Known {
    sequences: BTreeMap<TableId, Used>,
    /// From which a value was taken last.
    latest: Option<TableId>,
}

#[derive(Default)]
struct Used {
    last: Option<i64>,
    cached: Option<Cached>,
}

/// What CACHE has left (N3).
struct Cached {
    block: Block,
    /// Of the descriptor that the values were taken by.
    version: u64,
}

impl SessionSequences {
    fn known(&self) -> MutexGuard<'_, Known> {
        // Nothing panics while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets everything (DISCARD SEQUENCES).
    pub(crate) fn discard(&self) {
        *self.known() = Known::default();
    }

    fn took(&self, id: TableId, value: i64, cached: Option<Cached>) -> SqlResult<()> {
        let mut known = self.known();
        known.entry(id)?.last = Some(value);
        if let Some(cached) = cached {
            known.entry(id)?.cached = Some(cached);
        }
        known.latest = Some(id);
        Ok(())
    }
}

impl Known {
    fn entry(&mut self, id: TableId) -> SqlResult<&mut Used> {
        if self.sequences.len() >= MAX_KNOWN && !self.sequences.contains_key(&id) {
            let text = format!("a session uses {MAX_KNOWN} sequences at most");
            let error = SqlError::new(SqlState::PROGRAM_LIMIT_EXCEEDED, text);
            return Err(error.hint("DISCARD SEQUENCES forgets them."));
        }
        Ok(self.sequences.entry(id).or_default())
    }
}

/// What a statement has taken of a sequence (N2).
struct Taken {
    rest: Block,
    /// The last value that it has given.
    last: i64,
    /// Where the sequence stands since.
    state: SequenceState,
    /// The next block's size.
    size: u64,
}

/// The sequences of a statement.
pub(crate) struct StatementSequences<'a> {
    pub(crate) db: &'a Db,
    pub(crate) catalog: &'a TxnCatalog,
    pub(crate) session: &'a SessionSequences,
    pub(crate) read_only: bool,
    pub(crate) lock_timeout: Option<Duration>,
    taken: Mutex<BTreeMap<TableId, Taken>>,
}

/// A step of a transaction about a sequence.
type Step<T> = for<'t> fn(&'t mut Txn, Request) -> BoxFuture<'t, Result<SqlResult<T>, TxnError>>;

/// What a step is asked for.
#[derive(Clone, Copy)]
struct Request {
    id: TableId,
    /// So many values, or those that CACHE says.
    size: u64,
    /// To stand here.
    value: i64,
    is_called: bool,
    /// As long as it stands here.
    stamp: Option<u64>,
    lock_timeout: Option<Duration>,
}

fn missing(id: TableId) -> SqlError {
    SqlError::new(SqlState::INTERNAL_ERROR, format!("could not open relation with OID {}", id.0))
}

/// A sequence that is there.
fn found(stored: Option<Stored>, id: TableId) -> SqlResult<(TableDescriptor, SequenceState)> {
    let Stored { table, state } = stored.ok_or_else(|| missing(id))?;
    let sequence = table.sequence().ok_or_else(|| not_a_sequence(&table))?;
    let state = state.unwrap_or_else(|| sequence.beginning());
    Ok((table, state))
}

/// Values, where the sequence stands behind them, and the version of its descriptor if they are the session's.
type Taking = (Block, SequenceState, Option<u64>);

fn take(txn: &mut Txn, request: Request) -> BoxFuture<'_, Result<SqlResult<Taking>, TxnError>> {
    Box::pin(async move {
        txn.set_lock_timeout(request.lock_timeout);
        let stored = sequence::lock(txn, request.id).await?;
        let taken =
            stored.and_then(|stored| found(stored, request.id)).and_then(|(table, state)| {
                let Some(sequence) = table.sequence() else { return Err(not_a_sequence(&table)) };
                let cached = (sequence.cache > 1).then_some(table.version);
                let size =
                    if cached.is_some() { sequence.cache.unsigned_abs() } else { request.size };
                let (block, state) = sequence.take(&table.name, state, size)?;
                Ok((block, state, cached))
            });
        if let Ok((_, state, _)) = &taken {
            sequence::put(txn, request.id, *state)?;
        }
        Ok(taken)
    })
}

fn set(txn: &mut Txn, request: Request) -> BoxFuture<'_, Result<SqlResult<()>, TxnError>> {
    Box::pin(async move {
        txn.set_lock_timeout(request.lock_timeout);
        let stored = sequence::lock(txn, request.id).await?;
        let state =
            stored.and_then(|stored| found(stored, request.id)).and_then(|(table, state)| {
                let Some(sequence) = table.sequence() else { return Err(not_a_sequence(&table)) };
                if request.stamp.is_some_and(|stamp| stamp != state.stamp) {
                    return Ok(None);
                }
                sequence.set(&table.name, state, request.value, request.is_called).map(Some)
            });
        match state {
            Ok(state) => {
                if let Some(state) = state {
                    sequence::put(txn, request.id, state)?;
                }
                Ok(Ok(()))
            }
            Err(error) => Ok(Err(error)),
        }
    })
}

impl<'a> StatementSequences<'a> {
    pub(crate) fn new(
        db: &'a Db,
        catalog: &'a TxnCatalog,
        session: &'a SessionSequences,
        read_only: bool,
        lock_timeout: Option<Duration>,
    ) -> Self {
        StatementSequences {
            db,
            catalog,
            session,
            read_only,
            lock_timeout,
            taken: Mutex::default(),
        }
    }

    fn taken(&self) -> MutexGuard<'_, BTreeMap<TableId, Taken>> {
        // Nothing panics while it is held.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn request(&self, id: TableId) -> Request {
        let lock_timeout = self.lock_timeout;
        Request { id, size: 1, value: 0, is_called: true, stamp: None, lock_timeout }
    }

    fn check_may_write(&self, what: &str) -> SqlResult<()> {
        if !self.read_only {
            return Ok(());
        }
        let text = format!("cannot execute {what}() in a read-only transaction");
        Err(SqlError::new(SqlState::READ_ONLY_SQL_TRANSACTION, text))
    }

    /// 42809 for the oid of an index, which has no descriptor of its own.
    fn check_no_index(&self, id: TableId) -> SqlResult<()> {
        let indexes = self.catalog.known().flat_map(|table| &table.indexes);
        match indexes.into_iter().find(|index| index.oid == id.0) {
            Some(index) => {
                let text = format!("\"{}\" is not a sequence", index.name);
                Err(SqlError::new(SqlState::WRONG_OBJECT_TYPE, text))
            }
            None => Ok(()),
        }
    }

    /// A step in the transaction that it belongs in (N4).
    async fn step<T: Send + 'static>(
        &self,
        txn: &mut Txn,
        request: Request,
        step: Step<T>,
    ) -> SqlResult<T> {
        if self.catalog.is_changed(request.id) {
            return step(txn, request).await.or_sql()?;
        }
        let mut tries = 0;
        loop {
            let options = TxnOptions::default();
            let done = self.db.run(options, move |txn| step(txn, request)).await;
            match done {
                // Nothing of the statement's own has become uncertain (N1).
                Err(TxnError::Ambiguous) if tries < MAX_TRIES => tries += 1,
                Err(TxnError::Ambiguous) => return Err(from_txn(TxnError::Unavailable)),
                done => {
                    let done = done.or_sql()?;
                    if done.is_err() {
                        self.check_no_index(request.id)?;
                    }
                    return done;
                }
            }
        }
    }

    /// What a sequence is and where it stands, whoever has changed it.
    async fn read(
        &self,
        txn: &mut Txn,
        id: TableId,
    ) -> SqlResult<(TableDescriptor, SequenceState)> {
        let stored = if self.catalog.is_changed(id) {
            sequence::read(txn, id).await
        } else {
            sequence::read(&mut self.db.begin(TxnOptions::default()), id).await
        };
        found(stored.or_sql()??, id)
    }

    /// The version of a sequence's descriptor.
    async fn version(&self, txn: &mut Txn, id: TableId) -> SqlResult<u64> {
        match self.catalog.known_by_id(id) {
            Some(table) => Ok(table.version),
            None => Ok(self.read(txn, id).await?.0.version),
        }
    }

    async fn next(&self, txn: &mut Txn, id: TableId) -> SqlResult<i64> {
        self.check_may_write("nextval")?;
        let mut request = self.request(id);
        if let Some(taken) = self.taken().get_mut(&id) {
            if let Some(value) = taken.rest.next() {
                taken.last = value;
                self.session.took(id, value, None)?;
                return Ok(value);
            }
            request.size = taken.size;
        }
        if let Some(value) = self.of_cache(txn, id).await? {
            return Ok(value);
        }
        let is_own = self.catalog.is_changed(id);
        let (mut block, state, cached) = self.step(txn, request, take).await?;
        let value = block.next().ok_or_else(|| SqlError::internal("a block without values"))?;
        let cached = cached.map(|version| Cached { block, version });
        // What is kept for later would outlive a transaction that is rolled back.
        if cached.is_none() && !is_own {
            let mut all = self.taken();
            let size = all.get(&id).map_or(1, |before| (before.size * 2).min(MAX_BLOCK));
            all.insert(id, Taken { rest: block, last: value, state, size });
        }
        self.session.took(id, value, cached.filter(|_| !is_own))?;
        Ok(value)
    }

    /// A value that the session has kept.
    async fn of_cache(&self, txn: &mut Txn, id: TableId) -> SqlResult<Option<i64>> {
        let has_some = |known: &Known| {
            let used = known.sequences.get(&id);
            used.is_some_and(|used| used.cached.as_ref().is_some_and(|c| !c.block.is_empty()))
        };
        if !has_some(&self.session.known()) {
            return Ok(None);
        }
        let version = self.version(txn, id).await?;
        let mut known = self.session.known();
        let used = known.entry(id)?;
        let cached = used.cached.as_mut().filter(|cached| cached.version == version);
        let value = cached.and_then(|cached| cached.block.next());
        match value {
            Some(value) => {
                used.last = Some(value);
                known.latest = Some(id);
            }
            None => used.cached = None,
        }
        Ok(value)
    }

    async fn set(&self, txn: &mut Txn, request: Request) -> SqlResult<i64> {
        self.check_may_write("setval")?;
        self.taken().remove(&request.id);
        self.step(txn, request, set).await?;
        let mut known = self.session.known();
        let used = known.entry(request.id)?;
        used.cached = None;
        if request.is_called {
            used.last = Some(request.value);
        }
        Ok(request.value)
    }

    async fn current(&self, txn: &mut Txn, id: TableId) -> SqlResult<i64> {
        let last = self.session.known().sequences.get(&id).and_then(|used| used.last);
        let is_known = self.catalog.known_by_id(id).is_some_and(|table| table.sequence().is_some());
        if let Some(last) = last.filter(|_| is_known) {
            return Ok(last);
        }
        let (table, _) = self.read(txn, id).await?;
        last.ok_or_else(|| {
            let name = table.name;
            let text = format!("currval of sequence \"{name}\" is not yet defined in this session");
            SqlError::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, text)
        })
    }

    async fn latest(&self, txn: &mut Txn) -> SqlResult<i64> {
        let undefined = || {
            let text = "lastval is not yet defined in this session";
            SqlError::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, text)
        };
        let latest = self.session.known().latest.ok_or_else(undefined)?;
        // It may have been dropped.
        self.current(txn, latest).await.map_err(|error| match error.state {
            SqlState::INTERNAL_ERROR => undefined(),
            _ => error,
        })
    }

    /// The statement is done: what is left of its blocks goes back (N2). If that fails the values are left out.
    pub(crate) async fn give_back(&self) {
        let taken = std::mem::take(&mut *self.taken());
        for (id, Taken { rest, last, state, .. }) in taken {
            if rest.is_empty() {
                continue;
            }
            let stamp = Some(state.stamp);
            let request = Request { value: last, stamp, ..self.request(id) };
            let options = TxnOptions::default();
            let _ = self.db.run(options, move |txn| set(txn, request)).await;
        }
    }
}

impl Sequences for StatementSequences<'_> {
    fn ask<'f>(
        &'f self,
        txn: &'f mut Txn,
        request: SequenceRequest,
    ) -> BoxFuture<'f, SqlResult<Datum>> {
        Box::pin(async move {
            let value = match request {
                SequenceRequest::Next(id) => self.next(txn, TableId(id)).await?,
                SequenceRequest::Current(id) => self.current(txn, TableId(id)).await?,
                SequenceRequest::Latest => self.latest(txn).await?,
                SequenceRequest::Set { id, value, is_called } => {
                    let request = Request { value, is_called, ..self.request(TableId(id)) };
                    self.set(txn, request).await?
                }
                SequenceRequest::Last(id) => {
                    let (_, state) = self.read(txn, TableId(id)).await?;
                    return Ok(match state.is_called {
                        true => Datum::Int8(state.last_value),
                        false => Datum::Null,
                    });
                }
            };
            Ok(Datum::Int8(value))
        })
    }

    fn state<'f>(
        &'f self,
        txn: &'f mut Txn,
        id: TableId,
    ) -> BoxFuture<'f, SqlResult<SequenceState>> {
        Box::pin(async move { self.read(txn, id).await.map(|(_, state)| state) })
    }
}

/// Where all sequences stand, by id: those that the transaction has changed as it has left them.
pub(crate) async fn all_states(
    db: &Db,
    catalog: &TxnCatalog,
    txn: &mut Txn,
) -> SqlResult<BTreeMap<TableId, SequenceState>> {
    let mut other = db.begin(TxnOptions::default());
    let mut states: BTreeMap<_, _> = sequence::read_all(&mut other).await?.into_iter().collect();
    for id in catalog.changed() {
        match sequence::read(txn, id).await.or_sql()?? {
            Some(Stored { state: Some(state), .. }) => drop(states.insert(id, state)),
            _ => drop(states.remove(&id)),
        }
    }
    Ok(states)
}
