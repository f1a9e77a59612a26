//! Schema leases: how a node uses a table's descriptor without reading it in every transaction.
//!
//! A lease says: no other version of this table is used by a commit in `[start, end)`. It is a row of the catalog,
//! written by the node in a transaction that also reads the descriptor and finds the table's gate open.
//!
//! Invariants:
//!
//! - L1. A transaction uses a leased descriptor only if its reads are at or after `start`, and its commit carries a
//!   deadline no later than `end`. (Reads only move forward, so the first needs no second look.)
//! - L2. A lease is renewed only with the version that it already had; another version is another lease.
//! - L3. A schema change closes the gate, then waits until every lease it finds has ended, then writes the gate
//!   again and, in its own transaction, reads that write: so its reads and its commit are later than the end of
//!   every lease on the old version. Order is by timestamps alone; no clock is compared with another's.
//! - L4. A closed gate names the time until which it holds, and that is the change's commit deadline: a change
//!   whose node dies delays others, and cannot surprise them.
//! - L5. Whoever has no lease reads the descriptor in its own transaction, where serializability protects it. So a
//!   lease is never needed, it only saves a read; getting one happens in the background and may fail.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use txn::db::{Db, TxnError, TxnOptions};
use txn::{Env, Timestamp};

use super::codec::{self, Gate, LeaseRecord};
use super::descriptor::{TableDescriptor, TableId};
use super::keys;
use crate::error::SqlError;

/// How long a lease lasts: the longest that a schema change waits for another node.
const DURATION: Duration = Duration::from_secs(10);
/// A lease in use is renewed when less is left.
const RENEW_BELOW: Duration = Duration::from_secs(5);

/// A lease of this node. Held by whoever uses the descriptor.
#[derive(Clone)]
pub(super) struct Lease {
    pub(super) table: Arc<TableDescriptor>,
    pub(super) start: Timestamp,
    pub(super) end: Timestamp,
    /// One reference for each transaction that uses this version, and one here.
    users: Arc<()>,
}

#[derive(Default)]
struct State {
    leases: BTreeMap<TableId, Lease>,
    names: BTreeMap<(String, String), TableId>,
    /// Tables for which a lease is being taken or renewed.
    busy: BTreeSet<TableId>,
    /// Tables that this node is changing.
    revoked: BTreeSet<TableId>,
    /// Until when a commit of this node may still arrive of which nobody here knows the outcome.
    in_doubt: BTreeMap<TableId, Timestamp>,
}

/// A node's leases. One for all its sessions.
pub struct Leases {
    db: Db,
    env: Env,
    /// Whose lease rows these are. Random, so that a restarted node does not take the commits that its former
    /// life left on the network for its own.
    holder: u64,
    state: Mutex<State>,
}

impl Leases {
    /// None yet.
    pub fn new(db: Db, env: Env) -> Arc<Self> {
        let holder = env.rng.next_u64();
        Arc::new(Leases { db, env, holder, state: Mutex::default() })
    }

    pub(super) fn holder(&self) -> u64 {
        self.holder
    }

    pub(super) fn db(&self) -> &Db {
        &self.db
    }

