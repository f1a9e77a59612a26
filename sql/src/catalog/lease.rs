//! Schema leases: how a node uses a table's descriptor without reading it in every transaction.
//!
//! A lease says: no other version of this table is used by a commit in `[start, end)`. It is a row of the catalog,
//! written by the node in a transaction that also reads the descriptor and finds the table's gate open.
//!
//! A change of the table asks for it back: it closes the gate, which each node's keeper looks for a few times a second
//! (`Leases::keep`). From then on no transaction begins to use the lease. When the last one that does has ended, its row
//! goes, and the change with the last row goes on.
//!
//! Invariants:
//!
//! - L1. A transaction uses a leased descriptor only if its reads are at or after `start`, and its commit carries a
//!   deadline no later than `end`. (Reads only move forward, so the first needs no second look.)
//! - L2. A lease is renewed only with the version that it already had; another version is another lease.
//! - L3. A schema change closes the gate, waits until no row of a lease is left that has not ended, and shuts the gate in
//!   the transaction that finds this: from then on no lease is renewed either. In its own transaction it reads that
//!   write. So its reads and its commit are later than the end of every lease on the old version. Order is by timestamps
//!   alone; no clock is compared with another's.
//! - L4. A gate is closed while its change is known to live, and that bounds the change's commit (`gate`): a change
//!   whose node dies delays others, and cannot surprise them.
//! - L5. Whoever has no lease reads the descriptor in its own transaction, where serializability protects it, after it has
//!   waited for the change that is under way (`store`). So a lease is never needed; it saves a read, and has changes wait
//!   for the transaction instead of colliding with it. Getting one may fail, and a transaction that has read elsewhere
//!   already, before the lease began, does without.
//! - L6. A row goes before its end only when nobody here uses a lease on the table, and nobody can begin to: it is out of
//!   `leases`, and a row that was written again meanwhile stays.
//! - L7. As long as a transaction uses a lease, the lease is renewed: a change waits for it as for a lock.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use sql_catalog::descriptor::{TableDescriptor, TableId};
use sql_values::error::SqlError;
use txn::db::{Db, TxnError, TxnOptions};
use txn::{Env, Timestamp};

use super::codec::{self, LeaseRecord};
use super::gate::{Closed, closed_by, closed_gates};
use super::{build, debris, keys};

/// How long a lease lasts: the longest that a schema change waits for a node that is dead or cut off.
const DURATION: Duration = Duration::from_secs(10);
/// A lease in use is renewed when less is left.
const RENEW_BELOW: Duration = Duration::from_secs(5);
/// Longest that a transaction waits for a lease before it does without.
const ACQUIRE: Duration = Duration::from_secs(1);
/// Pause between two looks for gates that were closed: about how long a change waits for a node that is idle.
const LOOK: Duration = Duration::from_millis(150);
/// Pause between two looks for what the dead have left.
const SWEEP: Duration = Duration::from_secs(5);
/// Longest that a look takes: it must not keep leases from being renewed.
const LOOK_TIMEOUT: Duration = Duration::from_millis(900);
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
    /// Tables for which a lease is being taken or renewed in the background.
    busy: BTreeSet<TableId>,
    uses: BTreeMap<(TableId, u64), Uses>,
    /// The keeper runs.
    is_kept: bool,
    /// Whose deletion is under way (`debris`).
    clearing: BTreeSet<Bytes>,
}

