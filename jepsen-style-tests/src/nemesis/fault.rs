//! The kinds of faults.

use std::time::Duration;

use kv::ids::NodeId;

use crate::value::Value;

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultKind {
    /// See [`Fault::Crash`].
    Crash,
    /// See [`Fault::CrashAll`].
    CrashAll,
    /// See [`Fault::Isolate`].
    Isolate,
    /// See [`Fault::CutOneWay`].
    CutOneWay,
    /// See [`Fault::Partition`].
    Partition,
    /// See [`Fault::MajorityRing`].
    MajorityRing,
    /// See [`Fault::SlowLinks`].
    SlowLinks,
    /// See [`Fault::DuplicateAndReorder`].
    DuplicateAndReorder,
    /// See [`Fault::ClockOffset`].
    ClockOffset,
    /// See [`Fault::ClockRate`].
    ClockRate,
    /// See [`Fault::ClockBeyond`].
    ClockBeyond,
    /// See [`Fault::Pause`].
    Pause,
    /// See [`Fault::BlackHole`].
    BlackHole,
    /// See [`Fault::DiskFull`].
    DiskFull,
    /// See [`Fault::DiskRot`].
    DiskRot,
    /// See [`Fault::EngineStall`].
    EngineStall,
    /// See [`Fault::DiskStall`].
    DiskStall,
    /// See [`Fault::Drain`].
    Drain,
    /// See [`Fault::MoveLeases`].
    MoveLeases,
}

impl FaultKind {
    /// Every kind.
    pub const ALL: [FaultKind; 19] = [
        FaultKind::Crash,
        FaultKind::CrashAll,
        FaultKind::Isolate,
        FaultKind::CutOneWay,
        FaultKind::Partition,
        FaultKind::MajorityRing,
        FaultKind::SlowLinks,
        FaultKind::DuplicateAndReorder,
        FaultKind::ClockOffset,
        FaultKind::ClockRate,
        FaultKind::ClockBeyond,
        FaultKind::Pause,
        FaultKind::BlackHole,
        FaultKind::DiskFull,
        FaultKind::DiskRot,
        FaultKind::EngineStall,
        FaultKind::DiskStall,
        FaultKind::Drain,
        FaultKind::MoveLeases,
    ];

    /// The name in histories and reports.
    pub fn name(self) -> &'static str {
        match self {
            FaultKind::Crash => "crash",
            FaultKind::CrashAll => "crash-all",
            FaultKind::Isolate => "isolate",
            FaultKind::CutOneWay => "cut-one-way",
            FaultKind::Partition => "partition",
            FaultKind::MajorityRing => "majority-ring",
            FaultKind::SlowLinks => "slow-links",
            FaultKind::DuplicateAndReorder => "duplicate-and-reorder",
            FaultKind::ClockOffset => "clock-offset",
            FaultKind::ClockRate => "clock-rate",
            FaultKind::ClockBeyond => "clock-beyond",
            FaultKind::Pause => "pause",
            FaultKind::BlackHole => "black-hole",
            FaultKind::DiskFull => "disk-full",
            FaultKind::DiskRot => "disk-rot",
            FaultKind::EngineStall => "engine-stall",
            FaultKind::DiskStall => "disk-stall",
            FaultKind::Drain => "drain",
            FaultKind::MoveLeases => "move-leases",
        }
    }
}

