//! Gates: what a schema change does before it changes a table (L3 and L4 of `lease`).
//!
//! A closed gate is two rows: the gate, which names its owner (one change), and the owner's beat, which says until when
//! it lives. The change reads and removes the gate in its own transaction; the beat is renewed beside it, for as long as
//! that takes, and bounds its commit.
//!
//! - B1. A gate is closed at a time if its owner's beat says so at that time. All else is an open gate.
//! - B2. Only the owner renews a beat, and only before it has ended: between two beats the gate is not open for a moment.
//! - B3. Who closes a gate writes both rows, so that an owner that was taken for dead can neither renew nor commit.
//! - B4. The change commits before the end of the latest beat that it knows to be written.
//! - B5. Earlier builds know no beats: a gate of theirs is closed until the time in it, and ours is closed to them for as
//!   long as it is there. So both may serve in one cluster while it is upgraded.

use std::sync::{Arc, Weak};
use std::time::Duration;

use txn::Timestamp;
use txn::db::{CommitDeadline, Txn, TxnError, TxnOptions};

use super::codec::{self, Beat, Gate, LeaseRecord};
use super::descriptor::TableId;
use super::keys;
use super::lease::{Leases, invalid};
use crate::error::{SqlError, SqlResult, SqlState};

/// How long a beat lasts: the longest that a change whose node has died keeps others out.
const ALIVE: Duration = Duration::from_secs(20);
/// Pause between two beats.
const BEAT: Duration = Duration::from_secs(4);
/// Pause after a beat that failed.
const BEAT_AGAIN: Duration = Duration::from_millis(500);
/// Longest that one beat may take.
const BEAT_TIMEOUT: Duration = Duration::from_secs(4);
/// How long a schema change waits for another one on the same table.
const PATIENCE: Duration = Duration::from_secs(30);
/// Leases of one table that are looked at: one for each life of a node.
const MAX_LEASES: usize = 10_000;

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
    /// Closes the table's gate and waits until no lease on its present version is left. The caller has dropped
    /// its own use of the lease. Dropped half-way, it leaves an open gate.
    pub(super) async fn close(leases: &Arc<Leases>, table: TableId) -> SqlResult<ClosedGate> {
        let (clock, tasks) = (&leases.env().clock, &leases.env().tasks);
        let give_up = clock.monotonic() + PATIENCE;
        let gate = ClosedGate {
            leases: leases.clone(),
            table,
            owner: leases.env().rng.next_u64(),
            deadline: CommitDeadline::new(Timestamp::ZERO),
            life: Arc::default(),
        };
        let owner = gate.owner;
        leases.revoke(table);
        loop {
            let until = clock.now().saturating_add(ALIVE);
            if seize(leases, table, Beat { owner, until: until.raw() }).await? {
                gate.deadline.extend(until);
                break;
            }
            if clock.monotonic() >= give_up {
                let text = "another schema change of this table is under way";
                return Err(SqlError::new(SqlState::LOCK_NOT_AVAILABLE, text));
            }
            clock.sleep(Duration::from_millis(50)).await;
        }
        let (deadline, life) = (gate.deadline.clone(), Arc::downgrade(&gate.life));
        tasks.spawn("schema gate", Box::pin(beat(leases.clone(), table, owner, deadline, life)));
        leases.unused(table).await;
        let end = last_lease(leases, table).await?;
        while clock.now() <= end {
            clock.sleep(Duration::from_millis(5)).await;
        }
        match touch(leases, table, owner).await? {
            true => Ok(gate),
            false => Err(lost()),
        }
    }

    /// False if the change was not heard of for too long. Then it may close the gate anew.
    pub(super) fn is_alive(&self) -> bool {
        self.leases.env().clock.now() < self.deadline.get()
    }

    /// Reads the gate in the change's own transaction, whose reads are later than every lease from then on, and
    /// opens it with the change.
    pub(super) async fn enter(&self, txn: &mut Txn) -> SqlResult<()> {
        let bytes = txn.get_for_update(keys::gate(self.table)).await?.ok_or_else(lost)?;
        let gate: Gate = codec::decode(&bytes)?;
        if gate.owner != self.owner {
            return Err(lost());
        }
        txn.delete(keys::gate(self.table))?;
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
            leases.restore(table);
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

/// The beat of the change that keeps the table's gate closed at the transaction's time (B1).
pub(super) async fn closed_by(txn: &mut Txn, table: TableId) -> Result<Option<Beat>, TxnError> {
    let Some(gate) = txn.get(keys::gate(table)).await? else { return Ok(None) };
    let gate: Gate = codec::decode(&gate).map_err(invalid)?;
    let beat = match txn.get(keys::beat(table)).await? {
        Some(bytes) => Some(codec::decode::<Beat>(&bytes).map_err(invalid)?),
        None => None,
    };
    // B5: without a beat of its owner, the gate's own time counts.
    let beat = beat.filter(|beat| beat.owner == gate.owner);
    let beat = beat.unwrap_or(Beat { owner: gate.owner, until: gate.until });
    Ok((Timestamp::from_raw(beat.until) > txn.read_ts()).then_some(beat))
}

fn closed(owner: u64) -> Gate {
    Gate { until: u64::MAX, owner }
}

/// Closes the gate, with a first beat. False if another change holds it.
async fn seize(leases: &Leases, table: TableId, beat: Beat) -> SqlResult<bool> {
    let seized = leases.db().run(TxnOptions::default(), move |txn| {
        Box::pin(async move {
            // The answer of an earlier attempt may have been lost.
            if closed_by(txn, table).await?.is_some_and(|found| found.owner != beat.owner) {
                return Ok::<_, TxnError>(false);
            }
            txn.put(keys::gate(table), codec::encode(&closed(beat.owner)))?;
            txn.put(keys::beat(table), codec::encode(&beat))?;
            Ok(true)
        })
    });
    Ok(seized.await?)
}

/// Writes the gate again, later than every lease: the change reads this write. False if it is not this owner's any more.
async fn touch(leases: &Leases, table: TableId, owner: u64) -> SqlResult<bool> {
    let touched = leases.db().run(TxnOptions::default(), move |txn| {
        Box::pin(async move {
            if closed_by(txn, table).await?.is_none_or(|found| found.owner != owner) {
                return Ok::<_, TxnError>(false);
            }
            txn.put(keys::gate(table), codec::encode(&closed(owner)))?;
            Ok(true)
        })
    });
    Ok(touched.await?)
}

/// Sends beats while the change lives (`life`) and is not taken for dead, and moves its deadline on with them.
async fn beat(
    leases: Arc<Leases>,
    table: TableId,
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
        match renew(&leases, table, Beat { owner, until: until.raw() }).await {
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
async fn renew(leases: &Leases, table: TableId, next: Beat) -> Result<bool, TxnError> {
    let deadline = Some(leases.env().clock.monotonic() + BEAT_TIMEOUT);
    let renewed = leases.db().run(TxnOptions { deadline, ..TxnOptions::default() }, move |txn| {
        Box::pin(async move {
            let Some(last) = txn.get(keys::beat(table)).await? else { return Ok(false) };
            let last: Beat = codec::decode(&last).map_err(invalid)?;
            if last.owner != next.owner {
                return Ok::<_, TxnError>(false);
            }
            txn.commit_before(CommitDeadline::new(Timestamp::from_raw(last.until)));
            txn.put(keys::beat(table), codec::encode(&next))?;
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

/// The latest end of the other holders' leases; rows of leases that have ended are removed.
async fn last_lease(leases: &Leases, table: TableId) -> SqlResult<Timestamp> {
    let holder = leases.holder();
    let last = leases.db().run(TxnOptions::default(), move |txn| {
        Box::pin(async move {
            let (start, end) = keys::leases(table);
            let rows = txn.scan(start, end, MAX_LEASES).await?;
            if rows.len() == MAX_LEASES {
                return Err(TxnError::TooLarge);
            }
            let own = keys::lease(table, holder);
            let mut last = Timestamp::ZERO;
            for row in rows {
                let lease: LeaseRecord = codec::decode(&row.value).map_err(invalid)?;
                let end = Timestamp::from_raw(lease.end);
                if row.key == own || end < txn.read_ts() {
                    txn.delete(row.key)?;
                } else {
                    last = last.max(end);
                }
            }
            Ok(last)
        })
    });
    Ok(last.await?)
}

#[cfg(test)]
mod tests;
