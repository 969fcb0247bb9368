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
