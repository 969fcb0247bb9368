//! This node as a replica: applying mutations and reading, for itself and for others.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use quorate_coordinator::clock::ahead_by_us;
use quorate_coordinator::message::{EncodedMutation, ReplicaFailure, ReplicaRequest, ReplicaResponse, RequestEnvelope};
use quorate_env::{Instant, Now};
use quorate_model::{Epoch, Mutation, ReadCommand, ReadResponse, ReadTarget, TableId};
use quorate_storage::{Access, LogPosition, ReadError, Storage, StorageError};

use crate::latencies::{Book, Series};
use crate::limits;
use crate::machine::{Job, JobClass, JobOutcome, Output, PeerAddress};
use crate::shared::Shared;
use crate::snapshot::Snapshot;

/// Who waits for a replica's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// A request that this worker coordinates.
    Local {
        /// The call.
        call: u64,
    },
    /// Another node.
    Remote {
        /// The machine that asked.
        from: PeerAddress,
        /// Its name for the request.
        id: u64,
    },
    /// A client of this worker, whose write this node does alone.
    Alone {
        /// The worker's name for it.
        id: u64,
    },
    /// Nobody any more.
    Nobody,
    /// This node's control machine, which had mutations applied.
    Control {
        /// Its name for them.
        token: u64,
    },
}

/// An answer with what was noted on the way to it.
#[derive(Debug)]
pub(super) struct Served {
    pub origin: Origin,
    pub response: ReplicaResponse,
    pub trace: Vec<(u64, String)>,
}

/// A mutation in the commit log that is not durable yet.
struct PendingWrite {
    position: LogPosition,
    mutation: Arc<Mutation>,
    origin: Origin,
    arrived: Instant,
    trace: bool,
}

/// A read that waits for the disk.
struct PendingRead {
    origin: Origin,
    /// The epoch that it was planned at.
    epoch: Epoch,
    digest_only: bool,
    arrived: Instant,
    /// Its table and series, and when it began if it is measured.
    measured: ((TableId, Series), Option<Instant>),
    /// The table, if it is traced.
    trace: Option<TableId>,
}

/// What serving a request needs of the worker.
pub(super) struct Context<'a> {
    pub now: Now,
    pub shared: &'a Shared,
    pub snapshot: &'a Snapshot,
    /// Answers that are ready.
    pub done: &'a mut Vec<Served>,
    pub out: &'a mut Vec<Output>,
}

/// The replica's side of a worker.
#[derive(Default)]
pub(super) struct Replica {
    writes: VecDeque<PendingWrite>,
    reads: BTreeMap<u64, PendingRead>,
    next_job: u64,
    /// Epochs seen whose earlier writes are still under way, each with the last position admitted before it.
    settling: VecDeque<(Epoch, LogPosition)>,
    settled: Option<Epoch>,
    /// Everything up to here is as durable as it will be: the driver said so, maybe for what is still to be appended.
    durable: Option<LogPosition>,
    /// Set when something was appended to the log since the last [`Output::SyncLog`].
    sync_wanted: bool,
    /// How long requests take, the worker's own too.
    pub(super) book: Book,
}

/// How the storage is read: whole, or what is left.
type ReadOfStorage = fn(&Storage, &ReadCommand, Access) -> ReadOutcome;
/// What a read job returns.
type ReadOutcome = Result<ReadResponse, ReadError>;

impl Replica {
    pub(super) fn new(book: Book) -> Self {
        Self { book, ..Self::default() }
    }

    /// Requests not yet answered.
    pub(super) fn in_flight(&self) -> usize {
        self.writes.len() + self.reads.len()
    }

    /// Serves a request. The answer comes at once in `context.done`, or later from [`Self::log_synced`] or
    /// [`Self::job_done`].
    pub(super) fn serve(&mut self, context: &mut Context<'_>, origin: Origin, request: RequestEnvelope) {
        let (trace, epoch) = (request.trace, request.epoch);
        let refused = match self.refusal(context.snapshot, &request) {
            Some(failure) => Some(failure),
            None => match request.body {
                ReplicaRequest::Write(mutation) | ReplicaRequest::Repair(mutation) => {
                    self.write(context, origin, mutation, trace).err()
                }
                ReplicaRequest::Read { command, digest_only } => {
                    let pending = self.pending_read(context, &command, (origin, epoch, digest_only, trace));
                    self.read(context, command, Storage::read, pending).err()
                }
                ReplicaRequest::ReadRemains(command) => {
                    let pending = self.pending_read(context, &command, (origin, epoch, false, trace));
                    self.read(context, command, Storage::read_remains, pending).err()
                }
            },
        };
        if let Some(failure) = refused {
            context.shared.metrics.peer_requests_refused_total.increment();
            let trace = if trace { vec![(0, format!("Refused: {failure}"))] } else { Vec::new() };
            context.done.push(Served { origin, response: ReplicaResponse::Failed(failure), trace });
        }
    }

