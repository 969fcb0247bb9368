//! Tables that show a node as it is: `system_views`, estimates, prepared statements, and peers known by a name.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::net::IpAddr;
use std::sync::Arc;

use quorate_env::Instant;
use quorate_model::admin::AdminRequest;
use quorate_model::request::{ClientRequest, QueryOptions, RequestBody};
use quorate_model::value::Value;
use quorate_model::{Consistency, NodeId};
use quorate_node::{ClientFact, PoolFact, Surroundings, TlsFact};
use quorate_storage::JobResult;
use support::Cluster;

const KEYSPACE: &str = "CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 2}";

struct Process;

impl Surroundings for Process {
    fn clients(&self) -> Vec<ClientFact> {
        let tls = TlsFact { protocol: "TLSv1.3".to_owned(), cipher_suite: "TLS_AES_256_GCM_SHA384".to_owned() };
        let started = ClientFact {
            address: "10.9.9.9:4711".parse().unwrap(),
            options: vec![("DRIVER_NAME".to_owned(), "d".to_owned()), ("DRIVER_VERSION".to_owned(), "1.2".to_owned())],
            protocol_version: Some(5),
            keyspace: Some("ks".to_owned()),
            requests: 7,
            tls: Some(tls),
        };
        let fresh = ClientFact {
            address: "10.9.9.8:4712".parse().unwrap(),
            options: Vec::new(),
            protocol_version: None,
            keyspace: None,
            requests: 0,
            tls: None,
        };
        vec![started, fresh]
    }

    fn settings(&self) -> Vec<(String, String)> {
        vec![("rack".to_owned(), "r1".to_owned()), ("vnodes".to_owned(), "8".to_owned())]
    }

    fn resolve(&self, host: &str) -> Option<IpAddr> {
        let number = host.strip_prefix("db")?.strip_suffix(".example")?;
        (number != "3").then(|| format!("10.1.1.{number}").parse().unwrap())
    }

    fn now(&self) -> Instant {
        Instant(0)
    }

    fn pools(&self) -> Vec<PoolFact> {
        let worker = PoolFact { name: "worker-0".to_owned(), pending: Some(3), ..PoolFact::default() };
        let (active, limit, pending, completed) = (Some(1), Some(2), Some(5), Some(8));
        vec![worker, PoolFact { name: "job-flush".to_owned(), active, limit, pending, completed }]
    }
}

fn surround(cluster: &Cluster, index: usize) {
    cluster.members[index].node.as_ref().unwrap().shared.set_surroundings(Arc::new(Process));
}

fn show(cluster: &mut Cluster, index: usize, text: &str) -> Vec<String> {
    let rows = cluster.rows(index, text, Consistency::One);
    let shown = |value: &Value| match value {
        Value::Text(text) => text.clone(),
        Value::Int(number) => number.to_string(),
        Value::BigInt(number) => number.to_string(),
        Value::Boolean(yes) => yes.to_string(),
        Value::Inet(address) => address.to_string(),
        Value::Null => "-".to_owned(),
        other => format!("{other:?}"),
    };
    rows.iter().map(|row| row.iter().map(shown).collect::<Vec<_>>().join(" ")).collect()
}

fn flush(cluster: &mut Cluster, index: usize) {
    let body = RequestBody::Admin(AdminRequest::Flush { keyspace: None, tables: Vec::new() });
    let request = ClientRequest { body, keyspace: None, options: QueryOptions::default() };
    cluster.request(index, request).result.unwrap();
}

#[test]
fn clients_and_settings_are_those_of_the_process() {
    let mut cluster = Cluster::of(1);
    assert!(show(&mut cluster, 0, "SELECT * FROM system_views.clients").is_empty());
    surround(&cluster, 0);
    let text = "SELECT port, connection_stage, driver_name, driver_version, keyspace_name, protocol_version, request_count, \
                ssl_enabled, ssl_protocol, ssl_cipher_suite, username FROM system_views.clients WHERE address = '10.9.9.9'";
    let expected = "4711 ready d 1.2 ks 5 7 true TLSv1.3 TLS_AES_256_GCM_SHA384 anonymous";
    assert_eq!(show(&mut cluster, 0, text), [expected]);
    let text = "SELECT connection_stage, driver_name, ssl_enabled FROM system_views.clients WHERE address = '10.9.9.8'";
    assert_eq!(show(&mut cluster, 0, text), ["established - false"]);
    assert_eq!(show(&mut cluster, 0, "SELECT value FROM system_views.settings WHERE name = 'vnodes'"), ["8"]);
}

