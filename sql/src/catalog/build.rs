//! Builds: how an index gets its entries while others write.
//!
//! ```text
//!  CREATE INDEX: gate, version n + 1: the index is `building`    every commit from here on maintains it
//!       backfill: the rows that are there, some at a time        each a transaction that locks them
//!       gate, version n + 2: the index is one of the `indexes`   queries may use it
//! ```
//!
//! A build lives by a beat, as a gate does (`gate`). One that is given up (an error, a cancelled statement, a client that
//! is gone) is undone by its node; one whose node has died, by whichever node next has a lease on the table.
//!
//! - U1. No commit after the first step relies on the version before it: its leases have ended, and whoever has none has
//!   read the descriptor itself. So a row either is there when the backfill begins, or has its entry from its writer.
//! - U2. An entry is made of a row that is locked, in the transaction that read it. So it is the row's present one, and
//!   nothing that the writers do to the row is undone.
//! - U3. An entry of another row under a unique index's key is the present one of a present row: a duplicate.
//! - U4. A build does nothing more once its beat has ended, and only then may others undo it (B2 of `gate`).
//! - U5. An index leaves `building` once, in a transaction behind the table's gate: published or undone.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sql_catalog::descriptor::{IndexDescriptor, IndexId, PRIMARY_INDEX, TableDescriptor, TableId};
use sql_exec::OrSql;
use sql_exec::from_txn;
use sql_exec::row;
use sql_exec::store;
use sql_values::error::{SqlError, SqlResult, SqlState};
use txn::Timestamp;
use txn::db::{CommitDeadline, Txn, TxnError, TxnOptions};

use super::codec::{self, Beat};
use super::debris;
use super::gate::{ALIVE, ClosedGate, Patience, beat};
use super::keys;
use super::lease::{Leases, invalid};

/// Rows that one transaction indexes: it locks them for as long as it takes.
const CHUNK: usize = 500;
/// Pause after a step that failed, and how often it is tried.
const AGAIN: Duration = Duration::from_millis(100);
const MAX_TRIES: u32 = 100;

/// An index that is being built by a statement of this node. Dropped, it is undone in the background.
pub(crate) struct Build {
    leases: Arc<Leases>,
    table: TableId,
    index: IndexId,
    owner: u64,
    deadline: CommitDeadline,
    /// Beats are sent while this is there.
    life: Arc<()>,
    is_done: bool,
}

/// What a step found instead of its index.
enum Stop {
    /// Somebody has undone it.
    Gone,
    /// A row that is there already, and has its key.
    Duplicate(Box<(TableDescriptor, IndexDescriptor, Vec<sql_values::types::Datum>)>),
    Error(SqlError),
}

impl From<TxnError> for Stop {
    fn from(error: TxnError) -> Self {
        Stop::Error(from_txn(error))
    }
}

impl Build {
    /// Claims an index that the transaction has added to the table's `building`.
    pub(super) fn claim(
        leases: &Arc<Leases>,
        txn: &mut Txn,
        table: TableId,
        index: IndexId,
    ) -> SqlResult<Build> {
        let until = leases.env().clock.now().saturating_add(ALIVE);
        let build = Build {
            leases: leases.clone(),
            table,
            index,
            owner: leases.env().rng.next_u64(),
            deadline: CommitDeadline::new(until),
            life: Arc::default(),
            is_done: false,
        };
        txn.put(keys::build(table, index), codec::encode(&build.beat(until))).or_sql()?;
        txn.commit_before(build.deadline.clone());
        Ok(build)
    }

    fn beat(&self, until: Timestamp) -> Beat {
        Beat { owner: self.owner, until: until.raw() }
    }

    /// The claim is committed: fills the index and publishes it. After an error there is no index.
    pub(crate) async fn finish(
        mut self,
        duplicated: impl Fn(&TableDescriptor, &IndexDescriptor, &[sql_values::types::Datum]) -> SqlError,
    ) -> SqlResult<()> {
        let (key, life) = (keys::build(self.table, self.index), Arc::downgrade(&self.life));
        let beats = beat(self.leases.clone(), key, self.owner, self.deadline.clone(), life);
        self.leases.env().tasks.spawn("index build", Box::pin(beats));
        let stop = match self.backfill().await {
            Ok(()) => match self.publish().await {
                Ok(()) => {
                    self.is_done = true;
                    return Ok(());
                }
                Err(stop) => stop,
            },
            Err(stop) => stop,
        };
        let error = match stop {
            // Its node was taken for dead (a process that stood still), and the index undone for that. Nothing is left of it.
            Stop::Gone if !self.is_alive() => SqlError::new(
                SqlState::SERIALIZATION_FAILURE,
                "the build of the index was given up: this node was not heard of for too long",
            ),
            Stop::Gone => SqlError::new(
                SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
                "the index was dropped while it was being built",
            ),
            Stop::Duplicate(found) => duplicated(&found.0, &found.1, &found.2),
            Stop::Error(error) => error,
        };
        self.is_done = undo(&self.leases, self.table, self.index, Some(self.owner)).await.is_ok();
        match self.is_done {
            true => Err(error),
            // Its name is still taken: this must not be run again by itself.
            false => Err(SqlError { state: SqlState::SYSTEM_ERROR, ..error }),
        }
    }

