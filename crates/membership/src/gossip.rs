//! Gossip: every node's small facts reach every other by anti-entropy.
//!
//! Scuttlebutt reconciliation (van Renesse, Dumitriu, Gough, Thomas: "Efficient reconciliation and flow control for
//! anti-entropy protocols", 2008) in three messages. Each node numbers its own values and heartbeats; whoever has a
//! higher version has newer ones. Only nodes of the topology take part, and nothing here decides who they are.

mod message;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use quorate_env::{Instant, Random};
use quorate_model::wire::Wire;
use quorate_model::{ClusterId, Epoch, NodeId};

use crate::limits::{DELTA_BYTES_MAX, DIGESTS_MAX, GOSSIP_TEXT_BYTES_MAX};
pub use message::{Delta, Digest, GossipFrame, GossipKey, GossipMessage, GossipValue, Versioned};

/// What is known of one node.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct NodeGossip {
    /// The start of the node that this is of; grows at every start.
    pub generation: u64,
    /// The version of its last heartbeat.
    pub heartbeat: u64,
    /// Its values.
    pub values: BTreeMap<GossipKey, Versioned>,
}

impl NodeGossip {
    /// A number that it told.
    pub fn number(&self, key: GossipKey) -> Option<u64> {
        match self.values.get(&key)?.value {
            GossipValue::Number(number) => Some(number),
            GossipValue::Text(_) => None,
        }
    }

    /// A text that it told.
    pub fn text(&self, key: GossipKey) -> Option<&str> {
        match &self.values.get(&key)?.value {
            GossipValue::Text(text) => Some(text),
            GossipValue::Number(_) => None,
        }
    }

    /// The last epoch that it has applied.
    pub fn applied_epoch(&self) -> Option<Epoch> {
        self.number(GossipKey::AppliedEpoch).map(Epoch)
    }
}

/// An event for gossip.
#[derive(Clone, Debug)]
pub enum GossipInput {
    /// A message arrived.
    Message {
        /// Its sender.
        from: NodeId,
        /// The message.
        frame: GossipFrame,
    },
    /// Time has passed.
    Tick,
}

/// An effect that the driver carries out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GossipOutput {
    /// Send a message to a node.
    Send {
        /// The receiver.
        to: NodeId,
        /// The message.
        frame: GossipFrame,
    },
    /// A node's heartbeat advanced: it was alive a moment ago.
    Advanced(NodeId),
    /// A node is there with a new generation: it restarted.
    Restarted(NodeId),
    /// Values of a node changed.
    Changed(NodeId),
    /// Somebody knows this very node with a later generation: its data directory was cloned or restored. The node must
    /// not go on.
    OwnGenerationAhead {
        /// The later generation.
        generation: u64,
    },
}

/// Counts of what gossip did, for metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct GossipCounters {
    /// Rounds begun.
    pub rounds: u64,
    /// Messages of other clusters.
    pub foreign: u64,
    /// Messages and states of nodes that are not in the topology.
    pub unknown_node: u64,
}

/// The machine.
#[derive(Clone, Debug)]
pub struct Gossip {
    me: NodeId,
    cluster: ClusterId,
    interval: Duration,
    random: Random,
    states: BTreeMap<NodeId, NodeGossip>,
    /// The topology's nodes but this one.
    peers: BTreeSet<NodeId>,
    live: BTreeSet<NodeId>,
    seeds: BTreeSet<NodeId>,
    next_round: Instant,
    counters: GossipCounters,
}

impl Gossip {
    /// A node's gossip in its cluster. `generation` must be greater than at every earlier start of this node.
    pub fn new(me: NodeId, cluster: ClusterId, generation: u64, interval: Duration, random: Random) -> Self {
        let own = NodeGossip { generation, ..NodeGossip::default() };
        Self {
            me,
            cluster,
            interval,
            random,
            states: BTreeMap::from([(me, own)]),
            peers: BTreeSet::new(),
            live: BTreeSet::new(),
            seeds: BTreeSet::new(),
            next_round: Instant::default(),
            counters: GossipCounters::default(),
        }
    }

    /// The topology's nodes; what is known of others is forgotten.
    pub fn set_nodes(&mut self, nodes: impl IntoIterator<Item = NodeId>) {
        self.peers = nodes.into_iter().filter(|node| *node != self.me).collect();
        let (me, peers) = (self.me, &self.peers);
        self.states.retain(|node, _| *node == me || peers.contains(node));
        self.live.retain(|node| peers.contains(node));
    }

