//! The `Quorate` service.

use std::pin::Pin;
use std::sync::Arc;

use quorate_model::admin::{AdminAnswer, AdminRequest};
use quorate_model::request::{Answer, ClientRequest, ClientResponse, QueryOptions, RequestBody, RequestError, Values};
use quorate_os::Clock;
use quorate_proto::{AnswerOptions, v1};
use tokio_stream::Stream;
use tonic::{Request, Response, Status, Streaming};

use super::metadata_ids::metadata_id_of;
use super::stub::quorate_server::Quorate;
use super::{apply_deadline, call, pages, protocol_error, stream};
use crate::shared::Shared;

/// The data service of one thread.
#[derive(Clone)]
pub(crate) struct QuorateService {
    shared: Arc<Shared>,
    clock: Clock,
}

impl QuorateService {
    pub(crate) fn new(shared: Arc<Shared>, clock: Clock) -> Self {
        Self { shared, clock }
    }

    async fn run<T>(
        &self,
        request: Request<T>,
        options: AnswerOptions,
        convert: impl FnOnce(T) -> Result<ClientRequest, quorate_proto::ConvertError>,
    ) -> Result<Response<v1::QueryResponse>, Status> {
        let client = request.remote_addr();
        let (metadata, _, message) = request.into_parts();
        let mut request = convert(message).map_err(|error| status(&protocol_error(&error)))?;
        request.options.client = client.map(|client| client.ip()).filter(|_| request.options.tracing);
        apply_deadline(&mut request, &metadata);
        let response = call(&self.shared, self.clock, request).await;
        answer(response, options).map(Response::new)
    }
}

/// How the rows of an answer are wanted.
pub(super) fn answer_options(options: Option<&v1::QueryOptions>, known_metadata_id: u64) -> AnswerOptions {
    let compact = options.is_some_and(|options| options.row_encoding == v1::RowEncoding::Compact as i32);
    AnswerOptions { compact, known_metadata_id, metadata_id: None }
}

pub(super) fn status(error: &RequestError) -> Status {
    quorate_proto::status_from_error(error, Vec::new(), None)
}

/// An answer as a message, or its error as a status.
pub(super) fn answer(response: ClientResponse, mut options: AnswerOptions) -> Result<v1::QueryResponse, Status> {
    options.metadata_id = metadata_id_of(&response);
    match response.result {
        Ok(answer) => quorate_proto::response_to_proto(&answer, response.warnings, response.trace.as_ref(), options)
            .map_err(|error| status(&RequestError::Server(error.to_string()))),
        Err(error) => Err(quorate_proto::status_from_error(&error, response.warnings, response.trace.as_ref())),
    }
}

#[tonic::async_trait]
impl Quorate for QuorateService {
    type QueryPagesStream = Pin<Box<dyn Stream<Item = Result<v1::QueryResponse, Status>> + Send>>;
    type StreamStream = stream::Answers;

    async fn query(&self, request: Request<v1::QueryRequest>) -> Result<Response<v1::QueryResponse>, Status> {
        let options = answer_options(request.get_ref().options.as_ref(), 0);
        self.run(request, options, quorate_proto::query_from_proto).await
    }

    async fn query_pages(
        &self,
        request: Request<v1::QueryRequest>,
    ) -> Result<Response<Self::QueryPagesStream>, Status> {
        let options = answer_options(request.get_ref().options.as_ref(), 0);
        let request = quorate_proto::query_from_proto(request.into_inner());
        let request = request.map_err(|error| status(&protocol_error(&error)))?;
        let pages = pages::pages(Arc::clone(&self.shared), self.clock, request, options);
        Ok(Response::new(Box::pin(pages)))
    }

    async fn prepare(&self, request: Request<v1::PrepareRequest>) -> Result<Response<v1::QueryResponse>, Status> {
        self.run(request, AnswerOptions::default(), quorate_proto::prepare_from_proto).await
    }

    async fn execute(&self, request: Request<v1::ExecuteRequest>) -> Result<Response<v1::QueryResponse>, Status> {
        let message = request.get_ref();
        let options = answer_options(message.options.as_ref(), message.known_metadata_id);
        self.run(request, options, quorate_proto::execute_from_proto).await
    }

    async fn batch(&self, request: Request<v1::BatchRequest>) -> Result<Response<v1::QueryResponse>, Status> {
        let options = answer_options(request.get_ref().options.as_ref(), 0);
        self.run(request, options, quorate_proto::batch_from_proto).await
    }

    async fn stream(
        &self,
        request: Request<Streaming<v1::StreamRequest>>,
    ) -> Result<Response<Self::StreamStream>, Status> {
        Ok(Response::new(stream::serve(Arc::clone(&self.shared), self.clock, request.into_inner())))
    }

    async fn schema(&self, request: Request<v1::SchemaRequest>) -> Result<Response<v1::QueryResponse>, Status> {
        self.run(request, AnswerOptions::default(), |message| {
            let text = if message.keyspace.is_empty() {
                "DESCRIBE SCHEMA".to_owned()
            } else {
                format!("DESCRIBE KEYSPACE \"{}\"", message.keyspace.replace('"', "\"\""))
            };
            let body = RequestBody::Query { text, values: Values::default() };
            Ok(ClientRequest { body, keyspace: None, options: QueryOptions::default() })
        })
        .await
    }

    async fn topology(&self, _: Request<v1::TopologyRequest>) -> Result<Response<v1::ClusterStatus>, Status> {
        let request = super::admin::request(AdminRequest::Topology);
        match call(&self.shared, self.clock, request).await.result {
            Ok(Answer::Admin(AdminAnswer::Cluster(cluster))) => {
                Ok(Response::new(quorate_proto::cluster_to_proto(&cluster)))
            }
            Ok(other) => Err(status(&RequestError::Server(format!("not a topology: {other:?}")))),
            Err(error) => Err(status(&error)),
        }
    }
}
