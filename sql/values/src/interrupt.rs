//! Stopping statements, and sharing the processor among them.
//!
//! A statement computes within polls of its session's task: while it does, its task hears nothing and its thread runs
//! nothing else. So everything that can take long counts its work ([`Interrupt::spend`]), and three things follow from
//! the count alone:
//!
//! - F1. A statement that was asked to stop (by a cancel request, its deadline, the node's end) fails at its next count.
//!   Whoever asks does so from another task, and need not wait for this one.
//! - F2. Operators give way to the other tasks of the thread after [`SLICE`] of work: they are asynchronous.
//! - F3. A single call of a function cannot give way, so after [`HAND_OVER`] of work it hands its thread's other tasks to
//!   another thread, and goes on.
//! - F4. A commit that has begun is not given up because its client has gone: the session says while it commits
//!   ([`Interrupt::commits`]), and who would drop its future waits for that.
//! - F5. What is counted follows from the statement and its data: the simulator gives way at the same places each time.
//!   Only the deadline is a matter of the clock.
//!
//! HAZARD: a loop that counts nothing is bounded by the size of a value, which the memory of a statement bounds; a loop
//! whose work grows faster than its input must count.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use futures::future::BoxFuture;

use crate::error::{SqlError, SqlResult, SqlState};

/// Work between two looks at the clock. A unit is about what a function of one row takes: a fraction of a microsecond,
/// to a few.
const LOOK: u32 = 256;
/// Work after which an operator lets others go first: one or two milliseconds.
const SLICE: u32 = 2_048;
/// Work after which a function that has not given way hands over its thread's other tasks.
const HAND_OVER: u32 = 16_384;
/// Bytes that a simple function goes through in a unit of work.
const UNIT_BYTES: usize = 4_096;
/// No deadline.
const NEVER: u64 = u64::MAX;

/// Why a statement is to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A cancel request.
    User = 1,
    /// `statement_timeout`.
    Timeout = 2,
    /// The server stops.
    Shutdown = 3,
}

/// What a statement's task runs in: a clock, and other tasks beside it.
pub trait World: Send + Sync {
    /// Time since an arbitrary start; never goes back.
    fn monotonic(&self) -> Duration;
    /// The calling task cannot give way for a while yet: the others of its thread go on elsewhere, if they can.
    fn hand_over(&self);
    /// Completes when the other tasks of the caller's thread that can go on have been polled.
    fn give_way(&self) -> BoxFuture<'static, ()>;
}

/// What stops a session's statement. Clones share it.
#[derive(Clone)]
pub struct Interrupt(Arc<Inner>);

struct Inner {
    /// A [`Reason`], or zero.
    reason: AtomicU8,
    committing: AtomicBool,
    /// Work since the last time that others went first.
    work: AtomicU32,
    /// Microseconds of the monotonic clock.
    deadline: AtomicU64,
    /// Work before that.
    past: AtomicU64,
    /// All work that may be done, where there is no world.
    bound: u64,
    world: Option<Box<dyn World>>,
}

impl Interrupt {
    /// Of a session.
    pub fn new(world: impl World + 'static) -> Self {
        Self::make(u64::MAX, Some(Box::new(world)))
    }

    /// For work that nobody asks to stop, of no more than so many units: beyond, it fails with 54000.
    pub fn bounded(units: u32) -> Self {
        Self::make(u64::from(units), None)
    }

