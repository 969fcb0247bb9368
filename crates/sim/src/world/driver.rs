//! Driving a node's machines: inputs in, outputs carried out in order.

use quorate_model::wire::Wire;
use quorate_node::{Frame, Input, Job, JobClass, JobDone, MachineId, NodePhase, Output};

use super::{Event, World};
use crate::knobs::StepKind;
use crate::limits::TICK_MIN_NS;
use crate::network::Passage;
use crate::plant::Plant;
use crate::world::node::address;

/// How often a planted stale frame arrives.
const STALE_ARRIVALS: usize = 60;

/// Owners of control's jobs, as their ids' highest byte has them.
const HINTS: u64 = 1;

fn step_of_job(machine: usize, job: &Job) -> Option<StepKind> {
    match job.class {
        JobClass::Flush => Some(StepKind::Flush),
        JobClass::Compaction => Some(StepKind::Compaction),
        JobClass::System if machine == 0 && job.id >> 56 == HINTS => Some(StepKind::Hints),
        JobClass::System if machine == 0 && job.id >> 56 == 0 => Some(StepKind::Metadata),
        JobClass::System | JobClass::Read => None,
    }
}

/// Whether a frame may arrive once more. A request may not: the transport delivers it once, and a replica that has refused
/// one could serve its double, though the client has been told that it had no effect.
fn may_be_doubled(frame: &bytes::Bytes) -> bool {
    !matches!(Frame::from_bytes(frame), Ok(Frame::Request(_)))
}

impl World {
    /// Whether the process of this life still runs; if it stands still, `None`, and the caller is to come again later.
    fn present(&self, node: usize, life: u64) -> bool {
        let sim = &self.nodes[node];
        sim.life == life && sim.running.is_some()
    }

    /// Puts an event off if the node stands still. True: it was put off.
    fn put_off(&mut self, node: usize, event: impl FnOnce() -> Event) -> bool {
        let until = self.nodes[node].paused_until;
        if until <= self.now {
            return false;
        }
        self.schedule_at(until, event());
        true
    }

    pub(super) fn step_event(&mut self, node: usize, life: u64, machine: usize, input: Input) {
        if self.nodes[node].paused_until > self.now {
            let until = self.nodes[node].paused_until;
            self.schedule_at(until, Event::Step { node, life, machine, input });
            return;
        }
        if self.present(node, life) {
            self.step(node, machine, input);
        }
    }

    pub(super) fn tick(&mut self, node: usize, life: u64, machine: usize) {
        if !self.present(node, life) || self.put_off(node, || Event::Tick { node, life, machine }) {
            return;
        }
        let now = self.now;
        let sim = &mut self.nodes[node];
        let clock = sim.clock;
        let Some(running) = &mut sim.running else { return };
        // A tick that was put off, or that another replaced, comes late: what counts is the deadline.
        if running.armed[machine].is_some_and(|at| at <= now) {
            running.armed[machine] = None;
        }
        let due = running.deadline(machine).is_some_and(|deadline| clock.when(deadline) <= now);
        if due {
            self.step(node, machine, Input::Tick);
        } else {
            self.arm(node, machine);
        }
    }

    /// Gives a machine an input and carries out what follows.
    pub(super) fn step(&mut self, node: usize, machine: usize, input: Input) {
        self.note_input(node, machine, &input);
        if let Some(kind) = self.step_of_input(node, machine, &input) {
            self.spring(node, kind);
        }
        let check = self.random.chance(1, 16);
        let now = self.nodes[node].clock.read(self.now);
        let life = self.nodes[node].life;
        let mut out = Vec::new();
        let Some(running) = &mut self.nodes[node].running else { return };
        running.step(machine, now, input, &mut out);
        if check {
            running.check(machine);
        }
        let published = running.shared.version() != running.version;
        for output in out {
            if !self.present(node, life) {
                return;
            }
            self.carry_out(node, machine, output);
        }
        if published {
            self.note_metadata(node);
        }
        self.arm(node, machine);
        self.lose_power_if_due(node);
    }

    /// What an input makes a node do that has a trap for it.
    fn step_of_input(&self, node: usize, machine: usize, input: &Input) -> Option<StepKind> {
        let trap = self.nodes[node].trap?;
        let joins = || {
            let running = self.nodes[node].running.as_ref();
            running.is_some_and(|running| running.shared.phase() == NodePhase::Joining)
        };
        let fits = match (trap, input) {
            (StepKind::Join, Input::Peer { .. } | Input::LogSynced(_) | Input::Internal(_)) => joins(),
            (StepKind::Metadata, Input::Peer { frame, .. }) => {
                machine == 0 && matches!(Frame::from_bytes(frame), Ok(Frame::Log(_)))
            }
            _ => false,
        };
        fits.then_some(trap)
    }

