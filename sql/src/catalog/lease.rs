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
//! - L4. A gate is closed while its change is known to live, and that bounds the change's commit (`gate`): a change
//!   whose node dies delays others, and cannot surprise them.
//! - L5. Whoever has no lease reads the descriptor in its own transaction, where serializability protects it. So a
//!   lease is never needed, it only saves a read; getting one happens in the background and may fail.
//! - L6. The node that changes a table waits for its own transactions, not for its lease row. So a lease that it asked
//!   for before it revoked the one it had counts for nothing, however late the answer comes.

use std::collections::BTreeSet;
use std::collections::btree_map::{BTreeMap, Entry};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use txn::db::{Db, TxnError, TxnOptions};
use txn::{Env, Timestamp};

use super::codec::{self, LeaseRecord};
use super::descriptor::{TableDescriptor, TableId};
use super::gate::closed_by;
use super::keys;
use crate::error::SqlError;

/// How long a lease lasts: the longest that a schema change waits for another node.
const DURATION: Duration = Duration::from_secs(10);
/// A lease in use is renewed when less is left.
const RENEW_BELOW: Duration = Duration::from_secs(5);
/// Beyond so many leases, those that have ended go: of tables that others have dropped, or nobody uses.
const MAX_KEPT: usize = 1_000;

/// A lease of this node. Held by whoever uses the descriptor.
#[derive(Clone)]
pub(super) struct Lease {
    pub(super) table: Arc<TableDescriptor>,
    pub(super) start: Timestamp,
    pub(super) end: Timestamp,
    /// A reference to the table's `Uses`.
    _user: Arc<()>,
}

#[derive(Default)]
struct State {
    leases: BTreeMap<TableId, Lease>,
    names: BTreeMap<(String, String), TableId>,
    /// Tables for which a lease is being taken or renewed.
    busy: BTreeSet<TableId>,
    /// Tables that this node is changing, and by how many changes: one may still be on its way out.
    revoked: BTreeMap<TableId, usize>,
    /// Revocations so far.
    revocations: u64,
    uses: BTreeMap<TableId, Uses>,
}

/// What this node's transactions have of all the leases on a table that it ever had.
#[derive(Default)]
struct Uses {
    /// One reference here, one of the present lease, and one of each transaction that relies on one.
    users: Arc<()>,
    /// The latest end.
    end: Timestamp,
    /// Until when a commit may still arrive of which nobody here knows the outcome.
    in_doubt: Timestamp,
}

impl Uses {
    /// False if no commit that relies on a lease can happen any more, as long as no new one is installed.
    fn may_commit(&self, now: Timestamp) -> bool {
        now < self.in_doubt || (now < self.end && self.are_in_use())
    }

    fn are_in_use(&self) -> bool {
        Arc::strong_count(&self.users) > 1
    }

