//! Deleted ranges of rows.

use crate::cell::Deletion;
use crate::key::{ClusteringKey, Position};

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

impl RangeTombstones {
    /// Takes ranges that must already be canonical; `None` if they are not.
    pub fn from_sorted_checked(ranges: Vec<RangeTombstone>) -> Option<Self> {
        let each = ranges.iter().all(|range| range.start < range.end);
        let neighbours = ranges.iter().zip(ranges.iter().skip(1)).all(|(left, right)| {
            left.end < right.start || (left.end == right.start && left.deletion != right.deletion)
        });
        (each && neighbours).then_some(Self(ranges))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Number of ranges.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The ranges in order.
    pub fn iter(&self) -> std::slice::Iter<'_, RangeTombstone> {
        self.0.iter()
    }

    /// The deletion that covers the row, if one does.
    pub fn covering(&self, key: &ClusteringKey) -> Option<Deletion> {
        self.covering_bytes(&key.0)
    }

    /// [`RangeTombstones::covering`] for a key that is not held.
    pub fn covering_bytes(&self, key: &[u8]) -> Option<Deletion> {
        let after = self.0.partition_point(|range| *range.start.0 <= *key);
        let range = self.0.get(after.checked_sub(1)?)?;
        (*key < *range.end.0).then_some(range.deletion)
    }

    /// Adds one range; where it overlaps others, the greater deletion stands. A range that is empty adds nothing.
    pub fn add(&mut self, added: RangeTombstone) {
        if added.start >= added.end {
            return;
        }
        // In the common case of appending in order nothing needs to be cut.
        if self.0.last().is_none_or(|last| last.end < added.start) {
            self.0.push(added);
            return;
        }
        self.merge(&Self(vec![added]));
    }

    /// Adds all of the other's ranges.
    pub fn merge(&mut self, other: &Self) {
        if other.is_empty() {
            return;
        }
        if self.is_empty() {
            self.0.clone_from(&other.0);
            return;
        }
        let mut joined = Joined::default();
        let mut left = self.0.drain(..).peekable();
        let mut right = other.0.iter().cloned().peekable();
        loop {
            let cut = match (left.peek(), right.peek()) {
                (Some(a), Some(b)) if a.start < b.start => split(&mut left, &b.start.clone()),
                (Some(a), Some(b)) if b.start < a.start => split(&mut right, &a.start.clone()),
                (Some(a), Some(b)) => {
                    let end = a.end.clone().min(b.end.clone());
                    match (split(&mut left, &end), split(&mut right, &end)) {
                        (Some(a), Some(b)) => Some(if a.deletion >= b.deletion { a } else { b }),
                        (a, b) => a.or(b),
                    }
                }
                (Some(_), None) => left.next(),
                (None, Some(_)) => right.next(),
                (None, None) => break,
            };
            if let Some(range) = cut {
                joined.push(range);
            }
        }
        drop(left);
        self.0 = joined.0;
    }

    /// What lies within `[start, end)`.
    pub fn clip(&self, start: &Position, end: &Position) -> Self {
        let first = self.0.partition_point(|range| range.end <= *start);
        let kept = self.0.iter().skip(first).take_while(|range| range.start < *end);
        Self(
            kept.map(|range| RangeTombstone {
                start: range.start.clone().max(start.clone()),
                end: range.end.clone().min(end.clone()),
                deletion: range.deletion,
            })
            .filter(|range| range.start < range.end)
            .collect(),
        )
    }

    /// Keeps the ranges whose deletion passes. Cannot break the canonical form: what was not joined before either does
    /// not touch or differs in its deletion.
    pub(crate) fn retain(&mut self, keep: impl Fn(Deletion) -> bool) {
        self.0.retain(|range| keep(range.deletion));
    }
}

/// Takes the first range up to `at`, leaving the rest in place.
fn split<I: Iterator<Item = RangeTombstone>>(
    ranges: &mut std::iter::Peekable<I>,
    at: &Position,
) -> Option<RangeTombstone> {
    let first = ranges.peek_mut()?;
    if first.end <= *at {
        return ranges.next();
    }
    let head = RangeTombstone { start: first.start.clone(), end: at.clone(), deletion: first.deletion };
    first.start = at.clone();
    Some(head)
}

/// Collects ranges in order, joining neighbours with the same deletion.
#[derive(Default)]
struct Joined(Vec<RangeTombstone>);

impl Joined {
    fn push(&mut self, range: RangeTombstone) {
        match self.0.last_mut() {
            Some(last) if last.end == range.start && last.deletion == range.deletion => last.end = range.end,
            _ => self.0.push(range),
        }
    }
}

impl FromIterator<RangeTombstone> for RangeTombstones {
    fn from_iter<T: IntoIterator<Item = RangeTombstone>>(ranges: T) -> Self {
        let mut all = Self::default();
        ranges.into_iter().for_each(|range| all.add(range));
        all
    }
}
