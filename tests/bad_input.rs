//! Bad input, a bad disk and bad neighbours: each gets a clear error, and nothing is lost or disturbed by it.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

#[path = "bad_input/disk_full.rs"]
mod disk_full;
#[path = "bad_input/peers.rs"]
mod peers;
mod support;

use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use quorate_client::{Options, RequestError, Session};
use quorate_proto::v1;
use support::cluster::{address, network, quorum};
use support::program::{csv_rows, quorate_in};
use support::{TestCluster, eventually, quorate, shell};
use tokio::io::AsyncWriteExt;

/// What `quorate start` says as it refuses.
async fn start_refuses(arguments: &[&str]) -> String {
    let mut all = vec!["start"];
    all.extend(arguments);
    quorate(&all).await.failed()
}

#[track_caller]
fn says(said: &str, parts: &[&str]) {
    for part in parts {
        assert!(said.contains(part), "no '{part}' in:\n{said}");
    }
}

async fn insert_one(ip: Ipv4Addr) {
    shell(
        ip,
        "CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1};
         CREATE TABLE ks.t (k int PRIMARY KEY, v text); INSERT INTO ks.t (k, v) VALUES (1, 'kept');",
    )
    .await
    .ok();
}

async fn one_is_kept(ip: Ipv4Addr) {
    assert_eq!(csv_rows(ip, "SELECT v FROM ks.t WHERE k = 1;").await, ["kept"]);
}

#[tokio::test]
async fn configuration_errors_name_the_key_and_the_place() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("quorate.toml");
    let path = file.display().to_string();
    std::fs::write(&file, "dta_dir = '/tmp/x'\n").unwrap();
    says(&start_refuses(&["--config", &path]).await, &["dta_dir", &path, "did you mean 'data_dir'?"]);
    std::fs::write(&file, "write_timeout_ms = 'soon'\n").unwrap();
    says(&start_refuses(&["--config", &path]).await, &["write_timeout_ms", &path, "whole number"]);
    std::fs::write(&file, "listen = \n").unwrap();
    says(&start_refuses(&["--config", &path]).await, &[&path, "not valid TOML"]);
    says(&start_refuses(&["--config", "/nowhere/quorate.toml"]).await, &["/nowhere/quorate.toml"]);
    says(&start_refuses(&["--listen", "0.0.0.0"]).await, &["advertise"]);
    let flag = quorate(&["start", "--dta-dir", "x"]).await;
    assert_eq!(flag.status, 2);
    says(&flag.stderr, &["--dta-dir", "--data-dir"]);
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data").display().to_string();
    let ip = address(network(), 1);
    for port in [9044, 7000, 9180] {
        let taken = TcpListener::bind((ip, port)).unwrap();
        let said = start_refuses(&["--listen", &ip.to_string(), "--data-dir", &data]).await;
        says(&said, &[&format!("{ip}:{port}"), "in use", "--listen"]);
        drop(taken);
    }
    says(&start_refuses(&["--listen", "192.0.2.1", "--data-dir", &data]).await, &["192.0.2.1", "no such address"]);
}

#[tokio::test]
async fn a_data_directory_belongs_to_one_cluster_and_one_process() {
    let mut cluster = TestCluster::start(1).await;
    let (ip, data) = (cluster.nodes[0].ip, cluster.nodes[0].data_dir.display().to_string());
    insert_one(ip).await;

    let other = address(network(), 1).to_string();
    let said = start_refuses(&["--listen", &other, "--data-dir", &data]).await;
    says(&said, &[&data, "is in use by process"]);
    one_is_kept(ip).await;

    cluster.nodes[0].stop().await;
    let said = start_refuses(&["--listen", &ip.to_string(), "--data-dir", &data, "--cluster-name", "elsewhere"]).await;
    says(&said, &[&data, "elsewhere", "test-"]);
    cluster.start_again().await;
    one_is_kept(ip).await;

    // A file where the folder should be, and a folder that is none of ours to write in.
    let file = cluster.folder().join("file");
    std::fs::write(&file, "x").unwrap();
    let file = file.display().to_string();
    says(&start_refuses(&["--listen", &other, "--data-dir", &file]).await, &[&file]);
}

