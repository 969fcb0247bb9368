//! `quorate sim`.

use quorate_sim::CliArgs;

use crate::cli::SimArgs;

/// Runs simulated clusters; gives the exit status: 1 on a violation.
pub fn run(args: &SimArgs) -> u8 {
    let (first, end) = args.seeds.unwrap_or_else(|| {
        let seed = args.seed.unwrap_or_default();
        (seed, seed.saturating_add(1))
    });
    let args = CliArgs { first, end, steps: args.steps, plant: args.plant, shown: args.show };
    quorate_sim::run_cli(&args, &mut std::io::stdout())
}
