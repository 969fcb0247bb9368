//! The proposer's half of the machine.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use quorate_env::Instant;
use quorate_model::wire::Wire;
use quorate_model::{Epoch, NodeId};

use super::message::{Ballot, LogMessage};
use super::proposer::{Attempt, Pending, Phase, bound_by};
use super::{LogOutput, MetadataLog, ProposalOutcome, ProposeError};
use crate::limits::{ENTRY_BYTES_MAX, PROPOSALS_WAITING_MAX};
use crate::metadata::{Change, Entry, Proposal, ProposalId};

impl MetadataLog {
    /// Proposes a change that was planned on the state at `planned_at`. How it ends comes as [`LogOutput::Finished`],
    /// within `timeout`.
    pub fn propose(
        &mut self,
        now: Instant,
        change: Change,
        planned_at: Epoch,
        timeout: Duration,
        out: &mut Vec<LogOutput>,
    ) -> Result<ProposalId, ProposeError> {
        if !self.metadata.is_founded() {
            return Err(ProposeError::NotFounded);
        }
        if planned_at != self.metadata.epoch {
            return Err(ProposeError::Stale { planned_at, current: self.metadata.epoch });
        }
        self.metadata.accepts(&change)?;
        let id = ProposalId(self.random.next_u128());
        let proposal = Proposal { id, change };
        let size = proposal.to_bytes().len();
        if size > ENTRY_BYTES_MAX {
            return Err(ProposeError::TooLarge { size, max: ENTRY_BYTES_MAX });
        }
        if self.pending.len() >= PROPOSALS_WAITING_MAX {
            return Err(ProposeError::Busy { waiting: self.pending.len() });
        }
        self.pending.push_back(Pending { proposal, deadline: now + timeout, sent: false });
        self.drive(now, out);
        Ok(id)
    }

    /// Does what is due: gives up, begins or repeats attempts, asks again for what is missing.
    pub(super) fn drive(&mut self, now: Instant, out: &mut Vec<LogOutput>) {
        self.expire(now, out);
        self.fetch_again(now, out);
        let completing = self.completion_at.is_some_and(|at| at <= now);
        match self.attempt.as_ref().map(|attempt| (attempt.wake <= now, &attempt.phase)) {
            Some((false, _)) => {}
            Some((true, Phase::BackingOff)) => self.begin_attempt(now, out),
            Some((true, _)) => self.repeat_attempt(now, out),
            None if completing || !self.pending.is_empty() => self.begin_attempt(now, out),
            None => {}
        }
    }

    fn expire(&mut self, now: Instant, out: &mut Vec<LogOutput>) {
        let leader = self.pending.front().map(|pending| pending.proposal.id);
        self.pending.retain(|pending| {
            let expired = pending.deadline <= now;
            if expired {
                let outcome = if pending.sent { ProposalOutcome::Unknown } else { ProposalOutcome::Unavailable };
                out.push(LogOutput::Finished { id: pending.proposal.id, outcome });
            }
            !expired
        });
        if self.pending.front().map(|pending| pending.proposal.id) != leader && self.completion_at.is_none() {
            // The attempt was for a proposal that is given up; the next one begins anew.
            self.attempt = None;
        }
    }

    fn begin_attempt(&mut self, now: Instant, out: &mut Vec<LogOutput>) {
        let refusals = self.attempt.as_ref().map_or(0, |attempt| attempt.refusals);
        self.round_seen = self.round_seen.saturating_add(1);
        let ballot = Ballot { round: self.round_seen, generation: self.generation, node: self.me };
        let slot = self.acceptor.slot;
        self.counters.ballots += 1;
        self.completion_at = self.completion_at.map(|at| at.max(now + self.config.completion));
        self.attempt = Some(Attempt {
            slot,
            ballot,
            phase: Phase::Preparing { promises: BTreeMap::new() },
            wake: now + self.config.resend,
            refusals,
        });
        for member in self.metadata.members.clone() {
            if member == self.me {
                self.prepare_here(now, slot, ballot, out);
            } else {
                self.send(member, LogMessage::Prepare { slot, ballot }, out);
            }
        }
    }

    fn prepare_here(&mut self, now: Instant, slot: Epoch, ballot: Ballot, out: &mut Vec<LogOutput>) {
        if let Some(LogMessage::Promise { slot, ballot, accepted }) = self.promise(slot, ballot, out) {
            self.promised(now, self.me, slot, ballot, accepted, out);
        }
    }

    fn repeat_attempt(&mut self, now: Instant, out: &mut Vec<LogOutput>) {
        let members = self.metadata.members.clone();
        let Some(attempt) = &mut self.attempt else { return };
        attempt.wake = now + self.config.resend;
        let (slot, ballot) = (attempt.slot, attempt.ballot);
        let (silent, message): (Vec<NodeId>, LogMessage) = match &attempt.phase {
            Phase::BackingOff => return,
            Phase::Preparing { promises } => {
                let silent = members.into_iter().filter(|member| !promises.contains_key(member)).collect();
                (silent, LogMessage::Prepare { slot, ballot })
            }
            Phase::Accepting { proposal, accepted } => {
                let silent = members.into_iter().filter(|member| !accepted.contains(member)).collect();
                (silent, LogMessage::Accept { slot, ballot, proposal: proposal.clone() })
            }
        };
        for member in silent {
            if member != self.me {
                self.send(member, message.clone(), out);
            }
        }
    }

