//! Metadata: the columns of a result and the bind markers of a statement.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use quorate_model::request::{ColumnSpec, ResultMetadata};

use crate::error::WireError;
use crate::limits::{COUNT_MAX, GLOBAL_NAME_BYTES_MAX, METADATA_TYPE_PARTS_MAX};
use crate::reader::Reader;
use crate::types::{TypeBudget, read_part, write_type};
use crate::version::ProtocolVersion;
use crate::writer::Writer;

const GLOBAL_TABLE_SPEC: i32 = 0x01;
const HAS_MORE_PAGES: i32 = 0x02;
const NO_METADATA: i32 = 0x04;
const METADATA_CHANGED: i32 = 0x08;
const KNOWN_FLAGS: i32 = GLOBAL_TABLE_SPEC | HAS_MORE_PAGES | NO_METADATA | METADATA_CHANGED;

/// What a result says of its columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Columns {
    /// Everything.
    Full(Arc<ResultMetadata>),
    /// Only how many there are: the client has asked to leave the rest out, or there are none.
    Skipped(u32),
}

impl Columns {
    /// How many there are.
    pub fn count(&self) -> usize {
        match self {
            Self::Full(metadata) => metadata.columns.len(),
            Self::Skipped(count) => *count as usize,
        }
    }
}

/// A result's metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowsMetadata {
    /// Its columns.
    pub columns: Columns,
    /// How to get the next page; `None` on the last.
    pub paging_state: Option<Bytes>,
    /// The columns are others than those the client knows, and this is their id (v5; never where they are left out).
    pub new_id: Option<Bytes>,
}

/// The id of a result's columns (v5): a hash of their specifications, the same on every node.
pub fn metadata_id(metadata: &ResultMetadata) -> [u8; 16] {
    let mut bytes = BytesMut::new();
    let mut writer = Writer::new(&mut bytes);
    write_columns(&mut writer, ProtocolVersion::V5, metadata, false);
    xxhash_rust::xxh3::xxh3_128(&bytes).to_be_bytes()
}

fn global_table(metadata: &ResultMetadata) -> bool {
    let Some((first, others)) = metadata.columns.split_first() else { return false };
    others.iter().all(|column| column.table == first.table && column.keyspace == first.keyspace)
}

fn write_columns(writer: &mut Writer<'_>, version: ProtocolVersion, metadata: &ResultMetadata, global: bool) {
    if let Some(first) = metadata.columns.first().filter(|_| global) {
        writer.string(&first.keyspace);
        writer.string(&first.table);
    }
    for column in &metadata.columns {
        if !global {
            writer.string(&column.keyspace);
            writer.string(&column.table);
        }
        writer.string(&column.name);
        write_type(writer, version, &column.cql_type);
    }
}

fn read_columns(reader: &mut Reader, count: usize, global: bool) -> Result<Arc<ResultMetadata>, WireError> {
    if count > COUNT_MAX {
        return Err(WireError::TooMany { field: "columns", count, max: COUNT_MAX });
    }
    let shared = if global { Some((global_name(reader, "keyspace")?, global_name(reader, "table")?)) } else { None };
    let mut budget = TypeBudget::new(METADATA_TYPE_PARTS_MAX);
    let mut columns = Vec::new();
    for _ in 0..count {
        let (keyspace, table) = match &shared {
            Some(shared) => shared.clone(),
            None => (reader.string("keyspace")?, reader.string("table")?),
        };
        let name = reader.string("column")?;
        columns.push(ColumnSpec { keyspace, table, name, cql_type: read_part(reader, 1, &mut budget)? });
    }
    Ok(Arc::new(ResultMetadata { columns }))
}

/// A name that every column repeats: kept short, so that few bytes cannot become many.
fn global_name(reader: &mut Reader, field: &'static str) -> Result<String, WireError> {
    let name = reader.string(field)?;
    if name.len() > GLOBAL_NAME_BYTES_MAX {
        return Err(WireError::TooMany { field, count: name.len(), max: GLOBAL_NAME_BYTES_MAX });
    }
    Ok(name)
}