    fn is_alive(&self) -> bool {
        self.leases.env().clock.now() < self.deadline.get()
    }

    /// Gives every row its entry (U2).
    async fn backfill(&self) -> Result<(), Stop> {
        let span = row::index_span(self.table, PRIMARY_INDEX);
        let mut from = span.start;
        loop {
            let (start, end) = (from.clone(), span.end.clone());
            let rows = self.leases.db().run(TxnOptions::default(), move |txn| {
                let (start, end) = (start.clone(), end.clone());
                Box::pin(async move { txn.scan(start, end, CHUNK).await })
            });
            let rows = rows.await.map_err(Stop::from)?;
            let Some(last) = rows.last() else { return Ok(()) };
            from = store::after(&last.key);
            let keys: Vec<Bytes> = rows.into_iter().map(|row| row.key).collect();
            let mut tries = 0;
            loop {
                match self.chunk(&keys).await {
                    Ok(None) => break,
                    Ok(Some(stop)) => return Err(stop),
                    // Somebody has locked one of the rows for long: that is waited for, however long it takes.
                    Err(TxnError::LockTimeout) if self.is_alive() => {}
                    Err(error)
                        if tries < MAX_TRIES
                            && self.is_alive()
                            && (error.is_retry()
                                || matches!(
                                    error,
                                    TxnError::Ambiguous | TxnError::Unavailable
                                )) =>
                    {
                        tries += 1;
                    }
                    Err(error) => return Err(error.into()),
                }
                self.leases.env().clock.sleep(AGAIN).await;
            }
            if keys.len() < CHUNK {
                return Ok(());
            }
        }
    }

    async fn chunk(&self, keys: &[Bytes]) -> Result<Option<Stop>, TxnError> {
        let (table, index, deadline) = (self.table, self.index, self.deadline.clone());
        let keys: Arc<[Bytes]> = keys.into();
        let written = self.leases.db().run(TxnOptions::default(), move |txn| {
            let (keys, deadline) = (keys.clone(), deadline.clone());
            Box::pin(async move {
                let Some(table) = read(txn, table).await? else { return Ok(Some(Stop::Gone)) };
                let Some(index) = table.building.iter().find(|building| building.id == index)
                else {
                    return Ok(Some(Stop::Gone));
                };
                txn.commit_before(deadline);
                match fill(txn, &table, index, &keys).await {
                    Ok(stop) => Ok(stop),
                    Err(Failed::Txn(error)) => Err(error),
                    Err(Failed::Sql(error)) => Ok(Some(Stop::Error(error))),
                }
            })
        });
        written.await
    }

    /// The index is there for queries (U5).
    async fn publish(&self) -> Result<(), Stop> {
        let mut tries = 0;
        loop {
            match self.try_publish().await {
                Ok(true) => return Ok(()),
                Ok(false) => return Err(Stop::Gone),
                Err(error) if tries < MAX_TRIES && self.is_alive() && may_go_on(&error) => {
                    tries += 1;
                }
                Err(error) => return Err(Stop::Error(error)),
            }
            self.leases.env().clock.sleep(AGAIN).await;
        }
    }

    async fn try_publish(&self) -> SqlResult<bool> {
        let gate = ClosedGate::close(&self.leases, self.table, Patience::default()).await?;
        let mut txn = self.leases.db().begin(TxnOptions::default());
        gate.enter(&mut txn).await?;
        let Some(mut table) = read(&mut txn, self.table).await.or_sql()? else { return Ok(false) };
        // An earlier attempt may have succeeded without our hearing of it.
        if table.indexes.iter().any(|index| index.id == self.index) {
            return Ok(true);
        }
        let Some(at) = table.building.iter().position(|index| index.id == self.index) else {
            return Ok(false);
        };
        let index = table.building.remove(at);
        table.indexes.push(index);
        table.version += 1;
        txn.put(keys::descriptor(self.table), codec::encode_table(&table)).or_sql()?;
        txn.delete(keys::build(self.table, self.index)).or_sql()?;
        txn.commit_before(self.deadline.clone());
        txn.commit().await.or_sql()?;
        Ok(true)
    }
}

impl Drop for Build {
    fn drop(&mut self) {
        if self.is_done {
            return;
        }
        let (leases, table, index, owner) =
            (self.leases.clone(), self.table, self.index, self.owner);
        let tasks = leases.env().tasks.clone();
        let task = async move {
            // That it fails is no harm: others undo it when its beat has ended.
            let _ = undo(&leases, table, index, Some(owner)).await;
        };
        tasks.spawn("index build", Box::pin(task));
    }
}

fn may_go_on(error: &SqlError) -> bool {
    error.asks_for_another_attempt()
        || error.state == SqlState::STATEMENT_COMPLETION_UNKNOWN
        || error.state == SqlState::SYSTEM_ERROR
        || error.state == SqlState::LOCK_NOT_AVAILABLE
}

