//! M6: what was written with a TTL is gone when its time is over, on whichever replica, by whichever clock of the cluster.
//!
//! Clocks of nodes stand wrong up to a known bound, at the write and at the read.

use super::Violation;
use crate::history::{Body, Effect, Fate, History, Seen};

const NAME: &str = "expiry";
/// Expiry counts in whole seconds.
const SECOND_US: i64 = 1_000_000;

/// See the module.
pub fn check(history: &History) -> Vec<Violation> {
    let slack = history.skew_us_max.saturating_mul(2).saturating_add(SECOND_US);
    let mut found = Vec::new();
    for (read, record) in history.records.iter().enumerate() {
        let (Body::Read { seen, .. }, Fate::Acked) = (&record.body, record.fate) else { continue };
        for (cell, value) in seen {
            let Seen::Value(text) = value else { continue };
            let Some((operation, writer)) = history.writer(text) else { continue };
            let (Body::Write { effects, .. }, Some(written)) = (&writer.body, writer.returned_us) else { continue };
            let Some(Effect::PutForAWhile(ttl)) = effects.get(cell) else { continue };
            // One of unknown outcome may have been taken up after its client had given up.
            let latest = written.saturating_add(i64::from(*ttl) * SECOND_US).saturating_add(slack);
            if writer.fate == Fate::Acked && record.invoked_us > latest {
                let late = (record.invoked_us - latest) / 1_000;
                let text = format!(
                    "read {read} found in {cell} operation {operation} with a TTL of {ttl} s, {late} ms after the last moment"
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
    use crate::history::Level;

    #[test]
    fn what_outlives_its_ttl_is_caught() {
        let mut planted = Builder::new();
        let write = planted.write(Level::Quorum, &[(CELL, Effect::PutForAWhile(5))], Fate::Acked);
        planted.history.records[write].returned_us = Some(SECOND_US);
        for (at, caught) in [(6 * SECOND_US, 0), (7 * SECOND_US, 0), (7 * SECOND_US + 100, 1)] {
            let read = planted.see(Level::One, write);
            planted.history.records[read].invoked_us = at;
            assert_eq!(check(&planted.history).len(), caught, "{at}");
        }
    }
}
