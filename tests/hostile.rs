//! Clients of the native protocol that mean harm, or are broken: each costs itself and nobody else, and the node stays
//! small and answers all others.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

mod support;

use std::net::Ipv4Addr;
use std::time::Duration;

use quorate_cql_wire::message::error::ErrorKind;
use quorate_cql_wire::{Compression, ProtocolVersion, Response};
use support::TestCluster;
use support::cql::CqlClient;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// More than this a node must never have held at once, whatever its clients do.
const MEMORY_MAX_MIB: u64 = 1024;
const MIB: usize = 1024 * 1024;
/// The address of a client that is not the misbehaving one: that one's is what the system picks, 127.0.0.1.
const ANOTHER_CLIENT: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
/// The opcode of a statement as text.
const QUERY: u8 = 0x07;
/// A body is compressed (v3, v4).
const COMPRESSED: u8 = 0x01;

/// The header of an envelope of v4.
fn header(flags: u8, stream: i16, opcode: u8, length: usize) -> Vec<u8> {
    let mut bytes = vec![4, flags];
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.push(opcode);
    bytes.extend_from_slice(&u32::try_from(length).unwrap().to_be_bytes());
    bytes
}

async fn connect(ip: Ipv4Addr) -> CqlClient {
    CqlClient::connect(ip, ProtocolVersion::V4, None).await.expect("the node takes a connection")
}

/// A cluster of one node with a table.
async fn node() -> (TestCluster, Ipv4Addr) {
    let cluster = TestCluster::start(1).await;
    let ip = cluster.nodes[0].ip;
    let mut client = connect(ip).await;
    for statement in [
        "CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}",
        "CREATE TABLE ks.t (k int PRIMARY KEY, v text)",
        "INSERT INTO ks.t (k, v) VALUES (1, 'kept')",
    ] {
        let response = client.query(statement).await.unwrap();
        assert!(matches!(response, Response::Result(_)), "{response:?}");
    }
    (cluster, ip)
}

/// A client that does nothing wrong is served, on new connections too.
async fn others_are_served(ip: Ipv4Addr) {
    let mut client = connect(ip).await;
    for _ in 0..20 {
        let response = client.query("SELECT v FROM ks.t WHERE k = 1").await.expect("others are answered");
        assert!(matches!(response, Response::Result(_)), "{response:?}");
    }
}

/// The most memory that the node has ever held, from the kernel.
fn memory_peak_mib(cluster: &TestCluster) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", cluster.nodes[0].pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("the kernel says it");
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() / 1024
}

#[track_caller]
fn stayed_small(cluster: &TestCluster) {
    let peak = memory_peak_mib(cluster);
    eprintln!("the node held {peak} MiB at most");
    assert!(peak < MEMORY_MAX_MIB, "the node held {peak} MiB");
}

/// Writes as much as the server takes within the time; whether all was taken.
async fn push(stream: &mut TcpStream, bytes: &[u8], within: Duration) -> bool {
    matches!(tokio::time::timeout(within, stream.write_all(bytes)).await, Ok(Ok(())))
}

#[tokio::test]
async fn bodies_of_256_mib_are_refused_and_passed_over() {
    let (cluster, ip) = node().await;
    let mut clients = Vec::new();
    for _ in 0..20 {
        let mut client = connect(ip).await;
        client.stream.write_all(&header(0, 5, QUERY, 256 * MIB)).await.unwrap();
        clients.push(client);
    }
    let body = vec![0x20_u8; 8 * MIB];
    for client in &mut clients {
        assert!(push(&mut client.stream, &body, Duration::from_secs(20)).await, "what is refused is still read");
    }
    others_are_served(ip).await;
    for client in &mut clients {
        let (stream, response) = client.answer().await.expect("the refusal comes while the body is still sent");
        assert_eq!(stream, 5);
        let Response::Error(error) = response.body else { panic!("{response:?}") };
        assert_eq!(error.kind, ErrorKind::Invalid, "{}", error.message);
        assert!(error.message.contains("16777216"), "{}", error.message);
    }
    // The first goes to the end of its body, and then its connection is as good as new.
    let first = &mut clients[0];
    for _ in 1..32 {
        first.stream.write_all(&body).await.unwrap();
    }
    let response = first.query("SELECT v FROM ks.t WHERE k = 1").await.unwrap();
    assert!(matches!(response, Response::Result(_)), "{response:?}");
    stayed_small(&cluster);
}

