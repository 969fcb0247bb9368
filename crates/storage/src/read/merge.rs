//! Merges the rows of one partition from all sources, in order, and drops what deletions above them cover.

use quorate_model::{ClusteringKey, Deletion, Partition, Row, Seconds, Timestamp};

use crate::error::ReadError;
use crate::sstable::{RowCursor, TableCursor};

/// Where rows come from.
pub(crate) enum RowSource {
    /// Copied from a memtable; `cut` if there are more behind them.
    Memory { rows: std::vec::IntoIter<(ClusteringKey, Row)>, cut: bool },
    /// Read through the cursor with this index.
    Table { cursor: usize, rows: RowCursor },
}

/// A step of the merge.
pub(crate) enum MergedRow {
    /// The next row; never empty.
    Row(ClusteringKey, Row),
    /// A row of which nothing is left.
    Gone(ClusteringKey),
    /// A memtable's window has ended: what follows is not known.
    Cut,
    /// All rows were merged.
    End,
}

struct Source {
    rows: RowSource,
    next: Option<(ClusteringKey, Row)>,
    ended: bool,
}

/// The merge.
pub(crate) struct RowMerger {
    sources: Vec<Source>,
    reversed: bool,
    truncated: Option<Timestamp>,
}

impl RowMerger {
    pub(crate) fn new(sources: Vec<RowSource>, reversed: bool, truncated: Option<Timestamp>) -> Self {
        let sources = sources.into_iter().map(|rows| Source { rows, next: None, ended: false }).collect();
        Self { sources, reversed, truncated }
    }

    /// The next row. `head` is the merged partition without rows.
    pub(crate) fn next(&mut self, head: &Partition, cursors: &mut [TableCursor]) -> Result<MergedRow, ReadError> {
        let mut first: Option<usize> = None;
        for index in 0..self.sources.len() {
            let source = &mut self.sources[index];
            if source.next.is_none() && !source.ended {
                source.next = match &mut source.rows {
                    RowSource::Memory { rows, .. } => rows.next(),
                    RowSource::Table { cursor, rows } => rows.next(&mut cursors[*cursor])?,
                };
                source.ended = source.next.is_none();
            }
            if source.ended && matches!(source.rows, RowSource::Memory { cut: true, .. }) {
                return Ok(MergedRow::Cut);
            }
            let best = first.and_then(|first| self.sources[first].next.as_ref());
            let earlier = match (&self.sources[index].next, best) {
                (Some((key, _)), Some((best, _))) if self.reversed => key > best,
                (Some((key, _)), Some((best, _))) => key < best,
                (Some(_), None) => true,
                (None, _) => false,
            };
            if earlier {
                first = Some(index);
            }
        }
        let Some((key, mut row)) = first.and_then(|first| self.sources[first].next.take()) else {
            return Ok(MergedRow::End);
        };
        for source in &mut self.sources {
            if let Some((_, other)) = source.next.take_if(|(other, _)| *other == key) {
                row.merge_owned(other);
            }
        }
        let above = head.deletion.max(head.range_tombstones.covering(&key));
        shadow(&mut row, above.map(|deletion| deletion.timestamp).max(self.truncated));
        Ok(if row.is_empty() { MergedRow::Gone(key) } else { MergedRow::Row(key, row) })
    }
}

/// Drops from a row whatever something above it, of this timestamp, covers.
pub(crate) fn shadow(row: &mut Row, above: Option<Timestamp>) {
    let Some(timestamp) = above else { return };
    let own = row.deletion;
    // The row's own rule of what a deletion covers does the work.
    row.deletion = own.max(Some(Deletion { timestamp, deleted_at: Seconds(i64::MIN) }));
    row.canonicalize();
    row.deletion = own.filter(|deletion| deletion.timestamp > timestamp);
}
