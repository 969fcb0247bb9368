//! The operator's verbs and answers to and from messages.

use quorate_model::admin::{AdminAnswer, AdminRequest, ClusterStatus, NodeState, NodeStatus, SnapshotInfo};
use quorate_model::{ClusterId, Epoch, NodeId, Token};

use crate::convert::{ConvertError, broken, id, id_bytes, missing, u16_of};
use crate::v1;
use crate::v1::admin_answer::Answer;
use crate::v1::admin_request::Verb;

/// A verb for a message.
pub fn admin_request_to_proto(request: &AdminRequest) -> v1::AdminRequest {
    let void = || v1::Void {};
    let tables = |keyspace: &Option<String>, tables: &[String]| v1::TablesScope {
        keyspace: keyspace.clone(),
        tables: tables.to_vec(),
    };
    let verb = match request {
        AdminRequest::Status { keyspace } => Verb::Status(v1::KeyspaceScope { keyspace: keyspace.clone() }),
        AdminRequest::Info => Verb::Info(void()),
        AdminRequest::Ring { keyspace } => Verb::Ring(v1::KeyspaceScope { keyspace: keyspace.clone() }),
        AdminRequest::DescribeCluster => Verb::DescribeCluster(void()),
        AdminRequest::Flush { keyspace, tables: names } => Verb::Flush(tables(keyspace, names)),
        AdminRequest::Compact { keyspace, tables: names } => Verb::Compact(tables(keyspace, names)),
        AdminRequest::Snapshot { tag, keyspace, table, skip_flush, ttl_seconds } => {
            Verb::Snapshot(v1::SnapshotRequest {
                tag: tag.clone(),
                keyspace: keyspace.clone(),
                table: table.clone(),
                skip_flush: *skip_flush,
                ttl_seconds: *ttl_seconds,
            })
        }
        AdminRequest::ClearSnapshot { tag, keyspace } => {
            Verb::ClearSnapshot(v1::ClearSnapshotRequest { tag: tag.clone(), keyspace: keyspace.clone() })
        }
        AdminRequest::ListSnapshots => Verb::ListSnapshots(void()),
        AdminRequest::EnableBinary => Verb::EnableBinary(void()),
        AdminRequest::DisableBinary => Verb::DisableBinary(void()),
        AdminRequest::RefreshSizeEstimates => Verb::RefreshSizeEstimates(void()),
        AdminRequest::GetLoggingLevels => Verb::GetLoggingLevels(void()),
        AdminRequest::ReloadSsl => Verb::ReloadSsl(void()),
        AdminRequest::EnableAutoCompaction { keyspace, tables: names } => {
            Verb::EnableAutoCompaction(tables(keyspace, names))
        }
        AdminRequest::DisableAutoCompaction { keyspace, tables: names } => {
            Verb::DisableAutoCompaction(tables(keyspace, names))
        }
        AdminRequest::GetTraceProbability => Verb::GetTraceProbability(void()),
        AdminRequest::SetTraceProbability { probability } => {
            Verb::SetTraceProbability(v1::TraceProbability { probability: *probability })
        }
        AdminRequest::Drain => Verb::Drain(void()),
        AdminRequest::Topology => Verb::Topology(void()),
    };
    v1::AdminRequest { verb: Some(verb) }
}

/// A verb.
pub fn admin_request_from_proto(message: v1::AdminRequest) -> Result<AdminRequest, ConvertError> {
    Ok(match message.verb.ok_or_else(|| missing("verb"))? {
        Verb::Status(scope) => AdminRequest::Status { keyspace: scope.keyspace },
        Verb::Info(_) => AdminRequest::Info,
        Verb::Ring(scope) => AdminRequest::Ring { keyspace: scope.keyspace },
        Verb::DescribeCluster(_) => AdminRequest::DescribeCluster,
        Verb::Flush(scope) => AdminRequest::Flush { keyspace: scope.keyspace, tables: scope.tables },
        Verb::Compact(scope) => AdminRequest::Compact { keyspace: scope.keyspace, tables: scope.tables },
        Verb::Snapshot(snapshot) => AdminRequest::Snapshot {
            tag: snapshot.tag,
            keyspace: snapshot.keyspace,
            table: snapshot.table,
            skip_flush: snapshot.skip_flush,
            ttl_seconds: snapshot.ttl_seconds,
        },
        Verb::ClearSnapshot(clear) => AdminRequest::ClearSnapshot { tag: clear.tag, keyspace: clear.keyspace },
        Verb::ListSnapshots(_) => AdminRequest::ListSnapshots,
        Verb::EnableBinary(_) => AdminRequest::EnableBinary,
        Verb::DisableBinary(_) => AdminRequest::DisableBinary,
        Verb::RefreshSizeEstimates(_) => AdminRequest::RefreshSizeEstimates,
        Verb::GetLoggingLevels(_) => AdminRequest::GetLoggingLevels,
        Verb::ReloadSsl(_) => AdminRequest::ReloadSsl,
        Verb::EnableAutoCompaction(scope) => {
            AdminRequest::EnableAutoCompaction { keyspace: scope.keyspace, tables: scope.tables }
        }
        Verb::DisableAutoCompaction(scope) => {
            AdminRequest::DisableAutoCompaction { keyspace: scope.keyspace, tables: scope.tables }
        }
        Verb::GetTraceProbability(_) => AdminRequest::GetTraceProbability,
        Verb::SetTraceProbability(v1::TraceProbability { probability }) => {
            AdminRequest::SetTraceProbability { probability }
        }
        Verb::Drain(_) => AdminRequest::Drain,
        Verb::Topology(_) => AdminRequest::Topology,
    })
}

