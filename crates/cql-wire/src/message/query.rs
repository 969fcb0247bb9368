//! `QUERY`: a statement as text.

use super::query_parameters::QueryParameters;
use crate::error::WireError;
use crate::reader::Reader;
use crate::version::ProtocolVersion;
use crate::writer::Writer;

/// The request.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    /// CQL.
    pub text: String,
    /// How it is to be executed.
    pub parameters: QueryParameters,
}

impl Query {
    /// Reads the body.
    pub fn read(reader: &mut Reader, version: ProtocolVersion) -> Result<Self, WireError> {
        Ok(Self { text: reader.long_string("statement")?, parameters: QueryParameters::read(reader, version)? })
    }

    /// Writes the body.
    pub fn write(&self, writer: &mut Writer<'_>, version: ProtocolVersion) {
        writer.long_string(&self.text);
        self.parameters.write(writer, version);
    }
}
