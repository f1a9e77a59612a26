//! Scripts over one range's state machine: `kv/testdata/machine`. `UPDATE_GOLDENFILES=1` writes what they show.

use std::error::Error;
use std::fmt::Write as _;

use bytes::Bytes;
use goldenscript::Command as Line;

use super::*;
use crate::clock::Timestamp;
use crate::engine::{Engine, EngineOp};
use crate::ids::NodeId;
use crate::keys::{self, Space};
use crate::range::batch::WriteBatch;
use crate::range::bootstrap::{FIRST_DATA_RANGE, initial_ranges};
use crate::range::command::{Batch, CommandKind, LeaseChange, Split, Truncate};
use crate::range::descriptor::RangeDescriptor;
use crate::range::lease::{Lease, ReadSummary};
use crate::range::spans::SpanEntry;

type Answer<T> = Result<T, Box<dyn Error>>;

/// A range and what its log has made of it.
struct World {
    state: RangeState,
}

impl World {
    fn new() -> Self {
        let ranges = initial_ranges(&[NodeId(1), NodeId(2), NodeId(3)]);
        let data = ranges.into_iter().find(|range| range.id() == FIRST_DATA_RANGE);
        let data = data.expect("there is one at the beginning");
        World { state: RangeState::initial(data, None, Timestamp::ZERO) }
    }

    /// Applies an entry; says what came of it, and what goes to the engine.
    fn entry(&mut self, data: Bytes) -> Answer<String> {
        let index = self.state.applied.index + 1;
        let entry = Entry { index, term: 6, data, ..Entry::default() };
        let mut batch = EngineBatch::default();
        let outcome = self.state.apply(&entry, &mut batch)?;
        self.state.save_applied(&mut batch);
        let mut out = match outcome {
            Err(rejection) => format!("rejected: {rejection:?}\n"),
            Ok(effects) => effects_text(&effects)?,
        };
        for op in batch.ops() {
            writeln!(out, "  {}", op_text(op))?;
        }
        Ok(out)
    }

    fn command(&mut self, line: &Line, kind: CommandKind) -> Answer<String> {
        let mut args = line.consume_args();
        let mut number =
            |name| -> Answer<u64> { Ok(args.take_key(name).map_or(Ok(0), str::parse)?) };
        let command = Command {
            lease_sequence: number("lease")?,
            max_lease_index: number("index")?,
            write_ts: number("ts")?,
            closed_ts: number("closed")?,
            kind: Some(kind),
        };
        self.entry(command.to_entry_data())
    }
}

impl goldenscript::Runner for World {
    type Command = Line;

    fn run(&mut self, line: &Line, _: &goldenscript::Context) -> Answer<String> {
        let mut args = line.consume_args();
        let first = args.next_pos().unwrap_or_default();
        let kind = match &line.name[..] {
            // The meta range instead, which knows the ranges of the beginning.
            "meta" => {
                let ranges = initial_ranges(&[NodeId(1), NodeId(2), NodeId(3)]);
                let meta = RangeState::initial(ranges[0].clone(), None, Timestamp::ZERO);
                self.state = meta.with_directory(100, &ranges);
                return Ok(String::new());
            }
            "state" => {
                let (state, applied) = (&self.state, &self.state.applied);
                let lease = state.lease.as_ref().map_or("none".into(), lease_text);
                return Ok(format!(
                    "{}, lease {lease}, applied {}@{}, lease index {}, floor {}, closed {}\n",
                    range_text(&state.descriptor),
                    applied.index,
                    applied.term,
                    applied.lease_index,
                    applied.floor,
                    applied.closed_ts
                ));
            }
            "reload" => {
                let engine = crate::sim::engine::SimEngine::open(crate::sim::disk::SimDisk::new())?;
                let mut batch = EngineBatch::default();
                self.state.save(&mut batch);
                engine.apply(batch)?;
                let loaded = RangeState::load_all(&*engine.snapshot())?;
                return Ok(match loaded == [self.state.clone()] {
                    true => "the same\n".into(),
                    false => format!("another: {loaded:?}\n"),
                });
            }
            // What a new leader begins with.
            "empty" => return self.entry(Bytes::new()),
            "raw" => {
                let bytes: Result<Vec<u8>, _> = first.split('.').map(str::parse).collect();
                return self.entry(bytes?.into());
            }
            "lease" => {
                let previous = args.take_key("after").map(lease).transpose()?;
                let handed_over_by = args.take_key("by").map(str::parse).transpose()?;
                let summary = args.take_key("summary").unwrap_or_default().to_owned().into();
                let next = lease(first)?;
                CommandKind::Lease(LeaseChange { previous, next, handed_over_by, summary })
            }
            // From, to: what is said of the span.
            "span" => {
                let mut batch = WriteBatch::default();
                let mut bound = || Bytes::from(args.next_pos().unwrap_or_default().to_owned());
                let (start, end) = (Bytes::from(first.to_owned()), bound());
                let (suffix, value) = (Bytes::from_static(b"s"), Bytes::from_static(b"v"));
                batch.put_span(&SpanEntry { start, end, suffix, value, changed: None });
                CommandKind::Batch(Batch { ops: batch.ops })
            }
            "spans" => return Ok(spans_text(&self.state)),
            "put" | "delete" => {
                let mut batch = WriteBatch::default();
                let space = args.take_key("space").map(str::parse).transpose()?;
                for key in std::iter::once(first).chain(std::iter::from_fn(|| args.next_pos())) {
                    let key = Bytes::copy_from_slice(key.as_bytes());
                    match &line.name[..] {
                        "put" => batch.put(Space::Data, key, Bytes::new(), "v".into()),
                        _ => batch.delete(Space::Data, key, Bytes::new()),
                    }
                }
                batch.ops.iter_mut().for_each(|op| op.space = space.unwrap_or(op.space));
                CommandKind::Batch(Batch { ops: batch.ops })
            }
            "split" => {
                let old = &self.state.descriptor;
                let key = Bytes::copy_from_slice(first.as_bytes());
                let generation = args.take_key("generation").map(str::parse).transpose()?;
                let generation = generation.unwrap_or(old.generation + 1);
                let left = RangeDescriptor { end: key.clone(), generation, ..old.clone() };
                let range_id = args.take_key("id").map_or(Ok(100), str::parse)?;
                let right = RangeDescriptor { range_id, start: key, generation, ..old.clone() };
                CommandKind::Split(Split { left, right })
            }
            "truncate" => CommandKind::Truncate(Truncate { index: first.parse()? }),
            "floor" => CommandKind::SetFloor(first.parse()?),
            "ids" => CommandKind::AllocateIds(first.parse()?),
            "upsert" => {
                let mut bound =
                    |name| Bytes::from(args.take_key(name).unwrap_or_default().to_owned());
                let (start, end) = (bound("start"), bound("end"));
                let generation = args.take_key("generation").map_or(Ok(1), str::parse)?;
                let range_id = first.parse()?;
                CommandKind::DirectoryUpsert(RangeDescriptor {
                    range_id,
                    start,
                    end,
                    generation,
                    replicas: Vec::new(),
                })
            }
            other => return Err(format!("no command {other}").into()),
        };
        self.command(line, kind)
    }
}

