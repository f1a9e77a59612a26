//! The binary itself: clusters of processes, SQL through the shell and through drivers, kills and garbage.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "processes have real ports, and take real time"
)]

mod bad_input;
mod clients;
mod disk;
mod farewell;
mod harness;
mod kill;
mod large;
mod links;
mod locks;
mod shapes;
mod shell;
mod silence;

use harness::{Cluster, Node, eventually, free, readiness, run, text};

#[test]
fn demo_runs_statements_and_exits_with_their_status() {
    let [sql] = free();
    let demo = ["demo", "--sql-addr", &sql];
    let good = run(&[
        &demo[..],
        &["-e", "CREATE TABLE t (a int PRIMARY KEY, b text)"][..],
        &["-e", "INSERT INTO t VALUES (1, 'x'), (2, NULL)", "-e", "SELECT count(*) FROM t"],
        &["-e", "SELECT * FROM t ORDER BY a"],
    ]
    .concat());
    assert_eq!(text(&good.stdout), "2\n1\tx\n2\tNULL\n", "{}", text(&good.stderr));
    assert!(good.status.success());
    assert!(text(&good.stderr).starts_with("postgresql://root@127.0.0.1:"));
    let bad = run(&[&demo[..], &["-e", "SELECT 1; SELECT nothing; SELECT 2"]].concat());
    assert_eq!((text(&bad.stdout), bad.status.code()), ("1\n".to_owned(), Some(1)));
    assert!(text(&bad.stderr).contains("SQLSTATE: 42703"), "{}", text(&bad.stderr));
}

#[test]
fn a_single_node_goes_on_with_its_data() {
    let directory = tempfile::tempdir().unwrap();
    let addresses = free();
    let node = Node::start_alone(directory.path(), &addresses);
    node.sql("CREATE TABLE t (a int PRIMARY KEY); INSERT INTO t VALUES (1)");
    let described = node.sql("\\d t");
    assert_eq!(described, "a\tinteger\tnot null\t\nt_pkey\tprimary key\tbtree (a)\n");
    let ready = || readiness(&addresses[2]).filter(|(status, _)| *status == 200);
    assert_eq!(eventually("ready", ready).1, "ok");
    assert_eq!(node.terminate(), Some(0));
    let node = Node::start_alone(directory.path(), &addresses);
    assert_eq!(node.sql("INSERT INTO t VALUES (2); SELECT count(*) FROM t"), "2\n");
}

#[test]
fn three_processes_become_a_cluster_once_and_end_cleanly() {
    let directory = tempfile::tempdir().unwrap();
    let cluster = Cluster::start(directory.path());
    assert!(text(&cluster.init().stderr).contains("initialised already"));
    cluster.node(0).sql("CREATE TABLE t (a int PRIMARY KEY); INSERT INTO t VALUES (1)");
    for index in [1, 2] {
        assert_eq!(cluster.node(index).sql("SELECT a FROM t"), "1\n");
    }
    assert_eq!(cluster.terminate(), [Some(0); 3]);
}
