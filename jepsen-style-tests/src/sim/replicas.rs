//! All replicas of a range hold the same bytes at the same applied index.

use std::collections::BTreeMap;

use bytes::Bytes;
use kv::engine::{Engine, EngineSnapshot};
use kv::ids::RangeId;
use kv::keys::{self, Space};
use kv::range::machine::RangeMachine;

use crate::sim::cluster::{Cluster, NODES};

/// A replica's applied index and everything that it holds.
type Contents = (u64, Vec<(Bytes, Bytes)>);

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
            .filter_map(|node| Some((node, contents(&*cluster.engine(node)?.snapshot()))))
            .collect();
        let Some((first, rest)) = replicas.split_first() else { return found };
        for (range, (index, expected)) in &first.1 {
            let done = self.compared.entry(*range).or_insert(false);
            let at_one_index = rest.len() + 1 == NODES.len()
                && rest.iter().all(|(_, other)| other.get(range).is_some_and(|o| o.0 == *index));
            if *done || !at_one_index {
                continue;
            }
            *done = true;
            for (node, other) in rest {
                if other[range].1 != *expected {
                    found.push(format!(
                        "{range} differs between {} and {node} at index {index}",
                        first.0
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

fn contents(snapshot: &dyn EngineSnapshot) -> BTreeMap<RangeId, Contents> {
    let machines = RangeMachine::load_all(snapshot).expect("a running node's engine is readable");
    machines
        .into_iter()
        .map(|machine| {
            let range = machine.descriptor.id();
            let (start, end) = (&machine.descriptor.start, &machine.descriptor.end);
            let mut spans = vec![keys::range_id_span(range)];
            spans.extend(Space::KEYED.map(|space| keys::engine_span(space, start, end)));
            let entries = spans
                .into_iter()
                .flat_map(|span| snapshot.scan(span))
                .collect::<Result<Vec<_>, _>>()
                .expect("a running node's engine is readable");
            (range, (machine.applied.index, entries))
        })
        .collect()
}
