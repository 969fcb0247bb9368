//! What clients see while ranges move from node to node.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use quorate_model::Consistency;
use quorate_model::request::{Answer, ClientRequest, RequestBody, Values};
use quorate_model::value::Value;
use support::{Cluster, at, decode};

const PARTITIONS: i32 = 40;

/// Reads that wait for the disk while their ranges go to another node: when the disk answers, the old owner's data is not
/// what is read any more.
#[test]
fn a_read_from_disk_that_ends_after_its_range_has_moved_is_read_again() {
    let mut cluster = Cluster::of(1);
    cluster.run(0, "CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}");
    cluster.run(0, "CREATE TABLE ks.t (p int PRIMARY KEY, v text)");
    for p in 0..PARTITIONS {
        cluster.run(0, &format!("INSERT INTO ks.t (p, v) VALUES ({p}, 'old')"));
    }
    let storage = cluster.members[0].node.as_ref().unwrap().shared.storage().clone();
    for job in storage.flush_all() {
        job.run_to_end().unwrap();
    }
    drop(storage);
    cluster.crash(0);
    cluster.start(0, 1);
    cluster.run_until("it serves again", |cluster| cluster.is_ready(0));

    cluster.holds_reads = true;
    let reads: Vec<_> = (0..PARTITIONS)
        .map(|p| {
            let text = format!("SELECT v FROM ks.t WHERE p = {p}");
            let mut options = at(Consistency::One);
            options.timeout_ms = Some(600_000);
            let body = RequestBody::Query { text, values: Values::default() };
            cluster.begin(0, ClientRequest { body, keyspace: None, options })
        })
        .collect();
    cluster.settle();
    assert!(cluster.held.len() > 20, "they wait for the disk");
    cluster.holds_reads = false;
    cluster.add(1);
    cluster.run_until("the newcomer has joined", |cluster| cluster.is_ready(1));
    for p in 0..PARTITIONS {
        cluster.run(1, &format!("INSERT INTO ks.t (p, v) VALUES ({p}, 'new')"));
    }
    cluster.release_reads();
    cluster.run_until("all are answered", |cluster| reads.iter().all(|read| cluster.is_answered(*read)));
    for read in reads {
        let Ok(Answer::Rows(rows)) = &cluster.replies[&read].result else { panic!("{:?}", cluster.replies[&read]) };
        assert_eq!(decode(rows), vec![vec![Value::Text("new".to_owned())]]);
    }
}
