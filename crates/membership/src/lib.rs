//! Who is in the cluster, who is alive, and what everybody has agreed on.
//!
//! **What it is.** Pure machines and pure functions:
//! - [`gossip`] spreads each node's own small facts (load, applied epoch, release) by anti-entropy;
//! - [`failure_detector`] judges from heartbeats who is alive;
//! - [`metadata`] is the state of the cluster as a fold over a log of [`Change`]s: schema, topology, members, truncations;
//! - [`metadata_log`] agrees on that log: one Paxos instance a slot among the metadata members, no leader;
//! - [`members`] says who should be a metadata member, [`join`] what a joining node does next.
//!
//! **What it refuses to do.** No sockets, clocks, files or entropy: time, messages, stored state and randomness come in,
//! outputs go out, in an order that the driver must keep ([`metadata_log::LogOutput`]). Gossip never decides ownership.
//!
//! **Invariants.**
//! - At most one change is decided for a slot, and every node applies the same changes in the same order.
//! - An acceptor's promise or acceptance is durable before anyone hears of it.
//! - Applying a change is total and deterministic: an invalid one advances the epoch and changes nothing else.
//! - A node that pauses does not hold others for dead because of it.
//!
//! **It assumes** that a node's generation grows at every start (ballots are unique by it), that messages may be lost,
//! doubled, delayed or reordered but not altered, and that what was persisted stays.
//!
//! **Limits** are in [`limits`]. **Tests**: beside the code, and whole clusters under random faults in `tests/`.

pub mod failure_detector;
pub mod gossip;
pub mod join;
pub mod limits;
pub mod members;
pub mod metadata;
pub mod metadata_log;

pub use failure_detector::{FailureDetector, Verdict};
pub use gossip::Gossip;
pub use members::desired_members;
pub use metadata::{Change, ClusterMetadata, Entry, ProposalId, Rejection};
pub use metadata_log::MetadataLog;
