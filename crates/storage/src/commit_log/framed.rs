//! The framing that the commit log and the hint log share: append-only segments of checksummed records.
//!
//! ```text
//! segment   0  magic "QUORATEL"                                 record   0  length u32: kind in the upper 4 bits
//!           8  version u32 = 1                                           4  batch u32: offset of its batch's first record
//!          12  kind u32: 1 commit log, 2 hints                           8  CRC-32C of the payload
//!          16  segment number u64                                       12  CRC-32C of segment number, offset, bytes 0..12
//!          24  owner: 16 bytes (hints: the target's id)                 16  payload, zero-padded to a multiple of 8
//!          40  promise u32, 0 if there is none                         ...  the next record
//!          44  zeros
//!          60  CRC-32C of segment number, 0, bytes 0..60
//!         512  records, at multiples of 8; after the last one at least 16 zero bytes or the end of the file
//! ```
//!
//! All integers are little-endian. A record's checksum includes its place, so stale bytes of a recycled segment and
//! writes that went astray never validate. A *batch* is what one sync made durable; a batch is written only after the one
//! before it was synced. Hence a valid record proves that everything before its batch *was* durable: what is missing
//! there is damage, whereas what is missing in the last batch may be a write that never ended ([`Scan::proven`]).
//!
//! The *promise* of a commit log segment is its file's size from the beginning; of a hint segment it is 1: an end record
//! closes it before a segment follows. What does not keep it has lost its end.

use bytes::Bytes;
use crc_fast::CrcAlgorithm;

use crate::checksum::placed;

/// Where records begin: a sector of its own for the header, so that no later write tears it.
pub(crate) const RECORDS_START: u64 = 512;
/// Bytes before a payload.
pub(crate) const RECORD_HEADER_BYTES: u64 = 16;
/// Greatest payload that the format can express.
pub(crate) const PAYLOAD_BYTES_MAX: u64 = (1 << 28) - 1;
/// Greatest segment that the format can express.
pub(crate) const SEGMENT_BYTES_MAX: u64 = 1 << 30;

const MAGIC: &[u8; 8] = b"QUORATEL";
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 64;

/// What a segment belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    /// 1 commit log, 2 hints.
    pub kind: u32,
    /// The segment's number.
    pub segment: u64,
    /// The target of hints; zeros for the commit log.
    pub owner: [u8; 16],
    /// See the module's words.
    pub promise: u32,
}

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RecordKind {
    /// A payload.
    Data,
    /// The segment ends here: nothing behind it counts.
    End,
}

impl SegmentHeader {
    /// The header's sector, and zeros where the first record will be.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity((RECORDS_START + RECORD_HEADER_BYTES) as usize);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&self.kind.to_le_bytes());
        out.extend_from_slice(&self.segment.to_le_bytes());
        out.extend_from_slice(&self.owner);
        out.extend_from_slice(&self.promise.to_le_bytes());
        out.resize(HEADER_BYTES - 4, 0);
        let check = placed(self.segment, 0, &[&out]);
        out.extend_from_slice(&check.to_le_bytes());
        out.resize((RECORDS_START + RECORD_HEADER_BYTES) as usize, 0);
        out
    }

    /// What the header promises of its file, if the file begins with this very header, whatever its promise; or the rule
    /// that it breaks.
    pub fn verify(&self, file: &[u8]) -> Result<u32, &'static str> {
        let sector = RECORDS_START as usize;
        let Some(found) = file.get(..sector) else { return Err("the file is shorter than a segment header") };
        let promise = read_u32(found, 40).unwrap_or_default();
        if found == &(Self { promise, ..*self }).encode()[..sector] {
            return Ok(promise);
        }
        Err(match (found.get(..8) == Some(MAGIC), read_u32(found, 8) == Some(VERSION)) {
            (false, _) => "the magic is not that of a log segment",
            (_, false) => "the format's version is unknown",
            _ => "the header is damaged or belongs to another file",
        })
    }
}

/// The bytes that a payload of this length takes in a segment.
pub(crate) fn framed_len(payload_len: u64) -> u64 {
    RECORD_HEADER_BYTES + payload_len.next_multiple_of(8)
}

/// The checksum of a payload: computed before any lock is taken.
pub(crate) fn payload_check(payload: &[u8]) -> u32 {
    // The checksum of a 32-bit CRC fits 32 bits.
    crc_fast::checksum(CrcAlgorithm::Crc32Iscsi, payload) as u32
}

/// Appends a record that will stand at `offset` of `segment`.
pub(crate) fn encode_record(
    out: &mut Vec<u8>,
    (segment, offset, batch): (u64, u64, u64),
    kind: RecordKind,
    (payload, payload_check): (&[u8], u32),
) {
    assert!(
        payload.len() as u64 <= PAYLOAD_BYTES_MAX && offset.is_multiple_of(8),
        "callers refuse what cannot be framed"
    );
    let kind: u32 = if kind == RecordKind::Data { 1 } else { 2 };
    let start = out.len();
    out.extend_from_slice(&(kind << 28 | payload.len() as u32).to_le_bytes());
    out.extend_from_slice(&(batch as u32).to_le_bytes());
    out.extend_from_slice(&payload_check.to_le_bytes());
    let check = placed(segment, offset, &[&out[start..]]);
    out.extend_from_slice(&check.to_le_bytes());
    out.extend_from_slice(payload);
    out.resize(start + framed_len(payload.len() as u64) as usize, 0);
}

