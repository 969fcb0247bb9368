//! Errors to and from messages and gRPC statuses.

use bytes::Bytes;
use prost::Message as _;
use quorate_model::request::{Outcome, Place, RequestError, StatementId, Trace, WriteType};
use quorate_model::{Consistency, NodeId};
use tonic::{Code, Status};

use crate::answer::trace_to_proto;
use crate::convert::{ConvertError, broken, consistency_from_proto, consistency_to_proto, id, id_bytes, missing};
use crate::v1;

/// `google.rpc.Status`, the form that gRPC tools expect in a status's details.
#[derive(Clone, PartialEq, prost::Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<RpcAny>,
}

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, prost::Message)]
struct RpcAny {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "bytes", tag = "2")]
    value: Bytes,
}

const TYPE_URL: &str = "type.googleapis.com/quorate.v1.ErrorDetails";

/// Bytes of details sent in a status's trailers, which HTTP/2 peers bound (16 KiB by habit); what does not fit is left out.
const DETAILS_BYTES_MAX: usize = 8 * 1024;
/// Bytes of a message in a status's trailers.
const STATUS_MESSAGE_BYTES_MAX: usize = 2 * 1024;

/// The status for an error, with its details.
pub fn status_from_error(error: &RequestError, warnings: Vec<String>, trace: Option<&Trace>) -> Status {
    let code = grpc_code(error);
    let mut details = error_to_proto(error, warnings, trace);
    if details.encoded_len() > DETAILS_BYTES_MAX {
        details.trace = None;
        details.warnings.clear();
        details.failures.truncate(16);
        details.message = shortened(&details.message, STATUS_MESSAGE_BYTES_MAX);
    }
    let message = shortened(&details.message, STATUS_MESSAGE_BYTES_MAX);
    let any = RpcAny { type_url: TYPE_URL.to_owned(), value: details.encode_to_vec().into() };
    let status = RpcStatus { code: code as i32, message: message.clone(), details: vec![any] };
    Status::with_details(code, message, status.encode_to_vec().into())
}

fn shortened(text: &str, bytes_max: usize) -> String {
    if text.len() <= bytes_max {
        return text.to_owned();
    }
    let mut end = bytes_max;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", &text[..end])
}

fn grpc_code(error: &RequestError) -> Code {
    match error {
        RequestError::Server(_) | RequestError::Truncate(_) => Code::Internal,
        RequestError::Protocol(_) | RequestError::Syntax { .. } | RequestError::Invalid { .. } => Code::InvalidArgument,
        RequestError::Configuration(_) => Code::InvalidArgument,
        RequestError::FunctionFailure { .. } => Code::InvalidArgument,
        RequestError::Unavailable { .. } | RequestError::Bootstrapping(_) => Code::Unavailable,
        RequestError::Overloaded(_) => Code::ResourceExhausted,
        RequestError::WriteTimeout { .. } | RequestError::ReadTimeout { .. } => Code::DeadlineExceeded,
        RequestError::ReadFailure { .. } | RequestError::WriteFailure { .. } => Code::Aborted,
        RequestError::Unauthorized(_) => Code::PermissionDenied,
        RequestError::AlreadyExists { .. } => Code::AlreadyExists,
        RequestError::Unprepared(_) => Code::NotFound,
    }
}

/// The details in a status, if it has any of ours.
pub fn details_from_status(status: &Status) -> Option<v1::ErrorDetails> {
    let outer = RpcStatus::decode(status.details()).ok()?;
    let any = outer.details.into_iter().find(|any| any.type_url == TYPE_URL)?;
    v1::ErrorDetails::decode(any.value).ok()
}

/// An error for a message.
pub fn error_to_proto(error: &RequestError, warnings: Vec<String>, trace: Option<&Trace>) -> v1::ErrorDetails {
    let outcome = match error.outcome() {
        Outcome::Refused => v1::Outcome::Refused,
        Outcome::Unknown => v1::Outcome::Unknown,
    };
    let mut details = v1::ErrorDetails {
        code: error.code(),
        message: error.to_string(),
        outcome: outcome as i32,
        warnings,
        trace: trace.map(trace_to_proto),
        ..Default::default()
    };
    fill(&mut details, error);
    details
}

