//! Partitions: the unit of placement, of atomicity and of merging.

use std::collections::BTreeMap;

use crate::cell::Deletion;
use crate::key::ClusteringKey;
use crate::range_tombstone::RangeTombstones;
use crate::row::Row;

/// A partition's content, a part of it, or a change to it: all three have the same shape and merge alike.
#[derive(Clone, Debug, PartialEq, Eq, Default, Hash)]
pub struct Partition {
    /// The greatest deletion of the whole partition.
    pub deletion: Option<Deletion>,
    /// Static columns.
    pub static_row: Row,
    /// Rows in clustering order.
    pub rows: BTreeMap<ClusteringKey, Row>,
    /// Deleted ranges of rows, disjoint and sorted.
    pub range_tombstones: RangeTombstones,
}
