//! Agreement on the metadata log: single-decree Paxos (Lamport, "Paxos made simple", 2001) for each slot in turn, among
//! the members that the entries before the slot name. No leader; no pipelining, so that the members of a slot are known
//! to whoever takes part in it. Every node proposes by talking to the members, and learns from whoever is ahead.

mod acceptor;
mod learn;
mod message;
mod propose;
mod proposer;
mod store;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use quorate_env::{Instant, Random};
use quorate_model::{ClusterId, Epoch, NodeId};
use quorate_ring::NodeEntry;

use crate::limits::RECENT_ENTRIES_MAX;
use crate::metadata::{Change, ClusterMetadata, Entry, Proposal, ProposalId, Rejection};
use acceptor::{Acceptor, Verdict};
use learn::CatchUp;
pub use message::{Ballot, LogFrame, LogMessage};
use proposer::{Attempt, Pending};
pub use store::{OpenError, STORE_PREFIX, StoreChanges};

/// Settings of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// How long to wait for answers before messages are sent again.
    pub resend: Duration,
    /// The first backoff after a refusal; it doubles up to 16 times this, and half of it is random.
    pub backoff: Duration,
    /// How long an accepted but undecided proposal of another node may stay before this node completes it.
    pub completion: Duration,
    /// The only cluster name that a node without a cluster may adopt.
    pub cluster_name: String,
}

impl LogConfig {
    /// The defaults, for a cluster of this name.
    pub fn new(cluster_name: impl Into<String>) -> Self {
        Self {
            resend: Duration::from_millis(500),
            backoff: Duration::from_millis(20),
            completion: Duration::from_secs(3),
            cluster_name: cluster_name.into(),
        }
    }
}

/// An event for the log.
#[derive(Clone, Debug)]
pub enum LogInput {
    /// A message arrived.
    Message {
        /// Its sender.
        from: NodeId,
        /// The message.
        frame: LogFrame,
    },
    /// Gossip or any other message showed how far a node is.
    Heard {
        /// The node.
        from: NodeId,
        /// The last epoch that it has applied.
        epoch: Epoch,
    },
    /// Time has passed.
    Tick,
}

/// An effect that the driver carries out.
///
/// **The order is the contract.** Outputs are carried out in the order in which they were put out, over all calls. A
/// [`LogOutput::Persist`] must be durable before any later output of this machine is carried out, also one of a later
/// call; if it fails, the node stops. Nothing else may wait: a `Send` may be lost, but not come early.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogOutput {
    /// Commit these changes to the system store, atomically.
    Persist(StoreChanges),
    /// Send a message to a node.
    Send {
        /// The receiver.
        to: NodeId,
        /// The message.
        frame: LogFrame,
    },
    /// An entry was applied: publish [`MetadataLog::metadata`].
    Applied {
        /// The entry.
        entry: Entry,
        /// Whether its change had an effect.
        result: Result<(), Rejection>,
    },
    /// A snapshot took the place of many entries: publish [`MetadataLog::metadata`].
    Installed {
        /// Its epoch.
        epoch: Epoch,
    },
    /// A proposal of this node came to its end.
    Finished {
        /// Which.
        id: ProposalId,
        /// How.
        outcome: ProposalOutcome,
    },
    /// A node of another cluster spoke. If this node has no cluster yet, its configuration names the wrong one.
    Foreign {
        /// Who.
        from: NodeId,
        /// Its cluster.
        cluster: ClusterId,
        /// Its cluster's name, if it said so.
        name: Option<String>,
    },
    /// A node holds another decision for a slot than this one: a log was tampered with or a directory restored. The
    /// node must stop.
    Diverged {
        /// Who.
        from: NodeId,
        /// The slot.
        epoch: Epoch,
    },
}

/// How a proposal ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProposalOutcome {
    /// It is the entry of this epoch.
    Decided {
        /// The epoch.
        epoch: Epoch,
        /// Why it has no effect, if so.
        rejection: Option<Rejection>,
    },
    /// Another change took the slot; this one has no effect. Plan again on the new state.
    Superseded {
        /// The epoch that the other one made.
        by: Epoch,
    },
    /// No majority of the metadata members answered in time. It has no effect and never will.
    Unavailable,
    /// It was sent, but what became of it is not known; it may still be decided.
    Unknown,
}

/// Why a proposal is refused at once.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// There is no cluster to change.
    #[error("this node belongs to no cluster yet")]
    NotFounded,
    /// It was planned on an older state.
    #[error("the change was planned at epoch {planned_at}, the cluster is at {current}")]
    Stale {
        /// Where it was planned.
        planned_at: Epoch,
        /// Where the log is.
        current: Epoch,
    },
    /// The state at hand refuses it.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// Its encoding does not fit an entry.
    #[error("the change takes {size} bytes, more than the {max} that an entry holds")]
    TooLarge {
        /// Its size.
        size: usize,
        /// The limit.
        max: usize,
    },
    /// Too many proposals wait on this node.
    #[error("{waiting} metadata changes wait on this node already")]
    Busy {
        /// How many.
        waiting: usize,
    },
}

