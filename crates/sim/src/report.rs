//! What a run found.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::checkers::Violation;

/// The outcome of one seed.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// What must not have been.
    pub violations: Vec<Violation>,
    /// Hash over every event.
    pub trace_hash: u64,
    /// Events.
    pub events: u64,
    /// Virtual time, in nanoseconds.
    pub virtual_ns: u64,
    /// Operations by outcome: acknowledged, refused, unknown.
    pub operations: BTreeMap<&'static str, u64>,
    /// Power losses and deaths of processes.
    pub crashes: u64,
    /// Nodes that stopped by themselves, as an injected fault of the disk explains.
    pub stops: u64,
    /// Nodes that joined under load.
    pub joins: u64,
    /// Changes of the metadata under load that were acknowledged.
    pub changes: u64,
    /// Faults by kind.
    pub faults: BTreeMap<String, u64>,
}

impl Report {
    /// The line that a run prints.
    pub fn line(&self) -> String {
        let of = |name: &str| self.operations.get(name).copied().unwrap_or(0);
        format!(
            "seed={} trace={:016x} events={} virtual={:.1}s acked={} refused={} unknown={} crashes={} stops={} faults={}{}",
            self.seed,
            self.trace_hash,
            self.events,
            self.virtual_ns as f64 / 1e9,
            of("acked"),
            of("refused"),
            of("unknown"),
            self.crashes,
            self.stops,
            self.faults.values().sum::<u64>(),
            if self.violations.is_empty() { String::new() } else { format!(" VIOLATIONS={}", self.violations.len()) },
        )
    }
}

/// What many runs come to.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    /// Runs.
    pub seeds: u64,
    /// Those with a violation.
    pub failed: u64,
    /// Those in which nodes joined, in which the metadata changed, and in which both did.
    pub joined: u64,
    /// See `joined`.
    pub changed: u64,
    /// See `joined`.
    pub joined_and_changed: u64,
    /// Events.
    pub events: u64,
    /// Virtual time, in nanoseconds.
    pub virtual_ns: u64,
    /// Acknowledged operations.
    pub acked: u64,
    /// Power losses and deaths of processes.
    pub crashes: u64,
    /// Faults by kind.
    pub faults: BTreeMap<String, u64>,
}

impl Totals {
    /// Takes up a run.
    pub fn add(&mut self, report: &Report) {
        let (joins, changes) = (report.joins > 0, report.changes > 0);
        self.seeds += 1;
        self.failed += u64::from(!report.violations.is_empty());
        self.joined += u64::from(joins);
        self.changed += u64::from(changes);
        self.joined_and_changed += u64::from(joins && changes);
        self.events += report.events;
        self.virtual_ns = self.virtual_ns.saturating_add(report.virtual_ns);
        self.acked += report.operations.get("acked").copied().unwrap_or(0);
        self.crashes += report.crashes;
        for (kind, count) in &report.faults {
            *self.faults.entry(kind.clone()).or_default() += count;
        }
    }

    /// Two lines: what was run in how much real time, and the faults by kind.
    pub fn lines(&self, elapsed: Duration) -> String {
        let seconds = elapsed.as_secs_f64().max(0.001);
        let virtual_s = self.virtual_ns as f64 / 1e9;
        let faults: Vec<String> = self.faults.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
        format!(
            "total seeds={} failed={} joined={} changed={} both={} events={} acked={} crashes={} virtual={virtual_s:.0}s \
             real={seconds:.1}s events/s={:.0} virtual/real={:.0}\ntotal faults={}: {}",
            self.seeds,
            self.failed,
            self.joined,
            self.changed,
            self.joined_and_changed,
            self.events,
            self.acked,
            self.crashes,
            self.events as f64 / seconds,
            virtual_s / seconds,
            self.faults.values().sum::<u64>(),
            faults.join(", "),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_say_how_much_was_run_and_how_fast() {
        let faults = BTreeMap::from([("Crash".to_owned(), 2)]);
        let report = Report { events: 500, virtual_ns: 4_000_000_000, joins: 1, faults, ..Report::default() };
        let mut totals = Totals::default();
        totals.add(&report);
        totals.add(&Report { changes: 3, joins: 1, ..report });
        let lines = totals.lines(Duration::from_secs(2));
        let expected = "total seeds=2 failed=0 joined=2 changed=1 both=1 events=1000 acked=0 crashes=0 virtual=8s real=2.0s \
                        events/s=500 virtual/real=4\ntotal faults=4: Crash 4";
        assert_eq!(lines, expected);
    }
}
