//! Whole nodes under the smallest driver: what one of them does, and what three of them agree on.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use quorate_model::Consistency;
use quorate_model::request::{Answer, BatchKind, BatchStatement, ClientRequest, RequestBody, RequestError, Values};
use quorate_model::value::Value;
use support::{Cluster, at};

fn create(cluster: &mut Cluster, factor: u32) {
    cluster.run(
        0,
        &format!("CREATE KEYSPACE ks WITH replication = {{'class': 'SimpleStrategy', 'replication_factor': {factor}}}"),
    );
    cluster.run(0, "CREATE TABLE ks.t (p int, c int, v text, s text static, PRIMARY KEY (p, c))");
}

#[test]
fn one_node_keeps_what_it_is_given() {
    let mut cluster = Cluster::of(1);
    create(&mut cluster, 1);
    for c in 0..10 {
        cluster.run(0, &format!("INSERT INTO ks.t (p, c, v) VALUES (1, {c}, 'v{c}')"));
    }
    let rows = cluster.rows(0, "SELECT c, v FROM ks.t WHERE p = 1 AND c >= 3 AND c < 5", Consistency::One);
    let expected = |c: i32| vec![Value::Int(c), Value::Text(format!("v{c}"))];
    assert_eq!(rows, vec![expected(3), expected(4)]);
    cluster.run(0, "DELETE FROM ks.t WHERE p = 1 AND c > 1");
    assert_eq!(cluster.rows(0, "SELECT COUNT(*) FROM ks.t", Consistency::One), vec![vec![Value::BigInt(2)]]);
    cluster.crash(0);
    cluster.start(0, 1);
    cluster.run_until("it serves again", |cluster| cluster.is_ready(0));
    assert_eq!(cluster.rows(0, "SELECT c FROM ks.t", Consistency::One).len(), 2);
}

#[test]
fn three_nodes_join_and_replicate() {
    let mut cluster = Cluster::of(3);
    create(&mut cluster, 3);
    for p in 0..20 {
        cluster.run(p % 3, &format!("INSERT INTO ks.t (p, c, v) VALUES ({p}, 0, 'x')"));
    }
    for index in 0..3 {
        assert_eq!(cluster.rows(index, "SELECT p FROM ks.t", Consistency::One).len(), 20, "node {index} alone");
        assert_eq!(cluster.rows(index, "SELECT p FROM ks.t", Consistency::All).len(), 20);
    }
    let members = cluster.rows(0, "SELECT peer FROM system.peers", Consistency::One);
    assert_eq!(members.len(), 2);
}

#[test]
fn a_node_that_was_away_gets_hints() {
    let mut cluster = Cluster::of(3);
    create(&mut cluster, 3);
    cluster.crash(2);
    for p in 0..10 {
        cluster.run(0, &format!("INSERT INTO ks.t (p, c, v) VALUES ({p}, 0, 'x')"));
    }
    let unavailable = cluster.query(0, "INSERT INTO ks.t (p, c) VALUES (1, 1)", at(Consistency::All));
    assert_eq!(
        unavailable.err(),
        Some(RequestError::Unavailable { consistency: Consistency::All, required: 3, alive: 2 })
    );
    cluster.start(2, 1);
    let away = cluster.members[2].id;
    cluster.run_until("hints are delivered", |cluster| {
        cluster.is_ready(2)
            && [0, 1].iter().all(|index| {
                let node = cluster.members[*index].node.as_ref().unwrap();
                node.shared.storage().hints.pending(away).count == 0
                    || node.shared.metrics.hints_delivered_total.get() >= 10
            })
            && (0..2)
                .map(|index| cluster.members[index].node.as_ref().unwrap().shared.metrics.hints_delivered_total.get())
                .sum::<u64>()
                >= 10
    });
    assert_eq!(cluster.rows(2, "SELECT p FROM ks.t", Consistency::One).len(), 10, "its own copy has everything");
}

#[test]
fn a_fourth_node_takes_its_share() {
    let mut cluster = Cluster::of(3);
    create(&mut cluster, 2);
    for p in 0..100 {
        cluster.run(0, &format!("INSERT INTO ks.t (p, c, v) VALUES ({p}, 0, 'x')"));
    }
    let index = cluster.add(1);
    cluster.run_until("it has joined", |cluster| cluster.is_ready(index));
    let node = cluster.members[index].node.as_ref().unwrap();
    assert!(node.shared.metrics.streamed_partitions_total.get() > 10, "it copied its ranges");
    for index in 0..4 {
        assert_eq!(cluster.rows(index, "SELECT p FROM ks.t", Consistency::One).len(), 100, "through node {index}");
    }
}

#[test]
fn pages_join_to_the_whole() {
    let mut cluster = Cluster::of(3);
    create(&mut cluster, 3);
    for p in 0..7 {
        for c in 0..9 {
            cluster.run(0, &format!("INSERT INTO ks.t (p, c, v) VALUES ({p}, {c}, 'x')"));
        }
    }
    pages_join(&mut cluster, "SELECT p, c FROM ks.t");
    // Rows that are tested are fed one by one: a page may be full with the last row of a partition.
    pages_join(&mut cluster, "SELECT p, c FROM ks.t WHERE v = 'x' ALLOW FILTERING");
}

fn pages_join(cluster: &mut Cluster, query: &str) {
    let whole = cluster.rows(1, query, Consistency::Quorum);
    assert_eq!(whole.len(), 63);
    for page_size in [1, 4, 9, 10, 62, 63, 64] {
        let mut joined = Vec::new();
        let mut options = at(Consistency::Quorum);
        options.page_size = Some(page_size);
        loop {
            let Ok(Answer::Rows(rows)) = cluster.query(1, query, options.clone()) else { panic!("no rows") };
            assert!(rows.row_count <= page_size);
            joined.extend(support::decode(&rows));
            options.paging_state = rows.paging_state;
            if options.paging_state.is_none() {
                break;
            }
        }
        assert_eq!(joined, whole, "{query}: pages of {page_size}");
    }
}

