//! Partitions as memtables keep them: every row in its encoding, in memory of its own.
//!
//! A row of a hundred bytes as [`Row`] takes ten times as much: a B-tree leaf has room for eleven, and each value holds on
//! to the buffer in which it came over the network. Packed, it takes what it says it takes; a partition of one row, the
//! usual one, needs no tree, and many rows lie side by side in runs. Changes unpack the rows that they touch, merge by the model's rules, and pack the result.
//!
//! ```text
//! the one row   clustering key (len, bytes) | row        as `model::codec` has them
//! many rows     runs of them, in a tree
//! ```

use std::ops::Bound;

use bytes::{Bytes, BytesMut};
use quorate_model::wire::{Reader, Wire, Writer};
use quorate_model::{ClusteringKey, ColumnData, ColumnId, EncodedRow, Partition, Position, Row, RowMap as Unpacked};

use super::runs::Runs;

/// What a run's room for more, its index and the tree of runs cost a row, about.
const ROW_OVERHEAD: usize = 64;

/// A partition, canonical at all times.
#[derive(Default)]
pub(crate) struct PackedPartition {
    /// All but the rows; `None` if there is nothing in it.
    head: Option<Box<Partition>>,
    rows: Rows,
}

#[derive(Default)]
enum Rows {
    #[default]
    None,
    One(Box<[u8]>),
    Many(Box<Runs>),
}

impl PackedPartition {
    /// Takes in a change. Returns by how many bytes memory grew (or shrank).
    pub(crate) fn merge(&mut self, update: &Partition) -> i64 {
        let before = self.head_size();
        let plain = self.head.is_none()
            && update.deletion.is_none()
            && update.static_row.is_empty()
            && update.range_tombstones.is_empty();
        if plain {
            return update.rows.iter().map(|(key, row)| self.merge_row(key, row)).sum();
        }
        let mut affected = self.head.take().map(|head| *head).unwrap_or_default();
        let mut grown = -before;
        if update.deletion > affected.deletion {
            grown -= self.take_rows(&mut affected.rows, Bound::Unbounded, Bound::Unbounded);
        } else {
            for key in update.rows.keys() {
                grown -= self.take_rows(&mut affected.rows, Bound::Included(&key.0), Bound::Included(&key.0));
            }
            for range in update.range_tombstones.iter().filter(|range| range.start < range.end) {
                let (start, end) = (Bound::Included(&range.start.0[..]), Bound::Excluded(&range.end.0[..]));
                grown -= self.take_rows(&mut affected.rows, start, end);
            }
        }
        affected.merge(update);
        for (key, row) in std::mem::take(&mut affected.rows) {
            grown += self.insert(&key.0, &row);
        }
        self.head = (!affected.is_empty()).then(|| Box::new(affected));
        grown + self.head_size()
    }

    fn head_size(&self) -> i64 {
        self.head.as_ref().map_or(0, |head| signed(head.memory_size()))
    }

    /// Merges a row that nothing above it covers.
    fn merge_row(&mut self, key: &ClusteringKey, row: &Row) -> i64 {
        match &mut self.rows {
            Rows::One(one) => {
                let (own, packed) = split(one);
                if *own == *key.0 {
                    let before = one_size(one);
                    let mut merged = unpack(packed);
                    merged.merge(row);
                    return match merged.is_empty() {
                        true => {
                            self.rows = Rows::None;
                            -before
                        }
                        false => {
                            repack_one(one, &key.0, &merged);
                            one_size(one) - before
                        }
                    };
                }
            }
            Rows::Many(rows) => {
                if let Some(packed) = rows.get(&key.0) {
                    let before = row_size(&key.0, packed);
                    let mut merged = unpack(packed);
                    merged.merge(row);
                    if merged.is_empty() {
                        rows.remove(&key.0);
                        return -before;
                    }
                    let packed = pack(&merged);
                    rows.put(&key.0, packed.as_slice());
                    return row_size(&key.0, packed.as_slice()) - before;
                }
            }
            Rows::None => {}
        }
        let has_deletions = |(_, data): &(ColumnId, ColumnData)| matches!(data, ColumnData::Complex { .. });
        if row.deletion.is_none() && !row.is_empty() && !row.columns.iter().any(has_deletions) {
            return self.insert(&key.0, row);
        }
        let mut own = row.clone();
        own.canonicalize();
        if own.is_empty() { 0 } else { self.insert(&key.0, &own) }
    }

