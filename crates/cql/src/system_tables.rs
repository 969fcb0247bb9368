//! The system's own tables, which drivers and tools read: their definitions, and their rows made from the schema and
//! from what a node knows of the cluster. They are never stored, but for those of [`stored`] keyspaces: a cluster has them
//! in its schema and keeps their rows like anybody's.

mod definitions;
mod distributed;
mod rows;
mod views;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, LazyLock};

use quorate_model::schema::{Keyspace, Replication, Schema, Table};
use quorate_model::{DecoratedKey, NodeId, Partition, ReadCommand, ReadTarget, Token};

pub use rows::{NamedRow, Stamp, partitions_of};

/// What a node knows of itself and of the others.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the names say it")]
pub struct NodeFacts {
    pub cluster_name: String,
    /// The Cassandra version whose behaviour is offered: drivers choose features by it.
    pub release_version: String,
    pub cql_version: String,
    pub native_protocol_version: String,
    /// Full class name, as drivers compare it.
    pub partitioner: String,
    /// Short name, for `DESCRIBE CLUSTER`.
    pub snitch: String,
    /// The same on all nodes that have the same schema.
    pub schema_version: [u8; 16],
    /// Seconds since 1970 at which the node started.
    pub gossip_generation: i32,
    pub local: NodeFact,
    /// Every other node that is a member.
    pub peers: Vec<NodeFact>,
}

/// One node.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the names say it")]
pub struct NodeFact {
    pub host_id: NodeId,
    /// The address that other nodes use.
    pub address: IpAddr,
    pub storage_port: u16,
    /// The address that clients use. An unspecified one is not known, and shows as null.
    pub native_address: IpAddr,
    pub native_port: u16,
    pub datacenter: String,
    pub rack: String,
    pub tokens: Vec<Token>,
}

/// Keyspaces that users cannot change.
const SYSTEM_KEYSPACES: [&str; 7] = [
    "system",
    "system_schema",
    "system_auth",
    "system_distributed",
    "system_traces",
    "system_views",
    "system_virtual_schema",
];

static TABLES: LazyLock<BTreeMap<&'static str, Arc<Keyspace>>> = LazyLock::new(|| {
    let mut keyspaces: BTreeMap<&'static str, Keyspace> = BTreeMap::new();
    for name in SYSTEM_KEYSPACES {
        let replication = match name {
            "system_auth" => Replication::Simple { factor: 1 },
            "system_distributed" => Replication::Simple { factor: 3 },
            "system_traces" => Replication::Simple { factor: 2 },
            _ => Replication::Local,
        };
        let (tables, types) = (BTreeMap::new(), BTreeMap::new());
        let keyspace = Keyspace { name: name.to_owned(), replication, durable_writes: true, tables, types };
        keyspaces.insert(name, keyspace);
    }
    for table in definitions::tables() {
        if let Some(keyspace) = keyspaces.get_mut(table.keyspace.as_str()) {
            keyspace.tables.insert(table.name.clone(), Arc::new(table));
        }
    }
    keyspaces.into_iter().map(|(name, keyspace)| (name, Arc::new(keyspace))).collect()
});

/// Keyspaces of the system whose rows are stored and replicated.
const STORED_KEYSPACES: [&str; 1] = ["system_traces"];

/// Whether the system stores rows in the keyspace.
pub fn is_stored(keyspace: &str) -> bool {
    STORED_KEYSPACES.contains(&keyspace)
}

/// The keyspaces of the system whose rows are stored, with their tables, as a cluster's schema first has them.
pub fn stored() -> impl Iterator<Item = &'static Arc<Keyspace>> {
    keyspaces().filter(|keyspace| is_stored(&keyspace.name))
}

/// Whether the keyspace belongs to the system.
pub fn is_system_keyspace(name: &str) -> bool {
    SYSTEM_KEYSPACES.contains(&name)
}

/// Whether queries in the keyspace may filter without saying so, as Cassandra's virtual tables may.
pub(crate) fn allows_filtering(keyspace: &str) -> bool {
    is_virtual(keyspace)
}

fn is_virtual(keyspace: &str) -> bool {
    ["system_views", "system_virtual_schema"].contains(&keyspace)
}

/// The system table with these names.
pub fn find(keyspace: &str, name: &str) -> Option<Arc<Table>> {
    TABLES.get(keyspace)?.tables.get(name).cloned()
}

/// All system keyspaces, with their tables.
pub fn keyspaces() -> impl Iterator<Item = &'static Arc<Keyspace>> {
    TABLES.values()
}

/// The schema with the system keyspaces that are not virtual put beside the users' (what `system_schema` and `DESCRIBE`
/// show). The users' own come through as they are.
pub(crate) fn with_system_keyspaces(schema: &Schema) -> Schema {
    let mut all = schema.clone();
    for keyspace in keyspaces().filter(|keyspace| !is_virtual(&keyspace.name)) {
        all.keyspaces.entry(keyspace.name.clone()).or_insert_with(|| keyspace.clone());
    }
    all
}

/// Whether the table is one of the system's.
pub fn is_system_table(table: &Table) -> bool {
    is_system_keyspace(&table.keyspace) && find(&table.keyspace, &table.name).is_some_and(|known| known.id == table.id)
}

/// The whole content of a system table, in token order; `None` if the table is not one of the system's.
pub fn virtual_partitions(
    table: &Table,
    schema: &Schema,
    facts: &NodeFacts,
    partitioner: fn(&[u8]) -> Token,
) -> Option<Vec<(DecoratedKey, Partition)>> {
    is_system_table(table).then(|| rows::partitions(table, schema, facts, partitioner))
}

/// What a read asks for, out of all partitions: with its slices, but without its limits, which the result builder keeps.
pub fn read_virtual(command: &ReadCommand, partitions: &[(DecoratedKey, Partition)]) -> Vec<(DecoratedKey, Partition)> {
    let wanted = |key: &DecoratedKey| match &command.target {
        ReadTarget::Partition(wanted) => wanted == key,
        ReadTarget::Range { after, last, .. } => after.is_none_or(|after| key.token > after) && key.token <= *last,
    };
    let found = partitions.iter().filter(|(key, _)| wanted(key)).map(|(key, partition)| {
        let mut partition = partition.clone();
        partition.restrict(&command.slices);
        (key.clone(), partition)
    });
    found.filter(|(_, partition)| !partition.is_empty()).collect()
}
