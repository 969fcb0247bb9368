//! The ring: who keeps what.
//!
//! **What it is.** The partitioner (Cassandra's Murmur3 tokens), the [`Topology`] (nodes, their tokens and the one
//! movement in progress), the replication strategies, and [`Placements`]: for every token the replicas that hold it now
//! and, while a range moves, those that will. All are immutable snapshots: [`Ring`] bundles them, cheap to clone.
//! **What it refuses to do.** It does not know who is alive, moves nothing, draws no randomness of its own and performs
//! no I/O. Changes of the topology are decided elsewhere, by the metadata log.
//!
//! **Invariants.**
//! - The ranges of a [`Placements`] cover the ring exactly once.
//! - A replica set never names a node twice, and names as many nodes as the strategy asks for or there are.
//! - A set that is moving differs in at most one node a data centre, and whoever enters copies from whoever leaves
//!   ([`range_transfers`]): no two quorums of consecutive phases miss each other ([`check::quorums_intersect`],
//!   [`check::reads_intersect`]).
//!
//! **Limits** are in [`limits`]. **Tests**: beside the code, and `tests/placement_properties.rs`.

pub mod allotment;
pub mod check;
mod codec;
pub mod limits;
pub mod ownership;
pub mod partitioner;
pub mod placements;
pub mod ring;
mod strategy;
pub mod topology;
pub mod transfer;

pub use allotment::allot_tokens;
pub use ownership::owned_shares;
pub use placements::{Placements, ReplicaSet};
pub use ring::Ring;
pub use topology::{Movement, MovementPhase, NodeEntry, NodeState, Topology};
pub use transfer::{Transfer, range_transfers};