    fn note_input(&mut self, node: usize, machine: usize, input: &Input) {
        let kind = match input {
            Input::Client { .. } => "client",
            Input::Cancel(_) => "cancel",
            Input::Peer { .. } => "peer",
            Input::Link { up: true, .. } => "link up",
            Input::Link { up: false, .. } => "link down",
            Input::JobDone(_) => "job done",
            Input::LogSynced(Ok(_)) => "log synced",
            Input::LogSynced(Err(_)) => "log sync failed",
            Input::Internal(_) => "internal",
            Input::Tick => "tick",
        };
        let mut bytes = vec![machine as u8];
        match input {
            Input::Client { id, .. } | Input::Cancel(id) => bytes.extend(id.0.to_le_bytes()),
            Input::Peer { frame, .. } => bytes.extend_from_slice(frame),
            Input::Link { node, .. } => bytes.extend(node.0),
            Input::JobDone(done) => bytes.extend(done.id.to_le_bytes()),
            Input::LogSynced(Ok(position)) => {
                bytes.extend(position.segment.to_le_bytes());
                bytes.extend(position.offset.to_le_bytes());
            }
            Input::LogSynced(Err(_)) | Input::Internal(_) | Input::Tick => {}
        }
        self.trace.note(self.now, node, kind, &bytes);
    }

    /// Has a machine woken at its deadline.
    fn arm(&mut self, node: usize, machine: usize) {
        let now = self.now;
        let sim = &mut self.nodes[node];
        let (clock, life) = (sim.clock, sim.life);
        let Some(running) = &mut sim.running else { return };
        let Some(deadline) = running.deadline(machine) else { return };
        let at = clock.when(deadline).max(now + TICK_MIN_NS);
        if running.armed[machine].is_none_or(|armed| at < armed) {
            running.armed[machine] = Some(at);
            self.schedule_at(at, Event::Tick { node, life, machine });
        }
    }

    fn carry_out(&mut self, node: usize, machine: usize, output: Output) {
        let life = self.nodes[node].life;
        match output {
            Output::Send { to, lane, frame } => {
                let Some(target) = self.ids.get(&to.node).copied() else { return };
                let is_answer = to.machine != MachineId::ANY_WORKER && machine != 0;
                self.send((node, machine), (target, to.machine), lane as u8, is_answer, frame);
            }
            Output::SendToAddress { address: wanted, frame } => {
                let found = (0..self.nodes.len()).find(|index| address(*index) == wanted);
                let Some(target) = found.filter(|target| *target != node) else { return };
                self.reach_seed(node, target);
                self.send((node, machine), (target, MachineId::CONTROL), 0, false, frame);
            }
            Output::Reply { id, response } => self.reply(node, id, *response),
            Output::Job(job) => {
                let usual = self.between(self.knobs.disk_ns);
                let share = match job.class {
                    JobClass::Read | JobClass::System => 1,
                    JobClass::Flush | JobClass::Compaction => 3,
                };
                let after = usual.saturating_mul(share).saturating_mul(self.nodes[node].disk_factor);
                self.schedule(after, Event::Job { node, life, machine, job });
            }
            Output::SyncLog => self.request_sync(node),
            Output::Internal { to, message } => {
                let after = self.random.between(1_000, 40_000);
                let at = self.internal_arrival(node, machine, after);
                self.schedule_at(
                    at,
                    Event::Step { node, life, machine: to.0 as usize, input: Input::Internal(message) },
                );
            }
            Output::Directory(nodes) => {
                let Some(running) = &mut self.nodes[node].running else { return };
                running.directory = (*nodes).clone();
                self.follow_directory(node);
            }
            Output::Fatal(message) => {
                self.trace.note(self.now, node, "fatal", message.as_bytes());
                self.stopped(node, &message);
            }
        }
    }

    /// Messages of one machine arrive in order: later than everything it sent before.
    fn internal_arrival(&mut self, node: usize, machine: usize, after: u64) -> u64 {
        let last = self.nodes[node].arrivals.internal.entry(machine).or_default();
        *last = (*last + 1).max(self.now + after);
        *last
    }

    fn send(&mut self, from: (usize, usize), to: (usize, MachineId), lane: u8, is_answer: bool, frame: bytes::Bytes) {
        let sender = (from.0, from.1 as u16);
        let receiver = (to.0, to.1.0);
        let Some((ends, connection, at)) = self.network.send(self.now, sender, receiver, lane, is_answer) else {
            return;
        };
        let passage = Passage { ends, connection, from: sender, to: receiver, frame };
        if self.faults.enabled
            && self.random.chance(self.knobs.traffic.doubled, 1_000)
            && may_be_doubled(&passage.frame)
        {
            let later = at + self.random.between(1, 80_000_000);
            self.schedule_at(later, Event::Arrive(passage.clone()));
            *self.faults.counts.entry("doubled frame".to_owned()).or_default() += 1;
        }
        self.schedule_at(at, Event::Arrive(passage));
    }

