//! The search for a legal order of one register's operations.
//!
//! The method is Wing and Gong's, with Lowe's cache. The history is a doubly linked list of calls and returns.
//! The search takes an operation whose call stands before the first return, applies it, lifts it and its return
//! out of the list, and begins anew; where nothing goes it puts the last operation back and tries the next.
//!
//! Concurrent writes make the search exponential, and those with an unknown outcome more so: such a one never
//! returns, so at each point it might happen, or not. Six reductions keep it small; each preserves the verdict:
//! - L1. A read that matches the state is taken at once, without alternative: it changes nothing, and any order
//!   in which it comes later stays legal with it first.
//! - L2. An unknown operation whose value no other operation observes is dropped: leaving it out of a
//!   legal order leaves a legal order.
//! - L3. An unknown operation is only tried where its value is observed next: otherwise it is overwritten unseen
//!   and might as well be left out. An observer must be callable already, as nothing returns in between.
//! - L4. A position with the same certain operations done, the same state, and more unknown ones used up than in
//!   an earlier position cannot succeed where that failed.
//! - L5. A value that operations without a place must still observe, and that nobody will write again, is not
//!   overwritten.
//! - L6. Before a write goes, all callable writes whose values nobody observes: overwritten at once, they do
//!   no harm, and any order in which they come later stays legal without them there.

use std::collections::{BTreeMap, BTreeSet};

use super::register::{Action, Event, State};
use super::timeline::{Bits, Place, Timeline};

/// What the search found.
pub(super) enum Outcome {
    /// A legal order, in which dropped operations (L2) are left out.
    Linearizable(Vec<Event>),
    /// There is no legal order.
    Stuck,
    /// Not known.
    OutOfBudget,
}

/// L2, repeated because a dropped compare-and-set observed something too.
fn relevant(events: &[Event]) -> Vec<Event> {
    let mut kept = events.to_vec();
    loop {
        let before = kept.len();
        let mut observed: BTreeMap<State, usize> = BTreeMap::new();
        for state in kept.iter().filter_map(|event| event.action.observes()) {
            *observed.entry(state).or_default() += 1;
        }
        kept.retain(|event| {
            // A compare-and-set from a value to itself does not make itself useful.
            let own = usize::from(event.action.observes() == Some(event.action.writes()));
            event.returned.is_some()
                || observed.get(&event.action.writes()).copied().unwrap_or(0) > own
        });
        if kept.len() == before {
            return kept;
        }
    }
}

/// Judges the operations on one register within about `budget` steps.
pub(super) fn search(events: &[Event], budget: u64) -> Outcome {
    Search::new(&relevant(events)).run(budget)
}

struct Taken {
    event: usize,
    before: State,
    /// The choice that this began; `None` for what was taken without alternative.
    choice: Option<usize>,
}

struct Search<'a> {
    events: &'a [Event],
    list: Timeline,
    demand: Demand,
    state: State,
    stack: Vec<Taken>,
    /// How many operations that must find a place have none yet.
    open: usize,
    done: Bits,
    used: Bits,
    /// Failed positions: certain operations done and state, with the unknown operations used there (L4).
    cache: BTreeMap<(Bits, State), Vec<Bits>>,
}

impl<'a> Search<'a> {
    fn new(events: &'a [Event]) -> Self {
        let open = events.iter().filter(|event| event.returned.is_some()).count();
        Search {
            events,
            list: Timeline::new(events),
            demand: Demand::new(events),
            state: None,
            stack: Vec::new(),
            open,
            done: Bits::new(events.len()),
            used: Bits::new(events.len()),
            cache: BTreeMap::new(),
        }
    }

    fn run(&mut self, budget: u64) -> Outcome {
        let mut steps = 0;
        // True at a position which the search has not seen from here yet.
        let mut fresh = true;
        let mut cursor = self.list.first();
        while self.open > 0 {
            steps += 1;
            if steps > budget {
                return Outcome::OutOfBudget;
            }
            if fresh {
                steps += self.take_matching_reads();
                if self.open == 0 {
                    break;
                }
                fresh = false;
                // A position that failed before has no next operation here either.
                cursor = if self.seen_before() { Place::End } else { self.list.first() };
            }
            match cursor {
                Place::Call(event) => {
                    if let Some(state) = self.next_state(event) {
                        self.take_as_choice(event, state);
                        fresh = true;
                    } else {
                        cursor = self.list.after(event);
                    }
                }
                Place::Return(_) | Place::End => match self.back() {
                    Some(event) => cursor = self.list.after(event),
                    None => return Outcome::Stuck,
                },
            }
        }
        Outcome::Linearizable(self.stack.iter().map(|taken| self.events[taken.event]).collect())
    }

