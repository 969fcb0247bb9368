//! P2, R1, R2: each cell is a regular register for reads and writes whose levels meet, and such reads never go back.
//!
//! Timestamps are unique and grow with invocations, so that the order of versions is known. A read must return the
//! version of the newest write acknowledged before it began, or a newer one; what a read that itself meets it has
//! returned counts as acknowledged at that read's level (blocking read repair).

use std::collections::BTreeMap;

use super::Violation;
use crate::history::{Body, CellId, Effect, Fate, History, Level, Seen, TRUNCATED};

const NAME: &str = "register";

/// For each level, the newest version known to be there, with the operation that shows it.
type Bounds = [Option<(i64, usize)>; 3];

/// See the module.
pub fn check(history: &History) -> Vec<Violation> {
    let effects = history.effects_by_cell();
    let mut events: Vec<(u64, bool, usize)> = Vec::new();
    for (operation, record) in history.records.iter().enumerate() {
        if matches!(record.body, Body::Read { .. }) {
            events.push((record.invoked, false, operation));
        }
        if let (Some(returned), Fate::Acked) = (record.returned, record.fate) {
            events.push((returned, true, operation));
        }
    }
    events.sort_unstable();
    let mut known: BTreeMap<CellId, Bounds> = BTreeMap::new();
    let mut at_start: BTreeMap<usize, BTreeMap<CellId, (i64, usize)>> = BTreeMap::new();
    let mut found = Vec::new();
    for (_, ended, operation) in events {
        let record = &history.records[operation];
        match (&record.body, ended) {
            (Body::Read { level, seen, .. }, false) => {
                let bounds = seen
                    .iter()
                    .filter_map(|(cell, _)| Some((*cell, newest_met(known.get(cell)?, *level, history.factor)?)));
                at_start.insert(operation, bounds.collect());
            }
            (Body::Read { level, seen, .. }, true) => {
                let starts = at_start.remove(&operation).unwrap_or_default();
                for (cell, value) in seen.iter().filter(|(cell, _)| cell.pk < TRUNCATED) {
                    let writes = effects.get(cell).map_or(&[][..], Vec::as_slice);
                    let start = starts.get(cell).copied();
                    match version_seen(history, record.returned, writes, value, start.map(|(bound, _)| bound)) {
                        // Shown by a single replica, it may have been lost with its disk.
                        Ok(Some(_)) if *level == Level::One && history.distrusts_one => {}
                        Ok(Some(version)) => raise(&mut known, *cell, *level, (version, operation)),
                        Ok(None) => {}
                        Err(what) => found.push(report(history, operation, *cell, value, start, &what)),
                    }
                }
            }
            (Body::Write { timestamp, level, effects }, true) => {
                for cell in effects.keys() {
                    raise(&mut known, *cell, *level, (*timestamp, operation));
                }
            }
            _ => {}
        }
    }
    found
}

fn newest_met(bounds: &Bounds, read: Level, factor: u32) -> Option<(i64, usize)> {
    [Level::One, Level::Quorum, Level::All]
        .into_iter()
        .zip(bounds)
        .filter(|(level, _)| level.meets(read, factor))
        .filter_map(|(_, bound)| *bound)
        .max()
}

fn raise(known: &mut BTreeMap<CellId, Bounds>, cell: CellId, level: Level, bound: (i64, usize)) {
    let bounds = known.entry(cell).or_default();
    let slot = &mut bounds[level as usize];
    *slot = (*slot).max(Some(bound));
}

/// The oldest version that what was seen can be, or why it cannot be any.
fn version_seen(
    history: &History,
    returned: Option<u64>,
    writes: &[(i64, usize, Effect)],
    value: &Seen,
    bound: Option<i64>,
) -> Result<Option<i64>, String> {
    let may_be = |operation: usize| {
        let record = &history.records[operation];
        record.fate != Fate::Refused && returned.is_none_or(|returned| record.invoked < returned)
    };
    let oldest = |accept: fn(Effect) -> bool| {
        writes
            .iter()
            .filter(|(timestamp, ..)| bound.is_none_or(|bound| *timestamp >= bound))
            .find(|(_, operation, effect)| accept(*effect) && may_be(*operation))
            .map(|(timestamp, ..)| *timestamp)
    };
    match value {
        // What nobody wrote is the provenance checker's.
        Seen::Value(value) => match (history.timestamp_of(value), bound) {
            (Some(version), Some(bound)) if version < bound => Err("which is older".to_owned()),
            (version, _) => Ok(version),
        },
        Seen::Present => match oldest(|effect| effect != Effect::Delete) {
            Some(version) => Ok(Some(version)),
            None => Err("though no INSERT made the row since".to_owned()),
        },
        Seen::Null => match (oldest(Effect::may_be_null), bound) {
            (None, Some(_)) => Err("though nothing deleted it since".to_owned()),
            // Perhaps it was never there: that says nothing.
            (_, None) => Ok(None),
            (version, _) => Ok(version),
        },
    }
}

