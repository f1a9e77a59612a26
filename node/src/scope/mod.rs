//! The tasks of one node, kept together so that they can be stopped together; and the calls to it that run within other
//! tasks ([`call`]).
//!
//! Both worlds' scopes are this one; the real one adds an owner that stops it, the simulated one crashes
//! and pauses.
//!
//! - I1. After [`ScopeHandle::abort`] no task of the scope is started, and none is polled again except one
//!   that is being polled at that moment.
//! - I2. When [`ScopeHandle::gone`] has returned, every task of the aborted scope has been dropped: whatever
//!   a task owned (files, sockets, locks) is free for a restarted node.
//! - I3. Finished tasks are forgotten: the memory of a scope is bounded by its live tasks.
//!
//! HAZARD: tokio turns the panic of a task into a value nobody looks at. [`ScopeHandle::panicked`] tells;
//! whoever owns the scope has to look, because a broken invariant ends only the task that found it.

mod call;

use std::collections::BTreeMap;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures::future::BoxFuture;
use kv::env::TaskScope;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use self::call::{Call, Slot};

/// What it takes to wake a thread.
const HAND_OVER: Duration = Duration::from_micros(50);

/// How many names of panicked tasks are kept.
const PANICS_MAX: usize = 64;

/// A node's tasks. Clones share them; dropping a clone stops nothing.
#[derive(Clone)]
pub struct ScopeHandle {
    inner: Arc<Inner>,
    /// Where to spawn; the runtime of the caller if none is given.
    runtime: Option<Handle>,
}

struct Inner {
    /// What drives the timers of loops that have a thread of their own: that of the scope, wherever its tasks run.
    runtime: Option<Handle>,
    state: Mutex<State>,
    paused: AtomicBool,
    /// What the state says, for who only looks.
    ended: AtomicBool,
    /// Wakes whoever waits for the end: of all work, or of all tasks.
    changed: Notify,
}

#[derive(Default)]
struct State {
    aborted: bool,
    next_id: u64,
    /// Live tasks in the order of their start. Without a handle while tokio is still being told.
    live: BTreeMap<u64, Option<AbortHandle>>,
    /// Calls that wait for something, in the order of their beginning.
    calls: BTreeMap<u64, Arc<Slot>>,
    /// Tasks and calls that wanted to be polled during a pause.
    held: BTreeMap<u64, Waker>,
    panicked: Vec<&'static str>,
}

impl ScopeHandle {
    /// An empty scope on a runtime, or on that of each spawning caller.
    pub(crate) fn new(runtime: Option<Handle>) -> Self {
        let inner = Inner {
            runtime: runtime.clone(),
            state: Mutex::default(),
            paused: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            changed: Notify::new(),
        };
        ScopeHandle { inner: Arc::new(inner), runtime }
    }

    /// The same scope, whose tasks run on another runtime when they are spawned through this handle.
    pub(crate) fn on(&self, runtime: Handle) -> Self {
        ScopeHandle { inner: self.inner.clone(), runtime: Some(runtime) }
    }

    /// Ends the scope (I1). The tasks are dropped by the runtime, soon: see [`ScopeHandle::gone`].
    pub(crate) fn abort(&self) {
        let (handles, calls) = {
            let mut state = self.inner.state();
            state.aborted = true;
            self.inner.ended.store(true, Ordering::SeqCst);
            state.held.clear();
            let handles: Vec<AbortHandle> = state.live.values().flatten().cloned().collect();
            let calls: Vec<_> = state.calls.iter().map(|(id, c)| (*id, c.clone())).collect();
            (handles, calls)
        };
        self.inner.changed.notify_waiters();
        // In the order of their start, so that a simulated crash is the same every time.
        for handle in handles {
            handle.abort();
        }
        for (id, call) in calls {
            if call.end() {
                self.inner.state().calls.remove(&id);
            }
        }
        self.inner.changed.notify_waiters();
    }

    /// True once the scope was stopped or crashed.
    pub fn is_aborted(&self) -> bool {
        self.inner.state().aborted
    }

