//! `ERROR`: why there is no other answer. Codes and bodies are those of the specification's section 9 (v5).

use std::net::{IpAddr, Ipv4Addr};

use bytes::Bytes;
use quorate_model::Consistency;
use quorate_model::request::WriteType;

use crate::error::WireError;
use crate::reader::Reader;
use crate::version::ProtocolVersion;
use crate::writer::Writer;

/// The code of [`ErrorKind::Protocol`], for answers to versions that are not spoken here.
pub(crate) const PROTOCOL: i32 = 0x000A;

/// The response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorMessage {
    /// What people read.
    pub message: String,
    /// What programs read.
    pub kind: ErrorKind,
}

/// Kinds of error, each with what its body holds beside the message.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum ErrorKind {
    /// 0x0000
    Server,
    /// 0x000A
    Protocol,
    /// 0x0100
    BadCredentials,
    /// 0x1000
    Unavailable { consistency: Consistency, required: i32, alive: i32 },
    /// 0x1001
    Overloaded,
    /// 0x1002
    Bootstrapping,
    /// 0x1003
    Truncate,
    /// 0x1100; contentions are of conditional statements in v5.
    WriteTimeout { replicas: Replicas, write_type: WriteKind, contentions: Option<u16> },
    /// 0x1200
    ReadTimeout { replicas: Replicas, data_present: bool },
    /// 0x1300 (v4; before, a timeout)
    ReadFailure { replicas: Replicas, failures: Failures, data_present: bool },
    /// 0x1400 (v4; before, invalid)
    FunctionFailure { keyspace: String, function: String, argument_types: Vec<String> },
    /// 0x1500 (v4; before, a timeout)
    WriteFailure { replicas: Replicas, failures: Failures, write_type: WriteKind },
    /// 0x1600 (v4; before, invalid)
    CdcWriteFailure,
    /// 0x1700 (v5; before, a timeout of kind CAS)
    CasWriteUnknown { replicas: Replicas },
    /// 0x2000
    Syntax,
    /// 0x2100
    Unauthorized,
    /// 0x2200
    Invalid,
    /// 0x2300
    Configuration,
    /// 0x2400; the table is empty for a keyspace.
    AlreadyExists { keyspace: String, table: String },
    /// 0x2500
    Unprepared { id: Bytes },
}

/// How many replicas answered, of how many that had to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Replicas {
    pub consistency: Consistency,
    pub received: i32,
    pub required: i32,
}

/// Replicas that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failures {
    /// How many (v4).
    Count(i32),
    /// Which, and why (v5); v4 hears how many.
    Reasons(Vec<(IpAddr, FailureReason)>),
}

/// Why a replica failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailureReason(pub u16);

impl FailureReason {
    /// Nothing more is known.
    pub const UNKNOWN: Self = Self(0);
    /// A read met too many tombstones.
    pub const TOO_MANY_TOMBSTONES: Self = Self(1);
    /// It did not answer in time.
    pub const TIMEOUT: Self = Self(2);
    /// It does not know the table.
    pub const INCOMPATIBLE_SCHEMA: Self = Self(3);
    /// A read met too much data.
    pub const READ_SIZE: Self = Self(4);
    /// It is down.
    pub const NODE_DOWN: Self = Self(5);
    /// An index cannot be used yet.
    pub const INDEX_NOT_AVAILABLE: Self = Self(6);
    /// A read needs too many indexes.
    pub const READ_TOO_MANY_INDEXES: Self = Self(7);
}

/// A kind of write: one of those we know, or, from another server, one that we do not (`VIEW`, `CDC`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WriteKind {
    /// One of ours.
    Known(WriteType),
    /// Its name.
    Other(String),
}

const WRITE_TYPES: [WriteType; 6] = [
    WriteType::Simple,
    WriteType::Batch,
    WriteType::UnloggedBatch,
    WriteType::Counter,
    WriteType::BatchLog,
    WriteType::Cas,
];

impl WriteKind {
    /// Its name in the protocol.
    pub fn name(&self) -> &str {
        match self {
            Self::Known(known) => known.name(),
            Self::Other(name) => name,
        }
    }

    fn read(reader: &mut Reader) -> Result<Self, WireError> {
        let name = reader.string("kind of write")?;
        let known = WRITE_TYPES.into_iter().find(|known| known.name() == name);
        Ok(known.map_or(Self::Other(name), Self::Known))
    }

