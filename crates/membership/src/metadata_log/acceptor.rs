//! The acceptor of the slot after the last applied one.

use quorate_model::Epoch;
use quorate_model::wire::{Reader, Wire, WireError, Writer};

use super::message::{Ballot, decode_accepted, encode_accepted};
use crate::metadata::Proposal;

/// What this node promised and accepted for one slot. Every change is persisted before it is told.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(super) struct Acceptor {
    pub(super) slot: Epoch,
    pub(super) promised: Ballot,
    pub(super) accepted: Option<(Ballot, Proposal)>,
}

/// What an acceptor says to a request.
pub(super) enum Verdict {
    /// Granted. Whether its state changed and has to be persisted first.
    Granted { changed: bool },
    /// A newer ballot was promised.
    Refused(Ballot),
}

impl Acceptor {
    pub(super) fn for_slot(slot: Epoch) -> Self {
        Self { slot, ..Self::default() }
    }

    pub(super) fn prepare(&mut self, ballot: Ballot) -> Verdict {
        if ballot < self.promised {
            return Verdict::Refused(self.promised);
        }
        let changed = ballot > self.promised;
        self.promised = ballot;
        Verdict::Granted { changed }
    }

    pub(super) fn accept(&mut self, ballot: Ballot, proposal: Proposal) -> Verdict {
        if ballot < self.promised {
            return Verdict::Refused(self.promised);
        }
        let same = self.accepted.as_ref().filter(|(accepted, _)| *accepted == ballot);
        if same.is_some_and(|(_, present)| present.id != proposal.id) {
            // A ballot stands for one proposal: its node started with a generation that it had used before.
            return Verdict::Refused(self.promised);
        }
        let changed = same.is_none();
        self.promised = ballot;
        self.accepted = Some((ballot, proposal));
        Verdict::Granted { changed }
    }

    pub(super) fn check(&self) {
        if let Some((ballot, _)) = &self.accepted {
            assert!(*ballot <= self.promised, "accepted above the promise");
        }
    }
}

impl Wire for Acceptor {
    fn encode(&self, out: &mut Writer) {
        out.varint(self.slot.0);
        self.promised.encode(out);
        encode_accepted(self.accepted.as_ref(), out);
    }

    fn decode(input: &mut Reader) -> Result<Self, WireError> {
        let slot = Epoch(input.varint("slot")?);
        let promised = Ballot::decode(input)?;
        Ok(Self { slot, promised, accepted: decode_accepted(input)? })
    }
}
