//! The file in a store's directory that says whose it is: `version (1) | CRC-32 of the rest (4) | StoreRecord`.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use kv::env::Rng;
use kv::ids::NodeId;
use prost::Message;

use super::proto::StoreRecord;
use super::{Membership, SetupError};

const NAME: &str = "meridian.store";
const VERSION: u8 = 1;

/// How far a store has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreState {
    /// It waits for its cluster to be created.
    Waiting,
    /// It belongs to a cluster; its initial state may not be written yet.
    Member(NodeId, Membership),
    /// Its initial state was written.
    Founded(NodeId, Membership),
}

/// The file, and what it says.
#[derive(Debug)]
pub struct StoreFile {
    directory: PathBuf,
    store_id: u64,
    state: StoreState,
}

impl StoreFile {
    /// Reads the file of a directory. Creates both if they are not there.
    pub fn open(directory: &Path, rng: &dyn Rng) -> Result<StoreFile, SetupError> {
        fs::create_dir_all(directory)?;
        let bytes = match fs::read(directory.join(NAME)) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let store_id = rng.next_u64().max(1);
                let directory = directory.to_owned();
                let mut file = StoreFile { directory, store_id, state: StoreState::Waiting };
                file.write(StoreState::Waiting)?;
                return Ok(file);
            }
            Err(error) => return Err(error.into()),
        };
        let (store_id, state) = decode(&bytes).map_err(|why| {
            SetupError::Damaged(format!("{}: {why}", directory.join(NAME).display()))
        })?;
        Ok(StoreFile { directory: directory.to_owned(), store_id, state })
    }

    /// Drawn when the store was created.
    pub fn store_id(&self) -> u64 {
        self.store_id
    }

    /// What the file says.
    pub fn state(&self) -> &StoreState {
        &self.state
    }

    /// The store belongs to a cluster from now on.
    pub fn join(&mut self, node_id: NodeId, membership: Membership) -> io::Result<()> {
        self.write(StoreState::Member(node_id, membership))
    }

    /// The initial state is written and synced.
    pub fn founded(&mut self) -> io::Result<()> {
        match self.state.clone() {
            StoreState::Member(node_id, membership) => {
                self.write(StoreState::Founded(node_id, membership))
            }
            StoreState::Waiting | StoreState::Founded(..) => Ok(()),
        }
    }

    /// Replaces the file, durably.
    fn write(&mut self, state: StoreState) -> io::Result<()> {
        let (path, new) = (self.directory.join(NAME), self.directory.join("meridian.store.new"));
        let mut file = File::create(&new)?;
        file.write_all(&encode(self.store_id, &state))?;
        file.sync_all()?;
        fs::rename(&new, &path)?;
        File::open(&self.directory)?.sync_all()?;
        self.state = state;
        Ok(())
    }
}

fn encode(store_id: u64, state: &StoreState) -> Vec<u8> {
    let (member, founded) = match state {
        StoreState::Waiting => (None, false),
        StoreState::Member(node_id, membership) => (Some((node_id, membership)), false),
        StoreState::Founded(node_id, membership) => (Some((node_id, membership)), true),
    };
    let record = StoreRecord {
        store_id,
        membership: member.map(|(_, membership)| membership.to_proto()),
        node_id: member.map_or(0, |(node_id, _)| node_id.0),
        founded,
    };
    let body = record.encode_to_vec();
    let mut bytes = vec![VERSION];
    bytes.extend(crc32fast::hash(&body).to_be_bytes());
    bytes.extend(body);
    bytes
}

fn decode(bytes: &[u8]) -> Result<(u64, StoreState), String> {
    match bytes.first() {
        Some(&VERSION) => {}
        Some(other) => return Err(format!("version {other} is not known, only {VERSION}")),
        None => return Err("the file is empty".to_owned()),
    }
    let (Some(sum), Some(body)) = (bytes.get(1..5), bytes.get(5..)) else {
        return Err("the file is too short".to_owned());
    };
    if crc32fast::hash(body).to_be_bytes() != sum {
        return Err("wrong checksum".to_owned());
    }
    let record = StoreRecord::decode(body).map_err(|error| error.to_string())?;
    let Some(membership) = record.membership else {
        return Ok((record.store_id, StoreState::Waiting));
    };
    let membership =
        Membership::from_proto(membership).ok_or_else(|| "senseless membership".to_owned())?;
    let node_id = NodeId(record.node_id);
    if !membership.members.contains_key(&node_id) {
        return Err(format!("{node_id} is not a member"));
    }
    let state = if record.founded { StoreState::Founded } else { StoreState::Member };
    Ok((record.store_id, state(node_id, membership)))
}
