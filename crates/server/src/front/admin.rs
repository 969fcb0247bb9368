//! The `Admin` service.

use std::sync::Arc;

use quorate_model::admin::AdminRequest;
use quorate_model::request::{Answer, ClientRequest, QueryOptions, RequestBody, RequestError};
use quorate_os::Clock;
use quorate_proto::v1;
use tonic::{Request, Response, Status};

use super::grpc::status;
use super::stub::admin_server::Admin;
use super::{call, protocol_error};
use crate::shared::Shared;

/// The operator's service of one thread.
#[derive(Clone)]
pub(crate) struct AdminService {
    shared: Arc<Shared>,
    clock: Clock,
}

impl AdminService {
    pub(crate) fn new(shared: Arc<Shared>, clock: Clock) -> Self {
        Self { shared, clock }
    }
}

/// A verb as a request.
pub(super) fn request(verb: AdminRequest) -> ClientRequest {
    ClientRequest { body: RequestBody::Admin(verb), keyspace: None, options: QueryOptions::default() }
}

#[tonic::async_trait]
impl Admin for AdminService {
    async fn run(&self, message: Request<v1::AdminRequest>) -> Result<Response<v1::AdminAnswer>, Status> {
        let verb = quorate_proto::admin_request_from_proto(message.into_inner());
        let verb = verb.map_err(|error| status(&protocol_error(&error)))?;
        match call(&self.shared, self.clock, request(verb)).await.result {
            Ok(Answer::Admin(answer)) => Ok(Response::new(quorate_proto::admin_answer_to_proto(&answer))),
            Ok(other) => Err(status(&RequestError::Server(format!("not an operator's answer: {other:?}")))),
            Err(error) => Err(status(&error)),
        }
    }
}
