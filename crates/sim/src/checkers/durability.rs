//! P1, D1, D2: what was acknowledged is there at the end, whatever crashed.
//!
//! A ledger of its own: for each cell the newest acknowledged write, against the last read of the cell that succeeded
//! at a level which meets it.

use std::collections::BTreeMap;

use super::Violation;
use crate::history::{Body, CellId, Effect, Fate, History, Level, Seen, TRUNCATED};

const NAME: &str = "durability";

/// See the module.
pub fn check(history: &History) -> Vec<Violation> {
    let mut last_seen: BTreeMap<CellId, (usize, Level, &Seen)> = BTreeMap::new();
    for (operation, record) in history.records.iter().enumerate() {
        if let (Body::Read { level, seen, .. }, Fate::Acked) = (&record.body, record.fate)
            && *level != Level::One
        {
            for (cell, value) in seen {
                last_seen.insert(*cell, (operation, *level, value));
            }
        }
    }
    let mut found = Vec::new();
    for (cell, writes) in history.effects_by_cell() {
        let Some((read, level, value)) = last_seen.get(&cell).filter(|_| cell.pk < TRUNCATED) else { continue };
        let began = history.records[*read].invoked;
        let acknowledged = |operation: usize| {
            let record = &history.records[operation];
            let meets =
                matches!(record.body, Body::Write { level: written, .. } if written.meets(*level, history.factor));
            meets && record.fate == Fate::Acked && record.returned.is_some_and(|returned| returned < began)
        };
        let Some(newest) = writes.iter().rposition(|(_, operation, _)| acknowledged(*operation)) else { continue };
        let later = &writes[newest..];
        let kept = match value {
            Seen::Value(value) => {
                let writer = history.writer(value).map(|(operation, _)| operation);
                later.iter().any(|(_, operation, effect)| Some(*operation) == writer && *effect != Effect::Delete)
            }
            Seen::Present => later.iter().any(|(_, _, effect)| *effect != Effect::Delete),
            Seen::Null => later.iter().any(|(_, operation, effect)| {
                effect.may_be_null() && history.records[*operation].fate != Fate::Refused
            }),
        };
        if !kept {
            let (timestamp, operation, effect) = writes[newest];
            let text = format!(
                "{effect:?} of {cell} by operation {operation} (timestamp {timestamp}) was acknowledged, but the last read ({read}, at {level:?}) found {value:?}"
            );
            found.push(Violation::new(NAME, text));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::testing::Builder;
    use super::*;

    #[test]
    fn a_lost_write_is_caught_and_nothing_else() {
        let mut planted = Builder::new();
        let first = planted.put(Level::Quorum, Fate::Acked);
        planted.see(Level::Quorum, first);
        let second = planted.put(Level::Quorum, Fate::Unknown);
        assert_eq!(check(&planted.history), vec![]);
        planted.see(Level::Quorum, second);
        planted.delete(Level::Quorum, Fate::Unknown);
        planted.see_null(Level::Quorum);
        assert_eq!(check(&planted.history), vec![]);
        let last = planted.put(Level::One, Fate::Acked);
        planted.see_null(Level::Quorum);
        assert_eq!(check(&planted.history), vec![], "ONE and QUORUM do not meet");
        planted.see_null(Level::All);
        assert_eq!(check(&planted.history).len(), 1);
        planted.see(Level::All, last);
        assert_eq!(check(&planted.history), vec![]);
        planted.see(Level::All, first);
        assert_eq!(check(&planted.history).len(), 1);
    }
}
