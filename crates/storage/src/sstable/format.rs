//! Frames and the footer.
//!
//! ```text
//! frame   0  u32  stored length n        footer   0  8 B  magic
//!         4  u32  raw length                      8  u32  version
//!         8  u8   compression                    12  u32  root length (whole frame)
//!         9  u8   kind                           16  u64  file number
//!        10  u16  0                              24  u64  root offset
//!        12  n B  payload                        32  u64  filter offset
//!     12+n  u32  CRC-32C                         40  u64  statistics offset
//!                                                48  u32  filter length
//! all numbers little-endian;                     52  u32  statistics length
//! the CRC covers file number, offset,            56  u32  0
//! and everything before it                       60  u32  CRC-32C
//! ```

use bytes::Bytes;

use crate::checksum;
use crate::error::{CorruptionError, StorageError};
use crate::limits::BLOCK_BYTES_MAX;
use crate::options::Compression;

/// First bytes of a footer.
pub(crate) const MAGIC: [u8; 8] = *b"QrSSTab\n";
/// Format version that is written.
pub(crate) const VERSION: u32 = 1;
/// Size of the footer.
pub(crate) const FOOTER_BYTES: usize = 64;
/// Size of a frame's header.
pub(crate) const HEADER_BYTES: usize = 12;
/// Size of a frame beyond its payload.
pub(crate) const FRAME_OVERHEAD: usize = HEADER_BYTES + 4;

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum FrameKind {
    Data = 1,
    Index = 2,
    Root = 3,
    Filter = 4,
    Stats = 5,
}

/// Where a frame is: offset and whole length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) offset: u64,
    pub(crate) len: u32,
}

/// The footer's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Footer {
    pub(crate) file: u64,
    pub(crate) root: Address,
    pub(crate) filter: Address,
    pub(crate) stats: Address,
}

/// Makes a frame. Falls back to no compression where compressing gains nothing.
pub(crate) fn encode_frame(
    file: u64,
    offset: u64,
    kind: FrameKind,
    raw: &[u8],
    compression: Compression,
) -> Result<Vec<u8>, StorageError> {
    let raw_len = match u32::try_from(raw.len()) {
        Ok(len) if len <= BLOCK_BYTES_MAX => len,
        _ => return Err(StorageError::Invalid(format!("a block of {} bytes is over the limit", raw.len()))),
    };
    let (code, compressed) = match compression {
        Compression::None => (0, None),
        Compression::Lz4 => (1, Some(lz4_flex::block::compress(raw))),
        Compression::Zstd(level) => match zstd::bulk::compress(raw, level) {
            Ok(bytes) => (2, Some(bytes)),
            Err(_) => (0, None),
        },
    };
    let (code, payload) = match &compressed {
        Some(bytes) if bytes.len() < raw.len() => (code, bytes.as_slice()),
        _ => (0, raw),
    };
    let mut frame = Vec::with_capacity(payload.len() + FRAME_OVERHEAD);
    frame.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    frame.extend_from_slice(&raw_len.to_le_bytes());
    frame.extend_from_slice(&[code, kind as u8, 0, 0]);
    frame.extend_from_slice(payload);
    let crc = checksum::placed(file, offset, &[&frame]);
    frame.extend_from_slice(&crc.to_le_bytes());
    Ok(frame)
}

/// Verifies a frame and gives its raw payload.
pub(crate) fn decode_frame(
    path: &str,
    file: u64,
    offset: u64,
    kind: FrameKind,
    frame: Bytes,
) -> Result<Bytes, CorruptionError> {
    let corrupt = |problem: String| CorruptionError { path: path.to_owned(), offset, problem };
    let body_len = frame.len().saturating_sub(4);
    if body_len < HEADER_BYTES {
        return Err(corrupt(format!("a frame of {} bytes is shorter than its header", frame.len())));
    }
    let found = le_u32(&frame, body_len);
    let expected = checksum::placed(file, offset, &[&frame[..body_len]]);
    if found != expected {
        return Err(corrupt(format!("checksum {expected:08x} expected, {found:08x} found")));
    }
    let stored_len = le_u32(&frame, 0) as usize;
    let raw_len = le_u32(&frame, 4);
    if stored_len != body_len - HEADER_BYTES || raw_len > BLOCK_BYTES_MAX || frame[9] != kind as u8 {
        return Err(corrupt(format!("a frame header that does not fit: kind {}, {stored_len} bytes", frame[9])));
    }
    let payload = frame.slice(HEADER_BYTES..body_len);
    let raw_len = raw_len as usize;
    let raw = match frame[8] {
        0 => payload,
        1 => lz4_flex::block::decompress(&payload, raw_len)
            .map(Bytes::from)
            .map_err(|error| corrupt(format!("LZ4: {error}")))?,
        2 => zstd::bulk::decompress(&payload, raw_len)
            .map(Bytes::from)
            .map_err(|error| corrupt(format!("Zstandard: {error}")))?,
        code => return Err(corrupt(format!("unknown compression {code}"))),
    };
    if raw.len() != raw_len {
        return Err(corrupt(format!("{raw_len} raw bytes expected, {} found", raw.len())));
    }
    Ok(raw)
}

