//! What remains to be done when the outcome of a transaction is settled: in the background, and best effort,
//! since others finish it when they run into what is left.
//!
//! - C1. Intents are removed as aborted only if no commit was ever sent, or the record is known to be aborted.
//! - C2. A record is collected only after every intent of the transaction is resolved, and resolutions are
//!   answered after they were applied.

use bytes::Bytes;
use futures::future;
use kv::clock::Timestamp;
use std::sync::Arc;
use tokio::sync::oneshot;

use super::sender::{Patience, Piece, Sender, request};
use super::spans::{SpanSet, named_or_covered};
use crate::api::{
    BatchRequest, CollectTxn, EndTxn, RequestKind, Resolve, Span, TxnMeta, TxnStatus,
};

/// A finished transaction's leavings.
pub(crate) struct Remains {
    pub(crate) meta: TxnMeta,
    /// Ascending: every key written or locked that is not in `spans`.
    pub(crate) keys: Vec<Bytes>,
    /// Over the keys of a transaction that was larger than its buffer.
    pub(crate) spans: SpanSet,
    /// None: aborted, or nothing to commit.
    pub(crate) commit_ts: Option<Timestamp>,
    /// There may be intents. Otherwise nothing but locks, and a record at most that only says that it is alive.
    pub(crate) intents: bool,
}

impl Remains {
    /// Starts the work as a task of the node. What is received says that it is done.
    pub(crate) fn spawn(self, sender: &Sender) -> oneshot::Receiver<()> {
        let owned = sender.clone();
        let (done, cleaned) = oneshot::channel();
        let clean = async move {
            self.clean(&owned).await;
            // Mostly nobody wants to know.
            let _ = done.send(());
        };
        sender.env.tasks.spawn("txn-cleanup", Box::pin(clean));
        cleaned
    }

    async fn clean(self, sender: &Sender) {
        let limit = sender.config.cleanup_timeout;
        let deadline = sender.deadline_in(limit);
        if !self.intents && self.commit_ts.is_none() {
            // Nothing is written for it, and nothing has to be collected. But the anchor remembers that it is over: a lock
            // that nobody knows here is found to be nobody's there.
            future::join(self.abort(sender, &[], deadline), self.resolve(sender)).await;
            return;
        }
        let mut settled = true;
        if self.commit_ts.is_none() {
            settled = match self.abort(sender, &self.keys, deadline).await {
                Some(TxnStatus::Committed) => {
                    // C1 excludes it; if it is broken nevertheless, the record is right and not we.
                    tracing::error!("an abandoned transaction turned out to be committed");
                    return;
                }
                status => status.is_some(),
            };
        }
        if self.resolve(sender).await && settled {
            let deadline = sender.deadline_in(limit);
            let collect =
                CollectTxn { txn_id: self.meta.id.clone(), anchor: self.meta.anchor.clone() };
            let batch = untransacted(RequestKind::CollectTxn(collect));
            // If it fails, a small record is left behind.
            let _ = sender.send_to_key(&self.meta.anchor, Arc::new(batch), true, deadline).await;
        }
    }

    /// Writes that the transaction is aborted. None: not known to be written.
    async fn abort(
        &self,
        sender: &Sender,
        keys: &[Bytes],
        deadline: std::time::Duration,
    ) -> Option<TxnStatus> {
        let (keys, spans) = named_or_covered(keys, &self.spans, &sender.config);
        let end = EndTxn { keys, spans, ..EndTxn::default() };
        let batch = BatchRequest {
            txn: Some(self.meta.clone()),
            requests: vec![request(RequestKind::EndTxn(end))],
            ..BatchRequest::default()
        };
        let sent =
            sender.send_to_key(&self.meta.anchor, Arc::new(batch), true, deadline).await.ok()?;
        super::heartbeat::status(&sent.response)
    }

    /// Resolves everything; true iff all is known to be.
    async fn resolve(&self, sender: &Sender) -> bool {
        let resolution = Resolve {
            txn_id: self.meta.id.clone(),
            commit_ts: self.commit_ts.map_or(0, Timestamp::raw),
            ignored: self.meta.ignored.clone(),
            ..Resolve::default()
        };
        let of_keys = |keys: &[Bytes]| Resolve { keys: keys.to_vec(), ..resolution.clone() };
        let of_spans = |spans: &[Span]| Resolve { spans: spans.to_vec(), ..resolution.clone() };
        resolve_all(sender, self.keys.clone(), of_keys).await
            && resolve_all(sender, self.spans.iter().collect(), of_spans).await
    }
}

/// Resolves ascending pieces, as many at a time as the servers do; true iff all are known to be.
async fn resolve_all<P: Piece>(
    sender: &Sender,
    pieces: Vec<P>,
    of: impl Fn(&[P]) -> Resolve,
) -> bool {
    let patience = Patience { each: sender.config.cleanup_timeout, end: std::time::Duration::MAX };
    let mut pending = pieces;
    while !pending.is_empty() {
        let sent = sender.fan_out(pending, patience, |pieces| {
            untransacted(RequestKind::Resolve(Box::new(of(pieces))))
        });
        let Ok(answers) = sent.await else { return false };
        pending = Vec::new();
        for (pieces, answer) in answers {
            let Some(response) = answer.response.responses.first() else { return false };
            let resume = &response.resume;
            if resume.is_empty() {
                continue;
            }
            if pieces.first().is_none_or(|first| first.start() >= resume) {
                tracing::error!("a resolution that does not get ahead");
                return false;
            }
            pending.extend(pieces.into_iter().filter_map(|piece| piece.rest_from(resume)));
        }
        // What had moved comes last.
        pending.sort_by(|a, b| a.start().cmp(b.start()));
    }
    true
}

fn untransacted(kind: RequestKind) -> BatchRequest {
    BatchRequest { requests: vec![request(kind)], ..BatchRequest::default() }
}
