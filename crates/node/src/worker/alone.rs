//! What this node can do alone, where it arrived: reads and writes for which its own replica is enough.
//!
//! With one replica, or at `ONE`, no message is sent and nothing can disagree, so a read from memory needs no machine:
//! it is answered in the step that brought it. A write of which this node keeps the only copy waits for the log beside
//! those of peers, and its client is answered when it is applied. Whatever is out of the ordinary (a table that is lost,
//! blocks that are on disk, a deadline that passes, a log that has no room) goes to the machines that know what to do: a
//! read begins anew with one, a write is handed over with what has become of it.

use std::collections::VecDeque;
use std::time::Duration;

use quorate_coordinator::batch::{BatchMachine, BatchOutput};
use quorate_coordinator::message::{EncodedMutation, ReplicaResponse};
use quorate_coordinator::write::WriteOutput;
use quorate_coordinator::{Continuation, Requirement, reconcile};
use quorate_env::Instant;
use quorate_model::read::RowChoice;
use quorate_model::request::{Answer, ClientResponse, RequestError, WriteType};
use quorate_model::{Consistency, LiveRows, Mutation, ReadCommand, ReadTarget, TableId, Token};
use quorate_storage::Access;

use super::calls::Call;
use super::op::{Kind, Op};
use super::replica::Origin;
use super::writes::WriteOp;
use super::{Step, Worker};
use crate::latencies::Series;
use crate::machine::{Output, RequestId};
use crate::snapshot::TablePlacement;

/// Writes that this node does alone, in the order of their deadlines.
#[derive(Default)]
pub(super) struct Alone {
    /// Named by their place: the first one's name is `first`.
    waiting: VecDeque<AloneWrite>,
    first: u64,
    /// How many of them are not answered.
    count: usize,
}

/// A write that waits for the log.
struct AloneWrite {
    client: RequestId,
    consistency: Consistency,
    write_type: WriteType,
    table: TableId,
    arrived: Instant,
    deadline: Instant,
    ended: bool,
}

impl Alone {
    /// Writes whose clients wait.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// When the first of them is late.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.waiting.front().map(|write| write.deadline)
    }

    /// Asserts the invariants.
    pub(super) fn check(&self) {
        assert_eq!(
            self.count,
            self.waiting.iter().filter(|write| !write.ended).count(),
            "writes that wait are counted"
        );
        assert!(
            self.waiting.iter().is_sorted_by_key(|write| write.deadline),
            "writes wait in the order of their deadlines"
        );
        assert!(self.waiting.front().is_none_or(|write| !write.ended), "what has ended is forgotten");
    }

    fn push(&mut self, write: AloneWrite) -> u64 {
        self.waiting.push_back(write);
        self.count += 1;
        self.first + self.waiting.len() as u64 - 1
    }

    /// Takes a write out; `None` if it has been taken before.
    fn take(&mut self, id: u64) -> Option<AloneWrite> {
        let index = usize::try_from(id.checked_sub(self.first)?).ok()?;
        let write = self.waiting.get_mut(index).filter(|write| !write.ended)?;
        write.ended = true;
        let taken = AloneWrite { ..*write };
        self.count -= 1;
        while self.waiting.pop_front_if(|write| write.ended).is_some() {
            self.first += 1;
        }
        Some(taken)
    }

    fn find(&self, client: RequestId) -> Option<u64> {
        let index = self.waiting.iter().position(|write| write.client == client && !write.ended)?;
        Some(self.first + index as u64)
    }
}

impl Worker {
    /// Whether this node's replica alone meets the level of a read among these replicas.
    fn reads_alone(&self, placement: &TablePlacement, token: Token, consistency: Consistency) -> bool {
        let set = placement.placements.replicas(token);
        // While the range moves, its level is met among the new replicas too.
        let is_kept = set.next.as_ref().is_none_or(|next| next.contains(&self.shared.id));
        let readable = is_kept && (set.read_from_next || set.current.contains(&self.shared.id));
        Requirement::is_one(consistency, &placement.factors) && readable
    }

    /// Reads here and now what the command wants, from where an earlier page stopped; `None` if a machine is to do it.
    pub(super) fn read_alone(
        &mut self,
        op: &Op,
        command: &ReadCommand,
        resume: Option<&Continuation>,
        (consistency, timeout): (Consistency, Duration),
    ) -> Option<LiveRows> {
        let ReadTarget::Partition(key) = &command.target else { return None };
        if op.trace.is_some() || command.rows != RowChoice::All || timeout < Duration::from_millis(1) {
            return None;
        }
        let left = match resume {
            // How many rows of the partition may still be given is for a machine to count.
            Some(_) if command.per_partition_limit != u32::MAX => return None,
            Some(resume) => Some(command.slices_from(&resume.place)).filter(|slices| !slices.is_empty())?,
            None => Vec::new(),
        };
        let slices = if resume.is_some() { &left } else { &command.slices };
        let placement = self.snapshot.table(command.table)?;
        if !self.reads_alone(placement, key.token, consistency) {
            return None;
        }
        let book = &mut self.replica.book;
        let began = book.begin(&self.shared, command.table);
        let live = self.shared.storage().read_live(command, key, slices, Access::MemoryOnly).ok()?;
        book.end(&self.shared, (command.table, Series::LocalRead), began);
        self.shared.metrics.coordinated_reads_total.increment();
        self.shared.metrics.replica_reads_total.increment();
        let answer = reconcile::only_live_answer(command, slices, live);
        book.end(&self.shared, (command.table, Series::CoordinatorRead), began);
        Some(answer)
    }

