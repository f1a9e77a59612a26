//! What all sessions of a node share.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use sql_plan::Plan;
use sql_values::interrupt::World;
use sql_values::memory::Memory;
use sql_values::types::SqlType;
use txn::Env;
use txn::db::Db;

use crate::catalog::lease::Leases;

/// Plans that a node keeps.
const MAX_PLANS: usize = 4_096;
/// Bytes that they take together, about.
const MAX_PLANS_BYTES: usize = 64 << 20;
/// Bytes of the largest plan that is kept.
const MAX_PLAN_BYTES: usize = MAX_PLANS_BYTES / 64;
/// Bytes of an expression or a node of a plan, with what it holds.
const PART_BYTES: usize = 160;
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

/// A node's environment, as statements that are stopped and give way see it.
pub(crate) struct Surroundings(pub(crate) Env);

impl World for Surroundings {
    fn monotonic(&self) -> Duration {
        self.0.clock.monotonic()
    }

    fn hand_over(&self) {
        self.0.tasks.hand_over();
    }

    fn give_way(&self) -> BoxFuture<'static, ()> {
        self.0.tasks.give_way()
    }
}

/// What a plan depends on besides the tables that it names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PlanKey {
    pub(crate) text: String,
    pub(crate) search_path: Arc<[String]>,
    pub(crate) parameters: Vec<SqlType>,
}

/// Plans by key; when there are too many the longest unused goes.
#[derive(Default)]
struct Plans {
    by_key: BTreeMap<PlanKey, KeptPlan>,
    by_use: BTreeMap<u64, PlanKey>,
    clock: u64,
    bytes: usize,
}

struct KeptPlan {
    plan: Arc<Plan>,
    /// The time of its last use.
    used: u64,
    bytes: usize,
}

impl PlanKey {
    /// About the bytes of a plan, and of its key in both maps.
    fn bytes_with(&self, plan: &Plan) -> usize {
        let parts = plan.root.size() + plan.ctes.iter().map(|cte| cte.size()).sum::<usize>();
        let columns = plan.columns.len() + plan.parameters.len() + self.parameters.len();
        let parts = parts.saturating_add(columns).saturating_add(1);
        // The text is there three times: its constants are in the plan.
        parts.saturating_mul(PART_BYTES).saturating_add(3 * self.text.len())
    }
}

impl Plans {
    fn get(&mut self, key: &PlanKey) -> Option<Arc<Plan>> {
        let kept = self.by_key.get_mut(key)?;
        self.by_use.remove(&kept.used);
        self.clock += 1;
        kept.used = self.clock;
        self.by_use.insert(self.clock, key.clone());
        Some(kept.plan.clone())
    }

    fn keep(&mut self, key: PlanKey, plan: Arc<Plan>) {
        let bytes = key.bytes_with(&plan);
        if bytes > MAX_PLAN_BYTES {
            return;
        }
        self.forget(&key);
        self.clock += 1;
        self.bytes += bytes;
        self.by_use.insert(self.clock, key.clone());
        self.by_key.insert(key, KeptPlan { plan, used: self.clock, bytes });
        while (self.by_key.len() > MAX_PLANS || self.bytes > MAX_PLANS_BYTES)
            && let Some((_, oldest)) = self.by_use.pop_first()
        {
            self.forget(&oldest);
        }
    }

    fn forget(&mut self, key: &PlanKey) {
        if let Some(kept) = self.by_key.remove(key) {
            self.by_use.remove(&kept.used);
            self.bytes -= kept.bytes;
        }
    }
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

    /// The plan of a key, if it is kept.
    pub(crate) fn cached(&self, key: &PlanKey) -> Option<Arc<Plan>> {
        self.plans.lock().unwrap_or_else(PoisonError::into_inner).get(key)
    }

    /// Keeps a plan, unless it is very large.
    pub(crate) fn keep(&self, key: PlanKey, plan: Arc<Plan>) {
        self.plans.lock().unwrap_or_else(PoisonError::into_inner).keep(key, plan);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sql_plan::{Expr, Node, node};
    use sql_values::types::Datum;

    fn plan(rows: usize) -> Arc<Plan> {
        let row = || vec![Expr::Const(Datum::Int4(1), SqlType::Int4)];
        let root = Node::Values(node::Values {
            rows: (0..rows).map(|_| row()).collect(),
            types: Vec::new(),
        });
        Arc::new(Plan {
            root,
            columns: Vec::new(),
            parameters: Vec::new(),
            tables: Vec::new(),
            ctes: Vec::new(),
            writes: false,
        })
    }

    fn key(number: usize) -> PlanKey {
        PlanKey { text: number.to_string(), search_path: Arc::new([]), parameters: Vec::new() }
    }

    #[test]
    fn plans_are_bounded_by_their_bytes_and_the_longest_unused_goes() {
        let mut plans = Plans::default();
        let (large, too_large) = (plan(2_000), plan(10_000));
        plans.keep(key(0), too_large);
        assert!(plans.get(&key(0)).is_none());
        for number in 0..1_000 {
            plans.keep(key(number), large.clone());
            assert!(plans.get(&key(0)).is_some(), "it is in use");
            assert!(plans.bytes <= MAX_PLANS_BYTES);
        }
        let kept = plans.by_key.len();
        assert!(kept > 50 && kept < 500, "{kept}");
        assert_eq!(plans.by_use.len(), kept);
        assert!(plans.get(&key(999)).is_some() && plans.get(&key(1)).is_none());
        let small = plan(1);
        for number in 0..2 * MAX_PLANS {
            plans.keep(key(number % (MAX_PLANS + 1)), small.clone());
        }
        assert!(plans.by_key.len() <= MAX_PLANS);
        for number in 0..=MAX_PLANS {
            plans.forget(&key(number));
        }
        assert_eq!((plans.bytes, plans.by_use.len()), (0, 0));
    }
}
