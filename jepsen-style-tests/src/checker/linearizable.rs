//! Linearizability of registers: is there one order of the operations which respects real time and in which
//! every result is right?
//!
//! A history is linearizable iff each key's part is, so every key is searched on its own (see `search`).
//!
//! A history that is linearizable stays so when it is cut short. So a violation happens at one moment, the return
//! of one operation, and bisection finds it: the report shows an order for all that returned before, and what
//! was under way when it ended. What comes later does not matter.

use std::collections::{BTreeMap, BTreeSet};

use super::Verdict;
use super::register::{Action, Event, events_by_key};
use super::search::{Outcome, search};
use crate::history::History;

/// Steps for one key before the checker gives up. A sound key of 400 operations takes some thousands.
pub const DEFAULT_BUDGET: u64 = 1_000_000;

/// Judges every key of a register history. `budget` bounds the steps of each search on one key.
pub fn check(history: &History, budget: u64) -> Verdict {
    let keys = match events_by_key(history) {
        Ok(keys) => keys,
        Err(why) => return Verdict::Unknown(why),
    };
    keys.into_iter().fold(Verdict::Valid, |verdict, (key, events)| {
        verdict.and(match search(&events, budget) {
            Outcome::Linearizable(_) => Verdict::Valid,
            Outcome::OutOfBudget => {
                Verdict::Unknown(format!("key {key}: no verdict within {budget} steps"))
            }
            Outcome::Stuck => Verdict::Invalid(vec![Stuck::find(&events, budget).explain(key)]),
        })
    })
}

/// Where a history stops being linearizable.
struct Stuck {
    /// How many operations returned before.
    returned: usize,
    /// A legal order of them, with others that were under way.
    prefix: Vec<Event>,
    /// The operation with whose return no legal order is left.
    culprit: Event,
    /// What else was under way at that moment, and is not in the prefix.
    beside: Vec<Event>,
}

impl Stuck {
    /// `events` are not linearizable.
    fn find(events: &[Event], budget: u64) -> Self {
        let mut returns: Vec<u64> = events.iter().filter_map(|event| event.returned).collect();
        returns.sort_unstable();
        let (mut sound, mut broken) = (0, returns.len());
        let mut prefix = Vec::new();
        while broken - sound > 1 {
            let middle = (sound + broken) / 2;
            match search(&cut(events, returns[middle - 1]), budget) {
                Outcome::Linearizable(order) => (sound, prefix) = (middle, order),
                Outcome::Stuck => broken = middle,
                Outcome::OutOfBudget => break,
            }
        }
        let end = returns[broken - 1];
        let all: BTreeMap<u64, Event> =
            events.iter().map(|event| (event.invoked, *event)).collect();
        let placed: BTreeSet<u64> = prefix.iter().map(|event| event.invoked).collect();
        let under_way = |event: &&Event| {
            event.invoked < end
                && event.returned.is_none_or(|returned| returned > end)
                && !placed.contains(&event.invoked)
        };
        let culprit = events.iter().find(|event| event.returned == Some(end));
        Stuck {
            returned: sound,
            culprit: *culprit.expect("every return is of an operation"),
            beside: events.iter().filter(under_way).copied().collect(),
            // With their own ends, not those of the cut.
            prefix: prefix.iter().map(|event| all[&event.invoked]).collect(),
        }
    }

    fn explain(&self, key: i64) -> String {
        const SHOWN: usize = 8;
        let mut text = format!(
            "key {key}: not linearizable; the first {} operations to return have a legal order, with the next \
             there is none",
            self.returned
        );
        let hidden = self.prefix.len().saturating_sub(SHOWN);
        if hidden > 0 {
            text += &format!("\n  after {hidden} operations that fit:");
        }
        for event in &self.prefix[hidden..] {
            text += &format!("\n  fits    {event}");
        }
        text += &format!("\n  broken  {}", self.culprit);
        for event in &self.beside {
            text += &format!("\n  beside  {event}");
        }
        text
    }
}

/// The history as it stood at the moment `end`: what had not returned was unknown, and reads told nothing.
fn cut(events: &[Event], end: u64) -> Vec<Event> {
    let begun = events.iter().filter(|event| event.invoked < end);
    begun
        .map(|event| Event {
            returned: event.returned.filter(|returned| *returned <= end),
            ..*event
        })
        .filter(|event| event.returned.is_some() || !matches!(event.action, Action::Read(_)))
        .collect()
}

#[cfg(test)]
mod tests;
