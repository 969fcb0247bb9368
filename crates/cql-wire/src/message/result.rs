//! `RESULT`: the answer to `QUERY`, `PREPARE`, `EXECUTE` and `BATCH`.

pub mod prepared;
pub mod rows;

pub use prepared::PreparedResult;
pub use rows::RowsResult;

use super::event::SchemaChanged;
use crate::error::WireError;
use crate::reader::Reader;
use crate::version::ProtocolVersion;
use crate::writer::Writer;

const VOID: i32 = 1;
const ROWS: i32 = 2;
const SET_KEYSPACE: i32 = 3;
const PREPARED: i32 = 4;
const SCHEMA_CHANGE: i32 = 5;

/// The response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResultMessage {
    /// Done, nothing to say.
    Void,
    /// Rows of a query.
    Rows(RowsResult),
    /// The connection's keyspace is now this one.
    SetKeyspace(String),
    /// A statement was prepared.
    Prepared(PreparedResult),
    /// The schema changed.
    SchemaChange(SchemaChanged),
}

impl ResultMessage {
    /// Reads the body.
    pub fn read(reader: &mut Reader, version: ProtocolVersion) -> Result<Self, WireError> {
        let offset = reader.offset();
        Ok(match reader.i32("kind of result")? {
            VOID => Self::Void,
            ROWS => Self::Rows(RowsResult::read(reader)?),
            SET_KEYSPACE => Self::SetKeyspace(reader.string("keyspace")?),
            PREPARED => Self::Prepared(PreparedResult::read(reader, version)?),
            SCHEMA_CHANGE => Self::SchemaChange(SchemaChanged::read(reader)?),
            found => {
                return Err(WireError::UnknownNumber { field: "kind of result", offset, found: i64::from(found) });
            }
        })
    }

    /// Writes the body.
    pub fn write(&self, writer: &mut Writer<'_>, version: ProtocolVersion) {
        match self {
            Self::Void => writer.i32(VOID),
            Self::Rows(rows) => {
                writer.i32(ROWS);
                rows.write(writer, version);
            }
            Self::SetKeyspace(keyspace) => {
                writer.i32(SET_KEYSPACE);
                writer.string(keyspace);
            }
            Self::Prepared(prepared) => {
                writer.i32(PREPARED);
                prepared.write(writer, version);
            }
            Self::SchemaChange(change) => {
                writer.i32(SCHEMA_CHANGE);
                change.write(writer, version);
            }
        }
    }
}
