//! What clients ask and what they are told: one vocabulary for every front.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;

use crate::admin::{AdminAnswer, AdminRequest};
use crate::consistency::Consistency;
use crate::ids::NodeId;
use crate::time::{Seconds, Timestamp};
use crate::types::CqlType;

/// A client's request, as a front hands it to the node.
#[derive(Clone, Debug)]
pub struct ClientRequest {
    /// What is asked.
    pub body: RequestBody,
    /// The connection's current keyspace, or the request's own.
    pub keyspace: Option<String>,
    /// How it is to be executed.
    pub options: QueryOptions,
}

/// Kinds of request.
#[derive(Clone, Debug)]
pub enum RequestBody {
    /// One statement as text, with values for its markers.
    Query {
        /// CQL.
        text: String,
        /// Bound values.
        values: Values,
    },
    /// Parse and plan a statement; its id is a hash of keyspace and text, the same on every node.
    Prepare {
        /// CQL.
        text: String,
    },
    /// Execute what was prepared.
    Execute {
        /// The statement's id.
        statement: StatementId,
        /// Bound values.
        values: Values,
    },
    /// Several modifications at once.
    Batch {
        /// Its kind.
        kind: BatchKind,
        /// Its statements, in order.
        statements: Vec<BatchStatement>,
    },
    /// An operator's verb.
    Admin(AdminRequest),
}

/// One statement of a batch.
#[derive(Clone, Debug)]
pub enum BatchStatement {
    /// As text.
    Query(String, Values),
    /// Prepared.
    Prepared(StatementId, Values),
}

/// Kinds of batch, numbered as in the CQL native protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchKind {
    /// Applied wholly or not at all, in the end.
    Logged = 0,
    /// Sent together, without that promise.
    Unlogged = 1,
    /// Of counter updates.
    Counter = 2,
}

/// A prepared statement's identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StatementId(pub [u8; 16]);

/// Values for bind markers.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// In the order of the markers.
    Positional(Vec<BoundValue>),
    /// By the markers' names.
    Named(Vec<(String, BoundValue)>),
}

impl Default for Values {
    fn default() -> Self {
        Self::Positional(Vec::new())
    }
}

/// A value for one marker, in Cassandra's binary encoding of the marker's type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BoundValue {
    /// Null: deletes the column.
    Null,
    /// Leaves the column as it is.
    Unset,
    /// A value (possibly zero bytes long, which is not null).
    Bytes(Bytes),
}

/// How a request is to be executed.
#[derive(Clone, Debug)]
pub struct QueryOptions {
    /// How many replicas must answer.
    pub consistency: Consistency,
    /// The level of a conditional statement's Paxos rounds.
    pub serial_consistency: Option<Consistency>,
    /// Rows a page; `None` for no paging.
    pub page_size: Option<u32>,
    /// Where the previous page stopped.
    pub paging_state: Option<Bytes>,
    /// The default timestamp of the writes in it; otherwise the coordinator's clock decides.
    pub timestamp: Option<Timestamp>,
    /// Overrides 'now' for expiry (tests; protocol v5).
    pub now: Option<Seconds>,
    /// Whether to record what each replica did.
    pub tracing: bool,
    /// The client's address, if the front knows it and the request is traced.
    pub client: Option<IpAddr>,
    /// Milliseconds within which the answer must come; `None` for the server's default of the request's kind.
    pub timeout_ms: Option<u32>,
}

impl Default for QueryOptions {
    fn default() -> Self {
        Self {
            consistency: Consistency::LocalOne,
            serial_consistency: None,
            page_size: None,
            paging_state: None,
            timestamp: None,
            now: None,
            tracing: false,
            client: None,
            timeout_ms: None,
        }
    }
}

/// The answer to a [`ClientRequest`].
#[derive(Clone, Debug)]
pub struct ClientResponse {
    /// The answer, or why there is none.
    pub result: Result<Answer, RequestError>,
    /// Warnings for the client.
    pub warnings: Vec<String>,
    /// What happened, if it was traced.
    pub trace: Option<Trace>,
}

/// Kinds of answer.
#[derive(Clone, Debug)]
pub enum Answer {
    /// Done, nothing to say.
    Void,
    /// Rows of a query.
    Rows(Rows),
    /// The connection's keyspace is now this one.
    SetKeyspace(String),
    /// The schema changed.
    SchemaChange(SchemaChange),
    /// A statement was prepared.
    Prepared(Prepared),
    /// An operator's answer.
    Admin(AdminAnswer),
}

