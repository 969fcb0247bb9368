//! This node's life: finding or founding its cluster, joining it, serving.

use std::collections::BTreeMap;
use std::time::Duration;

use quorate_env::{Instant, Now};
use quorate_membership::join::{self, COPIED_PREFIX, JoinProgress, JoinStep};
use quorate_membership::metadata_log::{ProposalOutcome, ProposeError};
use quorate_membership::{Change, ProposalId, desired_members};
use quorate_model::Token;
use quorate_model::schema::Schema;
use quorate_model::wire::Wire;
use quorate_ring::{NodeEntry, NodeState, allot_tokens};

use super::stream::Purpose;
use super::{Control, Step};
use crate::machine::Output;
use crate::peer::Frame;
use crate::shared::NodePhase;

/// How often the seeds are asked, and a step of a join is tried again.
const RETRY: Duration = Duration::from_millis(100);
/// Time for one proposal of a join.
const PROPOSAL_TIMEOUT: Duration = Duration::from_secs(5);

/// Where this node is in its life.
#[derive(Debug)]
pub(super) struct Life {
    started: Instant,
    next: Instant,
    /// A proposal of ours that is under way.
    proposal: Option<ProposalId>,
    serving: bool,
    /// Whether the driver knows where the nodes of this start's metadata listen.
    introduced: bool,
    /// Whether the copied ranges of an earlier start were read from the system store.
    copied: Option<std::collections::BTreeSet<Vec<u8>>>,
}

impl Life {
    pub(super) fn starting(now: Now) -> Self {
        Self { started: now.mono, next: now.mono, proposal: None, serving: false, introduced: false, copied: None }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        Some(self.next)
    }

    pub(super) fn is_serving(&self) -> bool {
        self.serving
    }

    /// Has the next step taken at once.
    pub(super) fn wake(&mut self, now: Now) {
        self.next = now.mono;
    }
}

impl Control {
    pub(super) fn drive_life(&mut self, step: &mut Step<'_>) {
        if step.now.mono < self.life.next {
            return;
        }
        self.life.next = step.now.mono + RETRY;
        if !std::mem::replace(&mut self.life.introduced, true) && self.log.metadata().is_founded() {
            self.tell_directory(step);
        }
        if !self.log.metadata().is_founded() {
            self.seek(step);
        } else if self.life.serving {
            self.tend_members(step);
        } else {
            self.join(step);
        }
    }

    /// Asks the seeds; founds a cluster if this is the first of them and no other answers.
    fn seek(&mut self, step: &mut Step<'_>) {
        let config = &self.shared.config;
        let others: Vec<String> = config.seeds.iter().filter(|seed| **seed != config.address).cloned().collect();
        let is_first = config.seeds.first().is_none_or(|seed| *seed == config.address);
        let waited = step.now.mono.since(self.life.started) >= config.timing.founding_wait;
        if is_first && (others.is_empty() || waited) {
            self.found(step);
            return;
        }
        let frame = Frame::Log(self.log.fetch_frame()).to_bytes();
        for address in others {
            step.out.push(Output::SendToAddress { address, frame: frame.clone() });
        }
    }

    fn found(&mut self, step: &mut Step<'_>) {
        let entry = NodeEntry { state: NodeState::Normal, ..self.own_entry() };
        let name = self.shared.config.cluster_name.clone();
        let mut outputs = Vec::new();
        match self.log.found(&name, entry, &mut outputs) {
            Ok(_) => self.carry_out(step, outputs),
            Err(error) => step.out.push(Output::Fatal(format!("cannot found the cluster '{name}': {error}"))),
        }
        self.life.wake(step.now);
    }

    /// This node as the topology will have it, with tokens that keep the present ring even.
    fn own_entry(&mut self) -> NodeEntry {
        let config = &self.shared.config;
        let topology = &self.log.metadata().topology;
        let random = &mut self.random;
        let count = usize::try_from(config.vnodes).unwrap_or(1).max(1);
        let tokens: Vec<Token> =
            allot_tokens(topology, &config.datacenter, &config.rack, count, &mut || random.next_u64());
        NodeEntry {
            id: self.shared.id,
            address: config.address.clone(),
            cql_port: config.cql_port,
            grpc_port: config.grpc_port,
            datacenter: config.datacenter.clone(),
            rack: config.rack.clone(),
            tokens,
            state: NodeState::Joining,
        }
    }

    fn join(&mut self, step: &mut Step<'_>) {
        if self.life.proposal.is_some() {
            return;
        }
        let progress = match self.join_progress(step) {
            Ok(progress) => progress,
            Err(error) => {
                step.out.push(Output::Fatal(format!("the system store failed: {error}")));
                return;
            }
        };
        match join::next_step(self.log.metadata(), self.me(), &progress) {
            // Whoever serves before it has heard the others refuses what could be done.
            JoinStep::Done if self.hears_everybody(step) || self.waited_for_others(step) => self.serve(step),
            JoinStep::Done => {}
            JoinStep::Prepare => {
                self.shared.set_phase(NodePhase::Joining);
                let entry = self.own_entry();
                self.propose_own(step, Change::JoinPrepare(entry));
            }
            // The topology does not have us yet, so nobody tells us of the other's progress: ask.
            JoinStep::AwaitOther(_) => self.ask_seeds(step),
            JoinStep::AwaitApplied { .. } => {}
            JoinStep::Copy(tasks) => {
                self.shared.set_phase(NodePhase::Joining);
                self.stream.want(tasks, Purpose::Join);
            }
            JoinStep::Propose(change) => self.propose_own(step, change),
        }
    }

