//! Limits of the ring.

/// Virtual nodes of one node, at most.
pub const TOKENS_PER_NODE_MAX: usize = 1024;
/// Sets of tokens that are weighed against each other when a node's tokens are allotted.
pub const ALLOTMENT_CANDIDATES: usize = 24;
