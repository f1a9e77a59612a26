//! Bringing batches to ranges: finding them, dividing work among them, and starting over when they moved.
//!
//! - A piece of work that was divided by a stale descriptor is certainly not executed, and is divided anew.
//! - Work for several ranges goes out at the same time, a bounded number of batches at once, in key order.
//! - Every wait ends at the caller's deadline (of the monotonic clock). Work that is many batches has time for each of
//!   them ([`Patience`]): it ends when nothing gets ahead, not when it is large.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::stream::StreamExt;
use kv::env::Env;
use kv::ids::NodeId;
use kv::range::descriptor::RangeDescriptor;
use kv::seam::{Routing, SendError};

use crate::api::{BatchRequest, BatchResponse, Batches, Put, Request, RequestKind, Span};
use crate::coordinator::config::Config;
use crate::coordinator::heartbeat::Pulses;

/// Batches of one fan-out that are on their way at the same time. What a range has in its queue from one
/// transaction, others wait behind.
const FAN_OUT: usize = 8;

/// The injected world and the way to the ranges. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Sender {
    pub(crate) env: Env,
    pub(crate) config: Arc<Config>,
    pub(crate) pulses: Arc<Pulses>,
    routing: Arc<dyn Routing<Batches>>,
}

/// A lease holder's answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) response: BatchResponse,
    pub(crate) node: NodeId,
}

/// Work that is divided among ranges.
pub(crate) trait Piece: Clone + Send + 'static {
    /// Where it begins.
    fn start(&self) -> &Bytes;
    /// Cuts it at `end`, which lies behind its start, and returns what lies beyond.
    fn cut(&mut self, end: &Bytes) -> Option<Self>;
    /// Roughly its share of a batch, in bytes.
    fn size(&self) -> usize;
    /// What of it lies at or after a key.
    fn rest_from(mut self, key: &Bytes) -> Option<Self> {
        if self.start() >= key { Some(self) } else { self.cut(key) }
    }
}

impl Piece for Bytes {
    fn start(&self) -> &Bytes {
        self
    }
    fn cut(&mut self, _: &Bytes) -> Option<Self> {
        None
    }
    fn size(&self) -> usize {
        self.len()
    }
}

impl Piece for Put {
    fn start(&self) -> &Bytes {
        &self.key
    }
    fn cut(&mut self, _: &Bytes) -> Option<Self> {
        None
    }
    fn size(&self) -> usize {
        self.key.len() + self.value.as_ref().map_or(0, Bytes::len)
    }
}

impl Piece for Span {
    fn start(&self) -> &Bytes {
        &self.start
    }
    fn cut(&mut self, end: &Bytes) -> Option<Self> {
        if self.end <= *end {
            return None;
        }
        let beyond = Span { start: end.clone(), end: self.end.clone() };
        self.end = end.clone();
        Some(beyond)
    }
    fn size(&self) -> usize {
        self.start.len() + self.end.len()
    }
}

/// How long a fan-out may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// Each batch, from when it leaves; and the time in which some batch must be answered.
    pub(crate) each: Duration,
    /// Everything ends by this time of the monotonic clock.
    pub(crate) end: Duration,
}

impl Patience {
    fn deadline(&self, env: &Env) -> Duration {
        env.clock.monotonic().saturating_add(self.each).min(self.end)
    }
}

/// Pauses that double, from a millisecond to a tenth of a second.
pub(crate) struct Backoff(Duration);

impl Backoff {
    pub(crate) fn new() -> Self {
        Backoff(Duration::from_millis(1))
    }

    /// Waits, or returns false at once when the deadline would pass meanwhile.
    pub(crate) async fn pause(&mut self, env: &Env, deadline: Duration) -> bool {
        let pause = self.0;
        self.0 = (pause * 2).min(Duration::from_millis(100));
        if env.clock.monotonic() + pause >= deadline {
            return false;
        }
        env.clock.sleep(pause).await;
        true
    }
}

impl Sender {
    pub(crate) fn new(env: Env, routing: Arc<dyn Routing<Batches>>, config: Config) -> Self {
        Sender { env, routing, config: Arc::new(config), pulses: Arc::default() }
    }

    /// The deadline of something that may take `limit` from now on.
    pub(crate) fn deadline_in(&self, limit: Duration) -> Duration {
        self.env.clock.monotonic().saturating_add(limit)
    }

    /// The range that holds `key`, as far as is known.
    pub(crate) async fn lookup(
        &self,
        key: &Bytes,
        deadline: Duration,
    ) -> Result<RangeDescriptor, SendError> {
        let descriptor = self.routing.lookup(key.clone(), deadline).await?;
        // Everything that walks over ranges relies on it to get ahead.
        if descriptor.contains_key(key) { Ok(descriptor) } else { Err(SendError::Unavailable) }
    }

    /// The range that holds the last keys of `[start, end)`, which is not empty, as far as is known.
    pub(crate) async fn lookup_before(
        &self,
        end: &Bytes,
        start: &Bytes,
        deadline: Duration,
    ) -> Result<RangeDescriptor, SendError> {
        let mut at = shortly_before(end).max(start.clone());
        loop {
            let descriptor = self.lookup(&at, deadline).await?;
            if descriptor.end >= *end {
                return Ok(descriptor);
            }
            // A range begins between the two keys. Each step gets ahead, and there are no more steps than ranges.
            at = descriptor.end;
        }
    }

