//! Mutations: what is logged, sent to replicas and kept as hints.

use crate::ids::TableId;
use crate::key::DecoratedKey;
use crate::partition::Partition;

/// A change to one partition of one table, applied wholly or not at all. Its timestamps are inside, so applying it any
/// number of times, at any time, in any order, gives the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mutation {
    /// The table.
    pub table: TableId,
    /// The partition.
    pub key: DecoratedKey,
    /// The change.
    pub update: Partition,
}
