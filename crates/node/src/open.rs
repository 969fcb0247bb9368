//! Opening a node from what its disk and system store hold.

use std::collections::BTreeSet;
use std::sync::Arc;

use quorate_coordinator::clock::ahead_by_us;
use quorate_env::{Disk, DiskError, Now, Random, SystemStore};
use quorate_membership::MetadataLog;
use quorate_membership::metadata_log::{LogConfig, OpenError, STORE_PREFIX};
use quorate_model::{NodeId, Seconds, TableId};
use quorate_storage::{OpenReport, Storage, StorageError};

use crate::config::NodeConfig;
use crate::control::{Control, tables};
use crate::settings::{index_definitions, table_settings};
use crate::shared::Shared;
use crate::snapshot::Snapshot;
use crate::worker::Worker;

const ID: &[u8] = b"node/id";
const GENERATION: &[u8] = b"node/generation";
const CLUSTER_NAME: &[u8] = b"node/cluster_name";

/// Why a node cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The system store cannot be read or written.
    #[error("the system store failed: {0}")]
    Store(#[from] DiskError),
    /// The data directory belongs to another cluster.
    #[error("this data directory belongs to the cluster '{found}', but the node is configured for '{configured}'")]
    #[allow(missing_docs)]
    ForeignCluster { found: String, configured: String },
    /// What the system store holds is not what this program wrote.
    #[error("the system store's entry '{key}' is damaged")]
    #[allow(missing_docs)]
    Damaged { key: String },
    /// The stored metadata log cannot be read.
    #[error(transparent)]
    MetadataLog(#[from] OpenError),
    /// The storage engine cannot be opened.
    #[error("storage cannot be opened: {0}")]
    Storage(#[from] StorageError),
}

/// A node, taken apart for its driver: each machine may live on a thread of its own.
pub struct Node {
    /// The control machine.
    pub control: Control,
    /// The workers, in order of their index.
    pub workers: Vec<Worker>,
    /// What they share.
    pub shared: Arc<Shared>,
    /// What opening the storage found.
    pub report: OpenReport,
}

impl Node {
    /// Opens what the disk and the system store hold, or a new node. `seed` starts its randomness; a new node's identity
    /// is drawn from it.
    pub fn open(
        config: NodeConfig,
        disk: Arc<dyn Disk>,
        mut store: Box<dyn SystemStore>,
        now: Now,
        seed: u64,
    ) -> Result<Self, NodeError> {
        let mut random = Random::new(seed);
        let (id, generation) = identify(store.as_mut(), &config, &mut random)?;
        let stored = store.scan(STORE_PREFIX)?;
        let log_config = LogConfig::new(config.cluster_name.clone());
        let log = MetadataLog::open(log_config, id, generation, random.fork(), &stored)?;
        let metadata = Arc::clone(log.metadata());
        if metadata.is_founded() && metadata.name != config.cluster_name {
            let found = metadata.name.clone();
            return Err(NodeError::ForeignCluster { found, configured: config.cluster_name });
        }
        let mut options = config.storage.clone();
        options.hints.window_seconds = i64::try_from(config.hint_window.as_secs()).unwrap_or(i64::MAX);
        let (storage, report) = Storage::open(disk, options, Seconds::from_micros(now.wall.0))?;
        let known = tables(&metadata);
        for (table, schema) in &known {
            storage.configure_table(*table, table_settings(&schema.options));
            storage.set_indexes(*table, &index_definitions(schema), metadata.epoch.0)?;
        }
        let stored: Vec<TableId> = storage.stats().tables.keys().copied().collect();
        for table in stored.into_iter().filter(|table| !known.contains_key(table)) {
            storage.drop_table(table)?;
        }
        for (table, up_to) in metadata.truncations.iter().filter(|(table, _)| known.contains_key(table)) {
            storage.truncate(*table, *up_to)?;
        }
        if !storage.log_damage().is_empty() {
            // Which tables the lost writes were of is not known. What this node does not know it has never been given.
            storage.lose_with_log(&known.keys().copied().collect::<Vec<TableId>>())?;
        }
        let (workers, skew_max) = (config.workers, config.clock_skew_max);
        let snapshot = Snapshot::new(metadata, id, BTreeSet::from([id]));
        let shared = Arc::new(Shared::new(id, config, Arc::new(storage), snapshot));
        // A clock that forgot what it has stamped would let a later write lose to an earlier one. What is too far ahead
        // was not accepted by this clock, and would have everything refused.
        let stored = report.timestamp_max.filter(|stored| ahead_by_us(*stored, now.wall, skew_max).is_none());
        if let Some(stored) = stored {
            shared.clock.observe(stored);
        }
        let workers = (0..workers).map(|index| Worker::new(index, Arc::clone(&shared), random.fork())).collect();
        let control = Control::new(Arc::clone(&shared), store, log, generation, random.fork(), now);
        Ok(Self { control, workers, shared, report })
    }
}

/// The node's identity, drawn once, and its generation, one more at every start.
fn identify(store: &mut dyn SystemStore, config: &NodeConfig, random: &mut Random) -> Result<(NodeId, u64), NodeError> {
    if let Some(found) = store.get(CLUSTER_NAME)? {
        let found = String::from_utf8_lossy(&found).into_owned();
        if found != config.cluster_name {
            return Err(NodeError::ForeignCluster { found, configured: config.cluster_name.clone() });
        }
    }
    let damaged = |key: &[u8]| NodeError::Damaged { key: String::from_utf8_lossy(key).into_owned() };
    let id = match store.get(ID)? {
        Some(bytes) => NodeId(bytes.try_into().map_err(|_| damaged(ID))?),
        None => NodeId::from_u128(random.next_u128()),
    };
    let generation = match store.get(GENERATION)? {
        Some(bytes) => u64::from_be_bytes(bytes.try_into().map_err(|_| damaged(GENERATION))?).saturating_add(1),
        None => 1,
    };
    store.commit(&[
        (ID.to_vec(), Some(id.0.to_vec())),
        (GENERATION.to_vec(), Some(generation.to_be_bytes().to_vec())),
        (CLUSTER_NAME.to_vec(), Some(config.cluster_name.clone().into_bytes())),
    ])?;
    Ok((id, generation))
}
