//! Faults, planned: what goes wrong in a test, and when. Pure data; a harness carries it out.
//!
//! Promised of every plan, whatever the seed:
//! - N1. Each fault is healed by its own later step, and every heal is at [`Limits::calm_from`] or before.
//! - N2. At any time a majority of the nodes is up and mutually connected, except during a loss of power of
//!   all nodes, which has no crash or cut beside it, and except in a majority ring: there every node sees a
//!   majority, no two the same, and again no crash or cut is beside it.
//! - N3. Any two clocks differ by at most three quarters of the maximum offset, because from four fifths on a node stops
//!   itself; but for a clock that goes beyond the whole of it on purpose, when all others are true.
//! - N4. From 60 seconds on there are at least five faults of at least three kinds.
//! - N5. At most one fault at a time concerns a node's clock, and at most one of each kind concerns all links.
//!
//! Crashes and cuts overlap with slow links, repeated messages and wrong clocks as chance has it.

mod fault;

use std::time::Duration;

use kv::ids::NodeId;

pub use fault::{Action, Fault, FaultKind, Step};

use crate::rng::SeedRng;

/// How far a plan may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Length of the whole test.
    pub duration: Duration,
    /// The part at the end without faults, in which progress is required.
    pub last_phase: Duration,
    /// The largest difference between two clocks that the cluster tolerates.
    pub max_offset: Duration,
}

impl Limits {
    /// The usual: a fifth of the test is calm at its end, and clocks may be half a second apart.
    pub fn new(duration: Duration) -> Self {
        Limits { duration, last_phase: duration / 5, max_offset: Duration::from_millis(500) }
    }

    /// When everything is healed.
    pub fn calm_from(&self) -> Duration {
        self.duration.saturating_sub(self.last_phase)
    }

    /// How far a clock may be from the true time, in microseconds: three eighths of the offset either way (N3).
    fn clock_bound_us(&self) -> i64 {
        (self.max_offset.as_micros() * 3 / 8) as i64
    }
}

/// The cluster gets this long to elect its first leaders.
const WARM_UP: Duration = Duration::from_secs(3);
/// A crashed or cut off node counts as away for this long after its return (N2).
const RECOVERY: Duration = Duration::from_millis(1500);
const SHORTEST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(8);
/// So many of 100 faults that cut a node off, and leave it running, last [`AGES`]: until all that it was promised for a
/// time is over (a lease on a schema, a transaction's heartbeat), while it goes on as if it were not.
const AGES_PERCENT: u64 = 55;
const AGES: [Duration; 2] = [Duration::from_secs(11), Duration::from_secs(14)];
/// Beyond the time after which a node whose disk gives no answer ends itself ([`kv::store::ENDED_AFTER`]).
const STALL_MAX: Duration = Duration::from_secs(20);
/// So many of 100 stalls may last that long.
const STALLS_PERCENT: u64 = 30;
/// The longest time of a clock that leaves the offset. Until it has, and what its node held then has ended by the true
/// time and not by that clock, some seven seconds pass: it is after that that a node which trusts such a clock does harm.
const OUT_OF_TIME: Duration = Duration::from_secs(14);
/// So many of 100 such clocks are behind: one ahead gives up early what it holds.
const BEHIND_PERCENT: u64 = 75;

/// A plan of faults over the time of a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultPlan {
    /// What to do when, in order.
    pub steps: Vec<Step>,
}

/// A fault with its time.
struct Booked {
    fault: Fault,
    heal: Duration,
}

