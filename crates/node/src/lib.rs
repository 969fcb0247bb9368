//! A whole node as one value.
//!
//! **What it is.** One control machine (gossip, metadata log, joins, hint replay, background work) and a worker machine
//! a core (requests in flight), over one shared storage engine. [`Node::open`] builds them from an injected disk and
//! system store; a driver (the server, or the simulator) feeds [`Input`]s with the time and carries out [`Output`]s.
//! **What it refuses to do.** It has no sockets, threads, clocks, files or randomness of its own.
//!
//! **Contract of the driver.** It delivers frames between machines at most once, in any order between connections; it
//! runs jobs and returns their outcomes, in any order; it carries out one machine's outputs in order; it calls a machine
//! at its `deadline()` or later. It may drop everything at any time and start again from what is on disk: nothing
//! acknowledged is lost by that.
//!
//! **Invariants.**
//! - A mutation is acknowledged only when it is durable here and visible (`worker/replica.rs`).
//! - Nothing planned at a later epoch than this node's is executed before the node has caught up; nothing planned before
//!   the last change of placement is executed at all.
//! - An epoch is announced only when everything admitted before it has been applied.
//!
//! **Limits** are in [`limits`]. **Tests**: whole clusters in the simulator; small ones, and single promises, in `tests/`.

mod config;
mod control;
mod internal;
mod latencies;
pub mod limits;
mod machine;
pub mod metrics;
mod open;
mod paging;
mod peer;
mod prepared;
mod settings;
mod shared;
mod snapshot;
mod surroundings;
mod worker;

pub use config::{NodeConfig, Timing};
pub use control::Control;
pub use machine::{
    Input, Internal, Job, JobClass, JobDone, JobOutcome, Lane, MachineId, Output, PeerAddress, RequestId,
};
pub use open::{Node, NodeError};
pub use peer::Frame;
pub use quorate_cql::system_tables::is_system_keyspace;
pub use shared::{NodePhase, Shared};
pub use snapshot::{Snapshot, TablePlacement};
pub use surroundings::{ClientFact, PoolFact, Surroundings, TlsFact};
pub use worker::Worker;
