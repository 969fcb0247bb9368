//! The system tables' definitions, written in CQL and read by our own parser.

use quorate_model::TableId;
use quorate_model::Timestamp;
use quorate_model::schema::{Keyspace, Replication, Table};

use crate::ast::Statement;
use crate::parser::parse;
use crate::schema_change::{SchemaContext, SchemaEdit};
use crate::schema_table;

/// Columns that `system_schema.tables` and `views` share.
const TABLE_COLUMNS: &str = "additional_write_policy text, allow_auto_snapshot boolean, bloom_filter_fp_chance double,
    caching frozen<map<text, text>>, cdc boolean, comment text, compaction frozen<map<text, text>>,
    compression frozen<map<text, text>>, crc_check_chance double, dclocal_read_repair_chance double,
    default_time_to_live int, extensions frozen<map<text, blob>>, gc_grace_seconds int, id uuid,
    incremental_backups boolean, max_index_interval int, memtable text, memtable_flush_period_in_ms int,
    min_index_interval int, read_repair text, read_repair_chance double, speculative_retry text";

/// Keyspace, table, and what stands in its parentheses.
const TABLES: &[(&str, &str, &str)] = &[
    (
        "system",
        "local",
        "key text PRIMARY KEY, bootstrapped text, broadcast_address inet, broadcast_port int, cluster_name text,
         cql_version text, data_center text, gossip_generation int, host_id uuid, listen_address inet, listen_port int,
         native_protocol_version text, partitioner text, rack text, release_version text, rpc_address inet,
         rpc_port int, schema_version uuid, tokens set<text>, truncated_at map<uuid, blob>",
    ),
    (
        "system",
        "peers",
        "peer inet PRIMARY KEY, data_center text, host_id uuid, preferred_ip inet, rack text, release_version text,
         rpc_address inet, schema_version uuid, tokens set<text>",
    ),
    (
        "system",
        "peers_v2",
        "peer inet, peer_port int, data_center text, host_id uuid, native_address inet, native_port int,
         preferred_ip inet, preferred_port int, rack text, release_version text, schema_version uuid,
         tokens set<text>, PRIMARY KEY (peer, peer_port)",
    ),
    ("system", "prepared_statements", "prepared_id blob PRIMARY KEY, logged_keyspace text, query_string text"),
    (
        "system",
        "size_estimates",
        "keyspace_name text, table_name text, range_start text, range_end text, mean_partition_size bigint,
         partitions_count bigint, PRIMARY KEY (keyspace_name, table_name, range_start, range_end)",
    ),
    (
        "system",
        "table_estimates",
        "keyspace_name text, table_name text, range_type text, range_start text, range_end text,
         mean_partition_size bigint, partitions_count bigint,
         PRIMARY KEY (keyspace_name, table_name, range_type, range_start, range_end)",
    ),
    (
        "system_schema",
        "keyspaces",
        "keyspace_name text PRIMARY KEY, durable_writes boolean, replication frozen<map<text, text>>",
    ),
    (
        "system_schema",
        "tables",
        "keyspace_name text, table_name text, flags frozen<set<text>>, {table}, PRIMARY KEY (keyspace_name, table_name)",
    ),
    (
        "system_schema",
        "columns",
        "keyspace_name text, table_name text, column_name text, clustering_order text, column_name_bytes blob,
         kind text, position int, type text, PRIMARY KEY (keyspace_name, table_name, column_name)",
    ),
    (
        "system_schema",
        "views",
        "keyspace_name text, view_name text, base_table_id uuid, base_table_name text, include_all_columns boolean,
         where_clause text, {table}, PRIMARY KEY (keyspace_name, view_name)",
    ),
    (
        "system_schema",
        "indexes",
        "keyspace_name text, table_name text, index_name text, kind text, options frozen<map<text, text>>,
         PRIMARY KEY (keyspace_name, table_name, index_name)",
    ),
    (
        "system_schema",
        "types",
        "keyspace_name text, type_name text, field_names frozen<list<text>>, field_types frozen<list<text>>,
         PRIMARY KEY (keyspace_name, type_name)",
    ),
    (
        "system_schema",
        "functions",
        "keyspace_name text, function_name text, argument_types frozen<list<text>>, argument_names frozen<list<text>>,
         body text, called_on_null_input boolean, language text, return_type text,
         PRIMARY KEY (keyspace_name, function_name, argument_types)",
    ),
    (
        "system_schema",
        "aggregates",
        "keyspace_name text, aggregate_name text, argument_types frozen<list<text>>, final_func text, initcond text,
         return_type text, state_func text, state_type text,
         PRIMARY KEY (keyspace_name, aggregate_name, argument_types)",
    ),
    (
        "system_schema",
        "triggers",
        "keyspace_name text, table_name text, trigger_name text, options frozen<map<text, text>>,
         PRIMARY KEY (keyspace_name, table_name, trigger_name)",
    ),
    (
        "system_schema",
        "dropped_columns",
        "keyspace_name text, table_name text, column_name text, dropped_time timestamp, kind text, type text,
         PRIMARY KEY (keyspace_name, table_name, column_name)",
    ),
    (
        "system_schema",
        "column_masks",
        "keyspace_name text, table_name text, column_name text, function_argument_nulls frozen<list<boolean>>,
         function_argument_types frozen<list<text>>, function_argument_values frozen<list<text>>,
         function_keyspace text, function_name text, PRIMARY KEY (keyspace_name, table_name, column_name)",
    ),
    ("system_virtual_schema", "keyspaces", "keyspace_name text PRIMARY KEY"),
    (
        "system_virtual_schema",
        "tables",
        "keyspace_name text, table_name text, comment text, PRIMARY KEY (keyspace_name, table_name)",
    ),
    (
        "system_virtual_schema",
        "columns",
        "keyspace_name text, table_name text, column_name text, clustering_order text, column_name_bytes blob,
         kind text, position int, type text, PRIMARY KEY (keyspace_name, table_name, column_name)",
    ),
];

