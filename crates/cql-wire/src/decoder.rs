//! Bytes in, envelopes out. It never waits, never panics on what it is fed, and holds no more than has arrived.

use bytes::{Buf as _, Bytes, BytesMut};

use crate::compression::Compression;
use crate::envelope::{COMPRESSED, Envelope, HEADER_BYTES, Header, Side};
use crate::error::{FramingError, Refusal};
use crate::limits::{ASSEMBLY_RESERVE_BYTES, BODY_BYTES_MAX};
use crate::opcode::Opcode;
use crate::segment::Segment;
use crate::version::ProtocolVersion;

/// What came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// An envelope.
    Envelope(Envelope),
    /// An envelope that is not taken. The connection lives; this is to be told on its stream.
    Refused(Refused),
}

/// An envelope that is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The version in which to answer.
    pub version: ProtocolVersion,
    /// Its stream.
    pub stream: i16,
    /// Why.
    pub refusal: Refusal,
}

/// How envelopes travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    /// One after another.
    Envelopes,
    /// In segments.
    Segments { lz4: bool },
}

/// A decoder of one direction of one connection.
#[derive(Debug)]
pub struct Decoder {
    side: Side,
    body_bytes_max: u32,
    buffer: BytesMut,
    framing: Framing,
    /// Of bodies (v3, v4).
    compression: Option<Compression>,
    /// The connection's version, once it has started.
    agreed: Option<ProtocolVersion>,
    /// Bytes of a refused body that are still to come.
    skip: u64,
    /// Whole envelopes of the latest self-contained segment that were not handed out yet.
    envelopes: Bytes,
    /// A big envelope that comes in several segments.
    big: Option<Big>,
    failed: Option<FramingError>,
}

/// An envelope that comes in several segments.
#[derive(Debug)]
enum Big {
    /// Its header, and the body as far as it has come.
    Kept(Header, BytesMut),
    /// It was refused; so many bytes of it are still to come.
    Dropped(u64),
}

impl Decoder {
    /// A decoder that takes bodies of at most so many bytes, before and after decompression.
    pub fn new(side: Side, body_bytes_max: u32) -> Self {
        Self {
            side,
            body_bytes_max: body_bytes_max.min(BODY_BYTES_MAX),
            buffer: BytesMut::new(),
            framing: Framing::Envelopes,
            compression: None,
            agreed: None,
            skip: 0,
            envelopes: Bytes::new(),
            big: None,
            failed: None,
        }
    }

    /// The connection has started: its version and compression are agreed. From v5 on what follows comes in segments.
    pub fn start(&mut self, version: ProtocolVersion, compression: Option<Compression>) {
        self.agreed = Some(version);
        if version.is_segmented() {
            self.framing = Framing::Segments { lz4: compression == Some(Compression::Lz4) };
        } else {
            self.compression = compression;
        }
    }

    /// Bodies may be compressed like this from now on: the answer to `STARTUP` already is (v3, v4).
    pub(crate) fn set_body_compression(&mut self, compression: Option<Compression>) {
        self.compression = compression;
    }

    /// Where to put the bytes that arrive, for instance by reading a socket into it.
    pub fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// Takes bytes that arrived.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Bytes held: not yet decoded, or of an envelope that is not complete.
    pub fn held_bytes(&self) -> usize {
        let big = match &self.big {
            Some(Big::Kept(_, body)) => body.len(),
            _ => 0,
        };
        self.buffer.len() + self.envelopes.len() + big
    }

    /// Bytes of the body that has come in part and will be kept until it is whole; zero if there is none, or its length is
    /// not known yet. Worth asking after [`Decoder::receive`] had nothing to give.
    pub fn awaited_bytes(&self) -> usize {
        match (&self.big, self.framing) {
            (Some(Big::Kept(header, _)), _) => header.length as usize,
            (None, Framing::Envelopes) if self.skip == 0 => match Header::read(&self.buffer, self.side, BODY_BYTES_MAX)
            {
                Ok(Some(header)) if header.length <= self.body_bytes_max => header.length as usize,
                _ => 0,
            },
            _ => 0,
        }
    }