fn fill(details: &mut v1::ErrorDetails, error: &RequestError) {
    match error {
        RequestError::Unavailable { consistency, required, alive } => {
            details.consistency = consistency_to_proto(*consistency);
            details.required = *required;
            details.alive = *alive;
        }
        RequestError::WriteTimeout { consistency, received, required, write_type } => {
            counts(details, *consistency, *received, *required);
            details.write_type = write_type_to_proto(*write_type);
        }
        RequestError::ReadTimeout { consistency, received, required, data_present } => {
            counts(details, *consistency, *received, *required);
            details.data_present = *data_present;
        }
        RequestError::ReadFailure { consistency, received, required, data_present, failures } => {
            counts(details, *consistency, *received, *required);
            details.data_present = *data_present;
            details.failures = failures_to_proto(failures);
        }
        RequestError::WriteFailure { consistency, received, required, write_type, failures } => {
            counts(details, *consistency, *received, *required);
            details.write_type = write_type_to_proto(*write_type);
            details.failures = failures_to_proto(failures);
        }
        RequestError::Syntax { place, .. } | RequestError::Invalid { place, .. } => {
            details.place =
                place.map(|place| v1::Place { line: place.line, column: place.column, length: place.length });
        }
        RequestError::AlreadyExists { keyspace, table } => {
            details.keyspace.clone_from(keyspace);
            details.table.clone_from(table);
        }
        RequestError::FunctionFailure { keyspace, function, argument_types, .. } => {
            details.keyspace.clone_from(keyspace);
            details.function.clone_from(function);
            details.argument_types.clone_from(argument_types);
        }
        RequestError::Unprepared(statement) => details.statement_id = id_bytes(&statement.0),
        _ => {}
    }
}

fn counts(details: &mut v1::ErrorDetails, consistency: Consistency, received: u32, required: u32) {
    details.consistency = consistency_to_proto(consistency);
    details.received = received;
    details.required = required;
}

fn failures_to_proto(failures: &[(NodeId, String)]) -> Vec<v1::ReplicaFailure> {
    failures
        .iter()
        .map(|(node, reason)| v1::ReplicaFailure { node_id: id_bytes(&node.0), reason: reason.clone() })
        .collect()
}

const WRITE_TYPES: [(v1::WriteType, WriteType); 6] = [
    (v1::WriteType::Simple, WriteType::Simple),
    (v1::WriteType::Batch, WriteType::Batch),
    (v1::WriteType::UnloggedBatch, WriteType::UnloggedBatch),
    (v1::WriteType::Counter, WriteType::Counter),
    (v1::WriteType::BatchLog, WriteType::BatchLog),
    (v1::WriteType::Cas, WriteType::Cas),
];

fn write_type_to_proto(write_type: WriteType) -> i32 {
    WRITE_TYPES.iter().find(|(_, known)| *known == write_type).map_or(0, |(number, _)| *number as i32)
}

/// An error from its details.
pub fn error_from_proto(details: v1::ErrorDetails) -> Result<RequestError, ConvertError> {
    let consistency =
        || consistency_from_proto(details.consistency, "consistency")?.ok_or_else(|| missing("consistency"));
    let write_type = || {
        WRITE_TYPES
            .iter()
            .find(|(known, _)| *known as i32 == details.write_type)
            .map(|(_, write_type)| *write_type)
            .ok_or_else(|| broken("write_type", format!("is {}, which is no kind of write", details.write_type)))
    };
    let failures = || {
        details
            .failures
            .iter()
            .map(|failure| Ok((NodeId(id(&failure.node_id, "failures.node_id")?), failure.reason.clone())))
            .collect::<Result<Vec<_>, ConvertError>>()
    };
    let place =
        details.place.as_ref().map(|place| Place { line: place.line, column: place.column, length: place.length });
    let (received, required, data_present) = (details.received, details.required, details.data_present);
    Ok(match details.code {
        0x0000 => RequestError::Server(details.message),
        0x000A => RequestError::Protocol(details.message),
        0x1000 => RequestError::Unavailable { consistency: consistency()?, required, alive: details.alive },
        0x1001 => RequestError::Overloaded(details.message),
        0x1002 => RequestError::Bootstrapping(details.message),
        0x1003 => RequestError::Truncate(details.message),
        0x1100 => {
            let (consistency, write_type) = (consistency()?, write_type()?);
            RequestError::WriteTimeout { consistency, received, required, write_type }
        }
        0x1200 => RequestError::ReadTimeout { consistency: consistency()?, received, required, data_present },
        0x1300 => {
            let (consistency, failures) = (consistency()?, failures()?);
            RequestError::ReadFailure { consistency, received, required, data_present, failures }
        }
        0x1400 => RequestError::FunctionFailure {
            keyspace: details.keyspace,
            function: details.function,
            argument_types: details.argument_types,
            message: details.message,
        },
        0x1500 => {
            let (consistency, write_type, failures) = (consistency()?, write_type()?, failures()?);
            RequestError::WriteFailure { consistency, received, required, write_type, failures }
        }
        0x2000 => RequestError::Syntax { message: details.message, place },
        0x2100 => RequestError::Unauthorized(details.message),
        0x2200 => RequestError::Invalid { message: details.message, place },
        0x2300 => RequestError::Configuration(details.message),
        0x2400 => RequestError::AlreadyExists { keyspace: details.keyspace, table: details.table },
        0x2500 => RequestError::Unprepared(StatementId(id(&details.statement_id, "statement_id")?)),
        code => return Err(broken("code", format!("is 0x{code:04x}, which is unknown: {}", details.message))),
    })
}
