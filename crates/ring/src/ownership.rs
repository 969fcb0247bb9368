//! How much each node keeps.

use std::collections::BTreeMap;

use quorate_model::{NodeId, TokenRange};

use crate::placements::Placements;

/// The share of all tokens that each node keeps now, 0 to 1. With a replication factor of three the shares of all nodes
/// add up to three.
pub fn owned_shares(placements: &Placements) -> BTreeMap<NodeId, f64> {
    let mut shares = BTreeMap::new();
    for (range, set) in placements.ranges() {
        let share = range_share(&range);
        for node in set.current.iter() {
            *shares.entry(*node).or_insert(0.0) += share;
        }
    }
    shares
}

/// The share of all tokens that lie in a range, 0 to 1.
pub fn range_share(range: &TokenRange) -> f64 {
    const ALL: f64 = 18_446_744_073_709_551_616.0;
    match range.end.0.wrapping_sub(range.start.0) as u64 {
        0 => 1.0,
        width => width as f64 / ALL,
    }
}