    /// L1. Returns how many it took.
    fn take_matching_reads(&mut self) -> u64 {
        let mut taken = 0;
        // A read that goes may lift the first return, and so let more in: look again from the beginning.
        while let Some(read) = self.matching_read() {
            self.take(read, self.state, None);
            taken += 1;
        }
        taken
    }

    fn matching_read(&self) -> Option<usize> {
        let matching = Action::Read(self.state);
        self.list.callable().find(|event| self.events[*event].action == matching)
    }

    /// The state after `event` if it may go now (L3, L5).
    fn next_state(&self, event: usize) -> Option<State> {
        let Event { returned, action, .. } = self.events[event];
        let state = action.step(self.state)?;
        if returned.is_none() && !self.is_observed_next(event, state) {
            return None;
        }
        if state != self.state && self.demand.forbids_overwriting(self.state, &self.events[event]) {
            return None;
        }
        Some(state)
    }

    fn is_observed_next(&self, writer: usize, state: State) -> bool {
        self.list
            .callable()
            .any(|event| event != writer && self.events[event].action.observes() == Some(state))
    }

    /// Takes an operation for which there may be alternatives, after what goes with it (L6).
    fn take_as_choice(&mut self, event: usize, state: State) {
        let mut choice = Some(event);
        if let Action::Write(_) = self.events[event].action {
            let unobserved = |other: &usize| *other != event && self.demand.unobserved[*other];
            let companions: Vec<usize> = self.list.callable().filter(unobserved).collect();
            for other in companions {
                self.take(other, self.events[other].action.writes(), choice.take());
            }
        }
        self.take(event, state, choice);
    }

    fn take(&mut self, event: usize, state: State, choice: Option<usize>) {
        self.stack.push(Taken { event, before: self.state, choice });
        self.state = state;
        self.mark(event, true);
        self.list.lift(event);
    }

    /// Puts operations back to the last choice, and returns what was chosen.
    fn back(&mut self) -> Option<usize> {
        while let Some(Taken { event, before, choice }) = self.stack.pop() {
            self.list.unlift(event);
            self.mark(event, false);
            self.state = before;
            if choice.is_some() {
                return choice;
            }
        }
        None
    }

    fn mark(&mut self, event: usize, taken: bool) {
        self.demand.count(&self.events[event], if taken { -1 } else { 1 });
        if self.events[event].returned.is_none() {
            self.used.set(event, taken);
            return;
        }
        self.done.set(event, taken);
        if taken {
            self.open -= 1;
        } else {
            self.open += 1;
        }
    }

    /// True iff this position, or one that leaves more open, was here before. Remembers it otherwise.
    fn seen_before(&mut self) -> bool {
        let failed = self.cache.entry((self.done.clone(), self.state)).or_default();
        if failed.iter().any(|used| used.is_subset(&self.used)) {
            return true;
        }
        failed.retain(|used| !self.used.is_subset(used));
        failed.push(self.used.clone());
        false
    }
}

/// Who still observes and who still writes each value, among the operations without a place (L5, L6).
struct Demand {
    /// Only operations that must find a place.
    observers: BTreeMap<State, i64>,
    writers: BTreeMap<State, i64>,
    /// For each operation: it is a write that must find a place, and whose value no operation observes.
    unobserved: Vec<bool>,
}

impl Demand {
    fn new(events: &[Event]) -> Self {
        let observed: BTreeSet<State> = events.iter().filter_map(|e| e.action.observes()).collect();
        let is_unobserved = |event: &Event| {
            event.returned.is_some()
                && matches!(event.action, Action::Write(value) if !observed.contains(&Some(value)))
        };
        let unobserved = events.iter().map(is_unobserved).collect();
        let mut demand =
            Demand { observers: BTreeMap::new(), writers: BTreeMap::new(), unobserved };
        events.iter().for_each(|event| demand.count(event, 1));
        demand
    }

    fn count(&mut self, event: &Event, change: i64) {
        if let (Some(state), Some(_)) = (event.action.observes(), event.returned) {
            *self.observers.entry(state).or_default() += change;
        }
        if let Some(value) = event.action.writes() {
            *self.writers.entry(Some(value)).or_default() += change;
        }
    }

    /// L5, where `by` is about to go.
    fn forbids_overwriting(&self, state: State, by: &Event) -> bool {
        let own = i64::from(by.returned.is_some() && by.action.observes() == Some(state));
        self.observers.get(&state).is_some_and(|count| *count > own)
            && self.writers.get(&state).is_none_or(|count| *count == 0)
    }
}
