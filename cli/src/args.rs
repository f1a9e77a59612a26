//! The command line.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand};
use tracing::level_filters::LevelFilter;

/// A distributed SQL database that speaks PostgreSQL's protocol.
#[derive(Debug, Parser)]
#[command(version, about)]
pub(crate) struct Args {
    /// What is logged to stderr: off, error, warn, info, debug or trace. [default: info for a node, otherwise warn]
    #[arg(long, global = true, value_name = "LEVEL")]
    log: Option<LevelFilter>,
    #[command(subcommand)]
    pub command: Command,
}

impl Args {
    /// What is logged.
    pub(crate) fn log(&self) -> LevelFilter {
        let default = match self.command {
            Command::Start(_) | Command::StartSingleNode(_) => LevelFilter::INFO,
            Command::Demo(_) | Command::Init(_) | Command::Sql(_) => LevelFilter::WARN,
        };
        self.log.unwrap_or(default)
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start a cluster within this process, and a shell on it.
    Demo(Demo),
    /// Start a node of a cluster.
    Start(Start),
    /// Start a cluster of this node alone.
    StartSingleNode(StartSingleNode),
    /// Create the cluster that the started nodes wait for. Once.
    Init(Init),
    /// Open a shell, or run statements.
    Sql(Sql),
}

/// Statements to run instead of opening a shell.
#[derive(Clone, Debug, Default, ClapArgs)]
pub(crate) struct Statements {
    /// Run these statements and exit. May be repeated.
    #[arg(short = 'e', long = "execute", value_name = "SQL")]
    pub execute: Vec<String>,
    /// Run the statements of a file (after those of -e) and exit; - is stdin.
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    pub file: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Demo {
    /// Nodes of the cluster.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=9))]
    pub nodes: u64,
    /// Where the stores live. Without it they live in a temporary directory, and end with the demo.
    #[arg(long, value_name = "DIR")]
    pub store: Option<PathBuf>,
    /// Where clients connect. If it is taken, another port is.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:26257")]
    pub sql_addr: String,
    #[command(flatten)]
    pub statements: Statements,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Start {
    /// Where the store lives; created if it is not there.
    #[arg(long, value_name = "DIR")]
    pub store: PathBuf,
    /// Where clients connect.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:26257")]
    pub sql_addr: String,
    /// Where the other nodes connect; they must be able to reach it.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:26357")]
    pub rpc_addr: String,
    /// Where GET /health and /health?ready=1 are answered. Without it, nowhere.
    #[arg(long, value_name = "ADDR")]
    pub http_addr: Option<String>,
    /// The rpc addresses of all nodes that found the cluster.
    #[arg(long, value_name = "ADDR,...", value_delimiter = ',', required = true)]
    pub join: Vec<String>,
    /// What the statements of the node may hold in memory together, with a unit: 512MiB, 2GiB. A statement's own bound is
    /// the setting work_mem.
    #[arg(long, value_name = "SIZE", default_value = "1GiB", value_parser = parse_size)]
    pub sql_memory: usize,
    /// No encryption, no authentication. There is nothing else yet, so it has to be said.
    #[arg(long)]
    pub insecure: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct StartSingleNode {
    /// Where the store lives; created if it is not there.
    #[arg(long, value_name = "DIR")]
    pub store: PathBuf,
    /// Where clients connect.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:26257")]
    pub sql_addr: String,
    /// Where other nodes would connect.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    pub rpc_addr: String,
    /// Where GET /health and /health?ready=1 are answered. Without it, nowhere.
    #[arg(long, value_name = "ADDR")]
    pub http_addr: Option<String>,
    /// What the statements of the node may hold in memory together, with a unit: 512MiB, 2GiB. A statement's own bound is
    /// the setting work_mem.
    #[arg(long, value_name = "SIZE", default_value = "1GiB", value_parser = parse_size)]
    pub sql_memory: usize,
    /// No encryption, no authentication. There is nothing else yet, so it has to be said.
    #[arg(long)]
    pub insecure: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Init {
    /// The rpc address of any of the nodes.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:26357")]
    pub rpc_addr: String,
    /// No encryption, no authentication. There is nothing else yet, so it has to be said.
    #[arg(long)]
    pub insecure: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Sql {
    /// The server.
    #[arg(long, default_value = "postgresql://root@127.0.0.1:26257/defaultdb?sslmode=disable")]
    pub url: String,
    #[command(flatten)]
    pub statements: Statements,
}

/// Least memory that a node can work with.
const SIZE_MIN: usize = 16 << 20;

/// An amount of memory in bytes.
fn parse_size(text: &str) -> Result<usize, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: usize = text[..digits].parse().map_err(|_| "not a number".to_owned())?;
    let shift = match text[digits..].trim() {
        "B" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        unit => return Err(format!("no unit of memory: \"{unit}\" (B, KiB, MiB or GiB)")),
    };
    let bytes = number.checked_mul(1 << shift).ok_or("too large")?;
    if bytes < SIZE_MIN { Err(format!("at least {SIZE_MIN} bytes")) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        assert_eq!(parse_size("16MiB"), Ok(16 << 20));
        assert_eq!(parse_size("2 GiB"), Ok(2 << 30));
        for bad in ["", "1", "MiB", "1MiB", "-1GiB", "99999999999999999999GiB", "16 mb"] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
    }
}
