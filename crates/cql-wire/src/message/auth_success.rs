//! `AUTH_SUCCESS`: the client is who it says; with the mechanism's last token, if it has one.

use bytes::Bytes;

use crate::error::WireError;
use crate::reader::Reader;
use crate::writer::Writer;

/// A token of the SASL exchange.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct AuthSuccess {
    /// The token.
    pub token: Option<Bytes>,
}

impl AuthSuccess {
    /// Reads the body.
    pub fn read(reader: &mut Reader) -> Result<Self, WireError> {
        Ok(Self { token: reader.bytes("token")? })
    }

    /// Writes the body.
    pub fn write(&self, writer: &mut Writer<'_>) {
        writer.bytes(self.token.as_ref());
    }
}
