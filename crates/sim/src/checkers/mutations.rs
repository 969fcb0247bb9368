//! D4, R3: a read of one partition never shows part of what one mutation did to a row: who sees one of its cells sees,
//! in each other cell that it wrote of that row, the same version or a newer one.

use super::Violation;
use crate::history::{Body, Column, Fate, History, Seen};

const NAME: &str = "mutations";

/// See the module.
pub fn check(history: &History) -> Vec<Violation> {
    let effects = history.effects_by_cell();
    let mut found = Vec::new();
    for (read, record) in history.records.iter().enumerate() {
        let (Body::Read { seen, single: true, .. }, Fate::Acked) = (&record.body, record.fate) else { continue };
        for (cell, value) in seen {
            let Seen::Value(value) = value else { continue };
            let Some((operation, writer)) = history.writer(value) else { continue };
            let Body::Write { timestamp, effects: written, .. } = &writer.body else { continue };
            for (other, what) in seen.iter().filter(|(other, _)| (other.pk, other.ck) == (cell.pk, cell.ck)) {
                if other == cell || other.column == Column::Marker || !written.contains_key(other) {
                    continue;
                }
                let whole = match what {
                    Seen::Value(value) => history.timestamp_of(value).is_none_or(|version| version >= *timestamp),
                    Seen::Present => true,
                    Seen::Null => effects.get(other).is_some_and(|writes| {
                        writes.iter().any(|(version, by, effect)| {
                            version >= timestamp
                                && effect.may_be_null()
                                && history.records[*by].fate != Fate::Refused
                                && record.returned.is_some_and(|returned| history.records[*by].invoked < returned)
                        })
                    }),
                };
                if !whole {
                    let text = format!(
                        "read {read} found operation {operation} in {cell}, but in {other}, which it wrote too, {what:?}"
                    );
                    found.push(Violation::new(NAME, text));
                }
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Builder, CELL};
    use super::*;
    use crate::history::{CellId, Effect, Level, value_of};

    #[test]
    fn half_a_mutation_is_caught() {
        let other = CellId { column: Column::B, ..CELL };
        let both = [(CELL, Effect::Put), (other, Effect::Put)];
        let mut planted = Builder::new();
        let first = planted.write(Level::Quorum, &both, Fate::Acked);
        let second = planted.write(Level::Quorum, &both, Fate::Unknown);
        let show =
            |a: usize, b: usize| vec![(CELL, Seen::Value(value_of(a, CELL))), (other, Seen::Value(value_of(b, other)))];
        planted.read(Level::One, show(first, first));
        planted.read(Level::One, show(second, second));
        assert_eq!(check(&planted.history), vec![]);
        planted.read(Level::One, show(first, second));
        planted.read(Level::One, vec![(CELL, Seen::Value(value_of(first, CELL))), (other, Seen::Null)]);
        assert_eq!(check(&planted.history).len(), 2);
    }
}
