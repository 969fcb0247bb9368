//! Any response, with what may come with it.

use super::CustomPayload;
use super::auth_challenge::AuthChallenge;
use super::auth_success::AuthSuccess;
use super::authenticate::Authenticate;
use super::error::ErrorMessage;
use super::event::Event;
use super::ready::Ready;
use super::result::ResultMessage;
use super::supported::Supported;
use crate::envelope::{CUSTOM_PAYLOAD, Envelope, TRACING, WARNING};
use crate::error::WireError;
use crate::opcode::Opcode;
use crate::reader::Reader;
use crate::version::ProtocolVersion;
use crate::writer::Writer;

/// A response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponseMessage {
    /// The session in which the request was traced.
    pub tracing_id: Option<[u8; 16]>,
    /// Warnings (v4 and later; version 3 does not hear of them).
    pub warnings: Vec<String>,
    /// Custom payload (v4 and later).
    pub custom_payload: CustomPayload,
    /// The answer.
    pub body: Response,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Response {
    Error(ErrorMessage),
    Ready(Ready),
    Authenticate(Authenticate),
    Supported(Supported),
    Result(ResultMessage),
    Event(Event),
    AuthChallenge(AuthChallenge),
    AuthSuccess(AuthSuccess),
}

impl From<Response> for ResponseMessage {
    fn from(body: Response) -> Self {
        Self { tracing_id: None, warnings: Vec::new(), custom_payload: Vec::new(), body }
    }
}

impl From<ErrorMessage> for ResponseMessage {
    fn from(error: ErrorMessage) -> Self {
        Response::Error(error).into()
    }
}

impl ResponseMessage {
    /// Its opcode.
    pub fn opcode(&self) -> Opcode {
        match &self.body {
            Response::Error(_) => Opcode::Error,
            Response::Ready(_) => Opcode::Ready,
            Response::Authenticate(_) => Opcode::Authenticate,
            Response::Supported(_) => Opcode::Supported,
            Response::Result(_) => Opcode::Result,
            Response::Event(_) => Opcode::Event,
            Response::AuthChallenge(_) => Opcode::AuthChallenge,
            Response::AuthSuccess(_) => Opcode::AuthSuccess,
        }
    }

    /// The flags of its envelope.
    pub fn flags(&self, version: ProtocolVersion) -> u8 {
        let mut flags = if self.tracing_id.is_some() { TRACING } else { 0 };
        if version >= ProtocolVersion::V4 {
            flags |= if self.warnings.is_empty() { 0 } else { WARNING };
            flags |= if self.custom_payload.is_empty() { 0 } else { CUSTOM_PAYLOAD };
        }
        flags
    }

    /// Reads the body of an envelope.
    pub fn read(envelope: &Envelope) -> Result<Self, WireError> {
        let version = envelope.version;
        let mut reader = Reader::new(envelope.body.clone());
        let reader = &mut reader;
        let flag = |flag| envelope.flags & flag != 0;
        let tracing_id = if flag(TRACING) { Some(reader.uuid("tracing id")?) } else { None };
        let warnings = if flag(WARNING) { reader.string_list("warning")? } else { Vec::new() };
        let custom_payload = if flag(CUSTOM_PAYLOAD) { reader.bytes_map("custom payload")? } else { Vec::new() };
        let body = match envelope.opcode {
            Opcode::Error => Response::Error(ErrorMessage::read(reader, version)?),
            Opcode::Ready => Response::Ready(Ready),
            Opcode::Authenticate => Response::Authenticate(Authenticate::read(reader)?),
            Opcode::Supported => Response::Supported(Supported::read(reader)?),
            Opcode::Result => Response::Result(ResultMessage::read(reader, version)?),
            Opcode::Event => Response::Event(Event::read(reader)?),
            Opcode::AuthChallenge => Response::AuthChallenge(AuthChallenge::read(reader)?),
            Opcode::AuthSuccess => Response::AuthSuccess(AuthSuccess::read(reader)?),
            _ => return Err(WireError::UnknownName { field: "response", found: envelope.opcode.name().to_owned() }),
        };
        Ok(Self { tracing_id, warnings, custom_payload, body })
    }

    /// Writes the body of its envelope.
    pub fn write(&self, writer: &mut Writer<'_>, version: ProtocolVersion) {
        let flags = self.flags(version);
        if let Some(id) = &self.tracing_id {
            writer.raw(id);
        }
        if flags & WARNING != 0 {
            writer.string_list(&self.warnings);
        }
        if flags & CUSTOM_PAYLOAD != 0 {
            writer.bytes_map(&self.custom_payload);
        }
        match &self.body {
            Response::Error(error) => error.write(writer, version),
            Response::Ready(Ready) => {}
            Response::Authenticate(authenticate) => authenticate.write(writer),
            Response::Supported(supported) => supported.write(writer),
            Response::Result(result) => result.write(writer, version),
            Response::Event(event) => event.write(writer, version),
            Response::AuthChallenge(challenge) => challenge.write(writer),
            Response::AuthSuccess(success) => success.write(writer),
        }
    }
}
