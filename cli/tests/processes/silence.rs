//! A node that is stopped where it stands: it closes nothing and answers nothing, as one that is cut off or has lost its
//! power. The other two go on without it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::harness::{Cluster, eventually, readiness};
use crate::kill::{Written, write};

/// Longest wait of a client of the other two for its next acknowledgement. A quiet machine needs 2.5 s, until the silence
/// is noticed and the lease has ended, and 5 s is the promise; this leaves room for a busy one.
const STALL_MAX: Duration = Duration::from_secs(8);
/// Much longer than that.
const STOPPED: Duration = Duration::from_secs(12);
const WRITERS: i64 = 2;

#[test]
fn a_node_that_falls_silent_stalls_nobody_for_long() {
    let directory = tempfile::tempdir().unwrap();
    let cluster = Cluster::start(directory.path());
    cluster.node(0).sql("CREATE TABLE t (id bigint PRIMARY KEY, writer bigint NOT NULL)");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut all = Written::default();
    // One of them holds the lease.
    for silent in 0..3 {
        let stop = Arc::new(AtomicBool::new(false));
        let others: Vec<String> =
            (0..3).filter(|index| *index != silent).map(|i| cluster.node(i).sql.clone()).collect();
        let first = i64::try_from(silent).unwrap() * 1_000_000;
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| first + writer)
            .map(|first| runtime.spawn(write(first, WRITERS, others.clone(), stop.clone())))
            .collect();
        std::thread::sleep(Duration::from_secs(2));
        cluster.node(silent).signal("-STOP");
        std::thread::sleep(STOPPED);
        cluster.node(silent).signal("-CONT");
        std::thread::sleep(Duration::from_secs(2));
        stop.store(true, Ordering::Relaxed);
        for writer in writers {
            let written = runtime.block_on(writer).unwrap();
            eprintln!("node {silent} silent: stall {:?}", written.longest_stall);
            all.add(written);
        }
        // It is well again, and knows it.
        let ready = || readiness(cluster.http_address(silent)).filter(|(status, _)| *status == 200);
        eventually("ready", ready);
    }
    assert!(all.acknowledged.len() > 100, "{} acknowledged", all.acknowledged.len());
    for index in 0..3 {
        all.check(&cluster.node(index).sql("SELECT id FROM t"));
    }
    assert!(all.longest_stall < STALL_MAX, "a client waited {:?}", all.longest_stall);
    assert_eq!(cluster.terminate(), [Some(0); 3]);
}

#[test]
fn a_node_that_hears_from_no_majority_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::start(directory.path());
    let http = cluster.http_address(0).to_owned();
    eventually("ready", || readiness(&http).filter(|(status, _)| *status == 200));
    cluster.kill(1);
    cluster.kill(2);
    let not_ready = || readiness(&http).filter(|(status, _)| *status == 503);
    let (_, why) = eventually("not ready", not_ready);
    assert!(why.contains("does not hear from a majority"), "{why}");
    cluster.restart(1);
    eventually("ready", || readiness(&http).filter(|(status, _)| *status == 200));
}
