//! Delivering hints to nodes that are back.

use std::collections::BTreeMap;
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
#[derive(Debug)]
struct Delivery {
    cursor: HintPosition,
    state: State,
    not_before: Instant,
    /// Bytes of the next batch: fewer after one that was not delivered wholly, so that a node without much room gets on.
    bytes: u64,
}

impl Default for Delivery {
    fn default() -> Self {
        let (cursor, state, not_before) = Default::default();
        Self { cursor, state, not_before, bytes: limits::HINT_BATCH_BYTES }
    }
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
    /// A batch was sent.
    Sent { batch: Batch, deadline: Instant },
}

/// A batch that was sent, with what has become of it.
#[derive(Debug)]
struct Batch {
    /// Calls that are not answered yet, each with its hint's place.
    calls: BTreeMap<u64, HintPosition>,
    /// The first place whose hint was not delivered.
    failed: Option<HintPosition>,
    /// Behind all of it.
    next: HintPosition,
}

impl Batch {
    /// Takes an answer; false if it is of another batch.
    fn answered(&mut self, call: u64, delivered: bool) -> bool {
        let Some(place) = self.calls.remove(&call) else { return false };
        if !delivered {
            self.failed = Some(self.failed.map_or(place, |first| first.min(place)));
        }
        true
    }

    /// Up to where everything was delivered, so far.
    fn delivered_to(&self) -> HintPosition {
        self.calls.values().chain(&self.failed).min().copied().unwrap_or(self.next)
    }
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
            && let State::Sent { batch, .. } = &delivery.state
        {
            delivery.cursor = batch.delivered_to();
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
            self.end_late_batch(step, target);
            let Some(delivery) = self.hints.deliveries.get_mut(&target) else { continue };
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
            let bytes_max = delivery.bytes;
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
        let mut calls = BTreeMap::new();
        let epoch = self.log.epoch();
        for (place, hint) in &batch.hints {
            let Some(mutation) = decode(&hint.mutation) else { continue };
            self.hints.next += 1;
            let id = Owner::Hints.tag(self.hints.next);
            calls.insert(id, *place);
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
            delivery.state = State::Sent { batch: Batch { calls, failed: None, next: batch.next }, deadline };
        }
        self.finish_batch(step, target);
    }

    /// A replica has answered a hint; this node's own replica, which missed a write for want of room, as any other.
    pub(super) fn hint_answered(&mut self, step: &mut Step<'_>, target: NodeId, call: u64, answer: &ReplicaResponse) {
        let Some(delivery) = self.hints.deliveries.get_mut(&target) else { return };
        let State::Sent { batch, .. } = &mut delivery.state else { return };
        // If the table is gone, the hint is gone with it.
        let delivered =
            matches!(answer, ReplicaResponse::Written | ReplicaResponse::Failed(ReplicaFailure::UnknownTable));
        if !batch.answered(call, delivered) {
            return;
        }
        if *answer == ReplicaResponse::Written {
            self.shared.metrics.hints_delivered_total.increment();
        }
        self.finish_batch(step, target);
    }

    /// What was not answered in time was not delivered.
    fn end_late_batch(&mut self, step: &mut Step<'_>, target: NodeId) {
        if let Some(Delivery { state: State::Sent { batch, deadline }, .. }) = self.hints.deliveries.get_mut(&target)
            && *deadline <= step.now.mono
        {
            batch.failed = batch.calls.values().chain(&batch.failed).min().copied();
            batch.calls.clear();
            self.finish_batch(step, target);
        }
    }

    /// If all of a batch is answered: drops what was delivered and goes on behind it; if that was not all, later and with
    /// less at once.
    fn finish_batch(&mut self, step: &mut Step<'_>, target: NodeId) {
        let Some(delivery) = self.hints.deliveries.get_mut(&target) else { return };
        let State::Sent { batch, .. } = &delivery.state else { return };
        if !batch.calls.is_empty() {
            return;
        }
        let (cursor, failed) = (batch.delivered_to(), batch.failed.is_some());
        let moved = cursor != delivery.cursor;
        delivery.cursor = cursor;
        delivery.state = State::Due;
        (delivery.not_before, delivery.bytes) = match failed {
            true => (step.now.mono + RETRY, (delivery.bytes / 2).max(limits::HINT_BATCH_BYTES_MIN)),
            false => (Instant::default(), delivery.bytes.saturating_mul(2).min(limits::HINT_BATCH_BYTES)),
        };
        if moved {
            let storage = Arc::clone(self.shared.storage());
            self.hints.next += 1;
            // Nobody waits for it: what was not dropped is delivered again, which changes nothing.
            let work = move || JobOutcome(Box::new(storage.hints.advance(target, cursor)));
            let id = Owner::Hints.tag(self.hints.next);
            step.out.push(Output::Job(Job { id, class: JobClass::System, work: Box::new(work) }));
        }
    }
}

/// A hint's mutation; one that does not decode was damaged in a way that its checksum did not show, and is skipped.
fn decode(bytes: &Bytes) -> Option<EncodedMutation> {
    let mutation = Mutation::from_bytes(bytes).ok()?;
    Some(EncodedMutation { mutation: Arc::new(mutation), bytes: bytes.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_delivered_of_a_batch_is_not_sent_again() {
        let place = |offset| HintPosition { segment: 1, offset };
        let batch =
            || Batch { calls: (1..=4).map(|call| (call, place(call * 10))).collect(), failed: None, next: place(50) };
        let mut all = batch();
        for call in [3, 1, 4] {
            assert!(all.answered(call, true));
        }
        assert_eq!(all.delivered_to(), place(20), "one is not answered");
        assert!(all.answered(2, true) && !all.answered(2, true));
        assert_eq!(all.delivered_to(), place(50));
        let mut part = batch();
        for (call, delivered) in [(4, false), (1, true), (3, false), (2, true)] {
            assert!(part.answered(call, delivered));
        }
        assert_eq!(part.delivered_to(), place(30), "the first that was refused comes next");
    }
}
