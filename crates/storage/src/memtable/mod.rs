//! Memtables: what was written since the last flush, in token order.
//!
//! A memtable is cut into shards by the upper bits of the token, so that shard order is token order and writers to
//! different partitions rarely meet. A mutation changes one partition, hence one shard, under one lock: readers see it
//! wholly or not at all.

mod key;
mod packed;
mod runs;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use quorate_model::{
    ClusteringKey, DecoratedKey, EncodedRows, Partition, PartitionKey, Position, RangeTombstones, Row, RowMap, Token,
};

use crate::LogPosition;
use crate::limits::{MEMTABLE_WINDOW_BYTES_MAX, MEMTABLE_WINDOW_BYTES_MIN, MEMTABLE_WINDOW_ROWS_MIN};
use crate::sstable::KeyBound;
pub(crate) use key::MemoryKey;
pub(crate) use packed::PackedPartition;

/// What a B-tree entry, its key's allocation and its rows' cost beyond their bytes, about.
const ENTRY_OVERHEAD: usize = 144;

type Shard = BTreeMap<MemoryKey, PackedPartition>;

/// One table's recent writes.
pub(crate) struct Memtable {
    shards: Vec<RwLock<Shard>>,
    /// Bits of the token that do not choose the shard.
    shift: u32,
    bytes: AtomicU64,
    lowest: RwLock<Option<LogPosition>>,
}

/// What a read copied from a memtable.
pub(crate) struct MemoryPart {
    /// The partition without rows.
    pub(crate) head: Partition,
    /// Rows within the slices, in the read's direction.
    pub(crate) rows: EncodedRows,
    /// Whether there are more rows than the window allowed.
    pub(crate) cut: bool,
}

/// Decodes rows that a memtable has packed.
pub(crate) fn decode(rows: EncodedRows) -> Vec<(ClusteringKey, Row)> {
    packed::expect(rows.decode())
}

/// How many rows a read copies at most.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    pub(crate) rows: usize,
    pub(crate) bytes: usize,
}

impl Window {
    /// For a read that wants so many live rows and bytes.
    pub(crate) fn of(rows: usize, bytes: usize) -> Self {
        Self {
            rows: rows.saturating_mul(2).max(MEMTABLE_WINDOW_ROWS_MIN),
            bytes: bytes.clamp(MEMTABLE_WINDOW_BYTES_MIN, MEMTABLE_WINDOW_BYTES_MAX),
        }
    }

    /// The next size.
    pub(crate) fn wider(self) -> Self {
        Self { rows: self.rows.saturating_mul(8), bytes: self.bytes.saturating_mul(8).min(MEMTABLE_WINDOW_BYTES_MAX) }
    }

    /// Whether the next size would be the same.
    pub(crate) fn is_widest(self) -> bool {
        self.bytes >= MEMTABLE_WINDOW_BYTES_MAX && self.rows >= MEMTABLE_WINDOW_BYTES_MAX
    }
}

impl Memtable {
    /// An empty one; `shards` is rounded to a power of two.
    pub(crate) fn new(shards: usize) -> Self {
        let shards = shards.clamp(1, 1 << 16).next_power_of_two();
        Self {
            shift: 64 - shards.trailing_zeros(),
            shards: (0..shards).map(|_| RwLock::default()).collect(),
            bytes: AtomicU64::new(0),
            lowest: RwLock::new(None),
        }
    }

    /// Takes in a change. Returns the bytes by which memory grew; negative if it shrank.
    pub(crate) fn apply(&self, position: LogPosition, key: &DecoratedKey, update: &Partition) -> i64 {
        self.note_position(position);
        let mut shard = self.shards[self.shard_of(key.token)].write().unwrap_or_else(PoisonError::into_inner);
        let grown = match shard.entry(MemoryKey::of(key)) {
            Entry::Occupied(mut entry) => entry.get_mut().merge(update),
            Entry::Vacant(entry) => {
                let size = key.key.0.len() + ENTRY_OVERHEAD;
                let partition = entry.insert(PackedPartition::default());
                partition.merge(update) + i64::try_from(size).unwrap_or(i64::MAX)
            }
        };
        // The sum over all changes is what the partitions take: it is never less than nothing.
        self.bytes.fetch_add(grown as u64, Ordering::Relaxed);
        grown
    }

