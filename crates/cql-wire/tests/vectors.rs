//! The Apache Python driver as a witness: its requests are read as what it meant, and our responses are what it reads.
//!
//! `tests/vectors/README.md` says how the files were made.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says so by panicking")]

mod generate;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;

use bytes::{Bytes, BytesMut};
use generate::{ERROR_KINDS, RESPONSE_KINDS, Random, error, response};
use quorate_cql_wire::message::batch::BatchText;
use quorate_cql_wire::message::error::{ErrorKind, Failures, Replicas};
use quorate_cql_wire::message::event::{Event, SchemaChanged, SchemaTarget, TopologyChange};
use quorate_cql_wire::message::query_parameters::QueryParameters;
use quorate_cql_wire::message::result::ResultMessage;
use quorate_cql_wire::{
    Columns, Compression, Decoder, Encoder, ProtocolVersion, Received, Request, RequestMessage, Response,
    ResponseMessage, Side,
};
use quorate_model::CqlType;
use quorate_model::request::{BoundValue, ColumnSpec, ResultMetadata, Values};

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(name)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|place| u8::from_str_radix(&text[place..place + 2], 16).unwrap()).collect()
}

/// What a vector's framing is called.
fn framing(name: &str) -> (Option<Compression>, bool) {
    match name {
        "plain" => (None, false),
        "lz4" => (Some(Compression::Lz4), false),
        "snappy" => (Some(Compression::Snappy), false),
        "segments" => (None, true),
        "segments-lz4" => (Some(Compression::Lz4), true),
        other => panic!("{other}"),
    }
}

fn decode(version: ProtocolVersion, name: &str, side: Side, bytes: &[u8]) -> quorate_cql_wire::Envelope {
    let (compression, segments) = framing(name);
    let mut decoder = Decoder::new(side, 1 << 24);
    if segments || compression.is_some() {
        decoder.start(version, compression);
    }
    decoder.feed(bytes);
    match decoder.receive() {
        Ok(Some(Received::Envelope(envelope))) => {
            assert_eq!(decoder.held_bytes(), 0);
            envelope
        }
        other => panic!("{other:?}"),
    }
}

fn encoder(name: &str) -> Encoder {
    let (compression, segments) = framing(name);
    let mut encoder = Encoder::new();
    if segments {
        encoder.start_segments(compression);
    } else {
        encoder.set_compression(compression);
    }
    encoder
}

fn describe_values(values: &Values) -> String {
    let text = |value: &BoundValue| value.to_string();
    match values {
        Values::Positional(values) => values.iter().map(text).collect::<Vec<_>>().join(","),
        Values::Named(values) => values.iter().map(|(name, value)| format!("{name}:{value}")).collect(),
    }
}

fn describe_parameters(parameters: &QueryParameters, words: &mut Vec<String>) {
    words.push(parameters.consistency.to_string());
    if parameters.values != Values::default() {
        words.push(format!("values={}", describe_values(&parameters.values)));
    }
    words.extend(parameters.page_size.map(|rows| format!("page={rows}")));
    words.extend(parameters.paging_state.as_ref().map(|state| format!("state=0x{}", hex(state))));
    words.extend(parameters.serial_consistency.map(|level| format!("serial={level}")));
    words.extend(parameters.timestamp.map(|timestamp| format!("timestamp={timestamp}")));
    words.extend(parameters.keyspace.as_ref().map(|keyspace| format!("keyspace={keyspace}")));
    assert!(!parameters.skip_metadata && parameters.now_in_seconds.is_none());
}

