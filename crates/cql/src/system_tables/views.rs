//! Definitions of the virtual tables that show what a node is doing. Columns and comments are those of Cassandra 5.0; only
//! tables for which a node has real figures are here.

/// Cassandra's columns of every table of latencies.
const LATENCY: &str =
    "keyspace_name text, table_name text, count bigint, max_ms double, p50th_ms double, p99th_ms double,
     per_second double, PRIMARY KEY ((keyspace_name, table_name))";

/// Table, what stands in its parentheses, and its comment.
pub(super) const TABLES: &[(&str, &str, &str)] = &[
    (
        "caches",
        "name text PRIMARY KEY, capacity_bytes bigint, entry_count int, hit_count bigint, hit_ratio double,
         recent_hit_rate_per_second bigint, recent_request_rate_per_second bigint, request_count bigint,
         size_bytes bigint",
        "system caches",
    ),
    (
        "clients",
        "address inet, port int, client_options frozen<map<text, text>>, connection_stage text, driver_name text,
         driver_version text, hostname text, keyspace_name text, protocol_version int, request_count bigint,
         ssl_cipher_suite text, ssl_enabled boolean, ssl_protocol text, username text, PRIMARY KEY (address, port)",
        "currently connected clients",
    ),
    ("coordinator_read_latency", LATENCY, ""),
    ("coordinator_scan_latency", LATENCY, ""),
    ("coordinator_write_latency", LATENCY, ""),
    (
        "disk_usage",
        "keyspace_name text, table_name text, mebibytes bigint, PRIMARY KEY ((keyspace_name, table_name))",
        "",
    ),
    ("local_read_latency", LATENCY, ""),
    ("local_scan_latency", LATENCY, ""),
    ("local_write_latency", LATENCY, ""),
    (
        "pending_hints",
        "host_id uuid PRIMARY KEY, address inet, dc text, files int, newest timestamp, oldest timestamp, port int,
         rack text, status text",
        "Pending hints that this node has for other nodes",
    ),
    ("settings", "name text PRIMARY KEY, value text", "current settings"),
    (
        "sstable_tasks",
        "keyspace_name text, table_name text, task_id timeuuid, completion_ratio double, kind text, progress bigint,
         sstables int, target_directory text, total bigint, unit text, PRIMARY KEY (keyspace_name, table_name, task_id)",
        "current sstable tasks",
    ),
    (
        "thread_pools",
        "name text PRIMARY KEY, active_tasks int, active_tasks_limit int, blocked_tasks bigint,
         blocked_tasks_all_time bigint, completed_tasks bigint, pending_tasks int",
        "",
    ),
];
