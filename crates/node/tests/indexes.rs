//! Secondary indexes on whole nodes: what one keeps through crashes, and what three give at QUORUM though none of them
//! has everything.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::collections::BTreeMap;

use bytes::Bytes;
use quorate_env::Random;
use quorate_model::request::{Answer, RequestError, SchemaChangeKind};
use quorate_model::value::Value;
use quorate_model::*;
use support::{Cluster, at, decode};

fn create(cluster: &mut Cluster, factor: u32) {
    cluster.run(
        0,
        &format!("CREATE KEYSPACE ks WITH replication = {{'class': 'SimpleStrategy', 'replication_factor': {factor}}}"),
    );
    cluster.run(0, "CREATE TABLE ks.t (p int, c int, v int, w int, s int static, z set<int>, PRIMARY KEY (p, c))");
}

fn pairs(rows: Vec<Vec<Value>>) -> Vec<(i32, i32)> {
    let number = |value: &Value| if let Value::Int(number) = value { *number } else { panic!("{value:?}") };
    let mut pairs: Vec<(i32, i32)> = rows.iter().map(|row| (number(&row[0]), number(&row[1]))).collect();
    pairs.sort_unstable();
    pairs
}

fn flush(cluster: &Cluster, member: usize) {
    let node = cluster.members[member].node.as_ref().unwrap();
    for job in node.shared.storage().flush_all() {
        job.run_to_end().unwrap();
    }
}

/// All pages of a query.
fn paged(cluster: &mut Cluster, index: usize, text: &str, page_size: u32) -> Vec<Vec<Value>> {
    let mut rows = Vec::new();
    let mut options = at(Consistency::Quorum);
    options.page_size = Some(page_size);
    for _ in 0..10_000 {
        let Ok(Answer::Rows(page)) = cluster.query(index, text, options.clone()) else { panic!("no rows: {text}") };
        rows.extend(decode(&page));
        options.paging_state = page.paging_state;
        if options.paging_state.is_none() {
            return rows;
        }
    }
    panic!("paging does not end");
}

fn is_built(cluster: &Cluster, member: usize, name: &str) -> bool {
    let Some(node) = &cluster.members[member].node else { return false };
    let snapshot = node.shared.snapshot();
    let Some(table) = snapshot.metadata.schema.table("ks", "t") else { return false };
    let index = table.indexes.iter().find(|index| index.name == name);
    index.is_some_and(|index| node.shared.storage().index_is_built(table.id, index.id))
}

#[test]
fn one_node_finds_rows_by_value() {
    let mut cluster = Cluster::of(1);
    create(&mut cluster, 1);
    let made = cluster.run(0, "CREATE INDEX ON ks.t (v)");
    let Answer::SchemaChange(change) = made else { panic!("{made:?}") };
    assert_eq!((change.kind, change.table.as_deref()), (SchemaChangeKind::Updated, Some("t")));
    for c in 0..30 {
        cluster.run(0, &format!("INSERT INTO ks.t (p, c, v) VALUES ({}, {c}, {})", c % 3, c % 5));
    }
    let find = |cluster: &mut Cluster, v: i32| {
        pairs(cluster.rows(0, &format!("SELECT p, c FROM ks.t WHERE v = {v}"), Consistency::One))
    };
    assert_eq!(find(&mut cluster, 2), vec![(0, 12), (0, 27), (1, 7), (1, 22), (2, 2), (2, 17)]);
    cluster.run(0, "UPDATE ks.t SET v = 7 WHERE p = 0 AND c = 12");
    cluster.run(0, "DELETE FROM ks.t WHERE p = 1 AND c > 10");
    cluster.run(0, "DELETE v FROM ks.t WHERE p = 2 AND c = 2");
    assert_eq!(find(&mut cluster, 2), vec![(0, 27), (1, 7), (2, 17)]);
    assert_eq!(find(&mut cluster, 7), vec![(0, 12)]);
    cluster.crash(0);
    cluster.start(0, 1);
    cluster.run_until("it serves again", |cluster| cluster.is_ready(0));
    assert_eq!(find(&mut cluster, 2), vec![(0, 27), (1, 7), (2, 17)], "the log was read again");
    let both = cluster.rows(0, "SELECT p, c FROM ks.t WHERE v = 2 AND p = 1", Consistency::One);
    assert_eq!(pairs(both), vec![(1, 7)]);
    cluster.run(0, "TRUNCATE ks.t");
    assert_eq!(find(&mut cluster, 2), vec![]);
    cluster.run(0, "DROP INDEX ks.t_v_idx");
    let refused = cluster.query(0, "SELECT p, c FROM ks.t WHERE v = 2", at(Consistency::One));
    assert!(matches!(refused, Err(RequestError::Invalid { .. })), "{refused:?}");
}

