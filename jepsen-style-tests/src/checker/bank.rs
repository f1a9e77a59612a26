//! The bank: money moves between accounts, and never appears or disappears.
//!
//! Every read of all accounts that took effect, the one at the end included, must show
//! - B1. exactly the accounts, each once, each with a balance;
//! - B2. the total that the bank began with;
//! - B3. no balance below zero: a transfer checks before it pays.
//!
//! Where the database added the balances up itself, B2 is all that can be asked.
//!
//! A total that is wrong once and right later is read skew; one that stays wrong is a lost update or half a commit.

use std::collections::BTreeMap;

use super::Verdict;
use crate::history::{History, Kind, Op};
use crate::value::Value;

/// Judges a bank history of `accounts` accounts, numbered from zero, which hold `total` together. Unknown
/// unless something was read after the last transfer ended: without that, a loss at the end goes unseen.
pub fn check(history: &History, accounts: u64, total: i64) -> Verdict {
    let mut violations = Vec::new();
    let mut last_transfer = 0;
    let mut last_read = None;
    for call in history.calls() {
        match (call.invoke.f, call.outcome(), call.completion) {
            ("read", Kind::Ok, Some(read)) => {
                last_read = last_read.max(Some(call.invoke.index));
                violations.extend(broken(read, accounts, total));
            }
            ("total", Kind::Ok, Some(read)) => violations.extend(wrong_total(read, total)),
            ("read" | "total", _, _) => {}
            // One that is unknown may end at any time: only its begin says something.
            ("transfer", outcome, completion) => {
                let known = completion.filter(|_| outcome == Kind::Ok);
                last_transfer = last_transfer.max(known.unwrap_or(call.invoke).index);
            }
            (other, _, _) => {
                return Verdict::Unknown(format!("not an operation of a bank: {other}"));
            }
        }
    }
    let silent = match last_read {
        Some(read) if read >= last_transfer => Verdict::Valid,
        _ => Verdict::Unknown("no read succeeded after the last transfer".into()),
    };
    Verdict::of(violations).and(silent)
}

/// B2 of a sum that the database made.
fn wrong_total(read: &Op, total: i64) -> Option<String> {
    let right = read.value == Value::Int(total);
    (!right).then(|| format!("bank: the sum is not {total}: {}", read.to_value().edn()))
}

/// The first rule that a read shows broken.
fn broken(read: &Op, accounts: u64, total: i64) -> Option<String> {
    let complain = |what: String| Some(format!("bank: {what}: {}", read.to_value().edn()));
    let Value::Map(rows) = &read.value else {
        return complain("a read returned no accounts".into());
    };
    let mut balances = BTreeMap::new();
    for (account, balance) in rows {
        let account = account.as_int().unwrap_or(-1);
        if !(0..accounts as i64).contains(&account) {
            return complain("a read returned an account that does not exist".into());
        }
        let Some(balance) = balance.as_int() else {
            return complain(format!("account {account} has no balance"));
        };
        if balances.insert(account, balance).is_some() {
            return complain(format!("account {account} was returned twice"));
        }
    }
    if balances.len() as u64 != accounts {
        return complain(format!("{} of {accounts} accounts were returned", balances.len()));
    }
    let sum: i64 = balances.values().sum();
    if sum != total {
        return complain(format!("the accounts hold {sum}, not {total}"));
    }
    let (poorest, balance) = balances.iter().min_by_key(|(_, balance)| **balance)?;
    if *balance < 0 {
        return complain(format!("account {poorest} holds {balance}"));
    }
    None
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::client::{Answer, ClientOp, ReadMode};
    use crate::history::Recorder;

    const NOW: Duration = Duration::ZERO;

    fn verdict(rows: &[(u64, Option<i64>)]) -> Verdict {
        let mut recorder = Recorder::new(1);
        transfer(&mut recorder);
        read(&mut recorder, rows);
        check(&recorder.finish(NOW), 2, 200)
    }

    fn transfer(recorder: &mut Recorder) {
        let mode = ReadMode::Plain;
        let op = ClientOp::Transfer { from: 0, to: 1, amount: 5, mode, pause: NOW };
        recorder.invoke(0, NOW, op.f(), op.value());
        recorder.info(0, NOW, "timeout");
    }

    fn read(recorder: &mut Recorder, rows: &[(u64, Option<i64>)]) {
        let op = ClientOp::ReadAccounts { scan: false };
        recorder.invoke(0, NOW, op.f(), op.value());
        recorder.ok(0, NOW, op.ok_value(&Answer::Accounts(rows.to_vec())));
    }

    #[test]
    fn sound_reads_are_valid() {
        assert_eq!(verdict(&[(0, Some(95)), (1, Some(105))]), Verdict::Valid);
        assert_eq!(verdict(&[(1, Some(200)), (0, Some(0))]), Verdict::Valid);
    }

    #[test]
    fn every_rule_is_checked() {
        let found = |rows: &[(u64, Option<i64>)], what: &str| {
            let verdict = verdict(rows);
            assert!(verdict.violations().iter().any(|v| v.contains(what)), "{verdict}");
        };
        found(&[(0, Some(95)), (1, Some(100))], "hold 195, not 200");
        found(&[(0, Some(-5)), (1, Some(205))], "account 0 holds -5");
        found(&[(0, Some(200))], "1 of 2 accounts");
        found(&[(0, Some(200)), (1, None)], "account 1 has no balance");
        found(&[(0, Some(100)), (0, Some(100))], "account 0 was returned twice");
        found(&[(0, Some(100)), (2, Some(100))], "does not exist");
    }

    #[test]
    fn a_sum_made_by_the_database_is_checked() {
        for (sum, sound) in [(200, true), (205, false)] {
            let mut recorder = Recorder::new(1);
            transfer(&mut recorder);
            recorder.invoke(0, NOW, ClientOp::ReadTotal.f(), ClientOp::ReadTotal.value());
            recorder.ok(0, NOW, ClientOp::ReadTotal.ok_value(&Answer::Total(sum)));
            read(&mut recorder, &[(0, Some(95)), (1, Some(105))]);
            assert_eq!(check(&recorder.finish(NOW), 2, 200).is_valid(), sound);
        }
    }

    #[test]
    fn without_a_read_at_the_end_nothing_is_known() {
        let mut recorder = Recorder::new(1);
        read(&mut recorder, &[(0, Some(95)), (1, Some(105))]);
        transfer(&mut recorder);
        assert!(matches!(check(&recorder.finish(NOW), 2, 200), Verdict::Unknown(_)));
    }
}
