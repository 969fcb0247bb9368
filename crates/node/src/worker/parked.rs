//! Peers' requests that were planned at a later epoch than this node has applied: they wait until it has caught up.

use std::time::Duration;

use quorate_coordinator::message::{ReplicaFailure, ReplicaResponse, RequestEnvelope, ResponseEnvelope};
use quorate_env::{Instant, Now};
use quorate_model::Epoch;

use crate::limits;
use crate::machine::PeerAddress;

/// See the module. In order of arrival.
#[derive(Debug, Default)]
pub(super) struct Parked {
    waiting: Vec<(Instant, PeerAddress, RequestEnvelope)>,
    /// Of their mutations.
    bytes: usize,
}

impl Parked {
    /// Lets a request wait; gives the refusal to send if too many wait already.
    pub(super) fn park(&mut self, now: Now, from: PeerAddress, envelope: RequestEnvelope) -> Option<ResponseEnvelope> {
        if self.waiting.len() >= limits::PARKED_MAX {
            let reason = format!("{} requests wait for a later epoch", limits::PARKED_MAX);
            return Some(failed(&envelope, ReplicaFailure::Overloaded(reason)));
        }
        let bytes = self.bytes.saturating_add(size(&envelope));
        if bytes > limits::PARKED_BYTES_MAX && !self.waiting.is_empty() {
            let reason = format!("{} bytes of requests wait for a later epoch", self.bytes);
            return Some(failed(&envelope, ReplicaFailure::Overloaded(reason)));
        }
        self.bytes = bytes;
        let deadline = now.mono + Duration::from_millis(u64::from(envelope.timeout_ms));
        self.waiting.push((deadline, from, envelope));
        None
    }

    /// Those that this epoch is late enough for.
    pub(super) fn take_ready(&mut self, epoch: Epoch) -> Vec<(PeerAddress, RequestEnvelope)> {
        let waiting = std::mem::take(&mut self.waiting);
        let (ready, still): (Vec<_>, Vec<_>) =
            waiting.into_iter().partition(|(_, _, envelope)| envelope.epoch <= epoch);
        self.keep(still);
        ready.into_iter().map(|(_, from, envelope)| (from, envelope)).collect()
    }

    /// Refusals for those whose deadline has passed.
    pub(super) fn take_expired(&mut self, now: Now) -> Vec<(PeerAddress, ResponseEnvelope)> {
        if self.deadline().is_none_or(|deadline| deadline > now.mono) {
            return Vec::new();
        }
        let waiting = std::mem::take(&mut self.waiting);
        let (expired, still): (Vec<_>, Vec<_>) =
            waiting.into_iter().partition(|(deadline, _, _)| *deadline <= now.mono);
        self.keep(still);
        expired
            .into_iter()
            .map(|(_, from, envelope)| (from, failed(&envelope, ReplicaFailure::DeadlinePassed)))
            .collect()
    }

    fn keep(&mut self, waiting: Vec<(Instant, PeerAddress, RequestEnvelope)>) {
        self.bytes = waiting.iter().map(|(_, _, envelope)| size(envelope)).sum();
        self.waiting = waiting;
    }

    /// When the first of them expires.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.waiting.iter().map(|(deadline, _, _)| *deadline).min()
    }
}

fn size(envelope: &RequestEnvelope) -> usize {
    envelope.body.mutation_bytes()
}

fn failed(envelope: &RequestEnvelope, failure: ReplicaFailure) -> ResponseEnvelope {
    ResponseEnvelope {
        id: envelope.id,
        epoch: envelope.epoch,
        body: ReplicaResponse::Failed(failure),
        trace: Vec::new(),
    }
}
