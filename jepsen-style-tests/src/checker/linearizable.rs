//! Linearizability of registers: is there one order of the operations which respects real time and in which
//! every result is right?
//!
//! A history is linearizable iff each key's part is, so every key is searched on its own (see `search`).

use super::Verdict;
use super::register::events_by_key;
use super::search::{Outcome, Stuck, search};
use crate::history::History;

/// Steps for one key before the checker gives up. A sound key of 400 operations takes some thousands.
pub const DEFAULT_BUDGET: u64 = 3_000_000;

/// Judges every key of a register history. `budget` bounds the steps spent on one key.
pub fn check(history: &History, budget: u64) -> Verdict {
    let keys = match events_by_key(history) {
        Ok(keys) => keys,
        Err(why) => return Verdict::Unknown(why),
    };
    keys.into_iter().fold(Verdict::Valid, |verdict, (key, events)| {
        verdict.and(match search(&events, budget) {
            Outcome::Linearizable => Verdict::Valid,
            Outcome::OutOfBudget => {
                Verdict::Unknown(format!("key {key}: no verdict within {budget} steps"))
            }
            Outcome::Stuck(stuck) => Verdict::Invalid(vec![stuck.explain(key)]),
        })
    })
}

impl Stuck {
    fn explain(&self, key: i64) -> String {
        const SHOWN: usize = 8;
        let placed = self.prefix.iter().filter(|event| event.returned.is_some()).count();
        let mut text = format!(
            "key {key}: not linearizable; at most {placed} of its {} known operations find a place",
            self.certain
        );
        let hidden = self.prefix.len().saturating_sub(SHOWN);
        if hidden > 0 {
            text += &format!("\n  after {hidden} operations that fit:");
        }
        for event in &self.prefix[hidden..] {
            text += &format!("\n  fits   {event}");
        }
        let holds = self.state.map_or("nothing".to_owned(), |value| value.to_string());
        text += &format!("\n  then the register holds {holds}, and none of these leads further:");
        for event in &self.next {
            let must = if Some(*event) == self.barrier { "  <- returns first" } else { "" };
            text += &format!("\n  stuck  {event}{must}");
        }
        text
    }
}

#[cfg(test)]
mod tests;
