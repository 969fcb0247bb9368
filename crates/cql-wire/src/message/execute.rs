//! `EXECUTE`: run a prepared statement.

use bytes::Bytes;

use super::query_parameters::QueryParameters;
use crate::error::WireError;
use crate::reader::Reader;
use crate::version::ProtocolVersion;
use crate::writer::Writer;

/// The request.
#[derive(Clone, Debug, PartialEq)]
pub struct Execute {
    /// The statement's id, as `RESULT` Prepared gave it.
    pub id: Bytes,
    /// The id of the result's columns that the client knows (v5; empty before).
    pub result_metadata_id: Bytes,
    /// How it is to be executed.
    pub parameters: QueryParameters,
}

impl Execute {
    /// Reads the body.
    pub fn read(reader: &mut Reader, version: ProtocolVersion) -> Result<Self, WireError> {
        let id = reader.short_bytes("statement's id")?;
        let result_metadata_id =
            if version >= ProtocolVersion::V5 { reader.short_bytes("result metadata id")? } else { Bytes::new() };
        Ok(Self { id, result_metadata_id, parameters: QueryParameters::read(reader, version)? })
    }

    /// Writes the body.
    pub fn write(&self, writer: &mut Writer<'_>, version: ProtocolVersion) {
        writer.short_bytes(&self.id);
        if version >= ProtocolVersion::V5 {
            writer.short_bytes(&self.result_metadata_id);
        }
        self.parameters.write(writer, version);
    }
}
