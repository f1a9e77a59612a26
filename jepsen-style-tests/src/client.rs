//! What a client can do, what it can learn, and how both are written into a history.
//!
//! A harness carries out a [`ClientOp`] and answers with an [`Answer`], or records a failure. The checkers
//! read the history alone, never these types: so they judge an imported history as well.
//!
//! | workload | f | value of the invocation | value of `ok` |
//! |---|---|---|---|
//! | register | read | `[key nil]` | `[key value-or-nil]` |
//! | | write | `[key value]` | the same |
//! | | cas | `[key [old new]]` | the same; a mismatch is a `fail` |
//! | bank | read | nil | `{account balance, …}` |
//! | | total | nil | the sum of all balances |
//! | | transfer | `{:from :to :amount :mode :pause-ms}` | the same |
//! | pairs | read | `[pair nil]` | `[pair [a b]]` |
//! | | deposit, withdraw | `{:pair :side :mode :pause-ms}` | and `:read [a b] :wrote value-or-nil` |

use std::time::Duration;

use crate::value::Value;

/// How the clients of a test speak to the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Through {
    /// As transactions over keys, which only a client within the process can.
    Kv,
    /// As SQL over PostgreSQL's protocol.
    Sql,
}

impl Through {
    /// Both with their command-line names.
    pub const ALL: [(&'static str, Through); 2] = [("kv", Through::Kv), ("sql", Through::Sql)];

    /// The command-line name.
    pub fn name(self) -> &'static str {
        Self::ALL[self as usize].0
    }

    /// What a seed takes that is not told: SQL if its number is odd, so that a series has as much of both.
    pub fn of_seed(seed: u64) -> Self {
        if seed % 2 == 1 { Through::Sql } else { Through::Kv }
    }
}

/// A family of operations which one checker judges. Each has its own history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workload {
    /// Single keys: read, write, compare-and-set. Must be linearizable.
    Register,
    /// Accounts whose total is constant. Finds read skew, lost updates, partial commits.
    Bank,
    /// Pairs of keys with a joint invariant. Finds write skew.
    Pairs,
}

impl Workload {
    /// Every workload with its command-line name.
    pub const ALL: [(&'static str, Workload); 3] =
        [("register", Workload::Register), ("bank", Workload::Bank), ("pairs", Workload::Pairs)];

    /// The command-line name.
    pub fn name(self) -> &'static str {
        Self::ALL[self as usize].0
    }
}

/// How a transaction reads what it may write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadMode {
    /// Without locks: correctness rests on the timestamp cache and on read refresh.
    Plain,
    /// Under exclusive locks, as SELECT FOR UPDATE.
    Locking,
}

impl ReadMode {
    fn value(self) -> Value {
        Value::Keyword(match self {
            ReadMode::Plain => "plain",
            ReadMode::Locking => "locking",
        })
    }
}

/// One key of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The first.
    A,
    /// The second.
    B,
}

/// A row of a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// A register. Registers come and go; the number is never reused.
    Register(u64),
    /// A bank account.
    Account(u64),
    /// The first key of a pair.
    PairA(u64),
    /// The second key of a pair.
    PairB(u64),
}

impl Key {
    /// The account that these bytes name, if they do.
    pub fn account_of(bytes: &[u8]) -> Option<u64> {
        let mut parts = std::str::from_utf8(bytes).ok()?.split('/').skip(1);
        (parts.next()? == "account").then(|| parts.next()?.parse().ok())?
    }

    /// The key's bytes. They begin with two hexadecimal digits which spread each workload over the whole key
    /// space, so that splits at `40`, `80` and `c0` give every workload several ranges; the keys of a pair are
    /// half the space apart, so that a pair needs two ranges.
    pub fn bytes(self) -> Vec<u8> {
        let (spread, name, number) = match self {
            Key::Register(n) => (n.wrapping_mul(0x9d), "register", n),
            Key::Account(n) => (n.wrapping_mul(0x20), "account", n),
            Key::PairA(n) => (n.wrapping_mul(0x25), "pair-a", n),
            Key::PairB(n) => (n.wrapping_mul(0x25).wrapping_add(0x80), "pair-b", n),
        };
        format!("{:02x}/{name}/{number}", spread & 0xff).into_bytes()
    }
}

