//! `quorate sim`.

use std::io::Write;
use std::time::Instant;

use quorate_sim::CliArgs;

use crate::cli::SimArgs;

/// Runs simulated clusters; gives the exit status: 1 on a violation.
pub fn run(args: &SimArgs) -> u8 {
    let (first, end) = args.seeds.unwrap_or_else(|| {
        let seed = args.seed.unwrap_or_default();
        (seed, seed.saturating_add(1))
    });
    let args = CliArgs { first, end, steps: args.steps, plant: args.plant, shown: args.show };
    let begun = Instant::now();
    let mut out = std::io::stdout();
    let totals = quorate_sim::run_cli(&args, &mut out);
    if totals.seeds > 1 {
        // Whoever has closed the output does not want to know.
        let _ = writeln!(out, "{}", totals.lines(begun.elapsed()));
    }
    u8::from(totals.failed > 0)
}