    fn hears_everybody(&self, step: &Step<'_>) -> bool {
        self.reachable(step.now).len() > self.peers.len()
    }

    fn waited_for_others(&self, step: &Step<'_>) -> bool {
        step.now.mono.since(self.life.started) >= self.shared.config.timing.founding_wait
    }

    fn ask_seeds(&mut self, step: &mut Step<'_>) {
        let frame = Frame::Log(self.log.fetch_frame()).to_bytes();
        for address in self.shared.config.seeds.iter().filter(|seed| **seed != self.shared.config.address) {
            step.out.push(Output::SendToAddress { address: address.clone(), frame: frame.clone() });
        }
    }

    fn join_progress(&mut self, step: &Step<'_>) -> Result<JoinProgress, quorate_env::DiskError> {
        if self.life.copied.is_none() {
            self.life.copied = Some(self.store.scan(COPIED_PREFIX)?.into_iter().map(|(key, _)| key).collect());
        }
        let applied = self.peers.iter().map(|(node, peer)| (*node, peer.applied)).collect::<BTreeMap<_, _>>();
        Ok(JoinProgress {
            applied,
            live: self.reachable(step.now),
            copied: self.life.copied.clone().unwrap_or_default(),
        })
    }

    /// A range is here, durably: a later start does not copy it again.
    pub(super) fn range_copied(&mut self, step: &mut Step<'_>, key: Vec<u8>) {
        if let Err(error) = self.store.commit(&[(key.clone(), Some(Vec::new()))]) {
            step.out.push(Output::Fatal(format!("the system store failed: {error}")));
            return;
        }
        self.life.copied.get_or_insert_default().insert(key);
        self.life.wake(step.now);
    }

    fn serve(&mut self, step: &mut Step<'_>) {
        self.life.serving = true;
        self.shared.set_phase(NodePhase::Ready);
        let config = &self.shared.config;
        let Some(entry) = self.log.metadata().topology.node(self.shared.id) else { return };
        if entry.address != config.address || entry.cql_port != config.cql_port || entry.grpc_port != config.grpc_port {
            let change = Change::UpdateNode {
                node: self.shared.id,
                address: config.address.clone(),
                cql_port: config.cql_port,
                grpc_port: config.grpc_port,
            };
            self.propose_own(step, change);
        }
    }

    /// Lets the metadata members grow with the cluster, and gives it the system's tables that are stored. One node does it:
    /// the first of the members that can be reached.
    fn tend_members(&mut self, step: &mut Step<'_>) {
        let reachable = self.reachable(step.now);
        let metadata = self.log.metadata();
        let first = reachable.iter().find(|node| metadata.is_member(**node));
        if self.life.proposal.is_some() || first != Some(&self.me()) || metadata.topology.movement.is_some() {
            return;
        }
        if let Some(members) = desired_members(&metadata.topology, &metadata.members, &reachable) {
            self.propose_own(step, Change::SetMembers(members));
        } else if let Some(change) = missing_system_table(&metadata.schema) {
            self.propose_own(step, change);
        }
    }

    fn propose_own(&mut self, step: &mut Step<'_>, change: Change) {
        let mut outputs = Vec::new();
        let epoch = self.log.epoch();
        let proposed = self.log.propose(step.now.mono, change, epoch, PROPOSAL_TIMEOUT, &mut outputs);
        match proposed {
            Ok(id) => self.life.proposal = Some(id),
            // The next try plans anew.
            Err(ProposeError::Rejected(_) | ProposeError::Stale { .. } | ProposeError::Busy { .. }) => {}
            Err(error) => step.out.push(Output::Fatal(format!("a change of the cluster was refused: {error}"))),
        }
        self.carry_out(step, outputs);
    }

    /// One of our own proposals has ended; says whether it was one.
    pub(super) fn own_proposal_finished(
        &mut self,
        step: &mut Step<'_>,
        id: ProposalId,
        outcome: &ProposalOutcome,
    ) -> bool {
        if self.life.proposal != Some(id) {
            return false;
        }
        self.life.proposal = None;
        if matches!(outcome, ProposalOutcome::Decided { rejection: None, .. }) {
            self.life.wake(step.now);
        }
        true
    }
}

/// The next of the system's stored keyspaces and tables that the cluster does not have yet.
fn missing_system_table(schema: &Schema) -> Option<Change> {
    for wanted in quorate_cql::system_tables::stored() {
        let Some(present) = schema.keyspaces.get(&wanted.name) else {
            return Some(Change::PutKeyspace(wanted.as_ref().clone()));
        };
        let missing = wanted.tables.values().find(|table| !present.tables.contains_key(&table.name));
        if let Some(table) = missing {
            return Some(Change::PutTable(table.as_ref().clone()));
        }
    }
    None
}