    /// The nodes among the configured seeds: one of them is asked now and then, so that parts of a cluster that lost
    /// sight of each other meet again.
    pub fn set_seeds(&mut self, seeds: impl IntoIterator<Item = NodeId>) {
        self.seeds = seeds.into_iter().collect();
    }

    /// The failure detector's judgement of a node.
    pub fn set_live(&mut self, node: NodeId, live: bool) {
        if live && self.peers.contains(&node) {
            self.live.insert(node);
        } else {
            self.live.remove(&node);
        }
    }

    /// Tells a number about this node.
    pub fn set_number(&mut self, key: GossipKey, number: u64) {
        self.set(key, GossipValue::Number(number));
    }

    /// Tells a text about this node, cut at the limit.
    pub fn set_text(&mut self, key: GossipKey, text: &str) {
        let end = text.floor_char_boundary(GOSSIP_TEXT_BYTES_MAX);
        self.set(key, GossipValue::Text(text[..end].to_owned()));
    }

    fn set(&mut self, key: GossipKey, value: GossipValue) {
        let own = self.states.entry(self.me).or_default();
        if own.values.get(&key).is_some_and(|present| present.value == value) {
            return;
        }
        own.heartbeat += 1;
        own.values.insert(key, Versioned { version: own.heartbeat, value });
    }

    /// What is known of a node.
    pub fn state(&self, node: NodeId) -> Option<&NodeGossip> {
        self.states.get(&node)
    }

    /// What is known of everybody.
    pub fn states(&self) -> &BTreeMap<NodeId, NodeGossip> {
        &self.states
    }

    /// Counts for metrics.
    pub fn counters(&self) -> GossipCounters {
        self.counters
    }

    /// Handles one event.
    pub fn step(&mut self, now: Instant, input: GossipInput, out: &mut Vec<GossipOutput>) {
        if let GossipInput::Message { from, frame } = input {
            self.receive(from, frame, out);
        }
        if now >= self.next_round {
            self.round(now, out);
        }
    }

    /// When the next round is due.
    pub fn deadline(&self) -> Option<Instant> {
        Some(self.next_round)
    }

    /// Asserts its invariants.
    pub fn check(&self) {
        assert!(self.live.is_subset(&self.peers), "only nodes of the topology are live");
        for (node, state) in &self.states {
            assert!(*node == self.me || self.peers.contains(node), "a state of a stranger");
            let newest = state.values.values().map(|versioned| versioned.version).max().unwrap_or(0);
            assert!(newest <= state.heartbeat, "a value newer than the heartbeat of {node}");
        }
    }

    fn round(&mut self, now: Instant, out: &mut Vec<GossipOutput>) {
        self.next_round = now + self.interval;
        self.counters.rounds += 1;
        if let Some(own) = self.states.get_mut(&self.me) {
            own.heartbeat += 1;
        }
        for to in self.choose_peers() {
            let message = GossipMessage::Syn(self.digests());
            self.send(to, message, out);
        }
    }

    /// A live node; perhaps a dead one, the likelier the more are dead; perhaps a seed, if none was chosen.
    fn choose_peers(&mut self) -> BTreeSet<NodeId> {
        let live: Vec<NodeId> = self.live.iter().copied().collect();
        let dead: Vec<NodeId> = self.peers.difference(&self.live).copied().collect();
        let seeds: Vec<NodeId> = self.seeds.iter().copied().filter(|seed| self.peers.contains(seed)).collect();
        let mut chosen: BTreeSet<NodeId> = self.random.pick(&live).copied().into_iter().collect();
        if self.random.chance(dead.len() as u64, live.len() as u64 + 1) {
            chosen.extend(self.random.pick(&dead));
        }
        let met_seed = seeds.iter().any(|seed| chosen.contains(seed));
        if !met_seed && (live.is_empty() || self.random.chance(seeds.len() as u64, self.peers.len() as u64)) {
            chosen.extend(self.random.pick(&seeds));
        }
        chosen
    }

    fn digests(&mut self) -> Vec<Digest> {
        let mut nodes: Vec<NodeId> = self.states.keys().copied().filter(|node| *node != self.me).collect();
        nodes.extend(self.peers.iter().filter(|peer| !self.states.contains_key(peer)));
        self.random.shuffle(&mut nodes);
        nodes.truncate(DIGESTS_MAX - 1);
        nodes.insert(0, self.me);
        nodes.into_iter().map(|node| self.digest(node)).collect()
    }

