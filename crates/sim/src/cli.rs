//! `quorate sim`: seeds from the command line.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::checkers::Violation;
use crate::limits::VIOLATIONS_MAX;
use crate::plant::Plant;
use crate::report::Report;
use crate::world::{Options, World};

/// Runs one seed. A panic of a machine is a violation, too: it is a failed assertion.
pub fn run_seed(seed: u64, options: Options) -> Report {
    let run = AssertUnwindSafe(|| World::new(seed, options).run(seed));
    catch_unwind(run).unwrap_or_else(|panic| {
        let text = panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
            .unwrap_or_else(|| "a panic without words".to_owned());
        Report { seed, violations: vec![Violation::new("panic", text)], ..Report::default() }
    })
}

/// What `quorate sim` was asked.
#[derive(Clone, Copy, Debug)]
pub struct CliArgs {
    /// The first seed.
    pub first: u64,
    /// The seed behind the last one.
    pub end: u64,
    /// Operations of the clients a seed.
    pub steps: Option<u64>,
    /// A planted bug.
    pub plant: Option<Plant>,
    /// Print every event.
    pub shown: bool,
}

/// Runs the seeds one after another and prints a line each. Gives the exit status: 1 if there was a violation.
#[allow(clippy::print_stdout)] // It is what the command is for.
pub fn run_cli(args: &CliArgs) -> u8 {
    let mut failed = 0_u64;
    for seed in args.first..args.end {
        let report = run_seed(seed, Options { steps: args.steps, plant: args.plant, shown: args.shown });
        println!("{}", report.line());
        failed += u64::from(!report.violations.is_empty());
        for violation in report.violations.iter().take(VIOLATIONS_MAX) {
            println!("  {}: {}", violation.checker, violation.text);
        }
        if report.violations.len() > VIOLATIONS_MAX {
            println!("  and {} more", report.violations.len() - VIOLATIONS_MAX);
        }
        if !report.violations.is_empty() {
            println!("  replay: {}", replay_line(seed, args));
        }
    }
    u8::from(failed > 0)
}

/// The command that repeats a seed.
pub fn replay_line(seed: u64, args: &CliArgs) -> String {
    let steps = args.steps.map(|steps| format!(" --steps {steps}")).unwrap_or_default();
    let plant = args.plant.map(|plant| format!(" --plant {}", plant.name())).unwrap_or_default();
    format!("quorate sim --seed {seed}{steps}{plant}")
}
