//! What waits to be sent, lent to one connection after the other.
//!
//! A connection asks for the next frame when it can send one, and gets what has queued up by then: a message changes hands
//! once on its way out, and the slower the peer, the larger the frames.
//!
//! - I1. Of all connections only the last draws anything: what an earlier one would take, it would lose.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use futures::Stream;

/// The owner's end.
pub(super) struct Lender<S>(Arc<Mutex<Lent<S>>>);

struct Lent<S> {
    frames: S,
    /// Counts the loans.
    loan: u64,
}

/// A connection's end: a stream that ends when another is lent the frames.
pub(super) struct Loan<S> {
    lender: Lender<S>,
    number: u64,
}

impl<S> Lender<S> {
    pub(super) fn new(frames: S) -> Self {
        Lender(Arc::new(Mutex::new(Lent { frames, loan: 0 })))
    }

    fn lent(&self) -> MutexGuard<'_, Lent<S>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lends the frames to a connection, and to no other any more.
    pub(super) fn lend(&self) -> Loan<S> {
        let mut lent = self.lent();
        lent.loan += 1;
        Loan { lender: Lender(self.0.clone()), number: lent.loan }
    }

    /// Takes them back from whoever has them, for a look.
    pub(super) fn recall<T>(&self, look: impl FnOnce(&mut S) -> T) -> T {
        let mut lent = self.lent();
        lent.loan += 1;
        look(&mut lent.frames)
    }
}

impl<S: Stream + Unpin> Stream for Loan<S> {
    type Item = S::Item;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let mut lent = self.lender.lent();
        match lent.loan == self.number {
            true => Pin::new(&mut lent.frames).poll_next(cx),
            false => Poll::Ready(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt, StreamExt, stream};

    use super::*;

    #[test]
    fn only_the_last_connection_draws() {
        let lender = Lender::new(stream::iter(1..));
        let mut first = lender.lend();
        assert_eq!(first.next().now_or_never(), Some(Some(1)));
        let mut second = lender.lend();
        assert_eq!(first.next().now_or_never(), Some(None));
        assert_eq!(second.next().now_or_never(), Some(Some(2)));
        lender.recall(|_| ());
        assert_eq!(second.next().now_or_never(), Some(None));
        assert_eq!(lender.lend().next().now_or_never(), Some(Some(3)));
    }
}
