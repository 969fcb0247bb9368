//! The one binary: `start`, `demo`, `shell`, `admin`, `bench`, `sim`.
// The binary is an edge: it prints, reads the clock and starts processes.
#![allow(clippy::print_stdout, clippy::print_stderr, clippy::disallowed_methods)]

mod cli;
mod demo;
mod shell;
mod sim;
mod start;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let command = start::with_configuration_keys(cli::Cli::command());
    let matches = command.get_matches();
    let cli = cli::Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let status = match &cli.command {
        cli::Command::Start(args) => {
            let flags = matches.subcommand().map(|(_, flags)| flags);
            start::run(args, flags)
        }
        cli::Command::Demo(args) => block_on(demo::run(args)),
        cli::Command::Shell(args) => block_on(shell::run(args)),
        cli::Command::Admin(args) => block_on(quorate_admin::run(args)),
        cli::Command::Bench(args) => block_on(quorate_bench::run(args)),
        cli::Command::Sim(args) => sim::run(args),
    };
    ExitCode::from(status)
}

/// Runs an edge on a runtime of its own thread. What still blocks on standard input when it is done is left behind.
fn block_on(work: impl Future<Output = u8>) -> u8 {
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => {
            let status = runtime.block_on(work);
            runtime.shutdown_background();
            status
        }
        Err(error) => {
            eprintln!("quorate: cannot start a runtime: {error}");
            1
        }
    }
}
