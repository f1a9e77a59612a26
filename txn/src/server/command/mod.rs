//! The commands: what a batch may ask for, a file each. A kind of request is a row of [`crate::api`]'s list and a file here,
//! which says what the request touches and what it does.
//!
//! Whatever arrives from the network is checked where it declares what it touches; evaluation relies on it.

mod break_wait;
mod collect_txn;
mod delete_span;
mod end_txn;
mod get;
mod heartbeat;
mod push_txn;
mod put;
mod query_txn;
mod refresh;
mod report_wait;
mod resolve;
mod scan;

use futures::future::{BoxFuture, FutureExt};

use super::evaluation::{Evaluation, Stop};
use super::plan::{Plan, check_txn};
use crate::api::{
    BatchRequest, MAX_ONE_PHASE_WRITES, RequestKind, Response, TxnMeta, Visit, Visitor,
};

/// As many requests as any coordinator sends in one batch: writes, and the end of their transaction.
const MAX_REQUESTS: usize = MAX_ONE_PHASE_WRITES + 1;

/// What a request can do.
trait Command {
    /// Checks the request, and declares what it touches. The error is for people.
    fn declare(&self, plan: &mut Plan, batch: Within<'_>) -> Result<(), String>;

    /// Does it, as far as the batch's changes and the node's memory go.
    fn evaluate(&self, evaluation: &mut Evaluation<'_>) -> Result<Response, Stop>;

    /// True iff it takes long, and lets others go first now and then: it is done by the next method then.
    const TAKES_LONG: bool = false;

    /// As [`Command::evaluate`].
    fn evaluate_long<'e>(
        &'e self,
        evaluation: &'e mut Evaluation<'_>,
    ) -> BoxFuture<'e, Result<Response, Stop>> {
        std::future::ready(self.evaluate(evaluation)).boxed()
    }
}

/// The batch that a request is part of.
#[derive(Clone, Copy)]
struct Within<'b> {
    /// Whose it is.
    txn: Option<&'b TxnMeta>,
    /// No request follows.
    is_last: bool,
}

impl<'b> Within<'b> {
    /// The batch's transaction.
    fn txn(self) -> Result<&'b TxnMeta, String> {
        self.txn.ok_or_else(|| "a request without its transaction".to_owned())
    }

    /// The same, where it has to have an anchor: it may lock or write.
    fn anchored(self) -> Result<&'b TxnMeta, String> {
        let txn = self.txn()?;
        if txn.anchor.is_empty() { Err("no anchor key".to_owned()) } else { Ok(txn) }
    }
}

/// Checks a batch, and works out what it touches. The error is for people.
pub(super) fn plan(request: &BatchRequest) -> Result<Plan, String> {
    if request.requests.is_empty() || request.requests.len() > MAX_REQUESTS {
        return Err(format!("a batch of {} requests", request.requests.len()));
    }
    let txn = request.txn.as_ref();
    txn.map_or(Ok(()), check_txn)?;
    let mut plan = Plan::default();
    for (n, one) in request.requests.iter().enumerate() {
        let kind = one.kind.as_ref().ok_or("a request of an unknown kind")?;
        let batch = Within { txn, is_last: n + 1 == request.requests.len() };
        kind.visit(Declare { plan: &mut plan, batch })?;
    }
    plan.check(request)?;
    Ok(plan)
}

/// Evaluates a request.
pub(super) async fn evaluate(
    kind: &RequestKind,
    evaluation: &mut Evaluation<'_>,
) -> Result<Response, Stop> {
    // Of a batch's many writes none is a future on the heap.
    match kind.visit(TakesLong) {
        true => kind.visit(EvaluateLong { evaluation }).await,
        false => kind.visit(Evaluate { evaluation }),
    }
}

struct Declare<'p, 'b> {
    plan: &'p mut Plan,
    batch: Within<'b>,
}

impl Visitor for Declare<'_, '_> {
    type Out = Result<(), String>;
}

impl<'r, C: Command> Visit<'r, C> for Declare<'_, '_> {
    fn visit(self, request: &'r C) -> Self::Out {
        request.declare(self.plan, self.batch)
    }
}

struct Evaluate<'e, 'a> {
    evaluation: &'e mut Evaluation<'a>,
}

impl Visitor for Evaluate<'_, '_> {
    type Out = Result<Response, Stop>;
}

impl<'r, C: Command> Visit<'r, C> for Evaluate<'_, '_> {
    fn visit(self, request: &'r C) -> Self::Out {
        request.evaluate(self.evaluation)
    }
}

struct TakesLong;

impl Visitor for TakesLong {
    type Out = bool;
}

impl<'r, C: Command> Visit<'r, C> for TakesLong {
    fn visit(self, _: &'r C) -> bool {
        C::TAKES_LONG
    }
}

struct EvaluateLong<'e, 'a> {
    evaluation: &'e mut Evaluation<'a>,
}

impl<'e> Visitor for EvaluateLong<'e, '_> {
    type Out = BoxFuture<'e, Result<Response, Stop>>;
}

impl<'e, C: Command> Visit<'e, C> for EvaluateLong<'e, '_> {
    fn visit(self, request: &'e C) -> Self::Out {
        request.evaluate_long(self.evaluation)
    }
}
