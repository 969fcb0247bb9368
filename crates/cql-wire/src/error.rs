//! Why bytes are not a message, and why a connection cannot go on.

use bytes::Bytes;

use crate::message::error::{ErrorKind, ErrorMessage};

/// A body is not a message of its opcode and version, or a message cannot be said in a version. The connection lives:
/// envelopes before and after are not touched by it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The body ends too soon.
    #[error("{field}: {needed} bytes wanted at offset {offset} of the body, {left} left")]
    #[allow(missing_docs, reason = "the names say it")]
    Truncated { field: &'static str, offset: usize, needed: usize, left: usize },
    /// Text that is not UTF-8.
    #[error("{field}: not UTF-8 at offset {offset} of the body")]
    #[allow(missing_docs, reason = "the names say it")]
    NotUtf8 { field: &'static str, offset: usize },
    /// A number that means nothing there.
    #[error("{field}: {found:#x} at offset {offset} of the body means nothing here")]
    #[allow(missing_docs, reason = "the names say it")]
    UnknownNumber { field: &'static str, offset: usize, found: i64 },
    /// A name that means nothing there.
    #[error("{field}: '{found}' means nothing here")]
    #[allow(missing_docs, reason = "the names say it")]
    UnknownName { field: &'static str, found: String },
    /// A negative length or count where none may be.
    #[error("{field}: length {found} at offset {offset} of the body")]
    #[allow(missing_docs, reason = "the names say it")]
    NegativeLength { field: &'static str, offset: usize, found: i32 },
    /// More than a limit allows.
    #[error("{field}: {count} are more than the {max} allowed")]
    #[allow(missing_docs, reason = "the names say it")]
    TooMany { field: &'static str, count: usize, max: usize },
    /// Something that this version of the protocol has no place for.
    #[error("{field} cannot be used in protocol v{version}")]
    #[allow(missing_docs, reason = "the names say it")]
    NotInVersion { field: &'static str, version: u8 },
    /// Something that the server refuses whatever the version.
    #[error("{0}")]
    Refused(&'static str),
    /// A feature of the envelope that nobody agreed upon.
    #[error("{0}")]
    Envelope(&'static str),
}

impl WireError {
    /// The error that tells a client of it.
    pub fn to_message(&self) -> ErrorMessage {
        ErrorMessage { message: self.to_string(), kind: ErrorKind::Protocol }
    }
}

/// The bytes are no envelopes and segments at all, or not of an agreed version: nothing after them can be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FramingError {
    /// A version that is not spoken here.
    #[error("{message}")]
    #[allow(missing_docs, reason = "the names say it")]
    Version { number: u8, message: String, answer: Bytes },
    /// A request where responses are expected, or the other way round.
    #[error("an envelope of the wrong direction (first byte {first_byte:#04x})")]
    #[allow(missing_docs, reason = "the names say it")]
    Direction { first_byte: u8 },
    /// A body length that cannot be.
    #[error("envelope of stream {stream}: body length {length}")]
    #[allow(missing_docs, reason = "the names say it")]
    BodyLength { stream: i16, length: i32 },
    /// A segment's header is damaged.
    #[error("segment header: CRC24 {found:#08x}, computed {expected:#08x}")]
    #[allow(missing_docs, reason = "the names say it")]
    HeaderChecksum { found: u32, expected: u32 },
    /// A segment's payload is damaged.
    #[error("segment payload of {length} bytes: CRC32 {found:#010x}, computed {expected:#010x}")]
    #[allow(missing_docs, reason = "the names say it")]
    PayloadChecksum { length: usize, found: u32, expected: u32 },
    /// A segment's payload does not decompress to what its header says.
    #[error("segment payload of {length} bytes does not decompress to {expected} bytes")]
    #[allow(missing_docs, reason = "the names say it")]
    Decompression { length: usize, expected: usize },
    /// Envelopes do not fill their segments as they must.
    #[error("segments: {0}")]
    Layout(&'static str),
}

impl FramingError {
    /// The error to tell a client before the connection ends; [`FramingError::Version`] carries a whole answer instead.
    pub fn to_message(&self) -> ErrorMessage {
        ErrorMessage { message: self.to_string(), kind: ErrorKind::Protocol }
    }
}

/// An envelope that is not taken; its body was skipped, or will be, and the connection lives.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Its body is too big. The texts are Cassandra's.
    #[error("{}", too_big(*segmented, *length, *max))]
    #[allow(missing_docs, reason = "the names say it")]
    TooBig { segmented: bool, length: u64, max: u32 },
    /// Its body, decompressed, would be too big, or cannot be decompressed.
    #[error("Cannot decompress a body of {length} bytes: {problem}")]
    #[allow(missing_docs, reason = "the names say it")]
    Compression { length: usize, problem: &'static str },
    /// An opcode that does not exist, or that the other side sends.
    #[error("Unknown or misdirected opcode {code:#04x}")]
    #[allow(missing_docs, reason = "the names say it")]
    Opcode { code: u8 },
    /// Another version than the connection's.
    #[error(
        "Invalid message version. Got {found}/v{found} but previous messages on this connection had version {agreed}/v{agreed}"
    )]
    #[allow(missing_docs, reason = "the names say it")]
    Version { found: u8, agreed: u8 },
}

fn too_big(segmented: bool, length: u64, max: u32) -> String {
    if segmented {
        format!("CQL Message of size {length} bytes exceeds allowed maximum of {max} bytes")
    } else {
        format!("Request is too big: length {length} exceeds maximum allowed length {max}.")
    }
}

impl Refusal {
    /// The error that tells the client of it.
    pub fn to_message(&self) -> ErrorMessage {
        let kind = match self {
            Self::TooBig { .. } => ErrorKind::Invalid,
            _ => ErrorKind::Protocol,
        };
        ErrorMessage { message: self.to_string(), kind }
    }
}
