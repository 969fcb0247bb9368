//! Rows of the tables that show what this node is doing and what it keeps.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use quorate_cql::system_tables::{self, NamedRow, Stamp};
use quorate_model::schema::Table;
use quorate_model::value::Value;
use quorate_model::{DecoratedKey, NodeId, Partition, Token};
use quorate_ring::{NodeState, owned_shares};
use quorate_storage::{JobKind, TableStats, TaskStats};

use super::{Worker, trace};
use crate::latencies::{Series, summary};
use crate::surroundings::{ClientFact, PoolFact};

const MEBIBYTE: u64 = 1024 * 1024;

fn text(value: impl Into<String>) -> Value {
    Value::Text(value.into())
}

fn big(value: u64) -> Value {
    Value::BigInt(i64::try_from(value).unwrap_or(i64::MAX))
}

fn small(value: u64) -> Value {
    Value::Int(i32::try_from(value).unwrap_or(i32::MAX))
}

impl Worker {
    /// The content of a table that shows this node; `None` if the table is none of them.
    pub(super) fn view(&self, table: &Table) -> Option<Vec<(DecoratedKey, Partition)>> {
        let around = self.shared.around.get();
        if let Some(series) = Series::of_view(&table.name).filter(|_| table.keyspace == "system_views") {
            let rows = self.latencies_of(series);
            return Some(system_tables::partitions_of(table, rows, Stamp::UNWRITTEN, quorate_ring::partitioner::token));
        }
        let rows: Vec<NamedRow> = match (table.keyspace.as_str(), table.name.as_str()) {
            ("system", "prepared_statements") => self.prepared_statements(),
            ("system", "size_estimates") => self.estimates(&[None]),
            ("system", "table_estimates") => self.estimates(&[Some("local_primary"), Some("primary")]),
            ("system_views", "caches") => vec![self.block_cache()],
            ("system_views", "clients") => {
                around.map(|around| around.clients().iter().map(client).collect()).unwrap_or_default()
            }
            ("system_views", "disk_usage") => self.disk_usage(),
            ("system_views", "pending_hints") => self.pending_hints(),
            ("system_views", "settings") => {
                let settings = around.map(|around| around.settings()).unwrap_or_default();
                settings.into_iter().map(|(name, value)| vec![("name", text(name)), ("value", text(value))]).collect()
            }
            ("system_views", "sstable_tasks") => self.tasks(),
            ("system_views", "thread_pools") => self.pools(),
            _ => return None,
        };
        Some(system_tables::partitions_of(table, rows, Stamp::UNWRITTEN, quorate_ring::partitioner::token))
    }

    fn prepared_statements(&self) -> Vec<NamedRow> {
        let row = |(id, keyspace, statement): (_, Option<String>, String)| {
            let quorate_model::request::StatementId(id) = id;
            let mut row = vec![("prepared_id", Value::Blob(id.to_vec().into())), ("query_string", text(statement))];
            row.extend(keyspace.map(|keyspace| ("logged_keyspace", text(keyspace))));
            row
        };
        self.shared.prepared.all().into_iter().map(row).collect()
    }

    /// The only cache there is. It is of blocks of SSTables, which Cassandra calls chunks.
    fn block_cache(&self) -> NamedRow {
        let storage = self.shared.storage();
        let stats = storage.stats();
        let requests = stats.cache_hits.saturating_add(stats.cache_misses);
        vec![
            ("name", text("chunks")),
            ("capacity_bytes", big(storage.options().cache_bytes)),
            ("hit_count", big(stats.cache_hits)),
            // No number if nobody has asked, as in Cassandra.
            ("hit_ratio", Value::Double(stats.cache_hits as f64 / requests as f64)),
            ("request_count", big(requests)),
            ("size_bytes", big(stats.cache_bytes)),
        ]
    }

    /// Tables that are stored here, with their numbers.
    fn stored_tables(&self) -> Vec<(&Table, TableStats)> {
        let mut stats = self.shared.storage().stats().tables;
        let keyspaces = self.snapshot.metadata.schema.keyspaces.values();
        let tables = keyspaces.flat_map(|keyspace| keyspace.tables.values());
        tables.map(|table| (&**table, stats.remove(&table.id).unwrap_or_default())).collect()
    }

    fn disk_usage(&self) -> Vec<NamedRow> {
        let row = |(table, stats): (&Table, TableStats)| {
            vec![
                ("keyspace_name", text(&table.keyspace)),
                ("table_name", text(&table.name)),
                ("mebibytes", big(stats.sstable_bytes.div_ceil(MEBIBYTE))),
            ]
        };
        self.stored_tables().into_iter().map(row).collect()
    }

