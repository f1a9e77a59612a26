//! The apply loop: committed entries become engine state, then events, then answers.
//!
//! It is the one who writes to the engine, so snapshots are staged and installed here too, between the entries: a portion
//! of an installation, then whatever is to be applied, then the next portion.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures::future::{Either, select};
use raft::eraftpb::Entry;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TryRecvError;

use crate::engine::{Engine, EngineBatch, EngineError};
use crate::env::Env;
use crate::ids::{RangeId, StoreId};
use crate::mutant::Mutant;
use crate::range::command::LeaseReplaced;
use crate::range::lease::{Holder, Lease};
use crate::range::state::RangeState;
use crate::rpc::SnapshotHead;
use crate::seam::{RangeEvent, RangeObserver};
use crate::store::proposal::{Fate, Waiter};
use crate::store::shared::{SharedRef, StopOnPanic};
use crate::store::snapshot::install::{self, Install};
use crate::store::snapshot::{Answer, Installed, Stage, Staged, Staging, check};

/// Tasks that go into the engine together.
const TASKS_PER_BATCH_MAX: usize = 64;
/// Their bytes, or one task: what is waited for by those who have been in it.
const BYTES_PER_BATCH_MAX: usize = 256 << 10;

/// What the core asks of the apply loop, in this order.
pub(crate) enum Work {
    Apply(ApplyTask),
    /// The snapshot takes the place of what the replica has. Nothing of the group comes before that is done.
    Install(Box<Staged>),
    /// The snapshot that is staged for a range is not wanted.
    Discard(RangeId),
    /// The log of a range begins behind its snapshot now.
    Forget(RangeId),
}

/// Committed entries of one range, with those who wait for them.
pub(crate) struct ApplyTask {
    pub(crate) range: RangeId,
    pub(crate) entries: Vec<(Entry, Option<Waiter>)>,
    /// What they count for in the queue.
    pub(crate) bytes: usize,
}

/// What the apply loop works with.
pub(crate) struct Applier {
    pub(crate) env: Env,
    pub(crate) store: StoreId,
    pub(crate) holder: Holder,
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) states: BTreeMap<RangeId, RangeState>,
    pub(crate) shared: SharedRef,
    pub(crate) observer: Arc<dyn RangeObserver>,
    pub(crate) tasks: mpsc::Receiver<Work>,
    /// Parts of snapshots.
    pub(crate) stages: mpsc::Receiver<Stage>,
    /// The snapshot that is being taken.
    pub(crate) staging: Option<Staging>,
    /// The snapshot that is being installed.
    pub(crate) installing: Option<(Install, Answer)>,
}

