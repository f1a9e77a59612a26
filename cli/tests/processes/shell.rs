//! The shell beyond its results: whom it may connect as, what it refuses to send, and Ctrl-C.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Command, Stdio};

use crate::harness::{Node, connect, eventually, free, meridian, run, text};

/// More than a pipe and the buffers behind it hold.
const MORE_THAN_A_PIPE: usize = 1 << 20;

#[test]
fn nothing_is_sent_in_the_clear_where_encryption_is_asked_for() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = format!("postgresql://root@{}/defaultdb", listener.local_addr().unwrap());
    for wish in ["sslmode=require", "channel_binding=require", "sslmode=verify-full"] {
        let refused = run(&["sql", "--url", &format!("{url}?{wish}"), "-e", "SELECT 1"]);
        assert_eq!((text(&refused.stdout).as_str(), refused.status.code()), ("", Some(1)));
        let error = text(&refused.stderr);
        assert!(error.contains(wish) || error.contains("cannot read the URL"), "{wish}: {error}");
        let nobody = listener.accept().map(|(_, address)| address).unwrap_err();
        assert_eq!(nobody.kind(), std::io::ErrorKind::WouldBlock);
    }
}

#[test]
fn there_is_one_user_and_one_database() {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::start_alone(directory.path(), &free());
    node.sql("CREATE TABLE t (a int PRIMARY KEY)");
    for (who, database, refusal) in [
        ("somebody", "defaultdb", "role \"somebody\" does not exist (SQLSTATE 28000)"),
        ("root", "elsewhere", "database \"elsewhere\" does not exist (SQLSTATE 3D000)"),
        ("somebody", "elsewhere", "role \"somebody\" does not exist (SQLSTATE 28000)"),
    ] {
        let url = format!("postgresql://{who}@{}/{database}", node.sql);
        let refused = run(&["sql", "--url", &url, "-e", "SELECT * FROM t"]);
        let error = text(&refused.stderr);
        assert!(!refused.status.success() && error.contains(refusal), "{error}");
    }
    // The number of the session is the one that a cancel request names.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let pids = runtime.block_on(async {
        let mut pids = Vec::new();
        for client in [connect(&node.sql).await.unwrap(), connect(&node.sql).await.unwrap()] {
            let row = client.query_one("SELECT pg_backend_pid()", &[]).await.unwrap();
            pids.push(row.get::<_, i32>(0));
        }
        pids
    });
    assert!(pids[0] > 0 && pids[0] != pids[1], "{pids:?}");
    assert_eq!(node.terminate(), Some(0));
}

/// Whoever writes the data ends by the same Ctrl-C: the end of the data that the shell sees then is not that of a COPY.
#[test]
fn ctrl_c_in_the_data_of_a_copy_commits_none_of_them() {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::start_alone(directory.path(), &free());
    node.sql("CREATE TABLE t (a int PRIMARY KEY, b text)");
    let mut shell = meridian(&["sql", "--url", &node.url()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = shell.stdin.take().unwrap();
    input.write_all(b"COPY t FROM STDIN;\n").unwrap();
    // As soon as all of this is written the shell has read some of it, so that its COPY runs.
    let filler = "x".repeat(MORE_THAN_A_PIPE / 64);
    for key in 0..64 {
        input.write_all(format!("{key}\t{filler}\n").as_bytes()).unwrap();
    }
    let interrupted = Command::new("kill").args(["-INT", &shell.id().to_string()]).status();
    assert!(interrupted.unwrap().success());
    drop(input);
    let status = eventually("the shell ends", || shell.try_wait().unwrap());
    let mut error = String::new();
    shell.stderr.take().unwrap().read_to_string(&mut error).unwrap();
    assert_eq!(status.code(), Some(1), "{error}");
    // By a cancel request or by the shell's refusal to go on, whichever is first.
    assert!(error.contains("SQLSTATE: 57014"), "{error}");
    assert_eq!(node.sql("SELECT count(*) FROM t"), "0\n");
    assert_eq!(node.terminate(), Some(0));
}

#[test]
fn switches_take_a_value() {
    let [sql] = free();
    let directory = tempfile::tempdir().unwrap();
    let script = directory.path().join("script");
    let lines = "\\timing off\n\\timing on\n\\timing on\n\\timing\n\\x on\nSELECT 1 AS a;\n\\x off\n\\timing maybe\n";
    std::fs::write(&script, lines).unwrap();
    let shown = run(&["demo", "--sql-addr", &sql, "-f", script.to_str().unwrap()]);
    let error = text(&shown.stderr);
    let said: Vec<&str> = error.lines().filter(|line| line.contains("is o")).collect();
    let timing = ["Timing is off.", "Timing is on.", "Timing is on.", "Timing is off."];
    assert_eq!(said[..4], timing, "{error}");
    assert_eq!(said[4..], ["Expanded display is on.", "Expanded display is off."], "{error}");
    assert!(error.contains("unrecognized value \"maybe\" for \\timing: Boolean expected"));
    assert_eq!(shown.status.code(), Some(1));
}
