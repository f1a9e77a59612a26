//! The consensus loop: carries out what the core asks for, in the order that it asks for it.

use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, Either, select};
use prost::Message;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use crate::env::Env;
use crate::failure::{Failure, FailureKind};
use crate::ids::{NodeId, RangeId};
use crate::log::{LogError, RaftLog};
use crate::mutant::Mutant;
use crate::rpc::{MAX_MESSAGE_BYTES, RaftMessage};
use crate::store::apply::Work;
use crate::store::core::{Core, Input};
use crate::store::shared::{SharedRef, StopOnPanic};

/// Inputs taken in before the log is written: the size of a group commit.
const INPUTS_PER_TURN_MAX: usize = 1_024;

/// What the loop works with.
pub(crate) struct Driver {
    pub(crate) env: Env,
    pub(crate) core: Core,
    pub(crate) log: Arc<dyn RaftLog>,
    pub(crate) shared: SharedRef,
    pub(crate) inputs: mpsc::Receiver<Input>,
    pub(crate) apply: mpsc::Sender<Work>,
    pub(crate) tick: Duration,
}

impl Driver {
    /// Runs until the store fails or everybody who could send inputs is gone.
    pub(crate) async fn run(mut self) {
        let _stop = StopOnPanic { shared: self.shared.clone(), what: "consensus" };
        if let Err(error) = self.serve().await {
            self.shared.fail((&error).into());
        }
    }

    async fn serve(&mut self) -> Result<(), LogError> {
        let mut next_tick = self.env.clock.monotonic() + self.tick;
        let mut timer = self.env.clock.sleep(self.tick);
        loop {
            let woken = self.wait(&mut timer).await;
            let is_tick = matches!(woken, Woken::Tick);
            if self.shared.failure.get().is_some() {
                return Ok(());
            }
            if let Some(complaint) = self.env.clock.complaint()
                && !self.env.mutation(Mutant::TrustWrongClock)
            {
                self.shared.fail(Failure::new(FailureKind::Clock, complaint));
                return Ok(());
            }
            let mut inputs = match woken {
                Woken::Input(first) => vec![first],
                Woken::Notice | Woken::Tick => Vec::new(),
                Woken::Over => return Ok(()),
            };
            while !inputs.is_empty() && inputs.len() < INPUTS_PER_TURN_MAX {
                let Ok(input) = self.inputs.try_recv() else { break };
                inputs.push(input);
            }
            // After the inputs were taken: whoever sent them may have seen what is noted here.
            self.core.notices()?;
            for input in inputs {
                self.core.step(self.env.clock.now(), input)?;
            }
            let now = self.env.clock.monotonic();
            // Where inputs never end, the timer is not asked.
            if is_tick || now >= next_tick {
                // A stall counts as one tick: a node that slept must listen before it campaigns.
                next_tick = now + self.tick;
                timer = self.env.clock.sleep(self.tick);
                self.core.step(self.env.clock.now(), Input::Tick)?;
            }
            while let Some(effects) = self.core.turn()? {
                for (node, messages) in effects.messages {
                    self.send(node, messages)?;
                }
                if !effects.log.groups.is_empty() {
                    self.log.write(effects.log, effects.must_sync).await?;
                }
                self.core.persisted(effects.persisting)?;
                for (node, messages) in effects.after_sync {
                    self.send(node, messages)?;
                }
                for task in effects.apply {
                    match self.apply.try_send(task) {
                        Ok(()) => {}
                        // The apply loop has ended: it has said why.
                        Err(TrySendError::Closed(_)) => return Ok(()),
                        Err(TrySendError::Full(_)) => unreachable!("the core counts the tasks"),
                    }
                }
            }
            self.core.publish_leaders();
        }
    }

    fn send(&self, node: NodeId, messages: Vec<RaftMessage>) -> Result<(), LogError> {
        check_size(node, &messages)?;
        self.env.transport.send_raft(node, messages);
        Ok(())
    }

    async fn wait(&mut self, timer: &mut BoxFuture<'static, ()>) -> Woken {
        let notice = std::pin::pin!(self.shared.wake.notified());
        let other = select(notice, timer);
        match select(std::pin::pin!(self.inputs.recv()), other).await {
            Either::Left((Some(input), _)) => Woken::Input(input),
            Either::Left((None, _)) => Woken::Over,
            Either::Right((Either::Left(_), _)) => Woken::Notice,
            Either::Right((Either::Right(_), _)) => Woken::Tick,
        }
    }
}

/// Why the loop goes on.
enum Woken {
    Input(Input),
    /// There are notices, or the store has failed.
    Notice,
    Tick,
    /// Nobody can send inputs any more.
    Over,
}

/// A message that no transport takes would be repeated and dropped for ever, and the range would stand still behind it
/// while this replica leads: the store stops instead, and the others go on.
pub(crate) fn check_size(node: NodeId, messages: &[RaftMessage]) -> Result<(), LogError> {
    let mut sizes = messages.iter().map(|message| (message.range_id, message.encoded_len()));
    match sizes.find(|(_, bytes)| *bytes > MAX_MESSAGE_BYTES) {
        None => Ok(()),
        Some((range, bytes)) => Err(LogError::Corrupt(format!(
            "{} has a message of {bytes} bytes for {node}, which is too large to send",
            RangeId(range)
        ))),
    }
}