#[test]
fn virtual_tables_are_listed_where_virtual_tables_are_and_cannot_be_written() {
    let mut cluster = Cluster::of(1);
    let text = "SELECT table_name FROM system_virtual_schema.tables WHERE keyspace_name = 'system_views'";
    let listed = show(&mut cluster, 0, text);
    let known = "caches clients coordinator_read_latency coordinator_scan_latency coordinator_write_latency disk_usage \
                 local_read_latency local_scan_latency local_write_latency pending_hints settings sstable_tasks thread_pools";
    assert_eq!(listed.join(" "), known);
    let text = "SELECT keyspace_name FROM system_schema.keyspaces WHERE keyspace_name = 'system_views'";
    assert!(show(&mut cluster, 0, text).is_empty());
    let write = "INSERT INTO system_views.settings (name, value) VALUES ('vnodes', '1')";
    assert!(cluster.query(0, write, support::at(Consistency::One)).is_err());
}

#[test]
fn disk_cache_and_estimates_are_the_storages_figures() {
    let mut cluster = Cluster::of(2);
    cluster.run(0, KEYSPACE);
    cluster.run(0, "CREATE TABLE ks.t (p int PRIMARY KEY, v text)");
    let disk = "SELECT mebibytes FROM system_views.disk_usage WHERE keyspace_name = 'ks' AND table_name = 't'";
    assert_eq!(show(&mut cluster, 0, disk), ["0"]);
    for number in 0..200 {
        cluster.run(0, &format!("INSERT INTO ks.t (p, v) VALUES ({number}, 'x')"));
    }
    for index in 0..2 {
        flush(&mut cluster, index);
        assert_eq!(show(&mut cluster, index, disk), ["1"], "less than a mebibyte is shown as one");
    }
    let mut partitions = 0;
    for index in 0..2 {
        let text = "SELECT range_start, range_end, partitions_count, mean_partition_size FROM system.size_estimates \
                    WHERE keyspace_name = 'ks' AND table_name = 't'";
        let rows = cluster.rows(index, text, Consistency::One);
        assert_eq!(rows.len(), 8, "a range a token");
        for row in rows {
            let (Value::BigInt(count), Value::BigInt(size)) = (&row[2], &row[3]) else { panic!("{row:?}") };
            assert!(*size > 0, "{row:?}");
            partitions += count;
        }
    }
    // Every range is the first replica's alone; each count is rounded.
    assert!((190..=210).contains(&partitions), "{partitions}");
    let text = "SELECT range_type, COUNT(*) FROM system.table_estimates WHERE keyspace_name = 'ks' AND table_name = 't' \
                AND range_type = 'local_primary'";
    assert_eq!(show(&mut cluster, 0, text), ["local_primary 8"]);
    show(&mut cluster, 0, "SELECT * FROM ks.t");
    let text = "SELECT name, request_count, hit_count FROM system_views.caches";
    let stats = cluster.members[0].node.as_ref().unwrap().shared.storage().stats();
    let requests = stats.cache_hits + stats.cache_misses;
    assert!(requests > 0);
    assert_eq!(show(&mut cluster, 0, text), [format!("chunks {requests} {}", stats.cache_hits)]);
}

