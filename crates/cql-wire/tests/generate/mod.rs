//! Random messages from a seed: every kind, in every version, each in the one form in which it is read back.

#![allow(dead_code, reason = "each test uses some of it")]

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use quorate_cql_wire::message::auth_challenge::AuthChallenge;
use quorate_cql_wire::message::auth_response::AuthResponse;
use quorate_cql_wire::message::auth_success::AuthSuccess;
use quorate_cql_wire::message::authenticate::Authenticate;
use quorate_cql_wire::message::batch::{Batch, BatchText};
use quorate_cql_wire::message::error::{ErrorKind, ErrorMessage, FailureReason, Failures, Replicas, WriteKind};
use quorate_cql_wire::message::event::{Event, EventKind, SchemaChanged, SchemaTarget, StatusChange, TopologyChange};
use quorate_cql_wire::message::execute::Execute;
use quorate_cql_wire::message::options::Options;
use quorate_cql_wire::message::prepare::Prepare;
use quorate_cql_wire::message::query::Query;
use quorate_cql_wire::message::query_parameters::QueryParameters;
use quorate_cql_wire::message::ready::Ready;
use quorate_cql_wire::message::register::Register;
use quorate_cql_wire::message::result::{PreparedResult, ResultMessage, RowsResult};
use quorate_cql_wire::message::startup::Startup;
use quorate_cql_wire::message::supported::Supported;
use quorate_cql_wire::{Columns, ProtocolVersion, Request, RequestMessage, Response, ResponseMessage, RowsMetadata};
use quorate_model::request::{BatchKind, BoundValue, ColumnSpec, ResultMetadata, SchemaChangeKind, Values, WriteType};
use quorate_model::{Consistency, CqlType};

/// SplitMix64 (Steele, Lea, Flood 2014).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    pub fn flag(&mut self) -> bool {
        self.next() & 1 == 1
    }

    pub fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())].clone()
    }

    pub fn bytes(&mut self, most: usize) -> Bytes {
        let length = self.below(most + 1);
        (0..length).map(|_| self.next() as u8).collect::<Vec<u8>>().into()
    }

    pub fn word(&mut self) -> String {
        let length = 1 + self.below(9);
        (0..length).map(|_| self.pick(&['a', 'b', 'k', 't', 'x', 'z', '_', '7'])).collect()
    }

    pub fn text(&mut self) -> String {
        let length = self.below(30);
        (0..length).map(|_| self.pick(&['a', ' ', 'é', '漢', '🦀', '\'', '\0', 'Z'])).collect()
    }

    pub fn option<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        if self.flag() { Some(make(self)) } else { None }
    }

    pub fn list<T>(&mut self, most: usize, mut make: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let count = self.below(most + 1);
        (0..count).map(|_| make(self)).collect()
    }

    pub fn level(&mut self) -> Consistency {
        self.pick(&Consistency::ALL_LEVELS)
    }

    pub fn version(&mut self) -> ProtocolVersion {
        self.pick(&ProtocolVersion::ALL)
    }
}

fn value(random: &mut Random, version: ProtocolVersion) -> BoundValue {
    match random.below(6) {
        0 => BoundValue::Null,
        1 if version >= ProtocolVersion::V4 => BoundValue::Unset,
        _ => BoundValue::Bytes(random.bytes(20)),
    }
}

fn values(random: &mut Random, version: ProtocolVersion) -> Values {
    if random.below(3) == 0 {
        let mut named = random.list(4, |random| (random.word(), value(random, version)));
        named.push((random.word(), BoundValue::Null));
        Values::Named(named)
    } else {
        Values::Positional(random.list(5, |random| value(random, version)))
    }
}

