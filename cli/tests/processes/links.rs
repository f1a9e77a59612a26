//! What lies between the nodes of a cluster: every connection from one to another goes through here, and may be left
//! without a word from then on. Nothing is refused and nothing closed, as by a switch that has lost its power.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use node::real::os_rng;
use node::real::setup::{StoreFile, StoreState};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

use crate::harness::Cluster;

const POLL: Duration = Duration::from_millis(5);
const CHUNK: usize = 64 << 10;

/// Whether a node is cut off from the others.
type Cut = Arc<AtomicBool>;

/// The links of a cluster of three.
pub(crate) struct Links {
    cuts: [Cut; 3],
    _runtime: Runtime,
}

impl Links {
    /// Takes its place between the nodes of a cluster, which are restarted for it: each finds the others here.
    pub(crate) fn between(cluster: &mut Cluster) -> Links {
        let runtime = Runtime::new().unwrap();
        let cuts: [Cut; 3] = Default::default();
        assert_eq!(cluster.stop(), [Some(0); 3]);
        let rpc: Vec<SocketAddr> =
            cluster.rpc_addresses().iter().map(|address| address.parse().unwrap()).collect();
        for from in 0..3 {
            let others = (0..3).filter(|to| *to != from);
            let doors: BTreeMap<SocketAddr, SocketAddr> = others
                .map(|to| {
                    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
                    let door = listener.local_addr().unwrap();
                    let cuts = [cuts[from].clone(), cuts[to].clone()];
                    runtime.spawn(accept(listener, rpc[to], cuts));
                    (rpc[to], door)
                })
                .collect();
            let mut file = StoreFile::open(&cluster.store(from), &*os_rng().unwrap()).unwrap();
            let StoreState::Founded(id, mut membership) = file.state().clone() else {
                panic!("{:?}", file.state())
            };
            for member in membership.members.values_mut() {
                member.address = doors.get(&member.address).copied().unwrap_or(member.address);
            }
            file.join(id, membership).unwrap();
            file.founded().unwrap();
        }
        (0..3).for_each(|index| cluster.restart(index));
        Links { cuts, _runtime: runtime }
    }

    /// From now on nothing passes between this node and the others, or everything does again.
    pub(crate) fn cut_off(&self, index: usize, cut: bool) {
        self.cuts[index].store(cut, Ordering::Relaxed);
    }
}

async fn accept(listener: TcpListener, to: SocketAddr, cuts: [Cut; 2]) {
    while let Ok((near, _)) = listener.accept().await {
        let cuts = cuts.clone();
        tokio::spawn(async move {
            open(&cuts).await;
            let Ok(far) = TcpStream::connect(to).await else { return };
            let (near_reads, near_writes) = near.into_split();
            let (far_reads, far_writes) = far.into_split();
            // With one direction the other ends, too.
            tokio::select! {
                () = pass(near_reads, far_writes, &cuts) => {}
                () = pass(far_reads, near_writes, &cuts) => {}
            }
            // That it has ended is not told either.
            open(&cuts).await;
        });
    }
}

/// Waits until nobody is cut off.
async fn open(cuts: &[Cut; 2]) {
    while cuts.iter().any(|cut| cut.load(Ordering::Relaxed)) {
        tokio::time::sleep(POLL).await;
    }
}

/// What was on its way at a cut arrives after it: TCP sends it again.
async fn pass(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, cuts: &[Cut; 2]) {
    let mut chunk = vec![0; CHUNK];
    while let Ok(read @ 1..) = from.read(&mut chunk).await {
        open(cuts).await;
        if to.write_all(&chunk[..read]).await.is_err() {
            return;
        }
    }
}
