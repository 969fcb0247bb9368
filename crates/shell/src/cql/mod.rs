//! The front over the CQL native protocol: any server that speaks it will do.

mod cluster;
mod connection;
mod convert;
mod traces;

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use quorate_client::Tls;
use quorate_cql_wire::message::execute::Execute;
use quorate_cql_wire::message::prepare::Prepare;
use quorate_cql_wire::message::query::Query;
use quorate_cql_wire::message::query_parameters::QueryParameters;
use quorate_cql_wire::message::result::{PreparedResult, ResultMessage};
use quorate_cql_wire::{ProtocolVersion, Request, RequestMessage, Response, ResponseMessage};
use quorate_model::Value;
use quorate_model::admin::{AdminAnswer, AdminRequest};
use quorate_model::request::{
    BoundValue, ClientResponse, Prepared, QueryOptions, ResultMetadata, StatementId, Trace, Values,
};

use crate::front::{Front, FrontError, FrontFuture};
use connection::Connection;

/// The protocol's usual port.
const PORT: u16 = 9042;

/// Everything goes to the node that was named.
pub struct CqlFront {
    endpoint: String,
    tls: Option<Tls>,
    /// The connection, if it lives; another one is made when it does not.
    connection: tokio::sync::Mutex<Option<Connection>>,
    /// What each prepared statement is called.
    prepared: Mutex<BTreeMap<StatementId, PreparedResult>>,
}

impl CqlFront {
    /// Connects to `HOST` or `HOST:PORT`, over TLS or not.
    pub async fn connect(endpoint: &str, tls: Option<Tls>) -> Result<Self, FrontError> {
        let has_port = endpoint.rsplit_once(':').is_some_and(|(host, _)| !host.contains(':') || host.ends_with(']'));
        let endpoint = if has_port { endpoint.to_owned() } else { format!("{endpoint}:{PORT}") };
        let connection = Connection::open(&endpoint, tls.as_ref()).await?;
        Ok(Self { endpoint, tls, connection: tokio::sync::Mutex::new(Some(connection)), prepared: Mutex::default() })
    }

    async fn connection(&self) -> Result<Connection, FrontError> {
        let mut kept = self.connection.lock().await;
        match kept.as_ref().filter(|connection| connection.lives()) {
            Some(connection) => Ok(connection.clone()),
            None => Ok(kept.insert(Connection::open(&self.endpoint, self.tls.as_ref()).await?).clone()),
        }
    }

    /// Asks, in the keyspace if there is one: v4 has no word for a statement's keyspace, so it is the connection's.
    async fn ask(&self, mut request: RequestMessage, keyspace: Option<&str>) -> Result<ResponseMessage, FrontError> {
        let connection = self.connection().await?;
        if let Some(keyspace) = keyspace {
            if connection.version() >= ProtocolVersion::V5 {
                if let Request::Query(query) = &mut request.body {
                    query.parameters.keyspace = Some(keyspace.to_owned());
                }
            } else {
                let text = format!("USE \"{}\"", keyspace.replace('"', "\"\""));
                let parameters = QueryParameters::new(quorate_model::Consistency::One);
                connection.ask(Request::Query(Query { text, parameters }).into()).await?;
            }
        }
        connection.ask(request).await
    }

    /// The rows of a statement of the shell's own.
    async fn rows(&self, text: &str, values: Vec<Bytes>) -> Result<Vec<BTreeMap<String, Value>>, FrontError> {
        let values = values.into_iter().map(BoundValue::Bytes).collect();
        let parameters = QueryParameters {
            values: Values::Positional(values),
            ..QueryParameters::new(quorate_model::Consistency::One)
        };
        let query = Query { text: text.to_owned(), parameters };
        let response = self.ask(Request::Query(query).into(), None).await?;
        convert::named_rows(convert::answer(response.body)?)
    }