#[tokio::test]
async fn timestamps_from_far_ahead_are_refused() {
    let cluster = TestCluster::start(1).await;
    insert_one(cluster.nodes[0].ip).await;
    let session = cluster.session().await;
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros()).unwrap();
    let hour = 3_600_000_000;
    let insert = "INSERT INTO ks.t (k, v) VALUES (1, 'from the future')";
    let options = |timestamp| Options::default().timestamp(timestamp);
    let error = session.query_with(insert, (), &options(now + 2 * hour)).await.expect_err("two hours ahead");
    assert!(matches!(error.request_error(), Some(RequestError::Invalid { .. })), "{error:?}");
    says(&error.to_string(), &["timestamp"]);
    let using = format!("{insert} USING TIMESTAMP {}", now + 2 * hour);
    let error = session.query(&using, ()).await.expect_err("two hours ahead in the statement");
    assert!(matches!(error.request_error(), Some(RequestError::Invalid { .. })), "{error:?}");
    one_is_kept(cluster.nodes[0].ip).await;
    session.query_with(insert, (), &options(now + hour / 2)).await.expect("half an hour is within the limit");
}

#[tokio::test]
async fn an_oversized_message_costs_only_its_sender() {
    let cluster = TestCluster::start(1).await;
    let ip = cluster.nodes[0].ip;
    insert_one(ip).await;
    let session = cluster.session().await;
    let big = "x".repeat(20 << 20);
    let error = session.query("INSERT INTO ks.t (k, v) VALUES (2, ?)", (big,)).await.expect_err("20 MiB are too many");
    says(&error.to_string(), &["at most", "bytes"]);
    assert_eq!(error.outcome(), quorate_client::Outcome::Refused);
    // A client that sends it nevertheless is told why its stream ends.
    let fault = oversized_on_the_wire(ip).await;
    says(fault.message(), &["too large"]);
    one_is_kept(ip).await;
    let medium = "y".repeat(4 << 20);
    session.query("INSERT INTO ks.t (k, v) VALUES (3, ?)", (medium.clone(),)).await.expect("4 MiB are not");
    let read = session.query("SELECT v FROM ks.t WHERE k = 3", ()).await.unwrap();
    assert_eq!(read.first_as::<(String,)>().unwrap(), Some((medium,)));

    // Bytes that are no HTTP/2 at all, on every port.
    for port in [9044, 7000, 9180] {
        let mut stream = tokio::net::TcpStream::connect((ip, port)).await.unwrap();
        // The node may close the connection while this is written.
        let _ = stream.write_all(&vec![0xA5; 1 << 20]).await;
        let _ = stream.shutdown().await;
    }
    one_is_kept(ip).await;
    assert!(cluster.nodes[0].ready_line().is_some());
}

async fn oversized_on_the_wire(ip: Ipv4Addr) -> tonic::Status {
    let channel = tonic::transport::Endpoint::from_shared(format!("http://{ip}:9044")).unwrap();
    let mut client = tonic::client::Grpc::new(channel.connect().await.unwrap());
    client.ready().await.unwrap();
    let query = v1::QueryRequest { statement: "x".repeat(18 << 20), ..v1::QueryRequest::default() };
    let request = Some(v1::stream_request_item::Request::Query(query));
    let message = v1::StreamRequest { items: vec![v1::StreamRequestItem { id: 1, request }] };
    let path = tonic::codegen::http::uri::PathAndQuery::from_static("/quorate.v1.Quorate/Stream");
    let codec = tonic_prost::ProstCodec::<v1::StreamRequest, v1::StreamResponse>::default();
    let messages = tokio_stream::StreamExt::chain(tokio_stream::iter([message]), tokio_stream::pending());
    match client.streaming(tonic::Request::new(messages), path, codec).await {
        Ok(answers) => answers.into_inner().message().await.expect_err("it is refused"),
        Err(status) => status,
    }
}

