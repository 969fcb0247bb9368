//! The protocol's messages and the model's requests and answers.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use quorate_model::NodeId;
use quorate_model::request::{
    Answer, BatchStatement, ClientRequest, Place, QueryOptions, RequestBody, RequestError, ResultMetadata,
    SchemaChange, StatementId, Values,
};
use quorate_model::{Seconds, Timestamp};

use crate::message::CustomPayload;
use crate::message::batch::{Batch, BatchText};
use crate::message::error::{ErrorKind, ErrorMessage, FailureReason, Failures, Replicas, WriteKind};
use crate::message::event::{SchemaChanged, SchemaTarget};
use crate::message::execute::Execute;
use crate::message::prepare::Prepare;
use crate::message::query::Query;
use crate::message::query_parameters::QueryParameters;
use crate::message::result::{PreparedResult, ResultMessage, RowsResult};
use crate::metadata::{Columns, RowsMetadata, metadata_id};
use crate::version::ProtocolVersion;

/// A query as the model's request. The request's own keyspace goes before the connection's.
pub fn query_request(query: Query, tracing: bool, keyspace: Option<&str>) -> ClientRequest {
    let (options, values, own) = split(query.parameters, tracing);
    request(RequestBody::Query { text: query.text, values }, own, keyspace, options)
}

/// A statement to prepare.
pub fn prepare_request(prepare: Prepare, tracing: bool, keyspace: Option<&str>) -> ClientRequest {
    let options = QueryOptions { tracing, ..QueryOptions::default() };
    request(RequestBody::Prepare { text: prepare.text }, prepare.keyspace, keyspace, options)
}

/// An execution. An id that is none of ours is of a statement that is not prepared here.
pub fn execute_request(execute: Execute, tracing: bool, keyspace: Option<&str>) -> Result<ClientRequest, ErrorMessage> {
    let statement = statement_id(&execute.id)?;
    let (options, values, own) = split(execute.parameters, tracing);
    Ok(request(RequestBody::Execute { statement, values }, own, keyspace, options))
}

/// A batch.
pub fn batch_request(batch: Batch, tracing: bool, keyspace: Option<&str>) -> Result<ClientRequest, ErrorMessage> {
    let statement = |(text, values): (BatchText, Values)| {
        Ok(match text {
            BatchText::Query(text) => BatchStatement::Query(text, values),
            BatchText::Prepared(id) => BatchStatement::Prepared(statement_id(&id)?, values),
        })
    };
    let statements = batch.statements.into_iter().map(statement).collect::<Result<_, ErrorMessage>>()?;
    let options = QueryOptions {
        consistency: batch.consistency,
        serial_consistency: batch.serial_consistency,
        timestamp: batch.timestamp.map(Timestamp),
        now: batch.now_in_seconds.map(|now| Seconds(i64::from(now))),
        tracing,
        ..QueryOptions::default()
    };
    Ok(request(RequestBody::Batch { kind: batch.kind, statements }, batch.keyspace, keyspace, options))
}

fn request(body: RequestBody, own: Option<String>, connection: Option<&str>, options: QueryOptions) -> ClientRequest {
    ClientRequest { body, keyspace: own.or_else(|| connection.map(str::to_owned)), options }
}

fn split(parameters: QueryParameters, tracing: bool) -> (QueryOptions, Values, Option<String>) {
    let options = QueryOptions {
        consistency: parameters.consistency,
        serial_consistency: parameters.serial_consistency,
        page_size: parameters.page_size.and_then(|rows| u32::try_from(rows).ok()).filter(|rows| *rows > 0),
        paging_state: parameters.paging_state,
        timestamp: parameters.timestamp.map(Timestamp),
        now: parameters.now_in_seconds.map(|now| Seconds(i64::from(now))),
        tracing,
        client: None,
        timeout_ms: None,
    };
    (options, parameters.values, parameters.keyspace)
}

fn statement_id(id: &Bytes) -> Result<StatementId, ErrorMessage> {
    let ours = <[u8; 16]>::try_from(id.as_ref()).map(StatementId);
    ours.map_err(|_| {
        let hex: String = id.iter().take(32).map(|byte| format!("{byte:02x}")).collect();
        let message = format!("Prepared query with ID {hex} not found: ids of this server have 16 bytes");
        ErrorMessage { message, kind: ErrorKind::Unprepared { id: id.clone() } }
    })
}