/// Counts of what the log did, for metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct LogCounters {
    /// Messages of other clusters, not answered.
    pub foreign: u64,
    /// Requests to decide a slot of which this node is no member.
    pub not_member: u64,
    /// Ballots begun.
    pub ballots: u64,
    /// Requests refused for a newer ballot.
    pub refused: u64,
}

/// The machine. See the module's text.
#[derive(Debug)]
pub struct MetadataLog {
    config: LogConfig,
    me: NodeId,
    generation: u64,
    random: Random,
    metadata: Arc<ClusterMetadata>,
    /// The last entries, for those who are behind.
    recent: BTreeMap<Epoch, Entry>,
    acceptor: Acceptor,
    /// When this node completes what it accepted itself, if nobody else does.
    completion_at: Option<Instant>,
    attempt: Option<Attempt>,
    /// The first is being proposed, the others wait for the slot.
    pending: VecDeque<Pending>,
    catch_up: Option<CatchUp>,
    /// The highest round seen for the present slot.
    round_seen: u64,
    counters: LogCounters,
}

impl MetadataLog {
    /// Opens the log from what is stored under [`STORE_PREFIX`]. `generation` must be greater than at every earlier
    /// start of this node.
    pub fn open(
        config: LogConfig,
        me: NodeId,
        generation: u64,
        random: Random,
        stored: &[(Vec<u8>, Vec<u8>)],
    ) -> Result<Self, OpenError> {
        let stored = store::load(stored, RECENT_ENTRIES_MAX)?;
        let slot = stored.metadata.epoch.next();
        let acceptor = stored.acceptor.filter(|acceptor| acceptor.slot == slot);
        let mut log = Self {
            config,
            me,
            generation,
            random,
            metadata: Arc::new(stored.metadata),
            recent: stored.recent,
            acceptor: acceptor.unwrap_or_else(|| Acceptor::for_slot(slot)),
            completion_at: None,
            attempt: None,
            pending: VecDeque::new(),
            catch_up: None,
            round_seen: 0,
            counters: LogCounters::default(),
        };
        log.round_seen = log.acceptor.promised.round;
        if log.acceptor.accepted.is_some() {
            // Long before any clock reading, hence at the first tick.
            log.completion_at = Some(Instant(0));
        }
        Ok(log)
    }

    /// The state of the cluster as of the last applied entry.
    pub fn metadata(&self) -> &Arc<ClusterMetadata> {
        &self.metadata
    }

    /// The last applied epoch.
    pub fn epoch(&self) -> Epoch {
        self.metadata.epoch
    }

    /// Counts for metrics.
    pub fn counters(&self) -> LogCounters {
        self.counters
    }

    /// Founds a cluster with this node alone, if there is none here. The caller has made sure that no seed answers.
    pub fn found(&mut self, name: &str, first: NodeEntry, out: &mut Vec<LogOutput>) -> Result<ClusterId, ProposeError> {
        let cluster = ClusterId::from_u128(self.random.next_u128());
        let change = Change::Found { cluster, name: name.to_owned(), first };
        self.metadata.accepts(&change)?;
        let id = ProposalId(self.random.next_u128());
        let entry = Entry { epoch: self.metadata.epoch.next(), proposal: Proposal { id, change } };
        self.learn(vec![entry], out);
        Ok(cluster)
    }

    /// Asks a node for everything after what is known here: how a node without a cluster finds one.
    pub fn fetch_frame(&self) -> LogFrame {
        self.frame(LogMessage::Fetch { from: self.metadata.epoch.next() })
    }

    /// Handles one event.
    pub fn step(&mut self, now: Instant, input: LogInput, out: &mut Vec<LogOutput>) {
        match input {
            LogInput::Message { from, frame } => self.receive(now, from, frame, out),
            LogInput::Heard { from, epoch } => self.heard(now, from, epoch, out),
            LogInput::Tick => {}
        }
        self.drive(now, out);
    }

    /// When it next wants a [`LogInput::Tick`].
    pub fn deadline(&self) -> Option<Instant> {
        let attempt = self.attempt.as_ref().map(|attempt| attempt.wake);
        let pending = self.pending.iter().map(|pending| pending.deadline).min();
        let catch_up = self.catch_up.as_ref().map(|catch_up| catch_up.retry_at);
        let completion = self.completion_at.filter(|_| self.attempt.is_none());
        [attempt, pending, catch_up, completion].into_iter().flatten().min()
    }

    /// Asserts its invariants.
    pub fn check(&self) {
        self.metadata.check();
        self.acceptor.check();
        assert_eq!(self.acceptor.slot, self.metadata.epoch.next(), "the acceptor is that of the next slot");
        if let Some(attempt) = &self.attempt {
            assert_eq!(attempt.slot, self.acceptor.slot, "an attempt is for the next slot");
        }
        if let Some((last, _)) = self.recent.last_key_value() {
            assert_eq!(*last, self.metadata.epoch, "the last entry is the last applied");
        }
    }

