//! TRUNCATE is a moment for the whole cluster: what is older is gone on every replica, what is newer stays.
//!
//! The moment is drawn by a node's clock between invocation and answer, so that it is known up to the clocks' skew.

use super::Violation;
use crate::history::{Body, CellId, Effect, Fate, History, Level, Seen, TIED, TRUNCATED};

const NAME: &str = "truncation";

/// See the module.
pub fn check(history: &History) -> Vec<Violation> {
    let skew = history.skew_us_max;
    // (surely older, surely newer, acknowledged at, invoked at)
    let mut truncations = Vec::new();
    for record in history.records.iter().filter(|record| record.fate != Fate::Refused) {
        if let Body::Truncate { from_us, until_us } = &record.body {
            let acknowledged = record.returned.filter(|_| record.fate == Fate::Acked);
            // An unanswered one may still be decided, later than anything.
            let newest =
                until_us.filter(|_| acknowledged.is_some()).map_or(i64::MAX, |until| until.saturating_add(skew));
            truncations.push((from_us.saturating_sub(skew), newest, acknowledged, record.invoked));
        }
    }
    let mut found = Vec::new();
    let effects = history.effects_by_cell();
    for (read, record) in history.records.iter().enumerate() {
        let (Body::Read { level, seen, .. }, Fate::Acked) = (&record.body, record.fate) else { continue };
        for (cell, value) in seen.iter().filter(|(cell, _)| (TRUNCATED..TIED).contains(&cell.pk)) {
            let version = match value {
                Seen::Value(text) => history.timestamp_of(text),
                Seen::Present | Seen::Null => None,
            };
            let gone = truncations.iter().any(|(oldest, _, acknowledged, _)| {
                acknowledged.is_some_and(|at| at < record.invoked) && version.is_some_and(|version| version < *oldest)
            });
            if gone {
                let text = format!("read {read} found in {cell} {value:?}, older than an acknowledged TRUNCATE");
                found.push(Violation::new(NAME, text));
            }
            let writes = effects.get(cell).map_or(&[][..], Vec::as_slice);
            if let Some(lost) = lost(history, record.invoked, *level, writes, version, |timestamp| {
                truncations.iter().all(|(_, newest, _, invoked)| {
                    timestamp > *newest || record.returned.is_some_and(|returned| *invoked > returned)
                })
            }) {
                let text = format!(
                    "read {read} found in {cell} {value:?}, without operation {lost}, which no TRUNCATE covers"
                );
                found.push(Violation::new(NAME, format!("{text}{}", context(*cell))));
            }
        }
    }
    found
}

fn context(cell: CellId) -> String {
    format!(" (partition {} of the table that is truncated)", cell.pk - TRUNCATED)
}

/// The newest acknowledged write that the read should have found.
fn lost(
    history: &History,
    began: u64,
    level: Level,
    writes: &[(i64, usize, Effect)],
    version: Option<i64>,
    stays: impl Fn(i64) -> bool,
) -> Option<usize> {
    let acknowledged = |operation: usize| {
        let record = &history.records[operation];
        let meets = matches!(record.body, Body::Write { level: written, .. } if written.meets(level, history.factor));
        meets && record.fate == Fate::Acked && record.returned.is_some_and(|returned| returned < began)
    };
    let newest = writes.iter().rev().find(|(timestamp, operation, _)| acknowledged(*operation) && stays(*timestamp))?;
    version.is_none_or(|version| version < newest.0).then_some(newest.1)
}

#[cfg(test)]
mod tests {
    use super::super::testing::Builder;
    use super::*;
    use crate::history::{Column, value_of};

    const SHORT: CellId = CellId { pk: TRUNCATED, ck: Some(0), column: Column::A };

    fn truncate(builder: &mut Builder, from_us: i64, fate: Fate) {
        let operation = builder.begin(Body::Truncate { from_us, until_us: Some(from_us + 5) });
        builder.end(operation, fate);
    }

    #[test]
    fn what_survives_and_what_is_lost_are_caught() {
        let mut planted = Builder::new();
        let write = planted.write(Level::Quorum, &[(SHORT, Effect::Put)], Fate::Acked);
        planted.read(Level::Quorum, vec![(SHORT, Seen::Value(value_of(write, SHORT)))]);
        truncate(&mut planted, 1_050, Fate::Acked);
        planted.read(Level::Quorum, vec![(SHORT, Seen::Null)]);
        assert_eq!(check(&planted.history), vec![]);
        planted.read(Level::One, vec![(SHORT, Seen::Value(value_of(write, SHORT)))]);
        assert_eq!(check(&planted.history).len(), 1, "it survived");
        let later = planted.write(Level::Quorum, &[(SHORT, Effect::Put)], Fate::Acked);
        planted.read(Level::Quorum, vec![(SHORT, Seen::Value(value_of(later, SHORT)))]);
        assert_eq!(check(&planted.history).len(), 1);
        planted.read(Level::Quorum, vec![(SHORT, Seen::Null)]);
        assert_eq!(check(&planted.history).len(), 2, "a later write was lost");
        truncate(&mut planted, 9_000, Fate::Unknown);
        planted.read(Level::Quorum, vec![(SHORT, Seen::Null)]);
        assert_eq!(check(&planted.history).len(), 2, "it may have come to pass");
    }
}
