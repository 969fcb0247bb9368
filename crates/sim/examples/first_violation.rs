//! Runs seeds one after another until one shows a violation, and says which: `first_violation FROM END`.
//!
//! A program of its own because it needs neither servers nor shells, and stops at the first finding: `tests/planted/run`
//! builds it once for each planted bug.

use std::process::ExitCode;

use quorate_sim::{Options, run_seed};

#[allow(clippy::print_stdout, clippy::print_stderr)] // A program.
fn main() -> ExitCode {
    let numbers: Vec<u64> = std::env::args().skip(1).filter_map(|text| text.parse().ok()).collect();
    let [from, end] = numbers[..] else {
        eprintln!("usage: first_violation FROM END: the first seed, and the one behind the last");
        return ExitCode::from(2);
    };
    for seed in from..end {
        let report = run_seed(seed, Options::default());
        if let Some(violation) = report.violations.first() {
            let mut checkers: Vec<&str> = report.violations.iter().map(|violation| violation.checker).collect();
            checkers.sort_unstable();
            checkers.dedup();
            println!("{seed}\t{}\t{}", checkers.join(","), violation.text.replace(['\t', '\n'], " "));
            return ExitCode::FAILURE;
        }
    }
    println!("none");
    ExitCode::SUCCESS
}