    fn note_position(&self, position: LogPosition) {
        let known = *self.lowest.read().unwrap_or_else(PoisonError::into_inner);
        if known.is_some_and(|lowest| lowest <= position) {
            return;
        }
        let mut lowest = self.lowest.write().unwrap_or_else(PoisonError::into_inner);
        *lowest = Some(lowest.map_or(position, |lowest| lowest.min(position)));
    }

    /// The lowest log position of anything in it.
    pub(crate) fn lowest(&self) -> Option<LogPosition> {
        *self.lowest.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes of memory, about.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Whether nothing was ever applied to it.
    pub(crate) fn is_empty(&self) -> bool {
        self.lowest().is_none()
    }

    /// Copies a partition's head and a window of its rows, at one moment.
    pub(crate) fn read(
        &self,
        key: &DecoratedKey,
        slices: &[(Position, Position)],
        reversed: bool,
        window: Window,
    ) -> Option<MemoryPart> {
        self.with_partition(key, |partition| {
            let head = partition.head().map_or_else(Partition::default, |head| Partition {
                deletion: head.deletion,
                static_row: head.static_row.clone(),
                rows: RowMap::new(),
                range_tombstones: clipped(&head.range_tombstones, slices),
            });
            let mut part = MemoryPart { head, rows: EncodedRows::default(), cut: false };
            let mut bytes = 0;
            partition.rows_within(slices, reversed, &mut |row| {
                if part.rows.count() as usize >= window.rows || bytes >= window.bytes {
                    part.cut = true;
                    return false;
                }
                bytes += row.size();
                part.rows.push(row.key, row.encoded());
                true
            });
            part
        })
    }

    /// Looks at a partition where it is, at one moment: nobody changes it in the meantime, nor others near it.
    pub(crate) fn with_partition<T>(&self, key: &DecoratedKey, look: impl FnOnce(&PackedPartition) -> T) -> Option<T> {
        let shard = self.shard(self.shard_of(key.token))?;
        shard.get(&MemoryKey::of(key)).map(look)
    }

    /// The first key within the bound.
    pub(crate) fn next_key(&self, bound: &KeyBound) -> Option<DecoratedKey> {
        let (token, start) = match bound {
            KeyBound::FromToken(token) => {
                let first = DecoratedKey { token: *token, key: PartitionKey::default() };
                (*token, Bound::Included(MemoryKey::of(&first)))
            }
            KeyBound::From(key) => (key.token, Bound::Included(MemoryKey::of(key))),
            KeyBound::After(key) => (key.token, Bound::Excluded(MemoryKey::of(key))),
        };
        (self.shard_of(token)..self.shards.len()).find_map(|index| {
            let shard = self.shard(index)?;
            shard.range((start.as_ref(), Bound::Unbounded)).next().map(|(key, _)| key.decorated())
        })
    }

    /// Number of shards.
    pub(crate) fn shard_count(&self) -> usize {
        self.shards.len()
    }

    /// One shard, locked for reading: for flushes, when nobody writes to the memtable any more.
    pub(crate) fn shard(&self, index: usize) -> Option<RwLockReadGuard<'_, Shard>> {
        Some(self.shards.get(index)?.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn shard_of(&self, token: Token) -> usize {
        if self.shift >= 64 {
            return 0;
        }
        (((token.0 as u64) ^ (1 << 63)) >> self.shift) as usize
    }
}

/// The part of many ranges that a read is about; few are not worth the work.
fn clipped(ranges: &RangeTombstones, slices: &[(Position, Position)]) -> RangeTombstones {
    if ranges.len() <= 8 {
        return ranges.clone();
    }
    slices.iter().flat_map(|(start, end)| ranges.clip(start, end).iter().cloned().collect::<Vec<_>>()).collect()
}
