//! Clients' changes of the schema: one after another through the metadata log, answered when the live nodes have them.

use std::collections::{BTreeMap, VecDeque};

use quorate_cql::{SchemaContext, SchemaEdit};
use quorate_env::Instant;
use quorate_membership::metadata_log::{ProposalOutcome, ProposeError};
use quorate_membership::{Change, ProposalId};
use quorate_model::request::{Answer, RequestError};
use quorate_model::schema::Keyspace;
use quorate_model::{Consistency, Epoch, NodeId, TableId};
use quorate_ring::Placements;

use super::{Control, Step};
use crate::internal::{Message, SchemaRequest};
use crate::limits;
use crate::machine::MachineId;

/// A client's change.
#[derive(Debug)]
struct Waiting {
    worker: MachineId,
    op: u64,
    change: SchemaRequest,
    deadline: Instant,
    warnings: Vec<String>,
}

/// A change that was decided and waits for the live nodes to have applied it.
#[derive(Debug)]
struct Agreeing {
    worker: MachineId,
    op: u64,
    epoch: Epoch,
    until: Instant,
    answer: Answer,
    warnings: Vec<String>,
    /// Whether every node has to have applied it, those that cannot be reached included: a replica that has not heard of
    /// a TRUNCATE shows what it removed, and a read that asks it would, too.
    everywhere: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// The first is being proposed.
    waiting: VecDeque<Waiting>,
    proposal: Option<(ProposalId, Answer)>,
    agreeing: Vec<Agreeing>,
}

impl Changes {
    pub(super) fn deadline(&self) -> Option<Instant> {
        let agreeing = self.agreeing.iter().map(|agreeing| agreeing.until).min();
        let waiting = self.waiting.iter().map(|waiting| waiting.deadline).min();
        [agreeing, waiting].into_iter().flatten().min()
    }
}

impl Control {
    pub(super) fn enqueue_change(
        &mut self,
        step: &mut Step<'_>,
        worker: MachineId,
        op: u64,
        change: SchemaRequest,
        deadline: Instant,
    ) {
        if self.changes.waiting.len() >= limits::SCHEMA_QUEUE_MAX {
            let error = RequestError::Overloaded(format!("{} schema changes wait already", limits::SCHEMA_QUEUE_MAX));
            self.to_worker(step, worker, Message::Done { op, result: Err(error), warnings: Vec::new() });
            return;
        }
        self.changes.waiting.push_back(Waiting { worker, op, change, deadline, warnings: Vec::new() });
    }

    pub(super) fn drive_changes(&mut self, step: &mut Step<'_>) {
        self.finish_agreements(step);
        self.expire_changes(step);
        while self.changes.proposal.is_none() && !self.changes.waiting.is_empty() {
            if !self.propose_first(step) {
                break;
            }
        }
    }

    /// Answers those that were not proposed before their time was up; the one being proposed has its own end.
    fn expire_changes(&mut self, step: &mut Step<'_>) {
        let begun = usize::from(self.changes.proposal.is_some()).min(self.changes.waiting.len());
        let queued = self.changes.waiting.split_off(begun);
        let (expired, waiting): (VecDeque<_>, VecDeque<_>) =
            queued.into_iter().partition(|waiting| waiting.deadline <= step.now.mono);
        self.changes.waiting.extend(waiting);
        for Waiting { worker, op, warnings, .. } in expired {
            self.to_worker(step, worker, Message::Done { op, result: Err(waited_too_long()), warnings });
        }
    }

