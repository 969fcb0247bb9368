//! One attempt after another to get a proposal decided.

use std::collections::{BTreeMap, BTreeSet};

use quorate_env::Instant;
use quorate_model::{Epoch, NodeId};

use super::message::Ballot;
use crate::metadata::Proposal;

/// A proposal that waits for its turn or is being decided.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    pub(super) proposal: Proposal,
    pub(super) deadline: Instant,
    /// Whether it was ever sent in an `Accept`: from then on it may be decided without us.
    pub(super) sent: bool,
}

/// The attempt in progress for the slot after the last applied one.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    pub(super) slot: Epoch,
    pub(super) ballot: Ballot,
    pub(super) phase: Phase,
    /// When messages are sent again, or the next ballot is tried.
    pub(super) wake: Instant,
    /// Refusals so far, for the backoff.
    pub(super) refusals: u32,
}

/// How far an attempt is.
#[derive(Clone, Debug)]
pub(super) enum Phase {
    /// Collecting promises.
    Preparing { promises: BTreeMap<NodeId, Option<(Ballot, Proposal)>> },
    /// Collecting acceptances.
    Accepting { proposal: Proposal, accepted: BTreeSet<NodeId> },
    /// Refused: waiting before the next ballot.
    BackingOff,
}

/// The proposal that must be proposed after these promises: the accepted one of the highest ballot, or none.
pub(super) fn bound_by(promises: &BTreeMap<NodeId, Option<(Ballot, Proposal)>>) -> Option<Proposal> {
    let accepted = promises.values().flatten();
    accepted.max_by_key(|(ballot, _)| *ballot).map(|(_, proposal)| proposal.clone())
}
