//! D3, P7, R6: every value that is read was written there by some client, byte for byte, before the read ended; and what
//! was refused never shows.

use super::Violation;
use crate::history::{Body, Effect, Fate, History, Seen, value_of};

const NAME: &str = "provenance";

/// See the module.
pub fn check(history: &History) -> Vec<Violation> {
    let mut found = Vec::new();
    for (read, record) in history.records.iter().enumerate() {
        let Body::Read { seen, .. } = &record.body else { continue };
        for (cell, value) in seen {
            let Seen::Value(value) = value else { continue };
            let mut wrong = |what: String| {
                found.push(Violation::new(NAME, format!("read {read} found in {cell} '{value}', {what}")));
            };
            let Some((operation, writer)) = history.writer(value) else {
                wrong("which nobody wrote".to_owned());
                continue;
            };
            let wrote = match &writer.body {
                Body::Write { effects, .. } => effects.get(cell).is_some_and(|effect| *effect != Effect::Delete),
                Body::Stamped { cell: stamped } => stamped == cell,
                _ => {
                    wrong(format!("but operation {operation} wrote nothing"));
                    continue;
                }
            };
            if *value != value_of(operation, *cell) {
                wrong(format!("but operation {operation} wrote '{}' there", value_of(operation, *cell)));
            } else if !wrote {
                wrong(format!("but operation {operation} did not write this cell"));
            } else if record.returned.is_some_and(|returned| returned < writer.invoked) {
                wrong(format!("before operation {operation} was invoked"));
            } else if writer.fate == Fate::Refused {
                let error = writer.error.as_deref().unwrap_or_default();
                wrong(format!("but operation {operation} was refused: {error}"));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Builder, CELL};
    use super::*;
    use crate::history::{CellId, Column, Level};

    #[test]
    fn values_from_nowhere_are_caught() {
        let mut sound = Builder::new();
        let write = sound.put(Level::Quorum, Fate::Unknown);
        sound.see(Level::One, write);
        assert_eq!(check(&sound.history), vec![]);

        let altered = |value: &str, cell: CellId| {
            let mut planted = Builder::new();
            planted.put(Level::Quorum, Fate::Acked);
            planted.read(Level::Quorum, vec![(cell, Seen::Value(value.to_owned()))]);
            check(&planted.history).len()
        };
        let value = value_of(0, CELL);
        assert_eq!(altered(&value, CELL), 0);
        assert_eq!(altered(&value.replace('A', "Q"), CELL), 1, "an altered byte");
        assert_eq!(altered("77:1:2:A:", CELL), 1, "nobody's");
        assert_eq!(altered("garbage", CELL), 1, "no value at all");
        let elsewhere = CellId { column: Column::B, ..CELL };
        assert_eq!(altered(&value, elsewhere), 1, "another cell's");
        assert_eq!(altered(&value_of(0, elsewhere), elsewhere), 1, "a cell that it did not write");
    }

    #[test]
    fn what_was_refused_or_comes_later_is_caught() {
        let mut planted = Builder::new();
        let refused = planted.put(Level::Quorum, Fate::Refused);
        planted.see(Level::One, refused);
        planted.see(Level::One, 3);
        planted.put(Level::One, Fate::Acked);
        let found = check(&planted.history);
        assert_eq!(found.len(), 2, "{found:?}");
    }
}