/// What the client knows already of a result's columns.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct KnownMetadata {
    /// It has asked to leave them out.
    pub skip: bool,
    /// The id under which it knows them: in v5 as it says, before as the server remembers. `None` if nobody does; then
    /// they are sent.
    pub id: Option<Bytes>,
}

/// A result of the model's answer, or the answer itself if the protocol has no words for it.
pub fn answer_result(
    answer: Answer,
    version: ProtocolVersion,
    known: &KnownMetadata,
    id_of: impl FnOnce(&Arc<ResultMetadata>) -> [u8; 16],
) -> Result<ResultMessage, Answer> {
    Ok(match answer {
        Answer::Void => ResultMessage::Void,
        Answer::Rows(rows) => {
            let (columns, new_id) = columns_for(&rows.metadata, version, known, id_of);
            let metadata = RowsMetadata { columns, paging_state: rows.paging_state, new_id };
            ResultMessage::Rows(RowsResult { metadata, row_count: rows.row_count, data: rows.data })
        }
        Answer::SetKeyspace(keyspace) => ResultMessage::SetKeyspace(keyspace),
        Answer::SchemaChange(change) => ResultMessage::SchemaChange(change.into()),
        Answer::Prepared(prepared) => ResultMessage::Prepared(PreparedResult {
            id: Bytes::copy_from_slice(&prepared.id.0),
            result_metadata_id: if version >= ProtocolVersion::V5 {
                Bytes::copy_from_slice(&id_of(&prepared.result))
            } else {
                Bytes::new()
            },
            parameters: prepared.parameters,
            partition_key: prepared.partition_key,
            result: Columns::Full(prepared.result),
        }),
        other @ Answer::Admin(_) => return Err(other),
    })
}

/// Columns are left out only if the client has asked for it and knows them as they are now; if it knows others, it is
/// told, whatever it asked (before v5 by sending them).
fn columns_for(
    metadata: &Arc<ResultMetadata>,
    version: ProtocolVersion,
    known: &KnownMetadata,
    id_of: impl FnOnce(&Arc<ResultMetadata>) -> [u8; 16],
) -> (Columns, Option<Bytes>) {
    let full = || Columns::Full(Arc::clone(metadata));
    let Some(known_id) = &known.id else { return (full(), None) };
    let id = id_of(metadata);
    if *known_id != id.as_slice() {
        let new_id = (version >= ProtocolVersion::V5).then(|| Bytes::copy_from_slice(&id));
        return (full(), new_id);
    }
    if known.skip {
        return (Columns::Skipped(u32::try_from(metadata.columns.len()).unwrap_or(u32::MAX)), None);
    }
    (full(), None)
}

/// The id of a result's columns, as [`answer_result`] wants it from whoever remembers none.
pub fn fresh_metadata_id(metadata: &Arc<ResultMetadata>) -> [u8; 16] {
    metadata_id(metadata)
}

impl From<SchemaChange> for SchemaChanged {
    fn from(change: SchemaChange) -> Self {
        let target = match (change.table, change.user_type) {
            (Some(table), _) => SchemaTarget::Table(table),
            (None, Some(name)) => SchemaTarget::Type(name),
            (None, None) => SchemaTarget::Keyspace,
        };
        Self { kind: change.kind, keyspace: change.keyspace, target }
    }
}

