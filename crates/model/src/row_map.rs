//! Rows by their clustering key.

use std::collections::{BTreeMap, btree_map};
use std::hash::{Hash, Hasher};
use std::ops::Index;

use crate::key::ClusteringKey;
use crate::row::Row;

/// Rows in clustering order. Most partitions that are written or read at once have one: a few are kept in a vector, where
/// a tree would take memory for eleven; more are kept in a tree.
#[derive(Clone)]
pub struct RowMap(Inner);

#[derive(Clone)]
enum Inner {
    Few(Vec<(ClusteringKey, Row)>),
    Many(BTreeMap<ClusteringKey, Row>),
}

/// Rows in a vector, at most.
const FEW_MAX: usize = 8;

impl RowMap {
    /// No rows.
    pub const fn new() -> Self {
        Self(Inner::Few(Vec::new()))
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        match &self.0 {
            Inner::Few(rows) => rows.len(),
            Inner::Many(rows) => rows.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The row with this key.
    pub fn get(&self, key: &ClusteringKey) -> Option<&Row> {
        match &self.0 {
            Inner::Few(rows) => rows.get(find(rows, key).ok()?).map(|(_, row)| row),
            Inner::Many(rows) => rows.get(key),
        }
    }

    /// The row with this key, to be changed.
    pub fn get_mut(&mut self, key: &ClusteringKey) -> Option<&mut Row> {
        match &mut self.0 {
            Inner::Few(rows) => {
                let index = find(rows, key).ok()?;
                rows.get_mut(index).map(|(_, row)| row)
            }
            Inner::Many(rows) => rows.get_mut(key),
        }
    }

    /// Whether there is a row with this key.
    pub fn contains_key(&self, key: &ClusteringKey) -> bool {
        self.get(key).is_some()
    }

    /// Puts a row in; gives the one that was there.
    pub fn insert(&mut self, key: ClusteringKey, row: Row) -> Option<Row> {
        let rows = match &mut self.0 {
            Inner::Many(rows) => return rows.insert(key, row),
            Inner::Few(rows) => rows,
        };
        match find(rows, &key) {
            Ok(index) => rows.get_mut(index).map(|(_, own)| std::mem::replace(own, row)),
            Err(index) if rows.len() < FEW_MAX => {
                if rows.is_empty() {
                    rows.reserve_exact(1);
                }
                rows.insert(index, (key, row));
                None
            }
            Err(_) => {
                let mut many: BTreeMap<ClusteringKey, Row> = std::mem::take(rows).into_iter().collect();
                many.insert(key, row);
                self.0 = Inner::Many(many);
                None
            }
        }
    }

    /// The row with this key, made if it is not there.
    pub fn or_default(&mut self, key: ClusteringKey) -> &mut Row {
        if !self.contains_key(&key) {
            self.insert(key.clone(), Row::default());
        }
        match self.get_mut(&key) {
            Some(row) => row,
            None => unreachable!("it was put in"),
        }
    }

    /// Takes a row out.
    pub fn remove(&mut self, key: &ClusteringKey) -> Option<Row> {
        match &mut self.0 {
            Inner::Few(rows) => find(rows, key).ok().map(|index| rows.remove(index).1),
            Inner::Many(rows) => rows.remove(key),
        }
    }

    /// Keeps the rows of which this says so.
    pub fn retain(&mut self, mut keep: impl FnMut(&ClusteringKey, &mut Row) -> bool) {
        match &mut self.0 {
            Inner::Few(rows) => rows.retain_mut(|(key, row)| keep(key, row)),
            Inner::Many(rows) => rows.retain(keep),
        }
    }

    /// Calls back with the rows of `start <= key < end`, in order; keeps those of which this says so.
    pub(crate) fn retain_between(
        &mut self,
        start: &ClusteringKey,
        end: &ClusteringKey,
        mut keep: impl FnMut(&mut Row) -> bool,
    ) {
        match &mut self.0 {
            Inner::Few(rows) => rows.retain_mut(|(key, row)| *key < *start || *key >= *end || keep(row)),
            Inner::Many(rows) => {
                let mut gone = Vec::new();
                for (key, row) in rows.range_mut(start..end) {
                    if !keep(row) {
                        gone.push(key.clone());
                    }
                }
                gone.iter().for_each(|key| drop(rows.remove(key)));
            }
        }
    }

    /// The rows with their keys, in order.
    pub fn iter(&self) -> Iter<'_> {
        Iter(match &self.0 {
            Inner::Few(rows) => IterInner::Few(rows.iter()),
            Inner::Many(rows) => IterInner::Many(rows.iter()),
        })
    }

    /// The keys, in order.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &ClusteringKey> {
        self.iter().map(|(key, _)| key)
    }

    /// The rows, in the order of their keys.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &Row> {
        self.iter().map(|(_, row)| row)
    }

    /// The first row.
    pub fn first_key_value(&self) -> Option<(&ClusteringKey, &Row)> {
        self.iter().next()
    }

    /// The last row.
    pub fn last_key_value(&self) -> Option<(&ClusteringKey, &Row)> {
        self.iter().next_back()
    }
}

fn find(rows: &[(ClusteringKey, Row)], key: &ClusteringKey) -> Result<usize, usize> {
    rows.binary_search_by(|(own, _)| own.cmp(key))
}

impl Default for RowMap {
    fn default() -> Self {
        Self::new()
    }
}

impl PartialEq for RowMap {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

impl Eq for RowMap {}

impl Hash for RowMap {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_usize(self.len());
        self.iter().for_each(|entry| entry.hash(state));
    }
}