/// Rows in the encoding of the CQL native protocol: for each row, for each column, an i32 length (big-endian, -1 for
/// null) and so many bytes.
#[derive(Clone, Debug)]
pub struct Rows {
    /// Names and types of the columns.
    pub metadata: Arc<ResultMetadata>,
    /// Number of rows.
    pub row_count: u32,
    /// The encoded rows, one after another.
    pub data: Bytes,
    /// How to get the next page; `None` on the last.
    pub paging_state: Option<Bytes>,
}

/// Columns of a result or bind markers of a statement.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ResultMetadata {
    /// Their specifications, in order.
    pub columns: Vec<ColumnSpec>,
}

/// One column of a result, or one bind marker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnSpec {
    /// Keyspace of its table.
    pub keyspace: String,
    /// Its table.
    pub table: String,
    /// Its name as the protocol shows it, e.g. `temp` or `system.max(temp)`.
    pub name: String,
    /// Its type.
    pub cql_type: CqlType,
}

/// A prepared statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepared {
    /// Its id.
    pub id: StatementId,
    /// Its bind markers.
    pub parameters: Arc<ResultMetadata>,
    /// For each component of the partition key, the index of the marker that gives it; empty if they are not all markers.
    pub partition_key: Vec<u16>,
    /// Its result columns; empty for modifications.
    pub result: Arc<ResultMetadata>,
}

/// A change of the schema, as drivers hear of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaChange {
    /// What was done.
    pub kind: SchemaChangeKind,
    /// The keyspace.
    pub keyspace: String,
    /// The table, or `None` if the change is of the keyspace itself.
    pub table: Option<String>,
    /// The user type, if the change is of one.
    pub user_type: Option<String>,
}

/// What was done to the schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchemaChangeKind {
    /// Created.
    Created,
    /// Altered.
    Updated,
    /// Dropped.
    Dropped,
}

/// Where a statement is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 0, as in Cassandra's messages.
    pub column: u32,
    /// Length of the offending text in characters; 0 if unknown.
    pub length: u32,
}

/// Which kind of write a timeout or failure concerns, named as in the CQL native protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteType {
    /// One partition.
    Simple,
    /// A logged batch whose log was written.
    Batch,
    /// An unlogged batch.
    UnloggedBatch,
    /// A counter update.
    Counter,
    /// Writing the batch log.
    BatchLog,
    /// A conditional statement.
    Cas,
}

impl WriteType {
    /// The protocol's name of it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Simple => "SIMPLE",
            Self::Batch => "BATCH",
            Self::UnloggedBatch => "UNLOGGED_BATCH",
            Self::Counter => "COUNTER",
            Self::BatchLog => "BATCH_LOG",
            Self::Cas => "CAS",
        }
    }
}

/// Why a request failed. Each says whether it may have had an effect ([`RequestError::outcome`]); codes are those of the
/// CQL native protocol, section 9 (v5).
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum RequestError {
    /// Our fault or an unexpected state; 0x0000.
    #[error("{0}")]
    Server(String),
    /// The front's protocol was broken; 0x000A.
    #[error("{0}")]
    Protocol(String),
    /// Fewer live replicas than the level needs; nothing was done; 0x1000.
    #[error("Cannot achieve consistency level {consistency}: {required} replicas required, {alive} alive")]
    #[allow(missing_docs, reason = "the names say it")]
    Unavailable { consistency: Consistency, required: u32, alive: u32 },
    /// This node is at a limit; nothing was done; 0x1001.
    #[error("{0}")]
    Overloaded(String),
    /// This node has not joined yet; 0x1002.
    #[error("{0}")]
    Bootstrapping(String),
    /// A TRUNCATE failed; 0x1003.
    #[error("{0}")]
    Truncate(String),
    /// Not enough acknowledgements in time: the write may or may not be there; 0x1100.
    #[error(
        "Operation timed out - received only {received} of {required} acknowledgements at {consistency}; the write may or may not have been applied"
    )]
    #[allow(missing_docs, reason = "the names say it")]
    WriteTimeout { consistency: Consistency, received: u32, required: u32, write_type: WriteType },
    /// Not enough answers in time; 0x1200.
    #[error("Operation timed out - received only {received} of {required} responses at {consistency}")]
    #[allow(missing_docs, reason = "the names say it")]
    ReadTimeout { consistency: Consistency, received: u32, required: u32, data_present: bool },
    /// Too many replicas failed; 0x1300.
    #[error("Operation failed - received {received} of {required} responses and {} failures: {}", failures.len(), list(failures))]
    #[allow(missing_docs, reason = "the names say it")]
    ReadFailure {
        consistency: Consistency,
        received: u32,
        required: u32,
        data_present: bool,
        failures: Vec<(NodeId, String)>,
    },
    /// A function or an operation could not be computed for its values (`1 / 0`); nothing was done; 0x1400.
    #[error("{message}")]
    #[allow(missing_docs, reason = "the names say it")]
    FunctionFailure { keyspace: String, function: String, argument_types: Vec<String>, message: String },
    /// Too many replicas failed; the write may or may not be there; 0x1500.
    #[error("Operation failed - received {received} of {required} acknowledgements and {} failures: {}", failures.len(), list(failures))]
    #[allow(missing_docs, reason = "the names say it")]
    WriteFailure {
        consistency: Consistency,
        received: u32,
        required: u32,
        write_type: WriteType,
        failures: Vec<(NodeId, String)>,
    },
    /// The text is not CQL; 0x2000.
    #[error("{message}")]
    #[allow(missing_docs, reason = "the names say it")]
    Syntax { message: String, place: Option<Place> },
    /// Not permitted; 0x2100.
    #[error("{0}")]
    Unauthorized(String),
    /// It is CQL, but makes no sense here, or is not supported; 0x2200.
    #[error("{message}")]
    #[allow(missing_docs, reason = "the names say it")]
    Invalid { message: String, place: Option<Place> },
    /// A configuration that cannot be; 0x2300.
    #[error("{0}")]
    Configuration(String),
    /// `table` is empty for a keyspace; 0x2400.
    #[error("{}", already_exists(keyspace, table))]
    #[allow(missing_docs, reason = "the names say it")]
    AlreadyExists { keyspace: String, table: String },
    /// The statement is not known here: prepare it again; 0x2500.
    #[error("Prepared query with ID {} not found (either the query was not prepared on this host (maybe the host has been restarted?) or you have prepared too many queries and it has been evicted from the internal cache)", hex(&.0.0))]
    Unprepared(StatementId),
}