/// Something that goes wrong until it is healed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The node loses power: its tasks and what it had not synced. Healed by a restart.
    Crash(NodeId),
    /// Every node loses power at the same moment. Healed by restarting all.
    CrashAll,
    /// No message passes between this node and any other.
    Isolate(NodeId),
    /// Messages pass only in the other direction.
    CutOneWay {
        /// Whose messages are lost.
        from: NodeId,
        /// Who misses them.
        to: NodeId,
    },
    /// No message passes between these nodes and the rest, which is a majority.
    Partition {
        /// The smaller side.
        minority: Vec<NodeId>,
    },
    /// Every node sees a majority, but no two the same: each reaches only its neighbours in the ring. Of three
    /// nodes the first and the last do not see each other.
    MajorityRing {
        /// All nodes.
        ring: Vec<NodeId>,
    },
    /// Every delay between nodes is multiplied.
    SlowLinks {
        /// By this.
        factor: u32,
    },
    /// Messages between nodes arrive twice, or late.
    DuplicateAndReorder {
        /// How many of 100 are repeated.
        duplicate_percent: u32,
        /// How many of 100 are held back behind later ones.
        reorder_percent: u32,
    },
    /// The node's clock jumps to this distance from the true time. Healed by a jump back to the true time.
    ClockOffset {
        /// Whose clock.
        node: NodeId,
        /// Microseconds; negative is behind.
        offset_us: i64,
    },
    /// The node's clock, timers included, gains this many microseconds per second, from the true time on. Healed by
    /// its old rate and a jump back to the true time.
    ClockRate {
        /// Whose clock.
        node: NodeId,
        /// From -20,000 (rate 0.98) to 20,000 (rate 1.02).
        drift_ppm: i64,
    },
    /// As [`Fault::ClockRate`], until the clock is beyond the maximum offset: the node has to stop itself, and the others
    /// go on. Healed by a restart with the true time.
    ClockBeyond {
        /// Whose clock.
        node: NodeId,
        /// From -400,000 to -200,000, or from 200,000 to 400,000.
        drift_ppm: i64,
    },
    /// The node's tasks stand still, as after SIGSTOP, while its clocks go on and messages to it queue up.
    Pause(NodeId),
    /// No message passes between this node and any other, and nothing says so: connections stay open.
    BlackHole(NodeId),
    /// The node's disk takes no further byte: the node has to stop itself. Healed by room on the disk and a restart.
    DiskFull(NodeId),
    /// What the node reads from its engine fails its checksum: the node has to stop itself. Healed by a good disk and a
    /// restart.
    DiskRot(NodeId),
    /// The writes of the node's engine do not end, and those of its log do. Beyond its patience the node has to stop
    /// itself. Healed by an engine that goes on, and by a restart if the node has stopped.
    EngineStall(NodeId),
    /// Nothing that the node writes comes to an end. The rest as for [`Fault::EngineStall`].
    DiskStall(NodeId),
    /// The node is told to end: it gives its leases to others, and ends. Healed by a restart.
    Drain(NodeId),
    /// Leases are handed over at random, again and again.
    MoveLeases,
}

impl Fault {
    /// The kind.
    pub fn kind(&self) -> FaultKind {
        match self {
            Fault::Crash(_) => FaultKind::Crash,
            Fault::CrashAll => FaultKind::CrashAll,
            Fault::Isolate(_) => FaultKind::Isolate,
            Fault::CutOneWay { .. } => FaultKind::CutOneWay,
            Fault::Partition { .. } => FaultKind::Partition,
            Fault::MajorityRing { .. } => FaultKind::MajorityRing,
            Fault::SlowLinks { .. } => FaultKind::SlowLinks,
            Fault::DuplicateAndReorder { .. } => FaultKind::DuplicateAndReorder,
            Fault::ClockOffset { .. } => FaultKind::ClockOffset,
            Fault::ClockRate { .. } => FaultKind::ClockRate,
            Fault::ClockBeyond { .. } => FaultKind::ClockBeyond,
            Fault::Pause(_) => FaultKind::Pause,
            Fault::BlackHole(_) => FaultKind::BlackHole,
            Fault::DiskFull(_) => FaultKind::DiskFull,
            Fault::DiskRot(_) => FaultKind::DiskRot,
            Fault::EngineStall(_) => FaultKind::EngineStall,
            Fault::DiskStall(_) => FaultKind::DiskStall,
            Fault::Drain(_) => FaultKind::Drain,
            Fault::MoveLeases => FaultKind::MoveLeases,
        }
    }

    /// Every directed link that the fault cuts in a cluster of these nodes.
    ///
    /// HAZARD: two faults at once may cut the same link; it is open again when both are healed. Count, or compute the
    /// cuts anew from the faults that are active.
    pub fn cut_links(&self, nodes: &[NodeId]) -> Vec<(NodeId, NodeId)> {
        let cut = |from: NodeId, to: NodeId| match self {
            Fault::Isolate(node) | Fault::BlackHole(node) => from == *node || to == *node,
            Fault::CutOneWay { from: f, to: t } => (from, to) == (*f, *t),
            Fault::Partition { minority } => minority.contains(&from) != minority.contains(&to),
            Fault::MajorityRing { ring } => !are_neighbours(ring, from, to),
            _ => false,
        };
        let from_to = nodes.iter().flat_map(|from| nodes.iter().map(|to| (*from, *to)));
        from_to.filter(|(from, to)| from != to && cut(*from, *to)).collect()
    }