    /// A series of every table that is stored here.
    fn latencies_of(&self, series: Series) -> Vec<NamedRow> {
        let books = self.shared.books.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let now = self.shared.precisely(self.replica.book.now());
        let millis = |time: Duration| Value::Double((time.as_secs_f64() * 1e6).round() / 1e3);
        let keyspaces = self.snapshot.metadata.schema.keyspaces.values();
        let row = |table: &Arc<Table>| {
            let summary = summary(&books, table.id, series, now);
            vec![
                ("keyspace_name", text(&table.keyspace)),
                ("table_name", text(&table.name)),
                ("count", big(summary.count)),
                ("max_ms", millis(summary.longest)),
                ("p50th_ms", millis(summary.p50)),
                ("p99th_ms", millis(summary.p99)),
                ("per_second", Value::Double((summary.per_second * 1e3).round() / 1e3)),
            ]
        };
        keyspaces.flat_map(|keyspace| keyspace.tables.values()).map(row).collect()
    }

    /// Jobs of the storage engine that are under way.
    fn tasks(&self) -> Vec<NamedRow> {
        let row = |task: TaskStats| {
            let table = &self.snapshot.table(task.table)?.table;
            let kind = match task.kind {
                JobKind::Flush => "flush",
                JobKind::Compaction => "compaction",
                JobKind::MajorCompaction => "major compaction",
                JobKind::BuildIndex => "secondary index build",
                JobKind::PrepareLog => return None,
            };
            let ticks = trace::hundred_nanos(task.began.0.saturating_mul(1_000_000));
            let mut row = vec![
                ("keyspace_name", text(&table.keyspace)),
                ("table_name", text(&table.name)),
                ("task_id", Value::Uuid(trace::time_uuid(ticks, task.id))),
                ("kind", text(kind)),
                ("progress", big(task.progress_bytes)),
                ("sstables", small(task.sstables as u64)),
                ("unit", text("bytes")),
            ];
            if let Some(total) = task.total_bytes {
                let ratio = if total == 0 { 0.0 } else { (task.progress_bytes as f64 / total as f64).min(1.0) };
                row.extend([("total", big(total)), ("completion_ratio", Value::Double(ratio))]);
            }
            Some(row)
        };
        self.shared.storage().tasks().into_iter().filter_map(row).collect()
    }

    /// The workers, and whatever else the process says works off a queue.
    fn pools(&self) -> Vec<NamedRow> {
        let books = self.shared.books.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let limit = u64::try_from(self.shared.config.requests_max).ok();
        let workers = books.iter().enumerate().map(|(index, book)| {
            let in_flight = book.in_flight.load(Ordering::Relaxed);
            let completed = book.begun.load(Ordering::Relaxed).saturating_sub(in_flight);
            let (active, completed) = (Some(in_flight), Some(completed));
            PoolFact { name: format!("worker-{index}"), active, limit, pending: None, completed }
        });
        let mut pools: Vec<PoolFact> = workers.collect();
        for fact in self.shared.around.get().map(|around| around.pools()).unwrap_or_default() {
            match pools.iter_mut().find(|pool| pool.name == fact.name) {
                Some(pool) => pool.pending = fact.pending,
                None => pools.push(fact),
            }
        }
        pools.into_iter().map(pool).collect()
    }

    fn pending_hints(&self) -> Vec<NamedRow> {
        let hints = &self.shared.storage().hints;
        let topology = &self.snapshot.metadata.topology;
        let row = |target: NodeId| {
            let pending = hints.pending(target);
            let up = self.snapshot.reachable.contains(&target);
            let mut row = vec![("host_id", Value::Uuid(target.0)), ("status", text(if up { "UP" } else { "DOWN" }))];
            row.extend(pending.oldest.map(|oldest| ("oldest", Value::Timestamp(oldest.0.saturating_mul(1000)))));
            if let Some(node) = topology.node(target) {
                row.push(("dc", text(&*node.datacenter)));
                row.push(("rack", text(&*node.rack)));
                if let Some(fact) = self.node_fact(node) {
                    row.push(("address", Value::Inet(fact.address)));
                    row.push(("port", Value::Int(i32::from(fact.storage_port))));
                }
            }
            row
        };
        hints.targets().into_iter().filter(|target| hints.pending(*target).count > 0).map(row).collect()
    }

