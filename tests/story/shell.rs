//! Step 2: the shell, with every kind of statement, against a cluster of three.

use std::net::Ipv4Addr;

use crate::support::program::{csv_rows, quorate_in, shell_with};
use crate::support::{Ran, TestCluster, shell};

#[tokio::test]
async fn the_shell_does_what_the_story_says() {
    let cluster = TestCluster::start(3).await;
    let ip = cluster.nodes[0].ip;
    schema(ip).await;
    rows(ip).await;
    deletions_and_batches(ip).await;
    expiry_and_timestamps(ip).await;
    formats_tracing_and_scripts(&cluster).await;
    errors(ip).await;
    copies(&cluster).await;
    truncated_and_dropped(&cluster).await;
}

async fn schema(ip: Ipv4Addr) {
    shell(
        ip,
        "CREATE KEYSPACE app WITH replication = {'class': 'NetworkTopologyStrategy', 'dc1': 3} AND durable_writes = true;
         USE app;
         CREATE TABLE readings (
             place text, day date, at timestamp, kind text, value double, tags set<text>, parts map<text, int>,
             steps list<int>, pair tuple<int, text>, count varint, price decimal, who uuid, host inet, raw blob, good boolean,
             owner text static,
             PRIMARY KEY ((place, day), at, kind))
         WITH CLUSTERING ORDER BY (at DESC, kind ASC) AND comment = 'what was measured' AND gc_grace_seconds = 3600
           AND compaction = {'class': 'SizeTieredCompactionStrategy', 'min_threshold': '4'};
         ALTER TABLE readings ADD note text;
         ALTER TABLE readings WITH comment = 'what was measured, and when';
         ALTER KEYSPACE app WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 3};
         CREATE TABLE plain (k int PRIMARY KEY, v text);",
    )
    .await
    .ok();
    let described = shell(ip, "DESCRIBE TABLE app.readings;").await.ok();
    for part in [
        "CREATE TABLE app.readings",
        "PRIMARY KEY ((place, day), at, kind)",
        "CLUSTERING ORDER BY (at DESC, kind ASC)",
        "comment = 'what was measured, and when'",
        "gc_grace_seconds = 3600",
        "'min_threshold': '4'",
        "tags set<text>",
        "owner text static",
        "note text",
    ] {
        assert!(described.contains(part), "no '{part}' in:\n{described}");
    }
    let keyspaces = shell(ip, "DESCRIBE KEYSPACES; USE app; DESCRIBE TABLES; DESCRIBE KEYSPACE app;").await.ok();
    assert!(keyspaces.contains("app") && keyspaces.contains("readings") && keyspaces.contains("SimpleStrategy"));
    let columns = csv_rows(
        ip,
        "SELECT column_name, kind FROM system_schema.columns WHERE keyspace_name = 'app' AND table_name = 'plain';",
    )
    .await;
    assert_eq!(columns, ["k,partition_key", "v,regular"]);
    let tables = csv_rows(ip, "SELECT table_name FROM system_schema.tables WHERE keyspace_name = 'app';").await;
    assert_eq!(tables, ["plain", "readings"]);
}

