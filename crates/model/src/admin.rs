//! The operator's verbs and their answers. Verbs and arguments are nodetool's.

use crate::ids::{ClusterId, Epoch, NodeId};
use crate::key::Token;

/// An operator's verb.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum AdminRequest {
    /// All nodes with state, load and ownership; for one keyspace, ownership by its replication.
    Status {
        keyspace: Option<String>,
    },
    /// This node.
    Info,
    /// Every token with its node.
    Ring {
        keyspace: Option<String>,
    },
    DescribeCluster,
    /// Write memtables to SSTables; answers when they are durable.
    Flush {
        keyspace: Option<String>,
        tables: Vec<String>,
    },
    /// A major compaction.
    Compact {
        keyspace: Option<String>,
        tables: Vec<String>,
    },
    Snapshot {
        tag: String,
        keyspace: Option<String>,
        table: Option<String>,
        skip_flush: bool,
        ttl_seconds: Option<u64>,
    },
    /// `tag: None` clears all of them.
    ClearSnapshot {
        tag: Option<String>,
        keyspace: Option<String>,
    },
    ListSnapshots,
    EnableBinary,
    DisableBinary,
    RefreshSizeEstimates,
    GetLoggingLevels,
    /// Load the certificates and keys of TLS anew.
    ReloadSsl,
    EnableAutoCompaction {
        keyspace: Option<String>,
        tables: Vec<String>,
    },
    DisableAutoCompaction {
        keyspace: Option<String>,
        tables: Vec<String>,
    },
    /// How many of the requests that ask for no trace are traced all the same.
    GetTraceProbability,
    /// Sets it: from 0 (none) to 1 (all).
    SetTraceProbability {
        probability: f64,
    },
    /// Stop serving, flush everything.
    Drain,
    /// The ring as clients route by it: nodes, addresses, tokens and keyspaces' replication.
    Topology,
}

/// The answer to an operator's verb.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum AdminAnswer {
    Done,
    /// `status` and `Topology`.
    Cluster(ClusterStatus),
    /// `info`, `describecluster`, `getlogginglevels`, `gettraceprobability`: names and values in order.
    Properties(Vec<(String, String)>),
    /// `listsnapshots`.
    Snapshots(Vec<SnapshotInfo>),
}

/// The cluster as one node sees it.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct ClusterStatus {
    /// The cluster's name.
    pub cluster_name: String,
    /// Its identity.
    pub cluster_id: ClusterId,
    /// The epoch of the view.
    pub epoch: Epoch,
    /// Every node.
    pub nodes: Vec<NodeStatus>,
}

/// One node as another sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeStatus {
    /// Its identity.
    pub id: NodeId,
    /// Its address (IP), without a port.
    pub address: String,
    /// Port of the gRPC front; clients connect to it.
    pub grpc_port: u16,
    /// Port of the CQL front.
    pub cql_port: u16,
    /// Its data centre.
    pub datacenter: String,
    /// Its rack.
    pub rack: String,
    /// Whether the failure detector holds it to be alive.
    pub up: bool,
    /// `Normal`, `Joining`, `Leaving`, `Moving`, as nodetool shows by N, J, L, M.
    pub state: NodeState,
    /// Bytes of live data, if known.
    pub load_bytes: Option<u64>,
    /// Share of the data it keeps, 0 to 1 (times the replication factor), if a keyspace was given or all replicate alike.
    pub owns: Option<f64>,
    /// Its tokens.
    pub tokens: Vec<Token>,
}

/// What a node is doing on the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum NodeState {
    Normal,
    Joining,
    Leaving,
    Moving,
}

/// A snapshot on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub struct SnapshotInfo {
    pub tag: String,
    pub keyspace: String,
    pub table: String,
    pub bytes: u64,
    /// Microseconds since 1970.
    pub created_at: i64,
}
