//! A lease changes hands while it is good: what its holder does before it may, and what a node does before it ends.
//!
//! ```text
//!  holder   who would take it? ── revoked ── drained ── what was served? ── command ─ applied ─▶ refuses, and says who serves
//!              │     ▲                       (the observer keeps            │
//!  taker       ▼     │ its incarnation        everybody off)               ▼ applied, with what was served ─▶ serves
//! ```
//!
//! - I1. From the moment that its lease is revoked the holder serves nothing under it, until it is certain that the lease was
//!   not given away. Where nobody knows, the lease is left to end.
//! - I2. The next lease begins after everything that the holder has written, by the holder's clock; what it has read, and what
//!   else must not be forgotten, is in the summary. Whoever gets the lease serves once its own clock shows the beginning.
//! - I3. A lease is given to a replica that has just said that it would serve, and to that life of its process alone.
//! - I4. Everything here ends in time: whoever cannot get rid of a lease goes on with it, or ends with it.
//!
//! The leadership follows the lease: I4 of `store::core`.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::future::join_all;
use tokio::sync::oneshot;

use crate::ids::{NodeId, RangeId};
use crate::range::command::{Command, CommandKind, LeaseChange};
use crate::range::descriptor::{Replica, ReplicaKind};
use crate::range::lease::{Lease, ReadSummary};
use crate::range::tracker::Tracker;
use crate::rpc::{LeaseTaker, Refusal, RefusalReason, RequestBody, ResponseBody, RpcRequest};
use crate::store::core::Input;
use crate::store::handle::StoreHandle;
use crate::store::proposal::{Fate, Proposal};
use crate::store::shared::Published;

/// How long others are asked whether they would take a lease.
const ASK_TIMEOUT: Duration = Duration::from_millis(300);
/// How long those are waited for who are being served, and then the command. Others stand still meanwhile.
const STEP_TIMEOUT: Duration = Duration::from_secs(1);
/// Entries that a taker may be behind.
const BEHIND_MAX: u64 = 1_000;
/// So often a lease is tried to be given away that was being extended meanwhile.
const ATTEMPTS: usize = 3;
/// Bytes of a summary at most.
pub(crate) const SUMMARY_BYTES_MAX: usize = 256 << 10;
/// Leases that are given away at the same time.
const AT_ONCE: usize = 16;
/// Between two looks at what a draining store still has.
const DRAIN_PAUSE: Duration = Duration::from_millis(20);
/// Without getting rid of anything for so long, it gives up.
const DRAIN_STUCK: Duration = Duration::from_secs(1);

/// Why a lease stays where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Kept {
    /// It is not here, or is being handed over already.
    #[error("the lease is not here")]
    NotHere,
    /// No other replica would take it.
    #[error("no other replica would take the lease")]
    NoTaker,
    /// Those who are being served did not get done in time.
    #[error("the range is busy")]
    Busy,
    /// Raft did not take the command.
    #[error("the command was refused")]
    Refused,
    /// The command is under way. Nobody serves until it is applied, or the lease ends.
    #[error("nobody knows whether the lease has changed hands")]
    Unknown,
}

/// A lease that nobody is served under any more. Restored when this is dropped, unless it may be given away.
struct Revoked {
    tracker: Arc<Tracker>,
    sequence: u64,
    restores: bool,
}

impl Drop for Revoked {
    fn drop(&mut self) {
        if self.restores {
            self.tracker.restore(self.sequence);
        }
    }
}

impl StoreHandle {
    /// Would this store take the lease of a range? By I3.
    pub(crate) fn lease_taker(&self, range: RangeId) -> Result<LeaseTaker, Refusal> {
        let published = self.shared.published(range);
        let would = self.trouble().is_none() && self.trusts_clock();
        match published {
            Some(published) if would => Ok(LeaseTaker {
                incarnation: self.holder.incarnation,
                applied_index: published.applied_index,
            }),
            published => Err(self.refuse(range, published.as_deref(), RefusalReason::Unavailable)),
        }
    }

    /// Gives the lease of a range to another of its replicas, if this node holds it and one would take it: the one that has
    /// applied most. Returns who has it. The range is not served for a round of its log.
    pub async fn hand_over(&self, range: RangeId) -> Result<NodeId, Kept> {
        let published = self.shared.published(range).ok_or(Kept::NotHere)?;
        let lease = self.usable_lease(&published, self.env.clock.now()).ok_or(Kept::NotHere)?;
        let (replica, taker) = self.find_taker(range, &published).await.ok_or(Kept::NoTaker)?;
        let tracker = published.tracker.clone();
        if !tracker.revoke(lease.sequence) {
            return Err(Kept::NotHere);
        }
        let mut revoked =
            Revoked { tracker: tracker.clone(), sequence: lease.sequence, restores: true };
        let observer = self.shared.observer().ok_or(Kept::Refused)?;
        let quiet = async {
            tracker.drained().await;
            let published = self.shared.published(range)?;
            Some(observer.hand_over(&published.descriptor).await)
        };
        let quiet = self.env.clock.timeout(STEP_TIMEOUT, quiet).await.flatten();
        // Whoever is kept off the range goes on when it is known who serves.
        let served = quiet.ok_or(Kept::Busy)?;
        if served.summary.0.len() > SUMMARY_BYTES_MAX {
            return Err(Kept::Refused);
        }
        self.give(range, (&replica, taker), served.summary, &mut revoked).await?;
        tracing::debug!(%range, to = replica.node_id, "this node has given the lease away");
        Ok(NodeId(replica.node_id))
    }