#[test]
fn lists_are_read_before_they_are_edited() {
    let mut cluster = Cluster::of(3);
    create(&mut cluster, 3);
    cluster.run(0, "CREATE TABLE ks.l (p int PRIMARY KEY, l list<int>)");
    cluster.run(0, "INSERT INTO ks.l (p, l) VALUES (1, [1, 2, 3])");
    for (node, text) in [(1, "UPDATE ks.l SET l[1] = 9 WHERE p = 1"), (2, "UPDATE ks.l SET l = l - [3] WHERE p = 1")] {
        cluster.query(node, text, at(Consistency::Quorum)).unwrap();
    }
    let list = |cluster: &mut Cluster| cluster.rows(0, "SELECT l FROM ks.l", Consistency::Quorum);
    let edited = list(&mut cluster);
    cluster.run(0, "INSERT INTO ks.l (p, l) VALUES (1, [1, 9])");
    assert_eq!(list(&mut cluster), edited);
    let beyond = cluster.query(1, "DELETE l[2] FROM ks.l WHERE p = 1", at(Consistency::Quorum)).unwrap_err();
    assert_eq!(beyond.to_string(), "List index 2 out of bound, list has size 2");
    let any = cluster.query(1, "UPDATE ks.l SET l[0] = 3 WHERE p = 1", at(Consistency::Any)).unwrap_err();
    assert!(any.to_string().contains("ANY is not supported on reads"), "{any}");
    let statements = ["UPDATE ks.l SET l[0] = 5 WHERE p = 1", "UPDATE ks.l SET l = l + [7] WHERE p = 1"];
    let statements = statements.map(|text| BatchStatement::Query(text.to_owned(), Values::default())).to_vec();
    let body = RequestBody::Batch { kind: BatchKind::Unlogged, statements };
    cluster.request(2, ClientRequest { body, keyspace: None, options: at(Consistency::Quorum) }).result.unwrap();
    let edited = list(&mut cluster);
    cluster.run(0, "INSERT INTO ks.l (p, l) VALUES (1, [5, 9, 7])");
    assert_eq!(list(&mut cluster), edited);
}

#[test]
fn truncated_and_dropped_tables_are_empty_everywhere() {
    let mut cluster = Cluster::of(3);
    create(&mut cluster, 3);
    cluster.run(0, "INSERT INTO ks.t (p, c, v) VALUES (1, 0, 'x')");
    cluster.run(1, "TRUNCATE ks.t");
    for index in 0..3 {
        assert!(cluster.rows(index, "SELECT p FROM ks.t", Consistency::One).is_empty());
    }
    cluster.run(2, "INSERT INTO ks.t (p, c, v) VALUES (2, 0, 'x')");
    assert_eq!(cluster.rows(0, "SELECT p FROM ks.t", Consistency::All).len(), 1);
    cluster.run(0, "DROP TABLE ks.t");
    let gone = cluster.query(2, "SELECT p FROM ks.t", at(Consistency::One));
    assert!(matches!(gone, Err(RequestError::Invalid { .. })), "{gone:?}");
    cluster.run(0, "CREATE TABLE ks.t (p int, c int, v text, s text static, PRIMARY KEY (p, c))");
    assert!(cluster.rows(1, "SELECT p FROM ks.t", Consistency::All).is_empty(), "a new table is another table");
}

#[test]
fn a_damaged_file_is_never_served_and_is_rebuilt_from_the_others() {
    let mut cluster = Cluster::of(3);
    create(&mut cluster, 3);
    for p in 0..50 {
        cluster.run(0, &format!("INSERT INTO ks.t (p, c, v) VALUES ({p}, 0, 'a value of some length')"));
    }
    let flush = quorate_model::admin::AdminRequest::Flush { keyspace: None, tables: Vec::new() };
    let body = quorate_model::request::RequestBody::Admin(flush);
    let request = quorate_model::request::ClientRequest { body, keyspace: None, options: at(Consistency::One) };
    cluster.request(1, request).result.unwrap();
    // Restarted, so that nothing of it is cached.
    cluster.crash(1);
    let rotten = cluster.members[1].disk.snapshot_paths().into_iter().find(|(path, _)| path.contains("sst"));
    let (path, _) = rotten.unwrap_or_else(|| panic!("no SSTable: {:?}", cluster.members[1].disk.snapshot_paths()));
    assert!(cluster.members[1].disk.flip_bit(&path, 100, 3));
    cluster.start(1, 1);
    cluster.run_until("it serves again", |cluster| cluster.is_ready(1));
    // Its own copy cannot answer; the level can still be met by the others.
    assert_eq!(cluster.rows(1, "SELECT p FROM ks.t", Consistency::Quorum).len(), 50);
    cluster.run_until("the lost range is rebuilt", |cluster| {
        let node = cluster.members[1].node.as_ref().unwrap();
        node.shared.metrics.rebuilds_total.get() > 0 && node.shared.storage().lost_ranges().is_empty()
    });
    assert_eq!(cluster.rows(1, "SELECT p FROM ks.t", Consistency::All).len(), 50);
    for index in [0, 2] {
        cluster.crash(index);
    }
    assert_eq!(cluster.rows(1, "SELECT p FROM ks.t", Consistency::One).len(), 50, "its own copy is whole again");
}
