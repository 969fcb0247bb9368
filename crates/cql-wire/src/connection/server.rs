//! The server's end.

use bytes::BytesMut;

use crate::compression::Compression;
use crate::decoder::{Decoder, Received, Refused};
use crate::encoder::Encoder;
use crate::envelope::Side;
use crate::error::FramingError;
use crate::message::error::ErrorMessage;
use crate::message::{Request, RequestMessage, Response, ResponseMessage};
use crate::version::ProtocolVersion;

/// What a client sent.
#[derive(Clone, Debug, PartialEq)]
pub enum FromClient {
    /// A request. It wants one response, in its version and on its stream. Its values lie within a body of so many bytes,
    /// decompressed.
    #[allow(missing_docs, reason = "the names say it")]
    Request { version: ProtocolVersion, stream: i16, request: RequestMessage, body_bytes: usize },
    /// Something that cannot be taken, and the error to answer; the connection lives.
    #[allow(missing_docs, reason = "the names say it")]
    Refused { version: ProtocolVersion, stream: i16, error: ErrorMessage },
}

/// The server's end of a connection: requests out of bytes, bytes out of responses.
#[derive(Debug)]
pub struct ServerConnection {
    decoder: Decoder,
    encoder: Encoder,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing was agreed.
    New,
    /// A `STARTUP` was handed out on this stream. What comes after it cannot be read before it is answered.
    Starting { version: ProtocolVersion, compression: Option<Compression>, stream: i16 },
    /// Version and compression are agreed.
    Started(ProtocolVersion),
}

impl ServerConnection {
    /// A connection that takes requests of at most so many bytes.
    pub fn new(body_bytes_max: u32) -> Self {
        Self { decoder: Decoder::new(Side::Server, body_bytes_max), encoder: Encoder::new(), state: State::New }
    }

    /// Where to put the bytes that arrive.
    pub fn input(&mut self) -> &mut BytesMut {
        self.decoder.buffer()
    }

    /// Bytes that arrived and are not yet a request.
    pub fn held_bytes(&self) -> usize {
        self.decoder.held_bytes()
    }

    /// Bytes of a request's body that has come in part; see [`Decoder::awaited_bytes`].
    pub fn awaited_bytes(&self) -> usize {
        self.decoder.awaited_bytes()
    }

    /// The agreed version.
    pub fn version(&self) -> Option<ProtocolVersion> {
        match self.state {
            State::Started(version) => Some(version),
            _ => None,
        }
    }

    /// The next request; `None` until more bytes arrive, or a `STARTUP` is answered. After an error the connection is to
    /// be closed, once what [`ServerConnection::fail`] has written is sent.
    pub fn receive(&mut self) -> Result<Option<FromClient>, FramingError> {
        if matches!(self.state, State::Starting { .. }) {
            return Ok(None);
        }
        let envelope = match self.decoder.receive()? {
            None => return Ok(None),
            Some(Received::Refused(Refused { version, stream, refusal })) => {
                return Ok(Some(FromClient::Refused { version, stream, error: refusal.to_message() }));
            }
            Some(Received::Envelope(envelope)) => envelope,
        };
        let (version, stream, body_bytes) = (envelope.version, envelope.stream, envelope.body.len());
        let refused = |error: ErrorMessage| Ok(Some(FromClient::Refused { version, stream, error }));
        let request = match RequestMessage::read(&envelope) {
            Ok(request) => request,
            Err(error) => return refused(error.to_message()),
        };
        if let Request::Startup(startup) = &request.body
            && self.state == State::New
        {
            match startup.compression(version) {
                Ok(compression) => self.state = State::Starting { version, compression, stream },
                Err(error) => return refused(error.to_message()),
            }
        }
        Ok(Some(FromClient::Request { version, stream, request, body_bytes }))
    }

    /// Writes a response. `READY` and `AUTHENTICATE` to a `STARTUP` start the connection: what comes after them, either
    /// way, has the agreed version, compression and segments.
    pub fn respond(&mut self, version: ProtocolVersion, stream: i16, response: &ResponseMessage) {
        let State::Starting { version: agreed, compression, stream: startup } = self.state else {
            return self.encoder.response(version, stream, response);
        };
        if startup != stream {
            return self.encoder.response(version, stream, response);
        }
        if !matches!(response.body, Response::Ready(_) | Response::Authenticate(_)) {
            self.state = State::New;
            return self.encoder.response(version, stream, response);
        }
        self.state = State::Started(agreed);
        if agreed.is_segmented() {
            self.encoder.response(version, stream, response);
            self.encoder.start_segments(compression);
        } else {
            self.encoder.set_compression(compression);
            self.encoder.response(version, stream, response);
        }
        self.decoder.start(agreed, compression);
    }

    /// Tells the client why the connection ends.
    pub fn fail(&mut self, error: &FramingError) {
        match error {
            FramingError::Version { answer, .. } => self.encoder.raw(answer),
            FramingError::BodyLength { stream, .. } => self.fail_on(*stream, error),
            _ => self.fail_on(0, error),
        }
    }

    fn fail_on(&mut self, stream: i16, error: &FramingError) {
        let version = self.version().unwrap_or(ProtocolVersion::V5);
        self.encoder.response(version, stream, &error.to_message().into());
    }

    /// What is to be sent, to be consumed from its front as the socket takes it.
    pub fn output(&mut self) -> &mut BytesMut {
        self.encoder.flush()
    }

    /// Bytes to be sent, about.
    pub fn output_bytes(&self) -> usize {
        self.encoder.pending_bytes()
    }
}
