//! Delivering hints to nodes that are back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use quorate_coordinator::message::{EncodedMutation, ReplicaFailure, ReplicaRequest, ReplicaResponse, RequestEnvelope};
use quorate_env::Instant;
use quorate_model::wire::Wire;
use quorate_model::{Mutation, NodeId};
use quorate_storage::StorageError;
use quorate_storage::hints::{HintBatch, HintPosition};

use super::{Control, Owner, Step};
use crate::internal::Message;
use crate::limits;
use crate::machine::{Job, JobClass, JobOutcome, Lane, MachineId, Output};
use crate::peer::Frame;

/// How long a replica has for one hint.
const HINT_TIMEOUT: Duration = Duration::from_secs(5);
/// Pause after a batch that was not delivered wholly.
const RETRY: Duration = Duration::from_secs(1);

type BatchResult = Result<HintBatch, StorageError>;

/// Delivery to one node.
#[derive(Debug, Default)]
struct Delivery {
    cursor: HintPosition,
    state: State,
    not_before: Instant,
}

#[derive(Debug, Default)]
enum State {
    /// Nothing to do until woken.
    #[default]
    Idle,
    /// Hints may wait.
    Due,
    /// A batch is being read; `again` if more hints were stored meanwhile, which it may not have found.
    Reading { job: u64, again: bool },
    /// A batch was sent; these calls are not answered yet.
    Sent { calls: BTreeSet<u64>, next: HintPosition, deadline: Instant, failed: bool },
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct HintReplay {
    deliveries: BTreeMap<NodeId, Delivery>,
    next: u64,
}

impl HintReplay {
    /// Hints may wait for this node, or it has come back.
    pub(super) fn wake(&mut self, target: NodeId) {
        let delivery = self.deliveries.entry(target).or_default();
        match &mut delivery.state {
            State::Idle => delivery.state = State::Due,
            State::Reading { again, .. } => *again = true,
            State::Due | State::Sent { .. } => {}
        }
    }

    /// What was sent to this node may be lost.
    pub(super) fn link_lost(&mut self, node: NodeId) {
        if let Some(delivery) = self.deliveries.get_mut(&node)
            && let State::Sent { .. } = delivery.state
        {
            delivery.state = State::Due;
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deliveries
            .values()
            .filter_map(|delivery| match &delivery.state {
                State::Sent { deadline, .. } => Some(*deadline),
                State::Due if delivery.not_before > Instant::default() => Some(delivery.not_before),
                _ => None,
            })
            .min()
    }
}

impl Control {
    /// Starts a batch for everybody who has hints waiting and can be reached.
    pub(super) fn drive_hints(&mut self, step: &mut Step<'_>) {
        let reachable = self.reachable(step.now);
        let targets: Vec<NodeId> = self.hints.deliveries.keys().copied().collect();
        for target in targets {
            let Some(delivery) = self.hints.deliveries.get_mut(&target) else { continue };
            if let State::Sent { deadline, .. } = delivery.state
                && deadline <= step.now.mono
            {
                delivery.state = State::Due;
                delivery.not_before = step.now.mono + RETRY;
            }
            let due = matches!(delivery.state, State::Due);
            if !due || delivery.not_before > step.now.mono {
                continue;
            }
            if !reachable.contains(&target) {
                // It is woken when it can be reached again.
                delivery.not_before = Instant::default();
                continue;
            }
            self.hints.next += 1;
            let job = Owner::Hints.tag(self.hints.next);
            let (storage, cursor) = (Arc::clone(self.shared.storage()), delivery.cursor);
            delivery.state = State::Reading { job, again: false };
            let bytes_max = limits::HINT_BATCH_BYTES as u64;
            let work = move || {
                let batch: BatchResult = storage.hints.read_batch(target, cursor, bytes_max);
                JobOutcome(Box::new(batch))
            };
            step.out.push(Output::Job(Job { id: job, class: JobClass::System, work: Box::new(work) }));
        }
    }

