//! Requests to and from messages.

use quorate_model::request::{
    BatchKind, BatchStatement, BoundValue, ClientRequest, QueryOptions, RequestBody, StatementId, Values,
};
use quorate_model::{Consistency, Seconds, Timestamp};

use crate::convert::{
    ConvertError, broken, consistency_from_proto, consistency_to_proto, id, id_bytes, missing, some_bytes, some_text,
};
use crate::encode::encode_value;
use crate::limits::{BATCH_STATEMENTS_MAX, PAGE_SIZE_DEFAULT, VALUES_MAX};
use crate::v1;
use crate::v1::bound_value::Value as Bound;

/// Options for a message. `compact` chooses the encoding of rows.
pub fn options_to_proto(options: &QueryOptions, compact: bool) -> v1::QueryOptions {
    let encoding = if compact { v1::RowEncoding::Compact } else { v1::RowEncoding::Typed };
    v1::QueryOptions {
        consistency: consistency_to_proto(options.consistency),
        serial_consistency: options.serial_consistency.map_or(0, consistency_to_proto),
        page_size: Some(options.page_size.unwrap_or(0)),
        paging_state: options.paging_state.clone().unwrap_or_default(),
        timestamp: options.timestamp.map(|timestamp| timestamp.0),
        now_seconds: options.now.map(|now| now.0),
        tracing: options.tracing,
        timeout_ms: options.timeout_ms.unwrap_or(0),
        row_encoding: encoding as i32,
    }
}

/// Options of a message; absent ones are the defaults.
pub fn options_from_proto(message: Option<v1::QueryOptions>) -> Result<QueryOptions, ConvertError> {
    let message = message.unwrap_or_default();
    let serial_consistency = consistency_from_proto(message.serial_consistency, "options.serial_consistency")?;
    if let Some(level) = serial_consistency.filter(|level| !level.is_serial()) {
        return Err(broken("options.serial_consistency", format!("is {level}, not SERIAL or LOCAL_SERIAL")));
    }
    Ok(QueryOptions {
        consistency: consistency_from_proto(message.consistency, "options.consistency")?
            .unwrap_or(Consistency::LocalOne),
        serial_consistency,
        page_size: Some(message.page_size.unwrap_or(PAGE_SIZE_DEFAULT)).filter(|size| *size > 0),
        paging_state: some_bytes(message.paging_state),
        timestamp: message.timestamp.map(Timestamp),
        now: message.now_seconds.map(Seconds),
        tracing: message.tracing,
        client: None,
        timeout_ms: Some(message.timeout_ms).filter(|timeout| *timeout > 0),
    })
}

/// A query.
pub fn query_from_proto(message: v1::QueryRequest) -> Result<ClientRequest, ConvertError> {
    Ok(ClientRequest {
        body: RequestBody::Query {
            text: message.statement,
            values: values_from_proto(message.values, message.named_values)?,
        },
        keyspace: some_text(&message.keyspace),
        options: options_from_proto(message.options)?,
    })
}

/// A query with compact rows.
pub fn query_to_proto(text: &str, values: &Values, keyspace: Option<&str>, options: &QueryOptions) -> v1::QueryRequest {
    let (values, named_values) = values_to_proto(values);
    v1::QueryRequest {
        statement: text.to_owned(),
        values,
        named_values,
        keyspace: keyspace.unwrap_or_default().to_owned(),
        options: Some(options_to_proto(options, true)),
    }
}

/// A statement to prepare.
pub fn prepare_from_proto(message: v1::PrepareRequest) -> Result<ClientRequest, ConvertError> {
    Ok(ClientRequest {
        body: RequestBody::Prepare { text: message.statement },
        keyspace: some_text(&message.keyspace),
        options: options_from_proto(message.options)?,
    })
}

/// The execution of a prepared statement.
pub fn execute_from_proto(message: v1::ExecuteRequest) -> Result<ClientRequest, ConvertError> {
    Ok(ClientRequest {
        body: RequestBody::Execute {
            statement: StatementId(id(&message.statement_id, "statement_id")?),
            values: values_from_proto(message.values, message.named_values)?,
        },
        keyspace: None,
        options: options_from_proto(message.options)?,
    })
}

/// The execution of a prepared statement, with compact rows.
pub fn execute_to_proto(
    statement: StatementId,
    values: &Values,
    options: &QueryOptions,
    known_metadata_id: u64,
) -> v1::ExecuteRequest {
    let (values, named_values) = values_to_proto(values);
    v1::ExecuteRequest {
        statement_id: id_bytes(&statement.0),
        values,
        named_values,
        options: Some(options_to_proto(options, true)),
        known_metadata_id,
    }
}

