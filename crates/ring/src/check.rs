//! Static checks of placements, for tests and the simulator.

use std::collections::BTreeSet;

use quorate_model::NodeId;

use crate::placements::ReplicaSet;

/// Whether every quorum that acknowledges a write under `written` shares a node with every quorum that is read under
/// `read`. `copied` are pairs of source and target of finished transfers in between: the target has what the source had.
/// `factor` is the replication factor, of which a quorum is a majority.
pub fn quorums_intersect(written: &ReplicaSet, read: &ReplicaSet, factor: usize, copied: &[(NodeId, NodeId)]) -> bool {
    let quorum = factor / 2 + 1;
    let readers = read.read();
    // A set smaller than a quorum cannot be read, or cannot acknowledge: there is nothing to miss.
    subsets(&written.write).filter(|acknowledged| acknowledges(acknowledged, written, quorum)).all(|mut holders| {
        for (source, target) in copied {
            if holders.contains(source) {
                holders.insert(*target);
            }
        }
        let missing = readers.iter().filter(|node| !holders.contains(node)).count();
        missing < quorum
    })
}

fn acknowledges(nodes: &BTreeSet<NodeId>, set: &ReplicaSet, quorum: usize) -> bool {
    let count = |replicas: &[NodeId]| replicas.iter().filter(|node| nodes.contains(node)).count();
    count(&set.current) >= quorum && set.next.as_ref().is_none_or(|next| count(next) >= quorum)
}

fn subsets(nodes: &[NodeId]) -> impl Iterator<Item = BTreeSet<NodeId>> {
    assert!(nodes.len() < 20, "a check by trying all subsets is for small sets");
    (0u32..1 << nodes.len()).map(|mask| {
        nodes.iter().enumerate().filter(|(index, _)| mask & (1 << index) != 0).map(|(_, node)| *node).collect()
    })
}
