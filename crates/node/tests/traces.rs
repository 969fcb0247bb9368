//! Traces in `system_traces`: on the cluster's own tables, readable from every node.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use quorate_model::admin::{AdminAnswer, AdminRequest};
use quorate_model::request::{Answer, ClientRequest, QueryOptions, RequestBody, Values};
use quorate_model::value::Value;
use quorate_model::{Consistency, CqlType};
use support::{Cluster, at};

/// Three nodes with a table on all of them, and the system's own tables.
fn cluster() -> Cluster {
    let mut cluster = Cluster::of(3);
    let has_tables = |cluster: &Cluster| {
        let nodes = cluster.members.iter().filter_map(|member| member.node.as_ref());
        let mut nodes = nodes.map(|node| node.shared.snapshot());
        nodes.all(|snapshot| snapshot.metadata.schema.table("system_traces", "sessions").is_some())
    };
    cluster.run_until("the system's tables are there", has_tables);
    cluster.run(0, "CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 3}");
    cluster.run(0, "CREATE TABLE ks.t (p int PRIMARY KEY, v text)");
    cluster
}

/// Runs a traced statement at ALL on a node and gives the session.
fn trace(cluster: &mut Cluster, index: usize, text: &str) -> String {
    let body = RequestBody::Query { text: text.to_owned(), values: Values::default() };
    let client = Some("10.9.9.9".parse().unwrap());
    let options = QueryOptions { tracing: true, client, ..at(Consistency::All) };
    let response = cluster.request(index, ClientRequest { body, keyspace: None, options });
    response.result.unwrap();
    Value::Uuid(response.trace.expect("a trace").session).to_cql_literal(&CqlType::Uuid)
}

fn await_rows(cluster: &mut Cluster, index: usize, text: &str) -> Vec<Vec<Value>> {
    for _ in 0..100 {
        let rows = cluster.rows(index, text, Consistency::One);
        if !rows.is_empty() {
            return rows;
        }
    }
    panic!("{text}: never any rows");
}

#[test]
fn a_session_and_what_each_replica_did_can_be_read_from_every_node() {
    let mut cluster = cluster();
    let session = trace(&mut cluster, 0, "INSERT INTO ks.t (p, v) VALUES (1, 'x')");
    for index in 0..3 {
        let of_session = format!(
            "SELECT client, command, coordinator, duration, parameters['query'], request FROM system_traces.sessions \
             WHERE session_id = {session}"
        );
        let row = await_rows(&mut cluster, index, &of_session).remove(0);
        assert_eq!(row[0], Value::Inet("10.9.9.9".parse().unwrap()));
        assert_eq!(row[1], Value::Text("QUERY".to_owned()));
        assert_eq!(row[2], Value::Inet("10.0.0.1".parse().unwrap()));
        assert!(matches!(row[3], Value::Int(duration) if duration > 0), "{:?}", row[3]);
        assert_eq!(row[4], Value::Text("INSERT INTO ks.t (p, v) VALUES (1, 'x')".to_owned()));
        assert_eq!(row[5], Value::Text("Execute CQL3 query".to_owned()));
        // Whoever sees the session complete sees its events.
        let of_events = format!("SELECT source, activity FROM system_traces.events WHERE session_id = {session}");
        let events = cluster.rows(index, &of_events, Consistency::One);
        for node in ["10.0.0.1", "10.0.0.2", "10.0.0.3"] {
            let source = Value::Inet(node.parse().unwrap());
            let of_node = |event: &&Vec<Value>| event[0] == source && format!("{:?}", event[1]).contains("t memtable");
            assert_eq!(events.iter().filter(of_node).count(), 1, "node {index} knows what {node} did: {events:?}");
        }
    }
    let ttl = format!("SELECT TTL(activity) FROM system_traces.events WHERE session_id = {session} LIMIT 1");
    assert_eq!(cluster.rows(1, &ttl, Consistency::One), [[Value::Int(86_400)]]);
}