    fn receive(&mut self, now: Instant, from: NodeId, frame: LogFrame, out: &mut Vec<LogOutput>) {
        let LogFrame { cluster, message } = frame;
        if !self.admits(from, cluster, &message, out) {
            return;
        }
        match message {
            LogMessage::Prepare { slot, ballot } => {
                if self.takes_part(now, from, slot, out)
                    && let Some(answer) = self.promise(slot, ballot, out)
                {
                    self.send(from, answer, out);
                }
            }
            LogMessage::Accept { slot, ballot, proposal } => {
                if self.takes_part(now, from, slot, out)
                    && let Some(answer) = self.accept(now, slot, ballot, proposal, out)
                {
                    self.send(from, answer, out);
                }
            }
            LogMessage::Promise { slot, ballot, accepted } => self.promised(now, from, slot, ballot, accepted, out),
            LogMessage::Accepted { slot, ballot } => self.accepted(from, slot, ballot, out),
            LogMessage::Refuse { slot, ballot, promised } => self.refused(now, slot, ballot, promised),
            LogMessage::Fetch { from: first } => self.serve(from, first, out),
            LogMessage::Entries { entries, latest } => self.entries(now, from, entries, latest, out),
            LogMessage::Snapshot(metadata) => self.install(*metadata, out),
        }
    }

    /// Whether a message concerns this node's cluster, or may give it one.
    fn admits(&mut self, from: NodeId, cluster: ClusterId, message: &LogMessage, out: &mut Vec<LogOutput>) -> bool {
        let nobody = ClusterId::default();
        let (name, admitted) = match message {
            LogMessage::Fetch { .. } if cluster == nobody => return self.metadata.is_founded(),
            LogMessage::Snapshot(metadata) if !self.metadata.is_founded() => {
                (Some(metadata.name.as_str()), metadata.name == self.config.cluster_name)
            }
            LogMessage::Entries { entries, .. } if !self.metadata.is_founded() => {
                let name = entries.first().and_then(|entry| match &entry.proposal.change {
                    Change::Found { name, .. } => Some(name.as_str()),
                    _ => None,
                });
                (name, name.is_some_and(|name| name == self.config.cluster_name))
            }
            _ => (None, cluster == self.metadata.cluster && cluster != nobody),
        };
        // Being spoken to before having a cluster is no fault.
        if !admitted && cluster != nobody && (self.metadata.is_founded() || name.is_some()) {
            self.counters.foreign += 1;
            out.push(LogOutput::Foreign { from, cluster, name: name.map(str::to_owned) });
        }
        admitted
    }

    /// Whether this node is an acceptor of the slot. If it is behind it asks; if the sender is, it tells.
    fn takes_part(&mut self, now: Instant, from: NodeId, slot: Epoch, out: &mut Vec<LogOutput>) -> bool {
        let next = self.acceptor.slot;
        if slot < next {
            self.serve(from, slot, out);
        } else if slot > next {
            self.heard(now, from, Epoch(slot.0.saturating_sub(1)), out);
        } else if !self.metadata.is_member(self.me) {
            self.counters.not_member += 1;
        } else {
            return true;
        }
        false
    }

    fn promise(&mut self, slot: Epoch, ballot: Ballot, out: &mut Vec<LogOutput>) -> Option<LogMessage> {
        self.round_seen = self.round_seen.max(ballot.round);
        match self.acceptor.prepare(ballot) {
            Verdict::Granted { changed } => {
                self.persist_acceptor(changed, out);
                Some(LogMessage::Promise { slot, ballot, accepted: self.acceptor.accepted.clone() })
            }
            Verdict::Refused(promised) => {
                self.counters.refused += 1;
                Some(LogMessage::Refuse { slot, ballot, promised })
            }
        }
    }

    fn accept(
        &mut self,
        now: Instant,
        slot: Epoch,
        ballot: Ballot,
        proposal: Proposal,
        out: &mut Vec<LogOutput>,
    ) -> Option<LogMessage> {
        self.round_seen = self.round_seen.max(ballot.round);
        match self.acceptor.accept(ballot, proposal) {
            Verdict::Granted { changed } => {
                self.persist_acceptor(changed, out);
                // Spread, so that not all members try at once.
                let spread = self.random.between(100, 200);
                self.completion_at = Some(now + self.config.completion * u32::try_from(spread).unwrap_or(100) / 100);
                Some(LogMessage::Accepted { slot, ballot })
            }
            Verdict::Refused(promised) => {
                self.counters.refused += 1;
                Some(LogMessage::Refuse { slot, ballot, promised })
            }
        }
    }

    fn persist_acceptor(&self, changed: bool, out: &mut Vec<LogOutput>) {
        if changed {
            out.push(LogOutput::Persist(store::put_acceptor(&self.acceptor)));
        }
    }

    fn frame(&self, message: LogMessage) -> LogFrame {
        LogFrame { cluster: self.metadata.cluster, message }
    }

    fn send(&self, to: NodeId, message: LogMessage, out: &mut Vec<LogOutput>) {
        out.push(LogOutput::Send { to, frame: self.frame(message) });
    }
}