    /// How many tasks have neither finished nor been dropped.
    pub fn live(&self) -> usize {
        self.inner.state().live.len()
    }

    /// Names of the tasks that panicked (the first 64).
    pub fn panicked(&self) -> Vec<&'static str> {
        self.inner.state().panicked.clone()
    }

    /// Completes when the scope has been aborted.
    pub async fn aborted(&self) {
        self.wait_until(|state| state.aborted).await;
    }

    /// Completes when the scope has been aborted and its last task dropped (I2). Never completes within a
    /// task of the scope.
    pub async fn gone(&self) {
        self.wait_until(State::is_gone).await;
    }

    /// From now until [`ScopeHandle::resume`] no task of the scope is polled.
    pub(crate) fn pause(&self) {
        self.inner.paused.store(true, Ordering::SeqCst);
    }

    /// Ends a pause: what wanted to be polled meanwhile is, in the order of the tasks' start.
    pub(crate) fn resume(&self) {
        self.inner.paused.store(false, Ordering::SeqCst);
        let held = std::mem::take(&mut self.inner.state().held);
        for waker in held.into_values() {
            waker.wake();
        }
    }

    async fn wait_until(&self, condition: impl Fn(&State) -> bool) {
        loop {
            let mut changed = pin!(self.inner.changed.notified());
            // Before the look, or a change between look and wait would be missed.
            changed.as_mut().enable();
            if condition(&self.inner.state()) {
                return;
            }
            changed.await;
        }
    }

    /// Enters a task; `None` when the scope has ended.
    fn track(&self, name: &'static str, task: BoxFuture<'static, ()>) -> Option<(u64, Tracked)> {
        let mut state = self.inner.state();
        if state.aborted {
            // The task is dropped after the lock: its drop may look at the scope.
            drop(state);
            return None;
        }
        state.next_id += 1;
        let id = state.next_id;
        state.live.insert(id, None);
        drop(state);
        let entry = Entry { scope: self.inner.clone(), id, name };
        Some((id, Tracked { task, entry }))
    }
}

impl TaskScope for ScopeHandle {
    fn spawn(&self, name: &'static str, task: BoxFuture<'static, ()>) {
        let Some((id, tracked)) = self.track(name, task) else { return };
        // Not under the lock: a runtime that is shutting down drops the task right here.
        let abort = match &self.runtime {
            Some(runtime) => runtime.spawn(tracked),
            #[expect(
                clippy::disallowed_methods,
                reason = "this is where a node's tasks are started"
            )]
            None => tokio::spawn(tracked),
        }
        .abort_handle();
        let mut state = self.inner.state();
        let aborted = state.aborted;
        match state.live.get_mut(&id) {
            Some(slot) if !aborted => *slot = Some(abort),
            Some(_) => {
                drop(state);
                abort.abort();
            }
            // It has finished already.
            None => {}
        }
    }

    fn spawn_blocking_loop(&self, name: &'static str, task: BoxFuture<'static, ()>) {
        // One thread is all that the simulation has.
        let Some(runtime) = self.inner.runtime.clone() else { return self.spawn(name, task) };
        let Some((_, tracked)) = self.track(name, task) else { return };
        let scope = self.clone();
        let run = move || {
            let ended = std::panic::AssertUnwindSafe(|| {
                runtime.block_on(async move {
                    let aborted = pin!(scope.aborted());
                    futures::future::select(aborted, tracked).await;
                });
            });
            // The entry has remembered the panic, as for any task; the thread has nothing to add.
            let _ = std::panic::catch_unwind(ended);
        };
        #[expect(clippy::disallowed_methods, reason = "this is where a node's threads are started")]
        let thread = std::thread::Builder::new().name(name.into()).spawn(run);
        if let Err(error) = thread {
            tracing::error!(%error, task = name, "no thread for a task");
        }
    }

    fn enter(&self, call: BoxFuture<'static, ()>) -> BoxFuture<'static, ()> {
        Box::pin(Call::new(self.inner.clone(), call))
    }

    fn give_way(&self) -> BoxFuture<'static, ()> {
        // Unlike a task that wakes itself, this lets the runtime look at its sockets and timers first.
        Box::pin(tokio::task::yield_now())
    }

    fn hand_over(&self) {
        let flavor = Handle::try_current().map(|runtime| runtime.runtime_flavor());
        if matches!(flavor, Ok(RuntimeFlavor::MultiThread)) {
            // The rest of the thread's tasks moves to another thread as soon as there is one.
            #[expect(clippy::disallowed_methods, reason = "a thread of the real world")]
            tokio::task::block_in_place(|| std::thread::sleep(HAND_OVER));
        }
    }
}

