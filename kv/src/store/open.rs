//! Opening a store: what is on disk is checked against itself before anything is served.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::sync::mpsc;

use crate::engine::{Engine, EngineError};
use crate::env::Env;
use crate::ids::RangeId;
use crate::log::{LogError, RaftLog};
use crate::range::bootstrap::{self, IdentError, StoreIdent};
use crate::range::lease::Holder;
use crate::range::state::RangeState;
use crate::seam::RangeObserver;
use crate::store::StoreConfig;
use crate::store::apply::Applier;
use crate::store::core::{Core, Input};
use crate::store::credit::{APPLY_TASKS_MAX, ORDERS_MAX};
use crate::store::driver::Driver;
use crate::store::handle::StoreHandle;
use crate::store::shared::Shared;
use crate::store::snapshot::install::{self, Install, InstallNote};
use crate::store::snapshot::{Installed, Stage, send_loop};
use crate::store::stall::watch_loop;
use crate::store::sync::sync_loop;
use crate::store::watched::{WatchedEngine, WatchedLog};

/// Inputs waiting for the consensus loop; more proposals are refused and more messages dropped.
const INPUTS_MAX: usize = 16_384;

/// Parts of snapshots waiting for the apply loop. Their senders wait for each.
const STAGES_MAX: usize = 4;

/// Why a store cannot be opened. All of these need a person, or a rebuild from the store's peers.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The log failed.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The store is another build's, or the engine failed.
    #[error(transparent)]
    Ident(#[from] IdentError),
    /// The store was never bootstrapped.
    #[error("the store is empty")]
    Empty,
    /// The store belongs to another node.
    #[error("the store belongs to n{found}")]
    WrongNode {
        /// The node that it belongs to.
        found: u64,
    },
    /// The engine has lost what it had made durable.
    #[error("the store is damaged: {0}")]
    Damaged(String),
}

/// An opened store that does not run yet.
pub struct Store {
    env: Env,
    config: StoreConfig,
    engine: Arc<dyn Engine>,
    log: Arc<dyn RaftLog>,
    states: BTreeMap<RangeId, RangeState>,
    pub(super) core: Core,
    pub(super) inputs: mpsc::Receiver<Input>,
    handle: StoreHandle,
    holder: Holder,
    ident: StoreIdent,
    stages: mpsc::Receiver<Stage>,
}

impl Store {
    /// Reads a bootstrapped store and checks that engine and log fit together.
    pub fn open(
        env: Env,
        config: StoreConfig,
        engine: Arc<dyn Engine>,
        log: Arc<dyn RaftLog>,
    ) -> Result<Store, OpenError> {
        let ident = bootstrap::read_ident(&*engine)?.ok_or(OpenError::Empty)?;
        if ident.node_id != env.node_id.0 {
            return Err(OpenError::WrongNode { found: ident.node_id });
        }
        let holder = Holder { node: env.node_id, incarnation: env.rng.next_u64() };
        let shared = Arc::new(Shared::default());
        let mut states = BTreeMap::new();
        // What a crash has interrupted comes first: S3 of `store::snapshot`.
        let mut installed = Vec::new();
        for note in InstallNote::load_all(&*engine.snapshot())? {
            let mut install = Install::resume(note);
            install.finish(&*engine)?;
            installed.push(install.note);
        }
        install::forget_staged(&*engine)?;
        for state in RangeState::load_all(&*engine.snapshot())? {
            let range = state.descriptor.id();
            let durable = log.state(range)?.map_or(0, |state| state.durable_applied);
            if state.applied.index < durable {
                return Err(OpenError::Damaged(format!(
                    "{range} was durable through {durable} but holds only {}",
                    state.applied.index
                )));
            }
            shared.publish(&state, |_, _| {});
            states.insert(range, state);
        }
        // A group that the engine does not know lost an un-synced split, which its left side replays. Had the engine
        // ever been durable with it, more than that is gone.
        for range in log.groups() {
            let durable = log.state(range)?.map_or(0, |state| state.durable_applied);
            if durable > 0 && !states.contains_key(&range) {
                return Err(OpenError::Damaged(format!(
                    "{range} was durable through {durable} but is gone"
                )));
            }
        }
        bootstrap::renew_ident(&*engine, &ident)?;
        // From here on whatever fails stops the store.
        let engine: Arc<dyn Engine> = Arc::new(WatchedEngine { engine, shared: shared.clone() });
        let log: Arc<dyn RaftLog> = Arc::new(WatchedLog { log, shared: shared.clone() });
        let (own, told) = (ident.store(), shared.clone());
        let mut core = Core::new(env.clone(), config.clone(), log.clone(), told, holder, own);
        let mut resets = BTreeSet::new();
        for InstallNote { descriptor, index, .. } in installed {
            // S4 of `store::snapshot`. A log that begins behind it was reset, and may have gone on.
            let begins = log.state(descriptor.id())?.map_or(0, |state| state.truncated.0);
            match begins < index {
                true => drop(resets.insert(descriptor.id())),
                false => install::forget(&*engine, descriptor.id())?,
            }
        }
        for range in states.keys() {
            let state = shared.published(*range).expect("published above");
            match resets.contains(range) {
                true => core.installed(*range, Some(Installed { state, answer: None })),
                false => core.open_group(*range, state)?,
            }
        }
        let members: BTreeSet<u64> = states
            .values()
            .flat_map(|state| state.descriptor.replicas.iter().map(|replica| replica.node_id))
            .collect();
        env.clock.set_members(members.len());
        let (sender, inputs) = mpsc::channel(INPUTS_MAX);
        let lease_duration = config.lease_duration;
        let (parts, stages) = mpsc::channel(STAGES_MAX);
        let senders = (sender, parts);
        let handle =
            StoreHandle::new(env.clone(), engine.clone(), shared, senders, holder, lease_duration);
        Ok(Store { env, config, engine, log, states, core, inputs, handle, holder, ident, stages })
    }

