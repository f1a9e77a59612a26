//! Whatever a bug does to the cluster, a seed ends (I3).

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use tokio::task::LocalSet;
use tokio::time::Instant;

use crate::client::Workload;
use crate::generator::{Generator, GeneratorConfig};
use crate::history::Recorder;
use crate::rng::SeedRng;
use crate::sim::clients::{Client, Way};
use crate::sim::cluster::{Cluster, NODES};
use crate::sim::seed::drain;

async fn in_the_world<T>(test: impl Future<Output = T>) -> T {
    LocalSet::new().run_until(test).await
}

/// Caught: seed 2 of the mutant ack-before-fsync damaged three logs, no node came back, and its clients looked for one
/// for ever.
#[tokio::test(start_paused = true)]
async fn a_client_of_nodes_that_never_come_back_ends() {
    let start = Instant::now();
    let cluster = Rc::new(in_the_world(Cluster::start(1, None, None)).await);
    for node in NODES {
        cluster.crash(node).await;
    }
    let config = GeneratorConfig::default();
    let generator = Generator::new(Workload::Register, config, SeedRng::stream(1, "generator", 0));
    let recorder = Rc::new(RefCell::new(Recorder::new(1)));
    let client = Client {
        worker: 0,
        cluster,
        generator: Rc::new(RefCell::new(generator)),
        recorder: recorder.clone(),
        rng: SeedRng::stream(1, "client", 0),
        way: Way::Kv,
        start,
        think: Duration::from_millis(60),
    };
    client.run(Duration::from_secs(40)).await;
    assert!(start.elapsed() < Duration::from_secs(60));
    let history = Rc::into_inner(recorder).unwrap().into_inner().finish(start.elapsed());
    assert!(history.ops().is_empty(), "a refused connection is no operation");
}

/// What no bound of its own ends is a violation.
#[tokio::test(start_paused = true)]
async fn clients_that_wait_for_ever_are_a_violation() {
    in_the_world(async {
        let waits = || tokio::task::spawn_local(std::future::pending());
        let ends = tokio::task::spawn_local(tokio::time::sleep(Duration::from_secs(1)));
        let stuck = drain(vec![waits(), ends, waits()], Duration::from_secs(5)).await;
        assert_eq!(stuck.as_deref(), Some("2 clients wait for ever"));
        assert_eq!(drain(vec![], Duration::from_secs(5)).await, None);
    })
    .await;
}
