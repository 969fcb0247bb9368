//! `BATCH`: several modifications at once.

use bytes::Bytes;
use quorate_model::Consistency;
use quorate_model::request::{BatchKind, Values};

use super::query_parameters::{
    KEYSPACE, NAMES, NOW_IN_SECONDS, QueryParameters, SERIAL_CONSISTENCY, TIMESTAMP, check_count, check_values,
    read_flags, read_positional, write_flags, write_values,
};
use crate::error::WireError;
use crate::reader::Reader;
use crate::version::ProtocolVersion;
use crate::writer::Writer;

/// The request.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// Its kind.
    pub kind: BatchKind,
    /// Its statements, in order, with positional values: the protocol's flag for names is unusable in a batch.
    pub statements: Vec<(BatchText, Values)>,
    /// How many replicas must answer.
    pub consistency: Consistency,
    /// The level of conditional statements' Paxos rounds.
    pub serial_consistency: Option<Consistency>,
    /// Microseconds since 1970.
    pub timestamp: Option<i64>,
    /// The statements' keyspace (v5).
    pub keyspace: Option<String>,
    /// Seconds since 1970 for expiry (v5).
    pub now_in_seconds: Option<i32>,
}

/// What a statement of a batch is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BatchText {
    /// CQL.
    Query(String),
    /// The id of a prepared statement.
    Prepared(Bytes),
}

const FLAGS: u32 = SERIAL_CONSISTENCY | TIMESTAMP | NAMES | KEYSPACE | NOW_IN_SECONDS;
/// A statement takes its kind, an id's or text's length, and a count of values.
const STATEMENT_BYTES_MIN: usize = 5;

impl Batch {
    /// Reads the body.
    pub fn read(reader: &mut Reader, version: ProtocolVersion) -> Result<Self, WireError> {
        let kind = match reader.u8("kind of batch")? {
            0 => BatchKind::Logged,
            1 => BatchKind::Unlogged,
            2 => BatchKind::Counter,
            found => {
                return Err(WireError::UnknownNumber { field: "kind of batch", offset: 0, found: i64::from(found) });
            }
        };
        let count = reader.short_count(STATEMENT_BYTES_MIN, "statements")?;
        let mut statements = Vec::with_capacity(count);
        for _ in 0..count {
            let offset = reader.offset();
            let text = match reader.u8("kind of statement")? {
                0 => BatchText::Query(reader.long_string("statement")?),
                1 => BatchText::Prepared(reader.short_bytes("statement's id")?),
                found => {
                    let found = i64::from(found);
                    return Err(WireError::UnknownNumber { field: "kind of statement", offset, found });
                }
            };
            statements.push((text, read_positional(reader, version)?));
        }
        let mut tail = QueryParameters::new(reader.consistency()?);
        let flags = read_flags(reader, version, FLAGS)?;
        if flags & NAMES != 0 {
            return Err(WireError::Refused("values by name cannot be used in a batch"));
        }
        tail.read_tail(reader, flags)?;
        Ok(Self {
            kind,
            statements,
            consistency: tail.consistency,
            serial_consistency: tail.serial_consistency,
            timestamp: tail.timestamp,
            keyspace: tail.keyspace,
            now_in_seconds: tail.now_in_seconds,
        })
    }

    fn tail(&self) -> QueryParameters {
        QueryParameters {
            serial_consistency: self.serial_consistency,
            timestamp: self.timestamp,
            keyspace: self.keyspace.clone(),
            now_in_seconds: self.now_in_seconds,
            ..QueryParameters::new(self.consistency)
        }
    }

    /// Writes the body.
    pub fn write(&self, writer: &mut Writer<'_>, version: ProtocolVersion) {
        writer.u8(self.kind as u8);
        writer.u16(self.statements.len() as u16);
        for (text, values) in &self.statements {
            match text {
                BatchText::Query(text) => {
                    writer.u8(0);
                    writer.long_string(text);
                }
                BatchText::Prepared(id) => {
                    writer.u8(1);
                    writer.short_bytes(id);
                }
            }
            write_values(writer, values);
        }
        let tail = self.tail();
        writer.consistency(tail.consistency);
        write_flags(writer, version, tail.tail_flags());
        tail.write_tail(writer);
    }

    /// Whether it can be said in a version.
    pub fn check(&self, version: ProtocolVersion) -> Result<(), WireError> {
        check_count(self.statements.len(), "statements")?;
        for (_, values) in &self.statements {
            if matches!(values, Values::Named(_)) {
                return Err(WireError::Refused("values by name cannot be used in a batch"));
            }
            check_values(values, version)?;
        }
        self.tail().check(version)
    }
}