    fn digest(&self, node: NodeId) -> Digest {
        let (generation, version) = self.states.get(&node).map_or((0, 0), |state| (state.generation, state.heartbeat));
        Digest { node, generation, version }
    }

    fn receive(&mut self, from: NodeId, frame: GossipFrame, out: &mut Vec<GossipOutput>) {
        if frame.cluster != self.cluster {
            self.counters.foreign += 1;
            return;
        }
        if !self.peers.contains(&from) {
            self.counters.unknown_node += 1;
            return;
        }
        match frame.message {
            GossipMessage::Syn(digests) => {
                let requests = digests.iter().filter_map(|theirs| self.request(theirs)).take(DIGESTS_MAX).collect();
                let deltas = self.deltas(&digests);
                self.send(from, GossipMessage::Ack { deltas, requests }, out);
            }
            GossipMessage::Ack { deltas, requests } => {
                self.learn(deltas, out);
                let deltas = self.deltas(&requests);
                if !deltas.is_empty() {
                    self.send(from, GossipMessage::Ack2(deltas), out);
                }
            }
            GossipMessage::Ack2(deltas) => self.learn(deltas, out),
        }
    }

    /// What to ask of somebody who has this much.
    fn request(&self, theirs: &Digest) -> Option<Digest> {
        let ours = self.digest(theirs.node);
        let known = self.peers.contains(&theirs.node) || theirs.node == self.me;
        if !known || (theirs.generation, theirs.version) <= (ours.generation, ours.version) {
            return None;
        }
        let version = if theirs.generation == ours.generation { ours.version } else { 0 };
        Some(Digest { version, ..ours })
    }

    /// What is news to somebody who has this much, as far as it fits a message.
    fn deltas(&self, digests: &[Digest]) -> Vec<Delta> {
        let mut size = 0;
        let mut deltas = Vec::new();
        for theirs in digests.iter().take(DIGESTS_MAX) {
            let Some(state) = self.states.get(&theirs.node) else { continue };
            if (state.generation, state.heartbeat) <= (theirs.generation, theirs.version) {
                continue;
            }
            let newer_than = if state.generation == theirs.generation { theirs.version } else { 0 };
            let newer = state.values.iter().filter(|(_, versioned)| versioned.version > newer_than);
            let values = newer.map(|(key, versioned)| (*key, versioned.clone())).collect();
            let delta = Delta { node: theirs.node, generation: state.generation, heartbeat: state.heartbeat, values };
            size += delta.to_bytes().len();
            if size > DELTA_BYTES_MAX && !deltas.is_empty() {
                break;
            }
            deltas.push(delta);
        }
        deltas
    }

    fn learn(&mut self, deltas: Vec<Delta>, out: &mut Vec<GossipOutput>) {
        for delta in deltas {
            if delta.node == self.me {
                let generation = delta.generation;
                if self.states.get(&self.me).is_some_and(|own| generation > own.generation) {
                    out.push(GossipOutput::OwnGenerationAhead { generation });
                }
            } else if self.peers.contains(&delta.node) {
                self.learn_one(delta, out);
            } else {
                self.counters.unknown_node += 1;
            }
        }
    }

    fn learn_one(&mut self, delta: Delta, out: &mut Vec<GossipOutput>) {
        let node = delta.node;
        let state = self.states.entry(node).or_default();
        if (delta.generation, delta.heartbeat) <= (state.generation, state.heartbeat) {
            return;
        }
        if delta.generation > state.generation {
            *state = NodeGossip { generation: delta.generation, ..NodeGossip::default() };
            out.push(GossipOutput::Restarted(node));
        }
        state.heartbeat = delta.heartbeat;
        let mut changed = false;
        for (key, versioned) in delta.values {
            // A version beyond the heartbeat breaks the protocol; it would hide later values.
            let newer = state.values.get(&key).is_none_or(|present| versioned.version > present.version);
            if newer && versioned.version <= delta.heartbeat {
                state.values.insert(key, versioned);
                changed = true;
            }
        }
        out.push(GossipOutput::Advanced(node));
        if changed {
            out.push(GossipOutput::Changed(node));
        }
    }

    fn send(&self, to: NodeId, message: GossipMessage, out: &mut Vec<GossipOutput>) {
        out.push(GossipOutput::Send { to, frame: GossipFrame { cluster: self.cluster, message } });
    }
}
