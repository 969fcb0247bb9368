//! Many rows of one partition, in runs: neighbours lie side by side in memory.
//!
//! A row with memory of its own costs whoever reads a hundred of them two hundred waits for memory, and the allocator two
//! allocations when it is written. In runs of a page or so a slice is read in the order in which it lies; a row that comes
//! between others moves what of its run is behind it, which is cheaper than an allocation.
//!
//! ```text
//! run   row ...   each is clustering key (len, bytes) | row (len, bytes), in order
//! ```

use std::collections::BTreeMap;
use std::ops::{Bound, Range};

use quorate_model::{EncodedRow, split_row};

use crate::limits::MEMTABLE_RUN_BYTES;

/// Rows by their clustering keys.
#[derive(Default)]
pub(super) struct Runs {
    /// Each by a key that none of its rows comes before, and that all rows of the runs before it come before. No run is empty.
    runs: BTreeMap<Box<[u8]>, Run>,
}

#[derive(Default)]
struct Run {
    bytes: Vec<u8>,
    /// Where each row begins.
    starts: Vec<u32>,
}

impl Runs {
    /// Whether there are no rows.
    pub(super) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// The row with this key.
    pub(super) fn get(&self, key: &[u8]) -> Option<&[u8]> {
        let (_, run) = self.runs.range::<[u8], _>((Bound::Unbounded, Bound::Included(key))).next_back()?;
        Some(run.row(run.find(key).ok()?).1)
    }

    /// Puts a row in, in the place of the one with its key if there is one.
    pub(super) fn put(&mut self, key: &[u8], row: &[u8]) {
        let found = self.runs.range_mut::<[u8], _>((Bound::Unbounded, Bound::Included(key))).next_back();
        let Some((first, run)) = found else {
            // Before all others: the run that it makes begins before everything.
            let run = self.runs.entry(Box::default()).or_default();
            return run.splice(0..0, Some((key, row)));
        };
        let (index, known) = match run.find(key) {
            Ok(index) => (index, index..index + 1),
            Err(index) => (index, index..index),
        };
        let size = run.bytes.len() - (run.start(known.end) - run.start(known.start)) + key.len() + row.len();
        if size <= MEMTABLE_RUN_BYTES || run.starts.len() == known.len() {
            return run.splice(known, Some((key, row)));
        }
        run.splice(known, None);
        let first = first.clone();
        self.put_apart(first, index, (key, row));
    }

    /// Puts a row that is not there into a run that has no room for it, at this number, and makes two of the run, or three.
    fn put_apart(&mut self, first: Box<[u8]>, index: usize, row: (&[u8], &[u8])) {
        let is_last = self.runs.last_key_value().is_some_and(|(last, _)| *last == first);
        let Some(run) = self.runs.get_mut(&first) else { return };
        let count = run.starts.len();
        let is_great = row.0.len() + row.1.len() > MEMTABLE_RUN_BYTES;
        // Whoever writes in order, in either direction, leaves full runs behind.
        let is_at_an_end = (index == count && is_last) || (index == 0 && first.is_empty());
        let split = if is_great || is_at_an_end || count == 1 { index } else { count / 2 };
        let mut behind = run.split_off(split);
        if index < split || split == 0 {
            run.splice(index..index, Some(row));
        } else if is_great {
            let mut own = Run::default();
            own.splice(0..0, Some(row));
            self.runs.insert(row.0.into(), own);
        } else {
            behind.splice(index - split..index - split, Some(row));
        }
        if !behind.starts.is_empty() {
            let first = behind.row(0).0.into();
            self.runs.insert(first, behind);
        }
    }

    /// Takes the row with this key out.
    pub(super) fn remove(&mut self, key: &[u8]) {
        let found = self.runs.range_mut::<[u8], _>((Bound::Unbounded, Bound::Included(key))).next_back();
        let Some((first, run)) = found else { return };
        let Ok(index) = run.find(key) else { return };
        run.splice(index..index + 1, None);
        if run.starts.is_empty() {
            let first = first.clone();
            self.runs.remove(&first);
        }
    }

