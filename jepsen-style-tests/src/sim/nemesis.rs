//! The nemesis: carries out a plan of faults, step by step.

use std::rc::Rc;
use std::time::Duration;

use kv::ids::NodeId;
use kv::sim::disk::Stall;
use node::sim::{LinkProfile, RATE_TRUE_PPM};
use tokio::time::Instant;

use crate::nemesis::{Action, Fault, FaultPlan};
use crate::sim::cluster::{Cluster, NODES};

/// How often somebody looks whether a node has stopped itself: as often as a real process does.
const FAILURE_POLL: Duration = Duration::from_millis(100);

/// The faults in force, from which links and profiles are computed anew after every step.
#[derive(Default)]
struct InForce(Vec<Fault>);

/// Carries out the whole plan. `note` hears of every step: its time, its name, its fault.
pub(super) async fn run(
    cluster: Rc<Cluster>,
    plan: FaultPlan,
    start: Instant,
    note: impl Fn(Duration, &'static str, &Fault),
) {
    let mut in_force = InForce::default();
    for step in plan.steps {
        while Instant::now() < start + step.at {
            let soon = Instant::now() + FAILURE_POLL;
            tokio::time::sleep_until(soon.min(start + step.at)).await;
            cluster.end_failed().await;
            if in_force.0.contains(&Fault::MoveLeases) {
                NODES.iter().for_each(|node| cluster.move_a_lease(*node));
            }
        }
        match &step.action {
            Action::Inflict(fault) => {
                note(start.elapsed(), "inflict", fault);
                in_force.0.push(fault.clone());
                inflict(&cluster, fault).await;
            }
            Action::Heal(fault) => {
                note(start.elapsed(), "heal", fault);
                in_force.0.retain(|other| other != fault);
                heal(&cluster, fault).await;
            }
        }
        in_force.shape_network(&cluster);
    }
}

async fn inflict(cluster: &Cluster, fault: &Fault) {
    match fault {
        Fault::Crash(node) => cluster.crash(*node).await,
        Fault::CrashAll => {
            for node in NODES {
                cluster.crash(node).await;
            }
        }
        Fault::ClockOffset { node, offset_us } => {
            // From the true time: the node's own may have been left elsewhere by an earlier rate.
            cluster.set_clock_error(*node, offset_us / 1_000);
        }
        Fault::ClockRate { node, drift_ppm } => {
            let rate = RATE_TRUE_PPM.saturating_add_signed(*drift_ppm);
            cluster.time(*node).set_rate_ppm(rate);
        }
        Fault::ClockBeyond { node, drift_ppm } => {
            cluster.set_failing(*node, true);
            let rate = RATE_TRUE_PPM.saturating_add_signed(*drift_ppm);
            cluster.time(*node).set_rate_ppm(rate);
        }
        Fault::Pause(node) => {
            if let Some((_, scope)) = cluster.node(*node) {
                scope.pause();
            }
        }
        Fault::DiskFull(node) => {
            cluster.set_failing(*node, true);
            cluster.disk(*node).set_full(true);
        }
        Fault::DiskRot(node) => {
            cluster.set_failing(*node, true);
            cluster.disk(*node).set_rotten(true);
        }
        Fault::EngineStall(node) => {
            cluster.set_failing(*node, true);
            cluster.disk(*node).set_stalled(Some(Stall::Engine));
        }
        Fault::DiskStall(node) => {
            cluster.set_failing(*node, true);
            cluster.disk(*node).set_stalled(Some(Stall::All));
        }
        Fault::Drain(node) => cluster.drain(*node),
        // The rest is the network's.
        _ => {}
    }
}

/// Starts a node anew that was made to stop itself, whether or not it has.
async fn restart(cluster: &Cluster, node: NodeId) {
    cluster.crash(node).await;
    cluster.set_failing(node, false);
    cluster.restart(node);
}

async fn heal(cluster: &Cluster, fault: &Fault) {
    match fault {
        Fault::Crash(node) => cluster.restart(*node),
        Fault::Drain(node) => {
            // What it is not rid of by now, others have to wait for.
            cluster.crash(*node).await;
            cluster.restart(*node);
        }
        Fault::CrashAll => NODES.into_iter().for_each(|node| cluster.restart(node)),
        Fault::ClockOffset { node, .. } => cluster.set_clock_error(*node, 0),
        Fault::ClockRate { node, .. } => {
            cluster.time(*node).set_rate_ppm(RATE_TRUE_PPM);
            cluster.set_clock_error(*node, 0);
        }
        Fault::ClockBeyond { node, .. } => {
            cluster.expect_stopped(*node);
            cluster.crash(*node).await;
            cluster.time(*node).set_rate_ppm(RATE_TRUE_PPM);
            cluster.set_clock_error(*node, 0);
            restart(cluster, *node).await;
        }
        Fault::Pause(node) => {
            if let Some((_, scope)) = cluster.node(*node) {
                scope.resume();
            }
        }
        Fault::DiskFull(node) => {
            cluster.disk(*node).set_full(false);
            restart(cluster, *node).await;
        }
        Fault::DiskRot(node) => {
            cluster.disk(*node).set_rotten(false);
            restart(cluster, *node).await;
        }
        Fault::EngineStall(node) | Fault::DiskStall(node) => {
            cluster.disk(*node).set_stalled(None);
            // What it ended for is over; what it did not end for is forgiven.
            cluster.end_failed().await;
            cluster.set_failing(*node, false);
            cluster.restart(*node);
        }
        _ => {}
    }
}

impl InForce {
    fn shape_network(&self, cluster: &Cluster) {
        let mut profile = LinkProfile::LAN;
        for fault in &self.0 {
            match fault {
                Fault::SlowLinks { factor } => {
                    profile.base *= *factor;
                    profile.tail *= *factor;
                }
                Fault::DuplicateAndReorder { duplicate_percent, reorder_percent } => {
                    profile.duplicate = per_mille(*duplicate_percent);
                    profile.reorder = per_mille(*reorder_percent);
                    profile.reorder_delay = Duration::from_millis(80);
                    profile.tail *= 4;
                }
                _ => {}
            }
        }
        cluster.network.set_profile_all(profile);
        cluster.network.heal_all();
        let cut: Vec<(NodeId, NodeId)> =
            self.0.iter().flat_map(|fault| fault.cut_links(&NODES)).collect();
        for (from, to) in cut {
            cluster.network.cut(from, to);
        }
        for fault in self.0.iter().filter(|fault| matches!(fault, Fault::BlackHole(_))) {
            for (from, to) in fault.cut_links(&NODES) {
                cluster.network.black_hole(from, to);
            }
        }
    }
}

fn per_mille(percent: u32) -> u16 {
    u16::try_from(percent.min(100) * 10).expect("at most a thousand")
}
