//! One write of one partition over its replicas.
//!
//! Sends to every live replica, answers when the level is met, then goes on waiting until the deadline so that whoever
//! did not acknowledge gets a hint. Hints are held back until it is certain that the write will stand or that its outcome
//! is unknown: a write that is refused leaves nothing behind that could apply it later.

use quorate_env::Instant;
use quorate_model::request::{Outcome, RequestError, WriteType};
use quorate_model::{Consistency, Epoch, NodeId};

use crate::levels::Requirement;
use crate::limits;
use crate::message::{EncodedMutation, ReplicaFailure, ReplicaRequest, ReplicaResponse};
use crate::plan::{ReplicaMask, ReplicaPlan};
use crate::request::Tag;

/// What is to be written.
#[derive(Clone, Debug)]
pub struct WriteRequest {
    /// The change, its timestamps inside.
    pub mutation: EncodedMutation,
    /// How many replicas must acknowledge.
    pub consistency: Consistency,
    /// How errors name it.
    pub write_type: WriteType,
    /// When to give up.
    pub deadline: Instant,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum WriteInput {
    /// A replica answered.
    Response {
        /// Who.
        node: NodeId,
        /// The request's tag, from [`WriteOutput::Send`].
        tag: Tag,
        /// What.
        response: ReplicaResponse,
    },
    /// The connection to a node broke: what was sent to it may or may not have been done.
    LinkDown {
        /// Which.
        node: NodeId,
    },
    /// A hint that this machine asked for is durable. Matters to `ANY` alone.
    HintStored {
        /// For whom.
        target: NodeId,
    },
    /// Time has passed.
    Tick,
}

/// What to do.
#[derive(Clone, Debug, PartialEq)]
pub enum WriteOutput {
    /// Send this to a replica (or execute it here, if it is this node).
    Send {
        /// To whom.
        to: NodeId,
        /// To be given back with the answer.
        tag: Tag,
        /// What.
        request: ReplicaRequest,
    },
    /// Keep the mutation for this replica.
    Hint {
        /// For whom.
        target: NodeId,
    },
    /// A replica knows a newer ring: fetch it and call [`WriteMachine::replan`].
    Replan {
        /// The replica's epoch.
        known: Epoch,
    },
    /// The answer for the client; said once.
    Done(Result<(), RequestError>),
    /// Nothing more is awaited; the machine can go. Said once, last.
    Finished,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The client waits.
    Waiting,
    /// The client waits, and so do we for a newer plan.
    AwaitingPlan,
    /// The client was answered; late replicas are awaited.
    Answered,
    Finished,
}

/// Why a replica's acknowledgement will not come.
#[derive(Clone, Debug)]
enum Miss {
    Failed(ReplicaFailure),
    LinkDown,
}

impl Miss {
    fn is_refusal(&self) -> bool {
        matches!(self, Self::Failed(failure) if failure.is_refusal())
    }

    fn reason(&self) -> String {
        match self {
            Self::Failed(failure) => failure.reason(),
            Self::LinkDown => "connection lost".to_owned(),
        }
    }
}

/// See the module.
#[derive(Debug)]
pub struct WriteMachine {
    request: WriteRequest,
    plan: ReplicaPlan,
    requirement: Requirement,
    state: State,
    attempt: u64,
    acked: ReplicaMask,
    awaiting: ReplicaMask,
    /// Those without the mutation, or of whom it is not known: to be hinted.
    missed: ReplicaMask,
    hinted: ReplicaMask,
    hints_allowed: bool,
    hint_stored: bool,
    /// Whether an earlier attempt may have been applied somewhere.
    maybe_applied: bool,
    misses: Vec<(NodeId, Miss)>,
}

impl WriteMachine {
    /// Starts a write. If the level cannot be met by the replicas alive, it is refused and finished at once.
    pub fn start(request: WriteRequest, plan: ReplicaPlan, now: Instant, out: &mut Vec<WriteOutput>) -> Self {
        let requirement = Requirement::for_write(request.consistency, &plan);
        let checked = requirement.and_then(|requirement| {
            requirement.check_alive(plan.alive())?;
            Ok(requirement)
        });
        let (requirement, refused) = match checked {
            Ok(requirement) => (requirement, None),
            Err(error) => (Requirement::none(request.consistency), Some(error)),
        };
        let mut machine = Self {
            request,
            plan,
            requirement,
            state: State::Waiting,
            attempt: 0,
            acked: ReplicaMask::EMPTY,
            awaiting: ReplicaMask::EMPTY,
            missed: ReplicaMask::EMPTY,
            hinted: ReplicaMask::EMPTY,
            hints_allowed: false,
            hint_stored: false,
            maybe_applied: false,
            misses: Vec::new(),
        };
        match refused {
            Some(error) => machine.answer(Err(error), out),
            None => machine.send_all(out),
        }
        machine.advance(now, out);
        machine
    }

