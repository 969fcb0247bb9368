//! The learner's half of the machine: applying what was decided, telling it, asking for it.

use std::sync::Arc;

use quorate_env::Instant;
use quorate_model::wire::Wire;
use quorate_model::{Epoch, NodeId};

use super::acceptor::Acceptor;
use super::message::LogMessage;
use super::{LogOutput, MetadataLog, ProposalOutcome, store};
use crate::limits::{FETCHED_BYTES_MAX, FETCHED_ENTRIES_MAX, RECENT_ENTRIES_MAX};
use crate::metadata::{ClusterMetadata, Entry};

/// Somebody is ahead.
#[derive(Clone, Debug)]
pub(super) struct CatchUp {
    /// How far.
    pub(super) target: Epoch,
    /// Who said so last.
    pub(super) from: NodeId,
    /// When to ask again.
    pub(super) retry_at: Instant,
}

impl MetadataLog {
    /// Persists and applies entries that follow on what is applied.
    pub(super) fn learn(&mut self, entries: Vec<Entry>, out: &mut Vec<LogOutput>) {
        if entries.is_empty() {
            return;
        }
        out.push(LogOutput::Persist(store::put_entries(&entries)));
        for entry in entries {
            let result = Arc::make_mut(&mut self.metadata).apply(&entry);
            self.recent.insert(entry.epoch, entry.clone());
            if self.recent.len() > RECENT_ENTRIES_MAX {
                self.recent.pop_first();
            }
            self.begin_slot();
            self.finish_pending(&entry, result.clone().err(), out);
            out.push(LogOutput::Applied { entry, result });
        }
        self.caught_up();
    }

    fn begin_slot(&mut self) {
        self.acceptor = Acceptor::for_slot(self.metadata.epoch.next());
        self.completion_at = None;
        self.round_seen = 0;
    }

    fn caught_up(&mut self) {
        if self.catch_up.as_ref().is_some_and(|catch_up| catch_up.target <= self.metadata.epoch) {
            self.catch_up = None;
        }
    }

    /// Entries arrived: applies those that are next, and asks for what is missing before or after them.
    pub(super) fn entries(
        &mut self,
        now: Instant,
        from: NodeId,
        entries: Vec<Entry>,
        latest: Epoch,
        out: &mut Vec<LogOutput>,
    ) {
        let mut fresh: Vec<Entry> = Vec::new();
        let mut next = self.acceptor.slot;
        for entry in entries {
            if entry.epoch == next {
                next = next.next();
                fresh.push(entry);
            } else if self.recent.get(&entry.epoch).is_some_and(|known| *known != entry) {
                out.push(LogOutput::Diverged { from, epoch: entry.epoch });
                return;
            }
        }
        let progress = !fresh.is_empty();
        self.learn(fresh, out);
        if progress && let Some(catch_up) = &mut self.catch_up {
            // The answer came: no need to wait before asking for more.
            catch_up.retry_at = now;
        }
        self.heard(now, from, latest, out);
    }

    /// A node is at this epoch: asks it for what is missing here, unless that is under way.
    pub(super) fn heard(&mut self, now: Instant, from: NodeId, epoch: Epoch, out: &mut Vec<LogOutput>) {
        if epoch <= self.metadata.epoch {
            return;
        }
        let catch_up = self.catch_up.get_or_insert(CatchUp { target: epoch, from, retry_at: now });
        catch_up.target = catch_up.target.max(epoch);
        catch_up.from = from;
        self.fetch_again(now, out);
    }

    /// Asks for what is missing if it is time to.
    pub(super) fn fetch_again(&mut self, now: Instant, out: &mut Vec<LogOutput>) {
        let Some(catch_up) = self.catch_up.as_mut().filter(|catch_up| catch_up.retry_at <= now) else { return };
        catch_up.retry_at = now + self.config.resend;
        let from = catch_up.from;
        let peers: Vec<NodeId> = self.metadata.topology.nodes.keys().copied().filter(|node| *node != self.me).collect();
        // Whoever said so may be gone by the next time.
        if let Some(other) = self.random.pick(&peers) {
            catch_up.from = *other;
        }
        self.send(from, LogMessage::Fetch { from: self.metadata.epoch.next() }, out);
    }

    /// Sends what was decided from a slot on, or everything if that is no longer at hand.
    pub(super) fn serve(&self, to: NodeId, first: Epoch, out: &mut Vec<LogOutput>) {
        if !self.metadata.is_founded() || first > self.metadata.epoch {
            return;
        }
        if !self.recent.contains_key(&first) {
            self.send(to, LogMessage::Snapshot(Box::new(self.metadata.as_ref().clone())), out);
            return;
        }
        let mut bytes = 0;
        let mut entries = Vec::new();
        for entry in self.recent.range(first..).map(|(_, entry)| entry).take(FETCHED_ENTRIES_MAX) {
            bytes += entry.to_bytes().len();
            entries.push(entry.clone());
            if bytes > FETCHED_BYTES_MAX {
                break;
            }
        }
        self.send(to, LogMessage::Entries { entries, latest: self.metadata.epoch }, out);
    }

    /// Takes a whole state in place of the entries up to it.
    pub(super) fn install(&mut self, metadata: ClusterMetadata, out: &mut Vec<LogOutput>) {
        if metadata.epoch <= self.metadata.epoch {
            return;
        }
        let epoch = metadata.epoch;
        out.push(LogOutput::Persist(store::put_snapshot(&metadata)));
        self.metadata = Arc::new(metadata);
        self.recent.clear();
        self.attempt = None;
        self.begin_slot();
        for pending in std::mem::take(&mut self.pending) {
            // Whether it is among the entries that the snapshot stands for cannot be told, if it was ever sent.
            let outcome =
                if pending.sent { ProposalOutcome::Unknown } else { ProposalOutcome::Superseded { by: epoch } };
            out.push(LogOutput::Finished { id: pending.proposal.id, outcome });
        }
        out.push(LogOutput::Installed { epoch });
        self.caught_up();
    }
}
