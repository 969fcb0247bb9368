//! What a node's machines share: the storage engine, the present snapshot, the clock, the counters.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use quorate_env::Instant;
use quorate_model::NodeId;
use quorate_model::time::HybridClock;
use quorate_storage::Storage;

use crate::config::NodeConfig;
use crate::latencies::WorkerBook;
use crate::metrics::{Metrics, Sample, SampleKind};
use crate::prepared::PreparedTexts;
use crate::snapshot::Snapshot;
use crate::surroundings::{Around, Surroundings};

/// Where a node is in its life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodePhase {
    /// It looks for its cluster.
    Starting,
    /// It is being given its share of the ring.
    Joining,
    /// It serves.
    Ready,
    /// It was drained and serves no more.
    Drained,
}

/// A share of requests, from 0 (none, the default) to 1 (all).
#[derive(Debug, Default)]
pub struct TraceProbability(AtomicU64);

impl TraceProbability {
    /// Sets it. What is no probability is refused.
    pub fn set(&self, probability: f64) -> bool {
        let valid = (0.0..=1.0).contains(&probability);
        if valid {
            self.0.store(probability.to_bits(), Ordering::Relaxed);
        }
        valid
    }

    /// The present share.
    pub fn get(&self) -> f64 {
        f64::from_bits(self.0.load(Ordering::Relaxed))
    }

    /// Whether a request is one of them. Randomness is drawn only if some are.
    pub(crate) fn hits(&self, random: impl FnOnce() -> u64) -> bool {
        let probability = self.get();
        // 53 bits make every number from 0 up to but without 1 that a double can tell apart evenly.
        probability > 0.0 && ((random() >> 11) as f64 / (1u64 << 53) as f64) < probability
    }
}

/// Shared by the control machine, the workers and the fronts of one node.
pub struct Shared {
    /// This node.
    pub id: NodeId,
    /// What it was told at its start.
    pub config: NodeConfig,
    /// Counters and gauges.
    pub metrics: Metrics,
    /// Stamps every write that brings no timestamp.
    pub clock: HybridClock,
    /// Texts of prepared statements.
    pub prepared: PreparedTexts,
    /// How many of the requests that ask for no trace are traced all the same.
    pub trace_probability: TraceProbability,
    pub(crate) around: Around,
    /// How long requests took, a book a worker.
    pub(crate) books: Mutex<Vec<Arc<WorkerBook>>>,
    storage: Arc<Storage>,
    snapshot: RwLock<Arc<Snapshot>>,
    version: AtomicU64,
    phase: Mutex<NodePhase>,
}

impl Shared {
    pub(crate) fn new(id: NodeId, config: NodeConfig, storage: Arc<Storage>, snapshot: Snapshot) -> Self {
        Self {
            id,
            config,
            metrics: Metrics::default(),
            clock: HybridClock::default(),
            prepared: PreparedTexts::default(),
            trace_probability: TraceProbability::default(),
            around: Around::default(),
            books: Mutex::default(),
            storage,
            snapshot: RwLock::new(Arc::new(snapshot)),
            version: AtomicU64::new(1),
            phase: Mutex::new(NodePhase::Starting),
        }
    }

    /// The storage engine.
    pub fn storage(&self) -> &Arc<Storage> {
        &self.storage
    }

    /// The present view of schema, ring and liveness.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Grows with every published snapshot: a cheap way to notice a change.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Tells the node what is around it. Whoever comes first stays.
    pub fn set_surroundings(&self, surroundings: Arc<dyn Surroundings>) {
        self.around.set(surroundings);
    }

    /// The time now, at least that of a step.
    pub(crate) fn precisely(&self, step: Instant) -> Instant {
        self.around.get().map_or(step, |around| around.now().max(step))
    }

    /// The IP address of `HOST:PORT`; none if the host is a name whose address is not known.
    pub fn ip_of(&self, address: &str) -> Option<IpAddr> {
        self.around.ip(address)
    }

    /// Where the node is in its life.
    pub fn phase(&self) -> NodePhase {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_phase(&self, phase: NodePhase) {
        *self.phase.lock().unwrap_or_else(PoisonError::into_inner) = phase;
    }

    pub(crate) fn publish(&self, snapshot: Snapshot) {
        self.metrics.epoch.set(snapshot.epoch().0);
        self.metrics.nodes_known.set(snapshot.metadata.topology.nodes.len() as u64);
        self.metrics.nodes_up.set(snapshot.alive_count() as u64);
        *self.snapshot.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(snapshot);
        self.version.fetch_add(1, Ordering::Release);
    }

    /// Every number of the node and of its storage engine.
    pub fn samples(&self) -> Vec<Sample> {
        let mut samples = self.metrics.samples();
        samples.extend(storage_samples(&self.storage));
        samples
    }
}

/// The storage engine's numbers.
fn storage_samples(storage: &Storage) -> Vec<Sample> {
    let stats = storage.stats();
    let sstables = stats.tables.values().map(|table| table.sstables).sum();
    let gauge = |name, help, value| Sample { name, help, kind: SampleKind::Gauge, value };
    let counter = |name, help, value| Sample { name, help, kind: SampleKind::Counter, value };
    vec![
        gauge("memtable_bytes", "Bytes in memtables", stats.memtable_bytes),
        gauge("commit_log_bytes", "Bytes of the commit log", stats.log_bytes),
        gauge("sstables", "SSTables", sstables),
        gauge("sstable_bytes", "Bytes of all SSTables", stats.sstable_bytes),
        gauge("block_cache_bytes", "Bytes held by the block cache", stats.cache_bytes),
        counter("block_cache_hits_total", "Blocks found in the cache", stats.cache_hits),
        counter("block_cache_misses_total", "Blocks read from disk", stats.cache_misses),
        counter("flushes_total", "Memtables written", stats.flushes),
        counter("compactions_total", "Compactions finished", stats.compactions),
        counter("compaction_bytes_total", "Bytes written by compactions", stats.compaction_bytes),
        counter("storage_job_failures_total", "Flushes and compactions that failed", stats.job_failures),
        counter("storage_writes_refused_total", "Writes refused for memory, log or space", stats.writes_refused),
        counter("corruptions_total", "Blocks that failed their checksum", stats.corruptions),
    ]
}