    fn refusal(&self, snapshot: &Snapshot, request: &RequestEnvelope) -> Option<ReplicaFailure> {
        if request.timeout_ms == 0 {
            return Some(ReplicaFailure::DeadlinePassed);
        }
        if request.epoch < snapshot.metadata.placement_epoch {
            return Some(ReplicaFailure::StaleEpoch { current: snapshot.epoch() });
        }
        if !self.has_room() {
            return Some(ReplicaFailure::Overloaded(format!(
                "{} requests are in flight on this replica",
                self.in_flight()
            )));
        }
        None
    }

    fn write(
        &mut self,
        context: &mut Context<'_>,
        origin: Origin,
        encoded: EncodedMutation,
        trace: bool,
    ) -> Result<(), ReplicaFailure> {
        let is_new = !matches!(origin, Origin::Control { .. });
        let position = self.admit(context, &encoded, is_new)?;
        self.hold(context, position, encoded.mutation, origin, trace);
        Ok(())
    }

    /// Appends a mutation to the log. What control hands over is not new: a replica has accepted it before.
    pub(super) fn admit(
        &mut self,
        context: &mut Context<'_>,
        encoded: &EncodedMutation,
        is_new: bool,
    ) -> Result<LogPosition, ReplicaFailure> {
        let Context { now, shared, snapshot, .. } = context;
        let mutation = &encoded.mutation;
        if snapshot.table(mutation.table).is_none() {
            return Err(ReplicaFailure::UnknownTable);
        }
        if let Some(timestamp) = mutation.update.max_timestamp() {
            if let Some(ahead_us) = ahead_by_us(timestamp, now.wall, shared.config.clock_skew_max)
                && is_new
            {
                return Err(ReplicaFailure::ClockTooFar { ahead_us });
            }
            shared.clock.observe(timestamp);
        }
        let position = shared.storage().append(&encoded.bytes).map_err(write_failure)?;
        self.sync_wanted = true;
        Ok(position)
    }

    /// Keeps an appended mutation until it is durable; then it is applied, and `origin` hears of it.
    pub(super) fn hold(
        &mut self,
        context: &mut Context<'_>,
        position: LogPosition,
        mutation: Arc<Mutation>,
        origin: Origin,
        trace: bool,
    ) {
        let write = PendingWrite { position, mutation, origin, arrived: context.now.mono, trace };
        if self.durable.is_some_and(|durable| position <= durable) {
            let served = apply(context.now, context.shared, &mut self.book, write);
            context.done.push(served);
        } else {
            self.writes.push_back(write);
        }
    }

    /// Whether another request may be in flight.
    pub(super) fn has_room(&self) -> bool {
        self.in_flight() < limits::PEER_REQUESTS_MAX
    }

    /// The mutation that waits for this origin's sake.
    pub(super) fn mutation_of(&self, origin: Origin) -> Option<Arc<Mutation>> {
        let waiting = self.writes.iter().find(|write| write.origin == origin);
        waiting.map(|write| Arc::clone(&write.mutation))
    }

    /// Lets somebody else hear of a waiting mutation's end.
    pub(super) fn redirect(&mut self, from: Origin, to: Origin) {
        if let Some(write) = self.writes.iter_mut().find(|write| write.origin == from) {
            write.origin = to;
        }
    }

    fn pending_read(
        &mut self,
        context: &Context<'_>,
        command: &ReadCommand,
        (origin, epoch, digest_only, trace): (Origin, Epoch, bool, bool),
    ) -> PendingRead {
        let series = match command.target {
            ReadTarget::Partition(_) => Series::LocalRead,
            ReadTarget::Range { .. } => Series::LocalScan,
        };
        let measured = ((command.table, series), self.book.begin(context.shared, command.table));
        let trace = trace.then_some(command.table);
        PendingRead { origin, epoch, digest_only, arrived: context.now.mono, measured, trace }
    }

