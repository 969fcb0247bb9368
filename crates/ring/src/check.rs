//! Static checks of placements, for tests and the simulator.

use std::collections::BTreeSet;

use quorate_model::NodeId;

use crate::placements::ReplicaSet;

/// Whether every quorum that acknowledges a write under `written` shares a node with every quorum that is read under
/// `read`. `copied` are pairs of source and target of finished transfers in between: the target has what the source had.
/// `factor` is the replication factor, of which a quorum is a majority.
pub fn quorums_intersect(written: &ReplicaSet, read: &ReplicaSet, factor: usize, copied: &[(NodeId, NodeId)]) -> bool {
    // A set smaller than a quorum cannot be read, or cannot acknowledge: there is nothing to miss.
    subsets(&written.write)
        .filter(|nodes| acknowledges(nodes, written, factor))
        .all(|holders| !is_quorum(&without(holders, copied, &read.write), read.read(), factor))
}

/// Whether every quorum that is read under `later` sees what a quorum read under `earlier` has shown, which may be a write
/// that failed. What a read has shown is on as many replicas as it needs, the new ones included until they are read alone:
/// it was found there, or read repair has put it there.
pub fn reads_intersect(earlier: &ReplicaSet, later: &ReplicaSet, factor: usize, copied: &[(NodeId, NodeId)]) -> bool {
    subsets(&earlier.write)
        .filter(|nodes| shows(nodes, earlier, factor))
        .all(|holders| !shows(&without(holders, copied, &later.write), later, factor))
}

/// Those that have nothing of what the holders had, after the copies.
fn without(mut holders: BTreeSet<NodeId>, copied: &[(NodeId, NodeId)], nodes: &[NodeId]) -> BTreeSet<NodeId> {
    for (source, target) in copied {
        if holders.contains(source) {
            holders.insert(*target);
        }
    }
    nodes.iter().copied().filter(|node| !holders.contains(node)).collect()
}

fn quorum_of(factor: usize) -> usize {
    factor / 2 + 1
}

fn acknowledges(nodes: &BTreeSet<NodeId>, set: &ReplicaSet, factor: usize) -> bool {
    is_quorum(nodes, &set.current, factor) && set.next.as_ref().is_none_or(|next| is_quorum(nodes, next, factor))
}

fn shows(nodes: &BTreeSet<NodeId>, set: &ReplicaSet, factor: usize) -> bool {
    is_quorum(nodes, set.read(), factor) && set.next.as_ref().is_none_or(|next| is_quorum(nodes, next, factor))
}

fn is_quorum(nodes: &BTreeSet<NodeId>, replicas: &[NodeId], factor: usize) -> bool {
    replicas.iter().filter(|node| nodes.contains(node)).count() >= quorum_of(factor)
}

fn subsets(nodes: &[NodeId]) -> impl Iterator<Item = BTreeSet<NodeId>> {
    assert!(nodes.len() < 20, "a check by trying all subsets is for small sets");
    (0u32..1 << nodes.len()).map(|mask| {
        nodes.iter().enumerate().filter(|(index, _)| mask & (1 << index) != 0).map(|(_, node)| *node).collect()
    })
}
