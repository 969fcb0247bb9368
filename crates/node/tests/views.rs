//! Tables that show a node as it is: `system_views`, estimates, prepared statements, and peers known by a name.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::net::IpAddr;
use std::sync::Arc;

use quorate_model::admin::AdminRequest;
use quorate_model::request::{ClientRequest, QueryOptions, RequestBody};
use quorate_model::value::Value;
use quorate_model::{Consistency, NodeId};
use quorate_node::{ClientFact, Surroundings, TlsFact};
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
    assert_eq!(listed, ["caches", "clients", "disk_usage", "pending_hints", "settings"]);
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
