//! The catalog as a transaction reads and writes it.
//!
//! - C1. Every descriptor that a statement uses is either leased (its end bounds the commit) or was read by the
//!   transaction itself.
//! - C2. A transaction that changes a table has closed the table's gate first, unless it created the table.
//! - C3. Descriptor, names and gate change in the same transaction as the rows that they speak of.

use std::collections::BTreeSet;
use std::collections::btree_map::{BTreeMap, Entry};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sql_catalog::descriptor::{IndexId, Object, ObjectKind, TableDescriptor, TableId};
use sql_exec::OrSql;
use sql_exec::row;
use sql_values::error::{SqlError, SqlResult, SqlState};
use txn::Mutant;
use txn::db::{CommitDeadline, Txn, TxnError, TxnOptions};

use super::build::Build;
use super::codec::{self, NextId};
use super::gate::{self, ClosedGate, Patience};
use super::lease::{Lease, Leases, invalid};
use super::{debris, keys, links};

/// The first id of a user's object, as in PostgreSQL.
const FIRST_ID: u32 = 16_384;
/// Tables that a catalog may have, as long as it is read whole for `pg_catalog`.
pub const MAX_TABLES: usize = 10_000;

/// How often a name is looked up whose table was changed meanwhile.
const MAX_NAMESAKES: usize = 10;

/// A name that is looked up: schema and table.
pub type QualifiedName = (String, String);

#[derive(Clone)]
struct Used {
    table: Arc<TableDescriptor>,
    lease: Option<Lease>,
}

/// Gates that a session holds. They outlive the attempts of a transaction that is run again, and end with it.
#[derive(Default)]
pub struct Gates(BTreeMap<TableId, ClosedGate>);

impl Gates {
    /// Opens them all.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Tables whose gate the cluster still believes to be closed by this session.
    fn alive(&self) -> BTreeSet<TableId> {
        self.0.iter().filter(|(_, gate)| gate.is_alive()).map(|(id, _)| *id).collect()
    }
}

/// What one attempt of a transaction knows of the catalog.
pub struct TxnCatalog {
    leases: Arc<Leases>,
    used: BTreeMap<TableId, Used>,
    names: BTreeMap<QualifiedName, TableId>,
    /// Changed or created here: never leased.
    changing: BTreeSet<TableId>,
    created: BTreeSet<TableId>,
    /// Their gates are closed by the session that this belongs to, for an earlier attempt: there is nobody to wait for.
    gated: BTreeSet<TableId>,
    /// Everything has been read.
    whole: bool,
    committing: bool,
    /// How long to wait for the change of a table.
    lock_timeout: Option<Duration>,
    /// What is to be deleted behind the commit.
    debris: Vec<Bytes>,
}

impl TxnCatalog {
    /// Nothing known yet.
    pub fn new(leases: Arc<Leases>) -> Self {
        TxnCatalog {
            leases,
            used: BTreeMap::new(),
            names: BTreeMap::new(),
            changing: BTreeSet::new(),
            created: BTreeSet::new(),
            gated: BTreeSet::new(),
            whole: false,
            committing: false,
            lock_timeout: None,
            debris: Vec::new(),
        }
    }

    /// From here on, nobody's schema change is waited for any longer.
    pub fn set_lock_timeout(&mut self, limit: Option<Duration>) {
        self.lock_timeout = limit;
    }

    /// Which gates are the session's own.
    pub fn know_gates(&mut self, gates: &Gates) {
        self.gated = gates.alive();
    }

    fn patience(&self) -> Patience {
        let holds = self.used.keys().chain(&self.changing).copied().collect();
        Patience { limit: self.lock_timeout, holds }
    }

    /// It has read nothing, and what it has written is nobody's descriptor: it may as well begin now.
    fn may_begin_later(&self, txn: &Txn) -> bool {
        !txn.has_read() && self.changing.is_empty() && self.gated.is_empty()
    }

    /// A lease for a transaction that begins after it.
    async fn new_lease(&self, txn: &mut Txn, id: TableId) -> SqlResult<Option<Lease>> {
        gate::pass(&self.leases, id, self.patience()).await?;
        self.leases.acquire(id).await;
        txn.catch_up().await.or_sql()?;
        Ok(self.leases.by_id(id, txn.read_ts()))
    }

    /// What has the name, as far as others know. Read beside the transaction, which is bound to no time by it.
    async fn look_up(&self, schema: &str, name: &str) -> SqlResult<Option<Object>> {
        let mut txn = self.leases.db().begin(TxnOptions::default());
        find_name(&mut txn, schema, name).await
    }

