//! A worker: the requests in flight on one core, as coordinator and as replica.

mod alone;
mod calls;
mod client;
mod feeding;
mod hints;
mod modifications;
mod op;
mod parked;
mod reads;
mod replica;
mod requests;
mod statements;
mod system;
mod trace;
mod traces;
mod views;
mod writes;

use std::sync::Arc;

use quorate_coordinator::Tag;
use quorate_coordinator::latency::LatencyTracker;
use quorate_coordinator::message::{ReplicaRequest, ReplicaResponse, RequestEnvelope, ResponseEnvelope};
use quorate_env::{Instant, Now, Random};
use quorate_model::NodeId;
use quorate_model::request::{ClientResponse, RequestError};
use quorate_model::wire::Wire;

use crate::internal::Message;
use crate::latencies::Book;
use crate::machine::{Input, Internal, Lane, MachineId, Output, PeerAddress};
use crate::peer::Frame;
use crate::shared::Shared;
use crate::snapshot::Snapshot;
use alone::Alone;
use calls::{Call, Calls};
use hints::Hints;
use op::Op;
use parked::Parked;
use replica::{Context, Origin, Replica, Served};
use requests::Requests;
use statements::Statements;
use traces::Traces;

/// The time and the effects of one step, passed down together.
struct Step<'a> {
    now: Now,
    out: &'a mut Vec<Output>,
}

/// See the module.
pub struct Worker {
    machine: MachineId,
    shared: Arc<Shared>,
    snapshot: Arc<Snapshot>,
    version: u64,
    requests: Requests,
    alone: Alone,
    calls: Calls,
    replica: Replica,
    parked: Parked,
    hints: Hints,
    statements: Statements,
    latencies: LatencyTracker,
    random: Random,
    traces: Traces,
    /// Answers of this node's own replica, to be delivered before the step ends.
    served: Vec<Served>,
}

impl Worker {
    pub(crate) fn new(index: u16, shared: Arc<Shared>, random: Random) -> Self {
        let (version, snapshot) = (shared.version(), shared.snapshot());
        let book = Book::listed(&shared);
        Self {
            machine: MachineId::worker(index),
            shared,
            snapshot,
            version,
            requests: Requests::default(),
            alone: Alone::default(),
            calls: Calls::default(),
            replica: Replica::new(book),
            parked: Parked::default(),
            hints: Hints::default(),
            statements: Statements::default(),
            latencies: LatencyTracker::default(),
            random,
            traces: Traces::default(),
            served: Vec::new(),
        }
    }

    /// Which of the node's machines it is.
    pub fn machine(&self) -> MachineId {
        self.machine
    }

    /// Takes one event. Never blocks; the work is bounded by the size of the event.
    pub fn step(&mut self, now: Now, input: Input, out: &mut Vec<Output>) {
        let mut step = Step { now, out };
        self.replica.book.begin_step(now.mono, u64::from(matches!(input, Input::Client { .. })));
        self.refresh(&mut step);
        match input {
            Input::Client { id, request } => self.start(&mut step, id, request),
            Input::Cancel(id) => self.cancel(id),
            Input::Peer { from, frame } => self.take_frame(&mut step, from, frame),
            Input::Link { node, up: false } => self.link_down(&mut step, node),
            Input::Link { up: true, .. } => {}
            Input::JobDone(done) if Hints::is_job(done.id) => self.hints_synced(&mut step, done.outcome),
            Input::JobDone(done) => {
                let (replica, mut context) = self.serving(&mut step);
                replica.job_done(&mut context, done.id, done.outcome);
            }
            Input::LogSynced(result) => {
                if result.is_err() {
                    self.hand_over_all(&mut step);
                }
                self.replica.log_synced(now, &self.shared, result, &mut self.served, step.out);
            }
            Input::Internal(Internal(message)) => self.take_message(&mut step, message),
            Input::Tick => self.replica.apply_durable(now, &self.shared, &mut self.served),
        }
        self.fire_timers(&mut step);
        self.deliver_served(&mut step);
        self.drive_traces(&mut step);
        self.deliver_served(&mut step);
        self.sync_hints(&mut step);
        if let Some(epoch) = self.replica.take_settled() {
            self.to_control(&mut step, Message::Settled { worker: self.machine, epoch });
        }
        self.replica.finish_step(step.out);
        let in_flight = self.clients_waiting();
        self.replica.book.end_step(in_flight);
        self.shared.metrics.requests_in_flight.set(in_flight as u64);
    }

    /// When it wants an [`Input::Tick`] at the latest.
    pub fn deadline(&self) -> Option<Instant> {
        let (alone, replica) = (self.alone.deadline(), self.replica.deadline());
        [self.requests.deadline(), self.parked.deadline(), alone, replica].into_iter().flatten().min()
    }

    /// Asserts the invariants between its tables.
    pub fn check(&self) {
        self.requests.check();
        self.alone.check();
    }

