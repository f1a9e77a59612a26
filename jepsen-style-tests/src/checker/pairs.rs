//! The pairs: two keys whose sum is 0 or 100, whatever serializable transactions do to them.
//!
//! A deposit reads both keys and, if their sum is 0, adds 100 to one; a withdrawal takes 100 from one if the sum
//! is 100. Two withdrawals from different sides at once write different keys: only a database that also guards
//! what a transaction *read* keeps the sum.
//!
//! - P1. Every operation that took effect saw a sum of 0 or 100.
//! - P2. It wrote what the rule says for the values that it saw.
//! - P3. The writes of a pair are steps of one walk from the initial values to the final ones: each state that was
//!   left must have been entered. Every write with an unknown outcome excuses one missing step. This finds lost
//!   updates whose sum is right. It needs serializability and, for the values at the end, that single keys are
//!   linearizable; it asks for no order of transactions in real time.

use std::collections::BTreeMap;

use super::Verdict;
use crate::history::{Call, History, Kind};
use crate::value::Value;

/// The values of every pair before the first operation.
pub const INITIAL: (i64, i64) = (100, 0);

type Values = (i64, i64);

#[derive(Default)]
struct Pair {
    /// For each state: how often it was entered, less how often it was left.
    balance: BTreeMap<Values, i64>,
    unknown: i64,
    last_write: u64,
    /// Begin and result of the latest read.
    last_read: Option<(u64, Values)>,
}

/// Judges a history of the pairs workload. Unknown unless every pair was read after its last write ended.
pub fn check(history: &History) -> Verdict {
    let mut violations = Vec::new();
    let mut pairs: BTreeMap<i64, Pair> = BTreeMap::new();
    for call in history.calls() {
        let Some(number) = pair_of(&call) else {
            return Verdict::Unknown(format!("not about a pair: {}", call.invoke.to_value().edn()));
        };
        let pair = pairs.entry(number).or_default();
        let writes = call.invoke.f != "read";
        match (call.outcome(), call.completion) {
            (Kind::Ok, Some(completion)) => {
                let op = || completion.to_value().edn();
                let Some(seen) = values_seen(&completion.value, writes) else {
                    return Verdict::Unknown(format!("no values in {}", op()));
                };
                if !matches!(seen.0 + seen.1, 0 | 100) {
                    violations.push(format!("pair {number}: sum {}: {}", seen.0 + seen.1, op()));
                }
                if writes {
                    match after(completion.f, &completion.value, seen) {
                        Some(Some(then)) => {
                            *pair.balance.entry(seen).or_default() -= 1;
                            *pair.balance.entry(then).or_default() += 1;
                        }
                        Some(None) => {}
                        None => {
                            violations.push(format!("pair {number}: against the rule: {}", op()))
                        }
                    }
                } else {
                    pair.last_read = pair.last_read.max(Some((call.invoke.index, seen)));
                }
            }
            (Kind::Info | Kind::Invoke, _) if writes => pair.unknown += 1,
            _ => {}
        }
        if writes {
            // One that is unknown may end at any time: only its begin says something.
            let known = call.completion.filter(|_| call.outcome() == Kind::Ok);
            pair.last_write = pair.last_write.max(known.unwrap_or(call.invoke).index);
        }
    }
    let walks = pairs.into_iter().map(|(number, pair)| pair.check_walk(number));
    walks.fold(Verdict::of(violations), Verdict::and)
}

impl Pair {
    /// P3.
    fn check_walk(mut self, number: i64) -> Verdict {
        let (end, silent) = match self.last_read {
            Some((read, values)) if read >= self.last_write => (Some(values), Verdict::Valid),
            _ => {
                let why = format!("pair {number}: no read succeeded after its last write");
                (None, Verdict::Unknown(why))
            }
        };
        *self.balance.entry(INITIAL).or_default() += 1;
        if let Some(end) = end {
            *self.balance.entry(end).or_default() -= 1;
        }
        // A step that is missing here left one state too few: the state it entered shows a deficit of one. An
        // unknown write may still take effect after the last read, which adds none.
        let unentered: i64 =
            self.balance.values().filter(|balance| **balance < 0).map(|b| -b).sum();
        if unentered <= self.unknown {
            return silent;
        }
        let mut text = format!(
            "pair {number}: its writes are no walk from {INITIAL:?} to {}; {} unknown writes excuse too little:",
            end.map_or("any end".to_owned(), |end| format!("{end:?}")),
            self.unknown
        );
        for (values, balance) in self.balance.iter().filter(|(_, balance)| **balance != 0) {
            let (count, what) = (balance.abs(), if *balance < 0 { "left" } else { "entered" });
            text += &format!("\n  {values:?} was {what} {count} times too often");
        }
        Verdict::Invalid(vec![text]).and(silent)
    }
}

