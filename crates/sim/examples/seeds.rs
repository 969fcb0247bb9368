//! `cargo run --release -p quorate-sim --example seeds -- FIRST END [STEPS] [PLANT]`: runs seeds.

use quorate_sim::{CliArgs, Plant, run_cli};

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let number = |index: usize| args.get(index).and_then(|text| text.parse().ok());
    let shown = args.iter().any(|arg| arg == "show");
    let plant = args.iter().find_map(|arg| Plant::parse(arg));
    let first = number(1).unwrap_or(0);
    let args = CliArgs { first, end: number(2).unwrap_or(first + 1), steps: number(3), plant, shown };
    std::process::exit(i32::from(run_cli(&args)));
}