/// What the loop does next.
enum Next {
    Work(Work),
    Stage(Stage),
    /// A portion of the installation.
    Portion,
    Over,
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
        let mut was_work = false;
        loop {
            let next = self.next(was_work).await;
            was_work = matches!(next, Next::Work(_));
            if let Some(backlog) = self.engine.backlog() {
                backlog.await;
            }
            let done = match next {
                Next::Work(first) => self.take(first),
                Next::Stage(stage) => self.stage(stage),
                Next::Portion => self.portion(),
                Next::Over => return,
            };
            if let Err(error) = done {
                self.shared.fail((&error).into());
                return;
            }
            if self.installing.is_some() {
                // It is long, and nobody waits for it.
                self.env.tasks.give_way().await;
            }
        }
    }

    /// Entries and snapshots take turns.
    async fn next(&mut self, was_work: bool) -> Next {
        if was_work {
            if let Ok(stage) = self.stages.try_recv() {
                return Next::Stage(stage);
            }
            if self.installing.is_some() {
                return Next::Portion;
            }
        }
        if self.installing.is_some() {
            return match self.tasks.try_recv() {
                Ok(work) => Next::Work(work),
                Err(TryRecvError::Empty) => Next::Portion,
                Err(TryRecvError::Disconnected) => Next::Over,
            };
        }
        match select(pin!(self.tasks.recv()), pin!(self.stages.recv())).await {
            Either::Left((Some(work), _)) => Next::Work(work),
            Either::Right((Some(stage), _)) => Next::Stage(stage),
            // Whoever could send parts or proposals is gone, or the consensus loop is.
            Either::Left((None, _)) | Either::Right((None, _)) => Next::Over,
        }
    }

    /// Does what is ready: entries go into the engine together.
    fn take(&mut self, first: Work) -> Result<(), EngineError> {
        let mut next = Some(first);
        let (mut tasks, mut bytes) = (Vec::new(), 0);
        while let Some(Work::Apply(task)) = next {
            bytes += task.bytes;
            tasks.push(task);
            let is_full = tasks.len() >= TASKS_PER_BATCH_MAX || bytes >= BYTES_PER_BATCH_MAX;
            next = if is_full { None } else { self.tasks.try_recv().ok() };
        }
        if !tasks.is_empty() {
            self.apply(tasks)?;
        }
        match next {
            Some(order) => self.work(order),
            None => Ok(()),
        }
    }

    /// Does what the core asks for.
    pub(super) fn work(&mut self, work: Work) -> Result<(), EngineError> {
        match work {
            Work::Apply(task) => self.apply(vec![task]),
            Work::Install(staged) => self.install(*staged),
            Work::Discard(range) => {
                self.staging = None;
                install::wipe_all(&*self.engine, install::parts_span(range))
            }
            Work::Forget(range) => install::forget(&*self.engine, range),
        }
    }

    /// A part of a snapshot has come.
    pub(super) fn stage(&mut self, stage: Stage) -> Result<(), EngineError> {
        let now = self.env.clock.monotonic();
        if stage.part.number == 0 {
            let states = self.states.values();
            let other = self.staging.as_ref();
            match Staging::begin(&stage.part, self.store, other, states, now) {
                Ok(begun) => self.staging = Some(begun),
                Err(why) => {
                    let _ = stage.answer.send(Err(why));
                    return Ok(());
                }
            }
        }
        match &mut self.staging {
            Some(staging) if staging.continues(&stage.part) => {
                if let Some(staged) = staging.take(&*self.engine, stage, now)? {
                    self.shared.unsynced(|unsynced| unsynced.staged.push(staged));
                }
            }
            _ => drop(stage.answer.send(Err("the snapshot has lost its place".into()))),
        }
        Ok(())
    }

    /// Begins to install a snapshot, now that everything before it is applied.
    fn install(&mut self, staged: Staged) -> Result<(), EngineError> {
        let Staged { range, replica, from, mut note, answer } = staged;
        let (descriptor, index, term) = (note.descriptor.clone(), note.index, note.term);
        let head = SnapshotHead { descriptor, index, term, from: from.0 };
        // A split may have been applied since it was staged.
        if let Err(why) = check(&head, replica, self.states.values()) {
            let _ = answer.send(Err(why));
            self.staging = None;
            install::wipe_all(&*self.engine, install::parts_span(range))?;
            self.shared.notify(|notices| notices.installed.push((range, None)));
            return Ok(());
        }
        // From here on nobody sees the replica.
        self.shared.hide(range);
        if let Some(old) = self.states.remove(&range) {
            note.old_start = old.descriptor.start;
            note.old_end = old.descriptor.end;
        }
        tracing::info!(%range, index, "a snapshot is being installed");
        self.installing = Some((Install::begin(&*self.engine, note)?, answer));
        Ok(())
    }

    /// True iff a snapshot is being installed.
    #[cfg(test)]
    pub(super) fn is_installing(&self) -> bool {
        self.installing.is_some()
    }

    /// Does a portion of the installation, if there is one. The last one shows the replica.
    pub(super) fn portion(&mut self) -> Result<(), EngineError> {
        let Some((install, _)) = &mut self.installing else { return Ok(()) };
        if install.portion(&*self.engine)? {
            return Ok(());
        }
        let Some((install, answer)) = self.installing.take() else { return Ok(()) };
        let range = install.note.descriptor.id();
        let state = RangeState::load(&*self.engine.snapshot(), range)?;
        let state = state.filter(|state| state.applied.index == install.note.index);
        let Some(state) = state else {
            return Err(EngineError::Corrupt(format!("the snapshot of {range} is another one")));
        };
        let descriptor = state.descriptor.clone();
        self.observer.on_event(&RangeEvent::Installed { descriptor: descriptor.clone() });
        if let Some(lease) = state.lease.clone().filter(|lease| lease.is_held_by(self.holder)) {
            // It was handed over here, by another's clock. What its holder before has served is not in a snapshot, but before this lease's end.
            let _ = self.env.clock.update(lease.start_ts());
            let lease = Lease { start: lease.expiration, ..lease };
            self.observer.on_event(&RangeEvent::LeaseAcquired { descriptor, lease, summary: None });
        }
        let mut shown = None;
        self.shared.publish(&state, |_, state| shown = Some(state.clone()));
        self.states.insert(range, state);
        self.staging = None;
        self.shared.installed.fetch_add(1, Ordering::Relaxed);
        let installed = shown.map(|state| Installed { state, answer: Some(answer) });
        if self.env.mutation(Mutant::LogResetBeforeSync) {
            self.shared.notify(|notices| notices.installed.push((range, installed)));
            return Ok(());
        }
        self.shared.unsynced(|unsynced| unsynced.installed.push((range, installed)));
        Ok(())
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
                    let _ = self.env.clock.update(lease.start_ts());
                }
                RangeEvent::LeaseLost { .. } => {
                    tracing::debug!(range = %done.range, "this node had the lease");
                }
                RangeEvent::Split { .. } | RangeEvent::Installed { .. } => {}
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