#[tokio::test]
async fn a_client_that_goes_away_in_the_middle_leaves_nothing_behind() {
    let cluster = TestCluster::start(1).await;
    let ip = cluster.nodes[0].ip;
    insert_one(ip).await;
    let session = cluster.session().await;
    let insert = session.prepare("INSERT INTO ks.t (k, v) VALUES (?, ?)").await.unwrap();
    for k in 2..2_000 {
        session.execute_with(&insert, (k, "z".repeat(1_000)), &quorum()).await.unwrap();
    }
    for round in 0..20 {
        let channel = tonic::transport::Endpoint::from_shared(format!("http://{ip}:9044")).unwrap();
        let mut client = tonic::client::Grpc::new(channel.connect().await.unwrap());
        client.ready().await.unwrap();
        let options = v1::QueryOptions { page_size: Some(10), ..v1::QueryOptions::default() };
        let statement = "SELECT k, v FROM ks.t".to_owned();
        let request = v1::QueryRequest { statement, options: Some(options), ..v1::QueryRequest::default() };
        let path = tonic::codegen::http::uri::PathAndQuery::from_static("/quorate.v1.Quorate/QueryPages");
        let codec = tonic_prost::ProstCodec::<v1::QueryRequest, v1::QueryResponse>::default();
        let answer = client.server_streaming(tonic::Request::new(request), path, codec).await.unwrap();
        let mut pages = answer.into_inner();
        for _ in 0..round % 4 {
            assert!(pages.message().await.unwrap().is_some());
        }
        // The connection goes with its client, in the middle of the answer.
    }
    // And requests on a stream whose session is dropped with them.
    for _ in 0..5 {
        let hasty = Session::connect(ip.to_string()).await.unwrap();
        let reads = (0..50).map(|_| hasty.query("SELECT k, v FROM ks.t", ()));
        let mut reads: Vec<_> = reads.map(Box::pin).collect();
        for read in &mut reads {
            let _ = tokio::time::timeout(Duration::from_micros(50), read).await;
        }
    }
    // What was sent last may still be on its way, so all gauges have to come to rest, not one of them once.
    eventually(Duration::from_secs(10), "no request is left in flight", async || {
        let page = support::program::http(ip, "/metrics").await?;
        assert!(page.contains("requests_in_flight"), "the page has no such gauge");
        let is_gauge = |line: &&str| line.contains("in_flight") && !line.starts_with('#');
        let busy: Vec<&str> =
            page.lines().filter(is_gauge).filter(|line| !line.ends_with(" 0") && !line.ends_with(" 0.0")).collect();
        if busy.is_empty() { Ok(()) } else { Err(busy.join(", ")) }
    })
    .await;
    one_is_kept(ip).await;
}

#[tokio::test]
async fn wrong_rows_of_a_csv_are_kept_with_their_reasons() {
    let cluster = TestCluster::start(1).await;
    let ip = cluster.nodes[0].ip.to_string();
    insert_one(cluster.nodes[0].ip).await;
    shell(cluster.nodes[0].ip, "CREATE TABLE ks.rows (k int PRIMARY KEY, n int, t timestamp);").await.ok();
    let file = "k,n,t\n1,10,2013-01-01T00:00:00Z\nnot-a-number,20,2013-01-01T00:00:00Z\n3,30\n,40,2013-01-01T00:00:00Z\n\
                5,50,yesterday\n6,99999999999,2013-01-01T00:00:00Z\n7,70,2013-01-02T00:00:00Z\n";
    std::fs::write(cluster.folder().join("in.csv"), file).unwrap();
    let copy = "COPY ks.rows FROM 'in.csv' WITH HEADER = true AND ERRFILE = 'rejected.csv';";
    let ran = quorate_in(cluster.folder(), &["shell", &ip, "-e", copy]).await;
    let said = format!("{}{}", ran.stdout, ran.stderr);
    says(&said, &["2 rows imported", "5 rejected", "rejected.csv"]);
    let rejected = std::fs::read_to_string(cluster.folder().join("rejected.csv")).unwrap();
    for part in ["not-a-number", "column k", "2 fields, expected 3", "yesterday", "column t", "99999999999", "column n"]
    {
        assert!(rejected.contains(part), "no '{part}' in the rejected rows:\n{rejected}");
    }
    let mut kept = csv_rows(cluster.nodes[0].ip, "SELECT k, n FROM ks.rows;").await;
    kept.sort();
    assert_eq!(kept, ["1,10", "7,70"]);
}