fn parameters(random: &mut Random, version: ProtocolVersion) -> QueryParameters {
    let v5 = version >= ProtocolVersion::V5;
    QueryParameters {
        consistency: random.level(),
        values: values(random, version),
        skip_metadata: random.flag(),
        page_size: random.option(|random| random.next() as i32),
        paging_state: random.option(|random| random.bytes(40)),
        serial_consistency: random.option(|random| random.pick(&[Consistency::Serial, Consistency::LocalSerial])),
        timestamp: random.option(|random| (random.next() as i64).max(-i64::MAX)),
        keyspace: random.option(Random::word).filter(|_| v5),
        now_in_seconds: random.option(|random| random.next() as i32).filter(|_| v5),
    }
}

/// Number of kinds of request that [`request`] knows.
pub const REQUEST_KINDS: usize = 8;

/// A request of one kind, or of any.
pub fn request(random: &mut Random, version: ProtocolVersion, kind: Option<usize>) -> RequestMessage {
    let v5 = version >= ProtocolVersion::V5;
    let body = match kind.unwrap_or_else(|| random.below(REQUEST_KINDS)) {
        0 => Request::Startup(Startup { options: random.list(4, |random| (random.word(), random.text())) }),
        1 => Request::Options(Options),
        2 => Request::AuthResponse(AuthResponse { token: random.option(|random| random.bytes(30)) }),
        3 => Request::Query(Query { text: random.text(), parameters: parameters(random, version) }),
        4 => Request::Prepare(Prepare { text: random.text(), keyspace: random.option(Random::word).filter(|_| v5) }),
        5 => Request::Execute(Execute {
            id: random.bytes(20),
            result_metadata_id: if v5 { random.bytes(16) } else { Bytes::new() },
            parameters: parameters(random, version),
        }),
        6 => {
            let parameters = parameters(random, version);
            Request::Batch(Batch {
                kind: random.pick(&[BatchKind::Logged, BatchKind::Unlogged, BatchKind::Counter]),
                statements: random.list(5, |random| {
                    let text = if random.flag() {
                        BatchText::Query(random.text())
                    } else {
                        BatchText::Prepared(random.bytes(16))
                    };
                    (text, Values::Positional(random.list(4, |random| value(random, version))))
                }),
                consistency: parameters.consistency,
                serial_consistency: parameters.serial_consistency,
                timestamp: parameters.timestamp,
                keyspace: parameters.keyspace,
                now_in_seconds: parameters.now_in_seconds,
            })
        }
        _ => Request::Register(Register { kinds: random.list(3, |random| random.pick(&EventKind::ALL)) }),
    };
    RequestMessage { tracing: random.flag(), custom_payload: payload(random, version), body }
}

fn payload(random: &mut Random, version: ProtocolVersion) -> Vec<(String, Option<Bytes>)> {
    if version < ProtocolVersion::V4 || random.flag() {
        return Vec::new();
    }
    random.list(3, |random| (random.word(), random.option(|random| random.bytes(10))))
}

const NATIVE: [CqlType; 20] = [
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
];

/// A type, nothing in it frozen but what a vector names as frozen.
pub fn cql_type(random: &mut Random, depth: usize) -> CqlType {
    if depth >= 4 {
        return random.pick(&NATIVE);
    }
    let depth = depth + 1;
    match random.below(16) {
        0 => CqlType::List(cql_type(random, depth).into(), false),
        1 => CqlType::Set(cql_type(random, depth).into(), false),
        2 => CqlType::Map(cql_type(random, depth).into(), cql_type(random, depth).into(), false),
        3 => CqlType::Tuple(vec![cql_type(random, depth), cql_type(random, depth)]),
        4 => {
            let element = cql_type(random, depth);
            let element = if random.flag() { element.freeze() } else { element };
            CqlType::Vector(element.into(), random.next() as u16)
        }
        5 => CqlType::UserDefined {
            keyspace: random.word(),
            // The driver takes a name whose hexadecimal form is all digits for a number: this one has a letter.
            name: format!("z{}", random.word()),
            fields: (0..1 + random.below(3)).map(|_| (random.word(), cql_type(random, depth))).collect(),
            frozen: false,
        },
        _ => random.pick(&NATIVE),
    }
}

