//! `RESULT` of kind Rows.

use bytes::Bytes;

use crate::error::WireError;
use crate::metadata::RowsMetadata;
use crate::reader::Reader;
use crate::version::ProtocolVersion;
use crate::writer::Writer;

/// Rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowsResult {
    /// Their columns, and how to go on.
    pub metadata: RowsMetadata,
    /// How many rows there are.
    pub row_count: u32,
    /// Each row's cells, in order, as `[bytes]`. [`RowsResult::rows`] takes them apart.
    pub data: Bytes,
}

impl RowsResult {
    /// Reads the body. The cells are not looked at here.
    pub fn read(reader: &mut Reader) -> Result<Self, WireError> {
        let metadata = RowsMetadata::read(reader)?;
        let offset = reader.offset();
        let found = reader.i32("rows")?;
        let row_count = u32::try_from(found).map_err(|_| WireError::NegativeLength { field: "rows", offset, found })?;
        Ok(Self { metadata, row_count, data: reader.rest() })
    }

    /// Writes the body.
    pub fn write(&self, writer: &mut Writer<'_>, version: ProtocolVersion) {
        self.metadata.write(writer, version);
        writer.u32(self.row_count);
        writer.raw(&self.data);
    }

    /// The rows, one after another, each with one entry a column: `None` for null. It ends after the first error.
    pub fn rows(&self) -> impl Iterator<Item = Result<Vec<Option<Bytes>>, WireError>> + use<> {
        let columns = self.metadata.columns.count();
        let mut reader = Reader::new(self.data.clone());
        // Rows without columns take no bytes: there is nothing in them to hand out.
        let mut left = if columns == 0 { 0 } else { self.row_count };
        std::iter::from_fn(move || {
            left = left.checked_sub(1)?;
            let row = read_row(&mut reader, columns);
            if row.is_err() {
                left = 0;
            }
            Some(row)
        })
    }
}

fn read_row(reader: &mut Reader, columns: usize) -> Result<Vec<Option<Bytes>>, WireError> {
    let needed = columns.saturating_mul(4);
    if reader.left() < needed {
        return Err(WireError::Truncated { field: "row", offset: reader.offset(), needed, left: reader.left() });
    }
    let mut row = Vec::with_capacity(columns);
    for _ in 0..columns {
        row.push(reader.bytes("cell")?);
    }
    Ok(row)
}
