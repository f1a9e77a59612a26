//! The apply loop: committed entries become engine state, then events, then answers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::sync::mpsc;

use crate::clock::Clock;
use crate::engine::{Engine, EngineBatch, EngineError};
use crate::ids::RangeId;
use crate::range::command::LeaseReplaced;
use crate::range::lease::Holder;
use crate::range::state::RangeState;
use crate::seam::{RangeEvent, RangeObserver};
use crate::store::core::ApplyTask;
use crate::store::proposal::{Fate, Waiter};
use crate::store::shared::{SharedRef, StopOnPanic};

/// Tasks that go into the engine together.
const TASKS_PER_BATCH_MAX: usize = 64;
/// Their bytes, or one task: what is waited for by those who have been in it.
const BYTES_PER_BATCH_MAX: usize = 256 << 10;

/// What the apply loop works with.
pub(crate) struct Applier {
    pub(crate) holder: Holder,
    pub(crate) clock: Clock,
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) states: BTreeMap<RangeId, RangeState>,
    pub(crate) shared: SharedRef,
    pub(crate) observer: Arc<dyn RangeObserver>,
    pub(crate) tasks: mpsc::Receiver<ApplyTask>,
}

/// What follows from a task once its batch is in the engine.
struct Done {
    range: RangeId,
    bytes: usize,
    events: Vec<RangeEvent>,
    created: Vec<RangeId>,
    reports: Vec<RangeId>,
    truncate: Option<u64>,
    answers: Vec<(Waiter, Fate)>,
}

impl Applier {
    /// Runs until the store fails or the consensus loop ends.
    pub(crate) async fn run(mut self) {
        let _stop = StopOnPanic { shared: self.shared.clone(), what: "apply" };
        while let Some(first) = self.tasks.recv().await {
            if let Some(backlog) = self.engine.backlog() {
                backlog.await;
            }
            // What is ready goes into the engine together.
            let mut bytes = first.bytes;
            let mut tasks = vec![first];
            while tasks.len() < TASKS_PER_BATCH_MAX && bytes < BYTES_PER_BATCH_MAX {
                let Ok(task) = self.tasks.try_recv() else { break };
                bytes += task.bytes;
                tasks.push(task);
            }
            if let Err(error) = self.apply(tasks) {
                self.shared.fail((&error).into());
                return;
            }
        }
    }

    /// Applies committed entries, of several ranges perhaps, by one engine batch.
    pub(super) fn apply(&mut self, tasks: Vec<ApplyTask>) -> Result<(), EngineError> {
        let mut batch = EngineBatch::default();
        let mut done = Vec::with_capacity(tasks.len());
        for task in tasks {
            done.push(self.apply_task(task, &mut batch)?);
        }
        for range in done.iter().map(|done| done.range).collect::<BTreeSet<_>>() {
            self.states[&range].save_applied(&mut batch);
        }
        self.engine.apply(batch)?;
        done.into_iter().for_each(|done| self.announce(done));
        Ok(())
    }

    fn apply_task(
        &mut self,
        task: ApplyTask,
        batch: &mut EngineBatch,
    ) -> Result<Done, EngineError> {
        let range = task.range;
        let Some(state) = self.states.get_mut(&range) else {
            return Err(EngineError::Corrupt(format!("committed entries of unknown {range}")));
        };
        let mut done = Done {
            range,
            bytes: task.bytes,
            events: Vec::new(),
            created: Vec::new(),
            reports: Vec::new(),
            truncate: None,
            answers: Vec::new(),
        };
        let mut created = Vec::new();
        for (entry, waiter) in task.entries {
            let outcome = state.apply(&entry, batch)?;
            if let Some(waiter) = waiter {
                let fate = match &outcome {
                    Ok(effects) => Fate::Applied(effects.value),
                    Err(rejection) => Fate::Rejected(*rejection),
                };
                done.answers.push((waiter, fate));
            }
            let Ok(effects) = outcome else { continue };
            done.truncate = done.truncate.max(effects.truncate);
            if let Some(replaced) = effects.lease
                && let Some(event) = lease_event(self.holder, state, replaced)
            {
                if matches!(event, RangeEvent::LeaseAcquired { .. }) {
                    done.reports.push(range);
                }
                done.events.push(event);
            }
            if let Some(right) = effects.created {
                let sides = (state.descriptor.clone(), right.descriptor.clone());
                done.reports.extend([range, sides.1.id()]);
                done.events.push(RangeEvent::Split { left: sides.0, right: sides.1 });
                created.push(*right);
            }
        }
        for right in created {
            done.created.push(right.descriptor.id());
            self.states.insert(right.descriptor.id(), right);
        }
        Ok(done)
    }

    /// Tells those who listen and those who wait. The engine has it.
    fn announce(&mut self, done: Done) {
        // The observer hears before anything is served under a change.
        for event in &done.events {
            match event {
                RangeEvent::LeaseAcquired { lease, .. } => {
                    let range = done.range;
                    tracing::debug!(%range, sequence = lease.sequence, "this node has the lease");
                    // One that was handed over begins by the clock of another. Beyond the offset it is waited for.
                    let _ = self.clock.update(lease.start_ts());
                }
                RangeEvent::LeaseLost { .. } => {
                    tracing::debug!(range = %done.range, "this node had the lease");
                }
                RangeEvent::Split { .. } => {}
            }
            self.observer.on_event(event);
        }
        // The left side last: until it is seen as it is now, the right side's keys are its own.
        for id in &done.created {
            self.shared.publish(&self.states[id], |notices, state| {
                notices.created.insert(*id, (done.range, state.clone()));
            });
        }
        self.shared.publish(&self.states[&done.range], |notices, state| {
            notices.applied(done.range, state, done.bytes, done.truncate);
        });
        // Somebody waits for the answers, and hardly ever anybody for the core.
        for (waiter, fate) in done.answers {
            // Nobody waiting any more is no reason to stop.
            let _ = waiter.send(fate);
        }
        match done.created.is_empty() {
            true => self.shared.wake_for_room(),
            false => self.shared.wake.notify_one(),
        }
        done.reports.into_iter().for_each(|range| self.shared.report(range));
    }
}

/// What a replaced lease means for this holder.
fn lease_event(holder: Holder, state: &RangeState, replaced: LeaseReplaced) -> Option<RangeEvent> {
    let lease = state.lease.clone().expect("a lease was just applied");
    let (is_ours, previous) = (lease.is_held_by(holder), replaced.previous);
    let is_extension = previous.as_ref().is_some_and(|p| p.sequence == lease.sequence);
    let was_ours = previous.is_some_and(|previous| previous.is_held_by(holder));
    let descriptor = state.descriptor.clone();
    match is_ours {
        true if !is_extension => {
            Some(RangeEvent::LeaseAcquired { descriptor, lease, summary: replaced.summary })
        }
        false if was_ours => Some(RangeEvent::LeaseLost { descriptor }),
        _ => None,
    }
}
