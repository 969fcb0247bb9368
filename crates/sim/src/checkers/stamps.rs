//! R4: of two writes that the same process stamped, the one that was invoked after the other had been acknowledged orders
//! after it, whatever that process's clock did: the other one is not read any more.
//!
//! What different nodes stamp orders as their clocks do, so that nothing is said of it.

use std::collections::BTreeMap;

use super::Violation;
use crate::history::{Body, CellId, Fate, History, Level, Seen};

const NAME: &str = "stamps";

/// See the module.
pub fn check(history: &History) -> Vec<Violation> {
    let mut stamped: BTreeMap<CellId, Vec<usize>> = BTreeMap::new();
    for (operation, record) in history.records.iter().enumerate() {
        if let (Body::Stamped { cell }, Fate::Acked) = (&record.body, record.fate) {
            stamped.entry(*cell).or_default().push(operation);
        }
    }
    let mut found = Vec::new();
    for (read, record) in history.records.iter().enumerate() {
        let (Body::Read { level, seen, .. }, Fate::Acked) = (&record.body, record.fate) else { continue };
        if *level == Level::One {
            continue;
        }
        for (cell, value) in seen {
            let Seen::Value(text) = value else { continue };
            let Some((operation, writer)) = history.writer(text).filter(|(_, writer)| writer.fate == Fate::Acked)
            else {
                continue;
            };
            let Some(returned) = writer.returned.filter(|_| writer.through.is_some()) else { continue };
            let later = stamped.get(cell).into_iter().flatten().find(|later| {
                let later = &history.records[**later];
                later.through == writer.through
                    && later.invoked > returned
                    && later.returned.is_some_and(|returned| returned < record.invoked)
            });
            if let Some(later) = later {
                let text = format!(
                    "read {read} found in {cell} operation {operation}, though the same node acknowledged operation {later} after it"
                );
                found.push(Violation::new(NAME, text));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Builder, CELL};
    use super::*;
    use crate::history::{STAMPED, value_of};

    const STAMPED_CELL: CellId = CellId { pk: STAMPED, ..CELL };

    fn write(builder: &mut Builder, through: (usize, u64)) -> usize {
        let operation = builder.begin(Body::Stamped { cell: STAMPED_CELL });
        builder.history.records[operation].through = Some(through);
        builder.end(operation, Fate::Acked);
        operation
    }

    #[test]
    fn a_stamp_that_goes_back_is_caught() {
        let mut planted = Builder::new();
        let first = write(&mut planted, (1, 1));
        let see = |builder: &mut Builder, operation| {
            builder.read(Level::Quorum, vec![(STAMPED_CELL, Seen::Value(value_of(operation, STAMPED_CELL)))]);
        };
        write(&mut planted, (2, 1));
        see(&mut planted, first);
        write(&mut planted, (1, 2));
        see(&mut planted, first);
        assert_eq!(check(&planted.history), vec![], "other nodes, and other starts, have other clocks");
        let last = write(&mut planted, (1, 1));
        see(&mut planted, last);
        assert_eq!(check(&planted.history), vec![]);
        see(&mut planted, first);
        assert_eq!(check(&planted.history).len(), 1);
    }
}