/// A request in the words of `make_requests.py`.
fn describe(message: &RequestMessage) -> String {
    let mut words = vec![message.opcode().name().to_owned()];
    match &message.body {
        Request::Startup(startup) => {
            let mut options: Vec<_> = startup.options.iter().map(|(key, value)| format!("{key}={value}")).collect();
            options.sort();
            words.extend(options);
        }
        Request::Options(_) => {}
        Request::AuthResponse(response) => words.push(format!("0x{}", hex(response.token.as_ref().unwrap()))),
        Request::Query(query) => {
            words.push(query.text.clone());
            describe_parameters(&query.parameters, &mut words);
        }
        Request::Prepare(prepare) => {
            words.push(prepare.text.clone());
            words.extend(prepare.keyspace.as_ref().map(|keyspace| format!("keyspace={keyspace}")));
        }
        Request::Execute(execute) => {
            words.push(format!("0x{}", hex(&execute.id)));
            if !execute.result_metadata_id.is_empty() {
                words.push(format!("metadata=0x{}", hex(&execute.result_metadata_id)));
            }
            describe_parameters(&execute.parameters, &mut words);
        }
        Request::Batch(batch) => {
            words.push((batch.kind as u8).to_string());
            for (text, values) in &batch.statements {
                let text = match text {
                    BatchText::Query(text) => text.clone(),
                    BatchText::Prepared(id) => format!("0x{}", hex(id)),
                };
                words.push(format!("[{text}|{}]", describe_values(values)));
            }
            let tail = QueryParameters {
                serial_consistency: batch.serial_consistency,
                timestamp: batch.timestamp,
                keyspace: batch.keyspace.clone(),
                ..QueryParameters::new(batch.consistency)
            };
            describe_parameters(&tail, &mut words);
        }
        Request::Register(register) => words.extend(register.kinds.iter().map(|kind| kind.name().to_owned())),
    }
    if message.tracing {
        words.push("traced".to_owned());
    }
    for (key, value) in &message.custom_payload {
        words.push(format!("payload:{key}=0x{}", hex(value.as_ref().unwrap())));
    }
    words.join(" ")
}

#[test]
fn the_drivers_requests_are_read_as_it_meant_them() {
    let text = std::fs::read_to_string(path("requests.tsv")).unwrap();
    let mut seen = 0;
    for line in text.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let [version, framing, stream, meant, bytes] = fields.as_slice() else { panic!("{line}") };
        let version = ProtocolVersion::from_number(version.parse().unwrap()).unwrap();
        let bytes = unhex(bytes);
        let envelope = decode(version, framing, Side::Server, &bytes);
        assert_eq!(envelope.stream.to_string(), *stream);
        assert_eq!(envelope.version, version);
        let message = RequestMessage::read(&envelope).unwrap();
        assert_eq!(describe(&message), *meant);

        // And back. The driver says 'values' where there are none, and compressors differ.
        let mut encoder = encoder(framing);
        encoder.request(version, envelope.stream, &message).unwrap();
        let ours = encoder.take();
        let no_values =
            matches!(&message.body, Request::Execute(execute) if execute.parameters.values == Values::default());
        if matches!(*framing, "plain" | "segments") && !no_values {
            assert_eq!(hex(&ours), hex(&bytes), "{meant}");
        }
        let again = decode(version, framing, Side::Server, &ours);
        assert_eq!(RequestMessage::read(&again).unwrap(), message);
        seen += 1;
    }
    assert!(seen > 200, "{seen} vectors");
}

/// The responses that the driver is asked to read: the same ones whenever this runs.
fn responses() -> Vec<(ProtocolVersion, &'static str, i16, ResponseMessage)> {
    let mut random = Random(2026);
    let mut all = Vec::new();
    for version in ProtocolVersion::ALL.into_iter().filter(|version| !version.is_beta()) {
        let framings: &[&str] =
            if version.is_segmented() { &["plain", "segments", "segments-lz4"] } else { &["plain", "lz4", "snappy"] };
        for framing in framings {
            for round in 0..4 * RESPONSE_KINDS {
                let message = response(&mut random, version, Some(round % RESPONSE_KINDS));
                all.push((version, *framing, all.len() as i16, message));
            }
            for kind in 0..ERROR_KINDS {
                let message = error(&mut random, version, kind).into();
                all.push((version, *framing, all.len() as i16, message));
            }
        }
    }
    all
}

