//! Statistics of an SSTable: what spares reading it, and what compaction decides by.

use bytes::Bytes;
use quorate_model::wire::{Reader, WireError, Writer};
use quorate_model::{Cell, CellContent, ColumnData, DecoratedKey, Deletion, Partition, PartitionKey, Row, Token};

/// Bounds and counts of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SsTableStats {
    /// First partition.
    pub first: DecoratedKey,
    /// Last partition.
    pub last: DecoratedKey,
    /// Smallest timestamp of any write or deletion.
    pub timestamp_min: i64,
    /// Greatest timestamp.
    pub timestamp_max: i64,
    /// Smallest clustering key of a row.
    pub clustering_min: Bytes,
    /// Greatest clustering key of a row.
    pub clustering_max: Bytes,
    /// Greatest second at which something in it was deleted or expires.
    pub deletion_time_max: i64,
    /// Partitions.
    pub partitions: u64,
    /// Rows, static ones not counted.
    pub rows: u64,
    /// Tombstones of any kind, expiring cells not counted.
    pub tombstones: u64,
    /// Whether any partition has a static row, a deletion or range tombstones.
    pub has_heads: bool,
    /// Bytes of data blocks before compression.
    pub raw_bytes: u64,
}

impl Default for SsTableStats {
    fn default() -> Self {
        let nowhere = || DecoratedKey { token: Token::MIN, key: PartitionKey::default() };
        Self {
            first: nowhere(),
            last: nowhere(),
            timestamp_min: i64::MAX,
            timestamp_max: i64::MIN,
            clustering_min: Bytes::new(),
            clustering_max: Bytes::new(),
            deletion_time_max: i64::MIN,
            partitions: 0,
            rows: 0,
            tombstones: 0,
            has_heads: false,
            raw_bytes: 0,
        }
    }
}

impl SsTableStats {
    /// Counts a partition and its head. Partitions come in order.
    pub(crate) fn observe_head(&mut self, key: &DecoratedKey, head: &Partition) {
        if self.partitions == 0 {
            self.first = key.clone();
        }
        self.last = key.clone();
        self.partitions += 1;
        self.has_heads |= !head.is_empty();
        if let Some(deletion) = head.deletion {
            self.deletion(deletion);
        }
        for range in head.range_tombstones.iter() {
            self.deletion(range.deletion);
        }
        self.columns(&head.static_row);
    }

    /// Counts a row.
    pub(crate) fn observe_row(&mut self, clustering: &Bytes, row: &Row) {
        if self.rows == 0 || *clustering < self.clustering_min {
            self.clustering_min = clustering.clone();
        }
        if *clustering > self.clustering_max {
            self.clustering_max = clustering.clone();
        }
        self.rows += 1;
        self.columns(row);
    }

    fn columns(&mut self, row: &Row) {
        if let Some(liveness) = row.liveness {
            self.timestamp(liveness.timestamp.0);
            if let Some((expires_at, _)) = liveness.expiry {
                self.deletion_time_max = self.deletion_time_max.max(expires_at.0);
            }
        }
        if let Some(deletion) = row.deletion {
            self.deletion(deletion);
        }
        for (_, data) in &row.columns {
            match data {
                ColumnData::Simple(cell) => self.cell(cell),
                ColumnData::Complex { deletion, cells } => {
                    if let Some(deletion) = deletion {
                        self.deletion(*deletion);
                    }
                    cells.values().for_each(|cell| self.cell(cell));
                }
            }
        }
    }

    fn cell(&mut self, cell: &Cell) {
        self.timestamp(cell.timestamp.0);
        match &cell.content {
            CellContent::Live(_) => {}
            CellContent::Expiring { expires_at, .. } => {
                self.deletion_time_max = self.deletion_time_max.max(expires_at.0);
            }
            CellContent::Tombstone { deleted_at } => {
                self.tombstones += 1;
                self.deletion_time_max = self.deletion_time_max.max(deleted_at.0);
            }
        }
    }

    fn deletion(&mut self, deletion: Deletion) {
        self.tombstones += 1;
        self.timestamp(deletion.timestamp.0);
        self.deletion_time_max = self.deletion_time_max.max(deletion.deleted_at.0);
    }

    fn timestamp(&mut self, timestamp: i64) {
        self.timestamp_min = self.timestamp_min.min(timestamp);
        self.timestamp_max = self.timestamp_max.max(timestamp);
    }

    pub(crate) fn encode(&self, out: &mut Writer) {
        for key in [&self.first, &self.last] {
            out.i64(key.token.0);
            out.bytes(&key.key.0);
        }
        out.i64(self.timestamp_min);
        out.i64(self.timestamp_max);
        out.bytes(&self.clustering_min);
        out.bytes(&self.clustering_max);
        out.i64(self.deletion_time_max);
        for number in [self.partitions, self.rows, self.tombstones, self.raw_bytes] {
            out.varint(number);
        }
        out.bool(self.has_heads);
    }

    pub(crate) fn decode(input: &mut Reader) -> Result<Self, WireError> {
        let mut key = || -> Result<DecoratedKey, WireError> {
            Ok(DecoratedKey { token: Token(input.i64("token")?), key: PartitionKey(input.bytes("key")?) })
        };
        let (first, last) = (key()?, key()?);
        Ok(Self {
            first,
            last,
            timestamp_min: input.i64("smallest timestamp")?,
            timestamp_max: input.i64("greatest timestamp")?,
            clustering_min: input.bytes("smallest clustering key")?,
            clustering_max: input.bytes("greatest clustering key")?,
            deletion_time_max: input.i64("greatest deletion time")?,
            partitions: input.varint("partitions")?,
            rows: input.varint("rows")?,
            tombstones: input.varint("tombstones")?,
            raw_bytes: input.varint("raw bytes")?,
            has_heads: input.bool("heads flag")?,
        })
    }
}