#[test]
fn a_trace_is_stored_also_while_replicas_of_it_are_dead() {
    let mut cluster = cluster();
    cluster.crash(2);
    cluster.run_until("its end is noticed", |cluster| {
        let node = cluster.members[0].node.as_ref().unwrap();
        node.shared.snapshot().alive_count() == 2
    });
    // Of two replicas of a session one may be the dead one: with several sessions some have it.
    for _ in 0..8 {
        let body = RequestBody::Query { text: "SELECT * FROM ks.t".to_owned(), values: Values::default() };
        let options = QueryOptions { tracing: true, ..at(Consistency::One) };
        let response = cluster.request(0, ClientRequest { body, keyspace: None, options });
        let session = Value::Uuid(response.trace.unwrap().session).to_cql_literal(&CqlType::Uuid);
        let text = format!("SELECT duration FROM system_traces.sessions WHERE session_id = {session}");
        assert_ne!(await_rows(&mut cluster, 1, &text), [[Value::Null]]);
    }
}

#[test]
fn requests_that_ask_for_no_trace_are_traced_only_by_chance() {
    let mut cluster = cluster();
    cluster.run(0, "INSERT INTO ks.t (p, v) VALUES (1, 'x')");
    assert!(cluster.rows(1, "SELECT session_id FROM system_traces.sessions", Consistency::One).is_empty());
    let verb = |cluster: &mut Cluster, verb| {
        let body = RequestBody::Admin(verb);
        cluster.request(0, ClientRequest { body, keyspace: None, options: QueryOptions::default() }).result
    };
    let probability =
        |cluster: &mut Cluster, probability| verb(cluster, AdminRequest::SetTraceProbability { probability }).is_ok();
    let shown = |cluster: &mut Cluster| {
        let body = RequestBody::Admin(AdminRequest::GetTraceProbability);
        let request = ClientRequest { body, keyspace: None, options: QueryOptions::default() };
        match cluster.request(0, request).result.unwrap() {
            Answer::Admin(AdminAnswer::Properties(properties)) => properties[0].1.clone(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(shown(&mut cluster), "0.0");
    for wrong in [1.5, -0.1, f64::NAN] {
        assert!(!probability(&mut cluster, wrong), "{wrong}");
    }
    assert_eq!(shown(&mut cluster), "0.0", "what is refused changes nothing");
    assert!(probability(&mut cluster, 1.0));
    assert_eq!(shown(&mut cluster), "1.0");
    let body = RequestBody::Query { text: "SELECT * FROM ks.t".to_owned(), values: Values::default() };
    let response = cluster.request(0, ClientRequest { body, keyspace: None, options: at(Consistency::One) });
    assert!(response.trace.is_none(), "the client has not asked");
    assert!(probability(&mut cluster, 0.0));
    await_rows(&mut cluster, 1, "SELECT session_id FROM system_traces.sessions");
}

#[test]
fn the_keyspace_of_traces_cannot_be_dropped_but_its_replication_changed_and_its_rows_removed() {
    let mut cluster = cluster();
    for (text, expected) in [
        ("DROP KEYSPACE system_traces", "Cannot DROP <keyspace system_traces>"),
        ("DROP TABLE system_traces.events", "Cannot DROP <table system_traces.events>"),
        ("ALTER TABLE system_traces.events ADD x int", "Cannot ALTER <table system_traces.events>"),
        ("CREATE TABLE system_traces.x (a int PRIMARY KEY)", "Cannot CREATE <all tables in system_traces>"),
    ] {
        let error = cluster.query(0, text, at(Consistency::One)).expect_err(text);
        assert_eq!((error.to_string().as_str(), error.code()), (expected, 0x2100));
    }
    let session = trace(&mut cluster, 0, "SELECT * FROM ks.t WHERE p = 1");
    let events = format!("SELECT activity FROM system_traces.events WHERE session_id = {session}");
    await_rows(&mut cluster, 2, &events);
    cluster.run(1, "TRUNCATE system_traces.events");
    assert!(cluster.rows(2, &events, Consistency::One).is_empty());
    let replication = "{'class': 'SimpleStrategy', 'replication_factor': 3}";
    cluster.run(0, &format!("ALTER KEYSPACE system_traces WITH replication = {replication}"));
    let text = "SELECT replication FROM system_schema.keyspaces WHERE keyspace_name = 'system_traces'";
    let shown = format!("{:?}", cluster.rows(1, text, Consistency::One));
    assert!(shown.contains("SimpleStrategy") && shown.contains("\"3\""), "{shown}");
}
