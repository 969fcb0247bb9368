//! The other nodes as this one sees them: heartbeats, gossip, who can be reached.

use std::sync::Arc;
use std::time::Duration;

use quorate_env::{Instant, Now};
use quorate_membership::Verdict;
use quorate_membership::gossip::{Gossip, GossipFrame, GossipInput, GossipKey, GossipOutput};
use quorate_model::{Epoch, NodeId};

use super::{Control, Step};
use crate::internal::Message;
use crate::machine::Output;
use crate::peer::Frame;

/// Another node.
#[derive(Clone, Debug, Default)]
pub(super) struct Peer {
    /// When any of its frames last came.
    pub heard: Option<Instant>,
    /// The last epoch that it is known to have applied.
    pub applied: Epoch,
    /// Since when the failure detector holds it to be dead.
    pub down_since: Option<Instant>,
}

impl Peer {
    /// Whether it spoke within the time that requests are routed by.
    pub(super) fn spoke_lately(&self, now: Now, silence_max: Duration) -> bool {
        self.heard.is_some_and(|heard| now.mono.since(heard) <= silence_max)
    }
}

impl Control {
    /// Sends heartbeats, gossips, judges, and publishes who can be reached if that has changed.
    pub(super) fn beat(&mut self, step: &mut Step<'_>) {
        if step.now.mono >= self.next_heartbeat {
            self.next_heartbeat = step.now.mono + self.shared.config.timing.heartbeat;
            let frame = Frame::Heartbeat { applied: self.applied_epoch() };
            for node in self.peers.keys().copied().collect::<Vec<_>>() {
                self.send_control(step, node, &frame);
            }
        }
        if let Some(gossip) = &mut self.gossip
            && gossip.deadline().is_some_and(|at| at <= step.now.mono)
        {
            gossip.set_number(GossipKey::Load, self.shared.storage().load_bytes());
            gossip.set_number(GossipKey::AppliedEpoch, self.effects.applied().0);
            self.step_gossip(step, GossipInput::Tick);
        }
        let mut verdicts = Vec::new();
        self.detector.step(step.now.mono, &mut verdicts);
        self.take_verdicts(step, verdicts);
        self.publish_reachable(step);
    }

    /// Any frame is a sign of life.
    pub(super) fn heard(&mut self, step: &mut Step<'_>, node: NodeId, applied: Option<Epoch>) {
        let Some(peer) = self.peers.get_mut(&node) else { return };
        peer.heard = Some(step.now.mono);
        let mut verdicts = Vec::new();
        self.detector.heard_from(step.now.mono, node, &mut verdicts);
        self.take_verdicts(step, verdicts);
        if let (Some(applied), Some(peer)) = (applied, self.peers.get_mut(&node)) {
            peer.applied = peer.applied.max(applied);
            self.hear_epoch(step, node, applied);
        }
    }

    pub(super) fn link_changed(&mut self, step: &mut Step<'_>, node: NodeId, up: bool) {
        // Links are known before the topology says who is at their other end.
        if up {
            self.links.insert(node);
            if self.peers.contains_key(&node) {
                self.send_control(step, node, &Frame::Heartbeat { applied: self.applied_epoch() });
            }
        } else {
            self.links.remove(&node);
            let mut verdicts = Vec::new();
            self.detector.suspect(step.now.mono, node, &mut verdicts);
            self.take_verdicts(step, verdicts);
            self.hints.link_lost(node);
            self.stream.link_lost(node);
        }
    }

    pub(super) fn take_gossip(&mut self, step: &mut Step<'_>, from: NodeId, frame: GossipFrame) {
        self.heard(step, from, None);
        self.step_gossip(step, GossipInput::Message { from, frame });
    }

    fn step_gossip(&mut self, step: &mut Step<'_>, input: GossipInput) {
        let Some(gossip) = &mut self.gossip else { return };
        let mut outputs = Vec::new();
        gossip.step(step.now.mono, input, &mut outputs);
        for output in outputs {
            match output {
                GossipOutput::Send { to, frame } => self.send_control(step, to, &Frame::Gossip(frame)),
                GossipOutput::Advanced(node) => {
                    let mut verdicts = Vec::new();
                    self.detector.heard_of(step.now.mono, node, &mut verdicts);
                    self.take_verdicts(step, verdicts);
                }
                GossipOutput::Restarted(node) => self.detector.forget_rhythm(node),
                GossipOutput::Changed(node) => {
                    let applied = self.gossip.as_ref().and_then(|gossip| gossip.state(node)?.applied_epoch());
                    if let (Some(applied), Some(peer)) = (applied, self.peers.get_mut(&node)) {
                        peer.applied = peer.applied.max(applied);
                    }
                }
                GossipOutput::OwnGenerationAhead { generation } => step.out.push(Output::Fatal(format!(
                    "the cluster knows this node with generation {generation}, later than its own {}: its data directory \
                     is a copy, or was restored",
                    self.generation
                ))),
            }
        }
    }

    fn take_verdicts(&mut self, step: &mut Step<'_>, verdicts: Vec<Verdict>) {
        for verdict in verdicts {
            let (node, live) = match verdict {
                Verdict::Up(node) => (node, true),
                Verdict::Down(node) => (node, false),
            };
            if let Some(gossip) = &mut self.gossip {
                gossip.set_live(node, live);
            }
            if let Some(peer) = self.peers.get_mut(&node) {
                peer.down_since = (!live).then_some(step.now.mono);
            }
            if live {
                self.hints.wake(node);
            }
        }
    }

    /// Makes gossip, detector and the list of peers follow the topology.
    pub(super) fn follow_metadata(&mut self) {
        let metadata = Arc::clone(self.log.metadata());
        if !metadata.is_founded() {
            return;
        }
        let me = self.me();
        let others: Vec<NodeId> = metadata.topology.nodes.keys().copied().filter(|node| *node != me).collect();
        self.peers.retain(|node, _| others.contains(node));
        for node in &others {
            self.peers.entry(*node).or_default();
        }
        self.detector.track(others.iter().copied());
        let (generation, interval) = (self.generation, self.shared.config.timing.gossip);
        let random = &mut self.random;
        let gossip = self.gossip.get_or_insert_with(|| {
            let mut gossip = Gossip::new(me, metadata.cluster, generation, interval, random.fork());
            gossip.set_text(GossipKey::ReleaseVersion, env!("CARGO_PKG_VERSION"));
            gossip
        });
        gossip.set_nodes(others.iter().copied());
        let seeds = &self.shared.config.seeds;
        let is_seed = |address: &str| seeds.iter().any(|seed| seed == address);
        gossip.set_seeds(
            metadata.topology.nodes.values().filter(|node| node.id != me && is_seed(&node.address)).map(|node| node.id),
        );
    }

    /// Publishes a snapshot if other nodes can be reached than before.
    fn publish_reachable(&mut self, step: &mut Step<'_>) {
        let reachable = self.reachable(step.now);
        let snapshot = self.shared.snapshot();
        if *snapshot.reachable != reachable {
            self.shared.publish(snapshot.with_reachable(reachable));
            self.notify_workers(step);
        }
    }

    pub(super) fn notify_workers(&self, step: &mut Step<'_>) {
        for worker in self.workers() {
            self.to_worker(step, worker, Message::SnapshotChanged);
        }
    }
}
