//! Messages between metadata logs, and their binary form.

use quorate_model::wire::{Reader, Wire, WireError, Writer};
use quorate_model::{ClusterId, Epoch, NodeId};

use crate::metadata::{ClusterMetadata, Entry, Proposal};

/// A number that orders attempts to decide a slot. Unique: a node never uses a generation again after it stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Ballot {
    /// Raised at each attempt above all that were seen.
    pub round: u64,
    /// The generation of the node that tries.
    pub generation: u64,
    /// The node that tries.
    pub node: NodeId,
}

/// A message with the cluster that it belongs to; all zero from a node that has none yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFrame {
    /// The sender's cluster.
    pub cluster: ClusterId,
    /// What it says.
    pub message: LogMessage,
}

/// What metadata logs say to each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogMessage {
    /// 'Promise to accept nothing older than this ballot.'
    Prepare {
        /// The slot to decide.
        slot: Epoch,
        /// The attempt.
        ballot: Ballot,
    },
    /// 'I promise; this is what I last accepted.'
    Promise {
        /// The slot.
        slot: Epoch,
        /// The ballot promised.
        ballot: Ballot,
        /// What was accepted before, with its ballot.
        accepted: Option<(Ballot, Proposal)>,
    },
    /// 'Accept this.'
    Accept {
        /// The slot.
        slot: Epoch,
        /// The attempt.
        ballot: Ballot,
        /// What is to be decided.
        proposal: Proposal,
    },
    /// 'I accepted it.'
    Accepted {
        /// The slot.
        slot: Epoch,
        /// The attempt.
        ballot: Ballot,
    },
    /// 'I promised a newer ballot.'
    Refuse {
        /// The slot.
        slot: Epoch,
        /// The ballot that was refused.
        ballot: Ballot,
        /// The one promised.
        promised: Ballot,
    },
    /// 'Send me what was decided from this slot on.'
    Fetch {
        /// The first slot missing.
        from: Epoch,
    },
    /// 'This was decided', in order without gaps.
    Entries {
        /// The decided slots.
        entries: Vec<Entry>,
        /// The last slot that the sender has applied.
        latest: Epoch,
    },
    /// The whole state, for whoever is too far behind for entries.
    Snapshot(Box<ClusterMetadata>),
}

impl Wire for Ballot {
    fn encode(&self, out: &mut Writer) {
        out.varint(self.round);
        out.varint(self.generation);
        out.raw(&self.node.0);
    }

    fn decode(input: &mut Reader) -> Result<Self, WireError> {
        let round = input.varint("ballot's round")?;
        let generation = input.varint("ballot's generation")?;
        Ok(Self { round, generation, node: NodeId(input.id("ballot's node")?) })
    }
}

pub(super) fn encode_accepted(accepted: Option<&(Ballot, Proposal)>, out: &mut Writer) {
    out.bool(accepted.is_some());
    if let Some((ballot, proposal)) = accepted {
        ballot.encode(out);
        proposal.encode(out);
    }
}

pub(super) fn decode_accepted(input: &mut Reader) -> Result<Option<(Ballot, Proposal)>, WireError> {
    if !input.bool("whether something was accepted")? {
        return Ok(None);
    }
    Ok(Some((Ballot::decode(input)?, Proposal::decode(input)?)))
}

impl Wire for LogFrame {
    fn encode(&self, out: &mut Writer) {
        out.raw(&self.cluster.0);
        match &self.message {
            LogMessage::Prepare { slot, ballot } => {
                out.u8(0);
                out.varint(slot.0);
                ballot.encode(out);
            }
            LogMessage::Promise { slot, ballot, accepted } => {
                out.u8(1);
                out.varint(slot.0);
                ballot.encode(out);
                encode_accepted(accepted.as_ref(), out);
            }
            LogMessage::Accept { slot, ballot, proposal } => {
                out.u8(2);
                out.varint(slot.0);
                ballot.encode(out);
                proposal.encode(out);
            }
            LogMessage::Accepted { slot, ballot } => {
                out.u8(3);
                out.varint(slot.0);
                ballot.encode(out);
            }
            LogMessage::Refuse { slot, ballot, promised } => {
                out.u8(4);
                out.varint(slot.0);
                ballot.encode(out);
                promised.encode(out);
            }
            LogMessage::Fetch { from } => {
                out.u8(5);
                out.varint(from.0);
            }
            LogMessage::Entries { entries, latest } => {
                out.u8(6);
                out.varint(entries.len() as u64);
                for entry in entries {
                    entry.encode(out);
                }
                out.varint(latest.0);
            }
            LogMessage::Snapshot(metadata) => {
                out.u8(7);
                metadata.encode(out);
            }
        }
    }

    fn decode(input: &mut Reader) -> Result<Self, WireError> {
        let cluster = ClusterId(input.id("cluster")?);
        let kind = input.u8("log message")?;
        let slot = |input: &mut Reader| input.varint("slot").map(Epoch);
        let message = match kind {
            0 => LogMessage::Prepare { slot: slot(input)?, ballot: Ballot::decode(input)? },
            1 => LogMessage::Promise {
                slot: slot(input)?,
                ballot: Ballot::decode(input)?,
                accepted: decode_accepted(input)?,
            },
            2 => LogMessage::Accept {
                slot: slot(input)?,
                ballot: Ballot::decode(input)?,
                proposal: Proposal::decode(input)?,
            },
            3 => LogMessage::Accepted { slot: slot(input)?, ballot: Ballot::decode(input)? },
            4 => LogMessage::Refuse {
                slot: slot(input)?,
                ballot: Ballot::decode(input)?,
                promised: Ballot::decode(input)?,
            },
            5 => LogMessage::Fetch { from: slot(input)? },
            6 => {
                let count = input.count(18, "entries")?;
                let entries = (0..count).map(|_| Entry::decode(input)).collect::<Result<_, _>>()?;
                LogMessage::Entries { entries, latest: slot(input)? }
            }
            7 => LogMessage::Snapshot(Box::new(ClusterMetadata::decode(input)?)),
            _ => return Err(input.error("log message", "an unknown kind")),
        };
        Ok(Self { cluster, message })
    }
}