    /// The mutation that is being written.
    pub fn mutation(&self) -> &EncodedMutation {
        &self.request.mutation
    }

    /// The present plan.
    pub fn plan(&self) -> &ReplicaPlan {
        &self.plan
    }

    /// What its level requires.
    pub fn requirement(&self) -> &Requirement {
        &self.requirement
    }

    /// When it wants a [`WriteInput::Tick`].
    pub fn deadline(&self) -> Option<Instant> {
        (self.state != State::Finished).then_some(self.request.deadline)
    }

    /// Whether it can go.
    pub fn is_finished(&self) -> bool {
        self.state == State::Finished
    }

    /// Takes an event.
    pub fn step(&mut self, now: Instant, input: WriteInput, out: &mut Vec<WriteOutput>) {
        match input {
            WriteInput::Response { node, tag, response } if tag == Tag(self.attempt) => {
                if let Some(index) = self.plan.index_of(node) {
                    self.take_response(index, response, out);
                }
            }
            WriteInput::LinkDown { node } => {
                if let Some(index) = self.plan.index_of(node) {
                    self.miss(index, Miss::LinkDown);
                }
            }
            WriteInput::HintStored { target } => {
                self.hint_stored |= self.plan.index_of(target).is_some_and(|index| self.hinted.contains(index));
            }
            WriteInput::Response { .. } | WriteInput::Tick => {}
        }
        self.advance(now, out);
    }

    /// Starts again with a newer plan, within the same deadline and with the same timestamps. Ignored once the client
    /// was answered.
    pub fn replan(&mut self, now: Instant, plan: ReplicaPlan, out: &mut Vec<WriteOutput>) {
        if matches!(self.state, State::Waiting | State::AwaitingPlan) {
            self.maybe_applied |= !self.acked.is_empty()
                || !self.awaiting.is_empty()
                || self.misses.iter().any(|(_, miss)| !miss.is_refusal());
            self.plan = plan;
            self.attempt += 1;
            self.state = State::Waiting;
            (self.acked, self.awaiting) = (ReplicaMask::EMPTY, ReplicaMask::EMPTY);
            (self.missed, self.hinted) = (ReplicaMask::EMPTY, ReplicaMask::EMPTY);
            self.misses.clear();
            let requirement = Requirement::for_write(self.request.consistency, &self.plan);
            match requirement.and_then(|requirement| requirement.check_alive(self.plan.alive()).map(|()| requirement)) {
                Ok(requirement) => {
                    self.requirement = requirement;
                    self.send_all(out);
                }
                // What an earlier attempt left behind makes 'nothing was done' untrue.
                Err(error) if !self.maybe_applied => self.answer(Err(error), out),
                Err(_) => self.answer(Err(self.failure()), out),
            }
        }
        self.advance(now, out);
    }

    fn send_all(&mut self, out: &mut Vec<WriteOutput>) {
        let alive = self.plan.alive();
        self.awaiting = self.plan.write_set().and(alive);
        self.missed = self.plan.write_set().minus(alive);
        for index in self.awaiting.iter() {
            out.push(WriteOutput::Send {
                to: self.plan.replica(index).node,
                tag: Tag(self.attempt),
                request: ReplicaRequest::Write(self.request.mutation.clone()),
            });
        }
    }

    fn take_response(&mut self, index: usize, response: ReplicaResponse, out: &mut Vec<WriteOutput>) {
        match response {
            ReplicaResponse::Written => {
                // A replica of which the worst was assumed may still acknowledge: that is as good as ever.
                if self.awaiting.remove(index) || self.missed.contains(index) {
                    self.acked.insert(index);
                    self.missed.remove(index);
                    self.misses.retain(|(node, _)| *node != self.plan.replica(index).node);
                    self.hints_allowed = true;
                }
            }
            ReplicaResponse::Failed(failure) => {
                if let ReplicaFailure::StaleEpoch { current } = failure
                    && self.state == State::Waiting
                    && self.awaiting.contains(index)
                    && current > self.plan.epoch()
                {
                    self.state = State::AwaitingPlan;
                    out.push(WriteOutput::Replan { known: current });
                }
                self.miss(index, Miss::Failed(failure));
            }
            ReplicaResponse::Data(_) | ReplicaResponse::Digest(_) => {
                let failure = ReplicaFailure::Internal("answered a write as if it were a read".to_owned());
                self.miss(index, Miss::Failed(failure));
            }
        }
    }

    fn miss(&mut self, index: usize, miss: Miss) {
        if self.awaiting.remove(index) {
            self.missed.insert(index);
            self.misses.push((self.plan.replica(index).node, miss));
        }
    }

