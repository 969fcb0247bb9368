//! The control machine: what changes slowly. Gossip and failure detection, the metadata log, this node's own join, hints
//! for others, and the storage engine's background work.
//!
//! It commits to the system store in place, a few times a second at most and mostly not at all: order with respect to
//! what it sends is then a matter of course (see `LogOutput`'s contract).

mod admin;
mod changes;
mod effects;
pub(crate) use effects::tables;
mod hints;
mod join;
mod log;
mod peers;
mod rebuild;
mod stream;
mod upkeep;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use quorate_env::{Instant, Now, Random, SystemStore};
use quorate_membership::{FailureDetector, Gossip, MetadataLog};
use quorate_model::wire::Wire;
use quorate_model::{Epoch, NodeId};

use crate::internal::Message;
use crate::machine::{Input, Internal, JobOutcome, Lane, MachineId, Output, PeerAddress};
use crate::peer::Frame;
use crate::shared::Shared;
use changes::Changes;
use effects::Effects;
use hints::HintReplay;
use join::Life;
use peers::Peer;
use rebuild::Rebuild;
use stream::Stream;
use upkeep::Upkeep;

/// The time and the effects of one step, passed down together.
struct Step<'a> {
    now: Now,
    out: &'a mut Vec<Output>,
}

/// See the module.
pub struct Control {
    shared: Arc<Shared>,
    store: Box<dyn SystemStore>,
    random: Random,
    generation: u64,
    log: MetadataLog,
    gossip: Option<Gossip>,
    detector: FailureDetector,
    peers: BTreeMap<NodeId, Peer>,
    /// Nodes to which the transport has an open stream.
    links: BTreeSet<NodeId>,
    next_heartbeat: Instant,
    life: Life,
    changes: Changes,
    effects: Effects,
    hints: HintReplay,
    stream: Stream,
    rebuild: Rebuild,
    upkeep: Upkeep,
}

/// Whose a job or a call is: the high bits of its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    Effects = 0,
    Hints = 1,
    Stream = 2,
    Upkeep = 3,
    Admin = 4,
    Rebuild = 5,
}

const OWNER_SHIFT: u32 = 56;

impl Owner {
    fn tag(self, number: u64) -> u64 {
        ((self as u64) << OWNER_SHIFT) | (number & ((1 << OWNER_SHIFT) - 1))
    }

    fn of(id: u64) -> Option<Self> {
        [Self::Effects, Self::Hints, Self::Stream, Self::Upkeep, Self::Admin, Self::Rebuild]
            .into_iter()
            .find(|owner| *owner as u64 == id >> OWNER_SHIFT)
    }
}

impl Control {
    pub(crate) fn new(
        shared: Arc<Shared>,
        store: Box<dyn SystemStore>,
        log: MetadataLog,
        generation: u64,
        random: Random,
        now: Now,
    ) -> Self {
        let gossip_interval = shared.config.timing.gossip;
        let detector = quorate_membership::failure_detector::FailureDetectorConfig::for_interval(gossip_interval);
        let mut control = Self {
            shared,
            store,
            random,
            generation,
            log,
            gossip: None,
            detector: FailureDetector::new(detector),
            peers: BTreeMap::new(),
            links: BTreeSet::new(),
            next_heartbeat: now.mono,
            life: Life::starting(now),
            changes: Changes::default(),
            effects: Effects::default(),
            hints: HintReplay::default(),
            stream: Stream::default(),
            rebuild: Rebuild::default(),
            upkeep: Upkeep::default(),
        };
        control.effects.start_at(control.log.epoch());
        control.follow_metadata();
        // For this node itself nobody will say that it is back.
        for target in control.shared.storage().hints.targets() {
            control.hints.wake(target);
        }
        control
    }

    /// Takes one event. Blocks only for the system store.
    pub fn step(&mut self, now: Now, input: Input, out: &mut Vec<Output>) {
        let mut step = Step { now, out };
        match input {
            Input::Peer { from, frame } => self.take_frame(&mut step, from, frame),
            Input::Link { node, up } => self.link_changed(&mut step, node, up),
            Input::JobDone(done) => self.job_done(&mut step, done.id, done.outcome),
            Input::Internal(Internal(message)) => self.take_message(&mut step, message),
            Input::Client { .. } | Input::Cancel(_) | Input::LogSynced(_) | Input::Tick => {}
        }
        self.beat(&mut step);
        self.drive_log(&mut step);
        self.drive_life(&mut step);
        self.drive_effects(&mut step);
        self.drive_changes(&mut step);
        self.drive_hints(&mut step);
        self.drive_rebuild(&mut step);
        self.drive_stream(&mut step);
        self.drive_upkeep(&mut step);
    }

