//! A client of the native protocol as a machine: bytes in, bytes out, no socket and no clock.
//!
//! [`Client`] opens a connection (version, compression, password), keeps apart what is in flight by its stream, and hands
//! back each answer with the tag that its request was given. [`Pages`] asks for a result page by page.
//!
//! ```text
//! let mut client = Client::new(ClientOptions::default())?;      // OPTIONS is in output() already
//! loop {
//!     write client.output() to the socket, taking what was written off its front;
//!     read from the socket into client.input();                 // end of file: return client.hang_up()
//!     while let Some(arrived) = client.receive()? {
//!         match arrived {
//!             Arrived::Reconnect(_) => open a new socket; what is to be sent on it is in output() already
//!             Arrived::Ready => client.request(&request, tag)?  // up to in_flight_max of them
//!             Arrived::Answer { tag, response } => …
//!             Arrived::Garbled { tag, error } => …              // an answer that makes no sense; the connection lives
//!             Arrived::Event(event) => …                        // after a REGISTER
//!         }
//!     }
//! }
//! ```
//!
//! **What it leaves to its owner**: sockets, time limits, several connections, and what to do about errors in answers. An
//! `UNPREPARED` among them wants the statement prepared again. A request that its owner gave up keeps its stream until its
//! answer comes: only the server can say that a stream is free.
//!
//! **Invariants.** A stream belongs to one request at a time. Each request comes back once, as answer or garbled, or the
//! connection has ended with an error. Whatever the server sends, nothing panics.

mod error;
mod handshake;
mod pages;
mod streams;
#[cfg(test)]
mod tests;

pub use error::ClientError;
pub use pages::Pages;

use bytes::{Buf as _, BytesMut};

use crate::compression::Compression;
use crate::connection::{ClientConnection, FromServer};
use crate::error::WireError;
use crate::limits::IN_FLIGHT_MAX;
use crate::message::event::{EVENT_STREAM, Event};
use crate::message::{RequestMessage, Response, ResponseMessage};
use crate::version::ProtocolVersion;
use handshake::{Handshake, Step};
use streams::Streams;

/// How to connect.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// The version to begin with; if the server does not speak it, lower ones follow.
    pub version: ProtocolVersion,
    /// Compression to ask for. Snappy is of v3 and v4 only.
    pub compression: Option<Compression>,
    /// User and password, if the server asks for them.
    pub credentials: Option<Credentials>,
    /// Further options of `STARTUP`, such as `DRIVER_NAME`.
    pub startup: Vec<(String, String)>,
    /// Requests in flight at most, up to [`IN_FLIGHT_MAX`].
    pub in_flight_max: usize,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            version: ProtocolVersion::V5,
            compression: None,
            credentials: None,
            startup: Vec::new(),
            in_flight_max: IN_FLIGHT_MAX,
        }
    }
}

/// Who the client is.
#[derive(Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Credentials {
    pub user: String,
    pub password: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

/// What came.
#[derive(Clone, Debug, PartialEq)]
pub enum Arrived<T> {
    /// The server does not speak the version that was tried: open a new socket for this lower one. The bytes that open it
    /// are in [`Client::output`], and whatever the old socket still brings must not get into [`Client::input`].
    Reconnect(ProtocolVersion),
    /// The connection is open. It comes once.
    Ready,
    /// The answer to a request.
    #[allow(missing_docs, reason = "the names say it")]
    Answer { tag: T, response: ResponseMessage },
    /// An answer that cannot be read, and why.
    #[allow(missing_docs, reason = "the names say it")]
    Garbled { tag: T, error: WireError },
    /// Something that the client has registered for.
    Event(Event),
}

/// A client's end of one connection, from its opening on. `T` is what its owner wants back with each answer.
#[derive(Debug)]
pub struct Client<T> {
    options: ClientOptions,
    connection: ClientConnection,
    /// While the connection is being opened.
    handshake: Option<Handshake>,
    streams: Streams<T>,
}

impl<T> Client<T> {
    /// A client that begins to connect: what to send is in [`Client::output`].
    pub fn new(options: ClientOptions) -> Result<Self, ClientError> {
        let (connection, handshake) = Self::open(&options)?;
        let streams = Streams::new(options.in_flight_max.clamp(1, IN_FLIGHT_MAX));
        Ok(Self { options, connection, handshake: Some(handshake), streams })
    }

    fn open(options: &ClientOptions) -> Result<(ClientConnection, Handshake), ClientError> {
        let compression = options.compression;
        let mut connection = ClientConnection::new(options.version, compression).map_err(ClientError::Request)?;
        let handshake = Handshake::begin(&mut connection)?;
        Ok((connection, handshake))
    }