    /// What everybody else holds.
    pub fn handle(&self) -> StoreHandle {
        self.handle.clone()
    }

    /// What decides and what applies, without the loops around them.
    #[cfg(test)]
    pub(super) fn into_parts(
        self,
        observer: Arc<dyn RangeObserver>,
        tasks: mpsc::Receiver<super::apply::Work>,
    ) -> (Core, Applier, mpsc::Receiver<Input>) {
        let shared = self.handle.shared();
        let _ = shared.observed_by.set(Arc::downgrade(&observer));
        let applier = Applier {
            env: self.env,
            store: self.ident.store(),
            holder: self.holder,
            engine: self.engine,
            states: self.states,
            shared,
            observer,
            tasks,
            stages: self.stages,
            staging: None,
            installing: None,
        };
        (self.core, applier, self.inputs)
    }

    /// Starts the loops. `observer` hears of leases and splits from here on.
    pub fn start(self, observer: Arc<dyn RangeObserver>) {
        let shared = self.handle.shared();
        // A store is started once.
        let _ = shared.observed_by.set(Arc::downgrade(&observer));
        let (apply, tasks) = mpsc::channel(APPLY_TASKS_MAX + ORDERS_MAX);
        let driver = Driver {
            env: self.env.clone(),
            core: self.core,
            log: self.log,
            shared: shared.clone(),
            inputs: self.inputs,
            apply,
            tick: self.config.tick,
        };
        let applier = Applier {
            env: self.env.clone(),
            store: self.ident.store(),
            holder: self.holder,
            engine: self.engine.clone(),
            states: self.states,
            shared: shared.clone(),
            observer,
            tasks,
            stages: self.stages,
            staging: None,
            installing: None,
        };
        let (env, engine) = (self.env.clone(), self.engine.clone());
        let send = send_loop(env, engine, shared.clone(), self.config.clone());
        self.env.tasks.spawn("snapshots", Box::pin(send));
        let watch = watch_loop(self.env.clone(), shared.clone());
        let sync = sync_loop(self.env.clone(), self.engine, shared, self.config.sync_interval);
        self.env.tasks.spawn_blocking_loop("consensus", Box::pin(driver.run()));
        self.env.tasks.spawn_blocking_loop("apply", Box::pin(applier.run()));
        self.env.tasks.spawn_blocking_loop("sync", Box::pin(sync));
        // Of its own, too: what reads from a disk that does not answer keeps the threads of others.
        self.env.tasks.spawn_blocking_loop("disk-watch", Box::pin(watch));
    }
}