#[tokio::test]
async fn halves_of_great_requests_are_taken_in_only_as_far_as_there_is_room() {
    let (cluster, ip) = node().await;
    let half = vec![0x20_u8; 15 * MIB];
    let mut clients = Vec::new();
    let mut taken = 0;
    for _ in 0..150 {
        let mut client = connect(ip).await;
        client.stream.write_all(&header(0, 5, QUERY, 16 * MIB)).await.unwrap();
        taken += usize::from(push(&mut client.stream, &half, Duration::from_millis(200)).await);
        clients.push(client);
    }
    eprintln!("{taken} of 150 halves were taken in");
    assert!((2..60).contains(&taken), "{taken} halves of 15 MiB were taken in");
    // The address that behaves badly has used up its room: it is another client that must be served.
    let mut other = CqlClient::connect_from(ANOTHER_CLIENT, ip).await.unwrap();
    let response = other.query("SELECT v FROM ks.t WHERE k = 1").await.unwrap();
    assert!(matches!(response, Response::Result(_)), "{response:?}");
    // Those that go away make room for those that wait.
    clients.truncate(1);
    others_are_served(ip).await;
    stayed_small(&cluster);
}

#[tokio::test]
async fn compressed_bodies_that_grow_beyond_measure_are_refused() {
    let (cluster, ip) = node().await;
    let mut clients = Vec::new();
    for _ in 0..20 {
        clients.push(CqlClient::connect(ip, ProtocolVersion::V4, Some(Compression::Lz4)).await.unwrap());
    }
    // A statement of 15 MiB of blanks, in 60 KiB, twice; and bodies that lie about their length.
    let mut statement = u32::try_from(15 * MIB).unwrap().to_be_bytes().to_vec();
    statement.resize(15 * MIB + 4, b' ');
    statement.extend_from_slice(&[0, 1, 0]);
    let mut bomb = u32::try_from(statement.len()).unwrap().to_be_bytes().to_vec();
    bomb.extend_from_slice(&lz4_flex::block::compress(&statement));
    let lie = |length: u32| [length.to_be_bytes().as_slice(), &[0x1F, 0x20, 1, 0, 255, 255, 255, 0]].concat();
    let mut request = Vec::new();
    for stream in 0..2 {
        request.extend(header(COMPRESSED, stream, QUERY, bomb.len()));
        request.extend_from_slice(&bomb);
    }
    for (stream, length) in [(2, 16 << 20), (3, (16 << 20) + 1), (4, u32::MAX), (5, 1 << 31)] {
        let lie = lie(length);
        request.extend(header(COMPRESSED, stream, QUERY, lie.len()));
        request.extend_from_slice(&lie);
    }
    for client in &mut clients {
        client.stream.write_all(&request).await.unwrap();
    }
    for client in &mut clients {
        let mut streams = Vec::new();
        for _ in 0..6 {
            let (stream, response) = client.answer().await.expect("each is answered");
            assert!(matches!(response.body, Response::Error(_)), "{response:?}");
            streams.push(stream);
        }
        streams.sort_unstable();
        assert_eq!(streams, (0..6).collect::<Vec<i16>>());
        let response = client.query("SELECT v FROM ks.t WHERE k = 1").await.unwrap();
        assert!(matches!(response, Response::Result(_)), "the connection lives: {response:?}");
    }
    others_are_served(ip).await;
    stayed_small(&cluster);
}

