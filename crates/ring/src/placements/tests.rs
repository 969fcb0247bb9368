use std::collections::BTreeMap;

use super::test_support::node;
use super::*;
use crate::topology::Movement;

fn topology(nodes: &[(u128, &str, &str, &[i64])]) -> Topology {
    let mut topology = Topology::default();
    for (id, datacenter, rack, tokens) in nodes {
        let node = node(*id, datacenter, rack, tokens);
        topology.nodes.insert(node.id, node);
    }
    topology
}

fn network(factors: &[(&str, u32)]) -> Replication {
    let factors = factors.iter().map(|(name, factor)| ((*name).to_owned(), *factor)).collect::<BTreeMap<_, _>>();
    Replication::NetworkTopology { factors }
}

fn ids(nodes: &[u128]) -> Vec<NodeId> {
    nodes.iter().map(|id| NodeId::from_u128(*id)).collect()
}

fn assert_replicas(topology: &Topology, replication: &Replication, expected: &[(i64, &[u128])]) {
    let placements = Placements::compute(topology, replication, NodeId::default());
    for (token, nodes) in expected {
        let found = placements.replicas(Token(*token));
        assert_eq!(found.current.to_vec(), ids(nodes), "token {token} under {replication:?}");
    }
}

#[test]
fn simple_strategy_takes_the_next_nodes() {
    let ring = topology(&[
        (1, "dc1", "r1", &[0, 40]),
        (2, "dc1", "r1", &[10]),
        (3, "dc2", "r1", &[20]),
        (4, "dc1", "r2", &[30]),
    ]);
    let simple = |factor| Replication::Simple { factor };
    // A token belongs to the range that ends at it; racks and data centres do not matter.
    assert_replicas(&ring, &simple(1), &[(0, &[1]), (1, &[2]), (10, &[2]), (40, &[1]), (41, &[1]), (-5, &[1])]);
    assert_replicas(&ring, &simple(3), &[(5, &[2, 3, 4]), (25, &[4, 1, 2]), (35, &[1, 2, 3]), (i64::MAX, &[1, 2, 3])]);
    assert_replicas(&ring, &simple(9), &[(15, &[3, 4, 1, 2])]);
    assert_replicas(&ring, &simple(0), &[(15, &[])]);
}

#[test]
fn network_topology_takes_so_many_in_each_data_centre() {
    let ring = topology(&[
        (1, "dc1", "r1", &[0]),
        (2, "dc2", "r1", &[10]),
        (3, "dc1", "r1", &[20]),
        (4, "dc2", "r1", &[30]),
        (5, "dc1", "r1", &[40]),
    ]);
    assert_replicas(&ring, &network(&[("dc1", 2), ("dc2", 1)]), &[(5, &[2, 3, 5]), (15, &[3, 4, 5]), (35, &[5, 1, 2])]);
    assert_replicas(&ring, &network(&[("dc1", 1)]), &[(5, &[3]), (45, &[1])]);
    assert_replicas(&ring, &network(&[("dc1", 9), ("nowhere", 3)]), &[(5, &[3, 5, 1])]);
    assert_replicas(&ring, &network(&[("nowhere", 3)]), &[(5, &[])]);
}

