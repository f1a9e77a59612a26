//! A table, and two nodes' leases on it.

use std::sync::Arc;
use std::time::Duration;

use sql_catalog::CatalogView;
use sql_catalog::descriptor::{TableDescriptor, TableId};
use sql_testing::TestCatalog;
use sql_values::error::SqlResult;
use txn::db::{Config, Db, TxnOptions};
use txn::testing::LocalCluster;

use super::gate::{ClosedGate, Patience};
use super::lease::{Lease, Leases};
use super::store::TxnCatalog;

/// Two nodes that share the data, as far as leases go.
pub(super) struct World {
    pub(super) db: Db,
    pub(super) here: Arc<Leases>,
    pub(super) there: Arc<Leases>,
    pub(super) table: Arc<TableDescriptor>,
}

impl World {
    pub(super) async fn new() -> World {
        let cluster = LocalCluster::new();
        let db = Db::new(cluster.env.clone(), cluster.clone(), Config::default());
        let leases = || Leases::new(db.clone(), cluster.env.clone());
        let (here, there) = (leases(), leases());
        let table = TestCatalog::new().table(None, "t").unwrap().unwrap();
        let mut txn = db.begin(TxnOptions::default());
        TxnCatalog::new(here.clone()).create(&mut txn, (*table).clone()).unwrap();
        txn.commit().await.unwrap();
        World { db, here, there, table }
    }

    pub(super) fn id(&self) -> TableId {
        self.table.id
    }

    pub(super) async fn sleep(&self, duration: Duration) {
        self.here.env().clock.sleep(duration).await;
    }

    /// Since the beginning.
    pub(super) fn time(&self) -> Duration {
        self.here.env().clock.monotonic()
    }

    /// A lease is taken, in the background.
    pub(super) async fn lease(&self, leases: &Arc<Leases>) {
        leases.want(self.id());
        self.sleep(Duration::from_millis(10)).await;
        assert!(self.has_lease(leases));
    }

    /// A lease of this node, as a transaction has it.
    pub(super) async fn used_here(&self) -> Lease {
        self.lease(&self.here).await;
        self.here.by_id(self.id(), self.here.env().clock.now()).unwrap()
    }

    pub(super) fn has_lease(&self, leases: &Arc<Leases>) -> bool {
        leases.by_id(self.id(), leases.env().clock.now()).is_some()
    }

    pub(super) async fn close(&self, leases: &Arc<Leases>) -> ClosedGate {
        self.try_close(leases, Patience::default()).await.unwrap()
    }

    pub(super) async fn try_close(
        &self,
        leases: &Arc<Leases>,
        patience: Patience,
    ) -> SqlResult<ClosedGate> {
        ClosedGate::close(leases, self.id(), patience).await
    }

    /// Commits a change behind its gate, in a transaction that takes `pause`.
    pub(super) async fn change(&self, gate: &ClosedGate, pause: Duration) -> Result<(), String> {
        let mut txn = self.db.begin(TxnOptions::default());
        gate.enter(&mut txn).await.map_err(|error| error.message)?;
        self.sleep(pause).await;
        txn.commit().await.map(|_| ()).map_err(|error| error.to_string())
    }
}
