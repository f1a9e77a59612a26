//! Regular expressions over long texts, byte by byte, so that a search can be stopped.
//!
//! The `regex` crate searches in time that grows with the product of a text's and an expression's length, which is long
//! when both are, and it cannot be stopped. So texts beyond [`SHORT_BYTES`] are gone through with a lazily built
//! automaton, whose steps are counted. It finds the same matches: the same crate uses it inside.
//!
//! HAZARD: an expression with a Unicode word boundary, in a text beyond ASCII, has no such automaton: it is left to the
//! `regex` crate.

use std::ops::Range;
use std::sync::OnceLock;

use regex::Regex;
use regex_automata::hybrid::dfa::{Cache, Config, DFA};
use regex_automata::hybrid::regex::{Builder, Regex as Automata};
use regex_automata::nfa::thompson;
use regex_automata::util::syntax;
use regex_automata::{Anchored, Input};
use sql_values::error::SqlResult;

use super::EvalContext;

/// Bytes that a compiled expression takes at most.
pub(super) const REGEX_SIZE_MAX: usize = 1 << 20;
/// Texts up to this length are searched at once: a tenth of a second for the longest expression.
const SHORT_BYTES: usize = 1 << 10;
/// Steps between two counts of the work. A step takes some nanoseconds, or as long as the expression where it makes a new
/// state.
const STEPS: usize = 1 << 10;
/// Work of so many steps.
const STEPS_WORK: usize = 8;
/// A compiled expression.
pub(super) struct Expression {
    pub(super) regex: Regex,
    /// What it was compiled from.
    source: String,
    syntax: syntax::Config,
    /// Made when a long text asks for it; none if there is none.
    automata: OnceLock<Option<Automata>>,
}

impl Expression {
    pub(super) fn new(regex: Regex, source: String, syntax: syntax::Config) -> Self {
        Expression { regex, source, syntax, automata: OnceLock::new() }
    }

    fn automata(&self) -> Option<&Automata> {
        let build = || {
            Builder::new()
                .syntax(self.syntax)
                .thompson(thompson::Config::new().nfa_size_limit(Some(REGEX_SIZE_MAX)))
                .dfa(Config::new().unicode_word_boundary(true).skip_cache_capacity_check(true))
                .build(&self.source)
                .ok()
        };
        self.automata.get_or_init(build).as_ref()
    }
}

/// Where the search for further matches goes on: behind a match, and a character further if it is empty.
pub(super) fn after(text: &str, found: Range<usize>) -> usize {
    match found.is_empty() {
        true => found.end + text[found.end..].chars().next().map_or(1, char::len_utf8),
        false => found.end,
    }
}

/// What the text has of the expression.
enum Found {
    Nothing,
    At(usize),
    /// Not to be found out this way.
    Unknown,
}

/// A regular expression with its text, to be searched.
pub(super) struct Search<'t> {
    expression: &'t Expression,
    text: &'t str,
    automata: Option<&'t Automata>,
}

impl<'t> Search<'t> {
    pub(super) fn new(expression: &'t Expression, text: &'t str) -> Self {
        let automata = if text.len() > SHORT_BYTES { expression.automata() } else { None };
        Search { expression, text, automata }
    }

    /// True iff there is a match.
    pub(super) fn is_match(&self, ctx: &EvalContext<'_>) -> SqlResult<bool> {
        if let Some(automata) = self.automata {
            let mut cache = automata.create_cache();
            let found = forward(ctx, automata.forward(), cache.forward_mut(), self.text, 0, true)?;
            match found {
                Found::Nothing => return Ok(false),
                Found::At(_) => return Ok(true),
                Found::Unknown => {}
            }
        }
        Ok(self.expression.regex.is_match(self.text))
    }

    /// Where the next match begins, from a position on; none if there is none. From there the `regex` crate finds it
    /// without looking further than its end.
    pub(super) fn next(&self, ctx: &EvalContext<'_>, from: usize) -> SqlResult<Option<usize>> {
        if let Some(automata) = self.automata {
            let mut cache = automata.create_cache();
            let (ahead, back) = cache.as_parts_mut();
            match forward(ctx, automata.forward(), ahead, self.text, from, false)? {
                Found::Nothing => return Ok(None),
                Found::At(end) => {
                    let start = backward(ctx, automata.reverse(), back, self.text, from, end)?;
                    // An empty match may lie within a character: which one counts is the crate's to say.
                    if let Found::At(start) = start
                        && start < end
                    {
                        return Ok(Some(start));
                    }
                }
                Found::Unknown => {}
            }
        }
        Ok(self.expression.regex.find_at(self.text, from).map(|found| found.start()))
    }
}

