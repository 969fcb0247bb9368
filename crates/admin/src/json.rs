//! Answers as JSON.

use quorate_model::admin::{AdminAnswer, NodeStatus, SnapshotInfo};
use serde_json::{Map, Value, json};

use crate::render::created;

/// The answer as one JSON document.
pub fn render(answer: &AdminAnswer) -> String {
    let value = match answer {
        AdminAnswer::Done => json!({ "done": true }),
        AdminAnswer::Cluster(cluster) => json!({
            "cluster_name": cluster.cluster_name,
            "cluster_id": cluster.cluster_id.to_string(),
            "epoch": cluster.epoch.0,
            "nodes": cluster.nodes.iter().map(node).collect::<Vec<_>>(),
        }),
        AdminAnswer::Properties(properties) => {
            Value::Object(properties.iter().map(|(name, value)| (name.clone(), json!(value))).collect::<Map<_, _>>())
        }
        AdminAnswer::Snapshots(snapshots) => Value::Array(snapshots.iter().map(snapshot).collect()),
    };
    format!("{value:#}\n")
}

fn node(node: &NodeStatus) -> Value {
    json!({
        "host_id": node.id.to_string(),
        "address": node.address,
        "grpc_port": node.grpc_port,
        "cql_port": node.cql_port,
        "datacenter": node.datacenter,
        "rack": node.rack,
        "status": if node.up { "up" } else { "down" },
        "state": format!("{:?}", node.state).to_lowercase(),
        "load_bytes": node.load_bytes,
        "owns": node.owns,
        "tokens": node.tokens.iter().map(|token| token.0).collect::<Vec<_>>(),
    })
}

fn snapshot(snapshot: &SnapshotInfo) -> Value {
    json!({
        "tag": snapshot.tag,
        "keyspace": snapshot.keyspace,
        "table": snapshot.table,
        "bytes": snapshot.bytes,
        "created_at": created(snapshot),
    })
}
