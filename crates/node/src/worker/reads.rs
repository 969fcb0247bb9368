//! Coordinating reads: command after command, page after page, until the client's page is full.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use quorate_coordinator::message::ReplicaResponse;
use quorate_coordinator::{
    Continuation, ReadInput, ReadMachine, ReadOutput, ReadRepair, ReadRequest, ReadStats, ScanMachine, ScanRange,
};
use quorate_cql::{PageProgress, ReadOperation, ResultBuilder};
use quorate_env::Instant;
use quorate_model::request::{Answer, RequestError};
use quorate_model::wire::Wire;
use quorate_model::{Consistency, LiveRows, NodeId, ReadCommand, ReadResponse, ReadTarget, Token};

use super::calls::Call;
use super::feeding::{feed, feed_live};
use super::modifications::{Modification, PendingWrites};
use super::op::{Kind, Op};
use super::{CallTarget, Step, Worker};
use crate::latencies::Series;
use crate::limits;
use crate::paging::PagingState;
use crate::snapshot::{Snapshot, TablePlacement};

/// Reads in flight: a `SELECT`'s, or those that a modification depends on.
pub(super) struct ReadOp {
    pub(super) goal: Goal,
    consistency: Consistency,
    /// Time for each read of which the answer is made.
    timeout: Duration,
    /// Which of the commands is being read.
    command: usize,
    /// Where it goes on.
    pub(super) resume: Option<Continuation>,
    machine: Machine,
    /// When the machine began, if it is measured.
    began: Option<Instant>,
    counted: ReadStats,
}

/// What is done with what is read.
pub(super) enum Goal {
    Answer(Box<Answering>),
    /// `None` once it has been taken out to be written.
    Write(Option<Box<PendingWrites>>),
}

/// A `SELECT`'s answer in the making.
pub(super) struct Answering {
    pub(super) operation: ReadOperation,
    pub(super) builder: Option<ResultBuilder>,
    pub(super) page_size: Option<u32>,
    fingerprint: u64,
}

enum Machine {
    /// Between two reads.
    None,
    One(Box<ReadMachine>),
    Scan(Box<ScanMachine>),
}

/// What a client asked, beside the operation itself.
pub(super) struct ReadSettings {
    pub consistency: Consistency,
    pub page_size: Option<u32>,
    pub paging_state: Option<Bytes>,
    pub timeout: Duration,
    pub fingerprint: u64,
}

impl ReadOp {
    pub(super) fn deadline(&self) -> Option<Instant> {
        match &self.machine {
            Machine::None => None,
            Machine::One(machine) => machine.deadline(),
            Machine::Scan(machine) => machine.deadline(),
        }
    }

    fn new(goal: Goal, consistency: Consistency, timeout: Duration) -> Self {
        Self {
            goal,
            consistency,
            timeout,
            command: 0,
            resume: None,
            machine: Machine::None,
            began: None,
            counted: ReadStats::default(),
        }
    }

    /// Goes on behind what was read: in the same command, or with the next.
    pub(super) fn go_on(&mut self, following: Option<Continuation>) {
        if following.is_none() {
            self.command += 1;
        }
        self.resume = following;
    }

    /// The command that is being read; none once all are done.
    pub(super) fn current(&self) -> Option<&ReadCommand> {
        let commands = match &self.goal {
            Goal::Answer(answering) => &answering.operation.commands,
            Goal::Write(pending) => &pending.as_ref()?.commands,
        };
        commands.get(self.command)
    }
}

impl Answering {
    /// Whether the answer is given in pages of the client's size.
    fn is_paged(&self) -> bool {
        self.page_size.is_some() && (!self.operation.is_aggregate() || self.operation.is_grouped())
    }
}

impl Worker {
    /// Starts a `SELECT`; sets the kind of `op`.
    pub(super) fn start_read(
        &mut self,
        step: &mut Step<'_>,
        id: u64,
        op: &mut Op,
        operation: ReadOperation,
        settings: ReadSettings,
    ) -> Result<(), RequestError> {
        if operation.commands.len() > limits::READ_PARTITIONS_MAX {
            return Err(RequestError::invalid(format!(
                "IN selects {} partitions, more than the {} that one query may read",
                operation.commands.len(),
                limits::READ_PARTITIONS_MAX
            )));
        }
        let mut progress = None;
        let (mut command, mut resume) = (0, None);
        if let Some(bytes) = &settings.paging_state {
            let state = PagingState::open(bytes, settings.fingerprint, self.snapshot.metadata.cluster)?;
            let bad = |error| RequestError::Protocol(format!("Invalid value for the paging state: {error}"));
            progress = Some(PageProgress::from_bytes(&state.progress).map_err(bad)?);
            command = usize::try_from(state.command).unwrap_or(usize::MAX);
            resume = state.resume;
        }
        op.warnings.extend(operation.warnings.iter().cloned());
        let builder = ResultBuilder::new(&operation, settings.page_size, progress);
        let ReadSettings { page_size, fingerprint, .. } = settings;
        let answering = Answering { operation, builder: Some(builder), page_size, fingerprint };
        let read = ReadOp::new(Goal::Answer(Box::new(answering)), settings.consistency, settings.timeout);
        op.kind = Kind::Read(Box::new(ReadOp { command, resume, ..read }));
        self.read_on(step, id, op);
        Ok(())
    }

