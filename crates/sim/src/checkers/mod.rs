//! What must hold of a run, one checker a file. Each judges the history of what clients did and were told, or what the
//! world measured, by a model of its own; none looks into the node's code. Each is tested by histories in which the fault
//! that it is there for was planted.

mod convergence;
mod ddl;
mod durability;
mod expiry;
mod handoff;
mod metadata;
mod mutations;
mod paging;
mod provenance;
mod register;
mod resurrection;
mod stamps;
mod ties;
mod truncation;

pub use convergence::{Replica, check as converged};
pub use ddl::check as comment_is_kept;
pub use handoff::check as handed_off;
pub use metadata::MetadataChecker;
pub use paging::check as pages_join;

use crate::history::History;

/// Something that must not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which checker found it.
    pub checker: &'static str,
    /// What it found.
    pub text: String,
}

impl Violation {
    /// One found by this checker.
    pub fn new(checker: &'static str, text: String) -> Self {
        Self { checker, text }
    }
}

/// Everything that a history alone tells.
pub fn judge(history: &History) -> Vec<Violation> {
    let mut found = provenance::check(history);
    found.extend(register::check(history));
    found.extend(durability::check(history));
    found.extend(resurrection::check(history));
    found.extend(mutations::check(history));
    found.extend(truncation::check(history));
    found.extend(expiry::check(history));
    found.extend(ties::check(history));
    found.extend(stamps::check(history));
    found
}

#[cfg(test)]
pub(crate) mod testing {
    //! Histories made by hand.

    use std::collections::BTreeMap;

    use crate::history::{Body, CellId, Column, Effect, Fate, History, Level, Record, Seen, value_of};

    pub const CELL: CellId = CellId { pk: 1, ck: Some(2), column: Column::A };

    /// A history of three copies. Moments count up by one an event.
    pub struct Builder {
        pub history: History,
        moment: u64,
    }

    impl Builder {
        pub fn new() -> Self {
            let history = History { records: Vec::new(), factor: 3, skew_us_max: 10, distrusts_one: false };
            Self { history, moment: 0 }
        }

        pub fn begin(&mut self, body: Body) -> usize {
            self.moment += 1;
            self.history.records.push(Record {
                body,
                invoked: self.moment,
                returned: None,
                fate: Fate::InFlight,
                error: None,
                through: None,
                invoked_us: 0,
                returned_us: None,
            });
            self.history.records.len() - 1
        }

        pub fn end(&mut self, operation: usize, fate: Fate) {
            self.moment += 1;
            let record = &mut self.history.records[operation];
            (record.returned, record.fate) = (Some(self.moment), fate);
        }

        pub fn begin_write(&mut self, level: Level, effects: &[(CellId, Effect)]) -> usize {
            let timestamp = 1_000 + 100 * self.history.records.len() as i64;
            self.begin(Body::Write { timestamp, level, effects: effects.iter().copied().collect::<BTreeMap<_, _>>() })
        }

        pub fn write(&mut self, level: Level, effects: &[(CellId, Effect)], fate: Fate) -> usize {
            let operation = self.begin_write(level, effects);
            self.end(operation, fate);
            operation
        }

        pub fn put(&mut self, level: Level, fate: Fate) -> usize {
            self.write(level, &[(CELL, Effect::Put)], fate)
        }

        pub fn delete(&mut self, level: Level, fate: Fate) -> usize {
            self.write(level, &[(CELL, Effect::Delete)], fate)
        }

        pub fn read(&mut self, level: Level, seen: Vec<(CellId, Seen)>) -> usize {
            let rows = seen.iter().map(|(cell, _)| (cell.pk, cell.ck)).collect();
            let operation = self.begin(Body::Read { level, seen, rows, single: true });
            self.end(operation, Fate::Acked);
            operation
        }

        pub fn see(&mut self, level: Level, operation: usize) -> usize {
            self.read(level, vec![(CELL, Seen::Value(value_of(operation, CELL)))])
        }

        pub fn see_null(&mut self, level: Level) -> usize {
            self.read(level, vec![(CELL, Seen::Null)])
        }
    }
}
