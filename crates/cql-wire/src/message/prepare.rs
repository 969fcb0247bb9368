//! `PREPARE`: parse a statement now, execute it often.

use crate::error::WireError;
use crate::reader::Reader;
use crate::version::ProtocolVersion;
use crate::writer::Writer;

/// The flag that announces a keyspace. It is the lowest here, other than in a query's parameters.
const WITH_KEYSPACE: i32 = 0x01;

/// The request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepare {
    /// CQL.
    pub text: String,
    /// The statement's keyspace (v5).
    pub keyspace: Option<String>,
}

impl Prepare {
    /// Reads the body.
    pub fn read(reader: &mut Reader, version: ProtocolVersion) -> Result<Self, WireError> {
        let text = reader.long_string("statement")?;
        if version < ProtocolVersion::V5 {
            return Ok(Self { text, keyspace: None });
        }
        let offset = reader.offset();
        let flags = reader.i32("flags")?;
        if flags & !WITH_KEYSPACE != 0 {
            return Err(WireError::UnknownNumber { field: "flags", offset, found: i64::from(flags) });
        }
        let keyspace = if flags & WITH_KEYSPACE != 0 { Some(reader.string("keyspace")?) } else { None };
        Ok(Self { text, keyspace })
    }

    /// Writes the body.
    pub fn write(&self, writer: &mut Writer<'_>, version: ProtocolVersion) {
        writer.long_string(&self.text);
        if version >= ProtocolVersion::V5 {
            writer.i32(if self.keyspace.is_some() { WITH_KEYSPACE } else { 0 });
            if let Some(keyspace) = &self.keyspace {
                writer.string(keyspace);
            }
        }
    }
}
