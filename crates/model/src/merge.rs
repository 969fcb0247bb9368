//! The merge algebra of rows and partitions.
//!
//! The state of a partition is a join-semilattice: every place (partition, range, row, column, element) keeps the greatest
//! version it was given, and whatever a deletion above it covers is dropped. What is dropped stays dropped, since the
//! greatest deletion only grows; so the order in which changes arrive, and how often, cannot matter.
//!
//! **Canonical form**: nothing in it is covered by a deletion above it (partition over range over row over collection
//! over cell), no row and no column is empty. Covering is by timestamp alone ([`Deletion::covers`]).

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::cell::{Cell, ColumnData, Deletion, max_deletion};
use crate::key::ClusteringKey;
use crate::partition::Partition;
use crate::row::Row;
use crate::time::Timestamp;

impl Row {
    /// Takes in another version of the row, and drops what the row's deletions cover.
    pub fn merge(&mut self, other: &Self) {
        self.merge_owned(other.clone());
    }

    /// [`Row::merge`] without copies.
    pub fn merge_owned(&mut self, other: Self) {
        self.join(other);
        self.canonicalize();
    }

    /// Drops whatever the row's own deletions cover, and what is empty.
    pub fn canonicalize(&mut self) {
        self.shadow_cells(self.deletion.map(|deletion| deletion.timestamp));
    }

    /// Keeps the greatest of every part, without dropping what deletions cover.
    fn join(&mut self, other: Self) {
        self.liveness = self.liveness.max(other.liveness);
        self.deletion = max_deletion(self.deletion, other.deletion);
        if self.columns.is_empty() {
            self.columns = other.columns;
            return;
        }
        for (id, data) in other.columns {
            match self.columns.binary_search_by_key(&id, |(column, _)| *column) {
                Ok(index) => {
                    if let Some((_, own)) = self.columns.get_mut(index) {
                        own.join(data);
                    }
                }
                Err(index) => self.columns.insert(index, (id, data)),
            }
        }
    }

    /// Drops what a deletion above the row (of this timestamp) or the row's own covers.
    pub(crate) fn shadow(&mut self, above: Option<Timestamp>) {
        self.deletion = self.deletion.filter(|deletion| Some(deletion.timestamp) > above);
        let own = self.deletion.map(|deletion| deletion.timestamp);
        self.shadow_cells(own.max(above));
    }

    fn shadow_cells(&mut self, covered_to: Option<Timestamp>) {
        self.liveness = self.liveness.filter(|liveness| Some(liveness.timestamp) > covered_to);
        self.columns.retain_mut(|(_, data)| data.shadow(covered_to));
    }
}

impl ColumnData {
    /// Takes in another version of the column, and drops what the collection's deletion covers. The kinds agree, as a
    /// column's type never changes between simple and complex; should they not, the complex one stands.
    pub fn merge(&mut self, other: &Self) {
        self.join(other.clone());
        self.shadow(None);
    }

    fn join(&mut self, other: Self) {
        match (&mut *self, other) {
            (Self::Simple(own), Self::Simple(cell)) => own.join(cell),
            (Self::Complex { deletion, cells }, Self::Complex { deletion: other_deletion, cells: other_cells }) => {
                *deletion = max_deletion(*deletion, other_deletion);
                join_cells(cells, other_cells);
            }
            (Self::Simple(_), complex @ Self::Complex { .. }) => *self = complex,
            (Self::Complex { .. }, Self::Simple(_)) => {}
        }
    }

    /// Drops what is covered; tells whether anything is left.
    fn shadow(&mut self, above: Option<Timestamp>) -> bool {
        match self {
            Self::Simple(cell) => Some(cell.timestamp) > above,
            Self::Complex { deletion, cells } => {
                *deletion = deletion.filter(|deletion| Some(deletion.timestamp) > above);
                let covered_to = deletion.map(|deletion| deletion.timestamp).max(above);
                if covered_to.is_some() {
                    cells.retain(|_, cell| Some(cell.timestamp) > covered_to);
                }
                deletion.is_some() || !cells.is_empty()
            }
        }
    }
}

