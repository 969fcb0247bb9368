//! Any request, with what may come with it.

use super::CustomPayload;
use super::auth_response::AuthResponse;
use super::batch::{Batch, BatchText};
use super::execute::Execute;
use super::options::Options;
use super::prepare::Prepare;
use super::query::Query;
use super::query_parameters::{check_count, check_text};
use super::register::Register;
use super::startup::Startup;
use crate::envelope::{CUSTOM_PAYLOAD, Envelope, TRACING};
use crate::error::WireError;
use crate::opcode::Opcode;
use crate::reader::Reader;
use crate::version::ProtocolVersion;
use crate::writer::Writer;

/// A request.
#[derive(Clone, Debug, PartialEq)]
pub struct RequestMessage {
    /// Whether to record what each replica did.
    pub tracing: bool,
    /// Custom payload (v4 and later).
    pub custom_payload: CustomPayload,
    /// What is asked.
    pub body: Request,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Request {
    Startup(Startup),
    Options(Options),
    AuthResponse(AuthResponse),
    Query(Query),
    Prepare(Prepare),
    Execute(Execute),
    Batch(Batch),
    Register(Register),
}

impl From<Request> for RequestMessage {
    fn from(body: Request) -> Self {
        Self { tracing: false, custom_payload: Vec::new(), body }
    }
}

impl RequestMessage {
    /// Its opcode.
    pub fn opcode(&self) -> Opcode {
        match &self.body {
            Request::Startup(_) => Opcode::Startup,
            Request::Options(_) => Opcode::Options,
            Request::AuthResponse(_) => Opcode::AuthResponse,
            Request::Query(_) => Opcode::Query,
            Request::Prepare(_) => Opcode::Prepare,
            Request::Execute(_) => Opcode::Execute,
            Request::Batch(_) => Opcode::Batch,
            Request::Register(_) => Opcode::Register,
        }
    }

    /// The flags of its envelope.
    pub fn flags(&self) -> u8 {
        let payload = if self.custom_payload.is_empty() { 0 } else { CUSTOM_PAYLOAD };
        payload | if self.tracing { TRACING } else { 0 }
    }

    /// Reads the body of an envelope. Bytes after the message are passed over, as Cassandra does.
    pub fn read(envelope: &Envelope) -> Result<Self, WireError> {
        let version = envelope.version;
        let mut reader = Reader::new(envelope.body.clone());
        let custom_payload = if envelope.flags & CUSTOM_PAYLOAD != 0 {
            if version < ProtocolVersion::V4 {
                return Err(WireError::NotInVersion { field: "a custom payload", version: version.number() });
            }
            reader.bytes_map("custom payload")?
        } else {
            Vec::new()
        };
        let reader = &mut reader;
        let body = match envelope.opcode {
            Opcode::Startup => Request::Startup(Startup::read(reader)?),
            Opcode::Options => Request::Options(Options),
            Opcode::AuthResponse => Request::AuthResponse(AuthResponse::read(reader)?),
            Opcode::Query => Request::Query(Query::read(reader, version)?),
            Opcode::Prepare => Request::Prepare(Prepare::read(reader, version)?),
            Opcode::Execute => Request::Execute(Execute::read(reader, version)?),
            Opcode::Batch => Request::Batch(Batch::read(reader, version)?),
            Opcode::Register => Request::Register(Register::read(reader)?),
            _ => return Err(WireError::UnknownName { field: "request", found: envelope.opcode.name().to_owned() }),
        };
        Ok(Self { tracing: envelope.flags & TRACING != 0, custom_payload, body })
    }

    /// Whether it can be said in a version without losing anything.
    pub fn check(&self, version: ProtocolVersion) -> Result<(), WireError> {
        if !self.custom_payload.is_empty() && version < ProtocolVersion::V4 {
            return Err(WireError::NotInVersion { field: "a custom payload", version: version.number() });
        }
        check_count(self.custom_payload.len(), "custom payload")?;
        for (key, _) in &self.custom_payload {
            check_text(key, "custom payload's key")?;
        }
        match &self.body {
            Request::Startup(startup) => {
                check_count(startup.options.len(), "STARTUP options")?;
                startup.options.iter().try_for_each(|(key, value)| {
                    check_text(key, "STARTUP option").and_then(|()| check_text(value, "STARTUP option"))
                })
            }
            Request::Query(query) => query.parameters.check(version),
            Request::Execute(execute) => {
                check_count(execute.id.len(), "statement's id")?;
                check_count(execute.result_metadata_id.len(), "result metadata id")?;
                execute.parameters.check(version)
            }
            Request::Batch(batch) => {
                for (text, _) in &batch.statements {
                    if let BatchText::Prepared(id) = text {
                        check_count(id.len(), "statement's id")?;
                    }
                }
                batch.check(version)
            }
            Request::Prepare(prepare) => match &prepare.keyspace {
                Some(_) if version < ProtocolVersion::V5 => {
                    Err(WireError::NotInVersion { field: "a request's keyspace", version: version.number() })
                }
                keyspace => check_text(keyspace.as_deref().unwrap_or_default(), "keyspace"),
            },
            Request::Options(_) | Request::AuthResponse(_) | Request::Register(_) => Ok(()),
        }
    }

    /// Writes the body of its envelope.
    pub fn write(&self, writer: &mut Writer<'_>, version: ProtocolVersion) {
        if !self.custom_payload.is_empty() {
            writer.bytes_map(&self.custom_payload);
        }
        match &self.body {
            Request::Startup(startup) => startup.write(writer),
            Request::Options(Options) => {}
            Request::AuthResponse(response) => response.write(writer),
            Request::Query(query) => query.write(writer, version),
            Request::Prepare(prepare) => prepare.write(writer, version),
            Request::Execute(execute) => execute.write(writer, version),
            Request::Batch(batch) => batch.write(writer, version),
            Request::Register(register) => register.write(writer),
        }
    }
}
