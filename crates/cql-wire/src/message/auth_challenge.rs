//! `AUTH_CHALLENGE`: the server's SASL token; the client answers with another AUTH_RESPONSE.

use bytes::Bytes;

use crate::error::WireError;
use crate::reader::Reader;
use crate::writer::Writer;

/// A token of the SASL exchange.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct AuthChallenge {
    /// The token.
    pub token: Option<Bytes>,
}

impl AuthChallenge {
    /// Reads the body.
    pub fn read(reader: &mut Reader) -> Result<Self, WireError> {
        Ok(Self { token: reader.bytes("token")? })
    }

    /// Writes the body.
    pub fn write(&self, writer: &mut Writer<'_>) {
        writer.bytes(self.token.as_ref());
    }
}
