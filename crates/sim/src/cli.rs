//! `quorate sim`: seeds from the command line.

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::checkers::Violation;
use crate::limits::VIOLATIONS_MAX;
use crate::plant::Plant;
use crate::report::{Report, Totals};
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

/// Runs the seeds one after another and writes a line each to `out`. Whoever closes `out` early (a pipe to `head`) ends the
/// run.
pub fn run_cli(args: &CliArgs, out: &mut impl Write) -> Totals {
    let mut totals = Totals::default();
    for seed in args.first..args.end {
        let report = run_seed(seed, Options { steps: args.steps, plant: args.plant, shown: args.shown });
        totals.add(&report);
        if write_report(seed, args, &report, out).is_err() {
            break;
        }
    }
    totals
}

fn write_report(seed: u64, args: &CliArgs, report: &Report, out: &mut impl Write) -> std::io::Result<()> {
    writeln!(out, "{}", report.line())?;
    for violation in report.violations.iter().take(VIOLATIONS_MAX) {
        writeln!(out, "  {}: {}", violation.checker, violation.text)?;
    }
    if report.violations.len() > VIOLATIONS_MAX {
        writeln!(out, "  and {} more", report.violations.len() - VIOLATIONS_MAX)?;
    }
    if !report.violations.is_empty() {
        writeln!(out, "  replay: {}", replay_line(seed, args))?;
    }
    Ok(())
}

/// The command that repeats a seed.
pub fn replay_line(seed: u64, args: &CliArgs) -> String {
    let steps = args.steps.map(|steps| format!(" --steps {steps}")).unwrap_or_default();
    let plant = args.plant.map(|plant| format!(" --plant {}", plant.name())).unwrap_or_default();
    format!("quorate sim --seed {seed}{steps}{plant}")
}
