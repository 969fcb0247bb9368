//! The system tables' rows.

use std::collections::BTreeMap;
use std::net::IpAddr;

use bytes::Bytes;
use quorate_model::schema::{Column, ColumnKind, Keyspace, Schema, Table};
use quorate_model::{
    Cell, CellContent, ClusteringKey, ColumnData, CqlType, DecoratedKey, Liveness, Partition, Row, Seconds, Timestamp,
    Token, Ttl, Value,
};

use super::{NodeFact, NodeFacts, is_virtual, keyspaces, with_system_keyspaces};
use crate::codec;
use crate::keys::partition_key;
use crate::options;
use crate::schema_index::description;

/// When rows were written, and when they expire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The write's timestamp.
    pub timestamp: Timestamp,
    /// Time to live and the second of expiry.
    pub expiry: Option<(Seconds, Ttl)>,
}

impl Stamp {
    /// Of rows that nobody has written, but that are made when they are read.
    pub const UNWRITTEN: Self = Self { timestamp: Timestamp(0), expiry: None };
}

/// Rows of a system table as its partitions, in token order. A value that is not of its column's type shows as null.
pub fn partitions_of(
    table: &Table,
    rows: impl IntoIterator<Item = NamedRow>,
    stamp: Stamp,
    partitioner: fn(&[u8]) -> Token,
) -> Vec<(DecoratedKey, Partition)> {
    let mut maker = Maker { table, stamp, partitioner, partitions: BTreeMap::new() };
    rows.into_iter().for_each(|row| maker.add(row));
    maker.partitions.into_iter().collect()
}

pub(super) fn partitions(
    table: &Table,
    schema: &Schema,
    facts: &NodeFacts,
    partitioner: fn(&[u8]) -> Token,
) -> Vec<(DecoratedKey, Partition)> {
    let mut maker = Maker { table, stamp: Stamp::UNWRITTEN, partitioner, partitions: BTreeMap::new() };
    match (table.keyspace.as_str(), table.name.as_str()) {
        ("system", "local") => {
            let mut row = local(facts);
            // An address that is not known is no address to connect to.
            row.retain(|(_, value)| !matches!(value, Value::Inet(address) if address.is_unspecified()));
            maker.add(row);
        }
        ("system", "peers") => facts.peers.iter().for_each(|peer| maker.add(self::peer(peer, facts))),
        ("system", "peers_v2") => facts.peers.iter().for_each(|peer| maker.add(peer_v2(peer, facts))),
        ("system_schema", name) => {
            let all = with_system_keyspaces(schema);
            all.keyspaces.values().for_each(|keyspace| schema_rows(name, keyspace, &mut maker));
        }
        ("system_virtual_schema", name) => {
            let virtual_ones = keyspaces().filter(|keyspace| is_virtual(&keyspace.name));
            virtual_ones.for_each(|keyspace| virtual_rows(name, keyspace, &mut maker));
        }
        _ => {}
    }
    maker.partitions.into_iter().collect()
}

