//! The cluster, as the system tables tell of it.

use std::collections::BTreeMap;

use quorate_model::admin::{ClusterStatus, NodeState, NodeStatus};
use quorate_model::{CqlType, NodeId, Value};

use super::CqlFront;
use crate::front::FrontError;

/// Reads who the nodes are. Whether they are up is not in the tables; those that are members are taken to be.
pub(super) async fn read(front: &CqlFront) -> Result<ClusterStatus, FrontError> {
    let local = front.rows("SELECT * FROM system.local WHERE key = 'local'", Vec::new()).await?;
    let peers = front.rows("SELECT * FROM system.peers", Vec::new()).await?;
    let cluster_name = local.first().map(|row| text(row, "cluster_name")).unwrap_or_default();
    let nodes = local.iter().chain(&peers).filter_map(node).collect();
    Ok(ClusterStatus { cluster_name, nodes, ..ClusterStatus::default() })
}

fn text(row: &BTreeMap<String, Value>, column: &str) -> String {
    match row.get(column) {
        Some(Value::Text(text)) => text.clone(),
        Some(address @ Value::Inet(_)) => address.to_display(&CqlType::Inet),
        _ => String::new(),
    }
}

fn node(row: &BTreeMap<String, Value>) -> Option<NodeStatus> {
    let Some(Value::Uuid(id)) = row.get("host_id") else { return None };
    Some(NodeStatus {
        id: NodeId(*id),
        address: text(row, "rpc_address"),
        grpc_port: 0,
        cql_port: 0,
        datacenter: text(row, "data_center"),
        rack: text(row, "rack"),
        up: true,
        state: NodeState::Normal,
        load_bytes: None,
        owns: None,
        tokens: Vec::new(),
    })
}