fn metadata(random: &mut Random, least: usize) -> Arc<ResultMetadata> {
    let shared = random.flag();
    let (keyspace, table) = (random.word(), random.word());
    let count = least + random.below(5);
    let columns = (0..count).map(|_| ColumnSpec {
        keyspace: if shared { keyspace.clone() } else { random.word() },
        table: if shared { table.clone() } else { random.word() },
        name: random.text(),
        cql_type: cql_type(random, 0),
    });
    Arc::new(ResultMetadata { columns: columns.collect() })
}

fn rows(random: &mut Random, version: ProtocolVersion) -> RowsResult {
    let columns =
        if random.flag() { Columns::Full(metadata(random, 0)) } else { Columns::Skipped(random.below(6) as u32) };
    let row_count = random.below(5) as u32;
    let mut data = Vec::new();
    for _ in 0..row_count as usize * columns.count() {
        match random.option(|random| random.bytes(12)) {
            Some(cell) => {
                data.extend((cell.len() as u32).to_be_bytes());
                data.extend(cell);
            }
            None => data.extend((-1_i32).to_be_bytes()),
        }
    }
    let paging_state = random.option(|random| random.bytes(30));
    let tells_id = version >= ProtocolVersion::V5 && matches!(columns, Columns::Full(_));
    let new_id = random.option(|random| random.bytes(16)).filter(|_| tells_id);
    let metadata = RowsMetadata { columns, paging_state, new_id };
    RowsResult { metadata, row_count, data: data.into() }
}

fn schema_change(random: &mut Random, version: ProtocolVersion) -> SchemaChanged {
    let target = match random.below(if version >= ProtocolVersion::V4 { 5 } else { 3 }) {
        0 => SchemaTarget::Keyspace,
        1 => SchemaTarget::Table(random.word()),
        2 => SchemaTarget::Type(random.word()),
        3 => SchemaTarget::Function(random.word(), random.list(3, Random::word)),
        _ => SchemaTarget::Aggregate(random.word(), random.list(3, Random::word)),
    };
    let kind = random.pick(&[SchemaChangeKind::Created, SchemaChangeKind::Updated, SchemaChangeKind::Dropped]);
    SchemaChanged { kind, keyspace: random.word(), target }
}

fn address(random: &mut Random) -> IpAddr {
    if random.flag() {
        IpAddr::from((random.next() as u32).to_be_bytes())
    } else {
        IpAddr::from([random.next() as u8; 16])
    }
}

fn event(random: &mut Random, version: ProtocolVersion) -> Event {
    let socket = SocketAddr::new(address(random), random.next() as u16);
    match random.below(3) {
        0 => {
            let all = [TopologyChange::NewNode, TopologyChange::RemovedNode, TopologyChange::MovedNode];
            Event::TopologyChange(random.pick(&all), socket)
        }
        1 => Event::StatusChange(random.pick(&[StatusChange::Up, StatusChange::Down]), socket),
        _ => Event::SchemaChange(schema_change(random, version)),
    }
}

/// Number of kinds of error that [`error`] knows.
pub const ERROR_KINDS: usize = 21;