/// The end of the first match from a position on; of any match, if that is enough.
fn forward(
    ctx: &EvalContext<'_>,
    dfa: &DFA,
    cache: &mut Cache,
    text: &str,
    from: usize,
    any: bool,
) -> SqlResult<Found> {
    let input = Input::new(text).range(from..);
    let Ok(mut state) = dfa.start_state_forward(cache, &input) else { return Ok(Found::Unknown) };
    let mut found = Found::Nothing;
    for (at, byte) in text.bytes().enumerate().skip(from) {
        if at % STEPS == 0 {
            ctx.spend(STEPS_WORK)?;
        }
        let Ok(next) = dfa.next_state(cache, state, byte) else { return Ok(Found::Unknown) };
        state = next;
        if state.is_tagged() {
            if state.is_match() {
                // It is told one byte late.
                found = Found::At(at);
                if any {
                    return Ok(found);
                }
            } else if state.is_dead() {
                return Ok(found);
            } else if state.is_quit() {
                return Ok(Found::Unknown);
            }
        }
    }
    match dfa.next_eoi_state(cache, state) {
        Ok(state) if state.is_match() => Ok(Found::At(text.len())),
        Ok(_) => Ok(found),
        Err(_) => Ok(Found::Unknown),
    }
}

/// The beginning of the longest match that ends at a position.
fn backward(
    ctx: &EvalContext<'_>,
    dfa: &DFA,
    cache: &mut Cache,
    text: &str,
    from: usize,
    end: usize,
) -> SqlResult<Found> {
    let input = Input::new(text).range(from..end).anchored(Anchored::Yes);
    let Ok(mut state) = dfa.start_state_reverse(cache, &input) else { return Ok(Found::Unknown) };
    let mut found = Found::Nothing;
    for at in (from..end).rev() {
        if at % STEPS == 0 {
            ctx.spend(STEPS_WORK)?;
        }
        let byte = text.as_bytes()[at];
        let Ok(next) = dfa.next_state(cache, state, byte) else { return Ok(Found::Unknown) };
        state = next;
        if state.is_tagged() {
            if state.is_match() {
                found = Found::At(at + 1);
            } else if state.is_dead() {
                return Ok(found);
            } else if state.is_quit() {
                return Ok(Found::Unknown);
            }
        }
    }
    // What stands before decides assertions at the beginning.
    let last = match from.checked_sub(1) {
        Some(before) => dfa.next_state(cache, state, text.as_bytes()[before]),
        None => dfa.next_eoi_state(cache, state),
    };
    match last {
        Ok(state) if state.is_match() => Ok(Found::At(from)),
        Ok(state) if state.is_quit() => Ok(Found::Unknown),
        Ok(_) => Ok(found),
        Err(_) => Ok(Found::Unknown),
    }
}

#[cfg(test)]
mod tests {
    use super::super::pattern::{RegexOptions, regex};
    use super::super::registry::bounds::context;
    use super::*;
    use sql_values::interrupt::Interrupt;
    use sql_values::memory::Pool;

    #[test]
    fn matches_are_the_same_in_steps_and_at_once() {
        let filler = "lorem ipsum dolor sit amet ".repeat(60);
        let texts = [
            filler.clone(),
            format!("abc{filler}abcabc{filler}x1y22z333"),
            format!("ä{filler}öß 12 αβγ{filler}"),
            "ab".repeat(1_000),
            "\n".repeat(2_000),
        ];
        let patterns = [
            "abc",
            "a+",
            "[0-9]+",
            "^lorem",
            "amet $",
            "(ab)+$",
            "x*",
            "",
            "d.l",
            "(ipsum|dolor)",
            "\\mdolor\\M",
            "[^a-z]",
            "i(p|t)+",
            "β",
            "\\s+l",
            "(a|ab)(c|bcd)?",
            "^$",
            "\\Aa",
            "c\\Z",
        ];
        let (interrupt, pool) = (Interrupt::bounded(u32::MAX), Pool::new(usize::MAX));
        let ctx = context(&interrupt, &pool);
        for text in &texts {
            for pattern in patterns {
                let expression = regex(pattern, RegexOptions::default()).unwrap();
                let search = Search::new(&expression, text);
                let expected = expression.regex.is_match(text);
                assert_eq!(search.is_match(&ctx).unwrap(), expected, "{pattern}");
                let boundaries = text.char_indices().map(|(at, _)| at).step_by(97);
                for from in boundaries.chain([0, text.len()]) {
                    let expected = expression.regex.find_at(text, from).map(|found| found.start());
                    assert_eq!(search.next(&ctx, from).unwrap(), expected, "{pattern} from {from}");
                }
            }
        }
    }

    #[test]
    fn a_search_that_would_take_hours_is_stopped() {
        let text = "01".repeat(1 << 20);
        let pattern = "1[01]{200}x";
        let expression = regex(pattern, RegexOptions::default()).unwrap();
        let search = Search::new(&expression, &text);
        let (interrupt, pool) = (Interrupt::bounded(2_000), Pool::new(usize::MAX));
        let ctx = context(&interrupt, &pool);
        assert!(search.is_match(&ctx).is_err());
        assert!(search.next(&ctx, 0).is_err());
    }
}