fn read_flags(reader: &mut Reader) -> Result<i32, WireError> {
    let offset = reader.offset();
    let flags = reader.i32("metadata's flags")?;
    if flags & !KNOWN_FLAGS != 0 {
        return Err(WireError::UnknownNumber { field: "metadata's flags", offset, found: i64::from(flags) });
    }
    Ok(flags)
}

impl RowsMetadata {
    /// Writes it.
    pub fn write(&self, writer: &mut Writer<'_>, version: ProtocolVersion) {
        let tells_id = version >= ProtocolVersion::V5 && matches!(self.columns, Columns::Full(_));
        let new_id = self.new_id.as_ref().filter(|_| tells_id);
        let mut flags = 0;
        if self.paging_state.is_some() {
            flags |= HAS_MORE_PAGES;
        }
        if new_id.is_some() {
            flags |= METADATA_CHANGED;
        }
        match &self.columns {
            Columns::Full(metadata) if global_table(metadata) => flags |= GLOBAL_TABLE_SPEC,
            Columns::Full(_) => {}
            Columns::Skipped(_) => flags |= NO_METADATA,
        }
        writer.i32(flags);
        writer.count(self.columns.count());
        if self.paging_state.is_some() {
            writer.bytes(self.paging_state.as_ref());
        }
        if let Some(id) = new_id {
            writer.short_bytes(id);
        }
        if let Columns::Full(metadata) = &self.columns {
            write_columns(writer, version, metadata, flags & GLOBAL_TABLE_SPEC != 0);
        }
    }

    /// Reads it.
    pub fn read(reader: &mut Reader) -> Result<Self, WireError> {
        let flags = read_flags(reader)?;
        // A column without metadata takes nothing here, and with it at least four bytes.
        let skipped = flags & NO_METADATA != 0;
        if skipped && flags & METADATA_CHANGED != 0 {
            return Err(WireError::Refused("metadata that has changed and is left out"));
        }
        let count = reader.count(if skipped { 0 } else { 4 }, "columns")?;
        let paging_state = if flags & HAS_MORE_PAGES != 0 { reader.bytes("paging state")? } else { None };
        let new_id = if flags & METADATA_CHANGED != 0 { Some(reader.short_bytes("result metadata id")?) } else { None };
        let columns = if skipped {
            Columns::Skipped(u32::try_from(count).unwrap_or(u32::MAX))
        } else {
            Columns::Full(read_columns(reader, count, flags & GLOBAL_TABLE_SPEC != 0)?)
        };
        Ok(Self { columns, paging_state, new_id })
    }
}

/// Writes a statement's bind markers, with the indices of those that make the partition key (v4 and later).
pub(crate) fn write_parameters(
    writer: &mut Writer<'_>,
    version: ProtocolVersion,
    parameters: &ResultMetadata,
    partition_key: &[u16],
) {
    let global = global_table(parameters);
    writer.i32(if global { GLOBAL_TABLE_SPEC } else { 0 });
    writer.count(parameters.columns.len());
    if version >= ProtocolVersion::V4 {
        writer.count(partition_key.len());
        for index in partition_key {
            writer.u16(*index);
        }
    }
    write_columns(writer, version, parameters, global);
}

/// Reads them.
pub(crate) fn read_parameters(
    reader: &mut Reader,
    version: ProtocolVersion,
) -> Result<(Arc<ResultMetadata>, Vec<u16>), WireError> {
    let flags = read_flags(reader)?;
    let count = reader.count(4, "bind markers")?;
    let mut partition_key = Vec::new();
    if version >= ProtocolVersion::V4 {
        let count = reader.count(2, "partition key's indices")?;
        partition_key = (0..count).map(|_| reader.u16("partition key's index")).collect::<Result<_, _>>()?;
    }
    Ok((read_columns(reader, count, flags & GLOBAL_TABLE_SPEC != 0)?, partition_key))
}