#[tokio::test]
async fn nesting_without_end_is_an_error() {
    let (cluster, ip) = node().await;
    let mut client = connect(ip).await;
    let depth = 100_000;
    let nested =
        |open: &str, middle: &str, close: &str| format!("{}{middle}{}", open.repeat(depth), close.repeat(depth));
    let statements = [
        format!("CREATE TABLE ks.deep (k int PRIMARY KEY, v {})", nested("frozen<list<", "int", ">>")),
        format!("CREATE TABLE ks.deep (k int PRIMARY KEY, v {})", nested("tuple<", "int", ">")),
        format!("CREATE TABLE ks.deep (k int PRIMARY KEY, v {})", nested("vector<", "int", ", 1>")),
        format!(
            "CREATE TABLE ks.deep (k int PRIMARY KEY, v 'org.apache.cassandra.db.marshal.{}')",
            nested("ListType(", "x", ")")
        ),
        format!("INSERT INTO ks.t (k, v) VALUES (1, {})", nested("[", "", "]")),
        format!("INSERT INTO ks.t (k, v) VALUES (1, {})", nested("{", "", "}")),
        format!("INSERT INTO ks.t (k, v) VALUES (1, {})", nested("(", "1", ")")),
        format!("SELECT * FROM ks.t WHERE {}", nested("(", "k = 1", ")")),
        format!("SELECT {} FROM ks.t", nested("cast(", "k", " AS text)")),
        format!("SELECT {} FROM ks.t", nested("-", "k", "")),
        format!("SELECT {} FROM ks.t", nested("abs(", "k", ")")),
        format!("INSERT INTO ks.t JSON '{{\"k\": 1, \"v\": {}}}'", nested("[", "", "]")),
        format!("INSERT INTO ks.t JSON '{}'", nested("{\"a\":", "1", "}")),
        format!("SELECT * FROM ks.t WHERE k = {}", nested("(int)", "1", "")),
    ];
    for statement in statements {
        let start: String = statement.chars().take(60).collect();
        let response = client.query(&statement).await.unwrap_or_else(|error| panic!("{start}: {error}"));
        assert!(matches!(response, Response::Error(_)), "{start}: {response:?}");
    }
    others_are_served(ip).await;
    stayed_small(&cluster);
}

#[tokio::test]
async fn those_who_only_begin_are_hung_up_on() {
    let (cluster, ip) = node().await;
    let startup = header(0, 0, 1, 22);
    let mut slow = Vec::new();
    for index in 0..600 {
        let mut stream = TcpStream::connect((ip, 9042)).await.unwrap();
        let some = startup.get(..index % startup.len()).unwrap();
        stream.write_all(some).await.unwrap();
        slow.push(stream);
    }
    // They hold on; the others do not notice.
    others_are_served(ip).await;
    for stream in &mut slow {
        let mut answer = Vec::new();
        let end = tokio::time::timeout(Duration::from_secs(40), stream.read_to_end(&mut answer)).await;
        assert!(end.is_ok(), "a connection that never started is still open");
    }
    others_are_served(ip).await;
    stayed_small(&cluster);
}

#[tokio::test]
async fn those_who_take_no_answers_are_read_no_further() {
    let (cluster, ip) = node().await;
    let mut client = connect(ip).await;
    let text = "x".repeat(MIB);
    let response = client.query(&format!("INSERT INTO ks.t (k, v) VALUES (2, '{text}')")).await.unwrap();
    assert!(matches!(response, Response::Result(_)), "{response:?}");
    let mut deaf = Vec::new();
    for _ in 0..40 {
        let mut client = connect(ip).await;
        for stream in 0..200 {
            // The node stops reading sooner or later; what it does not take is not asked.
            let ask = client.ask(stream, "SELECT v FROM ks.t WHERE k = 2");
            if !matches!(tokio::time::timeout(Duration::from_millis(100), ask).await, Ok(Ok(()))) {
                break;
            }
        }
        deaf.push(client);
    }
    let mut other = CqlClient::connect_from(ANOTHER_CLIENT, ip).await.unwrap();
    let response = other.query("SELECT v FROM ks.t WHERE k = 1").await.unwrap();
    assert!(matches!(response, Response::Result(_)), "{response:?}");
    stayed_small(&cluster);
    drop(deaf);
    others_are_served(ip).await;
}
