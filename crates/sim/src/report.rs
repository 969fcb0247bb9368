//! What a run found.

use std::collections::BTreeMap;

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