    /// Takes up a newer snapshot: what waited for it goes on.
    fn refresh(&mut self, step: &mut Step<'_>) {
        let version = self.shared.version();
        if version == self.version {
            return;
        }
        self.version = version;
        let before = self.snapshot.epoch();
        self.snapshot = self.shared.snapshot();
        if self.snapshot.epoch() == before {
            return;
        }
        self.replica.note_epoch(self.snapshot.epoch());
        self.refuse_expired(step);
        for (from, envelope) in self.parked.take_ready(self.snapshot.epoch()) {
            self.serve_remote(step, from, envelope);
        }
        let epoch = self.snapshot.epoch();
        let ready: Vec<u64> =
            self.requests.by_id.iter().filter(|(_, op)| op.waits_for_at_most(epoch)).map(|(id, _)| *id).collect();
        for id in ready {
            self.with_op(step, id, |worker, step, op| worker.replan(step, id, op));
        }
    }

    fn take_frame(&mut self, step: &mut Step<'_>, from: PeerAddress, frame: bytes::Bytes) {
        match Frame::from_bytes(&frame) {
            Ok(Frame::Request(envelope)) => {
                if envelope.epoch > self.snapshot.epoch() {
                    let behind = Message::Behind { epoch: envelope.epoch, from: from.node };
                    self.to_control(step, behind);
                    self.shared.metrics.parked_total.increment();
                    if let Some(refused) = self.parked.park(step.now, from, envelope) {
                        self.respond(step, from, refused);
                    }
                } else {
                    self.serve_remote(step, from, envelope);
                }
            }
            Ok(Frame::Response(envelope)) => self.take_response(step, from, envelope),
            // Control frames go to the control machine; one that comes here was sent by a broken peer.
            Ok(_) | Err(_) => self.shared.metrics.frames_malformed_total.increment(),
        }
    }