    /// Sends a batch to a range. An answer that does not fit leaves the outcome unknown.
    pub(crate) async fn send(
        &self,
        descriptor: RangeDescriptor,
        batch: Arc<BatchRequest>,
        repeatable: bool,
        deadline: Duration,
    ) -> Result<Answer, SendError> {
        let requests = batch.requests.len();
        let sent = self.routing.send(descriptor, batch, repeatable, deadline);
        let (response, node) = sent.await?;
        if response.error.is_none() && response.responses.len() != requests {
            return Err(SendError::Unknown);
        }
        Ok(Answer { response, node })
    }

    /// Sends a batch to whichever range holds `key`.
    pub(crate) async fn send_to_key(
        &self,
        key: &Bytes,
        batch: Arc<BatchRequest>,
        repeatable: bool,
        deadline: Duration,
    ) -> Result<Answer, SendError> {
        let mut backoff = Backoff::new();
        loop {
            let descriptor = self.lookup(key, deadline).await?;
            match self.send(descriptor, batch.clone(), repeatable, deadline).await {
                Err(SendError::Moved) if backoff.pause(&self.env, deadline).await => {}
                Err(SendError::Moved) => return Err(SendError::Unavailable),
                answer => return answer,
            }
        }
    }

    /// Divides ascending pieces among ranges and sends `batch_of` each division, until all are answered. The
    /// requests must be repeatable. On an error some may have been executed.
    pub(crate) async fn fan_out<P: Piece>(
        &self,
        pieces: Vec<P>,
        patience: Patience,
        batch_of: impl Fn(&[P]) -> BatchRequest,
    ) -> Result<Vec<(Vec<P>, Answer)>, SendError> {
        let mut backoff = Backoff::new();
        let mut pending = pieces;
        let mut answers = Vec::new();
        let mut answered = 0;
        let mut deadline = patience.deadline(&self.env);
        loop {
            if answers.len() > answered {
                answered = answers.len();
                deadline = patience.deadline(&self.env);
            }
            let mut sends = Vec::new();
            let failed = Arc::new(AtomicBool::new(false));
            for (descriptor, division) in self.divide(pending, deadline).await? {
                let (sender, batch, failed) =
                    (self.clone(), Arc::new(batch_of(&division)), failed.clone());
                sends.push(async move {
                    if failed.load(Ordering::Relaxed) {
                        return (division, Err(SendError::Unavailable));
                    }
                    let deadline = patience.deadline(&sender.env);
                    let answer = sender.send(descriptor, batch, true, deadline).await;
                    let is_failure = answer.as_ref().is_err_and(|e| *e != SendError::Moved);
                    failed.fetch_or(is_failure, Ordering::Relaxed);
                    (division, answer)
                });
            }
            // All that have left are awaited even if one fails: none may be left half-way without the caller's
            // knowledge. No further ones leave then.
            let done: Vec<_> = futures::stream::iter(sends).buffered(FAN_OUT).collect().await;
            pending = Vec::new();
            let mut failure = None;
            for (division, answer) in done {
                match answer {
                    Ok(answer) => answers.push((division, answer)),
                    Err(SendError::Moved) => pending.extend(division),
                    Err(error) => failure = failure.or(Some(error)),
                }
            }
            if let Some(error) = failure {
                return Err(error);
            }
            if pending.is_empty() {
                return Ok(answers);
            }
            if !backoff.pause(&self.env, deadline).await {
                return Err(SendError::Unavailable);
            }
        }
    }

    /// Groups ascending pieces by range, each group within the bounds of a batch.
    async fn divide<P: Piece>(
        &self,
        pieces: Vec<P>,
        deadline: Duration,
    ) -> Result<Vec<(RangeDescriptor, Vec<P>)>, SendError> {
        let mut divisions: Vec<(RangeDescriptor, Vec<P>)> = Vec::new();
        let mut bytes = 0;
        for piece in pieces {
            let mut rest = Some(piece);
            while let Some(mut piece) = rest.take() {
                let last = divisions.last().filter(|(d, _)| d.contains_key(piece.start()));
                let (descriptor, full) = match last {
                    Some((descriptor, division)) => {
                        let full = division.len() >= self.config.batch_requests
                            || bytes + piece.size() > self.config.batch_bytes;
                        (descriptor.clone(), full)
                    }
                    None => (self.lookup(piece.start(), deadline).await?, true),
                };
                rest = piece.cut(&descriptor.end);
                if full {
                    divisions.push((descriptor, Vec::new()));
                    bytes = 0;
                }
                bytes += piece.size();
                let (_, division) = divisions.last_mut().expect("one was there or was just pushed");
                division.push(piece);
            }
        }
        Ok(divisions)
    }
}

/// A key before another one, with hardly any key between them.
fn shortly_before(key: &Bytes) -> Bytes {
    let Some((last, head)) = key.split_last() else { return Bytes::new() };
    let mut before = head.to_vec();
    // The key without its last byte is right before it, if that is zero.
    if *last > 0 {
        before.push(last - 1);
        before.extend([0xff; 16]);
    }
    before.into()
}

/// The request of one kind.
pub(crate) fn request(kind: RequestKind) -> Request {
    Request { kind: Some(kind) }
}