    /// Starts the reads that a modification depends on, at the modification's own level.
    pub(super) fn start_prior_read(
        &mut self,
        step: &mut Step<'_>,
        id: u64,
        op: &mut Op,
        commands: Vec<ReadCommand>,
        request: Modification,
    ) -> Result<(), RequestError> {
        let consistency = request.consistency();
        if consistency == Consistency::Any {
            return Err(RequestError::invalid(format!(
                "Write operation require a read but consistency {consistency} is not supported on reads"
            )));
        }
        if commands.len() > limits::READ_PARTITIONS_MAX {
            return Err(RequestError::invalid(format!(
                "the statement depends on {} partitions, more than the {} that one request may read",
                commands.len(),
                limits::READ_PARTITIONS_MAX
            )));
        }
        let pending = Box::new(PendingWrites::new(commands, request));
        let timeout = self.shared.config.timing.read_timeout;
        op.kind = Kind::Read(Box::new(ReadOp::new(Goal::Write(Some(pending)), consistency, timeout)));
        self.read_on(step, id, op);
        Ok(())
    }

    /// Reads until something has to be awaited or the page is full.
    fn read_on(&mut self, step: &mut Step<'_>, id: u64, op: &mut Op) {
        loop {
            let Kind::Read(read) = &mut op.kind else { return };
            let command = read.current().cloned();
            let Goal::Answer(answering) = &mut read.goal else {
                match command {
                    Some(command) => self.start_next(step, id, op, command),
                    None => self.finish_prior_read(step, id, op),
                }
                return;
            };
            let is_paged = answering.is_paged();
            let Some(builder) = &mut answering.builder else { return };
            let is_long = is_paged && builder.byte_count() >= limits::PAGE_BYTES_MAX as usize;
            let full = builder.is_full() || (is_long && !answering.operation.is_grouped());
            let Some(command) = command.filter(|_| !full) else {
                self.finish_read(step, op);
                return;
            };
            if is_long {
                builder.close_after_group();
            } else if builder.byte_count() > limits::UNPAGED_BYTES_MAX {
                let error = RequestError::invalid(format!(
                    "the answer is larger than {} bytes: page it",
                    limits::UNPAGED_BYTES_MAX
                ));
                self.answer(step, op, Err(error));
                return;
            }
            let remaining = builder.rows_remaining();
            let command = page_command(command, answering, remaining);
            let table = Arc::clone(&answering.operation.plan.table);
            let (resume, consistency, timeout) = (read.resume.clone(), read.consistency, read.timeout);
            let virtual_rows = self.read_virtual(&table, &command, resume.as_ref());
            let fed = if let Some(response) = virtual_rows {
                self.take_page(step, op, response)
            } else if let Some(live) = self.read_alone(op, &command, resume.as_ref(), (consistency, timeout)) {
                self.take_live(step, op, live)
            } else {
                self.start_next(step, id, op, command);
                return;
            };
            if !fed {
                return;
            }
        }
    }

    fn start_next(&mut self, step: &mut Step<'_>, id: u64, op: &mut Op, command: ReadCommand) {
        self.shared.metrics.coordinated_reads_total.increment();
        if let Err(error) = self.start_machine(step, id, op, command) {
            self.answer(step, op, Err(error));
        }
    }

    fn finish_prior_read(&mut self, step: &mut Step<'_>, id: u64, op: &mut Op) {
        let Kind::Read(read) = &mut op.kind else { return };
        let Goal::Write(pending) = &mut read.goal else { return };
        let Some(pending) = pending.take() else { return };
        if let Err(error) = self.write_after_read(step, id, op, *pending) {
            self.answer(step, op, Err(error));
        }
    }