    fn read(
        &mut self,
        context: &mut Context<'_>,
        command: Arc<ReadCommand>,
        read: ReadOfStorage,
        pending: PendingRead,
    ) -> Result<(), ReplicaFailure> {
        let shared = context.shared;
        if context.snapshot.table(command.table).is_none() {
            return Err(ReplicaFailure::UnknownTable);
        }
        match read(shared.storage(), &command, Access::MemoryOnly) {
            Err(ReadError::NeedsDisk) => {
                shared.metrics.replica_disk_reads_total.increment();
                self.next_job += 1;
                let storage = Arc::clone(shared.storage());
                let work = move || -> JobOutcome {
                    let outcome: ReadOutcome = read(&storage, &command, Access::Disk);
                    JobOutcome(Box::new(outcome))
                };
                context.out.push(Output::Job(Job { id: self.next_job, class: JobClass::Read, work: Box::new(work) }));
                self.reads.insert(self.next_job, pending);
            }
            outcome => {
                self.book.end(shared, pending.measured.0, pending.measured.1);
                context.done.push(read_done(context.now, shared, pending, outcome, "memory and cache"));
            }
        }
        Ok(())
    }

    /// A read job has ended. If its range may have moved since it was planned, it is refused like one that comes only now:
    /// what it found may have been written by the new plan, and nobody reads by the old one any more.
    pub(super) fn job_done(&mut self, context: &mut Context<'_>, id: u64, outcome: JobOutcome) {
        let Some(pending) = self.reads.remove(&id) else { return };
        if pending.epoch < context.snapshot.metadata.placement_epoch {
            let failure = ReplicaFailure::StaleEpoch { current: context.snapshot.epoch() };
            context.shared.metrics.peer_requests_refused_total.increment();
            let response = ReplicaResponse::Failed(failure);
            context.done.push(Served { origin: pending.origin, response, trace: Vec::new() });
            return;
        }
        self.book.end(context.shared, pending.measured.0, pending.measured.1);
        let outcome = outcome.0.downcast::<ReadOutcome>().map_or(Err(ReadError::NeedsDisk), |outcome| *outcome);
        context.done.push(read_done(context.now, context.shared, pending, outcome, "disk"));
    }

    /// The log is durable before this position: what waited becomes visible and is answered, a piece now and the rest in
    /// [`Self::apply_durable`]. After an error nothing is answered: whether it is on disk is not known.
    pub(super) fn log_synced(
        &mut self,
        now: Now,
        shared: &Shared,
        result: Result<LogPosition, StorageError>,
        done: &mut Vec<Served>,
        out: &mut Vec<Output>,
    ) {
        let durable = match result {
            Ok(position) => position,
            Err(error @ (StorageError::NoSpace(_) | StorageError::Overloaded { .. })) => {
                while self.has_durable() {
                    self.apply_durable(now, shared, done);
                }
                // Nothing of it was written: these mutations are given up, which their coordinators hear as unknown.
                for write in self.writes.drain(..) {
                    shared.storage().abandon(write.position);
                    let response = ReplicaResponse::Failed(ReplicaFailure::Internal(error.to_string()));
                    done.push(Served { origin: write.origin, response, trace: Vec::new() });
                }
                return;
            }
            Err(error) => {
                out.push(Output::Fatal(format!("the commit log failed, and what is on disk is not known: {error}")));
                return;
            }
        };
        self.durable = self.durable.max(Some(durable));
        self.apply_durable(now, shared, done);
    }

    /// Applies a piece of what is durable: while the clients of one piece work on their answers, the next is applied.
    pub(super) fn apply_durable(&mut self, now: Now, shared: &Shared, done: &mut Vec<Served>) {
        for _ in 0..limits::APPLIED_A_STEP {
            if !self.has_durable() {
                return;
            }
            let Some(write) = self.writes.pop_front() else { return };
            done.push(apply(now, shared, &mut self.book, write));
        }
    }

    /// Whether the first of what waits is durable, and only waits for its turn to be applied.
    fn has_durable(&self) -> bool {
        self.writes.front().is_some_and(|write| self.durable.is_some_and(|durable| write.position <= durable))
    }

    /// When it wants to go on: at once, if there is something to apply.
    pub(super) fn deadline(&self) -> Option<Instant> {
        if self.has_durable() { self.writes.front().map(|write| write.arrived) } else { None }
    }

    /// A later epoch is in force: it is settled once everything that was admitted before has been applied or given up.
    pub(super) fn note_epoch(&mut self, epoch: Epoch) {
        match self.writes.back() {
            Some(write) => self.settling.push_back((epoch, write.position)),
            None => self.settled = Some(epoch),
        }
    }