fn count(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

fn failures(list: &[(NodeId, String)], address_of: &dyn Fn(NodeId) -> Option<IpAddr>) -> Failures {
    let unspecified = IpAddr::from([0, 0, 0, 0]);
    let reason = |(node, reason): &(NodeId, String)| (address_of(*node).unwrap_or(unspecified), failure_reason(reason));
    Failures::Reasons(list.iter().map(reason).collect())
}

/// The protocol's number of a reason that replicas give in words.
fn failure_reason(reason: &str) -> FailureReason {
    let reason = reason.to_ascii_lowercase();
    let known = [
        ("tombstone", FailureReason::TOO_MANY_TOMBSTONES),
        ("timed out", FailureReason::TIMEOUT),
        ("unknown table", FailureReason::INCOMPATIBLE_SCHEMA),
        ("no such table", FailureReason::INCOMPATIBLE_SCHEMA),
        ("index not available", FailureReason::INDEX_NOT_AVAILABLE),
        ("down", FailureReason::NODE_DOWN),
    ];
    known.into_iter().find(|(word, _)| reason.contains(word)).map_or(FailureReason::UNKNOWN, |(_, code)| code)
}

/// An error of the model's. Addresses of replicas that failed are where clients know them.
pub fn error_message(error: &RequestError, address_of: &dyn Fn(NodeId) -> Option<IpAddr>) -> ErrorMessage {
    let kind = match error {
        RequestError::Server(_) => ErrorKind::Server,
        RequestError::Protocol(_) => ErrorKind::Protocol,
        RequestError::Unavailable { consistency, required, alive } => {
            ErrorKind::Unavailable { consistency: *consistency, required: count(*required), alive: count(*alive) }
        }
        RequestError::Overloaded(_) => ErrorKind::Overloaded,
        RequestError::Bootstrapping(_) => ErrorKind::Bootstrapping,
        RequestError::Truncate(_) => ErrorKind::Truncate,
        RequestError::WriteTimeout { consistency, received, required, write_type } => ErrorKind::WriteTimeout {
            replicas: Replicas { consistency: *consistency, received: count(*received), required: count(*required) },
            write_type: WriteKind::Known(*write_type),
            contentions: None,
        },
        RequestError::ReadTimeout { consistency, received, required, data_present } => ErrorKind::ReadTimeout {
            replicas: Replicas { consistency: *consistency, received: count(*received), required: count(*required) },
            data_present: *data_present,
        },
        RequestError::ReadFailure { consistency, received, required, data_present, failures: list } => {
            ErrorKind::ReadFailure {
                replicas: Replicas {
                    consistency: *consistency,
                    received: count(*received),
                    required: count(*required),
                },
                failures: failures(list, address_of),
                data_present: *data_present,
            }
        }
        RequestError::WriteFailure { consistency, received, required, write_type, failures: list } => {
            ErrorKind::WriteFailure {
                replicas: Replicas {
                    consistency: *consistency,
                    received: count(*received),
                    required: count(*required),
                },
                failures: failures(list, address_of),
                write_type: WriteKind::Known(*write_type),
            }
        }
        RequestError::FunctionFailure { keyspace, function, argument_types, .. } => ErrorKind::FunctionFailure {
            keyspace: keyspace.clone(),
            function: function.clone(),
            argument_types: argument_types.clone(),
        },
        RequestError::Syntax { .. } => ErrorKind::Syntax,
        RequestError::Unauthorized(_) => ErrorKind::Unauthorized,
        RequestError::Invalid { .. } => ErrorKind::Invalid,
        RequestError::Configuration(_) => ErrorKind::Configuration,
        RequestError::AlreadyExists { keyspace, table } => {
            ErrorKind::AlreadyExists { keyspace: keyspace.clone(), table: table.clone() }
        }
        RequestError::Unprepared(id) => ErrorKind::Unprepared { id: Bytes::copy_from_slice(&id.0) },
    };
    ErrorMessage { message: error.to_string(), kind }
}

/// The `STARTUP` option by which a client says that it wants to know where a statement is wrong: the protocol has no word
/// for it. Any value but the empty one means yes.
pub const PLACES_OPTION: &str = "QUORATE_PLACES";
/// The custom payload of an error that says where: line, column and length as three big-endian u32.
const PLACE_PAYLOAD: &str = "quorate.place";

/// Where the statement is wrong, for a client that has asked by [`PLACES_OPTION`].
pub fn place_payload(error: &RequestError) -> CustomPayload {
    let (RequestError::Syntax { place: Some(place), .. } | RequestError::Invalid { place: Some(place), .. }) = error
    else {
        return Vec::new();
    };
    let numbers = [place.line, place.column, place.length].map(u32::to_be_bytes).concat();
    vec![(PLACE_PAYLOAD.to_owned(), Some(Bytes::from(numbers)))]
}

/// What [`place_payload`] has said.
pub fn place_of(payload: &CustomPayload) -> Option<Place> {
    let (_, bytes) = payload.iter().find(|(name, _)| name == PLACE_PAYLOAD)?;
    let mut numbers = bytes.as_ref()?.as_chunks::<4>().0.iter().map(|bytes| u32::from_be_bytes(*bytes));
    Some(Place { line: numbers.next()?, column: numbers.next()?, length: numbers.next()? })
}

#[cfg(test)]
mod tests;
