//! Keyspaces, tables and columns, as immutable snapshots.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::ids::{ColumnId, Epoch, TableId};
use crate::types::CqlType;

/// All keyspaces at one epoch.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Schema {
    /// The epoch of the last change of the schema.
    pub epoch: Epoch,
    /// Keyspaces by name.
    pub keyspaces: BTreeMap<String, Arc<Keyspace>>,
}

/// A keyspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keyspace {
    /// Its name, case exact.
    pub name: String,
    /// How it is replicated.
    pub replication: Replication,
    /// Cassandra's `durable_writes`.
    pub durable_writes: bool,
    /// Tables by name.
    pub tables: BTreeMap<String, Arc<Table>>,
}

/// A replication strategy with its factors.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Replication {
    /// This node alone, for system keyspaces.
    Local,
    /// `SimpleStrategy`: the next nodes on the ring.
    Simple {
        /// Number of replicas.
        factor: u32,
    },
    /// `NetworkTopologyStrategy`: so many replicas in each data centre, over as many racks as possible.
    NetworkTopology {
        /// Number of replicas by data centre.
        factors: BTreeMap<String, u32>,
    },
}

/// A table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Its identity.
    pub id: TableId,
    /// Its keyspace.
    pub keyspace: String,
    /// Its name, case exact.
    pub name: String,
    /// All columns: partition key in order, clustering in order, then static and regular ones, each alphabetical.
    pub columns: Vec<Column>,
    /// The number that the next added column gets. Numbers are never reused.
    pub next_column: ColumnId,
    /// Dropped columns: name, the column as it was, and the drop's timestamp in microseconds.
    pub dropped: Vec<(Column, i64)>,
    /// `WITH` options.
    pub options: TableOptions,
}

/// A column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its number in cells.
    pub id: ColumnId,
    /// Its name, case exact.
    pub name: String,
    /// Its type.
    pub cql_type: CqlType,
    /// Its role.
    pub kind: ColumnKind,
}

/// What a column is to its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ColumnKind {
    /// Component of the partition key, with its position.
    PartitionKey(u16),
    /// Clustering column, with its position and whether it is in descending order.
    Clustering(u16, bool),
    /// One value a partition.
    Static,
    /// One value a row.
    Regular,
}

/// A table's options, with Cassandra 5's names and defaults.
#[derive(Clone, Debug, PartialEq)]
pub struct TableOptions {
    /// Free text.
    pub comment: String,
    /// Seconds after which a value written without a TTL expires; 0 for never.
    pub default_time_to_live: u32,
    /// Kept for tools; tombstones live until repair has proved that every replica has them.
    pub gc_grace_seconds: u32,
    /// Chance of a false positive of the filter, in (0, 1].
    pub bloom_filter_fp_chance: f64,
    /// `class` (short name) and parameters.
    pub compaction: BTreeMap<String, String>,
    /// `class` or `enabled`, and parameters.
    pub compression: BTreeMap<String, String>,
    /// `keys`, `rows_per_partition`.
    pub caching: BTreeMap<String, String>,
    /// When a second replica is asked: `99p`, `50ms`, `ALWAYS`, `NEVER`.
    pub speculative_retry: String,
    /// The same for writes; accepted and given back.
    pub additional_write_policy: String,
    /// `BLOCKING` or `NONE`.
    pub read_repair: String,
    /// Accepted and given back.
    pub memtable: String,
    /// Accepted and given back.
    pub memtable_flush_period_in_ms: u32,
    /// Accepted and given back.
    pub min_index_interval: u32,
    /// Accepted and given back.
    pub max_index_interval: u32,
    /// Accepted and given back.
    pub crc_check_chance: f64,
    /// Change data capture; must be false until it exists.
    pub cdc: bool,
    /// Accepted and given back.
    pub extensions: BTreeMap<String, Vec<u8>>,
}

impl Eq for TableOptions {}
