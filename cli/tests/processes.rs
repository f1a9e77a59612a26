//! The binary itself: clusters of processes, SQL through the shell.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "processes have real ports, and take real time"
)]

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

fn meridian(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_meridian"));
    command.args(arguments);
    command
}

fn run(arguments: &[&str]) -> Output {
    meridian(arguments).stdin(Stdio::null()).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Addresses that are free at this moment.
fn free<const N: usize>() -> [String; N] {
    let listeners = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().to_string())
}

/// A node that is killed when the test ends.
struct Node {
    process: Child,
    sql: String,
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Node {
    fn start(directory: &Path, sql: &str, rpc: &str, join: &str) -> Node {
        let store = directory.join(rpc.replace(':', "-"));
        let store = store.to_str().unwrap();
        let process = meridian(&["start", "--insecure", "--store", store])
            .args(["--sql-addr", sql, "--rpc-addr", rpc, "--join", join])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Node { process, sql: sql.to_owned() }
    }

    fn start_alone(directory: &Path, sql: &str) -> Node {
        let store = directory.join("alone");
        let store = store.to_str().unwrap();
        let process = meridian(&["start-single-node", "--insecure", "--store", store])
            .args(["--sql-addr", sql])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Node { process, sql: sql.to_owned() }
    }

    /// Runs statements, again while nobody listens yet.
    fn sql(&self, statements: &str) -> String {
        let url = format!("postgresql://root@{}/defaultdb", self.sql);
        for _ in 0..600 {
            let output = run(&["sql", "--url", &url, "-e", statements]);
            let errors = text(&output.stderr);
            if output.status.success() {
                return text(&output.stdout);
            }
            assert!(errors.contains("cannot connect"), "{errors}");
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("{} never listened", self.sql);
    }

    /// Asks the process to end, and returns how it did.
    fn terminate(mut self) -> Option<i32> {
        let id = self.process.id().to_string();
        assert!(Command::new("kill").arg(id).status().unwrap().success());
        self.process.wait().unwrap().code()
    }
}

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
    let [sql] = free();
    let node = Node::start_alone(directory.path(), &sql);
    node.sql("CREATE TABLE t (a int PRIMARY KEY); INSERT INTO t VALUES (1)");
    assert_eq!(node.terminate(), Some(0));
    let node = Node::start_alone(directory.path(), &sql);
    assert_eq!(node.sql("INSERT INTO t VALUES (2); SELECT count(*) FROM t"), "2\n");
}

#[test]
fn three_processes_become_a_cluster_and_outlive_one_of_them() {
    let directory = tempfile::tempdir().unwrap();
    let addresses: [String; 6] = free();
    let (sql, rpc) = addresses.split_at(3);
    let join = rpc.join(",");
    let start = |index: usize| Node::start(directory.path(), &sql[index], &rpc[index], &join);
    let mut nodes: Vec<Node> = (0..3).map(start).collect();
    let init = || run(&["init", "--insecure", "--rpc-addr", &rpc[2]]);
    let mut outcome = init();
    for _ in 0..600 {
        if outcome.status.success() {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
        outcome = init();
    }
    assert!(outcome.status.success(), "{}", text(&outcome.stderr));
    assert!(text(&init().stderr).contains("initialised already"));

    nodes[0].sql("CREATE TABLE t (a int PRIMARY KEY); INSERT INTO t VALUES (1)");
    assert_eq!(nodes[2].sql("SELECT a FROM t"), "1\n");
    nodes.remove(0);
    nodes[0].sql("INSERT INTO t VALUES (2)");
    nodes.insert(0, start(0));
    assert_eq!(nodes[0].sql("SELECT count(*) FROM t"), "2\n");
    for node in nodes {
        assert_eq!(node.terminate(), Some(0));
    }
}
