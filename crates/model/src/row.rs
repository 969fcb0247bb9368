//! Rows: liveness, deletion and columns.

use crate::cell::{Cell, ColumnData, Deletion};
use crate::ids::ColumnId;
use crate::time::{Seconds, Timestamp, Ttl};

/// That a row was inserted (as opposed to only having cells): it stays visible when all its cells are null.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Liveness {
    /// The insert's timestamp.
    pub timestamp: Timestamp,
    /// Time to live and the second of expiry, for an insert `USING TTL`.
    pub expiry: Option<(Seconds, Ttl)>,
}

impl Liveness {
    /// Whether the row marker is alive at `now`.
    pub fn is_live(&self, now: Seconds) -> bool {
        self.expiry.is_none_or(|(expires_at, _)| now < expires_at)
    }
}

/// A row, or a change to one. Columns are sorted by id and unique.
#[derive(Clone, Debug, PartialEq, Eq, Default, Hash)]
pub struct Row {
    /// The greatest row marker.
    pub liveness: Option<Liveness>,
    /// The greatest deletion of the whole row.
    pub deletion: Option<Deletion>,
    /// Columns in order of their id.
    pub columns: Vec<(ColumnId, ColumnData)>,
}

impl Row {
    /// Whether there is nothing in it at all, not even a tombstone.
    pub fn is_empty(&self) -> bool {
        self.liveness.is_none() && self.deletion.is_none() && self.columns.is_empty()
    }

    /// The column's content.
    pub fn column(&self, id: ColumnId) -> Option<&ColumnData> {
        let index = self.columns.binary_search_by_key(&id, |(column, _)| *column).ok()?;
        self.columns.get(index).map(|(_, data)| data)
    }

    /// The column's cell, if it is a simple column.
    pub fn cell(&self, id: ColumnId) -> Option<&Cell> {
        match self.column(id)? {
            ColumnData::Simple(cell) => Some(cell),
            ColumnData::Complex { .. } => None,
        }
    }
}

impl Row {
    /// Whether the row shows at `now`: it was inserted and has not expired, or one of its cells is alive.
    pub fn is_live(&self, now: Seconds) -> bool {
        self.liveness.is_some_and(|liveness| liveness.is_live(now)) || self.has_live_cell(now)
    }

    /// Whether any cell is alive at `now`.
    pub fn has_live_cell(&self, now: Seconds) -> bool {
        self.columns.iter().any(|(_, data)| match data {
            ColumnData::Simple(cell) => cell.value_at(now).is_some(),
            ColumnData::Complex { cells, .. } => cells.values().any(|cell| cell.value_at(now).is_some()),
        })
    }

    /// Sets a column's content, replacing what was there; keeps the order of columns.
    pub fn set(&mut self, id: ColumnId, data: ColumnData) {
        match self.columns.binary_search_by_key(&id, |(column, _)| *column) {
            Ok(index) => {
                if let Some((_, slot)) = self.columns.get_mut(index) {
                    *slot = data;
                }
            }
            Err(index) => self.columns.insert(index, (id, data)),
        }
    }

    /// Calls back with every timestamp in the row.
    pub(crate) fn timestamps(&self, seen: &mut impl FnMut(Timestamp)) {
        if let Some(liveness) = self.liveness {
            seen(liveness.timestamp);
        }
        if let Some(deletion) = self.deletion {
            seen(deletion.timestamp);
        }
        for (_, data) in &self.columns {
            match data {
                ColumnData::Simple(cell) => seen(cell.timestamp),
                ColumnData::Complex { deletion, cells } => {
                    if let Some(deletion) = deletion {
                        seen(deletion.timestamp);
                    }
                    cells.values().for_each(|cell| seen(cell.timestamp));
                }
            }
        }
    }

    /// Approximate memory taken, in bytes.
    pub fn memory_size(&self) -> usize {
        let columns: usize = self.columns.iter().map(|(_, data)| column_memory_size(data)).sum();
        size_of::<Self>() + self.columns.len() * size_of::<(ColumnId, ColumnData)>() + columns
    }
}

/// Approximate heap memory of one column's content, beyond its own struct.
fn column_memory_size(data: &ColumnData) -> usize {
    match data {
        ColumnData::Simple(cell) => cell.value_len(),
        ColumnData::Complex { cells, .. } => cells
            .iter()
            .map(|(path, cell)| path.len() + cell.value_len() + size_of::<(bytes::Bytes, Cell)>() + MAP_ENTRY_OVERHEAD)
            .sum(),
    }
}

/// What a B-tree's nodes cost an entry, on average: they are about two thirds full.
pub(crate) const MAP_ENTRY_OVERHEAD: usize = 24;
