//! Gates: what a schema change does before it changes a table (L3 and L4 of `lease`).

use std::sync::Arc;
use std::time::Duration;

use txn::Timestamp;
use txn::db::{Txn, TxnError, TxnOptions};

use super::codec::{self, Gate, LeaseRecord};
use super::descriptor::TableId;
use super::keys;
use super::lease::{Leases, invalid};
use crate::error::{SqlError, SqlResult, SqlState};

/// How long a schema change may take from closing the gate to its commit.
const HOLDS: Duration = Duration::from_secs(300);
/// How long a schema change waits for another one on the same table.
const PATIENCE: Duration = Duration::from_secs(30);
/// Leases of one table that are looked at: one for each life of a node.
const MAX_LEASES: usize = 10_000;

/// A gate that a schema change has closed. Dropped, it opens in the background if the change has not opened it.
pub(super) struct ClosedGate {
    leases: Arc<Leases>,
    table: TableId,
    owner: u64,
    until: Timestamp,
}

impl ClosedGate {
    /// Closes the table's gate and waits until no lease on its present version is left. The caller has dropped
    /// its own use of the lease.
    pub(super) async fn close(leases: &Arc<Leases>, table: TableId) -> SqlResult<ClosedGate> {
        let clock = &leases.env().clock;
        let owner = leases.env().rng.next_u64();
        let give_up = clock.monotonic() + PATIENCE;
        let gate = loop {
            let until = clock.now().saturating_add(HOLDS);
            if write(leases, table, Gate { until: until.raw(), owner }).await? {
                break ClosedGate { leases: leases.clone(), table, owner, until };
            }
            if clock.monotonic() >= give_up {
                let text = "another schema change of this table is under way";
                return Err(SqlError::new(SqlState::LOCK_NOT_AVAILABLE, text));
            }
            clock.sleep(Duration::from_millis(50)).await;
        };
        leases.revoke(table).await;
        let end = last_lease(leases, table).await?;
        while clock.now() <= end {
            clock.sleep(Duration::from_millis(5)).await;
        }
        // Later than every lease: the change reads this write.
        if !write(leases, table, Gate { until: gate.until.raw(), owner }).await? {
            return Err(lost());
        }
        Ok(gate)
    }

    /// Reads the gate in the change's own transaction, whose reads are later than every lease from then on, and
    /// opens it with the change. Returns the deadline of the commit.
    pub(super) async fn enter(&self, txn: &mut Txn) -> SqlResult<Timestamp> {
        let bytes = txn.get_for_update(keys::gate(self.table)).await?.ok_or_else(lost)?;
        let gate: Gate = codec::decode(&bytes)?;
        if gate.owner != self.owner {
            return Err(lost());
        }
        txn.delete(keys::gate(self.table))?;
        Ok(self.until)
    }
}

impl Drop for ClosedGate {
    fn drop(&mut self) {
        let (leases, table, owner) = (self.leases.clone(), self.table, self.owner);
        let task = async move {
            // That it fails is no harm: the gate opens by itself when its time is over.
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
        "could not change the table: the change took too long and another one came between",
    )
}

/// Closes the gate, or closes it again. False if another change holds it.
async fn write(leases: &Leases, table: TableId, gate: Gate) -> SqlResult<bool> {
    let written = leases.db().run(TxnOptions::default(), move |txn| {
        Box::pin(async move {
            if let Some(bytes) = txn.get_for_update(keys::gate(table)).await? {
                let found: Gate = codec::decode(&bytes).map_err(invalid)?;
                let held = Timestamp::from_raw(found.until) > txn.read_ts();
                if held && found.owner != gate.owner {
                    return Ok::<_, TxnError>(false);
                }
            }
            txn.put(keys::gate(table), codec::encode(&gate))?;
            Ok(true)
        })
    });
    Ok(written.await?)
}

/// Opens the gate if this owner closed it.
async fn open(leases: &Leases, table: TableId, owner: u64) -> Result<(), TxnError> {
    let opened = leases.db().run(TxnOptions::default(), move |txn| {
        Box::pin(async move {
            if let Some(bytes) = txn.get(keys::gate(table)).await? {
                let found: Gate = codec::decode(&bytes).map_err(invalid)?;
                if found.owner == owner {
                    txn.delete(keys::gate(table))?;
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