fn join_cells(cells: &mut BTreeMap<Bytes, Cell>, other: BTreeMap<Bytes, Cell>) {
    if cells.is_empty() {
        *cells = other;
        return;
    }
    for (path, cell) in other {
        match cells.entry(path) {
            std::collections::btree_map::Entry::Occupied(mut own) => own.get_mut().join(cell),
            std::collections::btree_map::Entry::Vacant(slot) => {
                slot.insert(cell);
            }
        }
    }
}

impl Cell {
    fn join(&mut self, other: Self) {
        if other.cmp_version(self).is_gt() {
            *self = other;
        }
    }
}

impl Partition {
    /// Takes in another version of the partition, or a change to it. `self` must be canonical, as everything is that was
    /// merged into an empty partition or canonicalised; the result is canonical whatever `other` is.
    pub fn merge(&mut self, other: &Self) {
        self.merge_owned(other.clone());
    }

    /// [`Partition::merge`] without copies. The work is proportional to `other` and to what its deletions cover.
    pub fn merge_owned(&mut self, other: Self) {
        if self.is_empty() {
            *self = other;
            self.canonicalize();
            return;
        }
        let deletion_before = self.covered_to();
        self.deletion = max_deletion(self.deletion, other.deletion);
        let covered_to = self.covered_to();
        self.range_tombstones.merge(&other.range_tombstones);
        self.range_tombstones.retain(|deletion| Some(deletion.timestamp) > covered_to);

        self.static_row.join(other.static_row);
        self.static_row.shadow(covered_to);
        for (key, row) in other.rows {
            let above = self.range_covering(&key).max(covered_to);
            match self.rows.get_mut(&key) {
                Some(own) => {
                    own.join(row);
                    own.shadow(above);
                    if own.is_empty() {
                        self.rows.remove(&key);
                    }
                }
                None => {
                    let mut row = row;
                    row.shadow(above);
                    if !row.is_empty() {
                        self.rows.insert(key, row);
                    }
                }
            }
        }
        if covered_to > deletion_before {
            self.shadow_rows();
        } else {
            for range in other.range_tombstones.iter() {
                self.shadow_rows_between(&range.start.0, &range.end.0, range.deletion);
            }
        }
    }

    /// Brings a partition that was built by hand into canonical form.
    pub fn canonicalize(&mut self) {
        let covered_to = self.covered_to();
        self.range_tombstones.retain(|deletion| Some(deletion.timestamp) > covered_to);
        self.static_row.shadow(covered_to);
        self.shadow_rows();
    }

    fn covered_to(&self) -> Option<Timestamp> {
        self.deletion.map(|deletion| deletion.timestamp)
    }

    fn range_covering(&self, key: &ClusteringKey) -> Option<Timestamp> {
        self.range_tombstones.covering(key).map(|deletion| deletion.timestamp)
    }

    /// Drops from every row what is covered. Walks rows and ranges side by side.
    fn shadow_rows(&mut self) {
        let covered_to = self.covered_to();
        let mut ranges = self.range_tombstones.iter().peekable();
        self.rows.retain(|key, row| {
            while ranges.next_if(|range| range.end.0 <= key.0).is_some() {}
            let range = ranges.peek().filter(|range| range.start.0 <= key.0);
            row.shadow(range.map(|range| range.deletion.timestamp).max(covered_to));
            !row.is_empty()
        });
    }

    fn shadow_rows_between(&mut self, start: &Bytes, end: &Bytes, deletion: Deletion) {
        if start >= end {
            return;
        }
        self.rows.retain_between(&ClusteringKey(start.clone()), &ClusteringKey(end.clone()), |row| {
            row.shadow(Some(deletion.timestamp));
            !row.is_empty()
        });
    }
}