    /// Puts in a row that is not there.
    fn insert(&mut self, key: &[u8], row: &Row) -> i64 {
        let mut grown = 0;
        let rows = match &mut self.rows {
            Rows::None => {
                let one = pack_one(key, row);
                let size = one_size(&one);
                self.rows = Rows::One(one);
                return size;
            }
            Rows::One(one) => {
                let (first, packed) = split(one);
                grown = row_size(first, packed) - one_size(one);
                let mut runs = Box::new(Runs::default());
                runs.put(first, packed);
                self.rows = Rows::Many(runs);
                match &mut self.rows {
                    Rows::Many(rows) => rows,
                    Rows::None | Rows::One(_) => return grown,
                }
            }
            Rows::Many(rows) => rows,
        };
        let packed = pack(row);
        grown += row_size(key, packed.as_slice());
        debug_assert!(rows.get(key).is_none(), "a row that is there already");
        rows.put(key, packed.as_slice());
        grown
    }

    /// Moves the rows within the bounds into `into`; gives their size here.
    fn take_rows(&mut self, into: &mut Unpacked, start: Bound<&[u8]>, end: Bound<&[u8]>) -> i64 {
        match &mut self.rows {
            Rows::None => 0,
            Rows::One(one) => {
                let (key, packed) = split(one);
                if !contains(start, end, key) {
                    return 0;
                }
                into.insert(ClusteringKey(Bytes::copy_from_slice(key)), unpack(packed));
                let size = one_size(one);
                self.rows = Rows::None;
                size
            }
            Rows::Many(rows) => {
                let mut taken: Vec<(ClusteringKey, Row)> = Vec::new();
                rows.between((start, end), false, |key, packed| {
                    taken.push((ClusteringKey(Bytes::copy_from_slice(key)), unpack(packed)));
                    true
                });
                let mut size = 0;
                for (key, row) in taken {
                    size += rows.get(&key.0).map_or(0, |packed| row_size(&key.0, packed));
                    rows.remove(&key.0);
                    into.insert(key, row);
                }
                size
            }
        }
    }

    /// All but the rows, if there is anything.
    pub(crate) fn head(&self) -> Option<&Partition> {
        self.head.as_deref()
    }

    /// Whether there is nothing in it at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.head.is_none()
            && match &self.rows {
                Rows::None => true,
                Rows::One(_) => false,
                Rows::Many(rows) => rows.is_empty(),
            }
    }

    /// Feeds the rows of `[start, end)` in order, or in reverse, to `take` until it refuses one; tells whether it took all.
    pub(crate) fn rows_between(
        &self,
        (start, end): (&Position, &Position),
        reversed: bool,
        take: &mut impl FnMut(PackedRow<'_>) -> bool,
    ) -> bool {
        let bounds = (Bound::Included(&start.0[..]), Bound::Excluded(&end.0[..]));
        match &self.rows {
            Rows::None => true,
            Rows::One(one) => {
                let (key, packed) = split(one);
                !contains(bounds.0, bounds.1, key) || take(PackedRow { key, packed, one: Some(one) })
            }
            Rows::Many(rows) => {
                rows.between(bounds, reversed, |key, packed| take(PackedRow { key, packed, one: None }))
            }
        }
    }

    /// [`Self::rows_between`] for each of the slices, which ascend.
    pub(crate) fn rows_within(
        &self,
        slices: &[(Position, Position)],
        reversed: bool,
        take: &mut impl FnMut(PackedRow<'_>) -> bool,
    ) {
        let mut goes_on =
            |(start, end): &(Position, Position)| start >= end || self.rows_between((start, end), reversed, take);
        let _ = if reversed { slices.iter().rev().all(&mut goes_on) } else { slices.iter().all(&mut goes_on) };
    }

    /// All rows, in order.
    pub(crate) fn rows(&self) -> impl Iterator<Item = PackedRow<'_>> {
        let (one, many) = match &self.rows {
            Rows::None => (None, None),
            Rows::One(one) => (Some(one), None),
            Rows::Many(rows) => (None, Some(rows)),
        };
        let one = one.into_iter().map(|one| {
            let (key, packed) = split(one);
            PackedRow { key, packed, one: Some(one) }
        });
        let many = many.into_iter().flat_map(|rows| rows.iter());
        one.chain(many.map(|(key, packed)| PackedRow { key, packed, one: None }))
    }

    /// The whole of it.
    pub(crate) fn unpack(&self) -> Partition {
        let mut partition = self.head.as_deref().cloned().unwrap_or_default();
        partition.rows = self.rows().map(|row| row.unpack()).collect();
        partition
    }
}

