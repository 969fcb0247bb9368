//! Definitions of the system tables that Cassandra replicates.

/// Keyspace, table, what stands in its parentheses, and its comment.
pub(super) const TABLES: &[(&str, &str, &str, &str)] = &[
    (
        "system_traces",
        "sessions",
        "session_id uuid PRIMARY KEY, client inet, command text, coordinator inet, coordinator_port int, duration int,
         parameters map<text, text>, request text, started_at timestamp",
        "tracing sessions",
    ),
    (
        "system_traces",
        "events",
        "session_id uuid, event_id timeuuid, activity text, source inet, source_elapsed int, source_port int,
         thread text, PRIMARY KEY (session_id, event_id)",
        "tracing events",
    ),
    (
        "system_auth",
        "cidr_groups",
        "cidr_group text PRIMARY KEY, cidrs frozen<set<frozen<tuple<inet, smallint>>>>",
        "cidr groups to cidrs mapping",
    ),
    (
        "system_auth",
        "cidr_permissions",
        "role text PRIMARY KEY, cidr_groups frozen<set<text>>",
        "user cidr permissions",
    ),
    (
        "system_auth",
        "identity_to_role",
        "identity text PRIMARY KEY, role text",
        "mtls authorized identities lookup table",
    ),
    ("system_auth", "network_permissions", "role text PRIMARY KEY, dcs frozen<set<text>>", "user network permissions"),
    (
        "system_auth",
        // The name as Cassandra has it.
        "resource_role_permissons_index",
        "resource text, role text, PRIMARY KEY (resource, role)",
        "index of db roles with permissions granted on a resource",
    ),
    (
        "system_auth",
        "role_members",
        "role text, member text, PRIMARY KEY (role, member)",
        "role memberships lookup table",
    ),
    (
        "system_auth",
        "role_permissions",
        "role text, resource text, permissions set<text>, PRIMARY KEY (role, resource)",
        "permissions granted to db roles",
    ),
    (
        "system_auth",
        "roles",
        "role text PRIMARY KEY, can_login boolean, is_superuser boolean, member_of set<text>, salted_hash text",
        "role definitions",
    ),
    (
        "system_distributed",
        "parent_repair_history",
        "parent_id timeuuid PRIMARY KEY, columnfamily_names set<text>, exception_message text,
         exception_stacktrace text, finished_at timestamp, keyspace_name text, options map<text, text>,
         requested_ranges set<text>, started_at timestamp, successful_ranges set<text>",
        "Repair history",
    ),
    (
        "system_distributed",
        "partition_denylist",
        "ks_name text, table_name text, key blob, PRIMARY KEY ((ks_name, table_name), key)",
        "Partition keys which have been denied access",
    ),
    (
        "system_distributed",
        "repair_history",
        "keyspace_name text, columnfamily_name text, id timeuuid, coordinator inet, coordinator_port int,
         exception_message text, exception_stacktrace text, finished_at timestamp, parent_id timeuuid,
         participants set<inet>, participants_v2 set<text>, range_begin text, range_end text, started_at timestamp,
         status text, PRIMARY KEY ((keyspace_name, columnfamily_name), id)",
        "Repair history",
    ),
    (
        "system_distributed",
        "view_build_status",
        "keyspace_name text, view_name text, host_id uuid, status text,
         PRIMARY KEY ((keyspace_name, view_name), host_id)",
        "Materialized View build status",
    ),
];
