//! `quorate sim`.

use crate::cli::SimArgs;

/// Runs simulated clusters; gives the exit status.
pub fn run(args: &SimArgs) -> u8 {
    let (first, end) = args.seeds.unwrap_or_else(|| {
        let seed = args.seed.unwrap_or_default();
        (seed, seed.saturating_add(1))
    });
    eprintln!("quorate sim: the simulator is not built yet (seeds {first}..{end}, steps {:?})", args.steps);
    1
}