/// A row in a memtable.
#[derive(Clone, Copy)]
pub(crate) struct PackedRow<'a> {
    /// Its clustering key.
    pub(crate) key: &'a [u8],
    packed: &'a [u8],
    /// Both in one piece, if they are.
    one: Option<&'a [u8]>,
}

impl PackedRow<'_> {
    /// A copy that shares nothing with the memtable.
    pub(crate) fn unpack(&self) -> (ClusteringKey, Row) {
        match self.one {
            Some(one) => {
                let mut input = Reader::new(Bytes::copy_from_slice(one));
                (expect(ClusteringKey::decode(&mut input)), expect(Row::decode(&mut input)))
            }
            None => (ClusteringKey(Bytes::copy_from_slice(self.key)), unpack(self.packed)),
        }
    }

    /// The row itself, where it is.
    pub(crate) fn encoded(&self) -> EncodedRow<'_> {
        EncodedRow(self.packed)
    }

    /// About how many bytes it takes.
    pub(crate) fn size(&self) -> usize {
        self.key.len() + self.packed.len() + ROW_OVERHEAD
    }
}

fn pack(row: &Row) -> Writer {
    let mut out = Writer::reuse(BytesMut::with_capacity(row.encoded_size_hint()));
    row.encode(&mut out);
    out
}

fn pack_one(key: &[u8], row: &Row) -> Box<[u8]> {
    written_one(key, row).as_slice().into()
}

/// Where the row was, if it fits exactly, as rows that are overwritten mostly do: neither new memory is touched then, nor is
/// old memory given back.
fn repack_one(one: &mut Box<[u8]>, key: &[u8], row: &Row) {
    let written = written_one(key, row);
    match one.len() == written.len() {
        true => one.copy_from_slice(written.as_slice()),
        false => *one = written.as_slice().into(),
    }
}

fn written_one(key: &[u8], row: &Row) -> Writer {
    let mut out = Writer::reuse(BytesMut::with_capacity(key.len() + 4 + row.encoded_size_hint()));
    out.bytes(key);
    row.encode(&mut out);
    out
}

fn unpack(packed: &[u8]) -> Row {
    expect(Row::decode(&mut Reader::new(Bytes::copy_from_slice(packed))))
}

/// What was packed here can be read: anything else is a bug of ours.
pub(super) fn expect<T, E: std::fmt::Display>(result: Result<T, E>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("a row that a memtable has packed: {error}"),
    }
}

/// The two parts of the one row.
fn split(one: &[u8]) -> (&[u8], &[u8]) {
    let (mut len, mut shift, mut at) = (0usize, 0u32, 0usize);
    for byte in one {
        len |= usize::from(byte & 0x7f) << shift;
        (shift, at) = (shift + 7, at + 1);
        if byte & 0x80 == 0 {
            break;
        }
    }
    one[at..].split_at(len)
}

fn contains(start: Bound<&[u8]>, end: Bound<&[u8]>, key: &[u8]) -> bool {
    let starts = match start {
        Bound::Included(start) => start <= key,
        Bound::Excluded(start) => start < key,
        Bound::Unbounded => true,
    };
    starts
        && match end {
            Bound::Included(end) => key <= end,
            Bound::Excluded(end) => key < end,
            Bound::Unbounded => true,
        }
}