    async fn trace_of(&self, session: Option<[u8; 16]>) -> Option<Trace> {
        traces::read(self, session?).await
    }
}

fn parameters(options: &QueryOptions, values: Vec<BoundValue>) -> QueryParameters {
    QueryParameters {
        values: Values::Positional(values),
        page_size: options.page_size.and_then(|rows| i32::try_from(rows).ok()),
        paging_state: options.paging_state.clone(),
        serial_consistency: options.serial_consistency,
        timestamp: options.timestamp.map(|timestamp| timestamp.0),
        ..QueryParameters::new(options.consistency)
    }
}

impl Front for CqlFront {
    fn endpoint(&self) -> String {
        self.endpoint.clone()
    }

    fn query<'a>(
        &'a self,
        text: &'a str,
        keyspace: Option<&'a str>,
        options: QueryOptions,
    ) -> FrontFuture<'a, ClientResponse> {
        Box::pin(async move {
            let query = Query { text: text.to_owned(), parameters: parameters(&options, Vec::new()) };
            let mut request = RequestMessage::from(Request::Query(query));
            request.tracing = options.tracing;
            let response = self.ask(request, keyspace).await?;
            let trace = self.trace_of(response.tracing_id).await;
            let result = match response.body {
                Response::Error(error) => Err(convert::error(error, &response.custom_payload)?),
                body => Ok(convert::answer(body)?),
            };
            Ok(ClientResponse { result, warnings: response.warnings, trace })
        })
    }

    fn prepare<'a>(&'a self, text: &'a str) -> FrontFuture<'a, Prepared> {
        Box::pin(async move {
            let request = Request::Prepare(Prepare { text: text.to_owned(), keyspace: None });
            let response = self.ask(request.into(), None).await?;
            let result = match response.body {
                Response::Result(ResultMessage::Prepared(result)) => result,
                Response::Error(error) => {
                    return Err(FrontError::Request(convert::error(error, &response.custom_payload)?));
                }
                other => return Err(convert::unexpected(&other)),
            };
            let id = <[u8; 16]>::try_from(result.id.as_ref()).map_err(|_| {
                FrontError::Unsendable("the server's statements have ids of another length than 16".to_owned())
            })?;
            let prepared = Prepared {
                id: StatementId(id),
                parameters: std::sync::Arc::clone(&result.parameters),
                partition_key: result.partition_key.clone(),
                result: std::sync::Arc::new(ResultMetadata::default()),
            };
            self.prepared.lock().unwrap_or_else(PoisonError::into_inner).insert(prepared.id, result);
            Ok(prepared)
        })
    }

    fn execute<'a>(&'a self, prepared: &'a Prepared, values: Vec<Value>, options: QueryOptions) -> FrontFuture<'a, ()> {
        Box::pin(async move {
            let known = self.prepared.lock().unwrap_or_else(PoisonError::into_inner).get(&prepared.id).cloned();
            let known =
                known.ok_or_else(|| FrontError::Unsendable("the statement was not prepared here".to_owned()))?;
            let values = convert::bound(&prepared.parameters, &values)?;
            let execute = Execute {
                id: known.id,
                result_metadata_id: known.result_metadata_id,
                parameters: parameters(&options, values),
            };
            let response = self.ask(Request::Execute(execute).into(), None).await?;
            match response.body {
                Response::Error(error) => Err(FrontError::Request(convert::error(error, &response.custom_payload)?)),
                body => convert::answer(body).map(drop),
            }
        })
    }

    fn admin<'a>(&'a self, request: &'a AdminRequest) -> FrontFuture<'a, AdminAnswer> {
        Box::pin(async move {
            match request {
                AdminRequest::Topology => Ok(AdminAnswer::Cluster(cluster::read(self).await?)),
                _ => Err(FrontError::Unsendable(
                    "the CQL protocol has no operator's verbs: use 'quorate admin', or --front grpc".to_owned(),
                )),
            }
        })
    }
}
