//! Where the nodes listen, as the control machine says.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use quorate_model::NodeId;

/// Internode addresses by node.
#[derive(Default)]
pub(crate) struct Directory {
    nodes: RwLock<Arc<BTreeMap<NodeId, String>>>,
}

impl Directory {
    /// Takes over a new directory; false if nothing changed.
    pub(crate) fn replace(&self, nodes: Arc<BTreeMap<NodeId, String>>) -> bool {
        let mut current = self.nodes.write().unwrap_or_else(PoisonError::into_inner);
        let changed = **current != *nodes;
        *current = nodes;
        changed
    }

    /// All nodes.
    pub(crate) fn nodes(&self) -> Arc<BTreeMap<NodeId, String>> {
        Arc::clone(&self.nodes.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Where a node listens.
    pub(crate) fn address_of(&self, node: NodeId) -> Option<String> {
        self.nodes().get(&node).cloned()
    }

    /// The node that listens at an address.
    pub(crate) fn node_at(&self, address: &str) -> Option<NodeId> {
        self.nodes().iter().find(|(_, known)| *known == address).map(|(node, _)| *node)
    }
}