    /// The next envelope; `None` until more bytes arrive. After an error there is nothing but the same error.
    pub fn receive(&mut self) -> Result<Option<Received>, FramingError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let received = match self.framing {
            Framing::Envelopes => self.next_plain(),
            Framing::Segments { lz4 } => self.next_segmented(lz4),
        };
        received.inspect_err(|error| self.failed = Some(error.clone()))
    }

    fn next_plain(&mut self) -> Result<Option<Received>, FramingError> {
        if self.skip > 0 {
            let skipped = self.skip.min(self.buffer.len() as u64);
            self.buffer.advance(skipped as usize);
            self.skip -= skipped;
            if self.skip > 0 {
                return Ok(None);
            }
        }
        let Some(header) = Header::read(&self.buffer, self.side, BODY_BYTES_MAX)? else { return Ok(None) };
        if header.length > self.body_bytes_max {
            self.buffer.advance(HEADER_BYTES);
            self.skip = u64::from(header.length);
            return Ok(Some(self.too_big(header)));
        }
        let length = header.length as usize;
        if self.buffer.len() - HEADER_BYTES < length {
            return Ok(None);
        }
        self.buffer.advance(HEADER_BYTES);
        let body = self.buffer.split_to(length).freeze();
        Ok(Some(self.complete(header, body)))
    }

    fn next_segmented(&mut self, lz4: bool) -> Result<Option<Received>, FramingError> {
        loop {
            if !self.envelopes.is_empty() {
                return self.next_contained().map(Some);
            }
            let Some(segment) = Segment::read(&mut self.buffer, lz4)? else { return Ok(None) };
            if segment.self_contained {
                if self.big.is_some() {
                    return Err(FramingError::Layout("a self-contained segment in the middle of a big envelope"));
                }
                self.envelopes = segment.payload;
            } else if let Some(received) = self.part(segment.payload)? {
                return Ok(Some(received));
            }
        }
    }

    /// The next envelope of a self-contained segment.
    fn next_contained(&mut self) -> Result<Received, FramingError> {
        let Some(header) = Header::read(&self.envelopes, self.side, BODY_BYTES_MAX)? else {
            return Err(FramingError::Layout("a self-contained segment ends within a header"));
        };
        let length = header.length as usize;
        if self.envelopes.len() - HEADER_BYTES < length {
            return Err(FramingError::Layout("a self-contained segment ends within an envelope"));
        }
        self.envelopes.advance(HEADER_BYTES);
        let body = self.envelopes.split_to(length);
        if header.length > self.body_bytes_max {
            return Ok(self.too_big(header));
        }
        Ok(self.complete(header, body))
    }

    /// A part of a big envelope; the envelope, if it is complete, or its refusal, with its first part.
    fn part(&mut self, mut payload: Bytes) -> Result<Option<Received>, FramingError> {
        const OVERRUN: FramingError = FramingError::Layout("a segment goes on after its envelope's end");
        match self.big.take() {
            None => {
                let Some(header) = Header::read(&payload, self.side, BODY_BYTES_MAX)? else {
                    return Err(FramingError::Layout("a big envelope's first segment ends within the header"));
                };
                payload.advance(HEADER_BYTES);
                let length = header.length as usize;
                let left = length.checked_sub(payload.len()).ok_or(OVERRUN)?;
                if header.length > self.body_bytes_max {
                    self.big = Some(Big::Dropped(left as u64)).filter(|_| left > 0);
                    return Ok(Some(self.too_big(header)));
                }
                if left == 0 {
                    return Ok(Some(self.complete(header, payload)));
                }
                let mut body = BytesMut::with_capacity(length.min(ASSEMBLY_RESERVE_BYTES));
                body.extend_from_slice(&payload);
                self.big = Some(Big::Kept(header, body));
                Ok(None)
            }
            Some(Big::Dropped(left)) => {
                let left = left.checked_sub(payload.len() as u64).ok_or(OVERRUN)?;
                self.big = Some(Big::Dropped(left)).filter(|_| left > 0);
                Ok(None)
            }
            Some(Big::Kept(header, mut body)) => {
                let length = header.length as usize;
                if length - body.len() < payload.len() {
                    return Err(OVERRUN);
                }
                body.extend_from_slice(&payload);
                if body.len() == length {
                    return Ok(Some(self.complete(header, body.freeze())));
                }
                self.big = Some(Big::Kept(header, body));
                Ok(None)
            }
        }
    }

    fn too_big(&self, header: Header) -> Received {
        let segmented = self.framing != Framing::Envelopes;
        // Cassandra counts the header in where it speaks of a message, and not where it speaks of a request's length.
        let length = u64::from(header.length) + if segmented { HEADER_BYTES as u64 } else { 0 };
        self.refuse(header, Refusal::TooBig { segmented, length, max: self.body_bytes_max })
    }

    fn refuse(&self, header: Header, refusal: Refusal) -> Received {
        Received::Refused(Refused { version: self.agreed.unwrap_or(header.version), stream: header.stream, refusal })
    }

    /// Checks what a whole envelope says of itself, and decompresses it.
    fn complete(&self, header: Header, body: Bytes) -> Received {
        if let Some(agreed) = self.agreed.filter(|agreed| *agreed != header.version) {
            let (found, agreed) = (header.version.number(), agreed.number());
            return self.refuse(header, Refusal::Version { found, agreed });
        }
        let wanted = |opcode: &Opcode| opcode.is_request() == (self.side == Side::Server);
        let Some(opcode) = Opcode::from_code(header.opcode).filter(wanted) else {
            return self.refuse(header, Refusal::Opcode { code: header.opcode });
        };
        let body = match self.decompress(&header, body) {
            Ok(body) => body,
            Err(refusal) => return self.refuse(header, refusal),
        };
        let Header { version, flags, stream, .. } = header;
        Received::Envelope(Envelope { version, flags: flags & !COMPRESSED, stream, opcode, body })
    }

    fn decompress(&self, header: &Header, body: Bytes) -> Result<Bytes, Refusal> {
        if header.flags & COMPRESSED == 0 || self.framing != Framing::Envelopes {
            // Within segments the flag has no meaning, and Cassandra passes over it.
            return Ok(body);
        }
        let length = body.len();
        let Some(compression) = self.compression else {
            return Err(Refusal::Compression { length, problem: "no compression was agreed upon" });
        };
        compression
            .decompress_body(&body, self.body_bytes_max)
            .map_err(|problem| Refusal::Compression { length, problem })
    }
}