/// What is said of spans, and where data have changed since.
fn spans_text(state: &RangeState) -> String {
    let span = |(start, end): (&Bytes, &Bytes)| {
        format!("[{}, {})", start.escape_ascii(), end.escape_ascii())
    };
    let line = |entry: &SpanEntry| {
        let changed = entry.changed.as_ref().map(|(start, end)| span((start, end)));
        let changed = changed.map_or("nothing".into(), |part| part);
        format!("{} changed {changed}\n", span((&entry.start, &entry.end)))
    };
    let mut lines: Vec<String> = state.spans().overlapping(b"", b"\xff").map(line).collect();
    lines.sort();
    lines.concat()
}

/// SEQUENCE/REPLICA/START/EXPIRATION.
fn lease(text: &str) -> Answer<Lease> {
    let numbers: Result<Vec<u64>, _> = text.split('/').map(str::parse).collect();
    let [sequence, replica_id, start, expiration] = numbers?[..] else {
        return Err(format!("no lease: {text}").into());
    };
    Ok(Lease { sequence, replica_id, node_id: replica_id, incarnation: 7, start, expiration })
}

fn lease_text(lease: &Lease) -> String {
    format!("{}/{}/{}/{}", lease.sequence, lease.replica_id, lease.start, lease.expiration)
}

fn range_text(range: &RangeDescriptor) -> String {
    let (start, end) = (range.start.escape_ascii(), range.end.escape_ascii());
    format!("{} [{start}, {end}) generation {}", range.id(), range.generation)
}

fn effects_text(effects: &SideEffects) -> Answer<String> {
    let mut out = String::from("applied");
    if let Some(replaced) = &effects.lease {
        let previous = replaced.previous.as_ref().map_or("none".into(), lease_text);
        write!(out, ", lease replaces {previous}")?;
        if let Some(ReadSummary(summary)) = &replaced.summary {
            write!(out, ", which has served {}", summary.escape_ascii())?;
        }
    }
    if let Some(right) = &effects.created {
        let lease = right.lease.as_ref().map_or("none".into(), lease_text);
        write!(
            out,
            ", created {}, lease {lease}, floor {}, closed {}",
            range_text(&right.descriptor),
            right.applied.floor,
            right.applied.closed_ts
        )?;
        for line in spans_text(right).lines() {
            write!(out, ", {line}")?;
        }
    }
    if let Some(index) = effects.truncate {
        write!(out, ", log not needed through {index}")?;
    }
    if effects.value != 0 {
        write!(out, ", value {}", effects.value)?;
    }
    Ok(out + "\n")
}

fn op_text(op: &EngineOp) -> String {
    let (verb, key) = match op {
        EngineOp::Put(key, _) => ("put", key),
        EngineOp::Delete(key) => ("delete", key),
    };
    if key[0] == Space::RangeId as u8 {
        let range = u64::from_be_bytes(key[1..9].try_into().expect("eight bytes"));
        let (kind, rest) = key[9..].split_at(1);
        let kind = match kind {
            b"a" => "applied state",
            b"d" => "descriptor",
            b"l" => "lease",
            b"i" => "next id",
            b"m" => "directory",
            _ => "something",
        };
        return format!("{verb} r{range} {kind} {}", rest.escape_ascii()).trim_end().into();
    }
    let space = Space::KEYED.into_iter().find(|space| *space as u8 == key[0]);
    let (user_key, _) = keys::decode_engine_key(key).expect("a keyed space's");
    format!("{verb} {:?} {}", space.expect("a keyed space"), user_key.escape_ascii())
}

#[test]
fn scripts() {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/machine");
    crate::sim::testing::each_file(dir, |path| goldenscript::run(&mut World::new(), path));
}
