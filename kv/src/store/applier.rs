//! The apply loop: committed entries become engine state, then events, then answers. And the sync loop, which
//! makes that state durable in the background.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::mpsc;

use crate::engine::{Engine, EngineBatch, EngineError};
use crate::env::Env;
use crate::ids::RangeId;
use crate::range::command::LeaseReplaced;
use crate::range::lease::Holder;
use crate::range::state::RangeState;
use crate::seam::{RangeEvent, RangeObserver};
use crate::store::core::{ApplyTask, Fate, Waiter};
use crate::store::shared::{SharedRef, StopOnPanic};

/// What the apply loop works with.
pub(crate) struct Applier {
    pub(crate) holder: Holder,
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) states: BTreeMap<RangeId, RangeState>,
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

    pub(super) fn apply(&mut self, task: ApplyTask) -> Result<(), EngineError> {
        let range = task.range;
        let Some(state) = self.states.get_mut(&range) else {
            return Err(EngineError::Corrupt(format!("committed entries of unknown {range}")));
        };
        let mut batch = EngineBatch::default();
        let mut answers: Vec<(Waiter, Fate)> = Vec::new();
        let mut events: Vec<RangeEvent> = Vec::new();
        let mut reports: Vec<RangeId> = Vec::new();
        let mut created: Vec<RangeState> = Vec::new();
        let mut truncate = None;
        for (entry, waiter) in task.entries {
            let outcome = state.apply(&entry, &mut batch)?;
            if let Some(waiter) = waiter {
                let fate = match &outcome {
                    Ok(effects) => Fate::Applied(effects.value),
                    Err(rejection) => Fate::Rejected(*rejection),
                };
                answers.push((waiter, fate));
            }
            let Ok(effects) = outcome else { continue };
            truncate = truncate.max(effects.truncate);
            if let Some(replaced) = effects.lease
                && let Some(event) = lease_event(self.holder, state, replaced)
            {
                if matches!(event, RangeEvent::LeaseAcquired { .. }) {
                    reports.push(range);
                }
                events.push(event);
            }
            if let Some(right) = effects.created {
                let sides = (state.descriptor.clone(), right.descriptor.clone());
                reports.extend([range, sides.1.id()]);
                events.push(RangeEvent::Split { left: sides.0, right: sides.1 });
                created.push(*right);
            }
        }
        self.engine.apply(batch)?;
        // The observer hears before anything is served under a change.
        for event in &events {
            self.observer.on_event(event);
        }
        // The left side last: until it is seen as it is now, the right side's keys are its own.
        let is_split = !created.is_empty();
        for right in created {
            let id = right.descriptor.id();
            self.shared.publish(&right, |notices, state| {
                notices.created.insert(id, state.clone());
            });
            self.states.insert(id, right);
        }
        let state = self.states.get(&range).expect("it has just applied");
        self.shared.publish(state, |notices, state| {
            notices.applied(range, state, task.bytes, truncate);
        });
        // Somebody waits for the answers, and hardly ever anybody for the core.
        for (waiter, fate) in answers {
            // Nobody waiting any more is no reason to stop.
            let _ = waiter.send(fate);
        }
        match is_split {
            true => self.shared.wake.notify_one(),
            false => self.shared.wake_for_room(),
        }
        reports.into_iter().for_each(|range| self.shared.report(range));
        Ok(())
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
        true if !is_extension => Some(RangeEvent::LeaseAcquired { descriptor, lease }),
        false if was_ours => Some(RangeEvent::LeaseLost { descriptor }),
        _ => None,
    }
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