/// What was there before the index is in it once it is built, though the node crashed in the midst; until then it is not
/// used.
#[test]
fn an_index_is_built_over_what_is_there_through_a_crash() {
    let mut cluster = Cluster::of(1);
    create(&mut cluster, 1);
    for p in 0..3000 {
        cluster.run(0, &format!("INSERT INTO ks.t (p, c, v, w) VALUES ({p}, 0, {}, 1)", p % 4));
        if p % 100 == 0 {
            flush(&cluster, 0);
        }
    }
    let made = cluster.begin(
        0,
        quorate_model::request::ClientRequest {
            body: quorate_model::request::RequestBody::Query {
                text: "CREATE INDEX made ON ks.t (v)".to_owned(),
                values: quorate_model::request::Values::default(),
            },
            keyspace: None,
            options: at(Consistency::Quorum),
        },
    );
    let known = |cluster: &Cluster| {
        let node = cluster.members[0].node.as_ref().unwrap();
        node.shared.snapshot().metadata.schema.table("ks", "t").is_some_and(|table| !table.indexes.is_empty())
    };
    cluster.step_until("the index is decided", known);
    assert!(!is_built(&cluster, 0, "made") && !cluster.is_answered(made));
    cluster.crash(0);
    cluster.start(0, 1);
    assert!(!is_built(&cluster, 0, "made"));
    cluster.run_until("it serves again", |cluster| cluster.is_ready(0));
    cluster.run(0, "UPDATE ks.t SET v = 9 WHERE p = 1 AND c = 0");
    cluster.run_until("the index is built", |cluster| is_built(cluster, 0, "made"));
    let expected = |v: i32| (0..3000).filter(|p| p % 4 == v && *p != 1).map(|p| (p, 0)).collect::<Vec<_>>();
    for v in 0..4 {
        let text = format!("SELECT p, c FROM ks.t WHERE v = {v}");
        assert_eq!(pairs(cluster.rows(0, &text, Consistency::One)), expected(v));
        assert_eq!(pairs(paged(&mut cluster, 0, &text, 7)), expected(v));
    }
    assert_eq!(pairs(cluster.rows(0, "SELECT p, c FROM ks.t WHERE v = 9", Consistency::One)), vec![(1, 0)]);
}

/// The model of what quorums have acknowledged.
#[derive(Default)]
struct Truth(BTreeMap<i32, Partition>);

impl Truth {
    fn rows(&self, has: impl Fn(&Partition, &Row) -> bool, now: Seconds) -> Vec<(i32, i32)> {
        let mut rows = Vec::new();
        for (p, partition) in &self.0 {
            for (key, row) in partition.rows.iter().filter(|(_, row)| row.is_live(now)) {
                if has(partition, row) {
                    let types = [(CqlType::Int, false)];
                    let c = ordered::clustering_components(&types, key).unwrap()[0].clone().unwrap();
                    rows.push((*p, i32::from_be_bytes(c.as_ref().try_into().unwrap())));
                }
            }
        }
        rows.sort_unstable();
        rows
    }
}

fn int(value: u64) -> Bytes {
    Bytes::copy_from_slice(&(value as i32).to_be_bytes())
}

/// Every write is on two of three replicas, which two differs: a read at QUORUM gives what the merge of all has, never a
/// row that one replica alone takes for a match, and never misses one that only one replica has.
#[test]
fn a_quorum_gives_neither_stale_rows_nor_misses_any() {
    for seed in 0..6 {
        quorum_history(seed);
    }
}

/// The columns' numbers.
struct Columns {
    v: ColumnId,
    w: ColumnId,
    s: ColumnId,
    z: ColumnId,
}

fn random_update(random: &mut Random, columns: &Columns, stamp: Timestamp, now: Seconds) -> Partition {
    let mut update = Partition::default();
    let deletion = Deletion { timestamp: stamp, deleted_at: now };
    let key = ordered::clustering_key(&[(CqlType::Int, false)], &[int(random.below(5))]).unwrap();
    let cell = |value: Bytes| ColumnData::Simple(Cell::live(stamp, value));
    match random.below(10) {
        0 => update.deletion = Some(deletion),
        1 => {
            update.rows.insert(key, Row { deletion: Some(deletion), ..Row::default() });
        }
        2 | 3 => update.static_row.set(columns.s, cell(int(random.below(3)))),
        _ => {
            let liveness = Some(Liveness { timestamp: stamp, expiry: None });
            let mut row = Row { liveness, ..Row::default() };
            row.set(columns.v, cell(int(random.below(3))));
            if random.chance(1, 2) {
                row.set(columns.w, cell(int(random.below(6))));
            }
            if random.chance(1, 2) {
                let path = ordered::cell_path(&CqlType::Int, &int(random.below(3))).unwrap();
                let content = match random.chance(1, 3) {
                    true => CellContent::Tombstone { deleted_at: now },
                    false => CellContent::Live(Bytes::new()),
                };
                let cells = BTreeMap::from([(path, Cell { timestamp: stamp, content })]);
                row.set(columns.z, ColumnData::Complex { deletion: None, cells });
            }
            update.rows.insert(key, row);
        }
    }
    update.canonicalize();
    update
}

