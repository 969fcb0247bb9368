//! The report of a run.

use serde_json::json;

use crate::arguments::Arguments;
use crate::cpu::Used;
use crate::load::{INTERVAL, Tally};

/// What was measured, as text or as one line of JSON.
pub fn render(arguments: &Arguments, tally: &Tally, used: &Used) -> String {
    let operations = tally.latencies.len();
    let per_second = operations as f64 / tally.elapsed.as_secs_f64();
    let at = |quantile: f64| tally.latencies.value_at_quantile(quantile) as f64 / 1e3;
    let micros = |time: std::time::Duration| time.as_secs_f64() * 1e6 / operations.max(1) as f64;
    let (server, driver) = (used.others.map(micros), micros(used.own));
    let workload = format!("{:?}", arguments.workload).to_lowercase();
    if !arguments.json {
        let server = server.map_or("not asked for".to_owned(), |micros| format!("{micros:.2} us"));
        let failure =
            tally.first_failure.as_ref().map_or(String::new(), |failure| format!("first failure: {failure}\n"));
        return format!(
            "{workload}: {operations} in {:.2} s, {per_second:.0} a second\n\
             latency us: p50 {:.0}, p99 {:.0}, p99.9 {:.0}, max {:.0}\n\
             failed {}, wrong rows {}, unanswered {}\n\
             CPU an operation: server {server}, driver and load {driver:.2} us\n{failure}",
            tally.elapsed.as_secs_f64(),
            at(0.5),
            at(0.99),
            at(0.999),
            tally.latencies.max() as f64 / 1e3,
            tally.failed,
            tally.wrong_rows,
            tally.unanswered,
        );
    }
    let value = json!({
        "workload": workload,
        "in_flight": arguments.in_flight,
        "connections": arguments.connections,
        "rate": arguments.rate,
        "seconds": tally.elapsed.as_secs_f64(),
        "operations": operations,
        "ops_per_second": per_second,
        "p50_us": at(0.5),
        "p99_us": at(0.99),
        "p999_us": at(0.999),
        "max_us": tally.latencies.max() as f64 / 1e3,
        "failed": tally.failed,
        "wrong_rows": tally.wrong_rows,
        "unanswered": tally.unanswered,
        "first_failure": tally.first_failure,
        "server_cpu_us": server,
        "driver_cpu_us": driver,
        "cpu_seconds_elapsed": used.elapsed.as_secs_f64(),
    });
    format!("{value}\n")
}

/// The parts of a run, one line each, as CSV.
pub fn series(tally: &Tally) -> String {
    let mut lines = String::from("seconds,ops_per_second,failed,p50_us,p99_us,max_us\n");
    for (number, part) in tally.series.iter().enumerate() {
        let at = |quantile: f64| part.latencies.value_at_quantile(quantile) / 1_000;
        lines += &format!(
            "{:.2},{:.0},{},{},{},{}\n",
            INTERVAL.as_secs_f64() * number as f64,
            part.latencies.len() as f64 / INTERVAL.as_secs_f64(),
            part.failed,
            at(0.5),
            at(0.99),
            part.latencies.max() / 1_000,
        );
    }
    lines
}
