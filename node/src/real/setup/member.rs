//! What a member tells those that are none, beside everything else that it serves.

use std::convert::Infallible;
use std::task::{Context, Poll};

use tonic::body::Body;
use tonic::codegen::{BoxFuture, Service, http};
use tonic::{Request, Response, Status};

use super::Membership;
use super::proto::setup_server::{SERVICE_NAME, Setup, SetupServer};
use super::proto::{InitReply, InitRequest, ProbeReply, ProbeRequest};
use crate::inbound::InboundSlot;

/// Answers for a member.
#[derive(Clone)]
pub(in crate::real) struct MemberSetup {
    slot: InboundSlot,
    membership: Option<Membership>,
}

impl MemberSetup {
    pub(in crate::real) fn new(slot: InboundSlot, membership: Option<Membership>) -> Self {
        MemberSetup { slot, membership }
    }
}

#[tonic::async_trait]
impl Setup for MemberSetup {
    async fn init(&self, _: Request<InitRequest>) -> Result<Response<InitReply>, Status> {
        Err(super::waiting::exists())
    }

    async fn probe(&self, _: Request<ProbeRequest>) -> Result<Response<ProbeReply>, Status> {
        let serving = self.slot.get().is_some();
        let membership = self.membership.as_ref().map(Membership::to_proto);
        Ok(Response::new(ProbeReply { membership, serving, ..ProbeReply::default() }))
    }
}

/// A service with the setup's beside it, told apart by the path.
#[derive(Clone)]
pub(in crate::real) struct WithSetup<S> {
    setup: SetupServer<MemberSetup>,
    other: S,
}

impl<S> WithSetup<S> {
    pub(in crate::real) fn new(setup: MemberSetup, other: S) -> Self {
        WithSetup { setup: SetupServer::new(setup), other }
    }
}

type Answer = BoxFuture<http::Response<Body>, Infallible>;

impl<S> Service<http::Request<Body>> for WithSetup<S>
where
    S: Service<
            http::Request<Body>,
            Response = http::Response<Body>,
            Error = Infallible,
            Future = Answer,
        >,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // Neither ever makes anybody wait.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Answer {
        let path = request.uri().path().strip_prefix('/');
        let service = path.and_then(|path| path.split_once('/')).map(|(service, _)| service);
        match service {
            Some(SERVICE_NAME) => self.setup.call(request),
            _ => self.other.call(request),
        }
    }
}