    fn start_machine(
        &mut self,
        step: &mut Step<'_>,
        id: u64,
        op: &mut Op,
        command: ReadCommand,
    ) -> Result<(), RequestError> {
        let Kind::Read(read) = &mut op.kind else { return Ok(()) };
        let Some(placement) = self.snapshot.table(command.table) else {
            return Err(RequestError::invalid("the table does not exist any more"));
        };
        let options = &placement.table.options;
        let speculative = placement.speculative_retry;
        let deadline = op.deadline.max(step.now.mono + read.timeout);
        let request = ReadRequest {
            resume: read.resume.clone(),
            consistency: read.consistency,
            deadline,
            speculative_delay: speculative.and_then(|retry| retry.delay(&mut self.latencies, read.timeout)),
            read_repair: match options.read_repair.eq_ignore_ascii_case("NONE") {
                true => ReadRepair::None,
                false => ReadRepair::Blocking,
            },
            command: Arc::new(command),
        };
        read.began = self.replica.book.begin(&self.shared, request.command.table);
        op.deadline = deadline;
        op.epoch = self.snapshot.epoch();
        let mut outputs = Vec::new();
        let latency = |node| self.latencies.average_us(node);
        read.machine = match &request.command.target {
            ReadTarget::Partition(key) => {
                let plan = self.snapshot.plan(placement, key.token, latency)?;
                Machine::One(Box::new(ReadMachine::start(request, plan, step.now.mono, &mut outputs)))
            }
            ReadTarget::Range { .. } => {
                let ranges = scan_ranges(&self.snapshot, placement, latency)?;
                Machine::Scan(Box::new(ScanMachine::start(request, ranges, step.now.mono, &mut outputs)))
            }
        };
        self.read_outputs(step, id, op, outputs);
        Ok(())
    }

    pub(super) fn read_response(&mut self, step: &mut Step<'_>, op: &mut Op, call: Call, response: ReplicaResponse) {
        let input = ReadInput::Response { node: call.node, tag: call.tag, response };
        self.step_read(step, call.op, op, input);
    }

    pub(super) fn step_read(&mut self, step: &mut Step<'_>, id: u64, op: &mut Op, input: ReadInput) {
        let Kind::Read(read) = &mut op.kind else { return };
        let mut outputs = Vec::new();
        match &mut read.machine {
            Machine::None => {}
            Machine::One(machine) => machine.step(step.now.mono, input, &mut outputs),
            Machine::Scan(machine) => machine.step(step.now.mono, input, &mut outputs),
        }
        self.read_outputs(step, id, op, outputs);
    }

    pub(super) fn replan_read(&mut self, step: &mut Step<'_>, id: u64, op: &mut Op) {
        let mut outputs = Vec::new();
        if let Err(error) = self.replan_machine(step, op, &mut outputs) {
            self.answer(step, op, Err(error));
            return;
        }
        self.read_outputs(step, id, op, outputs);
    }

    fn replan_machine(
        &mut self,
        step: &mut Step<'_>,
        op: &mut Op,
        outputs: &mut Vec<ReadOutput>,
    ) -> Result<(), RequestError> {
        let Kind::Read(read) = &mut op.kind else { return Ok(()) };
        let Some(placement) = read.current().and_then(|command| self.snapshot.table(command.table)) else {
            return Err(RequestError::invalid("the table does not exist any more"));
        };
        op.epoch = self.snapshot.epoch();
        let latency = |node| self.latencies.average_us(node);
        let token = match read.current().map(|command| &command.target) {
            Some(ReadTarget::Partition(key)) => key.token,
            _ => Token::MIN,
        };
        match &mut read.machine {
            Machine::None => {}
            Machine::One(machine) => {
                machine.replan(step.now.mono, self.snapshot.plan(placement, token, latency)?, outputs);
            }
            Machine::Scan(machine) => {
                machine.replan(step.now.mono, scan_ranges(&self.snapshot, placement, latency)?, outputs);
            }
        }
        Ok(())
    }

    fn read_outputs(&mut self, step: &mut Step<'_>, id: u64, op: &mut Op, outputs: Vec<ReadOutput>) {
        for output in outputs {
            match output {
                ReadOutput::Send { to, tag, request } => {
                    self.call(step, op, CallTarget { op: id, part: 0, node: to, tag }, request);
                }
                ReadOutput::Replan { known } => {
                    self.shared.metrics.stale_epoch_total.increment();
                    // Whoever refused it was ahead, and its answer has made control ask for what is missing.
                    op.replans.push((0, known));
                }
                ReadOutput::Done(result) => {
                    self.count_read(step, op);
                    match result {
                        Ok(response) => {
                            if self.take_page(step, op, response) {
                                self.read_on(step, id, op);
                            }
                        }
                        Err(error) => self.answer(step, op, Err(error)),
                    }
                    return;
                }
            }
        }
        if !op.answered && op.waits_for_at_most(self.snapshot.epoch()) {
            self.replan(step, id, op);
        }
    }