/// A row as column names and values; what is not named is null.
pub type NamedRow = Vec<(&'static str, Value)>;

fn text(value: impl Into<String>) -> Value {
    Value::Text(value.into())
}

fn port(value: u16) -> Value {
    Value::Int(i32::from(value))
}

fn inet(value: IpAddr) -> Value {
    Value::Inet(value)
}

fn tokens(node: &NodeFact) -> Value {
    Value::Sequence(node.tokens.iter().map(|token| text(token.to_string())).collect())
}

fn local(facts: &NodeFacts) -> NamedRow {
    let node = &facts.local;
    vec![
        ("key", text("local")),
        ("bootstrapped", text("COMPLETED")),
        ("broadcast_address", inet(node.address)),
        ("broadcast_port", port(node.storage_port)),
        ("cluster_name", text(&facts.cluster_name)),
        ("cql_version", text(&facts.cql_version)),
        ("data_center", text(&node.datacenter)),
        ("gossip_generation", Value::Int(facts.gossip_generation)),
        ("host_id", Value::Uuid(node.host_id.0)),
        ("listen_address", inet(node.address)),
        ("listen_port", port(node.storage_port)),
        ("native_protocol_version", text(&facts.native_protocol_version)),
        ("partitioner", text(&facts.partitioner)),
        ("rack", text(&node.rack)),
        ("release_version", text(&facts.release_version)),
        ("rpc_address", inet(node.native_address)),
        ("rpc_port", port(node.native_port)),
        ("schema_version", Value::Uuid(facts.schema_version)),
        ("tokens", tokens(node)),
    ]
}

fn peer(node: &NodeFact, facts: &NodeFacts) -> NamedRow {
    vec![
        ("peer", inet(node.address)),
        ("data_center", text(&node.datacenter)),
        ("host_id", Value::Uuid(node.host_id.0)),
        ("rack", text(&node.rack)),
        ("release_version", text(&facts.release_version)),
        ("rpc_address", inet(node.native_address)),
        ("schema_version", Value::Uuid(facts.schema_version)),
        ("tokens", tokens(node)),
    ]
}

fn peer_v2(node: &NodeFact, facts: &NodeFacts) -> NamedRow {
    let mut row = peer(node, facts);
    row.retain(|(name, _)| *name != "rpc_address");
    row.push(("peer_port", port(node.storage_port)));
    row.push(("native_address", inet(node.native_address)));
    row.push(("native_port", port(node.native_port)));
    row
}

fn map(map: &BTreeMap<String, String>) -> Value {
    Value::Map(map.iter().map(|(key, value)| (text(key), text(value))).collect())
}

fn schema_rows(name: &str, keyspace: &Keyspace, maker: &mut Maker<'_>) {
    match name {
        "keyspaces" => maker.add(vec![
            ("keyspace_name", text(&keyspace.name)),
            ("durable_writes", Value::Boolean(keyspace.durable_writes)),
            ("replication", map(&keyspace.replication.to_map())),
        ]),
        "tables" => keyspace.tables.values().for_each(|table| maker.add(table_row(table))),
        "columns" => {
            let tables = keyspace.tables.values();
            tables.for_each(|table| table.columns.iter().for_each(|column| maker.add(column_row(table, column))));
        }
        "dropped_columns" => {
            for table in keyspace.tables.values() {
                for (column, timestamp) in &table.dropped {
                    maker.add(vec![
                        ("keyspace_name", text(&table.keyspace)),
                        ("table_name", text(&table.name)),
                        ("column_name", text(&column.name)),
                        ("dropped_time", Value::Timestamp(timestamp.div_euclid(1000))),
                        ("kind", text(kind(column.kind))),
                        ("type", text(column.cql_type.to_string())),
                    ]);
                }
            }
        }
        "types" => {
            for user_type in keyspace.types.values() {
                let list = |items: Vec<String>| Value::Sequence(items.into_iter().map(text).collect());
                let names = user_type.fields.iter().map(|(name, _)| name.clone()).collect();
                let types = user_type.fields.iter().map(|(_, field)| field.to_string()).collect();
                maker.add(vec![
                    ("keyspace_name", text(&user_type.keyspace)),
                    ("type_name", text(&user_type.name)),
                    ("field_names", list(names)),
                    ("field_types", list(types)),
                ]);
            }
        }
        "indexes" => {
            for (table, index) in keyspace.tables.values().flat_map(|t| t.indexes.iter().map(move |index| (t, index))) {
                let (kind, options) = description(table, index);
                maker.add(vec![
                    ("keyspace_name", text(&table.keyspace)),
                    ("table_name", text(&table.name)),
                    ("index_name", text(&index.name)),
                    ("kind", text(kind)),
                    ("options", map(&options)),
                ]);
            }
        }
        // Of features that do not exist yet there is nothing to list.
        _ => {}
    }
}

fn virtual_rows(name: &str, keyspace: &Keyspace, maker: &mut Maker<'_>) {
    match name {
        "keyspaces" => maker.add(vec![("keyspace_name", text(&keyspace.name))]),
        "tables" => {
            for table in keyspace.tables.values() {
                maker.add(vec![
                    ("keyspace_name", text(&table.keyspace)),
                    ("table_name", text(&table.name)),
                    ("comment", text(&table.options.comment)),
                ]);
            }
        }
        _ => schema_rows(name, keyspace, maker),
    }
}

fn table_row(table: &Table) -> NamedRow {
    let options = &table.options;
    let int = |value: u32| Value::Int(i32::try_from(value).unwrap_or(i32::MAX));
    let extensions =
        options.extensions.iter().map(|(key, value)| (text(key), Value::Blob(Bytes::copy_from_slice(value))));
    vec![
        ("keyspace_name", text(&table.keyspace)),
        ("table_name", text(&table.name)),
        ("additional_write_policy", text(&options.additional_write_policy)),
        ("bloom_filter_fp_chance", Value::Double(options.bloom_filter_fp_chance)),
        ("caching", map(&options.caching)),
        ("comment", text(&options.comment)),
        ("compaction", map(&options::full_compaction(options))),
        ("compression", map(&options::full_compression(options))),
        ("crc_check_chance", Value::Double(options.crc_check_chance)),
        ("dclocal_read_repair_chance", Value::Double(0.0)),
        ("default_time_to_live", int(options.default_time_to_live)),
        ("extensions", Value::Map(extensions.collect())),
        ("flags", Value::Sequence(vec![text("compound")])),
        ("gc_grace_seconds", int(options.gc_grace_seconds)),
        ("id", Value::Uuid(table.id.0)),
        ("max_index_interval", int(options.max_index_interval)),
        ("memtable_flush_period_in_ms", int(options.memtable_flush_period_in_ms)),
        ("min_index_interval", int(options.min_index_interval)),
        ("read_repair", text(&options.read_repair)),
        ("read_repair_chance", Value::Double(0.0)),
        ("speculative_retry", text(&options.speculative_retry)),
    ]
}

fn kind(kind: ColumnKind) -> &'static str {
    match kind {
        ColumnKind::PartitionKey(_) => "partition_key",
        ColumnKind::Clustering(..) => "clustering",
        ColumnKind::Static => "static",
        ColumnKind::Regular => "regular",
    }
}