#[test]
fn hints_and_prepared_statements_are_listed() {
    let mut cluster = Cluster::of(2);
    cluster.run(0, KEYSPACE);
    cluster.run(0, "CREATE TABLE ks.t (p int PRIMARY KEY, v text)");
    let body = RequestBody::Prepare { text: "SELECT * FROM ks.t".to_owned() };
    let request = ClientRequest { body, keyspace: None, options: QueryOptions::default() };
    cluster.request(0, request).result.unwrap();
    let text = "SELECT query_string, logged_keyspace FROM system.prepared_statements";
    assert_eq!(show(&mut cluster, 0, text), ["SELECT * FROM ks.t -"]);

    let hints = "SELECT host_id, address, port, dc, status FROM system_views.pending_hints";
    assert!(show(&mut cluster, 0, hints).is_empty());
    let dead = cluster.members[1].id;
    cluster.crash(1);
    cluster.query(0, "INSERT INTO ks.t (p, v) VALUES (1, 'x')", support::at(Consistency::One)).unwrap();
    let is_hinted = |cluster: &Cluster| {
        let node = cluster.members[0].node.as_ref().unwrap();
        node.shared.storage().hints.pending(dead).count > 0 && node.shared.snapshot().alive_count() == 1
    };
    cluster.run_until("the write is hinted", is_hinted);
    let NodeId(dead) = dead;
    let expected = format!("{:?} 10.0.0.2 7000 dc1 DOWN", Value::Uuid(dead));
    assert_eq!(show(&mut cluster, 0, hints), [expected]);
}

#[test]
fn nodes_known_by_a_name_show_its_address_and_are_left_out_while_it_is_not_known() {
    let mut cluster = Cluster::new();
    for number in 1..=3 {
        let index = cluster.add_at(&format!("db{number}.example:7000"), 1);
        cluster.run_until("the node has joined", |cluster| cluster.is_ready(index));
    }
    let local = "SELECT rpc_address, broadcast_address, rpc_port FROM system.local";
    let (peers, peers_v2) =
        ("SELECT peer, rpc_address FROM system.peers", "SELECT peer, native_address FROM system.peers_v2");
    assert_eq!(show(&mut cluster, 0, local), ["- - 9042"]);
    assert!(show(&mut cluster, 0, peers).is_empty() && show(&mut cluster, 0, peers_v2).is_empty());
    surround(&cluster, 0);
    assert_eq!(show(&mut cluster, 0, local), ["10.1.1.1 10.1.1.1 9042"]);
    // The third one's name has no address.
    assert_eq!(show(&mut cluster, 0, peers), ["10.1.1.2 10.1.1.2"]);
    assert_eq!(show(&mut cluster, 0, peers_v2), ["10.1.1.2 10.1.1.2"]);
}