async fn rows(ip: Ipv4Addr) {
    let mut script = String::from("CONSISTENCY QUORUM; USE app;\n");
    for hour in 0..24 {
        script.push_str(&format!(
            "INSERT INTO readings (place, day, at, kind, value, tags, steps) VALUES \
             ('JFK', '2013-02-08', '2013-02-08T{hour:02}:00:00Z', 'temp', {hour}.5, {{'a', 'b'}}, [{hour}, 2]);\n"
        ));
    }
    script.push_str(
        "INSERT INTO readings (place, day, at, kind, parts, pair, count, price, who, host, raw, good, owner) VALUES
            ('JFK', '2013-02-09', '2013-02-09T00:00:00Z', 'all', {'x': 1}, (7, 'seven'), 123456789012345678901234567890,
             12.50, 123e4567-e89b-12d3-a456-426614174000, '10.1.2.3', 0xCAFE, true, 'somebody');
         UPDATE readings SET note = 'changed', tags = tags + {'c'} WHERE place = 'JFK' AND day = '2013-02-08'
            AND at = '2013-02-08T03:00:00Z' AND kind = 'temp';",
    );
    shell(ip, &script).await.ok();
    let day = "FROM app.readings WHERE place = 'JFK' AND day = '2013-02-08'";
    let values = async |rest: &str| csv_rows(ip, &format!("CONSISTENCY QUORUM; SELECT value {rest};")).await;
    let numbers = |all: &[String]| all.iter().filter(|line| line.ends_with(".5")).cloned().collect::<Vec<_>>();
    assert_eq!(numbers(&values(&format!("{day} LIMIT 3")).await), ["23.5", "22.5", "21.5"], "newest first");
    assert_eq!(numbers(&values(&format!("{day} ORDER BY at ASC LIMIT 2")).await), ["0.5", "1.5"]);
    let range = format!("{day} AND at >= '2013-02-08T05:00:00Z' AND at < '2013-02-08T08:00:00Z'");
    assert_eq!(numbers(&values(&range).await), ["7.5", "6.5", "5.5"]);
    let exact = format!("{day} AND at = '2013-02-08T03:00:00Z' AND kind = 'temp'");
    assert_eq!(numbers(&values(&exact).await), ["3.5"]);
    let changed = csv_rows(ip, &format!("SELECT note, tags {exact};")).await;
    assert_eq!(changed, ["changed,\"{'a', 'b', 'c'}\""]);
    let other = csv_rows(
        ip,
        "SELECT parts, pair, count, price, who, host, raw, good, owner FROM app.readings WHERE place = 'JFK'
         AND day = '2013-02-09';",
    )
    .await;
    assert_eq!(
        other,
        ["{'x': 1},\"(7, 'seven')\",123456789012345678901234567890,12.50,\
          123e4567-e89b-12d3-a456-426614174000,10.1.2.3,0xcafe,True,somebody"]
    );
    let counted = csv_rows(ip, "SELECT COUNT(*) FROM app.readings;").await;
    assert_eq!(counted, ["25"]);
    let aggregates = csv_rows(ip, &format!("SELECT MIN(value), MAX(value), COUNT(note) {day};")).await;
    assert_eq!(aggregates, ["0.5,23.5,1"]);
    let paged = csv_rows(ip, "PAGING 7; SELECT kind FROM app.readings;").await;
    assert_eq!(paged.iter().filter(|line| *line == "temp").count(), 24, "over several pages: {paged:?}");
}

async fn deletions_and_batches(ip: Ipv4Addr) {
    let plain = async || {
        let mut rows = csv_rows(ip, "CONSISTENCY QUORUM; SELECT k, v FROM app.plain;").await;
        rows.retain(|line| line.contains(','));
        rows.sort();
        rows
    };
    shell(
        ip,
        "CONSISTENCY QUORUM; USE app;
         BEGIN UNLOGGED BATCH INSERT INTO plain (k, v) VALUES (1, 'one'); INSERT INTO plain (k, v) VALUES (2, 'two');
         APPLY BATCH;
         BEGIN BATCH INSERT INTO plain (k, v) VALUES (3, 'a'); UPDATE plain SET v = 'three' WHERE k = 3; APPLY BATCH;
         BEGIN BATCH APPLY BATCH;
         DELETE v FROM plain WHERE k = 1;
         DELETE FROM plain WHERE k = 2;
         DELETE FROM readings WHERE place = 'JFK' AND day = '2013-02-08' AND at >= '2013-02-08T12:00:00Z';
         DELETE FROM readings WHERE place = 'JFK' AND day = '2013-02-08' AND at = '2013-02-08T00:00:00Z' AND kind = 'temp';
         DELETE FROM readings WHERE place = 'JFK' AND day = '2013-02-09';",
    )
    .await
    .ok();
    assert_eq!(plain().await, ["1,", "3,three"]);
    assert_eq!(csv_rows(ip, "SELECT COUNT(*) FROM app.readings;").await, ["11"]);
    let refused = shell(
        ip,
        "BEGIN BATCH INSERT INTO app.plain (k, v) VALUES (8, 'x'); INSERT INTO app.plain (k, v) VALUES (9, 'x'); APPLY BATCH;",
    )
    .await
    .failed();
    assert!(refused.to_lowercase().contains("batch"), "{refused}");
    assert_eq!(plain().await, ["1,", "3,three"], "nothing of a refused batch is there");
}

