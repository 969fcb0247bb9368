//! The cluster's metadata: what the log of changes adds up to.

mod apply;
mod change;
mod codec;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use quorate_model::schema::Schema;
use quorate_model::{ClusterId, Epoch, NodeId, TableId, Timestamp};
use quorate_ring::Topology;

pub use change::{Change, Entry, Proposal, ProposalId, Rejection};

/// The state of the cluster at one epoch: the fold of all entries up to it. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ClusterMetadata {
    /// The cluster's identity; all zero until it is founded.
    pub cluster: ClusterId,
    /// The cluster's name.
    pub name: String,
    /// Number of entries applied.
    pub epoch: Epoch,
    /// Keyspaces and tables.
    pub schema: Arc<Schema>,
    /// Nodes and what moves.
    pub topology: Arc<Topology>,
    /// Who decides the next entry, ascending.
    pub members: Vec<NodeId>,
    /// For each truncated table, the timestamp up to which everything is gone.
    pub truncations: BTreeMap<TableId, Timestamp>,
    /// Identities that no table can have any more: their tables were dropped, and late writes to them vanish.
    pub dropped: BTreeSet<TableId>,
    /// The epoch of the last change of who keeps what: a replica refuses requests planned before it.
    pub placement_epoch: Epoch,
}

impl ClusterMetadata {
    /// Whether there is a cluster at all.
    pub fn is_founded(&self) -> bool {
        self.cluster != ClusterId::default()
    }

    /// How many members must agree.
    pub fn quorum(&self) -> usize {
        self.members.len() / 2 + 1
    }

    /// Whether a node is a metadata member.
    pub fn is_member(&self, node: NodeId) -> bool {
        self.members.contains(&node)
    }

    /// Asserts what must hold of every state, whatever was applied.
    pub fn check(&self) {
        self.topology.check();
        if self.is_founded() {
            assert!(!self.members.is_empty(), "a founded cluster has metadata members");
            assert!(self.epoch > Epoch(0), "founding is an entry");
        }
        assert!(self.members.is_sorted_by(|a, b| a < b), "members are distinct and ascending");
        assert!(self.members.iter().all(|member| self.topology.node(*member).is_some()), "members are nodes");
        for epoch in [self.placement_epoch, self.schema.epoch, self.topology.epoch] {
            assert!(epoch <= self.epoch, "something changed after the last epoch");
        }
    }
}

#[cfg(test)]
mod tests;
