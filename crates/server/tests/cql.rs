//! The CQL front of a whole node, spoken to in bytes through our own codec.

#![allow(clippy::unwrap_used)] // A test may fail where it stands.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use quorate_cql_wire::message::error::ErrorKind;
use quorate_cql_wire::message::event::{Event, EventKind, SchemaTarget};
use quorate_cql_wire::message::execute::Execute;
use quorate_cql_wire::message::options::Options;
use quorate_cql_wire::message::prepare::Prepare;
use quorate_cql_wire::message::query::Query;
use quorate_cql_wire::message::query_parameters::QueryParameters;
use quorate_cql_wire::message::register::Register;
use quorate_cql_wire::message::result::{PreparedResult, ResultMessage, RowsResult};
use quorate_cql_wire::{
    ClientConnection, Columns, Compression, FromServer, ProtocolVersion, Request, RequestMessage, Response,
    ResponseMessage,
};
use quorate_model::Consistency;
use quorate_model::request::{BoundValue, SchemaChangeKind, Values};
use quorate_server::{Config, Layers, Server};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

fn config(data_dir: &Path) -> Config {
    let mut layers = Layers::default();
    layers.flag("workers", "2").unwrap();
    layers.flag("data_dir", data_dir.to_str().unwrap()).unwrap();
    for port in ["internode_port", "grpc_port", "http_port", "cql_port"] {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        layers.flag(port, free.to_string()).unwrap();
    }
    layers.build().unwrap()
}

async fn open(data_dir: &Path) -> (Server, SocketAddr) {
    let config = config(data_dir);
    let server = Server::open(&config).await.unwrap();
    tokio::time::timeout(Duration::from_secs(10), server.ready()).await.unwrap().unwrap();
    (server, config.network.at(config.network.cql_port))
}

struct Driver {
    socket: TcpStream,
    wire: ClientConnection,
}

const AGREED: [(ProtocolVersion, Option<Compression>); 7] = [
    (ProtocolVersion::V3, None),
    (ProtocolVersion::V4, None),
    (ProtocolVersion::V4, Some(Compression::Lz4)),
    (ProtocolVersion::V4, Some(Compression::Snappy)),
    (ProtocolVersion::V5, None),
    (ProtocolVersion::V5, Some(Compression::Lz4)),
    (ProtocolVersion::V3, Some(Compression::Lz4)),
];

impl Driver {
    async fn connect(address: SocketAddr, version: ProtocolVersion, compression: Option<Compression>) -> Self {
        let wire = ClientConnection::new(version, compression).unwrap();
        let mut driver = Self { socket: TcpStream::connect(address).await.unwrap(), wire };
        assert!(matches!(driver.ask(Request::Options(Options)).await.body, Response::Supported(_)));
        driver.wire.start(0).unwrap();
        assert!(matches!(driver.receive().await.1.body, Response::Ready(_)));
        driver
    }

    async fn send(&mut self) {
        let output = self.wire.output().split();
        self.socket.write_all(&output).await.unwrap();
    }

    async fn receive(&mut self) -> (i16, ResponseMessage) {
        self.send().await;
        loop {
            match self.wire.receive().unwrap() {
                Some(FromServer::Response { stream, response }) => return (stream, response),
                Some(other) => panic!("{other:?}"),
                None => {}
            }
            let read = self.socket.read_buf(self.wire.input());
            assert!(tokio::time::timeout(Duration::from_secs(10), read).await.unwrap().unwrap() > 0, "it was closed");
        }
    }

    async fn ask(&mut self, request: impl Into<RequestMessage>) -> ResponseMessage {
        self.wire.request(0, &request.into()).unwrap();
        self.receive().await.1
    }

    async fn query(&mut self, text: &str) -> Response {
        let parameters = QueryParameters::new(Consistency::One);
        self.ask(Request::Query(Query { text: text.to_owned(), parameters })).await.body
    }

    async fn run(&mut self, text: &str) {
        let response = self.query(text).await;
        assert!(matches!(response, Response::Result(_)), "{text}: {response:?}");
    }

