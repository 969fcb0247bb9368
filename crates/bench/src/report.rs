//! What was measured, for people and for programs.

use std::time::Duration;

use serde_json::json;

use crate::args::BenchArgs;
use crate::load::Tally;

/// Latencies in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Latencies {
    pub p50: u64,
    pub p95: u64,
    pub p99: u64,
    pub p999: u64,
    pub max: u64,
}

/// What was measured.
#[derive(Clone, Debug)]
pub struct Report {
    workload: String,
    mode: String,
    consistency: &'static str,
    in_flight: u32,
    rate: Option<u32>,
    elapsed: Duration,
    operations: u64,
    latencies: Latencies,
    refused: u64,
    unknown: u64,
    missing: u64,
    first_failure: Option<String>,
    cpu: Vec<(u32, Option<Duration>)>,
}

impl Report {
    /// Puts the figures together; `mode` says how requests travelled.
    pub fn new(
        args: &BenchArgs,
        mode: String,
        tally: &Tally,
        elapsed: Duration,
        cpu: Vec<(u32, Option<Duration>)>,
    ) -> Self {
        let at = |quantile| tally.latencies.value_at_quantile(quantile);
        Self {
            workload: format!("{:?}", args.workload).to_lowercase(),
            mode,
            consistency: args.consistency.name(),
            in_flight: args.in_flight,
            rate: args.rate,
            elapsed,
            operations: tally.latencies.len(),
            latencies: Latencies {
                p50: at(0.5),
                p95: at(0.95),
                p99: at(0.99),
                p999: at(0.999),
                max: tally.latencies.max(),
            },
            refused: tally.refused,
            unknown: tally.unknown,
            missing: tally.missing,
            first_failure: tally.first_failure.clone(),
            cpu,
        }
    }

    /// Why the run measured nothing: not one request was answered as it should be.
    pub fn failure(&self) -> Option<String> {
        let first = self.first_failure.as_deref().unwrap_or("nobody said why");
        let (refused, unknown) = (self.refused, self.unknown);
        (self.operations == 0)
            .then(|| format!("no request succeeded: {refused} were refused, {unknown} are unknown; the first: {first}"))
    }

    /// Successful requests a second.
    pub fn operations_per_second(&self) -> f64 {
        self.operations as f64 / self.elapsed.as_secs_f64().max(0.001)
    }

    /// CPU time of the measured processes a successful request, in microseconds.
    fn cpu_us_per_operation(&self) -> Option<f64> {
        let all: Option<Vec<Duration>> = self.cpu.iter().map(|(_, used)| *used).collect();
        let total: Duration = all.filter(|all| !all.is_empty())?.into_iter().sum();
        (self.operations > 0).then(|| total.as_secs_f64() * 1e6 / self.operations as f64)
    }

    /// For people.
    pub fn to_text(&self) -> String {
        let Latencies { p50, p95, p99, p999, max } = self.latencies;
        let pace = self.rate.map_or("as fast as it goes".to_owned(), |rate| format!("{rate} a second"));
        let mut text = format!(
            "{} over {} at {}, {pace}, {} in flight at most\n\
             operations   {} in {:.2} s: {:.0} a second\n\
             latency      p50 {p50} us, p95 {p95} us, p99 {p99} us, p99.9 {p999} us, max {max} us\n\
             failed       {} refused, {} unknown\n",
            self.workload,
            self.mode,
            self.consistency,
            self.in_flight,
            self.operations,
            self.elapsed.as_secs_f64(),
            self.operations_per_second(),
            self.refused,
            self.unknown,
        );
        if let Some(failure) = &self.first_failure {
            text.push_str(&format!("first said   {failure}\n"));
        }
        if self.missing > 0 {
            text.push_str(&format!("not found    {} reads\n", self.missing));
        }
        for (pid, used) in &self.cpu {
            match used {
                Some(used) => text.push_str(&format!("cpu          process {pid}: {:.2} s\n", used.as_secs_f64())),
                None => text.push_str(&format!("cpu          process {pid}: not to be had\n")),
            }
        }
        if let Some(micros) = self.cpu_us_per_operation() {
            text.push_str(&format!("cpu          {micros:.1} us an operation over all of them\n"));
        }
        text
    }

    /// For programs: one line.
    pub fn to_json(&self) -> String {
        let Latencies { p50, p95, p99, p999, max } = self.latencies;
        let cpu: Vec<_> = self
            .cpu
            .iter()
            .map(|(pid, used)| json!({ "pid": pid, "seconds": used.map(|used| used.as_secs_f64()) }))
            .collect();
        let value = json!({
            "workload": self.workload,
            "mode": self.mode,
            "consistency": self.consistency,
            "in_flight": self.in_flight,
            "rate": self.rate,
            "seconds": self.elapsed.as_secs_f64(),
            "operations": self.operations,
            "ops_per_second": self.operations_per_second(),
            "latency_us": { "p50": p50, "p95": p95, "p99": p99, "p999": p999, "max": max },
            "refused": self.refused,
            "unknown": self.unknown,
            "not_found": self.missing,
            "first_failure": self.first_failure,
            "cpu": cpu,
            "cpu_us_per_op": self.cpu_us_per_operation(),
        });
        format!("{value}\n")
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Arguments {
        #[command(flatten)]
        bench: BenchArgs,
    }

    #[test]
    fn a_run_in_which_nothing_succeeded_has_failed() {
        let arguments = Arguments::parse_from(["bench", "read"]).bench;
        let report =
            |tally: &Tally| Report::new(&arguments, "unary".to_owned(), tally, Duration::from_secs(1), Vec::new());
        let first_failure = Some("table ks.t does not exist".to_owned());
        let mut tally = Tally { refused: 7, first_failure, ..Tally::default() };
        let failure = report(&tally).failure().unwrap();
        assert!(failure.contains("7 were refused") && failure.contains("table ks.t does not exist"), "{failure}");
        tally.latencies.record(10).unwrap();
        assert_eq!(report(&tally).failure(), None);
    }
}
