//! Who should decide the metadata log.

use std::collections::{BTreeMap, BTreeSet};

use quorate_model::NodeId;
use quorate_ring::{NodeEntry, NodeState, Topology};

/// The metadata members that this topology should have, if they are not the present ones: 1, from three nodes on 3,
/// from five on 5, over as many data centres and racks as possible. Present members stay as long as they are normal
/// nodes; new ones are taken only from `live` nodes, so that a change never loses the majority.
pub fn desired_members(topology: &Topology, current: &[NodeId], live: &BTreeSet<NodeId>) -> Option<Vec<NodeId>> {
    let normal: Vec<&NodeEntry> = topology.nodes.values().filter(|node| node.state == NodeState::Normal).collect();
    let wanted = match normal.len() {
        0..3 => 1,
        3..5 => 3,
        _ => 5,
    };
    let mut racks: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let mut members: Vec<NodeId> = Vec::new();
    for node in normal.iter().filter(|node| current.contains(&node.id)).take(wanted) {
        members.push(node.id);
        *racks.entry((&node.datacenter, &node.rack)).or_default() += 1;
    }
    while members.len() < wanted {
        let candidates = normal.iter().filter(|node| !members.contains(&node.id) && live.contains(&node.id));
        let used = |node: &NodeEntry| racks.get(&(node.datacenter.as_str(), node.rack.as_str())).copied().unwrap_or(0);
        let Some(best) = candidates.min_by_key(|node| (used(node), node.id)) else { break };
        members.push(best.id);
        *racks.entry((&best.datacenter, &best.rack)).or_default() += 1;
    }
    if members.len().is_multiple_of(2) {
        // An even number tolerates no more failures than one less, but needs one more node to answer.
        members.pop();
    }
    members.sort_unstable();
    let mut present = current.to_vec();
    present.sort_unstable();
    (!members.is_empty() && members.len() >= present.len().min(wanted) && members != present).then_some(members)
}

#[cfg(test)]
mod tests {
    use quorate_model::Token;

    use super::*;

    fn topology(racks: &[&str]) -> Topology {
        let mut topology = Topology::default();
        for (index, rack) in racks.iter().enumerate() {
            let id = NodeId::from_u128(index as u128 + 1);
            let entry = NodeEntry {
                id,
                address: format!("10.0.0.{index}:7000"),
                cql_port: 9042,
                grpc_port: 9044,
                datacenter: "dc1".to_owned(),
                rack: (*rack).to_owned(),
                tokens: vec![Token(index as i64)],
                state: NodeState::Normal,
            };
            topology.nodes.insert(id, entry);
        }
        topology
    }

    fn ids(ids: &[u128]) -> Vec<NodeId> {
        ids.iter().map(|id| NodeId::from_u128(*id)).collect()
    }

    #[test]
    fn members_grow_with_the_cluster_over_racks() {
        let all = |topology: &Topology| topology.nodes.keys().copied().collect::<BTreeSet<_>>();
        type Case<'a> = (&'a [&'a str], &'a [u128], Option<&'a [u128]>);
        let cases: &[Case] = &[
            (&["r1"], &[1], None),
            (&["r1", "r1"], &[1], None),
            (&["r1", "r1", "r1"], &[1], Some(&[1, 2, 3])),
            (&["r1", "r1", "r1", "r2"], &[1], Some(&[1, 2, 4])),
            (&["r1", "r2", "r3", "r4"], &[1, 2, 3], None),
            (&["r1", "r2", "r3", "r1", "r2"], &[1, 2, 3], Some(&[1, 2, 3, 4, 5])),
            (&["r1", "r2", "r3", "r1", "r2", "r3"], &[1, 2, 3, 5, 6], None),
        ];
        for (racks, current, expected) in cases {
            let topology = topology(racks);
            let found = desired_members(&topology, &ids(current), &all(&topology));
            assert_eq!(found, expected.map(ids), "racks {racks:?}, members {current:?}");
        }
    }

    #[test]
    fn dead_nodes_do_not_become_members() {
        let topology = topology(&["r1", "r1", "r1"]);
        let live = ids(&[1, 2]).into_iter().collect();
        assert_eq!(desired_members(&topology, &ids(&[1]), &live), None);
    }
}