    /// Feeds the rows within the bounds in order, or in reverse, to `take` until it refuses one; tells whether it took all.
    pub(super) fn between<'a>(
        &'a self,
        (start, end): (Bound<&[u8]>, Bound<&[u8]>),
        reversed: bool,
        mut take: impl FnMut(&'a [u8], &'a [u8]) -> bool,
    ) -> bool {
        let mut take = |run: &'a Run, index: usize| {
            let (key, row) = run.row(index);
            take(key, row)
        };
        if reversed {
            for run in self.runs.range::<[u8], _>((Bound::Unbounded, end)).rev().map(|(_, run)| run) {
                let (from, to) = (run.from(start), run.to(end));
                if !(from..to).rev().all(|index| take(run, index)) {
                    return false;
                }
                if from > 0 {
                    return true;
                }
            }
            return true;
        }
        let first = match start {
            Bound::Included(key) | Bound::Excluded(key) => {
                let before = self.runs.range::<[u8], _>((Bound::Unbounded, Bound::Included(key))).next_back();
                before.map_or(Bound::Unbounded, |(first, _)| Bound::Included(&first[..]))
            }
            Bound::Unbounded => Bound::Unbounded,
        };
        for run in self.runs.range::<[u8], _>((first, Bound::Unbounded)).map(|(_, run)| run) {
            let to = run.to(end);
            if !(run.from(start)..to).all(|index| take(run, index)) {
                return false;
            }
            if to < run.starts.len() {
                return true;
            }
        }
        true
    }

    /// All rows, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.runs.values().flat_map(|run| (0..run.starts.len()).map(|index| run.row(index)))
    }
}

impl Run {
    /// The row with this number, which must be there.
    fn row(&self, index: usize) -> (&[u8], &[u8]) {
        match split_row(&self.bytes[self.starts[index] as usize..]) {
            Some((key, EncodedRow(row), _)) => (key, row),
            None => panic!("a row that a memtable has packed ends with its run"),
        }
    }

    fn find(&self, key: &[u8]) -> Result<usize, usize> {
        let index = self.from(Bound::Included(key));
        if index < self.starts.len() && self.row(index).0 == key { Ok(index) } else { Err(index) }
    }

    /// The number of the first row within the bound.
    fn from(&self, start: Bound<&[u8]>) -> usize {
        match start {
            Bound::Unbounded => 0,
            Bound::Included(key) => self.count_until(|own| own < key),
            Bound::Excluded(key) => self.count_until(|own| own <= key),
        }
    }

    /// One after the number of the last row within the bound.
    fn to(&self, end: Bound<&[u8]>) -> usize {
        match end {
            Bound::Unbounded => self.starts.len(),
            Bound::Included(key) => self.count_until(|own| own <= key),
            Bound::Excluded(key) => self.count_until(|own| own < key),
        }
    }

    fn count_until(&self, is_before: impl Fn(&[u8]) -> bool) -> usize {
        let own = |start: u32| self.bytes.get(start as usize..).and_then(split_row).map(|(key, _, _)| key);
        self.starts.partition_point(|start| own(*start).is_some_and(&is_before))
    }

    fn start(&self, index: usize) -> usize {
        self.starts.get(index).map_or(self.bytes.len(), |start| *start as usize)
    }

