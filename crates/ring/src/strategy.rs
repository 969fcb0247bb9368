//! The replication strategies: which nodes along the ring keep a token.

use std::collections::{BTreeMap, BTreeSet};

use quorate_model::schema::Replication;
use quorate_model::{NodeId, Token};

use crate::topology::{NodeEntry, TokenMap};

/// A strategy made ready for one set of nodes.
pub(crate) enum Strategy<'a> {
    Local(NodeId),
    Simple { factor: usize },
    NetworkTopology { quotas: BTreeMap<&'a str, Quota> },
}

/// What one data centre has to give.
#[derive(Clone, Copy)]
pub(crate) struct Quota {
    /// Replicas wanted, at most as many as there are nodes.
    replicas: usize,
    /// How many replicas may share a rack with an earlier one; what is left over must be in racks of their own.
    rack_repeats: usize,
}

impl<'a> Strategy<'a> {
    pub(crate) fn new(replication: &'a Replication, nodes: &[&NodeEntry], local: NodeId) -> Self {
        match replication {
            Replication::Local => Self::Local(local),
            Replication::Simple { factor } => Self::Simple { factor: *factor as usize },
            Replication::NetworkTopology { factors } => {
                let mut quotas = BTreeMap::new();
                for (datacenter, factor) in factors {
                    let inside = nodes.iter().filter(|node| node.datacenter == *datacenter);
                    let node_count = inside.clone().count();
                    let racks: BTreeSet<&str> = inside.map(|node| node.rack.as_str()).collect();
                    let factor = *factor as usize;
                    if factor > 0 && node_count > 0 {
                        let rack_repeats = factor.saturating_sub(racks.len());
                        quotas.insert(datacenter.as_str(), Quota { replicas: factor.min(node_count), rack_repeats });
                    }
                }
                Self::NetworkTopology { quotas }
            }
        }
    }

    /// The replicas of a token in ring order, the primary first.
    pub(crate) fn replicas(&self, ring: &TokenMap, token: Token) -> Vec<NodeId> {
        match self {
            Self::Local(node) => vec![*node],
            Self::Simple { factor } => {
                let mut replicas = Vec::new();
                for node in ring.walk(token) {
                    if replicas.len() == *factor {
                        break;
                    }
                    if !replicas.contains(&node.id) {
                        replicas.push(node.id);
                    }
                }
                replicas
            }
            Self::NetworkTopology { quotas } => across_racks(quotas.clone(), ring, token),
        }
    }
}

/// Walks the ring and takes, in each data centre, the first node of each rack, and nodes of racks already used only as
/// long as enough racks remain for the rest.
fn across_racks(mut quotas: BTreeMap<&str, Quota>, ring: &TokenMap, token: Token) -> Vec<NodeId> {
    let mut replicas = Vec::new();
    let mut racks: BTreeSet<(&str, &str)> = BTreeSet::new();
    let mut wanted: usize = quotas.values().map(|quota| quota.replicas).sum();
    for node in ring.walk(token) {
        if wanted == 0 {
            break;
        }
        let Some(quota) = quotas.get_mut(node.datacenter.as_str()) else { continue };
        if quota.replicas == 0 || replicas.contains(&node.id) {
            continue;
        }
        if !racks.insert((&node.datacenter, &node.rack)) {
            if quota.rack_repeats == 0 {
                continue;
            }
            quota.rack_repeats -= 1;
        }
        quota.replicas -= 1;
        wanted -= 1;
        replicas.push(node.id);
    }
    replicas
}
