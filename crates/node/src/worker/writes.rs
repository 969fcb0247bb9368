//! Coordinating writes.

use quorate_coordinator::ReplicaPlan;
use std::collections::BTreeSet;
use std::sync::Arc;

use quorate_coordinator::batch::{BatchInput, BatchMachine, BatchOutput};
use quorate_coordinator::message::{EncodedMutation, ReplicaResponse};
use quorate_coordinator::write::{WriteInput, WriteOutput};
use quorate_model::request::{Answer, RequestError, WriteType};
use quorate_model::{Consistency, Mutation, NodeId};

use super::calls::Call;
use super::op::{Kind, Op};
use super::{CallTarget, Step, Worker};
use crate::latencies::Series;
use crate::limits;

/// A write in flight: one mutation or many.
pub(super) struct WriteOp {
    pub machine: BatchMachine,
}

impl Worker {
    /// Starts writing the mutations of `op`, whose kind this sets.
    pub(super) fn start_writes(
        &mut self,
        step: &mut Step<'_>,
        id: u64,
        op: &mut Op,
        mutations: Vec<Mutation>,
        consistency: Consistency,
        write_type: WriteType,
    ) -> Result<(), RequestError> {
        op.note(step.now, || match mutations.len() {
            1 => "Determining replicas for mutation".to_owned(),
            count => format!("Determining replicas for {count} mutations"),
        });
        let mut encoded: Vec<EncodedMutation> = mutations.into_iter().map(EncodedMutation::new).collect();
        self.check_size(encoded.iter().map(|mutation| mutation.bytes.len()))?;
        if encoded.len() == 1
            && let Some(only) = encoded.pop()
        {
            match self.write_alone(step, op, only, consistency, write_type) {
                Some(only) => encoded.push(only),
                None => return Ok(()),
            }
        }
        let mut writes = Vec::with_capacity(encoded.len());
        for encoded in encoded {
            let plan = self.plan_mutation(&encoded.mutation)?;
            writes.push((encoded, plan));
        }
        if write_type == WriteType::UnloggedBatch {
            self.warn_of_batch(op, &writes);
        }
        self.shared.metrics.coordinated_writes_total.add(writes.len() as u64);
        let mut outputs = Vec::new();
        let machine = BatchMachine::start(writes, consistency, write_type, op.deadline, step.now.mono, &mut outputs);
        op.kind = Kind::Write(WriteOp { machine });
        self.write_outputs(step, id, op, outputs);
        Ok(())
    }

    /// Tells clients of batches that spread too far or carry too much, in Cassandra's words.
    fn warn_of_batch(&self, op: &mut Op, writes: &[(EncodedMutation, ReplicaPlan)]) {
        let name = |(mutation, _): &(EncodedMutation, ReplicaPlan)| {
            let placement = self.snapshot.table(mutation.mutation.table)?;
            Some(format!("{}.{}", placement.table.keyspace, placement.table.name))
        };
        let tables: BTreeSet<String> = writes.iter().filter_map(name).collect();
        let shown = tables.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        if writes.len() > limits::UNLOGGED_BATCH_PARTITIONS_WARN {
            op.warnings.push(format!(
                "Unlogged batch covering {} partitions detected against table{} [{shown}]. You should use a logged batch for atomicity, or asynchronous writes for performance.",
                writes.len(),
                if tables.len() == 1 { "" } else { "s" }
            ));
        }
        let size = writes.iter().fold(0usize, |sum, (mutation, _)| sum.saturating_add(mutation.bytes.len()));
        let limit = limits::BATCH_BYTES_WARN;
        if let Some(over) = size.checked_sub(limit).filter(|over| *over > 0) {
            op.warnings.push(format!(
                "Batch for [{shown}] is of size {size}, exceeding specified threshold of {limit} by {over}."
            ));
        }
    }

    /// Refuses what no replica could log, or hold in one frame, before anybody is asked: it would be hinted for ever.
    fn check_size(&self, sizes: impl ExactSizeIterator<Item = usize>) -> Result<(), RequestError> {
        let log_bytes = usize::try_from(self.shared.storage().options().log_segment_bytes / 2).unwrap_or(usize::MAX);
        let limit = limits::MUTATION_BYTES_MAX.min(log_bytes);
        let (is_batch, mut total) = (sizes.len() > 1, 0usize);
        for size in sizes {
            total = total.saturating_add(size);
            if size > limit {
                let text = format!("Mutation of {size} bytes is too large for the maximum size of {limit}");
                return Err(RequestError::invalid(text));
            }
        }
        if is_batch && total > limits::BATCH_BYTES_MAX {
            let limit = limits::BATCH_BYTES_MAX;
            return Err(RequestError::invalid(format!("Batch too large: {total} bytes, of which {limit} are allowed")));
        }
        Ok(())
    }