    /// Puts one row, or none, in the place of these.
    fn splice(&mut self, rows: Range<usize>, row: Option<(&[u8], &[u8])>) {
        let (from, to, length) = (self.start(rows.start), self.start(rows.end), self.bytes.len());
        let mut lengths = [0; 2 * LENGTH_BYTES_MAX];
        let (of_key, of_row) = lengths.split_at_mut(LENGTH_BYTES_MAX);
        let parts: [&[u8]; 4] = match row {
            Some((key, row)) => [write_length(key.len(), of_key), key, write_length(row.len(), of_row), row],
            None => [&[]; 4],
        };
        let size: usize = parts.iter().map(|part| part.len()).sum();
        let end = from + size;
        if end > to {
            self.bytes.resize(length + end - to, 0);
        }
        self.bytes.copy_within(to..length, end);
        self.bytes.truncate(length + end - to);
        let mut at = from;
        for part in parts {
            self.bytes[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
        for start in &mut self.starts[rows.end..] {
            *start = (*start as usize + end - to) as u32;
        }
        self.starts.splice(rows, row.map(|_| from as u32));
    }

    /// Takes out the rows from this number on.
    fn split_off(&mut self, index: usize) -> Self {
        let from = self.start(index);
        let bytes = self.bytes.split_off(from);
        let starts = self.starts.split_off(index).into_iter().map(|start| start - from as u32).collect();
        Self { bytes, starts }
    }
}

/// Bytes of a length, at most.
const LENGTH_BYTES_MAX: usize = 10;

/// A length as `model::wire` has it.
fn write_length(mut length: usize, out: &mut [u8]) -> &[u8] {
    let mut count = 0;
    while length >= 0x80 {
        out[count] = (length as u8) | 0x80;
        length >>= 7;
        count += 1;
    }
    out[count] = length as u8;
    &out[..=count]
}

#[cfg(test)]
mod tests {
    use quorate_env::Random;

    use super::*;

    fn random_key(random: &mut Random) -> Vec<u8> {
        vec![random.below(40) as u8; random.between(1, 3) as usize]
    }

    #[test]
    fn it_is_a_map_in_order() {
        for seed in 0..40 {
            let mut random = Random::new(seed);
            let (mut runs, mut plain) = (Runs::default(), BTreeMap::new());
            // Rows of about a run's size too, so that runs of one row are met.
            let row_max = [20, 700, 5000][(seed % 3) as usize];
            for step in 0..400 {
                let key = match seed % 4 {
                    0 => vec![(step / 256) as u8, step as u8],
                    1 => vec![255 - (step / 256) as u8, 255 - step as u8],
                    _ => random_key(&mut random),
                };
                if random.chance(1, 4) {
                    let key = random_key(&mut random);
                    runs.remove(&key);
                    plain.remove(&key);
                }
                let row = vec![step as u8; random.between(1, row_max) as usize];
                runs.put(&key, &row);
                plain.insert(key, row);
                let (a, b) = (random_key(&mut random), random_key(&mut random));
                assert_eq!(runs.get(&a), plain.get(&a).map(|row| &row[..]), "seed {seed}");
                let bounds = match random.below(3) {
                    0 => (Bound::Included(&a[..]), Bound::Excluded(&b[..])),
                    1 => (Bound::Included(&a[..]), Bound::Included(&a[..])),
                    _ => (Bound::Unbounded, Bound::Unbounded),
                };
                if a >= b && bounds.1 == Bound::Excluded(&b[..]) {
                    continue;
                }
                let (reversed, wanted) = (random.chance(1, 2), random.below(50) as usize);
                let within = plain.range::<[u8], _>(bounds).map(|(key, row)| (&key[..], &row[..]));
                let mut expected: Vec<_> = within.collect();
                if reversed {
                    expected.reverse();
                }
                let is_whole = expected.len() <= wanted;
                expected.truncate(wanted);
                let mut found = Vec::new();
                let whole = runs.between(bounds, reversed, |key, row| {
                    let takes = found.len() < wanted;
                    takes.then(|| found.push((key, row)));
                    takes
                });
                assert_eq!((found, whole), (expected, is_whole), "seed {seed}, step {step}");
            }
            assert!(runs.iter().eq(plain.iter().map(|(key, row)| (&key[..], &row[..]))), "seed {seed}");
            assert!(runs.runs.values().all(|run| !run.starts.is_empty()));
        }
    }

    #[test]
    fn rows_in_order_fill_their_runs() {
        for descending in [false, true] {
            let mut runs = Runs::default();
            for step in 0..4000u16 {
                let key = if descending { u16::MAX - step } else { step };
                runs.put(&key.to_be_bytes(), &[7; 100]);
            }
            let average = 4000 * 104 / runs.runs.len();
            assert!(average > MEMTABLE_RUN_BYTES * 9 / 10, "{average} bytes a run");
        }
    }
}