/// All definitions as tables. They are constants of ours, so one that does not parse is our own bug.
pub(super) fn tables() -> Vec<Table> {
    let plain = TABLES.iter().map(|(keyspace, name, body)| table(keyspace, name, body, ""));
    let distributed = super::distributed::TABLES.iter();
    let distributed = distributed.map(|(keyspace, name, body, comment)| {
        let expiry = if name.ends_with("repair_history") { 30 * 24 * 60 * 60 } else { 0 };
        let grace = gc_grace_seconds(keyspace);
        let options =
            format!(" WITH comment = '{comment}' AND gc_grace_seconds = {grace} AND default_time_to_live = {expiry}");
        table(keyspace, name, body, &options)
    });
    let views = super::views::TABLES.iter();
    let views =
        views.map(|(name, body, comment)| table("system_views", name, body, &format!(" WITH comment = '{comment}'")));
    plain.chain(distributed).chain(views).collect()
}

/// As Cassandra has it: what only expires needs no time to spread its tombstones.
fn gc_grace_seconds(keyspace: &str) -> u32 {
    match keyspace {
        "system_auth" => 90 * 24 * 60 * 60,
        "system_traces" => 0,
        _ => 10 * 24 * 60 * 60,
    }
}

fn table(keyspace: &str, name: &str, body: &str, options: &str) -> Table {
    let body = body.replace("{table}", TABLE_COLUMNS);
    let text = format!("CREATE TABLE {keyspace}.{name} ({body}){options}");
    let owner = Keyspace {
        name: keyspace.to_owned(),
        replication: Replication::Local,
        durable_writes: true,
        tables: Default::default(),
        types: Default::default(),
    };
    let context = SchemaContext {
        new_table_id: fixed_id(keyspace, name),
        datacenters: Default::default(),
        timestamp: Timestamp(0),
    };
    let edit = match parse(&text) {
        Ok(Statement::CreateTable(create)) => schema_table::create(&create, &owner, &context).map(|made| made.edit),
        Ok(_) => panic!("the definition of {keyspace}.{name} is no CREATE TABLE"),
        Err(error) => Err(error),
    };
    match edit {
        Ok(SchemaEdit::PutTable(table)) => table,
        other => panic!("the definition of {keyspace}.{name} is wrong: {other:?}"),
    }
}

/// An identity that is the same on every node: FNV-1a of the name (128 bits; constants from its definition).
fn fixed_id(keyspace: &str, name: &str) -> TableId {
    let mut hash: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    for byte in keyspace.bytes().chain([b'.']).chain(name.bytes()) {
        hash = (hash ^ u128::from(byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b);
    }
    TableId::from_u128(hash)
}
