//! The Rust client against a whole node of its own: types, pages, batches, errors, a restart.

#![allow(clippy::unwrap_used)] // A test may fail where it stands.

use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use quorate_client::{
    AdminAnswer, AdminRequest, Batch, Consistency, CqlTimestamp, CqlUuid, Error, Named, Options, Outcome, RequestError,
    Session, Unset,
};
use quorate_server::{Config, Layers, Server};

fn free_port() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string()
}

fn config(data_dir: &Path, cluster: &str) -> Config {
    let mut layers = Layers::default();
    layers.flag("cluster_name", cluster).unwrap();
    layers.flag("workers", "2").unwrap();
    layers.flag("data_dir", data_dir.to_str().unwrap()).unwrap();
    for port in ["internode_port", "grpc_port", "http_port", "cql_port"] {
        layers.flag(port, free_port()).unwrap();
    }
    layers.build().unwrap()
}

async fn open(config: &Config) -> (Server, Session) {
    let server = Server::open(config).await.unwrap();
    tokio::time::timeout(Duration::from_secs(10), server.ready()).await.unwrap().unwrap();
    let session = Session::connect(format!("127.0.0.1:{}", config.network.grpc_port)).await.unwrap();
    (server, session)
}

async fn run(session: &Session, text: &str) {
    if let Err(error) = session.query(text, ()).await {
        panic!("{text}: {error}");
    }
}

const KEYSPACE: &str = "CREATE KEYSPACE k WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}";

#[tokio::test]
async fn values_keep_their_types() {
    let directory = tempfile::tempdir().unwrap();
    let (server, session) = open(&config(directory.path(), "c")).await;
    run(&session, KEYSPACE).await;
    run(&session, "USE k").await;
    assert_eq!(session.keyspace().as_deref(), Some("k"));
    run(
        &session,
        "CREATE TABLE t (a int PRIMARY KEY, b bigint, c text, d list<int>, e set<text>, f map<text, int>, \
         g timestamp, h uuid, i boolean, j double, k blob)",
    )
    .await;
    let set = BTreeSet::from(["x".to_owned(), "y".to_owned()]);
    let map = BTreeMap::from([("one".to_owned(), 1)]);
    let values = (
        1,
        2,
        "three",
        vec![4, 5],
        set.clone(),
        map.clone(),
        CqlTimestamp(1_700_000_000_123),
        CqlUuid([7; 16]),
        true,
        0.5,
        bytes::Bytes::from_static(b"raw"),
    );
    let insert = "INSERT INTO t (a, b, c, d, e, f, g, h, i, j, k) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    session.query(insert, values).await.unwrap();
    let found = session.query("SELECT * FROM t WHERE a = ?", (1,)).await.unwrap();
    let row = found.rows().unwrap().remove(0);
    assert_eq!(row.get::<i64>("b").unwrap(), 2);
    assert_eq!(row.get::<String>("c").unwrap(), "three");
    assert_eq!(row.get::<Vec<i32>>("d").unwrap(), [4, 5]);
    assert_eq!(row.get::<BTreeSet<String>>("e").unwrap(), set);
    assert_eq!(row.get::<BTreeMap<String, i32>>("f").unwrap(), map);
    assert_eq!(row.get::<CqlTimestamp>("g").unwrap(), CqlTimestamp(1_700_000_000_123));
    assert_eq!(row.get::<CqlUuid>("h").unwrap(), CqlUuid([7; 16]));
    assert!(row.get::<bool>("i").unwrap() && row.get::<f64>("j").unwrap() == 0.5);
    assert_eq!(row.get::<bytes::Bytes>("k").unwrap().as_ref(), b"raw");
    let wrong = row.get::<i32>("c").unwrap_err();
    assert_eq!((wrong.place.as_str(), wrong.expected.as_str()), ("c", "i32"));

    session.query("INSERT INTO t (a, b, c) VALUES (?, ?, ?)", (1, None::<i64>, Unset)).await.unwrap();
    session.query("INSERT INTO t (a, b) VALUES (:a, :b)", Named::new().with("a", 2).with("b", 9)).await.unwrap();
    let rows: Vec<(i32, Option<i64>, Option<String>)> =
        session.query("SELECT a, b, c FROM t", ()).await.unwrap().rows_as().unwrap();
    let rows: BTreeSet<_> = rows.into_iter().collect();
    assert_eq!(rows, BTreeSet::from([(1, None, Some("three".to_owned())), (2, Some(9), None)]));
    server.stop().await;
}

