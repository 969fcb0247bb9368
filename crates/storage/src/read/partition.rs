//! Reads one partition up to a wanted number of live rows.

use quorate_model::{ColumnData, DecoratedKey, Partition, Position, Row, Seconds, Timestamp};

use super::TableView;
use super::merge::{MergedRow, RowMerger, RowSource};
use crate::error::ReadError;
use crate::limits::{DEAD_ROWS_MAX, MEMORY_ONLY_ROWS_MAX};
use crate::memtable::{MemoryPart, Window, decode};
use crate::sstable::TableCursor;

/// What is read of one partition.
pub(super) struct Want<'a> {
    pub(super) key: &'a DecoratedKey,
    pub(super) slices: &'a [(Position, Position)],
    pub(super) reversed: bool,
    pub(super) now: Seconds,
    /// Live rows after which to stop.
    pub(super) rows: usize,
    /// Bytes after which to stop.
    pub(super) bytes: usize,
}

/// What was read.
pub(crate) struct Gathered {
    pub(crate) partition: Partition,
    /// Set if there may be more: rows are complete on this side of it. Range tombstones are there on both sides, so that
    /// what the limits count does not depend on how far was read ahead.
    pub(crate) cut: Option<Position>,
}

/// Work that a read may do in place.
pub(super) struct Budget {
    rows_left: Option<usize>,
}

impl Budget {
    pub(super) fn new(in_place: bool) -> Self {
        Self { rows_left: in_place.then_some(MEMORY_ONLY_ROWS_MAX) }
    }

    pub(super) fn spend(&mut self) -> Result<(), ReadError> {
        match &mut self.rows_left {
            None => Ok(()),
            Some(0) => Err(ReadError::NeedsDisk),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
        }
    }
}

/// Reads a partition from a view; `cursors` are those of the view's SSTables whose filters say that they may hold it, newest
/// first.
pub(super) fn gather(
    view: &TableView,
    cursors: &mut [TableCursor],
    want: &Want<'_>,
    budget: &mut Budget,
) -> Result<Gathered, ReadError> {
    let mut window = Window::of(want.rows, want.bytes);
    loop {
        let (gathered, enough) = gather_window(view, cursors, want, window, budget)?;
        if enough || gathered.cut.is_none() || window.is_widest() {
            return Ok(gathered);
        }
        // The memtables' rows were mostly dead. A new attempt, not a continuation: all that one read gives of a partition
        // is of one moment.
        window = window.wider();
    }
}

fn gather_window(
    view: &TableView,
    cursors: &mut [TableCursor],
    want: &Want<'_>,
    window: Window,
    budget: &mut Budget,
) -> Result<(Gathered, bool), ReadError> {
    let mut head = Partition::default();
    let mut sources = Vec::new();
    for memtable in &view.memtables {
        if let Some(part) = memtable.read(want.key, want.slices, want.reversed, window) {
            let MemoryPart { head: found, rows, cut } = part;
            head.merge_owned(found);
            if !rows.is_empty() || cut {
                sources.push(RowSource::Memory { rows: decode(rows).into_iter(), cut });
            }
        }
    }
    for holder in heads_of(view.truncated, cursors, (want.key, want.slices), &mut head)? {
        if holder.has_rows {
            let rows = crate::sstable::RowCursor::new(want.key.clone(), want.slices, want.reversed);
            let rows = rows.behind_head(&cursors[holder.cursor]);
            sources.push(RowSource::Table { cursor: holder.cursor, rows });
        }
    }
    if let Some(truncated) = view.truncated {
        head.drop_up_to(truncated);
    }
    let mut merger = RowMerger::new(sources, want.reversed, view.truncated);
    let mut partition = Partition::default();
    let (mut live, mut bytes, mut dead) = (0, 0, 0);
    let mut last = None;
    let (cut, enough) = loop {
        let enough = live >= want.rows || bytes >= want.bytes || dead >= DEAD_ROWS_MAX;
        match merger.next(&head, cursors)? {
            MergedRow::End => break (None, true),
            MergedRow::Cut => break (last, enough),
            MergedRow::Row(..) | MergedRow::Gone(_) if enough => break (last, true),
            MergedRow::Gone(key) => {
                dead += 1;
                last = Some(key);
            }
            MergedRow::Row(key, row) => {
                live += usize::from(row.is_live(want.now));
                bytes += key.0.len() + row_bytes(&row);
                last = Some(key.clone());
                partition.rows.insert(key, row);
            }
        }
        budget.spend()?;
    };
    partition.deletion = head.deletion;
    partition.static_row = head.static_row;
    partition.range_tombstones = head.range_tombstones;
    partition.restrict(want.slices);
    let cut = cut.map(|key| if want.reversed { Position::before(&key.0) } else { Position::after(&key.0) });
    Ok((Gathered { partition, cut }, enough))
}

/// An SSTable that holds something of the partition.
pub(super) struct Holder {
    /// Its cursor.
    pub(super) cursor: usize,
    /// Whether it may have rows within the slices.
    pub(super) has_rows: bool,
}

/// Finds the SSTables that hold something of the partition, newest first, until older ones cannot matter, and merges what
/// they have beside rows.
pub(super) fn heads_of(
    truncated: Option<Timestamp>,
    cursors: &mut [TableCursor],
    (key, slices): (&DecoratedKey, &[(Position, Position)]),
    head: &mut Partition,
) -> Result<Vec<Holder>, ReadError> {
    let mut holders = Vec::new();
    for (index, cursor) in cursors.iter_mut().enumerate() {
        let stats = &cursor.table().stats;
        let covered_to = head.deletion.map(|deletion| deletion.timestamp).max(truncated);
        if covered_to.is_some_and(|covered_to| stats.timestamp_max <= covered_to.0) {
            continue;
        }
        let has_rows = stats.rows > 0
            && slices.iter().any(|(start, end)| start.0 <= stats.clustering_max && end.0 > stats.clustering_min);
        if !has_rows && !stats.has_heads {
            continue;
        }
        let Some(found) = cursor.head(key)? else { continue };
        head.merge_owned(found);
        holders.push(Holder { cursor: index, has_rows });
    }
    Ok(holders)
}

/// About how many bytes a row takes encoded.
fn row_bytes(row: &Row) -> usize {
    let columns = row.columns.iter().map(|(_, data)| match data {
        ColumnData::Simple(cell) => cell.value_len() + 14,
        ColumnData::Complex { cells, .. } => {
            20 + cells.iter().map(|(path, cell)| path.len() + cell.value_len() + 14).sum::<usize>()
        }
    });
    20 + columns.sum::<usize>()
}
