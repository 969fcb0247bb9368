//! What a node is told about itself at its start.

use std::time::Duration;

use quorate_storage::StorageOptions;

/// A node's configuration: facts and limits, no paths and no sockets.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// The cluster's name; a node of another name is refused.
    pub cluster_name: String,
    /// Where peers reach this node: `IP-or-name:port` of the internode listener.
    pub address: String,
    /// Port of the CQL front, told to clients.
    pub cql_port: u16,
    /// Port of the gRPC front, told to clients.
    pub grpc_port: u16,
    /// The node's data centre.
    pub datacenter: String,
    /// The node's rack.
    pub rack: String,
    /// Internode addresses of the seeds (`HOST:PORT`), in order. Only the first founds a cluster.
    pub seeds: Vec<String>,
    /// Tokens that a joining node takes.
    pub vnodes: u32,
    /// Number of workers.
    pub workers: u16,
    /// Sizes and limits of the storage engine.
    pub storage: StorageOptions,
    /// Durations of the node's own habits.
    pub timing: Timing,
    /// How far ahead of this node's clock a client's or peer's timestamp may be.
    pub clock_skew_max: Duration,
    /// How long hints are kept for a node that is down.
    pub hint_window: Duration,
    /// Client requests in flight in one worker before further ones are refused as overloaded.
    pub requests_max: usize,
}

/// Periods and time limits. The simulator draws them from its seed.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// A gossip round.
    pub gossip: Duration,
    /// A heartbeat on every link.
    pub heartbeat: Duration,
    /// Silence on all links of a node after which requests are routed around it.
    pub suspect_after: Duration,
    /// A client's write, unless it says otherwise.
    pub write_timeout: Duration,
    /// A client's read of partitions, unless it says otherwise.
    pub read_timeout: Duration,
    /// A client's range read, unless it says otherwise.
    pub range_timeout: Duration,
    /// A change of the schema.
    pub schema_timeout: Duration,
    /// An operator's verb.
    pub admin_timeout: Duration,
    /// How long a change of the schema waits, once decided, for the live nodes to have applied it.
    pub agreement_timeout: Duration,
    /// How often background work is looked for.
    pub upkeep: Duration,
    /// How long a first seed waits for other seeds to answer before it founds a cluster, and how long a node that is
    /// restarted waits to hear all others before it serves without them.
    pub founding_wait: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            gossip: Duration::from_secs(1),
            heartbeat: Duration::from_millis(500),
            suspect_after: Duration::from_secs(2),
            write_timeout: Duration::from_secs(2),
            read_timeout: Duration::from_secs(5),
            range_timeout: Duration::from_secs(10),
            schema_timeout: Duration::from_secs(10),
            admin_timeout: Duration::from_secs(600),
            agreement_timeout: Duration::from_secs(2),
            upkeep: Duration::from_millis(100),
            founding_wait: Duration::from_secs(2),
        }
    }
}
