//! Cells and their merge rule.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use bytes::Bytes;

use crate::time::{Seconds, Timestamp, Ttl};

/// A deletion: everything it covers with a timestamp up to and including its own is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Deletion {
    /// The deletion's write timestamp.
    pub timestamp: Timestamp,
    /// When it was made, by the coordinator's clock (Cassandra's local deletion time).
    pub deleted_at: Seconds,
}

impl Deletion {
    /// Whether a write with this timestamp is deleted.
    pub fn covers(&self, timestamp: Timestamp) -> bool {
        timestamp <= self.timestamp
    }
}

/// The greater of two optional deletions: later timestamp, then later deletion time.
pub fn max_deletion(a: Option<Deletion>, b: Option<Deletion>) -> Option<Deletion> {
    a.max(b)
}

/// One value, or its absence, at one time.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Cell {
    /// The write's timestamp.
    pub timestamp: Timestamp,
    /// What was written.
    pub content: CellContent,
}

/// What a cell holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CellContent {
    /// A value that stays.
    Live(Bytes),
    /// A value that becomes a tombstone at `expires_at`.
    Expiring {
        /// The value.
        value: Bytes,
        /// The time to live it was written with.
        ttl: Ttl,
        /// The first second at which it is no longer there.
        expires_at: Seconds,
    },
    /// A deleted value.
    Tombstone {
        /// When it was deleted.
        deleted_at: Seconds,
    },
}

impl Cell {
    /// The value if the cell is alive at `now`.
    pub fn value_at(&self, now: Seconds) -> Option<&Bytes> {
        match &self.content {
            CellContent::Live(value) => Some(value),
            CellContent::Expiring { value, expires_at, .. } if now < *expires_at => Some(value),
            CellContent::Expiring { .. } | CellContent::Tombstone { .. } => None,
        }
    }

    /// Length of the value, dead or alive; 0 for a tombstone.
    pub fn value_len(&self) -> usize {
        match &self.content {
            CellContent::Live(value) | CellContent::Expiring { value, .. } => value.len(),
            CellContent::Tombstone { .. } => 0,
        }
    }

    /// A lasting value.
    pub fn live(timestamp: Timestamp, value: Bytes) -> Self {
        Self { timestamp, content: CellContent::Live(value) }
    }

    /// A deleted value.
    pub fn tombstone(timestamp: Timestamp, deleted_at: Seconds) -> Self {
        Self { timestamp, content: CellContent::Tombstone { deleted_at } }
    }

    /// Total order of versions of one cell; the greater wins. Greater timestamp; then a tombstone over a value; then an
    /// expiring value over a lasting one; then the later expiry (and longer TTL); then the greater value bytes; between
    /// tombstones the later deletion time. Independent of the present moment, so that merging never depends on when it
    /// is done. Source: Cassandra's `Cells.reconcile` rules (CASSANDRA-14592 for why `now` must not matter).
    pub fn cmp_version(&self, other: &Self) -> Ordering {
        fn rank(content: &CellContent) -> u8 {
            match content {
                CellContent::Live(_) => 0,
                CellContent::Expiring { .. } => 1,
                CellContent::Tombstone { .. } => 2,
            }
        }
        self.timestamp.cmp(&other.timestamp).then_with(|| rank(&self.content).cmp(&rank(&other.content))).then_with(
            || match (&self.content, &other.content) {
                (CellContent::Live(a), CellContent::Live(b)) => a.cmp(b),
                (
                    CellContent::Expiring { value: a, ttl: ttl_a, expires_at: at_a },
                    CellContent::Expiring { value: b, ttl: ttl_b, expires_at: at_b },
                ) => at_a.cmp(at_b).then_with(|| ttl_a.cmp(ttl_b)).then_with(|| a.cmp(b)),
                (CellContent::Tombstone { deleted_at: a }, CellContent::Tombstone { deleted_at: b }) => a.cmp(b),
                _ => Ordering::Equal,
            },
        )
    }

    /// Keeps the greater of the two versions.
    pub fn merge(&mut self, other: &Self) {
        if other.cmp_version(self) == Ordering::Greater {
            *self = other.clone();
        }
    }
}

/// A column's content in a row.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ColumnData {
    /// A scalar or frozen value: one cell.
    Simple(Cell),
    /// A collection that is not frozen: a cell an element, keyed by its byte-comparable path, and the deletion that an
    /// overwrite of the whole leaves behind.
    Complex {
        /// Deletes every element not newer than it.
        deletion: Option<Deletion>,
        /// Element cells by path: a set's element or a map's key in [`crate::ordered`] form; a list's 16-byte
        /// time-ordered position.
        cells: BTreeMap<Bytes, Cell>,
    },
}
