//! What all sessions of a node share.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use txn::Env;
use txn::db::Db;

use crate::catalog::lease::Leases;
use crate::memory::Memory;
use crate::plan::Plan;
use crate::types::SqlType;

/// Plans that a node keeps.
const MAX_PLANS: usize = 4_096;
/// Longest text whose plan is kept.
const MAX_TEXT: usize = 16 << 10;
/// Milliseconds from 1970 to 2000, where PostgreSQL's time begins.
const EPOCH_MS: i64 = 946_684_800_000;

/// A node's SQL: its gateway to the data, its schema leases, and its plans.
pub struct SqlEngine {
    pub(crate) db: Db,
    pub(crate) env: Env,
    pub(crate) leases: Arc<Leases>,
    pub(crate) memory: Memory,
    plans: Mutex<Plans>,
}

/// What a plan depends on besides the tables that it names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PlanKey {
    pub(crate) text: String,
    pub(crate) search_path: Vec<String>,
    pub(crate) parameters: Vec<SqlType>,
}

/// Plans by key, with the time of their last use; when there are too many the longest unused goes.
#[derive(Default)]
struct Plans {
    by_key: BTreeMap<PlanKey, (u64, Arc<Plan>)>,
    by_use: BTreeMap<u64, PlanKey>,
    clock: u64,
}

impl SqlEngine {
    /// An engine over a gateway, with the node's time and randomness, and the memory of its statements.
    pub fn new(db: Db, env: Env, memory: Memory) -> Arc<Self> {
        let leases = Leases::new(db.clone(), env.clone());
        Arc::new(SqlEngine { db, env, leases, memory, plans: Mutex::default() })
    }

    /// Microseconds since 2000-01-01 UTC.
    pub(crate) fn now(&self) -> i64 {
        let unix = i64::try_from(self.env.clock.now_us()).unwrap_or(i64::MAX);
        unix.saturating_sub(EPOCH_MS * 1_000)
    }

    pub(crate) fn cached(&self, key: &PlanKey) -> Option<Arc<Plan>> {
        let mut guard = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        let plans = &mut *guard;
        let (used, plan) = plans.by_key.get_mut(key)?;
        plans.by_use.remove(used);
        plans.clock += 1;
        *used = plans.clock;
        plans.by_use.insert(plans.clock, key.clone());
        Some(plan.clone())
    }

    pub(crate) fn keep(&self, key: PlanKey, plan: Arc<Plan>) {
        if key.text.len() > MAX_TEXT {
            return;
        }
        let mut guard = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        let plans = &mut *guard;
        plans.clock += 1;
        if let Some((used, _)) = plans.by_key.insert(key.clone(), (plans.clock, plan)) {
            plans.by_use.remove(&used);
        }
        plans.by_use.insert(plans.clock, key);
        while plans.by_key.len() > MAX_PLANS {
            let Some((_, oldest)) = plans.by_use.pop_first() else { return };
            plans.by_key.remove(&oldest);
        }
    }
}
