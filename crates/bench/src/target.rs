//! What the load is put on: a prepared insert and select, over a stream or by unary calls.

use bytes::Bytes;
use quorate_client::{Error, Options, Outcome, Prepared, Session, Tls};
use quorate_model::request::{BoundValue, QueryOptions, StatementId, Values};
use quorate_model::{Consistency, CqlType, Value};
use tonic::transport::{Channel, Endpoint};

use crate::args::{BenchArgs, Mode};
use crate::stub::quorate_client::QuorateClient;

/// Why a load cannot run.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The cluster refused the preparations.
    #[error("{what}: {reason}")]
    #[allow(missing_docs, reason = "the names say it")]
    Setup { what: &'static str, reason: String },
    /// A node of a load over CQL could not be reached, refused, or went away.
    #[error("{host}: {what}: {reason}")]
    #[allow(missing_docs, reason = "the names say it")]
    Node { host: String, what: &'static str, reason: String },
}

/// A request that failed.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Whether it may have had an effect.
    pub outcome: Outcome,
    /// What was said.
    pub reason: String,
}

/// One request.
#[derive(Clone, Debug)]
pub enum Operation {
    /// Insert the key with this value.
    Write(u64, Bytes),
    /// Select the key.
    Read(u64),
}

/// The cluster under load.
pub enum Target {
    /// Over the client crate's streams.
    Stream(Box<StreamTarget>),
    /// By a call each.
    Unary(UnaryTarget),
}

/// See [`Target::Stream`].
pub struct StreamTarget {
    session: Session,
    insert: Prepared,
    select: Prepared,
    options: Options,
}

/// See [`Target::Unary`].
pub struct UnaryTarget {
    clients: Vec<QuorateClient<Channel>>,
    insert: StatementId,
    select: StatementId,
    options: QueryOptions,
}

impl Target {
    /// Connects, creates keyspace and table, prepares.
    pub async fn prepare(args: &BenchArgs) -> Result<Self, BenchError> {
        let setup = |what: &'static str| move |error: Error| BenchError::Setup { what, reason: error.to_string() };
        let pinned = args.grpc.pinned || args.grpc.mode == Mode::Unary;
        let tls = args.nodes.tls.load().map_err(setup("reading the files of TLS"))?;
        let builder = Session::builder().contact_point(&args.nodes.host).contact_points_only(pinned);
        let builder = builder.tls(tls.clone());
        let session = builder.connect().await.map_err(setup("connecting"))?;
        let keyspace = &args.keyspace;
        let create = format!(
            "CREATE KEYSPACE IF NOT EXISTS {keyspace} WITH replication = \
             {{'class': 'SimpleStrategy', 'replication_factor': {}}}",
            args.replication
        );
        session.query(create, ()).await.map_err(setup("creating the keyspace"))?;
        let create = format!("CREATE TABLE IF NOT EXISTS {keyspace}.kv (key bigint PRIMARY KEY, value blob)");
        session.query(create, ()).await.map_err(setup("creating the table"))?;
        let insert = format!("INSERT INTO {keyspace}.kv (key, value) VALUES (?, ?)");
        let insert = session.prepare(insert).await.map_err(setup("preparing the insert"))?;
        let select = format!("SELECT value FROM {keyspace}.kv WHERE key = ?");
        let select = session.prepare(select).await.map_err(setup("preparing the select"))?;
        match args.grpc.mode {
            Mode::Stream => {
                let options = Options::default().consistency(args.consistency);
                Ok(Self::Stream(Box::new(StreamTarget { session, insert, select, options })))
            }
            Mode::Unary => {
                let mut clients = Vec::new();
                for host in args.nodes.host.split(',') {
                    clients.push(unary_client(host.trim(), tls.as_ref()).await?);
                }
                let options = unary_options(args.consistency);
                Ok(Self::Unary(UnaryTarget { clients, insert: insert.id(), select: select.id(), options }))
            }
        }
    }

    /// Sends one request and waits for its answer; whether a read found its row.
    pub async fn run(&self, operation: Operation) -> Result<bool, Failure> {
        match self {
            Self::Stream(target) => target.run(operation).await,
            Self::Unary(target) => target.run(operation).await,
        }
    }
}

impl StreamTarget {
    async fn run(&self, operation: Operation) -> Result<bool, Failure> {
        let result = match operation {
            Operation::Write(key, value) => {
                let values = (Value::BigInt(key as i64), Value::Blob(value));
                self.session.execute_with(&self.insert, values, &self.options).await.map(|_| true)
            }
            Operation::Read(key) => {
                let found = self.session.execute_with(&self.select, (Value::BigInt(key as i64),), &self.options).await;
                found.map(|found| found.row_count() > 0)
            }
        };
        result.map_err(|error| Failure { outcome: error.outcome(), reason: error.to_string() })
    }
}

fn unary_options(consistency: Consistency) -> QueryOptions {
    QueryOptions { consistency, ..QueryOptions::default() }
}

async fn unary_client(host: &str, tls: Option<&Tls>) -> Result<QuorateClient<Channel>, BenchError> {
    let address = if host.contains(':') { host.to_owned() } else { format!("{host}:9044") };
    let failed = |error: tonic::transport::Error| BenchError::Setup { what: "connecting", reason: error.to_string() };
    let scheme = if tls.is_some() { "https" } else { "http" };
    let mut endpoint = Endpoint::from_shared(format!("{scheme}://{address}")).map_err(failed)?.tcp_nodelay(true);
    if let Some(tls) = tls {
        let refused = |error: Error| BenchError::Setup { what: "connecting", reason: error.to_string() };
        endpoint = tls.apply(endpoint).map_err(refused)?;
    }
    Ok(QuorateClient::new(endpoint.connect().await.map_err(failed)?))
}

impl UnaryTarget {
    async fn run(&self, operation: Operation) -> Result<bool, Failure> {
        let encoded = |value: Value, cql_type: CqlType| match value.encode(&cql_type) {
            Ok(Some(bytes)) => BoundValue::Bytes(bytes),
            _ => BoundValue::Null,
        };
        let (key, statement, values) = match operation {
            Operation::Write(key, value) => {
                let values = vec![encoded(Value::BigInt(key as i64), CqlType::BigInt), BoundValue::Bytes(value)];
                (key, self.insert, values)
            }
            Operation::Read(key) => (key, self.select, vec![encoded(Value::BigInt(key as i64), CqlType::BigInt)]),
        };
        let is_read = statement == self.select;
        let request = quorate_proto::execute_to_proto(statement, &Values::Positional(values), &self.options, 0);
        let mut client = self.clients[key as usize % self.clients.len()].clone();
        match client.execute(request).await {
            Ok(answer) => {
                let response = quorate_proto::response_from_proto(answer.into_inner(), None);
                let response =
                    response.map_err(|error| Failure { outcome: Outcome::Unknown, reason: error.to_string() })?;
                Ok(match response.answer {
                    quorate_client::Answer::Rows(rows) => rows.row_count > 0,
                    _ => !is_read,
                })
            }
            Err(status) => {
                let details = quorate_proto::details_from_status(&status);
                let error = details.and_then(|details| quorate_proto::error_from_proto(details).ok());
                Err(match error {
                    Some(error) => Failure { outcome: error.outcome(), reason: error.to_string() },
                    None => Failure { outcome: Outcome::Unknown, reason: status.to_string() },
                })
            }
        }
    }
}
