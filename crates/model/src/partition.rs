//! Partitions: the unit of placement, of atomicity and of merging.

use crate::cell::{ColumnData, Deletion};
use crate::key::{ClusteringKey, Position};
use crate::range_tombstone::RangeTombstones;
use crate::row::{MAP_ENTRY_OVERHEAD, Row};
use crate::row_map::RowMap;
use crate::time::{Seconds, Timestamp};
use crate::wire::Wire;

/// A partition's content, a part of it, or a change to it: all three have the same shape and merge alike.
#[derive(Clone, Debug, PartialEq, Eq, Default, Hash)]
pub struct Partition {
    /// The greatest deletion of the whole partition.
    pub deletion: Option<Deletion>,
    /// Static columns.
    pub static_row: Row,
    /// Rows in clustering order.
    pub rows: RowMap,
    /// Deleted ranges of rows, disjoint and sorted.
    pub range_tombstones: RangeTombstones,
}

impl Partition {
    /// Whether there is nothing in it at all, not even a tombstone.
    pub fn is_empty(&self) -> bool {
        self.deletion.is_none()
            && self.static_row.is_empty()
            && self.rows.is_empty()
            && self.range_tombstones.is_empty()
    }

    /// The row with this key, made if it is not there.
    pub fn row_mut(&mut self, key: ClusteringKey) -> &mut Row {
        self.rows.or_default(key)
    }

    /// Number of rows that show at `now`.
    pub fn live_row_count(&self, now: Seconds) -> usize {
        self.rows.values().filter(|row| row.is_live(now)).count()
    }

    /// Whether any static column has a value at `now`.
    pub fn static_is_live(&self, now: Seconds) -> bool {
        self.static_row.has_live_cell(now)
    }

    /// A hash of the canonical content: replicas that hold the same give the same.
    pub fn digest(&self) -> u128 {
        xxhash_rust::xxh3::xxh3_128(&self.to_bytes())
    }

    /// Keeps only rows and range tombstones within the slices (disjoint, ascending). The static row and the partition's
    /// deletion stay.
    pub fn restrict(&mut self, slices: &[(Position, Position)]) {
        if let [(start, end)] = slices
            && *start == Position::START
            && *end == Position::END
        {
            return;
        }
        let mut ahead = slices.iter().peekable();
        self.rows.retain(|key, _| {
            while ahead.next_if(|(_, end)| end.0 <= key.0).is_some() {}
            ahead.peek().is_some_and(|(start, _)| start.0 <= key.0)
        });
        if !self.range_tombstones.is_empty() {
            let clipped = slices.iter().flat_map(|(start, end)| self.range_tombstones.clip(start, end).0);
            self.range_tombstones = clipped.collect();
        }
    }

    /// Approximate memory taken, in bytes, for the accounting of memtables.
    pub fn memory_size(&self) -> usize {
        let rows: usize = self
            .rows
            .iter()
            .map(|(key, row)| key.0.len() + size_of::<ClusteringKey>() + row.memory_size() + MAP_ENTRY_OVERHEAD)
            .sum();
        let ranges: usize = self
            .range_tombstones
            .iter()
            .map(|range| size_of_val(range) + range.start.0.len() + range.end.0.len())
            .sum();
        size_of::<Self>() + self.static_row.memory_size() + rows + ranges
    }

    /// About how many bytes all but the rows take when encoded.
    pub(crate) fn header_size_hint(&self) -> usize {
        let ranges: usize =
            self.range_tombstones.iter().map(|range| range.start.0.len() + range.end.0.len() + 16).sum();
        32 + row_size_hint(&self.static_row) + ranges
    }

    /// About how many bytes the encoding takes; for sizing buffers.
    pub fn encoded_size_hint(&self) -> usize {
        let rows: usize = self.rows.iter().map(|(key, row)| key.0.len() + 2 + row_size_hint(row)).sum();
        self.header_size_hint() + rows
    }

    /// The greatest timestamp in it, of a write or a deletion.
    pub fn max_timestamp(&self) -> Option<Timestamp> {
        let mut max = None;
        self.timestamps(&mut |timestamp| max = max.max(Some(timestamp)));
        max
    }

    /// The smallest timestamp in it, of a write or a deletion.
    pub fn min_timestamp(&self) -> Option<Timestamp> {
        let mut min: Option<Timestamp> = None;
        self.timestamps(&mut |timestamp| min = Some(min.map_or(timestamp, |min| min.min(timestamp))));
        min
    }

    fn timestamps(&self, seen: &mut impl FnMut(Timestamp)) {
        if let Some(deletion) = self.deletion {
            seen(deletion.timestamp);
        }
        self.range_tombstones.iter().for_each(|range| seen(range.deletion.timestamp));
        self.static_row.timestamps(seen);
        self.rows.values().for_each(|row| row.timestamps(seen));
    }

    /// Drops everything with a timestamp up to this one, tombstones too: what a truncation does. It commutes with merging.
    pub fn drop_up_to(&mut self, truncated: Timestamp) {
        let above = Some(truncated);
        self.deletion = self.deletion.filter(|deletion| deletion.timestamp > truncated);
        self.range_tombstones.retain(|deletion| deletion.timestamp > truncated);
        self.static_row.shadow(above);
        self.rows.retain(|_, row| {
            row.shadow(above);
            !row.is_empty()
        });
    }
}

impl Row {
    /// About how many bytes the encoding takes; for sizing buffers.
    pub fn encoded_size_hint(&self) -> usize {
        row_size_hint(self)
    }
}

/// About how many bytes a row takes when encoded.
pub(crate) fn row_size_hint(row: &Row) -> usize {
    let columns: usize = row
        .columns
        .iter()
        .map(|(_, data)| match data {
            ColumnData::Simple(cell) => cell.value_len() + 14,
            ColumnData::Complex { cells, .. } => {
                20 + cells.iter().map(|(path, cell)| path.len() + cell.value_len() + 14).sum::<usize>()
            }
        })
        .sum();
    20 + columns
}
