//! Calls: work of a node within a task that may be anybody's, which lives and stops with the node's scope.
//!
//! A call that is done when it is first polled costs the scope nothing but two looks. One that has to wait is entered, so
//! that the end of the scope finds it: it is dropped there and then (I1 and I2 of `node::scope` hold for it as for tasks), and
//! its caller is woken.

use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use futures::future::BoxFuture;

use super::Inner;

/// A call as the scope knows it.
#[derive(Default)]
pub(super) struct Slot(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    /// None while it is polled, and after its end.
    call: Option<BoxFuture<'static, ()>>,
    caller: Option<Waker>,
    ended: bool,
}

impl Slot {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The scope has ended. True iff the call is dropped now: one that is being polled is when it has been.
    pub(super) fn end(&self) -> bool {
        let mut waiting = self.waiting();
        waiting.ended = true;
        let (call, caller) = (waiting.call.take(), waiting.caller.take());
        drop(waiting);
        let is_dropped = call.is_some();
        // Its drop may look at the scope, or at this.
        drop(call);
        caller.into_iter().for_each(Waker::wake);
        is_dropped
    }
}

/// The future of a call. Completes when the call has, or when the scope has ended.
pub(super) struct Call {
    scope: Arc<Inner>,
    /// Before it is entered.
    call: Option<BoxFuture<'static, ()>>,
    entered: Option<(u64, Arc<Slot>)>,
}

impl Call {
    pub(super) fn new(scope: Arc<Inner>, call: BoxFuture<'static, ()>) -> Self {
        Call { scope, call: Some(call), entered: None }
    }

    /// Puts the call to where the end of the scope finds it, and returns its number there. None: the scope has ended, and
    /// the call is dropped.
    fn wait(&mut self, call: BoxFuture<'static, ()>, cx: &Context<'_>) -> Option<u64> {
        if self.entered.is_none() {
            let mut state = self.scope.state();
            if state.aborted {
                return None;
            }
            state.next_id += 1;
            let (id, slot) = (state.next_id, Arc::new(Slot::default()));
            state.calls.insert(id, slot.clone());
            self.entered = Some((id, slot));
        }
        let (id, slot) = self.entered.as_ref()?;
        let mut waiting = slot.waiting();
        if waiting.ended {
            drop(waiting);
            drop(call);
            self.leave();
            return None;
        }
        waiting.call = Some(call);
        waiting.caller = Some(cx.waker().clone());
        Some(*id)
    }

    fn leave(&mut self) {
        let Some((id, slot)) = self.entered.take() else { return };
        let call = slot.waiting().call.take();
        drop(call);
        let mut state = self.scope.state();
        state.held.remove(&id);
        if state.calls.remove(&id).is_some() && state.is_gone() {
            drop(state);
            self.scope.changed.notify_waiters();
        }
    }
}

impl Future for Call {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let taken = match &this.entered {
            None => this.call.take().filter(|_| !this.scope.ended.load(Ordering::SeqCst)),
            Some((_, slot)) => slot.waiting().call.take(),
        };
        // The scope has ended.
        let Some(mut call) = taken else {
            this.leave();
            return Poll::Ready(());
        };
        if this.scope.paused.load(Ordering::SeqCst) {
            let Some(id) = this.wait(call, cx) else { return Poll::Ready(()) };
            this.scope.state().held.insert(id, cx.waker().clone());
            if !this.scope.paused.load(Ordering::SeqCst) {
                // A resume between the look and the insertion has not seen the waker.
                cx.waker().wake_by_ref();
            }
            return Poll::Pending;
        }
        if call.as_mut().poll(cx).is_pending() && this.wait(call, cx).is_some() {
            return Poll::Pending;
        }
        this.leave();
        Poll::Ready(())
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "plays the outside world")]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use futures::FutureExt;
    use kv::env::TaskScope;

    use super::super::ScopeHandle;
    use super::*;

    /// Pending for ever, and tells that it was dropped.
    fn endless(alive: &Arc<()>) -> BoxFuture<'static, ()> {
        let alive = alive.clone();
        async move {
            futures::future::pending::<()>().await;
            drop(alive);
        }
        .boxed()
    }

    fn scope() -> ScopeHandle {
        ScopeHandle::new(None)
    }

    #[tokio::test]
    async fn a_call_runs_within_its_callers_task_and_is_forgotten() {
        let scope = scope();
        let done = Arc::new(AtomicUsize::new(0));
        let count = |yields: usize| {
            let done = done.clone();
            async move {
                for _ in 0..yields {
                    tokio::task::yield_now().await;
                }
                done.fetch_add(1, Ordering::SeqCst);
            }
            .boxed()
        };
        assert!(scope.enter(count(0)).now_or_never().is_some(), "nothing to wait for");
        scope.enter(count(3)).await;
        assert_eq!(done.load(Ordering::SeqCst), 2);
        assert!(scope.inner.state().calls.is_empty());
    }

    #[tokio::test]
    async fn the_end_of_the_scope_drops_calls_and_wakes_their_callers() {
        let (scope, alive) = (scope(), Arc::new(()));
        let waiting = tokio::spawn(scope.enter(endless(&alive)));
        let mut idle = scope.enter(endless(&alive));
        assert!(futures::poll!(&mut idle).is_pending());
        tokio::task::yield_now().await;
        assert_eq!(Arc::strong_count(&alive), 3);
        scope.abort();
        assert_eq!(Arc::strong_count(&alive), 1, "also of a caller that does not look");
        scope.gone().await;
        waiting.await.unwrap();
        idle.await;
        scope.enter(endless(&alive)).await;
        assert_eq!(Arc::strong_count(&alive), 1, "none begins any more");
    }

    #[tokio::test]
    async fn a_caller_that_goes_takes_the_call_along() {
        let (scope, alive) = (scope(), Arc::new(()));
        let mut call = scope.enter(endless(&alive));
        assert!(futures::poll!(&mut call).is_pending());
        drop(call);
        assert_eq!(Arc::strong_count(&alive), 1);
        assert!(scope.inner.state().calls.is_empty());
        scope.abort();
        scope.gone().await;
    }

    #[tokio::test]
    async fn a_call_that_ends_its_own_scope_is_dropped_when_it_has_been_polled() {
        let scope = scope();
        let (ender, alive) = (scope.clone(), Arc::new(()));
        let inside = alive.clone();
        let call = async move {
            tokio::task::yield_now().await;
            ender.abort();
            futures::future::pending::<()>().await;
            drop(inside);
        };
        scope.enter(call.boxed()).await;
        assert_eq!(Arc::strong_count(&alive), 1);
        scope.gone().await;
    }

    #[tokio::test]
    async fn a_pause_holds_calls_and_a_resume_lets_them_go_on() {
        let scope = scope();
        let done = Arc::new(AtomicUsize::new(0));
        let inside = done.clone();
        scope.pause();
        let call = async move {
            inside.fetch_add(1, Ordering::SeqCst);
        };
        let call = tokio::spawn(scope.enter(call.boxed()));
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        assert_eq!(done.load(Ordering::SeqCst), 0);
        scope.resume();
        call.await.unwrap();
        assert_eq!(done.load(Ordering::SeqCst), 1);

        scope.pause();
        let mut held = scope.enter(async {}.boxed());
        assert!(futures::poll!(&mut held).is_pending());
        scope.abort();
        scope.gone().await;
        held.await;
    }
}