/// A batch.
pub fn batch_from_proto(message: v1::BatchRequest) -> Result<ClientRequest, ConvertError> {
    if message.statements.len() > BATCH_STATEMENTS_MAX {
        return Err(broken("statements", format!("has more than {BATCH_STATEMENTS_MAX} items")));
    }
    let kind = match v1::BatchKind::try_from(message.kind) {
        Ok(v1::BatchKind::Logged) => BatchKind::Logged,
        Ok(v1::BatchKind::Unlogged) => BatchKind::Unlogged,
        Ok(v1::BatchKind::Counter) => BatchKind::Counter,
        Err(_) => return Err(broken("kind", format!("is {}, which is no kind of batch", message.kind))),
    };
    let statements = message.statements.into_iter().map(batch_statement_from_proto).collect::<Result<_, _>>()?;
    Ok(ClientRequest {
        body: RequestBody::Batch { kind, statements },
        keyspace: some_text(&message.keyspace),
        options: options_from_proto(message.options)?,
    })
}

fn batch_statement_from_proto(message: v1::BatchStatement) -> Result<BatchStatement, ConvertError> {
    let values = values_from_proto(message.values, message.named_values)?;
    match message.statement.ok_or_else(|| missing("statements.statement"))? {
        v1::batch_statement::Statement::Text(text) => Ok(BatchStatement::Query(text, values)),
        v1::batch_statement::Statement::StatementId(bytes) => {
            Ok(BatchStatement::Prepared(StatementId(id(&bytes, "statements.statement_id")?), values))
        }
    }
}

/// A batch for a message.
pub fn batch_to_proto(
    kind: BatchKind,
    statements: &[BatchStatement],
    keyspace: Option<&str>,
    options: &QueryOptions,
) -> v1::BatchRequest {
    let kind = match kind {
        BatchKind::Logged => v1::BatchKind::Logged,
        BatchKind::Unlogged => v1::BatchKind::Unlogged,
        BatchKind::Counter => v1::BatchKind::Counter,
    };
    let statements = statements
        .iter()
        .map(|statement| {
            let (body, values) = match statement {
                BatchStatement::Query(text, values) => (v1::batch_statement::Statement::Text(text.clone()), values),
                BatchStatement::Prepared(statement, values) => {
                    (v1::batch_statement::Statement::StatementId(id_bytes(&statement.0)), values)
                }
            };
            let (values, named_values) = values_to_proto(values);
            v1::BatchStatement { statement: Some(body), values, named_values }
        })
        .collect();
    v1::BatchRequest {
        kind: kind as i32,
        statements,
        keyspace: keyspace.unwrap_or_default().to_owned(),
        options: Some(options_to_proto(options, true)),
    }
}

fn values_to_proto(values: &Values) -> (Vec<v1::BoundValue>, Vec<v1::NamedValue>) {
    match values {
        Values::Positional(values) => (values.iter().map(bound_to_proto).collect(), Vec::new()),
        Values::Named(values) => (
            Vec::new(),
            values
                .iter()
                .map(|(name, value)| v1::NamedValue { name: name.clone(), value: Some(bound_to_proto(value)) })
                .collect(),
        ),
    }
}

fn bound_to_proto(value: &BoundValue) -> v1::BoundValue {
    let value = match value {
        BoundValue::Null => Bound::Null(v1::Null {}),
        BoundValue::Unset => Bound::Unset(v1::Unset {}),
        BoundValue::Bytes(bytes) => Bound::Encoded(bytes.clone()),
    };
    v1::BoundValue { value: Some(value) }
}

fn values_from_proto(positional: Vec<v1::BoundValue>, named: Vec<v1::NamedValue>) -> Result<Values, ConvertError> {
    if positional.len().max(named.len()) > VALUES_MAX {
        return Err(broken("values", format!("has more than {VALUES_MAX} items")));
    }
    if named.is_empty() {
        return positional.into_iter().map(bound_from_proto).collect::<Result<_, _>>().map(Values::Positional);
    }
    if !positional.is_empty() {
        return Err(broken("named_values", "is given together with values; one of them must be empty"));
    }
    named
        .into_iter()
        .map(|named| {
            let value = named.value.ok_or_else(|| missing("named_values.value"))?;
            Ok((named.name, bound_from_proto(value)?))
        })
        .collect::<Result<_, ConvertError>>()
        .map(Values::Named)
}

fn bound_from_proto(message: v1::BoundValue) -> Result<BoundValue, ConvertError> {
    match message.value.ok_or_else(|| missing("values.value"))? {
        Bound::Null(_) => Ok(BoundValue::Null),
        Bound::Unset(_) => Ok(BoundValue::Unset),
        Bound::Encoded(bytes) => Ok(BoundValue::Bytes(bytes)),
        Bound::Typed(value) => Ok(encode_value(&value)?.map_or(BoundValue::Null, BoundValue::Bytes)),
    }
}