impl FaultPlan {
    /// The plan that `rng` gives for these nodes.
    pub fn generate(rng: &SeedRng, nodes: &[NodeId], limits: &Limits) -> Self {
        let mut booked: Vec<Booked> = Vec::new();
        let mut steps = Vec::new();
        let mut deck: Vec<FaultKind> = Vec::new();
        let kinds = possible_kinds(nodes.len());
        let mut at = WARM_UP;
        loop {
            at += rng.duration_between(Duration::from_millis(500), Duration::from_secs(4));
            let room = limits.calm_from().saturating_sub(at);
            if room < SHORTEST {
                break;
            }
            booked.retain(|other| other.heal + RECOVERY > at);
            // Kinds are dealt like cards, so that a plan has many of them (N4).
            if deck.len() < kinds.len() {
                deck.extend(fresh_deck(rng, &kinds));
            }
            for place in 0..deck.len() {
                if room < shortest(deck[place]) {
                    continue;
                }
                let lasts = lasting(rng, deck[place]).min(room);
                let fault = draw(rng, deck[place], nodes, limits, lasts);
                if !fits(&fault, at, &booked, nodes.len()) {
                    continue;
                }
                deck.remove(place);
                let heal = at + lasts;
                steps.push(Step { at, action: Action::Inflict(fault.clone()) });
                steps.push(Step { at: heal, action: Action::Heal(fault.clone()) });
                booked.push(Booked { fault, heal });
                break;
            }
        }
        steps.sort_by_key(|step| step.at);
        FaultPlan { steps }
    }

    /// How many faults there are.
    pub fn faults(&self) -> usize {
        self.steps.iter().filter(|step| matches!(step.action, Action::Inflict(_))).count()
    }

    /// The kinds among them, each once.
    pub fn kinds(&self) -> Vec<FaultKind> {
        let mut kinds: Vec<FaultKind> =
            self.steps.iter().map(|step| step.action.fault().kind()).collect();
        kinds.sort_unstable();
        kinds.dedup();
        kinds
    }
}

/// Each kind once, but for two. A clock that leaves the offset is there twice: it does visible harm, where it can, only while
/// it is behind and its node holds what is read. Of the two stalls there is one: they are long, and keep others away. And of
/// the two ways to hand leases over: where one is handed over, nobody finds out what happens when one ends.
fn fresh_deck(rng: &SeedRng, kinds: &[FaultKind]) -> Vec<FaultKind> {
    let alternatives =
        [[FaultKind::EngineStall, FaultKind::DiskStall], [FaultKind::Drain, FaultKind::MoveLeases]];
    let absent = alternatives.map(|pair| *rng.pick(&pair));
    let mut deck: Vec<FaultKind> =
        kinds.iter().copied().filter(|kind| !absent.contains(kind)).collect();
    deck.extend(kinds.iter().filter(|kind| **kind == FaultKind::ClockBeyond));
    rng.shuffle(&mut deck);
    deck
}

fn lasting(rng: &SeedRng, kind: FaultKind) -> Duration {
    let longest = match kind {
        FaultKind::CrashAll => Duration::from_secs(3),
        FaultKind::ClockBeyond => OUT_OF_TIME,
        FaultKind::Isolate | FaultKind::Partition | FaultKind::Pause | FaultKind::BlackHole
            if rng.percent(AGES_PERCENT) =>
        {
            return rng.duration_between(AGES[0], AGES[1]);
        }
        FaultKind::EngineStall | FaultKind::DiskStall if rng.percent(STALLS_PERCENT) => STALL_MAX,
        _ => LONGEST,
    };
    rng.duration_between(shortest(kind), longest)
}

fn shortest(kind: FaultKind) -> Duration {
    match kind {
        // Within half of it every clock gets beyond the offset.
        FaultKind::ClockBeyond => OUT_OF_TIME / 2,
        _ => SHORTEST,
    }
}

/// The kinds that exist in a cluster of this size.
fn possible_kinds(nodes: usize) -> Vec<FaultKind> {
    let exists = |kind: &FaultKind| match kind {
        FaultKind::CrashAll | FaultKind::ClockOffset | FaultKind::ClockRate => nodes > 0,
        FaultKind::SlowLinks | FaultKind::DuplicateAndReorder | FaultKind::MoveLeases => nodes > 1,
        _ => minority(nodes) > 0,
    };
    FaultKind::ALL.into_iter().filter(exists).collect()
}