fn column_row(table: &Table, column: &Column) -> NamedRow {
    let (order, position) = match column.kind {
        ColumnKind::PartitionKey(position) => ("none", i32::from(position)),
        ColumnKind::Clustering(position, false) => ("asc", i32::from(position)),
        ColumnKind::Clustering(position, true) => ("desc", i32::from(position)),
        ColumnKind::Static | ColumnKind::Regular => ("none", -1),
    };
    vec![
        ("keyspace_name", text(&table.keyspace)),
        ("table_name", text(&table.name)),
        ("column_name", text(&column.name)),
        ("clustering_order", text(order)),
        ("column_name_bytes", Value::Blob(Bytes::copy_from_slice(column.name.as_bytes()))),
        ("kind", text(kind(column.kind))),
        ("position", Value::Int(position)),
        ("type", text(column.cql_type.to_string())),
    ]
}

/// Puts rows into partitions.
struct Maker<'a> {
    table: &'a Table,
    stamp: Stamp,
    partitioner: fn(&[u8]) -> Token,
    partitions: BTreeMap<DecoratedKey, Partition>,
}

impl Maker<'_> {
    /// Adds a row. Its values come from ourselves: one that cannot be encoded is our own bug and shows as null.
    fn add(&mut self, named: NamedRow) {
        let value = |column: &Column| {
            let (_, value) = named.iter().find(|(name, _)| *name == column.name)?;
            let whole = column.cql_type.freeze();
            codec::encode(&whole, value).ok()
        };
        let key: Vec<Bytes> = self.table.partition_key().map(|column| value(column).unwrap_or_default()).collect();
        let Ok(key) = partition_key(&key) else { return };
        let mut clustering = Vec::new();
        for column in self.table.clustering() {
            let component = value(column).unwrap_or_default();
            let descending = matches!(column.kind, ColumnKind::Clustering(_, true));
            if codec::ordered(&column.cql_type, descending, &component, &mut clustering).is_err() {
                return;
            }
        }
        let Stamp { timestamp, expiry } = self.stamp;
        let mut row = Row { liveness: Some(Liveness { timestamp, expiry }), ..Row::default() };
        for column in self.table.regulars() {
            if let Some(value) = value(column) {
                row.set(column.id, self.stamp.column_data(&column.cql_type, value));
            }
        }
        let key = DecoratedKey { token: (self.partitioner)(&key.0), key };
        let partition = self.partitions.entry(key).or_default();
        partition.rows.insert(ClusteringKey(clustering.into()), row);
    }
}

impl Stamp {
    fn cell(self, value: Bytes) -> Cell {
        let content = match self.expiry {
            Some((expires_at, ttl)) => CellContent::Expiring { value, ttl, expires_at },
            None => CellContent::Live(value),
        };
        Cell { timestamp: self.timestamp, content }
    }

    /// A value in cells: one, or one an element for a set or a map that is not frozen.
    fn column_data(self, cql_type: &CqlType, value: Bytes) -> ColumnData {
        let parts = || codec::split(cql_type, &value).unwrap_or_default().into_iter().flatten();
        let cells = match cql_type {
            CqlType::Set(element, false) => {
                parts().filter_map(|item| Some((codec::path(element, &item).ok()?, self.cell(Bytes::new())))).collect()
            }
            CqlType::Map(key, _, false) => {
                let parts: Vec<Bytes> = parts().collect();
                let entries = parts.chunks_exact(2).filter_map(|entry| match entry {
                    [item, value] => Some((codec::path(key, item).ok()?, self.cell(value.clone()))),
                    _ => None,
                });
                entries.collect()
            }
            _ => return ColumnData::Simple(self.cell(value)),
        };
        ColumnData::Complex { deletion: None, cells }
    }
}
