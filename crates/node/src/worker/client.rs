//! Clients' requests: from their arrival to the operation that executes them.

use std::time::Duration;

use quorate_coordinator::batch::BatchInput;
use quorate_coordinator::message::ReplicaResponse;
use quorate_coordinator::write::WriteInput;
use quorate_coordinator::{ReadInput, check_timestamp};
use quorate_cql::{BindContext, Operation, PlanKind, Prior};
use quorate_model::admin::AdminRequest;
use quorate_model::request::{
    Answer, BatchKind, BatchStatement, ClientRequest, ClientResponse, Prepared, QueryOptions, RequestBody,
    RequestError, ResultMetadata, Values, WriteType,
};
use quorate_model::{Mutation, NodeId, Seconds};

use super::calls::Call;
use super::modifications::Modification;
use super::op::{Kind, Op};
use super::reads::ReadSettings;
use super::statements::Planned;
use super::trace::{Tracing, shorten};
use super::{Step, Worker};
use crate::internal::{Message, SchemaRequest};
use crate::limits;
use crate::machine::{Output, RequestId};
use crate::shared::NodePhase;

/// A planned statement with what it is to be executed with.
pub(super) struct Bound<'a> {
    pub planned: &'a Planned,
    pub values: &'a Values,
    pub options: QueryOptions,
    pub timeout: Duration,
    /// What was read for it, if it depends on that.
    pub prior: Option<&'a Prior>,
}

impl Worker {
    pub(super) fn start(&mut self, step: &mut Step<'_>, client: RequestId, mut request: ClientRequest) {
        if let Err(error) = self.admit(&request.body) {
            self.shared.metrics.requests_refused_total.increment();
            let response = ClientResponse { result: Err(error), warnings: Vec::new(), trace: None };
            step.out.push(Output::Reply { id: client, response: Box::new(response) });
            return;
        }
        let asked = request.options.timeout_ms;
        request.options.timeout_ms = asked.map(|millis| millis.min(limits::TIMEOUT_MS_MAX));
        let timeout = self.timeout_of(&request);
        let mut op = Op::new(client, step.now.mono, step.now.mono + timeout, self.snapshot.epoch());
        op.trace = self.new_trace(step, &request);
        let id = self.requests.draw();
        if let Err(error) = self.execute(step, id, &mut op, request, timeout) {
            self.answer(step, &mut op, Err(error));
        }
        // What was answered at once was never anybody's to know.
        if !op.is_finished() {
            self.put_back(id, Box::new(op));
        } else {
            self.calls.forget(op.calls.drain(..));
        }
    }

    /// Whether the node takes on a request at all.
    fn admit(&self, body: &RequestBody) -> Result<(), RequestError> {
        if !matches!(body, RequestBody::Admin(_)) {
            match self.shared.phase() {
                NodePhase::Ready => {}
                NodePhase::Drained => {
                    return Err(RequestError::Overloaded("this node is drained and serves no more".to_owned()));
                }
                NodePhase::Starting | NodePhase::Joining => {
                    return Err(RequestError::Bootstrapping("this node has not joined its cluster yet".to_owned()));
                }
            }
        }
        if self.clients_waiting() >= self.shared.config.requests_max {
            let text = format!("{} requests are in flight on this node's worker", self.clients_waiting());
            return Err(RequestError::Overloaded(text));
        }
        // Answered writes stay until their last replica has answered or their time is over.
        let unfinished_max = self.shared.config.requests_max.saturating_mul(limits::UNFINISHED_FACTOR);
        if self.requests.by_id.len() >= unfinished_max {
            let text = format!("{} writes still wait for a slow replica", self.requests.by_id.len());
            return Err(RequestError::Overloaded(text));
        }
        Ok(())
    }

    /// Clients that wait for an answer.
    pub(super) fn clients_waiting(&self) -> usize {
        self.requests.by_client.len() + self.alone.count()
    }

