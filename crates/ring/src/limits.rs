//! Limits of the ring.

/// Virtual nodes of one node, by default.
pub const TOKENS_PER_NODE_DEFAULT: usize = 16;
/// Virtual nodes of one node, at most.
pub const TOKENS_PER_NODE_MAX: usize = 1024;
/// Nodes of a cluster, at most.
pub const NODES_MAX: usize = 4096;
/// Sets of tokens that are weighed against each other when a node's tokens are allotted.
pub const ALLOTMENT_CANDIDATES: usize = 24;
