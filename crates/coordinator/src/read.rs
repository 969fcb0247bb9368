//! One read of one partition, or of one range of partitions that have the same replicas.
//!
//! The nearest replica is asked for the data and so many others as the level needs for a digest of theirs. If they agree,
//! that is the answer. If not, the data of all of them is fetched and merged ([`crate::reconcile`]); with blocking read
//! repair the merge is written to those that lack a part of it, and the answer waits until as many replicas as the level
//! needs hold it, among the new owners too while a range moves: a later read at the same level cannot see less. If deletions
//! left the merge short of rows, the read goes on where the merge ends to be certain.
//!
//! A read by an index is the same while replicas agree: each answers with the rows that its own content of them has under
//! the term, so that every row which a merge could show is offered by one of them. If they do not agree, the rows that any
//! of them offered are read from all, and the merge of that is the answer: another replica may know one to have changed.
//! A replica that is slow, fails or is lost is replaced by another one.

use std::collections::BTreeMap;
use std::sync::Arc;

use quorate_env::Instant;
use quorate_model::read::NamedRows;
use quorate_model::request::RequestError;
use quorate_model::{Mutation, NodeId, ReadCommand, ReadResponse, ReadTarget, Resume, RowChoice};

use crate::levels::Requirement;
use crate::limits;
use crate::message::{EncodedMutation, ReplicaFailure, ReplicaRequest, ReplicaResponse, digest};
use crate::plan::{ReplicaMask, ReplicaPlan};
use crate::reconcile::{self, Merged, Page};
pub use crate::request::{ReadInput, ReadOutput, ReadRepair, ReadRequest, ReadStats, Tag};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Gathering,
    Repairing,
    AwaitingPlan,
    Finished,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Data,
    Digest,
    Repair,
}

/// One round: a read of the same command from as many replicas as the level needs.
#[derive(Debug)]
struct Round {
    command: Arc<ReadCommand>,
    /// Whether everybody is asked for data.
    full: bool,
    data: Vec<(usize, ReadResponse)>,
    digests: Vec<(usize, u128)>,
    contacted: ReplicaMask,
    /// Those that hold the merge, once it is being written back.
    holders: ReplicaMask,
    merged: Merged,
    /// For the rows that indexes offered: up to where these were all.
    offered_to: Option<Resume>,
    speculate_at: Option<Instant>,
}

/// See the module.
#[derive(Debug)]
pub struct ReadMachine {
    request: ReadRequest,
    plan: ReplicaPlan,
    requirement: Requirement,
    /// Live replicas that may be asked, nearest first.
    candidates: Vec<usize>,
    state: State,
    round: Round,
    rounds: u32,
    page: Page,
    in_flight: BTreeMap<Tag, (usize, Kind)>,
    next_tag: u64,
    failed: ReplicaMask,
    misses: Vec<(NodeId, Option<ReplicaFailure>)>,
    stats: ReadStats,
}

impl ReadMachine {
    /// Starts a read. If the level cannot be met by the replicas alive, it is refused at once.
    pub fn start(request: ReadRequest, plan: ReplicaPlan, now: Instant, out: &mut Vec<ReadOutput>) -> Self {
        Self::start_tagged(request, plan, 0, now, out)
    }

    /// [`ReadMachine::start`] with the first tag to use, so that several machines can share one stream of answers.
    pub(crate) fn start_tagged(
        request: ReadRequest,
        plan: ReplicaPlan,
        first_tag: u64,
        now: Instant,
        out: &mut Vec<ReadOutput>,
    ) -> Self {
        let mut machine = Self {
            round: Round::new(Arc::clone(&request.command), false, None),
            page: Page::new(request.command.clone(), request.resume.clone()),
            requirement: Requirement::none(request.consistency),
            candidates: Vec::new(),
            state: State::AwaitingPlan,
            rounds: 0,
            in_flight: BTreeMap::new(),
            next_tag: first_tag,
            failed: ReplicaMask::EMPTY,
            misses: Vec::new(),
            stats: ReadStats::default(),
            request,
            plan: plan.clone(),
        };
        machine.replan(now, plan, out);
        machine
    }

