//! Keyspaces, tables and columns, as immutable snapshots.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::ids::{ColumnId, Epoch, TableId};
use crate::index::Index;
use crate::limits;
use crate::types::CqlType;
pub use crate::user_type::UserType;

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
    /// User types by name.
    pub types: BTreeMap<String, Arc<UserType>>,
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
    /// Its secondary indexes, in order of their names.
    pub indexes: Vec<Index>,
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

impl Default for TableOptions {
    /// Cassandra 5's defaults.
    fn default() -> Self {
        let map =
            |pairs: &[(&str, &str)]| pairs.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
        Self {
            comment: String::new(),
            default_time_to_live: 0,
            gc_grace_seconds: 864_000,
            bloom_filter_fp_chance: 0.01,
            compaction: map(&[
                ("class", "SizeTieredCompactionStrategy"),
                ("max_threshold", "32"),
                ("min_threshold", "4"),
            ]),
            compression: map(&[("chunk_length_in_kb", "16"), ("class", "LZ4Compressor")]),
            caching: map(&[("keys", "ALL"), ("rows_per_partition", "NONE")]),
            speculative_retry: "99p".to_owned(),
            additional_write_policy: "99p".to_owned(),
            read_repair: "BLOCKING".to_owned(),
            memtable: "default".to_owned(),
            memtable_flush_period_in_ms: 0,
            min_index_interval: 128,
            max_index_interval: 2048,
            crc_check_chance: 1.0,
            cdc: false,
            extensions: BTreeMap::new(),
        }
    }
}

impl Table {
    /// Partition key columns in order.
    pub fn partition_key(&self) -> impl Iterator<Item = &Column> {
        self.columns.iter().filter(|column| matches!(column.kind, ColumnKind::PartitionKey(_)))
    }

    /// Clustering columns in order.
    pub fn clustering(&self) -> impl Iterator<Item = &Column> {
        self.columns.iter().filter(|column| matches!(column.kind, ColumnKind::Clustering(..)))
    }

    /// The clustering columns' types, each with whether it is in descending order: what [`crate::ordered`] asks for.
    pub fn clustering_types(&self) -> Vec<(CqlType, bool)> {
        let types = self.columns.iter().filter_map(|column| match column.kind {
            ColumnKind::Clustering(_, descending) => Some((column.cql_type.clone(), descending)),
            _ => None,
        });
        types.collect()
    }

    /// The partition key columns' types.
    pub fn partition_key_types(&self) -> Vec<CqlType> {
        self.partition_key().map(|column| column.cql_type.clone()).collect()
    }

    /// Static columns.
    pub fn statics(&self) -> impl Iterator<Item = &Column> {
        self.columns.iter().filter(|column| column.kind == ColumnKind::Static)
    }

    /// Regular columns.
    pub fn regulars(&self) -> impl Iterator<Item = &Column> {
        self.columns.iter().filter(|column| column.kind == ColumnKind::Regular)
    }

    /// The column with this name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// The column with this number.
    pub fn column_by_id(&self, id: ColumnId) -> Option<&Column> {
        self.columns.iter().find(|column| column.id == id)
    }

    /// Whether it has static columns.
    pub fn has_statics(&self) -> bool {
        self.statics().next().is_some()
    }

    /// Whether it has clustering columns, and so several rows a partition.
    pub fn has_clustering(&self) -> bool {
        self.clustering().next().is_some()
    }

    /// Whether it keeps nothing but static columns beside its key.
    pub fn is_static_table(&self) -> bool {
        self.has_statics() && self.regulars().next().is_none()
    }

    /// Whether it is a table of counters.
    pub fn is_counter(&self) -> bool {
        self.columns.iter().any(|column| column.cql_type == CqlType::Counter)
    }

    /// Puts the columns into the order that [`Table::columns`] promises.
    pub fn sort_columns(&mut self) {
        self.columns.sort_by(|left, right| left.kind.cmp(&right.kind).then_with(|| left.name.cmp(&right.name)));
    }
}

impl Schema {
    /// The keyspace with this name.
    pub fn keyspace(&self, name: &str) -> Option<&Arc<Keyspace>> {
        self.keyspaces.get(name)
    }

    /// The table with these names.
    pub fn table(&self, keyspace: &str, name: &str) -> Option<&Arc<Table>> {
        self.keyspaces.get(keyspace)?.tables.get(name)
    }