    /// Of every table, for every range of which this node is the first replica: how much there is. Tokens are spread
    /// evenly, so that a range has of a table's SSTables here what its part is of all that this node keeps. A range of
    /// `local_primary` is counted among the nodes of this data centre only.
    fn estimates(&self, kinds: &[Option<&'static str>]) -> Vec<NamedRow> {
        let mut rows = Vec::new();
        let ranges = kinds.iter().map(|kind| (*kind, self.primary_ranges(*kind == Some("local_primary"))));
        let ranges: Vec<_> = ranges.collect();
        let tables = self.stored_tables();
        for keyspace in self.snapshot.metadata.schema.keyspaces.values() {
            let placements = self.snapshot.ring.placements(&keyspace.replication);
            let share = owned_shares(&placements).get(&self.shared.id).copied().unwrap_or(0.0);
            for (table, stats) in tables.iter().filter(|(table, _)| table.keyspace == keyspace.name) {
                for (kind, ranges) in &ranges {
                    rows.extend(ranges.iter().map(|range| estimate(table, stats, share, *kind, *range)));
                }
            }
        }
        rows
    }

    /// From the token before, exclusive, to each token of this node, inclusive. The one over the ring's end starts higher
    /// than it ends, as in Cassandra.
    fn primary_ranges(&self, local: bool) -> Vec<(Token, Token)> {
        let topology = &self.snapshot.metadata.topology;
        let me = self.shared.id;
        let home = topology.node(me).map(|node| &node.datacenter);
        let nodes = topology.nodes.values().filter(|node| node.state == NodeState::Normal);
        let nodes = nodes.filter(|node| !local || Some(&node.datacenter) == home);
        let mut tokens: Vec<(Token, NodeId)> =
            nodes.flat_map(|node| node.tokens.iter().map(|token| (*token, node.id))).collect();
        tokens.sort_unstable();
        let Some((mut before, _)) = tokens.last().copied() else { return Vec::new() };
        let mut ranges = Vec::new();
        for (token, node) in tokens {
            if node == me {
                ranges.push((before, token));
            }
            before = token;
        }
        ranges
    }
}

fn estimate(
    table: &Table,
    stats: &TableStats,
    share: f64,
    kind: Option<&'static str>,
    (start, end): (Token, Token),
) -> NamedRow {
    let width = match end.0.wrapping_sub(start.0) as u64 {
        // One token alone has the whole ring.
        0 => 2f64.powi(64),
        width => width as f64,
    };
    let part = if share > 0.0 { (width / 2f64.powi(64) / share).min(1.0) } else { 0.0 };
    let partitions = (stats.partitions as f64 * part).round() as u64;
    let mut row = vec![
        ("keyspace_name", text(&table.keyspace)),
        ("table_name", text(&table.name)),
        ("range_start", text(start.to_string())),
        ("range_end", text(end.to_string())),
        ("mean_partition_size", big(stats.sstable_bytes.checked_div(stats.partitions).unwrap_or(0))),
        ("partitions_count", big(partitions)),
    ];
    row.extend(kind.map(|kind| ("range_type", text(kind))));
    row
}

fn pool(pool: PoolFact) -> NamedRow {
    let mut row = vec![("name", text(pool.name))];
    row.extend(pool.active.map(|count| ("active_tasks", small(count))));
    row.extend(pool.limit.map(|count| ("active_tasks_limit", small(count))));
    row.extend(pool.pending.map(|count| ("pending_tasks", small(count))));
    row.extend(pool.completed.map(|count| ("completed_tasks", big(count))));
    row
}

fn client(client: &ClientFact) -> NamedRow {
    let started = client.protocol_version.is_some();
    let option = |name: &str| client.options.iter().find(|(known, _)| known == name).map(|(_, value)| text(value));
    let options = client.options.iter().map(|(name, value)| (text(name), text(value)));
    let mut row = vec![
        ("address", Value::Inet(client.address.ip())),
        ("port", Value::Int(i32::from(client.address.port()))),
        ("client_options", Value::Map(options.collect())),
        ("connection_stage", text(if started { "ready" } else { "established" })),
        ("request_count", big(client.requests)),
        ("ssl_enabled", Value::Boolean(client.tls.is_some())),
        ("username", text("anonymous")),
    ];
    row.extend(option("DRIVER_NAME").map(|name| ("driver_name", name)));
    row.extend(option("DRIVER_VERSION").map(|version| ("driver_version", version)));
    row.extend(client.keyspace.as_ref().map(|keyspace| ("keyspace_name", text(keyspace))));
    row.extend(client.protocol_version.map(|version| ("protocol_version", Value::Int(i32::from(version)))));
    if let Some(tls) = &client.tls {
        row.push(("ssl_cipher_suite", text(&tls.cipher_suite)));
        row.push(("ssl_protocol", text(&tls.protocol)));
    }
    row
}