async fn expiry_and_timestamps(ip: Ipv4Addr) {
    shell(
        ip,
        "CONSISTENCY QUORUM; USE app;
         INSERT INTO plain (k, v) VALUES (10, 'newer') USING TIMESTAMP 2000;
         INSERT INTO plain (k, v) VALUES (10, 'older') USING TIMESTAMP 1000;
         INSERT INTO plain (k, v) VALUES (11, 'short') USING TTL 1;
         INSERT INTO plain (k, v) VALUES (12, 'long') USING TTL 1000;",
    )
    .await
    .ok();
    let timed = csv_rows(ip, "SELECT v, WRITETIME(v) FROM app.plain WHERE k = 10;").await;
    assert_eq!(timed, ["newer,2000"]);
    let left = csv_rows(ip, "SELECT TTL(v) FROM app.plain WHERE k = 12;").await;
    assert!((900..=1000).contains(&left[0].parse::<i32>().unwrap()), "{left:?}");
    crate::support::eventually(std::time::Duration::from_secs(5), "the row expires", async || {
        let rows = csv_rows(ip, "SELECT v FROM app.plain WHERE k = 11;").await;
        if rows.is_empty() { Ok(()) } else { Err(format!("{rows:?}")) }
    })
    .await;
}

async fn formats_tracing_and_scripts(cluster: &TestCluster) {
    let ip = cluster.nodes[1].ip;
    let table = shell(ip, "SELECT k, v FROM app.plain WHERE k = 3;").await.ok();
    assert!(table.contains(" k | v") && table.contains("three") && table.contains("(1 rows)"), "{table}");
    let json = shell_with(ip, "SELECT k, v FROM app.plain WHERE k = 3;", &["--format", "json"]).await.ok();
    assert!(json.contains("\"three\"") && json.contains("\"k\""), "{json}");
    let expanded = shell(ip, "EXPAND ON; SELECT k, v FROM app.plain WHERE k = 3;").await.ok();
    assert!(expanded.contains("@ Row 1"), "{expanded}");
    let traced = shell(ip, "CONSISTENCY ALL; TRACING ON; SELECT v FROM app.plain WHERE k = 3;").await.ok();
    assert!(traced.contains("Tracing session:"), "{traced}");
    for node in &cluster.nodes {
        assert!(traced.contains(&node.ip.to_string()), "the trace says what {} did:\n{traced}", node.ip);
    }
    let inner = cluster.folder().join("inner.cql");
    let outer = cluster.folder().join("outer.cql");
    std::fs::write(&inner, "INSERT INTO app.plain (k, v) VALUES (20, 'sourced');").unwrap();
    std::fs::write(
        &outer,
        format!("-- a comment\nSOURCE '{}';\nSELECT v FROM app.plain WHERE k = 20;", inner.display()),
    )
    .unwrap();
    let (ip, outer) = (ip.to_string(), outer.display().to_string());
    let ran = crate::support::quorate(&["shell", &ip, "-f", &outer]).await.ok();
    assert!(ran.contains("sourced"), "{ran}");
    let version = shell(cluster.nodes[1].ip, "SHOW VERSION; SHOW HOST; HELP;").await.ok();
    assert!(version.to_lowercase().contains("quorate"), "{version}");
}