#[test]
fn network_topology_spreads_over_racks() {
    // Two racks: the third replica is the first node met whose rack is already used.
    let two_racks = topology(&[
        (1, "dc1", "r1", &[0]),
        (2, "dc1", "r1", &[10]),
        (3, "dc1", "r1", &[20]),
        (4, "dc1", "r2", &[30]),
        (5, "dc1", "r2", &[40]),
    ]);
    let cases: &[(i64, &[u128])] =
        &[(0, &[1, 2, 4]), (10, &[2, 3, 4]), (20, &[3, 4, 5]), (30, &[4, 5, 1]), (40, &[5, 1, 2])];
    assert_replicas(&two_racks, &network(&[("dc1", 3)]), cases);
    assert_replicas(&two_racks, &network(&[("dc1", 2)]), &[(0, &[1, 4]), (30, &[4, 1]), (20, &[3, 4])]);
    // As many racks as replicas, or more: every replica in a rack of its own.
    let three_racks = topology(&[
        (1, "dc1", "r1", &[0]),
        (2, "dc1", "r1", &[10]),
        (3, "dc1", "r2", &[20]),
        (4, "dc1", "r2", &[30]),
        (5, "dc1", "r3", &[40]),
    ]);
    assert_replicas(&three_racks, &network(&[("dc1", 3)]), &[(0, &[1, 3, 5]), (15, &[3, 5, 1]), (30, &[4, 5, 1])]);
    assert_replicas(&three_racks, &network(&[("dc1", 2)]), &[(0, &[1, 3]), (40, &[5, 1])]);
    // The same rack name in another data centre is another rack.
    let two_centres = topology(&[
        (1, "dc1", "r1", &[0]),
        (2, "dc2", "r1", &[10]),
        (3, "dc1", "r2", &[20]),
        (4, "dc2", "r1", &[30]),
        (5, "dc2", "r2", &[40]),
    ]);
    assert_replicas(&two_centres, &network(&[("dc1", 2), ("dc2", 2)]), &[(0, &[1, 2, 3, 5]), (20, &[3, 4, 5, 1])]);
}

#[test]
fn local_keeps_everything_here() {
    let here = NodeId::from_u128(9);
    let placements = Placements::compute(&Topology::default(), &Replication::Local, here);
    assert_eq!(placements.replicas(Token(5)).current[..], [here]);
    assert_eq!(placements.ranges().map(|(range, _)| range).collect::<Vec<_>>(), [TokenRange::FULL]);
}

#[test]
fn a_ring_without_nodes_has_no_replicas() {
    let placements = Placements::compute(&Topology::default(), &Replication::Simple { factor: 3 }, NodeId::default());
    assert!(placements.replicas(Token(0)).current.is_empty());
    assert_eq!(placements.scan_ranges().len(), 1);
}

#[test]
fn a_joining_node_takes_writes_at_once_and_reads_after_the_switch() {
    let mut ring = topology(&[(1, "dc1", "r1", &[0]), (2, "dc1", "r1", &[100]), (3, "dc1", "r1", &[50])]);
    let joining = NodeId::from_u128(3);
    ring.nodes.get_mut(&joining).unwrap().state = NodeState::Joining;
    ring.movement = Some(Movement::Joining { node: joining, phase: MovementPhase::WriteBoth });
    let simple = Replication::Simple { factor: 1 };
    let before = Placements::compute(&ring, &simple, NodeId::default());
    let moving = before.replicas(Token(25));
    assert_eq!(moving.current[..], ids(&[2])[..]);
    assert_eq!(moving.next.as_deref(), Some(&ids(&[3])[..]));
    assert_eq!(moving.write[..], ids(&[2, 3])[..]);
    assert_eq!(moving.read()[..], ids(&[2])[..]);
    assert_eq!(moving.pending(), ids(&[3]));
    let still = before.replicas(Token(75));
    assert_eq!((still.next.as_ref(), still.pending().len()), (None, 0));
    ring.movement = Some(Movement::Joining { node: joining, phase: MovementPhase::ReadNew });
    let after = Placements::compute(&ring, &simple, NodeId::default());
    assert_eq!(after.replicas(Token(25)).read()[..], ids(&[3])[..]);
    assert_eq!(after.replicas(Token(25)).write[..], ids(&[2, 3])[..]);
}

#[test]
fn scan_ranges_do_not_wrap() {
    let ring = topology(&[(1, "dc1", "r1", &[-5, 70]), (2, "dc1", "r1", &[i64::MAX])]);
    let placements = Placements::compute(&ring, &Replication::Simple { factor: 1 }, NodeId::default());
    let found: Vec<_> =
        placements.scan_ranges().into_iter().map(|(range, set)| (range.start.0, range.end.0, set.current[0])).collect();
    let node = NodeId::from_u128;
    assert_eq!(found, [(i64::MIN, -5, node(1)), (-5, 70, node(1)), (70, i64::MAX, node(2))]);
}
