//! A whole node as one value.
//!
//! **What it is.** One control machine (gossip, metadata log, joins, hint replay, background work) and a worker machine
//! a core (requests in flight), over one shared storage engine. [`Node::open`](open::Node::open) builds them from an
//! injected disk and system store; a driver (the server, or the simulator) feeds [`Input`]s with the time and carries
//! out [`Output`]s. **What it refuses to do.** It has no sockets, threads, clocks, files or randomness of its own.
//!
//! **Contract of the driver.** It delivers frames between machines at most once, in any order between connections; it
//! runs jobs and returns their outcomes, in any order; it calls a machine at its `deadline()` or later. It may drop
//! anything at any time and start again from what is on disk: nothing acknowledged is lost by that.

pub mod machine;

pub use machine::{Input, JobClass, Lane, MachineId, Output, PeerAddress, RequestId};