    async fn prepare(&mut self, text: &str) -> PreparedResult {
        let request = Request::Prepare(Prepare { text: text.to_owned(), keyspace: None });
        match self.ask(request).await.body {
            Response::Result(ResultMessage::Prepared(prepared)) => prepared,
            other => panic!("{text}: {other:?}"),
        }
    }

    async fn execute(&mut self, prepared: &PreparedResult, values: &[i32], skip_metadata: bool) -> Response {
        let values = values.iter().map(|value| BoundValue::Bytes(Bytes::copy_from_slice(&value.to_be_bytes())));
        let parameters = QueryParameters {
            values: Values::Positional(values.collect()),
            skip_metadata,
            ..QueryParameters::new(Consistency::One)
        };
        let (id, result_metadata_id) = (prepared.id.clone(), prepared.result_metadata_id.clone());
        self.ask(Request::Execute(Execute { id, result_metadata_id, parameters })).await.body
    }
}

fn rows(response: Response) -> RowsResult {
    match response {
        Response::Result(ResultMessage::Rows(rows)) => rows,
        other => panic!("{other:?}"),
    }
}

fn error(response: &Response) -> &ErrorKind {
    match response {
        Response::Error(error) => &error.kind,
        other => panic!("{other:?}"),
    }
}

const KEYSPACE: &str = "CREATE KEYSPACE k WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}";

#[tokio::test]
async fn every_version_and_compression_writes_and_reads() {
    let directory = tempfile::tempdir().unwrap();
    let (server, address) = open(directory.path()).await;
    let mut driver = Driver::connect(address, ProtocolVersion::V5, None).await;
    driver.run(KEYSPACE).await;
    driver.run("CREATE TABLE k.t (a int PRIMARY KEY, b int)").await;
    for (index, (version, compression)) in (0..).zip(AGREED) {
        let mut driver = Driver::connect(address, version, compression).await;
        driver.run("USE k").await;
        let insert = driver.prepare("INSERT INTO t (a, b) VALUES (?, ?)").await;
        assert_eq!(insert.partition_key, if version > ProtocolVersion::V3 { vec![0] } else { vec![] });
        assert_eq!(insert.result, Columns::Skipped(0));
        driver.execute(&insert, &[index, 7], true).await;
        let select = driver.prepare("SELECT b FROM t WHERE a = ?").await;
        for skip in [false, true] {
            let rows = rows(driver.execute(&select, &[index], skip).await);
            assert_eq!(matches!(rows.metadata.columns, Columns::Skipped(1)), skip, "{version}");
            let cells: Vec<_> = rows.rows().map(Result::unwrap).collect();
            assert_eq!(cells, [[Some(Bytes::from_static(&[0, 0, 0, 7]))]]);
        }
    }
    // Many at once come back, each on its stream.
    let mut driver = Driver::connect(address, ProtocolVersion::V4, None).await;
    for stream in 0..5_000 {
        let text = "SELECT b FROM k.t WHERE a = 1".to_owned();
        let query = Query { text, parameters: QueryParameters::new(Consistency::One) };
        driver.wire.request(stream, &Request::Query(query).into()).unwrap();
    }
    let mut streams = Vec::new();
    while streams.len() < 5_000 {
        let (stream, response) = driver.receive().await;
        assert_eq!(rows(response.body).row_count, 1);
        streams.push(stream);
    }
    streams.sort_unstable();
    assert!(streams.into_iter().eq(0..5_000));
    server.stop().await;
}

/// The values of a column of texts.
fn texts(response: Response) -> Vec<String> {
    let rows = rows(response);
    let mut data = rows.data.clone();
    let mut found = Vec::new();
    while let Some((length, rest)) = data.split_first_chunk::<4>() {
        let length = usize::try_from(i32::from_be_bytes(*length)).unwrap_or(0);
        found.push(String::from_utf8(rest[..length].to_vec()).unwrap());
        data = rest[length..].to_vec().into();
    }
    found
}

