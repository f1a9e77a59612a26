//! The apply loop: committed entries become engine state, then events, then answers. And the sync loop, which
//! makes that state durable in the background.

use std::collections::BTreeMap;
use std::sync::Arc;

use raft::eraftpb::Entry;
use tokio::sync::mpsc;

use crate::engine::{Engine, EngineBatch, EngineError};
use crate::env::Env;
use crate::ids::{NodeId, RangeId};
use crate::range::descriptor::Lease;
use crate::range::machine::{Outcome, RangeMachine};
use crate::seam::{RangeEvent, RangeObserver};
use crate::store::core::{ApplyTask, Fate, Waiter};
use crate::store::shared::{SharedRef, StopOnPanic};

/// What the apply loop works with.
pub(crate) struct Applier {
    pub(crate) node_id: NodeId,
    pub(crate) incarnation: u64,
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) machines: BTreeMap<RangeId, RangeMachine>,
    pub(crate) shared: SharedRef,
    pub(crate) observer: Arc<dyn RangeObserver>,
    pub(crate) tasks: mpsc::Receiver<ApplyTask>,
}

impl Applier {
    /// Runs until the store fails or the consensus loop ends.
    pub(crate) async fn run(mut self) {
        let _stop = StopOnPanic { shared: self.shared.clone(), what: "apply" };
        while let Some(task) = self.tasks.recv().await {
            if let Some(backlog) = self.engine.backlog() {
                backlog.await;
            }
            if let Err(error) = self.apply(task) {
                self.shared.fail((&error).into());
                return;
            }
        }
    }

    fn apply(&mut self, task: ApplyTask) -> Result<(), EngineError> {
        let range = task.range;
        let Some(machine) = self.machines.get_mut(&range) else {
            return Err(EngineError::Corrupt(format!("committed entries of unknown {range}")));
        };
        let mut batch = EngineBatch::default();
        let mut answers: Vec<(Waiter, Fate)> = Vec::new();
        let mut effects: Vec<(Outcome, RangeMachine)> = Vec::new();
        for (entry, waiter) in task.entries {
            let outcome = apply_entry(machine, &entry, &mut batch)?;
            let fate = match &outcome {
                Outcome::Rejected(rejection) => Fate::Rejected(*rejection),
                Outcome::Ids(first) => Fate::Applied(*first),
                _ => Fate::Applied(0),
            };
            if let Some(waiter) = waiter {
                answers.push((waiter, fate));
            }
            if matches!(
                outcome,
                Outcome::Lease { .. } | Outcome::Split { .. } | Outcome::Truncate(_)
            ) {
                effects.push((outcome, machine.clone()));
            }
        }
        self.engine.apply(batch)?;
        for (outcome, machine) in effects {
            self.announce(outcome, &machine);
        }
        let machine = self.machines.get(&range).expect("it has just applied");
        self.shared.publish(machine);
        let index = machine.applied.index;
        // Somebody waits for the answers, and nobody for the notice.
        for (waiter, fate) in answers {
            // Nobody waiting any more is no reason to stop.
            let _ = waiter.send(fate);
        }
        self.shared.notify(|notices| {
            let applied = notices.applied.entry(range).or_default();
            applied.index = index;
            applied.done.add(task.bytes);
        });
        Ok(())
    }

    /// Tells the observer, and the core, before anything is served under the change.
    fn announce(&mut self, outcome: Outcome, machine: &RangeMachine) {
        let range = machine.descriptor.id();
        match outcome {
            Outcome::Lease { previous } => {
                let lease = machine.lease.clone().expect("a lease was just applied");
                let ours = |lease: &Lease| {
                    lease.node_id == self.node_id.0 && lease.incarnation == self.incarnation
                };
                let held_before = previous.as_ref().is_some_and(ours);
                let same = previous.as_ref().is_some_and(|p| p.sequence == lease.sequence);
                let descriptor = machine.descriptor.clone();
                if ours(&lease) && !same {
                    self.observer.on_event(&RangeEvent::LeaseAcquired { descriptor, lease });
                    self.shared.report(range);
                } else if held_before && !ours(&lease) {
                    self.observer.on_event(&RangeEvent::LeaseLost { descriptor });
                }
            }
            Outcome::Split { right } => {
                self.observer.on_event(&RangeEvent::Split {
                    left: machine.descriptor.clone(),
                    right: right.descriptor.clone(),
                });
                let id = right.descriptor.id();
                self.shared.publish(&right);
                self.machines.insert(id, *right);
                self.shared.notify(|notices| {
                    notices.created.insert(id);
                });
                self.shared.report(range);
                self.shared.report(id);
            }
            Outcome::Truncate(index) => self.shared.notify(|notices| {
                let truncated = notices.truncated.entry(range).or_default();
                *truncated = index.max(*truncated);
            }),
            Outcome::Applied | Outcome::Ids(_) | Outcome::Rejected(_) => {}
        }
    }
}

fn apply_entry(
    machine: &mut RangeMachine,
    entry: &Entry,
    batch: &mut EngineBatch,
) -> Result<Outcome, EngineError> {
    if entry.entry_type != raft::eraftpb::EntryType::EntryNormal {
        let range = machine.descriptor.id();
        return Err(EngineError::Corrupt(format!("membership entry in the log of {range}")));
    }
    machine.apply(entry, batch)
}

/// Syncs the engine now and then, and tells the core how far each range is durable.
pub(crate) async fn sync_loop(
    env: Env,
    engine: Arc<dyn Engine>,
    shared: SharedRef,
    interval: std::time::Duration,
) {
    while shared.failure.get().is_none() {
        env.clock.sleep(interval).await;
        // What is published is in the engine already, so the sync covers it.
        let indexes = shared.take_unsynced();
        if let Err(error) = engine.sync().await {
            shared.fail((&error).into());
            return;
        }
        if !indexes.is_empty() {
            shared.notify(|notices| notices.durable.extend(indexes));
        }
    }
}