impl std::fmt::Debug for RowMap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl Index<&ClusteringKey> for RowMap {
    type Output = Row;

    fn index(&self, key: &ClusteringKey) -> &Row {
        match self.get(key) {
            Some(row) => row,
            None => panic!("no row with the key {key:?}"),
        }
    }
}

impl FromIterator<(ClusteringKey, Row)> for RowMap {
    fn from_iter<I: IntoIterator<Item = (ClusteringKey, Row)>>(rows: I) -> Self {
        let rows = rows.into_iter();
        if rows.size_hint().0 > FEW_MAX {
            return Self(Inner::Many(rows.collect()));
        }
        let mut map = Self::new();
        rows.for_each(|(key, row)| drop(map.insert(key, row)));
        map
    }
}

impl<const N: usize> From<[(ClusteringKey, Row); N]> for RowMap {
    fn from(rows: [(ClusteringKey, Row); N]) -> Self {
        rows.into_iter().collect()
    }
}

impl RowMap {
    /// From rows in strictly ascending order; `None` if they are not.
    pub(crate) fn from_sorted(rows: Vec<(ClusteringKey, Row)>) -> Option<Self> {
        if !rows.is_sorted_by(|(left, _), (right, _)| left < right) {
            return None;
        }
        // From a sorted vector the tree is built in one pass.
        Some(Self(if rows.len() <= FEW_MAX { Inner::Few(rows) } else { Inner::Many(rows.into_iter().collect()) }))
    }
}

/// See [`RowMap::iter`].
#[derive(Clone, Debug)]
pub struct Iter<'a>(IterInner<'a>);

#[derive(Clone, Debug)]
enum IterInner<'a> {
    Few(std::slice::Iter<'a, (ClusteringKey, Row)>),
    Many(btree_map::Iter<'a, ClusteringKey, Row>),
}

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a ClusteringKey, &'a Row);

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            IterInner::Few(rows) => rows.next().map(|(key, row)| (key, row)),
            IterInner::Many(rows) => rows.next(),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match &self.0 {
            IterInner::Few(rows) => rows.size_hint(),
            IterInner::Many(rows) => rows.size_hint(),
        }
    }
}

impl DoubleEndedIterator for Iter<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            IterInner::Few(rows) => rows.next_back().map(|(key, row)| (key, row)),
            IterInner::Many(rows) => rows.next_back(),
        }
    }
}

impl ExactSizeIterator for Iter<'_> {}

impl<'a> IntoIterator for &'a RowMap {
    type Item = (&'a ClusteringKey, &'a Row);
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// Takes the rows out, in order.
#[derive(Debug)]
pub struct IntoIter(IntoIterInner);

#[derive(Debug)]
enum IntoIterInner {
    Few(std::vec::IntoIter<(ClusteringKey, Row)>),
    Many(btree_map::IntoIter<ClusteringKey, Row>),
}

impl Iterator for IntoIter {
    type Item = (ClusteringKey, Row);

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            IntoIterInner::Few(rows) => rows.next(),
            IntoIterInner::Many(rows) => rows.next(),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match &self.0 {
            IntoIterInner::Few(rows) => rows.size_hint(),
            IntoIterInner::Many(rows) => rows.size_hint(),
        }
    }
}

impl IntoIterator for RowMap {
    type Item = (ClusteringKey, Row);
    type IntoIter = IntoIter;

    fn into_iter(self) -> IntoIter {
        IntoIter(match self.0 {
            Inner::Few(rows) => IntoIterInner::Few(rows.into_iter()),
            Inner::Many(rows) => IntoIterInner::Many(rows.into_iter()),
        })
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::row::Liveness;
    use crate::time::Timestamp;

    fn key(number: u8) -> ClusteringKey {
        ClusteringKey(Bytes::from(vec![number]))
    }

    fn row(timestamp: i64) -> Row {
        Row { liveness: Some(Liveness { timestamp: Timestamp(timestamp), expiry: None }), ..Row::default() }
    }

    /// Few or many, it is what a tree is.
    #[test]
    fn it_behaves_as_a_tree() {
        for count in 0..20u8 {
            let (mut map, mut tree) = (RowMap::new(), BTreeMap::new());
            for step in 0..count {
                let number = step.wrapping_mul(37) % 16;
                assert_eq!(map.insert(key(number), row(step.into())), tree.insert(key(number), row(step.into())));
                *map.or_default(key(step)) = row(7);
                *tree.entry(key(step)).or_default() = row(7);
            }
            let same = |map: &RowMap, tree: &BTreeMap<ClusteringKey, Row>| {
                assert_eq!(map.len(), tree.len());
                assert!(map.iter().eq(tree.iter()) && map.iter().rev().eq(tree.iter().rev()));
                assert!((0..20).all(|number| map.get(&key(number)) == tree.get(&key(number))));
                assert!(map.clone().into_iter().eq(tree.clone()));
                assert_eq!(*map, tree.clone().into_iter().collect());
            };
            same(&map, &tree);
            assert_eq!(map.remove(&key(3)), tree.remove(&key(3)));
            same(&map, &tree);
            map.retain_between(&key(2), &key(9), |row| row.liveness.is_some_and(|live| live.timestamp.0 == 7));
            tree.retain(|own, row| *own < key(2) || *own >= key(9) || *row == self::row(7));
            same(&map, &tree);
            map.retain(|own, _| own.0[0] % 2 == 0);
            tree.retain(|own, _| own.0[0] % 2 == 0);
            same(&map, &tree);
        }
    }
}
