//! Answers to and from messages.

use std::hash::Hasher as _;
use std::sync::Arc;

use quorate_model::NodeId;
use quorate_model::request::{
    Answer, ColumnSpec, Prepared, ResultMetadata, Rows, SchemaChange, SchemaChangeKind, StatementId, Trace, TraceEvent,
};
use xxhash_rust::xxh3::Xxh3;

use crate::convert::{ConvertError, broken, id, id_bytes, missing, some_bytes, some_text, u16_of};
use crate::types::{type_from_proto, type_to_proto};
use crate::v1;
use crate::v1::query_response::Answer as Kind;
use crate::value::typed_rows;

/// How an answer is to be written.
#[derive(Clone, Copy, Debug, Default)]
pub struct AnswerOptions {
    /// Whether rows stay in the native protocol's encoding.
    pub compact: bool,
    /// The metadata that the client knows; left out if it is still right.
    pub known_metadata_id: u64,
    /// The result's metadata id, if the caller has computed it before.
    pub metadata_id: Option<u64>,
}

/// An answer as a client has it.
#[derive(Clone, Debug)]
pub struct Response {
    /// The answer. Rows whose metadata was left out have that which the client knew.
    pub answer: Answer,
    /// Identifies the metadata of rows or of a prepared statement's result; 0 if there is none.
    pub metadata_id: u64,
    /// Warnings.
    pub warnings: Vec<String>,
    /// What happened, if it was traced.
    pub trace: Option<Trace>,
}

/// Identifies the content of a result's metadata; never 0.
pub fn metadata_id(metadata: &ResultMetadata) -> u64 {
    let mut hash = Xxh3::new();
    for column in &metadata.columns {
        for text in [&column.keyspace, &column.table, &column.name] {
            hash.write_u64(text.len() as u64);
            hash.write(text.as_bytes());
        }
        let cql_type = prost::Message::encode_to_vec(&type_to_proto(&column.cql_type));
        hash.write_u64(cql_type.len() as u64);
        hash.write(&cql_type);
    }
    hash.finish().max(1)
}

/// An answer for a message. Fails only if rows cannot be typed because their bytes do not fit their types, or if the
/// answer is an operator's, which has a message of its own.
pub fn response_to_proto(
    answer: &Answer,
    warnings: Vec<String>,
    trace: Option<&Trace>,
    options: AnswerOptions,
) -> Result<v1::QueryResponse, ConvertError> {
    let kind = match answer {
        Answer::Void => Kind::Void(v1::Void {}),
        Answer::Rows(rows) => Kind::Rows(rows_to_proto(rows, options)?),
        Answer::SetKeyspace(keyspace) => Kind::SetKeyspace(v1::SetKeyspace { keyspace: keyspace.clone() }),
        Answer::SchemaChange(change) => Kind::SchemaChange(schema_change_to_proto(change)),
        Answer::Prepared(prepared) => Kind::Prepared(prepared_to_proto(prepared)),
        Answer::Admin(_) => return Err(broken("answer", "is an operator's, not a query's")),
    };
    Ok(v1::QueryResponse { answer: Some(kind), warnings, trace: trace.map(trace_to_proto) })
}

fn rows_to_proto(rows: &Rows, options: AnswerOptions) -> Result<v1::Rows, ConvertError> {
    let metadata_id = options.metadata_id.unwrap_or_else(|| metadata_id(&rows.metadata));
    let known = options.known_metadata_id == metadata_id;
    let mut message = v1::Rows {
        metadata: (!known).then(|| metadata_to_proto(&rows.metadata)),
        metadata_id,
        row_count: rows.row_count,
        paging_state: rows.paging_state.clone().unwrap_or_default(),
        ..Default::default()
    };
    if options.compact {
        message.compact = rows.data.clone();
    } else {
        message.typed = typed_rows(rows)?;
    }
    Ok(message)
}

fn metadata_to_proto(metadata: &ResultMetadata) -> v1::Metadata {
    let columns = metadata
        .columns
        .iter()
        .map(|column| v1::Column {
            keyspace: column.keyspace.clone(),
            table: column.table.clone(),
            name: column.name.clone(),
            r#type: Some(type_to_proto(&column.cql_type)),
        })
        .collect();
    v1::Metadata { columns }
}

fn prepared_to_proto(prepared: &Prepared) -> v1::Prepared {
    v1::Prepared {
        statement_id: id_bytes(&prepared.id.0),
        parameters: Some(metadata_to_proto(&prepared.parameters)),
        partition_key: prepared.partition_key.iter().map(|index| u32::from(*index)).collect(),
        result: Some(metadata_to_proto(&prepared.result)),
        result_metadata_id: metadata_id(&prepared.result),
    }
}

fn schema_change_to_proto(change: &SchemaChange) -> v1::SchemaChange {
    let kind = match change.kind {
        SchemaChangeKind::Created => v1::schema_change::Kind::Created,
        SchemaChangeKind::Updated => v1::schema_change::Kind::Updated,
        SchemaChangeKind::Dropped => v1::schema_change::Kind::Dropped,
    };
    v1::SchemaChange {
        kind: kind as i32,
        keyspace: change.keyspace.clone(),
        table: change.table.clone().unwrap_or_default(),
        user_type: change.user_type.clone().unwrap_or_default(),
    }
}