    fn timeout_of(&self, request: &ClientRequest) -> Duration {
        let timing = &self.shared.config.timing;
        match (request.options.timeout_ms, &request.body) {
            (Some(millis), _) => Duration::from_millis(u64::from(millis)),
            (None, RequestBody::Batch { .. }) => timing.write_timeout,
            (None, RequestBody::Admin(_)) => timing.admin_timeout,
            // Refined when it is known what the statement does.
            (None, _) => timing.read_timeout.max(timing.write_timeout),
        }
    }

    /// A trace, if the client asked for one or chance has it.
    fn new_trace(&mut self, step: &Step<'_>, request: &ClientRequest) -> Option<Box<Tracing>> {
        let wanted = request.options.tracing || self.shared.trace_probability.hits(|| self.random.next_u64());
        if !wanted || matches!(request.body, RequestBody::Admin(_)) {
            return None;
        }
        Some(Box::new(Tracing::new(request, self.me(), step.now, self.random.next_u64())))
    }

    fn execute(
        &mut self,
        step: &mut Step<'_>,
        id: u64,
        op: &mut Op,
        request: ClientRequest,
        timeout: Duration,
    ) -> Result<(), RequestError> {
        let ClientRequest { body, keyspace, options } = request;
        let keyspace = keyspace.as_deref();
        match body {
            RequestBody::Query { text, values } => {
                let planned = self.statements.plan_text(&self.snapshot, keyspace, &text)?;
                op.note(step.now, || format!("Parsed and planned: {}", shorten(&text)));
                if let Some(trace) = &mut op.trace {
                    trace.statement(&text, &planned.plan.parameters, &values);
                }
                self.run(step, id, op, Bound { planned: &planned, values: &values, options, timeout, prior: None })
            }
            RequestBody::Prepare { text } => {
                let (statement, planned) = self.statements.prepare(&self.shared, &self.snapshot, keyspace, &text)?;
                if let Some(trace) = &mut op.trace {
                    trace.note(step.now, format!("Prepared: {}", shorten(&text)));
                    trace.statement(&text, &ResultMetadata::default(), &Values::default());
                }
                let plan = &planned.plan;
                let prepared = Prepared {
                    id: statement,
                    parameters: plan.parameters.clone(),
                    partition_key: plan.partition_key_markers.clone(),
                    result: plan.result.clone(),
                };
                self.answer(step, op, Ok(Answer::Prepared(prepared)));
                Ok(())
            }
            RequestBody::Execute { statement, values } => {
                let planned = self.statements.prepared(&self.shared, &self.snapshot, statement)?;
                if let Some(trace) = &mut op.trace {
                    let text = self.shared.prepared.get(statement).map(|known| known.text).unwrap_or_default();
                    trace.note(step.now, "Found the prepared statement".to_owned());
                    trace.statement(&text, &planned.plan.parameters, &values);
                }
                self.run(step, id, op, Bound { planned: &planned, values: &values, options, timeout, prior: None })
            }
            RequestBody::Batch { kind, statements } => self.batch(step, id, op, (kind, statements), keyspace, options),
            RequestBody::Admin(request) => self.admin(step, id, request),
        }
    }

    fn admin(&mut self, step: &mut Step<'_>, id: u64, request: AdminRequest) -> Result<(), RequestError> {
        let message = Message::Admin { worker: self.machine, op: id, request };
        self.to_control(step, message);
        Ok(())
    }

