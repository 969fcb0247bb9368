//! What goes into a message comes out of it; what comes from outside never makes a conversion panic.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A test may fail where it stands.
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use prost::Message as _;
use quorate_model::request::{
    Answer, BatchKind, BatchStatement, BoundValue, ClientRequest, ColumnSpec, Place, Prepared, QueryOptions,
    RequestBody, RequestError, ResultMetadata, Rows, StatementId, Trace, TraceEvent, Values, WriteType,
};
use quorate_model::{Consistency, CqlType, NodeId, Seconds, Timestamp, Value};
use quorate_proto::{AnswerOptions, v1};

fn level() -> impl Strategy<Value = Consistency> {
    prop::sample::select(Consistency::ALL_LEVELS.to_vec())
}

fn bytes(max: usize) -> impl Strategy<Value = Bytes> {
    prop::collection::vec(any::<u8>(), 0..max).prop_map(Bytes::from)
}

fn bound() -> impl Strategy<Value = BoundValue> {
    prop_oneof![Just(BoundValue::Null), Just(BoundValue::Unset), bytes(20).prop_map(BoundValue::Bytes)]
}

fn values() -> impl Strategy<Value = Values> {
    prop_oneof![
        prop::collection::vec(bound(), 0..5).prop_map(Values::Positional),
        prop::collection::vec(("[a-z]{1,5}", bound()), 1..5).prop_map(Values::Named),
    ]
}

fn options() -> impl Strategy<Value = QueryOptions> {
    let some_bytes = prop::option::of(bytes(10).prop_filter("not empty", |bytes| !bytes.is_empty()));
    (
        level(),
        prop::option::of(prop::sample::select(vec![Consistency::Serial, Consistency::LocalSerial])),
        prop::option::of(1..=u32::MAX),
        some_bytes,
        any::<Option<i64>>(),
        any::<Option<i64>>(),
        any::<bool>(),
        prop::option::of(1..=u32::MAX),
    )
        .prop_map(
            |(consistency, serial_consistency, page_size, paging_state, timestamp, now, tracing, timeout_ms)| {
                QueryOptions {
                    consistency,
                    serial_consistency,
                    page_size,
                    paging_state,
                    timestamp: timestamp.map(Timestamp),
                    now: now.map(Seconds),
                    tracing,
                    client: None,
                    timeout_ms,
                }
            },
        )
}

fn simple_type() -> impl Strategy<Value = CqlType> {
    prop::sample::select(vec![
        CqlType::Ascii,
        CqlType::BigInt,
        CqlType::Blob,
        CqlType::Boolean,
        CqlType::Counter,
        CqlType::Decimal,
        CqlType::Double,
        CqlType::Float,
        CqlType::Int,
        CqlType::Text,
        CqlType::Timestamp,
        CqlType::Uuid,
        CqlType::Varint,
        CqlType::TimeUuid,
        CqlType::Inet,
        CqlType::Date,
        CqlType::Time,
        CqlType::SmallInt,
        CqlType::TinyInt,
        CqlType::Duration,
    ])
}

fn cql_type() -> impl Strategy<Value = CqlType> {
    simple_type().prop_recursive(4, 16, 4, |inner| {
        prop_oneof![
            (inner.clone(), any::<bool>()).prop_map(|(element, frozen)| CqlType::List(Box::new(element), frozen)),
            (inner.clone(), any::<bool>()).prop_map(|(element, frozen)| CqlType::Set(Box::new(element), frozen)),
            (inner.clone(), inner.clone(), any::<bool>()).prop_map(|(key, value, frozen)| CqlType::Map(
                Box::new(key),
                Box::new(value),
                frozen
            )),
            prop::collection::vec(inner.clone(), 1..4).prop_map(CqlType::Tuple),
            (inner.clone(), 1..100u16).prop_map(|(element, size)| CqlType::Vector(Box::new(element), size)),
            (prop::collection::vec(("[a-z]{1,4}", inner), 1..4), any::<bool>()).prop_map(|(fields, frozen)| {
                CqlType::UserDefined { keyspace: "k".into(), name: "u".into(), fields, frozen }
            }),
        ]
    })
}