    fn is_cas(&self) -> bool {
        *self == Self::Known(WriteType::Cas)
    }
}

impl Replicas {
    fn read(reader: &mut Reader) -> Result<Self, WireError> {
        Ok(Self {
            consistency: reader.consistency()?,
            received: reader.i32("received")?,
            required: reader.i32("required")?,
        })
    }

    fn write(self, writer: &mut Writer<'_>) {
        writer.consistency(self.consistency);
        writer.i32(self.received);
        writer.i32(self.required);
    }
}

impl Failures {
    /// How many replicas failed.
    pub fn count(&self) -> usize {
        match self {
            Self::Count(count) => usize::try_from(*count).unwrap_or(0),
            Self::Reasons(reasons) => reasons.len(),
        }
    }

    fn read(reader: &mut Reader, version: ProtocolVersion) -> Result<Self, WireError> {
        if version < ProtocolVersion::V5 {
            return Ok(Self::Count(reader.i32("failures")?));
        }
        let count = reader.count(7, "failures")?;
        let reason = |_| Ok((reader.inet_address("replica")?, FailureReason(reader.u16("reason")?)));
        Ok(Self::Reasons((0..count).map(reason).collect::<Result<_, WireError>>()?))
    }

    fn write(&self, writer: &mut Writer<'_>, version: ProtocolVersion) {
        match self {
            _ if version < ProtocolVersion::V5 => writer.count(self.count()),
            Self::Reasons(reasons) => {
                writer.count(reasons.len());
                for (replica, reason) in reasons {
                    writer.inet_address(*replica);
                    writer.u16(reason.0);
                }
            }
            // Only a number is known: as many replicas without an address, for a reason that is not known.
            Self::Count(_) => {
                writer.count(self.count());
                for _ in 0..self.count() {
                    writer.inet_address(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
                    writer.u16(FailureReason::UNKNOWN.0);
                }
            }
        }
    }
}

impl ErrorKind {
    /// Its code.
    pub fn code(&self) -> i32 {
        match self {
            Self::Server => 0x0000,
            Self::Protocol => PROTOCOL,
            Self::BadCredentials => 0x0100,
            Self::Unavailable { .. } => 0x1000,
            Self::Overloaded => 0x1001,
            Self::Bootstrapping => 0x1002,
            Self::Truncate => 0x1003,
            Self::WriteTimeout { .. } => 0x1100,
            Self::ReadTimeout { .. } => 0x1200,
            Self::ReadFailure { .. } => 0x1300,
            Self::FunctionFailure { .. } => 0x1400,
            Self::WriteFailure { .. } => 0x1500,
            Self::CdcWriteFailure => 0x1600,
            Self::CasWriteUnknown { .. } => 0x1700,
            Self::Syntax => 0x2000,
            Self::Unauthorized => 0x2100,
            Self::Invalid => 0x2200,
            Self::Configuration => 0x2300,
            Self::AlreadyExists { .. } => 0x2400,
            Self::Unprepared { .. } => 0x2500,
        }
    }

    /// What says it best in a version: kinds that came later become those that its clients know.
    pub fn in_version(&self, version: ProtocolVersion) -> Self {
        if version < ProtocolVersion::V4 {
            match self {
                Self::ReadFailure { replicas, data_present, .. } => {
                    return Self::ReadTimeout { replicas: *replicas, data_present: *data_present };
                }
                Self::WriteFailure { replicas, write_type, .. } => {
                    let (replicas, write_type) = (*replicas, write_type.clone());
                    return Self::WriteTimeout { replicas, write_type, contentions: None };
                }
                Self::FunctionFailure { .. } | Self::CdcWriteFailure => return Self::Invalid,
                _ => {}
            }
        }
        match self {
            Self::CasWriteUnknown { replicas } if version < ProtocolVersion::V5 => {
                let write_type = WriteKind::Known(WriteType::Cas);
                Self::WriteTimeout { replicas: *replicas, write_type, contentions: None }
            }
            Self::WriteTimeout { replicas, write_type, contentions } => {
                let told = write_type.is_cas() && version >= ProtocolVersion::V5;
                let contentions = if told { Some(contentions.unwrap_or(0)) } else { None };
                Self::WriteTimeout { replicas: *replicas, write_type: write_type.clone(), contentions }
            }
            other => other.clone(),
        }
    }

