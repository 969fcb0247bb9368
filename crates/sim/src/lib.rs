//! A deterministic simulator of whole clusters of the node that ships.
//!
//! **What it is.** Several [`quorate_node::Node`]s on simulated disks, clocks and a simulated network, driven by one
//! queue of events in virtual time; simulated clients; faults; and checkers of the product's promises over what the
//! clients saw. Everything is drawn from one seed: the same seed gives the same run, event for event, which
//! [`Report::trace_hash`] shows.
//!
//! **What it refuses to do.** It has no behaviour of its own where the node has some: it is a driver, and what it does to
//! a node is what the driver's contract, disks, clocks and networks allow. It uses no thread, clock, socket or file.
//!
//! **A run.** Boot and schema, without faults; then clients and faults together; then everything is healed, and the
//! cluster must become ready, accept writes at ALL, deliver its hints and converge. Planted bugs ([`Plant`]) are lies of
//! the world around the node.
//!
//! **Invariants.** Checkers never look into the node: they judge histories. Each has tests with planted faults.
//!
//! **Limits** are in [`limits`]. **Tests**: beside the code, and `tests/seeds.rs`.

mod checkers;
mod cli;
mod clock;
mod history;
mod knobs;
pub mod limits;
mod network;
mod plant;
mod report;
mod trace;
mod workload;
mod world;

pub use checkers::Violation;
pub use cli::{CliArgs, replay_line, run_cli, run_seed};
pub use plant::Plant;
pub use report::{Report, Totals};
pub use world::Options;