    /// Proposes the first change. False if it must be tried again later.
    fn propose_first(&mut self, step: &mut Step<'_>) -> bool {
        let Some(first) = self.changes.waiting.front() else { return false };
        if first.deadline <= step.now.mono {
            self.answer_first(step, Err(waited_too_long()));
            return true;
        }
        let (change, answer, warnings) = match self.plan_change(step, first.change.clone()) {
            Ok(planned) => planned,
            Err(error) => {
                self.answer_first(step, Err(error));
                return true;
            }
        };
        if let Some(first) = self.changes.waiting.front_mut() {
            first.warnings = warnings;
        }
        let Some(change) = change else {
            self.answer_first(step, Ok(answer));
            return true;
        };
        let timeout =
            self.changes.waiting.front().map_or_else(Default::default, |first| first.deadline.since(step.now.mono));
        let mut outputs = Vec::new();
        let epoch = self.log.epoch();
        match self.log.propose(step.now.mono, change, epoch, timeout, &mut outputs) {
            Ok(id) => self.changes.proposal = Some((id, answer)),
            Err(ProposeError::NotFounded) => {
                self.answer_first(step, Err(RequestError::Bootstrapping("this node is in no cluster yet".to_owned())));
            }
            Err(ProposeError::Busy { .. } | ProposeError::Stale { .. }) => {
                self.carry_out(step, outputs);
                return false;
            }
            Err(error @ (ProposeError::Rejected(_) | ProposeError::TooLarge { .. })) => {
                self.answer_first(step, Err(RequestError::invalid(error.to_string())));
            }
        }
        self.carry_out(step, outputs);
        true
    }

    /// What a request means on the present state: `None` if there is nothing to change.
    fn plan_change(
        &mut self,
        step: &Step<'_>,
        request: SchemaRequest,
    ) -> Result<(Option<Change>, Answer, Vec<String>), RequestError> {
        let metadata = self.log.metadata();
        match request {
            SchemaRequest::Truncate(table) => {
                if metadata.schema.table_by_id(table).is_none() {
                    return Err(RequestError::invalid("the table does not exist any more"));
                }
                let up_to = self.shared.clock.next(step.now.wall.0);
                Ok((Some(Change::Truncate { table, up_to }), Answer::Void, Vec::new()))
            }
            SchemaRequest::Statement(statement) => {
                let mut datacenters = BTreeMap::new();
                for node in metadata.topology.nodes.values() {
                    *datacenters.entry(node.datacenter.clone()).or_insert(0) += 1;
                }
                let context = SchemaContext {
                    new_table_id: TableId::from_u128(self.random.next_u128()),
                    datacenters,
                    timestamp: self.shared.clock.next(step.now.wall.0),
                };
                let planned = statement.apply(&metadata.schema, &context)?;
                if let SchemaEdit::PutKeyspace(keyspace) = &planned.edit {
                    self.refuse_uncopied(keyspace)?;
                }
                let change = match planned.edit {
                    SchemaEdit::None => None,
                    SchemaEdit::PutKeyspace(keyspace) => Some(Change::PutKeyspace(keyspace)),
                    SchemaEdit::DropKeyspace(name) => Some(Change::DropKeyspace(name)),
                    SchemaEdit::PutTable(table) => Some(Change::PutTable(table)),
                    SchemaEdit::DropTable { keyspace, name, .. } => Some(Change::DropTable { keyspace, name }),
                    SchemaEdit::PutType(user_type) => Some(Change::PutType(user_type)),
                    SchemaEdit::DropType { keyspace, name } => Some(Change::DropType { keyspace, name }),
                };
                let answer = planned.change.map_or(Answer::Void, Answer::SchemaChange);
                Ok((change, answer, planned.warnings))
            }
        }
    }

    /// Until data is copied when the replication of a keyspace changes, one that has tables keeps its replicas: reads
    /// would ask replicas that never got what quorums of the old ones acknowledged.
    fn refuse_uncopied(&self, keyspace: &Keyspace) -> Result<(), RequestError> {
        let metadata = self.log.metadata();
        let Some(known) = metadata.schema.keyspaces.get(&keyspace.name) else { return Ok(()) };
        // Traces are for a day and nobody counts on them.
        let is_expendable = quorate_cql::system_tables::is_stored(&keyspace.name);
        if is_expendable || known.tables.is_empty() || known.replication == keyspace.replication {
            return Ok(());
        }
        let placements = |replication| Placements::compute(&metadata.topology, replication, self.shared.id);
        if placements(&known.replication) == placements(&keyspace.replication) {
            return Ok(());
        }
        Err(RequestError::invalid(format!(
            "Changing the replication of keyspace '{}' is not supported yet while it has tables: their data would not be \
             copied to the new replicas",
            keyspace.name
        )))
    }