    /// Starts a write of which this node keeps the only copy. Gives the mutation back if a machine is to do it.
    pub(super) fn write_alone(
        &mut self,
        step: &mut Step<'_>,
        op: &mut Op,
        encoded: EncodedMutation,
        consistency: Consistency,
        write_type: WriteType,
    ) -> Option<EncodedMutation> {
        if !self.writes_alone(op, &encoded.mutation, consistency) {
            return Some(encoded);
        }
        let Some(client) = op.client else { return Some(encoded) };
        let (replica, mut context) = self.serving(step);
        let Ok(position) = replica.admit(&mut context, &encoded, true) else { return Some(encoded) };
        let (table, arrived, deadline) = (encoded.mutation.table, op.arrived, op.deadline);
        let write = AloneWrite { client, consistency, write_type, table, arrived, deadline, ended: false };
        let id = self.alone.push(write);
        let (replica, mut context) = self.serving(step);
        replica.hold(&mut context, position, encoded.mutation, Origin::Alone { id }, false);
        // Whoever holds the operation has nothing more to do with it.
        op.answered = true;
        self.shared.metrics.coordinated_writes_total.increment();
        None
    }

    fn writes_alone(&self, op: &Op, mutation: &Mutation, consistency: Consistency) -> bool {
        let Some(placement) = self.snapshot.table(mutation.table) else { return false };
        let set = placement.placements.replicas(mutation.key.token);
        let is_usual = op.trace.is_none() && op.deadline == op.arrived + self.shared.config.timing.write_timeout;
        let in_order = self.alone.waiting.back().is_none_or(|last| last.deadline <= op.deadline);
        is_usual
            && in_order
            && self.replica.has_room()
            && *set.write == [self.shared.id]
            && *set.current == [self.shared.id]
            && Requirement::is_one(consistency, &placement.factors)
    }

    /// The replica has applied a write, or could not.
    pub(super) fn alone_served(&mut self, step: &mut Step<'_>, id: u64, response: &ReplicaResponse) {
        let Some(write) = self.alone.take(id) else { return };
        self.replica.book.end_since(&self.shared, (write.table, Series::CoordinatorWrite), write.arrived);
        let result = match response {
            ReplicaResponse::Written => Ok(Answer::Void),
            other => Err(RequestError::Server(format!("the write was logged and not applied: {other:?}"))),
        };
        let response = ClientResponse { result, warnings: Vec::new(), trace: None };
        step.out.push(Output::Reply { id: write.client, response: Box::new(response) });
    }

    /// Nobody waits for the answer any more.
    pub(super) fn cancel_alone(&mut self, client: RequestId) {
        if let Some(id) = self.alone.find(client)
            && self.alone.take(id).is_some()
        {
            self.replica.redirect(Origin::Alone { id }, Origin::Nobody);
        }
    }

    /// Hands over what is late.
    pub(super) fn hand_over_late(&mut self, step: &mut Step<'_>) {
        while self.alone.deadline().is_some_and(|deadline| deadline <= step.now.mono) {
            if !self.hand_over_first(step) {
                break;
            }
        }
    }

    /// Hands over everything, before the replica hears that the log could not be synced.
    pub(super) fn hand_over_all(&mut self, step: &mut Step<'_>) {
        while !self.alone.waiting.is_empty() {
            if !self.hand_over_first(step) {
                break;
            }
        }
    }

    /// Gives the first write to a machine, as if it had had it from its beginning. False if it has been applied, and its
    /// answer is about to be given.
    fn hand_over_first(&mut self, step: &mut Step<'_>) -> bool {
        let first = self.alone.first;
        let origin = Origin::Alone { id: first };
        let Some(mutation) = self.replica.mutation_of(origin) else { return false };
        let Some(write) = self.alone.take(first) else { return false };
        let mut op = Op::new(write.client, write.arrived, write.deadline, self.snapshot.epoch());
        let id = self.requests.draw();
        match self.plan_mutation(&mutation) {
            Err(error) => self.answer(step, &mut op, Err(error)),
            Ok(plan) => {
                let writes = vec![(EncodedMutation::of(mutation), plan)];
                let mut outputs = Vec::new();
                let (level, kind, now) = (write.consistency, write.write_type, step.now.mono);
                let machine = BatchMachine::start(writes, level, kind, write.deadline, now, &mut outputs);
                op.kind = Kind::Write(WriteOp { machine });
                outputs.retain(|output| !self.is_under_way(id, &mut op, output, first));
                self.write_outputs(step, id, &mut op, outputs);
            }
        }
        // If the plan has changed and it is not this node's write any more.
        self.replica.redirect(origin, Origin::Nobody);
        self.put_back(id, Box::new(op));
        true
    }

    /// Whether the output is the request that this node's replica works on: then the machine will hear of its end.
    fn is_under_way(&mut self, id: u64, op: &mut Op, output: &BatchOutput, alone: u64) -> bool {
        match output {
            BatchOutput::Part(part, WriteOutput::Send { to, tag, .. }) if *to == self.shared.id => {
                let call = Call { op: id, part: *part, node: *to, tag: *tag, sent: op.arrived };
                let call = self.calls.insert(call);
                op.calls.push(call);
                self.replica.redirect(Origin::Alone { id: alone }, Origin::Local { call });
                true
            }
            _ => false,
        }
    }
}