    /// The table with this identity. Looks through all tables: whoever asks for every request keeps an index.
    pub fn table_by_id(&self, id: TableId) -> Option<&Arc<Table>> {
        self.tables().find(|table| table.id == id)
    }

    /// All tables, by keyspace and name.
    pub fn tables(&self) -> impl Iterator<Item = &Arc<Table>> {
        self.keyspaces.values().flat_map(|keyspace| keyspace.tables.values())
    }
}

/// Where Cassandra's strategies live; their full names are printed, short ones are accepted too.
const STRATEGY_PACKAGE: &str = "org.apache.cassandra.locator.";

impl Replication {
    /// Reads the map of `CREATE KEYSPACE ... WITH replication = {...}`.
    pub fn from_map(map: &BTreeMap<String, String>) -> Result<Self, String> {
        let class = map.get("class").ok_or("Missing replication strategy class")?;
        let options = || map.iter().filter(|(key, _)| *key != "class");
        match class.strip_prefix(STRATEGY_PACKAGE).unwrap_or(class) {
            "LocalStrategy" => match options().next() {
                None => Ok(Self::Local),
                Some((key, _)) => Err(unrecognized(key, "LocalStrategy")),
            },
            "SimpleStrategy" => {
                if let Some((key, _)) = options().find(|(key, _)| *key != "replication_factor") {
                    return Err(unrecognized(key, "SimpleStrategy"));
                }
                let factor = map
                    .get("replication_factor")
                    .ok_or("SimpleStrategy requires a replication_factor strategy option.")?;
                Ok(Self::Simple { factor: parse_factor(factor)? })
            }
            "NetworkTopologyStrategy" => {
                let factors = options().map(|(datacenter, factor)| Ok((datacenter.clone(), parse_factor(factor)?)));
                let factors: BTreeMap<String, u32> = factors.collect::<Result<_, String>>()?;
                if factors.is_empty() {
                    return Err("Configuration for at least one datacenter must be present".to_owned());
                }
                Ok(Self::NetworkTopology { factors })
            }
            _ => Err(format!("Unable to find replication strategy class '{STRATEGY_PACKAGE}{class}'")),
        }
    }

    /// The map as DESCRIBE and the system tables show it.
    pub fn to_map(&self) -> BTreeMap<String, String> {
        let class = |name: &str| ("class".to_owned(), format!("{STRATEGY_PACKAGE}{name}"));
        match self {
            Self::Local => BTreeMap::from([class("LocalStrategy")]),
            Self::Simple { factor } => {
                BTreeMap::from([class("SimpleStrategy"), ("replication_factor".to_owned(), factor.to_string())])
            }
            Self::NetworkTopology { factors } => {
                let factors = factors.iter().map(|(datacenter, factor)| (datacenter.clone(), factor.to_string()));
                std::iter::once(class("NetworkTopologyStrategy")).chain(factors).collect()
            }
        }
    }

    /// Spreads a `replication_factor` given to `NetworkTopologyStrategy` over these data centres, as Cassandra does when
    /// the keyspace is created; data centres named themselves keep their own factor.
    pub fn expand<'a>(self, datacenters: impl IntoIterator<Item = &'a str>) -> Self {
        let Self::NetworkTopology { mut factors } = self else { return self };
        if let Some(factor) = factors.remove("replication_factor") {
            for datacenter in datacenters {
                factors.entry(datacenter.to_owned()).or_insert(factor);
            }
            factors.retain(|_, factor| *factor > 0);
        }
        Self::NetworkTopology { factors }
    }
}

fn unrecognized(option: &str, strategy: &str) -> String {
    format!("Unrecognized strategy option {{{option}}} passed to {strategy}")
}

fn parse_factor(text: &str) -> Result<u32, String> {
    if text.contains('/') {
        return Err(format!("Transient replication is not supported: '{text}'"));
    }
    let factor: i64 = text
        .trim()
        .parse()
        .map_err(|_| format!("Replication factor must be numeric and non-negative, found '{text}'"))?;
    let factor = u32::try_from(factor).ok().filter(|factor| *factor <= limits::REPLICATION_FACTOR_MAX);
    factor.ok_or_else(|| format!("Replication factor must be non-negative and reasonable, found '{text}'"))
}