impl State {
    /// The scope has ended, and nothing of it is left.
    fn is_gone(&self) -> bool {
        self.aborted && self.live.is_empty() && self.calls.is_empty()
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics under this lock; and were it so, stopping would matter all the more.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A task and its entry in the scope. The order of the fields matters: the entry is dropped last (I2).
struct Tracked {
    task: BoxFuture<'static, ()>,
    entry: Entry,
}

impl Future for Tracked {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let scope = &self.entry.scope;
        if scope.paused.load(Ordering::SeqCst) {
            scope.state().held.insert(self.entry.id, cx.waker().clone());
            // A resume between the look and the insertion has not seen the waker.
            if scope.paused.load(Ordering::SeqCst) {
                return Poll::Pending;
            }
        }
        self.task.as_mut().poll(cx)
    }
}

/// Removes a task from its scope when it is dropped, however it ended.
struct Entry {
    scope: Arc<Inner>,
    id: u64,
    name: &'static str,
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut state = self.scope.state();
        state.live.remove(&self.id);
        state.held.remove(&self.id);
        if std::thread::panicking() {
            tracing::error!(task = self.name, "task panicked");
            if state.panicked.len() < PANICS_MAX {
                state.panicked.push(self.name);
            }
        }
        if state.is_gone() {
            drop(state);
            self.scope.changed.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope() -> ScopeHandle {
        ScopeHandle::new(None)
    }

    #[tokio::test]
    async fn finished_tasks_are_forgotten() {
        let scope = scope();
        for _ in 0..100 {
            scope.spawn("short", Box::pin(async {}));
        }
        assert_eq!(scope.live(), 100);
        // tokio polls some 60 tasks at a time.
        while scope.live() > 0 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn after_gone_every_task_is_dropped_and_none_starts() {
        let scope = scope();
        let alive = Arc::new(());
        for _ in 0..3 {
            let alive = alive.clone();
            scope.spawn(
                "for ever",
                Box::pin(async move {
                    std::future::pending::<()>().await;
                    drop(alive);
                }),
            );
        }
        tokio::task::yield_now().await;
        scope.abort();
        scope.gone().await;
        assert_eq!(Arc::strong_count(&alive), 1);
        let late = alive.clone();
        scope.spawn("late", Box::pin(async move { drop(late) }));
        assert_eq!((Arc::strong_count(&alive), scope.live()), (1, 0));
    }

    #[tokio::test]
    async fn a_pause_holds_tasks_and_a_resume_lets_them_go_on() {
        let scope = scope();
        let done = Arc::new(AtomicBool::new(false));
        scope.pause();
        let flag = done.clone();
        scope.spawn("held", Box::pin(async move { flag.store(true, Ordering::SeqCst) }));
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        assert!(!done.load(Ordering::SeqCst));
        scope.resume();
        tokio::task::yield_now().await;
        assert!(done.load(Ordering::SeqCst));
    }

    #[tokio::test]
    async fn a_panic_is_remembered() {
        let scope = scope();
        scope.spawn("broken", Box::pin(async { panic!("on purpose") }));
        tokio::task::yield_now().await;
        assert_eq!(scope.panicked(), ["broken"]);
        assert_eq!(scope.live(), 0);
    }
}