    pub(super) fn plan_mutation(&self, mutation: &Mutation) -> Result<ReplicaPlan, RequestError> {
        let Some(table) = self.snapshot.table(mutation.table) else {
            return Err(RequestError::invalid(format!("table {} does not exist any more", mutation.table)));
        };
        self.snapshot.plan(table, mutation.key.token, |node| self.latencies.average_us(node))
    }

    pub(super) fn write_response(&mut self, step: &mut Step<'_>, op: &mut Op, call: Call, response: ReplicaResponse) {
        let input = WriteInput::Response { node: call.node, tag: call.tag, response };
        self.step_write(step, call.op, op, BatchInput::Part(call.part, input));
    }

    pub(super) fn step_write(&mut self, step: &mut Step<'_>, id: u64, op: &mut Op, input: BatchInput) {
        let Kind::Write(write) = &mut op.kind else { return };
        let mut outputs = Vec::new();
        write.machine.step(step.now.mono, input, &mut outputs);
        self.write_outputs(step, id, op, outputs);
    }

    /// Plans a part again, now that its epoch is known here.
    pub(super) fn replan_write(&mut self, step: &mut Step<'_>, id: u64, op: &mut Op, part: usize) {
        let Kind::Write(write) = &op.kind else { return };
        let Some(machine) = write.machine.part(part) else { return };
        let mutation = machine.mutation().mutation.clone();
        match self.plan_mutation(&mutation) {
            Ok(plan) => {
                op.epoch = self.snapshot.epoch();
                let Kind::Write(write) = &mut op.kind else { return };
                let mut outputs = Vec::new();
                write.machine.replan(step.now.mono, part, plan, &mut outputs);
                self.write_outputs(step, id, op, outputs);
            }
            Err(error) => self.answer(step, op, Err(error)),
        }
    }

    pub(super) fn write_outputs(&mut self, step: &mut Step<'_>, id: u64, op: &mut Op, outputs: Vec<BatchOutput>) {
        for output in outputs {
            match output {
                BatchOutput::Part(part, WriteOutput::Send { to, tag, request }) => {
                    self.call(step, op, CallTarget { op: id, part, node: to, tag }, request);
                }
                BatchOutput::Part(part, WriteOutput::Hint { target }) => self.hint(step, id, op, part, target),
                BatchOutput::Part(part, WriteOutput::Replan { known }) => {
                    self.shared.metrics.stale_epoch_total.increment();
                    op.replans.push((part, known));
                }
                BatchOutput::Part(_, WriteOutput::Done(_) | WriteOutput::Finished) | BatchOutput::Finished => {}
                BatchOutput::Done(result) => {
                    self.measure_writes(op);
                    self.answer(step, op, result.map(|()| Answer::Void));
                }
            }
        }
        // A plan that is stale although this node has caught up in the meantime needs no waiting.
        if op.waits_for_at_most(self.snapshot.epoch()) {
            self.replan(step, id, op);
        }
    }

    fn measure_writes(&mut self, op: &Op) {
        let Kind::Write(write) = &op.kind else { return };
        for part in (0..).map_while(|index| write.machine.part(index)) {
            let of = (part.mutation().mutation.table, Series::CoordinatorWrite);
            self.replica.book.end_since(&self.shared, of, op.arrived);
        }
    }

    fn hint(&mut self, step: &mut Step<'_>, id: u64, op: &mut Op, part: usize, target: NodeId) {
        let Kind::Write(write) = &op.kind else { return };
        let Some(machine) = write.machine.part(part) else { return };
        let bytes = machine.mutation().bytes.clone();
        let snapshot = Arc::clone(&self.snapshot);
        match self.hints.store(step.now, &self.shared, target, &bytes, (id, part)) {
            Ok(()) => {
                op.note(step.now, || format!("Storing a hint for {}", snapshot.name_of(target)));
            }
            Err(reason) => {
                op.note(step.now, || format!("No hint was stored for {}: {reason}", snapshot.name_of(target)))
            }
        }
    }
}