fn metadata() -> impl Strategy<Value = Arc<ResultMetadata>> {
    prop::collection::vec(("[a-z]{0,5}", cql_type()), 1..5).prop_map(|columns| {
        let columns = columns
            .into_iter()
            .map(|(name, cql_type)| ColumnSpec { keyspace: "k".into(), table: "t".into(), name, cql_type })
            .collect();
        Arc::new(ResultMetadata { columns })
    })
}

fn error() -> impl Strategy<Value = RequestError> {
    let failures = prop::collection::vec((any::<u128>().prop_map(NodeId::from_u128), ".{0,9}"), 0..3);
    let write_type = prop::sample::select(vec![
        WriteType::Simple,
        WriteType::Batch,
        WriteType::UnloggedBatch,
        WriteType::Counter,
        WriteType::BatchLog,
        WriteType::Cas,
    ]);
    let place =
        prop::option::of(any::<(u32, u32, u32)>().prop_map(|(line, column, length)| Place { line, column, length }));
    (level(), any::<[u32; 3]>(), any::<bool>(), write_type, failures, place, ".{0,20}", any::<[u8; 16]>(), 0..17u8)
        .prop_map(
            |(consistency, [required, alive, received], data_present, write_type, failures, place, text, id, kind)| {
                match kind {
                    0 => RequestError::Server(text),
                    1 => RequestError::Protocol(text),
                    2 => RequestError::Unavailable { consistency, required, alive },
                    3 => RequestError::Overloaded(text),
                    4 => RequestError::Bootstrapping(text),
                    5 => RequestError::Truncate(text),
                    6 => RequestError::WriteTimeout { consistency, received, required, write_type },
                    7 => RequestError::ReadTimeout { consistency, received, required, data_present },
                    8 => RequestError::ReadFailure { consistency, received, required, data_present, failures },
                    9 => RequestError::WriteFailure { consistency, received, required, write_type, failures },
                    10 => RequestError::Syntax { message: text, place },
                    11 => RequestError::Unauthorized(text),
                    12 => RequestError::Invalid { message: text, place },
                    13 => RequestError::Configuration(text),
                    14 => RequestError::AlreadyExists { keyspace: text.clone(), table: text },
                    15 => RequestError::FunctionFailure {
                        keyspace: text.clone(),
                        function: text.clone(),
                        argument_types: vec![text.clone(), "int".to_owned()],
                        message: text,
                    },
                    _ => RequestError::Unprepared(StatementId(id)),
                }
            },
        )
}

/// Debug texts tell requests apart; they have no equality of their own.
fn same(left: &impl std::fmt::Debug, right: &impl std::fmt::Debug) -> Result<(), TestCaseError> {
    prop_assert_eq!(format!("{left:?}"), format!("{right:?}"));
    Ok(())
}

fn wire<M: prost::Message + Default>(message: &M) -> M {
    M::decode(message.encode_to_vec().as_slice()).expect("a message reads back")
}