    /// The version that is spoken, or tried.
    pub fn version(&self) -> ProtocolVersion {
        self.connection.version()
    }

    /// Whether requests are taken.
    pub fn is_ready(&self) -> bool {
        self.handshake.is_none()
    }

    /// Requests that wait for their answers.
    pub fn in_flight(&self) -> usize {
        self.streams.in_flight()
    }

    /// Requests that may be added now.
    pub fn room(&self) -> usize {
        if self.is_ready() { self.streams.room() } else { 0 }
    }

    /// Where to put the bytes that arrive.
    pub fn input(&mut self) -> &mut BytesMut {
        self.connection.input()
    }

    /// What is to be sent, to be taken off its front as the socket takes it.
    pub fn output(&mut self) -> &mut BytesMut {
        self.connection.output()
    }

    /// Sends a request; its answer comes back with the tag. Requests before [`Arrived::Ready`], more than fit, and those
    /// that the version has no words for are refused, and nothing is sent.
    pub fn request(&mut self, request: &RequestMessage, tag: T) -> Result<(), ClientError> {
        if let Some(handshake) = &self.handshake {
            return Err(ClientError::NotReady { step: handshake.step().name() });
        }
        let Some(stream) = self.streams.take(tag) else {
            return Err(ClientError::Full { max: self.streams.max() });
        };
        if let Err(error) = self.connection.request(stream, request) {
            self.streams.give_back(stream);
            return Err(ClientError::Request(error));
        }
        Ok(())
    }

    /// The next thing that came; `None` until more bytes arrive. After an error the connection is to be closed.
    pub fn receive(&mut self) -> Result<Option<Arrived<T>>, ClientError> {
        loop {
            let Some(message) = self.connection.receive().map_err(ClientError::Framing)? else { return Ok(None) };
            if self.handshake.is_some() {
                match self.proceed(message)? {
                    Some(arrived) => return Ok(Some(arrived)),
                    None => continue,
                }
            }
            return self.arrived(message).map(Some);
        }
    }

    /// A message while the connection is being opened.
    fn proceed(&mut self, message: FromServer) -> Result<Option<Arrived<T>>, ClientError> {
        let Some(handshake) = &mut self.handshake else { return Ok(None) };
        match handshake.step_on(&mut self.connection, &self.options, message)? {
            Step::Lower(version) => {
                self.options.version = version;
                let (connection, handshake) = Self::open(&self.options)?;
                (self.connection, self.handshake) = (connection, Some(handshake));
                Ok(Some(Arrived::Reconnect(version)))
            }
            Step::Done => {
                self.handshake = None;
                Ok(Some(Arrived::Ready))
            }
            Step::Options | Step::Startup | Step::Authentication => Ok(None),
        }
    }

    fn arrived(&mut self, message: FromServer) -> Result<Arrived<T>, ClientError> {
        let stream = match &message {
            FromServer::Response { stream, response } => match &response.body {
                Response::Event(event) if *stream == EVENT_STREAM => return Ok(Arrived::Event(event.clone())),
                _ => *stream,
            },
            FromServer::Bad { stream, .. } | FromServer::Refused { stream, .. } => *stream,
        };
        let Some(tag) = self.streams.give_back(stream) else {
            // A server that cannot tell whom an error is for says it on some stream, and hangs up.
            return Err(match message {
                FromServer::Response { response: ResponseMessage { body: Response::Error(error), .. }, .. } => {
                    ClientError::Connection(error)
                }
                FromServer::Bad { error, .. } if stream == EVENT_STREAM => ClientError::Event(error),
                _ => ClientError::Stream { stream },
            });
        };
        Ok(match message {
            FromServer::Response { response, .. } => Arrived::Answer { tag, response },
            FromServer::Bad { error, .. } => Arrived::Garbled { tag, error },
            FromServer::Refused { refusal, .. } => return Err(ClientError::Refused(refusal)),
        })
    }

    /// The error to report when the server has closed the connection: what was being waited for.
    pub fn hang_up(&mut self) -> ClientError {
        let bytes = self.connection.input().remaining();
        match &self.handshake {
            Some(handshake) => ClientError::HungUpEarly { step: handshake.step().name(), version: self.version() },
            None => ClientError::HungUp { in_flight: self.in_flight(), bytes },
        }
    }

    /// Takes back the tags of all requests that were not answered, once the connection has ended.
    pub fn abandon(&mut self) -> impl Iterator<Item = T> + use<T> {
        self.streams.abandon()
    }
}
