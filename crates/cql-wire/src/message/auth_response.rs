//! `AUTH_RESPONSE`: the client's SASL token.

use bytes::Bytes;

use crate::error::WireError;
use crate::reader::Reader;
use crate::writer::Writer;

/// A token of the SASL exchange.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct AuthResponse {
    /// The token.
    pub token: Option<Bytes>,
}

impl AuthResponse {
    /// The token of SASL PLAIN: `authorization NUL user NUL password`, the first mostly empty.
    pub fn plain(user: &str, password: &str) -> Self {
        Self { token: Some(format!("\0{user}\0{password}").into_bytes().into()) }
    }

    /// User and password of such a token.
    pub fn parse_plain(&self) -> Option<(&str, &str)> {
        let token = std::str::from_utf8(self.token.as_ref()?).ok()?;
        let mut parts = token.split('\0');
        let (_, user, password) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() { None } else { Some((user, password)) }
    }

    /// Reads the body.
    pub fn read(reader: &mut Reader) -> Result<Self, WireError> {
        Ok(Self { token: reader.bytes("token")? })
    }

    /// Writes the body.
    pub fn write(&self, writer: &mut Writer<'_>) {
        writer.bytes(self.token.as_ref());
    }
}