#[test]
fn latencies_are_counted_by_table_where_the_work_was_done() {
    let mut cluster = Cluster::of(2);
    cluster.run(0, KEYSPACE);
    cluster.run(0, "CREATE TABLE ks.t (p int PRIMARY KEY, v text)");
    cluster.run(0, "CREATE TABLE ks.other (p int PRIMARY KEY, v text)");
    let figures = |cluster: &mut Cluster, index: usize, view: &str| {
        let text =
            format!("SELECT count FROM system_views.{view}_latency WHERE keyspace_name = 'ks' AND table_name = 't'");
        show(cluster, index, &text).join(" ")
    };
    let all = |cluster: &mut Cluster, index: usize| {
        let views =
            ["read", "scan", "write"].map(|kind| ["coordinator", "local"].map(|place| format!("{place}_{kind}")));
        views.concat().iter().map(|view| figures(cluster, index, view)).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(all(&mut cluster, 0), "0 0 0 0 0 0");
    for number in 0..7 {
        cluster
            .query(0, &format!("INSERT INTO ks.t (p, v) VALUES ({number}, 'x')"), support::at(Consistency::All))
            .unwrap();
    }
    let batch = "BEGIN UNLOGGED BATCH INSERT INTO ks.t (p, v) VALUES (1, 'y'); INSERT INTO ks.t (p, v) VALUES (2, 'y'); \
                 INSERT INTO ks.other (p, v) VALUES (2, 'y'); APPLY BATCH";
    cluster.query(0, batch, support::at(Consistency::All)).unwrap();
    for number in 0..3 {
        show(&mut cluster, 0, &format!("SELECT * FROM ks.t WHERE p = {number}"));
    }
    cluster.rows(0, "SELECT * FROM ks.t WHERE p = 1", Consistency::All);
    cluster.rows(0, "SELECT * FROM ks.t", Consistency::All);
    // Of the scan each node is asked for several ranges.
    let [coordinator, other] = [0, 1].map(|index| all(&mut cluster, index));
    let numbers = |text: &str| text.split(' ').map(|number| number.parse::<u64>().unwrap()).collect::<Vec<_>>();
    let [read, local_read, scan, local_scan, write, local_write] = numbers(&coordinator)[..] else { panic!() };
    assert_eq!((read, local_read, scan, write, local_write), (4, 4, 1, 9, 9), "{coordinator}");
    assert!(local_scan >= 1, "{coordinator}");
    let [read, local_read, scan, local_scan, write, local_write] = numbers(&other)[..] else { panic!() };
    assert_eq!((read, local_read, scan, write, local_write), (0, 1, 0, 0, 9), "{other}");
    assert!(local_scan >= 1, "{other}");

    let text = "SELECT p50th_ms, p99th_ms, max_ms, per_second FROM system_views.coordinator_write_latency \
                WHERE keyspace_name = 'ks' AND table_name = 't'";
    let rows = cluster.rows(0, text, Consistency::One);
    let doubles = |row: &[Value]| {
        let double = |value: &Value| if let Value::Double(value) = value { *value } else { panic!("{value:?}") };
        row.iter().map(double).collect::<Vec<_>>()
    };
    let [p50, p99, longest, per_second] = doubles(&rows[0])[..] else { panic!("{rows:?}") };
    assert!(0.0 <= p50 && p50 <= p99 && p99 <= longest && per_second > 0.0, "{rows:?}");
}

#[test]
fn workers_and_the_processes_pools_are_listed() {
    let mut cluster = Cluster::of(1);
    surround(&cluster, 0);
    let text = "SELECT active_tasks, active_tasks_limit, pending_tasks, completed_tasks, blocked_tasks \
                FROM system_views.thread_pools WHERE name = ";
    assert_eq!(show(&mut cluster, 0, &format!("{text}'job-flush'")), ["1 2 5 8 -"]);
    let worker = show(&mut cluster, 0, &format!("{text}'worker-0'")).join("");
    let limit = cluster.members[0].node.as_ref().unwrap().shared.config.requests_max;
    assert!(worker.contains(&format!(" {limit} 3 ")) && worker.ends_with(" -"), "{worker}");
}

#[test]
fn what_the_storage_works_on_is_listed_while_it_does() {
    let mut cluster = Cluster::of(1);
    cluster.run(0, &KEYSPACE.replace('2', "1"));
    cluster.run(0, "CREATE TABLE ks.t (p int PRIMARY KEY, v text)");
    let value = "x".repeat(1000);
    for number in 0..30 {
        cluster.run(0, &format!("INSERT INTO ks.t (p, v) VALUES ({number}, '{value}')"));
    }
    let shared = cluster.members[0].node.as_ref().unwrap().shared.clone();
    let table = shared.snapshot().metadata.schema.keyspaces["ks"].tables["t"].id;
    let text = "SELECT keyspace_name, table_name, kind, unit, sstables FROM system_views.sstable_tasks";
    assert!(show(&mut cluster, 0, text).is_empty());
    let job = shared.storage().flush(table).pop().unwrap();
    let JobResult::Again(job) = job.run() else { panic!("the flush has ended in one step") };
    assert_eq!(show(&mut cluster, 0, text), ["ks t flush bytes 0"]);
    let rows =
        cluster.rows(0, "SELECT progress, total, completion_ratio FROM system_views.sstable_tasks", Consistency::One);
    let [Value::BigInt(progress), Value::BigInt(total), Value::Double(ratio)] = rows[0][..] else { panic!("{rows:?}") };
    assert!(0 < progress && progress < total && 0.0 < ratio && ratio < 1.0, "{rows:?}");
    drop(job);
    assert!(show(&mut cluster, 0, text).is_empty());
}