fn one_size(one: &[u8]) -> i64 {
    signed(one.len())
}

fn row_size(key: &[u8], packed: &[u8]) -> i64 {
    signed(key.len() + packed.len() + ROW_OVERHEAD)
}

fn signed(size: usize) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use quorate_env::Random;
    use quorate_model::{Cell, Deletion, Liveness, RangeTombstone, Seconds, Timestamp};

    use super::*;

    fn deletion(random: &mut Random) -> Deletion {
        Deletion { timestamp: Timestamp(random.below(20) as i64), deleted_at: Seconds(5) }
    }

    fn row(random: &mut Random) -> Row {
        let mut row = Row::default();
        let timestamp = Timestamp(random.below(20) as i64);
        if random.below(2) == 0 {
            row.liveness = Some(Liveness { timestamp, expiry: None });
        }
        if random.below(6) == 0 {
            row.deletion = Some(deletion(random));
        }
        for id in 0..random.below(3) as u32 {
            let value = Bytes::from(vec![7; random.below(40) as usize]);
            row.set(ColumnId(id), ColumnData::Simple(Cell::live(timestamp, value)));
        }
        row
    }

    fn update(random: &mut Random) -> Partition {
        let mut update = Partition::default();
        for _ in 0..random.below(4) {
            let key = ClusteringKey(Bytes::from(vec![random.below(8) as u8; random.below(3) as usize]));
            update.rows.insert(key, row(random));
        }
        if random.below(6) == 0 {
            update.static_row = row(random);
        }
        if random.below(12) == 0 {
            update.deletion = Some(deletion(random));
        }
        if random.below(6) == 0 {
            let (start, end) = (random.below(8) as u8, random.below(8) as u8);
            update.range_tombstones.add(RangeTombstone {
                start: Position(Bytes::from(vec![start.min(end)])),
                end: Position(Bytes::from(vec![start.max(end)])),
                deletion: deletion(random),
            });
        }
        update
    }

    #[test]
    fn it_merges_as_the_model_does_and_knows_its_size() {
        for seed in 0..300 {
            let mut random = Random::new(seed);
            let (mut packed, mut plain, mut size) = (PackedPartition::default(), Partition::default(), 0);
            for _ in 0..30 {
                let update = update(&mut random);
                plain.merge(&update);
                size += packed.merge(&update);
                assert_eq!(packed.unpack(), plain, "seed {seed}");
                assert_eq!(packed.is_empty(), plain.is_empty(), "seed {seed}");
                let rows: i64 = match &packed.rows {
                    Rows::None => 0,
                    Rows::One(one) => one_size(one),
                    Rows::Many(rows) => rows.iter().map(|(key, row)| row_size(key, row)).sum(),
                };
                assert_eq!(size, rows + packed.head_size(), "seed {seed}: the size is the sum of all growth");
            }
        }
    }

    #[test]
    fn rows_between_two_places_come_in_either_order() {
        let mut packed = PackedPartition::default();
        for count in 1..6u8 {
            let mut change = Partition::default();
            let liveness = Some(Liveness { timestamp: Timestamp(1), expiry: None });
            change.row_mut(ClusteringKey(Bytes::from(vec![count]))).liveness = liveness;
            packed.merge(&change);
            for (start, end, reversed) in [(0, 9, false), (0, 9, true), (2, 4, true), (3, 3, false), (9, 9, true)] {
                let mut found = Vec::new();
                let slice = (&Position(Bytes::from(vec![start])), &Position(Bytes::from(vec![end])));
                packed.rows_between(slice, reversed, &mut |row| {
                    found.push(row.key[0]);
                    true
                });
                let mut expected: Vec<u8> = (1..=count).filter(|key| start <= *key && *key < end).collect();
                if reversed {
                    expected.reverse();
                }
                assert_eq!(found, expected, "{count} rows, {start} to {end}, reversed: {reversed}");
            }
        }
    }
}