    /// The replica's side and what it works with.
    fn serving<'a>(&'a mut self, step: &'a mut Step<'_>) -> (&'a mut Replica, Context<'a>) {
        let (shared, snapshot) = (&self.shared, &self.snapshot);
        let context = Context { now: step.now, shared, snapshot, done: &mut self.served, out: step.out };
        (&mut self.replica, context)
    }

    fn serve_remote(&mut self, step: &mut Step<'_>, from: PeerAddress, envelope: RequestEnvelope) {
        let origin = Origin::Remote { from, id: envelope.id };
        let (replica, mut context) = self.serving(step);
        replica.serve(&mut context, origin, envelope);
    }

    fn take_message(&mut self, step: &mut Step<'_>, message: Message) {
        match message {
            Message::Done { op, result, warnings } => self.control_done(step, op, result, warnings),
            Message::Apply { token, mutation } => {
                let (replica, mut context) = self.serving(step);
                replica.apply_for_control(&mut context, token, mutation);
            }
            Message::SnapshotChanged => {}
            Message::Change { .. }
            | Message::Admin { .. }
            | Message::Behind { .. }
            | Message::Hinted { .. }
            | Message::Settled { .. }
            | Message::Applied { .. } => unreachable!("a message for the control machine"),
        }
    }

    /// Delivers what this node's replica has answered, which may make it answer more.
    fn deliver_served(&mut self, step: &mut Step<'_>) {
        while !self.served.is_empty() {
            for served in std::mem::take(&mut self.served) {
                match served.origin {
                    Origin::Local { call } => {
                        let epoch = self.snapshot.epoch();
                        let envelope = ResponseEnvelope { id: call, epoch, body: served.response, trace: served.trace };
                        self.take_response(step, self.me(), envelope);
                    }
                    Origin::Remote { from, id } => {
                        let epoch = self.snapshot.epoch();
                        let envelope = ResponseEnvelope { id, epoch, body: served.response, trace: served.trace };
                        self.respond(step, from, envelope);
                    }
                    Origin::Alone { id } => self.alone_served(step, id, &served.response),
                    Origin::Nobody => {}
                    Origin::Control { token } => {
                        self.to_control(step, Message::Applied { token, response: served.response });
                    }
                }
            }
        }
    }

    fn respond(&mut self, step: &mut Step<'_>, to: PeerAddress, envelope: ResponseEnvelope) {
        let lane = match envelope.body {
            ReplicaResponse::Data(_) => Lane::Large,
            _ => Lane::Small,
        };
        step.out.push(Output::Send { to, lane, frame: Frame::Response(envelope).to_bytes() });
    }

    /// Sends one of an operation's requests to a replica, which may be this node.
    fn call(&mut self, step: &mut Step<'_>, op: &mut Op, target: CallTarget, request: ReplicaRequest) {
        let CallTarget { op: op_id, part, node, tag } = target;
        let timeout = op.deadline.since(step.now.mono);
        let call = Call { op: op_id, part, node, tag, sent: step.now.mono };
        let id = self.calls.insert(call);
        op.calls.push(id);
        let envelope = RequestEnvelope {
            id,
            epoch: op.epoch,
            timeout_ms: u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX),
            trace: op.trace.is_some(),
            body: request,
        };
        if node == self.shared.id {
            let origin = Origin::Local { call: id };
            let (replica, mut context) = self.serving(step);
            replica.serve(&mut context, origin, envelope);
            return;
        }
        let snapshot = &self.snapshot;
        op.note(step.now, || format!("Sending {} to {}", trace::describe(&envelope.body), snapshot.name_of(node)));
        let to = PeerAddress { node, machine: MachineId::ANY_WORKER };
        step.out.push(Output::Send { to, lane: Lane::Small, frame: Frame::Request(envelope).to_bytes() });
    }

    /// This machine.
    fn me(&self) -> PeerAddress {
        PeerAddress { node: self.shared.id, machine: self.machine }
    }

    fn take_response(&mut self, step: &mut Step<'_>, from: PeerAddress, envelope: ResponseEnvelope) {
        let node = from.node;
        let Some(call) = self.calls.take(envelope.id, node) else { return };
        self.latencies.record(node, step.now.mono.since(call.sent));
        if envelope.epoch > self.snapshot.epoch() {
            self.to_control(step, Message::Behind { epoch: envelope.epoch, from: node });
        }
        self.with_op(step, call.op, |worker, step, op| {
            op.calls.retain(|id| *id != envelope.id);
            if let Some(trace) = &mut op.trace {
                trace.note_replica(step.now, from, call.sent, &envelope.trace);
            }
            worker.op_response(step, op, call, envelope.body);
        });
    }

    fn link_down(&mut self, step: &mut Step<'_>, node: NodeId) {
        for id in self.calls.ops_waiting_for(node) {
            self.with_op(step, id, |worker, step, op| worker.op_link_down(step, id, op, node));
        }
    }

    /// What has waited for an epoch beyond its deadline is not executed any more.
    fn refuse_expired(&mut self, step: &mut Step<'_>) {
        for (from, refused) in self.parked.take_expired(step.now) {
            self.respond(step, from, refused);
        }
    }

    fn fire_timers(&mut self, step: &mut Step<'_>) {
        self.refuse_expired(step);
        self.hand_over_late(step);
        while let Some((at, id)) = self.requests.timers.first().copied() {
            if at > step.now.mono {
                break;
            }
            self.requests.timers.remove(&(at, id));
            if let Some(op) = self.requests.by_id.get_mut(&id) {
                op.timer = None;
            }
            self.with_op(step, id, |worker, step, op| worker.op_tick(step, id, op));
        }
    }

    /// Takes an operation out, lets it act, and puts it back unless it is finished.
    fn with_op(&mut self, step: &mut Step<'_>, id: u64, act: impl FnOnce(&mut Self, &mut Step<'_>, &mut Op)) {
        let Some(mut op) = self.requests.by_id.remove(&id) else { return };
        act(self, step, &mut op);
        self.put_back(id, op);
    }

    fn put_back(&mut self, id: u64, mut op: Box<Op>) {
        let wanted = if op.is_finished() { None } else { op.wanted_tick() };
        if op.timer != wanted {
            if let Some(at) = op.timer {
                self.requests.timers.remove(&(at, id));
            }
            if let Some(at) = wanted {
                self.requests.timers.insert((at, id));
            }
            op.timer = wanted;
        }
        if op.is_finished() {
            self.calls.forget(op.calls.drain(..));
            self.unfile(&op);
            if let Some(mut trace) = op.trace.take().filter(|trace| trace.has_late_events()) {
                self.store_late_events(&mut trace);
            }
        } else {
            if !op.is_filed
                && !op.answered
                && let Some(client) = op.client
            {
                op.is_filed = true;
                self.requests.by_client.insert(client, id);
            }
            self.requests.by_id.insert(id, op);
        }
    }

    fn unfile(&mut self, op: &Op) {
        if op.is_filed
            && let Some(client) = op.client
        {
            self.requests.by_client.remove(&client);
        }
    }

    /// Answers an operation's client, once.
    fn answer(
        &mut self,
        step: &mut Step<'_>,
        op: &mut Op,
        result: Result<quorate_model::request::Answer, RequestError>,
    ) {
        if std::mem::replace(&mut op.answered, true) {
            return;
        }
        let Some(client) = op.client else {
            if let Some(write) = op.storing.take() {
                self.trace_stored(write, result.map(|_| ()));
            }
            return;
        };
        self.unfile(op);
        let trace = op.trace.as_mut().and_then(|trace| trace.finish(step.now));
        let response = ClientResponse { result, warnings: std::mem::take(&mut op.warnings), trace };
        step.out.push(Output::Reply { id: client, response: Box::new(response) });
        if let Some(mut trace) = op.trace.take() {
            self.store_trace(&mut trace);
            op.trace = Some(trace);
        }
    }

    fn to_control(&self, step: &mut Step<'_>, message: Message) {
        step.out.push(Output::Internal { to: MachineId::CONTROL, message: Internal(message) });
    }
}

/// Where a call belongs and whom it asks.
struct CallTarget {
    op: u64,
    part: usize,
    node: NodeId,
    tag: Tag,
}
