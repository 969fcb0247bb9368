//! The ring as one snapshot.

use std::sync::Arc;

use quorate_model::NodeId;
use quorate_model::schema::{Replication, Schema};

use crate::placements::Placements;
use crate::topology::Topology;

/// A topology with the placements of every replication in use. Immutable; cloning copies two pointers.
#[derive(Clone, Debug)]
pub struct Ring {
    topology: Arc<Topology>,
    local: NodeId,
    // Few replications differ, so a scan beats a map.
    placements: Arc<[(Replication, Arc<Placements>)]>,
}

impl Ring {
    /// Computes the placements of these replications. `local` is the node that holds this snapshot.
    pub fn new<'a>(
        topology: Arc<Topology>,
        local: NodeId,
        replications: impl IntoIterator<Item = &'a Replication>,
    ) -> Self {
        let mut placements: Vec<(Replication, Arc<Placements>)> = Vec::new();
        for replication in replications {
            if placements.iter().all(|(known, _)| known != replication) {
                let computed = Placements::compute(&topology, replication, local);
                placements.push((replication.clone(), Arc::new(computed)));
            }
        }
        Self { topology, local, placements: placements.into() }
    }

    /// Computes the placements of all keyspaces.
    pub fn for_schema(topology: Arc<Topology>, local: NodeId, schema: &Schema) -> Self {
        let keyspaces = schema.keyspaces.values().map(|keyspace| &keyspace.replication);
        Self::new(topology, local, std::iter::once(&Replication::Local).chain(keyspaces))
    }

    /// The nodes.
    pub fn topology(&self) -> &Arc<Topology> {
        &self.topology
    }

    /// The node that holds this snapshot.
    pub fn local(&self) -> NodeId {
        self.local
    }

    /// Who keeps what under a replication: at hand for those in use, computed for others.
    pub fn placements(&self, replication: &Replication) -> Arc<Placements> {
        match self.placements.iter().find(|(known, _)| known == replication) {
            Some((_, placements)) => Arc::clone(placements),
            None => Arc::new(Placements::compute(&self.topology, replication, self.local)),
        }
    }

    /// All placements at hand.
    pub fn all_placements(&self) -> impl Iterator<Item = (&Replication, &Arc<Placements>)> {
        self.placements.iter().map(|(replication, placements)| (replication, placements))
    }

    /// The data centre of a node; empty if it is unknown.
    pub fn datacenter(&self, node: NodeId) -> &str {
        self.topology.node(node).map_or("", |entry| entry.datacenter.as_str())
    }
}
