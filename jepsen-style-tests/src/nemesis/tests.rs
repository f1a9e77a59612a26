//! Every promise of the plan, over a thousand seeds and clusters of one to seven nodes.

use std::collections::BTreeMap;

use super::*;

fn nodes(count: u64) -> Vec<NodeId> {
    (1..=count).map(NodeId).collect()
}

fn plan(seed: u64, count: u64, limits: &Limits) -> FaultPlan {
    FaultPlan::generate(&SeedRng::stream(seed, "nemesis", 0), &nodes(count), limits)
}

/// Calls `look` with the faults that are active after each moment of the plan.
fn replay(plan: &FaultPlan, mut look: impl FnMut(Duration, &[(Duration, Fault)])) {
    let mut active: Vec<(Duration, Fault)> = Vec::new();
    for (place, Step { at, action }) in plan.steps.iter().enumerate() {
        match action {
            Action::Inflict(fault) => {
                assert!(active.iter().all(|(_, other)| other != fault), "twice the same at once");
                active.push((*at, fault.clone()));
            }
            Action::Heal(fault) => {
                let place = active.iter().position(|(_, other)| other == fault);
                active.remove(place.expect("only what began ends"));
            }
        }
        if plan.steps.get(place + 1).is_none_or(|next| next.at > *at) {
            look(*at, &active);
        }
    }
    assert!(active.is_empty(), "N1: everything heals");
}

fn for_all(mut check: impl FnMut(u64, &[NodeId], &Limits, &FaultPlan)) {
    for seed in 0..1_000 {
        let count = [1, 2, 3, 3, 4, 5, 5, 6, 7][seed as usize % 9];
        let mut limits = Limits::new(Duration::from_secs(60 + seed % 3 * 30));
        limits.max_offset = Duration::from_millis([500, 250, 50][seed as usize / 3 % 3]);
        check(seed, &nodes(count), &limits, &plan(seed, count, &limits));
    }
}

#[test]
fn the_seed_decides_the_plan() {
    let limits = Limits::new(Duration::from_secs(60));
    assert_eq!(plan(1, 3, &limits), plan(1, 3, &limits));
    assert_ne!(plan(1, 3, &limits), plan(2, 3, &limits));
}

#[test]
fn everything_is_ordered_and_healed_before_the_last_phase() {
    for_all(|seed, _, limits, plan| {
        assert!(plan.steps.is_sorted_by_key(|step| step.at), "seed {seed}");
        assert!(plan.steps.iter().all(|step| step.at <= limits.calm_from()), "seed {seed}: N1");
        assert!(plan.steps.iter().all(|step| step.at >= WARM_UP), "seed {seed}");
        replay(plan, |_, _| {});
    });
}

#[test]
fn there_are_enough_faults_of_enough_kinds() {
    let mut seen: BTreeMap<FaultKind, u64> = BTreeMap::new();
    for_all(|seed, nodes, _, plan| {
        assert!(plan.faults() >= 5 && plan.kinds().len() >= 3, "seed {seed}: N4: {plan:?}");
        if nodes.len() >= 3 {
            plan.kinds().iter().for_each(|kind| *seen.entry(*kind).or_default() += 1);
        }
    });
    assert_eq!(seen.len(), FaultKind::ALL.len());
    assert!(seen.values().all(|plans| *plans > 300), "no kind is rare: {seen:?}");
}

#[test]
fn long_plans_do_not_run_dry() {
    for count in 1..=7 {
        let plan = plan(9, count, &Limits::new(Duration::from_secs(3_600)));
        let late = plan.steps.iter().filter(|step| step.at > Duration::from_secs(2_000)).count();
        assert!(plan.faults() > 350 && late > 150, "{count} nodes: {}", plan.faults());
    }
}

/// The largest set of nodes that are up and see each other both ways.
fn largest_clique(nodes: &[NodeId], active: &[(Duration, Fault)]) -> usize {
    let cuts: Vec<_> = active.iter().flat_map(|(_, fault)| fault.cut_links(nodes)).collect();
    let down = |node: NodeId| {
        active.iter().any(|(_, f)| *f == Fault::Crash(node) || *f == Fault::CrashAll)
    };
    let sees = |a: NodeId, b: NodeId| !cuts.contains(&(a, b)) && !cuts.contains(&(b, a));
    let sets = 0..1u32 << nodes.len();
    let clique = |set: &u32| {
        let members: Vec<NodeId> =
            (0..nodes.len()).filter(|n| set & (1 << n) != 0).map(|n| nodes[n]).collect();
        members.iter().all(|a| !down(*a) && members.iter().all(|b| a == b || sees(*a, *b)))
    };
    sets.filter(clique).map(u32::count_ones).max().expect("the empty set is one") as usize
}