    /// A member promised.
    pub(super) fn promised(
        &mut self,
        now: Instant,
        from: NodeId,
        slot: Epoch,
        ballot: Ballot,
        accepted: Option<(Ballot, Proposal)>,
        out: &mut Vec<LogOutput>,
    ) {
        let quorum = self.metadata.quorum();
        let is_member = self.metadata.is_member(from);
        let Some(attempt) = self.attempt.as_mut().filter(|attempt| attempt.slot == slot && attempt.ballot == ballot)
        else {
            return;
        };
        let Phase::Preparing { promises } = &mut attempt.phase else { return };
        if !is_member {
            return;
        }
        promises.insert(from, accepted);
        if promises.len() < quorum {
            return;
        }
        let bound = bound_by(promises);
        let own = self.pending.front_mut();
        let proposal = match (bound, own) {
            (Some(proposal), own) => {
                if let Some(own) = own.filter(|own| own.proposal.id == proposal.id) {
                    own.sent = true;
                }
                proposal
            }
            (None, Some(own)) => {
                own.sent = true;
                own.proposal.clone()
            }
            (None, None) => {
                // There was nothing to complete.
                self.attempt = None;
                self.completion_at = None;
                return;
            }
        };
        attempt.phase = Phase::Accepting { proposal: proposal.clone(), accepted: BTreeSet::new() };
        attempt.wake = now + self.config.resend;
        self.send_accepts(now, slot, ballot, proposal, out);
    }

    fn send_accepts(
        &mut self,
        now: Instant,
        slot: Epoch,
        ballot: Ballot,
        proposal: Proposal,
        out: &mut Vec<LogOutput>,
    ) {
        let members = self.metadata.members.clone();
        for member in members.iter().filter(|member| **member != self.me) {
            self.send(*member, LogMessage::Accept { slot, ballot, proposal: proposal.clone() }, out);
        }
        if members.contains(&self.me)
            && let Some(LogMessage::Accepted { slot, ballot }) = self.accept(now, slot, ballot, proposal, out)
        {
            self.accepted(self.me, slot, ballot, out);
        }
    }

    /// A member accepted.
    pub(super) fn accepted(&mut self, from: NodeId, slot: Epoch, ballot: Ballot, out: &mut Vec<LogOutput>) {
        let quorum = self.metadata.quorum();
        if !self.metadata.is_member(from) {
            return;
        }
        let Some(attempt) = self.attempt.as_mut().filter(|attempt| attempt.slot == slot && attempt.ballot == ballot)
        else {
            return;
        };
        let Phase::Accepting { proposal, accepted } = &mut attempt.phase else { return };
        accepted.insert(from);
        if accepted.len() < quorum {
            return;
        }
        let entry = Entry { epoch: slot, proposal: proposal.clone() };
        self.learn(vec![entry.clone()], out);
        self.announce(entry, out);
    }

    /// Tells everybody what this node saw decided.
    fn announce(&self, entry: Entry, out: &mut Vec<LogOutput>) {
        let latest = self.metadata.epoch;
        for node in self.metadata.topology.nodes.keys().filter(|node| **node != self.me) {
            self.send(*node, LogMessage::Entries { entries: vec![entry.clone()], latest }, out);
        }
    }

    /// A member refused: wait, then try a higher ballot.
    pub(super) fn refused(&mut self, now: Instant, slot: Epoch, ballot: Ballot, promised: Ballot) {
        let Some(attempt) = self.attempt.as_mut().filter(|attempt| attempt.slot == slot && attempt.ballot == ballot)
        else {
            return;
        };
        self.round_seen = self.round_seen.max(promised.round);
        if matches!(attempt.phase, Phase::BackingOff) {
            return;
        }
        attempt.phase = Phase::BackingOff;
        attempt.refusals = attempt.refusals.saturating_add(1);
        let longest = self.config.backoff * (1 << attempt.refusals.min(4));
        let random = self.random.between(500, 1000);
        attempt.wake = now + longest * u32::try_from(random).unwrap_or(1000) / 1000;
    }

    /// Ends the proposals of a slot that was decided.
    pub(super) fn finish_pending(
        &mut self,
        entry: &Entry,
        rejection: Option<crate::Rejection>,
        out: &mut Vec<LogOutput>,
    ) {
        self.attempt = None;
        for pending in std::mem::take(&mut self.pending) {
            let id = pending.proposal.id;
            let outcome = if id == entry.proposal.id {
                ProposalOutcome::Decided { epoch: entry.epoch, rejection: rejection.clone() }
            } else {
                ProposalOutcome::Superseded { by: entry.epoch }
            };
            out.push(LogOutput::Finished { id, outcome });
        }
    }
}
