//! How a statement is to be executed: the tail of `QUERY` and `EXECUTE`, and, without values, of `BATCH`.

use bytes::Bytes;
use quorate_model::Consistency;
use quorate_model::request::{BoundValue, Values};

use crate::error::WireError;
use crate::limits::COUNT_MAX;
use crate::reader::Reader;
use crate::version::ProtocolVersion;
use crate::writer::Writer;

pub(crate) const VALUES: u32 = 0x001;
pub(crate) const SKIP_METADATA: u32 = 0x002;
pub(crate) const PAGE_SIZE: u32 = 0x004;
pub(crate) const PAGING_STATE: u32 = 0x008;
pub(crate) const SERIAL_CONSISTENCY: u32 = 0x010;
pub(crate) const TIMESTAMP: u32 = 0x020;
pub(crate) const NAMES: u32 = 0x040;
pub(crate) const KEYSPACE: u32 = 0x080;
pub(crate) const NOW_IN_SECONDS: u32 = 0x100;
const SINCE_V5: u32 = KEYSPACE | NOW_IN_SECONDS;
const ALL: u32 = 0x1FF;

/// The parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct QueryParameters {
    /// How many replicas must answer.
    pub consistency: Consistency,
    /// Values for the statement's markers. Without any, positional and named ones are told apart by nothing.
    pub values: Values,
    /// The result's metadata need not be sent: the client has it.
    pub skip_metadata: bool,
    /// Rows a page; what is not positive means no paging.
    pub page_size: Option<i32>,
    /// Where the previous page stopped.
    pub paging_state: Option<Bytes>,
    /// The level of a conditional statement's Paxos rounds.
    pub serial_consistency: Option<Consistency>,
    /// Microseconds since 1970 for writes.
    pub timestamp: Option<i64>,
    /// The statement's keyspace (v5).
    pub keyspace: Option<String>,
    /// Seconds since 1970 for expiry (v5).
    pub now_in_seconds: Option<i32>,
}

impl QueryParameters {
    /// Nothing but a consistency level.
    pub fn new(consistency: Consistency) -> Self {
        Self {
            consistency,
            values: Values::default(),
            skip_metadata: false,
            page_size: None,
            paging_state: None,
            serial_consistency: None,
            timestamp: None,
            keyspace: None,
            now_in_seconds: None,
        }
    }

    /// Reads them.
    pub fn read(reader: &mut Reader, version: ProtocolVersion) -> Result<Self, WireError> {
        let consistency = reader.consistency()?;
        let flags = read_flags(reader, version, ALL)?;
        let mut parameters = Self::new(consistency);
        parameters.skip_metadata = flags & SKIP_METADATA != 0;
        if flags & VALUES != 0 {
            parameters.values =
                if flags & NAMES != 0 { read_named(reader, version)? } else { read_positional(reader, version)? };
        }
        if flags & PAGE_SIZE != 0 {
            parameters.page_size = Some(reader.i32("page size")?);
        }
        if flags & PAGING_STATE != 0 {
            parameters.paging_state = reader.bytes("paging state")?;
        }
        parameters.read_tail(reader, flags)?;
        Ok(parameters)
    }

    /// What batches have too.
    pub(crate) fn read_tail(&mut self, reader: &mut Reader, flags: u32) -> Result<(), WireError> {
        if flags & SERIAL_CONSISTENCY != 0 {
            self.serial_consistency = Some(reader.consistency()?);
        }
        if flags & TIMESTAMP != 0 {
            let timestamp = reader.i64("timestamp")?;
            if timestamp == i64::MIN {
                return Err(WireError::Refused(
                    "Out of bound timestamp, must be in [-9223372036854775807, 9223372036854775807]",
                ));
            }
            self.timestamp = Some(timestamp);
        }
        if flags & KEYSPACE != 0 {
            self.keyspace = Some(reader.string("keyspace")?);
        }
        if flags & NOW_IN_SECONDS != 0 {
            self.now_in_seconds = Some(reader.i32("now in seconds")?);
        }
        Ok(())
    }

    /// Writes them. What the version has no place for must not be there ([`QueryParameters::check`]).
    pub fn write(&self, writer: &mut Writer<'_>, version: ProtocolVersion) {
        writer.consistency(self.consistency);
        let mut flags = self.tail_flags();
        flags |= match &self.values {
            Values::Positional(values) if values.is_empty() => 0,
            Values::Named(values) if values.is_empty() => 0,
            Values::Positional(_) => VALUES,
            Values::Named(_) => VALUES | NAMES,
        };
        flags |= if self.skip_metadata { SKIP_METADATA } else { 0 };
        flags |= if self.page_size.is_some() { PAGE_SIZE } else { 0 };
        flags |= if self.paging_state.is_some() { PAGING_STATE } else { 0 };
        write_flags(writer, version, flags);
        if flags & VALUES != 0 {
            write_values(writer, &self.values);
        }
        if let Some(page_size) = self.page_size {
            writer.i32(page_size);
        }
        if self.paging_state.is_some() {
            writer.bytes(self.paging_state.as_ref());
        }
        self.write_tail(writer);
    }