pub(crate) fn trace_to_proto(trace: &Trace) -> v1::Trace {
    let events = trace
        .events
        .iter()
        .map(|event| v1::TraceEvent {
            node_id: id_bytes(&event.node.0),
            elapsed_us: event.elapsed_us,
            activity: event.activity.clone(),
        })
        .collect();
    v1::Trace { session_id: id_bytes(&trace.session), duration_us: trace.duration_us, events }
}

/// A trace.
pub fn trace_from_proto(message: v1::Trace) -> Result<Trace, ConvertError> {
    let events = message
        .events
        .into_iter()
        .map(|event| {
            Ok(TraceEvent {
                node: NodeId(id(&event.node_id, "trace.events.node_id")?),
                elapsed_us: event.elapsed_us,
                activity: event.activity,
            })
        })
        .collect::<Result<_, ConvertError>>()?;
    Ok(Trace { session: id(&message.session_id, "trace.session_id")?, duration_us: message.duration_us, events })
}

/// An answer with compact rows. `known` is the metadata that the request said it knew.
pub fn response_from_proto(
    message: v1::QueryResponse,
    known: Option<&Arc<ResultMetadata>>,
) -> Result<Response, ConvertError> {
    let mut metadata_id = 0;
    let answer = match message.answer.ok_or_else(|| missing("answer"))? {
        Kind::Void(_) => Answer::Void,
        Kind::Rows(rows) => {
            metadata_id = rows.metadata_id;
            Answer::Rows(rows_from_proto(rows, known)?)
        }
        Kind::SetKeyspace(set) => Answer::SetKeyspace(set.keyspace),
        Kind::SchemaChange(change) => Answer::SchemaChange(schema_change_from_proto(change)?),
        Kind::Prepared(prepared) => {
            metadata_id = prepared.result_metadata_id;
            Answer::Prepared(prepared_from_proto(prepared)?)
        }
    };
    let trace = message.trace.map(trace_from_proto).transpose()?;
    Ok(Response { answer, metadata_id, warnings: message.warnings, trace })
}

fn rows_from_proto(rows: v1::Rows, known: Option<&Arc<ResultMetadata>>) -> Result<Rows, ConvertError> {
    if !rows.typed.is_empty() {
        return Err(broken("rows.typed", "is set where compact rows were asked for"));
    }
    let metadata = match (rows.metadata, known) {
        (Some(metadata), _) => Arc::new(metadata_from_proto(metadata)?),
        (None, Some(known)) => Arc::clone(known),
        (None, None) => return Err(missing("rows.metadata")),
    };
    Ok(Rows { metadata, row_count: rows.row_count, data: rows.compact, paging_state: some_bytes(rows.paging_state) })
}

fn metadata_from_proto(message: v1::Metadata) -> Result<ResultMetadata, ConvertError> {
    let columns = message
        .columns
        .into_iter()
        .map(|column| {
            let cql_type = column.r#type.as_ref().ok_or_else(|| missing("columns.type"))?;
            Ok(ColumnSpec {
                keyspace: column.keyspace,
                table: column.table,
                name: column.name,
                cql_type: type_from_proto(cql_type, "columns.type")?,
            })
        })
        .collect::<Result<_, ConvertError>>()?;
    Ok(ResultMetadata { columns })
}

fn prepared_from_proto(message: v1::Prepared) -> Result<Prepared, ConvertError> {
    let metadata = |metadata: Option<v1::Metadata>| metadata_from_proto(metadata.unwrap_or_default()).map(Arc::new);
    let parameters = metadata(message.parameters)?;
    let partition_key = message
        .partition_key
        .into_iter()
        .map(|index| {
            let index = u16_of(index, "prepared.partition_key")?;
            if usize::from(index) >= parameters.columns.len() {
                return Err(broken("prepared.partition_key", format!("is {index}, but there is no such marker")));
            }
            Ok(index)
        })
        .collect::<Result<_, ConvertError>>()?;
    let id = StatementId(id(&message.statement_id, "prepared.statement_id")?);
    Ok(Prepared { id, parameters, partition_key, result: metadata(message.result)? })
}

fn schema_change_from_proto(message: v1::SchemaChange) -> Result<SchemaChange, ConvertError> {
    let kind = match v1::schema_change::Kind::try_from(message.kind) {
        Ok(v1::schema_change::Kind::Created) => SchemaChangeKind::Created,
        Ok(v1::schema_change::Kind::Updated) => SchemaChangeKind::Updated,
        Ok(v1::schema_change::Kind::Dropped) => SchemaChangeKind::Dropped,
        _ => return Err(broken("schema_change.kind", format!("is {}, which is no kind of change", message.kind))),
    };
    let (table, user_type) = (some_text(&message.table), some_text(&message.user_type));
    Ok(SchemaChange { kind, keyspace: message.keyspace, table, user_type })
}