    pub(super) fn env(&self) -> &Env {
        &self.env
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held, and every change is complete in itself.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The lease on the table of this name that a transaction with these reads may use.
    pub(super) fn by_name(
        self: &Arc<Self>,
        schema: &str,
        name: &str,
        read_ts: Timestamp,
    ) -> Option<Lease> {
        let id = *self.state().names.get(&(schema.to_owned(), name.to_owned()))?;
        // The table may have another name by now.
        self.by_id(id, read_ts).filter(|lease| lease.table.name == name)
    }

    /// The lease on this table that a transaction with these reads may use.
    pub(super) fn by_id(self: &Arc<Self>, id: TableId, read_ts: Timestamp) -> Option<Lease> {
        let lease = self.state().leases.get(&id).cloned()?;
        let now = self.env.clock.now();
        if now.saturating_add(RENEW_BELOW) >= lease.end {
            self.want(id);
        }
        // A quarter of the renewal time must be left, or the deadline would kill more than the lease saves.
        let usable = now.max(read_ts).saturating_add(RENEW_BELOW / 4) < lease.end;
        (read_ts >= lease.start && usable).then_some(lease)
    }

    /// The end until which a commit may rely on this version: of the present lease, which is renewed if little is left.
    /// That it lapsed in between is no harm: versions only grow, so one that is current at two times was so between.
    pub(super) async fn extended(&self, table: &TableDescriptor) -> Option<Timestamp> {
        let end = self.end_of(table);
        let enough = self.env.clock.now().saturating_add(RENEW_BELOW / 4);
        if end.is_some_and(|end| end > enough) {
            return end;
        }
        // Without one the commit is bound to the lease that it began with, and fails if that has ended.
        let lease = self.take(table.id).await.ok().flatten()?;
        let renewed = (lease.table.version == table.version).then_some(lease.end);
        let mut state = self.state();
        if !state.revoked.contains(&table.id) {
            state.install(lease);
        }
        renewed.max(end)
    }

    /// The end of the present lease on this version.
    pub(super) fn end_of(&self, table: &TableDescriptor) -> Option<Timestamp> {
        let state = self.state();
        let lease = state.leases.get(&table.id)?;
        (lease.table.version == table.version).then_some(lease.end)
    }

    /// Takes or renews a lease in the background, unless that is under way.
    pub(super) fn want(self: &Arc<Self>, id: TableId) {
        {
            let mut state = self.state();
            if state.revoked.contains(&id) || !state.busy.insert(id) {
                return;
            }
        }
        let leases = self.clone();
        let task = async move {
            let taken = leases.take(id).await;
            let mut state = leases.state();
            state.busy.remove(&id);
            match taken {
                Ok(Some(lease)) if !state.revoked.contains(&id) => state.install(lease),
                Ok(Some(_)) | Err(_) => {}
                Ok(None) => state.remove(id),
            }
        };
        self.env.tasks.spawn("schema lease", Box::pin(task));
    }

    /// One transaction: the gate is open, the descriptor is this, the lease is written (L2 by `install`).
    async fn take(&self, id: TableId) -> Result<Option<Lease>, TxnError> {
        let end = self.env.clock.now().saturating_add(DURATION);
        let holder = self.holder;
        let record = self.db.run(TxnOptions::default(), move |txn| {
            Box::pin(async move {
                if is_closed(txn.get(keys::gate(id)).await?.as_deref(), txn.read_ts())? {
                    return Ok(None);
                }
                let Some(bytes) = txn.get(keys::descriptor(id)).await? else { return Ok(None) };
                let table = codec::decode_table(&bytes).map_err(invalid)?;
                let record = LeaseRecord { version: table.version, end: end.raw() };
                txn.put(keys::lease(id, holder), codec::encode(&record))?;
                Ok(Some((table, txn.read_ts())))
            })
        });
        // Later than the commit: the version was current there, and is until `end`.
        let Some((table, _)) = record.await? else { return Ok(None) };
        let start = self.env.clock.now();
        Ok(Some(Lease { table: Arc::new(table), start, end, users: Arc::new(()) }))
    }

    /// No transaction of this node begins to use its lease on this table; waits, until the lease's end at the
    /// longest, for those that do. Every revocation is followed by [`Leases::restore`].
    pub(super) async fn revoke(&self, id: TableId) {
        let (lease, doubt) = {
            let mut state = self.state();
            state.revoked.insert(id);
            (state.leases.remove(&id), state.in_doubt.remove(&id).unwrap_or(Timestamp::ZERO))
        };
        let (users, end) = match &lease {
            Some(lease) => (Some(&lease.users), lease.end.max(doubt)),
            None => (None, doubt),
        };
        let in_use = || users.is_some_and(|users| Arc::strong_count(users) > 1);
        loop {
            let now = self.env.clock.now();
            if now >= end || (now >= doubt && !in_use()) {
                return;
            }
            self.env.clock.sleep(Duration::from_millis(2)).await;
        }
    }

    /// A commit that relies on the table's lease may still arrive.
    pub(super) fn doubt(&self, id: TableId, end: Timestamp) {
        let mut state = self.state();
        let latest = state.in_doubt.entry(id).or_insert(end);
        *latest = end.max(*latest);
    }

    /// The schema change has ended, one way or the other.
    pub(super) fn restore(&self, id: TableId) {
        let mut state = self.state();
        state.revoked.remove(&id);
        state.remove(id);
    }
}

impl State {
    fn install(&mut self, mut lease: Lease) {
        let id = lease.table.id;
        if let Some(old) = self.leases.get(&id)
            && old.table.version == lease.table.version
        {
            lease.start = old.start;
            lease.users = old.users.clone();
            lease.table = old.table.clone();
        }
        self.names.insert((lease.table.schema.clone(), lease.table.name.clone()), id);
        self.leases.insert(id, lease);
    }

    fn remove(&mut self, id: TableId) {
        self.leases.remove(&id);
        self.names.retain(|_, named| *named != id);
    }
}

/// True iff a schema change holds the gate at this time.
pub(super) fn is_closed(gate: Option<&[u8]>, at: Timestamp) -> Result<bool, TxnError> {
    let Some(bytes) = gate else { return Ok(false) };
    let gate: Gate = codec::decode(bytes).map_err(invalid)?;
    Ok(Timestamp::from_raw(gate.until) > at)
}

pub(super) fn invalid(error: SqlError) -> TxnError {
    TxnError::Invalid(error.message)
}