    /// Binds a statement and starts what it asks for.
    pub(super) fn run(
        &mut self,
        step: &mut Step<'_>,
        id: u64,
        op: &mut Op,
        Bound { planned, values, mut options, timeout, prior }: Bound<'_>,
    ) -> Result<(), RequestError> {
        let operation = self.bind(step, planned, values, &options, (prior, &mut 0))?;
        let timing = self.shared.config.timing;
        match operation {
            Operation::Mutations(mutations) => {
                let write_type = match &planned.plan.kind {
                    PlanKind::Batch(_) => batch_type(mutations.len()),
                    _ => WriteType::Simple,
                };
                if options.timeout_ms.is_none() {
                    op.deadline = step.now.mono + timing.write_timeout;
                }
                self.check_mutations(step, &mutations)?;
                self.start_writes(step, id, op, mutations, options.consistency, write_type)
            }
            Operation::Read(read) => {
                let is_range = read
                    .commands
                    .iter()
                    .any(|command| matches!(command.target, quorate_model::ReadTarget::Range { .. }));
                let timeout = match options.timeout_ms {
                    Some(_) => timeout,
                    None if is_range => timing.range_timeout,
                    None => timing.read_timeout,
                };
                let settings = ReadSettings {
                    consistency: options.consistency,
                    page_size: options.page_size.filter(|size| *size > 0),
                    paging_state: options.paging_state,
                    timeout,
                    fingerprint: planned.fingerprint,
                };
                self.start_read(step, id, op, read, settings)
            }
            Operation::ReadFirst(commands) => {
                self.settle_times(step, &mut options);
                let (planned, values) = (planned.clone(), values.clone());
                let request = Modification::Statement { planned, values, options, timeout };
                self.start_prior_read(step, id, op, commands, request)
            }
            Operation::Schema(statement) => {
                self.change(step, id, op, SchemaRequest::Statement(Box::new(statement)), &options)
            }
            Operation::Truncate(table) => self.change(step, id, op, SchemaRequest::Truncate(table.id), &options),
            Operation::Use(keyspace) => {
                self.answer(step, op, Ok(Answer::SetKeyspace(keyspace)));
                Ok(())
            }
            Operation::Describe(request) => {
                let rows = request.rows(&self.snapshot.metadata.schema, &self.facts())?;
                self.answer(step, op, Ok(Answer::Rows(rows)));
                Ok(())
            }
            Operation::Nothing => {
                self.answer(step, op, Ok(Answer::Void));
                Ok(())
            }
        }
    }

    /// A request that is bound more than once has the same times each time.
    fn settle_times(&self, step: &Step<'_>, options: &mut QueryOptions) {
        options.timestamp = Some(options.timestamp.unwrap_or_else(|| self.shared.clock.next(step.now.wall.0)));
        options.now = Some(options.now.unwrap_or(Seconds::from_micros(step.now.wall.0)));
    }

    pub(super) fn bind(
        &mut self,
        step: &Step<'_>,
        planned: &Planned,
        values: &Values,
        options: &QueryOptions,
        (prior, sequence): (Option<&Prior>, &mut u32),
    ) -> Result<Operation, RequestError> {
        let wall = step.now.wall;
        let timestamp = options.timestamp.unwrap_or_else(|| self.shared.clock.next(wall.0));
        let random = &mut self.random;
        let mut context = BindContext {
            now: options.now.unwrap_or(Seconds::from_micros(wall.0)),
            timestamp,
            partitioner: quorate_ring::partitioner::token,
            random: &mut || random.next_u64(),
            page_size: options.page_size,
            prior,
        };
        planned.plan.bind_next(values, &mut context, sequence)
    }

    /// Refuses timestamps from the future before anything is sent.
    pub(super) fn check_mutations(&self, step: &Step<'_>, mutations: &[Mutation]) -> Result<(), RequestError> {
        for mutation in mutations {
            if let Some(timestamp) = mutation.update.max_timestamp() {
                check_timestamp(timestamp, step.now.wall, self.shared.config.clock_skew_max)?;
                self.shared.clock.observe(timestamp);
            }
        }
        Ok(())
    }

    fn batch(
        &mut self,
        step: &mut Step<'_>,
        id: u64,
        op: &mut Op,
        (kind, statements): (BatchKind, Vec<BatchStatement>),
        keyspace: Option<&str>,
        mut options: QueryOptions,
    ) -> Result<(), RequestError> {
        if statements.len() > limits::BATCH_STATEMENTS_MAX {
            return Err(RequestError::invalid(format!(
                "a batch of {} statements; at most {} are allowed",
                statements.len(),
                limits::BATCH_STATEMENTS_MAX
            )));
        }
        // One timestamp for the whole batch, as in Cassandra.
        self.settle_times(step, &mut options);
        let mut planned_statements = Vec::with_capacity(statements.len());
        for statement in statements {
            let (planned, values) = match statement {
                BatchStatement::Query(text, values) => {
                    (self.statements.plan_text(&self.snapshot, keyspace, &text)?, values)
                }
                BatchStatement::Prepared(statement, values) => {
                    (self.statements.prepared(&self.shared, &self.snapshot, statement)?, values)
                }
            };
            if !matches!(planned.plan.kind, PlanKind::Modify(_)) {
                return Err(RequestError::invalid(
                    "Invalid statement in batch: only UPDATE, INSERT and DELETE statements are allowed.",
                ));
            }
            planned_statements.push((planned, values));
        }
        self.write_batch(step, id, op, (kind, planned_statements), options, None)
    }

