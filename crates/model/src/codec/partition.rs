//! The layout of mutations and partitions.
//!
//! ```text
//! mutation    table id (16) | token (8) | key (len, bytes) | partition
//! partition   flags (1) | [deletion] | [static row] | [ranges] | [rows]
//!               bit 0: deletion    bit 1: static row    bit 2: ranges    bit 3: rows
//! deletion    timestamp (z) | deleted_at (z)
//! ranges      count (v) | { start (len, bytes) | end (len, bytes) | deletion } ...
//! rows        count (v) | { clustering key (len, bytes) | row } ...
//! row         flags (1) | [timestamp (z) | [expires_at (z) | ttl (v)]] | [deletion] | [columns]
//!               bit 0: liveness    bit 1: it expires    bit 2: deletion    bit 3: columns
//! columns     count (v) | { gap (v) | kind (1) | ... } ...
//!               gap: the id of the first column, then the id's distance from the one before, less one
//!   kind 0    live value          timestamp (z) | value (len, bytes)
//!   kind 1    expiring value      timestamp (z) | expires_at (z) | ttl (v) | value (len, bytes)
//!   kind 2    tombstone           timestamp (z) | deleted_at (z)
//!   kind 3    complex             count (v) | { path (len, bytes) | kind 0..2 | ... } ...
//!   kind 4    complex, deleted    deletion | as kind 3
//! ```
//!
//! v: unsigned LEB128 in its shortest form, z: the same of a zigzag number, len: v. What is empty (rows, columns) is not
//! written and not accepted; rows, paths and ranges ascend strictly.

use bytes::{Bytes, BytesMut};

use super::{clustering_bytes, decode_items, u32_varint};
use crate::cell::{Cell, CellContent, ColumnData, Deletion};
use crate::ids::{ColumnId, TableId};
use crate::key::{ClusteringKey, DecoratedKey, Position};
use crate::mutation::Mutation;
use crate::partition::Partition;
use crate::range_tombstone::{RangeTombstone, RangeTombstones};
use crate::row::{Liveness, Row};
use crate::row_map::RowMap;
use crate::time::{Seconds, Timestamp, Ttl};
use crate::wire::{Reader, Wire, WireError, Writer};

pub(super) const KIND_LIVE: u8 = 0;
pub(super) const KIND_EXPIRING: u8 = 1;
pub(super) const KIND_TOMBSTONE: u8 = 2;
pub(super) const KIND_COMPLEX: u8 = 3;
pub(super) const KIND_COMPLEX_DELETED: u8 = 4;

pub(super) const ROW_LIVENESS: u8 = 1;
pub(super) const ROW_EXPIRES: u8 = 2;
pub(super) const ROW_DELETION: u8 = 4;
pub(super) const ROW_COLUMNS: u8 = 8;

const PARTITION_DELETION: u8 = 1;
const PARTITION_STATIC: u8 = 2;
const PARTITION_RANGES: u8 = 4;
const PARTITION_ROWS: u8 = 8;

/// What a mutation's encoding takes beside its key and update, at most.
const MUTATION_HEADER_BYTES: usize = 32;

impl Wire for Mutation {
    fn to_bytes(&self) -> Bytes {
        let size = MUTATION_HEADER_BYTES + self.key.key.0.len() + self.update.encoded_size_hint();
        let mut out = Writer::reuse(BytesMut::with_capacity(size));
        self.encode(&mut out);
        out.finish()
    }

    fn encode(&self, out: &mut Writer) {
        self.table.encode(out);
        self.key.encode(out);
        self.update.encode(out);
    }
    fn decode(input: &mut Reader) -> Result<Self, WireError> {
        Ok(Self {
            table: TableId::decode(input)?,
            key: DecoratedKey::decode(input)?,
            update: Partition::decode(input)?,
        })
    }
}

impl Wire for Partition {
    fn to_bytes(&self) -> Bytes {
        let mut out = Writer::reuse(BytesMut::with_capacity(self.encoded_size_hint()));
        self.encode(&mut out);
        out.finish()
    }