fn pair_of(call: &Call<'_>) -> Option<i64> {
    match call.invoke.f {
        "read" => call.invoke.value.as_two()?.0.as_int(),
        "deposit" | "withdraw" => call.invoke.value.get("pair")?.as_int(),
        _ => None,
    }
}

fn values_seen(value: &Value, writes: bool) -> Option<Values> {
    let (a, b) = if writes { value.get("read")?.as_two()? } else { value.as_two()?.1.as_two()? };
    Some((a.as_int()?, b.as_int()?))
}

/// The values after an operation that saw `seen`: `Some(None)` when it rightly wrote nothing, `None` when what it
/// wrote is against the rule (P2).
fn after(f: &str, value: &Value, seen: Values) -> Option<Option<Values>> {
    let (when, change) = if f == "deposit" { (0, 100) } else { (100, -100) };
    let wrote = value.get("wrote")?;
    if seen.0 + seen.1 != when {
        return (*wrote == Value::Nil).then_some(None);
    }
    let on_a = *value.get("side")? == Value::Keyword("a");
    let then = if on_a { (seen.0 + change, seen.1) } else { (seen.0, seen.1 + change) };
    let expected = if on_a { then.0 } else { then.1 };
    (*wrote == Value::Int(expected)).then_some(Some(then))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::client::{Answer, ClientOp, ReadMode, Side};
    use crate::history::Recorder;

    const NOW: Duration = Duration::ZERO;

    enum Does {
        Deposit(Side, Values),
        Withdraw(Side, Values),
        Unknown(Side),
        WrongWrite(Values),
        Reads(Values),
    }
    use Does::*;

    fn verdict(script: &[Does]) -> Verdict {
        let mut recorder = Recorder::new(1);
        let (pair, mode, pause) = (3, ReadMode::Plain, NOW);
        for does in script {
            let op = match does {
                Deposit(side, _) => ClientOp::Deposit { pair, side: *side, mode, pause },
                Withdraw(side, _) | Unknown(side) => {
                    ClientOp::Withdraw { pair, side: *side, mode, pause }
                }
                WrongWrite(_) => ClientOp::Withdraw { pair, side: Side::A, mode, pause },
                Reads(_) => ClientOp::ReadPair { pair },
            };
            recorder.invoke(0, NOW, op.f(), op.value());
            let wrote = |a, b| match does {
                WrongWrite(_) => Some(17),
                _ => op.pair_write(a, b),
            };
            match *does {
                Unknown(_) => recorder.info(0, NOW, "timeout"),
                Deposit(_, (a, b)) | Withdraw(_, (a, b)) | WrongWrite((a, b)) | Reads((a, b)) => {
                    recorder.ok(0, NOW, op.ok_value(&Answer::Pair { a, b, wrote: wrote(a, b) }));
                }
            }
        }
        check(&recorder.finish(NOW))
    }

    fn found(script: &[Does], what: &str) {
        let verdict = verdict(script);
        assert!(verdict.violations().iter().any(|v| v.contains(what)), "{verdict}");
    }

    #[test]
    fn sound_histories_are_valid() {
        let walk = [
            Withdraw(Side::B, (100, 0)),
            Withdraw(Side::A, (100, -100)),
            Deposit(Side::A, (100, -100)),
            Reads((200, -100)),
        ];
        assert_eq!(verdict(&walk), Verdict::Valid);
        assert_eq!(verdict(&[Unknown(Side::A), Reads((100, 0))]), Verdict::Valid);
        assert_eq!(verdict(&[Unknown(Side::A), Reads((0, 0))]), Verdict::Valid);
        let unknown_in_between = [Unknown(Side::A), Deposit(Side::B, (0, 0)), Reads((0, 100))];
        assert_eq!(verdict(&unknown_in_between), Verdict::Valid);
    }

    #[test]
    fn every_rule_is_checked() {
        found(&[Reads((0, -100))], "sum -100");
        found(&[Withdraw(Side::A, (100, 100)), Reads((100, 0))], "sum 200");
        found(&[WrongWrite((100, 0)), Reads((100, 0))], "against the rule");
        found(&[WrongWrite((0, 0)), Reads((100, 0))], "against the rule");
    }

    #[test]
    fn lost_updates_with_a_right_sum_are_no_walk() {
        let lost = [Withdraw(Side::A, (100, 0)), Reads((100, 0))];
        found(&lost, "no walk from (100, 0) to (100, 0)");
        let twice = [Withdraw(Side::A, (100, 0)), Withdraw(Side::A, (100, 0)), Reads((0, 0))];
        found(&twice, "(100, 0) was left 1 times too often");
    }

    #[test]
    fn without_a_read_at_the_end_nothing_is_known() {
        assert!(matches!(verdict(&[Withdraw(Side::A, (100, 0))]), Verdict::Unknown(_)));
    }
}