    async fn give(
        &self,
        range: RangeId,
        (replica, taker): (&Replica, LeaseTaker),
        summary: ReadSummary,
        revoked: &mut Revoked,
    ) -> Result<(), Kept> {
        for _ in 0..ATTEMPTS {
            let now = self.env.clock.now();
            let lease = self.shared.published(range).and_then(|published| published.lease.clone());
            let previous = lease
                .filter(|lease| lease.sequence == revoked.sequence && now < lease.expiration_ts());
            let Some(previous) = previous else { return Err(Kept::NotHere) };
            let end = now.saturating_add(self.lease_duration).max(previous.expiration_ts());
            let next = Lease {
                sequence: previous.sequence + 1,
                replica_id: replica.replica_id,
                node_id: replica.node_id,
                incarnation: taker.incarnation,
                start: now.raw(),
                expiration: end.raw(),
            };
            let change = LeaseChange {
                handed_over_by: Some(previous.incarnation),
                previous: Some(previous),
                next,
                summary: summary.0.clone(),
            };
            let command = Command { kind: Some(CommandKind::Lease(change)), ..Command::default() };
            let (waiter, fate) = oneshot::channel();
            let proposal = Proposal { range, command, waiter, slot: None, queued: None };
            if self.inputs.try_send(Input::Propose(Box::new(proposal))).is_err() {
                return Err(Kept::Refused);
            }
            revoked.restores = false;
            match self.env.clock.timeout(STEP_TIMEOUT, fate).await {
                Some(Ok(Fate::Applied(_))) => return Ok(()),
                // It has been extended meanwhile, or is another's.
                Some(Ok(Fate::Rejected(_))) => revoked.restores = true,
                Some(Ok(Fate::Superseded | Fate::Overloaded)) => {
                    revoked.restores = true;
                    return Err(Kept::Refused);
                }
                Some(Err(_)) | None => return Err(Kept::Unknown),
            }
        }
        Err(Kept::Refused)
    }

    /// The other replica that has applied most, of those that would take the lease.
    async fn find_taker(
        &self,
        range: RangeId,
        published: &Published,
    ) -> Option<(Replica, LeaseTaker)> {
        let ask = |replica: &Replica| {
            let body = Some(RequestBody::LeaseOffer(range.0));
            let call = self.env.transport.call(NodeId(replica.node_id), RpcRequest { body });
            let (replica, clock) = (replica.clone(), self.env.clock.clone());
            async move {
                let answer = clock.timeout(ASK_TIMEOUT, call).await?.ok()?;
                match answer.body {
                    Some(ResponseBody::LeaseTaker(taker)) => Some((replica, taker)),
                    _ => None,
                }
            }
        };
        let own = self.env.node_id.0;
        let replicas = published.descriptor.replicas.iter();
        let others =
            replicas.filter(|other| other.node_id != own && other.kind() == ReplicaKind::Voter);
        let takers = join_all(others.map(ask)).await.into_iter().flatten();
        let able =
            takers.filter(|(_, taker)| taker.applied_index + BEHIND_MAX >= published.applied_index);
        able.max_by_key(|(replica, taker)| {
            (taker.applied_index, std::cmp::Reverse(replica.node_id))
        })
    }

    /// Gives away what the store leads and serves, as far as others take it, and takes nothing more: the node is about to end.
    /// Returns once that is done, or `patience` is over, or nothing goes on.
    pub async fn drain(&self, patience: Duration) {
        self.shared.draining.store(true, Ordering::SeqCst);
        let clock = &self.env.clock;
        let end = clock.monotonic() + patience;
        let (mut least, mut since) = (usize::MAX, clock.monotonic());
        loop {
            let (held, led) = self.burden();
            let left = held.len() + led;
            if left < least {
                (least, since) = (left, clock.monotonic());
            }
            let now = clock.monotonic();
            let is_over = now >= end || now >= since + DRAIN_STUCK;
            if left == 0 || is_over || self.failure().is_some() {
                tracing::info!(left, "leases and leaderships that this node keeps until it ends");
                return;
            }
            for some in held.chunks(AT_ONCE) {
                join_all(some.iter().map(|range| self.hand_over(*range))).await;
            }
            clock.sleep(DRAIN_PAUSE).await;
        }
    }

    /// The ranges whose lease is here, and the number of those that are led from here; of those that others could serve.
    fn burden(&self) -> (Vec<RangeId>, usize) {
        let table: Vec<_> = self
            .shared
            .table()
            .iter()
            .map(|(range, published)| (range, published.clone()))
            .collect();
        let now = self.env.clock.now();
        let shared = table.iter().filter(|(_, published)| published.descriptor.replicas.len() > 1);
        let (mut held, mut led) = (Vec::new(), 0);
        for (range, published) in shared {
            let leader = published.leader.and_then(|leader| published.descriptor.node_of(leader));
            led += usize::from(leader == Some(self.env.node_id));
            if self.usable_lease(published, now).is_some() {
                held.push(*range);
            }
        }
        (held, led)
    }
}
