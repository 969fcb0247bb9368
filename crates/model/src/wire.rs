//! The primitives of our binary encoding: little-endian fixed integers, LEB128 varints, length-prefixed bytes. Used for
//! the commit log, SSTables, hints and peers; the carrier adds magic, version and checksum.

use bytes::{BufMut, Bytes, BytesMut};

/// Why bytes could not be decoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed {what} at byte {offset}: {problem}")]
pub struct WireError {
    /// What was being decoded.
    pub what: &'static str,
    /// Offset within the decoded slice.
    pub offset: usize,
    /// The rule that was broken.
    pub problem: &'static str,
}

/// Something with exactly one binary form.
pub trait Wire: Sized {
    /// Appends the encoding.
    fn encode(&self, out: &mut Writer);
    /// Reads one value; never panics, never allocates more than the input's length justifies.
    fn decode(input: &mut Reader) -> Result<Self, WireError>;

    /// The encoding alone.
    fn to_bytes(&self) -> Bytes {
        let mut out = Writer::default();
        self.encode(&mut out);
        out.finish()
    }

    /// Decodes a whole buffer; left-over bytes are an error. Values share the buffer's memory.
    fn from_bytes(bytes: &Bytes) -> Result<Self, WireError> {
        let mut input = Reader::new(bytes.clone());
        let value = Self::decode(&mut input)?;
        if input.remaining() > 0 {
            return Err(input.error("message", "bytes left over at the end"));
        }
        Ok(value)
    }
}

/// Appends primitives to a buffer.
#[derive(Default, Debug)]
pub struct Writer {
    buffer: BytesMut,
}

impl Writer {
    /// A writer that reuses this buffer, appending to it.
    pub fn reuse(buffer: BytesMut) -> Self {
        Self { buffer }
    }

    /// Number of bytes written so far.
    pub fn len(&self) -> usize {
        self.buffer.len()
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// What was written.
    pub fn as_slice(&self) -> &[u8] {
        &self.buffer
    }

    /// Ends writing.
    pub fn finish(self) -> Bytes {
        self.buffer.freeze()
    }

    /// Gives the buffer back.
    pub fn into_inner(self) -> BytesMut {
        self.buffer
    }

    /// One byte.
    pub fn u8(&mut self, value: u8) {
        self.buffer.put_u8(value);
    }

    /// A flag.
    pub fn bool(&mut self, value: bool) {
        self.u8(u8::from(value));
    }

    /// Fixed, little-endian.
    pub fn u32(&mut self, value: u32) {
        self.buffer.put_u32_le(value);
    }

    /// Fixed, little-endian.
    pub fn u64(&mut self, value: u64) {
        self.buffer.put_u64_le(value);
    }

    /// Fixed, little-endian.
    pub fn i64(&mut self, value: i64) {
        self.buffer.put_i64_le(value);
    }

    /// Unsigned LEB128.
    pub fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.u8((value as u8) | 0x80);
            value >>= 7;
        }
        self.u8(value as u8);
    }

    /// Zigzag LEB128.
    pub fn signed(&mut self, value: i64) {
        self.varint(((value << 1) ^ (value >> 63)) as u64);
    }

    /// Length and bytes.
    pub fn bytes(&mut self, value: &[u8]) {
        self.varint(value.len() as u64);
        self.buffer.put_slice(value);
    }

    /// Length and UTF-8 bytes.
    pub fn string(&mut self, value: &str) {
        self.bytes(value.as_bytes());
    }

    /// Bytes without a length.
    pub fn raw(&mut self, value: &[u8]) {
        self.buffer.put_slice(value);
    }
}

/// Reads primitives from a buffer, sharing its memory.
#[derive(Debug)]
pub struct Reader {
    input: Bytes,
    offset: usize,
}

impl Reader {
    /// Reads from the start of the buffer.
    pub fn new(input: Bytes) -> Self {
        Self { input, offset: 0 }
    }

    /// Bytes not yet read.
    pub fn remaining(&self) -> usize {
        self.input.len() - self.offset
    }

    /// Bytes read so far.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// An error at the present place.
    pub fn error(&self, what: &'static str, problem: &'static str) -> WireError {
        WireError { what, offset: self.offset, problem }
    }

    /// So many bytes, shared.
    pub fn take(&mut self, len: usize, what: &'static str) -> Result<Bytes, WireError> {
        if len > self.remaining() {
            return Err(self.error(what, "ends too early"));
        }
        let bytes = self.input.slice(self.offset..self.offset + len);
        self.offset += len;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], WireError> {
        let end = self.offset.saturating_add(N);
        let Some(slice) = self.input.get(self.offset..end) else {
            return Err(self.error(what, "ends too early"));
        };
        let mut array = [0; N];
        array.copy_from_slice(slice);
        self.offset = end;
        Ok(array)
    }

    /// One byte.
    pub fn u8(&mut self, what: &'static str) -> Result<u8, WireError> {
        self.array::<1>(what).map(|[byte]| byte)
    }

    /// A flag; anything but 0 and 1 is an error.
    pub fn bool(&mut self, what: &'static str) -> Result<bool, WireError> {
        match self.u8(what)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(self.error(what, "a flag that is neither 0 nor 1")),
        }
    }

    /// Fixed, little-endian.
    pub fn u32(&mut self, what: &'static str) -> Result<u32, WireError> {
        self.array(what).map(u32::from_le_bytes)
    }

    /// Fixed, little-endian.
    pub fn u64(&mut self, what: &'static str) -> Result<u64, WireError> {
        self.array(what).map(u64::from_le_bytes)
    }

    /// Fixed, little-endian.
    pub fn i64(&mut self, what: &'static str) -> Result<i64, WireError> {
        self.array(what).map(i64::from_le_bytes)
    }

    /// Sixteen bytes, as identities have.
    pub fn id(&mut self, what: &'static str) -> Result<[u8; 16], WireError> {
        self.array(what)
    }

    /// Unsigned LEB128.
    pub fn varint(&mut self, what: &'static str) -> Result<u64, WireError> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8(what)?;
            if shift == 63 && byte > 1 {
                return Err(self.error(what, "a number over 64 bits"));
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                if byte == 0 && shift > 0 {
                    return Err(self.error(what, "a number written longer than it need be"));
                }
                return Ok(value);
            }
        }
        Err(self.error(what, "a number over 64 bits"))
    }

    /// Zigzag LEB128.
    pub fn signed(&mut self, what: &'static str) -> Result<i64, WireError> {
        let value = self.varint(what)?;
        Ok(((value >> 1) as i64) ^ -((value & 1) as i64))
    }

    /// A count of items that each take at least `item_size_min` bytes: a count that the rest of the input cannot hold
    /// is an error, so that nothing is allocated for a lie.
    pub fn count(&mut self, item_size_min: usize, what: &'static str) -> Result<usize, WireError> {
        let count = self.varint(what)?;
        let possible = (self.remaining() / item_size_min.max(1)) as u64;
        if count > possible {
            return Err(self.error(what, "a count greater than the input can hold"));
        }
        Ok(count as usize)
    }

    /// Length and bytes, shared.
    pub fn bytes(&mut self, what: &'static str) -> Result<Bytes, WireError> {
        let len = self.count(1, what)?;
        self.take(len, what)
    }

    /// Length and UTF-8 bytes.
    pub fn string(&mut self, what: &'static str) -> Result<String, WireError> {
        let bytes = self.bytes(what)?;
        match std::str::from_utf8(&bytes) {
            Ok(text) => Ok(text.to_owned()),
            Err(_) => Err(self.error(what, "not UTF-8")),
        }
    }
}