#[tokio::test]
async fn pages_neither_skip_nor_repeat_and_batches_arrive_whole() {
    let directory = tempfile::tempdir().unwrap();
    let (server, session) = open(&config(directory.path(), "c")).await;
    run(&session, KEYSPACE).await;
    run(&session, "CREATE TABLE k.t (p int, c int, v text, PRIMARY KEY (p, c))").await;
    let insert = session.prepare("INSERT INTO k.t (p, c, v) VALUES (?, ?, ?)").await.unwrap();
    for partition in 0..10 {
        let mut batch = Batch::unlogged();
        for clustering in 0..100 {
            batch.execute(&insert, (partition, clustering, "v"));
        }
        batch.query("INSERT INTO k.t (p, c) VALUES (?, ?)", (partition, 100));
        session.batch_with(&batch, &Options::default().consistency(Consistency::Quorum)).await.unwrap();
    }
    let options = Options::default().page_size(33);
    let mut rows = session.query_iter_with("SELECT p, c FROM k.t", (), &options).await.unwrap();
    let mut seen = BTreeSet::new();
    while let Some((partition, clustering)) = rows.next_as::<(i32, i32)>().await.unwrap() {
        assert!(seen.insert((partition, clustering)), "{partition}, {clustering} came twice");
    }
    assert_eq!(seen.len(), 1_010);
    let select = session.prepare("SELECT c FROM k.t WHERE p = ?").await.unwrap();
    let rows = session.execute_iter_with(&select, (3,), &options).await.unwrap().collect().await.unwrap();
    assert_eq!(rows.len(), 101);
    let traced = session.execute_with(&select, (3,), &Options::default().tracing(true)).await.unwrap();
    assert!(!traced.trace.unwrap().events.is_empty());
    server.stop().await;
}

#[tokio::test]
async fn a_restart_keeps_what_was_acknowledged_and_statements_are_prepared_again() {
    let directory = tempfile::tempdir().unwrap();
    let config = config(directory.path(), "c");
    let (server, session) = open(&config).await;
    run(&session, KEYSPACE).await;
    run(&session, "CREATE TABLE k.t (a int PRIMARY KEY)").await;
    let insert = session.prepare("INSERT INTO k.t (a) VALUES (?)").await.unwrap();
    session.execute(&insert, (1,)).await.unwrap();
    server.stop().await;
    let refused = session.execute(&insert, (2,)).await.unwrap_err();
    assert!(matches!(refused, Error::NoNode { .. } | Error::ConnectionLost { .. }), "{refused}");
    let (server, _) = open(&config).await;
    session.execute(&insert, (3,)).await.unwrap();
    let rows: Vec<(i32,)> = session.query("SELECT a FROM k.t", ()).await.unwrap().rows_as().unwrap();
    assert!(rows.contains(&(1,)) && rows.contains(&(3,)), "{rows:?}");
    server.stop().await;
}

#[tokio::test]
async fn errors_say_what_and_where() {
    let directory = tempfile::tempdir().unwrap();
    let (server, session) = open(&config(directory.path(), "c")).await;
    let error = session.query("SELEKT * FROM t", ()).await.unwrap_err();
    assert!(matches!(error.request_error(), Some(RequestError::Syntax { .. })), "{error}");
    assert!(error.place().is_some());
    assert_eq!(error.outcome(), Outcome::Refused);
    run(&session, KEYSPACE.replace("'replication_factor': 1", "'replication_factor': 3").as_str()).await;
    run(&session, "CREATE TABLE k.t (a int PRIMARY KEY)").await;
    let quorum = Options::default().consistency(Consistency::Quorum);
    let error = session.query_with("INSERT INTO k.t (a) VALUES (1)", (), &quorum).await.unwrap_err();
    match error.request_error() {
        Some(RequestError::Unavailable { required, alive, .. }) => assert!(alive < required),
        _ => panic!("{error}"),
    }
    match session.admin(&AdminRequest::Status { keyspace: None }).await.unwrap() {
        AdminAnswer::Cluster(cluster) => assert_eq!(cluster.nodes.len(), 1),
        other => panic!("{other:?}"),
    }
    server.stop().await;
}

#[tokio::test]
async fn a_data_directory_has_one_process_and_one_cluster() {
    let directory = tempfile::tempdir().unwrap();
    let (server, _) = open(&config(directory.path(), "c")).await;
    let second = Server::open(&config(directory.path(), "c")).await.err().unwrap().to_string();
    assert!(second.contains("in use"), "{second}");
    server.stop().await;
    let foreign = Server::open(&config(directory.path(), "other")).await.err().unwrap().to_string();
    assert!(foreign.contains("'c'") && foreign.contains("'other'"), "{foreign}");
}
