//! From the protocol's messages to the words that the shell knows.

use std::collections::BTreeMap;

use quorate_cql_wire::convert::place_of;
use quorate_cql_wire::message::CustomPayload;
use quorate_cql_wire::message::error::{ErrorKind, ErrorMessage, Replicas, WriteKind};
use quorate_cql_wire::message::event::SchemaTarget;
use quorate_cql_wire::message::result::ResultMessage;
use quorate_cql_wire::{Columns, Response};
use quorate_model::Value;
use quorate_model::request::{
    Answer, BoundValue, Place, RequestError, ResultMetadata, Rows, SchemaChange, StatementId, WriteType,
};

use crate::codec::decode_rows;
use crate::front::FrontError;

/// An answer to another question.
pub(super) fn unexpected(response: &Response) -> FrontError {
    FrontError::Lost { reason: format!("the server's answer makes no sense: {response:?}") }
}

/// A result as an answer.
pub(super) fn answer(response: Response) -> Result<Answer, FrontError> {
    let result = match response {
        Response::Result(result) => result,
        Response::Error(message) => return Err(FrontError::Request(error(message, &Vec::new())?)),
        other => return Err(unexpected(&other)),
    };
    Ok(match result {
        ResultMessage::Void => Answer::Void,
        ResultMessage::SetKeyspace(keyspace) => Answer::SetKeyspace(keyspace),
        ResultMessage::SchemaChange(change) => {
            let (table, user_type) = match change.target {
                SchemaTarget::Table(table) => (Some(table), None),
                SchemaTarget::Type(name) => (None, Some(name)),
                _ => (None, None),
            };
            Answer::SchemaChange(SchemaChange { kind: change.kind, keyspace: change.keyspace, table, user_type })
        }
        ResultMessage::Rows(rows) => {
            let metadata = match rows.metadata.columns {
                Columns::Full(metadata) => metadata,
                Columns::Skipped(0) => std::sync::Arc::new(ResultMetadata::default()),
                Columns::Skipped(_) => {
                    return Err(FrontError::Lost { reason: "the server left the columns' names out".to_owned() });
                }
            };
            Answer::Rows(Rows {
                metadata,
                row_count: rows.row_count,
                data: rows.data,
                paging_state: rows.metadata.paging_state,
            })
        }
        other @ ResultMessage::Prepared(_) => return Err(unexpected(&Response::Result(other))),
    })
}

/// Rows as values by their columns' names.
pub(super) fn named_rows(answer: Answer) -> Result<Vec<BTreeMap<String, Value>>, FrontError> {
    let Answer::Rows(rows) = answer else { return Ok(Vec::new()) };
    let decoded = decode_rows(&rows).map_err(|error| FrontError::Lost { reason: error.to_string() })?;
    let named = |row: Vec<Value>| rows.metadata.columns.iter().map(|column| column.name.clone()).zip(row).collect();
    Ok(decoded.into_iter().map(named).collect())
}

/// Values in the encoding of the markers' types.
pub(super) fn bound(markers: &ResultMetadata, values: &[Value]) -> Result<Vec<BoundValue>, FrontError> {
    if values.len() != markers.columns.len() {
        let (given, wanted) = (values.len(), markers.columns.len());
        return Err(FrontError::Unsendable(format!("{given} values for {wanted} markers")));
    }
    let encode = |(column, value): (&quorate_model::request::ColumnSpec, &Value)| {
        let encoded = value.encode(&column.cql_type);
        let encoded = encoded.map_err(|error| FrontError::Unsendable(format!("{}: {error}", column.name)))?;
        Ok(encoded.map_or(BoundValue::Null, BoundValue::Bytes))
    };
    markers.columns.iter().zip(values).map(encode).collect()
}

/// The server's error as the model has it; in the server's own words if the model has others for it.
pub(super) fn error(error: ErrorMessage, payload: &CustomPayload) -> Result<RequestError, FrontError> {
    let ErrorMessage { message, kind } = error;
    let error = known(kind, &message, place_of(payload).or_else(|| place_in(&message)));
    if error.to_string() == message { Ok(error) } else { Err(FrontError::Worded { error, message }) }
}

