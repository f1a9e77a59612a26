//! The two data structures of the linearizability search: the list of calls and returns, and sets of operations.

use super::register::Event;

/// A place in a [`Timeline`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The call of this event.
    Call(usize),
    /// The return of this event.
    Return(usize),
    /// Behind the last node.
    End,
}

/// Calls and returns in the order of real time, doubly linked, so that an event can be lifted out and put back in
/// constant time. Events are put back in the reverse order of their lifting.
///
/// The call of event e is node 2e, its return 2e + 1. The last number is both ends of the ring.
pub(super) struct Timeline {
    next: Vec<usize>,
    prev: Vec<usize>,
    has_return: Vec<bool>,
}

impl Timeline {
    /// The timeline of these events; one with an unknown outcome has no return.
    pub(super) fn new(events: &[Event]) -> Self {
        let mut nodes: Vec<(u64, usize)> = Vec::new();
        for (event, Event { invoked, returned, .. }) in events.iter().enumerate() {
            nodes.push((*invoked, 2 * event));
            nodes.extend(returned.map(|returned| (returned, 2 * event + 1)));
        }
        nodes.sort_unstable();
        let end = 2 * events.len();
        let mut next = vec![end; end + 1];
        let mut prev = vec![end; end + 1];
        let mut last = end;
        for (_, node) in nodes {
            next[last] = node;
            prev[node] = last;
            last = node;
        }
        next[last] = end;
        prev[end] = last;
        let has_return = events.iter().map(|event| event.returned.is_some()).collect();
        Timeline { next, prev, has_return }
    }

    /// The first place.
    pub(super) fn first(&self) -> Place {
        self.place(self.next[self.next.len() - 1])
    }

    /// The place behind an event's call.
    pub(super) fn after(&self, event: usize) -> Place {
        self.place(self.next[2 * event])
    }

    /// Every event whose call stands before the first return: what may happen next.
    pub(super) fn callable(&self) -> impl Iterator<Item = usize> + '_ {
        let call = |place| match place {
            Place::Call(event) => Some(event),
            Place::Return(_) | Place::End => None,
        };
        std::iter::successors(call(self.first()), move |event| call(self.after(*event)))
    }

    /// Takes an event's call and return out.
    pub(super) fn lift(&mut self, event: usize) {
        self.unlink(2 * event);
        if self.has_return[event] {
            self.unlink(2 * event + 1);
        }
    }

    /// Puts back the event that was lifted last.
    pub(super) fn unlift(&mut self, event: usize) {
        if self.has_return[event] {
            self.relink(2 * event + 1);
        }
        self.relink(2 * event);
    }

    fn place(&self, node: usize) -> Place {
        match node {
            node if node + 1 == self.next.len() => Place::End,
            node if node % 2 == 0 => Place::Call(node / 2),
            node => Place::Return(node / 2),
        }
    }

    fn unlink(&mut self, node: usize) {
        let (before, behind) = (self.prev[node], self.next[node]);
        self.next[before] = behind;
        self.prev[behind] = before;
    }

    /// The node remembers its neighbours, which are the same again when everything lifted later is back.
    fn relink(&mut self, node: usize) {
        let (before, behind) = (self.prev[node], self.next[node]);
        self.next[before] = node;
        self.prev[behind] = node;
    }
}

/// A set of events.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Bits(Box<[u64]>);

impl Bits {
    /// The empty set, with room for events below `size`.
    pub(super) fn new(size: usize) -> Self {
        Bits(vec![0; size.div_ceil(64)].into_boxed_slice())
    }

    /// Adds or removes an event.
    pub(super) fn set(&mut self, event: usize, member: bool) {
        let bit = 1 << (event % 64);
        let word = &mut self.0[event / 64];
        *word = if member { *word | bit } else { *word & !bit };
    }

    /// True iff every event of this set is in `other`.
    pub(super) fn is_subset(&self, other: &Bits) -> bool {
        self.0.iter().zip(&other.0).all(|(mine, theirs)| mine & !theirs == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checker::register::Action;
    use crate::history::Process;

    #[test]
    fn events_leave_the_timeline_and_come_back_to_their_places() {
        // 0: |-----|    1:   |-----|    2:   |--?
        let event = |invoked, returned| Event {
            invoked,
            returned,
            process: Process::Client(0),
            action: Action::Write(0),
        };
        let mut line = Timeline::new(&[event(0, Some(2)), event(1, Some(4)), event(3, None)]);
        assert_eq!(line.callable().collect::<Vec<_>>(), [0, 1]);
        line.lift(0);
        assert_eq!(line.callable().collect::<Vec<_>>(), [1, 2]);
        line.lift(1);
        assert_eq!(line.callable().collect::<Vec<_>>(), [2]);
        line.lift(2);
        assert_eq!(line.first(), Place::End);
        for event in [2, 1, 0] {
            line.unlift(event);
        }
        assert_eq!(line.callable().collect::<Vec<_>>(), [0, 1]);
        assert_eq!(line.after(1), Place::Return(0));
    }

    #[test]
    fn subsets() {
        let (mut small, mut large) = (Bits::new(70), Bits::new(70));
        small.set(65, true);
        large.set(65, true);
        large.set(3, true);
        assert!(small.is_subset(&large) && !large.is_subset(&small));
        large.set(65, false);
        assert!(!small.is_subset(&large));
    }
}