    pub(super) fn arrive(&mut self, mut passage: Passage) {
        let (from, to) = (passage.from.0, passage.to.0);
        let stale = !self.network.is_current(passage.ends, passage.connection);
        if stale && self.plant != Some(Plant::StaleFrames) {
            return;
        }
        if stale {
            // Planted: what was on a connection that is gone arrives after all, again and again for some time.
            let left = if passage.ends.0 == usize::MAX { passage.ends.1 } else { STALE_ARRIVALS };
            if left > 0 {
                let after = self.random.between(5_000_000, 80_000_000);
                self.schedule(after, Event::Arrive(Passage { ends: (usize::MAX, left - 1), ..passage.clone() }));
            }
        }
        if !self.network.passes_one_way(from, to) {
            self.network.hold(passage);
            return;
        }
        let Some(sender) = self.ids.iter().find(|(_, node)| **node == from).map(|(id, _)| *id) else { return };
        let until = self.nodes[to].paused_until;
        if until > self.now {
            self.schedule_at(until, Event::Arrive(passage));
            return;
        }
        let Some(running) = &self.nodes[to].running else { return };
        let workers = running.machines() - 1;
        // A stream is accepted by one worker, and stays with it.
        let machine = match MachineId(passage.to.1) {
            MachineId::ANY_WORKER => 1 + (passage.connection as usize + passage.from.1 as usize) % workers.max(1),
            MachineId(machine) => machine as usize,
        };
        if machine > workers {
            return;
        }
        if self.plant == Some(Plant::DamagedFrames) && self.random.chance(1, 200) {
            let mut bytes = passage.frame.to_vec();
            let at = self.random.below(bytes.len() as u64) as usize;
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << self.random.below(8);
            }
            passage.frame = bytes.into();
        }
        let from = quorate_node::PeerAddress { node: sender, machine: MachineId(passage.from.1) };
        self.step(to, machine, Input::Peer { from, frame: passage.frame });
    }

    pub(super) fn run_job(&mut self, node: usize, life: u64, machine: usize, job: quorate_node::Job) {
        if self.nodes[node].paused_until > self.now {
            let until = self.nodes[node].paused_until;
            self.schedule_at(until, Event::Job { node, life, machine, job });
            return;
        }
        if !self.present(node, life) {
            return;
        }
        self.trace.note(self.now, node, "job", &job.id.to_le_bytes());
        if let Some(kind) = step_of_job(machine, &job) {
            self.spring(node, kind);
        }
        let outcome = (job.work)();
        let hop = self.random_hop();
        self.schedule(hop, Event::Step { node, life, machine, input: Input::JobDone(JobDone { id: job.id, outcome }) });
        self.lose_power_if_due(node);
    }

    fn random_hop(&mut self) -> u64 {
        self.random.between(1_000, 50_000)
    }

    fn request_sync(&mut self, node: usize) {
        let usual = self.between(self.knobs.disk_ns);
        let sim = &mut self.nodes[node];
        let (life, after) = (sim.life, usual.saturating_mul(sim.disk_factor));
        let Some(running) = &mut sim.running else { return };
        if std::mem::replace(&mut running.syncing, true) {
            running.sync_again = true;
        } else {
            self.schedule(after, Event::Sync { node, life });
        }
    }

    /// The committer at work. What is appended from now on is of the next round.
    pub(super) fn sync(&mut self, node: usize, life: u64) {
        if !self.present(node, life) || self.put_off(node, || Event::Sync { node, life }) {
            return;
        }
        let lies = self.plant == Some(Plant::AckBeforeFsync);
        // The liar syncs now and then, as one that syncs by the clock does: its log does not overflow.
        let syncs = !lies || self.random.chance(1, 8);
        let hop = self.random_hop();
        let Some(running) = &mut self.nodes[node].running else { return };
        running.sync_again = false;
        let everything = quorate_storage::LogPosition { segment: u64::MAX, offset: u64::MAX };
        let synced = if syncs { running.shared.storage().sync_log() } else { Ok(everything) };
        let result = if lies { synced.map(|_| everything) } else { synced };
        running.sync_result = Some(result);
        self.schedule(hop, Event::Synced { node, life });
        self.lose_power_if_due(node);
    }

    pub(super) fn synced(&mut self, node: usize, life: u64) {
        if !self.present(node, life) || self.put_off(node, || Event::Synced { node, life }) {
            return;
        }
        let Some(running) = &mut self.nodes[node].running else { return };
        let Some(result) = running.sync_result.take() else { return };
        let machines = running.machines();
        running.syncing = false;
        let again = running.sync_again;
        for machine in 1..machines {
            if !self.present(node, life) {
                return;
            }
            self.step(node, machine, Input::LogSynced(result.clone()));
        }
        if again && self.present(node, life) {
            self.request_sync(node);
        }
    }

    /// If the power failed inside of what was just done, the process ends here.
    fn lose_power_if_due(&mut self, node: usize) {
        if self.nodes[node].running.is_some() && self.nodes[node].disk.power_lost() {
            self.crash(node, true);
        }
    }

    /// Takes down what a node holds at its epoch.
    pub(super) fn note_metadata(&mut self, node: usize) {
        let Some(running) = &mut self.nodes[node].running else { return };
        running.version = running.shared.version();
        let snapshot = running.shared.snapshot();
        let hash = xxhash_rust::xxh3::xxh3_64(&snapshot.metadata.to_bytes());
        let epoch = snapshot.epoch().0;
        self.trace.note(self.now, node, "epoch", &epoch.to_le_bytes());
        if let Some(violation) = self.judged.metadata.note(node, epoch, hash) {
            self.blame(violation.checker, violation.text);
        }
    }
}
