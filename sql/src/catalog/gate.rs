//! Gates: what a schema change does before it changes a table (L3 and L4 of `lease`).
//!
//! A closed gate is two rows: the gate, which names its owner (one change), and the owner's beat, which says until when
//! it lives. The change reads and removes the gate in its own transaction; the beat is renewed beside it, for as long as
//! that takes, and bounds its commit. A gate is first closed, then shut:
//!
//! | | a new transaction | one that uses a lease |
//! |---|---|---|
//! | open | takes a lease, or reads the descriptor | renews it |
//! | closed | waits | renews it; the change waits for it |
//! | shut | waits | there is none |
//!
//! - B1. A gate is closed at a time if its owner's beat says so at that time. All else is an open gate.
//! - B2. Only the owner renews a beat, and only before it has ended: between two beats the gate is not open for a moment.
//! - B3. Who closes a gate writes both rows, so that an owner that was taken for dead can neither renew nor commit.
//! - B4. The change commits before the end of the latest beat that it knows to be written.
//! - B5. Earlier builds know no beats: a gate of theirs is shut until the time in it, and ours is closed to them for as
//!   long as it is there. So both may serve in one cluster while it is upgraded.
//! - B6. Whoever waits for a gate waits for one owner: a change that follows at once does not keep it waiting again. And
//!   who may be waited for itself, by the owner or by whom the owner waits for, does not wait for ever ([`STANDOFF`]).

use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use sql_catalog::descriptor::TableId;
use sql_exec::{OrSql, from_txn};
use sql_values::error::{SqlError, SqlResult, SqlState};
use txn::Timestamp;
use txn::db::{CommitDeadline, Txn, TxnError, TxnOptions};

use super::codec::{self, Beat, Gate, LeaseRecord};
use super::keys;
use super::lease::{Leases, invalid};

/// How long a beat lasts: the longest that a change whose node has died keeps others out.
pub(super) const ALIVE: Duration = Duration::from_secs(10);
/// Pause between two beats.
const BEAT: Duration = Duration::from_secs(2);
/// Pause after a beat that failed.
const BEAT_AGAIN: Duration = Duration::from_millis(500);
/// Longest that one beat may take.
const BEAT_TIMEOUT: Duration = Duration::from_secs(4);
/// First and longest pause between two looks at a gate or at leases.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LAST_PAUSE: Duration = Duration::from_millis(50);
/// A transaction that others may wait for waits for so long while the gate's owner itself waits for others.
const STANDOFF: Duration = Duration::from_secs(1);
/// A change that others may wait for waits so long for another change that waits for others.
const DEADLOCK: Duration = Duration::from_secs(10);
/// Leases of one table that are looked at: one for each life of a node.
const MAX_LEASES: usize = 10_000;
/// Gates that are looked at: of changes that are under way, and those that the dead have left.
const MAX_GATES: usize = 10_000;

/// How somebody waits.
#[derive(Clone, Debug, Default)]
pub(super) struct Patience {
    /// `lock_timeout`.
    pub(super) limit: Option<Duration>,
    /// Tables that the transaction uses, or changes: others may wait for it.
    pub(super) holds: Vec<TableId>,
}

/// A closed gate, as its row and its owner's beat say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Closed {
    pub(super) owner: u64,
    /// Until when, if nothing more is heard of its owner.
    pub(super) until: Timestamp,
    /// No lease is renewed any more.
    pub(super) shut: bool,
    /// A change waits for one of the tables that whoever asks holds.
    wanted: bool,
}

/// A wait for a gate.
struct Wait<'l> {
    leases: &'l Leases,
    patience: Patience,
    since: Duration,
    pause: Duration,
    /// Since when it might be for each other.
    idle_since: Option<Duration>,
}

impl<'l> Wait<'l> {
    fn new(leases: &'l Leases, patience: Patience) -> Self {
        let since = leases.env().clock.monotonic();
        Wait { leases, patience, since, pause: FIRST_PAUSE, idle_since: None }
    }

    /// Waits a little longer, or fails with 55P03.
    async fn pause(&mut self) -> SqlResult<()> {
        let clock = &self.leases.env().clock;
        let mut pause = self.pause;
        if let Some(limit) = self.patience.limit {
            let left = (self.since + limit).saturating_sub(clock.monotonic());
            if left.is_zero() {
                let text = "canceling statement due to lock timeout";
                return Err(SqlError::new(SqlState::LOCK_NOT_AVAILABLE, text));
            }
            pause = pause.min(left);
        }
        clock.sleep(pause).await;
        self.pause = (self.pause * 2).min(LAST_PAUSE);
        Ok(())
    }

