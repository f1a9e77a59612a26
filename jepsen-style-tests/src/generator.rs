//! Generators: endless streams of client operations, pure functions of a seed.
//!
//! Promised:
//! - G1. The operations depend on the configuration and the stream of random numbers alone, never on answers or
//!   on time. So the same seed gives the same operations, whatever the cluster does.
//! - G2. Every value written to a register is written once: whoever reads it names its writer.
//! - G3. A register is retired after its share of operations, so that each key's history stays searchable.
//! - G4. Transactions that pause only ever read plainly. A lock would keep all others out for seconds; without one
//!   the others commit meanwhile, and only the timestamp cache and read refresh protect them. These are what finds a
//!   timestamp cache that was lost on a lease change.
//!
//! A slow transaction occupies its client for seconds: a harness that needs a number of operations gives these
//! workloads clients enough.

use std::time::Duration;

use kv::env::Rng;

use crate::checker::pairs;
use crate::client::{ClientOp, Key, ReadMode, Side, Workload};
use crate::rng::SeedRng;

/// Accounts of the bank.
pub const ACCOUNTS: u64 = 8;
/// What each account holds at first.
pub const INITIAL_BALANCE: i64 = 100;
/// Number of pairs.
pub const PAIRS: u64 = 4;

/// How much of what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GeneratorConfig {
    /// Registers in use at one time.
    pub registers: u64,
    /// Operations on a register before it is retired, give or take a tenth.
    pub ops_per_register: u64,
    /// Share of bank transfers that pause for 1 to 6 seconds.
    pub slow_transfers_percent: u64,
    /// Share of deposits and withdrawals that pause for 1 to 10 seconds: a lease change takes about 5.
    pub slow_pairs_percent: u64,
    /// Share of the reads of all accounts that scan.
    pub scans_percent: u64,
    /// Share of the reads of the bank that only ask for the sum.
    pub totals_percent: u64,
}

impl Default for GeneratorConfig {
    fn default() -> Self {
        GeneratorConfig {
            registers: 6,
            ops_per_register: 300,
            slow_transfers_percent: 5,
            slow_pairs_percent: 20,
            scans_percent: 40,
            totals_percent: 15,
        }
    }
}

/// The rows that a workload expects before its first operation. Registers begin without a value.
pub fn initial_rows(workload: Workload) -> Vec<(Key, i64)> {
    match workload {
        Workload::Register => Vec::new(),
        Workload::Bank => (0..ACCOUNTS).map(|n| (Key::Account(n), INITIAL_BALANCE)).collect(),
        Workload::Pairs => (0..PAIRS)
            .flat_map(|n| [(Key::PairA(n), pairs::INITIAL.0), (Key::PairB(n), pairs::INITIAL.1)])
            .collect(),
    }
}

/// The stream of operations of one workload, for all its clients together.
#[derive(Debug)]
pub struct Generator {
    workload: Workload,
    config: GeneratorConfig,
    rng: SeedRng,
    registers: Vec<Register>,
    next_register: u64,
    next_value: i64,
}

#[derive(Debug)]
struct Register {
    key: u64,
    left: u64,
    /// The values sent last, latest at the end: what a compare-and-set may hope to find.
    recent: Vec<i64>,
}

impl Generator {
    /// A generator which draws from `rng` and nothing else.
    pub fn new(workload: Workload, config: GeneratorConfig, rng: SeedRng) -> Self {
        let registers = Vec::new();
        let mut new =
            Generator { workload, config, rng, registers, next_register: 0, next_value: 1 };
        for _ in 0..config.registers {
            let register = new.fresh_register();
            new.registers.push(register);
        }
        new
    }

    /// The next operation.
    pub fn next_op(&mut self) -> ClientOp {
        match self.workload {
            Workload::Register => self.register_op(),
            Workload::Bank => self.bank_op(),
            Workload::Pairs => self.pairs_op(),
        }
    }

    /// What to read when the faults are over: everything that the workload ever touched.
    pub fn final_reads(&self) -> Vec<ClientOp> {
        match self.workload {
            Workload::Register => {
                (0..self.next_register).map(|key| ClientOp::Read { key }).collect()
            }
            Workload::Bank => vec![ClientOp::ReadAccounts { scan: true }],
            Workload::Pairs => (0..PAIRS).map(|pair| ClientOp::ReadPair { pair }).collect(),
        }
    }

    fn register_op(&mut self) -> ClientOp {
        let place = self.rng.below(self.registers.len() as u64) as usize;
        if self.registers[place].left == 0 {
            self.registers[place] = self.fresh_register();
        }
        self.registers[place].left -= 1;
        let roll = self.rng.below(100);
        let register = &mut self.registers[place];
        let key = register.key;
        if roll < 50 {
            return ClientOp::Read { key };
        }
        let value = self.next_value;
        self.next_value += 1;
        let old = match register.recent.as_slice() {
            [] => None,
            [.., latest] if self.rng.percent(70) => Some(*latest),
            recent => Some(*self.rng.pick(recent)),
        };
        if register.recent.len() == 4 {
            register.recent.remove(0);
        }
        register.recent.push(value);
        match old {
            Some(old) if roll >= 85 => ClientOp::Cas { key, old, new: value },
            _ => ClientOp::Write { key, value },
        }
    }

    fn fresh_register(&mut self) -> Register {
        let key = self.next_register;
        self.next_register += 1;
        let limit = self.config.ops_per_register;
        let left = self.rng.between(limit - limit / 10, limit + limit / 10).max(1);
        Register { key, left, recent: Vec::new() }
    }

