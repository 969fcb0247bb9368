//! Pages of `GROUP BY`: their size counts groups, they end between groups, and together they are the whole answer.
//! `group_pages.txt` has what a real Cassandra 5.0.6 sends, page by page; either may send an empty last page.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use quorate_model::Consistency;
use quorate_model::admin::AdminRequest;
use quorate_model::request::{Answer, ClientRequest, QueryOptions, RequestBody};
use quorate_model::value::Value;
use support::Cluster;

const KEYSPACE: &str = "CREATE KEYSPACE k WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}";

fn shown(value: &Value) -> String {
    match value {
        Value::Text(text) => format!("'{text}'"),
        Value::Int(number) => number.to_string(),
        Value::BigInt(number) => number.to_string(),
        Value::Null => "null".to_owned(),
        other => format!("{other:?}"),
    }
}

/// The rows of a query as lines, with a line between pages; every page by another coordinator.
fn pages(cluster: &mut Cluster, text: &str, page_size: u32, consistency: Consistency) -> Vec<String> {
    let mut lines = Vec::new();
    let mut options = QueryOptions { consistency, page_size: Some(page_size), ..QueryOptions::default() };
    for page in 0.. {
        assert!(page < 10_000, "{text} has no end");
        let answer = cluster.query(page % cluster.members.len(), text, options.clone());
        let Ok(Answer::Rows(rows)) = answer else { panic!("{text}: {answer:?}") };
        assert!(rows.row_count <= page_size, "{text}: a page of {} rows", rows.row_count);
        for row in support::decode(&rows) {
            lines.push(format!("= {}", row.iter().map(shown).collect::<Vec<_>>().join(" | ")));
        }
        options.paging_state = rows.paging_state;
        if options.paging_state.is_none() {
            return lines;
        }
        lines.push("-- next page".to_owned());
    }
    lines
}

#[test]
fn pages_are_cassandras() {
    let mut cluster = Cluster::of(1);
    let content = include_str!("group_pages.txt");
    let mut cases: Vec<(&str, Vec<String>)> = Vec::new();
    for line in content.lines() {
        match (line.strip_prefix("> "), cases.last_mut()) {
            (Some(text), _) => cases.push((text, Vec::new())),
            (None, Some((_, answer))) if !line.starts_with("| ") => answer.push(line.to_owned()),
            _ => {}
        }
    }
    let mut count = 0;
    for (text, mut wanted) in cases {
        let Some((size, query)) = text.strip_prefix("/* ").and_then(|rest| rest.split_once(" rows a page */ ")) else {
            cluster.run(0, text);
            continue;
        };
        count += 1;
        let mut found = pages(&mut cluster, query, size.parse().unwrap(), Consistency::One);
        // With DISTINCT there are no pages in Cassandra.
        let is_distinct = query.contains("DISTINCT");
        for lines in [&mut wanted, &mut found] {
            lines.retain(|line| !is_distinct || line != "-- next page");
            lines.pop_if(|last| last == "-- next page");
        }
        assert_eq!(found, wanted, "{text}");
    }
    assert!(count >= 90, "only {count} cases were read");
}

#[test]
fn groups_longer_than_a_read_go_on_over_coordinators_and_pages() {
    let mut cluster = Cluster::of(3);
    cluster.run(0, &KEYSPACE.replace('1', "2"));
    cluster.run(0, "CREATE TABLE k.t (a int, b int, c int, v text, PRIMARY KEY (a, b, c))");
    let value = "x".repeat(20);
    for a in 0..2 {
        for b in 0..2 {
            for first in (0..600).step_by(20) {
                let insert = |c: i32| format!("INSERT INTO k.t (a, b, c, v) VALUES ({a}, {b}, {c}, '{value}')");
                let inserts: Vec<String> = (first..first + 20).map(insert).collect();
                cluster.run(0, &format!("BEGIN UNLOGGED BATCH {}; APPLY BATCH", inserts.join("; ")));
            }
            // The memtables are small.
            for index in 0..3 {
                let body = RequestBody::Admin(AdminRequest::Flush { keyspace: None, tables: Vec::new() });
                let request = ClientRequest { body, keyspace: None, options: QueryOptions::default() };
                cluster.request(index, request).result.unwrap();
            }
        }
    }
    let query = "SELECT a, b, count(*), max(c) FROM k.t GROUP BY a, b";
    let whole = pages(&mut cluster, query, 100, Consistency::Quorum);
    assert_eq!(whole.len(), 4);
    assert!(whole.iter().all(|row| row.ends_with(" | 600 | 599")), "{whole:?}");
    for size in [1, 2, 3] {
        let mut paged = pages(&mut cluster, query, size, Consistency::Quorum);
        let breaks = paged.iter().filter(|line| *line == "-- next page").count();
        assert_eq!(breaks as u32, 3 / size, "pages of {size}");
        paged.retain(|line| line != "-- next page");
        assert_eq!(paged, whole, "pages of {size}");
    }
}