#[test]
fn a_majority_is_up_and_connected_except_where_the_plan_says_so() {
    for_all(|seed, nodes, _, plan| {
        replay(plan, |at, active| {
            let blocking: Vec<_> = active.iter().filter(|(_, fault)| fault.blocks()).collect();
            if blocking.iter().any(|(_, fault)| fault.is_exclusive()) {
                assert_eq!(blocking.len(), 1, "seed {seed} at {at:?}: N2");
            } else {
                let majority = nodes.len() / 2 + 1;
                assert!(largest_clique(nodes, active) >= majority, "seed {seed} at {at:?}: N2");
            }
        });
    });
}

#[test]
fn in_a_ring_every_node_sees_a_majority_and_no_two_the_same() {
    for count in 3..=9 {
        let ring = nodes(count);
        let cuts = Fault::MajorityRing { ring: ring.clone() }.cut_links(&ring);
        let view = |node: NodeId| -> Vec<NodeId> {
            ring.iter().copied().filter(|other| !cuts.contains(&(node, *other))).collect()
        };
        let mut views: Vec<_> = ring.iter().map(|node| view(*node)).collect();
        assert!(views.iter().all(|view| view.len() > ring.len() / 2), "{count} nodes");
        views.sort();
        views.dedup();
        assert_eq!(views.len(), ring.len(), "{count} nodes");
        assert!(cuts.iter().all(|(from, to)| cuts.contains(&(*to, *from))));
    }
}

#[test]
fn clocks_stay_within_three_quarters_of_the_maximum_offset_or_go_beyond_all_of_it() {
    let mut widest = 0;
    for_all(|seed, nodes, limits, plan| {
        let bound = (limits.max_offset.as_micros() * 3 / 4) as i64;
        let offset = |node: NodeId, at: Duration, active: &[(Duration, Fault)]| {
            let wrong = active.iter().filter(|(_, fault)| fault.clock_of() == Some(node));
            let offsets = wrong.map(|(since, fault)| match fault {
                Fault::ClockOffset { offset_us, .. } => *offset_us,
                Fault::ClockRate { drift_ppm, .. } => {
                    assert!(drift_ppm.abs() <= 20_000);
                    drift_ppm * (at - *since).as_micros() as i64 / 1_000_000
                }
                _ => 0,
            });
            let offsets: Vec<i64> = offsets.collect();
            assert!(offsets.len() <= 1, "seed {seed}: N5");
            offsets.first().copied().unwrap_or(0)
        };
        // Offsets are straight lines between the steps: look at both ends of each line.
        let mut before: Vec<(Duration, Fault)> = Vec::new();
        replay(plan, |at, active| {
            for faults in [&before[..], active] {
                let all: Vec<i64> = nodes.iter().map(|node| offset(*node, at, faults)).collect();
                let (low, high) = (all.iter().min(), all.iter().max());
                let apart = high.zip(low).map_or(0, |(high, low)| high - low);
                assert!(apart <= bound, "seed {seed} at {at:?}: N3: {apart}");
                widest = widest.max(apart * 100 / bound);
            }
            before = active.to_vec();
        });
        for step in &plan.steps {
            if let Action::Heal(fault @ Fault::ClockBeyond { drift_ppm, .. }) = &step.action {
                let begun = plan.steps.iter().rfind(|other| {
                    other.at < step.at && other.action == Action::Inflict(fault.clone())
                });
                let lasts = step.at - begun.expect("healed after it was inflicted").at;
                let off = drift_ppm.unsigned_abs() as u128 * lasts.as_micros() / 1_000_000;
                assert!(off > 500_000, "seed {seed}: only {off} microseconds in {lasts:?}");
            }
        }
    });
    assert!(widest > 80, "the bound is nearly used: {widest} %");
}
