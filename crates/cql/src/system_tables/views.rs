//! Definitions of the virtual tables that show what a node is doing. Columns and comments are those of Cassandra 5.0; only
//! tables for which a node has real figures are here.

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
    (
        "disk_usage",
        "keyspace_name text, table_name text, mebibytes bigint, PRIMARY KEY ((keyspace_name, table_name))",
        "",
    ),
    (
        "pending_hints",
        "host_id uuid PRIMARY KEY, address inet, dc text, files int, newest timestamp, oldest timestamp, port int,
         rack text, status text",
        "Pending hints that this node has for other nodes",
    ),
    ("settings", "name text PRIMARY KEY, value text", "current settings"),
];
