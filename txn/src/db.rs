//! The database as a gateway offers it: transactions over keys.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use kv::env::Env;
use kv::seam::Routing;

use crate::api::Batches;
pub use crate::api::{LockStrength, WaitPolicy};
pub use crate::coordinator::config::{Config, TxnOptions};
use crate::coordinator::sender::Sender;
pub use crate::coordinator::{BodyError, CommitDeadline, RowLock, Savepoint, Txn, TxnError};

/// A gateway to the database. Cheap to clone.
#[derive(Clone)]
pub struct Db {
    sender: Sender,
}

impl Db {
    /// A gateway on the node of `env` that reaches the ranges through `routing`.
    pub fn new(env: Env, routing: Arc<dyn Routing<Batches>>, config: Config) -> Self {
        Db { sender: Sender::new(env, routing, config) }
    }

    /// Begins a transaction, now. Sends nothing.
    pub fn begin(&self, options: TxnOptions) -> Txn {
        Txn::begin(self.sender.clone(), options)
    }

    /// Runs `body` in a transaction and commits it; as long as that fails with [`TxnError::Retry`], starts
    /// anew, with a new transaction, after a growing pause and with a higher priority. Any other error of the
    /// body rolls back and is returned. The body may run many times: its effects must be on the transaction.
    ///
    /// The body is `|txn| Box::pin(async move { .. })` and owns what it uses: with an async closure the compiler
    /// cannot prove that what it captures may be sent to another thread.
    pub async fn run<T, E: BodyError>(
        &self,
        options: TxnOptions,
        mut body: impl for<'t> FnMut(&'t mut Txn) -> BoxFuture<'t, Result<T, E>>,
    ) -> Result<T, E> {
        let mut options = options;
        let mut restarts = 0;
        loop {
            let mut txn = self.begin(options);
            let error = match body(&mut txn).await {
                Ok(output) => match txn.commit().await {
                    Ok(_) => return Ok(output),
                    Err(error) => E::from(error),
                },
                Err(error) => error,
            };
            txn.rollback();
            drop(txn);
            let again = error.as_txn_error().is_some_and(TxnError::is_retry);
            if !again
                || restarts == self.sender.config.max_restarts
                || self.is_past(options.deadline)
            {
                return Err(error);
            }
            restarts += 1;
            options.priority = options.priority.saturating_add(1);
            self.pause(restarts).await;
        }
    }

    fn is_past(&self, deadline: Option<Duration>) -> bool {
        deadline.is_some_and(|deadline| self.sender.env.clock.monotonic() >= deadline)
    }

    /// From half to all of 2 ms, doubled with every restart up to half a second: two transactions that collide
    /// must not meet again.
    async fn pause(&self, restarts: u32) {
        let longest = (1_000u64 << restarts.min(20)).min(500_000);
        let micros = longest / 2 + self.sender.env.rng.below(longest / 2 + 1);
        self.sender.env.clock.sleep(Duration::from_micros(micros)).await;
    }
}