    /// True if for `limit` the owner, or some change that waits for us, has been waiting for others.
    fn is_standoff(&mut self, gate: Closed, limit: Duration) -> bool {
        let now = self.leases.env().clock.monotonic();
        if self.patience.holds.is_empty() || (gate.shut && !gate.wanted) {
            self.idle_since = None;
            return false;
        }
        now.saturating_sub(*self.idle_since.get_or_insert(now)) >= limit
    }
}

/// Waits until the change that is under way on the table has ended (B6). False if there was none. Dropped half-way, it
/// leaves nothing.
pub(super) async fn pass(leases: &Leases, table: TableId, patience: Patience) -> SqlResult<bool> {
    let mut wait = Wait::new(leases, patience);
    let Some(first) = look(leases, table, &wait.patience).await.or_sql()? else { return Ok(false) };
    let mut now = first;
    loop {
        if wait.is_standoff(now, STANDOFF) {
            return Ok(true);
        }
        wait.pause().await?;
        match look(leases, table, &wait.patience).await {
            Ok(Some(found)) if found.owner == first.owner => now = found,
            Ok(_) => return Ok(true),
            Err(error) => return Err(from_txn(error)),
        }
    }
}

async fn look(
    leases: &Leases,
    table: TableId,
    patience: &Patience,
) -> Result<Option<Closed>, TxnError> {
    let (limit, holds) = (patience.limit, Arc::<[TableId]>::from(&patience.holds[..]));
    let looked = leases.db().run(TxnOptions::default(), move |txn| {
        let holds = holds.clone();
        Box::pin(async move {
            // A change that is being committed has locked its gate.
            txn.set_lock_timeout(limit);
            let found = closed_by(txn, table).await?;
            with_wanted(txn, found, &holds).await
        })
    });
    looked.await
}

async fn with_wanted(
    txn: &mut Txn,
    mut found: Option<Closed>,
    holds: &[TableId],
) -> Result<Option<Closed>, TxnError> {
    if let Some(gate) = &mut found
        && !holds.is_empty()
    {
        let closed = closed_gates(txn).await?;
        gate.wanted = closed.iter().any(|(id, gate)| !gate.shut && holds.contains(id));
    }
    Ok(found)
}

/// A gate that a schema change has closed. Dropped, it opens in the background if the change has not opened it.
pub(super) struct ClosedGate {
    leases: Arc<Leases>,
    table: TableId,
    owner: u64,
    deadline: CommitDeadline,
    /// Beats are sent while this is there.
    life: Arc<()>,
}

impl ClosedGate {
    /// Closes the table's gate, waits until no lease on its present version is left, and shuts it. The caller has dropped
    /// its own use of the lease. Dropped half-way, it leaves an open gate.
    pub(super) async fn close(
        leases: &Arc<Leases>,
        table: TableId,
        patience: Patience,
    ) -> SqlResult<ClosedGate> {
        let (clock, tasks) = (&leases.env().clock, &leases.env().tasks);
        let gate = ClosedGate {
            leases: leases.clone(),
            table,
            owner: leases.env().rng.next_u64(),
            deadline: CommitDeadline::new(Timestamp::ZERO),
            life: Arc::default(),
        };
        let owner = gate.owner;
        let mut wait = Wait::new(leases, patience);
        loop {
            let until = clock.now().saturating_add(ALIVE);
            match seize(leases, table, Beat { owner, until: until.raw() }, &wait.patience).await {
                Ok(None) => {
                    gate.deadline.extend(until);
                    break;
                }
                Ok(Some(other)) if wait.is_standoff(other, DEADLOCK) => {
                    return Err(SqlError::new(SqlState::DEADLOCK_DETECTED, "deadlock detected"));
                }
                Ok(Some(_)) => wait.pause().await?,
                Err(error) => return Err(from_txn(error)),
            }
        }
        let (deadline, life) = (gate.deadline.clone(), Arc::downgrade(&gate.life));
        let beats = beat(leases.clone(), keys::beat(table), owner, deadline, life);
        tasks.spawn("schema gate", Box::pin(beats));
        wait.pause = FIRST_PAUSE;
        loop {
            leases.give_back(table).await;
            match shut(leases, table, owner).await.or_sql()? {
                Some(true) => return Ok(gate),
                Some(false) => wait.pause().await?,
                None => return Err(lost()),
            }
        }
    }

