//! Storing traces: after the answer, at a low level, from a bounded queue. A trace for which there is no room is dropped and
//! counted; no request waits for one.
//!
//! A session's events go first and to all replicas, if these are alive; the session's row follows. Whoever sees the
//! session complete, which drivers wait for, then sees its events too, wherever he reads.

use std::collections::VecDeque;

use quorate_cql::system_tables::{NamedRow, Stamp, partitions_of};
use quorate_model::request::{RequestError, WriteType};
use quorate_model::{Consistency, Mutation, Seconds, Ttl};

use super::op::Op;
use super::trace::Tracing;
use super::{Step, Worker};
use crate::limits;
use crate::shared::NodePhase;

/// How long traces are kept, as in Cassandra.
const TTL: Ttl = Ttl(24 * 60 * 60);

/// A write of a trace, and the one that follows it.
pub(super) struct TraceWrite {
    mutation: Mutation,
    level: Consistency,
    then: Option<Mutation>,
}

/// Traces on their way to their tables.
#[derive(Default)]
pub(super) struct Traces {
    waiting: VecDeque<TraceWrite>,
    /// Of what waits.
    bytes: usize,
    in_flight: usize,
}

impl TraceWrite {
    fn memory_size(&self) -> usize {
        let then = self.then.as_ref().map_or(0, |mutation| mutation.update.memory_size());
        self.mutation.update.memory_size().saturating_add(then)
    }
}

impl Traces {
    /// Lets a write wait for its turn; false if there is no room.
    fn queue(&mut self, write: TraceWrite) -> bool {
        let bytes = self.bytes.saturating_add(write.memory_size());
        if self.waiting.len() >= limits::TRACES_WAITING_MAX || bytes > limits::TRACES_WAITING_BYTES_MAX {
            return false;
        }
        self.bytes = bytes;
        self.waiting.push_back(write);
        true
    }

    /// The next write, if not too many are under way.
    fn next(&mut self) -> Option<TraceWrite> {
        if self.in_flight >= limits::TRACES_IN_FLIGHT_MAX {
            return None;
        }
        let write = self.waiting.pop_front()?;
        self.bytes = self.bytes.saturating_sub(write.memory_size());
        Some(write)
    }

    /// What belongs to a write that has ended goes before all others, whatever the room.
    fn follow(&mut self, write: TraceWrite) {
        self.bytes = self.bytes.saturating_add(write.memory_size());
        self.waiting.push_front(write);
    }
}

impl Worker {
    /// Lets a finished request's trace wait for being stored.
    pub(super) fn store_trace(&mut self, trace: &mut Tracing) {
        let snapshot = &self.snapshot;
        let address_of = |node| super::system::address_of(&self.shared, snapshot, node);
        let events = trace.event_rows(&address_of);
        let session = trace.session_row(&address_of);
        let session = self.trace_mutation("sessions", vec![session], trace);
        let events = self.trace_mutation("events", events, trace);
        let write = match (events, session) {
            (Some(mutation), then) => TraceWrite { mutation, level: Consistency::All, then },
            (None, Some(mutation)) => TraceWrite { mutation, level: Consistency::Any, then: None },
            (None, None) => return self.drop_trace(),
        };
        if !self.traces.queue(write) {
            self.drop_trace();
        }
    }

    /// Lets what happened after the answer wait for being stored.
    pub(super) fn store_late_events(&mut self, trace: &mut Tracing) {
        let snapshot = &self.snapshot;
        let events = trace.event_rows(&|node| super::system::address_of(&self.shared, snapshot, node));
        let Some(mutation) = self.trace_mutation("events", events, trace) else { return };
        if !self.traces.queue(TraceWrite { mutation, level: Consistency::Any, then: None }) {
            self.drop_trace();
        }
    }

    fn drop_trace(&self) {
        self.shared.metrics.traces_dropped_total.increment();
    }

    /// Rows of one session as a mutation; `None` if there are none, or the cluster has no such table yet.
    fn trace_mutation(&self, table: &str, rows: Vec<NamedRow>, trace: &Tracing) -> Option<Mutation> {
        let table = self.snapshot.metadata.schema.table("system_traces", table)?;
        let expires_at = Seconds::from_micros(trace.started_at).plus(TTL);
        let stamp = Stamp { timestamp: self.shared.clock.next(trace.started_at), expiry: Some((expires_at, TTL)) };
        let made = partitions_of(table, rows, stamp, quorate_ring::partitioner::token);
        let (key, update) = made.into_iter().next()?;
        Some(Mutation { table: table.id, key, update })
    }

    /// Starts as many of the waiting writes as may be under way.
    pub(super) fn drive_traces(&mut self, step: &mut Step<'_>) {
        while let Some(write) = self.traces.next() {
            if self.shared.phase() != NodePhase::Ready {
                self.drop_trace();
                continue;
            }
            self.start_trace_write(step, write);
        }
    }

    fn start_trace_write(&mut self, step: &mut Step<'_>, write: TraceWrite) {
        self.traces.in_flight += 1;
        let (mutations, level) = (vec![write.mutation.clone()], write.level);
        let (now, epoch) = (step.now.mono, self.snapshot.epoch());
        let mut op = Box::new(Op::new(None, now, now + limits::TRACE_WRITE_TIMEOUT, epoch));
        op.storing = Some(write);
        let id = self.requests.draw();
        if let Err(error) = self.start_writes(step, id, &mut op, mutations, level, WriteType::Simple) {
            self.answer(step, &mut op, Err(error));
        }
        self.put_back(id, op);
    }

    /// A write of a trace has ended.
    pub(super) fn trace_stored(&mut self, write: TraceWrite, result: Result<(), RequestError>) {
        self.traces.in_flight = self.traces.in_flight.saturating_sub(1);
        let TraceWrite { mutation, level, then } = write;
        match (result, then) {
            // Nothing was sent: not all replicas are alive.
            (Err(RequestError::Unavailable { .. }), then) if level == Consistency::All => {
                self.traces.follow(TraceWrite { mutation, level: Consistency::Any, then });
            }
            // If it failed the others may still have it, and so may hints.
            (_, Some(mutation)) => self.traces.follow(TraceWrite { mutation, level: Consistency::Any, then: None }),
            (Ok(()), None) => self.shared.metrics.traces_stored_total.increment(),
            (Err(_), None) => self.drop_trace(),
        }
    }
}

#[cfg(test)]
mod tests {
    use quorate_model::{DecoratedKey, Partition, PartitionKey, TableId, Token};

    use super::*;

    fn write(number: u8) -> TraceWrite {
        let key = DecoratedKey { token: Token(0), key: PartitionKey(vec![number].into()) };
        let mutation = Mutation { table: TableId::default(), key, update: Partition::default() };
        TraceWrite { mutation, level: Consistency::All, then: None }
    }

    #[test]
    fn what_waits_is_bounded_and_so_is_what_is_under_way() {
        let mut traces = Traces::default();
        let room = (0..=u8::MAX).cycle().take(limits::TRACES_WAITING_MAX + 10).filter(|n| traces.queue(write(*n)));
        assert_eq!(room.count(), limits::TRACES_WAITING_MAX);
        let mut begun = 0;
        while traces.next().is_some() {
            traces.in_flight += 1;
            begun += 1;
        }
        assert_eq!(begun, limits::TRACES_IN_FLIGHT_MAX);
        traces.in_flight -= 1;
        traces.follow(write(77));
        assert_eq!(traces.next().map(|write| write.mutation.key.key.0.to_vec()), Some(vec![77]), "it goes first");
    }
}