/// A fault of this kind, which exists in a cluster of this size.
fn draw(
    rng: &SeedRng,
    kind: FaultKind,
    nodes: &[NodeId],
    limits: &Limits,
    lasts: Duration,
) -> Fault {
    let mut shuffled = nodes.to_vec();
    rng.shuffle(&mut shuffled);
    let node = shuffled[0];
    let signed = |bound: u64| {
        let size = rng.between(bound / 4, bound) as i64;
        if rng.percent(50) { size } else { -size }
    };
    let bound_us = limits.clock_bound_us() as u64;
    match kind {
        FaultKind::Crash => Fault::Crash(node),
        FaultKind::CrashAll => Fault::CrashAll,
        FaultKind::Isolate => Fault::Isolate(node),
        FaultKind::CutOneWay => Fault::CutOneWay { from: shuffled[1], to: node },
        FaultKind::Partition => {
            let size = rng.between(1, minority(nodes.len()) as u64) as usize;
            Fault::Partition { minority: shuffled[..size].to_vec() }
        }
        FaultKind::MajorityRing => Fault::MajorityRing { ring: shuffled },
        FaultKind::SlowLinks => Fault::SlowLinks { factor: rng.between(2, 20) as u32 },
        FaultKind::DuplicateAndReorder => Fault::DuplicateAndReorder {
            duplicate_percent: rng.between(5, 40) as u32,
            reorder_percent: rng.between(5, 40) as u32,
        },
        FaultKind::ClockOffset => Fault::ClockOffset { node, offset_us: signed(bound_us) },
        FaultKind::ClockRate => {
            // The clock gains or loses rate times time; at the end it must still be within the bound (N3).
            let allowed = bound_us.saturating_mul(1_000_000) / (lasts.as_micros() as u64).max(1);
            Fault::ClockRate { node, drift_ppm: signed(allowed.min(20_000)) }
        }
        FaultKind::ClockBeyond => {
            let size = rng.between(200_000, 400_000) as i64;
            let drift_ppm = if rng.percent(BEHIND_PERCENT) { -size } else { size };
            Fault::ClockBeyond { node, drift_ppm }
        }
        FaultKind::Pause => Fault::Pause(node),
        FaultKind::BlackHole => Fault::BlackHole(node),
        FaultKind::DiskFull => Fault::DiskFull(node),
        FaultKind::DiskRot => Fault::DiskRot(node),
        FaultKind::EngineStall => Fault::EngineStall(node),
        FaultKind::DiskStall => Fault::DiskStall(node),
        FaultKind::Drain => Fault::Drain(node),
        FaultKind::MoveLeases => Fault::MoveLeases,
    }
}

fn fits(fault: &Fault, at: Duration, booked: &[Booked], nodes: usize) -> bool {
    let mut away: Vec<NodeId> = fault.away().to_vec();
    for Booked { fault: other, heal } in booked {
        // A node's recovery is part of its absence; links and clocks are well again at once.
        if fault.blocks() && other.blocks() {
            if fault.is_exclusive() || other.is_exclusive() {
                return false;
            }
            // Nothing is done twice to a node, nor to a link: the first heal would undo both.
            if fault.involved().iter().any(|node| other.involved().contains(node)) {
                return false;
            }
            away.extend(other.away());
        }
        let clocks = fault.clock_of().is_some() && other.clock_of().is_some();
        let exact = fault.needs_true_clocks() || other.needs_true_clocks();
        let same_clock = clocks && (exact || fault.clock_of() == other.clock_of());
        let same_links =
            !fault.blocks() && fault.clock_of().is_none() && fault.kind() == other.kind();
        if (same_clock || same_links) && *heal >= at {
            return false;
        }
    }
    away.sort_unstable();
    away.dedup();
    fault.is_exclusive() || away.len() <= minority(nodes)
}

/// The largest number of nodes whose absence leaves a majority.
fn minority(nodes: usize) -> usize {
    nodes.saturating_sub(1) / 2
}

#[cfg(test)]
mod tests;
