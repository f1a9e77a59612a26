//! The checks at application, one story a test. Invariant numbers are the machine's.

use bytes::Bytes;

use super::*;
use crate::clock::Timestamp;
use crate::ids::NodeId;
use crate::keys::{self, Space};
use crate::log::INITIAL_INDEX;
use crate::range::bootstrap::{FIRST_DATA_RANGE, initial_ranges};
use crate::range::command::{Batch, CommandKind, LeaseChange, LeaseReplaced, Split};
use crate::range::descriptor::RangeDescriptor;
use crate::range::lease::Lease;
use crate::seam::WriteBatch;

struct World {
    machine: RangeState,
    batch: EngineBatch,
}

impl World {
    fn new() -> Self {
        let ranges = initial_ranges(&[NodeId(1), NodeId(2), NodeId(3)]);
        let data = ranges.into_iter().find(|r| r.id() == FIRST_DATA_RANGE).unwrap();
        let machine = RangeState::initial(data, None, Timestamp::ZERO);
        World { machine, batch: EngineBatch::default() }
    }

    fn apply(&mut self, command: Command) -> Outcome {
        let entry = Entry {
            index: self.machine.applied.index + 1,
            term: 6,
            data: command.to_entry_data(),
            ..Entry::default()
        };
        self.machine.apply(&entry, &mut self.batch).unwrap()
    }

    fn lease(&mut self, previous: Option<Lease>, next: Lease) -> Outcome {
        let kind = Some(CommandKind::Lease(LeaseChange { previous, next }));
        self.apply(Command { kind, ..Command::default() })
    }

    fn put(&mut self, lease_sequence: u64, max_lease_index: u64, ts: u64, key: &[u8]) -> Outcome {
        let mut batch = WriteBatch::default();
        batch.put(Space::Data, Bytes::copy_from_slice(key), Bytes::new(), Bytes::from_static(b"v"));
        let kind = Some(CommandKind::Batch(Batch { ops: batch.ops }));
        self.apply(Command { lease_sequence, max_lease_index, write_ts: ts, kind })
    }

    fn written(&self, key: &[u8]) -> bool {
        let key = keys::engine_key(Space::Data, key, &[]);
        self.batch
            .ops()
            .iter()
            .any(|op| matches!(op, crate::engine::EngineOp::Put(k, _) if *k == key))
    }
}

fn lease(sequence: u64, replica: u64, start: u64, expiration: u64) -> Lease {
    Lease { sequence, replica_id: replica, node_id: replica, incarnation: 7, start, expiration }
}

fn applied() -> Outcome {
    Ok(SideEffects::default())
}

fn replaces(previous: Lease) -> Outcome {
    let lease = Some(LeaseReplaced { previous: Some(previous) });
    Ok(SideEffects { lease, ..SideEffects::default() })
}

#[test]
fn a_command_of_another_lease_is_rejected_and_still_moves_the_applied_index() {
    let mut world = World::new();
    world.lease(None, lease(1, 1, 100, 200)).unwrap();
    assert_eq!(world.put(1, 1, 150, b"\x03a"), applied());
    assert_eq!(world.put(2, 2, 150, b"\x03b"), Err(Rejection::Lease));
    assert_eq!(world.machine.applied.index, INITIAL_INDEX + 3);
    assert!(world.written(b"\x03a") && !world.written(b"\x03b"));
}

#[test]
fn a_lease_follows_the_one_it_names_and_never_overlaps_it() {
    let mut world = World::new();
    let first = lease(1, 1, 100, 200);
    world.lease(None, first.clone()).unwrap();
    let rejected = Err(Rejection::Lease);
    // Names no lease, begins too early, skips a sequence number.
    assert_eq!(world.lease(None, lease(2, 2, 300, 400)), rejected);
    assert_eq!(world.lease(Some(first.clone()), lease(2, 2, 199, 400)), rejected);
    assert_eq!(world.lease(Some(first.clone()), lease(3, 2, 300, 400)), rejected);
    // An extension by another replica, and one that shortens.
    assert_eq!(world.lease(Some(first.clone()), lease(1, 2, 100, 400)), rejected);
    assert_eq!(world.lease(Some(first.clone()), lease(1, 1, 100, 199)), rejected);
    // A real extension, after which the unextended lease is no longer the current one.
    let longer = lease(1, 1, 100, 250);
    let extended = replaces(first.clone());
    assert_eq!(world.lease(Some(first.clone()), longer.clone()), extended);
    assert_eq!(world.lease(Some(first), lease(2, 2, 250, 400)), rejected);
    let second = lease(2, 2, 250, 400);
    assert_eq!(world.lease(Some(longer.clone()), second.clone()), replaces(longer));
    assert_eq!(world.machine.lease, Some(second));
}

