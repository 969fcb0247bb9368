//! The client's end.

use bytes::BytesMut;

use crate::compression::Compression;
use crate::decoder::{Decoder, Received};
use crate::encoder::Encoder;
use crate::envelope::Side;
use crate::error::{FramingError, Refusal, WireError};
use crate::limits::BODY_BYTES_MAX;
use crate::message::startup::Startup;
use crate::message::{Request, RequestMessage, Response, ResponseMessage};
use crate::version::ProtocolVersion;

/// What a server sent.
#[derive(Clone, Debug, PartialEq)]
pub enum FromServer {
    /// A response or an event.
    #[allow(missing_docs, reason = "the names say it")]
    Response { stream: i16, response: ResponseMessage },
    /// A response that makes no sense.
    #[allow(missing_docs, reason = "the names say it")]
    Bad { stream: i16, error: WireError },
    /// A response that was not taken.
    #[allow(missing_docs, reason = "the names say it")]
    Refused { stream: i16, refusal: Refusal },
}

/// The client's end of a connection: responses out of bytes, bytes out of requests.
#[derive(Debug)]
pub struct ClientConnection {
    version: ProtocolVersion,
    compression: Option<Compression>,
    started: bool,
    decoder: Decoder,
    encoder: Encoder,
}

impl ClientConnection {
    /// A connection that will speak this version. Snappy is of v3 and v4 only.
    pub fn new(version: ProtocolVersion, compression: Option<Compression>) -> Result<Self, WireError> {
        Startup::new(compression).compression(version)?;
        let mut decoder = Decoder::new(Side::Client, BODY_BYTES_MAX);
        decoder.set_body_compression(compression);
        Ok(Self { version, compression, started: false, decoder, encoder: Encoder::new() })
    }

    /// Its version.
    pub fn version(&self) -> ProtocolVersion {
        self.version
    }

    /// Writes the `STARTUP` that opens it. Nothing else but `OPTIONS` may be sent before the server has answered it.
    pub fn start(&mut self, stream: i16) -> Result<(), WireError> {
        self.start_with(stream, Vec::new())
    }

    /// [`ClientConnection::start`] with more options: names and values.
    pub fn start_with(&mut self, stream: i16, options: Vec<(String, String)>) -> Result<(), WireError> {
        let mut startup = Startup::new(self.compression);
        startup.options.extend(options);
        self.request(stream, &Request::Startup(startup).into())
    }

    /// Writes a request.
    pub fn request(&mut self, stream: i16, request: &RequestMessage) -> Result<(), WireError> {
        self.encoder.request(self.version, stream, request)
    }

    /// Where to put the bytes that arrive.
    pub fn input(&mut self) -> &mut BytesMut {
        self.decoder.buffer()
    }

    /// What is to be sent, to be consumed from its front as the socket takes it.
    pub fn output(&mut self) -> &mut BytesMut {
        self.encoder.flush()
    }

    /// The next response; `None` until more bytes arrive. After an error the connection is to be closed.
    pub fn receive(&mut self) -> Result<Option<FromServer>, FramingError> {
        let envelope = match self.decoder.receive()? {
            None => return Ok(None),
            Some(Received::Refused(refused)) => {
                return Ok(Some(FromServer::Refused { stream: refused.stream, refusal: refused.refusal }));
            }
            Some(Received::Envelope(envelope)) => envelope,
        };
        let stream = envelope.stream;
        let response = match ResponseMessage::read(&envelope) {
            Ok(response) => response,
            Err(error) => return Ok(Some(FromServer::Bad { stream, error })),
        };
        if !self.started && matches!(response.body, Response::Ready(_) | Response::Authenticate(_)) {
            self.started = true;
            self.decoder.start(self.version, self.compression);
            if self.version.is_segmented() {
                self.encoder.start_segments(self.compression);
            } else {
                self.encoder.set_compression(self.compression);
            }
        }
        Ok(Some(FromServer::Response { stream, response }))
    }
}