/// What stands at one offset.
pub(crate) enum Parsed {
    /// A whole record.
    Record {
        /// What it is.
        kind: RecordKind,
        /// Offset of its batch.
        batch: u64,
        /// Where its payload is in the parsed bytes.
        payload: std::ops::Range<usize>,
        /// Offset of what follows.
        next: u64,
    },
    /// A record's header is whole, its payload is not.
    BadPayload {
        /// Offset of its batch.
        batch: u64,
        /// Offset of what follows.
        next: u64,
    },
    /// No record.
    Nothing,
}

/// Parses what stands at `at` of `data`, which is offset `offset` of `segment`.
pub(crate) fn parse(data: &[u8], at: usize, segment: u64, offset: u64) -> Parsed {
    let (Some(word), Some(batch)) = (read_u32(data, at), read_u32(data, at.saturating_add(4))) else {
        return Parsed::Nothing;
    };
    let kind = match word >> 28 {
        1 => RecordKind::Data,
        2 => RecordKind::End,
        _ => return Parsed::Nothing,
    };
    let batch = u64::from(batch);
    if batch > offset || batch < RECORDS_START || !batch.is_multiple_of(8) {
        return Parsed::Nothing;
    }
    let (Some(check), Some(header_check)) = (read_u32(data, at + 8), read_u32(data, at + 12)) else {
        return Parsed::Nothing;
    };
    if placed(segment, offset, &[&data[at..at + 12]]) != header_check {
        return Parsed::Nothing;
    }
    let len = word & PAYLOAD_BYTES_MAX as u32;
    let framed = framed_len(u64::from(len));
    let start = at + RECORD_HEADER_BYTES as usize;
    let end = start + len as usize;
    let next = offset + framed;
    let payload = data.get(start..end);
    let padding = data.get(end..at + framed as usize);
    match (payload, padding) {
        (Some(payload), Some(padding)) if payload_check(payload) == check && padding.iter().all(|byte| *byte == 0) => {
            Parsed::Record { kind, batch, payload: start..end, next }
        }
        _ => Parsed::BadPayload { batch, next },
    }
}

/// A piece of a segment, in order of offset.
#[derive(Debug)]
pub(crate) enum Item {
    /// A whole record.
    Record {
        /// Its offset.
        offset: u64,
        /// Its payload.
        payload: Bytes,
    },
    /// No record could be read here, but one behind it can.
    Gap {
        /// First byte.
        from: u64,
        /// The next record.
        to: u64,
    },
}

/// How a segment ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SegmentEnd {
    /// By an end record: nothing is missing behind it.
    Sealed {
        /// Where the end record stands.
        offset: u64,
    },
    /// Nothing valid follows this offset.
    Open {
        /// End of the last valid record.
        offset: u64,
        /// Something was written behind it.
        traces: bool,
    },
}

/// Everything that can be read of one segment.
#[derive(Debug)]
pub(crate) struct Scan {
    /// Records and gaps.
    pub items: Vec<Item>,
    /// Everything before this offset was once durable.
    pub proven: u64,
    /// How it ends.
    pub end: SegmentEnd,
}

impl Scan {
    /// Reads a whole segment, stepping over what is damaged.
    pub fn of(data: &Bytes, segment: u64) -> Self {
        let mut scan =
            Self { items: Vec::new(), proven: 0, end: SegmentEnd::Open { offset: RECORDS_START, traces: false } };
        let mut gap = None;
        let mut offset = RECORDS_START;
        while offset < data.len() as u64 {
            match parse(data, offset as usize, segment, offset) {
                Parsed::Record { kind, batch, payload, next } => {
                    if let Some(from) = gap.take() {
                        scan.items.push(Item::Gap { from, to: offset });
                    }
                    scan.proven = scan.proven.max(batch);
                    if kind == RecordKind::End {
                        scan.end = SegmentEnd::Sealed { offset };
                        return scan;
                    }
                    scan.items.push(Item::Record { offset, payload: data.slice(payload) });
                    offset = next;
                }
                Parsed::BadPayload { batch, next } => {
                    scan.proven = scan.proven.max(batch);
                    gap.get_or_insert(offset);
                    offset = next;
                }
                Parsed::Nothing => {
                    gap.get_or_insert(offset);
                    offset += 8;
                }
            }
        }
        // Where a record could stand, which in a file that was cut may be beyond its end.
        let end = gap.unwrap_or(offset);
        let behind = data.get(end as usize..).unwrap_or_default();
        let traces = behind.iter().take(RECORD_HEADER_BYTES as usize).any(|byte| *byte != 0);
        scan.end = SegmentEnd::Open { offset: end, traces };
        scan
    }

    /// Whether anything was ever written behind the header, as far as can be seen.
    pub fn has_records(&self) -> bool {
        self.proven > 0
    }
}

fn read_u32(data: &[u8], at: usize) -> Option<u32> {
    let bytes = data.get(at..at.checked_add(4)?)?;
    bytes.try_into().ok().map(u32::from_le_bytes)
}