    fn bank_op(&mut self) -> ClientOp {
        if self.rng.percent(30) {
            if self.rng.percent(self.config.totals_percent) {
                return ClientOp::ReadTotal;
            }
            return ClientOp::ReadAccounts { scan: self.rng.percent(self.config.scans_percent) };
        }
        let from = self.rng.below(ACCOUNTS);
        let to = (from + self.rng.between(1, ACCOUNTS - 1)) % ACCOUNTS;
        let amount = self.rng.between(1, 5) as i64;
        let (mode, pause) = self.mode(self.config.slow_transfers_percent, 6, 50);
        ClientOp::Transfer { from, to, amount, mode, pause }
    }

    fn pairs_op(&mut self) -> ClientOp {
        let pair = self.rng.below(PAIRS);
        let roll = self.rng.below(100);
        if roll < 30 {
            return ClientOp::ReadPair { pair };
        }
        let side = *self.rng.pick(&[Side::A, Side::B]);
        let (mode, pause) = self.mode(self.config.slow_pairs_percent, 10, 20);
        if roll < 65 {
            ClientOp::Deposit { pair, side, mode, pause }
        } else {
            ClientOp::Withdraw { pair, side, mode, pause }
        }
    }

    /// Slow and plain (G4), or fast and locking or plain.
    fn mode(
        &self,
        slow_percent: u64,
        longest_seconds: u64,
        locking_percent: u64,
    ) -> (ReadMode, Duration) {
        if self.rng.percent(slow_percent) {
            let longest = Duration::from_secs(longest_seconds);
            return (ReadMode::Plain, self.rng.duration_between(Duration::from_secs(1), longest));
        }
        let locking = self.rng.percent(locking_percent);
        (if locking { ReadMode::Locking } else { ReadMode::Plain }, Duration::ZERO)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    fn generator(seed: u64, workload: Workload) -> Generator {
        let rng = SeedRng::stream(seed, "generator", 0);
        Generator::new(workload, GeneratorConfig::default(), rng)
    }

    fn ops(seed: u64, workload: Workload) -> Vec<ClientOp> {
        let mut generator = generator(seed, workload);
        (0..10_000).map(|_| generator.next_op()).collect()
    }

    fn share(ops: &[ClientOp], what: impl Fn(&ClientOp) -> bool) -> usize {
        ops.iter().filter(|op| what(op)).count() * 100 / ops.len()
    }

    #[test]
    fn the_seed_decides_every_operation() {
        for (_, workload) in Workload::ALL {
            assert_eq!(ops(1, workload), ops(1, workload));
            assert_ne!(ops(1, workload), ops(2, workload));
        }
    }

    #[test]
    fn registers_get_their_mix_unique_values_and_short_histories() {
        let ops = ops(3, Workload::Register);
        let mut written = BTreeSet::new();
        let mut per_key: BTreeMap<u64, u64> = BTreeMap::new();
        for op in &ops {
            let (key, value) = match *op {
                ClientOp::Read { key } => (key, None),
                ClientOp::Write { key, value } => (key, Some(value)),
                ClientOp::Cas { key, old, new } => {
                    assert!(written.contains(&old));
                    (key, Some(new))
                }
                other => panic!("{other:?} is of another workload"),
            };
            *per_key.entry(key).or_default() += 1;
            assert!(value.is_none_or(|value| written.insert(value)), "G2");
        }
        assert!((48..=52).contains(&share(&ops, |op| op.f() == "read")));
        assert!((33..=37).contains(&share(&ops, |op| op.f() == "write")));
        assert!((13..=17).contains(&share(&ops, |op| op.f() == "cas")));
        assert!(per_key.values().all(|count| *count <= 330), "G3");
        assert!(per_key.len() > 25);
    }

    #[test]
    fn slow_transactions_are_plain_and_of_the_promised_share() {
        for (workload, longest, percent) in [(Workload::Bank, 6, 5), (Workload::Pairs, 10, 20)] {
            let (mut slow, mut all, mut locking) = (0, 0, 0);
            for op in ops(4, workload) {
                let (mode, pause) = match op {
                    ClientOp::Transfer { from, to, amount, mode, pause } => {
                        assert!(from != to && from.max(to) < ACCOUNTS && (1..=5).contains(&amount));
                        (mode, pause)
                    }
                    ClientOp::Deposit { pair, mode, pause, .. }
                    | ClientOp::Withdraw { pair, mode, pause, .. } => {
                        assert!(pair < PAIRS);
                        (mode, pause)
                    }
                    _ => continue,
                };
                all += 1;
                locking += u64::from(mode == ReadMode::Locking);
                if pause > Duration::ZERO {
                    slow += 1;
                    assert_eq!(mode, ReadMode::Plain, "G4");
                    assert!((1..=longest).contains(&pause.as_secs()));
                }
            }
            assert!((percent - 2..=percent + 2).contains(&(slow * 100 / all)), "{slow} of {all}");
            assert!(locking * 10 > all && locking * 2 < all);
        }
    }

    #[test]
    fn final_reads_cover_what_was_touched() {
        let mut generator = generator(5, Workload::Register);
        let touched: BTreeSet<u64> = (0..5_000)
            .filter_map(|_| match generator.next_op() {
                ClientOp::Read { key } => Some(key),
                _ => None,
            })
            .collect();
        let read = generator.final_reads();
        assert!(touched.iter().all(|key| read.contains(&ClientOp::Read { key: *key })));
        assert_eq!(initial_rows(Workload::Bank).iter().map(|row| row.1).sum::<i64>(), 800);
        assert_eq!(initial_rows(Workload::Pairs).len(), 8);
    }
}