    /// The latest epoch that was settled since the last call.
    pub(super) fn take_settled(&mut self) -> Option<Epoch> {
        let oldest = self.writes.front().map(|write| write.position);
        while let Some((epoch, last)) = self.settling.front().copied() {
            if oldest.is_some_and(|oldest| oldest <= last) {
                break;
            }
            self.settling.pop_front();
            self.settled = Some(epoch);
        }
        self.settled.take()
    }

    /// Asks for a sync of the log if something was appended.
    pub(super) fn finish_step(&mut self, out: &mut Vec<Output>) {
        if std::mem::take(&mut self.sync_wanted) {
            out.push(Output::SyncLog);
        }
    }

    /// Has the control machine's mutations applied. Each is answered by itself.
    pub(super) fn apply_for_control(&mut self, context: &mut Context<'_>, token: u64, mutation: EncodedMutation) {
        let origin = Origin::Control { token };
        if let Err(failure) = self.write(context, origin, mutation, false) {
            context.done.push(Served { origin, response: ReplicaResponse::Failed(failure), trace: Vec::new() });
        }
    }
}

/// Makes a durable write visible.
fn apply(now: Now, shared: &Shared, book: &mut Book, write: PendingWrite) -> Served {
    let table = write.trace.then_some(write.mutation.table);
    let response = match shared.storage().apply(write.position, &*write.mutation) {
        Ok(()) => {
            shared.metrics.replica_writes_total.increment();
            book.end_since(shared, (write.mutation.table, Series::LocalWrite), write.arrived);
            ReplicaResponse::Written
        }
        Err(error) => ReplicaResponse::Failed(ReplicaFailure::Internal(error.to_string())),
    };
    let trace = trace_of(table, shared, (now, write.arrived), |table| {
        ("Appending to commitlog".to_owned(), format!("The commit log is synced; added to {table} memtable"))
    });
    Served { origin: write.origin, response, trace }
}

fn read_done(now: Now, shared: &Shared, pending: PendingRead, outcome: ReadOutcome, source: &str) -> Served {
    let response = match outcome {
        Ok(response) => {
            shared.metrics.replica_reads_total.increment();
            if pending.digest_only {
                ReplicaResponse::Digest(response.digest())
            } else {
                ReplicaResponse::Data(response)
            }
        }
        Err(error) => ReplicaResponse::Failed(read_failure(error)),
    };
    let trace = trace_of(pending.trace, shared, (now, pending.arrived), |table| {
        let done = match &response {
            ReplicaResponse::Data(data) => {
                let rows: usize = data.partitions.iter().map(|(_, partition)| partition.rows.len()).sum();
                format!("Read {rows} rows of {} partitions from {source}", data.partitions.len())
            }
            ReplicaResponse::Digest(_) => format!("Made a digest of what was read from {source}"),
            ReplicaResponse::Written | ReplicaResponse::Failed(_) => format!("The read from {source} failed"),
        };
        (format!("Executing query on {table}"), done)
    });
    Served { origin: pending.origin, response, trace }
}

/// The two events of a traced request: its beginning and its end, with the name of its table.
fn trace_of(
    table: Option<TableId>,
    shared: &Shared,
    (now, arrived): (Now, Instant),
    activities: impl FnOnce(&str) -> (String, String),
) -> Vec<(u64, String)> {
    let Some(table) = table else { return Vec::new() };
    let snapshot = shared.snapshot();
    let name = snapshot.table(table).map_or("a dropped table", |placement| placement.table.name.as_str());
    let elapsed: Duration = now.mono.since(arrived);
    let (began, ended) = activities(name);
    vec![(0, began), (u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX), ended)]
}

fn write_failure(error: StorageError) -> ReplicaFailure {
    match error {
        StorageError::NoSpace(reason) => ReplicaFailure::NoSpace(reason),
        error @ (StorageError::Overloaded { .. } | StorageError::Poisoned(_)) => {
            ReplicaFailure::Overloaded(error.to_string())
        }
        error => ReplicaFailure::Internal(error.to_string()),
    }
}

fn read_failure(error: ReadError) -> ReplicaFailure {
    match error {
        ReadError::Corrupt(corruption) => ReplicaFailure::Corrupt(corruption.to_string()),
        ReadError::IndexUnavailable(reason) => ReplicaFailure::IndexNotAvailable(reason),
        error => ReplicaFailure::Internal(error.to_string()),
    }
}
