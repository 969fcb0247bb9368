//! The load generator of Quorate.
//!
//! **What it is.** Writes, reads or mixes both against a cluster over gRPC, unary or on one stream a node, or over the CQL
//! native protocol against any server of it ([`cql`]); as fast as so many requests in flight allow or at a fixed rate.
//! Reports throughput, latencies and the outcomes of what failed. **What it refuses to do.** It judges nothing, and repeats
//! nothing that failed.
//!
//! **Invariants.**
//! - At a fixed rate a latency counts from the moment at which the request was *due*, so that a stall of the server is
//!   felt by every request that it delayed (no coordinated omission). The clock's grain is a millisecond over gRPC, some 60 microseconds over CQL.
//! - What was refused and what is unknown are counted apart, and neither is a success.
//!
//! **Tests.** Beside the code; whole runs in the workspace's `benches/`.
// This crate is an edge: it measures with the clock and reads /proc.
#![allow(clippy::disallowed_methods)]

pub mod args;
pub mod cpu;
pub mod cql;
pub mod limits;
pub mod load;
pub mod report;
pub mod target;

pub use args::BenchArgs;

use std::io::Write as _;

use args::Format;

/// The generated stub.
#[allow(missing_docs, clippy::all, clippy::too_many_lines, reason = "generated")]
mod stub {
    include!(concat!(env!("OUT_DIR"), "/quorate.v1.rs"));
}

/// Runs a load and prints its report; gives the exit status: 1 if it could not run, or if no request succeeded.
pub async fn run(args: &BenchArgs) -> u8 {
    let result = if args.cql.hosts.is_empty() { load::run(args).await } else { cql::run(args) };
    match result {
        Ok(report) => {
            let text = match args.format {
                Format::Text => report.to_text(),
                Format::Json => report.to_json(),
            };
            // Nothing is left to tell a reader that went away.
            let _ = std::io::stdout().write_all(text.as_bytes());
            let failure = report.failure();
            if let Some(failure) = &failure {
                let _ = writeln!(std::io::stderr(), "quorate bench: {failure}");
            }
            u8::from(failure.is_some())
        }
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "quorate bench: {error}");
            1
        }
    }
}
