//! Choosing a new node's tokens, so that load stays even.

use std::collections::{BTreeMap, BTreeSet};

use quorate_model::schema::Replication;
use quorate_model::{NodeId, Token};

use crate::limits::ALLOTMENT_CANDIDATES;
use crate::ownership::owned_shares;
use crate::placements::Placements;
use crate::topology::{NodeEntry, NodeState, Topology};

/// Tokens for a new node in a data centre and rack, `count` of them, ascending, none of them in use. `draw` gives random
/// bits. Several sets that each take an equal part from those who have most are drawn, and the one is taken that leaves
/// the replicas (three a data centre) most even.
pub fn allot_tokens(
    topology: &Topology,
    datacenter: &str,
    rack: &str,
    count: usize,
    draw: &mut dyn FnMut() -> u64,
) -> Vec<Token> {
    let inside = |node: &&NodeEntry| node.datacenter == datacenter;
    let taken: BTreeSet<Token> = topology.nodes.values().flat_map(|node| node.tokens.iter().copied()).collect();
    let all: Vec<&NodeEntry> = topology.nodes.values().filter(inside).collect();
    let same_rack: Vec<&NodeEntry> = all.iter().copied().filter(|node| node.rack == rack).collect();
    if all.is_empty() {
        return spread_evenly(count, &taken, draw);
    }
    let mut best: Option<(f64, Vec<Token>)> = None;
    for candidate in 0..ALLOTMENT_CANDIDATES {
        // Where racks hold whole copies, the nodes of a rack share its load among themselves.
        let peers = if candidate % 2 == 1 && !same_rack.is_empty() { &same_rack } else { &all };
        let tokens = take_from(peers, count, &taken, draw);
        let unevenness = unevenness_with(&all, datacenter, rack, &tokens);
        if best.as_ref().is_none_or(|(least, _)| unevenness < *least) {
            best = Some((unevenness, tokens));
        }
    }
    best.map(|(_, tokens)| tokens).unwrap_or_default()
}

fn spread_evenly(count: usize, taken: &BTreeSet<Token>, draw: &mut dyn FnMut() -> u64) -> Vec<Token> {
    let step = u64::MAX / (count.max(1) as u64);
    let base = draw();
    let mut tokens = BTreeSet::new();
    for index in 0..count as u64 {
        let token = base.wrapping_add(index.wrapping_mul(step)) as i64;
        tokens.insert(free_token(token, |token| !taken.contains(&token) && !tokens.contains(&token)));
    }
    tokens.into_iter().collect()
}

/// The first free token from here on.
fn free_token(mut token: i64, free: impl Fn(Token) -> bool) -> Token {
    while token == i64::MIN || !free(Token(token)) {
        token = token.wrapping_add(1);
    }
    Token(token)
}

/// Cuts a piece from the start of the greatest range of whoever has most, until there are enough tokens. The pieces add
/// up to an equal share.
fn take_from(peers: &[&NodeEntry], count: usize, taken: &BTreeSet<Token>, draw: &mut dyn FnMut() -> u64) -> Vec<Token> {
    let newcomer = NodeId::default();
    let mut ring: BTreeMap<Token, NodeId> =
        peers.iter().flat_map(|node| node.tokens.iter().map(|token| (*token, node.id))).collect();
    let share = (1u128 << 64) / (peers.len() as u128 + 1);
    let mut missing = share;
    let mut chosen = BTreeSet::new();
    for index in 0..count {
        let piece = missing / (count - index) as u128;
        let Some((start, width)) = greatest_range(&ring, newcomer) else { break };
        // A piece never empties the range that it is cut from; the jitter makes candidates differ.
        let jitter = piece / 4;
        let wanted = piece - jitter / 2 + jitter * u128::from(draw() >> 32) / (1 << 32);
        let cut = wanted.clamp(1, (width / 2).max(1)) as u64;
        let token =
            free_token(start.0.wrapping_add(cut as i64), |token| !taken.contains(&token) && !chosen.contains(&token));
        missing = missing.saturating_sub(u128::from(cut));
        ring.insert(token, newcomer);
        chosen.insert(token);
    }
    while chosen.len() < count {
        let token = free_token(draw() as i64, |token| !taken.contains(&token) && !chosen.contains(&token));
        chosen.insert(token);
    }
    chosen.into_iter().collect()
}

