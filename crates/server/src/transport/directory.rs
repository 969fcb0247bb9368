//! Where the nodes listen, as the control machine says.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use quorate_model::NodeId;

use crate::limits::{ADDRESS_BYTES_MAX, STRANGERS_MAX};

/// Internode addresses by node.
#[derive(Default)]
pub(crate) struct Directory {
    nodes: RwLock<Arc<BTreeMap<NodeId, String>>>,
    /// What nodes that are not members (yet) said of themselves: whoever asks to join must be answered.
    strangers: RwLock<BTreeMap<NodeId, String>>,
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
        let known = self.nodes().get(&node).cloned();
        known.or_else(|| self.strangers.read().unwrap_or_else(PoisonError::into_inner).get(&node).cloned())
    }

    /// A node said where it listens. What the control machine says takes precedence.
    pub(crate) fn learn(&self, node: NodeId, address: &str) {
        if address.is_empty() || address.len() > ADDRESS_BYTES_MAX || self.nodes().contains_key(&node) {
            return;
        }
        let mut strangers = self.strangers.write().unwrap_or_else(PoisonError::into_inner);
        if strangers.len() >= STRANGERS_MAX && !strangers.contains_key(&node) {
            strangers.clear();
        }
        strangers.insert(node, address.to_owned());
    }

    /// The node that listens at an address.
    pub(crate) fn node_at(&self, address: &str) -> Option<NodeId> {
        self.nodes().iter().find(|(_, known)| *known == address).map(|(node, _)| *node)
    }
}
