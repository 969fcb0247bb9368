//! Random topologies: the ring is covered, replicas are distinct and spread, and movements keep quorums together.
#![allow(missing_docs)]

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use quorate_model::schema::Replication;
use quorate_model::wire::Wire;
use quorate_model::{NodeId, Token};
use quorate_ring::check::{quorums_intersect, reads_intersect};
use quorate_ring::{
    Movement, MovementPhase, NodeEntry, NodeState, Placements, Topology, owned_shares, range_transfers,
};

fn topology(nodes: Vec<(u8, u8, BTreeSet<i64>)>) -> Topology {
    let mut topology = Topology::default();
    let mut used = BTreeSet::new();
    for (index, (datacenter, rack, tokens)) in nodes.into_iter().enumerate() {
        let tokens: Vec<Token> = tokens.into_iter().filter(|token| used.insert(*token)).map(Token).collect();
        if tokens.is_empty() {
            continue;
        }
        let id = NodeId::from_u128(index as u128 + 1);
        let entry = NodeEntry {
            id,
            address: format!("10.0.0.{index}:7000"),
            cql_port: 9042,
            grpc_port: 9044,
            datacenter: format!("dc{datacenter}"),
            rack: format!("r{rack}"),
            tokens,
            state: NodeState::Normal,
        };
        topology.nodes.insert(id, entry);
    }
    topology
}

fn topologies() -> impl Strategy<Value = Topology> {
    let token = prop_oneof![-50i64..50, any::<i64>().prop_map(|token| token.max(i64::MIN + 1))];
    let tokens = prop::collection::btree_set(token, 1..6);
    prop::collection::vec((1u8..3, 1u8..5, tokens), 1..9).prop_map(topology)
}

fn replications() -> impl Strategy<Value = Replication> {
    prop_oneof![
        (1u32..5).prop_map(|factor| Replication::Simple { factor }),
        (0u32..5, 0u32..4).prop_map(|(first, second)| Replication::NetworkTopology {
            factors: BTreeMap::from([("dc1".to_owned(), first), ("dc2".to_owned(), second)])
        }),
    ]
}

fn expected_counts(topology: &Topology, replication: &Replication) -> usize {
    let inside = |name: &str| topology.nodes.values().filter(|node| node.datacenter == name).count();
    match replication {
        Replication::Local => 1,
        Replication::Simple { factor } => topology.nodes.len().min(*factor as usize),
        Replication::NetworkTopology { factors } => {
            factors.iter().map(|(name, factor)| inside(name).min(*factor as usize)).sum()
        }
    }
}

fn racks(topology: &Topology, nodes: &[NodeId], datacenter: &str) -> (usize, usize) {
    let inside = || nodes.iter().filter_map(|id| topology.node(*id)).filter(|node| node.datacenter == datacenter);
    (inside().count(), inside().map(|node| node.rack.as_str()).collect::<BTreeSet<_>>().len())
}