fn known(kind: ErrorKind, message: &str, place: Option<Place>) -> RequestError {
    let text = message.to_owned();
    let count = |number: i32| u32::try_from(number).unwrap_or(0);
    let counts = |replicas: &Replicas| (replicas.consistency, count(replicas.received), count(replicas.required));
    match kind {
        ErrorKind::Unavailable { consistency, required, alive } => {
            RequestError::Unavailable { consistency, required: count(required), alive: count(alive) }
        }
        ErrorKind::Protocol => RequestError::Protocol(text),
        ErrorKind::Overloaded => RequestError::Overloaded(text),
        ErrorKind::Bootstrapping => RequestError::Bootstrapping(text),
        ErrorKind::Truncate => RequestError::Truncate(text),
        ErrorKind::WriteTimeout { replicas, write_type, .. } => {
            let (consistency, received, required) = counts(&replicas);
            RequestError::WriteTimeout { consistency, received, required, write_type: write_kind(&write_type) }
        }
        ErrorKind::CasWriteUnknown { replicas } => {
            let (consistency, received, required) = counts(&replicas);
            RequestError::WriteTimeout { consistency, received, required, write_type: WriteType::Cas }
        }
        ErrorKind::ReadTimeout { replicas, data_present } => {
            let (consistency, received, required) = counts(&replicas);
            RequestError::ReadTimeout { consistency, received, required, data_present }
        }
        ErrorKind::ReadFailure { replicas, data_present, .. } => {
            let (consistency, received, required) = counts(&replicas);
            RequestError::ReadFailure { consistency, received, required, data_present, failures: Vec::new() }
        }
        ErrorKind::WriteFailure { replicas, write_type, .. } => {
            let (consistency, received, required) = counts(&replicas);
            let write_type = write_kind(&write_type);
            RequestError::WriteFailure { consistency, received, required, write_type, failures: Vec::new() }
        }
        ErrorKind::Syntax => RequestError::Syntax { message: text, place },
        ErrorKind::Unauthorized | ErrorKind::BadCredentials => RequestError::Unauthorized(text),
        ErrorKind::Invalid => RequestError::Invalid { message: text, place },
        ErrorKind::Configuration => RequestError::Configuration(text),
        ErrorKind::AlreadyExists { keyspace, table } => RequestError::AlreadyExists { keyspace, table },
        ErrorKind::Unprepared { id } => match <[u8; 16]>::try_from(id.as_ref()) {
            Ok(id) => RequestError::Unprepared(StatementId(id)),
            Err(_) => RequestError::Server(text),
        },
        _ => RequestError::Server(text),
    }
}

fn write_kind(kind: &WriteKind) -> WriteType {
    match kind {
        WriteKind::Known(known) => *known,
        WriteKind::Other(_) => WriteType::Simple,
    }
}

/// The place that Cassandra's messages begin with: `line 1:7 …`.
fn place_in(message: &str) -> Option<Place> {
    let (line, rest) = message.strip_prefix("line ")?.split_once(':')?;
    let (column, _) = rest.split_once(' ')?;
    Some(Place { line: line.parse().ok()?, column: column.parse().ok()?, length: 0 })
}

#[cfg(test)]
mod tests {
    use quorate_model::Consistency;

    use super::*;

    fn message(kind: ErrorKind, text: &str) -> ErrorMessage {
        ErrorMessage { message: text.to_owned(), kind }
    }

    #[test]
    fn what_the_server_says_is_said() {
        let unavailable = ErrorKind::Unavailable { consistency: Consistency::Quorum, required: 2, alive: 1 };
        let same = "Cannot achieve consistency level QUORUM: 2 replicas required, 1 alive";
        assert!(matches!(error(message(unavailable.clone(), same), &Vec::new()), Ok(RequestError::Unavailable { .. })));
        let other = error(message(unavailable, "Cannot achieve consistency level QUORUM"), &Vec::new());
        let Err(worded @ FrontError::Worded { .. }) = other else { panic!("{other:?}") };
        assert_eq!(
            worded.to_string(),
            "Unavailable: Error from server: code=1000 [Unavailable exception] message=\"Cannot achieve consistency level QUORUM\""
        );
        assert!(worded.is_refused() && worded.is_worth_another_attempt());
    }

    #[test]
    fn places_come_from_the_payload_or_from_the_words() {
        let syntax =
            |payload: &CustomPayload| error(message(ErrorKind::Syntax, "line 3:14 no viable alternative"), payload);
        let place = Place { line: 3, column: 14, length: 0 };
        assert_eq!(
            syntax(&Vec::new()),
            Ok(RequestError::Syntax { message: "line 3:14 no viable alternative".into(), place: Some(place) })
        );
        let place = Place { line: 1, column: 2, length: 5 };
        let payload = quorate_cql_wire::convert::place_payload(&RequestError::Invalid {
            message: "x".into(),
            place: Some(place),
        });
        assert_eq!(
            error(message(ErrorKind::Invalid, "x"), &payload),
            Ok(RequestError::Invalid { message: "x".into(), place: Some(place) })
        );
    }
}