proptest! {
    #[test]
    fn queries(text in ".{0,30}", values in values(), keyspace in prop::option::of("[a-z]{1,5}"), options in options()) {
        let message = quorate_proto::query_to_proto(&text, &values, keyspace.as_deref(), &options);
        let body = RequestBody::Query { text, values };
        same(&quorate_proto::query_from_proto(wire(&message)).unwrap(), &ClientRequest { body, keyspace, options })?;
    }

    #[test]
    fn executions(id in any::<[u8; 16]>(), values in values(), options in options(), known in any::<u64>()) {
        let message = quorate_proto::execute_to_proto(StatementId(id), &values, &options, known);
        let body = RequestBody::Execute { statement: StatementId(id), values };
        let request = ClientRequest { body, keyspace: None, options };
        same(&quorate_proto::execute_from_proto(wire(&message)).unwrap(), &request)?;
    }

    #[test]
    fn batches(
        statements in prop::collection::vec((any::<bool>(), "[a-z]{0,9}", any::<[u8; 16]>(), values()), 0..4),
        kind in prop::sample::select(vec![BatchKind::Logged, BatchKind::Unlogged, BatchKind::Counter]),
        options in options(),
    ) {
        let statements: Vec<BatchStatement> = statements.into_iter().map(|(prepared, text, id, values)| {
            if prepared { BatchStatement::Prepared(StatementId(id), values) } else { BatchStatement::Query(text, values) }
        }).collect();
        let message = quorate_proto::batch_to_proto(kind, &statements, Some("k"), &options);
        let body = RequestBody::Batch { kind, statements };
        let request = ClientRequest { body, keyspace: Some("k".to_owned()), options };
        same(&quorate_proto::batch_from_proto(wire(&message)).unwrap(), &request)?;
    }

    #[test]
    fn errors(error in error()) {
        let details = quorate_proto::error_to_proto(&error, vec!["w".to_owned()], None);
        prop_assert_eq!(&quorate_proto::error_from_proto(wire(&details)).unwrap(), &error);
        let status = quorate_proto::status_from_error(&error, Vec::new(), None);
        let details = quorate_proto::details_from_status(&status).expect("a status has its details");
        prop_assert_eq!(quorate_proto::error_from_proto(details).unwrap(), error);
    }

    #[test]
    fn rows(metadata in metadata(), data in bytes(50), state in prop::option::of(Just(Bytes::from_static(b"p")))) {
        let rows = Rows { metadata: Arc::clone(&metadata), row_count: 3, data, paging_state: state };
        let answer = Answer::Rows(rows);
        let trace = Trace {
            session: [3; 16],
            duration_us: 9,
            events: vec![TraceEvent { node: NodeId::from_u128(4), elapsed_us: 5, activity: "read".into() }],
        };
        let id = quorate_proto::metadata_id(&metadata);
        for known_metadata_id in [0, id] {
            let options = AnswerOptions { compact: true, known_metadata_id, metadata_id: None };
            let warnings = vec!["careful".to_owned()];
            let message = quorate_proto::response_to_proto(&answer, warnings, Some(&trace), options).unwrap();
            let known = (known_metadata_id != 0).then_some(&metadata);
            let back = quorate_proto::response_from_proto(wire(&message), known).unwrap();
            same(&back.answer, &answer)?;
            prop_assert_eq!(back.metadata_id, id);
            prop_assert_eq!(back.trace.as_ref(), Some(&trace));
        }
    }

    #[test]
    fn prepared_statements(parameters in metadata(), result in metadata(), id in any::<[u8; 16]>()) {
        let prepared = Prepared { id: StatementId(id), parameters, partition_key: vec![0], result };
        let answer = Answer::Prepared(prepared);
        let message = quorate_proto::response_to_proto(&answer, vec![], None, AnswerOptions::default()).unwrap();
        same(&quorate_proto::response_from_proto(wire(&message), None).unwrap().answer, &answer)?;
    }

    /// A typed value goes into bytes as the model would put it, and comes back.
    #[test]
    fn typed_values(number in any::<i64>(), text in ".{0,9}", float in any::<f64>(), parts in any::<(i32, i32, i64)>()) {
        let list = CqlType::List(Box::new(CqlType::BigInt), false);
        let tuple = CqlType::Tuple(vec![CqlType::Text, CqlType::Int]);
        let map = CqlType::Map(Box::new(CqlType::Text), Box::new(CqlType::BigInt), false);
        let vector = CqlType::Vector(Box::new(CqlType::BigInt), 2);
        let words = CqlType::Vector(Box::new(CqlType::Text), 1);
        for (cql_type, value) in [
            (CqlType::BigInt, Value::BigInt(number)),
            (CqlType::Varint, Value::Varint(number.into())),
            (CqlType::Decimal, Value::Decimal(number.into(), 3)),
            (CqlType::Text, Value::Text(text.clone())),
            (CqlType::Double, Value::Double(float)),
            (CqlType::Uuid, Value::Uuid(number.to_be_bytes().repeat(2).try_into().unwrap())),
            (list, Value::Sequence(vec![Value::BigInt(number), Value::BigInt(1)])),
            (tuple, Value::Sequence(vec![Value::Text(text.clone()), Value::Null])),
            (map, Value::Map(vec![(Value::Text(text.clone()), Value::BigInt(number))])),
            (vector, Value::Sequence(vec![Value::BigInt(number), Value::BigInt(2)])),
            (words, Value::Sequence(vec![Value::Text(text)])),
        ] {
            let bytes = value.encode(&cql_type).unwrap().unwrap();
            let typed = quorate_proto::decode_value(&cql_type, &bytes).unwrap();
            let encoded = quorate_proto::encode_value(&wire(&typed)).unwrap();
            prop_assert_eq!(encoded.as_ref(), Some(&bytes), "{} of {}", format!("{value:?}"), cql_type);
        }
        let (months, days, nanoseconds) = parts;
        let duration = v1::value::Kind::Duration(v1::Duration { months, days, nanoseconds });
        let bytes = quorate_proto::encode_value(&v1::Value { kind: Some(duration) }).unwrap().unwrap();
        let same_sign = [months.into(), days.into(), nanoseconds].iter().all(|part: &i64| *part >= 0);
        if same_sign {
            let back = Value::decode(&CqlType::Duration, &bytes).unwrap();
            prop_assert_eq!(back, Value::Duration(months, days, nanoseconds));
        }
    }

    /// Whatever bytes come, conversions give a value or an error.
    #[test]
    fn hostile_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200), cql_type in cql_type()) {
        let bytes = Bytes::from(bytes);
        if let Ok(message) = v1::StreamRequest::decode(bytes.clone()) {
            for item in message.items {
                match item.request {
                    Some(v1::stream_request_item::Request::Execute(message)) => drop(quorate_proto::execute_from_proto(message)),
                    Some(v1::stream_request_item::Request::Query(message)) => drop(quorate_proto::query_from_proto(message)),
                    Some(v1::stream_request_item::Request::Batch(message)) => drop(quorate_proto::batch_from_proto(message)),
                    _ => {}
                }
            }
        }
        let _ = v1::QueryRequest::decode(bytes.clone()).map(quorate_proto::query_from_proto);
        let _ = v1::BatchRequest::decode(bytes.clone()).map(quorate_proto::batch_from_proto);
        let _ = v1::AdminRequest::decode(bytes.clone()).map(quorate_proto::admin_request_from_proto);
        let _ = v1::AdminAnswer::decode(bytes.clone()).map(quorate_proto::admin_answer_from_proto);
        let _ = v1::ErrorDetails::decode(bytes.clone()).map(quorate_proto::error_from_proto);
        let _ = v1::QueryResponse::decode(bytes.clone()).map(|message| quorate_proto::response_from_proto(message, None));
        let _ = v1::Value::decode(bytes.clone()).map(|value| quorate_proto::encode_value(&value));
        let _ = quorate_proto::decode_value(&cql_type, &bytes);
        let column = ColumnSpec { keyspace: String::new(), table: String::new(), name: String::new(), cql_type };
        let metadata = Arc::new(ResultMetadata { columns: vec![column] });
        let _ = quorate_proto::typed_rows(&Rows { metadata, row_count: u32::MAX, data: bytes, paging_state: None });
    }
}