/// The same topology before, during and after the join of its last node.
fn join_phases(mut topology: Topology) -> Option<(NodeId, [Topology; 4])> {
    let (node, entry) = topology.nodes.pop_last()?;
    let before = topology.clone();
    topology.nodes.insert(node, NodeEntry { state: NodeState::Joining, ..entry.clone() });
    topology.movement = Some(Movement::Joining { node, phase: MovementPhase::WriteBoth });
    let write_both = topology.clone();
    topology.movement = Some(Movement::Joining { node, phase: MovementPhase::ReadNew });
    let read_new = topology.clone();
    topology.movement = None;
    topology.nodes.insert(node, entry);
    (!before.nodes.is_empty()).then_some((node, [before, write_both, read_new, topology]))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn ranges_cover_the_ring_once(topology in topologies(), replication in replications(), token in any::<i64>()) {
        topology.check();
        let placements = Placements::compute(&topology, &replication, NodeId::default());
        let token = Token(token);
        let holding: Vec<_> = placements.ranges().filter(|(range, _)| range.contains(token)).collect();
        prop_assert_eq!(holding.len(), 1);
        prop_assert_eq!(holding[0].1, placements.replicas(token));
        prop_assert_eq!(holding[0].0, placements.range_of(token).0);
        let scanned = placements.scan_ranges();
        if token != Token::MIN {
            prop_assert_eq!(scanned.iter().filter(|(range, _)| range.contains(token)).count(), 1);
        }
        prop_assert_eq!(scanned.first().map(|(range, _)| range.start), Some(Token::MIN));
        prop_assert_eq!(scanned.last().map(|(range, _)| range.end), Some(Token::MAX));
    }

    #[test]
    fn replicas_are_distinct_as_many_as_asked_and_over_racks(topology in topologies(), replication in replications()) {
        let placements = Placements::compute(&topology, &replication, NodeId::default());
        let expected = expected_counts(&topology, &replication);
        for (range, set) in placements.ranges() {
            let distinct: BTreeSet<_> = set.current.iter().collect();
            prop_assert_eq!(distinct.len(), set.current.len());
            prop_assert_eq!(set.current.len(), expected, "range {:?}", range);
            if let Replication::NetworkTopology { .. } = replication {
                for datacenter in ["dc1", "dc2"] {
                    let everyone: Vec<NodeId> = topology.nodes.keys().copied().collect();
                    let (_, racks_there) = racks(&topology, &everyone, datacenter);
                    let (replicas, racks_used) = racks(&topology, &set.current, datacenter);
                    prop_assert_eq!(racks_used, replicas.min(racks_there));
                }
            }
        }
        let total: f64 = owned_shares(&placements).values().sum();
        prop_assert!((total - expected as f64).abs() < 1e-6);
    }

    #[test]
    fn joining_exchanges_at_most_one_replica(topology in topologies(), replication in replications()) {
        let Some((node, [_, write_both, ..])) = join_phases(topology) else { return Ok(()) };
        let placements = Placements::compute(&write_both, &replication, NodeId::default());
        for (_, set) in placements.ranges() {
            prop_assert!(set.pending().iter().all(|pending| *pending == node));
            if let Some(next) = &set.next {
                prop_assert!(set.current.iter().filter(|old| !next.contains(old)).count() <= 1);
            }
        }
    }

    #[test]
    fn no_quorum_misses_another_while_a_node_joins(
        topology in topologies(), factor in 1u32..5, token in any::<i64>(), racked in any::<bool>(),
    ) {
        let Some((_, phases)) = join_phases(topology) else { return Ok(()) };
        let datacenter = phases[0].nodes.values().next().unwrap().datacenter.clone();
        let replication = if racked {
            Replication::NetworkTopology { factors: BTreeMap::from([(datacenter, factor)]) }
        } else {
            Replication::Simple { factor }
        };
        let placements = phases.each_ref().map(|topology| Placements::compute(topology, &replication, NodeId::default()));
        let token = Token(token);
        let copied: Vec<_> = range_transfers(&placements[1])
            .into_iter()
            .filter(|transfer| transfer.range.contains(token))
            .map(|transfer| (transfer.source, transfer.target))
            .collect();
        let [before, write_both, read_new, after] = placements.each_ref().map(|placements| placements.replicas(token));
        let factor = factor as usize;
        // Requests of neighbouring phases run side by side; copying happens before the switch of reads.
        for (earlier, later) in [(before, write_both), (write_both, read_new), (read_new, after)] {
            prop_assert!(quorums_intersect(earlier, earlier, factor, &[]));
            prop_assert!(quorums_intersect(later, earlier, factor, &[]));
            prop_assert!(quorums_intersect(earlier, later, factor, &copied));
            prop_assert!(reads_intersect(earlier, earlier, factor, &[]));
            prop_assert!(reads_intersect(later, earlier, factor, &[]));
        }
        // What only a read has shown may have come after the copy: whoever reads both before the switch needs none.
        prop_assert!(reads_intersect(before, write_both, factor, &[]));
        prop_assert!(reads_intersect(write_both, read_new, factor, &[]));
        prop_assert!(reads_intersect(read_new, after, factor, &[]));
        prop_assert!(reads_intersect(before, read_new, factor, &copied));
        prop_assert!(reads_intersect(before, after, factor, &copied));
        prop_assert!(quorums_intersect(before, read_new, factor, &copied));
        prop_assert!(quorums_intersect(before, after, factor, &copied));
    }

    #[test]
    fn a_topology_survives_its_encoding(topology in topologies()) {
        let states = join_phases(topology.clone()).map(|(_, phases)| phases.to_vec()).unwrap_or_default();
        for topology in states.into_iter().chain([topology]) {
            prop_assert_eq!(Topology::from_bytes(&topology.to_bytes()).unwrap(), topology);
        }
    }

    #[test]
    fn random_bytes_are_refused_without_panicking(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Topology::from_bytes(&bytes.into());
    }
}

#[test]
fn the_check_notices_a_copy_from_the_wrong_replica() {
    let mut nodes: Vec<_> = (0..4).map(|index| (1u8, 1u8, BTreeSet::from([index * 100]))).collect();
    nodes.push((1, 1, BTreeSet::from([150])));
    let (_, [before, _, read_new, _]) = join_phases(topology(nodes)).unwrap();
    let replication = Replication::Simple { factor: 3 };
    let [before, read_new] =
        [before, read_new].map(|topology| Placements::compute(&topology, &replication, NodeId::default()));
    let token = Token(120);
    let node = |id| NodeId::from_u128(id);
    // Nodes 3, 4, 1 kept the token; 5 takes the place of 1.
    let (old, new) = (before.replicas(token), read_new.replicas(token));
    assert!(quorums_intersect(old, new, 3, &[(node(1), node(5))]));
    assert!(!quorums_intersect(old, new, 3, &[(node(3), node(5))]));
    assert!(!quorums_intersect(old, new, 3, &[]));
}
