//! `AUTHENTICATE`: the server wants to know who the client is.

use crate::error::WireError;
use crate::reader::Reader;
use crate::writer::Writer;

/// The class that drivers take for 'user name and password', as SASL PLAIN.
pub const PASSWORD_AUTHENTICATOR: &str = "org.apache.cassandra.auth.PasswordAuthenticator";

/// The response to `STARTUP` where authentication is on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authenticate {
    /// The authenticator's class name.
    pub class: String,
}

impl Authenticate {
    /// Reads the body.
    pub fn read(reader: &mut Reader) -> Result<Self, WireError> {
        Ok(Self { class: reader.string("authenticator")? })
    }

    /// Writes the body.
    pub fn write(&self, writer: &mut Writer<'_>) {
        writer.string(&self.class);
    }
}
