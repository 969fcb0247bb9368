//! Reads that a node answers where they arrive, from its own replica alone, beside the same reads by machines: pages, their
//! ends and their states are the same bytes. (A traced read goes by machines.)

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use bytes::Bytes;
use quorate_env::Random;
use quorate_model::request::{Answer, QueryOptions, Rows};
use quorate_model::{Consistency, Seconds};
use support::{Cluster, at};

const NOW: i64 = 1_700_000_000;

fn change(random: &mut Random) -> String {
    let (k, a, b) = (random.below(3), random.below(12), random.below(3));
    let value = "v".repeat(random.below(60) as usize);
    let stamp = random.between(1, 50);
    let ttl = if random.chance(1, 3) { format!(" AND TTL {}", random.between(5, 30)) } else { String::new() };
    let using = format!("USING TIMESTAMP {stamp}");
    match random.below(14) {
        0 => format!("DELETE FROM ks.t {using} WHERE k = {k}"),
        1 => format!("DELETE FROM ks.t {using} WHERE k = {k} AND a > {a} AND a < {}", a + random.below(6)),
        2 => format!("DELETE FROM ks.t {using} WHERE k = {k} AND a = {a}"),
        3 => format!("DELETE v, m FROM ks.t {using} WHERE k = {k} AND a = {a} AND b = 'b{b}'"),
        4 => format!("UPDATE ks.t {using}{ttl} SET s = '{value}' WHERE k = {k}"),
        5 => {
            format!("UPDATE ks.t {using}{ttl} SET m[{b}] = '{value}', w = {a} WHERE k = {k} AND a = {a} AND b = 'b{b}'")
        }
        6 => format!("UPDATE ks.t {using}{ttl} SET m = {{{b}: 'x'}} WHERE k = {k} AND a = {a} AND b = 'b{b}'"),
        7 => format!("INSERT INTO ks.t (k, a, b) VALUES ({k}, {a}, 'b{b}') {using}{ttl}"),
        _ => format!("INSERT INTO ks.t (k, a, b, v, w) VALUES ({k}, {a}, 'b{b}', '{value}', {stamp}) {using}{ttl}"),
    }
}

fn select(random: &mut Random) -> String {
    let columns =
        ["*", "v", "a, v", "b, k, a", "s, w, v, w", "m, s", "count(*)", "writetime(v), ttl(v)", "k, token(k)", "a + w"];
    let columns = columns[random.below(columns.len() as u64) as usize];
    let (k, a) = (random.below(3), random.below(12));
    let rows = [
        String::new(),
        format!(" AND a = {a}"),
        format!(" AND a >= {a}"),
        format!(" AND a < {a}"),
        format!(" AND a IN ({a}, {})", a + 2),
        format!(" AND a = {a} AND b > 'b0'"),
    ];
    let rows = &rows[random.below(rows.len() as u64) as usize];
    let order = if random.chance(1, 3) { " ORDER BY a ASC" } else { "" };
    let per_partition = if random.chance(1, 5) { " PER PARTITION LIMIT 3" } else { "" };
    let per_partition = if columns.starts_with("count") { "" } else { per_partition };
    let limit = if random.chance(1, 3) { format!(" LIMIT {}", random.between(1, 9)) } else { String::new() };
    let filter = if random.chance(1, 6) { " AND w > 20" } else { "" };
    let allow = if filter.is_empty() { "" } else { " ALLOW FILTERING" };
    format!("SELECT {columns} FROM ks.t WHERE k = {k}{rows}{filter}{order}{per_partition}{limit}{allow}")
}

fn page(cluster: &mut Cluster, text: &str, options: QueryOptions) -> Rows {
    match cluster.query(0, text, options) {
        Ok(Answer::Rows(rows)) => rows,
        other => panic!("{text}: {other:?}"),
    }
}

/// A page: how many rows, which, and how to go on.
type Page = (u32, Bytes, Option<Bytes>);

fn pages(cluster: &mut Cluster, text: &str, options: &QueryOptions) -> Vec<Page> {
    let mut pages: Vec<Page> = Vec::new();
    loop {
        assert!(pages.len() < 1000, "{text}: paging does not end");
        let paging_state = pages.last().and_then(|(_, _, state)| state.clone());
        let rows = page(cluster, text, QueryOptions { paging_state, ..options.clone() });
        let is_last = rows.paging_state.is_none();
        pages.push((rows.row_count, rows.data, rows.paging_state));
        if is_last {
            return pages;
        }
    }
}

/// Every page of the query, read alone and by machines. Where rows are filtered, a machine may give a last page of none: it
/// does not know that all rows behind its last one are dead.
fn compare(cluster: &mut Cluster, text: &str, page_size: Option<u32>, now: Seconds) {
    let options = |tracing| QueryOptions { page_size, now: Some(now), tracing, ..at(Consistency::One) };
    let mut alone = pages(cluster, text, &options(false));
    let mut by_machine = pages(cluster, text, &options(true));
    if text.contains("FILTERING") {
        for pages in [&mut alone, &mut by_machine] {
            pages.retain(|(rows, ..)| *rows > 0);
            pages.iter_mut().for_each(|(_, _, state)| *state = None);
        }
    }
    assert_eq!(alone, by_machine, "{text}, pages of {page_size:?} rows");
}

#[test]
fn a_replica_that_is_asked_alone_says_what_machines_say() {
    let mut cluster = Cluster::of(1);
    cluster.run(0, "CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}");
    cluster.run(
        0,
        "CREATE TABLE ks.t (k int, a int, b text, s text static, v text, w int, m map<int, text>, PRIMARY KEY (k, a, b)) \
         WITH CLUSTERING ORDER BY (a DESC, b ASC)",
    );
    for seed in 0..6 {
        let mut random = Random::new(seed);
        for step in 0..120 {
            let text = change(&mut random);
            cluster.run(0, &text);
            if random.chance(1, 60) {
                let storage = cluster.members[0].node.as_ref().unwrap().shared.storage().clone();
                for job in storage.flush_all() {
                    job.run_to_end().unwrap();
                }
            }
            if step % 3 == 0 {
                let text = select(&mut random);
                let page_size = [None, Some(1), Some(2), Some(5)][random.below(4) as usize];
                let page_size = if text.contains("count") { None } else { page_size };
                compare(&mut cluster, &text, page_size, Seconds(NOW + random.between(0, 60) as i64));
            }
        }
        cluster.run(0, "TRUNCATE ks.t");
    }
}
