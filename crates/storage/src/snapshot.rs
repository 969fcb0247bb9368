//! Snapshots: hard links to SSTables under a tag.

use quorate_model::{Seconds, TableId};

/// A snapshot of one table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotDescription {
    /// Its name.
    pub tag: String,
    /// The table.
    pub table: TableId,
    /// When it was taken.
    pub created_at: Seconds,
    /// When it clears itself, if ever.
    pub expires_at: Option<Seconds>,
    /// Bytes of its files.
    pub bytes: u64,
}