/// An operator's answer for a message.
pub fn admin_answer_to_proto(answer: &AdminAnswer) -> v1::AdminAnswer {
    let answer = match answer {
        AdminAnswer::Done => Answer::Done(v1::Void {}),
        AdminAnswer::Cluster(cluster) => Answer::Cluster(cluster_to_proto(cluster)),
        AdminAnswer::Properties(properties) => Answer::Properties(v1::Properties {
            properties: properties
                .iter()
                .map(|(name, value)| v1::Property { name: name.clone(), value: value.clone() })
                .collect(),
        }),
        AdminAnswer::Snapshots(snapshots) => Answer::Snapshots(v1::Snapshots {
            snapshots: snapshots
                .iter()
                .map(|snapshot| v1::SnapshotInfo {
                    tag: snapshot.tag.clone(),
                    keyspace: snapshot.keyspace.clone(),
                    table: snapshot.table.clone(),
                    bytes: snapshot.bytes,
                    created_at: snapshot.created_at,
                })
                .collect(),
        }),
    };
    v1::AdminAnswer { answer: Some(answer) }
}

/// An operator's answer.
pub fn admin_answer_from_proto(message: v1::AdminAnswer) -> Result<AdminAnswer, ConvertError> {
    Ok(match message.answer.ok_or_else(|| missing("answer"))? {
        Answer::Done(_) => AdminAnswer::Done,
        Answer::Cluster(cluster) => AdminAnswer::Cluster(cluster_from_proto(cluster)?),
        Answer::Properties(properties) => AdminAnswer::Properties(
            properties.properties.into_iter().map(|property| (property.name, property.value)).collect(),
        ),
        Answer::Snapshots(snapshots) => AdminAnswer::Snapshots(
            snapshots
                .snapshots
                .into_iter()
                .map(|snapshot| SnapshotInfo {
                    tag: snapshot.tag,
                    keyspace: snapshot.keyspace,
                    table: snapshot.table,
                    bytes: snapshot.bytes,
                    created_at: snapshot.created_at,
                })
                .collect(),
        ),
    })
}

const STATES: [(v1::NodeState, NodeState); 4] = [
    (v1::NodeState::Normal, NodeState::Normal),
    (v1::NodeState::Joining, NodeState::Joining),
    (v1::NodeState::Leaving, NodeState::Leaving),
    (v1::NodeState::Moving, NodeState::Moving),
];

/// The cluster for a message.
pub fn cluster_to_proto(cluster: &ClusterStatus) -> v1::ClusterStatus {
    let nodes = cluster
        .nodes
        .iter()
        .map(|node| v1::NodeStatus {
            id: id_bytes(&node.id.0),
            address: node.address.clone(),
            grpc_port: u32::from(node.grpc_port),
            cql_port: u32::from(node.cql_port),
            datacenter: node.datacenter.clone(),
            rack: node.rack.clone(),
            up: node.up,
            state: STATES.iter().find(|(_, known)| *known == node.state).map_or(0, |(number, _)| *number as i32),
            load_bytes: node.load_bytes,
            owns: node.owns,
            tokens: node.tokens.iter().map(|token| token.0).collect(),
        })
        .collect();
    v1::ClusterStatus {
        cluster_name: cluster.cluster_name.clone(),
        cluster_id: id_bytes(&cluster.cluster_id.0),
        epoch: cluster.epoch.0,
        nodes,
    }
}

/// The cluster.
pub fn cluster_from_proto(message: v1::ClusterStatus) -> Result<ClusterStatus, ConvertError> {
    Ok(ClusterStatus {
        cluster_name: message.cluster_name,
        cluster_id: ClusterId(id(&message.cluster_id, "cluster_id")?),
        epoch: Epoch(message.epoch),
        nodes: message.nodes.into_iter().map(node_from_proto).collect::<Result<_, _>>()?,
    })
}

fn node_from_proto(node: v1::NodeStatus) -> Result<NodeStatus, ConvertError> {
    let state = STATES
        .iter()
        .find(|(known, _)| *known as i32 == node.state)
        .map(|(_, state)| *state)
        .ok_or_else(|| broken("nodes.state", format!("is {}, which is no state", node.state)))?;
    Ok(NodeStatus {
        id: NodeId(id(&node.id, "nodes.id")?),
        address: node.address,
        grpc_port: u16_of(node.grpc_port, "nodes.grpc_port")?,
        cql_port: u16_of(node.cql_port, "nodes.cql_port")?,
        datacenter: node.datacenter,
        rack: node.rack,
        up: node.up,
        state,
        load_bytes: node.load_bytes,
        owns: node.owns,
        tokens: node.tokens.into_iter().map(Token).collect(),
    })
}
