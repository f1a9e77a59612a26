//! Scripts over a lock table: who gets a key, who waits for whom, who is woken by what. `txn/testdata/locks`;
//! `UPDATE_GOLDENFILES=1` writes what they show.
//!
//! Transactions are letters. `a: lock k update` takes the lock if it may, with the place that `a: queue k update` has made
//! before. What was woken is told behind each command, and `show` shows the table.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;

use futures::FutureExt;

use super::*;

type Answer<T> = Result<T, Box<dyn Error>>;

/// A table, and the places in it by transaction and key.
#[derive(Default)]
struct World {
    table: LockTable,
    places: BTreeMap<(String, String), Waiting>,
    /// Numbers of places that were left, to come again with.
    tickets: BTreeMap<(String, String), u64>,
}

struct Waiting {
    place: Place,
    wake: Option<oneshot::Receiver<()>>,
}

fn txn(name: &str) -> TxnMeta {
    TxnMeta { id: Bytes::copy_from_slice(name.as_bytes()), ..TxnMeta::default() }
}

fn strength(name: &str) -> Answer<LockStrength> {
    Ok(match name {
        "update" => LockStrength::Update,
        "no_key_update" => LockStrength::NoKeyUpdate,
        "share" => LockStrength::Share,
        "key_share" => LockStrength::KeyShare,
        other => return Err(format!("no lock {other}").into()),
    })
}

fn names(holders: &[Holder]) -> String {
    let names = holders.iter().map(|holder| holder.txn.id.escape_ascii().to_string());
    names.collect::<Vec<_>>().join(" ")
}

impl World {
    fn woken(&mut self) -> String {
        let mut woken = String::new();
        for ((name, key), waiting) in &mut self.places {
            if waiting.wake.as_mut().is_some_and(|wake| wake.now_or_never().is_some()) {
                waiting.wake = None;
                let _ = writeln!(woken, "{name} is woken at {key}");
            }
        }
        woken
    }

    /// Looks what a place waits for.
    fn block(&mut self, at: &(String, String)) -> Answer<String> {
        let waiting = self.places.get_mut(at).ok_or("no place")?;
        let Some(blocked) = self.table.block(&waiting.place, at.0.as_bytes()) else {
            waiting.wake = None;
            return Ok("may try\n".into());
        };
        waiting.wake = Some(blocked.wake);
        let mut said = match blocked.holders.is_empty() {
            true => "waits behind others".into(),
            false => format!("waits for {}", names(&blocked.holders)),
        };
        if !blocked.asks.is_empty() {
            write!(said, ", asks about {}", names(&blocked.asks))?;
        }
        Ok(said + "\n")
    }

    fn show(&self) -> String {
        self.table.with(|state| {
            let mut out = String::new();
            for (key, of_key) in &state.keys {
                let mut parts = Vec::new();
                for holder in &of_key.holders {
                    let locks =
                        holder.locks.iter().map(|(number, lock)| format!("{lock:?} of {number}"));
                    let intent = holder.intent.then(|| "an intent".to_owned());
                    let what: Vec<_> = intent.into_iter().chain(locks).collect();
                    let name = holder.txn.id.escape_ascii();
                    parts.push(format!("{name} has {}", what.join(", ")));
                }
                for waiter in of_key.queue.values() {
                    let name = waiter.txn_id.escape_ascii();
                    parts.push(format!("{name} queues for {:?}", waiter.strength));
                }
                if !of_key.readers.is_empty() {
                    parts.push(format!("{} would read", of_key.readers.len()));
                }
                let _ = writeln!(out, "{}: {}", key.escape_ascii(), parts.join("; "));
            }
            if out.is_empty() { "nothing\n".into() } else { out }
        })
    }

    fn of_txn(&mut self, name: &str, line: &goldenscript::Command) -> Answer<String> {
        let mut args = line.consume_args();
        let key_name = args.next_pos().ok_or("a key")?.to_owned();
        let key = Bytes::copy_from_slice(key_name.as_bytes());
        let at = (name.to_owned(), key_name);
        let said = match &line.name[..] {
            "lock" => {
                let strength = strength(args.next_pos().unwrap_or("update"))?;
                let number = args.take_key("number").map_or(Ok(0), str::parse)?;
                let place = self.places.get(&at).map(|waiting| &waiting.place);
                match self.table.admits(&key, name.as_bytes(), strength, place) {
                    false => "refused\n".into(),
                    true => {
                        let lock = (number, strength);
                        let is_new = self.table.acquire(&key, &txn(name), lock, Timestamp::ZERO);
                        self.places.remove(&at);
                        if is_new { "has it\n".into() } else { "has it still\n".to_owned() }
                    }
                }
            }
            "queue" | "read" => {
                let strength = match line.name == "read" {
                    true => None,
                    false => Some(strength(args.next_pos().unwrap_or("update"))?),
                };
                let again = args.take_key("again").is_some();
                let earlier = self.tickets.get(&at).copied().filter(|_| again);
                let place = self.table.enqueue(&key, name.as_bytes(), strength, earlier);
                self.tickets.insert(at.clone(), place.number());
                self.places.insert(at.clone(), Waiting { place, wake: None });
                self.block(&at)?
            }
            "look" => self.block(&at)?,
            "leave" => {
                self.places.remove(&at).ok_or("no place")?;
                String::new()
            }
            "intent" => {
                self.table.discover(&key, &txn(name), Timestamp::ZERO);
                String::new()
            }
            "release" => {
                self.table.release(&key, name.as_bytes());
                String::new()
            }
            "roll_back" => {
                let mut number = || args.next_pos().unwrap_or_default().parse::<u32>();
                let numbers = LockNumbers { first: number()?, last: number()? };
                self.table.roll_back(&key, name.as_bytes(), numbers);
                String::new()
            }
            other => return Err(format!("no command {other}").into()),
        };
        Ok(said + &self.woken())
    }
}

impl goldenscript::Runner for World {
    type Command = goldenscript::Command;

    fn run(&mut self, line: &Self::Command, context: &goldenscript::Context) -> Answer<String> {
        if let Some(name) = &context.prefix {
            return self.of_txn(name, line);
        }
        let mut args = line.consume_args();
        let mut next = || Bytes::copy_from_slice(args.next_pos().unwrap_or_default().as_bytes());
        match &line.name[..] {
            "show" => return Ok(self.show()),
            // The lease is another's.
            "clear" => self.table.clear(&next(), &next()),
            other => return Err(format!("no command {other}").into()),
        }
        Ok(self.woken())
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "reads the scripts from the tree")]
fn scripts() {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/locks");
    let files = std::fs::read_dir(dir).expect("a directory of scripts");
    let mut paths: Vec<_> = files.map(|file| file.expect("a script").path()).collect();
    paths.sort();
    assert!(!paths.is_empty());
    for path in paths {
        goldenscript::run(&mut World::default(), &path).expect("a script that can be read");
    }
}