#[test]
fn values_nested_without_end_are_refused() {
    let mut value = v1::Value { kind: Some(v1::value::Kind::Int(1)) };
    for _ in 0..60 {
        value = v1::Value { kind: Some(v1::value::Kind::List(v1::ValueList { values: vec![value] })) };
    }
    assert!(quorate_proto::encode_value(&value).is_err());
}

#[test]
fn a_frame_that_was_altered_is_refused() {
    use quorate_proto::internode::v1::Frame;

    let payload = Bytes::from_static(b"payload");
    let crc32c = quorate_proto::frame_checksum(1, 2, &payload);
    let frame = Frame { target: 1, source: 2, payload, crc32c };
    assert_eq!(quorate_proto::verify_frame(&frame).unwrap(), (1, 2));
    assert!(quorate_proto::verify_frame(&Frame { target: 3, ..frame.clone() }).is_err());
    assert!(quorate_proto::verify_frame(&Frame { payload: Bytes::from_static(b"paylobd"), ..frame.clone() }).is_err());
    assert!(quorate_proto::verify_frame(&Frame { target: 70_000, ..frame }).is_err());
    // The test vector of RFC 3720, appendix B.4: 32 bytes of zeros.
    let digest = crc_fast::crc32_iscsi(&[0; 32]);
    assert_eq!(digest, 0x8a91_36aa);
}

#[test]
fn the_probability_of_traces() {
    use quorate_model::admin::AdminRequest;
    for request in [AdminRequest::GetTraceProbability, AdminRequest::SetTraceProbability { probability: 0.125 }] {
        let bytes = quorate_proto::admin_request_to_proto(&request).encode_to_vec();
        let message = v1::AdminRequest::decode(bytes.as_slice()).unwrap();
        assert_eq!(quorate_proto::admin_request_from_proto(message).unwrap(), request);
    }
}
