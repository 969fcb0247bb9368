//! A commit log that was damaged while its node was down: what is refused, what is rebuilt, and from whom.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use quorate_model::Consistency;
use quorate_model::request::{Answer, RequestError};
use quorate_model::value::Value;
use support::{Cluster, at, decode};

const ROWS: i32 = 50;

/// Three nodes; a table on all of them, and one whose rows have one replica each.
fn filled() -> Cluster {
    let mut cluster = Cluster::of(3);
    for (keyspace, factor) in [("ks", 3), ("lone", 1)] {
        let replication = format!("{{'class': 'SimpleStrategy', 'replication_factor': {factor}}}");
        cluster.run(0, &format!("CREATE KEYSPACE {keyspace} WITH replication = {replication}"));
        cluster.run(0, &format!("CREATE TABLE {keyspace}.t (p int PRIMARY KEY, v text)"));
        for p in 0..ROWS {
            cluster.run(0, &format!("INSERT INTO {keyspace}.t (p, v) VALUES ({p}, '{keyspace} row {p:03}')"));
        }
    }
    cluster
}

/// Flips a bit in the record of a row, in the commit log of a node that is down.
fn damage(cluster: &Cluster, index: usize, row: &str) {
    let disk = &cluster.members[index].disk;
    for (path, _) in disk.snapshot_paths().into_iter().filter(|(path, _)| path.starts_with("commit_log/")) {
        let content = disk.content(&path).unwrap();
        if let Some(offset) = content.windows(row.len()).position(|window| window == row.as_bytes()) {
            assert!(disk.flip_bit(&path, offset as u64, 2));
            return;
        }
    }
    panic!("node {index} has no '{row}' in its log");
}

fn start(cluster: &mut Cluster, index: usize) {
    cluster.start(index, 1);
    cluster.run_until("it serves again", |cluster| cluster.is_ready(index));
}

fn lost(cluster: &Cluster, index: usize) -> usize {
    cluster.members[index].node.as_ref().unwrap().shared.storage().lost_ranges().len()
}

fn lost_for_good(cluster: &Cluster) -> u64 {
    let metric = |index: usize| cluster.members[index].node.as_ref().unwrap().shared.metrics.lost_for_good_total.get();
    (0..3).map(metric).sum()
}

/// Every row of the table on all nodes, as it was written.
fn assert_whole(cluster: &mut Cluster, index: usize, level: Consistency) {
    let mut rows = cluster.rows(index, "SELECT p, v FROM ks.t", level);
    rows.sort_by_key(|row| format!("{:?}", row[1]));
    let expected = |p: i32| vec![Value::Int(p), Value::Text(format!("ks row {p:03}"))];
    assert_eq!(rows, (0..ROWS).map(expected).collect::<Vec<_>>(), "through node {index} at {level:?}");
}

#[test]
fn each_table_is_rebuilt_by_itself_and_what_nobody_else_has_stays_refused() {
    let mut cluster = filled();
    cluster.crash(1);
    damage(&cluster, 1, "ks row 025");
    start(&mut cluster, 1);
    assert_eq!(cluster.members[1].node.as_ref().unwrap().report.log_damaged.len(), 1);
    assert_whole(&mut cluster, 1, Consistency::Quorum);
    cluster.run_until("the one is rebuilt", |cluster| lost(cluster, 1) == 1);
    assert_whole(&mut cluster, 1, Consistency::All);
    // Rows that the node alone keeps are refused, also those that are still there: which are gone is not known.
    for round in 0..2 {
        let (mut served, mut refused) = (0, 0);
        for p in 0..ROWS {
            match cluster.query(0, &format!("SELECT v FROM lone.t WHERE p = {p}"), at(Consistency::One)) {
                Ok(Answer::Rows(rows)) => {
                    assert_eq!(decode(&rows), vec![vec![Value::Text(format!("lone row {p:03}"))]]);
                    served += 1;
                }
                Err(error @ RequestError::ReadFailure { .. }) => {
                    assert!(format!("{error:?}").contains("lost here until they are rebuilt"), "{error:?}");
                    refused += 1;
                }
                other => panic!("{other:?}"),
            }
        }
        assert!(served > 0 && refused > 0, "{served} served, {refused} refused");
        let whole = cluster.query(2, "SELECT p FROM lone.t", at(Consistency::One));
        assert!(matches!(whole, Err(RequestError::ReadFailure { .. })), "{whole:?}");
        if round == 0 {
            // The mark outlives the damage, which is not found again.
            cluster.crash(1);
            start(&mut cluster, 1);
            assert_eq!(cluster.members[1].node.as_ref().unwrap().report.log_damaged, Vec::<String>::new());
            assert_eq!(lost(&cluster, 1), 1);
        }
    }
    assert_eq!(lost_for_good(&cluster), 0);
    // A table that is made anew has lost nothing.
    cluster.run(0, "DROP TABLE lone.t");
    cluster.run(0, "CREATE TABLE lone.t (p int PRIMARY KEY, v text)");
    cluster.run(0, "INSERT INTO lone.t (p, v) VALUES (1, 'x')");
    assert_eq!(cluster.rows(0, "SELECT p FROM lone.t", Consistency::One).len(), 1);
    for index in [0, 2] {
        cluster.crash(index);
    }
    assert_whole(&mut cluster, 1, Consistency::One);
}

/// Replicas that have lost parts of the same table give each other what is left.
#[test]
fn nobody_waits_for_another_who_has_lost_something_too() {
    for damaged in [vec![1, 2], vec![0, 1, 2]] {
        let mut cluster = filled();
        damaged.iter().for_each(|index| cluster.crash(*index));
        for index in &damaged {
            damage(&cluster, *index, &format!("ks row {:03}", 10 + index));
        }
        damaged.iter().for_each(|index| cluster.start(*index, 1));
        cluster.run_until("all serve again", |cluster| (0..3).all(|index| cluster.is_ready(index)));
        cluster.run_until("all are rebuilt", |cluster| damaged.iter().all(|index| lost(cluster, *index) == 1));
        assert!(lost_for_good(&cluster) > 0, "two of three replicas had lost something");
        assert_whole(&mut cluster, 0, Consistency::All);
        for index in 0..3 {
            let others: Vec<usize> = (0..3).filter(|other| *other != index).collect();
            others.iter().for_each(|other| cluster.crash(*other));
            assert_whole(&mut cluster, index, Consistency::One);
            others.iter().for_each(|other| cluster.start(*other, 1));
            cluster.run_until("all serve again", |cluster| (0..3).all(|index| cluster.is_ready(index)));
        }
    }
}
