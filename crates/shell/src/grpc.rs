//! The front over gRPC, through the client crate.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use quorate_client::{Bind, Binds, Error, Options, Session, Tls, ToValues};
use quorate_model::Value;
use quorate_model::admin::{AdminAnswer, AdminRequest};
use quorate_model::request::{ClientResponse, Prepared, QueryOptions, StatementId};
use tokio::sync::OnceCell;

use crate::front::{Front, FrontError, FrontFuture};

/// Statements go to the node that was named; a `COPY`'s rows to a replica of each.
pub struct GrpcFront {
    endpoint: String,
    tls: Option<Tls>,
    pinned: Session,
    routed: OnceCell<Session>,
    prepared: Mutex<BTreeMap<StatementId, quorate_client::Prepared>>,
}

impl GrpcFront {
    /// Connects to `HOST` or `HOST:PORT`, with TLS if it is given.
    pub async fn connect(endpoint: &str, tls: Option<Tls>) -> Result<Self, FrontError> {
        let builder = Session::builder().contact_point(endpoint).contact_points_only(true).tls(tls.clone());
        let pinned = builder.connect().await;
        let pinned = pinned.map_err(|error| front_error(endpoint, error))?;
        let endpoint = if endpoint.contains(':') { endpoint.to_owned() } else { format!("{endpoint}:9044") };
        Ok(Self { endpoint, tls, pinned, routed: OnceCell::new(), prepared: Mutex::default() })
    }

    /// The session that knows the ring; where it cannot be had, the pinned one serves.
    async fn routed(&self) -> &Session {
        let connect = || async {
            let builder = Session::builder().contact_point(&self.endpoint).tls(self.tls.clone());
            builder.connect().await.unwrap_or_else(|_| self.pinned.clone())
        };
        self.routed.get_or_init(connect).await
    }

    fn failed(&self, error: Error) -> FrontError {
        front_error(&self.endpoint, error)
    }
}

/// A server's error stays one; anything else is the connection's.
fn front_error(endpoint: &str, error: Error) -> FrontError {
    match error {
        Error::Request(failure) => FrontError::Request(failure.error),
        Error::NoNode { tried } => {
            let reason = tried.into_iter().map(|(_, reason)| reason).next().unwrap_or_else(|| "no node".to_owned());
            FrontError::Unreachable { endpoint: endpoint.to_owned(), reason }
        }
        Error::Address { .. } | Error::Tls { .. } => {
            FrontError::Unreachable { endpoint: endpoint.to_owned(), reason: error.to_string() }
        }
        Error::Value(error) => FrontError::Unsendable(error.to_string()),
        Error::ConnectionLost { .. } | Error::Timeout { .. } | Error::Malformed { .. } => {
            FrontError::Lost { reason: error.to_string() }
        }
    }
}

/// Values that are ready to be bound, in order.
struct Row(Vec<Value>);

impl ToValues for Row {
    fn to_values(&self) -> Binds {
        Binds::Positional(self.0.iter().cloned().map(Bind::Value).collect())
    }
}

fn client_options(options: QueryOptions) -> Options {
    let mut client = Options::default()
        .consistency(options.consistency)
        .page_size(options.page_size.unwrap_or(0))
        .paging_state(options.paging_state)
        .tracing(options.tracing);
    if let Some(level) = options.serial_consistency {
        client = client.serial_consistency(level);
    }
    client
}

impl Front for GrpcFront {
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
            self.pinned.use_keyspace(keyspace.map(str::to_owned));
            match self.pinned.query_with(text, (), &client_options(options)).await {
                Ok(found) => Ok(ClientResponse {
                    result: Ok(found.answer().clone()),
                    warnings: found.warnings,
                    trace: found.trace,
                }),
                Err(Error::Request(failure)) => {
                    Ok(ClientResponse { result: Err(failure.error), warnings: failure.warnings, trace: failure.trace })
                }
                Err(error) => Err(self.failed(error)),
            }
        })
    }

    fn prepare<'a>(&'a self, text: &'a str) -> FrontFuture<'a, Prepared> {
        Box::pin(async move {
            let session = self.routed().await;
            let prepared = session.prepare(text).await.map_err(|error| self.failed(error))?;
            let described = Prepared {
                id: prepared.id(),
                parameters: std::sync::Arc::new(prepared.parameters().clone()),
                partition_key: Vec::new(),
                result: prepared.result(),
            };
            self.prepared.lock().unwrap_or_else(PoisonError::into_inner).insert(prepared.id(), prepared);
            Ok(described)
        })
    }

    fn execute<'a>(&'a self, prepared: &'a Prepared, values: Vec<Value>, options: QueryOptions) -> FrontFuture<'a, ()> {
        Box::pin(async move {
            let known = self.prepared.lock().unwrap_or_else(PoisonError::into_inner).get(&prepared.id).cloned();
            let known =
                known.ok_or_else(|| FrontError::Unsendable("the statement was not prepared here".to_owned()))?;
            let sent = self.routed().await.execute_with(&known, Row(values), &client_options(options)).await;
            sent.map(drop).map_err(|error| self.failed(error))
        })
    }

    fn admin<'a>(&'a self, request: &'a AdminRequest) -> FrontFuture<'a, AdminAnswer> {
        Box::pin(async move { self.pinned.admin(request).await.map_err(|error| self.failed(error)) })
    }
}
