//! The shell of Quorate, in the manner of cqlsh.
//!
//! **What it is.** Reads CQL and a few commands of its own from a terminal, a file or an argument; sends them through a
//! [`front::Front`]; prints what comes back as tables, CSV or JSON; copies tables to CSV and back. **What it refuses to
//! do.** It does not understand CQL: statements are split by the language's own lexer and judged by the server.
//!
//! **Invariants.**
//! - A row of `COPY FROM` is counted only when the server acknowledged it; only what certainly had no effect is sent again.
//! - With a format for programs, standard output carries result sets alone.
//! - A script stops at its first failure.
//!
//! **Limits** stand in [`limits`]. **Assumes** of the front that many requests may be in flight at once.
//!
//! **Tests.** Beside the code; `tests/` runs whole scripts and copies against a fake front.
// This crate is an edge: it reads files, the terminal and the clock.
#![allow(clippy::disallowed_methods)]

pub mod codec;
pub mod commands;
pub mod complete;
pub mod copy;
pub mod cql;
pub mod describe;
pub mod errors;
pub mod front;
pub mod grpc;
pub mod help;
pub mod limits;
pub mod names;
pub mod output;
pub mod progress;
pub mod run;
pub mod session;
pub mod split;
pub mod table;
pub mod terminal;
pub mod trace;
pub mod value_text;

pub use quorate_model::request::QueryOptions;
pub use quorate_model::{Consistency, Value};
pub use run::{ShellOptions, run};