    fn change(
        &mut self,
        step: &mut Step<'_>,
        id: u64,
        op: &mut Op,
        change: SchemaRequest,
        options: &QueryOptions,
    ) -> Result<(), RequestError> {
        if options.timeout_ms.is_none() {
            op.deadline = op.arrived + self.shared.config.timing.schema_timeout;
        }
        let message = Message::Change { worker: self.machine, op: id, change, deadline: op.deadline };
        self.to_control(step, message);
        Ok(())
    }

    pub(super) fn control_done(
        &mut self,
        step: &mut Step<'_>,
        id: u64,
        result: Result<Answer, RequestError>,
        warnings: Vec<String>,
    ) {
        self.with_op(step, id, |worker, step, op| {
            op.warnings.extend(warnings);
            worker.answer(step, op, result);
        });
    }

    /// The client is gone: reads end, writes go on to their hints, and nobody is answered.
    pub(super) fn cancel(&mut self, client: RequestId) {
        let Some(id) = self.requests.by_client.remove(&client) else { return self.cancel_alone(client) };
        let Some(mut op) = self.requests.by_id.remove(&id) else { return };
        op.answered = true;
        self.put_back(id, op);
    }

    pub(super) fn op_response(&mut self, step: &mut Step<'_>, op: &mut Op, call: Call, response: ReplicaResponse) {
        match op.kind {
            Kind::Write(_) => self.write_response(step, op, call, response),
            Kind::Read(_) => self.read_response(step, op, call, response),
            Kind::Control => {}
        }
    }

    pub(super) fn op_link_down(&mut self, step: &mut Step<'_>, id: u64, op: &mut Op, node: NodeId) {
        match op.kind {
            Kind::Write(_) => self.step_write(step, id, op, BatchInput::All(WriteInput::LinkDown { node })),
            Kind::Read(_) => self.step_read(step, id, op, ReadInput::LinkDown { node }),
            Kind::Control => {}
        }
    }

    pub(super) fn op_tick(&mut self, step: &mut Step<'_>, id: u64, op: &mut Op) {
        match op.kind {
            Kind::Write(_) => self.step_write(step, id, op, BatchInput::All(WriteInput::Tick)),
            Kind::Read(_) => self.step_read(step, id, op, ReadInput::Tick),
            Kind::Control => {
                if op.deadline <= step.now.mono {
                    let text = "the request was not finished in time; it may or may not take effect";
                    self.answer(step, op, Err(RequestError::Server(text.to_owned())));
                }
            }
        }
    }

    /// Plans again what waited for the epoch that is now here.
    pub(super) fn replan(&mut self, step: &mut Step<'_>, id: u64, op: &mut Op) {
        let epoch = self.snapshot.epoch();
        let (ready, waiting): (Vec<_>, Vec<_>) =
            std::mem::take(&mut op.replans).into_iter().partition(|(_, wanted)| *wanted <= epoch);
        op.replans = waiting;
        match op.kind {
            Kind::Write(_) => {
                for (part, _) in ready {
                    self.replan_write(step, id, op, part);
                }
            }
            Kind::Read(_) => self.replan_read(step, id, op),
            Kind::Control => {}
        }
    }
}

pub(super) fn batch_type(partitions: usize) -> WriteType {
    if partitions == 1 { WriteType::Simple } else { WriteType::UnloggedBatch }
}
