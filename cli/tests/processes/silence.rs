//! Nodes that are gone without a word: one that is stopped where it stands, closes nothing and answers nothing; one whose
//! packets are lost. The other two go on without it. And nodes that are told to end, which say farewell.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::harness::{Cluster, connect, eventually, readiness};
use crate::kill::{Written, write};
use crate::links::Links;

/// Longest wait of a client of the other two for its next answer. A quiet machine needs until the silence is noticed and the
/// lease has ended, 2.5 to 4.5 s, and 5 s is the promise; this leaves room for a busy one.
const STALL_MAX: Duration = Duration::from_secs(9);
/// The same where a node is told to end. A quiet machine needs a tenth of it, and half a second is the promise; where leases
/// have to end first it takes at least 2 s.
const FAREWELL_MAX: Duration = Duration::from_millis(1_500);
/// Longer than that.
const SILENT: Duration = Duration::from_secs(11);

/// Reads through one node until it is told to stop; the longest time without an answer.
async fn read(address: String, stop: Arc<AtomicBool>) -> Duration {
    let (mut last, mut longest) = (Instant::now(), Duration::ZERO);
    while !stop.load(Ordering::Relaxed) {
        let Some(client) = connect(&address).await else {
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        while !stop.load(Ordering::Relaxed) && !client.is_closed() {
            if client.query("SELECT writer FROM t WHERE id = 0", &[]).await.is_ok() {
                longest = longest.max(last.elapsed());
                last = Instant::now();
            } else {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
    longest.max(last.elapsed())
}

/// Lets each node fall silent in turn, one of which holds the lease, while clients read and write through the others.
fn fall_silent(
    cluster: &mut Cluster,
    (way, stall_max): (&str, Duration),
    silence: impl Fn(&mut Cluster, usize, bool),
) {
    cluster.node(0).sql("CREATE TABLE t (id bigint PRIMARY KEY, writer bigint NOT NULL)");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut all = Written::default();
    for silent in 0..3 {
        let stop = Arc::new(AtomicBool::new(false));
        let others = (0..3).filter(|index| *index != silent);
        let clients: Vec<_> = others
            .map(|other| {
                let address = cluster.node(other).sql.clone();
                let first = i64::try_from(silent * 10 + other).unwrap() * 1_000_000;
                let writer = write(first, 1, vec![address.clone()], stop.clone());
                (other, runtime.spawn(writer), runtime.spawn(read(address, stop.clone())))
            })
            .collect();
        std::thread::sleep(Duration::from_secs(2));
        silence(cluster, silent, true);
        std::thread::sleep(SILENT);
        silence(cluster, silent, false);
        std::thread::sleep(Duration::from_secs(2));
        stop.store(true, Ordering::Relaxed);
        for (other, writer, reader) in clients {
            let written = runtime.block_on(writer).unwrap();
            let (writes, reads) = (written.longest_stall, runtime.block_on(reader).unwrap());
            eprintln!("node {silent} {way}, through {other}: writes {writes:?}, reads {reads:?}");
            assert!(reads < stall_max, "a reader waited {reads:?}");
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
    assert!(all.longest_stall < stall_max, "a client waited {:?}", all.longest_stall);
}

#[test]
fn a_node_that_is_stopped_stalls_nobody_for_long() {
    let directory = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::start(directory.path());
    fall_silent(&mut cluster, ("stopped", STALL_MAX), |cluster, index, silent| {
        cluster.node(index).signal(if silent { "-STOP" } else { "-CONT" });
    });
    assert_eq!(cluster.terminate(), [Some(0); 3]);
}

/// Its leases and leaderships are others' before it ends, and nobody has to find out that it is gone.
#[test]
fn a_node_that_is_told_to_end_is_hardly_missed() {
    let directory = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::start(directory.path());
    fall_silent(
        &mut cluster,
        ("told to end", FAREWELL_MAX),
        |cluster, index, silent| match silent {
            true => assert_eq!(cluster.end(index), Some(0)),
            false => cluster.restart(index),
        },
    );
    assert_eq!(cluster.terminate(), [Some(0); 3]);
}

#[test]
fn a_node_whose_packets_are_lost_stalls_nobody_for_long() {
    let directory = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::start(directory.path());
    let links = Links::between(&mut cluster);
    fall_silent(&mut cluster, ("cut off", STALL_MAX), |_, index, silent| {
        links.cut_off(index, silent);
    });
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