    fn encode(&self, out: &mut Writer) {
        let rows = self.rows.values().filter(|row| !is_void(row)).count();
        let has_static = !is_void(&self.static_row);
        let flag = |set: bool, bit: u8| if set { bit } else { 0 };
        out.u8(flag(self.deletion.is_some(), PARTITION_DELETION)
            | flag(has_static, PARTITION_STATIC)
            | flag(!self.range_tombstones.is_empty(), PARTITION_RANGES)
            | flag(rows > 0, PARTITION_ROWS));
        if let Some(deletion) = &self.deletion {
            deletion.encode(out);
        }
        if has_static {
            self.static_row.encode(out);
        }
        if !self.range_tombstones.is_empty() {
            self.range_tombstones.encode(out);
        }
        if rows > 0 {
            out.varint(rows as u64);
            for (key, row) in self.rows.iter().filter(|(_, row)| !is_void(row)) {
                key.encode(out);
                row.encode(out);
            }
        }
    }

    fn decode(input: &mut Reader) -> Result<Self, WireError> {
        let flags = input.u8("partition")?;
        if flags > 15 {
            return Err(input.error("partition", "unknown flags"));
        }
        let mut partition = Self::default();
        if flags & PARTITION_DELETION != 0 {
            partition.deletion = Some(Deletion::decode(input)?);
        }
        if flags & PARTITION_STATIC != 0 {
            partition.static_row = Row::decode(input)?;
        }
        if flags & PARTITION_RANGES != 0 {
            partition.range_tombstones = RangeTombstones::decode(input)?;
            if partition.range_tombstones.is_empty() {
                return Err(input.error("partition", "a list of no ranges"));
            }
        }
        if flags & PARTITION_ROWS != 0 {
            partition.rows = decode_rows(input)?;
        }
        Ok(partition)
    }
}

fn decode_rows(input: &mut Reader) -> Result<RowMap, WireError> {
    let rows = decode_items(input, 2, "rows", |input| Ok((ClusteringKey::decode(input)?, Row::decode(input)?)))?;
    if rows.is_empty() {
        return Err(input.error("rows", "a list of no rows"));
    }
    RowMap::from_sorted(rows).ok_or_else(|| input.error("rows", "rows out of order"))
}

impl Wire for RangeTombstones {
    fn encode(&self, out: &mut Writer) {
        super::encode_items(self.iter(), out, |range, out| {
            range.start.encode(out);
            range.end.encode(out);
            range.deletion.encode(out);
        });
    }

    fn decode(input: &mut Reader) -> Result<Self, WireError> {
        let ranges = decode_items(input, 4, "range tombstones", |input| {
            Ok(RangeTombstone {
                start: Position::decode(input)?,
                end: Position::decode(input)?,
                deletion: Deletion::decode(input)?,
            })
        })?;
        Self::from_sorted_checked(ranges).ok_or_else(|| input.error("range tombstones", "not in canonical form"))
    }
}

/// Whether nothing of the row would be written.
fn is_void(row: &Row) -> bool {
    row.liveness.is_none() && row.deletion.is_none() && !row.columns.iter().any(|(_, data)| !is_void_column(data))
}

fn is_void_column(data: &ColumnData) -> bool {
    matches!(data, ColumnData::Complex { deletion: None, cells } if cells.is_empty())
}

impl Wire for Row {
    fn encode(&self, out: &mut Writer) {
        let columns = self.columns.iter().filter(|(_, data)| !is_void_column(data)).count();
        let expiry = self.liveness.and_then(|liveness| liveness.expiry);
        let flag = |set: bool, bit: u8| if set { bit } else { 0 };
        out.u8(flag(self.liveness.is_some(), ROW_LIVENESS)
            | flag(expiry.is_some(), ROW_EXPIRES)
            | flag(self.deletion.is_some(), ROW_DELETION)
            | flag(columns > 0, ROW_COLUMNS));
        if let Some(liveness) = &self.liveness {
            liveness.timestamp.encode(out);
        }
        if let Some((at, ttl)) = expiry {
            at.encode(out);
            ttl.encode(out);
        }
        if let Some(deletion) = &self.deletion {
            deletion.encode(out);
        }
        if columns > 0 {
            out.varint(columns as u64);
            let mut next = 0;
            for (id, data) in self.columns.iter().filter(|(_, data)| !is_void_column(data)) {
                assert!(u64::from(id.0) >= next, "columns are sorted and unique");
                out.varint(u64::from(id.0) - next);
                next = u64::from(id.0) + 1;
                data.encode(out);
            }
        }
    }