fn report(
    history: &History,
    read: usize,
    cell: CellId,
    value: &Seen,
    start: Option<(i64, usize)>,
    what: &str,
) -> Violation {
    let bound = start.map_or_else(String::new, |(timestamp, operation)| {
        let record = &history.records[operation];
        let kind = if matches!(record.body, Body::Write { .. }) { "written" } else { "read" };
        format!("; version {timestamp} had been {kind} by operation {operation}, returned at {:?}", record.returned)
    });
    let record = &history.records[read];
    let Body::Read { level, .. } = &record.body else { unreachable!("only reads are judged") };
    let text = format!(
        "read {read} at {level:?} (moments {}..{:?}) found in {cell} {value:?}, {what}{bound}",
        record.invoked, record.returned
    );
    Violation::new(NAME, text)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Builder, CELL};
    use super::*;

    #[test]
    fn what_may_be_read() {
        let mut sound = Builder::new();
        sound.see_null(Level::Quorum);
        let first = sound.put(Level::Quorum, Fate::Acked);
        sound.see(Level::Quorum, first);
        let second = sound.begin_write(Level::Quorum, &[(CELL, Effect::Put)]);
        sound.see(Level::Quorum, first);
        sound.see(Level::Quorum, second);
        sound.end(second, Fate::Unknown);
        sound.see(Level::One, first);
        let deleted = sound.delete(Level::Quorum, Fate::Unknown);
        sound.see(Level::Quorum, second);
        sound.see_null(Level::Quorum);
        sound.see_null(Level::All);
        let _ = deleted;
        assert_eq!(check(&sound.history), vec![]);
    }

    #[test]
    fn a_stale_read_is_caught() {
        let mut planted = Builder::new();
        let first = planted.put(Level::Quorum, Fate::Acked);
        planted.put(Level::Quorum, Fate::Acked);
        planted.see(Level::Quorum, first);
        assert_eq!(check(&planted.history).len(), 1);
    }

    #[test]
    fn a_lost_write_is_caught_at_levels_that_meet() {
        for (write, read, caught) in [
            (Level::Quorum, Level::Quorum, 1),
            (Level::One, Level::All, 1),
            (Level::All, Level::One, 1),
            (Level::One, Level::Quorum, 0),
            (Level::Quorum, Level::One, 0),
        ] {
            let mut planted = Builder::new();
            planted.put(write, Fate::Acked);
            planted.see_null(read);
            assert_eq!(check(&planted.history).len(), caught, "{write:?} {read:?}");
        }
    }

    #[test]
    fn a_read_that_goes_back_is_caught_also_for_a_write_that_failed() {
        let mut planted = Builder::new();
        let first = planted.put(Level::Quorum, Fate::Acked);
        let failed = planted.put(Level::Quorum, Fate::Unknown);
        planted.see(Level::Quorum, failed);
        planted.see(Level::Quorum, first);
        assert_eq!(check(&planted.history).len(), 1);
    }

    #[test]
    fn what_one_replica_showed_counts_unless_its_disk_may_have_lost_it() {
        let mut planted = Builder::new();
        let failed = planted.put(Level::Quorum, Fate::Unknown);
        planted.see(Level::One, failed);
        planted.see_null(Level::All);
        assert_eq!(check(&planted.history).len(), 1);
        planted.history.distrust_one();
        assert_eq!(check(&planted.history), vec![]);
        planted.see(Level::Quorum, failed);
        planted.see_null(Level::All);
        assert_eq!(check(&planted.history).len(), 1, "what a quorum showed is on a disk that is whole");
    }

    #[test]
    fn a_row_that_nobody_made_since_it_was_deleted_is_caught() {
        let marker = CellId { column: crate::history::Column::Marker, ..CELL };
        let mut planted = Builder::new();
        planted.write(Level::Quorum, &[(marker, Effect::Put)], Fate::Acked);
        planted.read(Level::Quorum, vec![(marker, Seen::Present)]);
        planted.write(Level::Quorum, &[(marker, Effect::Delete)], Fate::Acked);
        assert_eq!(check(&planted.history), vec![]);
        planted.read(Level::Quorum, vec![(marker, Seen::Present)]);
        assert_eq!(check(&planted.history).len(), 1);
    }
}