/// One operation of a client. A `pause` is slept between a transaction's reads and its writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientOp {
    /// Read a register.
    Read {
        /// The register.
        key: u64,
    },
    /// Set a register, whatever it holds.
    Write {
        /// The register.
        key: u64,
        /// Written nowhere else.
        value: i64,
    },
    /// Set a register if it holds `old`; otherwise the operation fails.
    Cas {
        /// The register.
        key: u64,
        /// What it must hold.
        old: i64,
        /// Written nowhere else.
        new: i64,
    },
    /// Move money in one transaction: read both accounts, write both. Fails if `from` holds too little.
    Transfer {
        /// The account that pays.
        from: u64,
        /// Another account.
        to: u64,
        /// How much.
        amount: i64,
        /// How the accounts are read.
        mode: ReadMode,
        /// Slept between reads and writes.
        pause: Duration,
    },
    /// Read every account in one transaction.
    ReadAccounts {
        /// By one scan over everything, rather than key by key.
        scan: bool,
    },
    /// Have the database add all balances up.
    ReadTotal,
    /// Read both keys of a pair in one transaction.
    ReadPair {
        /// The pair.
        pair: u64,
    },
    /// In one transaction: read both keys; if their sum is 0, add 100 to the chosen one.
    Deposit {
        /// The pair.
        pair: u64,
        /// The key that changes.
        side: Side,
        /// How the keys are read.
        mode: ReadMode,
        /// Slept between reads and the write.
        pause: Duration,
    },
    /// In one transaction: read both keys; if their sum is 100, take 100 from the chosen one, which may make
    /// it negative.
    Withdraw {
        /// The pair.
        pair: u64,
        /// The key that changes.
        side: Side,
        /// How the keys are read.
        mode: ReadMode,
        /// Slept between reads and the write.
        pause: Duration,
    },
}

/// What a client learned from an operation that took effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A write, a compare-and-set that matched, or a transfer is committed.
    Done,
    /// A register's value, if it has one.
    Register(Option<i64>),
    /// Accounts and balances, as they came.
    Accounts(Vec<(u64, Option<i64>)>),
    /// The sum of all balances.
    Total(i64),
    /// What a transaction on a pair read, and what it wrote if it did.
    Pair {
        /// The first key's value.
        a: i64,
        /// The second key's value.
        b: i64,
        /// The new value of the chosen key. Always `None` for a read.
        wrote: Option<i64>,
    },
}

impl ClientOp {
    /// The function's name in the history.
    pub fn f(&self) -> &'static str {
        match self {
            ClientOp::Read { .. } | ClientOp::ReadAccounts { .. } | ClientOp::ReadPair { .. } => {
                "read"
            }
            ClientOp::ReadTotal => "total",
            ClientOp::Write { .. } => "write",
            ClientOp::Cas { .. } => "cas",
            ClientOp::Transfer { .. } => "transfer",
            ClientOp::Deposit { .. } => "deposit",
            ClientOp::Withdraw { .. } => "withdraw",
        }
    }

    /// The value of the invocation.
    pub fn value(&self) -> Value {
        match *self {
            ClientOp::Read { key } => two(Value::from(key), Value::Nil),
            ClientOp::Write { key, value } => two(Value::from(key), Value::Int(value)),
            ClientOp::Cas { key, old, new } => {
                two(Value::from(key), two(Value::Int(old), Value::Int(new)))
            }
            ClientOp::Transfer { from, to, amount, mode, pause } => Value::Map(vec![
                (Value::Keyword("from"), Value::from(from)),
                (Value::Keyword("to"), Value::from(to)),
                (Value::Keyword("amount"), Value::Int(amount)),
                (Value::Keyword("mode"), mode.value()),
                (Value::Keyword("pause-ms"), Value::from(pause.as_millis() as u64)),
            ]),
            ClientOp::ReadAccounts { .. } | ClientOp::ReadTotal => Value::Nil,
            ClientOp::ReadPair { pair } => two(Value::from(pair), Value::Nil),
            ClientOp::Deposit { pair, side, mode, pause }
            | ClientOp::Withdraw { pair, side, mode, pause } => Value::Map(vec![
                (Value::Keyword("pair"), Value::from(pair)),
                (Value::Keyword("side"), Value::Keyword(if side == Side::A { "a" } else { "b" })),
                (Value::Keyword("mode"), mode.value()),
                (Value::Keyword("pause-ms"), Value::from(pause.as_millis() as u64)),
            ]),
        }
    }

    /// The value of the `ok` completion.
    ///
    /// # Panics
    /// When the answer is not one to this operation: a bug of the harness.
    pub fn ok_value(&self, answer: &Answer) -> Value {
        match (self, answer) {
            (
                ClientOp::Write { .. } | ClientOp::Cas { .. } | ClientOp::Transfer { .. },
                Answer::Done,
            ) => self.value(),
            (ClientOp::Read { key }, Answer::Register(value)) => {
                two(Value::from(*key), Value::from(*value))
            }
            (ClientOp::ReadAccounts { .. }, Answer::Accounts(rows)) => Value::Map(
                rows.iter()
                    .map(|(account, sum)| (Value::from(*account), Value::from(*sum)))
                    .collect(),
            ),
            (ClientOp::ReadTotal, Answer::Total(sum)) => Value::Int(*sum),
            (ClientOp::ReadPair { pair }, Answer::Pair { a, b, wrote: None }) => {
                two(Value::from(*pair), two(Value::Int(*a), Value::Int(*b)))
            }
            (
                ClientOp::Deposit { .. } | ClientOp::Withdraw { .. },
                Answer::Pair { a, b, wrote },
            ) => {
                let Value::Map(mut entries) = self.value() else {
                    unreachable!("the value of these two is a map")
                };
                entries.push((Value::Keyword("read"), two(Value::Int(*a), Value::Int(*b))));
                entries.push((Value::Keyword("wrote"), Value::from(*wrote)));
                Value::Map(entries)
            }
            _ => panic!("{answer:?} does not answer {self:?}"),
        }
    }

    /// The rule of deposit and withdraw: what the operation writes to its side after having read these values.
    /// `None` for nothing, and for every other operation.
    pub fn pair_write(&self, a: i64, b: i64) -> Option<i64> {
        let (side, when, change) = match self {
            ClientOp::Deposit { side, .. } => (side, 0, 100),
            ClientOp::Withdraw { side, .. } => (side, 100, -100),
            _ => return None,
        };
        let old = if *side == Side::A { a } else { b };
        (a + b == when).then_some(old + change)
    }
}

