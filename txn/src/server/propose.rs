//! From an evaluated batch to an applied one, and what follows from it in this node's memory.
//!
//! - I1. What follows, follows before the latches are released, and whether or not anybody waits for the answer.
//! - I2. After an unknown outcome everything is assumed that would be wrong to miss, and nothing that would be
//!   wrong to claim.

use std::sync::Arc;

use futures::future::FutureExt;
use kv::clock::Timestamp;
use kv::ids::RangeId;
use kv::seam::{Eval, ProposeError, WriteBatch};

use super::Inner;
use super::evaluation::Effect;
use super::in_flight::{InFlight, quarantine_time};
use crate::concurrency::LatchGuard;

impl Inner {
    /// Proposes a batch; the latches live as long as that takes.
    pub(super) fn propose(
        self: &Arc<Self>,
        range: RangeId,
        eval: Eval,
        batch: WriteBatch,
        batch_ts: Timestamp,
        effects: Vec<Effect>,
        guards: Vec<LatchGuard>,
    ) -> InFlight {
        let expiration = eval.lease.expiration_ts();
        let proposal = self.ranges.propose(eval, batch, batch_ts);
        let inner = self.clone();
        let work = async move {
            let result = proposal.await;
            match &result {
                Ok(()) => inner.apply(effects),
                Err(ProposeError::Rejected(_)) => {}
                Err(ProposeError::Unknown) => {
                    inner.fear(effects);
                    inner.quarantine(range, expiration, guards);
                    return result;
                }
            }
            drop(guards);
            result
        };
        InFlight::new(work.boxed(), self.env.tasks.clone())
    }

    /// What follows from an applied batch.
    pub(super) fn apply(&self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Refuse { anchor, id, ts } => self.markers.refuse(&anchor, &id, ts),
                Effect::Committed { anchor, id, ts } => self.markers.committed(&anchor, &id, ts),
                Effect::Finished { id, finished } => self.finished.learn(&id, &finished),
                Effect::Release { id, keys } => {
                    self.ended.add(&id);
                    keys.iter().for_each(|key| self.locks.release(key, &id));
                }
                Effect::RollBack { id, keys, numbers } => {
                    keys.iter().for_each(|key| self.locks.roll_back(key, &id, numbers));
                }
            }
        }
    }

    /// The batch may take effect, or not: whatever would be wrong after it must not happen any more.
    fn fear(&self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Refuse { anchor, id, ts } | Effect::Committed { anchor, id, ts } => {
                    self.markers.refuse(&anchor, &id, ts);
                }
                Effect::Release { .. } | Effect::RollBack { .. } | Effect::Finished { .. } => {}
            }
        }
    }

    fn quarantine(
        self: &Arc<Self>,
        range: RangeId,
        expiration: Timestamp,
        guards: Vec<LatchGuard>,
    ) {
        let number = self.quarantine.keep(range, guards);
        let now = self.env.clock.now();
        let left_ms = expiration.wall_ms().saturating_sub(now.wall_ms());
        let wait = self.env.clock.sleep(quarantine_time(left_ms));
        let inner = self.clone();
        let release = async move {
            wait.await;
            inner.quarantine.release(range, number);
        };
        self.env.tasks.spawn("release-quarantine", release.boxed());
    }
}