#[test]
fn a_repeated_or_overtaken_lease_index_is_rejected_and_gaps_are_legal() {
    let mut world = World::new();
    world.lease(None, lease(1, 1, 100, 200)).unwrap();
    assert_eq!(world.put(1, 5, 150, b"\x03a"), applied());
    assert_eq!(world.put(1, 5, 150, b"\x03b"), Err(Rejection::LeaseIndex));
    assert_eq!(world.put(1, 3, 150, b"\x03c"), Err(Rejection::LeaseIndex));
    assert_eq!(world.put(1, 6, 150, b"\x03d"), applied());
}

#[test]
fn writes_at_or_below_the_floor_are_rejected_and_the_floor_never_sinks() {
    let mut world = World::new();
    world.lease(None, lease(1, 1, 100, 200)).unwrap();
    let floor = |index, ts| Command {
        lease_sequence: 1,
        max_lease_index: index,
        write_ts: 0,
        kind: Some(CommandKind::SetFloor(ts)),
    };
    world.apply(floor(1, 150)).unwrap();
    world.apply(floor(2, 120)).unwrap();
    assert_eq!(world.put(1, 3, 150, b"\x03a"), Err(Rejection::Floor));
    assert_eq!(world.put(1, 4, 151, b"\x03a"), applied());
}

#[test]
fn a_split_hands_lease_and_floor_to_the_right_and_voids_evaluations_that_raced_it() {
    let mut world = World::new();
    world.lease(None, lease(1, 1, 100, 200)).unwrap();
    let old = world.machine.descriptor.clone();
    let left = RangeDescriptor {
        end: Bytes::from_static(b"\x03m"),
        generation: old.generation + 1,
        ..old.clone()
    };
    let right = RangeDescriptor {
        range_id: 100,
        start: Bytes::from_static(b"\x03m"),
        generation: old.generation + 1,
        ..old
    };
    let split = Command {
        lease_sequence: 1,
        max_lease_index: 1,
        write_ts: 0,
        kind: Some(CommandKind::Split(Split { left: left.clone(), right: right.clone() })),
    };
    let machine = world.apply(split.clone()).unwrap().created.expect("it is split");
    assert_eq!(machine.descriptor, right);
    assert_eq!(machine.lease, world.machine.lease);
    assert_eq!(machine.applied.index, INITIAL_INDEX);
    assert_eq!(world.machine.descriptor, left);
    assert_eq!(world.put(1, 2, 150, b"\x03x"), Err(Rejection::Bounds));
    assert_eq!(world.put(1, 3, 150, b"\x03a"), applied());
    // The same split again does not fit the bounds any more.
    let again = Command { max_lease_index: 4, ..split };
    assert_eq!(world.apply(again), Err(Rejection::Bounds));
}

#[test]
fn an_entry_of_an_unknown_version_stops_the_node() {
    let mut world = World::new();
    let entry =
        Entry { index: INITIAL_INDEX + 1, data: vec![9, 1, 2, 3].into(), ..Entry::default() };
    assert!(world.machine.apply(&entry, &mut world.batch).is_err());
}

#[test]
fn the_whole_state_survives_saving_and_loading() {
    use crate::engine::Engine;
    let disk = crate::sim::disk::SimDisk::new();
    let engine = crate::sim::engine::SimEngine::open(disk).unwrap();
    let mut world = World::new();
    world.lease(None, lease(1, 1, 100, 200)).unwrap();
    let ranges = initial_ranges(&[NodeId(1), NodeId(2), NodeId(3)]);
    let meta =
        RangeState::initial(ranges[0].clone(), None, Timestamp::ZERO).with_directory(100, &ranges);
    let mut batch = EngineBatch::default();
    meta.save(&mut batch);
    world.machine.save(&mut batch);
    engine.apply(batch).unwrap();
    let loaded = RangeState::load_all(&*engine.snapshot()).unwrap();
    assert_eq!(loaded, vec![meta, world.machine]);
}