    /// False if the change was not heard of for too long. Then it may close the gate anew.
    pub(super) fn is_alive(&self) -> bool {
        self.leases.env().clock.now() < self.deadline.get()
    }

    /// Reads the gate in the change's own transaction, whose reads are later than every lease from then on, and
    /// opens it with the change.
    pub(super) async fn enter(&self, txn: &mut Txn) -> SqlResult<()> {
        let bytes = txn.get_for_update(keys::gate(self.table)).await.or_sql()?.ok_or_else(lost)?;
        let gate: Gate = codec::decode(&bytes)?;
        if gate.owner != self.owner {
            return Err(lost());
        }
        txn.delete(keys::gate(self.table)).or_sql()?;
        txn.commit_before(self.deadline.clone());
        Ok(())
    }
}

impl Drop for ClosedGate {
    fn drop(&mut self) {
        let (leases, table, owner) = (self.leases.clone(), self.table, self.owner);
        let task = async move {
            // That it fails is no harm: the gate opens by itself when its last beat is over.
            let opened = open(&leases, table, owner).await;
            if let Err(error) = opened {
                tracing::debug!(%error, table = table.0, "a schema gate stays closed for a while");
            }
        };
        self.leases.env().tasks.spawn("schema gate", Box::pin(task));
    }
}

fn lost() -> SqlError {
    SqlError::new(
        SqlState::SERIALIZATION_FAILURE,
        "could not change the table: the cluster did not hear of the change for too long",
    )
}

/// The table's gate, if it is closed at the transaction's time (B1).
pub(super) async fn closed_by(txn: &mut Txn, table: TableId) -> Result<Option<Closed>, TxnError> {
    let Some(gate) = txn.get(keys::gate(table)).await? else { return Ok(None) };
    let beat = txn.get(keys::beat(table)).await?;
    read(&gate, beat.as_deref(), txn.read_ts())
}

fn read(gate: &[u8], beat: Option<&[u8]>, now: Timestamp) -> Result<Option<Closed>, TxnError> {
    let gate: Gate = codec::decode(gate).map_err(invalid)?;
    let beat = beat.map(codec::decode::<Beat>).transpose().map_err(invalid)?;
    // B5: without a beat of its owner, the gate's own time counts.
    let beat = beat.filter(|beat| beat.owner == gate.owner);
    let until = Timestamp::from_raw(beat.map_or(gate.until, |beat| beat.until));
    let closed = Closed { owner: gate.owner, until, shut: !gate.renewable, wanted: false };
    Ok((until > now).then_some(closed))
}

/// Tables whose gates are closed at the transaction's time.
pub(super) async fn closed_gates(txn: &mut Txn) -> Result<Vec<(TableId, Closed)>, TxnError> {
    let (start, end) = keys::gates();
    let gates = txn.scan(start, end, MAX_GATES).await?;
    let (start, end) = keys::beats();
    let beats = match gates.is_empty() {
        true => Vec::new(),
        false => txn.scan(start, end, MAX_GATES).await?,
    };
    let mut closed = Vec::new();
    for gate in gates {
        let Some(table) = keys::table_of(&gate.key) else { continue };
        let key = keys::beat(table);
        let beat = beats.iter().find(|beat| beat.key == key).map(|beat| &beat.value[..]);
        closed.extend(read(&gate.value, beat, txn.read_ts())?.map(|found| (table, found)));
    }
    Ok(closed)
}

fn row(owner: u64, renewable: bool) -> Gate {
    Gate { until: u64::MAX, owner, renewable }
}