    pub(crate) fn tail_flags(&self) -> u32 {
        let mut flags = 0;
        flags |= if self.serial_consistency.is_some() { SERIAL_CONSISTENCY } else { 0 };
        flags |= if self.timestamp.is_some() { TIMESTAMP } else { 0 };
        flags |= if self.keyspace.is_some() { KEYSPACE } else { 0 };
        flags |= if self.now_in_seconds.is_some() { NOW_IN_SECONDS } else { 0 };
        flags
    }

    pub(crate) fn write_tail(&self, writer: &mut Writer<'_>) {
        if let Some(level) = self.serial_consistency {
            writer.consistency(level);
        }
        if let Some(timestamp) = self.timestamp {
            writer.i64(timestamp);
        }
        if let Some(keyspace) = &self.keyspace {
            writer.string(keyspace);
        }
        if let Some(now) = self.now_in_seconds {
            writer.i32(now);
        }
    }

    /// Whether they can be said in a version.
    pub fn check(&self, version: ProtocolVersion) -> Result<(), WireError> {
        if version < ProtocolVersion::V5 {
            let number = version.number();
            if self.keyspace.is_some() {
                return Err(WireError::NotInVersion { field: "a request's keyspace", version: number });
            }
            if self.now_in_seconds.is_some() {
                return Err(WireError::NotInVersion { field: "now_in_seconds", version: number });
            }
        }
        check_text(self.keyspace.as_deref().unwrap_or_default(), "keyspace")?;
        check_values(&self.values, version)
    }
}

/// Reads flags: a byte before v5, four bytes from then on. An unknown one would change what follows.
pub(crate) fn read_flags(reader: &mut Reader, version: ProtocolVersion, known: u32) -> Result<u32, WireError> {
    let offset = reader.offset();
    let (flags, known) = if version >= ProtocolVersion::V5 {
        (reader.i32("flags")? as u32, known)
    } else {
        (u32::from(reader.u8("flags")?), known & !SINCE_V5)
    };
    if flags & !known != 0 {
        return Err(WireError::UnknownNumber { field: "flags", offset, found: i64::from(flags) });
    }
    Ok(flags)
}

pub(crate) fn write_flags(writer: &mut Writer<'_>, version: ProtocolVersion, flags: u32) {
    if version >= ProtocolVersion::V5 {
        writer.i32(flags as i32);
    } else {
        // A flag of v5 is lost here together with what it announces: `check` has refused the request before.
        writer.u8((flags & !SINCE_V5) as u8);
    }
}

pub(crate) fn read_positional(reader: &mut Reader, version: ProtocolVersion) -> Result<Values, WireError> {
    let unset_allowed = version >= ProtocolVersion::V4;
    let count = reader.short_count(4, "values")?;
    let mut values = Vec::with_capacity(count);
    for _ in 0..count {
        values.push(reader.value(unset_allowed, "value")?);
    }
    Ok(Values::Positional(values))
}

fn read_named(reader: &mut Reader, version: ProtocolVersion) -> Result<Values, WireError> {
    let unset_allowed = version >= ProtocolVersion::V4;
    let count = reader.short_count(6, "values")?;
    let mut values = Vec::with_capacity(count);
    for _ in 0..count {
        values.push((reader.string("value's name")?, reader.value(unset_allowed, "value")?));
    }
    Ok(Values::Named(values))
}

pub(crate) fn write_values(writer: &mut Writer<'_>, values: &Values) {
    match values {
        Values::Positional(values) => {
            writer.u16(values.len() as u16);
            for value in values {
                writer.value(value);
            }
        }
        Values::Named(values) => {
            writer.u16(values.len() as u16);
            for (name, value) in values {
                writer.string(name);
                writer.value(value);
            }
        }
    }
}

pub(crate) fn check_text(text: &str, field: &'static str) -> Result<(), WireError> {
    check_count(text.len(), field)
}

pub(crate) fn check_count(count: usize, field: &'static str) -> Result<(), WireError> {
    if count > COUNT_MAX { Err(WireError::TooMany { field, count, max: COUNT_MAX }) } else { Ok(()) }
}

pub(crate) fn check_values(values: &Values, version: ProtocolVersion) -> Result<(), WireError> {
    let unset = |value: &BoundValue| *value == BoundValue::Unset;
    let (count, any_unset) = match values {
        Values::Positional(values) => (values.len(), values.iter().any(unset)),
        Values::Named(values) => {
            for (name, _) in values {
                check_text(name, "value's name")?;
            }
            (values.len(), values.iter().any(|(_, value)| unset(value)))
        }
    };
    if any_unset && version < ProtocolVersion::V4 {
        return Err(WireError::NotInVersion { field: "an unset value", version: version.number() });
    }
    check_count(count, "values")
}
