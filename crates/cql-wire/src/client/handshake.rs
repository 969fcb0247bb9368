//! How a connection is opened: `OPTIONS`, `STARTUP`, and a password if it is asked for.
//!
//! A server that does not speak a version says so on the first request, in words that differ from server to server but
//! always name the protocol version; the next lower version is tried then, on a new socket.

use super::{ClientError, ClientOptions};
use crate::connection::{ClientConnection, FromServer};
use crate::message::auth_response::AuthResponse;
use crate::message::error::{ErrorKind, ErrorMessage};
use crate::message::options::Options;
use crate::message::startup::Startup;
use crate::message::supported::Supported;
use crate::message::{Request, Response};
use crate::version::ProtocolVersion;

/// The stream of all that is asked before requests are taken.
const STREAM: i16 = 0;

/// Where the opening stands, by what has no answer yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Options,
    Startup,
    Authentication,
    Done,
    /// The server wants a lower version, on a new socket.
    Lower(ProtocolVersion),
}

impl Step {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Options => "OPTIONS",
            Self::Startup => "STARTUP",
            Self::Authentication => "AUTH_RESPONSE",
            Self::Done | Self::Lower(_) => "nothing",
        }
    }
}

/// A connection that is being opened.
#[derive(Debug)]
pub(super) struct Handshake {
    step: Step,
}

impl Handshake {
    /// Asks what the server supports.
    pub(super) fn begin(connection: &mut ClientConnection) -> Result<Self, ClientError> {
        connection.request(STREAM, &Request::Options(Options).into()).map_err(ClientError::Request)?;
        Ok(Self { step: Step::Options })
    }

    pub(super) fn step(&self) -> Step {
        self.step
    }

    /// Takes an answer and sends what follows.
    pub(super) fn step_on(
        &mut self,
        connection: &mut ClientConnection,
        options: &ClientOptions,
        message: FromServer,
    ) -> Result<Step, ClientError> {
        let response = match message {
            FromServer::Response { response, .. } => response,
            FromServer::Bad { error, .. } => return Err(ClientError::Request(error)),
            FromServer::Refused { refusal, .. } => return Err(ClientError::Refused(refusal)),
        };
        let found = response.opcode().name();
        self.step = match (self.step, response.body) {
            (_, Response::Error(error)) => return self.refused(connection.version(), error),
            (Step::Options, Response::Supported(supported)) => {
                check_compression(options, &supported)?;
                let mut startup = Startup::new(options.compression);
                startup.options.extend(options.startup.iter().cloned());
                send(connection, Request::Startup(startup))?;
                Step::Startup
            }
            (Step::Startup, Response::Ready(_)) | (Step::Authentication, Response::AuthSuccess(_)) => Step::Done,
            (Step::Startup, Response::Authenticate(asked)) => {
                let Some(who) = &options.credentials else {
                    return Err(ClientError::Credentials { authenticator: asked.class });
                };
                send(connection, Request::AuthResponse(AuthResponse::plain(&who.user, &who.password)))?;
                Step::Authentication
            }
            (step, _) => return Err(ClientError::Unexpected { step: step.name(), found }),
        };
        Ok(self.step)
    }

    fn refused(&self, version: ProtocolVersion, error: ErrorMessage) -> Result<Step, ClientError> {
        let of_version = error.kind == ErrorKind::Protocol && error.message.to_lowercase().contains("protocol version");
        let lower = ProtocolVersion::ALL.into_iter().rev().find(|lower| *lower < version);
        match lower {
            Some(lower) if of_version && matches!(self.step, Step::Options | Step::Startup) => Ok(Step::Lower(lower)),
            _ => Err(ClientError::Handshake { step: self.step.name(), version, error }),
        }
    }
}

fn send(connection: &mut ClientConnection, request: Request) -> Result<(), ClientError> {
    connection.request(STREAM, &request.into()).map_err(ClientError::Request)
}

fn check_compression(options: &ClientOptions, supported: &Supported) -> Result<(), ClientError> {
    let Some(wanted) = options.compression.map(|compression| compression.name()) else { return Ok(()) };
    let is_offer = |(name, _): &&(String, Vec<String>)| name.eq_ignore_ascii_case("COMPRESSION");
    let offered = supported.options.iter().find(is_offer).map(|(_, offered)| offered.as_slice()).unwrap_or_default();
    if offered.iter().any(|name| name.eq_ignore_ascii_case(wanted)) {
        return Ok(());
    }
    Err(ClientError::Compression { wanted, offered: offered.to_vec() })
}