    /// Draws the conclusions from what is known.
    fn advance(&mut self, now: Instant, out: &mut Vec<WriteOutput>) {
        let waits = matches!(self.state, State::Waiting | State::AwaitingPlan);
        let any = self.request.consistency == Consistency::Any;
        if waits && (self.requirement.is_satisfied(self.acked) || (any && self.hint_stored)) {
            self.answer(Ok(()), out);
        } else if self.state == State::Waiting {
            let possible = self.requirement.is_satisfied(self.acked.or(self.awaiting));
            if !possible && any {
                self.hints_allowed = true;
            } else if !possible {
                self.answer(Err(self.failure()), out);
            }
        }
        if now >= self.request.deadline && self.state != State::Finished {
            if matches!(self.state, State::Waiting | State::AwaitingPlan) {
                self.answer(Err(self.timeout()), out);
            }
            self.missed = self.missed.or(self.awaiting);
            self.awaiting = ReplicaMask::EMPTY;
        }
        self.emit_hints(out);
        if self.state == State::Answered && self.awaiting.is_empty() {
            self.state = State::Finished;
            out.push(WriteOutput::Finished);
        }
        self.check();
    }

    fn answer(&mut self, result: Result<(), RequestError>, out: &mut Vec<WriteOutput>) {
        let refused = result.as_ref().is_err_and(|error| error.outcome() == Outcome::Refused);
        if refused {
            self.missed = ReplicaMask::EMPTY;
        } else {
            self.hints_allowed = true;
        }
        self.state = State::Answered;
        // The hints of what is known to be missing go first, so that they are on their way when the client hears.
        self.emit_hints(out);
        out.push(WriteOutput::Done(result));
    }

    fn emit_hints(&mut self, out: &mut Vec<WriteOutput>) {
        // A newer plan will say who is to have the write at all.
        if self.hints_allowed && self.state != State::AwaitingPlan {
            for index in self.missed.minus(self.hinted).iter() {
                self.hinted.insert(index);
                out.push(WriteOutput::Hint { target: self.plan.replica(index).node });
            }
        }
    }

    /// The error when too many replicas will not acknowledge.
    fn failure(&self) -> RequestError {
        let none_applied = self.acked.is_empty()
            && self.awaiting.is_empty()
            && !self.maybe_applied
            && self.misses.iter().all(|(_, miss)| miss.is_refusal());
        if none_applied {
            for (_, miss) in &self.misses {
                match miss {
                    Miss::Failed(failure @ (ReplicaFailure::Overloaded(_) | ReplicaFailure::NoSpace(_))) => {
                        return RequestError::Overloaded(failure.reason());
                    }
                    Miss::Failed(failure @ (ReplicaFailure::ClockTooFar { .. } | ReplicaFailure::UnknownTable)) => {
                        return RequestError::invalid(failure.reason());
                    }
                    Miss::Failed(_) | Miss::LinkDown => {}
                }
            }
        }
        // Nobody said no: of those behind a lost link, as of the late ones, it is only not known.
        let late = |miss: &Miss| matches!(miss, Miss::LinkDown | Miss::Failed(ReplicaFailure::DeadlinePassed));
        if !self.misses.is_empty() && self.misses.iter().all(|(_, miss)| late(miss)) {
            return self.timeout();
        }
        RequestError::WriteFailure {
            consistency: self.request.consistency,
            received: self.requirement.received(self.acked),
            required: self.requirement.required(),
            write_type: self.request.write_type,
            failures: self.misses.iter().map(|(node, miss)| (*node, miss.reason())).collect(),
        }
    }

    fn timeout(&self) -> RequestError {
        RequestError::WriteTimeout {
            consistency: self.request.consistency,
            received: self.requirement.received(self.acked),
            required: self.requirement.required(),
            write_type: self.request.write_type,
        }
    }

    /// Asserts the invariants.
    pub fn check(&self) {
        assert!(self.acked.and(self.awaiting).is_empty(), "acknowledged and awaited");
        assert!(self.missed.and(self.awaiting).is_empty(), "missed and awaited");
        assert!(self.missed.and(self.acked).is_empty(), "missed and acknowledged");
        let known = self.acked.or(self.awaiting).or(self.missed).or(self.hinted);
        assert!(known.minus(self.plan.write_set()).is_empty(), "a replica that is not in the plan");
        assert!(self.misses.len() <= limits::REPLICAS_MAX, "more failures than replicas");
        if self.state == State::Finished {
            assert!(self.awaiting.is_empty(), "finished, yet waiting");
        }
    }
}

#[cfg(test)]
#[path = "write_tests.rs"]
mod tests;
