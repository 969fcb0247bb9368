//! Logs what this node sees of its cluster: who came, who cannot be reached, which epoch it has applied.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use quorate_model::NodeId;
use quorate_node::Snapshot;

use crate::driver::NodeView;

/// How often it looks.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// What is worth a line.
#[derive(Debug, PartialEq, Eq)]
enum Change {
    Joined,
    Reachable,
    Unreachable,
    Left,
}

/// Looks at the cluster from time to time, and logs what has changed.
pub(crate) async fn watch(view: Arc<dyn NodeView>) {
    let mut seen: Option<Arc<Snapshot>> = None;
    let mut version = 0;
    loop {
        let now = view.snapshot_version();
        if now != version
            && let Some(snapshot) = view.snapshot()
        {
            version = now;
            let nodes = |snapshot: &Snapshot| {
                let nodes = snapshot.metadata.topology.nodes.values();
                nodes.map(|node| (node.id, snapshot.reachable.contains(&node.id))).collect::<BTreeMap<_, _>>()
            };
            let before = seen.as_deref().map(nodes).unwrap_or_default();
            for (node, change) in changes(&before, &nodes(&snapshot)) {
                log(&snapshot, node, &change);
            }
            if let Some(before) = &seen
                && before.metadata.epoch != snapshot.metadata.epoch
            {
                tracing::debug!(epoch = snapshot.metadata.epoch.0, "applied the metadata log");
            }
            seen = Some(snapshot);
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

/// Nodes with what has changed of them. Each is given with whether it can be reached.
fn changes(before: &BTreeMap<NodeId, bool>, after: &BTreeMap<NodeId, bool>) -> Vec<(NodeId, Change)> {
    let mut changes = Vec::new();
    for (node, reachable) in after {
        let was_reachable = before.get(node);
        if was_reachable.is_none() {
            changes.push((*node, Change::Joined));
        }
        match (was_reachable.copied().unwrap_or(false), *reachable) {
            (false, true) => changes.push((*node, Change::Reachable)),
            (true, false) => changes.push((*node, Change::Unreachable)),
            _ => {}
        }
    }
    changes.extend(before.keys().filter(|node| !after.contains_key(node)).map(|node| (*node, Change::Left)));
    changes
}

fn log(snapshot: &Snapshot, node: NodeId, change: &Change) {
    let address = snapshot.metadata.topology.nodes.get(&node).map(|node| node.address.as_str()).unwrap_or_default();
    match change {
        Change::Joined => tracing::info!(%node, address, "a node is in the ring"),
        Change::Reachable => tracing::info!(%node, address, "a node is up"),
        Change::Unreachable => tracing::warn!(%node, address, "a node is down"),
        Change::Left => tracing::info!(%node, "a node has left the ring"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_change_is_told_once() {
        let node = NodeId::from_u128;
        let none = BTreeMap::new();
        let up = BTreeMap::from([(node(1), true), (node(2), true)]);
        let down = BTreeMap::from([(node(1), true), (node(2), false)]);
        assert_eq!(
            changes(&none, &down),
            [(node(1), Change::Joined), (node(1), Change::Reachable), (node(2), Change::Joined)]
        );
        assert_eq!(changes(&up, &up), []);
        assert_eq!(changes(&up, &down), [(node(2), Change::Unreachable)]);
        assert_eq!(changes(&down, &up), [(node(2), Change::Reachable)]);
        assert_eq!(changes(&up, &BTreeMap::from([(node(1), true)])), [(node(2), Change::Left)]);
    }
}
