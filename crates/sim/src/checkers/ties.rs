//! M2: of versions with the same timestamp the same one wins everywhere, whatever came first: a deletion over a value, the
//! greater value over the smaller one.
//!
//! A register of its own, for the one table in which timestamps are equal and out of order: a read returns the greatest
//! version that was acknowledged before it began, at levels that meet, or a greater one.

use std::collections::BTreeMap;

use super::Violation;
use crate::history::{Body, CellId, Effect, Fate, History, Level, STAMPED, Seen, TIED, value_of};

const NAME: &str = "ties";

/// Versions in their order: timestamp, whether it is a deletion, value.
type Version = (i64, bool, String);

/// See the module.
pub fn check(history: &History) -> Vec<Violation> {
    let mut writes: BTreeMap<CellId, Vec<(Version, usize)>> = BTreeMap::new();
    for (operation, record) in history.records.iter().enumerate() {
        let Body::Write { timestamp, effects, .. } = &record.body else { continue };
        for (cell, effect) in effects.iter().filter(|(cell, _)| (TIED..STAMPED).contains(&cell.pk)) {
            let is_deletion = *effect == Effect::Delete;
            let value = if is_deletion { String::new() } else { value_of(operation, *cell) };
            writes.entry(*cell).or_default().push(((*timestamp, is_deletion, value), operation));
        }
    }
    let mut found = Vec::new();
    for (read, record) in history.records.iter().enumerate() {
        let (Body::Read { level, seen, .. }, Fate::Acked) = (&record.body, record.fate) else { continue };
        for (cell, value) in seen {
            let writes = writes.get(cell).map_or(&[][..], Vec::as_slice);
            let known = writes.iter().filter(|(_, operation)| is_known(history, *operation, *level, record.invoked));
            let Some((bound, by)) = known.max() else { continue };
            let kept = match value {
                // What nobody wrote there is the provenance checker's.
                Seen::Value(text) => writes.iter().all(|((at, dead, value), operation)| {
                    value != text || history.writer(text).map(|(by, _)| by) != Some(*operation) || {
                        (*at, *dead, value) >= (bound.0, bound.1, &bound.2)
                    }
                }),
                Seen::Present => true,
                Seen::Null => writes.iter().any(|(version, operation)| {
                    version.1 && version >= bound && history.records[*operation].fate != Fate::Refused
                }),
            };
            if !kept {
                let text = format!(
                    "read {read} at {level:?} found in {cell} {value:?}, though operation {by} had written a greater version, {bound:?}"
                );
                found.push(Violation::new(NAME, text));
            }
        }
    }
    found
}

/// Whether a write was acknowledged before this moment, at a level that meets the read's.
fn is_known(history: &History, operation: usize, read: Level, began: u64) -> bool {
    let record = &history.records[operation];
    let meets = matches!(record.body, Body::Write { level, .. } if level.meets(read, history.factor));
    meets && record.fate == Fate::Acked && record.returned.is_some_and(|returned| returned < began)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Builder, CELL};
    use super::*;

    const TIED_CELL: CellId = CellId { pk: TIED, ..CELL };

    fn write(builder: &mut Builder, timestamp: i64, effect: Effect) -> usize {
        let effects = BTreeMap::from([(TIED_CELL, effect)]);
        let operation = builder.begin(Body::Write { timestamp, level: Level::Quorum, effects });
        builder.end(operation, Fate::Acked);
        operation
    }

    fn see(builder: &mut Builder, operation: usize) {
        let value = Seen::Value(value_of(operation, TIED_CELL));
        builder.read(Level::Quorum, vec![(TIED_CELL, value)]);
    }

    #[test]
    fn the_lesser_of_two_values_is_caught() {
        let mut planted = Builder::new();
        let first = write(&mut planted, 7, Effect::Put);
        let second = write(&mut planted, 7, Effect::Put);
        assert!(value_of(first, TIED_CELL) < value_of(second, TIED_CELL));
        see(&mut planted, second);
        write(&mut planted, 6, Effect::Delete);
        see(&mut planted, second);
        assert_eq!(check(&planted.history), vec![]);
        see(&mut planted, first);
        assert_eq!(check(&planted.history).len(), 1);
    }

    #[test]
    fn a_value_that_beats_a_deletion_is_caught() {
        let mut planted = Builder::new();
        write(&mut planted, 7, Effect::Delete);
        let value = write(&mut planted, 7, Effect::Put);
        planted.read(Level::Quorum, vec![(TIED_CELL, Seen::Null)]);
        assert_eq!(check(&planted.history), vec![]);
        see(&mut planted, value);
        assert_eq!(check(&planted.history).len(), 1);
        write(&mut planted, 8, Effect::Put);
        planted.read(Level::Quorum, vec![(TIED_CELL, Seen::Null)]);
        assert_eq!(check(&planted.history).len(), 2);
    }
}
