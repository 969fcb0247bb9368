//! Deleted ranges of rows.

use crate::cell::Deletion;
use crate::key::Position;

/// A deleted range of rows: `[start, end)` in positions.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RangeTombstone {
    /// Where it begins.
    pub start: Position,
    /// Where it ends.
    pub end: Position,
    /// The deletion.
    pub deletion: Deletion,
}

/// A canonical set of deleted ranges: sorted, disjoint, none empty, neighbours with the same deletion joined; where
/// ranges overlapped the greater deletion stands. Equal coverage has one form.
#[derive(Clone, Debug, PartialEq, Eq, Default, Hash)]
pub struct RangeTombstones(pub(crate) Vec<RangeTombstone>);