fn describe_type(cql_type: &CqlType) -> String {
    let list = |types: &[&CqlType]| types.iter().map(|part| describe_type(part)).collect::<Vec<_>>().join(",");
    match cql_type {
        CqlType::List(element, _) => format!("list({})", list(&[element])),
        CqlType::Set(element, _) => format!("set({})", list(&[element])),
        CqlType::Map(key, value, _) => format!("map({})", list(&[key, value])),
        CqlType::Tuple(fields) => format!("tuple({})", list(&fields.iter().collect::<Vec<_>>())),
        CqlType::Vector(element, dimension) => format!("vector({},{dimension})", describe_type(element)),
        CqlType::UserDefined { keyspace, name, fields, .. } => {
            let fields: Vec<String> =
                fields.iter().map(|(name, part)| format!("{name}:{}", describe_type(part))).collect();
            format!("{keyspace}.{name}({})", fields.join(","))
        }
        native => native.to_string(),
    }
}

fn describe_columns(metadata: &ResultMetadata) -> String {
    let column = |column: &ColumnSpec| {
        format!("{}.{}.{}:{}", column.keyspace, column.table, column.name, describe_type(&column.cql_type))
    };
    format!("[{}]", metadata.columns.iter().map(column).collect::<Vec<_>>().join(" "))
}

fn describe_known_columns(columns: &Columns) -> String {
    match columns {
        Columns::Full(metadata) => describe_columns(metadata),
        Columns::Skipped(_) => "[]".to_owned(),
    }
}

fn describe_replicas(replicas: &Replicas) -> String {
    format!("{} {} of {}", replicas.consistency, replicas.received, replicas.required)
}

fn describe_failures(failures: &Failures) -> String {
    match failures {
        Failures::Count(count) => format!("{count} failures"),
        Failures::Reasons(reasons) => {
            let mut all: Vec<_> = reasons.iter().map(|(address, code)| format!("{address}={}", code.0)).collect();
            all.sort();
            all.join(",")
        }
    }
}

fn describe_error(kind: &ErrorKind) -> String {
    match kind {
        ErrorKind::Unavailable { consistency, required, alive } => format!("{consistency} {required} {alive}"),
        ErrorKind::WriteTimeout { replicas, write_type, .. } => {
            format!("{} {}", describe_replicas(replicas), write_type.name())
        }
        ErrorKind::ReadTimeout { replicas, data_present } => format!("{} {data_present}", describe_replicas(replicas)),
        ErrorKind::ReadFailure { replicas, failures, data_present } => {
            format!("{} {} {data_present}", describe_replicas(replicas), describe_failures(failures))
        }
        ErrorKind::WriteFailure { replicas, failures, write_type } => {
            format!("{} {} {}", describe_replicas(replicas), describe_failures(failures), write_type.name())
        }
        ErrorKind::FunctionFailure { keyspace, function, argument_types } => {
            format!("{keyspace}.{function}({})", argument_types.join(","))
        }
        ErrorKind::AlreadyExists { keyspace, table } => format!("{keyspace}.{table}"),
        ErrorKind::Unprepared { id } => format!("0x{}", hex(id)),
        _ => String::new(),
    }
}

fn describe_schema_change(change: &SchemaChanged) -> String {
    let what = match &change.target {
        SchemaTarget::Keyspace => String::new(),
        SchemaTarget::Table(name) => format!("table {name}"),
        SchemaTarget::Type(name) => format!("type {name}"),
        SchemaTarget::Function(name, arguments) => format!("function {name}({})", arguments.join(",")),
        SchemaTarget::Aggregate(name, arguments) => format!("aggregate {name}({})", arguments.join(",")),
    };
    format!("{:?} {} {what}", change.kind, change.keyspace).to_uppercase()
}