/// What this node's transactions have of all the leases on a version of a table that it ever had.
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

    /// The end until which a commit may rely on this version, which is moved on if little is left. That it lapsed in
    /// between is no harm: versions only grow, so one that is current at two times was so between.
    pub(super) async fn extended(self: &Arc<Self>, table: &TableDescriptor) -> Option<Timestamp> {
        let end = self.end_of(table);
        let enough = self.env.clock.now().saturating_add(RENEW_BELOW / 4);
        if end.is_some_and(|end| end > enough) {
            return end;
        }
        // Without one the commit is bound to the lease that it began with, and fails if that has ended.
        self.take_or_renew(table.id, Some(table.version)).await;
        self.end_of(table)
    }

    /// The latest end of a lease on this version.
    pub(super) fn end_of(&self, table: &TableDescriptor) -> Option<Timestamp> {
        self.state().uses.get(&(table.id, table.version)).map(|uses| uses.end)
    }

    /// Takes or renews a lease in the background, unless that is under way.
    pub(super) fn want(self: &Arc<Self>, id: TableId) {
        self.in_background(id, None);
    }

    /// Takes a lease, and waits for it a little.
    pub(super) async fn acquire(self: &Arc<Self>, id: TableId) {
        self.want(id);
        let give_up = self.env.clock.monotonic() + ACQUIRE;
        while self.state().busy.contains(&id) && self.env.clock.monotonic() < give_up {
            self.env.clock.sleep(Duration::from_millis(1)).await;
        }
    }

    fn in_background(self: &Arc<Self>, id: TableId, version: Option<u64>) {
        if !self.state().busy.insert(id) {
            return;
        }
        let leases = self.clone();
        let task = async move {
            leases.take_or_renew(id, version).await;
            leases.state().busy.remove(&id);
        };
        self.env.tasks.spawn("schema lease", Box::pin(task));
    }

    async fn take_or_renew(self: &Arc<Self>, id: TableId, version: Option<u64>) {
        match self.take(id, version).await {
            Ok(Some(taken)) => self.install(taken),
            Ok(None) if version.is_none() => self.state().remove(id),
            // That it fails is no harm: a lease only saves a read.
            Ok(None) | Err(_) => {}
        }
    }

    /// One transaction: the gate is open, the descriptor is this, the lease is written. To renew a version it is enough
    /// that the gate is not shut.
    async fn take(&self, id: TableId, version: Option<u64>) -> Result<Option<Taken>, TxnError> {
        let end = self.env.clock.now().saturating_add(DURATION);
        let own = keys::lease(id, self.holder);
        let found = self.db.run(TxnOptions::default(), move |txn| {
            let own = own.clone();
            Box::pin(async move {
                let gate = closed_by(txn, id).await?;
                let is_open = gate.is_none();
                if gate.is_some_and(|gate| gate.shut || version.is_none()) {
                    return Ok::<_, TxnError>(None);
                }
                let Some(bytes) = txn.get(keys::descriptor(id)).await? else { return Ok(None) };
                let table = codec::decode_table(&bytes).map_err(invalid)?;
                if version.is_some_and(|version| version != table.version) {
                    return Ok(None);
                }
                // Another attempt of this node may have got ahead: the row speaks for the latest end.
                let written = match txn.get(own.clone()).await? {
                    Some(bytes) => codec::decode::<LeaseRecord>(&bytes).map_err(invalid)?.end,
                    None => 0,
                };
                let record = LeaseRecord { version: table.version, end: end.raw().max(written) };
                txn.put(own, codec::encode(&record))?;
                Ok(Some((table, is_open)))
            })
        });
        let Some((table, is_open)) = found.await? else { return Ok(None) };
        // Later than the commit: the version was current there, and is until `end`.
        let start = self.env.clock.now();
        Ok(Some(Taken { table: Arc::new(table), start, end, is_open }))
    }

    fn install(self: &Arc<Self>, taken: Taken) {
        let begin = {
            let mut state = self.state();
            state.install(taken);
            !std::mem::replace(&mut state.is_kept, true)
        };
        if begin {
            self.env.tasks.spawn("schema lease keeper", Box::pin(self.clone().keep()));
        }
    }

    /// Gives back what changes ask for, and renews what is used (L7), until there is nothing to keep.
    async fn keep(self: Arc<Self>) {
        let mut swept = self.env.clock.monotonic();
        loop {
            self.env.clock.sleep(LOOK).await;
            let now = self.env.clock.now();
            {
                let mut state = self.state();
                state.forget(now);
                if state.uses.is_empty() {
                    state.is_kept = false;
                    return;
                }
            }
            // Without an answer there is the next look; the change waits for the leases' end at the longest.
            for (id, _) in self.closed().await.unwrap_or_default() {
                self.give_back(id).await;
            }
            let ending = self.state().in_use_and_ending(now);
            for (id, version) in ending {
                self.in_background(id, Some(version));
            }
            let time = self.env.clock.monotonic();
            if time.saturating_sub(swept) >= SWEEP {
                swept = time;
                self.sweep().await;
            }
        }
    }

    /// Looks for what changes have left that came to no end.
    async fn sweep(self: &Arc<Self>) {
        let tables: Vec<_> = {
            let state = self.state();
            let used = state.leases.values().filter(|lease| !lease.table.building.is_empty());
            used.map(|lease| lease.table.clone()).collect()
        };
        for table in tables {
            build::sweep(self, &table);
        }
        // Without an answer there is the next time.
        let _ = debris::sweep(self).await;
    }

    /// True if nobody here was at it.
    pub(super) fn begin_clearing(&self, prefix: &Bytes) -> bool {
        self.state().clearing.insert(prefix.clone())
    }

    pub(super) fn end_clearing(&self, prefix: &Bytes) {
        self.state().clearing.remove(prefix);
    }

    /// Tables whose gate is closed.
    async fn closed(&self) -> Result<Vec<(TableId, Closed)>, TxnError> {
        let deadline = Some(self.env.clock.monotonic() + LOOK_TIMEOUT);
        let mut txn = self.db.begin(TxnOptions { deadline, ..TxnOptions::default() });
        closed_gates(&mut txn).await
    }

    /// No transaction of this node begins to use a lease on this table any more; if none does, the lease's row goes (L6).
    pub(super) async fn give_back(&self, id: TableId) {
        let now = self.env.clock.now();
        let end = {
            let mut state = self.state();
            state.remove(id);
            match state.unused(id, now) {
                Some(end) => end,
                None => return,
            }
        };
        let own = keys::lease(id, self.holder);
        let removed = self.db.run(TxnOptions::default(), move |txn| {
            let own = own.clone();
            Box::pin(async move {
                let Some(bytes) = txn.get(own.clone()).await? else { return Ok::<_, TxnError>(()) };
                let row: LeaseRecord = codec::decode(&bytes).map_err(invalid)?;
                if row.end <= end.raw() {
                    txn.delete(own)?;
                }
                Ok(())
            })
        });
        if removed.await.is_ok() {
            self.state().forget_unused(id, end);
        }
    }

    /// A commit that relies on the table's lease, which its transaction still has, may arrive until this time.
    pub(super) fn doubt(&self, table: &TableDescriptor, end: Timestamp) {
        let mut state = self.state();
        let uses = state.uses.entry((table.id, table.version)).or_default();
        uses.in_doubt = uses.in_doubt.max(end);
    }
}