async fn errors(ip: Ipv4Addr) {
    let said = shell(ip, "SELECT v FORM app.plain;").await.failed();
    assert!(said.contains("SyntaxException") && said.contains('^'), "it points at the place: {said}");
    let said = shell(ip, "SELECT nothing FROM app.plain;").await.failed();
    assert!(said.contains("nothing") && said.contains('^'), "{said}");
    let said = shell(ip, "SELECT * FROM app.nowhere;").await.failed();
    assert!(said.contains("nowhere"), "{said}");
    let said = shell(ip, "CREATE TABLE app.plain (k int PRIMARY KEY);").await.failed();
    assert!(said.contains("AlreadyExists"), "{said}");
    let said = shell(ip, "SELECT * FROM app.readings WHERE value > 3;").await.failed();
    assert!(said.contains("ALLOW FILTERING"), "{said}");
    let stopped = shell(ip, "SELECT broken; INSERT INTO app.plain (k, v) VALUES (30, 'x');").await.failed();
    assert!(!stopped.is_empty());
    assert!(
        csv_rows(ip, "SELECT v FROM app.plain WHERE k = 30;").await.is_empty(),
        "a script stops at its first failure"
    );
    let nobody = shell(Ipv4Addr::new(127, 255, 255, 1), "SELECT 1;").await.failed();
    assert!(nobody.contains("127.255.255.1"), "{nobody}");
}

async fn copies(cluster: &TestCluster) {
    let ip = cluster.nodes[2].ip;
    let run = async |cql: String| -> Ran {
        let ip = ip.to_string();
        quorate_in(cluster.folder(), &["shell", &ip, "-e", &cql]).await
    };
    shell(ip, "CREATE TABLE app.copied (k int PRIMARY KEY, n int, t text);").await.ok();
    let mut lines = String::from("k,n,t\n");
    for k in 0..500 {
        let n = if k % 3 == 0 { "NA".to_owned() } else { (k * 2).to_string() };
        lines.push_str(&format!("{k},{n},\"text, with \"\"quotes\"\" of {k}\"\n"));
    }
    std::fs::write(cluster.folder().join("in.csv"), &lines).unwrap();
    let with = "WITH HEADER = true AND NULL = 'NA' AND ESCAPE = '\"'";
    let said = run(format!("CONSISTENCY QUORUM; COPY app.copied FROM 'in.csv' {with};")).await.ok();
    assert!(said.contains("500 rows imported"), "{said}");
    run(format!("CONSISTENCY QUORUM; COPY app.copied (k, n, t) TO 'out.csv.gz' {with};")).await.ok();
    shell(ip, "TRUNCATE app.copied;").await.ok();
    let said = run(format!("CONSISTENCY QUORUM; COPY app.copied FROM 'out.csv.gz' {with};")).await.ok();
    assert!(said.contains("500 rows imported"), "{said}");
    run(format!("CONSISTENCY QUORUM; COPY app.copied (k, n, t) TO 'out.csv' {with};")).await.ok();
    let sorted = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(|line| line.replace('"', "")).collect();
        lines.sort();
        lines
    };
    let out = std::fs::read_to_string(cluster.folder().join("out.csv")).unwrap();
    assert_eq!(sorted(&out), sorted(&lines));
    let nulls = csv_rows(ip, "SELECT n FROM app.copied WHERE k = 3;").await;
    assert_eq!(nulls, [""], "NA became null");
}

async fn truncated_and_dropped(cluster: &TestCluster) {
    let ip = cluster.nodes[0].ip;
    shell(ip, "TRUNCATE app.plain;").await.ok();
    for node in &cluster.nodes {
        assert!(csv_rows(node.ip, "SELECT k FROM app.plain;").await.is_empty());
    }
    let snapshots = crate::support::admin(ip, &["listsnapshots"]).await.ok();
    assert!(snapshots.contains("truncated") && snapshots.contains("plain"), "TRUNCATE took one first:\n{snapshots}");
    shell(ip, "DROP TABLE app.plain;").await.ok();
    let said = shell(cluster.nodes[2].ip, "SELECT k FROM app.plain;").await.failed();
    assert!(said.contains("plain"), "{said}");
    shell(ip, "DROP KEYSPACE app; DROP KEYSPACE IF EXISTS app;").await.ok();
    let left = csv_rows(cluster.nodes[1].ip, "SELECT keyspace_name FROM system_schema.keyspaces;").await;
    assert!(!left.contains(&"app".to_owned()), "{left:?}");
}
