//! The topology: nodes, their tokens and what moves.

use std::collections::{BTreeMap, BTreeSet};

use quorate_model::{Epoch, NodeId, Token};

/// All nodes at one epoch. Changed only by applying the metadata log.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Topology {
    /// The epoch of the last change of the topology.
    pub epoch: Epoch,
    /// Nodes by identity.
    pub nodes: BTreeMap<NodeId, NodeEntry>,
    /// What is moving. At most one thing at a time.
    pub movement: Option<Movement>,
}

/// A node of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeEntry {
    /// Its identity.
    pub id: NodeId,
    /// Where it listens to other nodes: `IP:PORT`.
    pub address: String,
    /// The port of its CQL front, at the same IP.
    pub cql_port: u16,
    /// The port of its gRPC front, at the same IP.
    pub grpc_port: u16,
    /// Its data centre.
    pub datacenter: String,
    /// Its rack.
    pub rack: String,
    /// Its tokens, ascending.
    pub tokens: Vec<Token>,
    /// What it is doing.
    pub state: NodeState,
}

impl NodeEntry {
    /// The IP without the internode port: where the fronts listen.
    pub fn ip(&self) -> &str {
        let host = self.address.rsplit_once(':').map_or(self.address.as_str(), |(host, _)| host);
        host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
    }
}

/// What a node is doing on the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NodeState {
    /// It is taking over its ranges; others still own them.
    Joining,
    /// It owns its ranges.
    Normal,
    /// It is handing its ranges over; it still owns them.
    Leaving,
}

/// A movement of ranges in progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Movement {
    /// A node takes over the ranges of its tokens.
    Joining {
        /// The node; its entry has the state [`NodeState::Joining`] and the tokens.
        node: NodeId,
        /// How far it is.
        phase: MovementPhase,
    },
}

impl Movement {
    /// The node that moves.
    pub fn node(&self) -> NodeId {
        match self {
            Self::Joining { node, .. } => *node,
        }
    }

    /// How far it is.
    pub fn phase(&self) -> MovementPhase {
        match self {
            Self::Joining { phase, .. } => *phase,
        }
    }
}

/// How far a movement is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MovementPhase {
    /// Writes go to the old and the new replicas and must meet their level in both; reads ask the old ones.
    WriteBoth,
    /// The same for writes; reads ask the new ones.
    ReadNew,
}

impl Topology {
    /// The node with this identity.
    pub fn node(&self, id: NodeId) -> Option<&NodeEntry> {
        self.nodes.get(&id)
    }

    /// The node that listens at this internode address.
    pub fn node_at(&self, address: &str) -> Option<&NodeEntry> {
        self.nodes.values().find(|node| node.address == address)
    }

    /// The node that owns exactly this token.
    pub fn token_owner(&self, token: Token) -> Option<NodeId> {
        self.nodes.values().find(|node| node.tokens.binary_search(&token).is_ok()).map(|node| node.id)
    }

    /// Nodes that own ranges (normal and leaving ones), by identity.
    pub fn owners(&self) -> impl Iterator<Item = &NodeEntry> {
        self.nodes.values().filter(|node| node.state != NodeState::Joining)
    }

    /// Names of all data centres, in order.
    pub fn datacenters(&self) -> BTreeSet<&str> {
        self.nodes.values().map(|node| node.datacenter.as_str()).collect()
    }

    /// Panics if a rule of the topology is broken: our own bug, for the metadata log refuses what would break it.
    pub fn check(&self) {
        let mut seen = BTreeSet::new();
        for (id, node) in &self.nodes {
            assert_eq!(*id, node.id, "a node is filed under another identity");
            assert!(node.tokens.is_sorted(), "tokens of {id} are not ascending");
            for token in &node.tokens {
                assert!(seen.insert(*token), "token {token} has two owners");
            }
            let moves = self.movement.is_some_and(|movement| movement.node() == *id);
            assert_eq!(node.state == NodeState::Joining, moves, "{id} joins without being what moves, or the reverse");
        }
        if let Some(movement) = self.movement {
            assert!(self.nodes.contains_key(&movement.node()), "what moves is not a node");
        }
    }
}

/// The tokens of some nodes in ring order, each with its owner: what the strategies walk along.
#[derive(Debug)]
pub(crate) struct TokenMap<'a> {
    pub(crate) tokens: Vec<(Token, &'a NodeEntry)>,
}

impl<'a> TokenMap<'a> {
    pub(crate) fn new(nodes: impl Iterator<Item = &'a NodeEntry>) -> Self {
        let mut tokens: Vec<_> = nodes.flat_map(|node| node.tokens.iter().map(move |token| (*token, node))).collect();
        tokens.sort_by_key(|(token, node)| (*token, node.id));
        Self { tokens }
    }

    /// Owners from this token on, once around the ring, starting with the token's own owner.
    pub(crate) fn walk(&self, token: Token) -> impl Iterator<Item = &'a NodeEntry> + '_ {
        let first = self.tokens.partition_point(|(other, _)| *other < token);
        let (before, after) = self.tokens.split_at(first);
        after.iter().chain(before).map(|(_, node)| *node)
    }
}