    pub(super) fn hint_job_done(&mut self, step: &mut Step<'_>, id: u64, outcome: JobOutcome) {
        let reading = |delivery: &Delivery| matches!(delivery.state, State::Reading { job, .. } if job == id);
        let Some(target) =
            self.hints.deliveries.iter().find(|(_, delivery)| reading(delivery)).map(|(target, _)| *target)
        else {
            return;
        };
        match outcome.0.downcast::<BatchResult>().map(|batch| *batch) {
            Ok(Ok(batch)) => self.send_hints(step, target, batch),
            Ok(Err(_)) | Err(_) => {
                if let Some(delivery) = self.hints.deliveries.get_mut(&target) {
                    delivery.state = State::Due;
                    delivery.not_before = step.now.mono + RETRY;
                }
            }
        }
    }

    fn send_hints(&mut self, step: &mut Step<'_>, target: NodeId, batch: HintBatch) {
        let Some(delivery) = self.hints.deliveries.get(&target) else { return };
        if batch.hints.is_empty() && batch.next == delivery.cursor {
            if let Some(delivery) = self.hints.deliveries.get_mut(&target) {
                let again = matches!(delivery.state, State::Reading { again: true, .. });
                delivery.state = if again { State::Due } else { State::Idle };
            }
            return;
        }
        let mut calls = BTreeSet::new();
        let epoch = self.log.epoch();
        for (_, hint) in &batch.hints {
            let Some(mutation) = decode(&hint.mutation) else { continue };
            self.hints.next += 1;
            let id = Owner::Hints.tag(self.hints.next);
            calls.insert(id);
            if target == self.me() {
                self.to_worker(step, MachineId::worker(0), Message::Apply { token: id, mutation });
                continue;
            }
            let timeout_ms = u32::try_from(HINT_TIMEOUT.as_millis()).unwrap_or(u32::MAX);
            let body = ReplicaRequest::Write(mutation);
            let frame = Frame::Request(RequestEnvelope { id, epoch, timeout_ms, trace: false, body });
            self.send_request(step, target, Lane::Large, &frame);
        }
        let deadline = step.now.mono + HINT_TIMEOUT;
        if let Some(delivery) = self.hints.deliveries.get_mut(&target) {
            delivery.state = State::Sent { calls, next: batch.next, deadline, failed: false };
        }
        self.finish_batch(step, target);
    }

    /// A replica has answered a hint; this node's own replica, which missed a write for want of room, as any other.
    pub(super) fn hint_answered(&mut self, step: &mut Step<'_>, target: NodeId, call: u64, answer: &ReplicaResponse) {
        let Some(delivery) = self.hints.deliveries.get_mut(&target) else { return };
        let State::Sent { calls, failed, .. } = &mut delivery.state else { return };
        if !calls.remove(&call) {
            return;
        }
        match answer {
            ReplicaResponse::Written => self.shared.metrics.hints_delivered_total.increment(),
            // The table is gone, and the hint with it.
            ReplicaResponse::Failed(ReplicaFailure::UnknownTable) => {}
            _ => *failed = true,
        }
        self.finish_batch(step, target);
    }

    /// If all of a batch is answered: drops what was delivered and goes on, or waits and sends it again.
    fn finish_batch(&mut self, step: &mut Step<'_>, target: NodeId) {
        let Some(delivery) = self.hints.deliveries.get_mut(&target) else { return };
        let State::Sent { calls, next, failed, .. } = &delivery.state else { return };
        if !calls.is_empty() {
            return;
        }
        if *failed {
            delivery.not_before = step.now.mono + RETRY;
        } else {
            delivery.cursor = *next;
            delivery.not_before = Instant::default();
            let (storage, cursor) = (Arc::clone(self.shared.storage()), *next);
            self.hints.next += 1;
            // Nobody waits for it: what was not dropped is delivered again, which changes nothing.
            let work = move || JobOutcome(Box::new(storage.hints.advance(target, cursor)));
            let id = Owner::Hints.tag(self.hints.next);
            step.out.push(Output::Job(Job { id, class: JobClass::System, work: Box::new(work) }));
        }
        if let Some(delivery) = self.hints.deliveries.get_mut(&target) {
            delivery.state = State::Due;
        }
    }
}

/// A hint's mutation; one that does not decode was damaged in a way that its checksum did not show, and is skipped.
fn decode(bytes: &Bytes) -> Option<EncodedMutation> {
    let mutation = Mutation::from_bytes(bytes).ok()?;
    Some(EncodedMutation { mutation: Arc::new(mutation), bytes: bytes.clone() })
}