/// A lease that the catalog holds.
struct Taken {
    table: Arc<TableDescriptor>,
    start: Timestamp,
    end: Timestamp,
    /// The table's gate is open: others may use it, too.
    is_open: bool,
}

impl State {
    /// What was taken counts from here on, and is for use if the gate was open.
    fn install(&mut self, taken: Taken) {
        if self.leases.len() >= MAX_KEPT {
            // Its start is about now.
            self.leases.retain(|_, lease| taken.start < lease.end);
            let leases = &self.leases;
            self.names.retain(|_, named| leases.contains_key(named));
            self.forget(taken.start);
        }
        let id = taken.table.id;
        let uses = self.uses.entry((id, taken.table.version)).or_default();
        uses.end = uses.end.max(taken.end);
        let mut lease = Lease {
            table: taken.table,
            start: taken.start,
            end: taken.end,
            _user: uses.users.clone(),
        };
        // Renewed (L2); of two attempts the later end counts.
        let old = self.leases.get(&id).filter(|old| old.table.version == lease.table.version);
        if let Some(old) = old {
            lease.table = old.table.clone();
            lease.start = old.start;
            lease.end = old.end.max(lease.end);
        } else if !taken.is_open {
            return;
        }
        self.names.insert((lease.table.schema.clone(), lease.table.name.clone()), id);
        self.leases.insert(id, lease);
    }

    fn forget(&mut self, now: Timestamp) {
        self.leases.retain(|_, lease| now < lease.end);
        let leases = &self.leases;
        self.names.retain(|_, named| leases.contains_key(named));
        self.uses.retain(|_, uses| uses.matter(now));
    }

    /// The latest end of the table's leases, if no commit that relies on one can happen any more.
    fn unused(&self, id: TableId, now: Timestamp) -> Option<Timestamp> {
        let of_table = || self.uses.range((id, 0)..=(id, u64::MAX)).map(|(_, uses)| uses);
        let is_used = of_table().any(|uses| uses.may_commit(now));
        of_table().map(|uses| uses.end).max().filter(|_| !is_used)
    }

    /// The rows up to this end are gone.
    fn forget_unused(&mut self, id: TableId, end: Timestamp) {
        self.uses.retain(|(of, _), uses| *of != id || uses.end > end || uses.are_in_use());
    }

    /// Versions with a lease that must be renewed, because a transaction relies on it.
    fn in_use_and_ending(&self, now: Timestamp) -> Vec<(TableId, u64)> {
        let soon = now.saturating_add(RENEW_BELOW);
        let of = |(&(id, version), uses): (&(TableId, u64), &Uses)| {
            // What lapsed, its transaction may yet extend; but nobody waits for it.
            let is_ending = now < uses.end && uses.end <= soon;
            // The present lease is a user, too.
            let own = usize::from(self.leases.get(&id).is_some_and(|l| l.table.version == version));
            (is_ending && Arc::strong_count(&uses.users) > 1 + own).then_some((id, version))
        };
        self.uses.iter().filter_map(of).collect()
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