fn list(failures: &[(NodeId, String)]) -> String {
    failures.iter().map(|(node, reason)| format!("{node}: {reason}")).collect::<Vec<_>>().join(", ")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn already_exists(keyspace: &str, table: &str) -> String {
    if table.is_empty() {
        format!("Cannot add existing keyspace \"{keyspace}\"")
    } else {
        format!("Cannot add already existing table \"{table}\" to keyspace \"{keyspace}\"")
    }
}

/// What a failed request may have done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Certainly nothing, on any replica.
    Refused,
    /// It may or may not have been applied, or may still be.
    Unknown,
}

impl RequestError {
    /// An [`RequestError::Invalid`] without a place.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::Invalid { message: message.into(), place: None }
    }

    /// The code in the CQL native protocol.
    pub fn code(&self) -> u32 {
        match self {
            Self::Server(_) => 0x0000,
            Self::Protocol(_) => 0x000A,
            Self::Unavailable { .. } => 0x1000,
            Self::Overloaded(_) => 0x1001,
            Self::Bootstrapping(_) => 0x1002,
            Self::Truncate(_) => 0x1003,
            Self::WriteTimeout { .. } => 0x1100,
            Self::ReadTimeout { .. } => 0x1200,
            Self::ReadFailure { .. } => 0x1300,
            Self::FunctionFailure { .. } => 0x1400,
            Self::WriteFailure { .. } => 0x1500,
            Self::Syntax { .. } => 0x2000,
            Self::Unauthorized(_) => 0x2100,
            Self::Invalid { .. } => 0x2200,
            Self::Configuration(_) => 0x2300,
            Self::AlreadyExists { .. } => 0x2400,
            Self::Unprepared(_) => 0x2500,
        }
    }

    /// Whether it may have had an effect.
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Server(_) | Self::Truncate(_) | Self::WriteTimeout { .. } | Self::WriteFailure { .. } => {
                Outcome::Unknown
            }
            _ => Outcome::Refused,
        }
    }
}

/// What happened during a traced request.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Trace {
    /// Its session's id (a version-1 UUID).
    pub session: [u8; 16],
    /// Microseconds from the request's arrival to its answer.
    pub duration_us: u64,
    /// Events in order of time.
    pub events: Vec<TraceEvent>,
}

/// One step of a traced request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceEvent {
    /// The node on which it happened.
    pub node: NodeId,
    /// Microseconds since the request arrived at that node.
    pub elapsed_us: u64,
    /// What was done.
    pub activity: String,
}

impl fmt::Display for BoundValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Unset => f.write_str("unset"),
            Self::Bytes(bytes) => write!(f, "0x{}", hex(bytes)),
        }
    }
}