    /// What it took so far.
    pub fn stats(&self) -> ReadStats {
        self.stats
    }

    /// The present plan.
    pub fn plan(&self) -> &ReplicaPlan {
        &self.plan
    }

    /// Whether it can go.
    pub fn is_finished(&self) -> bool {
        self.state == State::Finished
    }

    /// When it wants a [`ReadInput::Tick`].
    pub fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Finished => None,
            State::AwaitingPlan => Some(self.request.deadline),
            State::Gathering | State::Repairing => {
                let speculate_at = self.round.speculate_at.unwrap_or(self.request.deadline);
                Some(self.request.deadline.min(speculate_at))
            }
        }
    }

    /// Starts again with a newer plan, within the same deadline.
    pub fn replan(&mut self, now: Instant, plan: ReplicaPlan, out: &mut Vec<ReadOutput>) {
        if self.state == State::Finished {
            return;
        }
        let checked = Requirement::for_read(self.request.consistency, &plan, self.request.read_repair)
            .and_then(|requirement| requirement.check_alive(plan.alive()).map(|()| requirement));
        match checked {
            Err(error) => self.finish(Err(error), out),
            Ok(requirement) => {
                self.candidates = requirement.candidates(&plan);
                self.requirement = requirement;
                self.plan = plan;
                self.failed = ReplicaMask::EMPTY;
                self.misses.clear();
                self.rounds = 0;
                self.page = Page::new(self.request.command.clone(), self.request.resume.clone());
                let command = match &self.request.resume {
                    Some(resume) => self.command_from(&resume.place, self.request.command.row_limit),
                    None => Some(self.for_replicas(self.request.command.clone())),
                };
                match command {
                    Some(command) => {
                        self.begin_round(command, false, now);
                        self.advance(now, out);
                    }
                    None => self.finish(Ok(ReadResponse::default()), out),
                }
            }
        }
    }

    /// Takes an event.
    pub fn step(&mut self, now: Instant, input: ReadInput, out: &mut Vec<ReadOutput>) {
        match input {
            ReadInput::Response { node, tag, response } => self.take_response(node, tag, response, out),
            ReadInput::LinkDown { node } => {
                if let Some(index) = self.plan.index_of(node)
                    && self.in_flight.values().any(|(asked, _)| *asked == index)
                {
                    self.miss(index, None);
                }
            }
            ReadInput::Tick => {}
        }
        self.advance(now, out);
    }

    fn take_response(&mut self, node: NodeId, tag: Tag, response: ReplicaResponse, out: &mut Vec<ReadOutput>) {
        let Some((index, kind)) = self.in_flight.get(&tag).copied() else { return };
        if self.plan.replica(index).node != node {
            return;
        }
        self.in_flight.remove(&tag);
        match (response, kind) {
            (ReplicaResponse::Data(response), Kind::Data) => {
                self.round.digests.retain(|(other, _)| *other != index);
                self.round.data.push((index, response));
            }
            (ReplicaResponse::Digest(digest), Kind::Digest) => self.round.digests.push((index, digest)),
            (ReplicaResponse::Written, Kind::Repair) => {
                if !self.in_flight.values().any(|(other, kind)| *other == index && *kind == Kind::Repair) {
                    self.round.holders.insert(index);
                }
            }
            (ReplicaResponse::Failed(ReplicaFailure::StaleEpoch { current }), _) if current > self.plan.epoch() => {
                self.in_flight.clear();
                self.state = State::AwaitingPlan;
                out.push(ReadOutput::Replan { known: current });
            }
            (ReplicaResponse::Failed(failure), _) => self.miss(index, Some(failure)),
            (_, _) => self.miss(index, Some(ReplicaFailure::Internal("answered something else".to_owned()))),
        }
    }

    /// A replica that will not answer is not asked again.
    fn miss(&mut self, index: usize, failure: Option<ReplicaFailure>) {
        self.in_flight.retain(|_, (asked, _)| *asked != index);
        // Its digest is of no use if its data cannot be had.
        self.round.digests.retain(|(other, _)| *other != index);
        if !self.failed.contains(index) {
            self.failed.insert(index);
            self.misses.push((self.plan.replica(index).node, failure));
        }
    }

    fn begin_round(&mut self, command: Arc<ReadCommand>, full: bool, now: Instant) {
        self.state = State::Gathering;
        self.in_flight.clear();
        self.round = Round::new(command, full, self.request.speculative_delay.map(|delay| now + delay));
    }

    fn send(&mut self, index: usize, kind: Kind, request: ReplicaRequest, out: &mut Vec<ReadOutput>) {
        let tag = Tag(self.next_tag);
        self.next_tag = self.next_tag.wrapping_add(1);
        self.in_flight.insert(tag, (index, kind));
        self.round.contacted.insert(index);
        out.push(ReadOutput::Send { to: self.plan.replica(index).node, tag, request });
    }

    fn send_read(&mut self, index: usize, kind: Kind, out: &mut Vec<ReadOutput>) {
        let command = Arc::clone(&self.round.command);
        self.send(index, kind, ReplicaRequest::Read { command, digest_only: kind == Kind::Digest }, out);
    }

    fn send_repairs(&mut self, index: usize, out: &mut Vec<ReadOutput>) {
        let own = self.round.data.iter().find(|(other, _)| *other == index);
        let nothing = ReadResponse::default();
        let response = own.map_or(&nothing, |(_, response)| response);
        let lacking = reconcile::lacking(&self.round.command, &self.round.merged, response);
        if lacking.is_empty() {
            self.round.holders.insert(index);
        }
        for (key, update) in lacking {
            self.stats.repairs += 1;
            let mutation = EncodedMutation::new(Mutation { table: self.request.command.table, key, update });
            self.send(index, Kind::Repair, ReplicaRequest::Repair(mutation), out);
        }
    }

    fn in_flight_mask(&self) -> ReplicaMask {
        self.in_flight.values().map(|(index, _)| *index).collect()
    }

    fn advance(&mut self, now: Instant, out: &mut Vec<ReadOutput>) {
        while self.state != State::Finished {
            let before = (self.state, self.rounds, self.round.full, self.round.is_named());
            match self.state {
                State::Gathering => self.gather(now, out),
                State::Repairing => self.repair(now, out),
                State::AwaitingPlan | State::Finished => {}
            }
            if before == (self.state, self.rounds, self.round.full, self.round.is_named()) {
                break;
            }
        }
        if self.state != State::Finished && now >= self.request.deadline {
            self.finish(Err(self.timeout()), out);
        }
        self.check();
    }

    fn gather(&mut self, now: Instant, out: &mut Vec<ReadOutput>) {
        let answered = self.round.answered();
        if self.requirement.is_satisfied(answered) && !self.round.data.is_empty() {
            return self.resolve(now, out);
        }
        // As many as the level needs, the nearest first; others instead of those that failed.
        loop {
            let expected = answered.or(self.in_flight_mask());
            let helps =
                |index: &&usize| self.requirement.is_helped_by(**index, expected) && !self.failed.contains(**index);
            let Some(index) = self.candidates.iter().find(helps).copied() else { break };
            let kind = if self.round.full || !self.expects_data() { Kind::Data } else { Kind::Digest };
            self.send_read(index, kind, out);
        }
        if !self.requirement.is_satisfied(answered.or(self.in_flight_mask())) {
            return self.finish(Err(self.failure()), out);
        }
        if !self.expects_data() {
            // The level is met by digests, but nobody is left who was asked for the data.
            match self.spare_for_data() {
                Some(index) => self.send_read(index, Kind::Data, out),
                None => return self.finish(Err(self.failure()), out),
            }
        }
        if self.is_time_to_speculate(now)
            && let Some(index) = self.spare_for_data()
        {
            self.stats.speculative += 1;
            let kind = if self.round.full || self.round.data.is_empty() { Kind::Data } else { Kind::Digest };
            self.send_read(index, kind, out);
        }
    }

    fn expects_data(&self) -> bool {
        !self.round.data.is_empty() || self.in_flight.values().any(|(_, kind)| *kind == Kind::Data)
    }

    /// Somebody else to ask: the nearest that was not asked yet, or, while no data has come, one that gave its digest.
    fn spare_for_data(&self) -> Option<usize> {
        let usable = |index: &&usize| !self.failed.contains(**index);
        let fresh = self.candidates.iter().filter(usable).find(|index| !self.round.contacted.contains(**index));
        let digest = || self.round.digests.iter().map(|(index, _)| index).find(usable);
        fresh.or_else(|| if self.round.data.is_empty() { digest() } else { None }).copied()
    }

    fn is_time_to_speculate(&mut self, now: Instant) -> bool {
        self.round.speculate_at.take_if(|at| now >= *at).is_some()
    }

    /// Enough have answered: they agree, or their data is fetched, or it is merged.
    fn resolve(&mut self, now: Instant, out: &mut Vec<ReadOutput>) {
        let agreed = {
            let first = self.round.data.first().map(|(_, response)| response);
            let rest_of_data = self.round.data.iter().skip(1).all(|(_, response)| Some(response) == first);
            rest_of_data
                && (self.round.digests.is_empty()
                    || first
                        .map(digest)
                        .is_some_and(|expected| self.round.digests.iter().all(|(_, digest)| *digest == expected)))
        };
        if agreed {
            let (_, response) = self.round.data.swap_remove(0);
            if self.rounds == 0 && !self.round.full && self.is_cut_alike() {
                // All were cut by the client's own limits: this is the page.
                return self.finish(Ok(self.page.clone().whole(response)), out);
            }
            let partitions = response.partitions;
            return self.accept(partitions, response.stopped_at, now, out);
        }
        self.stats.mismatches += u32::from(!self.round.full);
        if !self.round.digests.is_empty() {
            self.round.full = true;
            self.in_flight.retain(|_, (_, kind)| *kind == Kind::Data);
            self.round.speculate_at = self.request.speculative_delay.map(|delay| now + delay);
            let digests = std::mem::take(&mut self.round.digests);
            let asked = self.in_flight_mask();
            for (index, _) in digests.into_iter().filter(|(index, _)| !asked.contains(*index)) {
                self.send_read(index, Kind::Data, out);
            }
            return;
        }
        self.round.full = true;
        self.in_flight.clear();
        let responses: Vec<&ReadResponse> = self.round.data.iter().map(|(_, response)| response).collect();
        let counted = self.counted_before_round();
        self.round.merged = reconcile::merge(&self.round.command, &responses, counted);
        if let RowChoice::Index(search) = &self.round.command.rows {
            let named = reconcile::offered(&self.round.command, &self.round.merged, search.whole_partitions);
            return self.look_at_offered(named, now, out);
        }
        match self.request.read_repair {
            ReadRepair::None => self.accept_merged(now, out),
            ReadRepair::Blocking => {
                self.state = State::Repairing;
                self.round.speculate_at = self.request.speculative_delay.map(|delay| now + delay);
                let read: Vec<usize> = self.round.data.iter().map(|(index, _)| *index).collect();
                for index in read {
                    self.send_repairs(index, out);
                }
            }
        }
    }

    /// Reads the rows that indexes offered from as many replicas as the level needs.
    fn look_at_offered(&mut self, named: Vec<NamedRows>, now: Instant, out: &mut Vec<ReadOutput>) {
        let offered_to = std::mem::take(&mut self.round.merged).frontier;
        if named.is_empty() {
            return self.accept([], offered_to, now, out);
        }
        let command = ReadCommand {
            rows: RowChoice::Named(named),
            row_limit: u32::MAX,
            per_partition_limit: u32::MAX,
            ..ReadCommand::clone(&self.round.command)
        };
        self.begin_round(Arc::new(command), true, now);
        self.round.offered_to = offered_to;
    }

    /// Whether the first round's command makes replicas cut as the client's own command says.
    fn is_cut_alike(&self) -> bool {
        self.request.resume.is_none() || self.request.command.per_partition_limit == u32::MAX
    }

    fn counted_before_round(&self) -> u32 {
        match &self.round.command.target {
            ReadTarget::Range { from: Some(from), .. } => self.page.counted_of(&from.key),
            ReadTarget::Partition(_) | ReadTarget::Range { .. } => 0,
        }
    }

    fn repair(&mut self, now: Instant, out: &mut Vec<ReadOutput>) {
        if self.requirement.is_satisfied(self.round.holders) {
            self.in_flight.clear();
            return self.accept_merged(now, out);
        }
        let mut expected = self.round.holders.or(self.in_flight_mask());
        let mut extra = self.is_time_to_speculate(now);
        loop {
            let possible = self.requirement.is_satisfied(expected);
            if possible && !extra {
                break;
            }
            // In the place of one that cannot be mended now, another one is given the whole merge.
            let fresh = |index: &&usize| !expected.contains(**index) && !self.failed.contains(**index);
            match self.candidates.iter().find(fresh).copied() {
                Some(index) => {
                    self.stats.speculative += u32::from(possible);
                    self.send_repairs(index, out);
                    expected.insert(index);
                }
                None if possible => break,
                None => return self.finish(Err(self.failure()), out),
            }
            extra &= !possible;
        }
        if self.requirement.is_satisfied(self.round.holders) {
            self.accept_merged(now, out);
        }
    }

    fn accept_merged(&mut self, now: Instant, out: &mut Vec<ReadOutput>) {
        let Merged { partitions, frontier } = std::mem::take(&mut self.round.merged);
        self.accept(partitions, frontier, now, out);
    }

    /// Takes in what is certain; answers if the page is full or all is read, otherwise reads on.
    fn accept(
        &mut self,
        partitions: impl IntoIterator<Item = (quorate_model::DecoratedKey, quorate_model::Partition)>,
        frontier: Option<Resume>,
        now: Instant,
        out: &mut Vec<ReadOutput>,
    ) {
        let frontier = reconcile::earlier(frontier, self.round.offered_to.take(), self.request.command.reversed);
        let full = self.page.add(partitions, frontier.as_ref());
        let frontier = self.page.skip_full_partition(frontier);
        let next = frontier
            .as_ref()
            .filter(|_| !full)
            .and_then(|place| self.command_from(place, self.page.rows_left().max(limits::SHORT_READ_ROWS_MIN)));
        let current = &self.round.command;
        match next {
            Some(next)
                if self.rounds + 1 < limits::READ_ROUNDS_MAX
                    && (next.target != current.target || next.slices != current.slices) =>
            {
                self.rounds += 1;
                self.stats.short_reads += 1;
                self.begin_round(next, true, now);
            }
            _ => {
                let empty = Page::new(self.request.command.clone(), None);
                let page = std::mem::replace(&mut self.page, empty);
                self.finish(Ok(page.finish(frontier)), out);
            }
        }
    }

    /// The rest of the command, from this place on; `None` if there is none.
    fn command_from(&self, place: &Resume, row_limit: u32) -> Option<Arc<ReadCommand>> {
        let mut command = ReadCommand { row_limit, ..ReadCommand::clone(&self.request.command) };
        match &mut command.target {
            ReadTarget::Partition(_) => {
                command.slices = self.request.command.slices_from(place);
                if command.slices.is_empty() {
                    return None;
                }
            }
            ReadTarget::Range { from, .. } => *from = Some(place.clone()),
        }
        Some(self.for_replicas(Arc::new(command)))
    }

    /// Within one partition both row limits are one, and then replicas say exactly where they stopped.
    fn for_replicas(&self, mut command: Arc<ReadCommand>) -> Arc<ReadCommand> {
        if let ReadTarget::Partition(key) = &command.target
            && command.per_partition_limit != u32::MAX
        {
            let left = command.per_partition_limit.saturating_sub(self.page.counted_of(key));
            let own = Arc::make_mut(&mut command);
            own.row_limit = own.row_limit.min(left);
            own.per_partition_limit = u32::MAX;
        }
        command
    }

    fn finish(&mut self, result: Result<ReadResponse, RequestError>, out: &mut Vec<ReadOutput>) {
        self.state = State::Finished;
        self.in_flight.clear();
        out.push(ReadOutput::Done(result));
    }

    fn answered_now(&self) -> ReplicaMask {
        if self.state == State::Repairing { self.round.holders } else { self.round.answered() }
    }

    fn failure(&self) -> RequestError {
        let overloaded = |failure: &Option<ReplicaFailure>| match failure {
            Some(failure @ ReplicaFailure::Overloaded(_)) => Some(failure.reason()),
            _ => None,
        };
        if let Some((_, first)) = self.misses.first()
            && let Some(reason) = overloaded(first)
            && self.misses.iter().all(|(_, failure)| overloaded(failure).is_some())
        {
            return RequestError::Overloaded(reason);
        }
        // Nobody said no: those behind a lost link, as the late ones, did not answer.
        let late = |failure: &Option<ReplicaFailure>| matches!(failure, None | Some(ReplicaFailure::DeadlinePassed));
        if !self.misses.is_empty() && self.misses.iter().all(|(_, failure)| late(failure)) {
            return self.timeout();
        }
        let reason = |failure: &Option<ReplicaFailure>| match failure {
            Some(failure) => failure.reason(),
            None => "connection lost".to_owned(),
        };
        RequestError::ReadFailure {
            consistency: self.request.consistency,
            received: self.requirement.received(self.answered_now()),
            required: self.requirement.required(),
            data_present: !self.round.data.is_empty(),
            failures: self.misses.iter().map(|(node, failure)| (*node, reason(failure))).collect(),
        }
    }

    fn timeout(&self) -> RequestError {
        RequestError::ReadTimeout {
            consistency: self.request.consistency,
            received: self.requirement.received(self.answered_now()),
            required: self.requirement.required(),
            data_present: !self.round.data.is_empty(),
        }
    }

    /// Asserts the invariants.
    pub fn check(&self) {
        assert!(self.rounds < limits::READ_ROUNDS_MAX, "rounds are bounded");
        assert!(self.misses.len() <= limits::REPLICAS_MAX, "more failures than replicas");
        if self.state == State::Finished {
            assert!(self.in_flight.is_empty(), "finished, yet waiting");
            return;
        }
        assert!(self.round.contacted.iter().all(|index| self.requirement.counts(index)), "asked one that counts not");
        assert!(self.in_flight_mask().and(self.failed).is_empty(), "waiting for one that failed");
        if self.state == State::Gathering {
            let possible = self.round.answered().or(self.in_flight_mask());
            assert!(self.requirement.is_satisfied(possible), "gathering what cannot be enough");
        }
    }
}

impl Round {
    fn new(command: Arc<ReadCommand>, full: bool, speculate_at: Option<Instant>) -> Self {
        Self {
            command,
            full,
            data: Vec::new(),
            digests: Vec::new(),
            contacted: ReplicaMask::EMPTY,
            holders: ReplicaMask::EMPTY,
            merged: Merged::default(),
            offered_to: None,
            speculate_at,
        }
    }

    /// Whether it reads rows that indexes offered.
    fn is_named(&self) -> bool {
        matches!(self.command.rows, RowChoice::Named(_))
    }

    fn answered(&self) -> ReplicaMask {
        let data = self.data.iter().map(|(index, _)| *index);
        data.chain(self.digests.iter().map(|(index, _)| *index)).collect()
    }
}

#[cfg(test)]
#[path = "read_tests.rs"]
mod tests;