#[tokio::test]
async fn settings_and_clients_can_be_read() {
    let directory = tempfile::tempdir().unwrap();
    let (server, address) = open(directory.path()).await;
    let mut driver = Driver::connect(address, ProtocolVersion::V5, None).await;
    let text = "SELECT value FROM system_views.settings WHERE name = 'cql_port'";
    assert_eq!(texts(driver.query(text).await), [address.port().to_string()]);
    let all = texts(driver.query("SELECT name FROM system_views.settings").await);
    assert_eq!(all.len(), quorate_server::KEYS.len());
    let mut other = Driver::connect(address, ProtocolVersion::V4, None).await;
    other.run("USE system").await;
    let port = other.socket.local_addr().unwrap().port();
    let text = format!(
        "SELECT keyspace_name FROM system_views.clients WHERE address = '127.0.0.1' AND port = {port} \
         AND protocol_version = 4 AND request_count = 3 AND connection_stage = 'ready' AND ssl_enabled = false ALLOW FILTERING"
    );
    assert_eq!(texts(driver.query(&text).await), ["system"]);
    drop(other);
    let until = tokio::time::Instant::now() + Duration::from_secs(10);
    while !texts(driver.query(&text).await).is_empty() {
        assert!(tokio::time::Instant::now() < until, "a client that is gone is still shown");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    server.stop().await;
}

#[tokio::test]
async fn a_name_that_is_advertised_shows_as_its_address() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = config(directory.path());
    config.network.advertise = "localhost".to_owned();
    config.network.seeds = vec![config.network.internode_address()];
    let server = Server::open(&config).await.unwrap();
    tokio::time::timeout(Duration::from_secs(10), server.ready()).await.unwrap().unwrap();
    let mut driver = Driver::connect(config.network.at(config.network.cql_port), ProtocolVersion::V5, None).await;
    let until = tokio::time::Instant::now() + Duration::from_secs(10);
    loop {
        let found = rows(driver.query("SELECT rpc_address FROM system.local").await);
        if found.data[..] == [0, 0, 0, 4, 127, 0, 0, 1] {
            break;
        }
        // Null as long as it is looked up.
        assert_eq!(found.data[..], [255, 255, 255, 255]);
        assert!(tokio::time::Instant::now() < until, "the name has not been resolved");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    server.stop().await;
}

#[tokio::test]
async fn columns_that_changed_are_told_in_every_version() {
    let directory = tempfile::tempdir().unwrap();
    let (server, address) = open(directory.path()).await;
    let mut driver = Driver::connect(address, ProtocolVersion::V5, None).await;
    driver.run(KEYSPACE).await;
    for version in ProtocolVersion::ALL {
        let table = format!("k.t{}", version.number());
        driver.run(&format!("CREATE TABLE {table} (a int PRIMARY KEY, b int)")).await;
        driver.run(&format!("INSERT INTO {table} (a, b) VALUES (1, 2)")).await;
        let mut driver = Driver::connect(address, version, None).await;
        let text = format!("SELECT * FROM {table} WHERE a = ?");
        let select = driver.prepare(&text).await;
        assert!(matches!(rows(driver.execute(&select, &[1], true).await).metadata.columns, Columns::Skipped(2)));
        driver.run(&format!("ALTER TABLE {table} ADD c int")).await;
        let response = driver.execute(&select, &[1], true).await;
        assert_eq!(error(&response), &ErrorKind::Unprepared { id: select.id.clone() });
        // Another client prepares it again: the first still knows it by its old columns.
        let mut other = Driver::connect(address, version, None).await;
        other.prepare(&text).await;
        let rows = rows(driver.execute(&select, &[1], true).await);
        let Columns::Full(columns) = rows.metadata.columns else { panic!("{version}: columns were left out") };
        assert_eq!(columns.columns.len(), 3, "{version}");
        assert_eq!(rows.metadata.new_id.is_some(), version >= ProtocolVersion::V5);
    }
    server.stop().await;
}

#[tokio::test]
async fn schema_changes_are_told_to_those_who_have_registered() {
    let directory = tempfile::tempdir().unwrap();
    let (server, address) = open(directory.path()).await;
    let mut listener = Driver::connect(address, ProtocolVersion::V4, None).await;
    let kinds = EventKind::ALL.to_vec();
    assert!(matches!(listener.ask(Request::Register(Register { kinds })).await.body, Response::Ready(_)));
    // The watch has looked once before there is a difference to see.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let mut driver = Driver::connect(address, ProtocolVersion::V5, None).await;
    let steps = [
        (KEYSPACE, SchemaChangeKind::Created, SchemaTarget::Keyspace),
        ("CREATE TYPE k.u (x int)", SchemaChangeKind::Created, SchemaTarget::Type("u".to_owned())),
        ("CREATE TABLE k.t (a int PRIMARY KEY)", SchemaChangeKind::Created, SchemaTarget::Table("t".to_owned())),
        ("ALTER TABLE k.t ADD b int", SchemaChangeKind::Updated, SchemaTarget::Table("t".to_owned())),
        ("DROP TABLE k.t", SchemaChangeKind::Dropped, SchemaTarget::Table("t".to_owned())),
        ("DROP TYPE k.u", SchemaChangeKind::Dropped, SchemaTarget::Type("u".to_owned())),
        ("DROP KEYSPACE k", SchemaChangeKind::Dropped, SchemaTarget::Keyspace),
    ];
    for (text, kind, target) in steps {
        driver.run(text).await;
        let (stream, event) = listener.receive().await;
        assert_eq!(stream, -1);
        let Response::Event(Event::SchemaChange(change)) = event.body else { panic!("{event:?}") };
        assert_eq!((change.kind, change.keyspace.as_str(), change.target), (kind, "k", target));
    }
    server.stop().await;
}

#[tokio::test]
async fn what_is_wrong_is_refused_and_what_is_no_protocol_ends_the_connection() {
    let directory = tempfile::tempdir().unwrap();
    let (server, address) = open(directory.path()).await;
    let mut driver = Driver::connect(address, ProtocolVersion::V5, None).await;
    assert_eq!(error(&driver.query("SELEC").await), &ErrorKind::Syntax);
    assert_eq!(error(&driver.query("SELECT * FROM system.scylla_tables").await), &ErrorKind::Invalid);
    let unknown = PreparedResult {
        id: Bytes::from_static(&[9; 16]),
        result_metadata_id: Bytes::new(),
        parameters: std::sync::Arc::default(),
        partition_key: Vec::new(),
        result: Columns::Skipped(0),
    };
    let response = driver.execute(&unknown, &[], false).await;
    assert_eq!(error(&response), &ErrorKind::Unprepared { id: unknown.id.clone() });

    // A request that is too big is refused; the connection lives.
    let mut driver = Driver::connect(address, ProtocolVersion::V4, None).await;
    let text = format!("SELECT '{}'", "x".repeat(17 * 1024 * 1024));
    let query = Query { text, parameters: QueryParameters::new(Consistency::One) };
    driver.wire.request(5, &Request::Query(query).into()).unwrap();
    let (stream, response) = driver.receive().await;
    assert_eq!((stream, error(&response.body)), (5, &ErrorKind::Invalid));
    driver.run("SELECT key FROM system.local").await;

    // A query before STARTUP is refused.
    let mut early = Driver {
        socket: TcpStream::connect(address).await.unwrap(),
        wire: ClientConnection::new(ProtocolVersion::V4, None).unwrap(),
    };
    assert_eq!(error(&early.query("SELECT key FROM system.local").await), &ErrorKind::Protocol);

    // Versions that are not spoken, and what is no protocol at all, are told so and cut off.
    for opening in [[66, 0, 0, 1, 5, 0, 0, 0, 0].as_slice(), b"GET / HTTP/1.1\r\n\r\n", &[0xFF; 32]] {
        let mut socket = TcpStream::connect(address).await.unwrap();
        socket.write_all(opening).await.unwrap();
        let mut answer = Vec::new();
        let end = tokio::time::timeout(Duration::from_secs(5), socket.read_to_end(&mut answer)).await;
        assert!(end.is_ok(), "it was not closed");
        assert!(answer.starts_with(&[0x85]), "{answer:?}");
    }
    server.stop().await;
}