fn error_kind(random: &mut Random, version: ProtocolVersion, kind: usize) -> ErrorKind {
    let replicas =
        Replicas { consistency: random.level(), received: random.next() as i32, required: random.next() as i32 };
    let write_type = match random.below(7) {
        0 => WriteKind::Other("VIEW".to_owned()),
        other => WriteKind::Known(
            [
                WriteType::Simple,
                WriteType::Batch,
                WriteType::UnloggedBatch,
                WriteType::Counter,
                WriteType::BatchLog,
                WriteType::Cas,
            ][other - 1],
        ),
    };
    let failures = if version >= ProtocolVersion::V5 {
        Failures::Reasons(random.list(4, |random| (address(random), FailureReason(random.next() as u16))))
    } else {
        Failures::Count(random.below(9) as i32)
    };
    match kind {
        0 => ErrorKind::Server,
        1 => ErrorKind::Protocol,
        2 => ErrorKind::BadCredentials,
        3 => ErrorKind::Unavailable { consistency: random.level(), required: 3, alive: random.below(3) as i32 },
        4 => ErrorKind::Overloaded,
        5 => ErrorKind::Bootstrapping,
        6 => ErrorKind::Truncate,
        7 => ErrorKind::WriteTimeout { replicas, write_type, contentions: Some(random.next() as u16) },
        8 => ErrorKind::ReadTimeout { replicas, data_present: random.flag() },
        9 => ErrorKind::ReadFailure { replicas, failures, data_present: random.flag() },
        10 => ErrorKind::FunctionFailure {
            keyspace: random.word(),
            function: random.word(),
            argument_types: random.list(3, Random::word),
        },
        11 => ErrorKind::WriteFailure { replicas, failures, write_type },
        12 => ErrorKind::CdcWriteFailure,
        13 => ErrorKind::CasWriteUnknown { replicas },
        14 => ErrorKind::Syntax,
        15 => ErrorKind::Unauthorized,
        16 => ErrorKind::Invalid,
        17 => ErrorKind::Configuration,
        18 => ErrorKind::AlreadyExists { keyspace: random.word(), table: random.word() },
        19 => ErrorKind::Unprepared { id: random.bytes(16) },
        _ => ErrorKind::WriteTimeout { replicas, write_type: WriteKind::Known(WriteType::Cas), contentions: Some(7) },
    }
    .in_version(version)
}

/// An error of one kind.
pub fn error(random: &mut Random, version: ProtocolVersion, kind: usize) -> ErrorMessage {
    ErrorMessage { message: random.text(), kind: error_kind(random, version, kind) }
}

/// Number of kinds of response that [`response`] knows.
pub const RESPONSE_KINDS: usize = 12;

/// A response of one kind, or of any.
pub fn response(random: &mut Random, version: ProtocolVersion, kind: Option<usize>) -> ResponseMessage {
    let v5 = version >= ProtocolVersion::V5;
    let body = match kind.unwrap_or_else(|| random.below(RESPONSE_KINDS)) {
        0 => {
            let kind = random.below(ERROR_KINDS);
            Response::Error(error(random, version, kind))
        }
        1 => Response::Ready(Ready),
        2 => Response::Authenticate(Authenticate { class: random.word() }),
        3 => {
            let mut supported = Supported::ours();
            supported.options.push((random.word(), random.list(3, Random::text)));
            Response::Supported(supported)
        }
        4 => Response::Event(event(random, version)),
        5 => Response::AuthChallenge(AuthChallenge { token: random.option(|random| random.bytes(9)) }),
        6 => Response::AuthSuccess(AuthSuccess { token: random.option(|random| random.word().into_bytes().into()) }),
        7 => Response::Result(ResultMessage::Void),
        8 => Response::Result(ResultMessage::Rows(rows(random, version))),
        9 => Response::Result(ResultMessage::SetKeyspace(random.word())),
        10 => {
            let result = if random.flag() { Columns::Full(metadata(random, 1)) } else { Columns::Skipped(0) };
            Response::Result(ResultMessage::Prepared(PreparedResult {
                id: random.bytes(16),
                result_metadata_id: if v5 { random.bytes(16) } else { Bytes::new() },
                parameters: metadata(random, 0),
                partition_key: if version >= ProtocolVersion::V4 {
                    random.list(3, |random| random.next() as u16)
                } else {
                    Vec::new()
                },
                result,
            }))
        }
        _ => Response::Result(ResultMessage::SchemaChange(schema_change(random, version))),
    };
    let warnings =
        if version >= ProtocolVersion::V4 && random.flag() { random.list(3, Random::text) } else { Vec::new() };
    let tracing_id = random.option(|random| [random.next() as u8; 16]);
    ResponseMessage { tracing_id, warnings, custom_payload: payload(random, version), body }
}