/// The start and width of the greatest range of the node that owns most.
fn greatest_range(ring: &BTreeMap<Token, NodeId>, newcomer: NodeId) -> Option<(Token, u128)> {
    let mut owned: BTreeMap<NodeId, u128> = BTreeMap::new();
    let mut greatest: BTreeMap<NodeId, (u128, Token)> = BTreeMap::new();
    let mut start = *ring.last_key_value()?.0;
    for (end, node) in ring {
        let width = match end.0.wrapping_sub(start.0) as u64 {
            0 => 1u128 << 64,
            width => u128::from(width),
        };
        if *node != newcomer {
            *owned.entry(*node).or_default() += width;
            let range = greatest.entry(*node).or_default();
            *range = (*range).max((width, start));
        }
        start = *end;
    }
    let most = owned.into_iter().max_by_key(|(node, width)| (*width, *node))?.0;
    greatest.get(&most).map(|(width, start)| (*start, *width))
}

/// The greatest share of a node after the tokens were given, relative to an equal one.
fn unevenness_with(inside: &[&NodeEntry], datacenter: &str, rack: &str, tokens: &[Token]) -> f64 {
    let newcomer = NodeEntry {
        id: NodeId::default(),
        address: String::new(),
        cql_port: 0,
        grpc_port: 0,
        datacenter: datacenter.to_owned(),
        rack: rack.to_owned(),
        tokens: tokens.to_vec(),
        state: NodeState::Normal,
    };
    let mut topology = Topology::default();
    for node in inside.iter().copied().chain([&newcomer]) {
        topology.nodes.insert(node.id, NodeEntry { state: NodeState::Normal, ..node.clone() });
    }
    [1, 3].into_iter().map(|factor| unevenness(&topology, datacenter, factor)).fold(0.0, f64::max)
}

/// The greatest share of a node relative to an equal one, with so many replicas in the data centre.
pub fn unevenness(topology: &Topology, datacenter: &str, factor: u32) -> f64 {
    let replication = Replication::NetworkTopology { factors: BTreeMap::from([(datacenter.to_owned(), factor)]) };
    let shares = owned_shares(&Placements::compute(topology, &replication, NodeId::default()));
    let total: f64 = shares.values().sum();
    let greatest = shares.values().copied().fold(0.0, f64::max);
    if total > 0.0 { greatest * shares.len() as f64 / total } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grow(nodes: usize, racks: usize, seed: u64) -> Topology {
        let mut state = seed;
        let mut draw = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state ^ (state >> 29)
        };
        let mut topology = Topology::default();
        for index in 0..nodes {
            let rack = format!("r{}", index % racks);
            let tokens = allot_tokens(&topology, "dc1", &rack, 16, &mut draw);
            assert_eq!(tokens.len(), 16);
            let mut node = crate::placements::test_support::node(index as u128 + 1, "dc1", &rack, &[]);
            node.tokens = tokens;
            topology.nodes.insert(node.id, node);
            topology.check();
        }
        topology
    }

    #[test]
    fn load_stays_even_while_nodes_join_one_by_one() {
        for seed in 1..=5 {
            for nodes in 1..=10 {
                let topology = grow(nodes, 1, seed);
                for factor in [1, 3] {
                    let unevenness = unevenness(&topology, "dc1", factor);
                    assert!(unevenness < 1.3, "seed {seed}, {nodes} nodes, factor {factor}: {unevenness}");
                }
            }
        }
    }

    #[test]
    fn load_stays_even_over_racks() {
        for seed in 1..=3 {
            let topology = grow(9, 3, seed);
            let unevenness = unevenness(&topology, "dc1", 3);
            assert!(unevenness < 1.35, "seed {seed}: {unevenness}");
        }
    }

    #[test]
    fn tokens_of_other_data_centres_are_not_taken_again() {
        let mut topology = Topology::default();
        let mut draw = || 7;
        let first = allot_tokens(&topology, "dc1", "r1", 16, &mut draw);
        let mut node = crate::placements::test_support::node(1, "dc1", "r1", &[]);
        node.tokens = first.clone();
        topology.nodes.insert(node.id, node);
        let second = allot_tokens(&topology, "dc2", "r1", 16, &mut draw);
        assert!(second.iter().all(|token| !first.contains(token)));
    }
}
