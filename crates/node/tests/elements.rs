//! Prepared statements whose markers stand in elements of collections, and the warnings that batches bring. Markers' names
//! and types, and the warnings' words, are those of a real Cassandra 5.0.6.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use quorate_model::request::{Answer, BoundValue, ClientRequest, Prepared, RequestBody, Values};
use quorate_model::value::Value;
use quorate_model::{Consistency, CqlType};
use support::{Cluster, at};

const KEYSPACE: &str = "CREATE KEYSPACE k WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}";

fn cluster() -> Cluster {
    let mut cluster = Cluster::of(1);
    cluster.run(0, KEYSPACE);
    cluster.run(0, "CREATE TABLE k.t (a int PRIMARY KEY, l list<int>, m map<text, int>, z set<int>, v text)");
    cluster
}

fn request(body: RequestBody) -> ClientRequest {
    ClientRequest { body, keyspace: None, options: at(Consistency::Quorum) }
}

fn prepare(cluster: &mut Cluster, text: &str) -> Prepared {
    let answer = cluster.request(0, request(RequestBody::Prepare { text: text.to_owned() })).result;
    let Ok(Answer::Prepared(prepared)) = answer else { panic!("{text}: {answer:?}") };
    prepared
}

fn markers(prepared: &Prepared) -> Vec<(String, CqlType)> {
    prepared.parameters.columns.iter().map(|column| (column.name.clone(), column.cql_type.clone())).collect()
}

fn execute(cluster: &mut Cluster, text: &str, values: &[BoundValue]) -> Answer {
    let id = prepare(cluster, text).id;
    let values = Values::Positional(values.to_vec());
    let body = RequestBody::Execute { statement: id, values };
    cluster.request(0, request(body)).result.unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn int(number: i32) -> BoundValue {
    BoundValue::Bytes(number.to_be_bytes().to_vec().into())
}

fn text(value: &str) -> BoundValue {
    BoundValue::Bytes(value.as_bytes().to_vec().into())
}

#[test]
fn markers_stand_for_elements_of_collections() {
    let mut cluster = cluster();
    let update = "UPDATE k.t SET l[?] = ?, m[?] = ? WHERE a = ?";
    let known = prepare(&mut cluster, update);
    let named = |names: &[(&str, CqlType)]| -> Vec<(String, CqlType)> {
        names.iter().map(|(name, cql_type)| ((*name).to_owned(), cql_type.clone())).collect()
    };
    let (whole, words) = (CqlType::Int, CqlType::Text);
    let wanted = [("idx(l)", &whole), ("value(l)", &whole), ("key(m)", &words), ("value(m)", &whole), ("a", &whole)];
    assert_eq!(markers(&known), named(&wanted.map(|(name, cql_type)| (name, cql_type.clone()))));
    assert_eq!(known.partition_key, [4]);
    let delete = "DELETE l[?], m[?], z[?] FROM k.t WHERE a = ?";
    let wanted = [("idx(l)", &whole), ("key(m)", &words), ("value(z)", &whole), ("a", &whole)];
    let known = prepare(&mut cluster, delete);
    assert_eq!(markers(&known), named(&wanted.map(|(name, cql_type)| (name, cql_type.clone()))));
    let select = "SELECT m[?], z[?] FROM k.t WHERE a = ?";
    let wanted = [("key(m)", &words), ("value(z)", &whole), ("a", &whole)];
    let known = prepare(&mut cluster, select);
    assert_eq!(markers(&known), named(&wanted.map(|(name, cql_type)| (name, cql_type.clone()))));

    cluster.run(0, "INSERT INTO k.t (a, l, m, z) VALUES (1, [10, 20, 30], {'x': 1, 'y': 2}, {5, 6})");
    execute(&mut cluster, update, &[int(1), int(21), text("y"), int(3), int(1)]);
    let whole_row = "SELECT l, m, z FROM k.t WHERE a = 1";
    let list = |numbers: &[i32]| Value::Sequence(numbers.iter().map(|number| Value::Int(*number)).collect());
    let rows = cluster.rows(0, whole_row, Consistency::Quorum);
    assert_eq!(rows[0][0], list(&[10, 21, 30]));
    let Answer::Rows(rows) = execute(&mut cluster, select, &[text("y"), int(5), int(1)]) else { panic!() };
    assert_eq!(support::decode(&rows), [[Value::Int(3), Value::Int(5)]]);
    execute(&mut cluster, delete, &[int(0), text("x"), int(6), int(1)]);
    let rows = cluster.rows(0, whole_row, Consistency::Quorum);
    assert_eq!(rows[0][0], list(&[21, 30]));
    assert_eq!(rows[0][1], Value::Map(vec![(Value::Text("y".to_owned()), Value::Int(3))]));
    assert_eq!(rows[0][2], Value::Sequence(vec![Value::Int(5)]));
}

#[test]
fn batches_that_spread_far_or_are_great_are_warned_of() {
    let mut cluster = cluster();
    let mut warnings = |kind: &str, rows: std::ops::Range<u32>, modulus: u32, length: usize| {
        let value = "x".repeat(length);
        let inserts = rows.map(|row| format!("INSERT INTO k.t (a, v) VALUES ({}, '{value}')", row % modulus));
        let inserts = inserts.collect::<Vec<_>>().join("; ");
        let text = format!("BEGIN {kind} BATCH {inserts}; APPLY BATCH");
        let response = cluster.request(0, request(RequestBody::Query { text, values: Values::default() }));
        response.result.unwrap();
        response.warnings
    };
    assert!(warnings("UNLOGGED", 0..10, 100, 1).is_empty());
    let spread = "Unlogged batch covering 11 partitions detected against table [k.t]. You should use a logged batch for atomicity, \
                  or asynchronous writes for performance.";
    assert_eq!(warnings("UNLOGGED", 0..11, 100, 1), [spread]);
    let great = warnings("UNLOGGED", 0..2, 100, 3000).join("");
    // How many bytes a mutation has is each server's own matter.
    let size = great.strip_prefix("Batch for [k.t] is of size ").and_then(|rest| rest.split(',').next()).unwrap();
    let size: usize = size.parse().unwrap();
    let rest = format!(", exceeding specified threshold of 5120 by {}.", size - 5120);
    assert!((6000..7000).contains(&size) && great.ends_with(&rest), "{great}");
    // What one partition is given is one mutation, however great.
    assert!(warnings("UNLOGGED", 0..2, 1, 3000).is_empty());
    assert!(warnings("", 0..2, 1, 3000).is_empty());
}