/// Makes the footer.
pub(crate) fn encode_footer(footer: &Footer, offset: u64) -> [u8; FOOTER_BYTES] {
    let mut bytes = Vec::with_capacity(FOOTER_BYTES);
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&footer.root.len.to_le_bytes());
    for number in [footer.file, footer.root.offset, footer.filter.offset, footer.stats.offset] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    for number in [footer.filter.len, footer.stats.len, 0] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    let crc = checksum::placed(footer.file, offset, &[&bytes]);
    bytes.extend_from_slice(&crc.to_le_bytes());
    let mut array = [0; FOOTER_BYTES];
    array.copy_from_slice(&bytes);
    array
}

/// Verifies and reads the footer of the file with this number.
pub(crate) fn decode_footer(
    path: &str,
    file: u64,
    offset: u64,
    bytes: &[u8; FOOTER_BYTES],
) -> Result<Footer, CorruptionError> {
    let corrupt = |problem: String| CorruptionError { path: path.to_owned(), offset, problem };
    if bytes[..8] != MAGIC {
        return Err(corrupt("the footer's magic is missing".to_owned()));
    }
    let found = le_u32(bytes, FOOTER_BYTES - 4);
    let expected = checksum::placed(file, offset, &[&bytes[..FOOTER_BYTES - 4]]);
    if found != expected {
        return Err(corrupt(format!("footer checksum {expected:08x} expected, {found:08x} found")));
    }
    let version = le_u32(bytes, 8);
    if version != VERSION {
        return Err(corrupt(format!("format version {version}, this build reads {VERSION}")));
    }
    let address = |at: usize, len_at: usize| Address { offset: le_u64(bytes, at), len: le_u32(bytes, len_at) };
    let footer =
        Footer { file: le_u64(bytes, 16), root: address(24, 12), filter: address(32, 48), stats: address(40, 52) };
    let fits = |part: Address| part.offset.checked_add(u64::from(part.len)).is_some_and(|end| end <= offset);
    if footer.file != file || !fits(footer.root) || !fits(footer.filter) || !fits(footer.stats) {
        return Err(corrupt("the footer points outside its file".to_owned()));
    }
    Ok(footer)
}

/// A little-endian number at a place that the caller has checked to be inside.
fn le_u32(bytes: &[u8], at: usize) -> u32 {
    let mut array = [0; 4];
    array.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(array)
}

fn le_u64(bytes: &[u8], at: usize) -> u64 {
    let mut array = [0; 8];
    array.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(array)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_round_trip_and_every_flipped_bit_is_caught() {
        let raw = b"the same the same the same the same the same the same the same 12345";
        for compression in [Compression::None, Compression::Lz4, Compression::Zstd(1)] {
            let frame = encode_frame(7, 4096, FrameKind::Data, raw, compression).unwrap();
            let back = decode_frame("f", 7, 4096, FrameKind::Data, frame.clone().into()).unwrap();
            assert_eq!(&back[..], raw);
            assert!(decode_frame("f", 8, 4096, FrameKind::Data, frame.clone().into()).is_err());
            assert!(decode_frame("f", 7, 0, FrameKind::Data, frame.clone().into()).is_err());
            assert!(decode_frame("f", 7, 4096, FrameKind::Index, frame.clone().into()).is_err());
            for bit in 0..frame.len() * 8 {
                let mut damaged = frame.clone();
                damaged[bit / 8] ^= 1 << (bit % 8);
                assert!(decode_frame("f", 7, 4096, FrameKind::Data, damaged.into()).is_err());
            }
            for len in 0..frame.len() {
                assert!(decode_frame("f", 7, 4096, FrameKind::Data, frame[..len].to_vec().into()).is_err());
            }
        }
    }

    #[test]
    fn footer_round_trips() {
        let at = |offset| Address { offset, len: 10 };
        let footer = Footer { file: 3, root: at(0), filter: at(10), stats: at(20) };
        let bytes = encode_footer(&footer, 30);
        assert_eq!(decode_footer("f", 3, 30, &bytes).unwrap(), footer);
        assert!(decode_footer("f", 4, 30, &bytes).is_err());
        assert!(decode_footer("f", 3, 29, &bytes).is_err());
    }
}