    /// A proposal has ended: of this node's life, or of a client's change.
    pub(super) fn proposal_finished(&mut self, step: &mut Step<'_>, id: ProposalId, outcome: ProposalOutcome) {
        if self.own_proposal_finished(step, id, &outcome) {
            return;
        }
        let Some((_, answer)) = self.changes.proposal.take_if(|(proposal, _)| *proposal == id) else { return };
        match outcome {
            ProposalOutcome::Decided { epoch, rejection: None } => {
                let Some(first) = self.changes.waiting.pop_front() else { return };
                let until = step.now.mono + self.shared.config.timing.agreement_timeout;
                self.changes.agreeing.push(Agreeing {
                    worker: first.worker,
                    op: first.op,
                    epoch,
                    until: until.min(first.deadline),
                    answer,
                    warnings: first.warnings,
                    everywhere: matches!(first.change, SchemaRequest::Truncate(_)),
                });
            }
            ProposalOutcome::Decided { rejection: Some(rejection), .. } => {
                self.answer_first(step, Err(RequestError::invalid(rejection.to_string())));
            }
            // It stays the first in the queue and is planned on the new state.
            ProposalOutcome::Superseded { .. } => {}
            ProposalOutcome::Unavailable => {
                let metadata = self.log.metadata();
                let reachable = self.reachable(step.now);
                let alive = metadata.members.iter().filter(|member| reachable.contains(member)).count();
                let error = RequestError::Unavailable {
                    consistency: Consistency::Quorum,
                    required: u32::try_from(metadata.quorum()).unwrap_or(u32::MAX),
                    alive: u32::try_from(alive).unwrap_or(u32::MAX),
                };
                self.answer_first(step, Err(error));
            }
            ProposalOutcome::Unknown => {
                let text = "the metadata members did not answer in time; the change may or may not have been made";
                self.answer_first(step, Err(RequestError::Server(text.to_owned())));
            }
        }
    }

    fn answer_first(&mut self, step: &mut Step<'_>, result: Result<Answer, RequestError>) {
        if let Some(first) = self.changes.waiting.pop_front() {
            let message = Message::Done { op: first.op, result, warnings: first.warnings };
            self.to_worker(step, first.worker, message);
        }
    }

    /// Answers those whose change every live node has applied, or whose time is up: it is decided either way.
    fn finish_agreements(&mut self, step: &mut Step<'_>) {
        if self.changes.agreeing.is_empty() {
            return;
        }
        let reachable = self.reachable(step.now);
        let own = self.applied_epoch();
        let behind = |agreeing: &Agreeing| {
            let counts = |node: &NodeId| agreeing.everywhere || reachable.contains(node);
            own < agreeing.epoch || self.peers.iter().any(|(node, peer)| counts(node) && peer.applied < agreeing.epoch)
        };
        let agreeing = std::mem::take(&mut self.changes.agreeing);
        let (waiting, finished): (Vec<_>, Vec<_>) =
            agreeing.into_iter().partition(|agreeing| agreeing.until > step.now.mono && behind(agreeing));
        self.changes.agreeing = waiting;
        for agreeing in finished {
            let result = match agreeing.everywhere && behind(&agreeing) {
                true => Err(RequestError::Truncate(
                    "the table is truncated, but not every node has done so yet: those that are not reachable now will, \
                     and may show its rows until then"
                        .to_owned(),
                )),
                false => Ok(agreeing.answer),
            };
            let message = Message::Done { op: agreeing.op, result, warnings: agreeing.warnings };
            self.to_worker(step, agreeing.worker, message);
        }
    }
}

fn waited_too_long() -> RequestError {
    RequestError::Overloaded("the schema change waited too long".to_owned())
}
