//! All replicas of a range hold the same bytes at the same applied index.

use std::collections::BTreeMap;

use bytes::Bytes;
use kv::engine::{Engine, EngineSnapshot};
use kv::ids::RangeId;
use kv::keys::{self, Space};
use kv::range::state::RangeState;

use crate::sim::cluster::{Cluster, NODES};

/// What has been compared so far.
#[derive(Default)]
pub(super) struct ReplicaCheck {
    compared: BTreeMap<RangeId, bool>,
}

impl ReplicaCheck {
    /// Compares the ranges whose replicas stand at one index now, and were not compared yet. Returns the
    /// differences found; a range that never stands still shows in [`ReplicaCheck::missing`].
    pub(super) fn compare(&mut self, cluster: &Cluster) -> Vec<String> {
        let mut found = Vec::new();
        let replicas: Vec<_> = NODES
            .into_iter()
            .filter_map(|node| {
                let snapshot = cluster.engine(node)?.snapshot();
                Some((node, machines(&*snapshot), snapshot))
            })
            .collect();
        let Some(((first, ranges, snapshot), rest)) = replicas.split_first() else { return found };
        for (range, machine) in ranges {
            let done = self.compared.entry(*range).or_insert(false);
            let index = machine.applied.index;
            let at_one_index = rest.len() + 1 == NODES.len()
                && rest.iter().all(|(_, other, _)| {
                    other.get(range).is_some_and(|other| other.applied.index == index)
                });
            if *done || !at_one_index {
                continue;
            }
            *done = true;
            // Only now: everything that a range holds is too much to read at every look.
            let expected = contents(&**snapshot, machine);
            for (node, others, snapshot) in rest {
                if contents(&**snapshot, &others[range]) != expected {
                    found.push(format!(
                        "{range} differs between {first} and {node} at index {index}"
                    ));
                }
            }
        }
        found
    }

    /// Ranges that have not been compared.
    pub(super) fn missing(&self) -> Vec<RangeId> {
        self.compared.iter().filter(|(_, done)| !**done).map(|(range, _)| *range).collect()
    }
}

fn machines(snapshot: &dyn EngineSnapshot) -> BTreeMap<RangeId, RangeState> {
    let machines = RangeState::load_all(snapshot).expect("a running node's engine is readable");
    machines.into_iter().map(|machine| (machine.descriptor.id(), machine)).collect()
}

/// Everything that a replica holds.
fn contents(snapshot: &dyn EngineSnapshot, machine: &RangeState) -> Vec<(Bytes, Bytes)> {
    let (start, end) = (&machine.descriptor.start, &machine.descriptor.end);
    let mut spans = vec![keys::range_id_span(machine.descriptor.id())];
    spans.extend(Space::KEYED.map(|space| keys::engine_span(space, start, end)));
    spans
        .into_iter()
        .flat_map(|span| snapshot.scan(span))
        .collect::<Result<Vec<_>, _>>()
        .expect("a running node's engine is readable")
}