    fn read(reader: &mut Reader, version: ProtocolVersion, code: i32, offset: usize) -> Result<Self, WireError> {
        Ok(match code {
            0x0000 => Self::Server,
            PROTOCOL => Self::Protocol,
            0x0100 => Self::BadCredentials,
            0x1000 => Self::Unavailable {
                consistency: reader.consistency()?,
                required: reader.i32("required")?,
                alive: reader.i32("alive")?,
            },
            0x1001 => Self::Overloaded,
            0x1002 => Self::Bootstrapping,
            0x1003 => Self::Truncate,
            0x1100 => {
                let (replicas, write_type) = (Replicas::read(reader)?, WriteKind::read(reader)?);
                let told = write_type.is_cas() && version >= ProtocolVersion::V5;
                let contentions = if told { Some(reader.u16("contentions")?) } else { None };
                Self::WriteTimeout { replicas, write_type, contentions }
            }
            0x1200 => {
                Self::ReadTimeout { replicas: Replicas::read(reader)?, data_present: reader.u8("data present")? != 0 }
            }
            0x1300 => Self::ReadFailure {
                replicas: Replicas::read(reader)?,
                failures: Failures::read(reader, version)?,
                data_present: reader.u8("data present")? != 0,
            },
            0x1400 => Self::FunctionFailure {
                keyspace: reader.string("keyspace")?,
                function: reader.string("function")?,
                argument_types: reader.string_list("argument type")?,
            },
            0x1500 => Self::WriteFailure {
                replicas: Replicas::read(reader)?,
                failures: Failures::read(reader, version)?,
                write_type: WriteKind::read(reader)?,
            },
            0x1600 => Self::CdcWriteFailure,
            0x1700 => Self::CasWriteUnknown { replicas: Replicas::read(reader)? },
            0x2000 => Self::Syntax,
            0x2100 => Self::Unauthorized,
            0x2200 => Self::Invalid,
            0x2300 => Self::Configuration,
            0x2400 => Self::AlreadyExists { keyspace: reader.string("keyspace")?, table: reader.string("table")? },
            0x2500 => Self::Unprepared { id: reader.short_bytes("statement's id")? },
            _ => return Err(WireError::UnknownNumber { field: "error's code", offset, found: i64::from(code) }),
        })
    }

    fn write(&self, writer: &mut Writer<'_>, version: ProtocolVersion) {
        match self {
            Self::Unavailable { consistency, required, alive } => {
                writer.consistency(*consistency);
                writer.i32(*required);
                writer.i32(*alive);
            }
            Self::WriteTimeout { replicas, write_type, contentions } => {
                replicas.write(writer);
                writer.string(write_type.name());
                if let Some(contentions) = contentions {
                    writer.u16(*contentions);
                }
            }
            Self::ReadTimeout { replicas, data_present } => {
                replicas.write(writer);
                writer.u8(u8::from(*data_present));
            }
            Self::ReadFailure { replicas, failures, data_present } => {
                replicas.write(writer);
                failures.write(writer, version);
                writer.u8(u8::from(*data_present));
            }
            Self::FunctionFailure { keyspace, function, argument_types } => {
                writer.string(keyspace);
                writer.string(function);
                writer.string_list(argument_types);
            }
            Self::WriteFailure { replicas, failures, write_type } => {
                replicas.write(writer);
                failures.write(writer, version);
                writer.string(write_type.name());
            }
            Self::CasWriteUnknown { replicas } => replicas.write(writer),
            Self::AlreadyExists { keyspace, table } => {
                writer.string(keyspace);
                writer.string(table);
            }
            Self::Unprepared { id } => writer.short_bytes(id),
            _ => {}
        }
    }
}

impl ErrorMessage {
    /// Reads the body.
    pub fn read(reader: &mut Reader, version: ProtocolVersion) -> Result<Self, WireError> {
        let offset = reader.offset();
        let code = reader.i32("error's code")?;
        let message = reader.string("message")?;
        Ok(Self { message, kind: ErrorKind::read(reader, version, code, offset)? })
    }

    /// Writes the body.
    pub fn write(&self, writer: &mut Writer<'_>, version: ProtocolVersion) {
        let kind = self.kind.in_version(version);
        writer.i32(kind.code());
        writer.string(&self.message);
        kind.write(writer, version);
    }
}
