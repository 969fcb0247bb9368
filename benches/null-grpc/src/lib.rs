//! A server of Quorate's API that acknowledges everything and keeps nothing: the same calls and messages as the real one,
//! so that the load generator can measure what gRPC itself costs.

use std::pin::Pin;
use std::sync::Arc;

use quorate_model::CqlType;
use quorate_model::request::{Answer, ColumnSpec, Prepared, ResultMetadata, StatementId};
use quorate_proto::{AnswerOptions, response_to_proto, v1};
use tokio_stream::{Stream, StreamExt as _};
use tonic::{Request, Response, Status, Streaming};

use stub::quorate_server::{Quorate, QuorateServer};

/// The generated stub.
#[allow(missing_docs, clippy::all, clippy::too_many_lines, reason = "generated")]
mod stub {
    include!(concat!(env!("OUT_DIR"), "/quorate.v1.rs"));
}

/// The server.
#[derive(Debug, Default)]
pub struct Null;

impl Null {
    /// As a service for tonic.
    pub fn service() -> QuorateServer<Self> {
        QuorateServer::new(Self)
    }
}

type Reply<T> = Result<Response<T>, Status>;
type Replies<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

fn answer(answer: &Answer) -> Result<v1::QueryResponse, Status> {
    response_to_proto(answer, Vec::new(), None, AnswerOptions::default())
        .map_err(|error| Status::internal(error.to_string()))
}

/// Markers as the load generator's statements have them: a key, and a value for the insert.
fn prepared(text: &str) -> Answer {
    let column = |name: &str, cql_type| ColumnSpec {
        keyspace: "null".to_owned(),
        table: "kv".to_owned(),
        name: name.to_owned(),
        cql_type,
    };
    let mut columns = vec![column("key", CqlType::BigInt), column("value", CqlType::Blob)];
    columns.truncate(text.matches('?').count());
    Answer::Prepared(Prepared {
        id: StatementId([columns.len() as u8; 16]),
        parameters: Arc::new(ResultMetadata { columns }),
        partition_key: vec![0],
        result: Arc::default(),
    })
}

#[tonic::async_trait]
impl Quorate for Null {
    type QueryPagesStream = Replies<v1::QueryResponse>;
    type StreamStream = Replies<v1::StreamResponse>;

    async fn query(&self, _: Request<v1::QueryRequest>) -> Reply<v1::QueryResponse> {
        Ok(Response::new(answer(&Answer::Void)?))
    }

    async fn query_pages(&self, _: Request<v1::QueryRequest>) -> Reply<Self::QueryPagesStream> {
        Ok(Response::new(Box::pin(tokio_stream::empty())))
    }

    async fn prepare(&self, request: Request<v1::PrepareRequest>) -> Reply<v1::QueryResponse> {
        Ok(Response::new(answer(&prepared(&request.get_ref().statement))?))
    }

    async fn execute(&self, _: Request<v1::ExecuteRequest>) -> Reply<v1::QueryResponse> {
        Ok(Response::new(answer(&Answer::Void)?))
    }

    async fn batch(&self, _: Request<v1::BatchRequest>) -> Reply<v1::QueryResponse> {
        Ok(Response::new(answer(&Answer::Void)?))
    }

    async fn stream(&self, request: Request<Streaming<v1::StreamRequest>>) -> Reply<Self::StreamStream> {
        let replies = request.into_inner().map(|message| {
            let items = message?.items.into_iter().map(reply).collect::<Result<_, _>>()?;
            Ok(v1::StreamResponse { items })
        });
        Ok(Response::new(Box::pin(replies)))
    }

    async fn schema(&self, _: Request<v1::SchemaRequest>) -> Reply<v1::QueryResponse> {
        Ok(Response::new(answer(&Answer::Void)?))
    }

    async fn topology(&self, _: Request<v1::TopologyRequest>) -> Reply<v1::ClusterStatus> {
        Err(Status::unimplemented("there is no cluster"))
    }
}

fn reply(item: v1::StreamRequestItem) -> Result<v1::StreamResponseItem, Status> {
    let response = match &item.request {
        Some(v1::stream_request_item::Request::Prepare(prepare)) => answer(&prepared(&prepare.statement))?,
        _ => answer(&Answer::Void)?,
    };
    Ok(v1::StreamResponseItem { id: item.id, result: Some(v1::stream_response_item::Result::Response(response)) })
}