async fn read(txn: &mut Txn, table: TableId) -> Result<Option<TableDescriptor>, TxnError> {
    let bytes = txn.get(keys::descriptor(table)).await?;
    bytes.map(|bytes| codec::decode_table(&bytes)).transpose().map_err(invalid)
}

enum Failed {
    Txn(TxnError),
    Sql(SqlError),
}

impl From<TxnError> for Failed {
    fn from(error: TxnError) -> Self {
        Failed::Txn(error)
    }
}

impl From<SqlError> for Failed {
    fn from(error: SqlError) -> Self {
        Failed::Sql(error)
    }
}

/// Writes the entries of the rows that are still there. Nothing is written if one is a duplicate.
async fn fill(
    txn: &mut Txn,
    table: &TableDescriptor,
    index: &IndexDescriptor,
    keys: &[Bytes],
) -> Result<Option<Stop>, Failed> {
    let mut entries = BTreeMap::new();
    let mut exclusive = Vec::new();
    for value in txn.get_many_for_update(keys).await?.into_iter().flatten() {
        let row = row::decode_row(table, &value)?;
        let entry = store::entry(table, index, &row)?;
        if entry.exclusive {
            exclusive.push(entry.key.clone());
        }
        if entries.insert(entry.key, (entry.value, row.clone())).is_some() {
            return Ok(Some(duplicate(table, index, row)));
        }
    }
    let found = txn.get_many_for_update(&exclusive).await?;
    for (key, found) in exclusive.iter().zip(found) {
        if let (Some(found), Some((value, row))) = (found, entries.get(key))
            && found != *value
        {
            return Ok(Some(duplicate(table, index, row.clone())));
        }
    }
    for (key, (value, _)) in entries {
        txn.put(key, value)?;
    }
    Ok(None)
}

fn duplicate(
    table: &TableDescriptor,
    index: &IndexDescriptor,
    row: Vec<sql_values::types::Datum>,
) -> Stop {
    Stop::Duplicate(Box::new((table.clone(), index.clone(), row)))
}

/// Removes an index that is not going to be built (U5): its owner's, or without an owner one whose beat has ended.
async fn undo(
    leases: &Arc<Leases>,
    table: TableId,
    index: IndexId,
    owner: Option<u64>,
) -> SqlResult<()> {
    for _ in 0..MAX_TRIES {
        match try_undo(leases, table, index, owner).await {
            Err(error) if may_go_on(&error) => leases.env().clock.sleep(AGAIN).await,
            undone => return undone,
        }
    }
    Err(SqlError::internal("an index that is not built any more cannot be removed"))
}

/// May the build be undone? By its owner, or because nobody else is at it any more.
async fn is_over(
    txn: &mut Txn,
    table: TableId,
    index: IndexId,
    owner: Option<u64>,
) -> Result<bool, TxnError> {
    let Some(bytes) = txn.get(keys::build(table, index)).await? else { return Ok(false) };
    let beat: Beat = codec::decode(&bytes).map_err(invalid)?;
    Ok(match owner {
        Some(owner) => beat.owner == owner,
        None => Timestamp::from_raw(beat.until) <= txn.read_ts(),
    })
}

async fn try_undo(
    leases: &Arc<Leases>,
    table: TableId,
    index: IndexId,
    owner: Option<u64>,
) -> SqlResult<()> {
    // Nearly always there is nothing to do, and no need for a gate.
    if !is_over(&mut leases.db().begin(TxnOptions::default()), table, index, owner)
        .await
        .or_sql()?
    {
        return Ok(());
    }
    let gate = ClosedGate::close(leases, table, Patience::default()).await?;
    let mut txn = leases.db().begin(TxnOptions::default());
    gate.enter(&mut txn).await?;
    if !is_over(&mut txn, table, index, owner).await.or_sql()? {
        return Ok(());
    }
    txn.delete(keys::build(table, index)).or_sql()?;
    let found = read(&mut txn, table).await.or_sql()?;
    let at = found.as_ref().and_then(|t| t.building.iter().position(|known| known.id == index));
    let prefix = Bytes::from(row::index_prefix(table, index));
    if let (Some(mut found), Some(at)) = (found, at) {
        let gone = found.building.remove(at);
        found.version += 1;
        txn.delete(keys::name(&found.schema, &gone.name)).or_sql()?;
        txn.put(keys::descriptor(table), codec::encode_table(&found)).or_sql()?;
        debris::leave(leases, &mut txn, &prefix).or_sql()?;
    }
    txn.commit().await.or_sql()?;
    debris::clear(leases, prefix);
    Ok(())
}

/// Undoes, in the background, builds of a table whose nodes have died.
pub(super) fn sweep(leases: &Arc<Leases>, table: &TableDescriptor) {
    for index in &table.building {
        let (leases, table, index) = (leases.clone(), table.id, index.id);
        let tasks = leases.env().tasks.clone();
        let task = async move {
            let _ = undo(&leases, table, index, None).await;
        };
        tasks.spawn("index build", Box::pin(task));
    }
}

#[cfg(test)]
mod tests;
