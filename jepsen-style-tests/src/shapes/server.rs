//! The process that is sent to: one of our own, which is started anew when it has ended, or one that is there already.

#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "processes have real ports, and take real time"
)]

use std::fs;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How often it is tried to connect to a process that starts, and the pause between two attempts.
const ATTEMPTS: u32 = 600;
const PAUSE: Duration = Duration::from_millis(100);

/// A server.
pub struct Server {
    address: String,
    own: Option<Own>,
    /// Its process, if it is known.
    id: Option<u32>,
}

/// What is needed to start it.
struct Own {
    binary: PathBuf,
    store: PathBuf,
    process: Option<Child>,
}

impl Server {
    /// One that listens already. With the id of its process, its memory is watched.
    pub fn at(address: String, id: Option<u32>) -> Server {
        Server { address, own: None, id }
    }

    /// One of our own, with its store in a directory, once it is needed.
    ///
    /// # Errors
    /// When there is no free port.
    pub fn own(binary: PathBuf, directory: PathBuf) -> io::Result<Server> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let store = directory.join("store");
        Ok(Server { address, own: Some(Own { binary, store, process: None }), id: None })
    }

    /// Where it listens.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Starts it if it is ours and does not run, and waits until it listens.
    ///
    /// # Errors
    /// When it cannot be started, or does not come up.
    pub fn ensure(&mut self) -> io::Result<()> {
        if !self.is_alive()
            && let Some(own) = &mut self.own
        {
            let mut command = Command::new(&own.binary);
            command.args(["start-single-node", "--insecure", "--sql-addr", &self.address]);
            command.arg("--store").arg(&own.store);
            let process = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn()?;
            self.id = Some(process.id());
            own.process = Some(process);
        }
        for _ in 0..ATTEMPTS {
            if TcpStream::connect(&self.address).is_ok() {
                return Ok(());
            }
            std::thread::sleep(PAUSE);
        }
        Err(io::Error::new(io::ErrorKind::TimedOut, "the server does not listen"))
    }

    /// True iff it runs. Of one that is not ours, whether somebody listens.
    pub fn is_alive(&mut self) -> bool {
        match &mut self.own {
            Some(own) => {
                own.process.as_mut().is_some_and(|process| matches!(process.try_wait(), Ok(None)))
            }
            None => TcpStream::connect(&self.address).is_ok(),
        }
    }

    /// Ends it, if it is ours.
    pub fn stop(&mut self) {
        if let Some(mut process) = self.own.as_mut().and_then(|own| own.process.take()) {
            // It may have ended by itself.
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// The most memory that it has held since it was last asked, in bytes; 0 where that is not known.
    pub fn take_peak(&self) -> u64 {
        let Some(id) = self.id else { return 0 };
        let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = peak.and_then(|line| line.trim().strip_suffix("kB")).map(str::trim);
        // Counts anew from now on.
        let _ = fs::write(format!("/proc/{id}/clear_refs"), "5");
        peak.and_then(|kilobytes| kilobytes.parse::<u64>().ok())
            .map_or(0, |kilobytes| kilobytes << 10)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}