    /// Counts what a finished machine took.
    fn count_read(&mut self, step: &mut Step<'_>, op: &mut Op) {
        let Kind::Read(read) = &mut op.kind else { return };
        let (stats, series) = match std::mem::replace(&mut read.machine, Machine::None) {
            Machine::None => return,
            Machine::One(machine) => (machine.stats(), Series::CoordinatorRead),
            Machine::Scan(machine) => (machine.stats(), Series::CoordinatorScan),
        };
        if let Some(table) = read.current().map(|command| command.table) {
            self.replica.book.end(&self.shared, (table, series), read.began);
        }
        read.counted.mismatches += stats.mismatches;
        self.shared.metrics.speculative_reads_total.add(u64::from(stats.speculative));
        self.shared.metrics.read_repairs_total.add(u64::from(stats.repairs));
        // Answers that still come are for nobody.
        self.calls.forget(op.calls.drain(..));
        op.replans.clear();
        if stats.mismatches > 0 {
            op.note(step.now, || format!("Replicas disagreed; {} read repairs were sent", stats.repairs));
        }
    }

    /// Feeds an answer to the result; false if the client was answered with an error.
    fn take_page(&mut self, step: &mut Step<'_>, op: &mut Op, response: ReadResponse) -> bool {
        let Kind::Read(read) = &mut op.kind else { return false };
        match feed(read, response) {
            Ok(()) => true,
            Err(error) => {
                self.answer(step, op, Err(error));
                false
            }
        }
    }

    /// Feeds what lives of a partition to the result; false if the client was answered with an error.
    fn take_live(&mut self, step: &mut Step<'_>, op: &mut Op, live: LiveRows) -> bool {
        let Kind::Read(read) = &mut op.kind else { return false };
        match feed_live(read, live) {
            Ok(()) => true,
            Err(error) => {
                self.answer(step, op, Err(error));
                false
            }
        }
    }

    fn finish_read(&mut self, step: &mut Step<'_>, op: &mut Op) {
        let cluster = self.snapshot.metadata.cluster;
        let Kind::Read(read) = &mut op.kind else { return };
        let Goal::Answer(answering) = &mut read.goal else { return };
        let Some(builder) = answering.builder.take() else { return };
        let more = read.command < answering.operation.commands.len();
        let paging_state = (answering.is_paged() && more && !builder.is_exhausted()).then(|| {
            let state = PagingState {
                statement: answering.fingerprint,
                command: u32::try_from(read.command).unwrap_or(u32::MAX),
                resume: read.resume.clone(),
                progress: builder.progress().to_bytes(),
            };
            state.seal(cluster)
        });
        let rows = builder.finish(&answering.operation, paging_state);
        self.answer(step, op, rows.map(Answer::Rows));
    }
}

/// The command for the next read of a page.
fn page_command(mut command: ReadCommand, answering: &Answering, rows_remaining: u32) -> ReadCommand {
    let wanted = match answering.operation.filters_beyond_index() {
        // Most rows may not pass; those too many are asked for again.
        true => rows_remaining.max(limits::FILTER_ROWS_MIN),
        false => rows_remaining,
    };
    let wanted = match answering.page_size.filter(|_| answering.operation.is_grouped()) {
        // How many rows its groups have is not known; what begins the next page is asked for again.
        Some(groups) => wanted.min(groups.max(limits::FILTER_ROWS_MIN)),
        None => wanted,
    };
    command.row_limit = command.row_limit.min(wanted);
    command.byte_limit = command.byte_limit.min(limits::PAGE_BYTES_MAX);
    command
}

/// Ranges of the whole ring in token order, with their replicas.
fn scan_ranges(
    snapshot: &Snapshot,
    placement: &TablePlacement,
    latency: impl Fn(NodeId) -> u64,
) -> Result<Vec<ScanRange>, RequestError> {
    let ranges = placement.placements.scan_ranges().into_iter().map(|(range, set)| {
        let after = (range.start != Token::MIN).then_some(range.start);
        Ok(ScanRange { after, last: range.end, plan: snapshot.plan_set(placement, &set, &latency)? })
    });
    ranges.collect()
}
