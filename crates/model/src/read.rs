//! What a replica is asked to read, and its answer.

use crate::ids::TableId;
use crate::key::{DecoratedKey, Position, Token};
use crate::partition::Partition;
use crate::time::Seconds;

/// A read of one partition or of a range of partitions of one table. All columns are always read: whether a row exists
/// depends on all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadCommand {
    /// The table.
    pub table: TableId,
    /// Which partitions.
    pub target: ReadTarget,
    /// Which rows of each partition: disjoint `[start, end)` slices in ascending order, whatever the direction of the
    /// read. Empty means the static row alone.
    pub slices: Vec<(Position, Position)>,
    /// Whether rows are read from the last to the first. Partitions always come in token order.
    pub reversed: bool,
    /// Stop after this many live rows over all partitions (a partition of which only the static row is live counts as one).
    pub row_limit: u32,
    /// Stop after this many live rows of each partition (`PER PARTITION LIMIT`); `u32::MAX` if none.
    pub per_partition_limit: u32,
    /// Stop once the answer holds this many bytes; at least one row is always returned.
    pub byte_limit: u32,
    /// The coordinator's one 'now' for expiry, so that no cell flickers between replicas or pages.
    pub now: Seconds,
}

/// Which partitions a read wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadTarget {
    /// One partition.
    Partition(DecoratedKey),
    /// All partitions with `after < token <= last` (never wrapping).
    Range {
        /// Exclusive start; `None` is the ring's start.
        after: Option<Token>,
        /// Inclusive end.
        last: Token,
        /// If set, start in the midst of the range: the partition at which an earlier page stopped, whose rows are then
        /// limited by `resume` and which is the first to be read.
        from: Option<Resume>,
    },
}

/// Where an earlier page stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resume {
    /// The partition.
    pub key: DecoratedKey,
    /// Rows at or after this position (before it, if reversed) are still to be read; `None` if the partition is finished
    /// and the read goes on with the next one.
    pub position: Option<Position>,
}

/// A replica's answer: partitions in (token, key) order with their tombstones, canonical, restricted to the slices.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ReadResponse {
    /// What was found.
    pub partitions: Vec<(DecoratedKey, Partition)>,
    /// `None` if everything asked for was read. Otherwise a limit was met: the answer is complete up to here, exactly
    /// this side of it, and says nothing of what follows.
    pub stopped_at: Option<Resume>,
}