    /// When it wants an [`Input::Tick`] at the latest.
    pub fn deadline(&self) -> Option<Instant> {
        let timers = [
            Some(self.next_heartbeat),
            self.gossip.as_ref().and_then(Gossip::deadline),
            self.detector.deadline(),
            self.log.deadline(),
            self.life.deadline(),
            self.effects.deadline(),
            self.changes.deadline(),
            self.hints.deadline(),
            self.stream.deadline(),
            self.rebuild.deadline(),
            Some(self.upkeep.next),
        ];
        timers.into_iter().flatten().min()
    }

    /// Asserts the invariants.
    pub fn check(&self) {
        self.log.check();
        self.detector.check();
        if let Some(gossip) = &self.gossip {
            gossip.check();
        }
        assert!(self.effects.applied() <= self.log.epoch(), "announced an epoch that is not applied");
    }

    /// The node's own identity.
    fn me(&self) -> NodeId {
        self.shared.id
    }

    fn take_frame(&mut self, step: &mut Step<'_>, from: PeerAddress, frame: bytes::Bytes) {
        let node = from.node;
        if node == self.me() {
            return;
        }
        match Frame::from_bytes(&frame) {
            Ok(Frame::Heartbeat { applied }) => self.heard(step, node, Some(applied)),
            Ok(Frame::Gossip(frame)) => self.take_gossip(step, node, frame),
            Ok(Frame::Log(frame)) => self.take_log(step, node, frame),
            Ok(Frame::Response(envelope)) => {
                self.heard(step, node, None);
                match Owner::of(envelope.id) {
                    Some(Owner::Hints) => self.hint_answered(step, node, envelope.id, &envelope.body),
                    Some(Owner::Stream) => self.stream_answered(step, node, envelope),
                    _ => {}
                }
            }
            Ok(Frame::Request(_)) | Err(_) => self.shared.metrics.frames_malformed_total.increment(),
        }
    }

    fn take_message(&mut self, step: &mut Step<'_>, message: Message) {
        match message {
            Message::Change { worker, op, change, deadline } => self.enqueue_change(step, worker, op, change, deadline),
            Message::Admin { worker, op, request } => self.admin(step, worker, op, request),
            Message::Behind { epoch, from } => self.hear_epoch(step, from, epoch),
            Message::Hinted { target } => self.hints.wake(target),
            Message::Settled { worker, epoch } => self.settled(step, worker, epoch),
            Message::Applied { token, response } => match Owner::of(token) {
                Some(Owner::Hints) => self.hint_answered(step, self.me(), token, &response),
                _ => self.stream_applied(step, token, response),
            },
            Message::Done { .. } | Message::Apply { .. } | Message::SnapshotChanged => {
                unreachable!("a message for a worker")
            }
        }
    }

    fn job_done(&mut self, step: &mut Step<'_>, id: u64, outcome: JobOutcome) {
        match Owner::of(id) {
            Some(Owner::Effects) => self.effect_done(step, id, outcome),
            Some(Owner::Hints) => self.hint_job_done(step, id, outcome),
            Some(Owner::Upkeep) => self.upkeep_done(step, id, outcome),
            Some(Owner::Admin) => self.admin_job_done(step, outcome),
            Some(Owner::Rebuild) => self.rebuild_done(step),
            Some(Owner::Stream) | None => {}
        }
    }

    /// Sends to another node's control machine.
    fn send_control(&self, step: &mut Step<'_>, to: NodeId, frame: &Frame) {
        let to = PeerAddress { node: to, machine: MachineId::CONTROL };
        step.out.push(Output::Send { to, lane: Lane::Urgent, frame: frame.to_bytes() });
    }

    /// Sends a request to another node's replica.
    fn send_request(&self, step: &mut Step<'_>, to: NodeId, lane: Lane, frame: &Frame) {
        let to = PeerAddress { node: to, machine: MachineId::ANY_WORKER };
        step.out.push(Output::Send { to, lane, frame: frame.to_bytes() });
    }

    fn to_worker(&self, step: &mut Step<'_>, worker: MachineId, message: Message) {
        step.out.push(Output::Internal { to: worker, message: Internal(message) });
    }

    fn workers(&self) -> impl Iterator<Item = MachineId> + use<> {
        (0..self.shared.config.workers).map(MachineId::worker)
    }

    /// Nodes that requests may be sent to, this one included.
    fn reachable(&self, now: Now) -> BTreeSet<NodeId> {
        let silence = self.shared.config.timing.suspect_after;
        let mut reachable: BTreeSet<NodeId> = self
            .detector
            .up()
            .filter(|node| self.links.contains(node))
            .filter(|node| self.peers.get(node).is_some_and(|peer| peer.spoke_lately(now, silence)))
            .collect();
        reachable.insert(self.me());
        reachable
    }

    /// The last epoch that this node has applied on all its machines and to its storage.
    fn applied_epoch(&self) -> Epoch {
        self.effects.applied()
    }
}
