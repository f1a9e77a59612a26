//! The binary as child processes, and clusters of them.

use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio_postgres::{Client, NoTls};

/// How long anything may take to come up: a debug build on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);

pub(crate) fn meridian(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_meridian"));
    command.args(arguments);
    command
}

pub(crate) fn run(arguments: &[&str]) -> Output {
    meridian(arguments).stdin(Stdio::null()).output().unwrap()
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Addresses that are free at this moment.
pub(crate) fn free<const N: usize>() -> [String; N] {
    let listeners = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().to_string())
}

/// Tries until it works.
pub(crate) fn eventually<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let mut waited = Duration::ZERO;
    while waited < PATIENCE {
        if let Some(value) = attempt() {
            return value;
        }
        std::thread::sleep(POLL);
        waited += POLL;
    }
    panic!("{what}: not after {PATIENCE:?}");
}

/// A node; killed when the test lets go of it.
pub(crate) struct Node {
    process: Child,
    pub(crate) sql: String,
    /// What it writes to stderr.
    log: PathBuf,
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Node {
    /// Its log goes beside the store.
    fn spawn(mut command: Command, sql: &str, store: &Path) -> Node {
        let log = store.with_extension("log");
        let stderr = File::options().create(true).append(true).open(&log).unwrap();
        let process = command.stdin(Stdio::null()).stderr(stderr).spawn().unwrap();
        Node { process, sql: sql.to_owned(), log }
    }

    pub(crate) fn start_alone(directory: &Path, [sql, rpc, http]: &[String; 3]) -> Node {
        let store = directory.join("alone");
        // A write beyond the limit of file sizes is an error, not a signal, where the signal is ignored.
        let mut command = Command::new("sh");
        command.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_meridian")]);
        command.args(["start-single-node", "--insecure", "--sql-addr", sql]);
        command.args(["--rpc-addr", rpc, "--http-addr", http, "--store"]).arg(&store);
        Node::spawn(command, sql, &store)
    }

    pub(crate) fn url(&self) -> String {
        format!("postgresql://root@{}/defaultdb", self.sql)
    }

    /// Runs statements through the shell.
    pub(crate) fn try_sql(&self, statements: &str) -> Output {
        run(&["sql", "--url", &self.url(), "-e", statements])
    }

    /// Runs statements, again while nobody listens yet. What they print.
    pub(crate) fn sql(&self, statements: &str) -> String {
        eventually(&format!("{} listens", self.sql), || {
            let output = self.try_sql(statements);
            let errors = text(&output.stderr);
            assert!(output.status.success() || errors.contains("cannot connect"), "{errors}");
            output.status.success().then(|| text(&output.stdout))
        })
    }

    /// Everything that it has logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// Sends the process a signal.
    pub(crate) fn signal(&self, signal: &str) {
        assert!(Command::new("kill").args([signal, &self.id()]).status().unwrap().success());
    }

    /// Whether the process runs.
    pub(crate) fn is_alive(&mut self) -> bool {
        self.process.try_wait().unwrap().is_none()
    }

    /// The id of the process.
    pub(crate) fn id(&self) -> String {
        self.process.id().to_string()
    }

    /// Waits until the process ends by itself, and returns how it did.
    pub(crate) fn ended(&mut self) -> Option<i32> {
        eventually("the process ends", || self.process.try_wait().unwrap()).code()
    }

    /// Asks the process to end, and returns how it did.
    pub(crate) fn terminate(mut self) -> Option<i32> {
        assert!(Command::new("kill").arg(self.id()).status().unwrap().success());
        self.process.wait().unwrap().code()
    }
}

/// What a node says when it is asked whether clients may be sent to it: the status and the reason. `None` when nobody
/// answers.
pub(crate) fn readiness(http: &str) -> Option<(u16, String)> {
    let mut stream = std::net::TcpStream::connect(http).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = "GET /health?ready=1 HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let status = answer.split(' ').nth(1)?.parse().ok()?;
    let (_, reason) = answer.split_once("\r\n\r\n")?;
    Some((status, reason.to_owned()))
}

/// Connects a driver to an address; `None` if nobody serves it there.
pub(crate) async fn connect(address: &str) -> Option<Client> {
    let stream = TcpStream::connect(address).await.ok()?;
    let mut config = tokio_postgres::Config::new();
    config.user("root").dbname("defaultdb");
    let (client, connection) = config.connect_raw(stream, NoTls).await.ok()?;
    tokio::spawn(async move {
        // Its end is the client's error.
        let _ = connection.await;
    });
    Some(client)
}

/// Three processes that are a cluster.
pub(crate) struct Cluster {
    directory: PathBuf,
    sql: Vec<String>,
    rpc: Vec<String>,
    http: Vec<String>,
    nodes: Vec<Option<Node>>,
}

impl Cluster {
    /// Starts three nodes and creates their cluster.
    pub(crate) fn start(directory: &Path) -> Cluster {
        let addresses: [String; 9] = free();
        let (sql, rest) = addresses.split_at(3);
        let (rpc, http) = rest.split_at(3);
        let mut cluster = Cluster {
            directory: directory.to_owned(),
            sql: sql.to_vec(),
            rpc: rpc.to_vec(),
            http: http.to_vec(),
            nodes: vec![None, None, None],
        };
        for index in 0..3 {
            cluster.restart(index);
        }
        eventually("init", || cluster.init().status.success().then_some(()));
        cluster
    }

    /// `meridian init`, through the last node.
    pub(crate) fn init(&self) -> Output {
        run(&["init", "--insecure", "--rpc-addr", &self.rpc[2]])
    }

    /// Where clients connect, node by node.
    pub(crate) fn sql_addresses(&self) -> &[String] {
        &self.sql
    }

    /// Where the nodes listen for each other.
    pub(crate) fn rpc_addresses(&self) -> &[String] {
        &self.rpc
    }

    /// Where a node keeps its data.
    pub(crate) fn store(&self, index: usize) -> PathBuf {
        self.directory.join(index.to_string())
    }

    /// Where a node tells of its health.
    pub(crate) fn http_address(&self, index: usize) -> &str {
        &self.http[index]
    }

    pub(crate) fn node_mut(&mut self, index: usize) -> &mut Node {
        self.nodes[index].as_mut().unwrap()
    }

    pub(crate) fn node(&self, index: usize) -> &Node {
        self.nodes[index].as_ref().unwrap()
    }

    /// Kills a node as `kill -9` does.
    pub(crate) fn kill(&mut self, index: usize) {
        self.nodes[index] = None;
    }

    /// Asks a node to end, and returns how it did.
    pub(crate) fn end(&mut self, index: usize) -> Option<i32> {
        self.nodes[index].take().unwrap().terminate()
    }

    /// Starts a node on the store that it has.
    pub(crate) fn restart(&mut self, index: usize) {
        let (sql, rpc, http) = (&self.sql[index], &self.rpc[index], &self.http[index]);
        let mut command = meridian(&["start", "--insecure", "--sql-addr", sql, "--rpc-addr", rpc]);
        command.args(["--http-addr", http, "--join", &self.rpc.join(","), "--store"]);
        let store = self.store(index);
        command.arg(&store);
        self.nodes[index] = Some(Node::spawn(command, sql, &store));
    }

    /// Asks all nodes to end, and returns how they did. They can be restarted.
    pub(crate) fn stop(&mut self) -> Vec<Option<i32>> {
        self.nodes.iter_mut().filter_map(Option::take).map(Node::terminate).collect()
    }

    /// Asks all nodes to end, and returns how they did.
    pub(crate) fn terminate(mut self) -> Vec<Option<i32>> {
        self.stop()
    }
}