    /// Waits for the change of a table that is under way, and reads at a time after it from here on. True if there was
    /// one.
    async fn pass_gate(&self, txn: &mut Txn, id: TableId) -> SqlResult<bool> {
        if self.gated.contains(&id) {
            return Ok(false);
        }
        let waited = gate::pass(&self.leases, id, self.patience()).await?;
        if waited {
            txn.catch_up().await.or_sql()?;
        }
        Ok(waited)
    }

    /// The table of this name, leased or read.
    pub async fn table(
        &mut self,
        txn: &mut Txn,
        schema: &str,
        name: &str,
    ) -> SqlResult<Option<Arc<TableDescriptor>>> {
        let qualified = (schema.to_owned(), name.to_owned());
        if let Some(used) = self.names.get(&qualified).and_then(|id| self.used.get(id)) {
            return Ok(Some(used.table.clone()));
        }
        if let Some(lease) = self.leases.by_name(schema, name, txn.read_ts())
            && !self.changing.contains(&lease.table.id)
        {
            return Ok(Some(self.enter(lease.table.clone(), Some(lease))));
        }
        if self.may_begin_later(txn)
            && let Some(Object { kind, table, .. }) = self.look_up(schema, name).await?
            && kind.is_relation()
            && let Some(lease) = self.new_lease(txn, table).await?
            && lease.table.schema == schema
            && lease.table.name == name
        {
            return Ok(Some(self.enter(lease.table.clone(), Some(lease))));
        }
        for _ in 0..MAX_NAMESAKES {
            let Some(Object { kind, table, .. }) = find_name(txn, schema, name).await? else {
                return Ok(None);
            };
            if !kind.is_relation() {
                return Ok(None);
            }
            let table = self.table_by_id(txn, table).await?;
            // The change that it waited for may have dropped the table, or given its name to another.
            if table.as_ref().is_some_and(|table| table.schema == schema && table.name == name) {
                return Ok(table);
            }
        }
        Ok(None)
    }

    /// The table with this id, leased or read.
    pub async fn table_by_id(
        &mut self,
        txn: &mut Txn,
        id: TableId,
    ) -> SqlResult<Option<Arc<TableDescriptor>>> {
        if let Some(used) = self.used.get(&id) {
            return Ok(Some(used.table.clone()));
        }
        if !self.changing.contains(&id) {
            if let Some(lease) = self.leases.by_id(id, txn.read_ts()) {
                return Ok(Some(self.enter(lease.table.clone(), Some(lease))));
            }
            if self.may_begin_later(txn)
                && let Some(lease) = self.new_lease(txn, id).await?
            {
                return Ok(Some(self.enter(lease.table.clone(), Some(lease))));
            }
            self.pass_gate(txn, id).await?;
            self.leases.want(id);
        }
        let Some(bytes) = txn.get(keys::descriptor(id)).await.or_sql()? else { return Ok(None) };
        let table = Arc::new(codec::decode_table(&bytes)?);
        Ok(Some(self.enter(table, None)))
    }

    /// The table that an index of this name belongs to.
    pub async fn table_of_index(
        &mut self,
        txn: &mut Txn,
        schema: &str,
        name: &str,
    ) -> SqlResult<Option<Arc<TableDescriptor>>> {
        match find_name(txn, schema, name).await? {
            Some(Object { kind: ObjectKind::Index, table, .. }) => {
                self.table_by_id(txn, table).await
            }
            _ => Ok(None),
        }
    }

    /// What has this name.
    pub async fn object(
        &self,
        txn: &mut Txn,
        schema: &str,
        name: &str,
    ) -> SqlResult<Option<Object>> {
        find_name(txn, schema, name).await
    }

    fn enter(&mut self, table: Arc<TableDescriptor>, lease: Option<Lease>) -> Arc<TableDescriptor> {
        self.names.insert((table.schema.clone(), table.name.clone()), table.id);
        self.used.insert(table.id, Used { table: table.clone(), lease });
        table
    }

    /// Reads every descriptor.
    pub async fn load_whole(&mut self, txn: &mut Txn) -> SqlResult<()> {
        if self.whole {
            return Ok(());
        }
        let (start, end) = keys::descriptors();
        let rows = txn.scan(start, end, MAX_TABLES + 1).await.or_sql()?;
        if rows.len() > MAX_TABLES {
            let text = format!("the catalog has more than {MAX_TABLES} tables");
            return Err(SqlError::new(SqlState::PROGRAM_LIMIT_EXCEEDED, text));
        }
        for row in rows {
            let table = codec::decode_table(&row.value)?;
            // What was leased stays so: the commit is bound to it already.
            if !self.used.contains_key(&table.id) {
                self.enter(Arc::new(table), None);
            }
        }
        self.whole = true;
        Ok(())
    }

