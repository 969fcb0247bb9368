//! What has to be copied before a moving range may be read from its new replicas.

use quorate_model::{NodeId, TokenRange};

use crate::placements::Placements;

/// A range that a node has to copy before it may serve reads of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// The tokens.
    pub range: TokenRange,
    /// Who needs them.
    pub target: NodeId,
    /// Whom to copy from: the replica whose place the target takes. If it were another, a write that only the leaving
    /// replica and one more acknowledged would be on one replica of the new set alone, and a quorum could miss it.
    pub source: NodeId,
    /// Others that are just as good: none if the target takes a place; if the set only grows, all its present members.
    pub alternatives: Vec<NodeId>,
}

/// The transfers that the movement in these placements needs, those of equal source that touch joined into one range.
pub fn range_transfers(placements: &Placements) -> Vec<Transfer> {
    let mut transfers: Vec<Transfer> = Vec::new();
    for (range, set) in placements.ranges() {
        let Some(next) = &set.next else { continue };
        let mut leaving = set.current.iter().filter(|node| !next.contains(node));
        for target in set.pending() {
            let (source, alternatives) = match leaving.next() {
                Some(source) => (*source, Vec::new()),
                None => match set.current.split_first() {
                    Some((first, others)) => (*first, others.to_vec()),
                    // Nobody keeps this range: there is nothing to copy.
                    None => continue,
                },
            };
            let transfer = Transfer { range, target: *target, source, alternatives };
            match transfers.last_mut() {
                Some(last) if joins(last, &transfer) => last.range.end = transfer.range.end,
                _ => transfers.push(transfer),
            }
        }
    }
    transfers
}

fn joins(before: &Transfer, after: &Transfer) -> bool {
    // Never all the way around: a range whose ends meet would read as the whole ring.
    before.range.end == after.range.start
        && before.range.start != after.range.end
        && before.target == after.target
        && before.source == after.source
        && before.alternatives == after.alternatives
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use quorate_model::Token;
    use quorate_model::schema::Replication;

    use super::*;
    use crate::topology::{Movement, MovementPhase, NodeState, Topology};

    fn topology(tokens: &[(u128, i64)], joining: Option<u128>) -> Topology {
        let mut topology = Topology::default();
        for (id, token) in tokens {
            let node = crate::placements::test_support::node(*id, "dc1", "r1", &[*token]);
            topology.nodes.insert(node.id, node);
        }
        if let Some(id) = joining {
            let node = NodeId::from_u128(id);
            topology.nodes.get_mut(&node).unwrap().state = NodeState::Joining;
            topology.movement = Some(Movement::Joining { node, phase: MovementPhase::WriteBoth });
        }
        topology
    }

    #[test]
    fn a_newcomer_copies_from_whom_it_displaces() {
        let topology = topology(&[(1, 0), (2, 100), (3, 200), (4, 300), (5, 150)], Some(5));
        let placements = Placements::compute(&topology, &Replication::Simple { factor: 3 }, NodeId::default());
        let found: Vec<_> = range_transfers(&placements)
            .into_iter()
            .map(|transfer| (transfer.range, transfer.source, transfer.alternatives))
            .collect();
        let range = |start, end| TokenRange { start: Token(start), end: Token(end) };
        let node = NodeId::from_u128;
        // (300, 0] was 1 2 3 and becomes 1 2 5; (0, 100] was 2 3 4, becomes 2 5 3; (100, 150] was 3 4 1, becomes 5 3 4.
        assert_eq!(
            found,
            vec![
                (range(300, 0), node(3), vec![]),
                (range(0, 100), node(4), vec![]),
                (range(100, 150), node(1), vec![]),
            ]
        );
    }

    #[test]
    fn a_set_that_grows_copies_from_any_member() {
        let topology = topology(&[(1, 0), (2, 100), (3, 200)], Some(3));
        let placements = Placements::compute(&topology, &Replication::Simple { factor: 3 }, NodeId::default());
        let transfers = range_transfers(&placements);
        assert!(transfers.iter().all(|transfer| transfer.target == NodeId::from_u128(3)));
        assert!(transfers.iter().all(|transfer| transfer.alternatives.len() == 1));
        let set: &Arc<_> = placements.replicas(Token(50));
        assert_eq!(set.pending(), [NodeId::from_u128(3)]);
    }

    #[test]
    fn without_a_movement_nothing_is_copied() {
        let topology = topology(&[(1, 0), (2, 100)], None);
        let placements = Placements::compute(&topology, &Replication::Simple { factor: 3 }, NodeId::default());
        assert!(range_transfers(&placements).is_empty());
    }
}
