//! A transaction's signs of life, while it holds something that others may wait for.
//!
//! The task ends when its handle is dropped, when the anchor says that the transaction is finished, or with its
//! node. A beat that is still on its way then does no harm: no record is created for a transaction that ended.

use futures::future::{Either, select};
use std::sync::Arc;
use tokio::sync::{oneshot, watch};

use super::error::TxnError;
use super::sender::{Sender, request};
use crate::api::{
    BatchRequest, BatchResponse, ErrorKind, Heartbeat, RequestKind, TxnMeta, TxnStatus,
};

/// Keeps a transaction alive until it is dropped.
pub(crate) struct Pulse {
    aborted: watch::Receiver<bool>,
    _stop: oneshot::Sender<()>,
}

impl Pulse {
    /// Starts the task. The anchor must be set for good.
    pub(crate) fn start(sender: &Sender, meta: TxnMeta) -> Self {
        let (stop, stopped) = oneshot::channel();
        let (abort, aborted) = watch::channel(false);
        let beats = beat(sender.clone(), meta, abort);
        sender.env.tasks.spawn(
            "txn-heartbeat",
            Box::pin(async move {
                // The stop comes first: no beat begins after it.
                select(stopped, std::pin::pin!(beats)).await;
            }),
        );
        Pulse { aborted, _stop: stop }
    }

    /// Another transaction, or the anchor's lease holder, has aborted this one.
    pub(crate) fn is_aborted(&self) -> bool {
        *self.aborted.borrow()
    }

    /// `future`'s output, unless the transaction is aborted first: whoever waits for a lock must hear of it.
    pub(crate) async fn unless_aborted<T>(
        &self,
        future: impl Future<Output = T>,
    ) -> Result<T, TxnError> {
        let mut aborted = self.aborted.clone();
        let abort = std::pin::pin!(async move {
            if aborted.wait_for(|aborted| *aborted).await.is_err() {
                // The task has ended without having seen an abort.
                std::future::pending::<()>().await;
            }
        });
        match select(std::pin::pin!(future), abort).await {
            Either::Left((output, _)) => Ok(output),
            Either::Right(_) => Err(aborted_error()),
        }
    }
}

/// What an operation of an aborted transaction returns.
pub(crate) fn aborted_error() -> TxnError {
    TxnError::retry("the transaction was aborted by another")
}

async fn beat(sender: Sender, meta: TxnMeta, abort: watch::Sender<bool>) {
    let interval = sender.config.heartbeat_interval;
    loop {
        sender.env.clock.sleep(interval).await;
        let now = sender.env.clock.now().raw();
        let batch = BatchRequest {
            txn: Some(meta.clone()),
            requests: vec![request(RequestKind::Heartbeat(Heartbeat { now }))],
            ..BatchRequest::default()
        };
        let deadline = sender.deadline_in(interval);
        let sent = sender.send_to_key(&meta.anchor, Arc::new(batch), true, deadline);
        let Ok(answer) = sent.await else {
            continue;
        };
        match status(&answer.response) {
            Some(TxnStatus::Aborted) => {
                abort.send_replace(true);
                return;
            }
            Some(TxnStatus::Committed) => return,
            Some(TxnStatus::Pending | TxnStatus::Unrecorded) | None => {}
        }
    }
}

/// What a request to the anchor says of the transaction, if anything.
pub(crate) fn status(response: &BatchResponse) -> Option<TxnStatus> {
    if let Some(error) = &response.error {
        return (error.kind == ErrorKind::Aborted as i32).then_some(TxnStatus::Aborted);
    }
    let record = response.responses.first()?.record.as_ref()?;
    TxnStatus::try_from(record.status).ok()
}
