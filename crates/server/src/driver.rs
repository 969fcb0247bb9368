//! The one place that knows how a node is opened.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use quorate_env::{Instant, Now};
use quorate_model::{ClusterId, NodeId};
use quorate_node::metrics::Sample;
use quorate_node::{
    Control, Input, Node, NodeConfig, NodePhase, Output, Shared, Snapshot, Surroundings, Timing, Worker,
};
use quorate_os::{Clock, DataDirLock, RealDisk, SledStore, entropy_seed};
use quorate_storage::{OpenReport, StorageOptions};

use crate::committer::SyncLog;
use crate::config::Config;
use crate::error::ServerError;
use crate::machine::Machine;

/// Where a node is in its life, as its fronts need to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It looks for its cluster or is being given its share of the ring.
    Joining,
    /// It serves.
    Ready,
    /// It was drained and serves no more.
    Drained,
}

/// What the server asks of a node beside driving its machines.
pub trait NodeView: Send + Sync {
    /// Where it is in its life.
    fn phase(&self) -> Phase;
    /// Its cluster, once it belongs to one.
    fn cluster_id(&self) -> Option<ClusterId>;
    /// Its numbers, for the metrics page.
    fn samples(&self) -> Vec<Sample>;

    /// Schema, ring and liveness as they are now, for whoever shows them.
    fn snapshot(&self) -> Option<Arc<Snapshot>> {
        None
    }

    /// Grows with every new snapshot.
    fn snapshot_version(&self) -> u64 {
        0
    }

    /// Tells it of the process around it.
    fn set_surroundings(&self, _surroundings: Arc<dyn Surroundings>) {}

    /// The IP address of `HOST:PORT`; none if the host is a name whose address is not known.
    fn ip_of(&self, _address: &str) -> Option<IpAddr> {
        None
    }

    /// Whether it belongs to a cluster.
    fn has_joined(&self) -> bool {
        self.cluster_id().is_some()
    }
}

/// An opened node, ready to be driven.
pub struct Opened {
    /// The node's identity.
    pub node_id: NodeId,
    /// The control machine.
    pub control: Box<dyn Machine>,
    /// The workers, one a thread.
    pub workers: Vec<Box<dyn Machine>>,
    /// Makes the commit log durable.
    pub sync_log: SyncLog,
    /// What else there is to know.
    pub view: Arc<dyn NodeView>,
    /// Held for as long as the data directory is in use.
    pub lock: Option<DataDirLock>,
}

/// What belongs to the system store in the mirror: what a node must not forget even if the store itself is lost.
const MIRRORED: [&[u8]; 1] = [b"node/"];

/// Locks the data directory and opens the node that lives in it, or a new one.
pub(crate) fn open(config: &Config, clock: Clock) -> Result<Opened, ServerError> {
    let directory = &config.data_dir;
    let unusable = |reason: String| ServerError::DataDir { path: directory.clone(), reason };
    let lock = DataDirLock::acquire(directory).map_err(|error| ServerError::Open(error.to_string()))?;
    let seed = entropy_seed().map_err(|source| ServerError::System { action: "read randomness", source })?;
    let store = SledStore::open(&directory.join("system"), &MIRRORED).map_err(|error| unusable(error.to_string()))?;
    let data = directory.join("data");
    std::fs::create_dir_all(&data).map_err(|error| unusable(error.to_string()))?;
    let disk = RealDisk::open(&data).map_err(|error| unusable(error.to_string()))?;
    let node = Node::open(node_config(config), Arc::new(disk), Box::new(store), clock.now(), seed)
        .map_err(|error| unusable(error.to_string()))?;
    log_opening(directory, &node.report);
    let storage = Arc::clone(node.shared.storage());
    Ok(Opened {
        node_id: node.shared.id,
        control: Box::new(node.control),
        workers: node.workers.into_iter().map(|worker| Box::new(worker) as Box<dyn Machine>).collect(),
        sync_log: Box::new(move || storage.sync_log()),
        view: Arc::new(SharedView(node.shared)),
        lock: Some(lock),
    })
}

/// Says what was found: what was lost loudly, what a crash leaves behind quietly.
fn log_opening(directory: &Path, report: &OpenReport) {
    tracing::info!(
        directory = %directory.display(),
        mutations_replayed = report.replayed,
        hints_waiting = report.hints.hints,
        files_removed = report.files_removed,
        "opened the data directory"
    );
    if let Some(dropped) = &report.log_dropped {
        tracing::info!(dropped, "the commit log ends in a torn record, which nobody was told of");
    }
    for damage in &report.log_damaged {
        tracing::error!(damage, "the commit log is damaged");
    }
    for lost in &report.lost {
        tracing::error!(table = ?lost.table, first = ?lost.first, last = ?lost.last, path = lost.path, "a range is lost");
    }
    for damage in &report.hints.damaged {
        tracing::error!(?damage, "hints are lost");
    }
}

fn node_config(config: &Config) -> NodeConfig {
    let (network, bounds) = (&config.network, &config.bounds);
    NodeConfig {
        cluster_name: config.cluster_name.clone(),
        address: network.internode_address(),
        cql_port: network.cql_port,
        grpc_port: network.grpc_port,
        datacenter: config.datacenter.clone(),
        rack: config.rack.clone(),
        seeds: network.seeds.clone(),
        vnodes: config.vnodes,
        workers: config.threads.workers,
        storage: StorageOptions {
            memtable_flush_bytes: bounds.memtable_bytes,
            memtable_slow_bytes: bounds.memtable_bytes.saturating_mul(2),
            memtable_bytes_max: bounds.memtable_bytes.saturating_mul(3),
            cache_bytes: bounds.cache_bytes,
            ..StorageOptions::default()
        },
        timing: Timing {
            write_timeout: bounds.write_timeout,
            read_timeout: bounds.read_timeout,
            range_timeout: bounds.range_timeout,
            ..Timing::default()
        },
        clock_skew_max: bounds.clock_skew_max,
        hint_window: bounds.hint_window,
        requests_max: bounds.requests_max,
    }
}

impl Machine for Control {
    fn step(&mut self, now: Now, input: Input, out: &mut Vec<Output>) {
        Self::step(self, now, input, out);
    }

    fn deadline(&self) -> Option<Instant> {
        Self::deadline(self)
    }
}

impl Machine for Worker {
    fn step(&mut self, now: Now, input: Input, out: &mut Vec<Output>) {
        Self::step(self, now, input, out);
    }

    fn deadline(&self) -> Option<Instant> {
        Self::deadline(self)
    }
}

/// A node's shared part, as the fronts see it.
struct SharedView(Arc<Shared>);

impl NodeView for SharedView {
    fn phase(&self) -> Phase {
        match self.0.phase() {
            NodePhase::Starting | NodePhase::Joining => Phase::Joining,
            NodePhase::Ready => Phase::Ready,
            NodePhase::Drained => Phase::Drained,
        }
    }

    fn cluster_id(&self) -> Option<ClusterId> {
        let snapshot = self.0.snapshot();
        snapshot.metadata.is_founded().then_some(snapshot.metadata.cluster)
    }

    fn samples(&self) -> Vec<Sample> {
        self.0.samples()
    }

    fn snapshot(&self) -> Option<Arc<Snapshot>> {
        Some(self.0.snapshot())
    }

    fn snapshot_version(&self) -> u64 {
        self.0.version()
    }

    fn set_surroundings(&self, surroundings: Arc<dyn Surroundings>) {
        self.0.set_surroundings(surroundings);
    }

    fn ip_of(&self, address: &str) -> Option<IpAddr> {
        self.0.ip_of(address)
    }
}
