//! Envelopes: a header of nine bytes and a body.
//!
//! ```text
//!  0        1       2       3       4        5                       9
//!  +--------+-------+---------------+--------+-----------------------+--------
//!  | version| flags | stream (i16)  | opcode | body's length (i32)   | body
//!  +--------+-------+---------------+--------+-----------------------+--------
//! ```
//!
//! All numbers are big-endian. The version's highest bit says that it is a response.

use bytes::Bytes;

use crate::error::FramingError;
use crate::opcode::Opcode;
use crate::version::{ProtocolVersion, version_answer, version_problem};

/// The body is compressed (v3, v4).
pub const COMPRESSED: u8 = 0x01;
/// The request is to be traced, or the response carries the trace's id.
pub const TRACING: u8 = 0x02;
/// There is a custom payload.
pub const CUSTOM_PAYLOAD: u8 = 0x04;
/// There are warnings.
pub const WARNING: u8 = 0x08;
/// The client knows that it uses a version that is not final.
pub const USE_BETA: u8 = 0x10;

/// Bytes of a header.
pub const HEADER_BYTES: usize = 9;
/// Bytes of the header of versions 1 and 2.
const OLD_HEADER_BYTES: usize = 8;
/// The version's bit of responses.
pub(crate) const RESPONSE: u8 = 0x80;

/// An envelope, its body decompressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// Its version.
    pub version: ProtocolVersion,
    /// Its flags; [`COMPRESSED`] is never among them.
    pub flags: u8,
    /// Which request it belongs to; -1 for events.
    pub stream: i16,
    /// What its body is.
    pub opcode: Opcode,
    /// The body.
    pub body: Bytes,
}

/// Which side reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// A server: it reads requests.
    Server,
    /// A client: it reads responses.
    Client,
}

/// A header whose version and length were checked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Header {
    pub(crate) version: ProtocolVersion,
    pub(crate) flags: u8,
    pub(crate) stream: i16,
    pub(crate) opcode: u8,
    pub(crate) length: u32,
}

impl Header {
    /// Reads the header at the start of these bytes; `None` if they are too few to tell.
    pub(crate) fn read(bytes: &[u8], side: Side, length_max: u32) -> Result<Option<Self>, FramingError> {
        let Some(&first) = bytes.first() else { return Ok(None) };
        let number = first & !RESPONSE;
        if (first & RESPONSE != 0) != (side == Side::Client) {
            return Err(FramingError::Direction { first_byte: first });
        }
        let Some(version) = ProtocolVersion::from_number(number) else {
            return read_unknown(bytes, number);
        };
        if side == Side::Server && version.is_beta() && bytes.get(1).is_none_or(|flags| flags & USE_BETA == 0) {
            return read_unknown(bytes, number);
        }
        let Some(&[_, flags, stream_high, stream_low, opcode, a, b, c, d]) = bytes.first_chunk::<HEADER_BYTES>() else {
            return Ok(None);
        };
        let stream = i16::from_be_bytes([stream_high, stream_low]);
        let length = i32::from_be_bytes([a, b, c, d]);
        match u32::try_from(length) {
            Ok(length) if length <= length_max => Ok(Some(Self { version, flags, stream, opcode, length })),
            _ => Err(FramingError::BodyLength { stream, length }),
        }
    }
}

/// What to say to a version that is not spoken here, or not without its flag, as soon as its header is there.
fn read_unknown(bytes: &[u8], number: u8) -> Result<Option<Header>, FramingError> {
    let header_bytes = if matches!(number, 1 | 2) { OLD_HEADER_BYTES } else { HEADER_BYTES };
    let Some(&[_, _, stream_high, stream_low]) = bytes.first_chunk::<4>().filter(|_| bytes.len() >= header_bytes)
    else {
        return Ok(None);
    };
    let message = version_problem(number);
    let answer = version_answer(number, i16::from_be_bytes([stream_high, stream_low]), &message);
    Err(FramingError::Version { number, message, answer })
}