/// Closes the gate, with a first beat, unless another change holds it: then tells how.
async fn seize(
    leases: &Leases,
    table: TableId,
    beat: Beat,
    patience: &Patience,
) -> Result<Option<Closed>, TxnError> {
    let (limit, holds) = (patience.limit, Arc::<[TableId]>::from(&patience.holds[..]));
    let seized = leases.db().run(TxnOptions::default(), move |txn| {
        let holds = holds.clone();
        Box::pin(async move {
            txn.set_lock_timeout(limit);
            let found = closed_by(txn, table).await?;
            // The answer of an earlier attempt may have been lost.
            if let Some(other) = found.filter(|found| found.owner != beat.owner) {
                return with_wanted(txn, Some(other), &holds).await;
            }
            txn.put(keys::gate(table), codec::encode(&row(beat.owner, true)))?;
            txn.put(keys::beat(table), codec::encode(&beat))?;
            Ok(None)
        })
    });
    seized.await
}

/// Shuts the gate if no lease is left (L3); rows of leases that have ended go. True iff it is shut; none if it is not this
/// owner's any more.
async fn shut(leases: &Leases, table: TableId, owner: u64) -> Result<Option<bool>, TxnError> {
    let shut = leases.db().run(TxnOptions::default(), move |txn| {
        Box::pin(async move {
            if closed_by(txn, table).await?.is_none_or(|found| found.owner != owner) {
                return Ok::<_, TxnError>(None);
            }
            let (start, end) = keys::leases(table);
            let rows = txn.scan(start, end, MAX_LEASES).await?;
            let mut is_last = rows.len() < MAX_LEASES;
            for row in rows {
                let lease: LeaseRecord = codec::decode(&row.value).map_err(invalid)?;
                if Timestamp::from_raw(lease.end) < txn.read_ts() {
                    txn.delete(row.key)?;
                } else {
                    is_last = false;
                }
            }
            if is_last {
                txn.put(keys::gate(table), codec::encode(&row(owner, false)))?;
            }
            Ok(Some(is_last))
        })
    });
    shut.await
}

/// Sends beats while the change lives (`life`) and is not taken for dead, and moves its deadline on with them.
pub(super) async fn beat(
    leases: Arc<Leases>,
    key: Bytes,
    owner: u64,
    deadline: CommitDeadline,
    life: Weak<()>,
) {
    let clock = leases.env().clock.clone();
    let mut pause = BEAT;
    while clock.now() < deadline.get() {
        clock.sleep(pause).await;
        if life.strong_count() == 0 {
            return;
        }
        let until = clock.now().saturating_add(ALIVE);
        match renew(&leases, &key, Beat { owner, until: until.raw() }).await {
            Ok(true) => {
                deadline.extend(until);
                pause = BEAT;
            }
            Ok(false) => return,
            Err(_) => pause = BEAT_AGAIN,
        }
    }
}

/// Writes the next beat (B2). False if the last one is over, or not this owner's.
async fn renew(leases: &Leases, key: &Bytes, next: Beat) -> Result<bool, TxnError> {
    let deadline = Some(leases.env().clock.monotonic() + BEAT_TIMEOUT);
    let key = key.clone();
    let renewed = leases.db().run(TxnOptions { deadline, ..TxnOptions::default() }, move |txn| {
        let key = key.clone();
        Box::pin(async move {
            let Some(last) = txn.get(key.clone()).await? else { return Ok(false) };
            let last: Beat = codec::decode(&last).map_err(invalid)?;
            if last.owner != next.owner {
                return Ok::<_, TxnError>(false);
            }
            txn.commit_before(CommitDeadline::new(Timestamp::from_raw(last.until)));
            txn.put(key, codec::encode(&next))?;
            Ok(true)
        })
    });
    match renewed.await {
        Err(TxnError::DeadlineExceeded) => Ok(false),
        renewed => renewed,
    }
}

/// Opens the gate if this owner closed it.
async fn open(leases: &Leases, table: TableId, owner: u64) -> Result<(), TxnError> {
    let opened = leases.db().run(TxnOptions::default(), move |txn| {
        Box::pin(async move {
            if let Some(bytes) = txn.get(keys::gate(table)).await? {
                let gate: Gate = codec::decode(&bytes).map_err(invalid)?;
                if gate.owner == owner {
                    txn.delete(keys::gate(table))?;
                }
            }
            if let Some(bytes) = txn.get(keys::beat(table)).await? {
                let beat: Beat = codec::decode(&bytes).map_err(invalid)?;
                if beat.owner == owner {
                    txn.delete(keys::beat(table))?;
                }
            }
            Ok::<_, TxnError>(())
        })
    });
    opened.await
}

#[cfg(test)]
mod tests;