    /// False if they are as good as none. A transaction that outlived its lease may yet extend it, and is counted.
    fn matter(&self, now: Timestamp) -> bool {
        now < self.end.max(self.in_doubt) || self.are_in_use()
    }
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
        let Some(asked) = self.state().asks(table.id) else { return end };
        let Ok(Some(taken)) = self.take(table.id).await else { return end };
        let renewed = (taken.table.version == table.version).then_some(taken.end);
        match self.state().install(asked, taken) {
            true => renewed.max(end),
            false => end,
        }
    }

    /// The end of the present lease on this version.
    pub(super) fn end_of(&self, table: &TableDescriptor) -> Option<Timestamp> {
        let state = self.state();
        let lease = state.leases.get(&table.id)?;
        (lease.table.version == table.version).then_some(lease.end)
    }

    /// Takes or renews a lease in the background, unless that is under way.
    pub(super) fn want(self: &Arc<Self>, id: TableId) {
        let asked = {
            let mut state = self.state();
            let Some(asked) = state.asks(id) else { return };
            if !state.busy.insert(id) {
                return;
            }
            asked
        };
        let leases = self.clone();
        let task = async move {
            let taken = leases.take(id).await;
            let mut state = leases.state();
            state.busy.remove(&id);
            match taken {
                Ok(Some(taken)) => {
                    state.install(asked, taken);
                }
                Ok(None) => state.remove(id),
                Err(_) => {}
            }
        };
        self.env.tasks.spawn("schema lease", Box::pin(task));
    }

    /// One transaction: the gate is open, the descriptor is this, the lease is written.
    async fn take(&self, id: TableId) -> Result<Option<Taken>, TxnError> {
        let end = self.env.clock.now().saturating_add(DURATION);
        let own = keys::lease(id, self.holder);
        let table = self.db.run(TxnOptions::default(), move |txn| {
            let own = own.clone();
            Box::pin(async move {
                if closed_by(txn, id).await?.is_some() {
                    return Ok::<_, TxnError>(None);
                }
                let Some(bytes) = txn.get(keys::descriptor(id)).await? else { return Ok(None) };
                let table = codec::decode_table(&bytes).map_err(invalid)?;
                // Another attempt of this node may have got ahead: the row speaks for the latest end.
                let written = match txn.get(own.clone()).await? {
                    Some(bytes) => codec::decode::<LeaseRecord>(&bytes).map_err(invalid)?.end,
                    None => 0,
                };
                let record = LeaseRecord { version: table.version, end: end.raw().max(written) };
                txn.put(own, codec::encode(&record))?;
                Ok(Some(table))
            })
        });
        let Some(table) = table.await? else { return Ok(None) };
        // Later than the commit: the version was current there, and is until `end`.
        let start = self.env.clock.now();
        Ok(Some(Taken { table: Arc::new(table), start, end }))
    }

    /// No transaction of this node begins to use a lease on this table any more. Every revocation is followed by
    /// [`Leases::restore`].
    pub(super) fn revoke(&self, id: TableId) {
        let mut state = self.state();
        *state.revoked.entry(id).or_default() += 1;
        state.revocations += 1;
        state.remove(id);
    }

    /// Waits until no transaction of this node can commit by a lease on this revoked table: until the last one's end
    /// at the longest.
    pub(super) async fn unused(&self, id: TableId) {
        while self.may_commit(id) {
            self.env.clock.sleep(Duration::from_millis(2)).await;
        }
    }

    fn may_commit(&self, id: TableId) -> bool {
        let now = self.env.clock.now();
        self.state().uses.get(&id).is_some_and(|uses| uses.may_commit(now))
    }

    /// A commit that relies on the table's lease, which its transaction still has, may arrive until this time.
    pub(super) fn doubt(&self, id: TableId, end: Timestamp) {
        let mut state = self.state();
        let uses = state.uses.entry(id).or_default();
        uses.in_doubt = uses.in_doubt.max(end);
    }

    /// The schema change has ended, one way or the other.
    pub(super) fn restore(&self, id: TableId) {
        let now = self.env.clock.now();
        let mut state = self.state();
        if let Entry::Occupied(mut changes) = state.revoked.entry(id) {
            *changes.get_mut() -= 1;
            if *changes.get() == 0 {
                changes.remove();
            }
        }
        state.forget(now);
    }
}

/// A lease that the catalog holds.
struct Taken {
    table: Arc<TableDescriptor>,
    start: Timestamp,
    end: Timestamp,
}

/// When a lease was asked for: after so many revocations.
#[derive(Clone, Copy)]
struct Asked(u64);

impl State {
    /// What a lease that is asked for now is installed with, unless the table is revoked.
    fn asks(&self, id: TableId) -> Option<Asked> {
        (!self.revoked.contains_key(&id)).then_some(Asked(self.revocations))
    }

    /// Makes what was taken this node's lease, unless any was revoked since it was asked for (L6). True iff it is.
    fn install(&mut self, asked: Asked, taken: Taken) -> bool {
        if asked.0 != self.revocations {
            return false;
        }
        if self.leases.len() >= MAX_KEPT {
            // Its start is about now.
            self.leases.retain(|_, lease| taken.start < lease.end);
            let leases = &self.leases;
            self.names.retain(|_, named| leases.contains_key(named));
            self.forget(taken.start);
        }
        let id = taken.table.id;
        let uses = self.uses.entry(id).or_default();
        uses.end = uses.end.max(taken.end);
        let mut lease = Lease {
            table: taken.table,
            start: taken.start,
            end: taken.end,
            _user: uses.users.clone(),
        };
        // Renewed (L2); of two attempts the later end counts.
        if let Some(old) = self.leases.get(&id)
            && old.table.version == lease.table.version
        {
            lease.table = old.table.clone();
            lease.start = old.start;
            lease.end = old.end.max(lease.end);
        }
        self.names.insert((lease.table.schema.clone(), lease.table.name.clone()), id);
        self.leases.insert(id, lease);
        true
    }

    fn forget(&mut self, now: Timestamp) {
        self.uses.retain(|_, uses| uses.matter(now));
    }

    fn remove(&mut self, id: TableId) {
        self.leases.remove(&id);
        self.names.retain(|_, named| *named != id);
    }
}

pub(super) fn invalid(error: SqlError) -> TxnError {
    TxnError::Invalid(error.message)
}

#[cfg(test)]
mod tests;