    /// For work that is short whatever it is given.
    pub(crate) fn none() -> &'static Interrupt {
        static NONE: LazyLock<Interrupt> = LazyLock::new(|| Interrupt::bounded(u32::MAX));
        &NONE
    }

    fn make(bound: u64, world: Option<Box<dyn World>>) -> Self {
        Interrupt(Arc::new(Inner {
            reason: AtomicU8::new(0),
            committing: AtomicBool::new(false),
            work: AtomicU32::new(0),
            past: AtomicU64::new(0),
            deadline: AtomicU64::new(NEVER),
            bound,
            world,
        }))
    }

    /// Asks the statement to stop. The first reason stays.
    pub fn raise(&self, reason: Reason) {
        let order = Ordering::Relaxed;
        let _ = self.0.reason.compare_exchange(0, reason as u8, order, order);
    }

    /// Takes back what was asked: of a statement that has ended.
    pub fn clear(&self) {
        self.0.reason.store(0, Ordering::Relaxed);
    }

    /// A commit begins; it ends when what is returned is dropped.
    pub fn commits(&self) -> Commits {
        self.0.committing.store(true, Ordering::Relaxed);
        Commits(self.clone())
    }

    /// True iff a commit has begun and not ended.
    pub fn is_committing(&self) -> bool {
        self.0.committing.load(Ordering::Relaxed)
    }

    /// From now on the statement may take so long; none is no bound.
    pub fn set_timeout(&self, timeout: Option<Duration>) {
        let deadline = match (timeout, &self.0.world) {
            (Some(timeout), Some(world)) => micros(world.monotonic().saturating_add(timeout)),
            _ => NEVER,
        };
        self.0.deadline.store(deadline, Ordering::Relaxed);
        // The deadline of a statement before means nothing any more.
        let order = Ordering::Relaxed;
        let _ = self.0.reason.compare_exchange(Reason::Timeout as u8, 0, order, order);
    }

    /// The error of a statement that was asked to stop.
    pub fn check(&self) -> SqlResult<()> {
        match self.0.reason.load(Ordering::Relaxed) {
            0 => Ok(()),
            reason => Err(stopped(reason)),
        }
    }

    /// Counts work that is about to be done. Fails if the statement was asked to stop.
    #[inline]
    pub fn spend(&self, units: u32) -> SqlResult<()> {
        let inner = &*self.0;
        self.check()?;
        let before = inner.work.load(Ordering::Relaxed);
        let after = before.saturating_add(units);
        inner.work.store(after, Ordering::Relaxed);
        if before / LOOK == after / LOOK { Ok(()) } else { self.look(after) }
    }

    /// Counts a simple pass over so many bytes.
    #[inline]
    pub fn spend_bytes(&self, bytes: usize) -> SqlResult<()> {
        self.spend(u32::try_from(bytes / UNIT_BYTES).unwrap_or(u32::MAX / 2))
    }

    #[cold]
    fn look(&self, work: u32) -> SqlResult<()> {
        let inner = &*self.0;
        let Some(world) = &inner.world else {
            if !self.is_spent() {
                return Ok(());
            }
            return Err(SqlError::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "too much work"));
        };
        let deadline = inner.deadline.load(Ordering::Relaxed);
        if deadline != NEVER && micros(world.monotonic()) >= deadline {
            self.raise(Reason::Timeout);
            return self.check();
        }
        if work >= HAND_OVER {
            world.hand_over();
            inner.work.store(SLICE, Ordering::Relaxed);
        }
        Ok(())
    }

    /// True iff all the work has been done that may be.
    pub fn is_spent(&self) -> bool {
        let work = u64::from(self.0.work.load(Ordering::Relaxed));
        self.0.past.load(Ordering::Relaxed).saturating_add(work) > self.0.bound
    }

    /// True iff others should go first.
    #[inline]
    pub fn is_due(&self) -> bool {
        self.0.work.load(Ordering::Relaxed) >= SLICE
    }

    /// Lets others go first.
    pub async fn give_way(&self) -> SqlResult<()> {
        let work = self.0.work.swap(0, Ordering::Relaxed);
        self.0.past.fetch_add(u64::from(work), Ordering::Relaxed);
        if let Some(world) = &self.0.world {
            world.give_way().await;
        }
        self.check()
    }
}

/// A commit that is under way.
#[must_use]
pub struct Commits(Interrupt);

impl Drop for Commits {
    fn drop(&mut self) {
        self.0.0.committing.store(false, Ordering::Relaxed);
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(NEVER - 1)
}

#[cold]
fn stopped(reason: u8) -> SqlError {
    let (state, message) = match reason {
        1 => (SqlState::QUERY_CANCELED, "canceling statement due to user request"),
        2 => (SqlState::QUERY_CANCELED, "canceling statement due to statement timeout"),
        _ => (SqlState::ADMIN_SHUTDOWN, "terminating connection due to administrator command"),
    };
    SqlError::new(state, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_beyond_the_bound_fails_and_a_reason_at_once() {
        let interrupt = Interrupt::bounded(10_000);
        for _ in 0..100 {
            interrupt.spend(100).unwrap();
        }
        let error = (0..10).find_map(|_| interrupt.spend(100).err()).unwrap();
        assert_eq!(error.state, SqlState::PROGRAM_LIMIT_EXCEEDED);
        let interrupt = Interrupt::bounded(u32::MAX);
        interrupt.spend(1).unwrap();
        interrupt.raise(Reason::User);
        interrupt.raise(Reason::Timeout);
        assert_eq!(
            interrupt.spend(0).unwrap_err().message,
            "canceling statement due to user request"
        );
        interrupt.clear();
        interrupt.spend(1).unwrap();
    }

    #[tokio::test]
    async fn operators_are_due_after_a_slice() {
        let interrupt = Interrupt::bounded(u32::MAX);
        interrupt.spend(SLICE - 1).unwrap();
        assert!(!interrupt.is_due());
        interrupt.spend(1).unwrap();
        assert!(interrupt.is_due());
        interrupt.give_way().await.unwrap();
        assert!(!interrupt.is_due());
        let interrupt = Interrupt::bounded(10 * SLICE);
        let mut slices = 0;
        while interrupt.spend(SLICE).is_ok() {
            interrupt.give_way().await.unwrap();
            slices += 1;
        }
        assert_eq!(slices, 10, "the bound is on all of it");
    }
}
