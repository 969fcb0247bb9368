//! What a replica is asked to read, and its answer.

use crate::codec::encoded::EncodedRows;
use crate::ids::TableId;
use crate::index::IndexSearch;
use crate::key::{ClusteringKey, DecoratedKey, Position, Token};
use crate::partition::{Partition, row_size_hint};
use crate::row::Row;
use crate::time::Seconds;
use crate::wire::Wire;

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
    /// Which of the rows within target and slices.
    pub rows: RowChoice,
}

/// Which of the rows within a command's target and slices a read wants.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum RowChoice {
    /// All of them.
    #[default]
    All,
    /// Those that an index holds under a term, as far as the replica's own content of the row agrees.
    Index(IndexSearch),
    /// Those within these slices, of these partitions in (token, key) order: what replicas' indexes offered, to be looked
    /// at on each.
    Named(Vec<NamedRows>),
}

/// Rows of one partition: its key, and disjoint ascending slices.
pub type NamedRows = (DecoratedKey, Vec<(Position, Position)>);

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

/// What lives of one partition, for a reader that has nothing to merge it with: no tombstones, and no rows that are dead at
/// the command's `now`.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct LiveRows {
    /// The static row, dead cells included.
    pub static_row: Row,
    /// Rows in reading order.
    pub rows: EncodedRows,
    /// Set if a limit was met: rows from here on (before it, if reversed) are not in it.
    pub stopped_at: Option<Position>,
}

/// Counts rows in read order and says where a read stops. Storage and coordinator both cut with it, so that what a
/// replica leaves out is what a coordinator would have left out.
#[derive(Clone, Debug)]
pub struct LimitCounter {
    rows_left: u32,
    bytes_left: usize,
    stopped: bool,
}

/// What [`ReadCommand::limit_partition`] left of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limited {
    /// The part of it up to where a limit was met.
    pub partition: Partition,
    /// Set if the whole read stops here, rather than only this partition.
    pub stopped: Option<Resume>,
}

impl LimitCounter {
    /// Nothing counted yet. A limit of no rows or bytes counts as one: reads always make headway.
    pub fn new(command: &ReadCommand) -> Self {
        Self {
            rows_left: command.row_limit.max(1),
            bytes_left: usize::try_from(command.byte_limit).unwrap_or(usize::MAX).max(1),
            stopped: false,
        }
    }

    /// Whether a limit was met: no further partition is to be fed.
    pub fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// Live rows that may still be taken.
    pub fn rows_left(&self) -> u32 {
        self.rows_left
    }

    /// Takes a partition's key and all of it but the rows.
    pub fn take_head(&mut self, key: &DecoratedKey, head: &Partition) {
        self.take(key.key.0.len() + head.header_size_hint(), false);
    }

    /// Takes a row of so many bytes, its key included; tells whether the read goes on.
    #[inline]
    pub fn take(&mut self, bytes: usize, live: bool) -> bool {
        self.bytes_left = self.bytes_left.saturating_sub(bytes);
        self.rows_left = self.rows_left.saturating_sub(u32::from(live));
        self.stopped = self.bytes_left == 0 || self.rows_left == 0;
        !self.stopped
    }
}

impl ReadCommand {
    /// Cuts a partition (already restricted to the slices) where a limit is met, counting into `counter`.
    ///
    /// - Only rows that live at `now` count towards the row limits; tombstones before the stop are kept, those behind it
    ///   are cut away. Everything counts towards the byte limit.
    /// - The per-partition limit cuts a partition right behind its last counted row and does not stop the read. An answer
    ///   with exactly that many live rows of a partition may have been cut there.
    /// - A partition of which only the static row lives counts as one row if all rows were asked for, or none; not if it
    ///   is being resumed.
    pub fn limit_partition(&self, counter: &mut LimitCounter, key: &DecoratedKey, partition: Partition) -> Limited {
        let mut partition = partition;
        let mut taken = 0u32;
        let mut cut: Option<(Position, bool)> = None;
        counter.take_head(key, &partition);
        let mut take = |row_key: &ClusteringKey, row: &crate::row::Row| {
            let live = row.is_live(self.now);
            taken = taken.saturating_add(u32::from(live));
            let goes_on = counter.take(row_key.0.len() + row_size_hint(row), live);
            let partition_done = taken >= self.per_partition_limit;
            if goes_on && !partition_done {
                return None;
            }
            let place = if self.reversed { Position::before(&row_key.0) } else { Position::after(&row_key.0) };
            Some((place, partition_done))
        };
        if self.reversed {
            for (row_key, row) in partition.rows.iter().rev() {
                cut = take(row_key, row);
                if cut.is_some() {
                    break;
                }
            }
        } else {
            for (row_key, row) in &partition.rows {
                cut = take(row_key, row);
                if cut.is_some() {
                    break;
                }
            }
        }
        if taken == 0 && cut.is_none() && self.static_counts(key) && partition.static_is_live(self.now) {
            counter.take(0, true);
        }
        let stopped = counter.is_stopped().then(|| Resume {
            key: key.clone(),
            position: cut.as_ref().filter(|(_, partition_done)| !partition_done).map(|(place, _)| place.clone()),
        });
        if let Some((place, _)) = cut {
            let kept = if self.reversed { (place, Position::END) } else { (Position::START, place) };
            partition.restrict(&[kept]);
        }
        Limited { partition, stopped }
    }

    /// The slices of the resumed partition that are still to be read; none if it is finished.
    pub fn slices_from(&self, resume: &Resume) -> Vec<(Position, Position)> {
        let Some(position) = &resume.position else { return Vec::new() };
        let left = self.slices.iter().map(|(start, end)| {
            if self.reversed {
                (start.clone(), end.clone().min(position.clone()))
            } else {
                (start.clone().max(position.clone()), end.clone())
            }
        });
        left.filter(|(start, end)| start < end).collect()
    }

    /// Whether the partition's static row alone makes a result row: not if only some rows were asked for, nor if an
    /// earlier page has already begun with the partition.
    fn static_counts(&self, key: &DecoratedKey) -> bool {
        if let ReadTarget::Range { from: Some(from), .. } = &self.target
            && from.key == *key
        {
            return false;
        }
        match self.slices.as_slice() {
            [] => true,
            [(start, end)] => *start == Position::START && *end == Position::END,
            _ => false,
        }
    }
}

/// Cuts partitions, given in (token, key) order and restricted to the slices, by the command's limits. Partitions of
/// which nothing is left are left out.
pub fn apply_limits(
    partitions: impl IntoIterator<Item = (DecoratedKey, Partition)>,
    command: &ReadCommand,
) -> ReadResponse {
    let mut counter = LimitCounter::new(command);
    let mut response = ReadResponse::default();
    for (key, partition) in partitions {
        if partition.is_empty() {
            continue;
        }
        let limited = command.limit_partition(&mut counter, &key, partition);
        if !limited.partition.is_empty() {
            response.partitions.push((key, limited.partition));
        }
        if limited.stopped.is_some() {
            response.stopped_at = limited.stopped;
            break;
        }
    }
    response
}

impl ReadResponse {
    /// A hash of the answer's canonical content, where it stops included.
    pub fn digest(&self) -> u128 {
        xxhash_rust::xxh3::xxh3_128(&self.to_bytes())
    }
}
