//! `RESULT` of kind Prepared.

use std::sync::Arc;

use bytes::Bytes;
use quorate_model::request::ResultMetadata;

use crate::error::WireError;
use crate::metadata::{Columns, RowsMetadata, read_parameters, write_parameters};
use crate::reader::Reader;
use crate::version::ProtocolVersion;
use crate::writer::Writer;

/// A prepared statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreparedResult {
    /// Its id.
    pub id: Bytes,
    /// The id of its result's columns (v5; empty before).
    pub result_metadata_id: Bytes,
    /// Its bind markers.
    pub parameters: Arc<ResultMetadata>,
    /// For each component of the partition key, the index of the marker that gives it (v4; empty before, and where not
    /// all of them are markers).
    pub partition_key: Vec<u16>,
    /// Its result columns. Of a modification there are none, and that is said with the flag for 'no metadata': drivers
    /// rely on it.
    pub result: Columns,
}

impl PreparedResult {
    /// Reads the body.
    pub fn read(reader: &mut Reader, version: ProtocolVersion) -> Result<Self, WireError> {
        let id = reader.short_bytes("statement's id")?;
        let result_metadata_id =
            if version >= ProtocolVersion::V5 { reader.short_bytes("result metadata id")? } else { Bytes::new() };
        let (parameters, partition_key) = read_parameters(reader, version)?;
        let result = RowsMetadata::read(reader)?.columns;
        Ok(Self { id, result_metadata_id, parameters, partition_key, result })
    }

    /// Writes the body.
    pub fn write(&self, writer: &mut Writer<'_>, version: ProtocolVersion) {
        writer.short_bytes(&self.id);
        if version >= ProtocolVersion::V5 {
            writer.short_bytes(&self.result_metadata_id);
        }
        write_parameters(writer, version, &self.parameters, &self.partition_key);
        let columns = match &self.result {
            Columns::Full(metadata) if metadata.columns.is_empty() => Columns::Skipped(0),
            columns => columns.clone(),
        };
        RowsMetadata { columns, paging_state: None, new_id: None }.write(writer, version);
    }
}
