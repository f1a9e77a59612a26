//! Moving a transaction's reads to a later time.

use std::time::Duration;

use kv::clock::Timestamp;
use kv::mutant::Mutant;

use super::Txn;
use super::error::TxnError;
use super::sender::{Patience, request};
use crate::api::{BatchRequest, Refresh, RequestKind, Span, TxnMeta};

impl Txn {
    /// Makes `to` the read timestamp, having checked that everything read so far would read the same there.
    /// Each lease holder also remembers the read at `to`, so that nobody can write below it afterwards.
    pub(super) async fn move_reads(
        &mut self,
        to: Timestamp,
        deadline: Duration,
    ) -> Result<(), TxnError> {
        let from = self.state.read_ts();
        if to <= from {
            return Ok(());
        }
        if !self.state.reads.is_empty() && !self.sender.env.mutation(Mutant::SkipReadRefresh) {
            let at_goal = BatchRequest {
                txn: Some(TxnMeta {
                    read_ts: to.raw(),
                    write_ts: self.state.write_ts().max(to).raw(),
                    ..self.state.meta.clone()
                }),
                ..self.state.fixed_batch(Vec::new())
            };
            let refresh = |span: &Span| {
                request(RequestKind::Refresh(Refresh { span: span.clone(), from_ts: from.raw() }))
            };
            // Of a large transaction it is many batches: each has its time.
            let each = deadline.saturating_sub(self.sender.env.clock.monotonic());
            let patience = Patience { each, end: self.deadline.unwrap_or(Duration::MAX) };
            let sent = self.sender.fan_out(self.state.reads.iter().collect(), patience, |spans| {
                BatchRequest { requests: spans.iter().map(refresh).collect(), ..at_goal.clone() }
            });
            let answers = self.unless_aborted(sent).await?.map_err(TxnError::from_send)?;
            for (_, answer) in answers {
                self.state.learn(&answer);
                if let Some(error) = &answer.response.error {
                    return Err(TxnError::from_server(error));
                }
            }
        }
        self.state.forward(to);
        Ok(())
    }
}