/// A restriction with the rows that it must find.
fn question(random: &mut Random, truth: &Truth, columns: &Columns, p: i32, now: Seconds) -> (String, Vec<(i32, i32)>) {
    let wanted = random.below(4);
    let simple = |row: &Row, column: ColumnId, test: &dyn Fn(i32) -> bool| {
        let cell = row.cell(column).and_then(|cell| cell.value_at(now));
        cell.is_some_and(|value| test(i32::from_be_bytes(value.as_ref().try_into().unwrap())))
    };
    let same = |value: i32| value == wanted as i32;
    let greater = |value: i32| value > wanted as i32;
    match random.below(5) {
        0 => (format!("v = {wanted}"), truth.rows(|_, row| simple(row, columns.v, &same), now)),
        1 => (format!("s = {wanted}"), truth.rows(|of, _| simple(&of.static_row, columns.s, &same), now)),
        2 => {
            let path = ordered::cell_path(&CqlType::Int, &int(wanted)).unwrap();
            let has = |row: &Row| match row.column(columns.z) {
                Some(ColumnData::Complex { cells, .. }) => {
                    cells.get(&path).is_some_and(|cell| cell.value_at(now).is_some())
                }
                _ => false,
            };
            (format!("z CONTAINS {wanted}"), truth.rows(|_, row| has(row), now))
        }
        3 => (format!("w > {wanted}"), truth.rows(|_, row| simple(row, columns.w, &greater), now)),
        _ => {
            let rows = truth.rows(|_, row| simple(row, columns.v, &same), now);
            (format!("v = {wanted} AND p = {p}"), rows.into_iter().filter(|(of, _)| *of == p).collect())
        }
    }
}

fn quorum_history(seed: u64) {
    let mut random = Random::new(seed);
    let mut cluster = Cluster::of(3);
    create(&mut cluster, 3);
    for index in ["ks.t (v)", "ks.t (s)", "ks.t (z)", "ks.t (w) USING 'sai'"] {
        cluster.run(0, &format!("CREATE INDEX ON {index}"));
    }
    let snapshot = cluster.members[0].node.as_ref().unwrap().shared.snapshot();
    let table = snapshot.metadata.schema.table("ks", "t").unwrap();
    let id = |name: &str| table.column(name).unwrap().id;
    let columns = Columns { v: id("v"), w: id("w"), s: id("s"), z: id("z") };
    let mut truth = Truth::default();
    let mut timestamp = cluster.now.wall.0 - 1_000_000_000;
    for step in 0..150 {
        let p = random.below(6);
        timestamp += 1;
        let now = Seconds::from_micros(cluster.now.wall.0);
        let stamp = Timestamp(timestamp - random.below(20) as i64);
        let update = random_update(&mut random, &columns, stamp, now);
        truth.0.entry(p as i32).or_default().merge(&update);
        let key = PartitionKey(int(p));
        let key = DecoratedKey { token: quorate_ring::partitioner::token(&key.0), key };
        let without = random.below(3) as usize;
        for member in (0..3).filter(|member| *member != without) {
            let node = cluster.members[member].node.as_ref().unwrap();
            let mutation = Mutation { table: table.id, key: key.clone(), update: update.clone() };
            node.shared.storage().write(mutation).unwrap();
            if random.chance(1, 40) {
                flush(&cluster, member);
            }
        }
        if step % 3 > 0 {
            continue;
        }
        let (restriction, expected) = question(&mut random, &truth, &columns, p as i32, now);
        let text = format!("SELECT p, c FROM ks.t WHERE {restriction}");
        let coordinator = random.below(3) as usize;
        let found = match random.below(3) {
            0 => cluster.rows(coordinator, &text, Consistency::Quorum),
            _ => paged(&mut cluster, coordinator, &text, random.between(1, 5) as u32),
        };
        // A partition whose static column matches shows without rows too.
        let found = pairs(found.into_iter().filter(|row| row[1] != Value::Null).collect());
        assert_eq!(found, expected, "seed {seed}, step {step}: {text}");
    }
}
