//! Messages in, bytes out. What is written before a flush shares segments, and one write to the socket.

use bytes::{BufMut as _, BytesMut};

use crate::compression::Compression;
use crate::envelope::{COMPRESSED, HEADER_BYTES, RESPONSE, USE_BETA};
use crate::error::WireError;
use crate::limits::{BODY_BYTES_MAX, SEGMENT_PAYLOAD_BYTES_MAX};
use crate::message::error::{ErrorKind, ErrorMessage};
use crate::message::{RequestMessage, ResponseMessage};
use crate::opcode::Opcode;
use crate::segment::Segment;
use crate::version::ProtocolVersion;
use crate::writer::Writer;

/// An encoder of one direction of one connection.
#[derive(Debug, Default)]
pub struct Encoder {
    /// Of bodies (v3, v4).
    compression: Option<Compression>,
    /// Whether envelopes go into segments, and whether those are compressed.
    segments: Option<bool>,
    /// Whole envelopes that wait for a segment.
    waiting: BytesMut,
    out: BytesMut,
}

/// What an envelope's header says beside its body's length.
struct Start {
    version: ProtocolVersion,
    direction: u8,
    flags: u8,
    stream: i16,
    opcode: Opcode,
}

impl Encoder {
    /// An encoder of a connection that has not started.
    pub fn new() -> Self {
        Self::default()
    }

    /// Bodies are compressed from now on (v3, v4).
    pub fn set_compression(&mut self, compression: Option<Compression>) {
        self.compression = compression;
    }

    /// Envelopes go into segments from now on (v5).
    pub fn start_segments(&mut self, compression: Option<Compression>) {
        self.compression = None;
        self.segments = Some(compression == Some(Compression::Lz4));
    }

    /// Writes a response. One that is too big for the protocol becomes an error that says so.
    pub fn response(&mut self, version: ProtocolVersion, stream: i16, message: &ResponseMessage) {
        let (flags, opcode) = (message.flags(version), message.opcode());
        let start = Start { version, direction: RESPONSE, flags, stream, opcode };
        let Err(length) = self.envelope(&start, |writer| message.write(writer, version)) else { return };
        let message = format!("The answer of {length} bytes exceeds the protocol's maximum of {BODY_BYTES_MAX} bytes");
        let error = ResponseMessage::from(ErrorMessage { message, kind: ErrorKind::Invalid });
        let start = Start { flags: 0, opcode: Opcode::Error, ..start };
        let written = self.envelope(&start, |writer| error.write(writer, version));
        assert!(written.is_ok(), "an error of a few hundred bytes is small enough");
    }

    /// Writes a request, if it can be said in this version.
    pub fn request(
        &mut self,
        version: ProtocolVersion,
        stream: i16,
        message: &RequestMessage,
    ) -> Result<(), WireError> {
        message.check(version)?;
        let start = Start { version, direction: 0, flags: message.flags(), stream, opcode: message.opcode() };
        self.envelope(&start, |writer| message.write(writer, version)).map_err(|count| WireError::TooMany {
            field: "body",
            count,
            max: BODY_BYTES_MAX as usize,
        })
    }

    /// Writes an envelope, or nothing if its body is longer than the protocol allows: then the error is its length.
    fn envelope(&mut self, start: &Start, write: impl FnOnce(&mut Writer<'_>)) -> Result<(), usize> {
        // STARTUP is never compressed: the other side learns from it how to decompress.
        let compression = self.compression.filter(|_| start.opcode != Opcode::Startup);
        let to = if self.segments.is_some() { &mut self.waiting } else { &mut self.out };
        let begin = to.len();
        to.put_u8(start.direction | start.version.number());
        let compressed = if compression.is_some() { COMPRESSED } else { 0 };
        to.put_u8(start.flags | compressed | if start.version.is_beta() { USE_BETA } else { 0 });
        to.put_i16(start.stream);
        to.put_u8(start.opcode as u8);
        to.put_u32(0);
        write(&mut Writer::new(to));
        let length = to.len() - begin - HEADER_BYTES;
        if length > BODY_BYTES_MAX as usize {
            to.truncate(begin);
            return Err(length);
        }
        let length = match compression {
            Some(compression) => {
                let body = to.split_off(begin + HEADER_BYTES);
                compression.compress_body(&body, to);
                to.len() - begin - HEADER_BYTES
            }
            None => length,
        };
        if let Some(place) = to.get_mut(begin + HEADER_BYTES - 4..begin + HEADER_BYTES) {
            place.copy_from_slice(&(length as u32).to_be_bytes());
        }
        if let Some(lz4) = self.segments {
            self.fill_segments(begin, lz4);
        }
        Ok(())
    }

    /// Sends off what waits as soon as it is more than a segment holds. The newest envelope begins at `begin`.
    fn fill_segments(&mut self, begin: usize, lz4: bool) {
        if self.waiting.len() <= SEGMENT_PAYLOAD_BYTES_MAX {
            return;
        }
        let newest = self.waiting.split_off(begin);
        self.seal(lz4);
        if newest.len() <= SEGMENT_PAYLOAD_BYTES_MAX {
            self.waiting = newest;
            return;
        }
        for part in newest.chunks(SEGMENT_PAYLOAD_BYTES_MAX) {
            Segment::write(part, false, lz4, &mut self.out);
        }
    }

    fn seal(&mut self, lz4: bool) {
        if !self.waiting.is_empty() {
            Segment::write(&self.waiting, true, lz4, &mut self.out);
            self.waiting.clear();
        }
    }

    /// Bytes written and not taken yet, about.
    pub fn pending_bytes(&self) -> usize {
        self.out.len() + self.waiting.len()
    }

    /// Takes everything that was written.
    pub fn take(&mut self) -> BytesMut {
        self.flush();
        self.out.split()
    }

    /// Everything that was written, to be consumed from its front as the socket takes it.
    pub fn flush(&mut self) -> &mut BytesMut {
        if let Some(lz4) = self.segments {
            self.seal(lz4);
        }
        &mut self.out
    }

    /// Appends bytes as they are: an answer in a version that is not spoken here.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.flush().put_slice(bytes);
    }
}