fn two(first: Value, second: Value) -> Value {
    Value::List(vec![first, second])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_written_as_the_table_says() {
        let second = Duration::from_secs(1);
        let cas = ClientOp::Cas { key: 3, old: 1, new: 2 };
        assert_eq!((cas.f(), cas.ok_value(&Answer::Done).edn().as_str()), ("cas", "[3 [1 2]]"));
        let read = ClientOp::Read { key: 3 };
        assert_eq!(read.value().edn(), "[3 nil]");
        assert_eq!(read.ok_value(&Answer::Register(Some(4))).edn(), "[3 4]");
        let rows = Answer::Accounts(vec![(0, Some(99)), (1, None)]);
        assert_eq!(ClientOp::ReadAccounts { scan: false }.ok_value(&rows).edn(), "{0 99, 1 nil}");
        let total = ClientOp::ReadTotal;
        assert_eq!((total.f(), total.ok_value(&Answer::Total(800)).edn()), ("total", "800".into()));
        let mode = ReadMode::Plain;
        let withdraw = ClientOp::Withdraw { pair: 2, side: Side::B, mode, pause: second };
        assert_eq!(
            withdraw.ok_value(&Answer::Pair { a: 100, b: 0, wrote: Some(-100) }).edn(),
            "{:pair 2, :side :b, :mode :plain, :pause-ms 1000, :read [100 0], :wrote -100}"
        );
    }

    #[test]
    fn a_series_of_seeds_takes_both_ways() {
        assert_eq!([1, 2, 3].map(Through::of_seed), [Through::Sql, Through::Kv, Through::Sql]);
        for (name, through) in Through::ALL {
            assert_eq!(through.name(), name);
        }
    }

    #[test]
    fn deposits_need_an_empty_pair_and_withdrawals_a_full_one() {
        let (mode, pause) = (ReadMode::Plain, Duration::ZERO);
        let deposit = ClientOp::Deposit { pair: 0, side: Side::A, mode, pause };
        let withdraw = ClientOp::Withdraw { pair: 0, side: Side::B, mode, pause };
        assert_eq!(deposit.pair_write(-100, 100), Some(0));
        assert_eq!(deposit.pair_write(0, 100), None);
        assert_eq!(withdraw.pair_write(100, 0), Some(-100));
        assert_eq!(withdraw.pair_write(0, 0), None);
    }

    #[test]
    fn keys_spread_over_the_space_and_do_not_collide() {
        let mut keys: Vec<Vec<u8>> = Vec::new();
        for n in 0..8 {
            keys.extend(
                [Key::Register(n), Key::Account(n), Key::PairA(n), Key::PairB(n)].map(Key::bytes),
            );
            assert_eq!(Key::account_of(&Key::Account(n).bytes()), Some(n));
            assert_eq!(Key::account_of(&Key::PairA(n).bytes()), None);
            let (a, b) = (Key::PairA(n).bytes(), Key::PairB(n).bytes());
            assert_ne!(a < b"80".to_vec(), b < b"80".to_vec());
        }
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), 32);
        for (name, workload) in Workload::ALL {
            assert_eq!(workload.name(), name);
        }
    }
}
