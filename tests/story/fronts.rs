//! The shell over gRPC and over the CQL native protocol: what it prints is the same, to the letter.

use std::net::Ipv4Addr;
use std::time::Duration;

use crate::support::program::shell_with;
use crate::support::{Ran, TestCluster};

/// Each is run over both fronts, in a keyspace of the front's own: `ks` stands for its name.
const STATEMENTS: &[&str] = &[
    "CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 3}",
    "CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 3}",
    "CREATE TYPE ks.address (street text, lines frozen<list<int>>)",
    "CREATE TABLE ks.all (k int, c text, b blob, bo boolean, da date, de decimal, d double, du duration, f float, i inet, si smallint,
     ti time, ts timestamp, tiny tinyint, u uuid, v varint, l list<text>, s set<int>, m map<text, int>, tu tuple<int, text>,
     ve vector<float, 3>, ad address, st text static, PRIMARY KEY (k, c)) WITH CLUSTERING ORDER BY (c DESC)",
    "INSERT INTO ks.all (k, c, b, bo, da, de, d, du, f, i, si, ti, ts, tiny, u, v, l, s, m, tu, ve, ad, st) VALUES (1, 'a', 0xCAFE, true,
     '2026-02-28', 1.250, 2.5e100, 1mo2d3h, 0.1, '::1', 3, '01:02:03.000000004', '2026-01-01T00:00:00Z', -1,
     8f3cb2f8-36e5-4a6c-9ec0-0f0f5f7f0f0f, 123456789012345678901234567890, ['x', ''], {3, 1, 2}, {'a': 1}, (1, null), [1, 2, 3],
     {street: 'Long', lines: [1, 2]}, 'shared')",
    "INSERT INTO ks.all (k, c) VALUES (1, 'empty')",
    "BEGIN UNLOGGED BATCH INSERT INTO ks.all (k, c, d) VALUES (2, 'x', NaN); DELETE d FROM ks.all WHERE k = 1 AND c = 'a'; APPLY BATCH",
    "SELECT * FROM ks.all",
    "SELECT JSON * FROM ks.all WHERE k = 1",
    "SELECT k, count(*), max(si), writetime(st) = 0 FROM ks.all WHERE k = 1",
    "SELECT c, token(k), ttl(si), CAST(k AS text), s[1], m['a'], ad.street FROM ks.all WHERE k IN (1, 2) AND c > 'a'",
    "SELECT l[0] FROM ks.all",
    "SELECT * FROM ks.all WHERE k = 99",
    "USE ks; SELECT c FROM all WHERE k = 1",
    "DESCRIBE TABLE ks.all",
    "DESCRIBE KEYSPACE ks",
    "USE ks; DESCRIBE TABLES; DESCRIBE TYPES",
    "ALTER TABLE ks.all ADD more int",
    "TRUNCATE ks.all",
    "SELECT * FROM ks.all",
    // What is wrong, and where.
    "SELEC * FROM ks.all",
    "SELECT * FRM ks.all WHERE\n k = 1",
    "SELECT nothing FROM ks.all",
    "SELECT * FROM ks.none",
    "SELECT * FROM nowhere.all",
    "INSERT INTO ks.all (k, c, si) VALUES (1, 'a', 'text')",
    "INSERT INTO ks.all (k) VALUES (1)",
    "SELECT * FROM ks.all WHERE d = 1.0",
    "CREATE TABLE ks.all (k int PRIMARY KEY)",
    "CREATE TABLE ks.wrong (k int PRIMARY KEY) WITH compaction = {'class': 'Nothing'}",
    "DROP TABLE ks.none",
    "USE nowhere",
    "INSERT INTO ks.all (k, c) VALUES (1, 'a') IF NOT EXISTS",
    "SELECT * FROM all",
    "CONSISTENCY ALL; SELECT * FROM ks.all; CONSISTENCY",
    "EXPAND ON; INSERT INTO ks.all (k, c) VALUES (7, 'z'); SELECT k, c FROM ks.all",
    "PAGING 2; SELECT k, c FROM ks.all",
    "SHOW VERSION",
];

async fn run(ip: Ipv4Addr, front: &str, text: &str, format: &str) -> Ran {
    let keyspace = format!("front_{front}");
    // At `ONE`, the shell's default, a read need not see the write before it.
    let text = format!("CONSISTENCY QUORUM; {}", text.replace("ks", &keyspace));
    let mut ran = shell_with(ip, &text, &["--front", front, "--format", format]).await;
    // gRPC is a letter longer than CQL.
    for said in [&mut ran.stdout, &mut ran.stderr] {
        *said = said.replace(&keyspace, "ks").replace(['-', ' '], "");
    }
    ran.command = text;
    ran
}

fn same(grpc: &Ran, cql: &Ran) {
    let of = |ran: &Ran| (ran.status, ran.stdout.clone(), ran.stderr.clone());
    assert_eq!(of(grpc), of(cql), "gRPC and CQL do not say the same to: {}", grpc.command);
    assert!(!cql.stderr.contains("panicked"), "{}", cql.stderr);
}

#[tokio::test]
async fn both_fronts_say_the_same() {
    let mut cluster = TestCluster::start(3).await;
    let ip = cluster.nodes[0].ip;
    for statement in STATEMENTS {
        let formats: &[&str] = if statement.starts_with("SELECT") { &["table", "csv", "json"] } else { &["table"] };
        for format in formats {
            let (grpc, cql) = (run(ip, "grpc", statement, format).await, run(ip, "cql", statement, format).await);
            same(&grpc, &cql);
        }
    }
    copies(&cluster).await;
    cluster.nodes[2].kill();
    cluster.shows(0, 2, "DN", Duration::from_secs(20)).await;
    let at_all = "CONSISTENCY ALL; SELECT * FROM ks.all WHERE k = 7; SELECT * FROM ks.all";
    let (grpc, cql) = (run(ip, "grpc", at_all, "table").await, run(ip, "cql", at_all, "table").await);
    assert!(cql.stderr.contains("3replicasrequired"), "{}", cql.stderr);
    same(&grpc, &cql);
}

/// A table out to CSV and in again, more rows than fit a page, over the one front and the other.
async fn copies(cluster: &TestCluster) {
    let ip = cluster.nodes[0].ip;
    let folder = cluster.folder().display().to_string();
    let rows: String = (0..12_000).map(|row| format!("{row},text {row}\n")).collect();
    std::fs::write(format!("{folder}/in.csv"), rows).unwrap();
    for front in ["grpc", "cql"] {
        let script = format!(
            "CONSISTENCY QUORUM; USE ks; CREATE TABLE copied (k int PRIMARY KEY, v text); COPY copied (k, v) FROM '{folder}/in.csv';
             COPY copied (k, v) TO '{folder}/{front}.csv'; SELECT count(*) FROM copied"
        );
        let script = script.replace("ks", &format!("front_{front}"));
        let ran = shell_with(ip, &script, &["--front", front, "--format", "csv"]).await;
        assert_eq!(ran.status, 0, "{}", ran.stderr);
        assert_eq!(ran.stdout.lines().last(), Some("12000"), "{}", ran.stdout);
    }
    let read = |front: &str| std::fs::read_to_string(format!("{folder}/{front}.csv")).unwrap();
    assert_eq!(read("grpc").lines().count(), 12_000);
    assert_eq!(read("grpc"), read("cql"), "rows come in the order of their tokens");
}