    /// Everything that is known now.
    pub fn known(&self) -> impl Iterator<Item = &Arc<TableDescriptor>> {
        self.used.values().map(|used| &used.table)
    }

    /// The table with this id, if the transaction knows it.
    pub fn known_by_id(&self, id: TableId) -> Option<&Arc<TableDescriptor>> {
        self.used.get(&id).map(|used| &used.table)
    }

    /// True iff the transaction has changed a table, or is about to.
    pub fn is_changing(&self) -> bool {
        !self.changing.is_empty()
    }

    /// True iff the transaction has changed this table, or is about to.
    pub fn is_changed(&self, id: TableId) -> bool {
        self.changing.contains(&id)
    }

    /// The tables that the transaction has changed, or is about to.
    pub fn changed(&self) -> impl Iterator<Item = TableId> + '_ {
        self.changing.iter().copied()
    }

    /// True iff nothing exists beyond what is known.
    pub fn is_whole(&self) -> bool {
        self.whole
    }

    /// Makes ready to change a table (C2). What was known of it must still be so.
    pub async fn begin_change(
        &mut self,
        txn: &mut Txn,
        gates: &mut Gates,
        id: TableId,
    ) -> SqlResult<Arc<TableDescriptor>> {
        let gone = || SqlError::new(SqlState::UNDEFINED_TABLE, "the table does not exist any more");
        if self.created.contains(&id) || self.changing.contains(&id) {
            return self.table_by_id(txn, id).await?.ok_or_else(gone);
        }
        let before = self.used.remove(&id).map(|used| used.table.version);
        // One of an earlier attempt may have been taken for dead by the cluster.
        gates.0.retain(|_, gate| gate.is_alive());
        let patience = self.patience();
        let gate = match gates.0.entry(id) {
            Entry::Occupied(gate) => gate.into_mut(),
            Entry::Vacant(place) => {
                place.insert(ClosedGate::close(&self.leases, id, patience).await?)
            }
        };
        txn.catch_up().await.or_sql()?;
        gate.enter(txn).await?;
        self.changing.insert(id);
        let table = self.table_by_id(txn, id).await?.ok_or_else(gone)?;
        if before.is_some_and(|before| before != table.version) {
            let text = "could not serialize access due to a concurrent schema change";
            return Err(SqlError::new(SqlState::SERIALIZATION_FAILURE, text));
        }
        Ok(table)
    }

    /// The next ids: a table's or an index's. In a transaction of its own: changes of different tables do not wait for
    /// each other, and an id that is not used after all is nobody's.
    pub async fn allocate(&self, count: u32) -> SqlResult<u32> {
        let allocated = self.leases.db().run(TxnOptions::default(), move |txn| {
            Box::pin(async move {
                let next = match txn.get_for_update(keys::next_id()).await? {
                    Some(bytes) => codec::decode::<NextId>(&bytes).map_err(invalid)?.id,
                    None => FIRST_ID,
                };
                let Some(id) = next.checked_add(count) else { return Ok::<_, TxnError>(None) };
                txn.put(keys::next_id(), codec::encode(&NextId { id }))?;
                Ok(Some(next))
            })
        });
        let exhausted = || SqlError::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "no more object ids");
        allocated.await.or_sql()?.ok_or_else(exhausted)
    }

    /// Writes a new table.
    pub fn create(&mut self, txn: &mut Txn, table: TableDescriptor) -> SqlResult<()> {
        self.created.insert(table.id);
        self.changing.insert(table.id);
        self.write(txn, None, table)
    }

    /// Writes a table's next version, with the names of what it gained and lost.
    pub fn update(
        &mut self,
        txn: &mut Txn,
        old: &TableDescriptor,
        mut table: TableDescriptor,
    ) -> SqlResult<()> {
        table.version = old.version + 1;
        self.write(txn, Some(old), table)
    }

    fn write(
        &mut self,
        txn: &mut Txn,
        old: Option<&TableDescriptor>,
        table: TableDescriptor,
    ) -> SqlResult<()> {
        let (gone, here) = (old.map(names_of).unwrap_or_default(), names_of(&table));
        for (name, object) in &gone {
            if here.get(name) != Some(object) {
                txn.delete(keys::name(&name.0, &name.1)).or_sql()?;
            }
        }
        for (name, object) in here {
            if gone.get(&name) != Some(&object) {
                txn.put(keys::name(&name.0, &name.1), codec::encode_object(object)).or_sql()?;
            }
        }
        links::write(txn, old, Some(&table))?;
        txn.put(keys::descriptor(table.id), codec::encode_table(&table)).or_sql()?;
        self.names.retain(|_, id| *id != table.id);
        self.enter(Arc::new(table), None);
        Ok(())
    }

    /// An index that the table's next version does not have: its entries go behind the commit.
    pub fn drop_index(
        &mut self,
        txn: &mut Txn,
        table: &TableDescriptor,
        index: IndexId,
    ) -> SqlResult<()> {
        if table.building.iter().any(|building| building.id == index) {
            txn.delete(keys::build(table.id, index)).or_sql()?;
        }
        self.leave(txn, row::index_prefix(table.id, index))
    }

    fn leave(&mut self, txn: &mut Txn, prefix: Vec<u8>) -> SqlResult<()> {
        debris::leave(&self.leases, txn, &prefix).or_sql()?;
        self.debris.push(prefix.into());
        Ok(())
    }

    /// Claims an index that the transaction adds to a table's `building`.
    pub(crate) fn claim_build(
        &self,
        txn: &mut Txn,
        table: TableId,
        index: IndexId,
    ) -> SqlResult<Build> {
        Build::claim(&self.leases, txn, table, index)
    }

    /// Removes a table from the catalog, and its rows behind the commit.
    pub fn drop_table(&mut self, txn: &mut Txn, table: &TableDescriptor) -> SqlResult<()> {
        for name in names_of(table).keys() {
            txn.delete(keys::name(&name.0, &name.1)).or_sql()?;
        }
        for index in &table.building {
            txn.delete(keys::build(table.id, index.id)).or_sql()?;
        }
        links::write(txn, Some(table), None)?;
        txn.delete(keys::descriptor(table.id)).or_sql()?;
        match table.sequence() {
            Some(_) => txn.delete(keys::state(table.id)).or_sql()?,
            None => self.leave(txn, row::table_prefix(table.id))?,
        }
        self.used.remove(&table.id);
        self.names.retain(|_, id| *id != table.id);
        Ok(())
    }

    /// The transaction went back to a savepoint: what it wrote may be gone. Leases stay, and so do gates.
    pub fn rolled_back(&mut self) {
        self.whole = false;
        self.used.retain(|_, used| used.lease.is_some());
        let used = &self.used;
        self.names.retain(|_, id| used.contains_key(id));
    }

    /// The transaction is rolled back, and will not go on: no change waits for it any more.
    pub fn give_back(&mut self) {
        self.used.clear();
        self.names.clear();
    }

    /// Gives the commit its deadlines: the ends of the leases that the transaction relies on. Those that were renewed
    /// meanwhile count with their present end.
    pub async fn bind_commit(&mut self, txn: &mut Txn) {
        for used in self.used.values_mut() {
            let Some(lease) = &mut used.lease else { continue };
            if let Some(end) = self.leases.extended(&used.table).await {
                lease.end = lease.end.max(end);
            }
            if !self.leases.env().mutation(Mutant::CommitPastSchemaLease) {
                txn.commit_before(CommitDeadline::new(lease.end));
            }
        }
        self.committing = true;
    }

    /// The commit's outcome is known.
    pub fn commit_settled(&mut self, committed: bool) {
        self.committing = false;
        let debris = std::mem::take(&mut self.debris);
        for prefix in debris.into_iter().filter(|_| committed) {
            debris::clear(&self.leases, prefix);
        }
    }
}

impl Drop for TxnCatalog {
    fn drop(&mut self) {
        if !self.committing {
            return;
        }
        for used in self.used.values() {
            if let Some(lease) = &used.lease {
                self.leases.doubt(&used.table, lease.end);
            }
        }
    }
}

/// The names that a table takes, with what has them. The primary key of a table without one has none.
fn names_of(table: &TableDescriptor) -> BTreeMap<QualifiedName, Object> {
    let named = |kind, name: &str, oid| {
        ((table.schema.clone(), name.to_owned()), Object { kind, oid, table: table.id })
    };
    let indexes = table.maintained().filter(|index| !index.name.is_empty());
    let indexes = indexes.map(|index| named(ObjectKind::Index, &index.name, index.oid));
    indexes.chain([named(table.object_kind(), &table.name, table.id.0)]).collect()
}

async fn find_name(txn: &mut Txn, schema: &str, name: &str) -> SqlResult<Option<Object>> {
    match txn.get(keys::name(schema, name)).await.or_sql()? {
        Some(bytes) => codec::decode_object(&bytes).map(Some),
        None => Ok(None),
    }
}
