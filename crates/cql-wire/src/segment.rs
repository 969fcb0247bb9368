//! Segments: how v5 carries envelopes once a connection has started.
//!
//! ```text
//!  plain:   17 bits length | 1 bit self-contained | 6 bits zero                         = 3 bytes, CRC24, payload, CRC32
//!  LZ4:     17 bits length | 17 bits length when decompressed | 1 bit | 5 bits zero     = 5 bytes, CRC24, payload, CRC32
//! ```
//!
//! Bits and checksums are little-endian. A self-contained segment holds whole envelopes; others hold parts of a single
//! one. With LZ4, a decompressed length of 0 says that the payload was stored as it is.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

use crate::checksum::{crc24, crc32};
use crate::compression::decompress_lz4;
use crate::error::FramingError;
use crate::limits::SEGMENT_PAYLOAD_BYTES_MAX;

const CRC24_BYTES: usize = 3;
const CRC32_BYTES: usize = 4;
const LENGTH_BITS: u32 = 17;
const LENGTH_MASK: u64 = (1 << LENGTH_BITS) - 1;

/// A segment's payload, decompressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Whether it holds whole envelopes.
    pub self_contained: bool,
    /// Envelopes, or a part of one.
    pub payload: Bytes,
}

fn header_bytes(lz4: bool) -> usize {
    if lz4 { 5 } else { 3 }
}

/// Little-endian number of up to eight bytes.
fn read_number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

impl Segment {
    /// Takes a segment from the start of the buffer; `None` if it is not all there yet.
    pub fn read(buffer: &mut BytesMut, lz4: bool) -> Result<Option<Self>, FramingError> {
        let header_bytes = header_bytes(lz4);
        let Some((header, rest)) = buffer.split_at_checked(header_bytes) else { return Ok(None) };
        let Some(checksum) = rest.get(..CRC24_BYTES) else { return Ok(None) };
        let (found, expected) = (read_number(checksum) as u32, crc24(header));
        if found != expected {
            return Err(FramingError::HeaderChecksum { found, expected });
        }
        let header = read_number(header);
        let length = (header & LENGTH_MASK) as usize;
        let plain_length = if lz4 { (header >> LENGTH_BITS & LENGTH_MASK) as usize } else { 0 };
        let self_contained = header >> (if lz4 { 2 * LENGTH_BITS } else { LENGTH_BITS }) & 1 == 1;
        if rest.len() < CRC24_BYTES + length + CRC32_BYTES {
            return Ok(None);
        }
        buffer.advance(header_bytes + CRC24_BYTES);
        let payload = buffer.split_to(length).freeze();
        let (found, expected) = (buffer.get_u32_le(), crc32(&payload));
        if found != expected {
            return Err(FramingError::PayloadChecksum { length, found, expected });
        }
        let payload = if plain_length == 0 {
            payload
        } else {
            decompress_lz4(&payload, plain_length)
                .map_err(|_| FramingError::Decompression { length, expected: plain_length })?
        };
        Ok(Some(Self { self_contained, payload }))
    }

    /// Appends a segment. With LZ4, a payload that does not shrink is stored as it is.
    pub fn write(payload: &[u8], self_contained: bool, lz4: bool, out: &mut BytesMut) {
        assert!(payload.len() <= SEGMENT_PAYLOAD_BYTES_MAX, "a segment's payload of {} bytes", payload.len());
        let compressed = if lz4 { Some(lz4_flex::block::compress(payload)) } else { None };
        let compressed = compressed.filter(|compressed| compressed.len() < payload.len());
        let (plain_length, payload) = match &compressed {
            Some(compressed) => (payload.len(), compressed.as_slice()),
            None => (0, payload),
        };
        let mut header = payload.len() as u64;
        let mut shift = LENGTH_BITS;
        if lz4 {
            header |= (plain_length as u64) << shift;
            shift += LENGTH_BITS;
        }
        header |= u64::from(self_contained) << shift;
        let header = header.to_le_bytes();
        let header = header.get(..header_bytes(lz4)).unwrap_or_default();
        out.reserve(header.len() + CRC24_BYTES + payload.len() + CRC32_BYTES);
        out.put_slice(header);
        out.put_uint_le(u64::from(crc24(header)), CRC24_BYTES);
        out.put_slice(payload);
        out.put_u32_le(crc32(payload));
    }
}