    /// The nodes without which all others are up and connected to each other.
    pub(super) fn away(&self) -> &[NodeId] {
        match self {
            Fault::Crash(node)
            | Fault::Isolate(node)
            | Fault::CutOneWay { to: node, .. }
            | Fault::ClockBeyond { node, .. }
            | Fault::Pause(node)
            | Fault::BlackHole(node)
            | Fault::DiskFull(node)
            | Fault::DiskRot(node)
            | Fault::EngineStall(node)
            | Fault::DiskStall(node)
            | Fault::Drain(node) => std::slice::from_ref(node),
            Fault::Partition { minority } => minority,
            _ => &[],
        }
    }

    /// The nodes to which the fault does something of its own.
    pub(super) fn involved(&self) -> Vec<NodeId> {
        match self {
            Fault::CutOneWay { from, to } => vec![*from, *to],
            other => other.away().to_vec(),
        }
    }

    /// True iff nodes are down, or links cut.
    pub(super) fn blocks(&self) -> bool {
        !matches!(
            self,
            Fault::SlowLinks { .. }
                | Fault::DuplicateAndReorder { .. }
                | Fault::ClockOffset { .. }
                | Fault::ClockRate { .. }
                | Fault::MoveLeases
        )
    }

    /// True iff the node must stop itself for it.
    pub fn stops(&self) -> bool {
        matches!(self, Fault::ClockBeyond { .. } | Fault::DiskFull(_) | Fault::DiskRot(_))
    }

    /// True iff the fault leaves no room for another wrong clock: what is beyond the offset of two clocks that are
    /// within it may agree with neither, or seem to.
    pub(super) fn needs_true_clocks(&self) -> bool {
        matches!(self, Fault::ClockBeyond { .. })
    }

    /// True iff no other crash or cut may be at the same time.
    pub(super) fn is_exclusive(&self) -> bool {
        matches!(self, Fault::CrashAll | Fault::MajorityRing { .. })
    }

    /// Whose clock is wrong.
    pub(super) fn clock_of(&self) -> Option<NodeId> {
        match self {
            Fault::ClockOffset { node, .. }
            | Fault::ClockRate { node, .. }
            | Fault::ClockBeyond { node, .. } => Some(*node),
            _ => None,
        }
    }

    /// The fault as the value of a nemesis's operation.
    pub fn value(&self) -> Value {
        let node = |node: &NodeId| Value::from(node.0);
        match self {
            Fault::Crash(n)
            | Fault::Isolate(n)
            | Fault::Pause(n)
            | Fault::BlackHole(n)
            | Fault::DiskFull(n)
            | Fault::DiskRot(n)
            | Fault::EngineStall(n)
            | Fault::DiskStall(n)
            | Fault::Drain(n) => node(n),
            Fault::CrashAll | Fault::MoveLeases => Value::Nil,
            Fault::CutOneWay { from, to } => Value::List(vec![node(from), node(to)]),
            Fault::Partition { minority: nodes } | Fault::MajorityRing { ring: nodes } => {
                Value::List(nodes.iter().map(node).collect())
            }
            Fault::SlowLinks { factor } => Value::Int(i64::from(*factor)),
            Fault::DuplicateAndReorder { duplicate_percent, reorder_percent } => {
                let percent = |number: &u32| Value::Int(i64::from(*number));
                Value::List(vec![percent(duplicate_percent), percent(reorder_percent)])
            }
            Fault::ClockOffset { node: n, offset_us: number }
            | Fault::ClockRate { node: n, drift_ppm: number }
            | Fault::ClockBeyond { node: n, drift_ppm: number } => {
                Value::List(vec![node(n), Value::Int(*number)])
            }
        }
    }
}

/// A node reaches as many on either side as make a majority with it, but never all.
fn are_neighbours(ring: &[NodeId], one: NodeId, other: NodeId) -> bool {
    let place = |node| ring.iter().position(|n| *n == node);
    let (Some(one), Some(other)) = (place(one), place(other)) else { return true };
    let apart = one.abs_diff(other);
    if ring.len() <= 3 {
        return apart < 2;
    }
    // A majority is the node itself and half of the ring, rounded down.
    let reach = (ring.len() / 2).div_ceil(2);
    apart.min(ring.len() - apart) <= reach
}

/// One thing that a nemesis does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// The fault begins.
    Inflict(Fault),
    /// It ends.
    Heal(Fault),
}

impl Action {
    /// What begins or ends.
    pub fn fault(&self) -> &Fault {
        match self {
            Action::Inflict(fault) | Action::Heal(fault) => fault,
        }
    }
}

/// An action with its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Since the start of the test, in true time.
    pub at: Duration,
    /// What to do.
    pub action: Action,
}
