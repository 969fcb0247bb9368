//! Placements: for every token the replicas that keep it.

use std::sync::Arc;

use quorate_model::schema::Replication;
use quorate_model::{NodeId, Token, TokenRange};

use crate::strategy::Strategy;
use crate::topology::{MovementPhase, NodeEntry, NodeState, TokenMap, Topology};

/// The replicas of one range of tokens. Lists are in ring order, the primary first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaSet {
    /// Who keeps the range now.
    pub current: Arc<[NodeId]>,
    /// Who will keep it, if the range is moving: writes must meet their level in `current` *and* in `next`.
    pub next: Option<Arc<[NodeId]>>,
    /// Whether reads already ask `next` alone.
    pub read_from_next: bool,
    /// All that a write goes to: `current`, then whoever only `next` has.
    pub write: Arc<[NodeId]>,
}

impl ReplicaSet {
    fn new(current: Vec<NodeId>, next: Option<Vec<NodeId>>, read_from_next: bool) -> Self {
        let current: Arc<[NodeId]> = current.into();
        let Some(next) = next.filter(|next| next[..] != current[..]) else {
            return Self { write: Arc::clone(&current), current, next: None, read_from_next: false };
        };
        let mut write = current.to_vec();
        write.extend(next.iter().filter(|node| !current.contains(node)));
        Self { current, next: Some(next.into()), read_from_next, write: write.into() }
    }

    /// Among whom every read meets its level. One that mends what it finds meets it in `next` too, as writes do.
    pub fn read(&self) -> &Arc<[NodeId]> {
        match &self.next {
            Some(next) if self.read_from_next => next,
            _ => &self.current,
        }
    }

    /// Who enters: in `next` but not in `current`.
    pub fn pending(&self) -> &[NodeId] {
        // `write` is `current` followed by exactly these.
        self.write.get(self.current.len()..).unwrap_or_default()
    }

    /// Whether a node must take writes of this range.
    pub fn accepts_write(&self, node: NodeId) -> bool {
        self.write.contains(&node)
    }

    /// Whether a node may be asked to read this range.
    pub fn serves_read(&self, node: NodeId) -> bool {
        self.read().contains(&node)
    }
}

/// Who keeps what under one replication, computed once for a topology.
#[derive(Debug, PartialEq, Eq)]
pub struct Placements {
    /// Last tokens of the ranges, ascending; range `i` begins after token `i - 1`, and the first wraps around.
    ends: Vec<Token>,
    /// The replicas of each range. One more than ends if there are no tokens at all.
    sets: Vec<Arc<ReplicaSet>>,
}

impl Placements {
    /// Computes the placements. `local` is the node that keeps everything under [`Replication::Local`].
    pub fn compute(topology: &Topology, replication: &Replication, local: NodeId) -> Self {
        let current: Vec<&NodeEntry> = topology.owners().collect();
        let current_ring = TokenMap::new(current.iter().copied());
        let current_strategy = Strategy::new(replication, &current, local);
        let Some(movement) = topology.movement else {
            let sets = |token| ReplicaSet::new(current_strategy.replicas(&current_ring, token), None, false);
            return Self::collect(current_ring.tokens.iter().map(|(token, _)| *token), sets);
        };
        let read_from_next = movement.phase() == MovementPhase::ReadNew;
        let next: Vec<&NodeEntry> = topology.nodes.values().filter(|node| node.state != NodeState::Leaving).collect();
        let next_ring = TokenMap::new(next.iter().copied());
        let next_strategy = Strategy::new(replication, &next, local);
        let mut tokens: Vec<Token> =
            current_ring.tokens.iter().chain(&next_ring.tokens).map(|(token, _)| *token).collect();
        tokens.sort_unstable();
        tokens.dedup();
        Self::collect(tokens.into_iter(), |token| {
            let after = next_strategy.replicas(&next_ring, token);
            ReplicaSet::new(current_strategy.replicas(&current_ring, token), Some(after), read_from_next)
        })
    }

    fn collect(tokens: impl Iterator<Item = Token>, set: impl Fn(Token) -> ReplicaSet) -> Self {
        let ends: Vec<Token> = tokens.collect();
        let mut sets: Vec<Arc<ReplicaSet>> = ends.iter().map(|token| Arc::new(set(*token))).collect();
        if sets.is_empty() {
            sets.push(Arc::new(set(Token::MIN)));
        }
        Self { ends, sets }
    }

    /// The replicas of a token, in O(log n).
    pub fn replicas(&self, token: Token) -> &Arc<ReplicaSet> {
        &self.sets[self.index(token)]
    }

    /// The range that a token lies in, with its replicas.
    pub fn range_of(&self, token: Token) -> (TokenRange, &Arc<ReplicaSet>) {
        let index = self.index(token);
        (self.range(index), &self.sets[index])
    }

    /// All ranges in the order of their last tokens, with their replicas. They cover the ring exactly once; the first
    /// one wraps around the ring's end.
    pub fn ranges(&self) -> impl ExactSizeIterator<Item = (TokenRange, &Arc<ReplicaSet>)> {
        self.sets.iter().enumerate().map(|(index, set)| (self.range(index), set))
    }

    /// All ranges cut where the ring wraps, in the order of tokens, each `start` exclusive and `end` inclusive, where a
    /// first `start` of [`Token::MIN`] and a last `end` of [`Token::MAX`] mean the ring's ends: what a scan of everything
    /// visits.
    pub fn scan_ranges(&self) -> Vec<(TokenRange, Arc<ReplicaSet>)> {
        let mut ranges = Vec::with_capacity(self.sets.len() + 1);
        let mut start = Token::MIN;
        for (end, set) in self.ends.iter().zip(&self.sets) {
            if *end > start {
                ranges.push((TokenRange { start, end: *end }, Arc::clone(set)));
                start = *end;
            }
        }
        if start < Token::MAX
            && let Some(first) = self.sets.first()
        {
            ranges.push((TokenRange { start, end: Token::MAX }, Arc::clone(first)));
        }
        ranges
    }

    /// Whether any range is moving.
    pub fn is_moving(&self) -> bool {
        self.sets.iter().any(|set| set.next.is_some())
    }

    fn index(&self, token: Token) -> usize {
        let index = self.ends.partition_point(|end| *end < token);
        if index == self.ends.len() { 0 } else { index }
    }

    fn range(&self, index: usize) -> TokenRange {
        let (Some(end), Some(last)) = (self.ends.get(index), self.ends.last()) else { return TokenRange::FULL };
        let start = if index == 0 { last } else { &self.ends[index - 1] };
        TokenRange { start: *start, end: *end }
    }
}

#[cfg(test)]
mod tests;

#[cfg(test)]
pub(crate) mod test_support {
    use super::*;

    pub(crate) fn node(id: u128, datacenter: &str, rack: &str, tokens: &[i64]) -> NodeEntry {
        NodeEntry {
            id: NodeId::from_u128(id),
            address: format!("127.0.0.{id}:7000"),
            cql_port: 9042,
            grpc_port: 9044,
            datacenter: datacenter.to_owned(),
            rack: rack.to_owned(),
            tokens: tokens.iter().map(|token| Token(*token)).collect(),
            state: NodeState::Normal,
        }
    }
}