/// A response in the words of `read_responses.py`.
fn describe_response(message: &ResponseMessage) -> String {
    let token = |token: &Option<Bytes>| token.as_ref().map_or("none".to_owned(), |token| hex(token));
    let body = match &message.body {
        Response::Error(error) => {
            format!("{:#06x} {} {}", error.kind.code(), error.message, describe_error(&error.kind))
        }
        Response::Ready(_) => String::new(),
        Response::Authenticate(authenticate) => authenticate.class.clone(),
        Response::Supported(supported) => {
            let mut all: Vec<_> =
                supported.options.iter().map(|(key, values)| format!("{key}={}", values.join("|"))).collect();
            all.sort();
            all.join(" ")
        }
        Response::Event(Event::SchemaChange(change)) => format!("SCHEMA_CHANGE {}", describe_schema_change(change)),
        Response::Event(Event::StatusChange(change, address)) => {
            format!("STATUS_CHANGE {} {}", format!("{change:?}").to_uppercase(), describe_address(address))
        }
        Response::Event(Event::TopologyChange(change, address)) => {
            let change = match change {
                TopologyChange::NewNode => "NEW_NODE",
                TopologyChange::RemovedNode => "REMOVED_NODE",
                TopologyChange::MovedNode => "MOVED_NODE",
            };
            format!("TOPOLOGY_CHANGE {change} {}", describe_address(address))
        }
        // The driver reads no token as an empty one.
        Response::AuthChallenge(challenge) => hex(challenge.token.as_deref().unwrap_or_default()),
        Response::AuthSuccess(success) => hex(success.token.as_deref().unwrap_or_default()),
        Response::Result(ResultMessage::Void) => "VOID".to_owned(),
        Response::Result(ResultMessage::SetKeyspace(keyspace)) => format!("KEYSPACE {keyspace}"),
        Response::Result(ResultMessage::SchemaChange(change)) => describe_schema_change(change),
        Response::Result(ResultMessage::Rows(rows)) => {
            let columns = describe_known_columns(&rows.metadata.columns);
            format!(
                "ROWS {} {columns} {} {}",
                rows.row_count,
                token(&rows.metadata.paging_state),
                token(&rows.metadata.new_id)
            )
        }
        Response::Result(ResultMessage::Prepared(prepared)) => {
            let (parameters, result) =
                (describe_columns(&prepared.parameters), describe_known_columns(&prepared.result));
            let (id, result_id) = (hex(&prepared.id), hex(&prepared.result_metadata_id));
            format!("PREPARED {id} {result_id} {parameters} {:?} {result}", prepared.partition_key)
        }
    };
    let trace = message.tracing_id.map_or("none".to_owned(), |id| hex(&id));
    let payload = message.custom_payload.iter().map(|(key, value)| format!("{key}={}", token(value)));
    let payload: BTreeSet<String> = payload.collect();
    let payload = payload.into_iter().collect::<Vec<_>>().join(",");
    format!(
        "{} {body} trace={trace} warnings={} payload={payload}",
        message.opcode().name(),
        message.warnings.join("|")
    )
}

fn describe_address(address: &SocketAddr) -> String {
    format!("{} {}", address.ip(), address.port())
}

fn encode(version: ProtocolVersion, framing: &str, stream: i16, message: &ResponseMessage) -> BytesMut {
    let mut encoder = encoder(framing);
    encoder.response(version, stream, message);
    encoder.take()
}

/// Writes what `read_responses.py` reads.
#[test]
#[ignore = "writes tests/vectors/responses.tsv anew"]
fn write_responses() {
    let lines = responses().into_iter().map(|(version, framing, stream, message)| {
        let bytes = hex(&encode(version, framing, stream, &message));
        format!("{}\t{framing}\t{stream}\t{}\t{bytes}\n", version.number(), describe_response(&message))
    });
    std::fs::write(path("responses.tsv"), lines.collect::<String>()).unwrap();
}

#[test]
fn our_responses_are_those_that_the_driver_has_read() {
    let text = std::fs::read_to_string(path("responses.tsv")).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let all = responses();
    assert_eq!(lines.len(), all.len());
    for (line, (version, framing, stream, message)) in lines.into_iter().zip(all) {
        let fields: Vec<&str> = line.split('\t').collect();
        let [.., meant, bytes] = fields.as_slice() else { panic!("{line}") };
        assert_eq!(describe_response(&message), *meant);
        let bytes = Bytes::from(unhex(bytes));
        if matches!(framing, "plain" | "segments") {
            assert_eq!(hex(&encode(version, framing, stream, &message)), hex(&bytes), "{message:?}");
        }
        let envelope = decode(version, framing, Side::Client, &bytes);
        assert_eq!(ResponseMessage::read(&envelope), Ok(message));
    }
}