    fn decode(input: &mut Reader) -> Result<Self, WireError> {
        let flags = input.u8("row")?;
        if flags > 15 || flags == 0 || flags & (ROW_LIVENESS | ROW_EXPIRES) == ROW_EXPIRES {
            return Err(input.error("row", "impossible flags"));
        }
        let mut row = Self::default();
        if flags & ROW_LIVENESS != 0 {
            let timestamp = Timestamp::decode(input)?;
            let expiry =
                if flags & ROW_EXPIRES != 0 { Some((Seconds::decode(input)?, Ttl::decode(input)?)) } else { None };
            row.liveness = Some(Liveness { timestamp, expiry });
        }
        if flags & ROW_DELETION != 0 {
            row.deletion = Some(Deletion::decode(input)?);
        }
        if flags & ROW_COLUMNS != 0 {
            row.columns = decode_columns(input)?;
        }
        Ok(row)
    }
}

fn decode_columns(input: &mut Reader) -> Result<Vec<(ColumnId, ColumnData)>, WireError> {
    let mut next = 0u64;
    let columns = decode_items(input, 4, "columns", |input| {
        let gap = u32_varint(input, "column id")?;
        let id = next + u64::from(gap);
        let id = u32::try_from(id).map_err(|_| input.error("column id", "a number over 32 bits"))?;
        next = u64::from(id) + 1;
        Ok((ColumnId(id), ColumnData::decode(input)?))
    })?;
    if columns.is_empty() {
        return Err(input.error("columns", "a list of no columns"));
    }
    Ok(columns)
}

impl Wire for ColumnData {
    fn encode(&self, out: &mut Writer) {
        match self {
            Self::Simple(cell) => cell.encode(out),
            Self::Complex { deletion, cells } => {
                match deletion {
                    None => out.u8(KIND_COMPLEX),
                    Some(deletion) => {
                        out.u8(KIND_COMPLEX_DELETED);
                        deletion.encode(out);
                    }
                }
                out.varint(cells.len() as u64);
                for (path, cell) in cells {
                    out.bytes(path);
                    cell.encode(out);
                }
            }
        }
    }

    fn decode(input: &mut Reader) -> Result<Self, WireError> {
        let kind = input.u8("column")?;
        let deletion = match kind {
            KIND_COMPLEX => None,
            KIND_COMPLEX_DELETED => Some(Deletion::decode(input)?),
            _ => return decode_cell(kind, input).map(Self::Simple),
        };
        let cells = decode_items(input, 4, "elements", |input| {
            Ok((clustering_bytes(input, "cell path")?, Cell::decode(input)?))
        })?;
        if deletion.is_none() && cells.is_empty() {
            return Err(input.error("elements", "a collection of nothing"));
        }
        if !cells.is_sorted_by(|(left, _): &(Bytes, Cell), (right, _)| left < right) {
            return Err(input.error("elements", "paths out of order"));
        }
        Ok(Self::Complex { deletion, cells: cells.into_iter().collect() })
    }
}

impl Wire for Cell {
    fn encode(&self, out: &mut Writer) {
        let kind = match &self.content {
            CellContent::Live(_) => KIND_LIVE,
            CellContent::Expiring { .. } => KIND_EXPIRING,
            CellContent::Tombstone { .. } => KIND_TOMBSTONE,
        };
        out.u8(kind);
        self.timestamp.encode(out);
        match &self.content {
            CellContent::Live(value) => out.bytes(value),
            CellContent::Expiring { value, ttl, expires_at } => {
                expires_at.encode(out);
                ttl.encode(out);
                out.bytes(value);
            }
            CellContent::Tombstone { deleted_at } => deleted_at.encode(out),
        }
    }

    fn decode(input: &mut Reader) -> Result<Self, WireError> {
        let kind = input.u8("cell")?;
        decode_cell(kind, input)
    }
}

fn decode_cell(kind: u8, input: &mut Reader) -> Result<Cell, WireError> {
    let timestamp = match kind {
        KIND_LIVE | KIND_EXPIRING | KIND_TOMBSTONE => Timestamp::decode(input)?,
        _ => return Err(input.error("cell", "unknown kind")),
    };
    let content = match kind {
        KIND_LIVE => CellContent::Live(input.bytes("value")?),
        KIND_EXPIRING => {
            let expires_at = Seconds::decode(input)?;
            let ttl = Ttl::decode(input)?;
            CellContent::Expiring { value: input.bytes("value")?, ttl, expires_at }
        }
        _ => CellContent::Tombstone { deleted_at: Seconds::decode(input)? },
    };
    Ok(Cell { timestamp, content })
}
