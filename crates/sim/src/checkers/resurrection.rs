//! M4: after an acknowledged delete nothing older than it is ever read again at a level that meets it.

use std::collections::BTreeMap;

use super::Violation;
use crate::history::{Body, CellId, Effect, Fate, History, Level, Seen};

const NAME: &str = "resurrection";

/// See the module.
pub fn check(history: &History) -> Vec<Violation> {
    let mut deletes: BTreeMap<CellId, Vec<(i64, Level, u64, usize)>> = BTreeMap::new();
    for (operation, record) in history.records.iter().enumerate() {
        let (Body::Write { timestamp, level, effects }, Fate::Acked, Some(returned)) =
            (&record.body, record.fate, record.returned)
        else {
            continue;
        };
        for cell in effects.iter().filter(|(_, effect)| **effect == Effect::Delete).map(|(cell, _)| cell) {
            deletes.entry(*cell).or_default().push((*timestamp, *level, returned, operation));
        }
    }
    let mut found = Vec::new();
    for (read, record) in history.records.iter().enumerate() {
        let Body::Read { level, seen, .. } = &record.body else { continue };
        for (cell, value) in seen {
            let Seen::Value(text) = value else { continue };
            let (Some(version), Some(deletes)) = (history.timestamp_of(text), deletes.get(cell)) else { continue };
            let covering = deletes.iter().find(|(timestamp, deleted, returned, _)| {
                *timestamp > version && *returned < record.invoked && deleted.meets(*level, history.factor)
            });
            if let Some((timestamp, .., operation)) = covering {
                let text = format!(
                    "read {read} at {level:?} found in {cell} '{text}' of timestamp {version}, deleted at {timestamp} by operation {operation} before"
                );
                found.push(Violation::new(NAME, text));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::testing::Builder;
    use super::*;

    #[test]
    fn what_comes_back_is_caught() {
        let mut planted = Builder::new();
        let write = planted.put(Level::Quorum, Fate::Acked);
        planted.delete(Level::Quorum, Fate::Unknown);
        planted.see(Level::Quorum, write);
        planted.delete(Level::Quorum, Fate::Acked);
        let again = planted.put(Level::One, Fate::Acked);
        planted.see(Level::Quorum, again);
        planted.see(Level::One, write);
        assert_eq!(check(&planted.history), vec![]);
        planted.see(Level::Quorum, write);
        assert_eq!(check(&planted.history).len(), 1);
    }
}
